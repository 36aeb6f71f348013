"""Programs with steps of their own against Keras: the same results and weights after two epochs."""

import json
import subprocess
import sys

import numpy as np
import pytest

import ranvier as rv
from tests.training import own_steps


@pytest.fixture(scope="module")
def expected():
    pytest.importorskip("keras")
    pytest.importorskip("torch")
    run = [sys.executable, "-m", "tests.peers.own_steps_keras"]
    output = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


@pytest.mark.parametrize("program", own_steps.PROGRAMS, ids=lambda p: p.__name__)
def test_programs_agree_with_keras(program, expected):
    model, results = own_steps.trained(rv, program)
    wanted = expected[program.__name__]
    assert results.keys() == wanted["results"].keys()
    for name, values in wanted["results"].items():
        np.testing.assert_allclose(results[name], values, rtol=1e-5, atol=1e-5, err_msg=name)
    for weight, value in zip(model.get_weights(), wanted["weights"], strict=True):
        np.testing.assert_allclose(weight, value, rtol=1e-4, atol=1e-5)

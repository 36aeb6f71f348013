"""Losses against Keras on each of its back ends: of extreme predictions, and compiled after a softmax or sigmoid."""

import contextlib
import json
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

import ranvier as rv
from ranvier.tensor.tensor import Tensor
from tests.peers.losses_keras import COMPILED, DIFFERENT, DIRECT, trained

pytestmark = pytest.mark.peers
BACK_ENDS = ("tensorflow", "jax", "torch")


@pytest.fixture(scope="module")
def results():
    """What each back end that is installed computes, by processes at the same time."""
    pytest.importorskip("keras")
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    run = [sys.executable, "-m", "tests.peers.losses_keras"]
    with contextlib.ExitStack() as stack:
        running = {}
        for name in filter(find_spec, BACK_ENDS):
            environment = os.environ | quiet | {"KERAS_BACKEND": name}
            process = subprocess.Popen(run, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            running[name] = stack.enter_context(process)
        found = {}
        for name, process in running.items():
            output, errors = process.communicate()
            assert process.returncode == 0, errors
            found[name] = json.loads(output.splitlines()[-1])
    return found


def close(found, expected, what):
    for value, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=2e-5, atol=2e-6, err_msg=what)


@pytest.mark.parametrize("name", DIRECT)
def test_direct_losses_are_those_of_every_back_end(name, results):
    kind, options, y, x = DIRECT[name]
    predictions = Tensor(x, requires_grad=True)
    loss = getattr(rv.losses, kind)(**options)(Tensor(y), predictions)
    loss.backward()
    for library in results.keys() - {library for library, row in DIFFERENT if row == name}:
        close([loss.item(), predictions.grad.numpy()], results[library]["direct"][name], library)


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_losses_are_those_of_keras_on_tensorflow(name, results):
    if "tensorflow" not in results:
        pytest.skip("needs tensorflow")
    close(trained(rv, name), results["tensorflow"]["compiled"][name], name)

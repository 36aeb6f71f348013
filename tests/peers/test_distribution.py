"""One model on several devices and in several real processes, on JAX.

A sample; all of it with ``RANVIER_ROWS=all``, as in ``make test-engines``.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ALL = os.environ.get("RANVIER_ROWS") == "all"
whole = pytest.mark.skipif(not ALL, reason="part of make test-engines")

# A training that every process runs; what it ends with is printed as one line of JSON.
PROGRAM = """
import json, os, signal, sys, time
import numpy as np
import ranvier as rv
from ranvier.engines import processes

fault, victim, folder = (*sys.argv[1:], "", "0", "")[:3]
me = int(os.environ.get("JAX_PROCESS_ID", 0))
here = me == int(victim)
rv.set_engine("jax")
rv.distribution.initialize(timeout=8 if fault == "hang" else 600)
rv.distribution.set_distribution(rv.distribution.DataParallel())
rv.set_seed(0)
x = np.random.default_rng(0).normal(size=(330, 12)).astype("float32")
y = (x.sum(1) > 0).astype("int32")
model = rv.Sequential([
    rv.Input((12,)), rv.layers.Dense(24, "relu"), rv.layers.BatchNormalization(), rv.layers.Dropout(0.2),
    rv.layers.Dense(2),
])
model.compile("adam", rv.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
"""
FIT = """
history = model.fit(x, y, batch_size=64, epochs=3, verbose=2, validation_split=0.2)
print(json.dumps([history.history, model.evaluate(x, y, verbose=0), model.predict(x[:7]).tolist()]))
"""


def launched(count, program, *arguments, timeout=150):
    """What ``ranvier launch`` does with a program: its code, and the lines of each process without their numbers."""
    path = Path(os.environ["PYTEST_TMP"]) / "program.py"
    path.write_text(program, encoding="utf-8")
    command = [sys.executable, "-m", "ranvier", "launch", "-n", str(count), str(path), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    lines = [(done.stdout + done.stderr).splitlines()]
    each = [[line.partition("] ")[2] for line in lines[0] if line.startswith(f"[{i}] ")] for i in range(count)]
    return done.returncode, each, [line for line in lines[0] if not line.startswith("[")]


def results(lines):
    """The results that a process printed."""
    return next(json.loads(line) for line in lines if line.startswith("[["[:1]) and line.endswith("]"))


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_TMP", str(tmp_path))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")


def agree(one, other):
    for name in one[0]:
        np.testing.assert_allclose(one[0][name], other[0][name], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(one[1], other[1], rtol=1e-5)
    np.testing.assert_allclose(one[2], other[2], rtol=1e-4, atol=1e-5)


def test_two_processes_end_as_one_does():
    code, (alone,), _ = launched(1, PROGRAM + FIT)
    assert code == 0, alone
    code, each, _ = launched(2, PROGRAM + FIT)
    assert code == 0, each
    for lines in each:
        agree(results(alone), results(lines))
    assert any("Epoch 3/3" in line for line in each[0])  # one process shows progress
    assert not any("Epoch" in line for line in each[1])

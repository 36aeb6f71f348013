"""One model on several devices and in several real processes, on JAX.

A sample; all of it with ``RANVIER_ROWS=all``, as in ``make test-engines``.
"""

import json
import os
import re
import subprocess
import sys
import time

import numpy as np
import pytest

import ranvier as rv

whole = pytest.mark.skipif(os.environ.get("RANVIER_ROWS") != "all", reason="part of make test-engines")

# A training that every process runs, and the results as one line of JSON. The arguments: what goes wrong, in which
# process, and the folder of backups.
PROGRAM = """
import json, os, signal, sys, time
import numpy as np
import ranvier as rv

fault, victim, folder, distributed = (*sys.argv[1:], *("", "0", "", "yes")[len(sys.argv) - 1:])
here = os.environ.get("JAX_PROCESS_ID", "0") == victim
if distributed:
    rv.set_engine("jax")
    rv.distribution.initialize(timeout=35 if fault == "hang" else 600)
    rv.distribution.set_distribution(rv.distribution.DataParallel())
rv.set_seed(0)
x = np.random.default_rng(0).normal(size=(330, 12)).astype("float32")
y = (x.sum(1) > 0).astype("int32")


def network():
    model = rv.Sequential([rv.Input((12,)), rv.layers.Dense(8, "relu"), rv.layers.Dropout(0.2), rv.layers.Dense(2)])
    model.compile("adam", rv.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def show(*results):
    print("RESULTS " + json.dumps(results, default=lambda a: np.asarray(a).tolist()), flush=True)
"""
FIT = """
model = network()
history = model.fit(x, y, batch_size=64, epochs=2, verbose=2, validation_split=0.2)
show(history.history, model.evaluate(x, y, verbose=0), model.predict(x[:7]))
"""
# Of each loader, the rows that this process read: once in each epoch, and in each evaluation.
LOADER = """
import ranvier.torch as torch

class Rows(torch.utils.data.Dataset):
    read = []
    def __len__(self):
        return len(x)
    def __getitem__(self, i):
        self.read.append(i)
        return x[i], y[i]

model, loader = network(), torch.utils.data.DataLoader(Rows(), batch_size=66, shuffle=True)
history = model.fit(loader, epochs=2, verbose=0)
show(history.history, model.evaluate(loader, verbose=0), [len(Rows.read), len(set(Rows.read))])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("distribution")


def environment():
    flags = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=1"}
    return {**os.environ, **flags}


def start(folder, count, program, *arguments):
    """What ``ranvier launch`` starts for a program."""
    path = folder / f"program{len(list(folder.glob('*.py')))}.py"
    path.write_text(program, encoding="utf-8")
    command = [sys.executable, "-m", "ranvier", "launch", "-n", str(count), str(path), *map(str, arguments)]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def launched(folder, count, program, *arguments):
    """The code of ``ranvier launch``, the lines of each process, and its own."""
    process = start(folder, count, program, *arguments)
    lines = process.communicate(timeout=170)[0].splitlines()
    each = [[line.partition("] ")[2] for line in lines if line.startswith(f"[{i}] ")] for i in range(count)]
    return process.returncode, each, [line for line in lines if not line.startswith("[")]


def results(lines):
    """All results that a process printed."""
    found = [json.loads(line.removeprefix("RESULTS ")) for line in lines if line.startswith("RESULTS ")]
    assert found, "\n".join(lines)
    return found


def alone(program, *arguments):
    """The results of the program in this process, on the compiler."""
    shown = []
    names = {"__name__": "program"}
    before, sys.argv = sys.argv, ["program", *map(str, arguments or ("", "0", ""))[:3], ""] if arguments else [
        "program", "", "0", "", ""]  # fmt: skip
    try:
        exec(
            compile(
                program.replace("def show(*results):", "def show(*results):\n    shown.append(results)"), "p", "exec"
            ),
            names | {"shown": shown},
        )  # noqa: S102  # it is above
    finally:
        sys.argv = before
    return json.loads(json.dumps(shown, default=lambda a: np.asarray(a).tolist()))


def agree(one, other):
    for name in one[0]:
        np.testing.assert_allclose(one[0][name], other[0][name], rtol=1e-5, atol=1e-6, err_msg=name)
    for first, second in zip(one[1:], other[1:], strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=whole)])
def test_several_processes_end_as_one_does_and_read_their_own_rows(folder, count):
    fit, loader = alone(PROGRAM + FIT + LOADER)
    code, each, _ = launched(folder, count, PROGRAM + FIT + LOADER)
    assert code == 0, each
    for lines in each:
        own_fit, own_loader = results(lines)
        agree(fit, own_fit)
        agree(loader[:2], own_loader[:2])
    assert any("Epoch 2/2" in line for line in each[0])  # one process shows progress
    assert not any("Epoch" in line for line in each[1])
    if count == 2:  # 330 rows are 5 batches of 66, which 2 processes divide
        assert loader[2][0] == 990
        assert [results(lines)[1][2][0] for lines in each] == [495, 495]

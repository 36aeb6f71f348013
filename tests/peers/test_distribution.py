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
from ranvier import engines
from tests.test_docs import DOCUMENTS, verify

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


def compiled(units):
    layers = [rv.layers.Dense(units, "relu"), rv.layers.Dropout(0.2), rv.layers.Dense(2)]
    model = rv.Sequential([rv.Input((12,)), *layers])
    model.compile("adam", rv.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def network():
    return compiled(8)


def show(*results):
    print("RESULTS " + json.dumps(results, default=lambda a: np.asarray(a).tolist()), flush=True)
"""
FIT = """
model = network()
history = model.fit(x, y, batch_size=64, epochs=2, verbose=2, validation_split=0.2)
show(history.history, model.evaluate(x, y, verbose=0), model.predict(x[:7]))
"""
# What goes wrong in one process, at the end of the second epoch.
FAULT = """
import errno
from ranvier.data import files
from ranvier.training.loop import alike

def full(*arguments, **options):
    raise OSError(errno.ENOSPC, "No space left on device", "backup.ranvier")

def mistaken():
    raise ValueError("my own mistake")

faults = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL), "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "hang": lambda: time.sleep(1000), "slow": lambda: time.sleep(38), "mistake": mistaken,
    "disk": lambda: setattr(files, "write_whole", full),
}

class Fault(rv.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if here and epoch == 1 and fault in faults:
            print("FAULT", flush=True)
            faults[fault]()

if here and fault == "data":
    x[0] += 1
if here and fault == "version":
    alike.__version__ = "0.0"
if here and fault == "seed":
    rv.set_seed(1)
if here and fault == "program":
    network = lambda: compiled(9)
callbacks = [Fault(), *([rv.callbacks.BackupAndRestore(folder)] if folder else [])]
model = network()
if fault == "branch" and here:
    model.predict(x)
history = model.fit(x, y, batch_size=64, epochs=4, verbose=0, callbacks=callbacks)
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
    devices = os.environ.get("DEVICES", "1")
    flags = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
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


def alone(program, backups=""):
    """The results of the program in one process, on the compiler."""
    command = [sys.executable, "-c", program, "", "0", backups, ""]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    return results((done.stdout + done.stderr).splitlines())


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


# Sources of which each process reads its rows: the programs end alike, whoever reads what.
SOURCES = """
import torch as pytorch
from ranvier.support import processes

def trained(source, *rest):
    rv.set_seed(0)
    pytorch.manual_seed(0)
    model = network()
    history = model.fit(source, *rest, epochs=2, verbose=0)
    show(history.history, model.evaluate(source, *rest, verbose=0), [0])

np.save(folder + "x.npy", x) if here else None
time.sleep(0 if here else 3)
trained(np.load(folder + "x.npy", mmap_mode="r"), y)
trained(rv.utils.timeseries_dataset_from_array(x, y, 1, batch_size=66, shuffle=True, seed=1).map(lambda a, b: (a[:, 0], b)))
pairs = [(a, b) for a, b in zip(x, y)]
trained(pytorch.utils.data.DataLoader(pairs, batch_size=66, shuffle=True))

# each process gives its part of a batch
group = processes.group
number, count = (0, 1) if group is None else (group.number, group.count)

class Parts:
    def __iter__(self):
        for start in range(0, 330, 66):
            rows = 66 // count
            part = slice(start + number * rows, start + (number + 1) * rows)
            yield x[part], y[part]

if distributed:
    rv.distribution.set_distribution(rv.distribution.DataParallel(auto_shard_dataset=False))
trained(Parts())
"""


@whole
def test_sources_of_all_kinds_are_read_by_rows(folder):
    expected = alone(PROGRAM + SOURCES, str(folder / "one"))
    code, each, _ = launched(folder, 2, PROGRAM + SOURCES, "", 0, folder / "two")
    assert code == 0, each
    for lines in each:
        for one, other in zip(expected, results(lines), strict=True):
            agree(one, other)


# Weights and batches are divided among two devices in each of two processes, and among four in one.
MODEL_PARALLEL = """
d = rv.distribution
mesh = d.DeviceMesh((2, 2), ["batch", "model"])
layouts = d.LayoutMap(mesh)
layouts[".*dense_a.*kernel"] = (None, "model")
layouts[".*dense_a.*bias"] = ("model",)
layouts["dense_b/output"] = ("batch", "model")

class Divided(rv.layers.Layer):
    def call(self, x):
        return d.distribute_tensor(x, d.TensorLayout(("batch", "model"), mesh))

d.set_distribution(d.ModelParallel(layout_map=layouts))
rv.set_seed(0)
layers = [rv.layers.Dense(8, "relu", name="dense_a"), Divided(), rv.layers.Dropout(0.2), rv.layers.Dense(2, name="dense_b")]
model = rv.Sequential([rv.Input((12,)), *layers])
model.compile("adam", rv.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
history = model.fit(x, y, batch_size=64, epochs=2, verbose=0, validation_split=0.2)
(program,) = {id(s.program): s.program for key, s in model._compiled.programs.items() if key[0] == "train"}.values()
divided = [n.attrs["name"] for n, s in zip(program.graph.inputs, program.shardings) if not s.is_fully_replicated]
show(history.history, model.evaluate(x, y, verbose=0), model.predict(x[:7]), divided,
     [n.shape[1:] for n in program.graph.nodes() if n.op.name == "layout"])
"""


@whole
@pytest.mark.parametrize(("count", "devices"), [(1, 4), (2, 2)])
def test_weights_are_divided_among_devices(folder, monkeypatch, count, devices):
    (expected,) = alone(PROGRAM + FIT)
    monkeypatch.setenv("DEVICES", str(devices))
    code, each, _ = launched(folder, count, PROGRAM + MODEL_PARALLEL)
    assert code == 0, each
    for lines in each:
        (found,) = results(lines)
        agree(expected, found[:3])
        slots = ("", ".momentum", ".velocity")
        assert found[3] == [f"0.{w}" for w in ("kernel", "bias")] + [
            f"0.{w}{s}" for w in ("kernel", "bias") for s in slots[1:]
        ]
        assert found[4] == [[8], [2], [2], [8]]  # outputs of Divided and dense_b, and their gradients


# How a process that did not fail describes the fault, and for what processes.
SAID = {
    "mistake": ("process {0} .* has ended with an error: ValueError: my own mistake", (0, 1)),
    "stop": ("process {0} .* has given no sign of life", (1,)),
    "hang": ("the others have waited .* for it. process {0} .* is at .*program.*py", (0, 1)),
    "data": ("process 1 is not like process 0: data is", (1,)),
    "version": ("process 1 is not like process 0: the version of ranvier is", (1,)),
    "seed": ("process 1 is not like process 0: seed is 0 in process 0", (1,)),
    "program": ("process 1 is not like process 0: in the model", (1,)),
    "branch": ("do not run the same program: process 0 is at .*, and process 1 is at program", (1,)),
}


@whole
@pytest.mark.parametrize(("fault", "victim"), [(fault, v) for fault, (_, victims) in SAID.items() for v in victims])
def test_every_process_says_what_happened(folder, fault, victim):
    code, each, _ = launched(folder, 2, PROGRAM + FAULT, fault, victim)
    assert code != 0
    assert re.search(SAID[fault][0].format(victim), "\n".join(each[1 - victim]), re.DOTALL), each


@whole
def test_a_slow_process_is_named_and_waited_for(folder):
    code, each, _ = launched(folder, 2, PROGRAM + FAULT, "slow", 1)
    assert code == 0, each
    assert re.search("process 0 .* has waited 3. s for other processes: process 1 .* is at", "\n".join(each[0])), each
    agree(alone(PROGRAM + FAULT)[0], results(each[0])[0])


# A process is killed or has a full disk; the run is resumed by another number of processes.
@whole
@pytest.mark.parametrize(("fault", "victim", "count", "then"), [
    ("kill", 1, 2, 4), ("kill", 0, 2, 1), ("kill", 2, 4, 2), ("disk", 0, 2, 2),
])  # fmt: skip
def test_a_run_that_one_process_ended_is_resumed(folder, fault, victim, count, then):
    backup = folder / f"{fault}{victim}{count}"
    lines, ended = [], 0.0
    with start(folder, count, PROGRAM + FAULT, fault, victim, backup) as process:
        for line in process.stdout:
            lines.append(line)
            ended = time.monotonic() if "FAULT" in line else ended
    assert process.returncode != 0
    assert time.monotonic() - ended < 60
    said = {"kill": f"process {victim}[ ,].*(given no sign of life|was killed)", "disk": "OSError.*No space left"}[
        fault
    ]
    for number in set(range(count)) - {victim}:
        assert re.search(said, "".join(line for line in lines if line.startswith(f"[{number}]"))), lines
    code, each, _ = launched(folder, then, PROGRAM + FAULT, "", 0, backup)
    assert code == 0, each
    agree(alone(PROGRAM + FAULT)[0], results(each[0])[0])
    assert not backup.exists()  # the run is over


@whole
@pytest.mark.parametrize(
    ("number", "words"), [(1, "has not reached the coordinator"), (0, "not all processes have come")]
)
def test_processes_that_do_not_come_are_reported(number, words):
    program = (
        "import ranvier as rv, ranvier.engines.jax_processes as p; p.JOIN = 3; "
        f"rv.distribution.initialize('127.0.0.1:29876', 2, {number})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert words in done.stderr


def test_the_page_prints_what_it_says(tmp_path):
    verify(next(path for path in DOCUMENTS if path.name == "scale.md"), tmp_path, forked=False)


# What cannot be done is one error that says what to write.
ERRORS = {
    "there is no device of type 'abacus'": lambda: rv.distribution.list_devices("abacus"),
    "there is no device 'gpu:7'": lambda: rv.distribution.DataParallel(devices=["gpu:7"]),
    "has 3 devices, and 1 are given": lambda: rv.distribution.DeviceMesh((3,), ["batch"], ["cpu:0"]),
    "the mesh has no axis 'model'": lambda: rv.distribution.TensorLayout(("model",), mesh()),
    "process_id is 2, and there are 2": lambda: rv.distribution.initialize("127.0.0.1:1", 2, 2),
    "num_processes is 3, and job_addresses has 2": lambda: rv.distribution.initialize("a:1,b:1", 3, 0),
    "is no layout": lambda: rv.distribution.distribute_tensor(rv.Tensor([1.0]), ("batch",)),
    "is no distribution": lambda: rv.distribution.set_distribution("all"),
}


def mesh():
    return rv.distribution.DeviceMesh((1,), ["batch"], ["cpu:0"])


@pytest.mark.parametrize("words", ERRORS)
def test_what_cannot_be_done_says_what_to_write(words):
    with pytest.raises((ValueError, TypeError), match=re.escape(words)) as caught:
        ERRORS[words]()
    assert "Write" in str(caught.value)


OPEN_MPI = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "2", "PMIX_NAMESPACE": "prterun-host-7@1"}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"OMPI_COMM_WORLD_LOCAL_SIZE": "4"}, ("localhost:62244", 4, 2)),
        ({"OMPI_COMM_WORLD_LOCAL_SIZE": "2"}, (None, 4, 2)),  # of several hosts: the address must be given
        ({"OMPI_MCA_orte_hnp_uri": "4096.0;tcp://127.0.0.1:7"}, None),  # version 4, which JAX knows
        ({"OMPI_COMM_WORLD_SIZE": "1"}, None),
    ],
)
def test_what_open_mpi_says(more, expected, monkeypatch):
    for name, value in {**OPEN_MPI, **more}.items():
        monkeypatch.setenv(name, value)
    assert rv.distribution._open_mpi() == expected


@pytest.mark.parametrize(("release", "words"), [((), "is not installed"), ((0, 7), "0.7 is installed")])
def test_jax_that_is_missing_or_old_is_an_error_that_says_what_to_install(monkeypatch, release, words):
    monkeypatch.setattr(engines, "_release", lambda package: release)
    engines._check_library.cache_clear()
    with pytest.raises(ImportError, match=words):
        rv.distribution.DataParallel()
    engines._check_library.cache_clear()

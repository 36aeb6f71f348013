"""The end of the interpreter while other threads are in the library, each in a process of its own: FAULTS 43."""

import os
import subprocess
import sys

import pytest

START = """
import atexit, pathlib, tempfile, threading, time
import numpy as np

def in_thread(function):
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread

def end():
    for action in at_the_end:
        action()

at_the_end = []
atexit.register(end)  # before the library is imported, so after the library's own
import ranvier as rv
folder = pathlib.Path(tempfile.mkdtemp())
x = np.random.default_rng(0).normal(size=(256, 8)).astype("float32")
model = rv.Sequential([rv.Input((8,)), rv.layers.Dense(16, activation="relu"), rv.layers.Dense(2)])
model.compile("adam", "mse")
model.fit(x, x[:, :2], verbose=0)

def train():
    model.fit(x, x[:, :2], epochs=10**6, verbose=0)
"""
LLVM = """
from ranvier.engines.native.runtime import llvm

def compile():
    with llvm.exclusive():
        began.set()
        time.sleep(0.5)
        print("compiled")

began = threading.Event()
"""
PROGRAMS = {
    "a thread compiles": LLVM + "in_thread(compile)\nbegan.wait()",
    "threads wait for the compiler": LLVM + "[in_thread(compile) for _ in range(3)]\nbegan.wait()",
    "the end waits for a thread that trains": "at_the_end.append(in_thread(train).join)\ntime.sleep(0.2)",
    "weights of a training that ends": """
in_thread(train)
time.sleep(0.2)
at_the_end.append(lambda: print(np.isfinite(model.predict(x)).all(), len(model.history.epoch) > 0))
""",
    "a thread releases its locks": """
lock = threading.Lock()
def locked():
    with lock:
        train()
in_thread(locked)
time.sleep(0.2)
at_the_end.append(lock.acquire)
""",
    "several threads of the pool": """
rv.set_threads(3)
a = rv.Tensor(np.ones((512, 512), "float32"))
def compute():
    while True:
        (a @ a).numpy()
[in_thread(compute) for _ in range(2)]
time.sleep(0.3)
""",
    "another engine": """
rv.set_engine("reference")
a = rv.Tensor(np.random.default_rng(0).random(10**5))
def compute():
    while True:
        rv.ops.sort(a).numpy()
[in_thread(compute) for _ in range(2)]
time.sleep(0.1)
""",
}
PRINTED = {
    "a thread compiles": "compiled\n",
    "threads wait for the compiler": "compiled\n",
    "weights of a training that ends": "True True\n",
}
FILES = {
    "a thread writes files": """
def write():
    while True:
        model.save(folder / f"{threading.get_ident()}.keras")
[in_thread(write) for _ in range(2)]
time.sleep(0.3)
""",
    "a thread trains and writes files": """
def train():
    saves = [rv.callbacks.ModelCheckpoint(folder / "m.keras")]
    model.fit(x, x[:, :2], epochs=10**6, verbose=0, callbacks=saves)
in_thread(train)
time.sleep(0.4)
""",
    "a model is saved at the end": """
atexit.register(lambda: model.save(folder / "m.keras"))
model.save(folder / "before.keras")
""",
}


def check(program, expected=""):
    environment = {**os.environ, "RANVIER_ENGINE": "native", "PYTHONFAULTHANDLER": "1"}
    command = [sys.executable, "-c", START + program]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, expected, "")


@pytest.mark.parametrize("name", PROGRAMS)
def test_43_threads_end_before_the_interpreter(name):
    check(PROGRAMS[name], PRINTED.get(name, ""))


@pytest.mark.parametrize("name", FILES)
def test_43_files_of_keras_are_written_until_the_end(name):
    pytest.importorskip("h5py")
    check(FILES[name])

"""Fixtures of the whole suite: the engine a test runs on, and float64."""

import os
import signal

import pytest

from ranvier.engines import set_engine
from ranvier.tensor import set_dtype
from tests.strategies import ENGINES

# Several processes that test at a time share the processors: threads that wait for each other must not wait for these.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if WORKERS > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // WORKERS)))

# A process that a shell starts in the background ignores Ctrl-C, and so would the tests that press it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=ENGINES)
def engine(request):
    """Every engine in turn: the test runs once on each."""
    set_engine(request.param)
    yield request.param
    set_engine(None)


@pytest.fixture
def float64():
    set_dtype("float64")
    yield
    set_dtype("float32")

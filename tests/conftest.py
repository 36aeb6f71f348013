"""Fixtures of the whole suite: the engine a test runs on, and float64."""

import os
import signal

import pytest

from ranvier.engines import set_engine
from ranvier.tensor.context import set_dtype
from tests.strategies import ENGINES

os.environ.setdefault("RANVIER_VERIFY", "1")  # the native engine verifies the graph after every pass

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

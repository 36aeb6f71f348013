"""Fixtures of the whole suite: the engine a test runs on, float64, and how programs are compiled."""

import os
import signal
from pathlib import Path

import pytest

from ranvier.engines import set_engine
from ranvier.engines.native import compiler
from ranvier.tensor.context import set_dtype
from tests.strategies import ENGINES

os.environ.setdefault("RANVIER_VERIFY", "1")  # the native engine verifies the graph after every pass

# A process that a shell starts in the background ignores Ctrl-C, and so would the tests that press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How many sizes of a program the native engine compiles with care before it compiles others quickly, in a third of the
# time and to the same bits. Tests of the engine are about code that is compiled with care, whatever ran before them;
# peers meet what users meet; the others would wait for the compiler for most of their time, and so would the hundreds of
# checks that scikit-learn makes of estimators.
SIZES = {
    "engines": 10**9,
    "golden": 10**9,
    "test_bits.py": 10**9,
    "peers": compiler.MOST_SIZES,
    "test_estimators.py": 0,
}


@pytest.fixture(autouse=True)
def sizes_compiled_with_care(request):
    folder = request.path.relative_to(Path(__file__).parent).parts[0]
    compiler.MOST_SIZES = SIZES.get(request.path.name, SIZES.get(folder, 0))


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

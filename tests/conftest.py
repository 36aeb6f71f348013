"""Fixtures of the whole suite: the engine a test runs on, float64, and how programs are compiled."""

import os
import signal
from pathlib import Path

import pytest

from ranvier.engines import set_engine
from ranvier.engines.native import compiler
from ranvier.tensor.attribute_types import Printing
from ranvier.tensor.context import set_dtype
from tests.strategies import ENGINES

os.environ.setdefault("RANVIER_VERIFY", "1")  # the native engine verifies the graph after every pass

# A process that a shell starts in the background ignores Ctrl-C, and so would the tests that press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The native engine compiles some sizes of a program with care, and further ones quickly, in a third of the time and to the
# same bits. Each test of the engine begins anew, whatever ran before it: its first sizes are of the code that users run.
# Peers meet what users meet. The others would wait for the compiler for most of their time, and so would the hundreds of
# checks that scikit-learn makes of estimators: all their programs are compiled quickly.
CARE = compiler.MOST_SIZES
ANEW = {"engines", "golden", "test_bits.py"}
QUICK = {"test_estimators.py", "test_loops_on_sequences.py"}


@pytest.fixture(autouse=True)
def sizes_compiled_with_care(request):
    folder = request.path.relative_to(Path(__file__).parent).parts[0]
    if folder in ANEW:
        compiler._sizes.clear()
    careful = folder in ANEW or (folder == "peers" and request.path.name not in QUICK)
    compiler.MOST_SIZES = CARE if careful else 0


@pytest.fixture(autouse=True)
def printed_in_one_vocabulary(request):
    """Whatever other tests have imported, shapes print as tuples; as PyTorch's where a test compares with PyTorch."""
    Printing.as_pytorch = request.path.parent.name == "peers" and "torch" in request.path.name


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

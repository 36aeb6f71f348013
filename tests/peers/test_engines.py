"""The engines of other libraries: what the tests of the core run on every engine runs on these, too."""

import inspect
import sys
from types import FunctionType

import pytest

from ranvier import engines
from ranvier.engines import LIBRARIES, set_engine
from ranvier.graph.node import PRIMITIVES
from tests.engines import test_checks
from tests.graph import test_dtypes, test_graph, test_primitives
from tests.layers import test_layers
from tests.layers.test_layers import row  # noqa: F401  # a fixture

OTHERS = sorted(LIBRARIES)


@pytest.fixture(params=OTHERS)
def engine(request):
    """The fixture of the core, and what parameters named so become: each of these engines in turn."""
    set_engine(request.param)
    yield request.param
    set_engine(None)


def on_these(test):
    """A test of the core that is given an engine, on these ones."""
    copy = FunctionType(test.__code__, test.__globals__, test.__name__, test.__defaults__, test.__closure__)
    copy.pytestmark = [m for m in getattr(test, "pytestmark", []) if m.args[:1] != ("engine",)]
    return copy


for module in (test_primitives, test_dtypes, test_graph, test_checks, test_layers):
    for name, test in inspect.getmembers(module, inspect.isfunction):
        if name.startswith("test_") and "engine" in inspect.signature(test).parameters and test.__module__ == module.__name__:
            setattr(sys.modules[__name__], f"{name}_of_{module.__name__.rpartition('_')[2]}", on_these(test))


@pytest.mark.parametrize("name", OTHERS)
def test_a_table_has_a_row_for_every_primitive(name):
    table = engines._module(name).TABLE
    assert set(table) == set(PRIMITIVES) - {"input"}

"""Engines: one is a module with `compile` and a row in the table, as docs/adding.md says."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import ranvier as rv
from ranvier import engines
from ranvier.engines.native.codegen.elementwise import ELEMENTWISE
from ranvier.engines.native.codegen.sources import SOURCES
from ranvier.engines.native.passes import squeeze
from ranvier.engines.native.passes.primitives import INTERNAL
from ranvier.engines.native.schedule.fusion import KERNELS
from ranvier.graph.node import PRIMITIVES
from tests.strategies import ENGINES

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(23, 3)).astype(np.float32), RNG.normal(size=23).astype(np.float32)


@pytest.fixture
def counting(tmp_path, monkeypatch):
    """The engine of docs/adding.md, as a module of its own."""
    text = (Path(__file__).parents[2] / "docs" / "adding.md").read_text(encoding="utf-8")
    lines = re.search(r"^\+\+\+ src/ranvier/engines/counting\.py\n((?:\+(?!\+\+ ).*\n)+)", text, re.MULTILINE)
    assert lines is not None
    (tmp_path / "counting_engine.py").write_text(re.sub(r"^\+", "", lines[1], flags=re.MULTILINE), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(engines.NAMES, "counting", "counting_engine")
    yield "counting"
    sys.modules.pop("counting_engine", None)


def model(engine):
    rv.set_seed(0)
    made = rv.Sequential([rv.layers.Dense(4, "relu", input_shape=(3,)), rv.layers.Dropout(0.2), rv.layers.Dense(1)])
    made.compile("adam", "mse", engine=engine)
    return made


def test_an_engine_of_one_function_trains_predicts_and_resumes(counting, tmp_path):
    results = {}
    for engine in ("reference", counting):
        whole = model(engine)
        whole.fit(X, Y, epochs=4, batch_size=5, verbose=0)
        path = tmp_path / engine
        backup = rv.callbacks.BackupAndRestore(path, delete_checkpoint=False)
        model(engine).fit(X, Y, epochs=2, batch_size=5, verbose=0, callbacks=[backup])
        resumed = model(engine)
        resumed.fit(X, Y, epochs=4, batch_size=5, verbose=0, resume=path)
        for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
        results[engine] = whole.predict(X, verbose=0)
    np.testing.assert_array_equal(results["reference"], results[counting])
    assert len(sys.modules["counting_engine"].compiled) >= 2  # of fit, and of predict


def test_every_engine_gives_the_same_order(counting):
    rows = np.arange(100, dtype=np.int32)
    orders = [engines.shuffled(rows, 7, name)().tolist() for name in (*ENGINES, counting)]
    assert all(order == orders[0] for order in orders)
    assert sorted(orders[0]) == rows.tolist() != orders[0]


def test_an_unknown_engine_names_the_known_ones():
    with pytest.raises(ValueError, match=r"engine 'gpu' does not exist\. Write one of 'native', 'reference'"):
        rv.set_engine("gpu")


def test_tables_of_the_native_engine_name_exactly_the_primitives():
    """Each is executed in one way: by a row of the elementwise table, where it is needed, or by a kernel.

    Padding alone has two: its reader computes the zeros, or a kernel writes them.
    """
    elementwise = {name for name, p in PRIMITIVES.items() if p.kind == "elementwise"} - {"map"}  # inlined in kernels
    reductions = {name for name, p in PRIMITIVES.items() if p.kind == "reduce"}
    kernels = set(KERNELS) - set(INTERNAL)
    assert set(ELEMENTWISE) == elementwise
    # By a pass, to the kernel of the internal primitive "fault"; by the kernel of the loop.
    lifted = {"check", "result", "map"}
    assert elementwise | reductions | set(SOURCES) | kernels | lifted | {"input"} == set(PRIMITIVES)
    assert set(SOURCES) & kernels == {"pad"}
    assert set(squeeze._RULES) <= set(PRIMITIVES)


def test_traits_are_true_of_the_values():
    """What keeps zeros gives zero for zero; a view's elements are those of its operand."""
    for primitive in PRIMITIVES.values():
        if primitive.kind == "elementwise" and primitive.keeps_zeros:
            zeros = np.zeros(2, np.float32)
            operands = [zeros, zeros + 3][: 2 if primitive.name in ("div", "quotient") else 1]
            assert not primitive.value(operands, {"dtype": "int32"}, {}).any(), primitive.name
        if primitive.combine:
            assert PRIMITIVES[primitive.combine].kind == "elementwise"
        assert not primitive.is_view or primitive.kind == "movement"


@pytest.mark.parametrize("name", engines.LIBRARIES)
def test_an_engine_whose_library_is_missing_says_what_to_install(name, monkeypatch):
    monkeypatch.setattr(engines, "find_spec", lambda package: None)
    extra = engines.LIBRARIES[name].extra
    with pytest.raises(
        ModuleNotFoundError, match=rf"engine '{name}' needs .*not installed. Write: .*ranvier\[{extra}\]"
    ):
        engines._check_library.__wrapped__(name)


def test_a_device_is_refused_by_engines_that_have_none():
    with pytest.raises(ValueError, match="engine 'reference' takes no device, and was given 'gpu'"):
        rv.set_engine("reference", device="gpu")

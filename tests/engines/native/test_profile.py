"""Profiles: fractions that add up, and the same results as without clocks."""

import numpy as np
import pytest

from ranvier.engines import native
from ranvier.engines.native.profile import PARTS, TimedProgram
from ranvier.engines.native.runtime import llvm
from ranvier.engines.native.target.target import CompilerError
from ranvier.graph.contraction import einsum
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.loops import scan
from ranvier.graph.node import BATCH, apply

x, w = input_node("x", (BATCH, 64), "float32", windowed=True), input_node("w", (64, 48), "float32")
y = apply("relu", einsum("bi,io->bo", x, w))
GRAPH = Graph((x, w), (), ((w, w + einsum("bi,bo->io", x, y)),))


def arrays():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(40, 64)).astype(np.float32), rng.normal(size=(64, 48)).astype(np.float32)]


@pytest.mark.skipif(llvm.resolve_target().arch != "x86_64", reason="cycles are counted on x86-64 alone")
@pytest.mark.parametrize("threads", [1, 2])
def test_shares_of_a_program_that_computes_the_same(threads):
    timed, given, others = TimedProgram(GRAPH, 8), arrays(), arrays()
    shares = timed.shares(lambda program: program.run(given, (), 0, 5, 40), threads)
    assert tuple(shares) == PARTS
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["products"] > 0
    native.compile(GRAPH, 8).run(others, (), 0, 5, 40)
    np.testing.assert_array_equal(given[1], others[1])


@pytest.mark.skipif(llvm.resolve_target().arch != "x86_64", reason="cycles are counted on x86-64 alone")
def test_products_in_a_loop_over_time_are_counted():
    h, u = input_node("h", (BATCH, 48), "float32"), input_node("u", (48, 48), "float32")
    body = Graph((h, u), (), ((h, einsum("bi,io->bo", h, u)),))
    given = [input_node("first", (BATCH, 48), "float32", windowed=True), input_node("u", (48, 48), "float32")]
    graph = Graph(tuple(given), tuple(scan(body, given[:1], [], given[1:], length=4, axis=0)))
    state, out = np.ones((8, 48), np.float32), np.empty((8, 48), np.float32)
    timed = TimedProgram(graph, 8)
    shares = timed.shares(lambda program: program.run([state, np.eye(48, dtype=np.float32)], [out], 0, 1, 8), 1)
    assert shares["products"] > 0
    np.testing.assert_array_equal(out, state)


def test_other_processors_are_refused(monkeypatch):
    monkeypatch.setenv("RANVIER_TARGET", "aarch64")
    with pytest.raises(CompilerError, match="x86-64 alone; this is aarch64"):
        TimedProgram(GRAPH, 8)

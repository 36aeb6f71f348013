"""Profiles: fractions that add up, and the same results as without clocks."""

import numpy as np
import pytest

from ranvier.engines import native
from ranvier.engines.native.profile import PARTS, TimedProgram
from ranvier.engines.native.runtime import llvm
from ranvier.engines.native.target.target import CompilerError
from ranvier.graph.contraction import einsum
from ranvier.graph.graph import Graph, input_node
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


def test_other_processors_are_refused(monkeypatch):
    monkeypatch.setenv("RANVIER_TARGET", "aarch64")
    with pytest.raises(CompilerError, match="x86-64 alone; this is aarch64"):
        TimedProgram(GRAPH, 8)

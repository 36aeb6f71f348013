"""Programs of many sizes: from the third size on they are compiled quickly, to code that gives the same bits."""

import numpy as np
import pytest

from ranvier.engines.native import compiler
from ranvier.engines.native.runtime import llvm
from ranvier.graph.contraction import einsum
from ranvier.graph.graph import Graph, input_node
from ranvier.ops.functional.activations import softmax

SIZES = range(30, 36)


@pytest.fixture
def levels(tmp_path, monkeypatch):
    """The levels at which LLVM compiled."""
    made, machine = [], llvm._machine
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path))
    monkeypatch.setenv("RANVIER_THREADS", "1")
    monkeypatch.setattr(compiler, "_sizes", {})
    monkeypatch.setattr(compiler, "MOST_SIZES", 2)

    def noted(target, level=llvm._LEVEL):
        made.append(level)
        return machine(target, level)

    monkeypatch.setattr(llvm, "_machine", noted)
    return made


def attention(rows):
    """Causal scores of ``rows`` positions, as a text that grows computes them anew."""
    q, k, v = (input_node(name, (3, rows, 19), "float32") for name in "qkv")
    return Graph((q, k, v), (einsum("bmn,bnk->bmk", softmax(einsum("bmk,bnk->bmn", q, k)), v),))


def run(program, rows):
    arrays = np.random.default_rng(rows).normal(size=(3, 3, rows, 19)).astype(np.float32)
    out = np.empty((3, rows, 19), np.float32)
    program.run(list(arrays), [out])
    return out.tobytes()


def test_further_sizes_are_compiled_quickly_to_the_same_bits(levels, monkeypatch):
    found, used = [], []
    for rows in SIZES:
        levels.clear()
        found.append(run(compiler.compile(attention(rows)), rows))
        used.append({*levels})
    assert used[:2] == [{llvm._LEVEL}] * 2
    assert used[2:] == [{llvm._QUICK_LEVEL}] * (len(SIZES) - 2)
    levels.clear()
    assert [run(compiler.compile(attention(rows)), rows) for rows in SIZES] == found
    assert not levels, "the cache has quick code too"
    monkeypatch.setattr(compiler, "MOST_SIZES", 100)
    monkeypatch.setenv("RANVIER_CACHE", "off")
    assert [run(compiler.compile(attention(rows)), rows) for rows in SIZES] == found
    assert {*levels} == {llvm._LEVEL}


def test_what_runs_for_long_is_compiled_again(levels, monkeypatch):
    for rows in SIZES:
        program = compiler.compile(attention(rows))
    monkeypatch.setattr(program, "_spent", 100.0)
    first = run(program, SIZES[-1])
    assert levels[-1] == llvm._LEVEL
    count = len(levels)
    assert run(program, SIZES[-1]) == run(compiler.compile(attention(SIZES[-1])), SIZES[-1]) == first
    assert len(levels) == count, "the cache has the better code"


def test_better_code_has_the_memory_that_it_needs(levels, monkeypatch):
    def packed(rows):
        """Scores whose operand is copied to panels: wider ones in code that is compiled with care."""
        q, k = (input_node(name, (rows, 64), "float32") for name in "qk")
        return Graph((q, k), (einsum("mk,nk->mn", q, k),))

    rows = 320
    for size in (300, 310, rows):
        program = compiler.compile(packed(size))
    arrays = list(np.random.default_rng(0).normal(size=(2, rows, 64)).astype(np.float32))
    outs = [np.empty((rows, rows), np.float32) for _ in range(3)]
    small, begun = program.code, program._new_frame()
    program.run(arrays, outs[:1])
    monkeypatch.setattr(program, "_spent", 100.0)
    program.run(arrays, outs[1:2])
    assert program.code.private > small.private
    program._frames.append(begun)  # of a run that began before
    program.run(arrays, outs[2:])
    assert begun.code is program.code
    assert begun.private.nbytes >= program.code.private
    assert outs[0].tobytes() == outs[1].tobytes() == outs[2].tobytes()


def test_other_sizes_of_trained_weights_are_compiled_with_care(levels):
    for units in SIZES:
        x, w = input_node("x", (3, units), "float32"), input_node("w", (units, 7), "float32")
        compiler.compile(Graph((x, w), (), ((w, w - einsum("bi,bo->io", x, einsum("bi,io->bo", x, w))),)))
    assert {*levels} == {llvm._LEVEL}

"""Tasks of a loop's body that threads divide alike: which need no barrier, which do, and the same bits."""

import numpy as np
import pytest

from ranvier.engines.native import compiler
from ranvier.engines.native.runtime.threads import threads_here
from ranvier.engines.reference import evaluate
from ranvier.graph.contraction import einsum
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.loops import scan
from ranvier.graph.node import apply

F, SIZE, STEPS = "float32", 64, 3


def shares(scores):
    """The softmax of rows, as several tasks: a row is too long for one."""
    wide = {"shape": scores.shape, "axes": tuple(range(scores.ndim - 1))}
    top = apply("broadcast", apply("reduce_max", scores, axes=(scores.ndim - 1,)), **wide)
    e = apply("exp", scores - top)
    return e / apply("broadcast", apply("reduce_sum", e, axes=(scores.ndim - 1,)), **wide)


def by_rows(q, k):
    return einsum("ats,ase->ate", shares(einsum("ate,ase->ats", q, k)), k)


def across(q, k):
    return einsum("ats,ate->ase", shares(einsum("ate,ase->ats", q, k)), q)


def turned(q, k):
    return einsum("ast,ase->ate", shares(einsum("ate,ase->ats", q, k)), k)


@pytest.mark.parametrize(
    ("body", "rows", "keys", "phases"),
    [
        (by_rows, 160, 160, 1),
        (by_rows, 64, 144, 1),
        (across, 160, 160, 2),
        (turned, 160, 160, 2),
        (by_rows, 72, 144, 6),
    ],
)
def test_a_barrier_where_another_part_is_read(body, rows, keys, phases):
    stack, k = input_node("q", (STEPS, 1, rows, SIZE), F), input_node("k", (1, keys, SIZE), F)
    q, own = input_node("qi", (1, rows, SIZE), F), input_node("ki", (1, keys, SIZE), F)
    (made,) = scan(Graph((q, own), (body(q, own),)), [], [stack], [k], length=STEPS, axis=0, recompute=True)
    graph = Graph((stack, k), (made,))
    (loop,) = compiler.schedule_of(compiler.lower(graph), 1).loops.values()
    assert len({task.phase for task in loop.schedule.order}) == phases
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype(F) for shape in ((STEPS, 1, rows, SIZE), (1, keys, SIZE))]
    (want,), _ = evaluate(graph, arrays, {})
    program, found = compiler.compile(graph), [np.empty(want.shape, F) for _ in range(3)]
    for threads, result in enumerate(found, 1):
        with threads_here(threads):
            for _ in range(5):
                program.run(arrays, [result])
    np.testing.assert_allclose(found[0], want, rtol=1e-4, atol=1e-4)
    assert all(np.array_equal(found[0], other) for other in found[1:])

"""Parts of an axis, each taken through several tasks of a loop's step: barriers, memory, and the same bits."""

import numpy as np
import pytest

from ranvier.engines.native import compiler
from ranvier.engines.native.runtime.threads import threads_here
from ranvier.engines.reference import evaluate
from ranvier.graph.contraction import einsum
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.loops import scan
from ranvier.graph.node import BATCH, apply

F, SIZE, STEPS, ROWS = "float32", 48, 3, 80


def scores(q, k):
    return apply("tanh", einsum("te,se->ts", q, k))


def by_keys(q, k):
    return (einsum("ts,te->se", scores(q, k), q),)


def by_both(q, k):
    return *by_keys(q, k), einsum("ts,se->te", scores(q, k), k)


def by_two(q, k):
    return (einsum("ts,te->se", einsum("te,se->ts", q, k) * scores(q, k), q),)


def turned(q, k):
    first = apply("reshape", apply("transpose", scores(q, k), axes=(1, 0)), shape=(ROWS, k.shape[0]))
    return (einsum("ts,te->se", first, q),)


@pytest.mark.parametrize(
    ("body", "keys", "phases", "kept"),
    [
        (by_keys, 640, 1, 1),
        (by_two, 640, 1, 1),
        (by_both, 640, 2, 0),
        (turned, 640, 2, 0),
        (by_keys, 648, 2, 0),
        (by_keys, 384, 2, 0),
    ],
)
def test_a_barrier_and_memory_of_all_where_another_part_is_read(body, keys, phases, kept):
    stack, k = input_node("q", (STEPS, ROWS, SIZE), F), input_node("k", (keys, SIZE), F)
    q, own = input_node("qi", (ROWS, SIZE), F), input_node("ki", (keys, SIZE), F)
    made = scan(Graph((q, own), body(q, own)), [], [stack], [k], length=STEPS, axis=0, recompute=True)
    graph = Graph((stack, k), tuple(made))
    (loop,) = compiler.schedule_of(compiler.lower(graph), 1).loops.values()
    assert len({task.phase for task in loop.schedule.order if task.kind == "contract"}) == phases
    assert len(loop.schedule.of_part) == kept
    check(graph, [(STEPS, ROWS, SIZE), (keys, SIZE)])


def test_threads_divide_rows_of_one_head():
    """Of a single sample; the axis of heads has one element, which would leave all of it to one thread."""

    def body(q, k):
        return (einsum("bhts,bhse->bhte", einsum("bhte,bhse->bhts", q, k), k),)

    stack, k = input_node("q", (BATCH, STEPS, 1, 128, SIZE), F), input_node("k", (BATCH, 1, 640, SIZE), F)
    q, own = input_node("qi", (BATCH, 1, 128, SIZE), F), input_node("ki", (BATCH, 1, 640, SIZE), F)
    made = scan(Graph((q, own), body(q, own)), [], [stack], [k], length=STEPS, axis=1, recompute=True)
    (loop,) = compiler.schedule_of(compiler.lower(Graph((stack, k), tuple(made))), 1).loops.values()
    products = [task for task in loop.schedule.order if task.kind == "contract"]
    assert [(task.division, task.axis, task.space[task.axis]) for task in products] == [("split", 2, 128)] * 2


@pytest.mark.parametrize(
    ("rows", "keys", "phases", "kept"), [(128, 640, 1, 2), (128, 600, 1, 2), (128, 384, 5, 0), (120, 640, 5, 0)]
)
def test_rows_of_long_scores_take_one_phase(rows, keys, phases, kept):
    def body(q, k):
        found = einsum("bte,bse->bts", q, k)
        e = apply("exp", found - like(found, apply("reduce_max", found, axes=(2,))))
        total = apply("reduce_sum", e, axes=(2,))
        means = einsum("bts,bse->bte", e, k)
        return means / like(means, total), total

    stack, k = input_node("q", (STEPS, 1, rows, SIZE), F), input_node("k", (1, keys, SIZE), F)
    q, own = input_node("qi", (1, rows, SIZE), F), input_node("ki", (1, keys, SIZE), F)
    made = scan(Graph((q, own), body(q, own)), [], [stack], [k], length=STEPS, axis=0, recompute=True)
    graph = Graph((stack, k), tuple(made))
    (loop,) = compiler.schedule_of(compiler.lower(graph), 1).loops.values()
    assert len({task.phase for task in loop.schedule.order}) == phases
    assert len(loop.schedule.of_part) == kept
    check(graph, [(STEPS, 1, rows, SIZE), (1, keys, SIZE)])


def like(x, row):
    return apply("broadcast", row, shape=x.shape, axes=(0, 1))


def check(graph, shapes):
    """The values of the reference engine, and the same bits for any number of threads."""
    rng = np.random.default_rng(0)
    arrays = [(rng.normal(size=shape) / SIZE**0.5).astype(F) for shape in shapes]
    want, _ = evaluate(graph, arrays, {})
    program, found = compiler.compile(graph), [[np.empty(x.shape, F) for x in want] for _ in range(4)]
    for threads, results in enumerate(found, 1):
        with threads_here(threads):
            for _ in range(5):
                program.run(arrays, results)
    for a, b in zip(found[0], want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    assert all(np.array_equal(a, b) for other in found for a, b in zip(found[0], other, strict=True))

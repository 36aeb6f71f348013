"""Products whose terms and results a mask hides: which bounds are found, and the same numbers as without them."""

import numpy as np
import pytest

from ranvier.engines import native, reference
from ranvier.engines.native.schedule.mask_bounds import mask_bounds
from ranvier.engines.native.schedule.schedule import Schedule
from ranvier.graph.contraction import einsum
from ranvier.graph.derivatives import zeros
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import apply, like

ROWS, COLUMNS, WIDTH = 90, 640, 24


def visible(start=None, window=0):
    """Where a key is not behind a query, and not ``window`` or more before it."""
    shape = ROWS, COLUMNS
    row, column = (apply("iota", shape=shape, dtype="int32", axis=axis) for axis in (0, 1))
    row = row if start is None else row + apply("broadcast", start, shape=shape, axes=())
    mask = apply("less_equal", column, row)
    return mask if not window else apply("logical_and", mask, apply("less", row - column, like(row, window)))


def products(mask, escapes=False):
    """The three kinds of products: of hidden results, of hidden terms, of hidden rows."""
    q, k = input_node("q", (ROWS, WIDTH), "float32"), input_node("k", (COLUMNS, WIDTH), "float32")
    scores = einsum("te,se->ts", q, k)
    shares = apply("select", mask, scores, zeros(scores))
    outputs = [einsum("ts,se->te", shares, k), einsum("ts,te->se", shares, q)]
    return [q, k], [*outputs, *([scores] if escapes else [])]


@pytest.mark.parametrize("window", [0, 70])
@pytest.mark.parametrize("start", [None, -200, 0, 37, 600, 2000])
def test_hidden_terms_and_results_change_nothing(start, window):
    first = input_node("first", (), "int32")
    given, outputs = products(visible(None if start is None else first, window))
    given = given if start is None else [*given, first]
    graph = Graph(tuple(given), tuple(outputs))
    bounds = mask_bounds(graph)
    assert [len(found) for found in bounds.values()] == [1 + bool(window)] * 3
    rng = np.random.default_rng(0)
    arrays = [rng.integers(-3, 4, node.shape).astype("float32") for node in given[:2]]
    arrays += [] if start is None else [np.array(start, "int32")]
    results = [[np.full(node.shape, np.nan, "float32") for node in outputs] for _ in range(2)]
    for engine, found in zip((reference, native), results, strict=True):
        engine.compile(graph, None).run(arrays, found)
    for expected, found in zip(*results, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_bounds_are_those_of_the_mask():
    first = input_node("first", (), "int32")
    (scores, means, gradient) = mask_bounds(Graph(*map(tuple, products(visible(first, 70))))).values()
    assert {(bound.p, bound.q, bound.offset, bound.sign) for bound in scores} == {(1, 0, 0, 1), (0, 1, 69, -1)}
    assert {(bound.p, bound.q, bound.offset) for bound in means} == {(2, 0, 0), (0, 2, 69)}
    assert {(bound.p, bound.q, bound.offset) for bound in gradient} == {(0, 2, 0), (2, 0, 69)}
    assert {bound.start for bound in scores} == {first}


def test_results_that_are_read_elsewhere_have_no_bounds():
    given, outputs = products(visible(), escapes=True)
    graph = Graph(tuple(given), tuple(outputs))
    assert [node.shape for node in mask_bounds(graph)] == [(ROWS, WIDTH), (COLUMNS, WIDTH)]


def test_a_start_that_a_task_computes_bounds_nothing():
    table = input_node("table", (5,), "int32")
    start = apply("reduce_sum", table, axes=(0,))
    given, outputs = products(visible(start))
    assert all(not task.bounds for task in Schedule(Graph((*given, table), tuple(outputs)), 1).tasks)

"""Updates of tables: only the rows that a step used are written, with the bits of an update of the whole table."""

import numpy as np
import pytest

import ranvier as rv
from ranvier import engines
from ranvier.engines.native.compiler import lower, schedule_of
from ranvier.engines.native.runtime.threads import threads_here
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import BATCH, apply, like

BATCHES = 6


def broadcast(scalar, shape):
    return apply("broadcast", scalar, shape=shape, axes=())


def update(rows, columns, places, dtype="float32", op="sub", factor=True, extra=None, shown=False):
    """A step that adds rows of each sample's own to a table, times a rate. If the sums are shown, they are in memory."""
    table, rate = input_node("table", (rows, columns), dtype), input_node("rate", (), dtype)
    index = input_node("index", (BATCH, *places), "int32", windowed=True)
    given = input_node("given", (BATCH, columns), dtype, windowed=True)
    shape = (BATCH, *places, columns)
    sums = apply("scatter_add", index, apply("broadcast", given, shape=shape, axes=(0, len(shape) - 1)), rows=rows)
    change = sums * broadcast(rate, sums.shape) if factor else sums
    updates = [(table, apply(op, table, change)), *([] if extra is None else [extra(table, sums, rate)])]
    return Graph((table, rate, index, given), (sums,) if shown else (), tuple(updates))


def tasks(graph):
    return [(task.kind, [n.op.name for n in task.nodes]) for task in schedule_of(lower(graph), BATCHES).order]


def ran(graph, engine, threads, rows, columns, places, dtype):
    rng = np.random.default_rng(rows)
    table = rng.normal(size=(rows, columns)).astype(dtype)
    table[0] = -0.0
    index = rng.integers(-1, rows + 1, (2 * BATCHES - 2, *places)).astype(np.int32)  # those outside are left out
    given = rng.normal(size=(len(index), columns)).astype(dtype)
    outputs = [np.empty((rows, columns), dtype) for _ in graph.outputs]
    with threads_here(threads):
        engines.compile(graph, BATCHES, engine).run(
            [table, np.array(0.1, dtype), index, given], outputs, 0, 2, len(index)
        )
    return table


STEPS = [  # rows, columns, places of a sample, and the update
    (40, 64, (3,), {}), (50, 20, (2, 3), {"op": "add", "factor": False}), (9, 33, (4,), {"dtype": "float64"}),
    (70, 5, (), {}),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "columns", "places", "options"), STEPS, ids=str)
def test_used_rows_alone_are_written_with_the_bits_of_all(rows, columns, places, options):
    graph, dtype = update(rows, columns, places, **options), options.get("dtype", "float32")
    assert ("scatter", ["scatter_add", graph.updates[0][1].op.name]) in tasks(graph)
    whole = update(rows, columns, places, shown=True, **options)
    assert ("scatter", ["scatter_add"]) in tasks(whole)
    wanted = ran(whole, "native", 1, rows, columns, places, dtype)
    rounded = ran(graph, "reference", 1, rows, columns, places, dtype)  # which rounds products
    np.testing.assert_allclose(wanted, rounded, rtol=1e-5, atol=1e-6)
    for threads in (1, 2, 3):
        np.testing.assert_array_equal(ran(graph, "native", threads, rows, columns, places, dtype), wanted)


WHOLE = {  # updates of which other rows change, or whose sum is read besides
    "few rows": update(3, 8, (40,)),
    "read by another update": update(40, 8, (3,), extra=lambda t, s, r: (r, apply("reduce_sum", s, axes=(0, 1)))),
    "another operation": update(40, 8, (3,), op="maximum"),
}


@pytest.mark.parametrize("graph", WHOLE.values(), ids=WHOLE)
def test_other_updates_take_all_rows(graph):
    assert ("scatter", ["scatter_add"]) in tasks(graph)


def test_moments_and_a_table_take_one_pass_over_the_sums():
    table, mean, square = (input_node(name, (40, 64), "float32") for name in ("table", "mean", "square"))
    index = input_node("index", (BATCH, 3), "int32", windowed=True)
    given = input_node("given", (BATCH, 3, 64), "float32", windowed=True)
    sums = apply("scatter_add", index, given, rows=40)
    first, second = mean + sums, square + sums * sums
    changes = (table, table - first / apply("sqrt", second)), (mean, first), (square, second)
    made = tasks(Graph((table, mean, square, index, given), (), changes))
    assert [kind for kind, _ in made] == ["scatter", "map"]


def test_a_table_that_is_read_by_the_change_itself():
    """The rows' new values need old values of other rows: the table is not overwritten while they are read."""
    table, rate = input_node("table", (40, 4), "float32"), input_node("rate", (), "float32")
    index = input_node("index", (BATCH, 3), "int32", windowed=True)
    found = apply("gather", table, index)
    sums = apply("scatter_add", index, found * like(found, 2.0), rows=40)
    graph = Graph((table, rate, index), (), ((table, table - sums * broadcast(rate, sums.shape)),))
    results = []
    for engine in ("reference", "native"):
        rng = np.random.default_rng(0)
        values = [
            rng.normal(size=(40, 4)).astype("f"),
            np.array(0.1, "f"),
            rng.integers(0, 40, (6, 3)).astype(np.int32),
        ]
        engines.compile(graph, BATCHES, engine).run(values, [], 0, 1, 6)
        results.append(values[0])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5)


def test_training_of_an_embedding():
    """SGD writes the rows of a batch; with momentum, or a penalty, all rows change, as in Keras."""
    tokens, y = np.random.default_rng(0).integers(0, 200, (30, 5)), np.ones((30, 1))
    for optimizer in (rv.optimizers.SGD(0.5), rv.optimizers.SGD(0.5, momentum=0.9), rv.optimizers.Adam(0.1)):
        found = []
        for engine in ("native", "reference"):
            rv.set_seed(0)
            model = rv.Sequential(
                [rv.layers.Embedding(200, 33), rv.layers.GlobalAveragePooling1D(), rv.layers.Dense(1)]
            )
            model.compile(optimizer.fresh(), "mse", engine=engine)
            model.fit(tokens, y, batch_size=8, epochs=2, verbose=0, ignore=("RV",))
            found.append(model.get_weights())
        for one, other in zip(*found, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)

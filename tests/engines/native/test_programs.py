"""Whole programs: fusion, barriers, updates that read each other, large batches, other processors."""

import itertools
import math

import numpy as np
import pytest

from ranvier.engines import native, reference
from ranvier.engines.native import compiler
from ranvier.engines.native.codegen import entry
from ranvier.engines.native.compiler import schedule_of, text_of
from ranvier.engines.native.runtime.llvm import compile_object, resolve_target
from ranvier.engines.native.runtime.threads import threads_here
from ranvier.engines.native.schedule.schedule import Schedule
from ranvier.graph.contraction import einsum
from ranvier.graph.extents import symbol
from ranvier.graph.grad import gradient
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import BATCH, GraphError, Node, Type, apply, constant, extents, full, like
from tests import processes
from tests.engines.native.test_rematerialize import ACTIVATIONS, BATCH_SIZE, network, trained

RNG = np.random.default_rng(7)


def spread(node, shape, axes):
    return apply("broadcast", node, shape=shape, axes=axes)


def training_step(sizes, activation="tanh", optimizer="adam", zeros=0, dtype="float32"):
    """A dense network's step on squared errors: the graph, and a function that makes arrays for n samples."""
    samples = symbol("samples")
    x = input_node("x", (samples, sizes[0]), dtype, zeros=zeros)
    y = input_node("y", (samples, sizes[-1]), dtype)
    order = input_node("order", (BATCH,), "int32", windowed=True)
    rate, count, total = (input_node(name, (), dtype) for name in ("rate", "count", "total"))
    parameters = []
    h = apply("gather", x, order)
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        w, c = input_node(f"w{i}", (a, b), dtype), input_node(f"c{i}", (b,), dtype)
        parameters += [w, c]
        h = einsum("mk,kn->mn", h, w) + spread(c, (BATCH, b), (1,))
        h = apply(activation, h) if i < len(sizes) - 2 else h
    error = h - apply("gather", y, order)
    rows = apply("reduce_sum", error * error, axes=(1,))
    summed = apply("reduce_sum", rows, axes=(0,))
    loss = summed / apply("extent", symbols=("batch",), dtype=dtype)
    after = count + full(1.0, (), dtype)
    updates = [(total, total + summed), (count, after)]
    state = []
    for i, (p, g) in enumerate(zip(parameters, gradient(loss, parameters), strict=True)):
        step = spread(rate, p.shape, ())
        if optimizer == "adam":
            m, v = input_node(f"m{i}", p.shape, dtype), input_node(f"v{i}", p.shape, dtype)
            state += [m, v]
            new_m, new_v = m + (g - m) * like(p, 0.1), v + (g * g - v) * like(p, 0.001)
            correction = -apply("expm1", after * constant(math.log(0.999), dtype))
            g = new_m / (apply("sqrt", new_v / spread(correction, p.shape, ())) + like(p, 1e-7))
            updates += [(m, new_m), (v, new_v)]
        updates.append((p, p - step * g))
    inputs = (x, y, order, rate, count, total, *parameters, *state)

    def arrays(n):
        values = [RNG.random((n, sizes[0])), RNG.random((n, sizes[-1])), RNG.permutation(n), 0.01, 0.0, 0.0]
        shapes = [[int(str(d)) for d in node.shape] for node in (*parameters, *state)]
        values += [RNG.uniform(-1, 1, shape) / math.sqrt(shape[0]) for shape in shapes[: len(parameters)]]
        values += [np.zeros(shape) for shape in shapes[len(parameters) :]]
        return [np.asarray(v, n.dtype) for v, n in zip(values, inputs, strict=True)]

    return Graph(inputs, (loss,), tuple(updates)), arrays


def both(graph, arrays, batch, steps, total):
    """The arrays and outputs after a run on each engine."""
    results = []
    for engine in (reference, native):
        given = [a.copy() for a in arrays]
        outputs = [np.zeros(n.shape, n.dtype) for n in graph.outputs]
        engine.compile(graph, batch).run(given, outputs, 0, steps, total)
        results.append([*outputs, *given])
    return results


STEPS = [  # sizes, batch, samples
    ((20, 16, 16, 10), 8, 30),
    ((784, 64, 10), 32, 50),
    ((10, 46, 3), 128, 200),
    ((30, 64, 1), 16, 33),
    ((30, 64, 1), 128, 200),  # threads take hidden units
    ((12, 192, 2), 100, 100),
    ((7, 5), 1, 3),
    ((300, 256, 5), 24, 24),
    ((4, 32, 16, 4), 2100, 2100),  # samples side by side
    ((4, 32, 16, 4), 1500, 2900),
    ((100, 40, 10), 1500, 2900),  # too many features for that, but shared out to workers
]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(("sizes", "batch", "n"), STEPS)
def test_training_steps(sizes, batch, n, optimizer):
    graph, arrays = training_step(sizes, optimizer=optimizer)
    for found, expected in zip(*both(graph, arrays(n), batch, -(-n // batch), n)[::-1], strict=True):
        np.testing.assert_allclose(found, expected, rtol=5e-4, atol=5e-5)


def schedule(graph, batch):
    return Schedule(compiler.lower(graph), batch)


def test_threads_meet_once_within_a_step():
    """Forward and backward run on each thread's own rows; then gradients by weights, with the update in their store."""
    graph, _ = training_step((784, 64, 64, 10))
    made = schedule(graph, 32)
    assert {t.phase for t in made.order} == {0, 1}
    assert all(t.division == "rows" for t in made.order if t.phase == 0)
    (first,) = [t for t in made.tasks if t.kind == "contract" and t.space == (784, 64)]
    assert {v.buffer.kind for _, v in first.stores} == {"input"}  # weights and state in place, the gradient nowhere
    assert len(first.stores) == 3
    assert made.private  # the step count is every thread's own


def test_small_networks_share_out_their_samples():
    """If weights are few beside the samples' values, these stay with the thread that computed them."""
    graph, _ = training_step((10, 46, 46, 10))
    parts = [t for t in schedule_of(compiler.lower(graph), 128).tasks if t.kind == "partial"]
    assert {t.space[0] for t in parts} == {4}
    assert len([t for t in parts if t.nodes[0].attrs["inner"].op.name == "contract"]) == 3
    for sizes, batch in (((10, 46, 46, 10), 64), ((784, 512, 10), 128)):
        graph, _ = training_step(sizes)
        assert not schedule_of(compiler.lower(graph), batch).workers


def test_sums_over_samples_follow_their_operands():
    """They are in the cache then, where the gradients of all weights come last in the graph."""
    x = input_node("x", (BATCH, 28, 16), "float32", windowed=True)
    first, second = (input_node(name, (16, 16), "float32") for name in "ab")
    inner = einsum("bti,io->bto", x, first)
    outer = apply("exp", einsum("bti,io->bto", inner, second))
    graph = Graph((x, first, second), (outer,), ((first, first - einsum("bti,bto->io", x, inner)),))
    kinds = [task.kind for task in schedule_of(compiler.lower(graph), 16).order]
    assert kinds == ["contract", "partial", "contract", "reduce"]


def test_small_sums_over_samples_are_divided():
    """Such as a bias's gradient: each worker's values are in its cache still. Of few, one thread sums all."""
    x, w = input_node("x", (BATCH, 28, 64), "float32", windowed=True), input_node("w", (64, 64), "float32")
    graph = Graph((x, w), (apply("reduce_sum", einsum("bti,io->bto", x, w), axes=(0, 1)),))
    kinds = {n: [task.kind for task in schedule_of(compiler.lower(graph), n).order] for n in (4, 5, 16)}
    # The parts of few workers are added where the sum is needed.
    assert kinds == {
        4: ["contract", "reduce"], 5: ["contract", "partial", "map"], 16: ["contract", "partial", "reduce"],
    }  # fmt: skip


def test_partial_sums_that_exceed_the_caches_bypass_them():
    """Threads read what others wrote; sums that fit in a cache are stored as ever."""
    x, y = (input_node(name, (BATCH, 270, n), "float32", windowed=True) for name, n in (("x", 512), ("y", 528)))
    w = input_node("w", (512, 16), "float32")
    graph = Graph((x, y, w), (einsum("bti,bto->io", x, y), einsum("bti,io->bto", x, w)))
    streams = [[t.streams for t in schedule_of(compiler.lower(graph), n).tasks if t.kind == "partial"] for n in (16, 4)]
    assert streams == [[True], [False]]
    rng = np.random.default_rng(0)
    arrays = [rng.integers(-3, 4, shape).astype(np.float32) for shape in ((16, 270, 512), (16, 270, 528), (512, 16))]
    results = [np.empty(shape, np.float32) for shape in ((512, 528), (16, 270, 16))]
    for threads in (1, 2, 7):
        with threads_here(threads):
            native.compile(graph, 16).run(arrays, results)
        assert np.array_equal(results[0], np.einsum("bti,bto->io", *arrays[:2], optimize=True))


def test_features_stay_with_their_weights():
    """Of many features each thread has its own: data, products and gradient; what changes hands are the sums' parts."""
    graph, _ = training_step((784, 64, 64, 10))
    made = schedule_of(compiler.lower(graph), 32)
    data, product = (t for t in made.order if t.phase == 0)
    assert (data.space, data.division, data.axis, data.parts) == ((BATCH, 784), "split", 1, 8)
    assert (product.space, product.division, product.axis, product.parts) == ((8, BATCH, 64), "split", 0, 8)
    assert all(t.division == "rows" for t in made.order if t.phase == 1)
    assert {t.phase for t in made.order} == {0, 1, 2}


@pytest.mark.parametrize(
    ("sizes", "batch", "parts"),
    [
        ((784, 64, 10), 32, 8),
        ((784, 100, 10), 200, 4),  # eight would not stay in the cache
        ((784, 512, 10), 128, 4),  # or take less than the weights
        ((784, 512, 10), 256, 0),
        ((64, 256, 10), 32, 0),  # parts of few features
        ((64, 300, 10), 32, 0),
        ((787, 64, 10), 32, 0),  # no parts are equal
        ((784, 64, 10), 1, 0),
        ((30, 64, 1), 8, 0),
    ],
)
def test_how_many_parts_features_are_divided_into(sizes, batch, parts):
    graph, _ = training_step(sizes)
    made = schedule_of(compiler.lower(graph), batch)
    assert max(t.parts for t in made.tasks) == parts


def test_threads_take_hidden_units():
    """Every thread computes for itself what it reads of the data and what follows the sums over the units."""
    graph, _ = training_step((30, 64, 3))
    made = schedule_of(compiler.lower(graph), 128)
    shares = {t.number: (t.space, t.division, t.axis if t.parts else None) for t in made.order}
    assert {
        ((BATCH, 30), "each", None), ((BATCH, 64), "split", 1), ((4, BATCH, 3), "split", 0), ((BATCH, 3), "each", None),
        ((30, 64), "split", 1), ((64,), "split", 0), ((64, 3), "split", 0), ((3,), "each", None),
    } <= set(shares.values())  # fmt: skip
    assert max(t.phase for t in made.order) == 1  # they meet where the sums of all units are put together
    shared = [v for t in made.order for _, v in t.stores if v.buffer not in made.replicated]
    assert [v.shape for v in shared if v.buffer.kind == "scratch"] == [(4, BATCH, 3)]
    assert all(v.shape == () for v in shared if v.buffer.kind == "input")  # the loss; weights are each thread's own


@pytest.mark.parametrize(
    ("sizes", "batch"),
    [
        ((30, 64, 1), 8),  # too few samples
        ((30, 64, 1), 1024),  # so many that they are shared out
        ((30, 60, 1), 128),  # no parts of whole vectors
        ((30, 64, 64, 1), 128),  # a second hidden layer needs all units of the first
        ((30, 64, 20), 128),  # the parts' sums would be more than the weights
        ((784, 64, 1), 128),  # many features: threads take those
    ],
)
def test_where_threads_take_no_hidden_units(sizes, batch):
    graph, _ = training_step(sizes)
    made = schedule_of(compiler.lower(graph), batch)
    assert not made.replicated
    assert not any(t.division == "each" for t in made.tasks)


def test_units_that_meet_are_not_divided():
    """The hidden units in another order, beside themselves: made where it is needed, out of all of them."""
    graph, _ = training_step((30, 64, 1), "relu")
    (relu,) = [node for node in graph.nodes() if node.op.name == "relu"]
    moved = graph.changed(lambda node, old: node + apply("reverse", node, axes=(1,)) if old is relu else node)
    assert schedule_of(compiler.lower(graph), 128).replicated
    assert not schedule_of(compiler.lower(moved), 128).replicated


def test_what_is_not_divided_goes_to_different_threads():
    """Each to the next thread, but what others of its phase read goes to theirs."""
    inputs = [input_node(f"x{i}", (40,), "float32") for i in range(4)]
    sums = [apply("reduce_sum", x, axes=(0,)) for x in inputs]
    graph = Graph(tuple(inputs), (*sums[:3], apply("exp", sums[3]) * sums[3]))
    made = schedule(graph, 1)
    assert {t.phase for t in made.tasks} == {0}
    assert {t.division for t in made.tasks} == {"serial"}
    turns = {t.number: t.turn for t in made.tasks}
    assert sorted(turns[made.tasks.index(t)] for t in made.tasks if t.kind == "reduce") == [0, 1, 2, 3]
    for task in made.tasks:
        for node in task.reads:
            maker = next((t for t in made.tasks if node in t.nodes), task)
            assert maker.turn == task.turn


def pooled(shape=(6, 8, 6)):
    """The maxima of windows of two by two, the place of each, and the gradient that goes there."""
    rows, columns, features = shape
    x, g = (
        input_node(name, (BATCH, *s), "float32", windowed=True)
        for name, s in (("x", shape), ("g", (rows // 2, columns // 2, features)))
    )
    inner = (BATCH, rows // 2, 2, columns // 2, 2, features)
    h = apply("relu", x)
    windows = apply("windows", h, axes=((1, 2, 2, 1), (2, 2, 2, 1)))
    largest = apply("reduce_max", windows, axes=(2, 4))
    place = apply("iota", shape=inner, axis=2, dtype="int32") * full(-2, inner, "int32")
    place = place - apply("iota", shape=inner, axis=4, dtype="int32")
    hit = apply("equal", windows, spread(largest, inner, (0, 1, 3, 5)))
    first = apply("reduce_max", apply("select", hit, place, full(-9, inner, "int32")), axes=(2, 4))
    there = apply("equal", place, spread(first, inner, (0, 1, 3, 5)))
    back = apply("select", there, spread(g, inner, (0, 1, 3, 5)), full(0.0, inner, "float32"))
    back = apply("reshape", back, shape=(BATCH, *shape))
    back = apply("select", apply("less", like(h, 0.0), h), back, like(h, 0.0))
    return Graph((x, g), (largest, first, back))


def test_a_pool_and_its_gradient_are_a_task_each():
    made = schedule(pooled(), 3)
    found = [(t.kind, t.space[1:], [n.op.name for n in t.members]) for t in made.order if t.members]
    assert ("map", (3, 4, 6), ["reduce_max", "reduce_max"]) in found
    assert ("map", (6, 8, 6), ["select"]) in found
    assert not any(len(space) == 5 for _, space, _ in found)


@pytest.mark.parametrize("shape", [(6, 8, 6), (2, 2, 1), (4, 2, 16), (4, 6, 19)])
def test_pools(shape):
    graph = pooled(shape)
    n = 5
    x = RNG.integers(-3, 4, (n, *shape)).astype(np.float32)  # many are equal
    g = RNG.normal(size=(n, shape[0] // 2, shape[1] // 2, shape[2])).astype(np.float32)
    results = []
    for engine in (reference, native):
        outputs = [np.zeros((n, *extents(node, 1)), node.dtype) for node in graph.outputs]
        engine.compile(graph, 3).run([x, g], outputs, 0, 2, n)
        results.append(outputs)
    for found, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["reduce_sum", "reduce_max"])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [((5, 3, 7), (1,)), ((3, 3, 40), (0, 1)), ((2, 4, 2, 5), (0, 2)), ((9, 16), (0,)), ((10, 16), (0,))],
)
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_reductions_of_a_few(name, shape, axes, dtype):
    """In the task that needs them, or in one of their own; of what is computed on the spot, and of the result itself."""
    x, w = input_node("x", shape, dtype), input_node("w", shape[-1:], dtype)
    kept = tuple(i for i in range(len(shape)) if i not in axes)
    scaled = x * spread(w, shape, (len(shape) - 1,))
    once = apply(name, scaled, axes=axes)
    again = apply(name, scaled - spread(once, shape, kept), axes=axes)
    graph = Graph((x, w), (once, again, apply("abs", again) + once))
    given = [RNG.integers(-9, 9, n.shape).astype(dtype) for n in (x, w)]
    results = []
    for engine in (reference, native):
        outputs = [np.zeros(extents(node), dtype) for node in graph.outputs]
        engine.compile(graph).run(given, outputs)
        results.append(outputs)
    for found, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["reduce_sum", "reduce_max"])
@pytest.mark.parametrize("shape", [(5, 7, 6), (3, 4, 16), (9, 3, 33), (2, 6, 5, 20), (4, 9, 64), (20, 3, 4)])
def test_several_running_sums_of_narrow_results(name, shape):
    x = input_node("x", shape, "float32")
    graph = Graph((x,), (apply(name, apply("relu", x), axes=tuple(range(len(shape) - 1))),))
    given = RNG.integers(-99, 99, shape).astype(np.float32)  # sums are exact in any order
    results = []
    for engine in (reference, native):
        results.append(np.zeros(shape[-1], np.float32))
        engine.compile(graph).run([given], [results[-1]])
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize(("low", "tasks"), [(0, ["map"]), (3, ["place", "map"])])
def test_zeros_behind_the_rows_of_a_large_value_are_computed_where_they_are_read(low, tasks):
    x, y = input_node("x", (4, 70, 130), "float32"), input_node("y", (4, 200, 130), "float32")
    widths = ((0, 0, 0), (low, 130 - low, 0), (0, 0, 0))
    graph = Graph((x, y), (apply("pad", x, constant(0.0, "float32"), widths=widths) + y,))
    assert [task.kind for task in schedule(graph, 1).order] == tasks
    arrays = [np.random.default_rng(0).random(node.shape, np.float32) for node in (x, y)]
    found = np.empty((4, 200, 130), np.float32)
    native.compile(graph).run(arrays, [found])
    np.testing.assert_array_equal(found, np.pad(arrays[0], [width[:2] for width in widths]) + arrays[1])


def test_zeros_behind_the_rows_of_what_is_read_transposed():
    """Vectors run along the padded axis."""
    x, y = input_node("x", (4, 70, 130), "float32"), input_node("y", (4, 200, 130), "float32")
    padded = apply("pad", x, constant(0.0, "float32"), widths=((0, 0, 0), (0, 130, 0), (0, 0, 0)))
    graph = Graph((x, y), (apply("transpose", padded + y, axes=(0, 2, 1)),))
    arrays = [np.random.default_rng(0).random(node.shape, np.float32) for node in (x, y)]
    found = np.empty((4, 130, 200), np.float32)
    native.compile(graph).run(arrays, [found])
    np.testing.assert_array_equal(found, (np.pad(arrays[0], ((0, 0), (0, 130), (0, 0))) + arrays[1]).swapaxes(1, 2))


@pytest.mark.parametrize(("units", "rows", "axes"), [(320, 1, [None]), (400, 1, [1]), (400, 2, [None])])
def test_threads_divide_the_units_of_a_layer_for_a_single_sample(units, rows, axes):
    x, w = input_node("x", (BATCH, 400), "float32"), input_node("w", (400, units), "float32")
    graph = Graph((x, w), (apply("relu", einsum("mk,kn->mn", x, w)),))
    found = [t.axis if t.division == "split" else None for t in schedule(graph, rows).order]
    assert found == axes
    arrays, results = [RNG.standard_normal((n, m)).astype(np.float32) for n, m in ((rows, 400), (400, units))], []
    for threads in (1, 3):
        results.append(np.empty((rows, units), np.float32))
        with threads_here(threads):
            native.compile(graph, rows).run(arrays, [results[-1]], total=rows)
    np.testing.assert_array_equal(*results)
    np.testing.assert_allclose(results[0], np.maximum(arrays[0] @ arrays[1], 0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("widths", [(1, 2, 0), (0, 0, 0), (3, 0, 0), (0, 1, 0), (1, 1, 1)])
@pytest.mark.parametrize("axes", [(1,), (1, 2), (3,), (1, 2, 3)])
@pytest.mark.parametrize("rows", [1, 5])
def test_what_is_padded_is_computed_in_place_and_only_the_rest_is_filled(widths, axes, rows):
    x = input_node("x", (BATCH, 5, 7, 19), "float32")
    given = tuple(widths if axis in axes else (0, 0, 0) for axis in range(4))
    padded = apply("pad", apply("relu", x), constant(-3.0, "float32"), widths=given)
    graph = Graph((x,), (padded,))
    if any(widths):
        assert [task.kind for task in schedule(graph, rows).order] == ["place"]
    array, results = RNG.standard_normal((rows, 5, 7, 19)).astype(np.float32), []
    for engine in (reference, native):
        results.append(np.full((rows, *extents(padded, 1)), np.nan, np.float32))
        engine.compile(graph, rows).run([array], [results[-1]], total=rows)
    np.testing.assert_array_equal(*results)


def test_what_costs_much_and_is_needed_twice_is_kept():
    inputs = [input_node(f"x{i}", (40, 300), "float32") for i in range(2)]
    cheap = inputs[0] * inputs[0] - inputs[0]  # of one value, however often it is named
    dear = inputs[0] * inputs[1]
    for node, kept in ((cheap, False), (dear, True)):
        graph = Graph(tuple(inputs), tuple(apply("reduce_sum", n, axes=(0,)) for n in (node, node * node)))
        assert any(node in task.nodes for task in schedule(graph, 1).tasks) == kept


CUT_ANEW = [((6, 8), (3, 2, 4, 2)), ((3, 2, 4, 2), (6, 8)), ((6, 4), (4, 6)), ((12,), (2, 3, 2)), ((1, 6), (3, 2))]


@pytest.mark.parametrize(("before", "after"), CUT_ANEW)
def test_reshapes_of_what_is_computed_on_the_spot(before, after):
    x = input_node("x", (BATCH, *before, 5), "float32", windowed=True)
    made = apply("reshape", x + x, shape=(BATCH, *after, 5))
    graph = Graph((x,), (apply("exp", made),))
    assert len([t for t in schedule(graph, 2).tasks if t.members]) == 1
    given = RNG.normal(size=(3, *before, 5)).astype(np.float32)
    found = np.zeros((3, *after, 5), np.float32)
    native.compile(graph, 2).run([given], [found], 0, 2, 3)
    np.testing.assert_allclose(found, np.exp(2 * given).reshape(found.shape), rtol=1e-6)


def test_updates_that_read_each_other():
    a, b = input_node("a", (5,), "float32"), input_node("b", (5,), "float32")
    graph = Graph((a, b), (), ((a, b), (b, a + b)))
    x, y = np.arange(5, dtype=np.float32), np.ones(5, np.float32)
    expected = [y.copy(), x + y]
    native.compile(graph).run([x, y], [])
    np.testing.assert_array_equal([x, y], expected)


def test_updates_of_tasks_that_read_each_others_inputs():
    """Neither may write before the other has read: one of them writes to scratch memory first."""
    a, b = input_node("a", (5, 40), "float32"), input_node("b", (40, 5), "float32")
    swapped = [apply("transpose", n, axes=(1, 0)) for n in (a, b)]
    graph = Graph((a, b), (a,), ((a, apply("tanh", a) + swapped[1]), (b, apply("exp", b) * swapped[0])))
    x, y = RNG.random((5, 40)).astype(np.float32), RNG.random((40, 5)).astype(np.float32)
    expected = [x.copy(), np.tanh(x) + y.T, np.exp(y) * x.T]
    old = np.zeros_like(x)
    native.compile(graph).run([x, y], [old])
    for found, wanted in zip((old, x, y), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_an_update_that_mixes_its_own_elements():
    w = input_node("w", (6, 6), "float32")
    graph = Graph((w,), (), ((w, einsum("mk,kn->mn", w, w) + apply("transpose", w, axes=(1, 0))),))
    x = RNG.random((6, 6)).astype(np.float32)
    expected = x @ x + x.T
    native.compile(graph).run([x], [])
    np.testing.assert_allclose(x, expected, rtol=1e-6)


RESHAPED = [
    lambda x: apply("reshape", apply("transpose", x, axes=(1, 0)), shape=(6, 512)),
    lambda x: apply("reshape", apply("slice", x, ranges=(None, (0, 256, 1))), shape=(3, 512)),
    lambda x: apply("reshape", apply("exp", x), shape=(12, 256)),
    lambda x: apply("reshape", apply("reshape", apply("transpose", x, axes=(1, 0)), shape=(512, 1, 6)), shape=(6, 512)),
]


@pytest.mark.parametrize("build", RESHAPED)
def test_reshapes_of_what_does_not_lie_in_order(build):
    x = input_node("x", (6, 512), "float32")
    made = build(x)
    graph = Graph((x,), (apply("tanh", made), apply("reduce_sum", made, axes=(0,))))
    given = [RNG.random((6, 512)).astype(np.float32)]
    shapes = [[int(str(d)) for d in n.shape] for n in graph.outputs]
    outputs = [[np.zeros(shape, np.float32) for shape in shapes] for _ in range(2)]
    for engine, out in zip((reference, native), outputs, strict=True):
        engine.compile(graph).run(given, out)
    for found, expected in zip(*outputs, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_thousands_of_nodes_deep():
    x = input_node("x", (9,), "float32")
    y = x
    for i in range(5000):
        y = apply("sin", y) if i % 50 == 0 else y + like(y, 0.001)
    found, expected = np.zeros(9, np.float32), np.zeros(9, np.float32)
    given = RNG.random(9).astype(np.float32)
    native.compile(Graph((x,), (y,))).run([given], [found])
    reference.compile(Graph((x,), (y,))).run([given], [expected])
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["aarch64", "x86-64-v2", "x86-64-v3", "x86-64-v4"])
def test_compiles_for_every_target(name):
    target = resolve_target(name)
    for sizes, batch in (((784, 64, 64, 10), 32), ((4, 32, 16, 4), 2048)):
        text = text_of(compiler.lower(training_step(sizes)[0]), batch, target)
        assert len(compile_object(text.text, target)) > 1000


def printed(stages, cache):
    """The stages that a small program prints, in a process of its own."""
    program = "import ranvier as rv; print((rv.Tensor([1.0, 2.0]) * 3.0 + 1.0).numpy())"
    result = processes.run(program, RANVIER_DUMP=stages, RANVIER_CACHE=cache, RANVIER_ENGINE="native")
    assert result.stdout == "[4. 7.]\n"
    return result.stderr


def test_stages_are_printed_when_asked_for_also_of_cached_programs(tmp_path):
    stages = "graph,simplify,schedule,llvm,assembly"
    assert printed("", tmp_path) == ""  # the cache has it from here on
    cached = printed(stages, tmp_path)
    for stage in stages.split(","):
        assert cached.count(f"--- {stage} ---") == 1
    assert "define void @entry" in cached
    assert printed(stages, "off") == cached
    assert printed("simplify_squeezed", tmp_path).startswith("--- simplify_squeezed ---")
    assert printed("winograd", tmp_path).startswith("--- winograd ---")  # a pass that a cached program does not need
    assert "--- optimized ---" in printed("all", tmp_path)


def test_passes_have_names_of_their_own():
    names = [each.name for each in compiler.PASSES]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names)
    assert sorted(each.late for each in compiler.PASSES) == [each.late for each in compiler.PASSES]


def test_a_graph_that_a_pass_breaks_is_refused(monkeypatch):
    """The verifier runs after every pass in this suite."""
    x = input_node("x", (3,), "float32")
    graph = Graph((x,), (apply("exp", x),))
    (bad,) = (Node(n.op, n.inputs, n.attrs, Type((4,), "float32")) for n in graph.outputs)
    monkeypatch.setattr("ranvier.graph.simplify.simplify", lambda graph: Graph(graph.inputs, (bad,)))
    with pytest.raises(GraphError, match="disagrees with its type rule"):
        compiler.lower(graph)


def test_a_stage_that_does_not_exist_is_refused(monkeypatch):
    monkeypatch.setenv("RANVIER_DUMP", "llvm,bogus")
    with pytest.raises(
        ValueError, match=r"no stage 'bogus'\. Write some of graph, lift_checks, simplify, clip_slices, "
    ):
        native.compile(Graph((), ()))


def test_a_scalar_that_a_contraction_reads_is_in_memory():
    """Other scalars that depend on inputs alone are recomputed by each reader."""
    x, y = input_node("x", (2,), "float32"), input_node("y", (), "float32")
    total = apply("reduce_sum", einsum("k,->k", x, apply("neg", y)), axes=(0,))
    program = native.compile(Graph((x, y), tuple(gradient(total, [x, y])), ()))
    by_x, by_y = np.empty(2, np.float32), np.empty((), np.float32)
    program.run([np.array([1, 2], np.float32), np.array(3, np.float32)], [by_x, by_y])
    assert by_x.tolist() == [-3, -3]
    assert by_y == -3


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("also", ["nothing else", "the inner one", "its reshape"])
def test_concatenations_of_concatenations(flat, also):
    """They are written in place, except those that have other readers."""
    x = input_node("x", (BATCH, 4, 6), "float32")
    inner = apply("concatenate", x + x, x, axis=2)
    part, last = inner, x * x
    if flat:
        part, last = (apply("reshape", n, shape=(BATCH, size)) for n, size in ((inner, 48), (last, 24)))
    whole = apply("concatenate", part, last, axis=part.ndim - 1)
    others = {"nothing else": (), "the inner one": (inner,), "its reshape": (part,)}[also]
    graph = Graph((x,), (whole, *others))
    given, results = RNG.random((3, 4, 6), dtype=np.float32), []
    for engine in (reference, native):
        results.append([np.zeros((3, *extents(n, 1)), np.float32) for n in graph.outputs])
        engine.compile(graph, 3).run([given], results[-1])
    for expected, got in zip(*results, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_deep_program_has_another_entry_and_the_same_bits(monkeypatch):
    """LLVM takes quadratic time for an entry with thousands of live addresses; this form avoids them."""
    graph = network(ACTIVATIONS["relu"])
    usual, scratch = trained(graph)
    monkeypatch.setattr(entry, "MAX_LIVE_BUFFERS", 0)
    assert "@listed0(" in compiler.text_of(compiler.lower(graph), BATCH_SIZE, resolve_target()).text
    deep, same = trained(graph)
    assert scratch == same
    for a, b in zip(usual, deep, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("target", "written"), [("x86-64-v3", 2 * 10), ("x86-64-v4", 10)])
def test_rows_that_are_gathered_are_written_once_where_lanes_can_be_left_out(target, written):
    """And a second time, for the last rows of a batch, elsewhere."""

    def back(node):
        return spread(node, (BATCH, 10), (0,))

    x = input_node("x", (BATCH, 10), "float32")
    powers = apply("exp", x - back(apply("reduce_max", x, axes=(1,))))
    graph = Graph((x,), (powers / back(apply("reduce_sum", powers, axes=(1,))),))
    text = text_of(compiler.lower(graph), 32, resolve_target(target)).text
    assert text.count("call <16 x float> @rv.exp.v16f32") == written

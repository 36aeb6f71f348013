"""Whole programs: what is fused and where threads meet, updates that read each other, large batches, other processors."""

import itertools
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from ranvier.engines import native, reference
from ranvier.engines.native.elementwise import ELEMENTWISE
from ranvier.engines.native.llvm import compile_object, resolve_target
from ranvier.engines.native.schedule import Schedule
from ranvier.engines.native.values import SOURCES
from ranvier.graph.contraction import einsum
from ranvier.graph.grad import gradient
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import BATCH, PRIMITIVES, Symbol, apply, constant, full, like

RNG = np.random.default_rng(7)


def spread(node, shape, axes):
    return apply("broadcast", node, shape=shape, axes=axes)


def training_step(sizes, activation="tanh", optimizer="adam"):
    """A dense network's step on squared errors: the graph, and a function that makes arrays for n samples."""
    samples = Symbol("samples")
    x = input_node("x", (samples, sizes[0]), "float32")
    y = input_node("y", (samples, sizes[-1]), "float32")
    order = input_node("order", (BATCH,), "int32", windowed=True)
    rate, count, total = (input_node(name, (), "float32") for name in ("rate", "count", "total"))
    parameters = []
    h = apply("gather", x, order)
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        w, c = input_node(f"w{i}", (a, b), "float32"), input_node(f"c{i}", (b,), "float32")
        parameters += [w, c]
        h = einsum("mk,kn->mn", h, w) + spread(c, (BATCH, b), (1,))
        h = apply(activation, h) if i < len(sizes) - 2 else h
    error = h - apply("gather", y, order)
    rows = apply("reduce_sum", error * error, axes=(1,))
    summed = apply("reduce_sum", rows, axes=(0,))
    loss = summed / apply("extent", symbols=("batch",), dtype="float32")
    after = count + full(1.0, (), "float32")
    updates = [(total, total + summed), (count, after)]
    state = []
    for i, (p, g) in enumerate(zip(parameters, gradient(loss, parameters), strict=True)):
        step = spread(rate, p.shape, ())
        if optimizer == "adam":
            m, v = input_node(f"m{i}", p.shape, "float32"), input_node(f"v{i}", p.shape, "float32")
            state += [m, v]
            new_m, new_v = m + (g - m) * like(p, 0.1), v + (g * g - v) * like(p, 0.001)
            correction = -apply("expm1", after * constant(math.log(0.999), "float32"))
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
    return Schedule(native.lower(graph), batch)


def test_threads_meet_once_within_a_step():
    """Forward and backward run on each thread's own rows; then gradients by weights, with the update in their store."""
    graph, _ = training_step((784, 64, 64, 10))
    made = schedule(graph, 32)
    assert {t.phase for t in made.order} == {0, 1}
    assert all(t.share == "rows" for t in made.order if t.phase == 0)
    (first,) = [t for t in made.tasks if t.kind == "contract" and t.space == (784, 64)]
    assert {v.buffer.kind for _, v in first.stores} == {
        "input"
    }  # weights and state in place, the gradient nowhere
    assert len(first.stores) == 3
    assert made.private  # the step count is every thread's own


def test_updates_that_read_each_other():
    a, b = input_node("a", (5,), "float32"), input_node("b", (5,), "float32")
    graph = Graph((a, b), (), ((a, b), (b, a + b)))
    x, y = np.arange(5, dtype=np.float32), np.ones(5, np.float32)
    expected = [y.copy(), x + y]
    native.compile(graph).run([x, y], [])
    np.testing.assert_array_equal([x, y], expected)


def test_updates_of_tasks_that_read_each_others_inputs():
    """Neither may write before the other has read: one of them writes aside."""
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
    lambda x: apply(
        "reshape", apply("reshape", apply("transpose", x, axes=(1, 0)), shape=(512, 1, 6)), shape=(6, 512)
    ),
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
        text = native.text_of(native.lower(training_step(sizes)[0]), batch, target)
        assert len(compile_object(text.text, target)) > 1000


def printed(stages, cache):
    """What a small program prints of its stages, in a process of its own."""
    program = "import ranvier as rv; print((rv.Tensor([1.0, 2.0]) * 3.0 + 1.0).numpy())"
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=os.environ | {"RANVIER_DUMP": stages, "RANVIER_CACHE": str(cache), "RANVIER_ENGINE": "native"},
    )
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
    assert printed("simplify again", tmp_path).startswith("--- simplify again ---")
    assert "--- optimized ---" in printed("all", tmp_path)


def test_a_scalar_that_a_contraction_reads_lies_in_memory():
    """Other scalars made of inputs alone are computed wherever they are needed."""
    x, y = input_node("x", (2,), "float32"), input_node("y", (), "float32")
    total = apply("reduce_sum", einsum("k,->k", x, apply("neg", y)), axes=(0,))
    program = native.compile(Graph((x, y), tuple(gradient(total, [x, y])), ()))
    by_x, by_y = np.empty(2, np.float32), np.empty((), np.float32)
    program.run([np.array([1, 2], np.float32), np.array(3, np.float32)], [by_x, by_y])
    assert by_x.tolist() == [-3, -3]
    assert by_y == -3


def test_tables_have_exactly_the_primitives():
    """Each primitive is executed in one way: a line of the elementwise table, on the spot, in place, or by a kernel."""
    elementwise = {name for name, p in PRIMITIVES.items() if p.kind == "elementwise"}
    assert set(ELEMENTWISE) | {"cast"} == elementwise
    kernels = {"contract", "scatter_add", "pad", "concatenate", "reduce_sum", "reduce_max", "argmax"}
    assert elementwise | set(SOURCES) | kernels | {"input"} == set(PRIMITIVES)
    assert not set(SOURCES) & kernels

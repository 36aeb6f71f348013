"""Loops over time: the native engine against the reference, in every direction, with gradients, for any threads."""

import numpy as np
import pytest

from ranvier.engines.native import compiler
from ranvier.engines.native.codegen import entry, unit_writer
from ranvier.engines.native.codegen.assemble import assemble
from ranvier.engines.native.passes import loops
from ranvier.engines.native.runtime import llvm
from ranvier.engines.native.runtime.program import NativeProgram
from ranvier.engines.native.runtime.threads import threads_here
from ranvier.engines.native.schedule import loop
from ranvier.engines.reference import evaluate
from ranvier.graph.contraction import einsum
from ranvier.graph.extents import size
from ranvier.graph.grad import gradient
from ranvier.graph.graph import Graph, input_node, verify
from ranvier.graph.loops import scan
from ranvier.graph.node import BATCH, Node, apply
from ranvier.graph.simplify import simplify

STEPS, INPUTS, UNITS, ROWS = 5, 4, 36, 37
F = "float32"


def operation(name, *operands, **attrs):
    return apply(name, *operands, **attrs)


def lstm(rows, axis, reverse=False, recompute=False):
    """The operands of a loop of LSTM cells, and its results."""
    x, h, c = (input_node(name, (rows, size), F) for name, size in (("x", INPUTS), ("h", UNITS), ("c", UNITS)))
    weights = [input_node(name, shape, F) for name, shape in (("w", (INPUTS, 4 * UNITS)), ("u", (UNITS, 4 * UNITS)))]
    bias = input_node("b", (4 * UNITS,), F)
    projected = einsum("bi,ij->bj", x, weights[0]) + operation("broadcast", bias, shape=(rows, 4 * UNITS), axes=(1,))
    total = projected + einsum("bi,ij->bj", h, weights[1])
    parts = [operation("slice", total, ranges=(None, (i * UNITS, (i + 1) * UNITS, 1))) for i in range(4)]
    i, f, o = (operation("sigmoid", part) for part in (*parts[:2], parts[3]))
    cell = f * c + i * operation("tanh", parts[2])
    output = o * operation("tanh", cell)
    body = Graph((h, c, x, *weights, bias), (output,), ((h, output), (c, cell)))
    stack = (rows, STEPS, INPUTS) if axis == 1 else (STEPS, rows, INPUTS)
    operands = [input_node(f"g{n}", node.shape if node is not x else stack, F) for n, node in enumerate(body.inputs)]
    options = {"length": STEPS, "axis": axis, "reverse": reverse, "recompute": recompute}
    return operands, scan(body, operands[:2], operands[2:3], operands[3:], **options)


def with_gradients(operands, results):
    squares = [n * apply("sin", n) for n in results]
    total = None
    for node in squares:
        part = apply("reduce_sum", node, axes=tuple(range(node.ndim)))
        total = part if total is None else total + part
    return Graph(tuple(operands), (total, *gradient(total, operands), *results))


def arrays_for(graph, rows):
    rng = np.random.default_rng(0)
    return [rng.normal(size=[rows if d is BATCH else d for d in n.shape]).astype(F) / 2 for n in graph.inputs]


def native(graph, arrays, want, rows, threads):
    with threads_here(threads):
        program = compiler.compile(graph, rows)
        found = [np.zeros(w.shape, w.dtype) for w in want]
        program.run(arrays, found)
    return found


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("rows", "axis"), [(BATCH, 1), (3, 1), (3, 0)])
def test_a_loop_and_its_gradient(rows, axis, reverse, recompute):
    count = ROWS if rows is BATCH else rows
    graph = with_gradients(*lstm(rows, axis, reverse, recompute))
    verify(graph)
    arrays = arrays_for(graph, count)
    want, _ = evaluate(graph, arrays, {BATCH.name: count})
    found = [native(graph, arrays, want, count, threads) for threads in (1, 2, 3)]
    for a, b in zip(found[0], want, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def divided(x, h, w):
    """A step that divides an axis of its slice."""
    parts = apply("reshape", x, shape=(3, 2, 3, 2))
    return (apply("tanh", h + apply("reshape", apply("reduce_sum", parts, axes=(2,)), shape=(3, 4))),)


def joined(x, h, w):
    """A step that joins axes of its slice between which there are others."""
    return (apply("tanh", einsum("bi,ij->bj", apply("reshape", x, shape=(4, 3)), w) + h),)


def saved(x, h, w):
    """A step whose gradient reads a value that a reshape reads too."""
    y = apply("reshape", h, shape=(2, 2, 3))
    z = apply("reshape", y / apply("exp", apply("sin", y)), shape=(4, 3))
    return (apply("tanh", einsum("bi,ij->bj", h, w) + z),)


@pytest.mark.parametrize(
    ("step", "slice_", "state"), [(divided, (3, 2, 6), (3, 4)), (joined, (2, 2, 3), (4, 3)), (saved, (2, 2, 3), (4, 3))]
)
def test_steps_that_reshape_what_has_gaps_in_memory(step, slice_, state):
    """The slices of a stack and what a step saves lie at one step of a memory of all steps."""
    x, h, w = (input_node(name, shape, F) for name, shape in (("x", slice_), ("h", state), ("w", (3, 3))))
    (value,) = step(x, h, w)
    body = Graph((h, x, w), (value,), ((h, value),))
    stack = (slice_[0], STEPS, *slice_[1:])
    operands = [input_node(f"g{n}", shape, F) for n, shape in enumerate((state, stack, (3, 3)))]
    graph = with_gradients(operands, scan(body, operands[:1], operands[1:2], operands[2:], length=STEPS, axis=1))
    arrays = arrays_for(graph, 1)
    want, _ = evaluate(graph, arrays, {})
    for part, whole in zip(native(graph, arrays, want, 1, 2), want, strict=True):
        np.testing.assert_allclose(part, whole, rtol=1e-4, atol=1e-5)


def test_a_step_that_stores_a_number_where_steps_are_the_second_axis():
    """The gradient reads a scalar of each step: it is stored with an axis of its own, before that of the steps."""
    h, x = input_node("h", (3, 4), F), input_node("x", (3, 4), F)
    norm = apply("sqrt", apply("exp", apply("reduce_sum", h, axes=(0, 1))))
    value = apply("tanh", h * apply("broadcast", norm, shape=(3, 4), axes=()) + x)
    operands = [input_node("h0", (3, 4), F), input_node("g", (3, STEPS, 4), F)]
    made = scan(Graph((h, x), (value,), ((h, value),)), operands[:1], operands[1:], [], length=STEPS, axis=1)
    graph = with_gradients(operands, made)
    arrays = arrays_for(graph, 1)
    want, _ = evaluate(graph, arrays, {})
    for part, whole in zip(native(graph, arrays, want, 1, 2), want, strict=True):
        np.testing.assert_allclose(part, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("columns", [6, 260])
def test_values_of_all_steps_before_those_of_the_samples(columns):
    """A loop along the first axis: what is computed of all its slices has the batch as its second extent."""
    x, h, s = (
        input_node(name, (BATCH, *shape), F) for name, shape in (("x", (9, columns)), ("h", (2, 2)), ("s", (2, 2)))
    )
    steps = apply("transpose", apply("sin", x), axes=(1, 0, 2))
    heads = apply("reshape", apply("tanh", steps), shape=(9, BATCH, 2, columns // 2))
    body = Graph((h, s), (), ((h, apply("tanh", h + s)),))
    made = scan(body, [h], [einsum("tbhk,tbgk->tbhg", heads, heads)], [], length=9)
    graph = with_gradients([x, h], made)
    arrays = arrays_for(graph, ROWS)
    want, _ = evaluate(graph, arrays, {BATCH.name: ROWS})
    for part, whole in zip(native(graph, arrays, want, ROWS, 2), want, strict=True):
        np.testing.assert_allclose(part, whole, rtol=1e-4, atol=1e-4)


def test_a_loop_of_a_deep_program_in_many_units(monkeypatch):
    """Each unit that waits at a barrier has its own function for it: here at each step, which reads all rows."""
    c, w = input_node("c", (96, 96), F), input_node("w", (96, 96), F)
    body = Graph((c, w), (), ((c, apply("tanh", einsum("ij,jk->ik", w, c))),))
    given = [input_node("c0", (96, 96), F), input_node("w0", (96, 96), F)]
    graph = Graph(tuple(given), tuple(scan(body, given[:1], [], given[1:], length=3, axis=0)))
    arrays = arrays_for(graph, 1)
    want, _ = evaluate(graph, arrays, {})
    monkeypatch.setattr(entry, "MAX_LIVE_BUFFERS", 0)
    monkeypatch.setattr(unit_writer, "SIZE", 1)
    for a, b in zip(native(graph, arrays, want, 1, 2), want, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


def test_products_of_the_slices_leave_the_loop_and_weights_gradients_are_one_product():
    operands, results = lstm(BATCH, 1)
    graph = simplify(with_gradients(operands, results))
    scans = [node for node in graph.nodes() if node.op.name == "scan"]
    products = [[n for n in scan_.attrs["body"].nodes() if n.op.name == "contract"] for scan_ in scans]
    assert [len(own) for own in products] == [1, 1]  # of the carry, forward and backward
    assert all(scan_.shape == () and len(scan_.attrs["body"].updates) == 2 for scan_ in scans)


def test_large_loops_project_slices_in_their_steps_and_prefetch_others(monkeypatch):
    """Products of slices are computed in the steps, and the other slices prefetched, with the same bits."""
    monkeypatch.setitem(globals(), "UNITS", 48)
    graph = with_gradients(*lstm(BATCH, 1))
    arrays, lowered, target = arrays_for(graph, ROWS), compiler.lower(graph), llvm.resolve_target()
    want, _ = evaluate(graph, arrays, {BATCH.name: ROWS})
    results, products, prefetched = [], [], []
    for large in (False, True):
        if large:
            monkeypatch.setattr(loops, "LARGE_STACK", 0)
            monkeypatch.setattr(loop, "BEYOND_CACHE", 0)
        schedule = compiler.schedule_of(lowered, ROWS)
        bodies = [own.schedule for own in schedule.loops.values()]
        products.append([[str(t.space[1]) for t in own.order if t.kind == "contract"] for own in bodies])
        prefetched.append([max(len(t.ahead) for t in own.order) for own in bodies])
        text = assemble(schedule, target)
        library = llvm.load_object(llvm.compile_object(text.text, target), target)
        for threads in (1, 2):
            results.append([np.zeros(w.shape, w.dtype) for w in want])
            with threads_here(threads):
                NativeProgram(graph, ROWS, text, library).run(arrays, results[-1])
    assert products == [[["192"], ["48"]], [["192", "192"], ["48"]]]
    assert prefetched == [[0, 0], [2, 8]]
    for found in results:
        for a, b, c in zip(found, results[0], want, strict=True):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_allclose(a, c, rtol=2e-4, atol=2e-4)


def test_a_loop_computes_only_what_is_read():
    operands, (last, cell, _) = lstm(BATCH, 1)
    (made,) = [n for n in simplify(Graph(tuple(operands), (last,))).nodes() if n.op.name == "scan"]
    assert not made.attrs["body"].outputs
    assert len(made.attrs["body"].updates) == 2
    (made,) = [n for n in simplify(Graph(tuple(operands), (last, cell))).nodes() if n.op.name == "scan"]
    assert not made.attrs["body"].outputs


def test_a_sum_to_which_each_step_adds_has_one_place():
    schedule = compiler.schedule_of(compiler.lower(with_gradients(*lstm(3, 1, recompute=True))), 1)
    places: dict[str, set[float]] = {"float32[4,144]": set(), "float32[3,36]": set()}  # gradient of weights, state
    for node, view in schedule.views.items():
        if node.op.name == "start" and str(node.type) in places:
            places[str(node.type)].add(view.buffer.elements / size(node.shape, 1))
    assert places == {"float32[4,144]": {1}, "float32[3,36]": {2}}


def test_a_loop_within_a_loop():
    x, c = input_node("x", (BATCH, 3, 20), F), input_node("c", (BATCH, 20), F)
    inner_x, inner_c, factor = (
        input_node("y", (BATCH, 20), F),
        input_node("d", (BATCH, 20), F),
        input_node("k", (20,), F),
    )
    wide = apply("broadcast", factor, shape=(BATCH, 20), axes=(1,))
    step = Graph((inner_c, inner_x, factor), (inner_c,), ((inner_c, apply("tanh", inner_c * wide + inner_x)),))
    last, stack = scan(step, [c], [x], [factor], length=3, axis=1)
    outer = Graph((c, x, factor), (apply("reduce_sum", stack, axes=(1,)),), ((c, last),))
    given = [input_node("c0", (BATCH, 20), F), input_node("x0", (BATCH, 4, 3, 20), F), input_node("k0", (20,), F)]
    graph = with_gradients(given, scan(outer, given[:1], given[1:2], given[2:], length=4, axis=1))
    arrays = arrays_for(graph, 9)
    want, _ = evaluate(graph, arrays, {BATCH.name: 9})
    for threads in (1, 2):
        for a, b in zip(native(graph, arrays, want, 9, threads), want, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


def test_slices_of_what_is_packed_share_one_layout():
    keys, rows = input_node("k", (64, 40), F), [input_node(f"q{i}", (3, 8, 40), F) for i in range(3)]
    outputs = list[Node]()
    for queries, seen in zip(rows, (32, 48, 64), strict=True):
        part = apply("slice", keys, ranges=((0, seen, 1), None)) if seen < 64 else keys
        q, k = input_node("q", (8, 40), F), input_node("k", part.shape, F)
        body = Graph((q, k), (einsum("te,se->ts", q, k),))
        outputs += scan(body, [], [queries], [part], length=3, axis=0, recompute=True)
    graph = simplify(Graph((keys, *rows), tuple(outputs)))
    packs = [node.shape for node in compiler.optimize(graph, 1).of("pack")]
    assert packs == [(40, 64)]
    arrays = arrays_for(graph, 1)
    want, _ = evaluate(graph, arrays, {})
    for a, b in zip(native(graph, arrays, want, 1, 2), want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_a_loop_that_checks_values_names_what_is_out_of_range():
    table, ids, c = input_node("t", (4, 20), F), input_node("i", (BATCH,), "int32"), input_node("c", (BATCH, 20), F)
    shift = apply("cast", apply("reduce_max", c, axes=(1,)), dtype="int32")
    checked = apply("check", ids + shift, rule="row", low=0, high=3, ignored=None)
    body = Graph((c, ids, table), (), ((c, c * apply("gather", table, checked)),))
    given = [input_node("c0", (BATCH, 20), F), input_node("i0", (BATCH, 6), "int32"), input_node("t0", (4, 20), F)]
    graph = Graph(tuple(given), tuple(scan(body, given[:1], given[1:2], given[2:], length=6, axis=1)))
    arrays = [np.zeros((5, 20), F), np.ones((5, 6), np.int32), np.ones((4, 20), F)]
    native(graph, arrays, [arrays[0]], 5, 1)
    arrays[1][3, 4] = 9
    with pytest.raises(IndexError, match=r"index 9 is out of range for 4 rows, in row 3"):
        native(graph, arrays, [arrays[0]], 5, 1)

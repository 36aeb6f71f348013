"""The waist: printing, verifying, differentiating, simplifying; on generated graphs too."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from ranvier.graph.contraction import einsum
from ranvier.graph.extents import symbol
from ranvier.graph.grad import gradient
from ranvier.graph.graph import Graph, input_node, verify
from ranvier.graph.node import BATCH, GraphError, apply, constant, extent, extents, full, like
from ranvier.graph.simplify import common_subexpressions, simplify
from tests.strategies import ENGINES, graphs, run, same, simplified

GOLDEN = """\
%x: float32[batch,3] = input(windowed=True)
%w: float32[3,2] = input(windowed=False)
%b: float32[2] = input(windowed=False)
%0: float32[batch,2] = contract(%x, %w, index=(((((0, 1),), 0), (((2, 1),), 0)), ((((2, 1),), 0), (((1, 1),), 0))), \
loops=(batch, 2, 3), rank=2)
%1: float32[batch,2] = broadcast(%b, axes=(1,))
%2: float32[batch,2] = add(%0, %1)
%3: float32[batch,2] = relu(%2)
%4: float32[batch,2] = mul(%3, %3)
%5: float32[] = reduce_sum(%4, axes=(0, 1))
%6: float32[] = extent(symbols=('batch',))
%7: float32[] = div(%5, %6)
%8: float32[] = constant(value=0.0)
%9: float32[batch,2] = broadcast(%8, axes=())
%10: bool[batch,2] = less(%9, %3)
%11: float32[] = constant(value=1.0)
%12: float32[] = div(%11, %6)
%13: float32[batch,2] = broadcast(%12, axes=())
%14: float32[batch,2] = mul(%13, %3)
%15: float32[batch,2] = add(%14, %14)
%16: float32[batch,2] = select(%10, %15, %9)
%17: float32[2] = reduce_sum(%16, axes=(0,))
%18: float32[] = constant(value=0.5)
%19: float32[2] = broadcast(%18, axes=())
%20: float32[2] = mul(%17, %19)
%21: float32[2] = sub(%b, %20)
update %b <- %21
return %7"""


def layer():
    x = input_node("x", (BATCH, 3), "float32", windowed=True)
    w, b = input_node("w", (3, 2), "float32"), input_node("b", (2,), "float32")
    y = einsum("mk,kn->mn", x, w)
    y = apply("relu", y + apply("broadcast", b, shape=y.shape, axes=(1,)))
    loss = apply("reduce_sum", y * y, axes=(0, 1)) / apply("extent", symbols=("batch",), dtype="float32")
    (g,) = gradient(loss, [b])
    return Graph((x, w, b), (loss,), ((b, b - g * like(g, 0.5)),))


def test_known_extents_are_numbers_and_others_an_error_that_names_the_dimension():
    x = apply("exp", input_node("x", (BATCH, 3, 4), "float32", windowed=True))
    assert extents(x, 1) == (3, 4)
    assert extents(x, -2, -1) == (3,)
    assert extent(x, -1) == 4
    with pytest.raises(GraphError, match=r"dimension 0 of the result of exp, float32\[batch,3,4\], .* \(batch\)"):
        extents(x)


def test_printed_text():
    graph = simplify(layer())
    verify(graph)
    assert str(graph) == GOLDEN


def test_printed_text_distinguishes_constants():
    def text(value):
        return str(Graph((), (apply("constant", value=np.full(9, value)),)))

    assert text(1.0) != text(2.0)
    assert text(1.0) == text(1.0)


UPDATED = [  # outputs, and the new values of a and b: what they read is overwritten too, and given out, or is not
    (lambda a, b: (a + b,), lambda a, b: (b, a)),
    (lambda a, b: (b,), lambda a, b: (b, b)),
    (lambda a, b: (a, b), lambda a, b: (b, a)),
    (lambda a, b: (a, a, b), lambda a, b: (a, a)),
    (lambda a, b: (turned(b), b), lambda a, b: (turned(turned(b)), b)),
    (lambda a, b: (flat(b), a * b), lambda a, b: (apply("reshape", flat(b), shape=b.shape), a * b)),
    (lambda a, b: (like(a, 2.0), a), lambda a, b: (like(a, 2.0), a)),
    (lambda a, b: (), lambda a, b: (like(a, 2.0), a)),
    (lambda a, b: (a,), lambda a, b: (a * total(a), a)),
]


def total(x):
    summed = apply("reduce_sum", apply("exp", x), axes=tuple(range(x.ndim)))
    return apply("broadcast", summed, shape=x.shape, axes=())


def turned(x):
    return apply("transpose", x, axes=tuple(reversed(range(x.ndim))))


def flat(x):
    return apply("reshape", x, shape=(6,) if x.ndim else (1,))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shape", [(2, 3), ()])  # of one number a thread may have a copy to itself
@pytest.mark.parametrize(("outputs", "values"), UPDATED)
def test_an_update_reads_the_old_value(outputs, values, shape, engine):
    given = [(first + np.arange(6.0)[: np.prod(shape, dtype=int)]).reshape(shape) for first in (0, 10)]
    a, b = (input_node(name, shape, "float64") for name in "ab")
    graph = Graph((a, b), outputs(a, b), tuple(zip((a, b), values(a, b), strict=True)))
    arrays = [array.copy() for array in given]
    found = [*run(graph, arrays, engine), *arrays]
    wanted = run(Graph((a, b), (*graph.outputs, *(value for _, value in graph.updates))), given)
    for f, w in zip(found, wanted, strict=True):
        same(f, w)


X, Y = input_node("x", (2, 3), "float64"), input_node("y", (2, 3), "float64")
SCALAR = input_node("s", (), "float64")
WRONG = [
    (Graph((X,), (X + Y,)), "used but not among"),
    (Graph((X, Y), (X,), ((X + Y, X),)), "only inputs"),
    (Graph((X, SCALAR), (X,), ((X, SCALAR),)), "its update is"),
]


@pytest.mark.parametrize(("graph", "message"), WRONG)
def test_verify_refuses(graph, message):
    with pytest.raises(GraphError, match=message):
        verify(graph)


# --- gradients ------------------------------------------------------------------------------------------------------


def test_gradient_of_what_it_does_not_depend_on_is_zero():
    total = apply("reduce_sum", X, axes=(0, 1))
    gx, gy = gradient(total, [X, Y])
    found = run(Graph((X, Y), (gx, gy)), [np.ones((2, 3))] * 2)
    assert [f.sum() for f in found] == [6, 0]


def test_gradient_by_an_inner_node():
    squares = X * X
    total = apply("reduce_sum", squares * squares, axes=(0, 1))
    (g,) = gradient(total, [squares])
    (found,) = run(Graph((X,), (g,)), [np.full((2, 3), 3.0)])
    assert (found == 18).all()


def test_gradient_needs_a_seed_for_more_than_a_scalar():
    with pytest.raises(GraphError, match="needs a seed"):
        gradient(X, [X])
    (g,) = gradient(X * X, [X], seed=Y)
    (found,) = run(Graph((X, Y), (g,)), [np.full((2, 3), 3.0), np.full((2, 3), 2.0)])
    assert (found == 12).all()


def test_the_gradient_stops_at_stop_gradient():
    (g,) = gradient(apply("reduce_sum", X * apply("stop_gradient", X), axes=(0, 1)), [X])
    (found,) = run(Graph((X,), (g,)), [np.full((2, 3), 3.0)])
    assert (found == 3).all()


def test_a_graph_thousands_of_nodes_deep():
    node = SCALAR
    for _ in range(5000):
        node = node + SCALAR
    (g,) = gradient(node, [SCALAR])
    graph = simplify(Graph((SCALAR,), (node, g)))
    verify(graph)
    assert [float(v) for v in run(graph, [np.asarray(2.0)])] == [10002.0, 5001.0]


# --- simplifying ----------------------------------------------------------------------------------------------------

ONE, ZERO = like(X, 1.0), like(X, 0.0)
SIMPLER = [
    ("x + 0", X + ZERO, X),
    ("0 + x", ZERO + X, X),
    ("x * 1", X * ONE, X),
    ("x - 0", X - ZERO, X),
    ("x / 1", X / ONE, X),
    ("-(-x)", apply("neg", -X), X),
    ("x + (-y)", X + (-Y), X - Y),
    ("-1 * x", like(X, -1.0) * X, -X),
    ("cast to its own", apply("cast", X, dtype="float64"), X),
    ("stop_gradient", apply("stop_gradient", X), X),
    ("two transposes", apply("transpose", apply("transpose", X, axes=(1, 0)), axes=(1, 0)), X),
    ("two reshapes", apply("reshape", apply("reshape", X, shape=(6,)), shape=(2, 3)), X),
    ("no axes", apply("reduce_sum", X, axes=()), X),
    ("constants", apply("exp", constant(0.0, "float64")) + constant(2.0, "float64"), constant(3.0, "float64")),
    ("broadcast constants", like(X, 2.0) * like(X, 3.0), like(X, 6.0)),
    (
        "two broadcasts",
        apply("broadcast", apply("broadcast", SCALAR, shape=(3,), axes=()), shape=(2, 3), axes=(1,)),
        apply("broadcast", SCALAR, shape=(2, 3), axes=()),
    ),
]

ROW = input_node("row", (3,), "float64")
DOWN, MEAN = apply("reduce_sum", X, axes=(0,)), apply("reduce_sum", X, axes=(0,)) / like(ROW, 2.0)


def spread(node):
    return apply("broadcast", node, shape=(2, 3), axes=(1,))


def down(node):
    return apply("reduce_sum", node, axes=(0,))


NOTHING = DOWN * like(ROW, 0.0)
SUMS = [
    ("a factor", down(X * spread(ROW)), DOWN * ROW),
    ("a number", down(like(X, 3.0) * X), DOWN * like(ROW, 3.0)),
    ("a negative", down(-X), -DOWN),
    ("a factor that varies", down(X * Y), down(X * Y)),
    ("a factor along the other axis", apply("reduce_sum", X * spread(ROW), axes=(1,)), apply("reduce_sum", X * spread(ROW), axes=(1,))),
    ("deviations", down(X - spread(MEAN)), NOTHING),
    ("deviations by a product", down(X - spread(DOWN * like(ROW, 0.5))), NOTHING),
    ("multiples of deviations", down(-(spread(ROW) * (X - spread(MEAN)))), NOTHING),
    ("deviations and deviations", down((X - spread(MEAN)) + (X - spread(MEAN)) * spread(ROW)), NOTHING + NOTHING),
    ("deviations and more", down((X - spread(MEAN)) + Y), down((X - spread(MEAN)) + Y)),
    ("from another's mean", down(Y - spread(MEAN)), down(Y - spread(MEAN))),
    ("from another number's share", down(X - spread(DOWN / like(ROW, 3.0))), down(X - spread(DOWN / like(ROW, 3.0)))),
]  # fmt: skip


@pytest.mark.parametrize(("name", "node", "expected"), SUMS, ids=[row[0] for row in SUMS])
def test_simplify_sums(name, node, expected):
    graph = Graph((X, Y, ROW), (node,))
    assert str(common_subexpressions(simplify(graph))) == str(common_subexpressions(Graph((X, Y, ROW), (expected,))))
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=n.shape) for n in graph.inputs]
    for one, other in zip(run(simplify(graph), arrays), run(graph, arrays), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_deviations_from_a_mean_that_is_no_number_are_none_either():
    x = np.array([[1.0, np.nan, np.inf], [1.0, 2.0, 3.0]])
    (found,) = run(simplify(Graph((X,), (down(X - spread(MEAN)),))), [x])
    np.testing.assert_array_equal(found, [0.0, np.nan, np.nan])


LABEL, WEIGHT = input_node("label", (4,), "int32"), input_node("weight", (4,), "float64")


def by_class(node):
    return apply("broadcast", node, shape=(4, 3), axes=(0,))


def at_label(value, rest=0.0, axis=1):
    counter = apply("iota", shape=(4, 3), axis=axis, dtype="int32")
    return apply("select", apply("equal", counter, by_class(LABEL)), value, like(value, rest))


@pytest.mark.parametrize(
    ("node", "sums"),
    [
        (apply("reduce_sum", at_label(by_class(WEIGHT)), axes=(1,)), 0),
        (apply("reduce_sum", at_label(by_class(WEIGHT), rest=1.0), axes=(1,)), 1),
        (apply("reduce_sum", at_label(by_class(WEIGHT), axis=0), axes=(1,)), 1),
        (apply("reduce_sum", at_label(by_class(WEIGHT)), axes=(0,)), 1),
        (apply("reduce_sum", at_label(by_class(WEIGHT)), axes=(0, 1)), 1),
    ],
)
@pytest.mark.parametrize("label", [[0, 1, 2, 1], [-1, 3, 2, -(2**31)]])
def test_the_sum_of_what_is_at_one_place_is_that(node, sums, label):
    graph = Graph((LABEL, WEIGHT), (node,))
    simpler = simplified(graph)
    assert sum(n.op.name == "reduce_sum" for n in simpler.nodes()) == sums
    arrays = [np.array(label, np.int32), np.array([0.1, -0.2, 0.3, 4.0])]
    np.testing.assert_array_equal(run(simpler, arrays)[0], run(graph, arrays)[0])


@pytest.mark.parametrize(("name", "node", "expected"), SIMPLER, ids=[row[0] for row in SIMPLER])
def test_simplify(name, node, expected):
    assert str(simplified(Graph((X, Y, SCALAR), (node,)))) == str(Graph((X, Y, SCALAR), (expected,)))


def test_simplify_keeps_nan():
    """x * 0 is nan where x is nan or infinite, and x - x likewise."""
    graph = simplified(Graph((X,), (X * ZERO, X - X)))
    assert all(np.isnan(v).all() for v in run(graph, [np.full((2, 3), np.nan)]))


def test_equal_nodes_are_shared():
    graph = Graph((X,), (apply("exp", X) + apply("exp", X),))
    assert [n.op.name for n in common_subexpressions(graph).nodes()] == ["input", "exp", "add"]
    constants = Graph((X,), (X + full(2.0, X.shape, X.dtype), X * full(2.0, X.shape, X.dtype)))
    assert sum(n.op.name == "constant" for n in common_subexpressions(constants).nodes()) == 1


def test_random_numbers_of_different_streams_are_not_shared():
    s, t = input_node("s", (), "uint32"), input_node("t", (), "uint32")
    a, b = (apply("random", s, k, shape=(2,), dtype="float32") for k in (s, t))
    assert sum(n.op.name == "random" for n in simplify(Graph((s, t), (a + b,))).nodes()) == 2


# --- generated graphs -------------------------------------------------------------------------------------------------

QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@pytest.mark.parametrize("engine", ENGINES)
@QUICK
@given(case=graphs())
def test_generated_graphs_simplified_or_not(engine, case):
    graph, arrays = case
    expected = run(graph, arrays)
    for found, value in zip(run(simplified(graph), arrays, engine), expected, strict=True):
        same(found, value, str(graph))


@pytest.mark.parametrize("engine", ENGINES)
@QUICK
@given(case=graphs(dtype="float32"))
def test_generated_gradients(engine, case):
    """Simplified, and on every engine, the gradients are those of the reference."""
    graph, arrays = case
    out = graph.outputs[-1]
    total = apply("reduce_sum", out, axes=tuple(range(out.ndim)))
    whole = Graph(graph.inputs, tuple(gradient(total, graph.inputs)))
    expected = run(whole, arrays)
    for found, value in zip(run(simplified(whole), arrays, engine), expected, strict=True):
        same(found, value, str(whole))


def test_a_graph_without_changes_stays_the_same():
    x = input_node("x", (BATCH, 3), "float32")
    graph = Graph((x,), (apply("neg", apply("relu", x)),), ())
    assert graph.changed(lambda node, old: node) is graph
    assert graph.changed(lambda node, old: node + node, "contract") is graph
    doubled = graph.changed(lambda node, old: node + node, "relu")
    assert [node.op.name for node in doubled.nodes()] == ["input", "relu", "add", "neg"]
    assert doubled.of("add") == [doubled.nodes()[2]]


def test_symbols_are_equal_by_name():
    assert symbol("batch") == BATCH
    with pytest.raises(GraphError, match="equal shapes"):
        apply("add", input_node("a", (BATCH,), "float32"), input_node("b", (symbol("samples"),), "float32"))


# --- the key by which programs are shared -----------------------------------------------------------------------------


def small(name="x", value=2.0, axes=(0,), dtype="float32", windowed=False, flipped=False, updated=True):
    x, w = input_node(name, (BATCH, 3), dtype, windowed=windowed), input_node("w", (3,), dtype)
    added = apply("reduce_sum", x * like(x, value), axes=axes)
    inputs = (w, x) if flipped else (x, w)
    return Graph(inputs, (added,), ((w, w + added),) if updated else ())


DIFFERENT = [
    {"value": 3.0}, {"value": -2.0}, {"dtype": "float64"}, {"windowed": True}, {"flipped": True}, {"updated": False},
]  # fmt: skip


@pytest.mark.parametrize("options", DIFFERENT, ids=str)
def test_graphs_of_another_structure_have_another_key(options):
    assert hash(small(**options).key()) is not None
    assert small(**options).key() != small().key()


@pytest.mark.parametrize("options", [{}, {"name": "other"}, {"axes": [0]}], ids=str)
def test_graphs_of_one_structure_have_one_key(options):
    assert small(**options).key() == small().key()

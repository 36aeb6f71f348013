"""Every primitive on every engine: one row each, its value by another formula and its gradient by finite differences."""

import math
from typing import Any

import numpy as np
import pytest

from ranvier.graph.contraction import contract
from ranvier.graph.extents import symbol
from ranvier.graph.grad import gradient
from ranvier.graph.graph import Graph, input_node, verify
from ranvier.graph.loops import scan
from ranvier.graph.node import BATCH, FLOATS, PRIMITIVES, GraphError, Node, Type, apply, constant, topological
from ranvier.graph.random import threefry
from tests.strategies import ENGINES, check_gradient, evaluate, inputs_for, run, same

RNG = np.random.default_rng(1)
X = RNG.uniform(0.3, 2.0, (3, 4)) * RNG.choice([-1, 1], (3, 4))
Y = RNG.uniform(0.3, 2.0, (3, 4)) * RNG.choice([-1, 1], (3, 4))
P = RNG.uniform(0.2, 2.5, (3, 4))
CUBE = RNG.normal(size=(2, 3, 4))
I = RNG.integers(-5, 5, (3, 4)).astype(np.int32)
J = RNG.integers(-5, 5, (3, 4)).astype(np.int32)
U = RNG.integers(0, 2**32, (3, 4), dtype=np.uint32)
B = RNG.random((3, 4)) < 0.5
C = RNG.random((3, 4)) < 0.5
ROWS_AT = np.array([[2, 0], [1, 2], [2, 2]], np.int32)
SCALAR = np.asarray(0.75)
SEED, STREAM = np.asarray(7, np.uint32), np.asarray(2**31 + 5, np.uint32)
ODD = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-300])


def op(name, **attrs):
    return lambda *nodes: apply(name, *nodes, **attrs)


def looped(axis, index, reverse=False):
    """One of the results of a loop: the carries before each step, then the last one, of ``carry * k + slice``."""

    def build(carry, slices, k):
        shape = tuple(d for a, d in enumerate(slices.shape) if a != axis)
        c, x = input_node("c", carry.shape, carry.dtype), input_node("x", shape, slices.dtype)
        factor = input_node("k", (), k.dtype)
        following = c * apply("broadcast", factor, shape=c.shape, axes=()) + x
        body = Graph((c, x, factor), (c,), ((c, following),))
        last, before = scan(body, [carry], [slices], [k], length=slices.shape[axis], axis=axis, reverse=reverse)
        return last if index else before

    return build


def mapped(x, y, k):
    """A map of ``x * y + k * tanh(x)``."""
    a, b, c = (input_node(name, (), node.dtype) for name, node in (("a", x), ("b", y), ("c", k)))
    body = Graph((a, b, c), (a * b + c * apply("tanh", a),))
    return apply("map", x, y, apply("broadcast", k, shape=x.shape, axes=()), body=body)


def from_the_end(carry, slices, k):
    found = []
    for x in slices.T[::-1]:
        found.append(carry)
        carry = carry * k + x
    return np.stack(found[::-1], 1)


def each(function):
    return lambda *arrays: np.vectorize(function, otypes=[arrays[0].dtype])(*arrays)


def saturated(x):
    return np.array(
        [0 if math.isnan(v) else max(-(2**31), min(2**31 - 1, math.trunc(v) if math.isfinite(v) else v)) for v in x],
        np.int32,
    )


def padded(x, value):
    result = np.full((8, 4), value)
    result[1:7:2] = x
    return result


def scattered(index, updates):
    result = np.zeros((4, 2))
    for at in np.ndindex(index.shape):
        result[index[at]] += updates[at]
    return result


def matrix(a, b):
    return contract(a, b, [(((0, 1),), 0), (((2, 1),), 0)], [(((2, 1),), 0), (((1, 1),), 0)], [3, 5, 4], 2)


# name, arrays, builder, the value by another formula
ROWS: list[tuple[str, list[Any], Any, Any]] = [
    ("input", [X], lambda x: x, lambda x: x),
    ("constant", [X], lambda x: x + apply("constant", value=Y), lambda x: x + Y),
    ("constant", [X], lambda x: apply("broadcast", constant(3, "int32"), shape=(2,), axes=()), lambda x: np.array([3, 3], np.int32)),
    ("iota", [X], lambda x: apply("iota", shape=(2, 3), axis=1, dtype="int32"), lambda x: np.array([[0, 1, 2]] * 2, np.int32)),
    ("iota", [X], lambda x: apply("iota", shape=(2, 3), axis=0, dtype="float64"), lambda x: np.array([[0.0] * 3, [1.0] * 3])),
    ("extent", [X], lambda x: apply("extent", symbols=(), dtype="float64"), lambda x: np.asarray(1.0)),
    ("neg", [X], op("neg"), lambda x: 0 - x),
    ("neg", [I], op("neg"), lambda x: (0 - x).astype(np.int32)),
    ("abs", [X], op("abs"), each(abs)),
    ("abs", [I], op("abs"), each(abs)),
    ("sign", [X], op("sign"), each(lambda v: math.copysign(1, v))),
    ("sign", [I], op("sign"), each(lambda v: (v > 0) - (v < 0))),
    ("floor", [X], op("floor"), each(math.floor)),
    ("exp", [X], op("exp"), each(math.exp)),
    ("expm1", [X * 1e-3], op("expm1"), each(math.expm1)),
    ("log", [P], op("log"), each(math.log)),
    ("log1p", [P * 1e-3], op("log1p"), each(math.log1p)),
    ("sqrt", [P], op("sqrt"), each(math.sqrt)),
    ("tanh", [X], op("tanh"), each(math.tanh)),
    ("sigmoid", [X], op("sigmoid"), each(lambda v: 0.5 * (1 + math.tanh(v / 2)))),
    ("erf", [X], op("erf"), each(math.erf)),
    ("sin", [X], op("sin"), each(math.sin)),
    ("cos", [X], op("cos"), each(math.cos)),
    ("relu", [X], op("relu"), each(lambda v: max(v, 0.0))),
    ("cast", [X], op("cast", dtype="float32"), lambda x: x.astype(np.float32)),
    ("cast", [I], op("cast", dtype="float64"), lambda x: x * 1.0),
    ("cast", [B], op("cast", dtype="int32"), lambda b: np.where(b, 1, 0).astype(np.int32)),
    ("cast", [np.array([1.9, -1.9, 3e9, -3e9, np.nan, np.inf, -np.inf])], op("cast", dtype="int32"), saturated),
    ("cast", [np.array([1.9, -1.9, 300.0])], op("cast", dtype="uint8"), lambda x: np.array([1, 0, 255], np.uint8)),
    ("add", [X, Y], op("add"), each(lambda a, b: a + b)),
    ("add", [U, U[::-1].copy()], op("add"), lambda a, b: ((a.astype(np.uint64) + b) % 2**32).astype(np.uint32)),
    ("sub", [X, Y], op("sub"), each(lambda a, b: a - b)),
    ("sub", [I, J], op("sub"), each(lambda a, b: a - b)),
    ("mul", [X, Y], op("mul"), each(lambda a, b: a * b)),
    ("mul", [I, J], op("mul"), each(lambda a, b: a * b)),
    ("div", [X, Y], op("div"), each(lambda a, b: a / b)),
    ("quotient", [np.array([7, -7, 7, -7, 5, -(2**31), -6], np.int32), np.array([2, 2, -2, -2, 0, -1, 3], np.int32)], op("quotient"), lambda x, y: np.array([3, -4, -4, 3, 0, -(2**31), -2], np.int32)),
    ("quotient", [np.array([2**32 - 1, 7, 5], np.uint32), np.array([2, 2, 0], np.uint32)], op("quotient"), lambda x, y: np.array([2**31 - 1, 3, 0], np.uint32)),
    ("power", [P, Y], op("power"), each(math.pow)),
    ("maximum", [X, Y], op("maximum"), each(max)),
    ("maximum", [I, J], op("maximum"), each(max)),
    ("minimum", [X, Y], op("minimum"), each(min)),
    ("minimum", [I, J], op("minimum"), each(min)),
    ("less", [I, J], op("less"), lambda a, b: np.array([[p < q for p, q in zip(r, s, strict=True)] for r, s in zip(a, b, strict=True)])),
    ("less", [U, U[::-1].copy()], op("less"), lambda a, b: a.astype(np.int64) - b.astype(np.int64) < 0),
    ("less_equal", [X, np.where(B, X, Y)], op("less_equal"), lambda a, b: ~(a > b)),
    ("equal", [X, np.where(B, X, Y)], op("equal"), lambda a, b: ~(a < b) & ~(a > b)),
    ("equal", [B, C], op("equal"), lambda a, b: ~(a ^ b)),
    ("logical_and", [B, C], op("logical_and"), lambda a, b: a & b),
    ("logical_or", [B, C], op("logical_or"), lambda a, b: a | b),
    ("logical_not", [B], op("logical_not"), lambda a: ~a),
    ("select", [B, X, Y], op("select"), lambda b, x, y: b * x + ~b * y),
    ("select", [B, I, J], op("select"), lambda b, x, y: (b * x + ~b * y).astype(np.int32)),
    ("reduce_sum", [CUBE], op("reduce_sum", axes=(1,)), lambda x: x[:, 0] + x[:, 1] + x[:, 2]),
    ("reduce_sum", [CUBE], op("reduce_sum", axes=(0, 2)), lambda x: np.array([math.fsum(x[:, i].ravel()) for i in range(3)])),
    ("reduce_sum", [I], op("reduce_sum", axes=(0, 1)), lambda x: np.asarray(sum(map(int, x.ravel())), np.int32)),
    ("reduce_max", [CUBE], op("reduce_max", axes=(0, 2)), lambda x: np.array([max(x[:, i].ravel()) for i in range(3)])),
    ("reduce_max", [I], op("reduce_max", axes=(1,)), lambda x: np.array([max(r) for r in x], np.int32)),
    ("reduce_max", [CUBE], op("reduce_max", axes=(1,), first=True), lambda x: np.array([[max(r) for r in p.T] for p in x])),
    ("argmax", [np.array([[1.0, 3.0, 3.0], [2.0, -1.0, 0.0]])], op("argmax", axis=1), lambda x: np.array([1, 0], np.int32)),
    ("reshape", [CUBE], op("reshape", shape=(4, 1, 6)), lambda x: np.array([x.flat[i] for i in range(24)]).reshape(4, 1, 6)),
    ("transpose", [CUBE], op("transpose", axes=(2, 0, 1)), lambda x: np.array([[[x[j, k, i] for k in range(3)] for j in range(2)] for i in range(4)])),
    ("broadcast", [X], op("broadcast", shape=(3, 2, 4), axes=(0, 2)), lambda x: np.stack([x, x], 1)),
    ("slice", [CUBE], op("slice", ranges=(None, (1, 3, 1), (0, 4, 3))), lambda x: x[:, 1:3, [0, 3]]),
    ("slice", [CUBE], op("slice", ranges=((1, 1, 1), None, None)), lambda x: np.zeros((0, 3, 4))),
    ("slice", [CUBE[:, :1]], op("slice", ranges=((1, 2, 1), (0, 1, 1), (1, 4, 2))), lambda x: x[1:, :, 1::2]),
    ("slice", [CUBE[:1, :1, :1]], op("slice", ranges=((0, 1, 1), None, None)), lambda x: x),
    ("windows", [CUBE], op("windows", axes=((1, 2, 1, 1),)), lambda x: np.stack([x[:, :2], x[:, 1:]], 2)),
    ("windows", [CUBE], op("windows", axes=((2, 2, 2, 1),)), lambda x: x.reshape(2, 3, 2, 2)),
    ("windows", [CUBE], op("windows", axes=((1, 2, 2, 1), (2, 2, 1, 2))), lambda x: np.stack([np.stack([x[:, i, j:j + 2] for i in (0, 1)], 1)[:, None] for j in (0, 2)], -1)),
    ("windows", [np.sin(np.arange(168.0)).reshape(2, 6, 7, 2)], op("windows", axes=((1, 3, 2, 1), (2, 4, 3, 1))), lambda x: np.array([[[[[[x[b, 2 * o + i, 3 * p + j] for j in range(4)] for i in range(3)] for p in range(2)] for o in range(2)] for b in range(2)]]).reshape(2, 2, 2, 3, 4, 2).transpose(0, 1, 3, 2, 4, 5)),
    ("reverse", [CUBE], op("reverse", axes=(0, 2)), lambda x: x[::-1, :, ::-1]),
    ("pad", [X, SCALAR], op("pad", widths=((1, 2, 1), (0, 0, 0))), padded),
    ("pad", [CUBE[:, :1, :1], SCALAR], op("pad", widths=((0, 0, 0), (1, 0, 0), (0, 0, 0))), lambda x, v: np.concatenate([np.full_like(x, v), x], 1)),
    ("pad", [CUBE[:1, :1, :1], SCALAR], op("pad", widths=((0, 0, 0),) * 3), lambda x, v: x),
    ("concatenate", [X, Y[:, :2]], op("concatenate", axis=1), lambda x, y: np.array([[*r, *s] for r, s in zip(x, y, strict=True)])),
    ("gather", [X, ROWS_AT], op("gather"), lambda x, i: np.array([[x[b] for b in a] for a in i])),
    ("gather", [X, np.array([-3, 9], np.int32)], op("gather"), lambda x, i: np.array([x[0], x[2]])),
    ("gather", [CUBE, np.array([[2, -1, 1, 7], [0, 1, 1, 2]], np.int32)], op("gather", batch=1), lambda x, i: np.stack([x[0][[2, 0, 1, 2]], x[1][[0, 1, 1, 2]]])),
    ("gather", [X, np.array([[3, 0], [1, 9], [-4, 2]], np.int32)], op("gather", batch=1), lambda x, i: np.array([[x[0, 3], x[0, 0]], [x[1, 1], x[1, 3]], [x[2, 0], x[2, 2]]])),
    ("scatter_add", [np.array([[1, 0, 1, 5], [-1, 2, 2, 2]], np.int32), X[:2].copy()], op("scatter_add", rows=3, batch=1), lambda i, u: np.array([[u[0, 1], u[0, 0] + u[0, 2], 0], [0, 0, u[1, 1:].sum()]])),
    ("scatter_add", [ROWS_AT, RNG.normal(size=(3, 2, 2))], op("scatter_add", rows=4), scattered),
    ("scatter_add", [np.array(2, np.int32), X[0].copy()], op("scatter_add", rows=4), lambda i, u: np.eye(4)[2][:, None] * u),
    ("scatter_add", [np.array([-1, 0, 7], np.int32), X[:, :2].copy()], op("scatter_add", rows=1), lambda i, u: u[1:2]),
    ("check", [X], op("check", rule="input", low=-2, high=2, ignored=None), lambda x: x),
    ("check", [I], op("check", rule="label", low=-4, high=9, ignored=-5), lambda x: x),
    ("contract", [X, RNG.normal(size=(4, 5))], matrix, lambda a, b: np.array([[math.fsum(r * c) for c in b.T] for r in a])),
    ("random", [SEED, STREAM], op("random", shape=(3, 4), dtype="float32"), lambda s, t: ((threefry(int(s), int(t), np.arange(12, dtype=np.uint64)) >> 8) * 2.0**-24).astype(np.float32).reshape(3, 4)),
    ("stop_gradient", [X], op("stop_gradient"), lambda x: x),
    ("layout", [X], op("layout", axes=("batch", None)), lambda x: x),
    ("map", [X, Y, SCALAR], mapped, lambda x, y, k: x * y + k * np.tanh(x)),
    ("scan", [X[0].copy(), Y, SCALAR], looped(0, 1), lambda c, x, k: ((c * k + x[0]) * k + x[1]) * k + x[2]),
    ("scan", [X[:, 0].copy(), Y, SCALAR], looped(1, 0, reverse=True), from_the_end),
    ("result", [X[0].copy(), Y, SCALAR], looped(0, 0), lambda c, x, k: np.stack([c, c * k + x[0], (c * k + x[0]) * k + x[1]])),
]  # fmt: skip

FLAT = {"sign", "floor", "less", "less_equal", "equal", "argmax", "random", "stop_gradient", "iota", "extent", "input"}


def test_every_primitive_has_a_row():
    assert {row[0] for row in ROWS} == set(PRIMITIVES)


def ids(rows):
    return [f"{i}-{row[0]}" for i, row in enumerate(rows)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "arrays", "build", "value"), ROWS, ids=ids(ROWS))
def test_value(name, arrays, build, value, engine):
    found, expected = evaluate(build, arrays, engine), value(*arrays)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    same(found, expected)
    if engine != "reference":
        same(found, evaluate(build, arrays))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("name", "arrays", "build", "value"),
    [r for r in ROWS if r[1][0].dtype in FLOATS and r[0] != "argmax"],
    ids=ids([r for r in ROWS if r[1][0].dtype in FLOATS and r[0] != "argmax"]),
)
def test_value_in_float32(name, arrays, build, value, engine):
    """The same in single precision, where the row's formula can follow."""
    single = [a.astype(np.float32) if a.dtype == np.float64 else a for a in arrays]
    nodes = inputs_for(single)
    try:
        out = build(*nodes)
    except GraphError:
        assert name == "constant"  # its other operand is fixed in double precision
        return
    found = run(Graph(tuple(nodes), (out,)), single, engine)[0]
    expected = value(*[a.astype(np.float64) if a.dtype == np.float32 else a for a in single])
    if found.dtype == np.float32:
        scale = float(np.max(np.abs(expected), initial=1.0))
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * scale)
    else:
        np.testing.assert_array_equal(found, expected)


GRADIENT_ROWS = [
    row for row in ROWS
    if any(a.dtype == np.float64 for a in row[1]) and row[0] not in FLAT and row[2](*inputs_for(row[1])).dtype == "float64"
    and any(n.op.name == "input" for n in topological([row[2](*inputs_for(row[1]))]))
]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "arrays", "build", "value"), GRADIENT_ROWS, ids=ids(GRADIENT_ROWS))
def test_gradient(name, arrays, build, value, engine):
    check_gradient(build, arrays, engine)


def test_every_differentiable_primitive_has_a_gradient_row():
    """The others are constant almost everywhere, or no function of floats."""
    flat = FLAT | {"logical_and", "logical_or", "logical_not", "cast", "quotient"}
    assert {row[0] for row in GRADIENT_ROWS} == set(PRIMITIVES) - flat


def test_the_gradient_of_a_cast_is_cast_back():
    (x,) = inputs_for([X])
    squares = apply("cast", x, dtype="float32") * apply("cast", x, dtype="float32")
    (g,) = gradient(apply("reduce_sum", squares, axes=(0, 1)), [x])
    (found,) = run(Graph((x,), (g,)), [X])
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, 2 * X.astype(np.float32))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "name", ["exp", "expm1", "log", "log1p", "sqrt", "tanh", "sigmoid", "erf", "relu", "abs", "neg", "sign", "floor"]
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_special_values(name, dtype, engine):
    """Zeros, infinities and nan, each as IEEE 754 and the limits have it; fast-math would lose them."""
    limits = {
        "exp": [1, 1, math.e, 1 / math.e, np.inf, 0, np.nan],
        "expm1": [0, -0.0, math.e - 1, 1 / math.e - 1, np.inf, -1, np.nan],
        "log": [-np.inf, -np.inf, 0, np.nan, np.inf, np.nan, np.nan],
        "log1p": [0, -0.0, math.log(2), -np.inf, np.inf, np.nan, np.nan],
        "sqrt": [0, -0.0, 1, np.nan, np.inf, np.nan, np.nan],
        "tanh": [0, -0.0, math.tanh(1), -math.tanh(1), 1, -1, np.nan],
        "sigmoid": [0.5, 0.5, 1 / (1 + math.exp(-1)), 1 / (1 + math.e), 1, 0, np.nan],
        "erf": [0, -0.0, math.erf(1), -math.erf(1), 1, -1, np.nan],
        "relu": [0, 0, 1, 0, np.inf, 0, np.nan],
        "abs": [0, 0, 1, 1, np.inf, np.inf, np.nan],
        "neg": [-0.0, 0, -1, 1, -np.inf, np.inf, np.nan],
        "sign": [0, 0, 1, -1, 1, -1, np.nan],
        "floor": [0, -0.0, 1, -1, np.inf, -np.inf, np.nan],
    }[name]  # fmt: skip
    found = evaluate(op(name), [ODD[:7].astype(dtype)], engine)
    np.testing.assert_allclose(found, np.array(limits, dtype), rtol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_extrema_keep_nan(name, engine):
    a, b = np.array([np.nan, 1.0, np.nan]), np.array([1.0, np.nan, np.nan])
    assert np.isnan(evaluate(op(name), [a, b], engine)).all()


def test_ties_share_the_gradient():
    x = np.array([1.0, 1.0, 0.0])
    nodes = inputs_for([x, x])
    for name in ("maximum", "minimum"):
        total = apply("reduce_sum", apply(name, *nodes), axes=(0,))
        assert [g.tolist() for g in run(Graph(tuple(nodes), tuple(gradient(total, nodes))), [x, x])] == [[0.5] * 3] * 2
    (g,) = gradient(apply("reduce_max", nodes[0], axes=(0,)), nodes[:1])
    assert run(Graph((nodes[0],), (g,)), [x])[0].tolist() == [0.5, 0.5, 0.0]
    (g,) = gradient(apply("reduce_max", nodes[0], axes=(0,), first=True), nodes[:1])
    assert run(Graph((nodes[0],), (g,)), [x])[0].tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("engine", ENGINES)
def test_extent_is_the_rows_of_the_step(engine):
    x = input_node("x", (BATCH, 2), "float64", windowed=True)
    total = apply("reduce_sum", x, axes=(0,))
    n = apply("broadcast", apply("extent", symbols=("batch",), dtype="float64"), shape=(2,), axes=())
    (out,) = run(Graph((x,), (total / n,)), [np.arange(10.0).reshape(5, 2)], engine, {"batch": 5})
    assert out.tolist() == [4.0, 5.0]


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_out_of_range_have_one_meaning(engine):
    """Read are the first and the last row, which then have the gradient; written is nothing. Also of symbolic rows."""
    at = np.array([-5, 0, 2, 9], np.int32)
    x, seeds = np.arange(6.0).reshape(3, 2), np.arange(1.0, 9.0).reshape(4, 2)
    source, index = input_node("x", (symbol("samples"), 2), "float64"), input_node("at", (4,), "int32")
    seed = input_node("seed", (4, 2), "float64")
    read = apply("gather", source, index)
    (back,) = gradient(read, [source], seed)
    written = apply("scatter_add", index, seed, rows=3)
    found = run(Graph((source, index, seed), (read, back, written)), [x, at, seeds], engine, {"samples": 3})
    for array, expected in zip(
        found, ([x[0], x[0], x[2], x[2]], [[4, 6], [0, 0], [12, 14]], [[3, 4], [0, 0], [5, 6]]), strict=True
    ):
        np.testing.assert_array_equal(array, expected)
    total = apply("reduce_sum", written * written, axes=(0, 1))
    (back,) = gradient(total, [seed])
    (array,) = run(Graph((index, seed), (back,)), [at, seeds], engine)
    np.testing.assert_array_equal(array, [[0, 0], [6, 8], [10, 12], [0, 0]])


# --- contractions of convolution's kind -----------------------------------------------------------------------------


def plain(loop):
    return (((loop, 1),), 0)


def convolution(extent, taps, stride, dilation, low, high):
    """A 1-D convolution (batch, position, channel) * (tap, channel, filter), the input padded before."""
    padded_extent = extent + low + high
    outputs = (padded_extent - dilation * (taps - 1) - 1) // stride + 1

    def build(x, w):
        x = apply("pad", x, constant(0, x.dtype), widths=((0, 0, 0), (low, high, 0), (0, 0, 0)))
        # loops: batch 0, output 1, filter 2; tap 3, channel 4
        window = (((1, stride), (3, dilation)), 0)
        return contract(x, w, [plain(0), window, plain(4)], [plain(3), plain(4), plain(2)], [2, outputs, 4, taps, 3], 3)

    def value(x, w):
        x = np.pad(x, ((0, 0), (low, high), (0, 0)))
        out = np.zeros((2, outputs, 4))
        for o in range(outputs):
            for t in range(taps):
                out[:, o] += x[:, o * stride + t * dilation] @ w[t]
        return out

    return build, value, [RNG.normal(size=(2, extent, 3)), RNG.normal(size=(taps, 3, 4))]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("extent", [7, 8])
@pytest.mark.parametrize("taps", [1, 3])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("dilation", "low", "high"), [(1, 0, 0), (2, 0, 0), (1, 1, 1), (2, 2, 1)])
def test_convolution_and_its_gradients(extent, taps, stride, dilation, low, high, engine):
    build, value, arrays = convolution(extent, taps, stride, dilation, low, high)
    same(evaluate(build, arrays, engine), value(*arrays))
    check_gradient(build, arrays, engine, tolerance=1e-5)


ONE_POSITION = [  # extent, taps, stride, dilation, low, high
    (3, 3, 1, 1, 0, 0), (4, 3, 2, 1, 0, 0), (3, 1, 3, 1, 0, 0), (6, 3, 2, 2, 0, 0), (2, 3, 2, 1, 1, 1), (1, 2, 3, 1, 1, 1),
]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("row", ONE_POSITION)
def test_a_convolution_with_one_position_and_its_gradients(row, engine):
    build, value, arrays = convolution(*row)
    assert evaluate(build, arrays, engine).shape == (2, 1, 4)
    same(evaluate(build, arrays, engine), value(*arrays))
    check_gradient(build, arrays, engine, tolerance=1e-5)


PARTS = {  # a (7, 5) and b (5,), by loops of these extents; the first is the output's
    "rows from the third": ((1, 3, 5), ((((0, 1), (1, 1)), 2), (((2, 1),), 0)), np.s_[2:5]),
    "the first rows": ((1, 4, 5), ((((0, 2), (1, 1)), 0), (((2, 1),), 0)), np.s_[:4]),
    "every second row": ((1, 3, 5), ((((0, 1), (1, 2)), 1), (((2, 1),), 0)), np.s_[1:6:2]),
    "rows backward": ((1, 3, 5), ((((0, 1), (1, -1)), 4), (((2, 1),), 0)), np.s_[2:5]),
    "one row": ((1, 1, 5), ((((0, 1), (1, 1)), 3), (((2, 1),), 0)), np.s_[3:4]),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", PARTS)
def test_a_contraction_that_reads_a_part_where_loops_have_one_turn(name, engine):
    loops, index, rows = PARTS[name]
    a, b = RNG.normal(size=(7, 5)), RNG.normal(size=5)
    found = evaluate(lambda x, y: contract(x, y, index, [plain(2)], loops, 1), [a, b], engine)
    same(found, (a[rows] @ b).sum(keepdims=True))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_contraction_of_nothing_but_loops_of_one_turn(engine):
    a, b = RNG.normal(size=7), RNG.normal(size=3)
    at = [(((0, 2), (1, 1)), 4)], [(((1, 1),), 1)]
    same(evaluate(lambda x, y: contract(x, y, *at, [1, 1], 1), [a, b], engine), a[4:5] * b[1])


@pytest.mark.parametrize("engine", ENGINES)
def test_second_order_of_a_convolution(engine):
    """Its gradients are contractions, and those have gradients."""
    build, _, arrays = convolution(7, 3, 2, 1, 1, 1)

    def by_input(x, w):
        y = build(x, w)
        return gradient(apply("reduce_sum", y * y, axes=(0, 1, 2)), [x])[0]

    check_gradient(by_input, arrays, engine, tolerance=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("step", [-1, -2])
def test_a_contraction_that_reads_backwards_and_its_gradients(step, engine):
    a, b = RNG.normal(size=9), RNG.normal(size=3)
    at = [(((0, step), (1, 1)), -3 * step)], [plain(1)]

    def build(x, y):
        return contract(x, y, *at, [4, 3], 1)

    same(evaluate(build, [a, b], engine), np.array([a[step * (i - 3) :][:3] @ b for i in range(4)]))
    check_gradient(build, [a, b], engine, tolerance=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_gradients_of_a_sum_over_one_operand_alone(engine):
    a, b = RNG.normal(size=(2, 3)), RNG.normal(size=4)
    rows, terms, columns = plain(0), plain(2), plain(1)

    def build(x, y):
        return contract(x, y, [rows, terms], [columns], [2, 4, 3], 2)

    same(evaluate(build, [a, b], engine), a.sum(1)[:, None] * b)
    check_gradient(build, [a, b], engine, tolerance=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_loop_may_read_the_front_part_of_a_dimension(engine):
    a, b = RNG.normal(size=(5, 4)), RNG.normal(size=(4, 3))
    rows, columns, terms = ((((loop, 1),), 0) for loop in range(3))

    def build(x, y):
        return contract(x, y, [rows, terms], [terms, columns], [2, 3, 3], 2)

    same(evaluate(build, [a, b], engine), a[:2, :3] @ b[:3])


# --- type rules -----------------------------------------------------------------------------------------------------

S, N2 = input_node("s", (2, 3), "float32"), input_node("n", (3, 2), "float32")
INT, FLAG = input_node("i", (2, 3), "int32"), input_node("b", (2, 3), "bool")
REFUSED = [
    ("add", (S, N2), {}, "equal shapes"),
    ("add", (S, INT), {}, "equal shapes"),
    ("add", (FLAG, FLAG), {}, "needs one of"),
    ("exp", (INT,), {}, "needs one of"),
    ("select", (S, S, S), {}, "must be bool"),
    ("select", (FLAG, S, N2), {}, "equal shapes"),
    ("cast", (S,), {"dtype": "complex64"}, "unknown dtype"),
    ("reduce_sum", (S,), {"axes": (2,)}, "do not fit"),
    ("reduce_sum", (S,), {"axes": (1, 0)}, "do not fit"),
    ("argmax", (S,), {"axis": 2}, "does not fit"),
    ("reshape", (S,), {"shape": (4, 2)}, "cannot reshape"),
    ("reshape", (S,), {"shape": (BATCH, 3)}, "cannot reshape"),
    ("reshape", (S,), {"shape": (BATCH, 4), "rows": 2}, "cannot reshape"),
    ("transpose", (S,), {"axes": (0, 0)}, "no permutation"),
    ("broadcast", (S,), {"shape": (2, 4), "axes": (0, 1)}, "does not fit axis"),
    ("slice", (S,), {"ranges": ((0, 3, 1), None)}, "does not fit"),
    ("windows", (S,), {"axes": ((1, 2, 1, 3),)}, "windows of 4 do not fit an axis of 3"),
    ("windows", (S,), {"axes": ((2, 1, 1, 1),)}, "no axes"),
    ("windows", (S,), {"axes": ((1, 1, 1, 1), (0, 1, 1, 1))}, "not in order"),
    ("reverse", (S,), {"axes": (2,)}, "do not fit"),
    ("pad", (S, constant(0, "float64")), {"widths": ((0, 0, 0), (0, 0, 0))}, "padding value"),
    ("concatenate", (S, N2), {"axis": 0}, "along the axis only"),
    ("gather", (S, S), {}, "int32 or int64 indices"),
    ("scatter_add", (INT, N2), {"rows": 3}, "one update row"),
    ("random", (S, S), {"shape": (2,), "dtype": "float32"}, "uint32"),
    ("contract", (S, N2), {"index": ((plain(0), plain(1)), (plain(1), plain(0))), "loops": (2, 4), "rank": 1}, "runs over"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "nodes", "attrs", "message"), REFUSED, ids=ids(REFUSED))
def test_type_rules_refuse(name, nodes, attrs, message):
    with pytest.raises(GraphError, match=message) as error:
        apply(name, *nodes, **attrs)
    assert name in str(error.value)
    assert str(nodes[0].type) in str(error.value)


def test_verify_finds_a_wrong_type():
    wrong = Node(PRIMITIVES["neg"], (S,), {}, Type((3, 3), "float32"))
    with pytest.raises(GraphError, match="disagrees"):
        verify(Graph((S,), (wrong,)))


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_of_each_sample(engine):
    """Gathered by sample, and the gradient back, over a batch whose size is known at run time only."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(37, 23, 2))
    at = rng.integers(-3, 26, (37, 19)).astype(np.int32)
    source, index = input_node("x", (BATCH, 23, 2), "float64"), input_node("i", (BATCH, 19), "int32")
    out = apply("gather", source * source, index, batch=1)
    (part,) = gradient(apply("reduce_sum", out, axes=(0, 1, 2)), [source])
    found = run(Graph((source, index), (out, part)), [x, at], engine, {"batch": 37})
    read = np.clip(at, 0, 22)
    np.testing.assert_array_equal(found[0], np.take_along_axis(x * x, read[..., None], 1))
    times = np.stack([np.bincount(row, minlength=23) for row in read])
    np.testing.assert_allclose(found[1], 2 * x * times[..., None], rtol=1e-12)

"""Array operations against NumPy: values for every dtype and shape rule, gradients by finite differences."""

import math
from typing import Any

import numpy as np
import pytest

from ranvier.graph.extents import symbol
from ranvier.graph.graph import input_node
from ranvier.graph.node import BATCH, GraphError
from ranvier.ops import arrays as n
from ranvier.ops.arrays import elementary, linalg, trigonometry
from ranvier.tensor.tensor import Tensor
from tests.strategies import check_gradient, same

pytestmark = pytest.mark.usefixtures("engine")
RNG = np.random.default_rng(4)
A = RNG.uniform(0.3, 2, (3, 4)) * RNG.choice([-1, 1], (3, 4))
B = RNG.uniform(0.3, 2, (3, 4)) * RNG.choice([-1, 1], (3, 4))
P = RNG.uniform(0.3, 2, (3, 4))
ROW, COLUMN, CUBE = RNG.normal(size=4), RNG.normal(size=(3, 1)), RNG.normal(size=(2, 3, 4))
INT, MORE = RNG.integers(-9, 9, (3, 4)).astype(np.int32), np.array([3, -2, 5, -7], np.int32)
FLAGS = A > 0
AT = np.array([2, 0, 1, 2, -1], np.int32)
LABEL = np.array([3, 0, 2], np.int32)
# The quotient in floats is rounded up, is large, or has no rest of its own.
DIVIDED = (
    np.array([1, -1, 1e10, 5, -5, 7, -7, 6, 1e20, 0.3]),
    np.array([0.1, 0.1, 3, np.inf, np.inf, -2, 2, 3, 7, -1e-9]),
)
ARC = np.array([-0.9, -0.501, -0.3, -1e-3, 0.2, 0.5001, 0.95])
LEAST = np.array([[-(2**31), 0, 2**31 - 1]], np.int32)
FAR = np.array([0, 1e-30, 0.5, 20, 30, 89, -20, -89, -0.5, np.inf, -np.inf])


def op(name, *args, **kwargs):
    return lambda *x: getattr(n, name)(*x, *args, **kwargs)


# ours, NumPy's, operands; every row of floats is also differentiated
ROWS: list[tuple[Any, Any, Any]] = [
    (op("add"), np.add, [A, ROW]),
    (op("add"), np.add, [COLUMN, ROW]),
    (op("add", 2), lambda x: x + 2, [A]),
    (op("add"), np.logical_or, [FLAGS, ~FLAGS]),
    (op("subtract"), np.subtract, [ROW, A]),
    (op("multiply"), np.multiply, [A, COLUMN]),
    (op("divide"), np.divide, [A, B]),
    (op("divide"), lambda a, b: np.divide(a, b).astype(np.float32), [INT, MORE]),
    (op("floor_divide"), np.floor_divide, [A, B]),
    (op("floor_divide"), np.floor_divide, [INT, MORE]),
    (op("floor_divide", 3), lambda x: x // 3, [INT]),
    (op("remainder"), np.remainder, [A, B]),
    (op("remainder"), np.remainder, [INT, MORE]),
    *[(op(name), getattr(np, name), [v.astype("f4") for v in DIVIDED]) for name in ("remainder", "floor_divide", "fmod")],
    (op("fmod"), np.fmod, [A, B]),
    (op("fmod"), np.fmod, [INT, MORE]),
    *[(op("power", e), lambda x, e=e: np.power(x, e), [P]) for e in (1, 2, 3, 4, 5, 0.5, -1, -0.5, 1.7, 0)],
    (op("power", 3), lambda x: x**3, [INT]),
    *[(op("power", e), lambda x, e=e: x**np.int32(e), [np.array([100_000, -3, 2], np.int32)]) for e in (0, 1, 4, 5, 7, 35)],
    (op("power"), np.power, [P, B]),
    (lambda x: n.power(2.0, x), lambda x: 2.0**x, [A]),
    (op("maximum"), np.maximum, [A, ROW]),
    (op("minimum"), np.minimum, [A, B]),
    (op("maximum", 0), lambda x: np.maximum(x, 0), [INT]),
    (op("clip", -0.5, 1.0), lambda x: np.clip(x, -0.5, 1), [A]),
    (op("clip", None, 1), lambda x: np.minimum(x, 1), [INT]),
    (op("negative"), np.negative, [A]),
    (op("abs"), np.abs, [A]),
    (op("sign"), np.sign, [A]),
    (op("floor"), np.floor, [A]),
    (op("ceil"), np.ceil, [A]),
    *[(op(name), getattr(np, name), [P]) for name in ("exp", "expm1", "log", "log1p", "sqrt", "tanh", "sin", "cos", "square", "reciprocal")],
    (op("exp"), lambda x: np.exp(x.astype(np.float32)), [INT]),
    (op("rsqrt"), lambda x: 1 / np.sqrt(x), [P]),
    (op("sigmoid"), lambda x: 1 / (1 + np.exp(-x)), [A]),
    *[(op(name), getattr(np, name), [INT, MORE]) for name in ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")],
    (op("less"), np.less, [FLAGS, ~FLAGS]),
    (op("logical_and"), np.logical_and, [FLAGS, INT]),
    (op("logical_or"), np.logical_or, [INT, FLAGS]),
    (op("logical_not"), np.logical_not, [INT]),
    (op("where"), np.where, [FLAGS, A, ROW]),
    (op("where", 0.0), lambda c, x: np.where(c, x, 0), [FLAGS, A]),
    (op("isnan"), np.isnan, [np.array([1.0, np.nan, np.inf])]),
    (op("isfinite"), np.isfinite, [np.array([1.0, np.nan, np.inf, -np.inf])]),
    (op("cast", "int32"), lambda x: x.astype(np.int32), [A]),
    (op("cast", "bool"), lambda x: x.astype(bool), [INT]),
    *[(op(name, axis, keep), lambda x, name=name, axis=axis, keep=keep: np.asarray(getattr(np, name)(x, axis=axis, keepdims=keep)), [CUBE])
      for name in ("sum", "mean", "max", "min", "var", "std") for axis, keep in ((None, False), (1, False), ((0, -1), True), (None, True))],
    (op("sum"), lambda x: np.asarray(x.sum(), np.int32), [FLAGS]),
    (op("sum", 0), lambda x: x.sum(0).astype(np.uint32), [np.full((3, 2), 200, np.uint8)]),
    (op("mean", 1), lambda x: x.mean(1).astype(np.float32), [INT]),
    (op("var", 0, ddof=1), lambda x: x.var(0, ddof=1), [A]),
    (op("min", 1), lambda x: x.min(1), [LEAST]),
    (op("min"), lambda x: x.min(), [np.array([250, 3], np.uint8)]),
    (op("argmin", 1), lambda x: x.argmin(1).astype(np.int32), [LEAST[:, ::-1].copy()]),
    *[(op(name, axis), lambda x, name=name, axis=axis: np.asarray(getattr(x, name)(axis)), [np.zeros((0, 3), bool)]) for name in ("any", "all") for axis in (None, 0, 1)],
    (op("max", 1), lambda x: x.max(1), [np.zeros((0, 3))]),
    (op("logsumexp", 0), lambda x: np.full(3, -np.inf), [np.zeros((0, 3))]),
    *[(lambda x, e=e: getattr(elementary, e[0])(x), getattr(np, e[1]), [v]) for e, v in (
        (("sinh", "sinh"), FAR), (("cosh", "cosh"), FAR), (("asinh", "arcsinh"), np.array([1e20, -1e20, 1e9, -0.3, np.inf, -np.inf, 1e200])),
        (("acosh", "arccosh"), np.array([1, 1.001, 3, 1e9, 1e20, np.inf])), (("asinh", "arcsinh"), np.array([1e20, -1e20, 3e38], np.float32)))],
    (elementary.erfc, np.vectorize(math.erfc), [A]),
    *[(getattr(trigonometry, "a" + name), getattr(np, "arc" + name), [v.astype(d)]) for d in (np.float32, np.float64) for name, v in (
        ("tan", np.array([0.3, -0.5, 1, -2.5, 1e3, -1e-3])), ("sin", ARC), ("cos", ARC))],
    (trigonometry.atan2, np.arctan2, [np.array([0, -0.0, 0, -0.0, 1, -1, 3, np.inf, -np.inf, 1e-200]), np.array([1, 1, -1, -1, 0, -0.0, -2, np.inf, -np.inf, 1e200])]),
    (elementary.acosh, lambda x: np.full(3, np.nan), [np.array([-1e10, 0, 0.5])]),
    (elementary.sinh, lambda x: np.sinh(x.astype(float)).astype(np.float32), [np.array([89, -89, -20], np.float32)]),
    (op("all", 0), lambda x: x.all(0), [FLAGS]),
    (op("argmax", 1), lambda x: x.argmax(1).astype(np.int32), [A]),
    (op("argmax"), lambda x: np.asarray(x.argmax(), np.int32), [A]),
    (op("argmin", -1, True), lambda x: x.argmin(-1, keepdims=True).astype(np.int32), [CUBE]),
    (op("logsumexp", -1), lambda x: np.log(np.exp(x).sum(-1)), [A]),
    (op("logsumexp", (0, 1), True), lambda x: np.log(np.exp(x).sum((0, 1), keepdims=True)), [A]),
    (op("norm"), lambda x: np.asarray(np.sqrt((x * x).sum())), [A]),
    (op("norm", 1, True, 1), lambda x: np.abs(x).sum(1, keepdims=True), [A]),
    (op("norm", 1, False, 3), lambda x: np.linalg.norm(x, 3, 1), [A]),
    *[(op("norm", 1, False, e), lambda x, e=e: np.array([0, np.linalg.norm(x[1], e)]), [np.array([[0, 1.0], [3, -4]])]) for e in (-1, -2)],
    (op("norm", 1, False, np.inf), lambda x: np.abs(x).max(1), [A]),
    *[(op("matmul"), np.matmul, [RNG.normal(size=a), RNG.normal(size=b)]) for a, b in (
        ((3, 4), (4, 5)), ((4,), (4, 5)), ((3, 4), (4,)), ((4,), (4,)), ((2, 3, 4), (4, 5)), ((3, 4), (2, 4, 5)), ((2, 3, 4), (2, 4, 5)),
        ((2, 1, 3, 4), (5, 4, 2)), ((1, 3, 4), (2, 4, 5)), ((2, 3, 4), (4,)), ((4,), (2, 4, 5)), ((1, 1, 1), (1, 1, 1)), ((1, 4), (4, 1)))],
    (op("matmul"), lambda a, b: (a @ b).astype(np.int32), [INT, INT.T.copy()]),
    *[(lambda *x, e=e: n.einsum(e, *x), lambda *x, e=e: np.einsum(e, *x), x) for e, x in (
        ("ij,jk->ik", [A, B.T.copy()]), ("ij,ij->i", [A, B]), ("bij,kj->bki", [CUBE, B]), ("i,j->ij", [ROW, ROW]), ("ij->ji", [A]), ("ij->", [A]), ("ij,jk", [A, B.T.copy()]),
        ("ij,jk,kl->il", [A, B.T.copy(), COLUMN]), ("...ij,...kj->...ik", [CUBE, B]), ("...ij,...ij", [CUBE, CUBE[:1]]), ("...j->...", [CUBE]),
        ("i,ij,j,j->i", [COLUMN[:, 0].copy(), A, ROW, ROW]), ("ii,i->i", [A[:, :3].copy(), COLUMN[:, 0].copy()]))],
    (op("reshape", (2, -1)), lambda x: x.reshape(2, -1), [A]),
    (op("reshape", -1), lambda x: x.reshape(-1), [CUBE]),
    (op("flatten"), np.ravel, [CUBE]),
    (op("flatten", 1), lambda x: x.reshape(2, 12), [CUBE]),
    (op("flatten", 0, 1), lambda x: x.reshape(6, 4), [CUBE]),
    (op("transpose"), np.transpose, [CUBE]),
    (op("transpose", (1, 0, -1)), lambda x: np.transpose(x, (1, 0, 2)), [CUBE]),
    (op("swapaxes", 0, -1), lambda x: np.swapaxes(x, 0, -1), [CUBE]),
    (op("expand_dims", 1), lambda x: x[:, None], [A]),
    (op("expand_dims", -1), lambda x: x[..., None], [A]),
    (op("squeeze"), np.squeeze, [COLUMN]),
    (op("squeeze", 1), lambda x: np.squeeze(x, 1), [COLUMN]),
    (op("broadcast_to", (2, 3, 4)), lambda x: np.broadcast_to(x, (2, 3, 4)), [COLUMN]),
    (lambda *x: n.concatenate(list(x), 1), lambda *x: np.concatenate(x, 1), [A, COLUMN, B]),
    (lambda *x: n.stack(list(x), -1), lambda *x: np.stack(x, -1), [A, B]),
    (lambda x: n.split(x, (1, 3), 1)[1], lambda x: x[:, 1:], [A]),
    (lambda x: n.split(x, 3)[2], lambda x: x[2:], [A]),
    (op("pad", ((1, 0), (0, 2)), 3.0), lambda x: np.pad(x, ((1, 0), (0, 2)), constant_values=3), [A]),
    (op("flip", 1), lambda x: np.flip(x, 1), [A]),
    (op("take"), lambda x, i: x[i], [A, AT]),
    (op("take", 1), lambda x, i: np.take(x, i, 1), [CUBE, AT]),
    (op("take", -1), lambda x, i: np.take(x, i, -1), [CUBE, AT.reshape(5, 1)]),
    (op("take_along"), lambda x, i: x[np.arange(3), i], [A, LABEL]),
    (op("one_hot", 4), lambda i: np.eye(4, dtype=np.float32)[i], [LABEL]),
    (op("one_hot", 4, "int32", 0), lambda i: np.eye(4, dtype=np.int32)[i].T, [LABEL]),
    (op("one_hot", 2, "bool"), lambda i: np.array([[False, False], [True, False], [False, False]]), [LABEL]),
    (op("zeros_like"), np.zeros_like, [A]),
    (op("ones_like"), np.ones_like, [INT]),
    (op("full_like", 7), lambda x: np.full_like(x, 7), [A]),
    (op("stop_gradient"), lambda x: x, [INT]),
]  # fmt: skip


def held(arrays):
    """As tensors of their own dtypes: float64 stays."""
    return [Tensor.wrap(np.ascontiguousarray(a).reshape(a.shape)) for a in arrays]


@pytest.mark.parametrize(("ours", "theirs", "arrays"), ROWS, ids=[str(i) for i in range(len(ROWS))])
def test_against_numpy(ours, theirs, arrays, engine):
    found, expected = ours(*held(arrays)), theirs(*arrays)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype.name
    same(found.numpy(), np.asarray(expected))


FLOATS = [
    row for row in ROWS
    if any(a.dtype == np.float64 for a in row[2]) and np.isfinite(row[2][0]).all() and np.asarray(row[1](*row[2])).dtype == np.float64
]  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs", "arrays"), FLOATS, ids=[str(i) for i in range(len(FLOATS))])
def test_gradients(ours, theirs, arrays, engine):
    check_gradient(ours, arrays, engine, tolerance=1e-5)


INDICES = [
    0, -1, slice(1, None), slice(None, None, 2), slice(None, None, -1), slice(3, 0, -2), (0, 1), (slice(None), 1), (..., 0), (None, ..., None),
    (1, slice(0, 2), None), (slice(5, 9),), (slice(1, 1),), (..., slice(1, 3)), (slice(None), None, 2), (-1, -1, -1),
]  # fmt: skip


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_indexing(index):
    plain, asked = Tensor.wrap(CUBE), Tensor.wrap(CUBE, requires_grad=True)
    np.testing.assert_array_equal(plain[index].numpy(), CUBE[index])  # by NumPy, at once
    recorded = asked[index]
    np.testing.assert_array_equal(recorded.numpy(), CUBE[index])
    (recorded * recorded).sum().backward()
    expected: Any = np.zeros_like(CUBE)
    expected[index] = 2 * CUBE[index]
    np.testing.assert_allclose(asked.grad.numpy(), expected)


def test_indexing_by_tensors():
    x = Tensor.wrap(A, requires_grad=True)
    np.testing.assert_array_equal(x[Tensor([2, 0, 2])].numpy(), A[[2, 0, 2]])
    np.testing.assert_array_equal(Tensor.wrap(A)[Tensor.wrap(FLAGS)].numpy(), A[FLAGS])
    np.testing.assert_array_equal(x[Tensor.wrap(FLAGS)].numpy(), A[FLAGS])
    for wrong in (Tensor([3]), Tensor([0, -4])):
        with pytest.raises(IndexError, match="out of bounds"):
            x[wrong]
    with pytest.raises(IndexError, match="outside axis"):
        x[3]


# --- symbols ----------------------------------------------------------------------------------------------------------

IMAGES = input_node("images", (BATCH, 28, 28), "float32")
SYMBOLIC = [
    (n.flatten(IMAGES, 1), (BATCH, 784)),
    (n.reshape(IMAGES, (-1, 784)), (BATCH, 784)),
    (n.reshape(IMAGES, (BATCH, -1)), (BATCH, 784)),
    (n.reshape(IMAGES, (BATCH, 7, -1, 28)), (BATCH, 7, 4, 28)),
    (n.mean(IMAGES), ()),
    (n.mean(IMAGES, 0, True), (1, 28, 28)),
    (n.add(IMAGES, n.mean(IMAGES, 0)), (BATCH, 28, 28)),
    (n.subtract(IMAGES, n.max(IMAGES, (1, 2), True)), (BATCH, 28, 28)),
    (n.matmul(IMAGES, n.transpose(IMAGES, (0, 2, 1))), (BATCH, 28, 28)),
    (n.matmul(n.flatten(IMAGES, 1), input_node("w", (784, 10), "float32")), (BATCH, 10)),
    (n.index_basic(IMAGES, (("slice", None, None, None), 0)), (BATCH, 28)),
    (n.concatenate([IMAGES, IMAGES], 2), (BATCH, 28, 56)),
]


@pytest.mark.parametrize(("node", "shape"), SYMBOLIC, ids=[str(i) for i in range(len(SYMBOLIC))])
def test_symbols(node, shape):
    assert node.shape == shape


def test_a_mean_over_the_batch_divides_by_its_rows():
    from ranvier.graph.graph import Graph
    from tests.strategies import run

    x = input_node("x", (BATCH, 2), "float64", windowed=True)
    (found,) = run(Graph((x,), (n.mean(x),)), [np.arange(6.0).reshape(3, 2)], extents={"batch": 3})
    assert found == 2.5


REFUSED = [
    (lambda: n.add(np.zeros((2, 3)), np.zeros((3, 2))), "do not broadcast"),
    (lambda: n.matmul(np.zeros((2, 3)), np.zeros((2, 3))), "must equal"),
    (lambda: n.matmul(np.zeros((2, 3)), 1.5 * Tensor(1.0)), "write a \\* b"),
    (lambda: n.sum(np.zeros((2, 3)), 2), "axis 2 does not exist"),
    (lambda: n.reshape(np.zeros((2, 3)), (4, -1)), "cannot reshape"),
    (lambda: n.reshape(IMAGES, (32, 784)), "cannot reshape"),
    (lambda: n.squeeze(np.zeros((2, 3)), 0), "extent 1"),
    (lambda: n.split(np.zeros((2, 3)), 2, 1), "does not split"),
    (lambda: n.split(IMAGES, 2, 0), "known only at run time"),
    (lambda: n.index_basic(IMAGES, (0,)), "known only at run time"),
    (lambda: n.index_basic(input_node("x", (2,), "float32"), (0, 0)), "too many indices"),
    (lambda: n.einsum("i->i", np.zeros((2, 2))), "one letter for every axis"),
    (lambda: n.einsum("ii->i", np.zeros((2, 3))), "'i' stands for 2 and 3"),
    (lambda: n.einsum("ii->i", np.zeros((1, 3))), "'i' stands for 1 and 3"),
    (lambda: n.einsum("ii->i", np.zeros((3, 1))), "'i' stands for 3 and 1"),
    (lambda: n.einsum("ij,jk->il", np.zeros((2, 2)), np.zeros((2, 2))), "does not fit"),
    (lambda: n.take_along(np.zeros((2, 3)), np.zeros((3,), np.int32)), "one label for each row"),
    (lambda: n.sum(np.zeros((2, 3)), (0, -2)), r"axes \(0, -2\) of 2 dimensions name an axis twice: write each once"),
    (lambda: n.sum(Tensor(1.0), 0), "axis 0 does not exist in a tensor of 0 dimensions: it has none"),
    (lambda: n.concatenate([]), "nothing to join"),
    (lambda: n.concatenate([np.zeros(2), np.zeros((2, 3))]), r"shapes \(2,\) and \(2, 3\) do not join"),
    (lambda: n.reshape(np.zeros((2, 3)), (-1, -1)), "two extents open: write -1 once"),
    (lambda: n.split(np.zeros(4), 0), "does not split into 0 parts"),
    (lambda: n.arange(0, 5, 0), "write one that is not 0"),
    (lambda: linalg.roll(np.zeros((2, 3)), (1, 2), 0), "one shift for each dimension"),
    (lambda: n.einsum("ij,jk,kl->il", np.zeros((2, 2)), np.zeros((2, 2))), "does not fit 2 operands"),
    (lambda: n.einsum("...ijk->i", np.zeros((2, 2))), "a letter for every axis"),
    *[(lambda name=name: getattr(n, name)(np.zeros((2, 0)), 1), r"axis 1 of \(2, 0\) has no elements") for name in ("max", "min", "argmax", "argmin")],
    (lambda: n.add(input_node("a", (BATCH,), "float32"), input_node("b", (symbol("samples"),), "float32")), "do not broadcast"),
]  # fmt: skip


@pytest.mark.parametrize(("action", "message"), REFUSED, ids=[row[1] for row in REFUSED])
def test_refused(action, message):
    with pytest.raises(GraphError, match=message):
        action()


def test_axes_by_any_whole_number():
    x = Tensor.wrap(CUBE)
    assert n.sum(x, np.int64(1)).shape == n.sum(x, (np.int64(1),)).shape == (2, 4)
    with pytest.raises(TypeError, match="axis 'a' is no whole number: write one"):
        n.sum(x, "a")


def test_integer_and_float_dtypes_meet():
    i, u, f, d, b = (Tensor.wrap(np.ones(1, t)) for t in ("int32", "uint8", "float32", "float64", "bool"))
    pairs = [
        (i, f, "float32"),
        (i, u, "int32"),
        (u, f, "float32"),
        (f, d, "float64"),
        (i, d, "float64"),
        (b, i, "int32"),
        (b, f, "float32"),
    ]
    assert [(x + y).dtype for x, y, _ in pairs] == [t for *_, t in pairs]
    assert [(y * x).dtype for x, y, _ in pairs] == [t for *_, t in pairs]
    assert [(x + 1).dtype for x in (i, u, f, d, b)] == ["int32", "uint8", "float32", "float64", "int64"]
    assert [(2.5 * x).dtype for x in (i, u, f, d, b)] == ["float32", "float32", "float32", "float64", "float32"]


def test_logsumexp_of_extremes():
    x = Tensor([[1e4, 1e4], [-1e4, -1e4], [-np.inf, -np.inf], [-np.inf, 0.0]])
    np.testing.assert_allclose(n.logsumexp(x, 1).numpy(), [1e4 + np.log(2), -1e4 + np.log(2), -np.inf, 0], rtol=1e-6)


@pytest.mark.parametrize("name", ["norm", "norm_1.5", "norm_0.5", "std"])
def test_norms_and_deviations_of_zeros_have_gradients_of_zero(name):
    name, _, order = name.partition("_")
    x = Tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    y = getattr(n, name)(x, 1, **({"ord": float(order)} if order else {}))
    y.sum().backward()
    np.testing.assert_array_equal(y.numpy()[0], 0)
    np.testing.assert_array_equal(x.grad.numpy()[0], 0)
    assert (x.grad.numpy()[1] != 0).all()


def test_the_complement_of_erf_far_from_zero():
    x = np.array([-3, 0, 0.5, 2, 4, 9], np.float32)
    expected = [math.erfc(v) for v in x]
    np.testing.assert_allclose(elementary.erfc(Tensor(x)).numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["remainder", "floor_divide", "fmod"])
def test_what_a_division_of_doubles_leaves(name):
    np.testing.assert_array_equal(getattr(n, name)(*held(DIVIDED)).numpy(), getattr(np, name)(*DIVIDED))


@pytest.mark.parametrize("exponent", [0, 0.0, Tensor([0.0])])
def test_the_power_of_zero_by_zero_is_flat(exponent):
    x = Tensor([0.0], requires_grad=True)
    y = x**exponent
    y.sum().backward()
    assert (y.tolist(), x.grad.tolist()) == ([1.0], [0.0])


def test_arange():
    for args in [(5,), (2, 7), (0, 1, 0.25), (5, 0, -2), (3, 3)]:
        np.testing.assert_allclose(n.arange(*args).numpy(), np.arange(*args))


# --- methods ----------------------------------------------------------------------------------------------------------

T: Any = Tensor([[1.0, -2.0], [3.0, 4.0]])
V = T.numpy()
METHODS = [
    (lambda: 1 - T, 1 - V), (lambda: 2 / T, 2 / V), (lambda: -T, -V), (lambda: abs(T), abs(V)), (lambda: T @ T, V @ V), (lambda: T // 2, V // 2),
    (lambda: T % 3, V % 3), (lambda: 7 // T, 7 // V), (lambda: T**2, V**2), (lambda: 2**T, 2**V), (lambda: V - T, V - V), (lambda: V @ T, V @ V),
    (lambda: (T > 0) & ~(T > 3), (V > 0) & ~(V > 3)), (lambda: (T < 0) | (T == 4), (V < 0) | (V == 4)), (lambda: T != 1, V != 1),
    (lambda: T.sum(1), V.sum(1)), (lambda: T.sum(dim=1, keepdim=True), V.sum(1, keepdims=True)), (lambda: T.mean(axis=0), V.mean(0)),
    (T.max, V.max()), (lambda: T.max(1)[1], V.argmax(1)), (lambda: T.max(dim=1)[0], V.max(1)), (lambda: T.max(axis=1)[0], V.max(1)), (lambda: T.max(axis=1)[1], V.argmax(1)),
    (T.min, V.min()), (T.std, V.std(ddof=1)), (lambda: T.std(axis=0), V.std(0, ddof=1)), (lambda: T.var(False), V.var()), (lambda: T.std(0, correction=None), V.std(0, ddof=1)), (lambda: T.std(0, unbiased=True), V.std(0, ddof=1)), (lambda: T.var(correction=1), V.var(ddof=1)),
    (lambda: T.argmax(dim=1), V.argmax(1)), (T.argmax, V.argmax()), (lambda: T.view(-1), V.ravel()), (lambda: T.reshape(4, 1), V.reshape(4, 1)),
    (lambda: T.reshape((1, 4)), V.reshape(1, 4)), (T.t, V.T), (lambda: T.T, V.T), (lambda: T.permute(1, 0), V.T), (lambda: T.transpose(0, 1), V.T),
    (lambda: T.unsqueeze(0).squeeze(0), V), (lambda: T.unsqueeze(1).expand(-1, 3, -1), np.repeat(V[:, None], 3, 1)), (T.flatten, V.ravel()),
    (T.relu, np.maximum(V, 0)), (lambda: T.exp().log(), V), (T.int, V.astype(int)), (lambda: T.long().float(), V), (T.bool, V != 0),
    (lambda: T.to("cpu").to("float32", device="cpu"), V), (lambda: T.cpu().detach().clone(), V), (lambda: T.clamp(0, 1), V.clip(0, 1)),
    (lambda: T.softmax(1), np.exp(V) / np.exp(V).sum(1, keepdims=True)), (lambda: T.eq(T).all(), True), (lambda: T.pow(2), V**2),
    (lambda: T.mm(T), V @ V), (T.norm, np.linalg.norm(V)), (lambda: T.chunk(2)[1], V[1:]), (lambda: T.contiguous().view_as(T), V),
]  # fmt: skip


@pytest.mark.parametrize(("action", "expected"), METHODS, ids=[str(i) for i in range(len(METHODS))])
def test_methods(action, expected):
    np.testing.assert_allclose(action().numpy(), expected, rtol=1e-6)


def test_to_refuses():
    with pytest.raises(RuntimeError, match="'cpu'"):
        T.to("cuda")

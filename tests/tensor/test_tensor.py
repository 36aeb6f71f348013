"""Tensor: reading, dtypes, memory layouts; tensor functions."""

import threading

import numpy as np
import pytest

from ranvier.graph.node import GraphError, Node, apply
from ranvier.ops import arrays as n
from ranvier.ops.bits import bitwise_and
from ranvier.tensor.context import set_dtype
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor

pytestmark = pytest.mark.usefixtures("engine")
RNG = np.random.default_rng(2)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def test_reading():
    x = Tensor([[1, 2], [3, 4]])
    assert x.numpy().tolist() == [[1, 2], [3, 4]]
    assert (x.shape, x.dtype, x.ndim, len(x), x.size(), x.size(1), x.dim(), x.numel()) == (
        (2, 2),
        "int32",
        2,
        2,
        (2, 2),
        2,
        2,
        4,
    )
    assert [row.tolist() for row in x] == [[1, 2], [3, 4]]
    assert float(x.sum()) == 10.0
    assert int(x.sum()) == 10
    assert bool(x.eq(x).all())
    assert [10, 20, 30][x[0, 1]] == 30
    assert f"{Tensor(2.5) * 2:.2f}" == "5.00"
    assert np.asarray(x + 1).tolist() == [[2, 3], [4, 5]]
    assert repr(Tensor([1.0, 2.0], requires_grad=True)) == "tensor([1., 2.], requires_grad=True)"
    assert len({x, x}) == 1


def test_reading_refuses():
    with pytest.raises(ValueError, match="needs one element"):
        Tensor([1, 2]).item()
    with pytest.raises(TypeError, match="no length"):
        len(Tensor(1))
    with pytest.raises(TypeError, match="no index"):
        [1, 2][Tensor(1.0)]
    with pytest.raises(TypeError, match="cannot hold"):
        Tensor(np.array(1j))
    with pytest.raises(OverflowError, match="int32"):
        Tensor([2**40])


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        (1.5, "float32"),
        (np.float64(1), "float32"),
        (1, "int32"),
        (True, "bool"),
        (np.uint8(3), "uint8"),
        (np.uint32(3), "uint32"),
        (np.int64(3), "int64"),
        (np.int8(3), "int8"),
        (np.uint16(3), "uint16"),
        (np.float16(1), "float16"),
    ],
)
def test_dtypes(given, dtype):
    assert Tensor(given).dtype == dtype


def test_the_default_dtype(float64):
    assert (Tensor(1.5) * 2).dtype == "float64"
    assert n.divide(Tensor(1), 2).dtype == "float64"
    set_dtype("float32")
    assert n.divide(Tensor(1), 2).dtype == "float32"
    with pytest.raises(ValueError, match="Write 'float32'"):
        set_dtype("float16")


ODD_ARRAYS = [
    RNG.normal(size=(4, 6))[::2, ::-1], RNG.normal(size=(4, 6)).T, np.broadcast_to(np.float32(2), (3, 2)), np.zeros((0, 3)),
    np.asarray(3.0), RNG.normal(size=(3, 4)).astype(">f8"), np.arange(6).astype(">i4").reshape(2, 3), np.asfortranarray(RNG.normal(size=(3, 4, 5))),
    RNG.normal(size=(3, 4, 5)).transpose(1, 0, 2),
]  # fmt: skip


@pytest.mark.parametrize("array", ODD_ARRAYS, ids=lambda a: f"{a.shape}{a.dtype.str}{a.strides}")
def test_any_layout(array):
    before = array.copy()
    x = Tensor(array)
    expected = array.astype(x.dtype)
    np.testing.assert_array_equal((x + x).numpy(), expected + expected)
    np.testing.assert_array_equal(x.numpy(), expected)
    x.fill_(7)
    np.testing.assert_array_equal(array, before)


def test_tensors_copy_arrays_in_and_share_them_out():
    array = np.ones(3, np.float32)
    x = Tensor(array)
    y = x + array
    array[:] = 5
    assert y.tolist() == [2, 2, 2]
    z, copy = x + 1, np.array(x)
    copy[:] = 8
    shared = x.numpy()
    late = x * 2
    shared[:] = 9
    assert [t.tolist() for t in (x, z, late, x + 1)] == [[9] * 3, [2] * 3, [2] * 3, [10] * 3]
    x.assign(x * 2)
    assert shared.tolist() == [18] * 3


def test_zero_size_and_scalars():
    empty = Tensor(np.zeros((0, 3)))
    assert (empty * 2).shape == (0, 3)
    assert empty.sum().item() == 0
    assert n.matmul(empty, Tensor(np.ones((3, 2)))).shape == (0, 2)
    assert n.matmul(Tensor(np.ones((2, 0))), Tensor(np.ones((0, 2)))).tolist() == [[0, 0], [0, 0]]
    assert (Tensor(2.0) + Tensor(3.0)).shape == ()


# --- functions ------------------------------------------------------------------------------------------------------


@function
def scaled(x: Node, factor: float, shift: Node | None = None) -> Node:
    """A tensor function of a test."""
    y: Node = n.multiply(x, factor)
    return y if shift is None else n.add(y, shift)


def test_functions():
    x = Tensor([1.0, 2.0])
    assert scaled(x, 3).tolist() == [3, 6]
    assert scaled(x=x, factor=3, shift=[1.0, 1.0]).tolist() == [4, 7]
    assert scaled(x, shift=1, factor=2).tolist() == [3, 5]
    assert scaled([1.0, 2.0], 2, None).tolist() == [2, 4]
    assert scaled.__name__ == "scaled"
    with pytest.raises(TypeError, match="factor"):
        scaled(x)
    with pytest.raises(TypeError, match="no argument 'scale'"):
        scaled(x, 2, scale=2)
    with pytest.raises(GraphError, match="broadcast"):
        scaled(x, 2, shift=[1.0, 2.0, 3.0])


def test_a_function_of_several_results():
    @function
    def halves(x: Node):
        return n.split(x, 2)

    x = Tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    a, b = halves(x)
    (a * b).sum().backward()
    assert (b.tolist(), x.grad.tolist()) == ([3, 4], [3, 4, 1, 2])


def test_functions_build_graph_from_nodes():
    from ranvier.graph.graph import input_node

    x = input_node("x", (2,), "float32")
    assert scaled(x, 3).type == x.type
    assert n.stack([x, x]).shape == (2, 2)
    assert apply("exp", x).type == n.exp(x).type


def test_each_thread_has_its_own_tape():
    w = Tensor(normal(3, 3))
    results = {}

    def work(i):
        total = 0.0
        for k in range(20):
            total += float((w * (i + k)).sum())
        results[i] = total

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for i in range(4):
        assert results[i] == pytest.approx(sum(float(w.numpy().sum()) * (i + k) for k in range(20)), rel=1e-3, abs=1e-3)


def test_a_call_on_operands_of_two_segments_merges_them():
    a, b = Tensor([2.0], requires_grad=True), Tensor([3.0], requires_grad=True)
    x = a * b
    x.item()
    y = a * 5
    y.item()
    assert x.segment is not y.segment
    (x * y).backward(np.ones(1))
    assert (a.grad.item(), b.grad.item()) == (2 * 2 * 3 * 5, 2 * 2 * 5)


BITS = [
    lambda a, b: a & b, lambda a, b: a | b, lambda a, b: a ^ b, lambda a, b: ~a, lambda a, b: a << 2,
    lambda a, b: a >> 1, lambda a, b: 5 & a, lambda a, b: 5 | a, lambda a, b: 5 ^ a, lambda a, b: 1 << b,
    lambda a, b: a & (b > 2), lambda a, b: (a > 0) & (b > 2), lambda a, b: ~(a > 0), lambda a, b: (a > 0) ^ True,
]  # fmt: skip


@pytest.mark.parametrize("operation", BITS)
def test_operations_of_bits(operation):
    a, b = np.array([[1, -2, 12]]), np.array([[3], [5]])
    found, expected = operation(Tensor(a), Tensor(b)), operation(a, b)
    assert found.dtype == str(expected.dtype)
    np.testing.assert_array_equal(found.numpy(), expected)


def test_operations_of_bits_refuse_floats():
    with pytest.raises(TypeError, match="& is for whole numbers and bools, and here is float32"):
        Tensor([1.0]) & 1
    with pytest.raises(TypeError, match="numbers alone"):
        bitwise_and(2, 3)

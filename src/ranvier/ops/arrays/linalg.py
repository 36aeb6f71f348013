"""Running sums and products, and functions of matrices; arguments have PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ranvier.graph.dtypes import FLOATS
from ranvier.graph.node import GraphError, GraphExtentError, Node, apply, full, like
from ranvier.ops.arrays import elementwise as n
from ranvier.ops.arrays import reductions
from ranvier.ops.arrays import shape as shapes
from ranvier.ops.arrays.elementary import logaddexp
from ranvier.ops.arrays.elementwise import not_equal, subtract
from ranvier.ops.arrays.products import einsum, matmul
from ranvier.ops.arrays.promotion import axis_of, count, counted, floating, result_dtype, together
from ranvier.tensor.function import function


def _known(x: Node, axis: int, dim: int, otherwise: str) -> int:
    """The extent of an axis, which the caller named ``dim``. Raises GraphExtentError if it is symbolic."""
    extent = x.shape[axis]
    if not isinstance(extent, int):
        raise GraphExtentError(f"dimension {dim} of {x.shape} is known only at run time{otherwise}")
    return extent


def _scan(x: Node, dim: int, combine: Callable[[Node, Node], Node], neutral: float) -> Node:
    """Each element with all before it along ``dim``, in log(extent) passes: each reaches twice as far back."""
    axis, reach = axis_of(dim, x.ndim), 1
    extent = _known(x, axis, dim, " and can't be run through")
    while reach < extent:
        kept, _ = shapes.split(x, (extent - reach, reach), axis)
        moved = shapes.pad(kept, tuple((reach, 0) if i == axis else (0, 0) for i in range(x.ndim)), neutral)
        x, reach = combine(moved, x), reach * 2
    return x


@function
def logcumsumexp(x: Node, dim: int) -> Node:
    """The logarithm of the sum of the exponentials of each element and all before it along ``dim``."""
    return _scan(floating(x), dim, logaddexp, float("-inf"))


@function
def running_sum(x: Node, dim: int) -> Node:
    """The sum of each element with all before it along ``dim``."""
    return _scan(counted(x), dim, n.add, 0)


@function
def running_product(x: Node, dim: int) -> Node:
    """The product of each element with all before it along ``dim``."""
    return _scan(counted(x), dim, n.multiply, 1)


@function
def product(x: Node, dim: int) -> Node:
    """Halves multiplied with each other until one is left: the gradient is right where elements are 0."""
    x, axis = counted(x), axis_of(dim, x.ndim)
    extent = _known(x, axis, dim, ": there is no product along it")
    if not extent:
        return full(1, (*x.shape[:axis], *x.shape[axis + 1 :]), x.dtype)
    while extent > 1:
        half = extent // 2
        first, second, rest = shapes.split(x, (half, half, extent - 2 * half), axis)
        x = n.multiply(first, second)
        if extent % 2:
            x = shapes.concatenate([x, rest], axis)
        extent = half + extent % 2
    return shapes.squeeze(x, axis)


@function
def tensordot(a: Node, b: Node, dims: Any = 2) -> Node:
    """The sum of products over the last ``dims`` dimensions of a and the first of b, or over two lists of them."""
    if isinstance(dims, int):
        left, right = tuple(range(a.ndim - dims, a.ndim)), tuple(range(dims))
    else:
        left, right = (tuple(axis_of(d, x.ndim) for d in axes) for axes, x in zip(dims, (a, b), strict=True))
    for i, j in zip(left, right, strict=True):  # of extents 1 and n, those of n are summed up
        if a.shape[i] != b.shape[j] and 1 in (a.shape[i], b.shape[j]):
            a = a if a.shape[i] == 1 else reductions.sum(a, i, True)
            b = b if b.shape[j] == 1 else reductions.sum(b, j, True)
    letters = "abcdefghijklmnopqrstuvwxyz"
    one, two = list(letters[: a.ndim]), list(letters[a.ndim : a.ndim + b.ndim])
    for i, j in zip(left, right, strict=True):
        two[j] = one[i]
    kept = [c for i, c in enumerate(one) if i not in left] + [c for j, c in enumerate(two) if j not in right]
    return einsum(f"{''.join(one)},{''.join(two)}->{''.join(kept)}", a, b)


@function
def inner(input: Node, other: Node) -> Node:
    """The sums of products along the last axes of both; of numbers the product."""
    if not all(getattr(x, "ndim", 0) for x in (input, other)):
        return n.multiply(input, other)
    return tensordot(input, other, [[-1], [-1]])


@function
def outer(input: Node, other: Node) -> Node:
    """The products of all pairs of elements, of the first in rows and of the second in columns."""
    return n.multiply(shapes.reshape(input, (-1, 1)), shapes.reshape(other, (1, -1)))


@function
def vdot(input: Node, other: Node) -> Node:
    """The sum of the products of the elements of both, each in one axis, in the dtype of a product."""
    products = n.multiply(shapes.reshape(input, (-1,)), shapes.reshape(other, (-1,)))
    return n.cast(reductions.sum(products), products.dtype)


def _product(name: str, what: str, dims: tuple[int, int]) -> Any:
    """`matmul` of operands with these numbers of dimensions alone."""

    def body(input: Node, other: Node) -> Node:
        if (input.ndim, other.ndim) != dims:
            raise GraphError(
                f"{name} takes {what}, and here are shapes {input.shape} and {other.shape}. Write matmul instead"
            )
        if input.ndim == 3 and input.shape[0] != other.shape[0]:
            raise GraphError(f"{name} of batches of {input.shape[0]} and {other.shape[0]}: write one size")
        return matmul(input, other)

    body.__name__ = body.__qualname__ = name
    body.__doc__ = f"The product of {what}."
    return function(body)


mm = _product("mm", "two matrices", (2, 2))
mv = _product("mv", "a matrix and a vector", (2, 1))
dot = _product("dot", "two vectors", (1, 1))
bmm = _product("bmm", "two batches of matrices", (3, 3))


@function
def roll(input: Node, shifts: Any, dims: Any = None) -> Node:
    """Elements moved on by ``shifts``, those past the end back to the start; without ``dims`` of the flat tensor."""
    if dims is None:
        return shapes.reshape(roll(shapes.reshape(input, (-1,)), shifts, 0), input.shape)
    by, along = (tuple(v) if isinstance(v, (tuple, list)) else (v,) for v in (shifts, dims))
    if len(by) != len(along):
        raise GraphError(f"rolled by {shifts} along {dims}: write one shift for each dimension")
    for shift, dim in zip(by, along, strict=True):
        axis = axis_of(dim, input.ndim)
        extent = _known(input, axis, dim, " and can't be rolled")
        at = extent - shift % extent if extent else 0
        if at != extent:
            first, last = shapes.split(input, (at, extent - at), axis)
            input = shapes.concatenate([last, first], axis)
    return input


def _distance(shape: tuple[Any, ...]) -> Node:
    """The distance of each element of the last two dimensions to the right of the diagonal."""
    if len(shape) < 2:
        raise GraphError(f"a triangle of shape {shape}: write a matrix, or matrices")
    columns, rows = (apply("iota", shape=shape, dtype="int32", axis=len(shape) - i) for i in (1, 2))
    return columns - rows


@function
def tril(input: Node, diagonal: int = 0) -> Node:
    """The elements of matrices on and below a diagonal, 0 above."""
    return n.where(n.less_equal(_distance(input.shape), diagonal), input, like(input, 0))


@function
def triu(input: Node, diagonal: int = 0) -> Node:
    """The elements of matrices on and above a diagonal, 0 below."""
    return n.where(n.greater_equal(_distance(input.shape), diagonal), input, like(input, 0))


@function
def diag(input: Node, diagonal: int = 0) -> Node:
    """A matrix with a vector on its diagonal and 0 elsewhere, or the diagonal of a matrix."""
    if input.ndim not in (1, 2):
        raise GraphError(f"the diagonal of {input.shape}: write a vector or a matrix")
    if input.ndim == 2:
        return shapes.diagonal(input, diagonal)
    size: Any = input.shape[0]
    rows = shapes.reshape(shapes.pad(shapes.expand_dims(input, 1), ((0, 0), (0, size))), (-1,))
    square = shapes.reshape(shapes.index_basic(rows, (("slice", 0, size * size, 1),)), (size, size))
    right, down = max(diagonal, 0), max(-diagonal, 0)
    return shapes.pad(square, ((down, right), (right, down)))


@function
def trace(input: Node, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Node:
    """The sums of the diagonals of the matrices in two axes."""
    return reductions.sum(shapes.diagonal(input, offset, dim1, dim2), -1)


@function
def diff(input: Node, n: int = 1, dim: int = -1, prepend: Node | None = None, append: Node | None = None) -> Node:
    """The differences of neighbours along ``dim``, ``n`` times, of ``input`` between ``prepend`` and ``append``.

    Of bool tensors it is whether neighbours differ.
    """
    if n < 0:
        raise GraphError(f"differences of order {n}: write 0 or more")
    axis = axis_of(dim, input.ndim)
    parts = [part for part in (prepend, input, append) if part is not None]
    if n and len(parts) > 1:
        input = shapes.concatenate(parts, axis)
    for _ in range(min(n, _known(input, axis, dim, ": it has no neighbours"))):
        before, after = _neighbours(input, axis)
        input = not_equal(after, before) if input.dtype == "bool" else subtract(after, before)
    return input


@function
def kron(input: Node, other: Node) -> Node:
    """Kronecker's product: ``other`` in place of each element, times it."""
    ndim = max(input.ndim, other.ndim)
    one, two = ((*(1,) * (ndim - x.ndim), *x.shape) for x in (input, other))
    wide: list[Any] = [1 if i % 2 else one[i // 2] for i in range(2 * ndim)]
    narrow: list[Any] = [two[i // 2] if i % 2 else 1 for i in range(2 * ndim)]
    # The batch's extent, which is no number yet, has no product: it meets 1.
    merged = tuple(b if a == 1 else a if b == 1 else a * b for a, b in zip(one, two, strict=True))
    return shapes.reshape(n.multiply(shapes.reshape(input, tuple(wide)), shapes.reshape(other, tuple(narrow))), merged)


@function
def cross(input: Node, other: Node, dim: int = -1) -> Node:
    """The cross product of vectors of three elements along ``dim``."""
    x, y = together(input, other)
    axis = axis_of(dim, x.ndim)
    if x.shape[axis] != 3:
        raise GraphError(f"cross of vectors along dimension {axis} of {x.shape}: write three elements there")
    a, b = ([shapes.squeeze(part, axis) for part in shapes.split(v, 3, axis)] for v in (x, y))
    return shapes.stack([a[i - 2] * b[i - 1] - a[i - 1] * b[i - 2] for i in range(3)], axis)


@function
def cov(input: Node, *, correction: int = 1, fweights: Node | None = None, aweights: Node | None = None) -> Node:
    """The covariances of variables, the rows of (variables, observations), over n - ``correction``.

    Of one variable it is the variance. ``fweights`` say how often each observation counts, ``aweights`` how much.
    """
    if input.ndim > 2:
        raise GraphError(f"the covariances of {input.shape}: write a vector, or (variables, observations)")
    x = shapes.reshape(floating(input), (-1, *input.shape[-1:]) if input.ndim == 2 else (1, -1))
    if aweights is not None:  # sums of weights are as exact as those of observations
        aweights = n.cast(aweights, result_dtype(x, aweights))
    wrong = [w.shape for w in (fweights, aweights) if w is not None and w.shape != x.shape[1:]]
    if wrong or (fweights is not None and fweights.dtype in FLOATS):
        raise GraphError(f"weights of {x.shape[1]} observations: write one for each, fweights as integers")
    given = [w for w in (fweights, aweights) if w is not None]
    if not given:
        apart = n.subtract(x, reductions.mean(x, 1, True))
        weighted, size = apart, n.subtract(count(x.shape[1:], x.dtype), correction)
    else:
        weights = given[0] if len(given) == 1 else n.multiply(*given)
        total = reductions.sum(weights)
        apart = n.subtract(x, n.divide(reductions.sum(n.multiply(x, weights), 1, True), total))
        weighted = n.multiply(apart, weights)
        squares = total if aweights is None else reductions.sum(n.multiply(weights, given[-1]))
        size = n.subtract(total, n.multiply(n.divide(squares, total), correction))
    result = n.divide(matmul(apart, shapes.transpose(weighted)), n.maximum(size, 0))
    return shapes.reshape(result, ()) if result.shape == (1, 1) else result


@function
def corrcoef(input: Node) -> Node:
    """The correlations of variables, the rows of (variables, observations), within -1 and 1; of one 1."""
    together = cov(input)
    if not together.ndim:
        return n.divide(together, together)
    deviations = n.sqrt(shapes.diagonal(together))
    return n.clip(n.divide(n.divide(together, shapes.expand_dims(deviations, 1)), deviations), -1.0, 1.0)


def _neighbours(x: Node, axis: int) -> tuple[Node, Node]:
    """What has one after it along an axis, and what has one before."""
    extent = _known(x, axis, axis, ": it has no neighbours")
    return shapes.split(x, (extent - 1, 1), axis)[0], shapes.split(x, (1, extent - 1), axis)[1]


@function
def trapezoid(y: Node, x: Node | None = None, *, dx: float = 1, dim: int = -1) -> Node:
    """The integral along ``dim`` by the trapezoidal rule, of values ``dx`` apart or at the places ``x``."""
    axis = axis_of(dim, y.ndim)
    means = n.multiply(n.add(*_neighbours(y, axis)), 0.5)
    if x is None:
        return n.multiply(reductions.sum(means, axis), dx)
    if x.ndim == 1 and y.ndim > 1:
        x = shapes.reshape(x, tuple(-1 if i == axis else 1 for i in range(y.ndim)))
    before, after = _neighbours(x, axis_of(axis - y.ndim, x.ndim))
    return reductions.sum(n.multiply(means, n.subtract(after, before)), axis)


@function
def rot90(input: Node, k: int = 1, dims: Sequence[int] = (0, 1)) -> Node:
    """Turned by 90 degrees ``k`` times in the plane of two dimensions, from the first to the second."""
    first, second = (axis_of(d, input.ndim) for d in dims) if len(dims) == 2 else (0, 0)
    if first == second:
        raise GraphError(f"a turn in the plane of dimensions {tuple(dims)}: write two that differ")
    turns = {
        0: lambda x: x,
        1: lambda x: shapes.swapaxes(shapes.flip(x, second), first, second),
        2: lambda x: shapes.flip(x, (first, second)),
        3: lambda x: shapes.flip(shapes.swapaxes(x, first, second), second),
    }
    return turns[k % 4](input)


@function
def cdist(x1: Node, x2: Node, p: float = 2.0, compute_mode: str | None = None) -> Node:
    """The p-norms of the differences of all rows: (..., r, m) and (..., s, m) -> (..., r, s).

    ``compute_mode``, of PyTorch, changes nothing.
    """
    x, y = together(floating(shapes.expand_dims(x1, -2)), floating(shapes.expand_dims(x2, -3)))
    return reductions.norm(n.subtract(x, y), -1, False, p)

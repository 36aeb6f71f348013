"""Array operations on tensors and nodes: NumPy's broadcasting and a short dtype promotion over the strict primitives.

Each is a tensor function: given tensors or arrays it is recorded, given nodes it builds graph at once. Integers meet
floats as that float, booleans meet numbers as numbers, a Python number takes the dtype of what it meets. Extents may be
symbols such as the batch: reshapes keep them and means divide by them.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.graph import contraction
from ranvier.graph.node import FLOATS, GraphError, Node, Symbol, apply, constant, full
from ranvier.tensor import function, get_dtype

ORDER = ("bool", "uint8", "int32", "uint32", "float32", "float64")  # of promotion
SIGNED = ("int32", *FLOATS)
Axes = int | Sequence[int] | None


# --- shapes, axes, dtypes -----------------------------------------------------------------------------------------


def result_dtype(*values: Any) -> str:
    """The dtype in which these nodes and Python numbers meet."""
    known = [ORDER.index(v.dtype) for v in values if hasattr(v, "dtype")]
    strongest = ORDER[builtins.max(known)] if known else "bool"
    numbers = [v for v in values if not hasattr(v, "dtype")]
    if strongest not in FLOATS and builtins.any(isinstance(v, float) for v in numbers):
        return get_dtype()
    if strongest == "bool" and builtins.any(isinstance(v, int) and not isinstance(v, bool) for v in numbers):
        return "int32"
    return strongest


def as_node(value: Any, dtype: str) -> Node:
    """A node, array or Python number as a node of ``dtype``."""
    if not isinstance(value, Node):
        return constant(value, dtype)
    return value if value.dtype == dtype else apply("cast", value, dtype=dtype)


def broadcast_shape(*shapes: Sequence[Any]) -> tuple[Any, ...]:
    """NumPy's rule: aligned at the right, extents are equal or 1."""
    result: list[Any] = []
    for i in range(1, builtins.max(map(len, shapes), default=0) + 1):
        dims = {s[-i] for s in shapes if len(s) >= i} - {1}
        if len(dims) > 1:
            raise GraphError(f"shapes {' and '.join(map(str, shapes))} do not broadcast: write shapes that are equal or 1")
        result.append(dims.pop() if dims else 1)
    return tuple(reversed(result))


def expand(node: Node, shape: Sequence[Any]) -> Node:
    """Broadcast a node by NumPy's rule to ``shape``."""
    shape = tuple(shape)
    if node.shape == shape:
        return node
    lead = len(shape) - node.ndim
    kept = [i for i, d in enumerate(node.shape) if lead >= 0 and d == shape[i + lead]]
    if lead < 0 or builtins.any(d != 1 for i, d in enumerate(node.shape) if i not in kept):
        raise GraphError(f"shape {node.shape} does not broadcast to {shape}")
    if len(kept) < node.ndim:
        node = apply("reshape", node, shape=tuple(node.shape[i] for i in kept))
    return apply("broadcast", node, shape=shape, axes=tuple(i + lead for i in kept))


def together(*values: Any, dtype: str | None = None) -> list[Node]:
    """Operands at one shape and one dtype."""
    dtype = dtype or result_dtype(*values)
    nodes = [as_node(v, dtype) for v in values]
    shape = broadcast_shape(*(n.shape for n in nodes))
    return [expand(n, shape) for n in nodes]


def floating(x: Any) -> Node:
    """``x`` in its floating dtype, or in the default one."""
    dtype = result_dtype(x)
    return as_node(x, dtype if dtype in FLOATS else get_dtype())


def signed(x: Node) -> Node:
    return x if x.dtype in SIGNED else as_node(x, "int32")


def axis_of(axis: int, ndim: int) -> int:
    if not -ndim <= axis < ndim:
        raise GraphError(f"axis {axis} does not exist in a tensor of {ndim} dimensions: write {-ndim} to {ndim - 1}")
    return axis % ndim


def axes_of(axis: Axes, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    return tuple(sorted({axis_of(a, ndim) for a in ([axis] if isinstance(axis, int) else axis)}))


def keep(reduced: Node, shape: Sequence[Any], axes: Sequence[int], keepdims: bool) -> Node:
    return apply("reshape", reduced, shape=tuple(1 if i in axes else d for i, d in enumerate(shape))) if keepdims else reduced


def count(dims: Sequence[Any], dtype: str) -> Node:
    """The product of extents, known or not, as a scalar: what a mean divides by."""
    known = constant(math.prod(d for d in dims if not isinstance(d, Symbol)), dtype)
    names = tuple(d.name for d in dims if isinstance(d, Symbol))
    return apply("extent", symbols=names, dtype=dtype) * known if names else known


# --- arithmetic ---------------------------------------------------------------------------------------------------


@function
def add(a: Node, b: Node) -> Node:
    """Elementwise ``a + b``."""
    x, y = together(a, b)
    return apply("logical_or", x, y) if x.dtype == "bool" else apply("add", x, y)


@function
def subtract(a: Node, b: Node) -> Node:
    """Elementwise ``a - b``."""
    return apply("sub", *together(a, b))


@function
def multiply(a: Node, b: Node) -> Node:
    """Elementwise ``a * b``."""
    x, y = together(a, b)
    return apply("logical_and", x, y) if x.dtype == "bool" else apply("mul", x, y)


@function
def divide(a: Node, b: Node) -> Node:
    """Elementwise true division; integers become floats."""
    dtype = result_dtype(a, b)
    return apply("div", *together(a, b, dtype=dtype if dtype in FLOATS else get_dtype()))


@function
def floor_divide(a: Node, b: Node) -> Node:
    """Elementwise division rounded toward minus infinity."""
    dtype = result_dtype(a, b)
    quotient = apply("div", *together(a, b, dtype=dtype if dtype in FLOATS else "float64"))
    return as_node(apply("floor", quotient), dtype)


@function
def remainder(a: Node, b: Node) -> Node:
    """``a - floor_divide(a, b) * b``: it has the sign of the divisor."""
    x, y = together(a, b)
    return x - floor_divide(x, y) * y


@function
def power(a: Node, b: Node) -> Node:
    """Elementwise ``a ** b``; small whole exponents are multiplied out."""
    if isinstance(b, (int, float)) and b == int(b) and 1 <= b <= 4:
        x = as_node(a, result_dtype(a, b))
        squared = x * x if b > 1 else x
        return {1: x, 2: squared}[b] if b < 3 else squared * (x if b == 3 else squared)
    dtype = result_dtype(a, b)
    if dtype not in FLOATS:  # exact in double precision for all that fits 32 bits
        return as_node(apply("power", *together(a, b, dtype="float64")), dtype)
    if isinstance(b, (int, float)) and b in (0.5, -0.5, -1):
        x = floating(a)
        root = x if b == -1 else apply("sqrt", x)
        return root if b == 0.5 else as_ones(root) / root
    return apply("power", *together(a, b))


def as_ones(x: Node) -> Node:
    return full(1, x.shape, x.dtype)


@function
def maximum(a: Node, b: Node) -> Node:
    """Elementwise larger value; equal operands share the gradient."""
    dtype = result_dtype(a, b)
    return as_node(apply("maximum", *together(a, b, dtype=dtype if dtype in SIGNED else "int32")), dtype)


@function
def minimum(a: Node, b: Node) -> Node:
    """Elementwise smaller value; equal operands share the gradient."""
    dtype = result_dtype(a, b)
    return as_node(apply("minimum", *together(a, b, dtype=dtype if dtype in SIGNED else "int32")), dtype)


@function
def clip(x: Node, low: Node | None = None, high: Node | None = None) -> Node:
    """``x`` kept within [low, high]; a bound left out does not bind. The gradient at a bound is 1, outside 0."""
    given = [v for v in (low, high) if v is not None]
    dtype = result_dtype(x, *given)
    result = as_node(x, dtype)
    if low is not None:
        result, bound = together(result, low, dtype=dtype)
        result = apply("select", apply("less", result, bound), bound, result)
    if high is not None:
        result, bound = together(result, high, dtype=dtype)
        result = apply("select", apply("less", bound, result), bound, result)
    return result


@function
def negative(x: Node) -> Node:
    """Elementwise ``-x``."""
    return apply("neg", signed(x))


@function
def abs(x: Node) -> Node:
    """Elementwise absolute value; the gradient at 0 is 0."""
    return apply("abs", x) if x.dtype in SIGNED else x


@function
def sign(x: Node) -> Node:
    """Elementwise -1, 0 or 1."""
    return apply("sign", signed(x))


@function
def floor(x: Node) -> Node:
    """Elementwise rounding toward minus infinity."""
    return apply("floor", x) if x.dtype in FLOATS else x


@function
def ceil(x: Node) -> Node:
    """Elementwise rounding toward infinity."""
    return -apply("floor", -x) if x.dtype in FLOATS else x


def _elementwise(name: str, text: str) -> Any:
    def body(x: Node) -> Node:
        return apply(name, floating(x))

    body.__name__, body.__doc__ = name, text
    return function(body)


exp = _elementwise("exp", "Elementwise exponential.")
expm1 = _elementwise("expm1", "Elementwise ``exp(x) - 1``, accurate near 0.")
log = _elementwise("log", "Elementwise natural logarithm.")
log1p = _elementwise("log1p", "Elementwise ``log(1 + x)``, accurate near 0.")
sqrt = _elementwise("sqrt", "Elementwise square root.")
tanh = _elementwise("tanh", "Elementwise hyperbolic tangent.")
sigmoid = _elementwise("sigmoid", "Elementwise ``1 / (1 + exp(-x))``, stable for any x.")
erf = _elementwise("erf", "Elementwise Gauss error function.")
sin = _elementwise("sin", "Elementwise sine.")
cos = _elementwise("cos", "Elementwise cosine.")


@function
def rsqrt(x: Node) -> Node:
    """Elementwise ``1 / sqrt(x)``."""
    root = apply("sqrt", floating(x))
    return as_ones(root) / root


@function
def reciprocal(x: Node) -> Node:
    """Elementwise ``1 / x``."""
    x = floating(x)
    return as_ones(x) / x


@function
def square(x: Node) -> Node:
    """Elementwise ``x * x``."""
    return x * x


# --- comparison and choice ----------------------------------------------------------------------------------------


def _numbers(a: Any, b: Any) -> list[Node]:
    dtype = result_dtype(a, b)
    return together(a, b, dtype="int32" if dtype == "bool" else dtype)


@function
def less(a: Node, b: Node) -> Node:
    """Elementwise ``a < b``."""
    return apply("less", *_numbers(a, b))


@function
def less_equal(a: Node, b: Node) -> Node:
    """Elementwise ``a <= b``."""
    return apply("less_equal", *_numbers(a, b))


@function
def greater(a: Node, b: Node) -> Node:
    """Elementwise ``a > b``."""
    return apply("less", *_numbers(a, b)[::-1])


@function
def greater_equal(a: Node, b: Node) -> Node:
    """Elementwise ``a >= b``."""
    return apply("less_equal", *_numbers(a, b)[::-1])


@function
def equal(a: Node, b: Node) -> Node:
    """Elementwise ``a == b``."""
    return apply("equal", *together(a, b))


@function
def not_equal(a: Node, b: Node) -> Node:
    """Elementwise ``a != b``."""
    return apply("logical_not", apply("equal", *together(a, b)))


def truth(x: Any) -> Node:
    """``x`` as bool: what is not 0."""
    if not isinstance(x, Node):
        return constant(bool(x), "bool")
    return x if x.dtype == "bool" else not_equal(x, 0)  # type: ignore[no-any-return]


@function
def logical_and(a: Node, b: Node) -> Node:
    """Elementwise ``a and b``."""
    return apply("logical_and", *together(truth(a), truth(b)))


@function
def logical_or(a: Node, b: Node) -> Node:
    """Elementwise ``a or b``."""
    return apply("logical_or", *together(truth(a), truth(b)))


@function
def logical_not(x: Node) -> Node:
    """Elementwise ``not x``."""
    return apply("logical_not", truth(x))


@function
def where(condition: Node, yes: Node, no: Node) -> Node:
    """``yes`` where the condition holds, else ``no``; the branch not taken gets no gradient."""
    dtype = result_dtype(yes, no)
    test, a, b = truth(condition), as_node(yes, dtype), as_node(no, dtype)
    shape = broadcast_shape(test.shape, a.shape, b.shape)
    return apply("select", expand(test, shape), expand(a, shape), expand(b, shape))


@function
def isnan(x: Node) -> Node:
    """Elementwise: not a number."""
    return apply("logical_not", apply("equal", x, x))


@function
def isfinite(x: Node) -> Node:
    """Elementwise: neither infinite nor nan."""
    return less(abs(x), math.inf)  # type: ignore[no-any-return]


@function
def cast(x: Node, dtype: str) -> Node:
    """``x`` in another dtype; floats become integers toward zero, saturating, nan as 0."""
    return truth(x) if dtype == "bool" else as_node(x, dtype)


@function
def stop_gradient(x: Node) -> Node:
    """``x``, taken as constant by gradients."""
    return apply("stop_gradient", x)


# --- reductions ---------------------------------------------------------------------------------------------------


@function
def sum(x: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """The sum over one axis, several, or all."""
    axes = axes_of(axis, x.ndim)
    x = as_node(x, "int32") if x.dtype in ("bool", "uint8") else x
    return keep(apply("reduce_sum", x, axes=axes), x.shape, axes, keepdims)


@function
def mean(x: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """The mean over one axis, several, or all."""
    axes = axes_of(axis, x.ndim)
    x = floating(x)
    total = sum(x, axes, keepdims)
    return total / expand(count([x.shape[a] for a in axes], x.dtype), total.shape)  # type: ignore[no-any-return]


@function
def var(x: Node, axis: Axes = None, keepdims: bool = False, ddof: int = 0) -> Node:
    """The mean squared distance from the mean, dividing by n - ddof."""
    axes = axes_of(axis, x.ndim)
    centred = subtract(x, mean(x, axes, True))
    if not ddof:
        return mean(centred * centred, axes, keepdims)  # type: ignore[no-any-return]
    n = count([x.shape[a] for a in axes], centred.dtype)
    return divide(sum(centred * centred, axes, keepdims), subtract(n, ddof))  # type: ignore[no-any-return]


@function
def std(x: Node, axis: Axes = None, keepdims: bool = False, ddof: int = 0) -> Node:
    """The square root of `var`."""
    return sqrt(var(x, axis, keepdims, ddof))  # type: ignore[no-any-return]


@function
def max(x: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """The largest value; equal ones share the gradient."""
    axes = axes_of(axis, x.ndim)
    return keep(apply("reduce_max", x, axes=axes), x.shape, axes, keepdims)


@function
def min(x: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """The smallest value; equal ones share the gradient."""
    return as_node(-max(-signed(x), axis, keepdims), x.dtype)


@function
def any(x: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """Whether some element is true."""
    return less(0, max(as_node(truth(x), "int32"), axis, keepdims))  # type: ignore[no-any-return]


@function
def all(x: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """Whether every element is true."""
    return logical_not(any(logical_not(x), axis, keepdims))  # type: ignore[no-any-return]


@function
def argmax(x: Node, axis: int | None = None, keepdims: bool = False) -> Node:
    """The index of the first largest value along an axis, or in the flattened tensor; int32."""
    x = as_node(x, "int32") if x.dtype in ("bool", "uint8") else x
    if axis is None:
        flat = apply("argmax", reshape(x, (-1,)), axis=0)
        return keep(flat, x.shape, range(x.ndim), keepdims)
    axis = axis_of(axis, x.ndim)
    return keep(apply("argmax", x, axis=axis), x.shape, (axis,), keepdims)


@function
def argmin(x: Node, axis: int | None = None, keepdims: bool = False) -> Node:
    """The index of the first smallest value along an axis, or in the flattened tensor; int32."""
    return argmax(-signed(x), axis, keepdims)  # type: ignore[no-any-return]


@function
def logsumexp(x: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """``log(sum(exp(x)))``, stable for any finite x, and minus infinity where all x are."""
    x = floating(x)
    axes = axes_of(axis, x.ndim)
    top = apply("stop_gradient", max(x, axes, True))
    top = where(isfinite(top), top, 0)
    result = log(sum(exp(subtract(x, top)), axes, True)) + top
    return result if keepdims else squeeze(result, axes)  # type: ignore[no-any-return]


@function
def norm(x: Node, axis: Axes = None, keepdims: bool = False, ord: float = 2) -> Node:
    """The p-norm, ``sum(abs(x) ** ord) ** (1 / ord)``, of vectors along the axes."""
    x = floating(x)
    if ord == 2:
        return sqrt(sum(x * x, axis, keepdims))  # type: ignore[no-any-return]
    if ord == 1:
        return sum(abs(x), axis, keepdims)  # type: ignore[no-any-return]
    if ord == math.inf:
        return max(abs(x), axis, keepdims)  # type: ignore[no-any-return]
    return power(sum(power(abs(x), float(ord)), axis, keepdims), 1 / ord)  # type: ignore[no-any-return]


# --- products -----------------------------------------------------------------------------------------------------


def _product(equation: str, a: Node, b: Node) -> Node:
    """`contraction.einsum` in the operands' common dtype; integers go through double precision, exact below 2**53."""
    dtype = result_dtype(a, b)
    if dtype in FLOATS:
        return contraction.einsum(equation, as_node(a, dtype), as_node(b, dtype))
    return as_node(contraction.einsum(equation, as_node(a, "float64"), as_node(b, "float64")), dtype)


def _drop_ones(x: Node, letters: str, kept: str) -> tuple[Node, str]:
    """Without the axes of extent 1, save those of the letters in ``kept``: a product broadcasts over what is absent."""
    here = [i for i, c in enumerate(letters) if x.shape[i] != 1 or c in kept]
    if len(here) == len(letters):
        return x, letters
    return apply("reshape", x, shape=tuple(x.shape[i] for i in here)), "".join(letters[i] for i in here)


@function
def matmul(a: Node, b: Node) -> Node:
    """The matrix product with NumPy's rules: the last two axes are matrices, those before broadcast, 1-D is a vector."""
    if a.ndim == 0 or b.ndim == 0:
        raise GraphError("matmul needs tensors of at least one dimension: write a * b for a scalar")
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise GraphError(f"matmul of {a.shape} and {b.shape}: the last axis of the first must equal the second's rows")
    lead = broadcast_shape(a.shape[:-2], b.shape[:-2])
    batch = "abcdefgh"[: len(lead)]
    left = (batch[len(batch) - a.ndim + 2 :] if a.ndim > 1 else "") + ("mk" if a.ndim > 1 else "k")
    right = (batch[len(batch) - b.ndim + 2 :] if b.ndim > 1 else "") + ("kn" if b.ndim > 1 else "k")
    shape = (*lead, *(a.shape[-2:-1] if a.ndim > 1 else ()), *(b.shape[-1:] if b.ndim > 1 else ()))
    a, left = _drop_ones(a, left, "mk")
    b, right = _drop_ones(b, right, "kn")
    output = "".join(c for c in batch + "mn" if c in left or c in right)
    result = _product(f"{left},{right}->{output}", a, b)
    return result if result.shape == shape else apply("reshape", result, shape=shape)


@function
def einsum(equation: str, a: Node, b: Node | None = None) -> Node:
    """Einstein's summation over one or two operands, for example ``einsum("bik,bkj->bij", a, b)``; no ellipsis."""
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    parts, operands = inputs.split(","), [a] if b is None else [a, b]
    if not arrow:
        output = "".join(sorted(c for c in set(inputs) - {","} if inputs.count(c) == 1))
    for letters, operand in zip(parts, operands, strict=False):
        if len(letters) != operand.ndim or len(set(letters)) != len(letters) or not letters.isalpha() * bool(letters):
            raise GraphError(f"einsum {equation!r}: write one letter, each once, for every axis of {operand.shape}")
    if len(parts) != len(operands) or len(set(output)) != len(output) or not set(output) <= set(inputs):
        raise GraphError(f"einsum {equation!r} does not fit {len(operands)} operands: write for example 'bik,bkj->bij'")
    if b is not None:
        return _product(f"{inputs}->{output}", a, b)
    gone = tuple(i for i, c in enumerate(inputs) if c not in output)
    left = [c for c in inputs if c in output]
    return transpose(sum(a, gone) if gone else a, tuple(left.index(c) for c in output))  # type: ignore[no-any-return]


# --- movement -----------------------------------------------------------------------------------------------------


@function
def reshape(x: Node, shape: tuple[Any, ...]) -> Node:
    """The same elements in another shape; one extent may be -1. Symbols stay whole."""
    dims = [shape] if isinstance(shape, (int, Symbol)) else list(shape)
    if -1 in dims:
        rest = [d for d in dims if d != -1]
        symbols = [d for d in x.shape if isinstance(d, Symbol)]
        for d in rest:
            if isinstance(d, Symbol) and d in symbols:
                symbols.remove(d)
        size = math.prod(d for d in x.shape if not isinstance(d, Symbol))
        known = math.prod(d for d in rest if not isinstance(d, Symbol))
        missing: Any = size // known if known else 0
        if symbols and missing == 1 and size == known:
            missing = symbols[0]
        dims[dims.index(-1)] = missing
    return x if tuple(dims) == x.shape else apply("reshape", x, shape=tuple(dims))


@function
def flatten(x: Node, start_dim: int = 0, end_dim: int = -1) -> Node:
    """The axes from ``start_dim`` to ``end_dim`` made one."""
    if x.ndim == 0:
        return apply("reshape", x, shape=(1,))
    start, end = axis_of(start_dim, x.ndim), axis_of(end_dim, x.ndim)
    return reshape(x, (*x.shape[:start], -1, *x.shape[end + 1 :])) if start < end else x


@function
def transpose(x: Node, axes: tuple[int, ...] | None = None) -> Node:
    """The axes in another order; reversed when left out."""
    order = tuple(reversed(range(x.ndim))) if axes is None else tuple(axis_of(a, x.ndim) for a in axes)
    return x if order == tuple(range(x.ndim)) else apply("transpose", x, axes=order)


permute = transpose


@function
def swapaxes(x: Node, a: int, b: int) -> Node:
    """Two axes exchanged."""
    order = list(range(x.ndim))
    a, b = axis_of(a, x.ndim), axis_of(b, x.ndim)
    order[a], order[b] = b, a
    return apply("transpose", x, axes=tuple(order))


@function
def expand_dims(x: Node, axis: int) -> Node:
    """A new axis of extent 1."""
    at = axis_of(axis, x.ndim + 1)
    return apply("reshape", x, shape=(*x.shape[:at], 1, *x.shape[at:]))


@function
def squeeze(x: Node, axis: Axes = None) -> Node:
    """Without the given axes of extent 1, or without all such."""
    axes = axes_of(axis, x.ndim)
    if axis is not None and [a for a in axes if x.shape[a] != 1]:
        raise GraphError(f"only axes of extent 1 can be squeezed; shape {x.shape}, axis {axis}")
    return apply("reshape", x, shape=tuple(d for i, d in enumerate(x.shape) if not (d == 1 and i in axes)))


@function
def broadcast_to(x: Node, shape: tuple[Any, ...]) -> Node:
    """``x`` repeated by NumPy's rule."""
    return expand(x, shape)


@function
def concatenate(tensors: Sequence[Node], axis: int = 0) -> Node:
    """Tensors joined along an axis that exists."""
    dtype = result_dtype(*tensors)
    nodes = [as_node(t, dtype) for t in tensors]
    return apply("concatenate", *nodes, axis=axis_of(axis, nodes[0].ndim))


@function
def stack(tensors: Sequence[Node], axis: int = 0) -> Node:
    """Tensors of one shape joined along a new axis."""
    return concatenate([expand_dims(t, axis) for t in tensors], axis)  # type: ignore[no-any-return]


def part(x: Node, axis: int, start: int, stop: int, step: int = 1) -> Node:
    return apply("slice", x, ranges=tuple((start, stop, step) if i == axis else None for i in range(x.ndim)))


@function
def split(x: Node, sections: int | tuple[int, ...], axis: int = 0) -> tuple[Node, ...]:
    """Equal parts when ``sections`` is their number, else parts of the given sizes."""
    axis = axis_of(axis, x.ndim)
    extent = x.shape[axis]
    if not isinstance(extent, int):
        raise GraphError(f"axis {axis} of {x.shape} is known only at run time and can't be split")
    sizes = (extent // sections,) * sections if isinstance(sections, int) else sections
    if math.fsum(sizes) != extent:
        raise GraphError(f"an axis of {extent} does not split into {sections}: write sizes that add up to it")
    stops = np.cumsum(sizes).tolist()
    return tuple(part(x, axis, stop - size, stop) for size, stop in zip(sizes, stops, strict=True))


@function
def pad(x: Node, widths: tuple[tuple[int, int], ...], value: float = 0.0) -> Node:
    """Constant values before and after each axis: ``widths`` holds (before, after) for each."""
    return apply("pad", x, constant(value, x.dtype), widths=tuple((a, b, 0) for a, b in widths))


@function
def flip(x: Node, axis: Axes = None) -> Node:
    """The order of elements along the axes reversed."""
    return apply("reverse", x, axes=axes_of(axis, x.ndim))


# --- indexing and making ------------------------------------------------------------------------------------------


@function
def take(x: Node, indices: Node, axis: int = 0) -> Node:
    """The slices of ``x`` along an axis at integer indices; negative ones count from the end, others are clamped."""
    axis = axis_of(axis, x.ndim)
    index = as_node(indices, "int32")
    if isinstance(x.shape[axis], int):
        index = where(less(index, 0), add(index, x.shape[axis]), index)
    if axis == 0:
        return apply("gather", x, index)
    moved = apply("gather", apply("transpose", x, axes=(axis, *(i for i in range(x.ndim) if i != axis))), index)
    order = (*range(index.ndim, index.ndim + axis), *range(index.ndim), *range(index.ndim + axis, moved.ndim))
    return apply("transpose", moved, axes=order)


@function
def one_hot(index: Node, classes: int, dtype: str | None = None, axis: int = -1) -> Node:
    """1 at each index along a new axis, 0 elsewhere; all 0 where the index is out of range."""
    axis = axis_of(axis, index.ndim + 1)
    index = as_node(index, "int32")
    shape = (*index.shape[:axis], classes, *index.shape[axis:])
    line = apply("iota", shape=shape, axis=axis, dtype="int32")
    spread = apply("broadcast", index, shape=shape, axes=tuple(i for i in range(len(shape)) if i != axis))
    return as_node(apply("equal", line, spread), dtype or get_dtype())


@function
def take_along(x: Node, index: Node) -> Node:
    """The entry of each row (last axis) at an integer label: ``x[..., index]``, 0 where the label is out of range.

    Written as a masked sum, which fuses with what is around it and costs no random access backward.
    """
    if x.shape[:-1] != index.shape:
        raise GraphError(f"take_along needs one label for each row of {x.shape}, not labels of shape {index.shape}")
    hit = one_hot(index, x.shape[-1], "bool")
    return apply("reduce_sum", where(hit, x, full(0, x.shape, x.dtype)), axes=(x.ndim - 1,))


@function
def iota(shape: tuple[Any, ...], axis: int = -1, dtype: str = "int32") -> Node:
    """Each element's position along an axis."""
    return apply("iota", shape=tuple(shape), axis=axis_of(axis, len(shape)), dtype=dtype)


@function
def arange(start: float, stop: float | None = None, step: float = 1, dtype: str | None = None) -> Node:
    """``start, start + step, ...`` below ``stop``; from 0 when only one number is given."""
    first, last = (0, start) if stop is None else (start, stop)
    floats = isinstance(first, float) or isinstance(last, float) or isinstance(step, float)
    n = int(np.maximum(0, math.ceil((last - first) / step)))
    line = apply("iota", shape=(n,), axis=0, dtype="int32")
    return as_node(add(multiply(line, step), first), dtype or (get_dtype() if floats else "int32"))


@function
def zeros_like(x: Node, dtype: str | None = None) -> Node:
    """Zeros in the shape of ``x``."""
    return full(0, x.shape, dtype or x.dtype)


@function
def ones_like(x: Node, dtype: str | None = None) -> Node:
    """Ones in the shape of ``x``."""
    return full(1, x.shape, dtype or x.dtype)


@function
def full_like(x: Node, value: float, dtype: str | None = None) -> Node:
    """One value in the shape of ``x``."""
    return full(value, x.shape, dtype or x.dtype)


@function
def index_basic(x: Node, items: tuple[Any, ...]) -> Node:
    """``x[items]`` for whole numbers, ("slice", start, stop, step), None and ...; steps are not 0."""
    items = items if Ellipsis in items else (*items, Ellipsis)
    used = len([i for i in items if i is not None and i is not Ellipsis])
    if used > x.ndim:
        raise GraphError(f"too many indices for shape {x.shape}")
    ranges: list[Any] = []
    shape: list[Any] = []
    backward: list[int] = []
    for item in items:
        axis = len(ranges)
        if item is None:
            shape.append(1)
        elif item is Ellipsis:
            rest = x.shape[axis : axis + x.ndim - used]
            ranges += [None] * len(rest)
            shape += rest
        elif isinstance(item, tuple) and item[1:] == (None, None, None):
            ranges.append(None)
            shape.append(x.shape[axis])
        else:
            extent = x.shape[axis]
            if not isinstance(extent, int):
                raise GraphError(f"axis {axis} of {x.shape} is known only at run time: write ':' for it")
            if isinstance(item, tuple):
                chosen = range(extent)[slice(*item[1:])]
                if chosen.step < 0:
                    backward.append(axis)
                    chosen = chosen[::-1]
                last = chosen[-1] + 1 if len(chosen) else chosen.start
                ranges.append((chosen.start if len(chosen) else 0, last if len(chosen) else 0, chosen.step))
                shape.append(len(chosen))
            else:
                if not -extent <= item < extent:
                    raise IndexError(f"index {item} is outside axis {axis} of {extent}")
                ranges.append((item % extent, item % extent + 1, 1))
    if [r for r in ranges if r is not None]:
        x = apply("slice", x, ranges=tuple(ranges))
    if backward:
        x = apply("reverse", x, axes=tuple(backward))
    return x if x.shape == tuple(shape) else apply("reshape", x, shape=tuple(shape))


from ranvier import methods as methods  # noqa: E402  # gives Tensor its operators and methods

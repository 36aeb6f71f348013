"""Functions of `numeric` under PyTorch's names, with the names that it has for their arguments.

They are taken by NumPy's names too, as in PyTorch: see `ranvier.tensor.function.renamed`.
"""

# the field's names, builtins or not

from __future__ import annotations

from typing import Any

from ranvier.graph.node import FLOATS, GraphError, Node
from ranvier.ops import arrays as n
from ranvier.ops import functional
from ranvier.ops.arrays import elementary
from ranvier.ops.arrays.promotion import as_node, result_dtype
from ranvier.tensor.function import arithmetic, function, renamed

__all__ = [
    "abs", "absolute", "bmm", "ceil", "clamp", "clip", "cos", "diagonal", "div", "divide", "dot", "eq", "erf",
    "exp", "expm1", "flatten", "floor", "floor_divide", "ge", "greater", "greater_equal", "gt", "isfinite",
    "isnan", "le", "less", "less_equal", "log", "log1p", "logical_and", "logical_not", "logical_or",
    "logical_xor", "lt", "matmul", "maximum", "minimum", "mm", "mul", "multiply", "mv", "ne", "neg",
    "negative", "not_equal", "pow", "reciprocal", "relu", "remainder", "rsqrt", "sgn", "sigmoid", "sign",
    "sin", "sqrt", "square", "swapaxes", "swapdims", "tanh", "true_divide",
]  # fmt: skip


def _of_one(*functions: Any) -> list[Any]:
    return [renamed(function, "input") for function in functions]


def _of_two(*functions: Any) -> list[Any]:
    return [renamed(function, "input", "other") for function in functions]


abs, ceil, cos, erf, exp, expm1 = _of_one(n.abs, n.ceil, n.cos, n.erf, n.exp, n.expm1)
floor, isfinite, isnan, log, log1p = _of_one(n.floor, n.isfinite, n.isnan, n.log, n.log1p)
reciprocal, rsqrt, sigmoid, sign, sin = _of_one(n.reciprocal, n.rsqrt, n.sigmoid, n.sign, n.sin)
sqrt, square, tanh, logical_not, negative = _of_one(n.sqrt, n.square, n.tanh, n.logical_not, n.negative)
relu, flatten, diagonal = _of_one(functional.relu, n.flatten, n.diagonal)
absolute, neg, sgn = abs, negative, sign

eq, ne, lt, le, gt, ge = _of_two(n.equal, n.not_equal, n.less, n.less_equal, n.greater, n.greater_equal)
logical_and, logical_or, logical_xor = _of_two(n.logical_and, n.logical_or, n.logical_xor)
maximum, minimum, multiply, remainder = _of_two(n.maximum, n.minimum, n.multiply, n.remainder)
matmul, floor_divide = _of_two(n.matmul, n.floor_divide)
not_equal, less, less_equal, greater, greater_equal, mul = ne, lt, le, gt, ge, multiply

pow = renamed(n.power, "input", "exponent")
mm, mv, dot = (renamed(n.matmul, "input", name) for name in ("mat2", "vec", "tensor"))
clamp = clip = renamed(n.clip, "input", "min", "max")
swapaxes = renamed(n.swapaxes, "input", "axis0", "axis1")
swapdims = renamed(n.swapaxes, "input", "dim0", "dim1")


@function
def bmm(input: Node, mat2: Node) -> Node:
    """The products of the matrices of two batches: (b, n, m), (b, m, p) -> (b, n, p)."""
    if not input.ndim == mat2.ndim == 3:
        raise GraphError(
            f"bmm takes batches of matrices, and here are shapes {input.shape} and {mat2.shape}. Write matmul instead"
        )
    return n.matmul(input, mat2)


@arithmetic
def div(input: Node, other: Node, *, rounding_mode: str | None = None) -> Node:
    """``input / other``; with ``rounding_mode`` "floor" or "trunc" rounded down or toward 0, in the dtype of both."""
    if rounding_mode is None:
        return n.divide(input, other)
    if rounding_mode == "floor":
        return n.floor_divide(input, other)
    if rounding_mode != "trunc":
        raise GraphError(
            f"rounding_mode={rounding_mode!r}. Write 'floor' or 'trunc', or leave it out, instead"
        )
    dtype = result_dtype(input, other)
    x, y = n.together(input, other, dtype=dtype if dtype in FLOATS else "float64")
    return as_node(elementary.trunc(n.divide(x, y)), dtype)


divide = true_divide = div

"""Operators and operations of functional models as expressions of PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ranvier.interop.foreign import refuse
from ranvier.interop.torch.builder import Builder, Value, layer
from ranvier.interop.torch.layer_rows import ACTIVATIONS, along

BINARY = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "true_divide": "/", "power": "**",
    "floor_divide": "//", "remainder": "%", "mod": "%", "less": "<", "less_equal": "<=", "greater": ">",
    "greater_equal": ">=", "equal": "==", "not_equal": "!=",
}  # fmt: skip
UNARY = {
    **{name: f"torch.{name}({{0}})" for name in (
        "abs", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "sin", "cos", "tan", "tanh", "sinh", "cosh", "square",
        "sigmoid", "floor", "ceil", "sign", "erf",
    )},
    "absolute": "torch.abs({0})", "negative": "-{0}", "reciprocal": "1 / {0}",
}  # fmt: skip
REDUCED = {"mean": "mean", "sum": "sum", "max": "amax", "min": "amin"}
OTHERS: dict[str, Callable[..., Value]] = {}
"""By name, what adds an operation to a network; its arguments are those of `ranvier.ops`."""


@layer("Operation")
def operation(b: Builder, m: Any, *operands: Any, **options: Any) -> Value:
    """An operation by its name. One whose arguments a row does not take is refused."""
    name, x = m.operation, operands[0]
    if name in BINARY and len(operands) == 2:
        return _binary(b, BINARY[name], operands)
    try:
        if name in REDUCED:
            return _reduced(b, REDUCED[name], *operands, **options)
        if name in OTHERS:
            return OTHERS[name](b, *operands, **options)
    except TypeError:
        raise refuse(f"the operation {name!r} is called with arguments that have no counterpart") from None
    if name in UNARY and len(operands) == 1 and not options:
        return b.apply(UNARY[name], x, wraps=True, first=x.first, order=x.order, flattened=x.flattened)
    if name in ACTIVATIONS and len(operands) == 1 and not options:
        return along(b, *ACTIVATIONS[name], x)
    raise refuse(f"the operation {name!r} has no counterpart")


def _binary(b: Builder, symbol: str, operands: Sequence[Any]) -> Value:
    kept = b.alike([v for v in operands if isinstance(v, Value)])
    places = iter(range(len(kept)))
    one, other = (f"{{{next(places)}}}" if isinstance(v, Value) else _number(v) for v in operands)
    return b.apply(f"{one} {symbol} {other}", *kept, first=kept[0].first)


def _number(value: Any) -> str:
    if isinstance(value, (bool, int, float)):
        return repr(value) if value >= 0 else f"({value!r})"
    raise refuse("it takes an array")


def _reduced(b: Builder, method: str, x: Value, axis: Any, keepdims: bool = False) -> Value:
    places = tuple(axis) if isinstance(axis, (list, tuple)) else int(axis)
    return b.apply(f"{{0}}.{method}({places}{', keepdim=True' if keepdims else ''})", b.logical(x))


def _row(function: Any) -> Any:
    OTHERS[function.__name__] = function
    return function


@_row
def expand_dims(b: Builder, x: Value, axis: int) -> Value:
    return b.apply(f"{{0}}.unsqueeze({int(axis)})", b.logical(x), dtype=x.dtype)


@_row
def squeeze(b: Builder, x: Value, axis: int) -> Value:
    return b.apply(f"{{0}}.squeeze({int(axis)})", b.logical(x), dtype=x.dtype)


@_row
def reshape(b: Builder, x: Value, newshape: Any) -> Value:
    if None in b.shape[1:]:
        raise refuse("its output has sizes that are not known")
    return b.apply(f"{{0}}.reshape({', '.join(map(str, (-1, *b.shape[1:])))})", b.logical(x), dtype=x.dtype)


@_row
def transpose(b: Builder, x: Value, axes: Any) -> Value:
    return b.apply(f"{{0}}.permute({', '.join(map(str, axes))})", b.logical(x), dtype=x.dtype)


@_row
def concatenate(b: Builder, xs: Sequence[Value], axis: int = 0) -> Value:
    values = [b.logical(v) for v in xs]
    return b.apply(f"torch.cat([{', '.join(f'{{{i}}}' for i in range(len(values)))}], dim={axis})", *values)


@_row
def clip(b: Builder, x: Value, x_min: float, x_max: float) -> Value:
    return b.apply(f"{{0}}.clamp({float(x_min)}, {float(x_max)})", x, first=x.first)


@_row
def matmul(b: Builder, x1: Value, x2: Value) -> Value:
    return b.apply("{0} @ {1}", b.logical(x1), b.logical(x2))


@layer("GetItem")
def get_item(b: Builder, m: Any, x: Value) -> Value:
    def text(item: Any) -> str:
        if isinstance(item, slice):
            parts = [item.start, item.stop] + ([item.step] if item.step not in (None, 1) else [])
            if item.step is not None and item.step < 0:
                raise refuse("it goes backwards through an axis")
            return ":".join("" if part is None else str(part) for part in parts)
        return "..." if item is ... else str(item)

    return b.apply(f"{{0}}[{', '.join(map(text, m.index))}]", b.logical(x), dtype=x.dtype)

"""Primitives as operators of ONNX: for each a function that adds them to a graph."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ranvier.graph.dtypes import FLOATS
from ranvier.graph.extents import Extent
from ranvier.graph.node import Node
from ranvier.graph.open_extents import OpenExtent
from ranvier.interop.foreign import refuse
from ranvier.interop.onnx.lowering import ROWS, WIDER, Form, Lowering, row

FARTHEST = np.iinfo(np.int64).max


# --- sources ------------------------------------------------------------------------------------------------------


def _number(low: Lowering, node: Node, value: float) -> str:
    """A constant number of a node's element type."""
    return low.b.constant(np.asarray(value, node.dtype), "number")


@row("constant")
def constant(low: Lowering, node: Node) -> str:
    return low.b.constant(node.attrs["value"], "constant")


@row("iota")
def iota(low: Lowering, node: Node) -> Form:
    axis = node.attrs["axis"]
    extent, rank = node.shape[axis], node.ndim - axis
    thin = frozenset(range(node.ndim)) - {axis}
    if not isinstance(extent, (Extent, OpenExtent)):
        places = np.arange(extent).astype(node.dtype).reshape(-1, *[1] * (rank - 1))
        return Form(low.b.constant(places, "places"), rank, thin)
    return Form(low.cast(low.line(extent, rank - 1), node.dtype), rank, thin)


@row("extent")
def extent_number(low: Lowering, node: Node) -> str:
    found = ""
    for symbol in node.attrs["symbols"]:
        number = low.scalar(symbol, node.dtype)
        found = low.b.op("Mul", found, number) if found else number
    return found or _number(low, node, 1)


# --- elementwise --------------------------------------------------------------------------------------------------

OPERATORS = {
    "neg": "Neg", "abs": "Abs", "sign": "Sign", "floor": "Floor", "exp": "Exp", "log": "Log", "sqrt": "Sqrt",
    "tanh": "Tanh", "sigmoid": "Sigmoid", "erf": "Erf", "sin": "Sin", "cos": "Cos", "relu": "Relu", "add": "Add",
    "sub": "Sub", "mul": "Mul", "div": "Div", "power": "Pow", "maximum": "Max", "minimum": "Min", "less": "Less",
    "less_equal": "LessOrEqual", "equal": "Equal", "logical_and": "And", "logical_or": "Or", "logical_not": "Not",
}  # fmt: skip
"""The operators that are a primitive each."""


def _one(low: Lowering, node: Node) -> Form:
    return low.together(node, low.operate(OPERATORS[node.op.name], node, *low.names(node)))


ROWS.update(dict.fromkeys(OPERATORS, _one))


@row("stop_gradient", "check", "layout")
def same(low: Lowering, node: Node) -> Form:
    return low.form(node.inputs[0])


@row("cast")
def cast(low: Lowering, node: Node) -> Form:
    return low.together(node, low.cast(low.names(node)[0], node.dtype))


@row("expm1")
def expm1(low: Lowering, node: Node) -> Form:
    """``tanh(x / 2) * (exp(x) + 1)``, which is exact near zero too."""
    (x,), b = low.names(node), low.b
    half = b.op("Tanh", b.op("Mul", x, _number(low, node, 0.5)))
    return low.together(node, b.op("Mul", half, b.op("Add", b.op("Exp", x), _number(low, node, 1))))


@row("log1p")
def log1p(low: Lowering, node: Node) -> Form:
    """``2 * atanh(x / (x + 2))`` near zero."""
    (x,), b = low.names(node), low.b
    near = b.op("Less", b.op("Abs", x), _number(low, node, 0.5))
    ratio = b.op("Div", x, b.op("Add", x, _number(low, node, 2)))
    small = b.op("Mul", b.op("Atanh", ratio), _number(low, node, 2))
    large = b.op("Log", b.op("Add", x, _number(low, node, 1)))
    return low.together(node, b.op("Where", near, small, large))


@row("quotient")
def quotient(low: Lowering, node: Node) -> Form:
    """Whole quotients toward minus infinity; the operator's are toward zero, and undefined for a division by zero."""
    b, dtype = low.b, WIDER.get(node.dtype, node.dtype)
    x, y = (low.cast(name, dtype) for name in low.names(node))
    zero, one = (b.constant(np.asarray(n, dtype), "number") for n in (0, 1))
    none = b.op("Equal", y, zero)
    y = b.op("Where", none, one, y)
    q = b.op("Div", x, y)
    rest = b.op("Sub", x, b.op("Mul", q, y))
    below = b.op(
        "And", b.op("Not", b.op("Equal", rest, zero)), b.op("Xor", b.op("Less", rest, zero), b.op("Less", y, zero))
    )
    result = b.op("Where", none, zero, b.op("Where", below, b.op("Sub", q, one), q))
    return low.together(node, low.cast(result, node.dtype))


@row("select")
def select(low: Lowering, node: Node) -> Form:
    condition, yes, no = low.names(node)
    dtype = {**WIDER, "bool": "uint8"}.get(node.dtype)
    if dtype is None:
        return low.together(node, low.b.op("Where", condition, yes, no))
    chosen = low.b.op("Where", condition, low.cast(yes, dtype), low.cast(no, dtype))
    return low.together(node, low.cast(chosen, node.dtype))


# --- reductions ---------------------------------------------------------------------------------------------------


@row("reduce_sum", "reduce_max")
def reduce(low: Lowering, node: Node) -> str:
    kind = "ReduceSum" if node.op.name == "reduce_sum" else "ReduceMax"
    x, axes = low.full(node.inputs[0]), low.b.axes(*node.attrs["axes"])
    if not node.attrs["axes"]:
        return x
    pooled = _pooled(low, node)
    if pooled is not None:
        return pooled
    if node.dtype == "bool":  # whether any holds
        return low.cast(low.b.op("ReduceMax", low.cast(x, "int32"), axes, keepdims=0), "bool")
    wider = WIDER.get(node.dtype)
    if wider is None:
        return low.b.op(kind, x, axes, keepdims=0)
    return low.cast(low.b.op(kind, low.cast(x, wider), axes, keepdims=0), node.dtype)


@row("argmax")
def argmax(low: Lowering, node: Node) -> str:
    operand = node.inputs[0]
    wider = {**WIDER, "bool": "int32"}.get(operand.dtype)
    x = low.full(operand) if wider is None else low.cast(low.full(operand), wider)
    return low.cast(low.b.op("ArgMax", x, axis=node.attrs["axis"], keepdims=0), node.dtype)


# --- movement -----------------------------------------------------------------------------------------------------


@row("reshape")
def reshape(low: Lowering, node: Node) -> str:
    x, shape = node.inputs[0], node.shape
    open_ = [i for i, n in enumerate(shape) if isinstance(n, (Extent, OpenExtent))]
    kept = [i for i in open_ if i < x.ndim and x.shape[i] == shape[i]] if len(open_) > 1 else []
    rest = [i for i in open_ if i not in kept]
    if len(rest) > 1 or 0 in shape:
        return low.b.op("Reshape", low.full(x), low.shape(shape), allowzero=1)
    dims = [0 if i in kept else -1 if i in rest else n for i, n in enumerate(shape)]  # 0: the operand's extent there
    return low.b.op("Reshape", low.full(x), low.b.axes(*dims, base="shape"))


@row("transpose")
def transpose(low: Lowering, node: Node) -> str:
    return low.b.transpose(low.full(node.inputs[0]), tuple(node.attrs["axes"]))


@row("broadcast")
def broadcast(low: Lowering, node: Node) -> Form:
    operand, axes = node.inputs[0], node.attrs["axes"]
    form = low.form(operand)
    places = [axes[a] for a in range(operand.ndim - form.rank, operand.ndim)]  # of the axes that are there
    thin = frozenset(range(node.ndim)) - (frozenset(axes) - {axes[a] for a in form.thin})
    start = places[0] if places else node.ndim
    missing = [axis - start for axis in range(start, node.ndim) if axis not in places]
    name = low.b.op("Unsqueeze", form.name, low.b.axes(*missing)) if missing else form.name
    return Form(name, node.ndim - start, thin)


@row("slice")
def slice_(low: Lowering, node: Node) -> str:
    cuts = [(*part, axis) for axis, part in enumerate(node.attrs["ranges"]) if part is not None]
    starts, stops, steps, axes = zip(*cuts, strict=True)
    given = (
        low.b.axes(*map(int, part), base=base)
        for part, base in ((starts, "starts"), (stops, "ends"), (axes, "axes"), (steps, "steps"))
    )
    return low.b.op("Slice", low.full(node.inputs[0]), *given)


@row("reverse")
def reverse(low: Lowering, node: Node) -> str:
    axes = node.attrs["axes"]
    parts = ((-1, "starts"), (-FARTHEST, "ends"))
    given = [low.b.axes(*[n] * len(axes), base=base) for n, base in parts]
    steps = low.b.axes(*[-1] * len(axes), base="steps")
    return low.b.op("Slice", low.full(node.inputs[0]), *given, low.b.axes(*axes), steps)


@row("windows")
def windows(low: Lowering, node: Node) -> str:
    """Elements by their places: those of all windows along an axis."""
    name = low.full(node.inputs[0])
    for shift, (axis, size, stride, dilation) in enumerate(node.attrs["axes"]):
        count = node.shape[axis + shift]
        if isinstance(count, OpenExtent):
            raise refuse("windows along an axis of any extent")
        places = np.arange(count)[:, None] * stride + np.arange(size) * dilation
        name = low.b.op("Gather", name, low.b.constant(places.astype(np.int64), "places"), axis=axis + shift)
    return name


def _pooled(low: Lowering, node: Node) -> str | None:
    """A reduction of the windows along all but two axes, which is a pooling; None for others."""
    b, operand, axes = low.b, node.inputs[0], node.attrs["axes"]
    if operand.op.name != "windows" or node.dtype not in FLOATS:
        return None
    x, parts = operand.inputs[0], operand.attrs["axes"]
    inner = tuple(axis + shift + 1 for shift, (axis, *_) in enumerate(parts))
    spread = any(dilation > 1 for *_, dilation in parts)
    if axes != inner or x.ndim != len(parts) + 2 or (spread and node.op.name == "reduce_sum"):
        return None
    slid = [axis for axis, *_ in parts]
    order = (*(axis for axis in range(x.ndim) if axis not in slid), *slid)
    options: dict[str, Any] = {"kernel_shape": [p[1] for p in parts], "strides": [p[2] for p in parts]}
    given = b.transpose(low.full(x), order)
    if node.op.name == "reduce_max":
        y = b.op("MaxPool", given, dilations=[p[3] for p in parts], **options)
    else:
        count = math.prod(options["kernel_shape"])
        y = b.op("Mul", b.op("AveragePool", given, **options), _number(low, node, count))
    return b.transpose(y, tuple(int(n) for n in np.argsort(order)))


@row("pad")
def pad(low: Lowering, node: Node) -> str:
    (operand, value), widths = node.inputs, node.attrs["widths"]
    wider = {"bool": "uint8", "int16": "int32", "uint16": "int32"}.get(node.dtype)
    name, fill = low.full(operand), low.form(value).name
    if wider is not None:
        name, fill = low.cast(name, wider), low.cast(fill, wider)
    shape = list(operand.shape)
    for axis, (_, _, between) in enumerate(widths):
        if between:
            name = _spread(low, name, shape, axis, between, fill)
    if any(before or after for before, after, _ in widths):
        ends = [*(w[0] for w in widths), *(w[1] for w in widths)]
        name = low.b.op("Pad", name, low.b.axes(*map(int, ends), base="pads"), fill)
    return name if wider is None else low.cast(name, node.dtype)


def _spread(low: Lowering, name: str, shape: list[Any], axis: int, between: int, fill: str) -> str:
    """The value with so many of ``fill`` between the elements of an axis: they are in an axis of their own first."""
    b, n, rank = low.b, shape[axis], len(shape) + 1
    if isinstance(n, (Extent, OpenExtent)):
        raise refuse("elements are put between others along an axis of any extent")
    ends = [0] * (2 * rank)
    ends[rank + axis + 1] = between
    grown = b.op("Pad", b.op("Unsqueeze", name, b.axes(axis + 1)), b.axes(*ends, base="pads"), fill)
    grown = b.op("Reshape", grown, low.shape([*shape[:axis], n * (between + 1), *shape[axis + 1 :]]))
    shape[axis] = max(0, n * (between + 1) - between)
    cuts = (b.axes(k, base=base) for k, base in ((0, "starts"), (shape[axis], "ends"), (axis, "axes")))
    return b.op("Slice", grown, *cuts)


@row("concatenate")
def concatenate(low: Lowering, node: Node) -> str:
    return low.b.op("Concat", *map(low.full, node.inputs), axis=node.attrs["axis"])

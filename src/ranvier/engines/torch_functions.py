"""What PyTorch has one function for, and the graph some operations: pools, gradients of relu, and normalizations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import torch

from ranvier.engines import torch_normalization as normalization
from ranvier.engines.pools import operands_of, own_primitive, with_pools
from ranvier.engines.torch_normalization import with_normalization
from ranvier.graph.dtypes import FLOATS
from ranvier.graph.graph import Graph
from ranvier.graph.node import Node, Primitive
from ranvier.graph.simplify import scalar_of
from ranvier.graph.tiny import snapped_of

Array = Any

RELU_GRADIENT = own_primitive("relu_gradient")
"""A gradient where the values of a relu are above zero, else zero."""


SIGMOID_GRADIENT, TANH_GRADIENT = own_primitive("sigmoid_gradient"), own_primitive("tanh_gradient")
"""Gradients, given the values of the function."""


def with_functions(graph: Graph) -> Graph:
    """Pools of maxima, gradients of activations and normalizations of batches are PyTorch's."""

    def change(node: Node, old: Node) -> Node:
        if node.op.name == "select" and (hidden := _relu_of(node)) is not None:
            return Node(RELU_GRADIENT, (node.inputs[1], hidden), {"type": node.type}, node.type)
        if node.op.name == "select" and (whole := snapped_of(node)) is not None and whole.op is SIGMOID_GRADIENT:
            return whole  # PyTorch's makes no tiny numbers zeros
        if node.op.name == "mul" and (found := _slope_of(node)) is not None:
            op, *operands = found
            return Node(op, tuple(operands), {"type": node.type}, node.type)
        return node

    return with_normalization(with_pools(graph).changed(change))


def _slope_of(node: Node) -> tuple[Primitive, Node, Node] | None:
    """The gradient and the values in g * (y * (1 - y)) or g * (1 - y * y)."""
    if node.dtype not in FLOATS:
        return None
    for g, slope in (node.inputs, node.inputs[::-1]):
        for y, rest in (operands_of(slope, "mul"), operands_of(slope, "mul")[::-1]):
            one, again = operands_of(rest, "sub")
            if one is not None and again is y and scalar_of(one) == 1:
                return SIGMOID_GRADIENT, g, y
        one, square = operands_of(slope, "sub")
        y, again = operands_of(square, "mul")
        if y is not None and y is again and scalar_of(one) == 1:
            return TANH_GRADIENT, g, y
    return None


def _relu_of(node: Node) -> Node | None:
    """The values of a relu, where this is a gradient that goes where they are above zero."""
    condition, g, zero = node.inputs
    low, hidden = operands_of(condition, "less")
    if low is None or hidden.op.name != "relu" or scalar_of(low) != 0 or scalar_of(zero) != 0:
        return None
    return hidden if hidden.type == g.type == node.type else None


def _options(attrs: dict[str, Any]) -> tuple[Any, ...]:
    return attrs["sizes"], attrs["strides"], (0, 0), attrs["dilations"], False


def _channels_first(x: Array, attrs: dict[str, Any]) -> Array:
    return x if attrs["first"] == 2 else x.permute(0, 3, 1, 2)


def _back(x: Array, attrs: dict[str, Any]) -> Array:
    return x if attrs["first"] == 2 else x.permute(0, 2, 3, 1)


def max_pool(a: Sequence[Array], s: Any, e: Any, call: Any = None) -> tuple[Array, Array]:
    call = call or torch.ops.aten.max_pool2d_with_indices
    found, places = call(_channels_first(a[0], s), *_options(s))
    return _back(found, s), _back(places, s)


def max_unpool(a: Sequence[Array], s: Any, e: Any, call: Any = None) -> Array:
    g, places = (_channels_first(x, s) for x in a)
    sides = s["images"][s["first"] : s["first"] + 2]
    found = (call or spread)(g, places, sides, s["first"] == 1, *_options(s))
    rows, columns = (s["type"].shape[s["first"] + i] for i in (0, 1))
    return _back(found[:, :, :rows, :columns], s)


def spread(g: Array, places: Array, sides: Sequence[int], is_last: bool, *options: Any) -> Array:
    """PyTorch's gradient of a pool, which wants of the images their shape and order alone."""
    order = torch.channels_last if is_last else torch.contiguous_format
    images = torch.empty((*g.shape[:2], *sides), dtype=g.dtype, device=g.device, memory_format=order)
    return torch.ops.aten.max_pool2d_with_indices_backward(g, images, *options, places)


def relu_gradient(a: Sequence[Array], s: Any, e: Any) -> Array:
    return torch.ops.aten.threshold_backward(a[0], a[1], 0)


KERNELS: dict[str, Any] = {"max_pool": max_pool, "max_unpool": max_unpool, **normalization.ROWS}
ROWS: dict[str, Any] = {
    **KERNELS,
    "relu_gradient": relu_gradient,
    "sigmoid_gradient": lambda a, s, e: torch.ops.aten.sigmoid_backward(*a),
    "tanh_gradient": lambda a, s, e: torch.ops.aten.tanh_backward(*a),
}


@cache
def traced_rows() -> dict[str, Any]:
    """The same rows for torch.compile, whose own loops for them take several times as long on a processor: it sees
    operations that it does not know.
    """
    options = "int[] sizes, int[] strides, int[] padding, int[] dilations, bool ceil"
    functions = {
        "max_pool": (torch.ops.aten.max_pool2d_with_indices, f"(Tensor x, {options}) -> (Tensor, Tensor)"),
        "max_unpool": (spread, f"(Tensor g, Tensor places, int[] sides, bool is_last, {options}) -> Tensor"),
        **normalization.FUNCTIONS,
    }  # fmt: skip
    rows = {}
    for name, (function, schema) in functions.items():
        own = torch.library.custom_op(f"ranvier::{name}", function, mutates_args=(), schema=schema)
        own.register_fake(function)
        rows[name] = partial(KERNELS[name], call=own)
    return rows

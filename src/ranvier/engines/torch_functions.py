"""What PyTorch has one function for, and the graph some operations: pools of maxima with their gradients, and relu's.
Normalizations of batches are in `torch_normalization`.

In the graph, a gradient that goes to the first maximum of a window is ten operations on all its elements, which PyTorch
would run one after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import torch

from ranvier.engines import torch_normalization as normalization
from ranvier.engines.torch_normalization import own_primitive, with_normalization
from ranvier.graph.dtypes import FLOATS
from ranvier.graph.graph import Graph
from ranvier.graph.node import PRIMITIVES, Node, Type
from ranvier.graph.simplify import scalar_of

Array = Any


POOL = own_primitive("max_pool")
"""The maxima of windows of images, and their places: two results."""
UNPOOL = own_primitive("max_unpool")
"""The gradient (of the maxima, their places) by the images."""

RELU_GRADIENT = own_primitive("relu_gradient")
"""A gradient where the values of a relu are above zero, else zero."""


def with_functions(graph: Graph) -> Graph:
    """Maxima of windows of images, whose channels are first or last, are PyTorch's, and so are gradients of relu and
    normalizations of batches.
    """

    def change(node: Node, old: Node) -> Node:
        if node.op.name == "select" and (hidden := _relu_of(node)) is not None:
            return Node(RELU_GRADIENT, (node.inputs[1], hidden), {"type": node.type}, node.type)
        if node.op.name == "reduce_max" and (attrs := _pool_of(node)) is not None:
            pool = Node(POOL, node.inputs[0].inputs, {**attrs, "type": node.type}, node.type)
            return _result(pool, 0, node.type)
        if node.op.name == "reshape" and (found := _gradient_of(node)) is not None:
            g, pool = found
            places = _result(pool, 1, Type(pool.shape, "int64"))
            return Node(UNPOOL, (g, places), {**pool.attrs, "type": node.type}, node.type)
        if node.op.name == "pad" and (whole := node.inputs[0]).op is UNPOOL and node.shape == whole.attrs["images"]:
            widths = node.attrs["widths"]  # what no window covers has no gradient
            if scalar_of(node.inputs[1]) == 0 and not any(low or between for low, _, between in widths):
                return Node(UNPOOL, whole.inputs, {**whole.attrs, "type": node.type}, node.type)
        return node

    return with_normalization(graph.changed(change))


def _result(pool: Node, index: int, type_: Type) -> Node:
    return Node(PRIMITIVES["result"], (pool,), {"index": index}, type_)


def _relu_of(node: Node) -> Node | None:
    """The values of a relu, where this is a gradient that goes where they are above zero."""
    condition, g, zero = node.inputs
    low, hidden = _operands(condition, "less")
    if low is None or hidden.op.name != "relu" or scalar_of(low) != 0 or scalar_of(zero) != 0:
        return None
    return hidden if hidden.type == g.type == node.type else None


def _pool_of(node: Node) -> dict[str, Any] | None:
    """The windows of a maximum that PyTorch has; None of another."""
    (windows,), axes = node.inputs, node.attrs["axes"]
    if windows.op.name != "windows" or not node.attrs.get("first") or node.dtype not in FLOATS:
        return None
    images, along = windows.inputs[0], windows.attrs["axes"]
    first = along[0][0]
    if [axis for axis, *_ in along] != [first, first + 1] or images.ndim != 4 or first not in (1, 2):
        return None
    if axes != (first + 1, first + 3):
        return None
    sizes, strides, dilations = zip(*(rest for _, *rest in along), strict=True)
    return {"images": images.shape, "first": first, "sizes": sizes, "strides": strides, "dilations": dilations}


def _gradient_of(node: Node) -> tuple[Node, Node] | None:
    """The gradient of the maxima, and the pool, where this is its gradient by what its windows cover; see
    `ranvier.graph.derivatives`.
    """
    chosen, spread, zero = _operands(node.inputs[0], "select")
    places, earliest = _operands(chosen, "equal")
    (first,) = _operands(earliest, "broadcast")
    (candidates,) = _operands(first, "reduce_max")
    hit, again, _ = _operands(candidates, "select")
    windows, most = _operands(hit, "equal")
    (maximum,) = _operands(most, "broadcast")
    (pool,) = _operands(maximum, "result")
    (g,) = _operands(spread, "broadcast")
    if pool is None or pool.op is not POOL or g is None or again is not places or scalar_of(zero) != 0:
        return None
    attrs, images = pool.attrs, pool.inputs[0]
    axes = (attrs["first"] + 1, attrs["first"] + 3)
    kept = tuple(axis for axis in range(6) if axis not in axes)
    covered = list(images.shape)
    for axis, size in enumerate(attrs["sizes"], attrs["first"]):
        covered[axis] = images.shape[axis] // size * size
    is_side_by_side = attrs["sizes"] == attrs["strides"] and attrs["dilations"] == (1, 1)
    if not is_side_by_side or node.shape != tuple(covered) or g.type != pool.type:
        return None
    if windows.op.name != "windows" or windows.inputs[0] is not images or first.attrs["axes"] != axes:
        return None
    return (g, pool) if spread.attrs["axes"] == most.attrs["axes"] == earliest.attrs["axes"] == kept else None


NOTHING = (None, None, None)


def _operands(node: Any, name: str) -> Any:
    """The operands of a node of this primitive; as many times None of another."""
    counts = {"select": 3, "equal": 2, "less": 2}
    if node is None or node.op.name != name:
        return NOTHING[: counts.get(name, 1)]
    return node.inputs


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
ROWS: dict[str, Any] = {**KERNELS, "relu_gradient": relu_gradient}


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

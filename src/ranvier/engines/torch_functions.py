"""What PyTorch has one function for, and the graph some operations: pools, slopes, normalizations and LSTM."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import torch

from ranvier.engines import torch_lstm as lstm
from ranvier.engines import torch_normalization as normalization
from ranvier.engines.pools import with_pools
from ranvier.engines.torch_normalization import with_normalization
from ranvier.engines.torch_recurrence import with_recurrence
from ranvier.engines.torch_slopes import with_slopes
from ranvier.graph.graph import Graph

Array = Any


def with_functions(graph: Graph, has_recurrence: bool = False) -> Graph:
    """Pools of maxima, gradients of activations and normalizations of batches are PyTorch's, and with
    ``has_recurrence`` so are loops that are layers of recurrent cells.
    """
    found = with_slopes(with_pools(graph))
    return with_normalization(with_recurrence(found) if has_recurrence else found)


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


KERNELS: dict[str, Any] = {"max_pool": max_pool, "max_unpool": max_unpool, **normalization.ROWS, **lstm.ROWS}
ROWS: dict[str, Any] = {
    **KERNELS,
    "relu_gradient": relu_gradient,
    "sigmoid_gradient": lambda a, s, e: torch.ops.aten.sigmoid_backward(*a),
    "tanh_gradient": lambda a, s, e: torch.ops.aten.tanh_backward(*a),
}


_own = torch.library.Library("ranvier", "FRAGMENT")


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
        **lstm.FUNCTIONS,
    }  # fmt: skip
    rows = {}
    for name, (function, schema, *like) in functions.items():
        _own.define(f"{name}{schema}")
        _own.impl(name, function, "CPU")
        torch.library.register_fake(f"ranvier::{name}", like[0] if like else function, lib=_own)
        rows[name] = partial(KERNELS[name], call=getattr(torch.ops.ranvier, name).default)
    return rows

"""Rows of a table at indices, and bags of them, with PyTorch's arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.graph.dtypes import FLOATING
from ranvier.graph.node import Node, apply
from ranvier.ops import arrays, functional
from ranvier.ops.arrays.promotion import index_node
from ranvier.ops.functional.label_checks import in_range
from ranvier.tensor.context import no_grad
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import state

_NO_INDEX = frozenset((*FLOATING, "bool"))
MODES = ("sum", "mean", "max")


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """The rows of ``weight`` at integer indices of any shape; the row ``padding_idx`` gets no gradient.

    Rows that are used and have a ``norm_type``-norm above ``max_norm`` are scaled down to it, in the weight too. With
    ``scale_grad_by_freq`` the gradient of a row is divided by how often its index occurs. ``sparse`` changes nothing: a
    gradient has all rows. Raises IndexError for an index that is no row, and RuntimeError for floats and truth values;
    of what a model is traced with, which is float where its shape alone is given, neither.
    """
    input, rows = _indices(input, weight)
    chosen = _rows(input, weight, max_norm, norm_type, scale_grad_by_freq)
    if padding_idx is None:
        return chosen
    padding = arrays.expand_dims(arrays.equal(input, padding_idx % rows), -1)
    return arrays.where(padding, arrays.stop_gradient(chosen), chosen)


def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """The sum, mean or largest elements (``mode``) of the rows of ``weight`` in each bag of indices: (bags, features).

    ``input`` is (bags, indices), or a vector whose bags start at ``offsets``; with ``include_last_offset`` the last of
    these is the end. Indices of ``padding_idx`` are left out, and an empty bag is zeros. ``per_sample_weights``, of the
    shape of input, multiply the rows of a sum. For the other arguments see `embedding`.
    """
    if mode not in MODES:
        raise ValueError(f"mode={mode!r} is unknown. Write one of {', '.join(map(repr, MODES))} instead.")
    if mode == "max" and (scale_grad_by_freq or sparse):
        raise ValueError("mode='max' goes with neither scale_grad_by_freq nor sparse. Leave them out.")
    if per_sample_weights is not None:
        if mode != "sum":
            raise NotImplementedError(f"per_sample_weights go with mode='sum', and mode is {mode!r}. Write 'sum'.")
        if tuple(per_sample_weights.shape) != tuple(np.shape(input)):
            raise ValueError(
                f"per_sample_weights have shape {tuple(per_sample_weights.shape)} and input {tuple(np.shape(input))}. "
                "Write a weight for each index."
            )
    input, rows = _indices(input, weight)
    if (input.ndim, offsets is None) not in ((2, True), (1, False)):
        raise ValueError(
            f"input has {input.ndim} dimensions, and offsets {'are missing' if offsets is None else 'are given'}. "
            "Write indices of shape (bags, indices), or a vector of indices and the offsets where bags start."
        )
    chosen = _rows(input, weight, max_norm, norm_type, scale_grad_by_freq)
    if per_sample_weights is not None:
        chosen = arrays.multiply(chosen, arrays.expand_dims(per_sample_weights, -1))
    kept = arrays.full_like(input, True, "bool")
    if padding_idx is not None:
        kept = arrays.not_equal(input, padding_idx % rows)
    if offsets is None:
        return _reduced(chosen, kept, mode=mode)
    offsets = _checked(offsets if isinstance(offsets, Tensor) else Tensor(offsets), input.shape[0], include_last_offset)
    return _reduced_at(chosen, kept, offsets, mode=mode, bags=offsets.shape[0] - include_last_offset)


def _indices(input: Any, weight: Any) -> tuple[Any, Any]:
    """The indices, of which each is a row of the weight, and the number of rows."""
    if weight.ndim != 2:
        raise ValueError(f"a weight of shape {weight.shape}. Write (rows, features) instead.")
    traced = isinstance(input, Tensor) and input._value is None and state.tracing  # a network's input may be floats
    if isinstance(input, Tensor) and input.dtype in _NO_INDEX and not traced:
        raise RuntimeError(
            f"an embedding takes whole numbers, and here is {input.dtype}. Write x.long(), or indices of whole "
            "numbers, instead."
        )
    rows = weight.shape[0]
    found = in_range(input, "row", rows)
    return found if isinstance(found, Tensor) else Tensor(found), rows


def _rows(input: Any, weight: Any, max_norm: float | None, norm_type: float, by_frequency: bool) -> Any:
    """The rows at the indices, with norms of at most ``max_norm``, and gradients divided by their frequency."""
    if max_norm is not None:
        with no_grad():
            weight.assign(_renormed(input, weight, limit=float(max_norm), p=float(norm_type)))
    chosen = functional.embedding(input, weight)
    return _by_frequency(input, chosen, rows=weight.shape[0]) if by_frequency else chosen


@function
def _renormed(input: Node, weight: Node, limit: float, p: float) -> Node:
    """The weight after the rows that are used were scaled down to a norm of ``limit``."""
    places = index_node(input)
    used = apply("scatter_add", places, arrays.full_like(places, 1, "int32"), rows=weight.shape[0])
    norm = arrays.norm(weight, -1, True, p)
    large = arrays.logical_and(arrays.expand_dims(arrays.greater(used, 0), 1), arrays.greater(norm, limit))
    return arrays.where(large, arrays.multiply(weight, arrays.divide(limit, arrays.add(norm, 1e-7))), weight)


@function
def _by_frequency(input: Node, chosen: Node, rows: int) -> Node:
    """The same rows, whose gradients are divided by how often their index occurs."""
    places = index_node(input)
    counts = apply("scatter_add", places, arrays.full_like(places, 1, chosen.dtype), rows=rows)
    fraction = arrays.reciprocal(apply("gather", counts, places))
    still = apply("stop_gradient", chosen)
    return still + arrays.multiply(chosen - still, arrays.expand_dims(fraction, -1))


# --- bags ---------------------------------------------------------------------------------------------------------


@function
def _reduced(chosen: Node, kept: Node, mode: str) -> Node:
    """(bags, indices, features) -> (bags, features), of the indices that are kept."""
    own = arrays.expand_dims(kept, -1)
    if mode == "max":
        largest = arrays.max(arrays.where(own, chosen, -np.inf), 1)
        return arrays.where(arrays.any(own, 1), largest, 0)
    total = arrays.sum(arrays.where(own, chosen, 0), 1)
    return total if mode == "sum" else _mean(total, arrays.sum(arrays.cast(own, chosen.dtype), 1))


def _mean(total: Node, number: Node) -> Node:
    return arrays.divide(total, arrays.maximum(number, 1))


@function
def _reduced_at(chosen: Node, kept: Node, offsets: Node, mode: str, bags: int) -> Node:
    """(indices, features) -> (bags, features): the bag of an index is the last that starts at it or before it."""
    places = arrays.expand_dims(apply("iota", shape=kept.shape, axis=0, dtype=offsets.dtype), 1)
    starts = arrays.cast(arrays.less_equal(arrays.expand_dims(offsets, 0), places), "int32")
    bag = arrays.subtract(arrays.sum(starts, 1), 1)
    bag = arrays.where(kept, bag, bags)  # no bag: it is dropped
    if mode == "max":
        own = arrays.equal(
            arrays.expand_dims(bag, 0), arrays.expand_dims(apply("iota", shape=(bags,), axis=0, dtype="int32"), 1)
        )
        own = arrays.expand_dims(own, -1)
        largest = arrays.max(arrays.where(own, arrays.expand_dims(chosen, 0), -np.inf), 1)
        return arrays.where(arrays.any(own, 1), largest, 0)
    total = apply("scatter_add", bag, chosen, rows=bags)
    if mode == "sum":
        return total
    number = apply("scatter_add", bag, arrays.full_like(bag, 1, chosen.dtype), rows=bags)
    return _mean(total, arrays.expand_dims(number, -1))


def _checked(offsets: Tensor, indices: int, has_end: bool) -> Tensor:
    """Offsets of bags. Raises for those that are no whole numbers from 0 up to the number of indices, in order."""
    if offsets.ndim != 1 or offsets.dtype in _NO_INDEX or not offsets.shape[0]:
        raise ValueError(
            f"offsets of shape {tuple(offsets.shape)} and {offsets.dtype}. Write a vector of whole numbers, one for "
            f"each bag{' and the end' if has_end else ''}, instead."
        )
    if isinstance(known := offsets.known, np.ndarray):
        wrong = known[0] != 0 or known[-1] > indices or (np.diff(known) < 0).any()
        if wrong:
            raise RuntimeError(
                f"offsets are {known.tolist()[:8]}{', ...' if len(known) > 8 else ''} for {indices} indices. Write "
                f"where each bag starts, from 0 up to {indices}, in order."
            )
    return offsets

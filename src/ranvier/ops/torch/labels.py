"""Functions of labels and indices, which check their range."""

from __future__ import annotations

from typing import Any

from ranvier.graph.dtypes import FLOATING
from ranvier.graph.node import Symbol
from ranvier.ops import arrays, functional
from ranvier.ops.functional.label_checks import in_range, labels_in_range
from ranvier.tensor.tensor import Tensor

_NO_INDEX = frozenset((*FLOATING, "bool"))


def check_labels(input: Any, target: Any, ignore_index: int | None = None) -> Any:
    """The labels of scores (N, C, ...) or (C,). One that is no class and is not ``ignore_index`` raises IndexError: at
    once where the labels are known, else when the program runs.
    """
    if not (isinstance(input, Tensor) and isinstance(target, Tensor)) or target.spec.dtype in _NO_INDEX:
        return target
    shape: Any = input.spec.shape  # in each step of a loop: `Tensor.shape` makes a new object
    classes = shape[min(1, len(shape) - 1)] if shape else 0
    return labels_in_range(target, "label", classes, ignore_index)


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """1 at each index along a new last dimension, 0 elsewhere; int64. By default up to the largest index."""
    classes = int(arrays.max(tensor).item()) + 1 if num_classes < 0 else num_classes
    return arrays.one_hot(in_range(tensor, "class", classes), classes, "int64")


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

    ``sparse`` changes nothing. Raises ValueError for ``max_norm`` and ``scale_grad_by_freq``, IndexError for an index
    that is no row, and RuntimeError for floats and truth values; of what a model is traced with, which is float where
    its shape alone is given, neither.
    """
    if weight.ndim != 2:
        raise ValueError(f"a weight of shape {weight.shape}. Write (rows, features) instead.")
    rows = weight.shape[0]
    if max_norm is not None or scale_grad_by_freq:
        raise ValueError("an embedding has neither max_norm nor scale_grad_by_freq here. Leave them out.")
    traced = isinstance(input, Tensor) and any(isinstance(n, Symbol) for n in input.shape)
    if isinstance(input, Tensor) and input.dtype in _NO_INDEX and not traced:
        raise RuntimeError(
            f"an embedding takes whole numbers, and here is {input.dtype}. Write x.long(), or indices of whole "
            "numbers, instead."
        )
    input = in_range(input, "row", rows)
    chosen = functional.embedding(input, weight)
    if padding_idx is None:
        return chosen
    padding = arrays.expand_dims(arrays.equal(input, padding_idx % rows), -1)
    return arrays.where(padding, arrays.stop_gradient(chosen), chosen)

"""Functions of labels and indices, which check their range."""

from __future__ import annotations

from typing import Any

from ranvier.graph.dtypes import FLOATING
from ranvier.ops import arrays
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

"""Labels out of range: refused where the labels are at hand, as in an explicit loop. `fit` has checks of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.graph.node import FLOATS
from ranvier.tensor import Tensor

__all__ = ["check_classes", "check_labels"]


def check_labels(input: Any, target: Any, ignore_index: int | None = None) -> None:
    """Raise IndexError for a label that is no class of scores (N, C, ...) or (C,), and is not ``ignore_index``."""
    if not (isinstance(input, Tensor) and isinstance(target, Tensor)) or target.dtype in FLOATS:
        return
    labels, classes = target.value, input.shape[min(1, input.ndim - 1)] if input.ndim else 0
    if labels is None or not isinstance(classes, int):  # traced, or not computed yet
        return
    check_classes(labels, classes, ignore_index)


def check_classes(labels: Any, classes: int, ignore_index: int | None = None) -> None:
    """The same for an array of labels."""
    if not labels.size or labels.dtype.kind == "b":
        return
    if labels.dtype == np.int32 and labels.flags.c_contiguous and labels.view(np.uint32).max() < classes:
        return  # one pass for both ends: negative numbers are the largest then
    wrong = labels[((labels < 0) | (labels >= classes)) & (labels != ignore_index)]
    if wrong.size:
        raise IndexError(
            f"label {wrong[0]} is out of range for {classes} classes. Write labels from 0 to {classes - 1}, or give "
            "the last layer more units."
        )

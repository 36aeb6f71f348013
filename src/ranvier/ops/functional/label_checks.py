"""Checks of labels and indices whose values are known: a label that is no class would be ignored silently."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier.tensor.tensor import Tensor

_UNSIGNED = {np.dtype(np.int32): np.uint32, np.dtype(np.int64): np.uint64}


def first_out_of_range(indices: Any, extent: int, ignored: int | None = None) -> int | None:
    """The first index outside 0 to ``extent - 1`` that is not ignored, None if there is none."""
    if not indices.size or indices.dtype.kind == "b":
        return None
    unsigned = _UNSIGNED.get(indices.dtype)
    if unsigned is not None and indices.flags.c_contiguous and indices.view(unsigned).max() < extent:
        return None  # one comparison for both ends: as unsigned, negative numbers are the largest
    wrong = indices[((indices < 0) | (indices >= extent)) & (indices != ignored)]
    return int(wrong[0]) if wrong.size else None


def check_classes(labels: Any, classes: int, ignored: int | None = None) -> None:
    """Raise IndexError for a label that is no class and is not ignored."""
    wrong = first_out_of_range(labels, classes, ignored)
    if wrong is not None:
        raise IndexError(
            f"label {wrong} is out of range for {classes} classes. Write labels from 0 to {classes - 1}, or give "
            "the last layer more units."
        )


def check_known_labels(loss: Callable[..., Any]) -> Any:
    """Wrap a loss of labels (N, ...) and scores (N, ..., classes): known labels out of range raise."""
    signature = inspect.signature(loss)

    @functools.wraps(loss)
    def checked(y_true: Any, y_pred: Any, *args: Any, **options: Any) -> Any:
        labels = y_true._value if isinstance(y_true, Tensor) else y_true
        if isinstance(labels, (np.ndarray, list)):
            classes = np.shape(y_pred)[-1] if isinstance(y_pred, list) else y_pred.shape[-1]
            if isinstance(classes, int):  # traced scores may not have a known number
                given = signature.bind(y_true, y_pred, *args, **options).arguments if args else options
                check_classes(np.asarray(labels), classes, given.get("ignore_class"))
        return loss(y_true, y_pred, *args, **options)

    return checked

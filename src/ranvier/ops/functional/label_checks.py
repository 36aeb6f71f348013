"""Checks of labels and indices, which would be ignored or clamped silently: at once, or when the program runs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier.graph.checks import first_fault
from ranvier.graph.dtypes import FLOATING
from ranvier.graph.node import Node, apply
from ranvier.graph.open_extents import ANY, ANY_ROWS, HALF
from ranvier.ops import arrays
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import StepTrace, state

_UNSIGNED = {np.dtype(np.int32): np.uint32, np.dtype(np.int64): np.uint64}


@function
def checked(x: Node, rule: str, low: float, high: float, ignored: int | None = None) -> Node:
    """``x``. A program raises the error of a rule (`graph.checks`) for what is not from low to high and not ignored."""
    return apply("check", x, rule=rule, low=low, high=high, ignored=ignored)


def in_range(x: Any, rule: str, count: int, *, low: int = 0, ignored: int | None = None) -> Any:
    """``x``, whole numbers from ``low`` to ``count - 1`` or ``ignored``.

    Others raise the error of a rule (`graph.checks`): at once where they are known, else when the program runs.
    """
    known = x.known if isinstance(x, Tensor) else x
    is_known = isinstance(known, (np.ndarray, list))
    if isinstance(x, Tensor) and any(d in (ANY, ANY // 2, ANY_ROWS, HALF) for d in x.shape):
        is_known = False  # perhaps of ``arange(length)`` while a network is traced for any length
    if is_known:
        check_known(np.asarray(known), rule, count, low, ignored)
    if isinstance(x, (np.ndarray, list)):
        return x
    x = arrays.cast(x, "int32") if x.dtype in FLOATING else x
    return x if is_known else checked(x, rule, low, count - 1, ignored)


def labels_in_range(labels: Any, rule: str, classes: Any, ignored: int | None) -> Any:
    """Labels of scores with so many classes: `in_range`. `fit` checks the targets that it is given itself, unless a
    method of the model's takes them.
    """
    if not isinstance(classes, int):  # traced scores may not have a known number
        return labels
    traced = state.tracing and not isinstance(state.tracing, StepTrace)
    if traced and isinstance(labels, Tensor) and labels._value is None and _is_given(labels):
        return labels
    return in_range(labels, rule, classes, ignored=ignored)


def _is_given(labels: Tensor) -> bool:
    """Whether traced labels are an input of the model, perhaps converted or reshaped."""
    node = labels.trace_node
    while node is not None and len(node.inputs) == 1:
        (node,) = node.inputs
    return node is None or node.function is None


def check_known(values: Any, rule: str, count: int, low: int = 0, ignored: int | None = None) -> None:
    """Raise the error of a rule for the first number of an array that is neither in range nor ignored."""
    if not values.size or values.dtype.kind == "b":
        return
    unsigned = _UNSIGNED.get(values.dtype)
    if not low and unsigned is not None and values.flags.c_contiguous:
        found = values.view(unsigned)  # one comparison for both ends: as unsigned, negative numbers are the largest
        if found.item(found.argmax()) < count:  # `max` takes twice as long for the labels of a batch
            return
    fault = first_fault(values, rule, low, count - 1, ignored)
    if fault is not None:
        raise fault.error()


def check_labels(loss: Callable[..., Any]) -> Any:
    """Wrap a loss of labels (N, ...) and scores (N, ..., classes): labels out of range raise."""
    signature = inspect.signature(loss)

    @functools.wraps(loss)
    def checked(y_true: Any, y_pred: Any, *args: Any, **options: Any) -> Any:
        if isinstance(y_true, (Tensor, np.ndarray, list)):
            classes = np.shape(y_pred)[-1] if isinstance(y_pred, list) else y_pred.shape[-1]
            given = signature.bind(y_true, y_pred, *args, **options).arguments if args else options
            y_true = labels_in_range(y_true, "target label", classes, given.get("ignore_class"))
        return loss(y_true, y_pred, *args, **options)

    return checked

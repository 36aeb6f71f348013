"""Metrics as functions of (y_true, y_pred), as in Keras: one value for each sample, or for each element.

Those that are losses too are the functions of `ranvier.losses`.
"""

from __future__ import annotations

from typing import Any

from ranvier.graph.node import Node
from ranvier.metrics import errors
from ranvier.metrics.accuracy import among_largest
from ranvier.ops import arrays as rn
from ranvier.ops.arrays.promotion import index_node
from ranvier.ops.functional.losses_focal import binary_focal_crossentropy, categorical_focal_crossentropy
from ranvier.ops.functional.losses_keras import (
    binary_crossentropy,
    categorical_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from ranvier.tensor.context import get_dtype
from ranvier.tensor.function import function

__all__ = [
    "binary_accuracy", "binary_crossentropy", "binary_focal_crossentropy", "categorical_accuracy",
    "categorical_crossentropy", "categorical_focal_crossentropy", "categorical_hinge", "concordance_correlation",
    "hinge", "huber", "kl_divergence", "log_cosh", "mean_absolute_error", "mean_absolute_percentage_error",
    "mean_squared_error", "mean_squared_logarithmic_error", "pearson_correlation", "poisson",
    "sparse_categorical_accuracy", "sparse_categorical_crossentropy", "sparse_top_k_categorical_accuracy",
    "squared_hinge", "top_k_categorical_accuracy",
]  # fmt: skip

concordance_correlation = function(errors.concordance_correlation)
pearson_correlation = function(errors.pearson_correlation)


@function
def binary_accuracy(y_true: Node, y_pred: Node, threshold: float = 0.5) -> Node:
    """1 for each output on the side of ``threshold`` that its target of 0 or 1 names, else 0."""
    if y_true.ndim == y_pred.ndim - 1 and y_pred.shape[-1] == 1:
        y_true = rn.expand_dims(y_true, -1)
    return _matches(y_true, rn.cast(rn.greater(y_pred, threshold), y_true.dtype))


@function
def categorical_accuracy(y_true: Node, y_pred: Node) -> Node:
    """1 for each sample whose largest output is at the one of its one-hot target, else 0."""
    return _matches(rn.argmax(y_true, -1), rn.argmax(y_pred, -1))


@function
def sparse_categorical_accuracy(y_true: Node, y_pred: Node) -> Node:
    """1 for each sample whose largest output is at its class number, else 0."""
    return _matches(_labels(y_true, y_pred), rn.argmax(y_pred, -1))


@function
def top_k_categorical_accuracy(y_true: Node, y_pred: Node, k: int = 5) -> Node:
    """1 for each sample whose class, of a one-hot target, is among the ``k`` largest outputs, else 0."""
    return among_largest(rn.argmax(y_true, -1), y_pred, k)


@function
def sparse_top_k_categorical_accuracy(y_true: Node, y_pred: Node, k: int = 5, from_sorted_ids: bool = False) -> Node:
    """1 for each sample whose class number is among the ``k`` largest outputs, else 0: in the shape of the numbers.

    With ``from_sorted_ids`` the outputs are class numbers themselves, the surest first.
    """
    labels = _labels(y_true, y_pred)
    if not from_sorted_ids:
        return rn.reshape(among_largest(labels, y_pred, k), y_true.shape)
    first = rn.index_basic(index_node(y_pred), (..., ("slice", None, k, None)))
    found = rn.any(rn.equal(rn.expand_dims(labels, -1), first), -1)
    return rn.reshape(rn.cast(found, get_dtype()), y_true.shape)


def _labels(y_true: Node, y_pred: Node) -> Node:
    """Class numbers with one dimension less than the outputs."""
    column = y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1
    return index_node(rn.squeeze(y_true, -1) if column else y_true)


def _matches(one: Node, other: Any) -> Node:
    return rn.cast(rn.equal(one, other), get_dtype())

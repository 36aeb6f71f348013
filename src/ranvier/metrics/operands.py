"""Targets, predictions and weights as the updates of metrics take them, and sums over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import DTypeLike

from ranvier.data.targets import aligned, as_labels, as_weights
from ranvier.graph.contraction import einsum
from ranvier.graph.node import FLOATS, GraphError, Node, apply
from ranvier.ops import arrays as rn
from ranvier.ops.arrays.promotion import count
from ranvier.tensor.context import get_dtype

WIDE = "float64"  # the dtype of sums over an epoch; one batch is summed in the predictions' dtype
Array = npt.NDArray[Any]


def dtype_of(dtype: DTypeLike | None) -> str:
    """The name of a dtype. Raises TypeError for anything else."""
    try:
        return np.dtype(dtype).name
    except TypeError:
        raise TypeError(f"dtype={dtype!r} is no dtype. Write 'float32' or 'float64' instead.") from None


def target_shape(true: Sequence[Any], pred: Sequence[Any]) -> tuple[Any, ...]:
    """The shape of targets that are compared with these predictions; one dimension less for class numbers.

    Dimensions of 1 may differ. Raises ValueError for other differences: nothing is broadcast.
    """
    true, pred = tuple(true), tuple(pred)
    if len(true) == len(pred) > 1 and true[-1] == 1 != pred[-1]:
        true = true[:-1]
    if len(pred) > 1 and true == pred[:-1] and pred[-1] != 1:
        return true
    rest = aligned(true[1:], pred[1:]) if true[:1] == pred[:1] else None
    if rest is None:
        raise ValueError(
            f"y_true has shape {true} and y_pred {pred}. Write class numbers of shape {pred[:-1]}, or targets of shape "
            f"{pred}, instead."
        )
    return (*true[:1], *rest)


def as_pair(y_true: Any, y_pred: Any, weight: Array | None = None, check: bool = True) -> tuple[Array, Array]:
    """Targets and predictions as `Metric.update` takes them.

    With ``check`` each class number must have an output; those of weight 0 may be any number, and become class 0.
    """
    true, pred = np.asarray(y_true), np.asarray(y_pred)
    true = true.reshape(target_shape(true.shape, pred.shape))
    labels = true.ndim < pred.ndim
    whole = pred.dtype.kind in "iub" and (labels or true.dtype.kind != "f" or np.array_equal(true, np.trunc(true)))
    pred = pred.astype(np.int32 if whole else get_dtype())
    if labels and check and true.size:
        shape = pred.shape[1:]
        if weight is not None:
            counts = (weight > 0).reshape(*weight.shape[: true.ndim], -1).any(-1)
            true = np.where(counts.reshape(*counts.shape, *(1,) * (true.ndim - counts.ndim)), true, 0)
        true = as_labels(true, classes=shape[-1], name="y_true", sample_shape=shape[:-1], owner="y_pred")
    return true.astype(np.int32 if labels else pred.dtype), pred


def paired(true: Node, pred: Node) -> tuple[Node, Node]:
    """`as_pair` of traced nodes."""
    pred = pred if pred.dtype in FLOATS else rn.cast(pred, "int32")
    true = apply("reshape", true, shape=target_shape(true.shape, pred.shape))
    return rn.cast(true, "int32" if true.ndim < pred.ndim else pred.dtype), pred


def weights_for(sample_weight: Any, pred: Sequence[int]) -> Array:
    """Weights as one number for all, for each sample, or for each of the first dimensions of the predictions."""
    weight = np.asarray(sample_weight)
    if not weight.ndim:
        weight = np.full(pred[0], weight)
    elif has_trailing_one(weight.shape, pred):
        weight = weight[..., 0]
    return as_weights(weight, pred[0], sample_shape=pred[1:], dtype=get_dtype(), some=False)


def targets_like(y_true: Node, y_pred: Node, dtype: str) -> Node:
    """Targets in the shape of the predictions: class numbers as one-hot rows, others as they are."""
    labels = is_labels(y_true, y_pred)
    return rn.one_hot(y_true, classes_of(y_pred.shape[1:]), dtype) if labels else rn.cast(y_true, dtype)


def has_trailing_one(weight: Sequence[Any], pred: Sequence[Any]) -> bool:
    """Whether weights have a last dimension of 1 in the place of the outputs, which is then ignored."""
    return len(weight) == len(pred) > 1 and weight[-1] == 1


def as_float(x: Node) -> Node:
    """Scores as floats; integers are cast."""
    return x if x.dtype in FLOATS else rn.cast(x, get_dtype())


def is_labels(y_true: Node, y_pred: Node) -> bool:
    """Whether the targets are class numbers, and not of the predictions' shape."""
    return y_true.ndim == y_pred.ndim - 1


def classes_of(output_shape: Sequence[Any]) -> int:
    """The number of outputs of a sample (or of each position in it)."""
    return output_shape[-1] if output_shape else 1


def as_columns(x: Node) -> Node:
    """(samples,) as (samples, 1); other shapes stay."""
    return apply("reshape", x, shape=(*x.shape, 1)) if x.ndim == 1 else x


def contracted(equation: str, a: Node, b: Node) -> Node:
    """``einsum`` in double precision; ``...`` are the first dimensions of both, of samples and positions."""
    own = len(equation.partition(",")[0].replace("...", ""))
    return rn.cast(einsum(equation.replace("...", "abcdefgh"[: a.ndim - own]), a, b), WIDE)


def over_samples(values: Node) -> Node:
    """Sums (samples, ..., classes) -> (classes,), in double precision."""
    return rn.cast(rn.sum(values, tuple(range(values.ndim - 1))), WIDE)


def fraction(part: Any, whole: Any) -> Any:
    """The quotient in NumPy, 0 where the denominator is 0."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), 0.0)


def broadcast_weight(weight: Node | None, values: Node) -> Node | None:
    """Weights of the samples, or of the values' first dimensions, broadcast to the shape of the values."""
    if weight is None:
        return None
    weight = rn.cast(weight, values.dtype)
    if not values.ndim:  # one value of the whole batch
        return rn.mean(weight)
    if weight.shape != values.shape[: weight.ndim]:
        raise GraphError(
            f"weights of shape {weight.shape} do not fit what they weigh, of shape {values.shape}: write one weight a "
            "sample, or leave this metric unweighted"
        )
    if weight.ndim == values.ndim:
        return weight
    return apply("broadcast", weight, shape=values.shape, axes=tuple(range(weight.ndim)))


def masked_weight(weight: Node | None, mask: Node) -> Node:
    """Weights of samples, or of their positions, that are 0 where a mask is false."""
    if weight is None:
        return rn.cast(mask, get_dtype())
    if weight.ndim == mask.ndim + 1 and weight.shape[-1] == 1:
        weight = apply("reshape", weight, shape=weight.shape[:-1])
    wide, narrow = (weight, mask) if weight.ndim > mask.ndim else (mask, weight)
    spread = apply("broadcast", narrow, shape=wide.shape, axes=tuple(range(narrow.ndim)))
    kept, weight = (spread, wide) if wide is weight else (wide, spread)
    return rn.where(rn.cast(kept, "bool"), weight, 0)


def weighted(values: Node, weight: Node | None) -> Node:
    """Values (samples, ...) times their weights."""
    spread = broadcast_weight(weight, values)
    return values if spread is None else values * spread


def weighted_sum(values: Node, weight: Node | None) -> tuple[Node, Node]:
    """The sum of values (samples, ...) times their weights, and the sum of the weights, in double precision."""
    spread = broadcast_weight(weight, values)
    if spread is None:
        return rn.cast(rn.sum(values), WIDE), count(values.shape, WIDE)
    return rn.cast(rn.sum(values * spread), WIDE), rn.cast(rn.sum(spread), WIDE)


def count_outside(truth: Node, weight: Node | None) -> Node:
    """The number of targets outside [0, 1], without those of weight 0."""
    inside = rn.logical_and(rn.greater_equal(truth, 0.0), rn.less_equal(truth, 1.0))
    return count_true(rn.logical_not(inside), weight, truth.dtype)


def count_true(wrong: Node, weight: Node | None, dtype: str) -> Node:
    """The number of true elements, without those of weight 0."""
    wrong = rn.cast(wrong, dtype)
    counted = broadcast_weight(weight, wrong)
    if counted is not None:
        wrong = wrong * rn.cast(rn.greater(counted, 0.0), dtype)
    return rn.cast(rn.sum(wrong), WIDE)

"""What a model is trained toward: any loss as a `Loss`, and which targets it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier import losses
from ranvier.data.arrays import as_labels, as_targets
from ranvier.data.convert import Array, to_numeric
from ranvier.graph.node import BATCH, FLOATS, Node, apply
from ranvier.metrics.base import WIDE, over
from ranvier.module import Module
from ranvier.numeric import sum as total
from ranvier.numeric.promotion import count
from ranvier.tensor import get_dtype

__all__ = ["Criterion", "as_loss", "objective", "per_sample", "target_array"]


class Criterion(losses.Loss):
    """A loss module in PyTorch's style, which is called as (input, target) and reduces by itself."""

    def __init__(self, module: Any) -> None:
        super().__init__(type(module).__name__)
        self.module = module

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.module(y_pred, y_true)


def as_loss(loss: Any) -> losses.Loss | None:
    """A loss by any of its spellings; None stays."""
    if loss is None:
        return None
    if isinstance(loss, dict) and set(loss) == {"class_name", "config"}:
        return losses.names()[loss["class_name"]](**loss["config"])
    return Criterion(loss) if isinstance(loss, Module) else losses.get(loss)


def of_labels(loss: losses.Loss, y: Array, output_shape: Sequence[Any]) -> bool:
    """Whether these targets are class numbers; where the loss takes both, their dtype and shape say."""
    if loss.kind == "labels":
        return True
    name = getattr(getattr(getattr(loss, "module", None), "function", None), "__name__", "")
    return name in ("cross_entropy", "nll_loss") and y.ndim == len(output_shape) and y.dtype.kind in "iub"


def target_array(
    y: Any, loss: losses.Loss, output_shape: Sequence[Any], *, name: str, owner: str, check_finite: bool
) -> Array:
    """Targets as programs take them; ``output_shape`` is without the batch's dimension.

    Raises ValueError or TypeError naming the first bad row, and the fix.
    """
    if hasattr(y, "compute") and hasattr(y, "entry"):
        y = y.compute()
    if loss.kind == "labels" or of_labels(loss, to_numeric(y, name), output_shape):
        ignored = getattr(loss, "ignore_class", None)
        if isinstance(loss, Criterion):
            ignored = loss.module.options.get("ignore_index")
        sample_shape = tuple(output_shape[:-1])
        return as_labels(
            y, classes=output_shape[-1], name=name, sample_shape=sample_shape, ignore=ignored, owner=owner
        )
    if isinstance(loss, (losses.LossFunction, Criterion)):
        array = to_numeric(y, name)
        if array.shape[1:] != tuple(output_shape) and array.dtype.kind in "iub":
            return array.astype(np.int32)
    return as_targets(y, output_shape, name=name, owner=owner, check_finite=check_finite, dtype=get_dtype())


def per_sample(values: Node) -> Node:
    """One value for each sample, (samples, ...), of what a loss or metric function returned."""
    if values.dtype not in FLOATS:
        values = apply("cast", values, dtype=get_dtype())
    if values.shape and values.shape[0] == BATCH:
        return values
    if values.shape:
        raise ValueError(
            f"a loss or metric function returned {values.type}. Write one number, or one for each sample."
        )
    return apply("broadcast", values, shape=(BATCH,), axes=())


def objective(loss: losses.Loss, values: Node, weight: Node | None) -> tuple[Node, Node]:
    """What is minimized, from the samples' losses; and the number of samples that it stands for."""
    counted = count((BATCH,), WIDE)
    if not values.shape:
        if weight is not None:
            raise ValueError(
                f"the loss {loss.name!r} returns one number, so samples cannot be weighted. Write a loss that returns "
                "one number for each sample (a tensor with a row for each), or leave the weights out."
            )
        return values, counted
    values = per_sample(values)
    spread = over(weight, values)
    added = total(values if spread is None else values * spread)
    if loss.reduction == "sum":
        return added, counted
    if loss.reduction == "mean_with_sample_weight" and spread is not None:
        return added / total(spread), counted
    return added / count(values.shape, values.dtype), counted

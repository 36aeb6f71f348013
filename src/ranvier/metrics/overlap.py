"""Intersection over union of predicted and true positions of each class (segmentation)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ranvier.graph.node import Node
from ranvier.metrics.base import Metric, StateType
from ranvier.metrics.operands import WIDE, Array, as_float, as_pair, contracted, fraction, is_labels, weighted
from ranvier.ops import arrays as rn

__all__ = ["BinaryIoU", "IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU"]


class IoU(Metric):
    """The mean of true positives / (true positives + false positives + false negatives) over ``target_class_ids``.

    A class that is neither true nor predicted anywhere is left out. ``y_true`` and ``y_pred`` are class numbers of one
    shape, from 0 to ``num_classes - 1``; other numbers, and targets of ``ignore_class``, are ignored. With
    ``sparse_y_true`` or ``sparse_y_pred`` False, those have an ``axis`` of scores, whose largest is the class; outputs
    with one dimension more than the targets always have one.
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: DTypeLike | None = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype)
        ids = [int(k) for k in target_class_ids]
        if not ids or not all(0 <= k < num_classes for k in ids):
            raise ValueError(
                f"target_class_ids={target_class_ids!r} of num_classes={num_classes}: write class numbers from 0 to "
                f"{num_classes - 1} instead."
            )
        self.num_classes, self.target_class_ids, self.ignore_class = num_classes, ids, ignore_class
        self.sparse_y_true, self.sparse_y_pred, self.axis = sparse_y_true, sparse_y_pred, axis

    def states(self, output_shape: Sequence[int]) -> list[StateType]:
        return [((self.num_classes, self.num_classes), WIDE)]

    def pair(self, y_true: Any, y_pred: Any, weight: Array | None = None) -> tuple[Array, Array]:
        if not self.sparse_y_true and np.ndim(y_true) > np.ndim(y_pred):  # which `update` cannot take
            y_true = np.argmax(y_true, self.axis)
        return as_pair(y_true, y_pred, check=False)

    def decide(self, y_true: Node, y_pred: Node) -> tuple[Node, Node]:
        """True and predicted class numbers, of one shape."""
        if not self.sparse_y_pred or is_labels(y_true, y_pred):
            y_pred = rn.argmax(y_pred, self.axis)
        if not self.sparse_y_true and y_true.ndim > y_pred.ndim:
            y_true = rn.argmax(y_true, self.axis)
        return rn.cast(y_true, "int32"), rn.cast(y_pred, "int32")

    def update(self, states: Sequence[Node], y_true: Node, y_pred: Node, weight: Node | None) -> list[Node]:
        kind = as_float(y_pred).dtype
        truth, chosen = self.decide(y_true, y_pred)
        # A number that is no class becomes a row of zeros, which counts nowhere.
        rows, columns = (rn.one_hot(x, self.num_classes, kind) for x in (truth, chosen))
        if self.ignore_class is not None:
            kept = rn.cast(rn.not_equal(truth, self.ignore_class), kind)
            rows = rn.multiply(rows, rn.expand_dims(kept, -1))
        return [states[0] + contracted("...i,...j->ij", weighted(rows, weight), columns)]

    def read(self, arrays: Sequence[Array]) -> float:
        (table,) = arrays
        both = np.diag(table)[self.target_class_ids]
        either = (table.sum(0) + table.sum(1) - np.diag(table))[self.target_class_ids]
        known = either > 0
        return float(fraction(both, either)[known].mean()) if known.any() else 0.0


class MeanIoU(IoU):
    """The mean of `IoU` over all classes that are true or predicted."""

    fixed = frozenset(("target_class_ids",))

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: DTypeLike | None = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, range(num_classes), name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)


class BinaryIoU(IoU):
    """`IoU` of no (0) and yes (1), or of one of them; an output is a yes from ``threshold`` (0.5) on."""

    fixed = frozenset(("num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis"))

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float | None = None,
        name: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def decide(self, y_true: Node, y_pred: Node) -> tuple[Node, Node]:
        level = self._level if self.threshold is None else float(self.threshold)
        decided = rn.cast(rn.greater_equal(as_float(y_pred), level), "int32")
        return rn.cast(y_true, "int32"), decided


class OneHotIoU(IoU):
    """`IoU` of one-hot targets and of scores along ``axis``."""

    fixed = frozenset(("sparse_y_true",))

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: DTypeLike | None = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)


class OneHotMeanIoU(MeanIoU):
    """`MeanIoU` of one-hot targets and of scores along ``axis``."""

    fixed = MeanIoU.fixed | {"sparse_y_true"}

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: DTypeLike | None = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)

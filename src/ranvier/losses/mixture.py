"""Targets of mixed samples, as MixUp and CutMix make them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ranvier.graph.node import FLOATS, GraphError, Node
from ranvier.ops import arrays as n
from ranvier.ops.arrays.shape import with_ones
from ranvier.support.constructors import CheckedConstructor
from ranvier.tensor.function import function


@function
def blend(share: Node, first: Node, second: Node) -> Node:
    """``share`` (N,) times the first plus the rest times the second, both (N, ...)."""
    if first.ndim < 1 or first.shape[0] != share.shape[0]:
        raise GraphError(
            f"mixed samples need a value for each of {share.shape[0]} samples, and here is {first.type}: write a loss "
            "that returns one for each sample"
        )
    part = with_ones(n.cast(share, first.dtype), first.ndim)
    return second + n.multiply(first - second, part)


@function
def larger(share: Node, first: Node, second: Node) -> Node:
    """The first if its share is 0.5 or more, else the second."""
    return n.where(n.greater_equal(with_ones(share, first.ndim), 0.5), first, second)


@dataclass(frozen=True, eq=False)
class Mixture(CheckedConstructor):
    """Two targets for each sample: ``share`` (samples,) of the first, the rest of the second.

    Every loss takes it as y_true. Float targets are blended. For integer labels the loss is the mixture of the two
    losses, which for cross entropy equals the loss of the soft targets.
    """

    first: Any
    second: Any
    share: Any

    @property
    def labels(self) -> bool:
        """Whether the targets are class numbers, which cannot be blended."""
        return self.first.dtype not in FLOATS

    def each(self, function: Callable[[Any], Any]) -> Any:
        """The function of the blended targets; for labels, the mixture of its two values. None stays None."""
        if not self.labels:
            return function(self.soft())
        first, second = function(self.first), function(self.second)
        return None if first is None else self.mix(first, second)

    def mix(self, first: Any, second: Any) -> Any:
        """The mixture of two values for each sample, such as losses."""
        return blend(self.share, first, second)

    def dominant(self) -> Any:
        """The target of the larger share."""
        return larger(self.share, self.first, self.second)

    def soft(self, classes: int | None = None) -> Any:
        """The blended targets; labels as probabilities of ``classes``, (..., classes). For your own loss functions.

        Raises ValueError for labels without the number of classes.
        """
        if not self.labels:
            return self.mix(self.first, self.second)
        if classes is None:
            raise ValueError("these targets are integer labels. Write soft(classes) with their number instead.")
        return self.mix(n.one_hot(self.first, classes), n.one_hot(self.second, classes))


def each(function: Callable[[Any], Any], y_true: Any) -> Any:
    """``function(y_true)``; for a `Mixture`, `Mixture.each` of the function."""
    return y_true.each(function) if isinstance(y_true, Mixture) else function(y_true)

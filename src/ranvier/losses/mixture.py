"""Targets of mixed samples: what MixUp and its kin make of targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ranvier.graph.node import FLOATS, GraphError, Node
from ranvier.ops import arrays as n
from ranvier.support.constructors import CheckedConstructor
from ranvier.tensor.function import function

__all__ = ["Mixture", "blend", "each", "wide"]


def wide(share: Node, ndim: int) -> Node:
    """Shares of samples (N, ...) with as many dimensions as what they are shares of."""
    return n.reshape(share, share.shape + (1,) * (ndim - share.ndim))


@function
def blend(share: Node, first: Node, second: Node) -> Node:
    """``share`` of the first and the rest of the second: (N,), and two of (N, ...)."""
    if first.ndim < 1 or first.shape[0] != share.shape[0]:
        raise GraphError(
            f"mixed samples need a value for each of {share.shape[0]} samples, and here is {first.type}: write a loss "
            "that returns one for each sample"
        )
    part = wide(n.cast(share, first.dtype), first.ndim)
    return second + n.multiply(first - second, part)


@function
def larger(share: Node, first: Node, second: Node) -> Node:
    """The first where its share is a half or more, else the second."""
    return n.where(n.greater_equal(wide(share, first.ndim), 0.5), first, second)


@dataclass(frozen=True, eq=False)
class Mixture(CheckedConstructor):
    """Two targets for each sample: ``share`` (samples,) of the first, the rest of the second.

    Every loss takes it as y_true. Targets in floats are mixed; of integer labels, the loss is the mixture of the two
    losses, which for cross entropy is that of the soft targets.
    """

    first: Any
    second: Any
    share: Any

    @property
    def labels(self) -> bool:
        """Whether the targets are class numbers, which cannot be mixed themselves."""
        return self.first.dtype not in FLOATS

    def each(self, function: Callable[[Any], Any]) -> Any:
        """A function's value at the mixed targets; of labels, the mixture of its values. None where it has none."""
        if not self.labels:
            return function(self.soft())
        first, second = function(self.first), function(self.second)
        return None if first is None else self.mix(first, second)

    def mix(self, first: Any, second: Any) -> Any:
        """Two values for each sample (losses, say) in these shares."""
        return blend(self.share, first, second)

    def dominant(self) -> Any:
        """The target of the larger share."""
        return larger(self.share, self.first, self.second)

    def soft(self, classes: int | None = None) -> Any:
        """The mixed targets; labels as shares of ``classes``, (..., classes). For losses that are functions of yours.

        Raises ValueError for labels without the number of classes.
        """
        if not self.labels:
            return self.mix(self.first, self.second)
        if classes is None:
            raise ValueError(
                "these targets are integer labels. Write soft(classes) with their number instead."
            )
        return self.mix(n.one_hot(self.first, classes), n.one_hot(self.second, classes))


def each(function: Callable[[Any], Any], y_true: Any) -> Any:
    """``function(y_true)``, and of mixed targets what `Mixture.each` makes of it."""
    return y_true.each(function) if isinstance(y_true, Mixture) else function(y_true)

"""Labels of mixed samples: what MixUp and its kin make of integer labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ranvier import numeric as n
from ranvier.graph.node import GraphError, Node
from ranvier.tensor import function

__all__ = ["Mixture", "blend", "each", "wide"]


def wide(share: Node, ndim: int) -> Node:
    """Shares of samples (N, ...) with as many dimensions as what they are shares of."""
    return n.reshape(share, share.shape + (1,) * (ndim - share.ndim))  # type: ignore[no-any-return]


@function
def blend(share: Node, first: Node, second: Node) -> Node:
    """``share`` of the first and the rest of the second: (N,), and two of (N, ...)."""
    if first.ndim < 1 or first.shape[0] != share.shape[0]:
        raise GraphError(
            f"mixed samples need a value for each of {share.shape[0]} samples, and here is {first.type}: write a loss "
            "that returns one for each sample"
        )
    part = wide(n.cast(share, first.dtype), first.ndim)
    return second + n.multiply(first - second, part)  # type: ignore[no-any-return]


@function
def larger(share: Node, first: Node, second: Node) -> Node:
    """The first where its share is a half or more, else the second."""
    return n.where(n.greater_equal(wide(share, first.ndim), 0.5), first, second)  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class Mixture:
    """Two labels for each sample: ``share`` (samples,) of the first, the rest of the second.

    Every loss of labels takes it as y_true: the loss of a mixture is the mixture of the two losses, which for cross
    entropy is that of the soft targets. Metrics compare with the label of the larger share, ``dominant()``.
    """

    first: Any
    second: Any
    share: Any

    def each(self, function: Callable[[Any], Any]) -> Any:
        """The mixture of a function's values of the two labels; None where it has none."""
        first, second = function(self.first), function(self.second)
        return None if first is None else self.mix(first, second)

    def mix(self, first: Any, second: Any) -> Any:
        """Two values for each sample (losses, say) in these shares."""
        return blend(self.share, first, second)

    def dominant(self) -> Any:
        """The label of the larger share."""
        return larger(self.share, self.first, self.second)

    def soft(self, classes: int) -> Any:
        """The labels as shares of classes, (..., classes), for a loss that takes those."""
        return self.mix(n.one_hot(self.first, classes), n.one_hot(self.second, classes))


def each(function: Callable[[Any], Any], y_true: Any) -> Any:
    """``function(y_true)``, and of mixed labels the mixture of its values."""
    return y_true.each(function) if isinstance(y_true, Mixture) else function(y_true)

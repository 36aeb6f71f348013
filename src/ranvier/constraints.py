"""Projections of weights by their Keras names, which the optimizer applies after each update, inside the program.

Norms are along ``axis``. For the kernel of a Dense (in, out), axis 0 gives the norm of each unit's weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ranvier.graph.node import Node
from ranvier.ops import arrays as n
from ranvier.support.errors import missing, unwritten
from ranvier.support.registry import Configured, Registry
from ranvier.support.serialized import deserializer
from ranvier.support.serialized import serialize_keras_object as serialize
from ranvier.support.validation import amount
from ranvier.tensor.function import function

__all__ = ["Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "deserialize", "get", "serialize"]

EPSILON = 1e-7  # Keras's: weights of norm 0 stay 0


class Constraint(Configured):
    """The base of all constraints: ``constraint(w)`` returns a tensor of the shape of w.

    Your own subclass defines ``__call__`` with tensor functions. Equal constraints share a compiled program, so make it
    a frozen dataclass, or do not define equality.
    """

    def __call__(self, w: Any) -> Any:
        raise unwritten(self, "__call__(self, w): return ...")


@function
def with_norm(w: Node, low: float, high: float, rate: float, axis: int | tuple[int, ...]) -> Node:
    """``w`` with its norm along ``axis`` moved by the fraction ``rate`` of the way into [low, high]."""
    norms = n.norm(w, axis, True)
    wanted = n.clip(norms, low, high)
    if rate != 1.0:
        wanted = n.add(n.multiply(wanted, rate), n.multiply(norms, 1.0 - rate))
    return n.multiply(w, n.divide(wanted, n.add(norms, EPSILON)))


def _axis(value: Any, kind: str) -> Any:
    """An axis, or several as a tuple."""
    axes = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
    if not axes or any(isinstance(a, bool) or not isinstance(a, int) for a in axes):
        raise ValueError(f"{kind}(axis={value!r}): write a whole number, or a tuple of them, instead.")
    return axes if isinstance(value, Sequence) else value


@dataclass(frozen=True)
class MaxNorm(Constraint):
    """Shrinks weights to a norm of at most ``max_value`` along ``axis`` (Srivastava et al., 2014)."""

    max_value: float = 2.0
    axis: int | Sequence[int] = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_value", amount(self.max_value, "MaxNorm", "max_value"))
        object.__setattr__(self, "axis", _axis(self.axis, "MaxNorm"))

    def __call__(self, w: Any) -> Any:
        return with_norm(w, low=0.0, high=self.max_value, rate=1.0, axis=self.axis)


@dataclass(frozen=True)
class MinMaxNorm(Constraint):
    """Moves the norm of weights along ``axis`` into [min_value, max_value], by the fraction ``rate`` at each step."""

    min_value: float = 0.0
    max_value: float = 1.0
    rate: float = 1.0
    axis: int | Sequence[int] = 0

    def __post_init__(self) -> None:
        for name, most in (("min_value", float("inf")), ("max_value", float("inf")), ("rate", 1.0)):
            object.__setattr__(self, name, amount(getattr(self, name), "MinMaxNorm", name, most))
        if self.min_value > self.max_value:
            raise ValueError(
                f"MinMaxNorm(min_value={self.min_value}, max_value={self.max_value}): write the smaller one first."
            )
        object.__setattr__(self, "axis", _axis(self.axis, "MinMaxNorm"))

    def __call__(self, w: Any) -> Any:
        return with_norm(w, low=self.min_value, high=self.max_value, rate=self.rate, axis=self.axis)


@function
def nonnegative(w: Node) -> Node:
    """``maximum(w, 0)``."""
    return n.maximum(w, 0.0)


@dataclass(frozen=True)
class NonNeg(Constraint):
    """Sets negative weights to 0."""

    def __call__(self, w: Any) -> Any:
        return nonnegative(w)


@function
def unit(w: Node, axis: int | tuple[int, ...]) -> Node:
    """``w`` divided by its norm along ``axis``."""
    return n.divide(w, n.add(n.norm(w, axis, True), EPSILON))


@dataclass(frozen=True)
class UnitNorm(Constraint):
    """Scales weights to a norm of 1 along ``axis``."""

    axis: int | Sequence[int] = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "axis", _axis(self.axis, "UnitNorm"))

    def __call__(self, w: Any) -> Any:
        return unit(w, axis=self.axis)


REGISTRY = Registry(
    "constraint",
    Constraint,
    (MaxNorm, MinMaxNorm, NonNeg, UnitNorm),
    callables=True,
    example="'non_neg' or constraints.MaxNorm(2)",
)


def get(constraint: Any) -> Any:
    """The constraint of this name ("max_norm", "non_neg", "unit_norm", "min_max_norm"), class or description.

    Callables and None are returned as they are. Raises ValueError naming the nearest name that exists, TypeError for
    anything else.
    """
    return None if constraint is None else REGISTRY.get(constraint)


deserialize = deserializer(get)

__getattr__, __dir__ = missing("ranvier.constraints", __all__, REGISTRY.lazy("ranvier.constraints"))

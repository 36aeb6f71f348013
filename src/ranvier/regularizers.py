"""Penalties on weights and activities by their Keras names; each is a function of one tensor and returns a scalar.

The penalty on a weight is added to the loss in training and in evaluation. The penalty on a layer's outputs is divided
by the number of samples first, as in Keras.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ranvier.graph.node import GraphError, Node, apply, full
from ranvier.ops import arrays as n
from ranvier.ops.arrays.promotion import count
from ranvier.ops.functional import normalize
from ranvier.support.errors import missing, unwritten
from ranvier.support.registry import Configured, Registry
from ranvier.support.serialized import deserializer
from ranvier.support.serialized import serialize_keras_object as serialize
from ranvier.support.validation import amount
from ranvier.tensor.function import function

__all__ = ["L1", "L1L2", "L2", "OrthogonalRegularizer", "Regularizer", "deserialize", "get", "serialize"]


class Regularizer(Configured):
    """The base of all regularizers: ``regularizer(x)`` returns a scalar tensor.

    Your own subclass defines ``__call__`` with tensor functions. Equal regularizers share a compiled program, so make
    it a frozen dataclass, or do not define equality.
    """

    def __call__(self, x: Any) -> Any:
        raise unwritten(self, "__call__(self, x): return ...")


@function
def penalty(x: Node, l1: float, l2: float) -> Node:
    """``l1 * sum(abs(x)) + l2 * sum(x ** 2)``."""
    x = n.floating(x)
    parts = []
    if l1:
        parts.append(n.multiply(n.sum(n.abs(x)), l1))
    if l2:
        parts.append(n.multiply(n.sum(x * x), l2))
    return full(0.0, (), x.dtype) if not parts else parts[0] if len(parts) == 1 else parts[0] + parts[1]


@dataclass(frozen=True)
class L1L2(Regularizer):
    """``l1 * sum(abs(x)) + l2 * sum(x ** 2)`` (the elastic net: Zou and Hastie, 2005)."""

    l1: float = 0.0
    l2: float = 0.0

    def __post_init__(self) -> None:
        for name in ("l1", "l2"):
            object.__setattr__(self, name, amount(getattr(self, name), "L1L2", name))

    def __call__(self, x: Any) -> Any:
        return penalty(x, l1=self.l1, l2=self.l2)


@dataclass(frozen=True)
class L1(Regularizer):
    """``l1 * sum(abs(x))``: drives unimportant weights to zero."""

    l1: float = 0.01

    def __post_init__(self) -> None:
        object.__setattr__(self, "l1", amount(self.l1, "L1", "l1"))

    def __call__(self, x: Any) -> Any:
        return penalty(x, l1=self.l1, l2=0.0)


@dataclass(frozen=True)
class L2(Regularizer):
    """``l2 * sum(x ** 2)``: keeps weights small. Its gradient is ``2 * l2 * x``."""

    l2: float = 0.01

    def __post_init__(self) -> None:
        object.__setattr__(self, "l2", amount(self.l2, "L2", "l2"))

    def __call__(self, x: Any) -> Any:
        return penalty(x, l1=0.0, l2=self.l2)


MODES = ("rows", "columns")


@function
def mean_cosine(x: Node, mode: str) -> Node:
    """The mean absolute cosine of the angles between all pairs of rows (or columns) of a matrix."""
    if x.ndim != 2:
        raise GraphError(
            f"OrthogonalRegularizer takes a matrix, not {x.type}. Write it as the kernel_regularizer of a Dense"
        )
    x = n.floating(x)
    rows = x if mode == "rows" else n.transpose(x)
    size: Any = rows.shape[0]
    if size == 1:  # a single row has no pair
        return full(0.0, (), x.dtype)
    unit = normalize(rows, 2.0, 1)
    cosines = n.abs(n.matmul(unit, n.transpose(unit)))
    line, column = (apply("iota", shape=cosines.shape, axis=axis, dtype="int32") for axis in (0, 1))
    others = n.where(n.equal(line, column), 0.0, cosines)
    return n.sum(others) / count((size, size - 1), x.dtype)


@dataclass(frozen=True)
class OrthogonalRegularizer(Regularizer):
    """``factor`` times the mean absolute cosine between the rows (or columns) of a matrix.

    It is zero for orthogonal rows, and for a single row. ``mode`` is "rows" or "columns".
    """

    factor: float = 0.01
    mode: str = "rows"

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", amount(self.factor, "OrthogonalRegularizer", "factor"))
        if self.mode not in MODES:
            raise ValueError(f"mode {self.mode!r} does not exist. Write 'rows' or 'columns' instead.")

    def __call__(self, x: Any) -> Any:
        return n.multiply(mean_cosine(x, mode=self.mode), self.factor)


@function
def each_sample(loss: Node, outputs: Node) -> Node:
    """A penalty on a batch of outputs, divided by the number of samples; that of none is not divided."""
    return loss if outputs.shape[:1] == (0,) else loss / count(outputs.shape[:1], loss.dtype)


REGISTRY = Registry(
    "regularizer",
    Regularizer,
    (L1, L1L2, L2, OrthogonalRegularizer),
    aliases={"l1_l2": L1L2},
    callables=True,
    example="'l2' or regularizers.L2(0.01)",
)


def get(regularizer: Any) -> Any:
    """The regularizer of this name ("l1", "l2", "l1_l2", "orthogonal_regularizer"), class or description.

    Callables and None are returned as they are. Raises ValueError naming the nearest name that exists, TypeError for
    anything else.
    """
    if regularizer in ("l1_l2", "L1L2"):  # the name alone penalizes, as in Keras; L1L2() does not
        return L1L2(0.01, 0.01)
    return None if regularizer is None else REGISTRY.get(regularizer)


deserialize = deserializer(get)

__getattr__, __dir__ = missing("ranvier.regularizers", __all__, REGISTRY.lazy("ranvier.regularizers"))

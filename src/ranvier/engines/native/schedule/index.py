"""What kernels compute with: a place along a dimension, an index of places, a value."""

from __future__ import annotations

from typing import NamedTuple

from ranvier.engines.native.target.lanes import Scalar


class At(NamedTuple):
    """A place along one dimension: ``base + lane * step``, or ``lanes`` (16 numbers read from data)."""

    base: Scalar
    step: int = 0
    lanes: str | None = None


Index = tuple[At, ...]


class Value(NamedTuple):
    """An LLVM value: one element, or 16 where ``wide``."""

    name: str
    wide: bool

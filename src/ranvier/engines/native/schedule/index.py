"""What kernels compute with: positions along dimensions, and LLVM values."""

from __future__ import annotations

from typing import NamedTuple

from ranvier.engines.native.target.lanes import Scalar


class At(NamedTuple):
    """A position along one dimension: ``base + lane * step``, plus ``lanes`` (16 numbers read from data)."""

    base: Scalar
    step: int = 0
    lanes: str | None = None


Index = tuple[At, ...]


class Value(NamedTuple):
    """An LLVM value: one element, or 16 if ``wide``."""

    name: str
    wide: bool

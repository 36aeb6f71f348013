"""Sizes of shapes whose batch extent is symbolic."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ranvier.graph.node import Symbol


def size(shape: Sequence[int | Symbol], batch: int) -> int:
    """Elements at most, with open extents at their largest."""
    return math.prod(batch if isinstance(d, Symbol) else d for d in shape)

"""Axes that are split, moved and merged by a pattern, as in `einops <https://einops.rocks>`_."""

from __future__ import annotations

import math
import re
from typing import Any

from ranvier.ops import arrays

_PART = re.compile(r"\([^()]*\)|[^\s()]+")
_NAME = re.compile(r"[A-Za-z_]\w*\Z")


def _groups(side: str, pattern: str) -> list[list[str]]:
    """The axes of each dimension of one side of a pattern; an axis of extent 1 is none."""
    rest = _PART.sub("", side).strip()
    found = [m[0].strip("()").split() for m in _PART.finditer(side)]
    names = [name for group in found for name in group if name != "1"]
    wrong = rest or next((n for n in names if not _NAME.match(n)), "")
    if wrong or len(set(names)) < len(names):
        raise ValueError(
            f"ops.rearrange of {pattern!r}: {side.strip()!r} is no list of axes. Write each name once, and parentheses "
            "around those of one dimension, as in 'b (h h2) w -> b h (h2 w)'."
        )
    return [[name for name in group if name != "1"] for group in found]


def rearrange(tensor: Any, pattern: str, **axes_lengths: int) -> Any:
    """The elements in other dimensions: ``'b (h h2) w -> b h (h2 w)'`` splits the second one and merges two.

    ``axes_lengths`` are extents of axes in parentheses, all of a dimension but one. Raises ValueError for a pattern
    that does not fit.
    """
    left, arrow, right = pattern.partition("->")
    before, after = _groups(left, pattern), _groups(right, pattern)
    known = [name for group in before for name in group]
    if not arrow or sorted(known) != sorted(name for group in after for name in group):
        raise ValueError(f"ops.rearrange of {pattern!r}. Write '->' between two lists of the same axes instead.")
    if len(before) != len(tensor.shape):
        raise ValueError(
            f"ops.rearrange of {pattern!r} has {len(before)} dimensions, and the tensor {tuple(tensor.shape)}."
        )
    unknown = sorted(set(axes_lengths) - set(known))
    if unknown:
        raise ValueError(f"ops.rearrange of {pattern!r} has no axis {', '.join(unknown)}.")
    extents: dict[str, Any] = dict(axes_lengths)
    for group, extent in zip(before, tensor.shape, strict=True):
        free = [name for name in group if name not in extents]
        given = math.prod(extents[name] for name in group if name in extents)
        fits = extent == given if not free else len(free) == 1 and (given == 1 or extent % given == 0)
        if not fits:
            raise ValueError(
                f"ops.rearrange of {pattern!r}: a dimension of {extent} is ({' '.join(group)}). Write the extents of "
                "all its axes but one, whose product divides it."
            )
        if free:
            extents[free[0]] = extent if given == 1 else extent // given
    split = arrays.reshape(tensor, tuple(extents[name] for name in known))
    order = [name for group in after for name in group]
    moved = arrays.transpose(split, tuple(known.index(name) for name in order))
    shape = []
    for group in after:
        size: Any = 1
        for name in group:
            size = extents[name] if size == 1 else size * extents[name]
        shape.append(size)
    return arrays.reshape(moved, tuple(shape))

"""Positions added, cut off, repeated and rearranged: what images need between convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier.graph.node import GraphError, Node, apply, constant, extent, extents
from ranvier.ops.functional.convolution import Pairs, channels_first, channels_last
from ranvier.tensor.function import function


@function
def extend(
    x: Node, padding: Pairs, mode: str = "constant", value: float = 0.0, first: bool = False, start: int = 1
) -> Node:
    """Positions added (before, after) in each spatial dimension, which begin at axis ``start``.

    ``mode``: "constant" values; the "reflect"ed inputs without the edge itself; the edge "replicate"d; or the other
    side, "circular". Negative numbers cut off. With ``first`` channels lie before positions.
    """
    x = channels_last(x) if first else x
    beyond = tuple((max(0, -a), max(0, -b)) for a, b in padding)
    padding = tuple((max(0, a), max(0, b)) for a, b in padding)
    if mode == "circular":  # the other side is that of what is left
        x, beyond = _cut(x, beyond, start), ()
    if mode == "constant":
        rest = x.ndim - start - len(padding)
        widths = (*((0, 0),) * start, *padding, *((0, 0),) * rest)
        if any(a or b for a, b in widths):
            x = apply("pad", x, constant(value, x.dtype), widths=tuple((a, b, 0) for a, b in widths))
    else:
        for axis, (before, after) in enumerate(padding, start):
            x = _sides(x, axis, before, after, mode)
    x = _cut(x, beyond, start)
    return channels_first(x) if first else x


def _sides(x: Node, axis: int, before: int, after: int, mode: str) -> Node:
    """One dimension of `extend`, from parts of the input itself."""
    n = extent(x, axis)
    most = {"reflect": n - 1, "circular": n}.get(mode)
    if most is not None and max(before, after) > most:
        raise GraphError(f"{mode} padding of {(before, after)} reaches past a dimension of {n}: write {most} or less")

    def part(start: int, stop: int) -> Node:
        return apply("slice", x, ranges=tuple((start, stop, 1) if a == axis else None for a in range(x.ndim)))

    def mirrored(start: int, stop: int) -> Node:
        return apply("reverse", part(start, stop), axes=(axis,))

    makers: dict[str, Any] = {
        "reflect": (lambda k: mirrored(1, k + 1), lambda k: mirrored(n - 1 - k, n - 1)),
        "circular": (lambda k: part(n - k, n), lambda k: part(0, k)),
        "replicate": (lambda k: _many(part(0, 1), axis, k), lambda k: _many(part(n - 1, n), axis, k)),
    }
    low, high = makers[mode]
    parts = [*([low(before)] if before else []), x, *([high(after)] if after else [])]
    return parts[0] if len(parts) == 1 else apply("concatenate", *parts, axis=axis)


def _many(x: Node, axis: int, times: int) -> Node:
    """Every position of an axis several times over, the same ones next to each other."""
    kept = tuple(a + (a > axis) for a in range(x.ndim))
    y = apply("broadcast", x, shape=(*x.shape[: axis + 1], times, *x.shape[axis + 1 :]), axes=kept)
    return apply("reshape", y, shape=(*x.shape[:axis], extent(x, axis) * times, *x.shape[axis + 1 :]))


@function
def crop(x: Node, cropping: Pairs, start: int = 1) -> Node:
    """Positions cut off (before, after) in each spatial dimension, which begin at axis ``start``."""
    for axis, (before, after) in enumerate(cropping, start):
        n = x.shape[axis]
        if not isinstance(n, int) or before + after >= n:
            raise GraphError(f"cutting {(before, after)} off leaves nothing of a dimension of {n}")
    return _cut(x, cropping, start)


def _cut(x: Node, cropping: Pairs, start: int) -> Node:
    """`crop`, which may leave nothing."""
    ranges: list[Any] = [None] * x.ndim
    for axis, (before, after) in enumerate(cropping, start):
        n: Any = x.shape[axis]
        if before or after:
            if before + after > n:
                raise GraphError(f"{(before, after)} can't be cut off a dimension of {n}")
            ranges[axis] = (before, n - after, 1)
    return apply("slice", x, ranges=tuple(ranges)) if any(ranges) else x


@function
def repeat(x: Node, times: Sequence[int], first: bool = False) -> Node:
    """Every position ``times`` over in each spatial dimension: images enlarged by their nearest pixels."""
    x = channels_last(x) if first else x
    for axis, k in enumerate(times, 1):
        x = x if k == 1 else _many(x, axis, k)
    return channels_first(x) if first else x


@function
def pixel_shuffle(x: Node, factor: int) -> Node:
    """(batch, c * r * r, h, w) -> (batch, c, h * r, w * r): channels as the pixels of blocks (Shi et al., 2016)."""
    batch = x.shape[0]
    channels, height, width = extents(x, 1)
    if channels % factor**2:
        raise GraphError(f"{channels} channels are no multiple of {factor**2}: write sizes that divide")
    c = channels // factor**2
    y = apply("reshape", channels_last(x), shape=(batch, height, width, c, factor, factor))
    y = apply("transpose", y, axes=(0, 1, 4, 2, 5, 3))
    return channels_first(apply("reshape", y, shape=(batch, height * factor, width * factor, c)))


@function
def pixel_unshuffle(x: Node, factor: int) -> Node:
    """What undoes `pixel_shuffle`: (batch, c, h * r, w * r) -> (batch, c * r * r, h, w)."""
    batch = x.shape[0]
    c, height, width = extents(x, 1)
    if height % factor or width % factor:
        raise GraphError(f"images of {height} x {width} do not split by {factor}: write sizes that divide")
    rows, columns = height // factor, width // factor
    y = apply("reshape", channels_last(x), shape=(batch, rows, factor, columns, factor, c))
    y = apply("transpose", y, axes=(0, 1, 3, 5, 2, 4))
    return channels_first(apply("reshape", y, shape=(batch, rows, columns, c * factor**2)))

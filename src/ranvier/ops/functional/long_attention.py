"""Attention of long sequences, in blocks of queries: memory grows with the length, and not with its square.

One head follows the other, unless masks or noise differ by head: the scores of a block of one head stay near the
processor. The weights of a block are computed, used and forgotten, and computed again for the gradient. Where a mask
hides keys by their distance, a block's products are with the keys that it sees. Source: Rabe and Staats, 2021,
"Self-attention does not need O(n^2) memory".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ranvier.graph.node import Node, apply, like
from ranvier.ops import arrays as n
from ranvier.ops.arrays.promotion import axis_of
from ranvier.ops.arrays.shape import moveaxis, part
from ranvier.ops.functional.blocks import in_blocks
from ranvier.ops.functional.noise import dropout
from ranvier.ops.functional.scoring import (
    HEADS_FIRST,
    HEADS_LAST,
    LENGTH_AXIS,
    LENGTH_FIRST,
    Scoring,
    exponentials,
    scaled_query,
    weights,
)
from ranvier.tensor.rng import STEP

HEADS_AXIS = {HEADS_FIRST: -3, HEADS_LAST: -2, LENGTH_FIRST: -2}  # of queries, keys and values
LONG = 1 << 20  # scores of a head, from which they are computed in blocks
ROWS = 128  # queries of a block
SPANS = 8  # of queries that have products with the same keys, where a mask hides keys by their distance


class Operands(NamedTuple):
    """The operands of attention; ``noise`` is the seed and the stream of dropout, or nothing."""

    query: Node
    key: Node
    value: Node
    mask: Node | None = None
    bias: Node | None = None
    start: Node | None = None
    noise: tuple[Node, ...] = ()


def means(given: Operands, scoring: Scoring, rate: float) -> Node:
    """The means of the values, by weights of which a share of ``rate`` is dropped."""
    axis = LENGTH_AXIS.get(scoring.equations)
    if axis is None:
        query, key, value, mask, bias, start, noise = given
        shares = weights(query, key, mask, bias, start, scoring)
        return n.einsum(scoring.equations[1], dropout(shares, *noise, rate=rate) if rate else shares, value)
    query, key = given.query, given.key
    rows, columns = query.shape[axis], key.shape[axis]
    if columns == 0:  # the mean of no values is 0
        return n.einsum(scoring.equations[1], n.einsum(scoring.equations[0], query, key), given.value)
    if not isinstance(rows, int) or not isinstance(columns, int) or rows * columns < LONG:
        return _means(given, scoring, rate)[0]
    if (heads := _heads_alone(given, scoring)) is not None:
        return _by_head(given, scoring, heads)
    given = given._replace(mask=_of_scores(given.mask, query.ndim), bias=_of_scores(given.bias, query.ndim))
    clipped = given.start is None and (scoring.causal or scoring.window is not None)
    span = -(-rows // (SPANS * ROWS)) * ROWS if clipped else rows
    spans = [(low, min(low + span, rows)) for low in range(0, rows, span)]
    parts = []
    for low, high in spans:
        first, last = _seen(low, high, columns, scoring) if clipped else (0, columns)
        middle = low + (high - low) // ROWS * ROWS
        if low < middle:
            parts.append(_in_blocks(_part(given, (low, middle), (first, last), axis), scoring, rate))
        if middle < high:
            parts.append(_means(_part(given, (middle, high), (first, last), axis), scoring, rate)[0])
    return n.concatenate(parts, axis) if len(parts) > 1 else parts[0]


def _means(given: Operands, scoring: Scoring, rate: float) -> tuple[Node, ...]:
    """The means of the values, with all weights at once: sums by exponentials of scores, divided by the sums of these.

    To divide last takes a division for each result, where the weights would take one for each pair of positions. What
    was found of each query's scores follows.
    """
    query, key, value, mask, bias, start, noise = given
    shares, totals, found = exponentials(query, key, mask, bias, start, scoring)
    if rate:
        shares = dropout(shares, *noise, rate=rate)
    sums = n.einsum(scoring.equations[1], shares, value)
    place = axis_of(LENGTH_AXIS[scoring.equations], sums.ndim)
    return n.divide(sums, n.expand_dims(moveaxis(n.squeeze(totals, -1), -1, place), -1)), *found


def _heads_alone(given: Operands, scoring: Scoring) -> int | None:
    """The axis of several heads that have nothing in common; None where there is none."""
    query, key, _, *common = given
    if query.ndim != 4 or any(x is not None and x != () for x in common):
        return None
    axis = axis_of(HEADS_AXIS[scoring.equations], 4)
    many = query.shape[axis]
    return axis if isinstance(many, int) and many > 1 and many == key.shape[axis] else None


def _by_head(given: Operands, scoring: Scoring, axis: int) -> Node:
    """The same, with one head after the other: the scores of a block of queries then fit in a cache."""

    def body(head: list[Node], constants: list[Node], number: Node) -> tuple[Node]:
        return (means(Operands(head[0], head[1], head[2]), scoring, 0.0),)

    return in_blocks(body, [(x, axis) for x in given[:3]], (), 1, axis, recompute=False)


def _of_scores(mask: Node | None, ndim: int) -> Node | None:
    """A mask with as many dimensions as the scores."""
    return None if mask is None else n.reshape(mask, ((1,) * (ndim - mask.ndim) + mask.shape))


def _seen(low: int, high: int, columns: int, scoring: Scoring) -> tuple[int, int]:
    """The first key that one of these queries sees, and the first behind all of them."""
    reach = None if scoring.window is None else scoring.window - 1
    first = 0 if reach is None else min(max(0, low - reach), columns - 1)
    last = high if scoring.causal else columns if reach is None else high + reach
    return first, max(first + 1, min(last, columns))


def _part(given: Operands, rows: tuple[int, int], columns: tuple[int, int], axis: int) -> Operands:
    """Some of the queries, and some of the keys."""
    query = part(given.query, axis_of(axis, given.query.ndim), *rows)
    key, value = (part(x, axis_of(axis, x.ndim), *columns) for x in (given.key, given.value))
    masks: list[Node | None] = []
    for mask in (given.mask, given.bias):
        for place, ends in ((-2, rows), (-1, columns)):
            if mask is not None and mask.shape[place] != 1:
                mask = part(mask, mask.ndim + place, *ends)
        masks.append(mask)
    first = rows[0] - columns[0]
    start = given.start
    if first:
        moved = apply("constant", value=np.array(first, np.int32))
        start = moved if start is None else n.add(start, moved)
    mask, bias = masks
    return Operands(query, key, value, mask, bias, start, _noise_of(given.noise, rows[0] // ROWS))


def _in_blocks(given: Operands, scoring: Scoring, rate: float) -> Node:
    """The same, with the weights of some queries after the other."""
    axis = LENGTH_AXIS[scoring.equations]
    query, key, value, _, _, start, noise = given
    divided = [(query, axis_of(axis, query.ndim))]
    whole = [key, value, *noise]
    places: list[tuple[str, bool, int]] = []  # of further operands: their names, whether they are divided, where
    for name, more in (("mask", given.mask), ("bias", given.bias), ("start", start)):
        if more is None:
            continue
        by_row = name != "start" and more.shape[-2] != 1
        places.append((name, by_row, len(divided) if by_row else len(whole)))
        if by_row:
            divided.append((more, more.ndim - 2))
        else:
            whole.append(more)

    def body(blocks: list[Node], constants: list[Node], number: Node) -> tuple[Node, ...]:
        more = {name: (blocks if by_row else constants)[place] for name, by_row, place in places}
        rows = n.multiply(number, ROWS)
        more["start"] = rows if start is None else n.add(more["start"], rows)
        drawn = _noise_of(tuple(constants[2 : 2 + len(noise)]), number)
        scaled, unscaled = scaled_query(blocks[0], scoring)
        own = Operands(scaled, constants[0], constants[1], more.get("mask"), more.get("bias"), more["start"], drawn)
        return _means(own, unscaled, rate)

    return in_blocks(body, divided, whole, ROWS, axis_of(axis, query.ndim))


def _noise_of(noise: tuple[Node, ...], block: Node | int) -> tuple[Node, ...]:
    """The seed and stream of a block, if there are any."""
    if not noise:
        return noise
    seed, stream = noise
    number = n.cast(block, seed.dtype) if isinstance(block, Node) else like(seed, block)
    return seed + number * like(seed, STEP), stream

"""Attention: means of values, weighted by how well their keys fit the queries (Vaswani et al., 2017)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from ranvier.graph.extents import extent
from ranvier.graph.node import GraphError, Node, apply
from ranvier.ops import arrays as n
from ranvier.ops.arrays.promotion import floating
from ranvier.ops.functional.activations import softmax
from ranvier.ops.functional.noise import dropout
from ranvier.tensor.function import function

# Equations of the scores, and of the means: queries (..., t, e), keys (..., s, e) and values (..., s, v); and with the
# heads behind the positions, (batch, t, heads, e). Scores are (..., heads, t, s) in both.
HEADS_FIRST = ("...te,...se->...ts", "...ts,...sv->...tv")
HEADS_LAST = ("bt...e,bs...e->b...ts", "b...ts,bs...v->bt...v")


@dataclass(frozen=True)
class Scoring:
    """How queries and keys make weights, whose last ``axes`` axes are the keys'.

    The products of ``equations`` are multiplied by ``scale`` (None: 1 / sqrt(e)); ``soft_cap`` keeps them between its
    negative and itself. ``causal`` hides the keys behind a query, ``window`` those that many positions away, or more. A
    hidden key has the weight 0, and so it is in rows that see no key; with ``fill`` it has that score instead.
    """

    equations: tuple[str, str] = HEADS_FIRST
    scale: float | None = None
    causal: bool = False
    window: int | None = None
    soft_cap: float | None = None
    fill: float | None = None
    axes: int = 1

    def visible(self, rows: Any, columns: Any, start: Node | None = None) -> Node | None:
        """Which keys a query sees, (rows, columns); the first query is at the position ``start``."""
        if not self.causal and self.window is None:
            return None
        row, column = (apply("iota", shape=(rows, columns), dtype="int32", axis=axis) for axis in (0, 1))
        row = row if start is None else n.add(row, start)
        parts = [n.less_equal(column, row)] if self.causal else []
        if self.window is not None:
            parts += [n.less(n.subtract(row, column), self.window)]
            parts += [] if self.causal else [n.less(n.subtract(column, row), self.window)]
        return _every(*parts)


PLAIN = Scoring()


def _every(*masks: Node | None) -> Node | None:
    """Where all of the masks are true; None without a mask."""
    known = [mask for mask in masks if mask is not None]
    return reduce(n.logical_and, known) if known else None


def _softmax(x: Node, mask: Node | None, axes: tuple[int, ...] = (-1,)) -> Node:
    """`softmax` along axes, of the elements where the mask is true; others are 0, and so are rows without one."""
    x = floating(x)
    if mask is None and len(axes) == 1:
        return softmax(x, axes[0])
    if mask is not None:
        x = n.where(mask, x, -math.inf)
    # Of a row without elements the least number is subtracted, and 1 divides it: 0 / 1.
    top = n.stop_gradient(n.maximum(n.max(x, axes, True), float(np.finfo(x.dtype).min)))
    e = n.exp(n.subtract(x, top))
    total = n.sum(e, axes, True)
    return n.divide(e, n.where(n.equal(total, 0.0), 1.0, total))


def _weights(
    query: Node, key: Node, mask: Node | None, bias: Node | None, start: Node | None, scoring: Scoring
) -> Node:
    width = query.shape[-1]
    scale = scoring.scale
    if scale is None:
        scale = 1 / math.sqrt(width) if isinstance(width, int) and width else 1.0
    scores = n.multiply(floating(n.einsum(scoring.equations[0], query, key)), scale)
    scores = scores if bias is None else n.add(scores, bias)
    if scoring.soft_cap:
        scores = n.multiply(n.tanh(n.divide(scores, scoring.soft_cap)), scoring.soft_cap)
    return _normalized(scores, mask, start, scoring)


def _normalized(scores: Node, mask: Node | None, start: Node | None, scoring: Scoring) -> Node:
    mask = _every(mask, scoring.visible(scores.shape[-2], scores.shape[-1], start))
    if scoring.fill is not None and mask is not None:
        scores, mask = n.where(mask, scores, scoring.fill), None
    return _softmax(scores, mask, tuple(range(-scoring.axes, 0)))


@function
def weights_of(scores: Node, mask: Node | None = None, start: Node | None = None, scoring: Scoring = PLAIN) -> Node:
    """The weights that scores of your own make: as `attention_weights`, from where the mask is applied."""
    return _normalized(scores, mask, start, scoring)


@function
def attention_weights(
    query: Node,
    key: Node,
    mask: Node | None = None,
    bias: Node | None = None,
    start: Node | None = None,
    scoring: Scoring = PLAIN,
) -> Node:
    """The weight of each key in each query's mean: see `Scoring`.

    ``mask`` is true where a key is seen, ``bias`` is added to the scores. The first query is at the position ``start``.
    """
    groups = _Groups.of(query, key, scoring)
    query, key = groups.split(query), groups.split(key)
    weights = _weights(query, key, groups.split(mask, -3), groups.split(bias, -3), start, scoring)
    return groups.join(weights, -3)


@function
def attention_means(weights: Node, value: Node, scoring: Scoring = PLAIN) -> Node:
    """The means of the values by weights that `attention_weights` gave."""
    groups = _Groups.of(weights, value, scoring, -3)
    return groups.join(n.einsum(scoring.equations[1], groups.split(weights, -3), groups.split(value)))


@function
def attend(
    query: Node,
    key: Node,
    value: Node,
    mask: Node | None = None,
    bias: Node | None = None,
    start: Node | None = None,
    seed: Node | None = None,
    stream: Node | None = None,
    scoring: Scoring = PLAIN,
    rate: float = 0.0,
) -> Node:
    """The means of the values by `attention_weights`, of which a share of ``rate`` is dropped (see `dropout`)."""
    groups = _Groups.of(query, key, scoring)
    weights = _weights(
        groups.split(query), groups.split(key), groups.split(mask, -3), groups.split(bias, -3), start, scoring
    )
    if rate:
        weights = dropout(weights, seed, stream, rate=rate)
    return groups.join(n.einsum(scoring.equations[1], weights, groups.split(value)))


class _Groups(NamedTuple):
    """Heads of keys and values that serve several heads of queries each (Ainslie et al., 2023): (groups, heads each).

    ``count`` is 0 where each serves one, or one serves all.
    """

    count: Any = 0
    axis: int = -3  # of the heads

    @classmethod
    def of(cls, query: Node, key: Node, scoring: Scoring, own: int | None = None) -> _Groups:
        """Those of two operands; ``own`` is the axis of the first one's heads if they are weights.

        Raises GraphError where the heads of the queries are no multiple of the keys'.
        """
        axis = {HEADS_FIRST: -3, HEADS_LAST: -2}.get(scoring.equations, 0)
        if not axis or min(query.ndim, key.ndim) < 4:
            return cls()
        many, few = extent(query, axis if own is None else own), extent(key, axis)
        if many == few or few == 1:
            return cls()
        if many % few:
            raise GraphError(f"the queries have {many} heads and the keys {few}. Write a multiple of the keys' heads")
        return cls(few, axis)

    def split(self, x: Any, axis: int | None = None) -> Any:
        """With the heads in groups. What has one head serves all, and what has no heads is as it is."""
        place = 0 if x is None else x.ndim + (self.axis if axis is None else axis)
        if x is None or not self.count or place < 0:
            return x
        heads = x.shape[place]
        each = (1, 1) if heads == 1 else (self.count, heads // self.count)
        return n.reshape(x, (*x.shape[:place], *each, *x.shape[place + 1 :]))

    def join(self, x: Node, axis: int | None = None) -> Node:
        """With the heads in one axis again."""
        if not self.count:
            return x
        place = x.ndim + (self.axis if axis is None else axis)
        return n.reshape(x, (*x.shape[: place - 1], extent(x, place - 1) * extent(x, place), *x.shape[place + 1 :]))

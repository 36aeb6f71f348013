"""How queries and keys make the weights of attention: products, masks and softmax."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from ranvier.graph.node import Node, apply
from ranvier.ops import arrays as n
from ranvier.ops.arrays.promotion import floating
from ranvier.ops.functional.activations import softmax

# Equations of the scores, and of the means: queries (..., t, e), keys (..., s, e) and values (..., s, v); with the
# heads behind the positions, (batch, t, heads, e); and with the positions first. Scores are (..., heads, t, s) in all.
HEADS_FIRST = ("...te,...se->...ts", "...ts,...sv->...tv")
HEADS_LAST = ("bt...e,bs...e->b...ts", "b...ts,bs...v->bt...v")
LENGTH_FIRST = ("tb...e,sb...e->b...ts", "b...ts,sb...v->tb...v")
LENGTH_AXIS = {HEADS_FIRST: -2, HEADS_LAST: 1, LENGTH_FIRST: 0}  # of queries, keys, values and results


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


class Exponentials(NamedTuple):
    """Exponentials of scores less the largest of their row, the sums by which they are divided, and of what these are
    made: the largest scores and the sums.
    """

    values: Node
    sums: Node
    found: tuple[Node, Node]


def _every(*masks: Node | None) -> Node | None:
    """Where all of the masks are true; None without a mask."""
    known = [mask for mask in masks if mask is not None]
    return reduce(n.logical_and, known) if known else None


def exponentials(
    query: Node, key: Node, mask: Node | None, bias: Node | None, start: Node | None, scoring: Scoring
) -> Exponentials:
    """The exponentials of the scores: see `_exponentials`.

    ``mask`` is true where a key is seen, ``bias`` is added to the scores.
    """
    scores, mask = _masked(_scores(query, key, bias, scoring), mask, start, scoring)
    return _exponentials(scores, mask, scoring, bias is not None)


def weights(query: Node, key: Node, mask: Node | None, bias: Node | None, start: Node | None, scoring: Scoring) -> Node:
    """The weight of each key in each query's mean."""
    return normalized(_scores(query, key, bias, scoring), mask, start, scoring, bias is not None)


def normalized(scores: Node, mask: Node | None, start: Node | None, scoring: Scoring, infinite: bool = False) -> Node:
    """The weights that scores make. With ``infinite``, all scores of a row may be negative infinity."""
    scores, mask = _masked(scores, mask, start, scoring)
    if mask is None and not infinite and scoring.axes == 1:
        return softmax(scores, -1)
    made = _exponentials(scores, mask, scoring, infinite)
    return n.divide(made.values, made.sums)


def scaled_query(query: Node, scoring: Scoring) -> tuple[Node, Scoring]:
    """Queries whose products are scaled already, which takes fewer operations than to scale the scores of many keys."""
    return n.multiply(floating(query), _scale(query, scoring)), replace(scoring, scale=1.0)


def _scale(query: Node, scoring: Scoring) -> float:
    width = query.shape[-1]
    if scoring.scale is not None:
        return scoring.scale
    return 1 / math.sqrt(width) if isinstance(width, int) and width else 1.0


def _scores(query: Node, key: Node, bias: Node | None, scoring: Scoring) -> Node:
    scores = n.multiply(floating(n.einsum(scoring.equations[0], query, key)), _scale(query, scoring))
    scores = scores if bias is None else n.add(scores, bias)
    if scoring.soft_cap:
        scores = n.multiply(n.tanh(n.divide(scores, scoring.soft_cap)), scoring.soft_cap)
    return scores


def _masked(scores: Node, mask: Node | None, start: Node | None, scoring: Scoring) -> tuple[Node, Node | None]:
    """The scores, and where keys are seen if others have no score."""
    mask = _every(mask, scoring.visible(scores.shape[-2], scores.shape[-1], start))
    if scoring.fill is not None and mask is not None:
        return n.where(mask, scores, scoring.fill), None
    return scores, mask


def _exponentials(x: Node, mask: Node | None, scoring: Scoring, infinite: bool) -> Exponentials:
    """Exponentials of scores less the largest of their row, 0 where the mask is false; and what was found of each row.

    The sum of a row without scores, or with all of them negative infinity, is 1, so that its weights are 0.
    """
    axes = tuple(range(-scoring.axes, 0))
    x = floating(x)
    if mask is not None:
        x = n.where(mask, x, -math.inf)
    top = n.max(x, axes, True)
    hides = infinite or mask is not None
    if hides:
        top = n.maximum(top, float(np.finfo(x.dtype).min))
    e = n.exp(n.subtract(x, n.stop_gradient(top)))
    total = n.sum(e, axes, True)
    return Exponentials(e, n.where(n.equal(total, 0.0), 1.0, total) if hides else total, (top, total))

"""Attention: means of values, weighted by how well their keys fit the queries (Vaswani et al., 2017)."""

from __future__ import annotations

from typing import Any, NamedTuple

from ranvier.graph.node import GraphError, Node, apply, extent
from ranvier.ops import arrays as n
from ranvier.ops.functional.long_attention import Operands, means
from ranvier.ops.functional.scoring import HEADS_FIRST, HEADS_LAST, PLAIN, Scoring, normalized
from ranvier.ops.functional.scoring import weights as weights_by
from ranvier.tensor.function import function


@function
def weights_of(scores: Node, mask: Node | None = None, start: Node | None = None, scoring: Scoring = PLAIN) -> Node:
    """The weights that scores of your own make: as `attention_weights`, from where the mask is applied."""
    return normalized(scores, mask, start, scoring)


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
    weights = weights_by(query, key, groups.split(mask, -3), groups.split(bias, -3), start, scoring)
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
    """The means of the values by `attention_weights`, of which a share of ``rate`` is dropped (see `dropout`).

    Of long sequences the weights are computed for a block of queries after the other, and again for the gradient, so
    that the memory grows with the length and not with its square (Rabe and Staats, 2021).
    """
    groups = _Groups.of(query, key, scoring)
    query, key, value = groups.split(query), groups.split(key), groups.split(value)
    mask, bias = groups.split(mask, -3), groups.split(bias, -3)
    noise = () if seed is None or stream is None else (seed, stream)
    return groups.join(means(Operands(query, key, value, mask, bias, start, noise), scoring, rate))


@function
def written_at(whole: Node, part: Node, start: Node, axis: int = 0) -> Node:
    """``whole`` with ``part`` in place of its elements from ``start`` on, along an axis."""
    place = n.subtract(apply("iota", shape=(whole.shape[axis],), dtype="int32", axis=0), start)
    count = extent(part, axis)
    inside = n.logical_and(n.greater_equal(place, 0), n.less(place, count))
    rows = part if count == 1 else n.take(part, n.clip(place, 0, count - 1), axis)
    shape = tuple(whole.shape[axis] if i == axis else 1 for i in range(whole.ndim))
    return n.where(n.reshape(inside, shape), rows, whole)


class _Groups(NamedTuple):
    """Heads of keys and values that serve several heads of queries each (Ainslie et al., 2023): (groups, heads each).

    ``count`` is 0 where each serves one, or where keys or queries have one head, which meets all of the others.
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
        if many == few or 1 in (many, few):
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

"""Connectionist temporal classification (Graves et al., 2006): a sum over all ways to read labels, in log space."""

from __future__ import annotations

import math
from typing import Any

from ranvier.graph.graph import Graph, input_node
from ranvier.graph.loops import scan
from ranvier.graph.node import GraphError, Node, apply, full
from ranvier.ops import arrays as n
from ranvier.ops.arrays.promotion import floating, index_node
from ranvier.ops.arrays.shape import part
from ranvier.tensor.function import function

NEVER = -1e30  # the logarithm of no probability: finite, so that its gradient is 0 and not nan


@function
def ctc(log_probs: Node, targets: Node, input_lengths: Node, target_lengths: Node, blank: int = 0) -> Node:
    """The negative log-probability of each label sequence: (N, T, C), (N, S), (N,), (N,) -> (N,).

    It is infinite, with a gradient of 0, where T is too short for the labels. What is beyond the lengths does not
    count. (A loop over T, on the labels with blanks between them.)
    """
    x = n.maximum(floating(log_probs), NEVER)
    if x.ndim != 3 or targets.ndim != 2:
        raise GraphError(
            f"CTC takes scores (samples, steps, classes) and labels (samples, length), and here are {x.type} and "
            f"{targets.type}"
        )
    rows = x.shape[0]
    steps, classes, length = (size for size in (*x.shape[1:], targets.shape[1]) if isinstance(size, int))
    labels = n.clip(index_node(targets), 0, classes - 1)
    blanks = full(blank, (rows, length), labels.dtype)
    places = 2 * length + 1
    spaced = n.reshape(n.stack([blanks, labels], -1), (rows, 2 * length))
    spaced = n.concatenate([spaced, full(blank, (rows, 1), labels.dtype)], 1)
    # A label may follow the label before the blank, unless the two are equal.
    before = n.concatenate([full(blank, (rows, 2), labels.dtype), spaced], 1)
    skips = n.not_equal(spaced, part(before, 1, 0, places))
    everywhere = n.broadcast_to(n.expand_dims(spaced, 1), (rows, steps, places))
    emitted = apply("gather", x, everywhere, batch=2)
    time = apply("iota", shape=(rows, steps), axis=1, dtype="int32")
    kept = n.less(time, n.expand_dims(index_node(input_lengths), -1))
    place = apply("iota", shape=(rows, places), axis=1, dtype="int32")
    start = n.where(n.equal(place, 0), like_float(x, place, 0.0), NEVER)
    last = _last(start, emitted, kept, n.where(skips, like_float(x, place, 0.0), NEVER), steps)
    end = n.multiply(n.expand_dims(index_node(target_lengths), -1), 2)
    ends = n.logical_or(n.equal(place, end), n.equal(place, n.subtract(end, 1)))
    total = n.logsumexp(n.where(ends, last, NEVER), -1)
    return n.where(n.less(total, NEVER / 10), math.inf, n.negative(total))


def like_float(x: Node, other: Node, value: float) -> Node:
    """A number everywhere, in the dtype of x and in the shape of another node."""
    return full(value, other.shape, x.dtype)


def _last(start: Node, emitted: Node, kept: Node, skips: Node, steps: int) -> Node:
    """The log-probabilities of all that was read up to each place, after the last step."""
    a, e = (input_node(name, start.shape, start.dtype) for name in ("a", "e"))
    k, s = input_node("k", kept.shape[:1], kept.dtype), input_node("s", skips.shape, skips.dtype)
    places: Any = start.shape[1]
    pad = [apply("pad", a, full(NEVER, (), a.dtype), widths=((0, 0, 0), (by, 0, 0))) for by in (1, 2)]
    one, two = (part(wide, 1, 0, places) for wide in pad)
    two = two + s
    most = apply("stop_gradient", n.maximum(n.maximum(a, one), two))
    parts = n.exp(a - most) + n.exp(one - most) + n.exp(two - most)
    after = n.where(n.expand_dims(k, -1), most + n.log(parts) + e, a)
    body = Graph((a, e, k, s), (), ((a, after),))
    return scan(body, [start], [emitted, kept], [skips], length=steps, axis=1)[0]


@function
def with_softmax_gradient(log_probs: Node) -> Node:
    """Log-probabilities whose gradient is that by the scores that they are the `log_softmax` of, as PyTorch has it."""
    total = n.expand_dims(n.logsumexp(log_probs, -1), -1)
    return n.subtract(log_probs, n.subtract(total, apply("stop_gradient", total)))


@function
def ctc_of_scores(output: Node, target: Node, output_length: Node, target_length: Node, blank: int = 0) -> Node:
    """`ctc` of scores that no softmax has normalized."""
    x = floating(output)
    scores = n.subtract(x, n.expand_dims(n.logsumexp(x, -1), -1))
    loss: Node = ctc(scores, target, output_length, target_length, blank)
    return loss

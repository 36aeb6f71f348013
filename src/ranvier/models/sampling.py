"""Which token comes next: drawn by the logits of a model, from all tokens or from the likely ones."""

from __future__ import annotations

from typing import Any

from ranvier.graph.node import Node, apply
from ranvier.ops import arrays, loops
from ranvier.ops import arrays as n
from ranvier.tensor.function import function

HALVINGS = 30  # of the range of the logits, until two limits differ by less than two float32 numbers do


@function
def drawn(logits: Node, temperature: Node, seed: Node, stream: Node) -> Node:
    """A token for each row (rows, tokens), int32: one of softmax(logits / temperature), at 0 the most likely one.

    The largest logit counts after noise of the extreme value distribution is added (Gumbel, 1954).
    """
    uniform = apply("random", seed, stream, shape=logits.shape, dtype=logits.dtype)
    noise = n.negative(n.log(n.negative(n.log(n.maximum(uniform, 1e-9)))))
    return n.argmax(n.add(logits, n.multiply(noise, temperature)), -1)


def likely(logits: Any, temperature: Any, top_k: Any, top_p: Any) -> Any:
    """The logits, -inf for all but the ``top_k`` largest, and of those for all but the fewest largest ones whose
    probabilities add up to ``top_p``. Equal logits are kept together.
    """
    least = arrays.min(logits, -1, keepdims=True)
    one = arrays.ones_like(logits)
    kept = arrays.where(arrays.greater_equal(logits, limit(logits, one, top_k)), logits, -1e30)
    scaled = arrays.divide(
        arrays.subtract(kept, arrays.max(kept, -1, keepdims=True)), arrays.maximum(temperature, 1e-6)
    )
    weights = arrays.exp(scaled)
    wanted = arrays.multiply(arrays.sum(weights, -1, keepdims=True), top_p)
    lowest = limit(arrays.maximum(kept, least), weights, wanted)
    return arrays.where(arrays.greater_equal(kept, lowest), kept, -float("inf"))


def limit(values: Any, weights: Any, wanted: Any) -> Any:
    """The largest limit (rows, 1) so that the weights of the values that reach it add up to ``wanted``, by halving."""

    def body(ends: Any, _: Any) -> Any:
        low, high = ends
        middle = arrays.multiply(arrays.add(low, high), 0.5)
        reached = arrays.sum(arrays.where(arrays.greater_equal(values, middle), weights, 0.0), -1, keepdims=True)
        enough = arrays.greater_equal(reached, wanted)
        return (arrays.where(enough, middle, low), arrays.where(enough, high, middle)), None

    ends = arrays.min(values, -1, keepdims=True), arrays.max(values, -1, keepdims=True)
    (low, _), _ = loops.scan(body, ends, None, length=HALVINGS)
    return low


@function
def log_probabilities(logits: Node) -> Node:
    """The logarithms of softmax, along the last axis."""
    return n.subtract(logits, n.logsumexp(logits, -1, keepdims=True))

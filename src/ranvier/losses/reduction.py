"""From the losses of samples to one number, for losses that are called and for what `fit` minimizes."""

from __future__ import annotations

from ranvier.graph.node import GraphError, Node, apply
from ranvier.ops import arrays as n
from ranvier.ops.arrays.promotion import as_node, count
from ranvier.tensor.function import function

REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None)


def together(losses: Node, sample_weight: Node) -> tuple[Node, Node]:
    """Losses (N, ...) and their weights, (N,), (N, 1) or of the losses' first dimensions, in shapes to multiply.

    One loss of a whole batch, such as `Dice`, is weighed by each of the weights, as in Keras.
    """
    weight = n.cast(sample_weight, losses.dtype)
    if not losses.ndim:
        return n.broadcast_to(losses, weight.shape), weight
    if weight.ndim == losses.ndim + 1 and weight.shape[-1] == 1:
        if losses.ndim == 1:  # as Keras
            losses = n.expand_dims(losses, -1)
        else:
            weight = n.squeeze(weight, -1)
    if weight.ndim > losses.ndim or weight.shape[:1] != losses.shape[:1]:
        raise GraphError(f"sample weights of {sample_weight.shape} for losses of {losses.shape}: write one a sample")
    if weight.ndim < losses.ndim and weight.shape == losses.shape[: weight.ndim]:
        weight = apply("broadcast", weight, shape=losses.shape, axes=tuple(range(weight.ndim)))
    return losses, weight


def mask_weights(sample_weight: Node | None, mask: Node) -> Node | None:
    """Weights that are 0 where a mask (bool, with at least their dimensions) is false."""
    if sample_weight is None or not getattr(sample_weight, "ndim", 0):
        return sample_weight
    mask, weight = together(n.cast(mask, sample_weight.dtype), sample_weight)
    return n.multiply(mask, weight)


@function
def reduced(
    losses: Node, sample_weight: Node | None, counted: Node | None, reduction: str | None, mask: Node | None = None
) -> Node:
    """One number from losses (N, ...) and their weights; with "none" the weighted losses.

    ``counted`` is the number that a mean counts for each loss, 1 if it is None (`Loss.counted`). Losses where ``mask``
    (of their first dimensions) is false are 0 and are not counted. "sum" divides by nothing, "batchmean" by the number
    of samples, "mean_with_sample_weight" by the sum of the weights, all others by the number of losses. If the divisor
    is 0, so is the result.
    """
    divisor = None if counted is None else n.cast(counted, losses.dtype)
    if mask is not None and losses.ndim:  # one loss of a whole batch is what it is
        losses, kept = together(losses, mask)
        divisor = kept if divisor is None else n.multiply(*together(divisor, kept))
        kept = n.cast(kept, "bool")
        losses = n.where(kept, losses, 0)
        sample_weight = mask_weights(sample_weight, kept)
    weighted = losses
    if getattr(sample_weight, "ndim", 0):
        losses, weight = together(losses, sample_weight)  # type: ignore[arg-type]  # which has dimensions
        weighted = n.multiply(losses, weight)
        if reduction == "mean_with_sample_weight":
            divisor = weight if counted is None else n.multiply(*together(n.cast(counted, losses.dtype), weight))
    elif sample_weight is not None:  # one number for all
        weighted = n.multiply(losses, sample_weight)
        if reduction == "mean_with_sample_weight" and losses.ndim:  # as Keras, where its sum is itself
            divisor = as_node(sample_weight, losses.dtype)
    if reduction in ("none", None):
        return weighted
    total = n.sum(weighted)
    if reduction == "sum":
        return total
    if reduction == "batchmean":
        return total / count(losses.shape[:1], losses.dtype)
    if divisor is None:
        return total / count(losses.shape, losses.dtype)
    whole = n.sum(divisor)
    return total / n.where(n.equal(whole, 0), 1, whole)

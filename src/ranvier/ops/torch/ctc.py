"""PyTorch's ``ctc_loss``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.graph.dtypes import FLOATING
from ranvier.ops import arrays
from ranvier.ops.functional import ctc as bodies
from ranvier.ops.functional.label_checks import in_range, labels_in_range
from ranvier.ops.torch.sizes import one_of
from ranvier.tensor.tensor import Tensor


def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """The CTC loss of log-probabilities (steps, batch, classes), or (steps, classes) for one sample.

    ``targets`` are (batch, length), or all labels one after the other, (sum of target_lengths,). "mean" divides each
    sample's loss by its number of labels first. A sample whose steps are too few for its labels has an infinite loss,
    with ``zero_infinity`` none. Raises RuntimeError for a blank that is no class, and for lengths that are negative or
    beyond the steps or the labels.
    """
    one_of(reduction, "reduction", ("none", "mean", "sum"))
    x = log_probs if isinstance(log_probs, Tensor) else Tensor(log_probs)
    labels, taken, counts = (
        t if isinstance(t, Tensor) else Tensor(np.asarray(t)) for t in (targets, input_lengths, target_lengths)
    )
    alone = x.ndim == 2
    if alone:
        x = arrays.expand_dims(x, 1)
        taken, counts = (arrays.reshape(t, (1,)) if t.ndim == 0 else t for t in (taken, counts))
    x = arrays.swapaxes(x, 0, 1)
    if not -1 < blank < x.shape[-1]:
        raise RuntimeError(f"blank={blank} of {x.shape[-1]} classes. Write one of 0 to {x.shape[-1] - 1}.")
    exact = alone and labels.ndim == 1
    labels = arrays.expand_dims(labels, 0) if exact else labels
    for name, lengths in (("input_lengths", taken), ("target_lengths", counts)):
        if lengths.dtype in FLOATING:
            raise RuntimeError(f"{name} of {lengths.dtype}. Write whole numbers.")
        if lengths.shape != x.shape[:1]:
            raise RuntimeError(
                f"{name} of shape {tuple(lengths.shape)} for a batch of {x.shape[0]}. Write one for each sample."
            )
    taken = in_range(taken, "length", x.shape[1] + 1)
    if labels.ndim == 1:
        labels = _rows(labels, in_range(counts, "length", labels.shape[0] + 1))
    size = labels.shape[1]
    counts = in_range(counts, "length", size + 1, low=size if exact else 0)
    labels = labels_in_range(labels, "label", x.shape[-1], None)
    losses = bodies.ctc(bodies.with_softmax_gradient(x), labels, taken, counts, blank)
    if zero_infinity:
        losses = arrays.where(arrays.isfinite(losses), losses, 0)
    if reduction == "mean":
        return arrays.mean(arrays.divide(losses, arrays.cast(arrays.maximum(counts, 1), losses.dtype)))
    if reduction == "sum":
        return arrays.sum(losses)
    return arrays.squeeze(losses, 0) if alone else losses


def _rows(labels: Tensor, counts: Tensor) -> Any:
    """Labels that are one after the other, as (batch, length)."""
    lengths = np.asarray(counts.compute())
    if lengths.sum() != labels.shape[0]:
        raise RuntimeError(
            f"{labels.shape[0]} targets, and target_lengths that add up to {lengths.sum()}. Write as many targets, or "
            "(batch, length), instead."
        )
    if not lengths.sum():  # no label stands at the places that no sample uses
        return Tensor(np.zeros((len(lengths), 1), np.int32))
    ends = np.cumsum(lengths)
    places = (ends - lengths)[:, None] + np.arange(max(lengths.max(initial=0), 1))
    return arrays.take(labels, Tensor(np.minimum(places, labels.shape[0] - 1).astype(np.int32)), 0)

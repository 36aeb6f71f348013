"""Results of metrics as single numbers, by which they are shown, drawn and watched."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np


def number_of(result: Any) -> Any:
    """A result that is one number as it is, and of one with a number for each class their mean; None for others."""
    if isinstance(result, (str, bytes)) or result is None:
        return None
    if np.ndim(result) == 0:
        return result
    return float(np.mean(result, dtype=np.float64)) if np.ndim(result) == 1 and np.size(result) else None


# Words in the names of metrics and of their classes for which lower or higher is better.
BETTER = {
    "min": ("loss", "error", "entropy", "mse", "mae", "hinge", "poisson", "divergence", "false", "brier"),
    "max": (
        "acc", "auc", "area", "precision", "recall", "f1", "fbeta", "score", "true", "specificity", "sensitivity",
        "matthews", "correlation", "mcc", "kappa", "cosine", "iou", "io_u", "dice", "r2", "top_k", "topk",
    ),
}  # fmt: skip


def metric_of(result: str, metrics: Iterable[Any]) -> Any:
    """The metric of a result, by its name or its name after that of an output; None for a loss."""
    name = result.removeprefix("val_")
    return next((m for m in metrics if name == m.name or name.endswith(f"_{m.name}")), None)


def is_loss(result: str) -> bool:
    """Whether a result is the loss, or the loss of one output."""
    return result.removeprefix("val_") == "loss" or result.endswith("_loss")


def infer(name: str, metric: Any) -> str | None:
    """The mode, "min" or "max", from the metric's ``direction``, or from words in the names."""
    metric = getattr(metric, "given", metric)  # the object that `compile` was given
    own = {"up": "max", "down": "min", "max": "max", "min": "min"}.get(str(getattr(metric, "direction", "")))
    if own is not None:
        return own
    text = f"{name} {type(metric).__name__ if metric is not None else ''}".lower()
    if is_loss(name):
        return "min"
    found = [way for way, words in BETTER.items() if any(word in text for word in words)]
    return found[0] if len(found) == 1 else None

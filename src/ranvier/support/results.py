"""Results of metrics as single numbers, by which they are shown, drawn and watched."""

from __future__ import annotations

from typing import Any

import numpy as np


def number_of(result: Any) -> Any:
    """A result that is one number as it is, and of one with a number for each class their mean; None for others."""
    if isinstance(result, (str, bytes)) or result is None:
        return None
    if np.ndim(result) == 0:
        return result
    return float(np.mean(result, dtype=np.float64)) if np.ndim(result) == 1 and np.size(result) else None


LARGER = ("accuracy", "precision", "recall", "f1", "auc", "kappa", "correlation", "r2")  # better when larger


def larger_is_better(name: str) -> bool:
    """Whether a result of this name is better when larger, as far as the name says so."""
    return any(word in name.lower() for word in LARGER)

"""What programs written for Keras take from its ``utils``."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from ranvier import seed as seeds
from ranvier.data.convert import Array, to_numeric
from ranvier.data.targets import as_labels
from ranvier.modes import get_dtype
from ranvier.module.names import missing

__all__ = ["set_random_seed", "to_categorical"]


def set_random_seed(seed: int) -> None:
    """Seed everything random: Ranvier (`ranvier.set_seed`), Python's ``random`` and NumPy's global generator.

    Raises ValueError for what is no whole number from 0 to 2**32 - 1.
    """
    if type(seed) is bool or not hasattr(seed, "__index__") or not 0 <= seed < 2**32:
        raise ValueError(
            f"seed {seed!r} is no whole number from 0 to 2**32 - 1. Write set_random_seed(0), for example, instead."
        )
    seeds.set_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # what a user's own code may draw from


def to_categorical(x: Any, num_classes: int | None = None) -> Array:
    """One-hot vectors of class numbers: of shape (..., num_classes), in float32 (float64 in float64 mode).

    A last dimension of 1 is taken away first, as Keras does. Without ``num_classes`` there are as many classes as the
    largest number asks for. Raises ValueError for what is no class number.
    """
    given = to_numeric(x, "x")
    squeezed = given.ndim > 1 and given.shape[-1] == 1
    labels = as_labels(given, name="x", sample_shape=given.shape[1 : -1 if squeezed else None])
    largest = int(labels.max())
    classes = largest + 1 if num_classes is None else num_classes
    if largest >= classes:
        raise ValueError(
            f"x holds the class number {largest}, and num_classes={classes} has 0 to {classes - 1}. Write "
            f"num_classes={largest + 1}, or np.unique(x, return_inverse=True)[1] for numbers without gaps, instead."
        )
    return (labels[..., None] == np.arange(classes)).astype(get_dtype())


__getattr__, __dir__ = missing("ranvier.utils", __all__)

"""What programs written for Keras take from its ``utils``."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from ranvier import seed as seeds
from ranvier.data.convert import Array, to_numeric
from ranvier.data.targets import as_labels
from ranvier.modes import get_dtype
from ranvier.module.core import restart_names
from ranvier.module.names import missing

__all__ = ["PyDataset", "Sequence", "clear_session", "normalize", "set_random_seed", "to_categorical"]


class PyDataset:
    """Batches by number, the base class of Keras's: a subclass has ``__len__`` and ``__getitem__``.

    ``on_epoch_begin`` and ``on_epoch_end`` are called before and after each epoch of ``fit``, and each validation,
    ``evaluate`` and ``predict``; with ``fit(shuffle=True)``, as where it is not given, batches are asked for in another
    order in each pass. ``workers`` and the others are Keras's, and of no effect: batches are made one after the other.
    """

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10, **_: Any
    ) -> None:
        self.workers, self.use_multiprocessing, self.max_queue_size = (
            workers,
            use_multiprocessing,
            max_queue_size,
        )

    def __len__(self) -> int:
        raise NotImplementedError(
            f"{type(self).__name__} does not say how many batches there are: write __len__."
        )

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not say what a batch is: write __getitem__.")

    @property
    def num_batches(self) -> int | None:
        """How many batches there are; None where there is no end."""
        return len(self)

    def on_epoch_begin(self) -> None:
        """An epoch begins."""

    def on_epoch_end(self) -> None:
        """An epoch has ended: the place to put samples into another order."""


Sequence = PyDataset  # its name in Keras 2


def clear_session(free_memory: bool = True) -> None:
    """Let automatic names begin anew (``dense``, ``dense_1``, ...). Models stay as they are."""
    restart_names()


def normalize(x: Any, axis: int = -1, order: float = 2) -> Array:
    """``x`` divided by its lengths along an axis, as NumPy; what has no length stays 0."""
    values = to_numeric(x, "x").astype(get_dtype())
    length = np.linalg.norm(values, order, axis, keepdims=True)
    return values / np.where(length == 0, 1, length)


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

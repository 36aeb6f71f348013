"""What programs written for Keras take from its ``utils``."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from ranvier.data.convert import Array, to_numeric
from ranvier.data.targets import as_labels
from ranvier.module.core import restart_names
from ranvier.saving import (
    CustomObjectScope,
    custom_object_scope,
    get_registered_name,
    register_keras_serializable,
)
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.errors import missing
from ranvier.tensor import rng as seeds
from ranvier.tensor.context import get_dtype

__all__ = [
    "CustomObjectScope", "PyDataset", "Sequence", "clear_session", "custom_object_scope", "get_registered_name",
    "normalize", "pad_sequences", "register_keras_serializable", "set_random_seed", "split_dataset", "to_categorical",
]  # fmt: skip


class PyDataset(CheckedConstructor):
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


def pad_sequences(
    sequences: Any,
    maxlen: int | None = None,
    dtype: str = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float = 0.0,
) -> Array:
    """Sequences of several lengths as one array (sequences, maxlen, ...), filled up with ``value`` and cut off.

    ``maxlen`` is by default that of the longest; ``padding`` and ``truncating`` say at which end, "pre" or "post".
    Raises ValueError for any other, and for what is no list of sequences of one kind of elements.
    """
    for what, end in (("padding", padding), ("truncating", truncating)):
        if end not in ("pre", "post"):
            raise ValueError(f"{what}={end!r}. Write 'pre' or 'post' instead.")
    if not hasattr(sequences, "__len__") or not all(hasattr(row, "__len__") for row in sequences):
        raise ValueError("sequences are no list of lists. Write [[1, 2], [3]], for example, instead.")
    rows = [np.asarray(row) for row in sequences]
    size = max((len(row) for row in rows), default=0) if maxlen is None else maxlen
    inner = next((row.shape[1:] for row in rows if len(row)), ())
    result = np.full((len(rows), size, *inner), value, dtype)
    for place, row in zip(result, rows, strict=True):
        if not len(row) or not size:
            continue
        if row.shape[1:] != inner:
            raise ValueError(
                f"the elements of the sequences have shapes {inner} and {row.shape[1:]}. Give them one shape instead."
            )
        kept = row[-size:] if truncating == "pre" else row[:size]
        place[slice(len(kept)) if padding == "post" else slice(size - len(kept), None)] = kept
    return result


def split_dataset(
    dataset: Any,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
) -> tuple[Any, Any]:
    """The rows of an array, or of a tuple or list of arrays of as many rows, in two parts, in the form that they have.

    Sizes are shares of 1 or numbers of rows; one of them will do. ``shuffle`` draws the rows, by ``seed``. Raises
    ValueError for sizes that do not fit.
    """
    several = isinstance(dataset, (tuple, list))
    arrays = [to_numeric(part, "dataset") for part in (dataset if several else [dataset])]
    total = len(arrays[0])
    if any(len(array) != total for array in arrays):
        raise ValueError(f"the arrays have {', '.join(str(len(a)) for a in arrays)} rows. Give all the same.")
    given = _rows(left_size, total), _rows(right_size, total)
    left = total - (given[1] or 0) if given[0] is None else given[0]
    right = total - left if given[1] is None else given[1]
    if not (left > 0 and right > 0 and left + right <= total):
        raise ValueError(
            f"left_size={left_size!r} and right_size={right_size!r} do not split {total} rows. Write left_size=0.8, "
            "for example, instead."
        )
    order = (
        np.random.default_rng(None if seed is None else seeds.check_seed(seed)).permutation(total)
        if shuffle
        else np.arange(total)
    )
    parts = [[array[rows] for array in arrays] for rows in (order[:left], order[left : left + right])]
    first, second = ((type(dataset)(part) if several else part[0]) for part in parts)
    return first, second


def _rows(size: Any, total: int) -> int | None:
    """A number of rows, from itself or from a share of all."""
    return None if size is None else round(size * total) if isinstance(size, float) else int(size)


def set_random_seed(seed: int) -> None:
    """Seed everything random: Ranvier (`ranvier.set_seed`), Python's ``random`` and NumPy's global generator.

    Raises ValueError unless it is an integer from 0 to 2**32 - 1.
    """
    seed = seeds.check_seed(seed, "set_random_seed(0)", bits=32)  # as many as NumPy's takes
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


__getattr__, __dir__ = missing("ranvier.utils", __all__, hints={"plot_model": "model.plot(path)"})

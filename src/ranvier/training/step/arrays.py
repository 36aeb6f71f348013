"""Training and evaluation data as the arrays that programs take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.support.tree import map_structure

Array = npt.NDArray[Any]
DEFAULT_BATCH = 32  # rows


def rows_of_a_batch(given: int | None, rows: int, steps: int | None) -> int:
    """The batch size of arrays: where it is not given, so many that ``steps`` batches are all rows, as in Keras."""
    return given or (DEFAULT_BATCH if steps is None else math.ceil(rows / steps))


@dataclass
class Data:
    """Arrays with one row for each sample.

    ``x`` has an array for each input of the model, ``y`` and ``weight`` have one for each output: None for an output
    without targets or weights. For prediction y and weight are empty. With ``among`` only the rows of these numbers
    (int32) are used, such as those of a fold; the arrays stay whole and may be shared. ``size`` is the batch size of
    rows that came in batches. ``zeros`` has the fraction of zeros in each array of ``x`` if it is known
    (`fraction_of_zeros`). ``form`` is what a model's own ``train_step`` takes, x, (x, y) or (x, y, weight):
    a tree with the numbers of the arrays of ``x``, which has all of them, at its leaves. ``given`` has for each output
    the shape of a sample's targets and their dtype as they were given, where metrics of the user's own read them.
    """

    x: tuple[Array, ...]
    y: tuple[Array | None, ...] = ()
    weight: tuple[Array | None, ...] = ()
    among: Array | None = None
    size: int | None = None
    zeros: tuple[float, ...] = ()
    form: Any = None
    given: tuple[tuple[tuple[int, ...], str] | None, ...] = ()

    def __len__(self) -> int:
        return len(self.x[0] if self.among is None else self.among)

    @property
    def numbers(self) -> Array:
        """The numbers of the rows that are used, int32, in order."""
        return np.arange(len(self.x[0]), dtype=np.int32) if self.among is None else self.among

    def kind(self) -> tuple[Any, ...]:
        """The shapes and dtypes that a program depends on."""
        arrays = (
            tuple(None if a is None else (a.shape[1:], a.dtype.name) for a in part)
            for part in (self.x, self.y, self.weight)
        )
        return (*arrays, self.given)

    def rows(self, part: Any) -> Data:
        """The rows of a slice, or of an array of row numbers."""
        if self.among is not None:
            return replace(self, among=self.among[part])

        def cut(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(None if a is None else a[part] for a in arrays)

        return Data(cut(self.x), cut(self.y), cut(self.weight), zeros=self.zeros, form=self.form, given=self.given)

    def packed(self, values: Sequence[Any]) -> Any:
        """What Keras gives to ``train_step``, with a value for each array: x, (x, y) or (x, y, sample_weight)."""
        return map_structure(self.form, int, values.__getitem__)

    def selected(self) -> Data:
        """The data as arrays of the selected rows alone."""
        return self if self.among is None else replace(self, among=None).rows(self.among)

    def arrays(self) -> list[Array]:
        """All arrays, in the order of a step's inputs."""
        return [a for part in (self.x, self.y, self.weight) for a in part if a is not None]

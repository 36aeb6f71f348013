"""Data for models whose own methods take them: trees of arrays as they are given, whatever the model's inputs are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ranvier.data.batches import RanOut, check_source, in_order, name_of
from ranvier.data.cast import contiguous, to_float
from ranvier.data.convert import Array, refuse_sparse, to_numeric
from ranvier.data.own_rows import each_its_own
from ranvier.tensor.context import get_dtype
from ranvier.tensor.tensor import Tensor
from ranvier.training.step.arrays import Data

LARGEST = 2**31 - 1  # the most rows, since the shuffled order numbers them in int32


def is_tree(value: Any) -> bool:
    """Whether this is a container of arrays, and not data in lists."""
    if isinstance(value, Mapping):
        return not hasattr(value, "columns")
    return isinstance(value, (list, tuple)) and any(part is None or is_tree(part) or _is_array(part) for part in value)


def _is_array(part: Any) -> bool:
    return bool(getattr(part, "shape", ())) or hasattr(part, "columns")


def leaf_array(value: Any, name: str, check_finite: bool) -> Array:
    """An array for programs: floats of the default dtype, whole numbers as int32 (uint8 and bool stay)."""
    refuse_sparse(value, name)
    array = to_numeric(value.compute() if isinstance(value, Tensor) else value, name)
    if not array.ndim or not len(array):
        raise ValueError(f"{name} has shape {array.shape}. Write an array with one row a sample instead.")
    if array.dtype.kind == "f":
        return to_float(array, value, name, get_dtype(), check_finite)
    if array.dtype.kind in "iu" and array.dtype not in (np.uint8, np.int32):
        if array.max() > LARGEST or array.min() < -LARGEST - 1:
            raise OverflowError(f"{name} has integers beyond int32. Write {name}.astype('float32') instead.")
        array = array.astype(np.int32)
    return contiguous(array, name)


def tree_data(given: Any, names: Any, check_finite: bool = True) -> Data:
    """`Data` of one tree: x, or (x, y), or (x, y, sample_weight). ``names`` are those of the parts in errors.

    Raises ValueError or TypeError for what is no array, and for arrays of different lengths.
    """
    arrays: list[Array] = []

    def number(value: Any, name: str) -> Any:
        if value is None:
            return None
        if is_tree(value):
            if isinstance(value, Mapping):
                return {key: number(part, f"{name}[{key!r}]") for key, part in value.items()}
            parts = [number(part, f"{name}[{i}]") for i, part in enumerate(value)]
            return tuple(parts) if isinstance(value, tuple) else parts
        arrays.append(leaf_array(value, name, check_finite))
        if len(arrays[-1]) != len(arrays[0]):
            raise ValueError(
                f"{name} has {len(arrays[-1]):,} rows, and the first array has {len(arrays[0]):,}. Write one row a "
                "sample in each instead."
            )
        return len(arrays) - 1

    if isinstance(given, tuple):
        form: Any = tuple(number(part, name) for part, name in zip(given, names, strict=False))
    else:
        form = number(given, names[0])
    if not arrays:
        raise ValueError(f"{names[0]} has no array. Write an array with one row a sample instead.")
    return Data(tuple(arrays), form=form)


def as_given(
    x: Any, y: Any, weight: Any, class_weight: Any = None, *, prefix: str = "", check_finite: bool = True
) -> Data:
    """The arguments of `fit` as the data that Keras gives to ``train_step``."""
    if isinstance(x, Data):
        return x
    names = [prefix + name for name in ("x", "y", "sample_weight")]
    if class_weight is not None:
        weight = _class_weights(y, class_weight, weight, names[1])
    if weight is not None:
        given: Any = (x, y, weight)
    elif y is not None:
        given = (x, y)
    else:
        given = (x,) if isinstance(x, (list, tuple)) and is_tree(x) else x
    return tree_data(given, names, check_finite)


def _class_weights(y: Any, class_weight: Any, weight: Any, name: str) -> Array:
    """The weight of each sample by its class, times its own."""
    if y is None or is_tree(y):
        raise ValueError(f"class_weight needs one array of classes as {name}. Write sample_weight=... instead.")
    labels = leaf_array(y, name, True)
    if labels.ndim > 1:
        labels = labels[..., 0] if labels.shape[-1] == 1 else labels.argmax(-1)
    if isinstance(class_weight, str):
        classes, counts = np.unique(labels, return_counts=True)
        class_weight = dict(zip(classes.tolist(), (len(labels) / (len(classes) * counts)).tolist(), strict=True))
    if not isinstance(class_weight, Mapping):
        class_weight = dict(enumerate(class_weight))
    weights = np.array([class_weight.get(int(label), 1.0) for label in labels.reshape(-1)], get_dtype())
    return weights if weight is None else weights * leaf_array(weight, "sample_weight", True).reshape(-1)


class TreeBatches:
    """The batches of a source, each as the source gives it: the part of `generators.Batches` that loops use."""

    def __init__(self, source: Any, steps: int | None, check_finite: bool, start: int = 0, largest: int = 0) -> None:
        self.name, self.steps, self.check_finite = name_of(source), steps, check_finite
        check_source(source, self.name)
        self.batches, self.index, self.largest = each_its_own(in_order(source)), start, largest

    def __iter__(self) -> Iterator[Data]:
        return iter(lambda: self.take(1), None)

    def take(self, most: int) -> Data | None:
        """The next batch; None when there are no more. Raises RanOut if there are fewer than were asked for."""
        if self.steps is not None and self.index >= self.steps:
            return None
        try:
            item = next(self.batches)
        except StopIteration:
            if self.steps is not None:
                raise RanOut(
                    f"{self.name} ended after {self.index} batches, and {self.steps} are needed. Write fewer "
                    "steps_per_epoch or epochs, or a source that does not end, instead."
                ) from None
            return None
        if isinstance(item, list) and is_tree(item):
            item = tuple(item)  # PyTorch's DataLoader yields lists
        names = [f"Batch {self.index} of {self.name}: {name}" for name in ("x", "y", "sample_weight")]
        data = tree_data(item, names, self.check_finite)
        self.index += 1
        self.largest = max(self.largest, len(data))
        return data

"""The gate of `fit`, `evaluate` and `predict`: every form of data as checked arrays, or as checked batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ranvier.data.arrays import (
    Array,
    as_features,
    as_weights,
    batches_from,
    check_column_names,
    check_lengths,
    column_names,
)
from ranvier.data.convert import to_numeric
from ranvier.module import Module
from ranvier.tensor import Tensor, get_dtype
from ranvier.training.objective import target_array
from ranvier.training.state import Compiled
from ranvier.training.step import Data, check_output

__all__ = ["batches", "features", "gate", "is_source", "split"]

LARGEST = 2**31 - 1  # rows, which the shuffled order numbers by int32


def is_source(x: Any) -> bool:
    """Whether ``x`` gives batches (a generator, a DataLoader, a PyDataset) rather than being an array."""
    if isinstance(x, (np.ndarray, Tensor, list, tuple, str, bytes, Mapping)) or x is None:
        return False
    array = any(hasattr(x, name) for name in ("__array__", "shape", "to_numpy", "__dlpack__", "columns"))
    return not array and (hasattr(x, "__iter__") or hasattr(x, "__getitem__"))


def features(model: Module, x: Any, *, name: str = "x", check_finite: bool = True) -> Array:
    """Inputs for ``model``, which is built for them if it is not yet. Raises as `as_features` does."""
    if isinstance(x, Tensor):
        x = x.compute()
    wanted = model._input_type
    expected = None if wanted is None else tuple(d if isinstance(d, int) else None for d in wanted.shape[1:])
    first = next((m for m in model.modules() if m._parameters), model)
    owner = f"layer {first.name!r}"
    array = as_features(
        x, name=name, expected=expected, check_finite=check_finite, owner=owner, dtype=get_dtype()
    )
    if len(array) > LARGEST:
        raise ValueError(
            f"{name} has {len(array):,} rows, more than the {LARGEST:,} that one fit numbers. Write batches."
        )
    if wanted is None:
        if array.ndim == 1:
            raise ValueError(
                f"{owner} expects rows of features, and {name} has shape {array.shape}. Write {name}.reshape(-1, 1) "
                f"for one feature a sample, or {name}.reshape(1, -1) for one sample, instead."
            )
        model.build((None, *array.shape[1:]))
    return array


def output_shape(model: Module, compiled: Compiled, array: Array) -> tuple[Any, ...]:
    """The shape of the model's output without the batch's dimension, by tracing it once."""
    key = (array.shape[1:], tuple(id(m) for m in model.modules()))
    known = compiled.outputs.get(key)
    if known is None:
        output = model.trace()
        check_output(model, output)
        known = compiled.outputs[key] = tuple(output.shape[1:])
    return known


def gate(
    model: Module,
    compiled: Compiled,
    x: Any,
    y: Any,
    weight: Any = None,
    *,
    class_weight: Mapping[int, float] | None = None,
    check_finite: bool = True,
    prefix: str = "",
) -> Data:
    """Checked arrays of x, y and the samples' weights. Raises ValueError or TypeError before anything is done.

    ``x`` may be such arrays already, of which ``fit_many`` gives each model some rows.
    """
    if isinstance(x, Data):
        return x
    assert compiled.loss is not None
    x_name, y_name, w_name = (prefix + n for n in ("x", "y", "sample_weight"))
    check_column_names(x, compiled.columns, name=x_name)
    if compiled.columns is None:
        names = column_names(x)
        compiled.columns = None if names is None else list(names)
    array = features(model, x, name=x_name, check_finite=check_finite)
    if y is None:
        raise ValueError(f"{y_name} is missing. Write fit(x, y), or a generator of (x, y) batches, instead.")
    outputs = output_shape(model, compiled, array)
    last = next((m for m in reversed(list(model.modules())) if m._parameters), model)
    owner = f"layer {last.name!r}"
    if hasattr(y, "__len__") and np.ndim(y) and len(y):
        check_lengths(**{x_name: array, y_name: y, w_name: weight})
    target = target_array(y, compiled.loss, outputs, name=y_name, owner=owner, check_finite=check_finite)
    weights = None if weight is None else as_weights(weight, len(array), name=w_name, dtype=get_dtype())
    check_lengths(**{x_name: array, y_name: target, w_name: weights})
    if class_weight is not None:
        weights = by_class(target, class_weight, weights)
    return Data((array,), (target,), (weights,))


def by_class(target: Array, class_weight: Mapping[int, float], weights: Array | None) -> Array:
    """The samples' weights times those of their classes; a class that is not named has 1."""
    if not isinstance(class_weight, Mapping):
        raise TypeError(f"class_weight is a {type(class_weight).__name__}. Write {{0: 1.0, 1: 5.0}} instead.")
    classes = target.argmax(-1) if target.ndim > 1 and target.shape[-1] > 1 else target.reshape(len(target))
    result = np.ones(len(target), get_dtype())
    for label, value in class_weight.items():
        if not value >= 0:
            raise ValueError(f"class_weight[{label!r}] is {value!r}. Write a weight of 0 or more instead.")
        result[classes == label] = value
    result = result if weights is None else result * weights
    return as_weights(result, len(result), name="sample_weight with class_weight", dtype=get_dtype())


def split(data: Data, share: float) -> tuple[Data, Data]:
    """The first rows to train on and the last ``share`` of them to validate on, before any shuffling."""
    if not 0 < share < 1:
        raise ValueError(f"validation_split={share}: write a share between 0 and 1, such as 0.2, instead.")
    at = int(np.floor(len(data) * (1 - share)))
    if at in (0, len(data)):
        raise ValueError(
            f"validation_split={share} of {len(data)} samples leaves none to {'train' if at == 0 else 'validate'} on. "
            "Write another share, or validation_data=(x, y), instead."
        )
    return data.rows(slice(0, at)), data.rows(slice(at, None))


def batches(
    model: Module,
    compiled: Compiled,
    source: Any,
    steps: int | None,
    *,
    class_weight: Any,
    check_finite: bool,
) -> Iterator[Data]:
    """The batches of a generator or a DataLoader, each checked like a data set of its own."""

    def plain(part: Any) -> Any:
        return (
            part.compute()
            if isinstance(part, Tensor)
            else to_numeric(part)
            if not hasattr(part, "shape")
            else part
        )

    name = getattr(source, "__name__", type(source).__name__)
    for index, (x, y, weight) in enumerate(
        batches_from(source, steps=steps, as_x=plain, as_y=plain, name=name)
    ):
        try:
            yield gate(model, compiled, x, y, weight, class_weight=class_weight, check_finite=check_finite)
        except (TypeError, ValueError) as error:
            error.add_note(f"(in batch {index} of {name})")
            raise

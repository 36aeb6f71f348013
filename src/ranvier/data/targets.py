"""Validation of the arguments of losses: class numbers, dense targets, sample weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.data.cast import contiguous, not_finite, to_float
from ranvier.data.convert import Array, all_finite, first_where, fits, place, to_numeric
from ranvier.support.columns import column_names

_INT32_MAX = 2**31 - 1


def as_labels(
    y: object,
    *,
    classes: int | None = None,
    name: str = "y",
    sample_shape: Sequence[int | None] = (),
    ignore: int | None = None,
    owner: str = "the model",
) -> npt.NDArray[np.int32]:
    """Return class numbers for a sparse loss: int32 of shape ``(n, *sample_shape)``, from 0 to ``classes - 1``.

    A trailing dimension of 1 is removed. With ``classes=None`` only negative labels are errors. ``ignore`` is another
    valid value (``ignore_index`` of PyTorch). ``owner`` is named in errors as the layer with ``classes`` outputs.
    Raises ``TypeError`` for strings and other non-numbers, and ``ValueError`` for no samples, NaN, fractions, labels
    out of range and a wrong shape. Errors name the row and the value.
    """
    array = to_numeric(y, name)
    if array.ndim == len(sample_shape) + 2 and array.shape[-1] == 1:
        array = array.reshape(array.shape[:-1])
    _check_samples(array, name)
    if not fits(array.shape[1:], sample_shape):
        raise ValueError(_label_shape_error(array, tuple(sample_shape), classes, name, owner))
    if array.dtype.kind == "f":
        if not all_finite(array):
            raise ValueError(_bad_label(array, lambda piece: ~np.isfinite(piece), y, name, classes, owner))
        if not np.array_equal(array, np.trunc(array)):
            raise ValueError(_fraction(array, y, name))
        # float64 holds the limit exactly; float32 would round 2**31 - 1 up.
        array = array.astype(np.float64, copy=False)
    limit = _INT32_MAX if classes is None else classes - 1
    if array.size and (array.min() < 0 or array.max() > limit):

        def test(piece: Array) -> Any:
            bad = (piece < 0) | (piece > limit)
            return bad if ignore is None else bad & (piece != ignore)

        if first_where(array, test) is not None:
            raise ValueError(_bad_label(array, test, y, name, classes, owner))
    return contiguous(array.astype(np.int32, copy=False), name)


def as_targets(
    y: object,
    output_shape: Sequence[int | None],
    *,
    name: str = "y",
    owner: str = "the model",
    check_finite: bool = True,
    dtype: npt.DTypeLike = np.float32,
) -> Array:
    """Return dense targets of shape ``(n, *output_shape)`` and of ``dtype`` (float32, or float64 in float64 mode).

    Shapes that differ only by dimensions of 1 are reshaped, so ``(n,)`` matches an output of ``(n, 1)`` and vice
    versa. Targets are never broadcast. Raises the errors of ``as_features``. The message for a wrong shape suggests
    another loss, a reshape or another last layer.
    """
    array = to_numeric(y, name)
    _check_samples(array, name)
    shape = tuple(output_shape)
    if not fits(array.shape[1:], shape):
        target = aligned(array.shape[1:], shape)
        if target is None:
            raise ValueError(_target_shape_error(array, shape, name, owner))
        array = array.reshape(len(array), *target)
    return to_float(array, y, name, dtype, check_finite)


def as_weights(
    w: object,
    n: int,
    *,
    name: str = "sample_weight",
    dtype: npt.DTypeLike = np.float32,
    sample_shape: Sequence[int | None] = (),
    some: bool = True,
) -> npt.NDArray[Any]:
    """Return sample weights of ``dtype``, 0 or more: ``(n,)``, or one for each loss of a sample.

    ``sample_shape`` is the shape of the losses of a sample, and weights have that shape or its first dimensions.
    Further dimensions of 1 are removed. With ``some`` at least one weight must be positive. Raises ``ValueError`` that
    names the row and the value.
    """
    array = to_numeric(w, name)
    wanted = tuple(sample_shape)
    while array.ndim > 1 and array.shape[-1] == 1 and not fits(array.shape[1:], wanted[: array.ndim - 1]):
        array = array[..., 0]
    if array.ndim == 0 or len(array) != n or not fits(array.shape[1:], wanted[: array.ndim - 1]):
        parts = ", ".join("any" if size is None else str(size) for size in wanted)
        each = f", or one for each loss, shape ({n}, {parts})," if wanted else ","
        raise ValueError(
            f"{name} has shape {to_numeric(w).shape}, and there are {n:,} samples. Write one weight a sample, shape "
            f"({n},){each} instead."
        )
    weights = to_float(array, w, name, dtype, check_finite=True)
    if not all_finite(weights):
        raise ValueError(f"{not_finite(weights, w, name)} (It overflowed in the cast to {weights.dtype.name}.)")
    negative = first_where(array, lambda piece: piece < 0)
    if negative is not None:
        index, count = negative
        raise ValueError(
            f"{name} is {array[index]} at {place(index)} ({count:,} negative in all). Write weights of 0 or more "
            "instead."
        )
    if some and n and not weights.any():
        raise ValueError(f"{name} is zero for all {n:,} samples. Write a positive weight for at least one instead.")
    return weights


def _check_samples(array: Array, name: str) -> None:
    if array.ndim == 0:
        raise ValueError(f"{name} is a single number. Write an array with one row a sample, [{array}], instead.")
    if len(array) == 0:
        raise ValueError(f"{name} has 0 samples (shape {array.shape}). Write at least one row instead.")


def aligned(shape: Sequence[int], expected: Sequence[int | None]) -> tuple[int, ...] | None:
    """Return ``expected`` with known sizes if it equals ``shape`` up to dimensions of 1, else None."""
    rest = [size for size in shape if size != 1]
    target: list[int] = []
    for size in expected:
        if size == 1:
            target.append(1)
        elif rest and size in (None, rest[0]):
            target.append(rest.pop(0))
        elif size is None:
            target.append(1)
        else:
            return None
    return None if rest else tuple(target)


# -- messages ------------------------------------------------------------------------------------------------------


def _bad_label(
    array: Array, test: Callable[[Array], Any], y: object, name: str, classes: int | None, owner: str
) -> str:
    found = first_where(array, test)
    assert found is not None
    index, count = found
    value = array[index]
    shown = value if array.dtype.kind != "f" or not np.isfinite(value) or abs(value) >= 2**53 else int(value)
    others = f" ({count:,} such labels in all)" if count > 1 else ""
    at = f"{name} has label {shown} at {place(index, column_names(y))}{others}"
    if classes is None:
        return f"{at}, and valid labels are 0 to {_INT32_MAX}. Write class numbers from 0 instead."
    valid = f"{owner} has {classes} output(s), so valid labels are 0 to {classes - 1}"
    return f"{at}; {valid}. {_label_fix(array, classes, name)}"


def _label_fix(array: Array, classes: int, name: str) -> str:
    """The correction of common mistakes: classes from 1, classes -1 and 1, one output unit, labels with gaps."""
    if not all_finite(array):
        return "Write a class number there, or drop the row, instead."
    low, high = array.min(), array.max()
    if classes == 1:
        return "Write loss='binary_crossentropy' for two classes, or one output for each class, instead."
    if low == 1 and high == classes:
        return f"The labels count from 1: write {name} - 1 instead."
    if low == -1 and high == 1:
        return f"Write ({name} + 1) // 2 instead if the two classes are -1 and 1, or drop the rows labelled -1."
    if low >= 0 and high < 10_000:
        return (
            f"Write {int(high) + 1} outputs in the last layer instead, or number the classes without gaps: "
            f"np.unique({name}, return_inverse=True)[1]."
        )
    return f"Write class numbers from 0 instead: np.unique({name}, return_inverse=True)[1]."


def _fraction(array: Array, y: object, name: str) -> str:
    found = first_where(array, lambda piece: piece != np.trunc(piece))
    assert found is not None
    index, count = found
    others = f" ({count:,} such labels in all)" if count > 1 else ""
    return (
        f"{name} has the fractional label {array[index]} at {place(index, column_names(y))}{others}, and a sparse loss "
        "takes class numbers. Write whole numbers, or loss='mse' for a regression, instead."
    )


def _label_shape_error(
    array: Array, sample_shape: tuple[int | None, ...], classes: int | None, name: str, owner: str
) -> str:
    wanted = f"({', '.join(['samples', *('any' if n is None else str(n) for n in sample_shape)])})"
    start = f"{name} has shape {array.shape}, and a sparse loss takes one class number each, shape {wanted}"
    if array.ndim == len(sample_shape) + 2 and classes in (None, array.shape[-1]):
        return f"{start}. If it is one-hot, write {name}.argmax(axis=-1), or loss='categorical_crossentropy', instead."
    if sample_shape and (array.ndim == 1 or (array.ndim == 2 and classes in (None, array.shape[-1]))):
        return f"{start}. {_flatten(owner, len(sample_shape))}, or labels of that shape, instead."
    return f"{start}. Write labels of that shape instead."


def _flatten(owner: str, parts: int) -> str:
    """What to write where each sample has one target, and ``owner`` has an output for each position."""
    pooling = f" (or GlobalAveragePooling{parts}D(), after convolutions)" if parts <= 3 else ""
    return f"Write Flatten(){pooling} before {owner}, so that it has one output row for each sample"


def _target_shape_error(array: Array, output: tuple[int | None, ...], name: str, owner: str) -> str:
    got = array.shape[1:]
    outputs = f"({', '.join(['samples', *('any' if n is None else str(n) for n in output)])})"
    start = f"{name} has shape {array.shape}, but the output of {owner} is {outputs}; targets are never broadcast"
    sizes = [n for n in output if n is not None]
    whole = array.dtype.kind in "biu" or (array.dtype.kind == "f" and np.array_equal(array, np.trunc(array)))
    if aligned(got, output[:-1]) is not None and output and output[-1] != 1 and whole:
        fix = (
            f"If {name} contains class numbers, write loss='sparse_categorical_crossentropy' (nn.CrossEntropyLoss "
            f"takes them too), or np.eye({output[-1]})[{name}]"
        )
    elif len(output) > 1 and (not got or got == output[-1:]):
        fix = f"{_flatten(owner, len(output) - 1)}, or {name} of shape {outputs},"
    elif len(sizes) == len(output) and int(np.prod(sizes, dtype=object)) == int(np.prod(got, dtype=object)):
        fix = f"Write {name}.reshape(-1, {', '.join(map(str, sizes))})"
    elif len(got) == 1 and len(output) == 1:
        fix = f"Write {got[0]} outputs in the last layer"
    elif not got and len(output) == 1:
        fix = "Write 1 output in the last layer"
    else:
        fix = f"Write {name} of shape {outputs}"
    return f"{start}. {fix} instead."

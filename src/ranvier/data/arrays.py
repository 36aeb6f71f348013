"""Validation of all arrays before training, evaluation and prediction.

There is a function for each role: ``as_features`` (inputs of a model), and in ``targets.py`` those for class numbers,
dense targets and sample weights. ``check_lengths`` compares their numbers of rows. The results are aligned,
C-contiguous arrays of a dtype that the engines accept, so native code needs no further check. Inputs are never
modified, and valid arrays (also memory maps) are returned without a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.data.cast import contiguous, not_finite, to_float
from ranvier.data.convert import Array, all_finite, fits, refuse_sparse, to_numeric
from ranvier.support.columns import column_names
from ranvier.support.source_lines import warn

Shape = Sequence[int | None]
# The engines cast these dtypes.
_KEPT = frozenset(np.dtype(kind) for kind in (np.bool_, np.uint8, np.int32))


def as_features(
    x: object,
    *,
    name: str = "x",
    expected: Shape | None = None,
    check_finite: bool = True,
    owner: str = "the model",
    dtype: npt.DTypeLike = np.float32,
) -> Array:
    """Return ``x`` as an array for the engines: ``(n, *expected)``, aligned and C-contiguous.

    ``expected`` is the shape of one sample, in which None is any size; without it the shape is not checked. ``owner``
    is named in errors: ``"layer 'dense'"``. ``dtype`` is float32, or float64 in float64 mode. A column ``(n,)`` becomes
    ``(n, 1)`` where that is expected. bool, uint8 and int32 do not change. Other integers that float32
    would round become int32, or int64 where they do not fit; other numeric dtypes become ``dtype``.
    ``check_finite=False`` allows NaN and infinity.

    Raises ``ValueError`` for no samples, a wrong shape, NaN or infinity, and ``TypeError`` for data that are not
    numbers. Warns ``RuntimeWarning`` where finite values become infinite in ``dtype``.
    """
    array = to_numeric(x, name)
    if array.ndim == 0:
        raise ValueError(f"{name} is a single number. Write an array with one row a sample, [[{array}]], instead.")
    if len(array) == 0:
        raise ValueError(f"{name} has 0 samples (shape {array.shape}). Write at least one row instead.")
    if array.ndim == 1 and expected is not None and tuple(expected) == (1,):
        array = array[:, None]
    if expected is not None and not fits(array.shape[1:], expected):
        raise ValueError(_shape_error(array.shape, tuple(expected), name, owner, hasattr(x, "iloc")))
    if array.dtype.kind in "iu" and array.dtype not in _KEPT and _is_large(array, dtype):
        return contiguous(array.astype(np.int32 if _fits_int32(array) else np.int64, copy=False), name)
    if array.dtype not in _KEPT and array.dtype != dtype:
        return to_float(array, x, name, dtype, check_finite)
    array = contiguous(array, name)
    if check_finite and not all_finite(array):
        raise ValueError(not_finite(array, x, name))
    return array


def _is_large(array: Array, dtype: npt.DTypeLike) -> bool:
    """Whether integers are so large that the dtype rounds them: identifiers, for an embedding, must stay exact."""
    exact = 2 ** (np.finfo(np.dtype(dtype)).nmant + 1)
    return bool(array.itemsize > 2 and array.size and (array.max() > exact or array.min() < -exact))


def _fits_int32(array: Array) -> bool:
    return bool(array.max() < 2**31 and array.min() >= -(2**31))


def check_lengths(**arrays: object) -> int:
    """Check that all arrays have the same number of rows, and return it. Arguments that are None are ignored.

    Example: ``check_lengths(x=x, y=y, sample_weight=None)``. The ``ValueError`` lists every length.
    """
    lengths = {name: _rows(array, name) for name, array in arrays.items() if array is not None}
    if len(set(lengths.values())) > 1:
        stated = ", ".join(f"{name} has {n:,}" for name, n in lengths.items())
        shortest = min(lengths.values())
        raise ValueError(
            f"The numbers of samples differ: {stated}. Write arrays with one row for each sample instead, "
            f"for example the first {shortest:,} of each if their rows correspond."
        )
    return next(iter(lengths.values()), 0)


def _rows(array: Any, name: str) -> int:
    """The number of rows of an array, or of data that may become one."""
    refuse_sparse(array, name)
    try:
        return len(array)
    except TypeError:  # a number
        number = to_numeric(array, name)
    raise ValueError(
        f"{name} is a single number, {number}. Write an array with one row a sample, [{number}, ...], instead."
    )


def check_column_names(x: object, seen: Sequence[str] | None, *, name: str = "x") -> None:
    """Check that a frame has the columns ``seen`` in ``fit``, in the same order.

    Without column names nothing is checked. Raises ``ValueError`` for missing, unknown or reordered columns.
    """
    now = column_names(x)
    if now is None or seen is None or list(now) == list(seen):
        return
    missing = [column for column in seen if column not in now]
    unknown = [column for column in now if column not in seen]
    if missing or unknown:
        parts = [f"{what} {some[:10]}" for what, some in (("lacks", missing), ("has unknown", unknown)) if some]
        found = f"{name} {' and '.join(parts)} among its columns"
    else:
        at = next(i for i, (a, b) in enumerate(zip(now, seen, strict=False)) if a != b)
        found = f"{name} has the columns in another order: column {at} is {now[at]!r}, in fit it was {seen[at]!r}"
    raise ValueError(f"{found}. Write {name}[model_columns] with the columns seen in fit instead: {list(seen)[:10]}.")


def warn_of_other_labels(x: object, y: object, x_name: str, y_name: str) -> None:
    """Warn where x and y are frames or series whose rows have different labels."""
    rows: Any = getattr(x, "index", None)
    labels: Any = getattr(y, "index", None)
    if hasattr(rows, "equals") and hasattr(labels, "equals") and len(rows) == len(labels) and not rows.equals(labels):
        warn(
            f"the rows of {x_name} and {y_name} have different labels in their indexes, and are matched by position. "
            f"Write {y_name}.loc[{x_name}.index], or reset_index(drop=True) of both where that is right, instead.",
            key=f"labels of {y_name}",
        )


def _shape_error(
    shape: tuple[int, ...], expected: tuple[int | None, ...], name: str, owner: str, series: bool = False
) -> str:
    """Return the message with the expected and the given shape, and the line that corrects it, if there is one."""
    got, n = shape[1:], shape[0]
    known = [size for size in expected if size is not None]
    wanted = int(np.prod(known, dtype=object)) if len(known) == len(expected) else None
    have = int(np.prod(got, dtype=object))
    inner = ", ".join("-1" if size is None else str(size) for size in expected)
    described = f"{owner} expects samples of shape {_shape_text(expected)}, got {name} of shape {shape}"
    if len(expected) == 1 and len(shape) == 2:
        described = f"{owner} expects {expected[0]} features a sample, got {got[0]} ({name} has shape {shape})"
        fix = f"Write {name} with the {expected[0]} columns that {owner} was built for"
        if n == expected[0]:
            fix = f"The samples are columns: write {name}.T"
    elif fits(shape, expected):
        fix = f"Write {name}[None] for one sample"
        if expected[0] is None:
            fix = f"Write Input(({inner.partition(', ')[2]},)), without the batch's dimension, in the network"
        elif series:
            fix = "For one row of a frame write frame.iloc[[0]]"
    elif (image := _image_fix(got, expected, name)) is not None:
        fix = image
    elif wanted is not None and have == wanted:
        fix = f"Write {name}.reshape(-1, {inner})"
    elif wanted and len(shape) == 1 and n % wanted == 0:
        fix = f"Write {name}.reshape(-1, {inner}) for {n // wanted} sample(s)"
    elif len(expected) == len(got) + 1 and fits((*got, 1), expected):
        fix = f"Write {name}[..., None]"
    else:
        fix = f"Write {name} as an array of shape (samples, {inner.replace('-1', 'any')})"
    return f"{described}. {fix} instead."


def _image_fix(got: tuple[int, ...], expected: tuple[int | None, ...], name: str) -> str | None:
    """What to write for images with channels on the other axis, and for greyscale images in place of colour ones."""
    if len(got) == 2 and len(expected) == 3 and expected[-1] == 3 and fits(got, expected[:-1]):
        return f"These images are grey: write np.repeat({name}[..., None], 3, axis=-1)"
    if len(got) != len(expected) or len(got) < 2:
        return None
    ndim = len(got) + 1
    if fits((*got[1:], got[0]), expected):  # a reshape would scramble pixels
        return f"The channels come first: write {name}.transpose{(0, *range(2, ndim), 1)}"
    if fits((got[-1], *got[:-1]), expected):
        return f"The channels come last: write {name}.transpose{(0, ndim - 1, *range(1, ndim - 1))}"
    for axis, at in ((-1, -1), (0, 1)):
        rest = [i for i in range(len(got)) if i != axis % len(got)]
        if len(got) < 3 or not fits(tuple(got[i] for i in rest), tuple(expected[i] for i in rest)):
            continue
        if (got[axis], expected[axis]) == (1, 3):
            return f"These images are grey: write np.repeat({name}, 3, axis={at})"
        if (got[axis], expected[axis]) == (3, 1):
            return f"These images are coloured: write {name}.mean({at}, keepdims=True)"
    return None


def _shape_text(expected: tuple[int | None, ...]) -> str:
    inner = ", ".join("any" if size is None else str(size) for size in expected)
    return f"({inner},)" if len(expected) == 1 else f"({inner})"

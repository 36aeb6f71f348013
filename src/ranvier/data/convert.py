"""Conversion of user data to numeric NumPy arrays.

The input is a list, a frame, an array of any dtype, or a tensor of another library. The output is an ``ndarray`` of
bool, integers or floats in native byte order. Optional libraries are not imported: their objects are recognized by
their methods. The input is never modified, and is copied only where its bytes must change.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import NoneType
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.data.mapped import is_mapped, spooled
from ranvier.data.memory import check_memory, size_in_words
from ranvier.support.columns import column_names

Array = npt.NDArray[Any]
_CHUNK = 1 << 16  # elements that are checked at a time, which fit in the second-level cache


def to_numeric(x: object, name: str = "x") -> Array:
    """Return ``x`` as an ndarray of bool, integer or float dtype in native byte order. Such arrays are not copied.

    Raises ``TypeError`` for data other than real numbers (None, strings, complex numbers, dates, sparse matrices,
    generators) and ``ValueError`` for ragged lists, masked values and non-numeric objects.
    """
    array = x if type(x) is np.ndarray else _to_array(x, name)
    dtype = array.dtype
    if dtype.kind not in "biuf":
        return _odd_dtype(array, x, name)
    if dtype.isnative:
        return array
    if is_mapped(array):
        return spooled(array, dtype.newbyteorder("="))
    # A broadcast array is small until it is copied.
    check_memory(array.shape, dtype, f"{name} in this machine's byte order")
    return array.astype(dtype.newbyteorder("="))


def fits(shape: tuple[int, ...], expected: Sequence[int | None]) -> bool:
    """Whether a shape is the expected one, in which None is any size."""
    return len(shape) == len(expected) and all(b is None or a == b for a, b in zip(shape, expected, strict=True))


def place(index: tuple[int, ...], columns: tuple[str, ...] | None = None) -> str:
    """Return an index as text: ``'row 3, column 2'``, with the name of the column if known."""
    if not index:
        return "the only value"
    row, rest = index[0], index[1:]
    if not rest:
        return f"row {row}"
    if len(rest) > 1:
        return f"row {row}, position {rest}"
    label = f" ('{columns[rest[0]]}')" if columns and rest[0] < len(columns) else ""
    return f"row {row}, column {rest[0]}{label}"


def _chunks(array: Array) -> Iterator[tuple[int, Array]]:
    """Iterate over an array in pieces of about ``_CHUNK`` elements, with the flat (C order) index of each start.

    Pieces are views where the strides allow it. A row longer than a chunk is divided too.
    """
    if array.flags.c_contiguous:
        flat = array.reshape(-1)
        for start in range(0, flat.size, _CHUNK):
            yield start, flat[start : start + _CHUNK]
        return
    if array.ndim == 1:
        for start in range(0, array.size, _CHUNK):
            yield start, array[start : start + _CHUNK]
        return
    per_row = array.size // max(len(array), 1)
    if per_row > _CHUNK:
        for row in range(len(array)):
            for start, piece in _chunks(array[row]):
                yield row * per_row + start, piece
        return
    rows = max(_CHUNK // max(per_row, 1), 1)
    for row in range(0, len(array), rows):
        yield row * per_row, array[row : row + rows]


def all_finite(array: Array) -> bool:
    """Whether all elements are finite. 60,000 x 784 float32 values take about 8 ms."""
    if array.dtype.kind != "f":
        return True
    if array.size <= _CHUNK:
        return bool(np.logical_and.reduce(np.isfinite(array), axis=None))
    return all(np.logical_and.reduce(np.isfinite(piece), axis=None) for _, piece in _chunks(array))


def first_where(array: Array, test: Any) -> tuple[tuple[int, ...], int] | None:
    """Return the index of the first element for which ``test`` is true, and their number. ``test`` is elementwise."""
    first, count = -1, 0
    for start, piece in _chunks(array):
        hits = test(piece)
        n_hits = int(np.count_nonzero(hits))
        if n_hits and first < 0:
            first = start + int(np.argmax(hits))
        count += n_hits
    if first < 0:
        return None
    return tuple(int(i) for i in np.unravel_index(first, array.shape)), count


# -- each kind of input ---------------------------------------------------------------------------------------------


def _to_array(x: object, name: str) -> Array:
    """Return ``x`` as an ndarray of any dtype, without a check of its elements."""
    if x is None:
        raise TypeError(f"{name} is None. Write an array of numbers, one row a sample, instead.")
    if type(x).__name__ == "LazyFrame":
        raise TypeError(f"{name} is a LazyFrame, which has no numbers yet. Write {name}.collect() instead.")
    refuse_sparse(x, name)
    refuse_dates(x, name)
    if isinstance(x, np.ma.MaskedArray):
        masked = int(np.count_nonzero(np.ma.getmaskarray(x)))
        if masked:
            raise ValueError(
                f"{name} is a masked array with {masked} masked values, which a network cannot use. "
                f"Write {name}.filled(value), or drop those rows, instead."
            )
        return np.asarray(x.data)
    if isinstance(x, np.ndarray):
        return np.asarray(x)  # a memory map or another subclass: the same bytes as an ndarray
    if isinstance(x, Mapping | AbstractSet | str | bytes) or (isinstance(x, Iterator) and not hasattr(x, "__array__")):
        hint = {"dict": f"{name}['column'] or np.stack(list({name}.values()), axis=1)", "set": f"sorted({name})"}.get(
            type(x).__name__, f"np.array(list({name}))" if isinstance(x, Iterator) else "an array of numbers"
        )
        raise TypeError(f"{name} is a {type(x).__name__}, not an array. Write {hint} instead.")
    try:
        return _foreign(x)
    except ValueError as error:
        raise _ragged(x, name, error) from error
    except Exception as error:
        raise TypeError(
            f"{name} is a {type(x).__module__}.{type(x).__qualname__}, which could not be read as an array "
            f"({type(error).__name__}: {error}). Write a NumPy array of its values instead."
        ) from error


def _foreign(x: Any) -> Array:
    """Read a list, a frame or a tensor of another library through its methods."""
    if hasattr(x, "detach") and hasattr(x, "cpu"):  # a PyTorch tensor, which may be on an accelerator
        x = x.detach().cpu()
        if "bfloat16" in str(getattr(x, "dtype", "")):  # unknown to NumPy; float32 represents every value
            x = x.float()
    elif not hasattr(x, "__array__"):
        if hasattr(x, "to_numpy"):
            x = x.to_numpy()
        elif hasattr(x, "__dlpack__"):
            x = np.from_dlpack(x)
    return np.asarray(x)


def refuse_sparse(x: Any, name: str) -> None:
    """Refuse sparse data, which would become dense silently. It is recognized by its methods."""
    if isinstance(x, np.ndarray | list | tuple):
        return
    kind = type(x)
    if hasattr(x, "tocsr") or (kind.__module__.startswith("jax.experimental.sparse")):
        call = "toarray()" if hasattr(x, "toarray") else "todense()"
    elif getattr(x, "is_sparse", None) is True or "sparse" in str(getattr(x, "layout", "")):
        call = "to_dense()"
    elif kind.__name__ == "SparseTensor":
        raise TypeError(f"{name} is a {kind.__name__}. Write tf.sparse.to_dense({name}) instead.")
    elif any(str(dtype).startswith("Sparse[") for dtype in set(_dtypes(x))):
        call = "sparse.to_dense()"
    else:
        return
    shape = tuple(int(n) for n in getattr(x, "shape", ()))
    size = 4
    for n in shape:
        size *= n
    raise TypeError(
        f"{name} is a sparse {kind.__name__} of shape {shape}, and is not made dense silently "
        f"({size_in_words(size)} as float32). Write {name}.{call} instead if that fits in memory."
    )


def refuse_dates(x: Any, name: str) -> None:
    """Refuse dates and durations of frames and series, which polars would silently convert to numbers."""
    if not (hasattr(x, "columns") or hasattr(x, "dt")):  # neither a frame nor a series
        return
    for column, dtype in zip(column_names(x) or [None], _dtypes(x) or [getattr(x, "dtype", None)], strict=False):
        temporal = getattr(dtype, "is_temporal", None)  # a method of polars
        if not (temporal() if callable(temporal) else getattr(dtype, "kind", "") in ("M", "m")):
            continue
        part = name if column is None else f"{name}[{column!r}]"
        kind = str(dtype)
        if kind == "Time":
            fix = f"{part}.dt.hour()"
        elif kind.startswith(("timedelta", "Duration")):
            fix = f"{part}.dt.total_seconds()"
        else:
            days = "dt.total_days()" if callable(temporal) else "dt.days"
            fix = f"({part} - {part}.min()).{days}, later with the same first date,"
        where = kind if column is None else f"column {column!r}, {kind}"
        raise TypeError(
            f"{name} contains dates or durations ({where}), and a network takes numbers. Write {fix} instead."
        )


def _dtypes(x: Any) -> list[Any]:
    """Return the dtypes of the columns of a frame or of a series; an empty list for other objects."""
    dtypes: Any = getattr(x, "dtypes", ())
    return list(dtypes) if hasattr(dtypes, "__iter__") else [dtypes]


def _ragged(x: object, name: str, error: Exception) -> Exception:
    """Return the error for a list whose rows differ in shape, with the first row that differs."""
    if isinstance(x, list | tuple) and x:
        shapes = [np.shape(row) if not isinstance(row, list | tuple) else (len(row),) for row in x]
        for i, shape in enumerate(shapes):
            if shape != shapes[0]:
                return _mixed(name, "ragged list", shapes[0], i, shape)
    return ValueError(f"{name} could not be read as an array: {error}. Write rows of one shape instead.")


def _mixed(name: str, what: str, first: tuple[int, ...], row: int, shape: tuple[int, ...]) -> Exception:
    """Return the error for rows of different shapes, which may be images."""
    fix = (
        "Write rows of one length instead, padded or cut; or Input((None,)) as the network's first layer, which takes "
        "any length."
    )
    if len(first) > 1 and len(shape) > 1:
        fix = (
            "Write images of one size instead: resize each as it is read (Pillow's image.resize((width, height))), or "
            "read them by rv.data.images_from_folder(path, image_size=(height, width))."
        )
    return ValueError(f"{name} is a {what}: row 0 has shape {first}, row {row} has shape {shape}. {fix}")


def _odd_dtype(array: Array, x: object, name: str) -> Array:
    """Convert or refuse dtypes other than bool, integer and float: objects, strings, complex numbers, dates."""
    kind = array.dtype.kind
    if kind == "O":
        return _from_objects(array, x, name)
    if kind in "US" or type(array.dtype).__name__ == "StringDType":
        raise _strings(array, x, (0,) * array.ndim, name)
    if kind == "c":
        raise TypeError(
            f"{name} is complex ({array.dtype.name}), and a network takes real numbers. Write {name}.real, "
            f"abs({name}), or np.stack([{name}.real, {name}.imag], axis=-1) instead."
        )
    if kind in "Mm":
        raise TypeError(
            f"{name} contains dates or durations ({array.dtype}). Write numbers instead, "
            f"for example ({name} - {name}.min()) / np.timedelta64(1, 'D')."
        )
    if array.dtype.names is None and np.can_cast(array.dtype, np.float32):
        # bfloat16 and 8-bit floats, which other libraries register with NumPy.
        return array.astype(np.float32)
    raise TypeError(
        f"{name} has dtype {array.dtype}, which is not numeric. Write a plain array instead, for example "
        f"np.stack([{name}[field] for field in {name}.dtype.names], axis=1) for a record array."
    )


def _from_objects(array: Array, x: object, name: str) -> Array:
    """Convert an object array to float64 if every element is a real number, else name the first one that is not."""
    check_memory(array.shape, np.float64, f"{name} as float64")
    flat = array.ravel().tolist() if array.ndim else [array.item()]
    # NumPy would read '1.5' as 1.5 and None as NaN, which hides an earlier mistake.
    if flat and all(isinstance(value, np.ndarray) for value in flat):
        shapes = [value.shape for value in flat]
        other = next((i for i, shape in enumerate(shapes) if shape != shapes[0]), None)
        if other is not None:
            raise _mixed(name, "list of arrays", shapes[0], other, shapes[other])
    if not any(issubclass(kind, str | bytes | complex | NoneType) for kind in set(map(type, flat))):
        try:
            return np.array(flat, dtype=object).astype(np.float64).reshape(array.shape)
        except (TypeError, ValueError, OverflowError):
            pass
    for i, value in enumerate(flat):
        index = tuple(int(n) for n in np.unravel_index(i, array.shape))
        if isinstance(value, str | bytes):
            raise _strings(array, x, index, name)
        try:
            float(value)
        except Exception:  # noqa: BLE001 - a foreign __float__ may raise anything
            raise _not_a_number(value, index, name, column_names(x)) from None
    raise ValueError(f"{name} is an object array that is not numeric. Write np.array({name}.tolist(), float) instead.")


def _not_a_number(value: object, index: tuple[int, ...], name: str, columns: tuple[str, ...] | None) -> Exception:
    if isinstance(value, list | tuple | np.ndarray):
        shape = value.shape if isinstance(value, np.ndarray) else (len(value),)
        return ValueError(
            f"{name} is an object array of {type(value).__name__}s: {place(index, columns)} has shape "
            f"{shape}. Write np.stack({name}) instead, with rows of one shape."
        )
    shown = " ".join(itertools.islice(repr(value).split(), 12))[:80]
    fix = f"Write {name} without missing values" if value is None or "NA" in shown else "Write a number"
    return ValueError(
        f"{name} has dtype object and {place(index, columns)} is {shown} ({type(value).__name__}), "
        f"which is not a real number. {fix} there instead."
    )


def _strings(array: Array, x: object, index: tuple[int, ...], name: str) -> TypeError:
    """Return the error for text in place of numbers: numbers written as text, or words."""
    columns = column_names(x)
    value = np.asarray(array[index]).item() if array.size else ""
    where = f"{place(index, columns)} is {value[:40]!r}"
    single = array.ndim < 2 or array.shape[-1] == 1
    if is_number(value):
        part = name if single else f"{name}[{columns[index[-1]]!r}]" if columns else f"{name}[:, {index[-1]}]"
        return TypeError(f"{name} contains numbers written as strings ({where}). Write {part}.astype(float) instead.")
    start = f"{name} contains strings ({where}), and a network takes numbers. Write"
    if columns is not None and not single:
        held = ((column, array[:, j].tolist()) for j, column in enumerate(columns))
        words = [
            column for column, values in held if any(isinstance(v, str | bytes) and not is_number(v) for v in values)
        ]
        polars = hasattr(x, "to_dummies")
        write = f"{name}.to_dummies({words})" if polars else f"pd.get_dummies({name}, columns={words})"
        return TypeError(f"{start} {write}, which gives a column of 0 and 1 for each word, instead.")
    part = name if single else f"{name}[:, {index[-1]}]"
    return TypeError(
        f"{start} classes, codes = np.unique({part}, return_inverse=True) and use the integer codes, or begin the "
        "network with rv.Input((1,), dtype='string') and an adapted rv.layers.StringLookup, or TextVectorization for "
        "texts, instead."
        if name.endswith("x")
        else f"{start} classes, codes = np.unique({part}, return_inverse=True) and use the integer codes instead."
    )


def is_number(text: str | bytes) -> bool:
    """Whether a text is a number as Python writes one."""
    try:
        float(text)
    except ValueError:
        return False
    return True

"""Operations that NumPy evaluates at once: of bits and whole numbers, of what is not nan, and windows.

They have no gradient and cannot be part of a compiled model.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier.graph.dtypes import FLOATING, array_dtype, as_array, widened
from ranvier.ops.arrays.promotion import axis_of, result_dtype
from ranvier.ops.keras.arrays import convert_to_tensor
from ranvier.ops.keras.elementwise import Axes, dtype_name, listed
from ranvier.tensor.context import get_dtype
from ranvier.tensor.tensor import Tensor, numbers_of

# --- whole numbers ------------------------------------------------------------------------------------------------


def _held(x: Any) -> Any:
    return x if isinstance(x, (bool, int, float)) else convert_to_tensor(x)


def _evaluated(name: str, evaluate: Callable[..., Any], *operands: Any) -> Tensor:
    """What NumPy makes of whole numbers in the dtype in which they meet."""
    held = [_held(x) for x in operands]
    dtype = result_dtype(*held)
    if dtype in FLOATING:
        raise TypeError(f"ops.{name} of {dtype}. Write whole numbers, as in ops.cast(x, 'int32'), instead.")
    return Tensor(evaluate(*(numbers_of(x).astype(array_dtype(dtype)) for x in held)), dtype=dtype)


def bitwise_and(x: Any, y: Any) -> Tensor:
    """The bits that both have. Evaluated at once."""
    return _evaluated("bitwise_and", np.bitwise_and, x, y)


def bitwise_or(x: Any, y: Any) -> Tensor:
    """The bits that one has, or both. Evaluated at once."""
    return _evaluated("bitwise_or", np.bitwise_or, x, y)


def bitwise_xor(x: Any, y: Any) -> Tensor:
    """The bits that one alone has. Evaluated at once."""
    return _evaluated("bitwise_xor", np.bitwise_xor, x, y)


def bitwise_invert(x: Any) -> Tensor:
    """The bits that ``x`` does not have; of bool the other value. Evaluated at once."""
    return _evaluated("bitwise_invert", np.invert, x)


def bitwise_left_shift(x: Any, y: Any) -> Tensor:
    """The bits moved up by ``y`` places, with zeros after them. Evaluated at once."""
    return _evaluated("bitwise_left_shift", np.left_shift, x, y)


def bitwise_right_shift(x: Any, y: Any) -> Tensor:
    """The bits moved down by ``y`` places; negative numbers stay negative. Evaluated at once."""
    return _evaluated("bitwise_right_shift", np.right_shift, x, y)


bitwise_not, left_shift, right_shift = bitwise_invert, bitwise_left_shift, bitwise_right_shift


def gcd(x1: Any, x2: Any) -> Tensor:
    """The greatest common divisor. Evaluated at once."""
    return _evaluated("gcd", np.gcd, x1, x2)


def lcm(x1: Any, x2: Any) -> Tensor:
    """The least common multiple. Evaluated at once."""
    return _evaluated("lcm", np.lcm, x1, x2)


# --- floats -------------------------------------------------------------------------------------------------------


def ldexp(x1: Any, x2: Any) -> Tensor:
    """``x1 * 2 ** x2``, exact, for whole ``x2``. Evaluated at once."""
    mantissa, exponent = _held(x1), numbers_of(_held(x2))
    if exponent.dtype.kind not in "iub":
        raise TypeError(f"ops.ldexp with an exponent of {exponent.dtype}. Write whole numbers instead.")
    dtype = result_dtype(mantissa)
    dtype = dtype if dtype in FLOATING else get_dtype()
    return Tensor(np.ldexp(numbers_of(mantissa).astype(np.float64), exponent.astype(np.int64)), dtype=dtype)


def nextafter(x1: Any, x2: Any) -> Tensor:
    """The next float after ``x1`` toward ``x2``. Evaluated at once."""
    held = [_held(x) for x in (x1, x2)]
    dtype = result_dtype(*held)
    dtype = dtype if dtype in FLOATING else get_dtype()
    if dtype == "bfloat16":
        return Tensor(_next_bfloat16(*(numbers_of(x).astype(np.float32) for x in held)), dtype=dtype)
    return Tensor(np.nextafter(*(numbers_of(x).astype(dtype) for x in held)), dtype=dtype)


def _next_bfloat16(start: Any, toward: Any) -> Any:
    """`nextafter` of bfloat16: the bits of positive numbers, as whole numbers, are in their order."""
    bits = as_array(start, "bfloat16").view(np.uint16).astype(np.int32)
    place = np.where(bits < 0x8000, bits, 0x8000 - bits) + np.where(toward > start, 1, np.where(toward < start, -1, 0))
    found = np.where(place < 0, 0x8000 - place, place).astype(np.uint16).view(array_dtype("bfloat16"))
    return np.where(np.isnan(start + toward), np.nan, widened(found))


def view(x: Any, dtype: Any = None) -> Tensor:
    """The bits of the elements as numbers of another dtype, of as many along the last axis as they make.

    Evaluated at once.
    """
    array = np.ascontiguousarray(convert_to_tensor(x).compute())
    name = None if dtype is None else array_dtype(dtype_name(dtype))
    return Tensor.wrap(array.copy() if name is None else array.view(name).copy())


# --- order --------------------------------------------------------------------------------------------------------


def argpartition(x: Any, kth: int, axis: int | None = -1) -> Tensor:
    """Where the elements came from if those up to place ``kth`` are the smallest, int32. Evaluated at once."""
    values = numbers_of(convert_to_tensor(x))
    return Tensor(np.argpartition(values, kth, None if axis is None else axis_of(axis, values.ndim)), dtype="int32")


def unique(
    x: Any,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """The different elements in order, or slices along ``axis``; where asked for, where each is first, which of them
    each element is, and how many there are; int32. ``size`` cuts them off, or fills up with ``fill_value``. Evaluated
    at once.
    """
    del sorted  # NumPy sorts
    values = convert_to_tensor(x).compute()
    found = np.unique(values, True, True, True, axis=axis)
    fills: tuple[Any, ...] = (0 if fill_value is None else fill_value, 0, 0, 0)
    wanted = [True, return_index, return_inverse, return_counts]
    results = []
    for array, fill, place in zip(found, fills, (axis or 0, 0, None, 0), strict=True):
        if size is not None and place is not None:
            array = np.take(array, np.arange(min(size, array.shape[place])), place)
            more = [(0, size - array.shape[place] if i == place else 0) for i in range(array.ndim)]
            array = np.pad(array, more, constant_values=fill)
        results.append(array)
    kinds = (values.dtype.name, "int32", "int32", "int32")
    made = [Tensor(a, dtype=k) for a, k, want in zip(results, kinds, wanted, strict=True) if want]
    return made[0] if len(made) == 1 else tuple(made)


def _of_known(x: Any, evaluate: Callable[[Any], Any]) -> Tensor:
    """What NumPy makes of the elements that are not nan, as floats; nan of none."""
    tensor = convert_to_tensor(x)
    values = numbers_of(tensor).astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of elements that are all nan
        return Tensor(evaluate(values), dtype=tensor.dtype if tensor.dtype in FLOATING else get_dtype())


def nanquantile(x: Any, q: Any, axis: Axes = None, method: Any = "linear", keepdims: bool = False) -> Tensor:
    """`quantile` of the elements that are not nan; nan of none. Evaluated at once."""
    shares = np.asarray(q, np.float64)
    return _of_known(x, lambda values: np.nanquantile(values, shares, listed(axis), method=method, keepdims=keepdims))


def nanpercentile(x: Any, q: Any, axis: Axes = None, method: Any = "linear", keepdims: bool = False) -> Tensor:
    """`nanquantile` of shares in percent. Evaluated at once."""
    return nanquantile(x, np.asarray(q, np.float64) / 100, axis, method, keepdims)


def nanmedian(x: Any, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The middle of the elements that are not nan, of two their mean; nan of none. Evaluated at once."""
    return _of_known(x, lambda values: np.nanmedian(values, listed(axis), keepdims=keepdims))


# --- windows ------------------------------------------------------------------------------------------------------


def bartlett(x: Any) -> Tensor:
    """A triangular window of ``x`` points, with 0 at both ends."""
    return Tensor(np.bartlett(int(x)))


def blackman(x: Any) -> Tensor:
    """Blackman's window of ``x`` points, a sum of three cosines."""
    return Tensor(np.blackman(int(x)))


def hamming(x: Any) -> Tensor:
    """Hamming's window of ``x`` points, a raised cosine that ends above 0."""
    return Tensor(np.hamming(int(x)))


def hanning(x: Any) -> Tensor:
    """Hann's window of ``x`` points, a raised cosine that ends at 0."""
    return Tensor(np.hanning(int(x)))


def kaiser(x: Any, beta: float) -> Tensor:
    """Kaiser's window of ``x`` points, narrower the larger ``beta`` is."""
    return Tensor(np.kaiser(int(x), float(beta)))

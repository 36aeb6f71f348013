"""The limits of the numbers of a dtype: `finfo` and `iinfo`."""

from __future__ import annotations

from math import floor, log10
from typing import Any, NamedTuple

from ranvier.graph.dtypes import ELEMENT_TYPES, FLOATING, INTEGERS
from ranvier.ops.torch.dtypes import dtype_name
from ranvier.tensor.context import get_dtype

__all__ = ["finfo", "iinfo"]

FRACTION = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}  # bits of a number's fraction (IEEE 754)


class FloatLimits(NamedTuple):
    """What `finfo` returns."""

    resolution: float
    min: float
    max: float
    eps: float
    smallest_normal: float
    tiny: float
    dtype: str
    bits: int

    def __repr__(self) -> str:
        return _shown("finfo", self)


class IntegerLimits(NamedTuple):
    """What `iinfo` returns."""

    min: int
    max: int
    dtype: str
    bits: int

    def __repr__(self) -> str:
        return _shown("iinfo", self)


def _shown(name: str, limits: FloatLimits | IntegerLimits) -> str:
    numbers = [f"{key}={value:g}" for key, value in limits._asdict().items() if key not in ("dtype", "bits")]
    return f"{name}({', '.join(numbers)}, dtype={limits.dtype})"


def finfo(type: Any = None) -> FloatLimits:
    """The limits of a floating dtype, as numbers of Python.

    Args:
        type: the dtype; None: the default one.

    Returns:
        ``bits`` of a number in memory; ``eps``, the distance from 1 to the next larger number; ``max`` and ``min``;
        ``tiny`` or ``smallest_normal``, the smallest positive number that has all digits; ``resolution``, the last
        decimal digit that 1 keeps; ``dtype``, its name.

    Raises:
        TypeError: the dtype has no fractions.

    Example:
        >>> import ranvier.torch as torch
        >>> torch.finfo(torch.float16).max
        65504.0
    """
    name = dtype_name(type) or get_dtype()
    if name not in FLOATING:
        raise TypeError(f"torch.finfo was given {name}, which has no fractions. Write torch.iinfo instead.")
    bits, fraction = ELEMENT_TYPES[name].bits, FRACTION[name]
    exponent = 2 ** (bits - fraction - 2) - 1  # of the largest number; one of the other bits is the sign
    eps, tiny = 2.0**-fraction, 2.0 ** (1 - exponent)
    most = (2 - eps) * 2.0**exponent
    return FloatLimits(float(f"1e-{floor(fraction * log10(2))}"), -most, most, eps, tiny, tiny, name, bits)


def iinfo(type: Any) -> IntegerLimits:
    """The limits of an integer dtype.

    Args:
        type: the dtype.

    Returns:
        ``bits`` of a number in memory; ``max`` and ``min``; ``dtype``, its name.

    Raises:
        TypeError: the dtype has no integers.

    Example:
        >>> import ranvier.torch as torch
        >>> torch.iinfo(torch.uint8).max
        255
    """
    name = dtype_name(type)
    if name not in INTEGERS:
        raise TypeError(f"torch.iinfo was given {name}, which is no integer type. Write torch.finfo instead.")
    row = ELEMENT_TYPES[name]
    most = 2 ** (row.bits - row.signed) - 1
    return IntegerLimits(-row.signed * (most + 1), most, name, row.bits)

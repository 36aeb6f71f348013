"""The element types: one table, of which engines, promotion and conversions are made.

A storage type (float16, bfloat16) holds floats in 16 bits. Programs read, move and write it; they compute in its
arithmetic type, float32, to which a ``cast`` leads.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

CATEGORIES = ("bool", "integer", "float")  # in the order of promotion


class ElementType(NamedTuple):
    """A row of the table."""

    name: str
    category: str
    bits: int
    signed: bool
    array: Any
    """The dtype of its arrays. NumPy has no bfloat16: a record of one field, so that nothing takes it for a number."""
    arithmetic: str
    """The type in which programs compute with it."""

    @property
    def is_storage(self) -> bool:
        return self.arithmetic != self.name


def _row(name: str, category: str, bits: int, signed: bool, array: Any = None, arithmetic: str = "") -> ElementType:
    return ElementType(name, category, bits, signed, np.dtype(array or name), arithmetic or name)


ELEMENT_TYPES = {
    row.name: row
    for row in (
        _row("float32", "float", 32, True),
        _row("float64", "float", 64, True),
        _row("float16", "float", 16, True, arithmetic="float32"),
        _row("bfloat16", "float", 16, True, [("bfloat16", "<u2")], "float32"),
        _row("int8", "integer", 8, True),
        _row("int16", "integer", 16, True),
        _row("int32", "integer", 32, True),
        _row("int64", "integer", 64, True),
        _row("uint8", "integer", 8, False),
        _row("uint16", "integer", 16, False),
        _row("uint32", "integer", 32, False),
        _row("uint64", "integer", 64, False),
        _row("bool", "bool", 8, False),
    )
}
DTYPES = tuple(ELEMENT_TYPES)
STORAGE = tuple(name for name, t in ELEMENT_TYPES.items() if t.is_storage)
FLOATS = tuple(n for n, t in ELEMENT_TYPES.items() if t.category == "float" and not t.is_storage)
"""The floats in which programs compute."""
FLOATING = (*FLOATS, *STORAGE)
INTEGERS = tuple(n for n, t in ELEMENT_TYPES.items() if t.category == "integer")
NUMBERS = (*FLOATS, *INTEGERS)
ARITHMETIC = (*NUMBERS, "bool")
SIGNED = tuple(n for n in NUMBERS if ELEMENT_TYPES[n].signed)
INDICES = ("int32", "int64")
"""What rows are counted with."""
_NAMES = {t.array: name for name, t in ELEMENT_TYPES.items()}


def array_dtype(name: str) -> Any:
    """The NumPy dtype of arrays of an element type."""
    return ELEMENT_TYPES[name].array


def dtype_of(array: Any) -> str:
    """The name of an array's element type; NumPy's name for what is none."""
    return _NAMES.get(array.dtype) or str(array.dtype.name)


def limits(name: str) -> tuple[int, int]:
    """The smallest and the largest value of an integer type; of bool 0 and 1."""
    row = ELEMENT_TYPES[name]
    if row.category == "bool":
        return 0, 1
    return (-(2 ** (row.bits - 1)), 2 ** (row.bits - 1) - 1) if row.signed else (0, 2**row.bits - 1)


# --- promotion ----------------------------------------------------------------------------------------------------


@functools.cache
def promoted(a: str, b: str) -> str:
    """The smallest type of the higher category that holds both: float32 for the two storage types, int64 for int32
    and uint32, and the float where one is a float. No integer holds both uint64 and negative numbers: float32, as in
    Keras.
    """
    first, second = ELEMENT_TYPES[a], ELEMENT_TYPES[b]
    if first.category != second.category:
        return max((first, second), key=lambda t: CATEGORIES.index(t.category)).name
    if a == b:
        return a
    small, large = sorted((first, second), key=lambda t: t.bits)
    if first.category == "float":
        return large.name if small.bits < large.bits else large.arithmetic
    if large.signed == small.signed or (large.signed and large.bits > small.bits):
        return large.name
    wanted = 2 * large.bits
    found = (n for n, t in ELEMENT_TYPES.items() if t.category == "integer" and t.signed and t.bits >= wanted)
    return next(found, "float32")


def promote(names: Iterable[str]) -> str | None:
    """The type in which all of these meet; None of none."""
    result = None
    for name in names:
        result = name if result is None else promoted(result, name)
    return result


def merged(higher: str | None, lower: str | None) -> str | None:
    """Where operands of another rank (0-d tensors beside tensors, or numbers beside both) meet those of a higher one:
    only a higher category of theirs counts.
    """
    if higher is None or lower is None:
        return higher or lower
    below, above = (CATEGORIES.index(ELEMENT_TYPES[n].category) for n in (higher, lower))
    return promoted(higher, lower) if above > below else higher


# --- values -------------------------------------------------------------------------------------------------------


def as_array(value: Any, name: str) -> Any:
    """A NumPy array of an element type, converted as NumPy converts; of bfloat16 rounded to the nearest, to even."""
    if name != "bfloat16":
        array = np.asarray(value)
        return widened(array).astype(name) if array.dtype == array_dtype("bfloat16") else np.asarray(array, name)
    array = np.asarray(value)
    if array.dtype == array_dtype(name):
        return array
    floats = np.asarray(array, np.float32)
    bits = floats.view(np.uint32)
    rounded = (bits.astype(np.uint64) + 0x7FFF + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint64(16)
    quiet = (bits >> np.uint32(16)) | np.uint32(0x40)
    halves = np.where(np.isnan(floats), quiet, rounded).astype(np.uint16)
    return np.asarray(halves).view(array_dtype(name))


def widened(array: Any) -> Any:
    """An array with numbers that NumPy computes with: bfloat16 as float32, any other as it is."""
    if array.dtype.names is None:  # only bfloat16 is a record
        return array
    bits = np.asarray(np.asarray(array).view(np.uint16)).astype(np.uint32)
    return np.asarray(bits << np.uint32(16)).view(np.float32)

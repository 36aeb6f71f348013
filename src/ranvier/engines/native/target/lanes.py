"""LLVM's names for types, and vectors of 16 lanes.

Every target sees the same 16 lanes; LLVM splits them into as many registers as the target needs.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache

from ranvier.graph.dtypes import ELEMENT_TYPES, ElementType

LANES = 16


def _element(row: ElementType) -> str:
    if row.category == "bool":
        return "i1"
    return {"float32": "float", "float64": "double"}.get(row.name, f"i{row.bits}")


ELEMENT = {name: _element(row) for name, row in ELEMENT_TYPES.items()}


SUFFIX = {"float": "f32", "double": "f64", "i1": "i1", "i8": "i8", "i16": "i16", "i32": "i32", "i64": "i64"}


SIZE = {name: row.bits // 8 for name, row in ELEMENT_TYPES.items()}


ALL_LANES = "splat (i1 true)"


Scalar = str | int  # an i64: the name of a value, or a number known now


def vector(element: str, lanes: int = LANES) -> str:
    return f"<{lanes} x {element}>"


def suffix_of(type_: str) -> str:
    """How LLVM names a type inside the name of an intrinsic: ``v16f32``, ``i32``."""
    if not type_.startswith("<"):
        return SUFFIX[type_]
    lanes, element = type_[1:-1].split(" x ")
    return f"v{lanes}{SUFFIX[element]}"


def memory_type(dtype: str) -> str:
    """The type of a dtype in memory, where bool takes a byte."""
    return "i8" if dtype == "bool" else ELEMENT[dtype]


def literal(value: float, element: str) -> str:
    """A constant as LLVM writes it: floats by the bits of their double."""
    if element in ("float", "double"):
        if element == "float":
            value = struct.unpack("<f", struct.pack("<f", value))[0]
        return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"
    if element == "i1":
        return "true" if value else "false"
    return str(int(value))


def lane_constants(values: Sequence[object], element: str) -> str:
    return "<" + ", ".join(f"{element} {v}" for v in values) + ">"


@cache
def tail_mask(count: int, lanes: int = LANES) -> str:
    """The constant mask of the first ``count`` lanes."""
    return lane_constants(["true" if i < count else "false" for i in range(lanes)], "i1")

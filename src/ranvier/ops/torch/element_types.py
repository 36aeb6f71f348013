"""The dtype that a tensor of data has by default."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.graph.dtypes import FLOATING, dtype_of, promote
from ranvier.tensor.context import get_dtype
from ranvier.tensor.tensor import Tensor, plain_array

PYTHON = frozenset([bool, int, float])


def own_dtype(value: Any) -> str | None:
    """The dtype that the tensor of a value has by default; None for that of `Tensor`."""
    if hasattr(value, "dtype"):
        name = dtype_of(value) if isinstance(value, (np.ndarray, np.generic)) else ""
        return name if name in FLOATING else None
    return _dtype_of_elements(value) or ("int64" if plain_array(value).dtype.kind in "iu" else None)


def _dtype_of_elements(value: Any) -> str | None:
    """The dtype in which the NumPy numbers, arrays and tensors in lists meet each other and Python's numbers.

    None where there are Python's numbers alone, or what is no number.
    """
    kinds: set[type] = set()
    typed: set[str] = set()
    rest = [value]
    while rest:
        part = rest.pop()
        if not isinstance(part, (list, tuple)):
            if not isinstance(part, (np.ndarray, np.generic, Tensor)):
                return None
            typed.add(part.dtype if isinstance(part, Tensor) else dtype_of(part))
            continue
        found = set(map(type, part))
        kinds |= found & PYTHON
        if not found <= PYTHON:
            rest.extend(one for one in part if type(one) not in PYTHON)
    if not typed:
        return None
    own = {bool: "bool", int: "int64", float: get_dtype()}
    return promote(sorted([*typed, *(own[kind] for kind in kinds)]))

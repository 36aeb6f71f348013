"""Nested plain values with arrays, such as histories and the state of callbacks, as JSON and tensors, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.data.files import STORED
from ranvier.tensor.attribute_types import DType, Size
from ranvier.tensor.results import FloatResult


def pack(value: Any, name: str, tensors: dict[str, Array]) -> Any:
    """``value`` as JSON; its arrays go into ``tensors`` under names that begin with ``name``.

    `unpack` returns equal values: tuples as tuples, numbers of NumPy as such, floats to the last bit. Raises TypeError
    naming a value that a file cannot hold.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, DType):
        return str(value)
    if isinstance(value, FloatResult):  # such as a learning rate
        return float(value)
    if type(value) is list:
        return [pack(v, f"{name}/{i}", tensors) for i, v in enumerate(value)]
    if type(value) in (tuple, Size):
        return {"tuple": [pack(v, f"{name}/{i}", tensors) for i, v in enumerate(value)]}
    if isinstance(value, Mapping) and all(isinstance(k, (str, int)) for k in value):
        return {"dict": [[k, pack(v, f"{name}/{k}", tensors)] for k, v in value.items()]}
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.newbyteorder("=").str in STORED:
        tensors[name] = np.asarray(value)
        return {"array" if isinstance(value, np.ndarray) else "number": name}
    raise TypeError(
        f"{name} is a {type(value).__name__}, which a file cannot hold. Write numbers, strings, lists, dicts or NumPy "
        "arrays instead."
    )


def unpack(value: Any, tensors: Mapping[str, Array]) -> Any:
    """The value that `pack` was given. Raises ValueError for anything that `pack` does not write."""
    if isinstance(value, list):
        return [unpack(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tuple":
        return tuple(unpack(v, tensors) for v in content)
    if kind == "dict":
        return {k: unpack(v, tensors) for k, v in content}
    if kind == "array":
        return tensors[content].copy()
    if kind == "number":
        return tensors[content][()]
    raise ValueError(f"a value of the unknown kind {kind!r}")

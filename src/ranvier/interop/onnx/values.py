"""What operators of ONNX take and return: tensors, and arrays that are known before the model runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.graph.node import BATCH, Symbol
from ranvier.interop.foreign import ANY_BATCH, FAR, BatchSizeError, UnsupportedError, refuse
from ranvier.ops import arrays
from ranvier.tensor.tensor import Tensor

__all__ = [
    "ANY_BATCH", "COMPUTED", "ELEMENTS", "FAR", "Context", "UnsupportedError", "cast", "check_element", "element",
    "extents", "fixed", "known", "like", "numbers", "refuse", "shape_of", "tensor",
]  # fmt: skip

# ONNX's numbers of element types, by name.
ELEMENTS = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16",
}  # fmt: skip
NUMBERS = {name: number for number, name in ELEMENTS.items()}
COMPUTED = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")


@dataclass
class Context:
    """What an operator knows besides its inputs and attributes."""

    version: int
    """That of the set of operators."""
    outputs: int
    """How many are wanted."""
    training: bool
    run: Callable[[Any, dict[str, Any]], list[Any]]
    """Runs a graph that is an attribute, on values by name."""


def element(number: int) -> str:
    """The name of an element type. Raises UnsupportedError for one in which programs do not compute."""
    name = ELEMENTS.get(int(number), f"of number {number}")
    if name not in COMPUTED:
        raise refuse(f"the element type {name} is not one that programs compute in")
    return name


def tensor(value: Any) -> Tensor:
    """A value as a tensor. Raises UnsupportedError for element types that programs lack."""
    if isinstance(value, Tensor):
        return value
    if not isinstance(value, (np.ndarray, np.generic)):
        raise refuse(f"a value of type {type(value).__name__}")
    check_element(value)
    array = np.asarray(value)
    return Tensor(array, dtype=array.dtype.name)


def check_element(value: Any) -> None:
    """Raise UnsupportedError for numbers of a type in which programs do not compute."""
    name = value.dtype.name if hasattr(value, "dtype") else ""
    if name and name not in COMPUTED:
        raise refuse(f"the element type {name} is not one that programs compute in")


def known(value: Any, what: str) -> Any:
    """The numbers of an input that decides a shape. Raises UnsupportedError where they depend on the data."""
    if isinstance(value, (np.ndarray, np.generic, list, tuple, int, float)):
        return np.asarray(value)
    if value.trace_node is None and value._value is not None:
        return np.asarray(value.compute())
    raise refuse(f"{what} depends on the data, and it decides a shape")


def numbers(value: Any, what: str) -> list[int]:
    """Whole numbers that decide a shape. Raises UnsupportedError for those that the size of the batch gives."""
    found = [int(n) for n in np.ravel(known(value, what))]
    if any(abs(n) >= ANY_BATCH // 2 and abs(n) < FAR for n in found):
        raise BatchSizeError(f"{what} depends on the size of the batch")
    return found


def extents(value: Any, what: str) -> list[Any]:
    """A shape: whole numbers, of which one may be the size of the batch, or a multiple of it, which is -1."""
    found: list[Any] = [int(n) for n in np.ravel(known(value, what))]
    for i, n in enumerate(found):
        if n == ANY_BATCH:
            found[i] = BATCH
        elif n > ANY_BATCH and n % ANY_BATCH == 0 and -1 not in found:
            found[i] = -1
        elif abs(n) >= ANY_BATCH // 2:
            raise BatchSizeError(f"{what} depends on the size of the batch")
    return found


def holds_batch(array: Any) -> bool:
    """Whether there is the size of a batch, or a multiple of it, among known whole numbers."""
    return array is not None and array.dtype.kind == "i" and bool((np.abs(array) >= ANY_BATCH // 2).any())


def shape_of(x: Any) -> tuple[Any, ...]:
    return tuple(x.shape)


def fixed(x: Any, axis: int) -> int:
    """The extent of an axis. Raises UnsupportedError for that of a batch of any size."""
    extent = x.shape[axis]
    if isinstance(extent, Symbol):
        raise BatchSizeError("the size of the batch decides a shape")
    return int(extent)


def cast(x: Any, dtype: str) -> Any:
    return x if x.dtype.name == dtype else arrays.cast(x, dtype)


def like(y: Any, x: Any) -> Any:
    """A result in the element type of an operand."""
    return cast(y, x.dtype.name)

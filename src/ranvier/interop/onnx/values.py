"""What operators of ONNX take and return: tensors, and arrays that are known before the model runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.graph.extents import Extent
from ranvier.graph.node import BATCH
from ranvier.interop.foreign import ANY_BATCH, FAR, BatchSizeError, UnsupportedError, refuse
from ranvier.ops import arrays
from ranvier.tensor.tensor import Tensor

__all__ = [
    "ANY_BATCH", "COMPUTED", "ELEMENTS", "FAR", "FLOATS", "Context", "UnsupportedError", "cast", "check_element",
    "element", "extents", "fixed", "floating", "known", "like", "numbers", "refuse", "shape_of", "tensor",
]  # fmt: skip

# ONNX's numbers of element types, by name.
ELEMENTS = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16",
}  # fmt: skip
NUMBERS = {name: number for number, name in ELEMENTS.items()}
FLOATS = ("float32", "float64")
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


def holds_batch(value: Any) -> Any:
    """Whether there is the size of a batch, or a multiple of it, among known whole numbers."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "i" and bool(_of_batch(value).any())


def _of_batch(numbers: Any) -> Any:
    size = np.abs(numbers)
    return (size >= ANY_BATCH // 2) & (size < FAR)


TAKE_SIZES = frozenset({"Reshape", "Expand", "ConstantOfShape", "Slice", "Resize"})
"""Operators that know the number that stands for the size of a batch."""
CARRY_SIZES = frozenset({
    "Add", "Cast", "Concat", "Div", "Equal", "Gather", "Identity", "Mul", "Neg", "ReduceProd", "Split", "Squeeze",
    "Sub", "Transpose", "Unsqueeze", "Where",
})  # fmt: skip
"""Operators that may be given it with other known numbers, where the result says the same of a batch of any size."""


def check_carried(op: str, given: Sequence[Any], constant: bool, to: str) -> None:
    """Raise BatchSizeError where an operator would compute with the number that stands for the size of a batch."""
    bad: Any = not constant or op not in CARRY_SIZES or (op == "Cast" and "int" not in to)
    if not bad and op in ("Mul", "Div", "Equal"):
        (a, b), (own, other) = given[:2], map(_of_batch, given[:2])
        if op == "Mul":
            bad = own & other
        elif op == "Equal":  # with 0 or -1 it is not equal
            bad = (own & ~other & (b > 0)) | (other & ~own & (a > 0))
        else:
            bad = (other & ~own) | (own & ((a % b != 0) | (~other & (a // b % ANY_BATCH != 0))))
    elif not bad and op == "ReduceProd":
        bad = _of_batch(given[0]).sum() > 1
    if np.any(bad):
        raise BatchSizeError("it takes the size of the batch as a number")


def shape_of(x: Any) -> tuple[Any, ...]:
    return tuple(x.shape)


def fixed(x: Any, axis: int) -> int:
    """The extent of an axis. Raises UnsupportedError for that of a batch of any size."""
    extent = x.shape[axis]
    if isinstance(extent, Extent):
        raise BatchSizeError("the size of the batch decides a shape")
    return int(extent)


def cast(x: Any, dtype: str) -> Any:
    return x if x.dtype.name == dtype else arrays.cast(x, dtype)


def like(y: Any, x: Any) -> Any:
    """A result in the element type of an operand."""
    return cast(y, x.dtype.name)


def floating(x: Any) -> Any:
    """A value in floats: whole numbers in 64 bits, which hold them."""
    return x if x.dtype.name in FLOATS else cast(x, "float64")

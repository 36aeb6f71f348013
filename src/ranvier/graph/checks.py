"""Values that a program refuses: the ranges of indices, labels and probabilities, and the errors that name what is out
of range.

The primitive ``check`` gives its operand where all of it is in range. Else no result of the program counts.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ranvier.graph.dtypes import FLOATS, array_dtype
from ranvier.graph.extents import shape_at
from ranvier.graph.node import BATCH, Node


class Rule(NamedTuple):
    """The error of what is out of range, as PyTorch or Keras raises it, and its message."""

    error: type[Exception]
    message: str


_LABEL = (
    "label {value} is out of range for {count} classes{place}. Write labels from 0 to {last}, or give the last layer "
    "more units."
)
_INDEX = "index {value} is out of range for a dimension of {count}{place}. Write indices from {low} to {last}."
_LENGTH = "a sequence of length {value}{place}, where there is room for {last}. Write lengths from {low} to {last}."
_PROBABILITY = "all elements of {what} should be between 0 and 1, and one is {value}{place}. Write "
RULES = {
    "label": Rule(IndexError, _LABEL),
    "margin label": Rule(RuntimeError, _LABEL),
    "target label": Rule(ValueError, _LABEL),
    "element": Rule(IndexError, _INDEX),
    "gathered": Rule(RuntimeError, _INDEX),
    "class": Rule(
        RuntimeError,
        "index {value} is out of range for {count} classes{place}. Write indices from 0 to {last}, or a larger "
        "num_classes.",
    ),
    "row": Rule(
        IndexError,
        "index {value} is out of range for {count} rows{place}. Write indices from 0 to {last}, or give the weight "
        "more rows.",
    ),
    "vector": Rule(
        ValueError,
        "Embedding({count}, ...) was given {value}{place}. Write whole numbers from 0 to {last}, or "
        "Embedding({enough}, ...), instead.",
    ),
    "token": Rule(
        ValueError, "a number{place} is not in the vocabulary of {count}. Write num_oov_indices=1, or more, instead."
    ),
    "samples": Rule(
        ValueError,
        "a stateful layer keeps states of {low} samples and was given a batch of {value}. Write batches of {low}, or a "
        "new layer for batches of another size, instead.",
    ),
    "input": Rule(
        RuntimeError,
        _PROBABILITY + "a sigmoid at the end of the model, or binary_cross_entropy_with_logits (BCEWithLogitsLoss) "
        "instead.",
    ),
    "target": Rule(RuntimeError, _PROBABILITY + "0 and 1, or probabilities, instead."),
    "length": Rule(RuntimeError, _LENGTH),
    "sequence length": Rule(ValueError, _LENGTH),
}  # fmt: skip
ERRORS = tuple({rule.error for rule in RULES.values()})


class Fault(NamedTuple):
    """A value that breaks a rule, and where it is."""

    rule: str
    low: float
    high: float
    value: Any  # a number of NumPy
    at: tuple[int, ...]
    batched: bool = False
    """The first index is a row of all samples that the program was given, not of its operand."""

    def error(self) -> Exception:
        """The error to raise. It carries the fault, for those who know more of the place."""
        rule, count = RULES[self.rule], math.floor(self.high) + 1
        enough = int(min(self.value, 2**53)) + 1 if self.value > self.high else count  # it may be infinite
        text = rule.message.format(
            what=self.rule, value=str(self.value).removesuffix(".0"), place=_place(self.at), low=self.low,
            last=self.high, count=count, enough=enough,
        )  # fmt: skip
        error = rule.error(text)
        error.__dict__["fault"] = self
        return error


def _place(index: tuple[int, ...]) -> str:
    """Where an element is, in words."""
    if not index:
        return ""
    rest = f", position {', '.join(map(str, index[1:]))}" if index[1:] else ""
    return f", in row {index[0]}{rest}"


def first_fault(array: Any, rule: str, low: float, high: float, ignored: int | None = None) -> Fault | None:
    """The first element that is neither from low to high nor ignored; None if there is none."""
    outside = ~((array >= low) & (array <= high))
    if ignored is not None:
        outside &= array != ignored
    if not outside.any():
        return None
    position = int(np.argmax(outside))
    index = tuple(int(i) for i in np.unravel_index(position, array.shape)) if array.ndim else ()
    return Fault(rule, low, high, array[index], index)


def check_value(arrays: Any, attrs: dict[str, Any], extents: Any) -> Any:
    """The operand. Raises the error of the rule for what is out of range."""
    fault = first_fault(arrays[0], attrs["rule"], attrs["low"], attrs["high"], attrs["ignored"])
    if fault is not None:
        raise fault.error()
    return arrays[0]


def reported(check: Node, position: int, bits: int, extents: dict[str, int], row: int) -> Exception:
    """The error of an element that native code found: its place in the operand and its value, as 64 bits.

    ``row`` is the first row of the step.
    """
    shape = shape_at(check.shape, extents)
    value = struct.unpack("<d", struct.pack("<q", bits))[0] if check.dtype in FLOATS else bits
    index = tuple(int(i) for i in np.unravel_index(position, shape)) if shape else ()
    low, high = check.attrs["low"], check.attrs["high"]
    fault = Fault(check.attrs["rule"], low, high, array_dtype(check.dtype).type(value), index)
    return _in_step(fault, check, row)


def in_step(error: Exception, check: Node, row: int) -> Exception:
    """The error of a check that NumPy computed for the rows of a step; ``row`` is the first of them."""
    return _in_step(error.__dict__["fault"], check, row)


def _in_step(fault: Fault, check: Node, row: int) -> Exception:
    if check.shape[:1] == (BATCH,):
        fault = fault._replace(at=(fault.at[0] + row, *fault.at[1:]), batched=True)
    return fault.error()


def moved(error: Exception, row: Callable[[int], int]) -> Exception:
    """The same error for samples in another order; one that names none of these as it is."""
    fault = error.__dict__.get("fault")
    if not isinstance(fault, Fault) or not fault.batched:
        return error
    return fault._replace(at=(row(fault.at[0]), *fault.at[1:])).error()

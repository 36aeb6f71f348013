"""Traces of networks that compute with the number of rows of a batch, such as ``x.reshape(rows * length, -1)``.

A network is traced once for batches of any size, with a symbol for the number of rows. Where that fails because a
number is wanted, it is traced again with one. Programs then have one size of a batch each. What describes the network,
such as its summary, is found with an open extent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ranvier.graph.extents import Dim, ExtentError
from ranvier.graph.node import BATCH
from ranvier.graph.open_extents import ANY_ROWS, HALF, OpenExtent, with_batch
from ranvier.module.calls import mode
from ranvier.module.members import ModuleBase
from ranvier.support.tree import flatten, map_structure
from ranvier.tensor.call_state import isolated_tape
from ranvier.tensor.masks import mask_of, set_mask
from ranvier.tensor.tensor import Tensor


def needs_number(error: BaseException | None) -> bool:
    """Whether an error comes from an extent that is no number, so that another trace, with a number, may succeed."""
    while error is not None and not isinstance(error, ExtentError):
        error = error.__cause__ or error.__context__
    return error is not None


def for_any_or(trace: Callable[[Dim], Any], rows: int) -> Any:
    """``trace(BATCH)``, or ``trace(rows)`` if a number is wanted."""
    try:
        return trace(BATCH)
    except (TypeError, ValueError) as error:
        if not needs_number(error):
            raise
        first = error
    try:
        return trace(rows)
    except ValueError as error:
        if "values to unpack" in str(
            error
        ):  # as of ``a, b = x`` where one input was given: the first error explains it
            raise first from None
        raise


def for_any_batch(module: ModuleBase, trace: Callable[[Dim], Any]) -> Any:
    """What ``trace(BATCH)`` returns in evaluation mode; where a number is wanted, tensors of these types, no values."""

    def isolated(rows: Dim) -> Any:
        with mode(module, False), isolated_tape(module):
            return trace(rows) if rows is BATCH else for_open_batch(trace)

    return for_any_or(isolated, ANY_ROWS)


def for_open_batch(trace: Callable[[Dim], Any]) -> Any:
    """Tensors without values of the types that ``trace`` returns for two open numbers of rows."""
    traced = trace(OpenExtent(ANY_ROWS))
    halved = flatten(trace(OpenExtent(HALF)), Tensor)

    def closed(tensor: Tensor) -> Tensor:
        other = next(halved)
        result = Tensor.placeholder(with_batch(tensor.spec, other.spec))
        mask, other_mask = mask_of(tensor), mask_of(other)
        if mask is not None and other_mask is not None:
            set_mask(result, Tensor.placeholder(with_batch(mask.spec, other_mask.spec)))
        return result

    return map_structure(traced, Tensor, closed)

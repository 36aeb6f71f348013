"""What ATen's operators are here: PyTorch's functions of the same names, and rows of their own where those differ.

An operator has its name and that of its overload, ``"sum.dim_IntList"``, and its arguments by the names of ATen.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ranvier.graph.node import BATCH
from ranvier.interop import merged
from ranvier.interop.foreign import ANY_BATCH, FAR, UnsupportedError
from ranvier.interop.torch.merged import RowNumbers
from ranvier.interop.torch.merged import compute as compute_merged
from ranvier.ops import vocabulary

OWN: dict[str, Callable[..., Any]] = {}
PLACES = (("torch", "F."), ("torch", ""), ("method", ""))  # where functions of the same name are looked for, in order
RENAMED = {"train": "training", "split_size": "split_size_or_sections", "split_sizes": "split_size_or_sections"}
REDUCTIONS = ("none", "mean", "sum")
# Arguments that say where and how memory lies, which is not theirs to say here.
DROPPED = {
    "device", "layout", "pin_memory", "memory_format", "generator", "non_blocking", "copy", "cudnn_enabled",
    "cudnn_enable", "implicit", "out_dtype", "_stacklevel",
}  # fmt: skip
# Functions of PyTorch's vocabulary that look at values, which programs do not have when they are made.
LOOKING = {
    "aminmax", "bincount", "cummax", "cummin", "histc", "index_add", "index_copy", "inverse", "linalg_inv",
    "masked_scatter", "masked_select", "median", "mode", "msort", "multinomial", "nanmedian", "nanquantile", "nonzero",
    "quantile", "searchsorted", "take", "unique",
}  # fmt: skip
TAKE_MERGED: set[Callable[..., Any]] = set()  # own functions that take tensors whose batch is merged as they are


def row(*names: str, merged: bool = False) -> Callable[[Any], Any]:
    """Add a function to the table, by the names of operators, with an overload or for all of them.

    One with ``merged`` takes tensors whose batch is merged with other dimensions, and sizes as numbers.
    """

    def add(function: Any) -> Any:
        OWN.update(dict.fromkeys(names, function))
        if merged:
            TAKE_MERGED.add(function)
        return function

    return add


def vocabulary_function(name: str, column: str = "torch") -> Any:
    """A function of PyTorch's vocabulary, or a method of tensors."""
    return vocabulary.find(column, name)


@functools.cache
def find(op: str) -> Callable[..., Any] | None:
    """The function of an operator, which takes its arguments by ATen's names. None for one that is not known."""
    base = op.partition(".")[0]
    own = OWN.get(op) or OWN.get(base)
    if own is not None:
        return own
    if base in LOOKING:
        return None
    for column, prefix, name in (
        *((*place, base) for place in PLACES),
        ("torch", "linalg.", base.removeprefix("linalg_")),
    ):
        if name in known(column, prefix) and (prefix != "linalg." or name != base):
            return _by_name(vocabulary.find(column, prefix + name))
    return None


@functools.cache
def known(column: str, prefix: str) -> frozenset[str]:
    return frozenset(vocabulary.names(column, prefix))


def _by_name(function: Any) -> Callable[..., Any]:
    """A function of PyTorch's vocabulary that takes its arguments by ATen's names: the first by its place."""
    taken = inspect.signature(function).parameters

    several = any(p.kind is p.VAR_POSITIONAL for p in [*taken.values()][:1])

    def call(**given: Any) -> Any:
        first, *rest = given
        leading = given[first] if several and isinstance(given[first], list) else [given[first]]
        return function(*leading, **{RENAMED.get(name, name): _adapted(name, given[name]) for name in rest})

    call.taken = {*taken, next(iter(taken), "")}  # type: ignore[attr-defined]  # what `fits` asks for
    return call


def _adapted(name: str, value: Any) -> Any:
    """An argument as PyTorch's functions in Python take it."""
    if name == "reduction" and isinstance(value, int):
        return REDUCTIONS[value]
    return None if name in ("stride", "output_size") and isinstance(value, list) and not value else value


def fits(op: str, names: Iterable[str]) -> bool:
    """Whether an operator is known with these arguments."""
    function = find(op)
    if function is None:
        return False
    taken = getattr(function, "taken", None)
    if taken is None:
        parameters = inspect.signature(function).parameters.values()
        return any(p.kind is p.VAR_KEYWORD for p in parameters) or set(names) <= {p.name for p in parameters}
    return all(RENAMED.get(name, name) in taken for name in list(names)[1:])


def compute(op: str, given: Mapping[str, Any]) -> Any:
    """What an operator gives."""
    function: Any = find(op)
    if function in TAKE_MERGED:
        return merged.settled(function(**given))
    if any(isinstance(value, RowNumbers) for value in given.values()):
        raise UnsupportedError("the numbers of the rows of a batch, which choose elements of rows alone")
    given = {name: sized(value) for name, value in given.items()}
    if not any(map(merged.has_merged, given.values())):
        return merged.settled(function(**given))
    try:
        return compute_merged(op, function, given)
    except UnsupportedError:
        if any(value.is_merged for value in merged.merged_in(given.values())):
            raise
    return merged.settled(function(**{name: merged.spread(value) for name, value in given.items()}))


def sized(value: Any) -> Any:
    """An argument in which the size of any batch is the symbol for it."""
    if type(value) is int and ANY_BATCH // 2 <= abs(value) < FAR:
        if value != ANY_BATCH:
            raise UnsupportedError("a number that is computed from the size of the batch")
        return BATCH
    return [sized(part) for part in value] if isinstance(value, (list, tuple)) else value

"""Arguments that PyTorch takes as one number or several, and inputs with or without a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ranvier.graph.node import GraphError
from ranvier.ops import arrays

Sizes = int | Sequence[int]  # one number for all dimensions, or one for each


def each(value: Any, n: int, what: str, least: int = 0) -> tuple[int, ...]:
    """One whole number for each of n dimensions; raises ValueError."""
    given = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    given = given * n if len(given) == 1 else given
    if len(given) != n or any(isinstance(v, bool) or not isinstance(v, int) or v < least for v in given):
        raise ValueError(f"{what}={value!r}. Write a whole number of {least} or more, or {n} of them, instead.")
    return given


def one_of(value: Any, what: str, known: Sequence[str]) -> str:
    """A word among those known; raises ValueError."""
    if value not in known:
        raise ValueError(f"{what}={value!r}. Write {' or '.join(map(repr, known))} instead.")
    return str(value)


def batched(compute: Callable[[Any], Any], input: Any, n: int) -> Any:
    """``compute`` for inputs with or without the batch's dimension."""
    if input.ndim != n + 1:
        if input.ndim != n + 2:
            raise GraphError(f"it takes {n + 2} dimensions (or {n + 1} for one sample), not {input.ndim}")
        return compute(input)
    return arrays.squeeze(compute(arrays.expand_dims(input, 0)), 0)

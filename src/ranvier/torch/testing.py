"""``torch.testing``: comparisons that report where values differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ranvier.graph.dtypes import FLOATING, widened
from ranvier.ops.torch.creation import as_tensor
from ranvier.support.errors import missing
from ranvier.tensor.tensor import Tensor

__all__ = ["assert_allclose", "assert_close"]

# Relative and absolute tolerances by dtype, PyTorch's.
TOLERANCES = {
    "float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7),
}  # fmt: skip


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raise AssertionError unless ``|actual - expected| <= atol + rtol * |expected|`` for every element.

    Takes tensors, arrays and numbers, also in sequences and mappings. Without tolerances those of PyTorch for the dtype
    are used: float32 1.3e-6 and 1e-5, float64 1e-7 and 1e-7, integers 0. Shapes and dtypes have to be equal too.
    """
    if (rtol is None) != (atol is None):
        raise ValueError("rtol and atol are given together, or neither. Write both, or leave out both.")
    found = _difference(actual, expected, rtol, atol, equal_nan, check_dtype, "")
    if found:
        raise AssertionError(found if msg is None else msg(found) if callable(msg) else msg)


def _difference(
    actual: Any, expected: Any, rtol: float | None, atol: float | None, equal_nan: bool, check_dtype: bool, place: str
) -> str:
    """What differs, and "" where nothing does."""
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        if actual.keys() != expected.keys():
            return f"The keys of the mappings differ{place}: {[*actual]} and {[*expected]}."
        pairs = [(key, actual[key], expected[key]) for key in actual]
    elif isinstance(actual, Sequence) and isinstance(expected, Sequence) and not isinstance(actual, str):
        if len(actual) != len(expected):
            return f"The lengths of the sequences differ{place}: {len(actual)} and {len(expected)}."
        pairs = [(i, a, e) for i, (a, e) in enumerate(zip(actual, expected, strict=True))]
    else:
        return _difference_of_values(actual, expected, rtol, atol, equal_nan, check_dtype, place)
    found = (_difference(a, e, rtol, atol, equal_nan, check_dtype, f"{place}[{key!r}]") for key, a, e in pairs)
    return next(filter(None, found), "")


def _difference_of_values(
    actual: Any, expected: Any, rtol: float | None, atol: float | None, equal_nan: bool, check_dtype: bool, place: str
) -> str:
    are_numbers = not any(hasattr(value, "shape") for value in (actual, expected))
    a, e = (_as_tensor(value, are_numbers) for value in (actual, expected))
    at = f" at{place}" if place else ""
    if a.shape != e.shape:
        return f"The shapes differ{at}: {a.shape} and {e.shape}."
    if check_dtype and a.dtype != e.dtype and not are_numbers:
        return f"The dtypes differ{at}: {a.dtype} and {e.dtype}."
    defaults = [TOLERANCES.get(t.dtype, (0.0, 0.0)) for t in (a, e)]
    rtol = max(d[0] for d in defaults) if rtol is None else rtol
    atol = max(d[1] for d in defaults) if atol is None else atol
    given = FLOATING if a.dtype in FLOATING or e.dtype in FLOATING else ()
    x, y = (widened(t.detach().compute()) for t in (a, e))
    x, y = (np.asarray(v, "float64" if given else "int64") for v in (x, y))
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.abs(x - y)
        close = (x == y) | (np.isfinite(y) & (gap <= atol + rtol * np.abs(y)))
    if equal_nan:
        close |= np.isnan(x) & np.isnan(y)
    if close.all():
        return ""
    gap = np.where(close, -1.0, np.where(np.isnan(gap), np.inf, gap))
    first = np.unravel_index(int(gap.argmax()), gap.shape)
    index = tuple(map(int, first))
    return (
        f"{int((~close).sum())} of {close.size} elements differ{at}. The greatest difference is {gap[first]:g} at "
        f"index {index}: {x[first]!s} and {y[first]!s}; up to {atol:g} + {rtol:g} * |expected| is allowed."
    )


def _as_tensor(value: Any, is_number: bool) -> Tensor:
    if not is_number:
        made: Tensor = as_tensor(value)
        return made
    return Tensor(value, dtype="float64" if isinstance(value, float) else None)


def assert_allclose(actual: Any, expected: Any, rtol: Any = None, atol: Any = None, equal_nan: bool = True) -> None:
    """`assert_close` as older programs call it: dtypes may differ, and nan equals nan."""
    assert_close(actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=False)


__getattr__, __dir__ = missing("torch.testing", __all__)

"""Window functions: the weights of the samples of a frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

# Sums of cosines: the factor of the cosine of i periods in a window is (-1)**i times this.
COSINE_SUMS = {
    "boxcar": (1.0,), "hann": (0.5, 0.5), "hamming": (0.54, 0.46), "blackman": (0.42, 0.5, 0.08),
    "nuttall": (0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
}  # fmt: skip
SHAPES: dict[str, Callable[[Any], Any]] = {  # of the place in the window, from 0 to 1
    "bartlett": lambda t: 1 - np.abs(2 * t - 1),
    "tukey": lambda t: 0.5 - 0.5 * np.cos(np.pi * np.clip(4 * np.minimum(t, 1 - t), 0, 1)),
}
Window = str | tuple[float, ...] | None


def window_values(window: Window, length: int, periodic: bool = True) -> Any:
    """A window of ``length`` numbers in double precision: by name, None for ones, or the numbers themselves.

    A ``periodic`` window is the beginning of a symmetric one of ``length + 1``. Raises ValueError for other words.
    """
    if window is None or isinstance(window, str):
        if (factors := COSINE_SUMS.get(window or "boxcar")) is not None:
            return cosine_sum(factors, length, periodic)
        if window not in SHAPES:
            known = ", ".join(map(repr, (*COSINE_SUMS, *SHAPES)))
            raise ValueError(f"window={window!r}. Write {known} or {length} numbers instead.")
        return SHAPES[window](_places(length, periodic)) if length > 1 else np.ones(length)
    values = np.asarray(window, np.float64)
    if values.shape != (length,):
        raise ValueError(f"window has shape {values.shape}. Write {length} numbers, one for each sample of a frame.")
    return values


def cosine_sum(factors: Sequence[float], length: int, periodic: bool) -> Any:
    """A window that is a sum of cosines with these factors, with alternating signs: see `COSINE_SUMS`."""
    if length < 2:
        return np.ones(length)
    turns = 2 * np.pi * _places(length, periodic)
    return sum(a * (-1) ** i * np.cos(i * turns) for i, a in enumerate(factors))


def _places(length: int, periodic: bool) -> Any:
    """The samples' places in the window, from 0 to 1."""
    return np.arange(length) / (length if periodic else length - 1)

"""Recordings of any length as windows of one length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ranvier.data.convert import Array
from ranvier.data.memory import check_memory
from ranvier.support.validation import is_whole


class Windows(NamedTuple):
    """``x`` (windows, length, ...) and ``source`` (windows,), the number of the recording of each."""

    x: Array
    source: Array


def windows_of(clips: Sequence[Any], length: int, step: int | None = None) -> Windows:
    """Windows of ``length`` samples of each recording, (samples,) or (samples, channels), ``step`` apart.

    ``step`` is by default ``length``. The last window ends with the recording, and a shorter recording is one window
    with zeros after it. Divide recordings, not windows, into training and test data: ``y[windows.source]`` are the
    labels of windows. Raises ValueError for an empty recording, for NaN, and for recordings of several shapes.
    """
    step = length if step is None else step
    for what, value in (("length", length), ("step", step)):
        if not is_whole(value, 1):
            raise ValueError(f"{what}={value!r}. Write a whole number of 1 or more instead.")
    arrays = [np.asarray(clip) for clip in clips]
    if not arrays:
        raise ValueError("there are no recordings. Write a list of one or more instead.")
    for number, array in enumerate(arrays):
        if not array.size:
            raise ValueError(f"recording {number} is empty. Leave it out instead.")
        if array.shape[1:] != arrays[0].shape[1:]:
            raise ValueError(
                f"recording {number} has shape {array.shape}, and recording 0 {arrays[0].shape}. Write recordings of "
                "one number of channels, such as x.mean(-1), instead."
            )
        if array.dtype.kind == "f" and np.isnan(array.sum()):
            first = int(np.argwhere(np.isnan(array))[0][0])
            raise ValueError(f"recording {number} has NaN at sample {first}. Leave it out, or replace NaN, instead.")
    starts = [
        np.unique(np.minimum(np.arange(0, len(a) - length + step, step), max(len(a) - length, 0))) for a in arrays
    ]
    counts = [max(len(s), 1) for s in starts]
    shape, dtype = (sum(counts), length, *arrays[0].shape[1:]), np.result_type(*{a.dtype for a in arrays})
    check_memory(shape, dtype, "the windows")
    x, row = np.zeros(shape, dtype), 0
    for array, places in zip(arrays, starts, strict=True):
        for start in places if len(places) else [0]:
            part = array[start : start + length]
            x[row, : len(part)] = part
            row += 1
    return Windows(x, np.repeat(np.arange(len(arrays)), counts))

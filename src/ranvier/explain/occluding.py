"""Occlusion: how much the score drops when a part of the image is covered."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.explain.scores import Scorer
from ranvier.module.calls import in_model_dtype
from ranvier.module.core import Module
from ranvier.module.data_format import images_come_first
from ranvier.support.validation import is_whole


def _pair(value: Any, name: str, most: tuple[int, int]) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    positive = len(pair) == 2 and all(is_whole(n, 1) for n in pair)
    if not positive or any(n > limit for n, limit in zip(pair, most, strict=True)):
        raise ValueError(f"{name}={value!r}: write whole numbers of pixels up to {most}, such as 4, instead.")
    return pair[0], pair[1]


@in_model_dtype
def occlusion(
    model: Module,
    x: Any,
    target: Any = None,
    *,
    window: int | tuple[int, int] | None = None,
    stride: int | tuple[int, int] | None = None,
    value: float = 0.0,
    channels_first: bool | None = None,
    logits: bool = True,
    batch_size: int = 32,
) -> npt.NDArray[Any]:
    """The drop of the score where the image is covered (Zeiler and Fergus, 2014): (samples, height, width).

    A ``window`` of pixels (one number or (height, width); by default an eighth of the image) is set to ``value``, at
    steps of ``stride`` pixels (by default half a window) and at the far edges. The result of a pixel is the mean drop
    over the windows that cover it. ``channels_first`` means that images are (samples, channels, height, width); where
    None, it follows from the layers of the model. ``target`` and ``logits`` are those of `saliency`. Raises ValueError
    for inputs that are not images.
    """
    scorer = Scorer(model, x, target, logits, batch_size)
    array = scorer.x
    if array.ndim != 4:
        raise ValueError(
            f"x has shape {array.shape}, and images are (samples, height, width, channels), or (samples, channels, "
            "height, width) with channels_first=True. Write integrated_gradients for other inputs instead."
        )
    if channels_first is None:
        channels_first = images_come_first(model)
    size = array.shape[2:] if channels_first else array.shape[1:3]
    extent = _pair(window or tuple(max(1, n // 8) for n in size), "window", size)
    step = _pair(stride or tuple(max(1, n // 2) for n in extent), "stride", size)
    starts = [sorted({*range(0, n - e + 1, s), n - e}) for n, e, s in zip(size, extent, step, strict=True)]
    uncovered = scorer.selected(array)
    total, times = np.zeros((len(array), *size)), np.zeros(size)
    for top in starts[0]:
        for left in starts[1]:
            place = slice(top, top + extent[0]), slice(left, left + extent[1])
            covered = array.copy()
            covered[(slice(None), slice(None), *place) if channels_first else (slice(None), *place)] = value
            drop = uncovered - scorer.selected(covered)
            total[:, place[0], place[1]] += drop[:, None, None]
            times[place] += 1
    with np.errstate(invalid="ignore"):  # pixels that no window covers, because the stride is larger than the window
        return np.where(times > 0, total / times, 0).astype(array.dtype)

"""Occlusion: cover a part of each image, and see what the score loses."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.explain.scores import Scorer
from ranvier.module.calls import in_its_floats
from ranvier.module.core import Module
from ranvier.module.data_format import images_come_first

__all__ = ["occlusion"]


def _pair(value: Any, name: str, most: tuple[int, int]) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    whole = len(pair) == 2 and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in pair)
    if not whole or any(n > limit for n, limit in zip(pair, most, strict=True)):
        raise ValueError(f"{name}={value!r}: write whole numbers of pixels up to {most}, such as 4, instead.")
    return pair[0], pair[1]


@in_its_floats
def occlusion(
    model: Module,
    x: Any,
    target: Any = None,
    *,
    window: Any = None,
    stride: Any = None,
    value: float = 0.0,
    channels_first: bool | None = None,
    logits: bool = True,
    batch_size: int = 32,
) -> npt.NDArray[Any]:
    """What each sample's score loses where its image is covered (Zeiler and Fergus, 2014): (samples, height, width).

    A ``window`` of pixels (one number or (height, width); an eighth of the image where left out) is set to ``value``,
    at every ``stride`` pixels (half a window) and at the far edges. Each pixel is given the mean loss over the windows
    that cover it. ``channels_first`` says that images are (samples, channels, height, width); where None, the model's
    layers do. ``target`` and ``logits`` are as in `saliency`. Raises ValueError for what is no image.
    """
    scorer = Scorer(model, batch_size, logits)
    array = scorer.inputs(x)
    if array.ndim != 4:
        raise ValueError(
            f"x has shape {array.shape}, and images are (samples, height, width, channels), or (samples, channels, "
            "height, width) with channels_first=True. Write integrated_gradients for other inputs instead."
        )
    if channels_first is None:
        channels_first = images_come_first(model)
    masks = scorer.masks(array, target)
    size = array.shape[2:] if channels_first else array.shape[1:3]
    extent = _pair(window or tuple(max(1, n // 8) for n in size), "window", size)
    step = _pair(stride or tuple(max(1, n // 2) for n in extent), "stride", size)
    starts = [sorted({*range(0, n - e + 1, s), n - e}) for n, e, s in zip(size, extent, step, strict=True)]
    whole = (scorer.values(array) * masks).sum(1)
    total, times = np.zeros((len(array), *size)), np.zeros(size)
    for top in starts[0]:
        for left in starts[1]:
            place = slice(top, top + extent[0]), slice(left, left + extent[1])
            covered = array.copy()
            covered[(slice(None), slice(None), *place) if channels_first else (slice(None), *place)] = value
            lost = whole - (scorer.values(covered) * masks).sum(1)
            total[:, place[0], place[1]] += lost[:, None, None]
            times[place] += 1
    with np.errstate(invalid="ignore"):  # pixels between windows further apart than they are wide
        return np.where(times > 0, total / times, 0).astype(array.dtype)

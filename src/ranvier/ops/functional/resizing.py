"""Spatial dimensions of another size: each new position is a weighted sum of old ones, the same for all samples.

So the weights are numbers when the program is built, and a dimension is resized by a product with their matrix, whose
gradient is one too. What differs from sample to sample is read in place instead: `ranvier.ops.functional.resampling`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier.graph.contraction import einsum
from ranvier.graph.node import Node, constant, extent
from ranvier.ops.arrays.promotion import floating
from ranvier.ops.functional.convolution import channels_first, channels_last
from ranvier.tensor.function import function


def _keys(t: Any) -> Any:
    """The cubic of Keys, "Cubic convolution interpolation" (1981), with a = -1/2."""
    t = np.abs(t)
    near, far = (1.5 * t - 2.5) * t * t + 1, ((-0.5 * t + 2.5) * t - 4) * t + 2
    return np.where(t < 1, near, np.where(t < 2, far, 0))


def _clamped_cubic(place: Any, size: int) -> Any:
    """PyTorch's matrix of shares: the cubic of Keys with a = -3/4, and positions past an edge count as the edge."""
    matrix, base = np.zeros((len(place), size)), np.floor(place - 0.5).astype(int)
    for old in (base - 1, base, base + 1, base + 2):
        t = np.abs(place - 0.5 - old)
        near, far = (1.25 * t - 2.25) * t * t + 1, ((-0.75 * t + 3.75) * t - 6) * t + 3
        np.add.at(
            matrix, (np.arange(len(place)), old.clip(0, size - 1)), np.where(t < 1, near, np.where(t < 2, far, 0))
        )
    return matrix


def _lanczos(reach: int) -> Callable[[Any], Any]:
    """Lanczos's kernel: a sinc within ``reach`` positions, times one that ends there (Duchon, 1979)."""
    return lambda t: np.where(np.abs(t) < reach, np.sinc(t) * np.sinc(t / reach), 0)


KERNELS: dict[str, Callable[[Any], Any]] = {
    "linear": lambda t: np.maximum(0, 1 - np.abs(t)), "cubic": _keys, "lanczos3": _lanczos(3), "lanczos5": _lanczos(5),
}  # fmt: skip

RESIZING = {  # words of images, and of any dimension
    "bilinear": "linear", "bicubic": "cubic", "nearest": "nearest", "lanczos3": "lanczos3", "lanczos5": "lanczos5",
}  # fmt: skip

# Where new position i of m lies among n old ones, old position j reaching from j to j + 1. ``ratio`` old ones make one.
PLACES: dict[str, Callable[[Any, int, int, float], Any]] = {
    "centres": lambda i, n, m, ratio: (i + 0.5) * ratio,
    "starts": lambda i, n, m, ratio: i * ratio,  # each stands for where it begins, as nearest neighbours do in PyTorch
    "corners": lambda i, n, m, ratio: i * (n - 1) / max(m - 1, 1) + 0.5,  # the first and the last stay where they are
}


def shares(
    size: int,
    target: int,
    interpolation: str = "linear",
    places: str = "centres",
    antialias: bool = False,
    ratio: float | None = None,
) -> Any:
    """The matrix (target, size) of how much each old position gives to each new one.

    ``interpolation`` is "nearest", "clamped cubic" or a name in `KERNELS`, ``places`` "centres", "starts" or "corners".
    ``antialias`` widens the kernel where images shrink, so that every old position counts. ``ratio`` is how many old
    positions a new one stands for, if not what the sizes say.
    """
    ratio = size / target if ratio is None else ratio
    place = PLACES[places](np.arange(target), size, target, ratio)
    if interpolation == "nearest":
        return np.eye(size)[np.minimum(np.floor(place).astype(int), size - 1)]
    if interpolation == "clamped cubic":
        return _clamped_cubic(place, size)
    wide = max(ratio, 1.0) if antialias else 1.0
    found = KERNELS[interpolation]((place[:, None] - 0.5 - np.arange(size)) / wide)
    return found / found.sum(1, keepdims=True)  # at the edges, where a part of the kernel sees nothing


def weighed(x: Node, axis: int, matrix: Any) -> Node:
    """``x`` with other positions along an axis: each a sum of the old ones, weighed by a row of the matrix."""
    names = "abcdefgh"[: x.ndim]
    result = names[:axis] + "z" + names[axis + 1 :]
    return einsum(f"z{names[axis]},{names}->{result}", constant(matrix, x.dtype), x)


@function
def resize(
    x: Node,
    shape: Sequence[int],
    interpolation: str = "linear",
    places: str = "centres",
    antialias: bool = False,
    ratios: Sequence[float] = (),
    first: bool = False,
) -> Node:
    """(batch, spatial..., channels) with spatial dimensions of ``shape``, in floats; the rest is as in `shares`.

    ``ratios`` has a number for each dimension. With ``first`` channels lie before positions.
    """
    x = floating(channels_last(x) if first else x)
    for axis, target in enumerate(shape, 1):
        size = extent(x, axis)
        ratio = ratios[axis - 1] if ratios else size / target
        if (size, ratio) != (target, 1):
            x = weighed(x, axis, shares(size, target, interpolation, places, antialias, ratio))
    return channels_first(x) if first else x

"""Padding, resizing and rearranging as ``torch.nn.functional`` names them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ranvier.graph.node import Node
from ranvier.ops import arrays
from ranvier.ops.functional import pooling
from ranvier.ops.functional import spatial as shapes
from ranvier.ops.functional.convolution import Pairs
from ranvier.ops.functional.resizing import resize
from ranvier.ops.torch.sizes import batched, each, one_of
from ranvier.tensor.function import function

MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """Elements added before and after the last dimensions, the last one first: (left, right, top, bottom, ...).

    ``mode`` is "constant", "reflect", "replicate" or "circular"; the last three add to positions alone.
    """
    one_of(mode, "mode", ("constant", "reflect", "replicate", "circular"))
    pad = [int(p) for p in pad]
    widths = tuple(zip(pad[::2], pad[1::2], strict=True))[::-1]
    if len(pad) % 2 or len(widths) > input.ndim:
        raise ValueError(f"pad={tuple(pad)} for {input.ndim} dimensions. Write a pair for each, the last first.")
    if mode != "constant" and not 1 <= input.ndim - len(widths) <= 2:
        raise ValueError(
            f"mode={mode!r} of {input.ndim} dimensions takes {2 * (input.ndim - 2)} amounts (or "
            f"{2 * (input.ndim - 1)} where there is no batch), not {len(pad)}. Write a pair for each position."
        )
    if mode != "constant" and value:
        raise ValueError(f"value={value!r} with mode={mode!r}. Write mode='constant', or no value.")
    return extended(input, widths, mode, float(value or 0.0))


@function
def extended(x: Node, widths: Pairs, mode: str, value: float) -> Node:
    """`functional.spatial.extend` in the last dimensions."""
    lead = x.ndim - len(widths)
    if lead == 2:  # channels last between layers, as everywhere
        return shapes.extend(x, widths, mode, value, True)
    return shapes.extend(x, widths, mode, value, False, lead)


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Images of another ``size``, or ``scale_factor`` times as large; see `Upsample`."""
    if antialias:
        raise ValueError("interpolate has no antialias=True here. Write avg_pool2d for images made smaller instead.")
    n = input.ndim - 2
    linear = {1: "linear", 2: "bilinear", 3: "trilinear"}.get(n)
    cubic = "bicubic" if n == 2 else None
    one_of(mode, "mode", ("nearest", "nearest-exact", *filter(None, (linear, cubic)), "area"))
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate takes either size= or scale_factor=. Write one of them.")
    if align_corners is not None and mode not in (linear, cubic):
        raise ValueError(f"align_corners={align_corners} with mode={mode!r}. Write mode={linear!r}, or leave it out.")
    dims = input.shape[2:]
    if size is None:
        factors = tuple(scale_factor) if isinstance(scale_factor, (list, tuple)) else (scale_factor,) * n
        shape = tuple(math.floor(d * f) for d, f in zip(dims, factors, strict=True))
        ratios = () if recompute_scale_factor or align_corners else tuple(1.0 / f for f in factors)
    else:
        shape, ratios = each(size, n, "size", 1), ()
    if mode == "area":
        return pooling.adaptive_pool(input, shape, False, True)
    if mode == "nearest" and all(m % d == 0 for m, d in zip(shape, dims, strict=True)):
        return shapes.repeat(input, tuple(m // d for m, d in zip(shape, dims, strict=True)), True)
    if mode == "nearest":
        return resize(input, shape, "nearest", "starts", ratios=ratios, first=True)
    if mode == "nearest-exact":
        return resize(input, shape, "nearest", "centres", ratios=ratios, first=True)
    places = "corners" if align_corners else "centres"
    kernel = "clamped cubic" if mode == cubic else "linear"
    return resize(input, shape, kernel, places, ratios=ratios, first=True)


def upsample(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Any:
    """`interpolate` under its older name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """`interpolate` with the nearest element."""
    return interpolate(input, size, scale_factor)


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """`interpolate` with ``mode="bilinear"`` and ``align_corners=True``."""
    return interpolate(input, size, scale_factor, "bilinear", True)


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """(..., c * r * r, h, w) -> (..., c, h * r, w * r); see `PixelShuffle`."""
    return batched(lambda x: shapes.pixel_shuffle(x, upscale_factor), input, 2)


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """(..., c, h * r, w * r) -> (..., c * r * r, h, w); see `PixelUnshuffle`."""
    return batched(lambda x: shapes.pixel_unshuffle(x, downscale_factor), input, 2)


def channel_shuffle(input: Any, groups: int) -> Any:
    """(batch, groups * c, ...) -> the same, the channels of the groups taken in turns (Zhang et al., 2018)."""
    batch, channels, *rest = input.shape
    if groups < 1 or channels % groups:
        raise ValueError(f"groups={groups} of {channels} channels. Write a number that divides them instead.")
    apart = arrays.reshape(input, (batch, groups, channels // groups, *rest))
    return arrays.reshape(arrays.swapaxes(apart, 1, 2), (batch, channels, *rest))

"""Patches of images as columns and back, and images sampled at points of a grid, as PyTorch names them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.ops import arrays
from ranvier.ops.arrays import elementary
from ranvier.ops.torch.sizes import Sizes, batched, each, one_of
from ranvier.ops.torch.spatial import pad
from ranvier.tensor.tensor import Tensor


def _places(shape: Sequence[int], kernel: Sequence[int], dilation: Sequence[int], stride: Sequence[int]) -> Any:
    """The flat position in an image of each element of each patch: (elements of a patch, patches)."""
    rows = []
    for d, k, r, s in zip(shape, kernel, dilation, stride, strict=True):
        count = (d - r * (k - 1) - 1) // s + 1
        if count < 1:
            raise RuntimeError(
                f"patches of {tuple(kernel)} do not fit into padded images of {tuple(shape)}. Write a smaller "
                "kernel_size, or more padding, instead."
            )
        rows.append(np.arange(k)[:, None] * r + np.arange(count) * s)
    y, x = rows
    flat = y[:, None, :, None] * shape[1] + x[None, :, None, :]
    return flat.reshape(flat.shape[0] * flat.shape[1], -1).astype(np.int32)


def _four(kernel_size: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> list[tuple[int, ...]]:
    return [
        each(kernel_size, 2, "kernel_size", 1),
        each(dilation, 2, "dilation", 1),
        each(padding, 2, "padding"),
        each(stride, 2, "stride", 1),
    ]


def unfold(input: Any, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> Any:
    """The patches of images (batch, channels, h, w) as columns: (batch, channels * elements of a patch, patches).

    Raises RuntimeError for patches larger than the padded image.
    """
    kernel, dilated, around, step = _four(kernel_size, dilation, padding, stride)

    def columns(x: Any) -> Any:
        x = pad(x, (around[1], around[1], around[0], around[0]))
        places = _places(x.shape[2:], kernel, dilated, step)
        flat = arrays.reshape(x, (*x.shape[:2], math.prod(x.shape[2:])))
        taken = arrays.take(flat, Tensor.wrap(places.reshape(-1)), axis=2)
        return arrays.reshape(taken, (x.shape[0], x.shape[1] * len(places), places.shape[1]))

    return batched(columns, input, 2)


def fold(
    input: Any, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
) -> Any:
    """The sum of patches, which are columns as `unfold` gives them, in images (batch, channels, *output_size).

    Raises RuntimeError for another number of columns, or one of rows that the patch does not divide.
    """
    kernel, dilated, around, step = _four(kernel_size, dilation, padding, stride)
    size = each(output_size, 2, "output_size", 1)
    whole = [d + 2 * p for d, p in zip(size, around, strict=True)]
    places = _places(whole, kernel, dilated, step)

    def image(x: Any) -> Any:
        if x.shape[1] % len(places) or x.shape[2] != places.shape[1]:
            raise RuntimeError(
                f"columns of shape {tuple(x.shape)} for an image of {size} with patches of {kernel}: there are "
                f"{places.shape[1]} patches of {len(places)} elements for each channel."
            )
        channels = x.shape[1] // len(places)
        flat = arrays.reshape(x, (x.shape[0], channels, places.size))
        sums = arrays.reshape(_added(flat, places.reshape(-1), math.prod(whole)), (x.shape[0], channels, *whole))
        return sums[:, :, around[0] : whole[0] - around[0], around[1] : whole[1] - around[1]]

    return batched(image, input, 1)


def _added(flat: Any, places: Any, size: int) -> Any:
    """The elements of the last axis, added at these places of ``size``."""
    rows = arrays.transpose(flat, (2, 0, 1))
    # The elements that are added at a place, one after the other: a fixed number of gathers, and no order of threads.
    order = np.argsort(places, kind="stable")
    first = np.searchsorted(places[order], np.arange(size))
    counts = np.bincount(places, minlength=size)
    total: Any = None
    for k in range(int(counts.max())):
        chosen = order[np.minimum(first + k, len(order) - 1)].astype(np.int32)
        part = arrays.take(rows, Tensor.wrap(chosen), axis=0)
        part = arrays.where(Tensor.wrap((counts > k)[:, None, None]), part, 0.0)
        total = part if total is None else arrays.add(total, part)
    return arrays.transpose(total, (1, 2, 0))


def affine_grid(theta: Any, size: Sequence[int], align_corners: bool | None = None) -> Any:
    """Points (n, h, w, 2) from -1 to 1: where each pixel of images of ``size`` (n, c, h, w) comes from by matrices
    ``theta`` (n, 2, 3).
    """
    if len(size) != 4 or tuple(theta.shape[1:]) != (2, 3):
        raise ValueError(f"theta {tuple(theta.shape)} for images of {tuple(size)}. Write (n, 2, 3) and (n, c, h, w).")
    points = []
    for d in size[2:]:
        ends = np.linspace(-1, 1, d) if d > 1 else np.zeros(d)
        points.append(ends if align_corners else ends * (d - 1) / d)
    y, x = np.meshgrid(*points, indexing="ij")
    rows = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], -1).astype(theta.dtype)
    grid = arrays.matmul(Tensor.wrap(rows), arrays.swapaxes(theta, 1, 2))
    return arrays.reshape(grid, (theta.shape[0], size[2], size[3], 2))


def grid_sample(
    input: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Any:
    """Images (n, c, h, w) at points (n, h', w', 2), each (x, y) from -1 to 1: (n, c, h', w').

    ``mode`` is "bilinear" or "nearest". Outside of the image are zeros, or with ``padding_mode="border"`` its nearest
    pixels. With ``align_corners`` -1 and 1 are the centres of the outer pixels, else their outer edges. Gradients reach
    the image and the points.
    """
    one_of(mode, "mode", ("bilinear", "nearest"))
    one_of(padding_mode, "padding_mode", ("zeros", "border"))
    n, channels, *sizes = input.shape
    if grid.ndim != 4 or grid.shape[-1] != 2 or grid.shape[0] != n or len(sizes) != 2:
        raise ValueError(
            f"points {tuple(grid.shape)} for images {tuple(input.shape)}. Write (n, h, w, 2) for (n, c, h, w)."
        )
    flat = arrays.reshape(arrays.transpose(input, (0, 2, 3, 1)), (n * sizes[0] * sizes[1], channels))
    first = Tensor.wrap((np.arange(n, dtype=np.int32) * (sizes[0] * sizes[1])).reshape(n, 1, 1))
    at = []
    for i, d in ((1, sizes[0]), (0, sizes[1])):
        place = (grid[..., i] + 1) / 2 * (d - 1) if align_corners else ((grid[..., i] + 1) * d - 1) / 2
        if padding_mode == "border":  # at the border itself, and beyond, without a gradient
            inside = (place > 0) & (place < d - 1)
            place = arrays.where(inside, place, arrays.clip(place.detach(), 0, d - 1))
        at.append(place)

    def pixel(y: Any, x: Any) -> Any:
        """The pixels at whole positions, zeros outside."""
        inside = (y >= 0) & (y <= sizes[0] - 1) & (x >= 0) & (x <= sizes[1] - 1)
        rows, columns = (
            arrays.cast(arrays.clip(v.detach(), 0, d - 1), "int32") for v, d in ((y, sizes[0]), (x, sizes[1]))
        )
        taken = arrays.take(flat, rows * sizes[1] + columns + first, axis=0)
        return arrays.where(arrays.expand_dims(inside, -1), taken, 0.0)

    if mode == "nearest":
        found = pixel(*(elementary.round(v) for v in at))
    else:
        low = [arrays.floor(v.detach()) for v in at]
        share = [v - f for v, f in zip(at, low, strict=True)]
        found = None
        for i in (0, 1):
            for j in (0, 1):
                weight = (share[0] if i else 1 - share[0]) * (share[1] if j else 1 - share[1])
                part = pixel(low[0] + i, low[1] + j) * arrays.expand_dims(weight, -1)
                found = part if found is None else found + part
    return arrays.transpose(found, (0, 3, 1, 2))

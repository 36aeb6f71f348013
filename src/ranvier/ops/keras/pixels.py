"""Keras's ``ops.image``: images of other sizes, and their patches. One image is (h, w, c), a batch (n, h, w, c)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier.ops import arrays
from ranvier.ops.arrays import shape as movement
from ranvier.ops.functional import colors
from ranvier.ops.functional.resizing import KERNELS, RESIZING
from ranvier.ops.functional.resizing import resize as resized
from ranvier.ops.keras.elementwise import Operand
from ranvier.ops.keras.images import FORMATS, for_each, one_word
from ranvier.tensor.tensor import Tensor, numbers_of


def batched(images: Any, data_format: Any, change: Callable[[Any], Any], dims: int = 2) -> Any:
    """What ``change`` makes of images (n, h, w, c), or volumes, for one too and for channels in front."""
    if images.ndim not in (dims + 1, dims + 2):
        shape = "h, w, c" if dims == 2 else "d, h, w, c"
        raise ValueError(f"images of shape {tuple(images.shape)}. Write ({shape}), or (n, {shape}), instead.")
    first = data_format is not None and one_word(data_format, FORMATS, "data_format") == "channels_first"
    x = images if images.ndim == dims + 2 else arrays.expand_dims(images, 0)
    x = change(movement.moveaxis(x, 1, -1) if first else x)
    x = movement.moveaxis(x, -1, 1) if first else x
    return x if images.ndim == dims + 2 else arrays.squeeze(x, 0)


def resize(
    images: Operand,
    size: Any,
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Any:
    """Images of ``size`` (height, width), in floats. ``interpolation`` as in `ranvier.layers.Resizing`.

    Raises ValueError for the options that keep proportions: that layer has them.
    """
    if crop_to_aspect_ratio or pad_to_aspect_ratio:
        raise ValueError("resize keeps no proportions. Write layers.Resizing(..., crop_to_aspect_ratio=True) instead.")
    kernel = RESIZING[one_word(interpolation, tuple(RESIZING), "interpolation")]
    shape = tuple(int(d) for d in size)
    return batched(images, data_format, lambda x: resized(x, shape, interpolation=kernel, antialias=antialias))


def rgb_to_grayscale(images: Operand, data_format: str | None = None) -> Any:
    """The luminance of RGB images, with one channel (ITU-R BT.601)."""
    return batched(images, data_format, colors.grey)


def rgb_to_hsv(images: Operand, data_format: str | None = None) -> Any:
    """Hue, saturation and value of RGB images of floats from 0 to 1."""
    return batched(images, data_format, colors.rgb_to_hsv)


def hsv_to_rgb(images: Operand, data_format: str | None = None) -> Any:
    """RGB images, of floats from 0 to 1, of what `rgb_to_hsv` gives."""
    return batched(images, data_format, colors.hsv_to_rgb)


def gaussian_blur(
    images: Operand, kernel_size: Sequence[int] = (3, 3), sigma: Any = (1.0, 1.0), data_format: str | None = None
) -> Any:
    """Images blurred by a Gaussian, zeros beyond their edges. ``kernel_size`` and ``sigma`` are of width and height."""
    spread = arrays.cast(np.asarray(sigma, np.float32) if not isinstance(sigma, Tensor) else sigma, "float32")
    return batched(images, data_format, lambda x: colors.gaussian_blur(x, spread, size=tuple(kernel_size)))


def extract_patches(
    images: Operand,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Any:
    """The patches of images: (n, h, w, c) -> (n, rows, columns, height * width * c of a patch).

    ``strides`` are the size by default, so that patches do not overlap. Raises ValueError for patches that do not fit.
    """
    return _patches(images, size, strides, dilation_rate, padding, data_format, 2)


def extract_patches_3d(
    volumes: Operand,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Any:
    """`extract_patches` of volumes: (n, d, h, w, c) -> (n, depths, rows, columns, d * h * w * c of a patch)."""
    return _patches(volumes, size, strides, dilation_rate, padding, data_format, 3)


def _patches(
    images: Any, size: Any, strides: Any, dilation_rate: Any, padding: str, data_format: Any, dims: int
) -> Any:
    kernel = for_each(size, dims)
    if len(kernel) != dims:
        names = "(height, width)" if dims == 2 else "(depth, height, width)"
        raise ValueError(f"size={size!r}. Write a whole number, or {names}, instead.")
    steps = kernel if strides is None else for_each(strides, dims)
    dilations, same = for_each(dilation_rate, dims), one_word(padding, ("valid", "same"), "padding") == "same"

    def patches(x: Any) -> Any:
        rows, around = [], []
        for d, k, s, r in zip(x.shape[1:-1], kernel, steps, dilations, strict=True):
            reach = r * (k - 1) + 1
            count = -(-d // s) if same else (d - reach) // s + 1
            if count < 1:
                raise ValueError(f"patches of {kernel} do not fit into images of {tuple(x.shape[1:-1])}.")
            extra = max((count - 1) * s + reach - d, 0) if same else 0
            around.append((extra // 2, extra - extra // 2))
            rows.append(np.arange(count)[:, None] * s + np.arange(k) * r)
        x = arrays.pad(x, ((0, 0), *around, (0, 0))) if any(map(any, around)) else x
        extents, counts = x.shape[1:-1], [len(row) for row in rows]
        flat = arrays.reshape(x, (x.shape[0], math.prod(extents), x.shape[-1]))
        places: Any = 0
        for i, row in enumerate(rows):  # all counts first, then all positions in a patch
            at = [1] * (2 * dims)
            at[i], at[dims + i] = row.shape
            places = places + row.reshape(at) * math.prod(extents[i + 1 :])
        taken = arrays.take(flat, places.ravel().astype(np.int32), axis=1)
        return arrays.reshape(taken, (x.shape[0], *counts, math.prod(kernel) * x.shape[-1]))

    return batched(images, data_format, patches, dims)


def scale_and_translate(
    images: Operand,
    output_shape: Sequence[int],
    scale: Any,
    translation: Any,
    spatial_dims: Sequence[int],
    method: str,
    antialias: bool = True,
) -> Any:
    """An array of ``output_shape`` in which position x of each of ``spatial_dims`` is at ``x * scale + translation``.

    ``scale`` and ``translation`` are a number for each of these dimensions, and elements reach half a position to both
    sides. What is read beyond the edges is 0. ``method`` is "linear", "cubic", "lanczos3", "lanczos5" or the names of
    these for images and volumes; ``antialias`` widens the kernel where the array shrinks. Source: JAX.
    """
    words = {"triangle": "linear", "trilinear": "linear", "bilinear": "linear", "bicubic": "cubic", "tricubic": "cubic"}
    kernel = KERNELS[words.get(method) or one_word(method, tuple(KERNELS), "method")]
    scales, moves = (
        np.asarray(numbers_of(v) if isinstance(v, Tensor) else v, np.float64) for v in (scale, translation)
    )
    x = images if isinstance(images, Tensor) else Tensor(images)
    for dim, factor, move in zip(spatial_dims, scales.tolist(), moves.tolist(), strict=True):
        size, target = x.shape[dim], int(output_shape[dim])
        place = (np.arange(target) + 0.5) / factor - move / factor - 0.5
        wide = max(1 / factor, 1.0) if antialias else 1.0
        found = kernel((place[:, None] - np.arange(size)) / wide)
        total = found.sum(1, keepdims=True)
        inside = (np.abs(total) > 1e-4) & ((place >= -0.5) & (place <= size - 0.5))[:, None]
        matrix = np.where(inside, found / np.where(total == 0, 1, total), 0)
        rows = arrays.matmul(movement.moveaxis(x, dim, -1), Tensor(np.ascontiguousarray(matrix.T), dtype=x.dtype))
        x = movement.moveaxis(rows, -1, dim)
    return x


def _sides(extent: int, before: int | None, after: int | None, target: int | None, sign: int) -> tuple[int, int]:
    """How much is added (sign 1) or cut (-1) before and after; two of the three numbers are given."""
    if (before is None) + (after is None) + (target is None) != 1:
        raise ValueError("Write two of the amount before, the amount after, and the target, for height and for width.")
    total = sign * ((target or 0) - extent)
    before = total - (after or 0) if before is None else before
    after = total - before if after is None else after
    if before < 0 or after < 0:
        raise ValueError(
            f"an extent of {extent} does not become {target} this way: it would take {before} and {after}."
        )
    return before, after


def pad_images(
    images: Operand,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Any:
    """Images with zeros around. Of top, bottom and target height write two, and so for the width."""

    def pad(x: Any) -> Any:
        rows = _sides(x.shape[1], top_padding, bottom_padding, target_height, 1)
        columns = _sides(x.shape[2], left_padding, right_padding, target_width, 1)
        return arrays.pad(x, ((0, 0), rows, columns, (0, 0)))

    return batched(images, data_format, pad)


def crop_images(
    images: Operand,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Any:
    """A part of images. Of top, bottom and target height write two, and so for the width."""

    def crop(x: Any) -> Any:
        top, bottom = _sides(x.shape[1], top_cropping, bottom_cropping, target_height, -1)
        left, right = _sides(x.shape[2], left_cropping, right_cropping, target_width, -1)
        return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]

    return batched(images, data_format, crop)


_SMOOTH, _SLOPE = (1.0, 2.0, 1.0), (-1.0, 0.0, 1.0)


def sobel_edges(images: Operand, data_format: str | None = None) -> Any:
    """The slopes of images (n, h, w, c) downward and to the right, zeros beyond the edges: (n, h, w, c, 2)."""

    def slope(rows: tuple[float, ...], columns: tuple[float, ...]) -> Any:
        return batched(images, data_format, lambda x: colors.filtered(colors.filtered(x, rows, 1), columns, 2))

    down, right = slope(_SLOPE, _SMOOTH), slope(_SMOOTH, _SLOPE)
    return arrays.stack([down, right], -1)


def ssim(
    image1: Operand,
    image2: Operand,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> Any:
    """The structural similarity of two images, or of each pair of two batches: 1 where they are equal.

    ``max_val`` is the largest value that there could be; neighbours are weighed by a Gaussian of ``filter_size``
    pixels. Source: Wang et al., 2004, "Image quality assessment: from error visibility to structural similarity".
    """
    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    half, spread = filter_size // 2, np.array([filter_sigma, filter_sigma], np.float32)

    def near(x: Any) -> Any:
        """The weighed mean around each pixel whose neighbours are all there."""
        y = colors.gaussian_blur(x, Tensor.wrap(spread), size=(filter_size, filter_size))
        return y[:, half : x.shape[1] - (filter_size - 1 - half), half : x.shape[2] - (filter_size - 1 - half)]

    pairs: list[Any] = []

    def keep(image: Any) -> Any:
        pairs.append(arrays.multiply(image, 1.0))
        return image

    for image in (image1, image2):
        batched(image, data_format, keep)
    x, y = pairs
    mean_x, mean_y = near(x), near(y)
    both = arrays.multiply(mean_x, mean_y)
    squares = arrays.add(arrays.square(mean_x), arrays.square(mean_y))
    together = arrays.subtract(near(arrays.multiply(x, y)), both)
    spreads = arrays.subtract(near(arrays.add(arrays.square(x), arrays.square(y))), squares)
    above = arrays.multiply(arrays.add(arrays.multiply(both, 2.0), c1), arrays.add(arrays.multiply(together, 2.0), c2))
    found = arrays.divide(above, arrays.multiply(arrays.add(squares, c1), arrays.add(spreads, c2)))
    result = arrays.mean(found, (1, 2, 3))
    return result if image1.ndim == 4 else arrays.squeeze(result, 0)

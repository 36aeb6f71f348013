"""Keras's ``ops.image``: images and other arrays read at other places, by matrices, corners, or coordinates."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ranvier.graph.dtypes import FLOATING
from ranvier.ops import arrays
from ranvier.ops.functional import resampling
from ranvier.ops.keras.arrays import convert_to_tensor
from ranvier.ops.keras.elementwise import Operand
from ranvier.ops.keras.images import one_word
from ranvier.ops.keras.pixels import batched


def _of_samples(numbers: Any, rows: Any, shape: tuple[int, ...], what: str) -> Any:
    """Numbers of each sample, (rows, *shape), from those, or from the same ones for all."""
    given = arrays.cast(convert_to_tensor(numbers), "float32")
    if given.ndim == len(shape):
        given = arrays.expand_dims(given, 0)
    if tuple(given.shape[1:]) != shape or (given.shape[0] != rows and given.shape[0] != 1):
        raise ValueError(
            f"{what} of shape {tuple(given.shape)} for {rows} images. Write {shape}, or ({rows}, "
            f"{', '.join(map(str, shape))}), instead."
        )
    return given if given.shape[0] == rows else arrays.broadcast_to(given, (rows, *shape))


def affine_transform(
    images: Operand,
    transform: Operand,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Any:
    """Images of which each pixel (x, y) is read at ``((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k)``.

    ``transform`` holds ``[a0, a1, a2, b0, b1, b2, c0, c1]``, (8,) or one for each image, and k is ``c0 x + c1 y + 1``.
    ``interpolation`` is "bilinear" or "nearest"; ``fill_mode`` is "constant" (``fill_value``), "nearest", "wrap",
    "mirror" (without the edge itself) or "reflect".
    """
    options = _options(interpolation, fill_mode, fill_value)

    def change(x: Any) -> Any:
        return resampling.project(x, _of_samples(transform, x.shape[0], (8,), "transform"), **options)

    return batched(images, data_format, change)


def perspective_transform(
    images: Operand,
    start_points: Operand,
    end_points: Operand,
    interpolation: str = "bilinear",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Any:
    """Images drawn so that four points (x, y) move to others; beyond the old edges is ``fill_value``.

    Both are (4, 2), or (batch, 4, 2), in this order: top left, top right, bottom left, bottom right.
    """
    options = _options(interpolation, "constant", fill_value)

    def change(x: Any) -> Any:
        start, end = (
            _of_samples(points, x.shape[0], (4, 2), what)
            for points, what in ((start_points, "start_points"), (end_points, "end_points"))
        )
        return resampling.project(x, resampling.homography(start, end), **options)

    return batched(images, data_format, change)


def _options(interpolation: str, fill_mode: str, fill_value: float) -> dict[str, Any]:
    return {
        "interpolation": one_word(interpolation, resampling.INTERPOLATIONS, "interpolation"),
        "fill_mode": one_word(fill_mode, resampling.WARP_MODES, "fill_mode"),
        "fill_value": float(fill_value),
    }


def map_coordinates(
    inputs: Operand, coordinates: Operand, order: int, fill_mode: str = "constant", fill_value: float = 0.0
) -> Any:
    """The values of an array at places between its elements.

    ``coordinates`` has a number for each dimension of the array first: (inputs.ndim, *shape) gives (*shape). ``order``
    is 1, linear, or 0, the nearest element; ``fill_mode`` as in `affine_transform`. Arrays of whole numbers stay so.
    """
    x, at = convert_to_tensor(inputs), convert_to_tensor(coordinates)
    mode = one_word(fill_mode, resampling.WARP_MODES, "fill_mode")
    if order not in (0, 1):
        raise ValueError(f"order={order!r}. Write 0, for the nearest element, or 1, for linear interpolation, instead.")
    if at.ndim < 2 or at.shape[0] != x.ndim:
        raise ValueError(
            f"coordinates of shape {tuple(at.shape)} for {x.ndim} dimensions. Write ({x.ndim}, ...) instead."
        )
    at = at if at.dtype in FLOATING else arrays.cast(at, "float32")
    places = [at[i] for i in range(x.ndim)]
    flat = arrays.reshape(x, (-1,))
    strides = [int(np.prod(x.shape[i + 1 :])) for i in range(x.ndim)]
    low = [arrays.floor(p) if order else resampling.half_away(p) for p in places]
    total: Any = None
    for corner in itertools.product((0, 1), repeat=x.ndim) if order else [(0,) * x.ndim]:
        index, weight, inside = None, None, None
        for p, floor, step, size, stride in zip(places, low, corner, x.shape, strides, strict=True):
            part = arrays.add(floor, float(step))
            where = arrays.multiply(arrays.cast(resampling.tap(part, size, mode), "int32"), stride)
            index = where if index is None else arrays.add(index, where)
            known = arrays.logical_and(arrays.greater_equal(part, 0.0), arrays.less(part, float(size)))
            inside = known if inside is None else arrays.logical_and(inside, known)
            if order:
                share = arrays.subtract(p, floor)
                share = share if step else arrays.subtract(1.0, share)
                weight = share if weight is None else arrays.multiply(weight, share)
        value = arrays.cast(arrays.take(flat, index, axis=0), places[0].dtype)
        value = arrays.where(inside, value, float(fill_value)) if mode == "constant" else value
        value = value if weight is None else arrays.multiply(value, weight)
        total = value if total is None else arrays.add(total, value)
    return arrays.cast(total if x.dtype in FLOATING else resampling.half_away(total), x.dtype)

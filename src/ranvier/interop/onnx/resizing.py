"""The operator Resize of ONNX: along each axis a product with a matrix of weights, which sizes alone decide."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ranvier import ops as o
from ranvier.interop.foreign import refuse
from ranvier.interop.onnx.table import row
from ranvier.interop.onnx.values import Context, extents, fixed, known, like, tensor
from ranvier.ops.arrays.promotion import axis_of


def _source(places: Any, size: int, out: int, scale: float, form: str, roi: tuple[float, float]) -> Any:
    """Where in the input the elements of the output are."""
    if form == "half_pixel":
        return (places + 0.5) / scale - 0.5
    if form == "half_pixel_symmetric":
        adjusted = out / (scale * size)
        return size / 2 * (1 - adjusted) + (places + 0.5) / scale - 0.5
    if form == "pytorch_half_pixel":
        return (places + 0.5) / scale - 0.5 if out > 1 else np.zeros_like(places)
    if form == "asymmetric":
        return places / scale
    if form == "align_corners":
        return places * ((size - 1) / (scale * size - 1)) if out > 1 else np.zeros_like(places)
    if form == "tf_crop_and_resize":
        low, high = roi
        if out > 1:
            return low * (size - 1) + places * (high - low) * (size - 1) / (out - 1)
        return np.full_like(places, 0.5 * (low + high) * (size - 1))
    raise refuse(f"the places {form!r}")


def _nearest(at: Any, form: str) -> Any:
    low = np.floor(at)
    if form == "floor":
        return low
    if form == "ceil":
        return np.ceil(at)
    if form == "round_prefer_ceil":
        return np.floor(at + 0.5)
    if form == "round_prefer_floor":
        return np.ceil(at - 0.5)
    raise refuse(f"the rounding {form!r}")


def _cubic(t: Any, a: float) -> Any:
    """The weight of an element at a distance (Keys, 1981)."""
    t = np.abs(t)
    near = (a + 2) * t**3 - (a + 3) * t**2 + 1
    far = a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def _matrix(size: int, out: int, scale: float, options: dict[str, Any], roi: tuple[float, float]) -> Any:
    """The weights (out, size) of the elements of an axis."""
    form, mode = options["coordinate_transformation_mode"], options["mode"]
    at = _source(np.arange(out, dtype=np.float64), size, out, scale, form, roi)
    found = np.zeros((out, size))
    if mode == "nearest":
        found[np.arange(out), np.clip(_nearest(at, options["nearest_mode"]), 0, size - 1).astype(int)] = 1
    else:
        stretch = min(scale, 1.0) if options["antialias"] else 1.0
        reach = (1 if mode == "linear" else 2) / stretch
        for i, place in enumerate(at):
            taps = np.arange(math.floor(place - reach), math.ceil(place + reach) + 1)
            distance = (place - taps) * stretch
            a = options["cubic_coeff_a"]
            weights = np.maximum(1 - np.abs(distance), 0) if mode == "linear" else _cubic(distance, a)
            outside = (taps < 0) | (taps >= size)
            if options["exclude_outside"]:
                weights = np.where(outside, 0, weights)
            total = weights.sum()
            np.add.at(found[i], np.clip(taps, 0, size - 1), weights / total)
    if form == "tf_crop_and_resize":
        beyond = (at < 0) | (at > size - 1)
        if beyond.any() and options["extrapolation_value"]:
            raise refuse("an extrapolation value other than 0")
        found[beyond] = 0
    return found


@row("Resize")
def resize(
    c: Context,
    x: Any,
    roi: Any = None,
    scales: Any = None,
    sizes: Any = None,
    axes: Any = None,
    keep_aspect_ratio_policy: str = "stretch",
    **given: Any,
) -> Any:
    if c.version < 11:
        roi, scales = None, roi
        given.setdefault("coordinate_transformation_mode", "asymmetric")
        given.setdefault("nearest_mode", "floor")
    options = {
        "mode": "nearest", "coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_floor",
        "antialias": 0, "exclude_outside": 0, "extrapolation_value": 0.0, "cubic_coeff_a": -0.75, **given,
    }  # fmt: skip
    over = [axis_of(n, x.ndim) for n in (range(x.ndim) if axes is None else axes)]
    region = None if roi is None or not np.size(known(roi, "roi")) else np.ravel(known(roi, "roi")).astype(float)
    ends = [(0.0, 1.0)] * len(over)
    if region is not None:
        ends = list(zip(region[: len(over)], region[len(over) :], strict=True))
    wanted: list[int | None]
    if sizes is not None and np.size(known(sizes, "sizes")):
        given_sizes = zip(extents(sizes, "sizes"), over, ends, strict=True)
        wanted = [None if n == x.shape[axis] and end == (0.0, 1.0) else int(n) for n, axis, end in given_sizes]
        factors = [1.0 if n is None else n / fixed(x, axis) for n, axis in zip(wanted, over, strict=True)]
        if keep_aspect_ratio_policy != "stretch":
            one = (min if keep_aspect_ratio_policy == "not_larger" else max)(factors)
            factors = [one] * len(over)
            wanted = [math.floor(one * fixed(x, axis) + 0.5) for axis in over]
    else:
        factors = [float(f) for f in np.ravel(known(scales, "scales"))]
        wanted = [_scaled(x, axis, f, end, options) for axis, f, end in zip(over, factors, ends, strict=True)]
    y = x
    for axis, n, factor, end in zip(over, wanted, factors, ends, strict=True):
        if n is None or (factor == 1.0 and n == x.shape[axis] and end == (0.0, 1.0)):
            continue
        matrix = _matrix(fixed(x, axis), n, factor, options, end)
        y = _along(y, matrix, axis, options["mode"])
    return like(y, x)


def _scaled(x: Any, axis: int, factor: float, end: tuple[float, float], options: dict[str, Any]) -> int | None:
    """The extent of an axis times a factor; None for one that stays."""
    if factor == 1.0 and end == (0.0, 1.0):
        return None
    share = end[1] - end[0] if options["coordinate_transformation_mode"] == "tf_crop_and_resize" else 1.0
    return math.floor(fixed(x, axis) * share * factor)


def _along(x: Any, matrix: Any, axis: int, mode: str) -> Any:
    if mode == "nearest" and (matrix.sum(1) == 1).all():
        return o.take(x, matrix.argmax(1), axis=axis)
    dtype = x.dtype.name if x.dtype.name in ("float32", "float64") else "float32"
    moved = o.moveaxis(x, axis, -1)
    return o.moveaxis(o.matmul(o.cast(moved, dtype), tensor(matrix.T.astype(dtype))), -1, axis)


@row("Upsample")
def upsample(c: Context, x: Any, scales: Any = None, mode: str = "nearest", **given: Any) -> Any:
    factors = given["scales"] if scales is None else scales
    form = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return resize(Context(13, 1, c.training, c.run), x, None, np.asarray(factors), mode=mode, **form)

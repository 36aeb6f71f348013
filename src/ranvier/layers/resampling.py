"""Layers that resample images: resizing, crops, flips, translations, rotations, zooms."""

from __future__ import annotations

import math
from typing import Any, Unpack

from ranvier.graph.node import Type
from ranvier.layers.annotations import Factor, LayerOptions
from ranvier.layers.base import whole
from ranvier.layers.spatial import Spatial
from ranvier.module.serialization import register_module
from ranvier.ops import arrays
from ranvier.ops.functional import augmentation, resampling
from ranvier.ops.functional.resampling import FILL_MODES, INTERPOLATIONS
from ranvier.ops.functional.resizing import RESIZING, resize
from ranvier.tensor.rng import draw

LAST, FIRST = (0, 2, 3, 1), (0, 3, 1, 2)  # transpositions to channels last, and back


def bounds(value: Any, what: str, name: str, low: float, high: float) -> tuple[float, float]:
    """The range that a factor is drawn from: (-f, f) for a number, within [low, high]; raises ValueError."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else (-abs(value), abs(value)) if is_number(value) else ()
    given = value if isinstance(value, (tuple, list)) else (value,)
    if len(pair) != 2 or not all(is_number(v) and low <= v <= high for v in given):
        raise ValueError(
            f"{what} of layer {name!r} is {value!r}. Write a number from {max(low, 0):g} to {high:g}, or two such as "
            f"({max(low, -0.1):g}, {min(high, 0.2):g}), instead."
        )
    first, last = sorted(float(v) for v in pair)
    return max(first, low), last


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


class ImageLayer(Spatial):
    """A layer on images, (batch, height, width, channels), or with "channels_first" (batch, channels, height, width).

    Called directly it takes one image without a batch too. Integers (uint8 pixels) become floats. ``random`` layers
    change images only while training.
    """

    dimensions = 2
    random = True

    def forward(self, x: Any) -> Any:
        if len(x.shape) == 3 and isinstance(x.shape[0], int):  # one image, called directly
            return arrays.squeeze(self.forward(arrays.expand_dims(x, 0)), 0)
        self._require_shape(x.shape)
        if self.random and not self.training:
            return self.evaluated(x)
        if not self.first:
            return self._change(x)
        y = self._change(arrays.transpose(x, LAST))
        return arrays.transpose(y, FIRST)

    def evaluated(self, x: Any) -> Any:
        """What a random layer returns in evaluation mode."""
        return x

    def shape_error(self, given: Type) -> tuple[str, str] | None:
        if len(given.shape) > 4:
            reason = f"it takes images, 4 dimensions with the batch's, and there are {len(given.shape)}."
            return reason, "Write Reshape before it, to the 3 dimensions of one image."
        return super().shape_error(given)


class RandomLayer(ImageLayer):
    """A layer that draws numbers for each sample; with ``seed`` from a generator of its own.

    As in Keras, it changes images where it is called directly, or within a model whose mode nobody set.
    """

    _starts_training = True

    seed: int | None

    def draw_uniform(self, x: Any, limits: tuple[float, float]) -> Any:
        return augmentation.uniform(x, *draw(self.seed), low=limits[0], high=limits[1])


# --- sizes ------------------------------------------------------------------------------------------------------------


def aspect_box(size: tuple[int, int], target: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The largest centred part with the target's proportions: (start, extent) of rows and of columns."""
    (height, width), (rows, columns) = size, target
    part = (max(min(height, int(width * rows / columns)), 1), max(min(width, int(height * columns / rows)), 1))
    return ((height - part[0]) // 2, part[0]), ((width - part[1]) // 2, part[1])


def cut(x: Any, box: tuple[tuple[int, int], tuple[int, int]]) -> Any:
    (top, height), (left, width) = box
    if (height, width) == x.shape[1:3]:
        return x
    return x[:, top : top + height, left : left + width]


class _Sized(RandomLayer):
    """A layer that gives images of ``height`` times ``width``."""

    _shown = "{height}, {width}"

    def __init__(
        self, height: int, width: int, data_format: str | None = None, **options: Unpack[LayerOptions]
    ) -> None:
        super().__init__(data_format, **options)
        self.height, self.width = (whole(v, w, self.name) for v, w in ((height, "height"), (width, "width")))

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width

    def center_fit(self, x: Any) -> Any:
        """The largest centred part of these proportions, resized."""
        return resize(cut(x, aspect_box(x.shape[1:3], self.size)), self.size)


@register_module
class Resizing(_Sized):
    """Images resized to (height, width), in floats; the same in training and evaluation.

    ``interpolation`` is "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5". ``crop_to_aspect_ratio`` first cuts
    the largest centred part of the new proportions; ``pad_to_aspect_ratio`` first adds ``fill_value`` at both sides.
    ``antialias`` averages all old pixels where images shrink.
    """

    random = False

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(height, width, data_format, **options)
        self.interpolation = self.one_of(interpolation, "interpolation", tuple(RESIZING))
        self.one_of(fill_mode, "fill_mode", ("constant",))
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ValueError(
                f"layer {self.name!r} has crop_to_aspect_ratio and pad_to_aspect_ratio. Write one of them instead."
            )
        self.crop, self.pad = bool(crop_to_aspect_ratio), bool(pad_to_aspect_ratio)
        self.fill_value, self.antialias = float(fill_value), bool(antialias)

    def _change(self, x: Any) -> Any:
        height, width = x.shape[1:3]
        if self.crop:
            x = cut(x, aspect_box((height, width), self.size))
        if self.pad:
            wanted = (
                max(height, int(width * self.height / self.width)),
                max(width, int(height * self.width / self.height)),
            )
            # As many on either side, as Keras has it: of an odd number one fewer.
            sides = [(w - old) // 2 for w, old in zip(wanted, (height, width), strict=True)]
            x = arrays.pad(x, ((0, 0), *((s, s) for s in sides), (0, 0)), self.fill_value)
        return resize(x, self.size, interpolation=RESIZING[self.interpolation], antialias=self.antialias)


@register_module
class CenterCrop(_Sized):
    """The middle of images, (height, width); of smaller images, their largest part of these proportions, resized."""

    random = False

    def _change(self, x: Any) -> Any:
        over = [old - new for old, new in zip(x.shape[1:3], self.size, strict=True)]
        if min(over) < 0:
            return self.center_fit(x)
        part = cut(x, ((over[0] // 2, self.height), (over[1] // 2, self.width)))
        return resize(part, self.size)  # as floats


@register_module
class RandomCrop(_Sized):
    """A part of (height, width) of each image, while training at a random place of its own.

    Otherwise, and of images that are smaller, the largest centred part of these proportions, resized. With ``seed`` the
    layer draws from a generator of its own.
    """

    def __init__(
        self,
        height: int,
        width: int,
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(height, width, data_format, **options)
        self.seed = seed

    def evaluated(self, x: Any) -> Any:
        if not self.first:
            return self.center_fit(x)
        return arrays.transpose(self.center_fit(arrays.transpose(x, LAST)), FIRST)

    def _change(self, x: Any) -> Any:
        over = [old - new for old, new in zip(x.shape[1:3], self.size, strict=True)]
        if min(over) < 0:
            return self.center_fit(x)
        top, left = (arrays.floor(self.draw_uniform(x, (0.0, float(n + 1)))) for n in over)
        return resampling.crop_at(x, top, left, size=self.size)


# --- places -----------------------------------------------------------------------------------------------------------

FLIPS = {"horizontal": (2,), "vertical": (1,), "horizontal_and_vertical": (1, 2)}


@register_module
class RandomFlip(RandomLayer):
    """While training, images mirrored left to right and upside down, each with a chance of one half.

    ``mode`` is "horizontal", "vertical" or "horizontal_and_vertical". With ``seed`` the layer draws from a generator of
    its own.
    """

    _shown = "{mode}"

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(data_format, **options)
        self.mode, self.seed = self.one_of(mode, "mode", tuple(FLIPS)), seed

    def _change(self, x: Any) -> Any:
        for axis in FLIPS[self.mode]:
            x = augmentation.flip_some(x, *draw(self.seed), axis=axis)
        return x


class Resampling(RandomLayer):
    """The base of layers that read images at other positions: the values beyond the edge, and between pixels.

    ``fill_mode``: "reflect" (the image mirrored at its edges), "wrap" (its other side), "nearest" (the edge), or
    "constant", ``fill_value``. ``interpolation`` is "bilinear" or "nearest".
    """

    def __init__(
        self,
        fill_mode: str,
        interpolation: str,
        seed: int | None,
        fill_value: float,
        data_format: str | None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(data_format, **options)
        self.seed = seed
        self.sampling = {
            "fill_mode": self.one_of(fill_mode, "fill_mode", FILL_MODES),
            "interpolation": self.one_of(interpolation, "interpolation", INTERPOLATIONS),
            "fill_value": float(fill_value),
        }


@register_module
class RandomTranslation(Resampling):
    """While training, images moved by a fraction of their height (positive: down) and of their width (positive: right).

    Each factor is a fraction f, for one between -f and f, or two, the least and the most, from -1 to 1. ``fill_mode``,
    ``interpolation`` and ``fill_value`` choose the values beyond edges ("reflect", "wrap", "nearest", "constant") and
    between pixels ("bilinear", "nearest"). With ``seed`` the layer draws from a generator of its own.
    """

    _shown = "height_factor={vertical}, width_factor={horizontal}"

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **options)
        self.vertical = bounds(height_factor, "height_factor", self.name, -1, 1)
        self.horizontal = bounds(width_factor, "width_factor", self.name, -1, 1)

    def _change(self, x: Any) -> Any:
        down, right = (
            self.draw_uniform(x, (low * size, high * size))
            for (low, high), size in zip((self.vertical, self.horizontal), x.shape[1:3], strict=True)
        )
        return resampling.translate(x, down, right, **self.sampling)


@register_module
class RandomRotation(Resampling):
    """While training, images rotated about their centre by a fraction of a whole turn, counterclockwise where positive.

    ``factor`` is a fraction f, for one between -f and f, or two, the least and the most, from -1 to 1: 0.1 is up to 36
    degrees. The other arguments are those of `RandomTranslation`.
    """

    _shown = "factor={factor}"

    def __init__(
        self,
        factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **options)
        self.factor = bounds(factor, "factor", self.name, -1, 1)

    def _change(self, x: Any) -> Any:
        low, high = (2 * math.pi * f for f in self.factor)
        return resampling.rotate(x, self.draw_uniform(x, (low, high)), **self.sampling)


@register_module
class RandomZoom(Resampling):
    """While training, images zoomed about their centre: 0.2 shows 20 % more, smaller; -0.2 shows 20 % less, larger.

    Each factor is a number f, for one between -f and f, or two, the least and the most, above -1 and up to 1. Without
    ``width_factor`` proportions stay. The other arguments are those of `RandomTranslation`.
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor | None = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **options)
        self.vertical = bounds(height_factor, "height_factor", self.name, -0.999, 1)
        self.horizontal = None
        if width_factor is not None:
            self.horizontal = bounds(width_factor, "width_factor", self.name, -0.999, 1)

    def _change(self, x: Any) -> Any:
        vertical = self.draw_uniform(x, (1 + self.vertical[0], 1 + self.vertical[1]))
        horizontal = vertical
        if self.horizontal is not None:
            horizontal = self.draw_uniform(x, (1 + self.horizontal[0], 1 + self.horizontal[1]))
        return resampling.zoom(x, vertical, horizontal, **self.sampling)

    def extra_repr(self) -> str:
        return f"height_factor={self.vertical}, width_factor={self.horizontal or self.vertical}"

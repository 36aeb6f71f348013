"""Layers that change images' values at random while training: brightness, contrast, erased and pasted boxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Unpack

from ranvier.layers.annotations import Factor, LayerOptions
from ranvier.layers.mixup import Mixing
from ranvier.layers.resampling import RandomLayer, bounds, is_number
from ranvier.module.serialization import register_module
from ranvier.ops.functional import augmentation
from ranvier.tensor.rng import draw


def limits(value_range: Any, name: str) -> tuple[float, float]:
    """The smallest and the largest value of pixels; raises ValueError."""
    pair = tuple(value_range) if isinstance(value_range, (tuple, list)) else ()
    if len(pair) != 2 or not all(map(is_number, pair)) or not pair[0] < pair[1]:
        raise ValueError(
            f"value_range of layer {name!r} is {value_range!r}. Write the smallest and the largest value of pixels: "
            "(0, 255), or (0, 1) after Rescaling(1 / 255)."
        )
    return float(pair[0]), float(pair[1])


class _Shading(RandomLayer):
    """A layer that changes each image by a number, and clips the result to a range of values."""

    _shade: ClassVar[Callable[..., Any]]
    _shown = "factor={factor}, value_range={value_range}"

    def __init__(
        self,
        factor: Factor,
        value_range: tuple[float, float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(data_format, **options)
        self.factor, self.seed = self._drawn_from(factor), seed
        self.value_range = limits(value_range, self.name)

    def _drawn_from(self, factor: Any) -> tuple[float, float]:
        """The least and the most that the number is drawn from."""
        return bounds(factor, "factor", self.name, -1, 1)

    def _change(self, x: Any) -> Any:
        low, high = self.value_range
        return type(self)._shade(x, self.draw_uniform(x, self.factor), low=low, high=high)


@register_module
class RandomBrightness(_Shading):
    """While training, adds a fraction of the range of values to each image, and clips the result to that range.

    ``factor`` is a fraction f, for one between -f and f, or two, the least and the most, from -1 to 1. ``value_range``
    is the range of pixels: (0, 255), or (0, 1) after ``Rescaling(1 / 255)``. With ``seed`` the layer draws from a
    generator of its own.
    """

    _shade = augmentation.brighten


@register_module
class RandomContrast(_Shading):
    """While training, multiplies each channel's distances from its mean in the image by a random number.

    ``factor`` is f for a number from 1 - f to 1 + f, or (a, b) for one from 1 - a to 1 + b, from 0 to 1. The other
    arguments are those of `RandomBrightness`.
    """

    _shade = augmentation.contrast

    def _drawn_from(self, factor: Any) -> tuple[float, float]:
        pair = factor if isinstance(factor, (tuple, list)) else (factor, factor)
        low, high = (bounds(f, "factor", self.name, 0, 1)[1] for f in (pair if len(pair) == 2 else (None,) * 2))
        return 1 - low, 1 + high


@register_module
class RandomErasing(RandomLayer):
    """While training, a box of each image filled (Zhong et al., 2017; with a fixed value, DeVries and Taylor's cutout).

    ``factor`` is the chance that an image has one (two numbers: the least and the most). The box takes a fraction of
    the height and one of the width; the square of each is drawn from ``scale``. ``fill_value`` is a number, one for
    each channel, or None for normal noise. ``value_range`` and ``seed`` are as in `RandomBrightness`.
    """

    _shown = "factor={factor}, scale={scale}, fill_value={fill_value}"

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: Factor = (0.02, 0.33),
        fill_value: float | Sequence[float] | None = None,
        value_range: tuple[float, float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(data_format, **options)
        low, high = bounds(factor, "factor", self.name, 0, 1)
        self.factor = (low, high) if isinstance(factor, (tuple, list)) else (high, high)
        self.scale, self.seed = bounds(scale, "scale", self.name, 0, 1), seed
        self.value_range = limits(value_range, self.name)
        channels = tuple(fill_value) if isinstance(fill_value, (tuple, list)) else (fill_value,)
        if fill_value is not None and not (channels and all(map(is_number, channels))):
            raise ValueError(
                f"fill_value of layer {self.name!r} is {fill_value!r}. Write a number, one for each channel, or None "
                "for noise."
            )
        self.fill_value = channels if isinstance(fill_value, (tuple, list)) else fill_value

    def _change(self, x: Any) -> Any:
        draws = [one for _ in range(6 + (self.fill_value is None)) for one in draw(self.seed)]
        low, high = self.value_range
        return augmentation.erase(
            x, draws, scale=self.scale, chance=self.factor, low=low, high=high, value=self.fill_value
        )


@register_module
class CutMix(Mixing):
    """A box of each image replaced by another's of the batch, and its targets mixed accordingly (Yun et al., 2019).

    ``fit(..., augment=CutMix())`` calls it on inputs and targets within the compiled step; in an explicit loop write
    ``x, y = cutmix(x, y)``. The fraction that stays is drawn from Beta(alpha, alpha), and targets are mixed by the
    fractions of the pixels. Everything else is as in `MixUp`. Raises ValueError for inputs that are no images, (batch,
    height, width, channels).
    """

    def __init__(self, alpha: float = 1.0, seed: int | None = None, **options: Unpack[LayerOptions]) -> None:
        super().__init__(alpha, seed, **options)

    def _mixing(self, some: Any, fraction: Any) -> tuple[Any, Callable[[Any, Any], Any]]:
        centre = [augmentation.uniform(some, *draw(self.seed)) for _ in range(2)]
        *box, kept = augmentation.boxes(some, fraction, *centre)
        return kept, lambda own, other: augmentation.paste(own, other, *box)

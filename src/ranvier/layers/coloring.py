"""Layers that change the colours, the contrast and the sharpness of images at random while training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Unpack

from ranvier.graph.node import GraphError
from ranvier.layers.annotations import Factor, LayerOptions
from ranvier.layers.augmentation import RandomBrightness, RandomContrast, limits
from ranvier.layers.base import whole
from ranvier.layers.resampling import RandomLayer, bounds, is_number
from ranvier.module.serialization import register_module
from ranvier.ops.functional import colors
from ranvier.tensor.rng import draw


class _Coloring(RandomLayer):
    """A layer that changes each image by a number that it draws from ``factor``."""

    _color: ClassVar[Callable[..., Any]]
    _least, _most = 0.0, 1.0  # of a factor
    _least_of_two: ClassVar[float | None] = None  # of one that is given as two numbers, where it is another
    _shown = "factor={factor}, value_range={value_range}"

    def __init__(
        self,
        factor: Factor,
        value_range: tuple[float, float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(data_format, **options)
        of_two = self._least_of_two if isinstance(factor, (tuple, list)) else None
        least = self._least if of_two is None else of_two
        self.factor, self.seed = bounds(factor, "factor", self.name, least, self._most), seed
        self.value_range = limits(value_range, self.name)

    def _change(self, x: Any) -> Any:
        low, high = self.value_range
        return type(self)._color(x, self._number(x), low=low, high=high)

    def _number(self, x: Any) -> Any:
        return self.draw_uniform(x, self.factor)


@register_module
class RandomHue(_Coloring):
    """While training, the hues of each image moved along the circle of colours, either way, by ``factor / 2`` of it.

    ``factor`` is a number f, for one from 0 to f, or two, the least and the most, from 0 to 1. ``value_range`` is the
    range of pixels, (0, 255) or (0, 1). With ``seed`` the layer draws from a generator of its own. Source: Keras.
    """

    _color = colors.shift_hue

    def _number(self, x: Any) -> Any:
        sign = self.draw_uniform(x, (-1.0, 1.0))
        return colors.signed(self.draw_uniform(x, self.factor), sign) * 0.5


@register_module
class RandomSaturation(_Coloring):
    """While training, the saturation of each image times f / (1 - f): 0 is grey, 0.5 as it was, 1 the most.

    ``factor`` is a number, for an f from 0 to it, or two, the least and the most, from -1 to 1; an f below 0 is grey,
    as 0 is. The other arguments are those of `RandomHue`. Source: Keras.
    """

    _color = colors.saturate
    _least_of_two = -1.0  # Keras stores a number f as (-f, f)


@register_module
class RandomColorDegeneration(_Coloring):
    """While training, each image moved toward its luminance by a share from ``factor``: 1 is grey, 0 as it was.

    ``factor`` is a number f, for one between -f and f, or two, the least and the most, from -1 to 1. The other
    arguments are those of `RandomHue`. Source: Keras.
    """

    _color = colors.degenerate
    _least = -1.0


@register_module
class RandomSharpness(_Coloring):
    """While training, each image smoothed (0), as it was (0.5), or sharpened (1), by a number from ``factor``.

    The arguments are those of `RandomHue`. Source: Keras.
    """

    _color = colors.sharpen

    def _number(self, x: Any) -> Any:
        return self.draw_uniform(x, self.factor) * 2.0


@register_module
class RandomPosterization(_Coloring):
    """While training, the values of each image kept to a number of bits, from 1 to 8.

    ``factor`` is the number of bits or two, of which the second is never drawn. The other arguments are those of
    `RandomHue`. Source: Keras.
    """

    _color = colors.posterize
    _least, _most = 1.0, 8.0

    def _number(self, x: Any) -> Any:
        return colors.whole_part(self.draw_uniform(x, self.factor))


@register_module
class RandomInvert(RandomLayer):
    """While training, images as negatives: the largest value minus theirs.

    ``factor`` is the chance, drawn from 0 to it or from two numbers. The other arguments are those of `RandomHue`.
    Source: Keras.
    """

    _shown = "factor={factor}, value_range={value_range}"

    def __init__(
        self,
        factor: Factor = 1.0,
        value_range: tuple[float, float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(data_format, **options)
        self.factor, self.seed = bounds(factor, "factor", self.name, 0, 1), seed
        self.value_range = limits(value_range, self.name)

    def _change(self, x: Any) -> Any:
        chance, number = self.draw_uniform(x, self.factor), self.draw_uniform(x, (0.0, 1.0))
        return colors.invert_some(x, chance, number, high=self.value_range[1])


@register_module
class RandomGrayscale(RandomLayer):
    """While training, the share ``factor`` of images as their luminance, in all three channels. Source: Keras."""

    _shown = "factor={factor}"

    def __init__(
        self,
        factor: float = 0.5,
        data_format: str | None = None,
        seed: int | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(data_format, **options)
        if not is_number(factor) or not 0 <= factor <= 1:
            raise ValueError(f"factor of layer {self.name!r} is {factor!r}. Write a number from 0 to 1 instead.")
        self.factor, self.seed = float(factor), seed

    def _change(self, x: Any) -> Any:
        return colors.grey_some(x, self.draw_uniform(x, (0.0, 1.0)), chance=self.factor)


@register_module
class RandomGaussianBlur(RandomLayer):
    """While training, images blurred by a Gaussian.

    ``factor`` is the chance, drawn from 0 to it or from two numbers. ``kernel_size`` is an odd number of pixels, or
    two, of width and height. ``sigma`` is a number, for one from 0 to it, or two, from 0 to 1; one is drawn for the
    width and one for the height of all images of a batch. Source: Keras.
    """

    _shown = "factor={factor}, kernel_size={kernel_size}, sigma={sigma}"

    def __init__(
        self,
        factor: Factor = 1.0,
        kernel_size: int | Sequence[int] = 3,
        sigma: Factor = 1.0,
        value_range: tuple[float, float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(data_format, **options)
        self.factor, self.seed = bounds(factor, "factor", self.name, 0, 1), seed
        self.sigma = bounds(sigma, "sigma", self.name, 0, 1)
        self.value_range = limits(value_range, self.name)
        sizes = tuple(kernel_size) if isinstance(kernel_size, (tuple, list)) else (kernel_size, kernel_size)
        self.kernel_size = tuple(whole(size, "kernel_size", self.name) for size in sizes)
        if len(sizes) != 2 or not all(size % 2 for size in self.kernel_size):
            raise ValueError(f"kernel_size of layer {self.name!r} is {kernel_size!r}. Write an odd number, or two.")

    def _change(self, x: Any) -> Any:
        low, high = self.value_range
        chance, number = self.draw_uniform(x, self.factor), self.draw_uniform(x, (0.0, 1.0))
        return colors.blur_some(
            x, chance, number, *draw(self.seed), size=self.kernel_size, sigma=self.sigma, low=low, high=high
        )


@register_module
class AutoContrast(RandomLayer):
    """Each channel of each image stretched from its least and largest value to ``value_range``, in evaluation too.

    A channel of one value stays as it is. Source: Keras.
    """

    random = False
    _shown = "value_range={value_range}"

    def __init__(self, value_range: tuple[float, float] = (0, 255), **options: Any) -> None:
        super().__init__(options.pop("data_format", None), **options)
        self.value_range = limits(value_range, self.name)

    def _change(self, x: Any) -> Any:
        low, high = self.value_range
        return colors.stretch(x, low=low, high=high)


@register_module
class Solarization(RandomLayer):
    """While training, values from a threshold on inverted, after an addition, both drawn for each image.

    ``addition_factor`` and ``threshold_factor`` are numbers from 0 to 1, for shares of the range from 0 to them, or
    two. Source: Keras, where the least of two is a value of 255 and no share.
    """

    _shown = "addition_factor={addition_factor}, threshold_factor={threshold_factor}"

    def __init__(
        self,
        addition_factor: Factor = 0.0,
        threshold_factor: Factor = 0.0,
        value_range: tuple[float, float] = (0, 255),
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(options.pop("data_format", None), **options)
        self.addition_factor = bounds(addition_factor, "addition_factor", self.name, 0, 1)
        self.threshold_factor = bounds(threshold_factor, "threshold_factor", self.name, 0, 1)
        self.value_range, self.seed = limits(value_range, self.name), seed

    def _change(self, x: Any) -> Any:
        low, high = self.value_range
        drawn = [self.draw_uniform(x, (f[0], f[1] * 255)) for f in (self.addition_factor, self.threshold_factor)]
        return colors.solarize(x, *drawn, low=low, high=high)


@register_module
class RandomColorJitter(RandomLayer):
    """While training, brightness, contrast, saturation and hue changed, in this order, as far as factors are given.

    The factors are those of `RandomBrightness`, `RandomContrast`, `RandomSaturation` and `RandomHue`. Source: Keras.
    """

    def __init__(
        self,
        value_range: tuple[float, float] = (0, 255),
        brightness_factor: Factor | None = None,
        contrast_factor: Factor | None = None,
        saturation_factor: Factor | None = None,
        hue_factor: Factor | None = None,
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(data_format, **options)
        self.value_range, self.seed = limits(value_range, self.name), seed
        parts = (
            (RandomBrightness, brightness_factor),
            (RandomContrast, contrast_factor),
            (RandomSaturation, saturation_factor),
            (RandomHue, hue_factor),
        )
        self.parts = tuple(kind(factor, value_range, seed=seed) for kind, factor in parts if factor is not None)

    def _change(self, x: Any) -> Any:
        if x.shape[-1] != 3:
            raise GraphError(f"it takes images of 3 channels, and here are {x.shape[-1]}")
        for part in self.parts:
            x = part._change(x)
        return x

    def extra_repr(self) -> str:
        return ", ".join(map(repr, self.parts))

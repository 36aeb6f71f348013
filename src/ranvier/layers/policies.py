"""Layers that choose among changes of images at random, equalize images, and draw them in perspective."""

from __future__ import annotations

from typing import Any, Unpack

from ranvier.layers.annotations import Factor, LayerOptions
from ranvier.layers.augmentation import RandomBrightness, RandomContrast, limits
from ranvier.layers.base import whole
from ranvier.layers.coloring import (
    AutoContrast,
    RandomColorDegeneration,
    RandomPosterization,
    RandomSharpness,
    Solarization,
)
from ranvier.layers.resampling import RandomLayer, RandomRotation, RandomTranslation, bounds, is_number
from ranvier.layers.shear import RandomShear
from ranvier.module.serialization import register_module
from ranvier.ops import arrays
from ranvier.ops.functional import augmentation, colors, histograms, resampling
from ranvier.ops.functional.resampling import INTERPOLATIONS
from ranvier.tensor.rng import draw


@register_module
class Equalization(RandomLayer):
    """While training, each channel with its values spread evenly over ``value_range``, by a histogram of ``bins``.

    As in Keras, which is the source, the histogram is that of all images of a batch, and nothing is random.
    """

    _shown = "value_range={value_range}, bins={bins}"

    def __init__(
        self,
        value_range: tuple[float, float] = (0, 255),
        bins: int = 256,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(data_format, **options)
        self.value_range, self.bins = limits(value_range, self.name), whole(bins, "bins", self.name)

    def _change(self, x: Any) -> Any:
        low, high = self.value_range
        return histograms.equalize(x, bins=self.bins, low=low, high=high)


@register_module
class RandomPerspective(RandomLayer):
    """While training, images drawn so that three of their corners move toward or away from the first, top left.

    ``factor`` is the chance, drawn from 0 to it or from two numbers. ``scale``, from 0 to 1, is how far a corner moves
    at most: half of it times its own place. ``interpolation`` is "bilinear" or "nearest", and beyond the old edges is
    ``fill_value``. With ``seed`` the layer draws from a generator of its own. Source: Keras.
    """

    _shown = "factor={factor}, scale={scale}"

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: float = 1.0,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(data_format, **options)
        self.factor, self.seed = bounds(factor, "factor", self.name, 0, 1), seed
        if not is_number(scale) or not 0 <= scale <= 1:
            raise ValueError(f"scale of layer {self.name!r} is {scale!r}. Write a number from 0 to 1 instead.")
        self.scale, self.fill_value = float(scale), float(fill_value)
        self.interpolation = self.one_of(interpolation, "interpolation", INTERPOLATIONS)

    def _change(self, x: Any) -> Any:
        chance, number = self.draw_uniform(x, self.factor), self.draw_uniform(x, (0.0, 1.0))
        bottom, right = (float(size - 1) for size in x.shape[1:3])
        moved = [self.draw_uniform(x, (1 - self.scale / 2, 1 + self.scale / 2)) for _ in range(4)]
        start = [(0.0, 0.0), (right, 0.0), (0.0, bottom), (right, bottom)]
        end = [(0.0, 0.0), (moved[0] * right, 0.0), (0.0, moved[1] * bottom), (moved[2] * right, moved[3] * bottom)]
        nothing = arrays.multiply(number, 0.0)
        corners = [
            arrays.stack([arrays.stack([arrays.add(nothing, v) for v in corner], -1) for corner in points], 1)
            for points in (start, end)
        ]
        drawn = resampling.project(
            x, resampling.homography(*corners), fill_value=self.fill_value, interpolation=self.interpolation
        )
        return augmentation.where_some(x, drawn, arrays.subtract(chance, number))


def _changes(
    factor: tuple[float, float], value_range: tuple[float, float], interpolation: str, seed: int | None
) -> tuple[RandomLayer, ...]:
    """The changes that `RandAugment` and `AugMix` choose among, of a strength, in Keras's order."""
    on: dict[str, Any] = {"interpolation": interpolation, "seed": seed}
    drawn: dict[str, Any] = {"value_range": value_range, "seed": seed}
    return (
        RandomShear(factor, factor, **on),
        RandomTranslation(factor, factor, **on),
        RandomRotation(factor, **on),
        RandomPosterization(max(1, int(8 * factor[1])), **drawn),
        Solarization(factor, factor, **drawn),
        AutoContrast(value_range),
        Equalization(value_range),
        RandomBrightness(factor, **drawn),
        RandomColorDegeneration(factor, **drawn),
        RandomContrast(factor, **drawn),
        RandomSharpness(factor, **drawn),
    )


class _Choosing(RandomLayer):
    """A layer that chooses among `_changes`, for all images of a batch."""

    changes: tuple[RandomLayer, ...]

    def _chosen(self, x: Any, number: Any, spare: int = 0) -> Any:
        """The change of this number from 0 to 1, which has ``spare`` more places, for none."""
        place, result = arrays.multiply(number, float(len(self.changes) + spare)), x
        for i, change in enumerate(self.changes):
            here = arrays.logical_and(arrays.greater_equal(place, float(i)), arrays.less(place, i + 1.0))
            result = arrays.where(here, change._change(x), result)
        return result


@register_module
class RandAugment(_Choosing):
    """While training, ``num_ops`` changes, one after the other, drawn from eleven of colours and of places.

    They are those of Keras: shear, translation, rotation, posterization, solarization, auto contrast, equalization,
    brightness, colour degeneration, contrast and sharpness. All images of a batch get the same changes, each as far as
    its own number says. ``factor``, from 0 to 1, is their strength, or two, the least and the most. The other arguments
    are those of `RandomHue` and `RandomTranslation`. Source: Cubuk et al., 2019, "RandAugment".
    """

    _shown = "num_ops={num_ops}, factor={factor}, value_range={value_range}"

    def __init__(
        self,
        value_range: tuple[float, float] = (0, 255),
        num_ops: int = 2,
        factor: Factor = 0.5,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(data_format, **options)
        self.value_range, self.seed = limits(value_range, self.name), seed
        self.num_ops, self.factor = whole(num_ops, "num_ops", self.name), bounds(factor, "factor", self.name, 0, 1)
        self.interpolation = self.one_of(interpolation, "interpolation", INTERPOLATIONS)
        self.changes = _changes(self.factor, self.value_range, interpolation, seed)

    def _change(self, x: Any) -> Any:
        x = colors.in_floats(x)
        for _ in range(self.num_ops):
            x = self._chosen(x, augmentation.one_uniform(x, *draw(self.seed)))
        return x


@register_module
class AugMix(_Choosing):
    """While training, each image mixed with the mean of ``num_chains`` others that up to ``chain_depth`` changes made.

    The changes are those of `RandAugment`, without ``all_ops`` the first seven of them, drawn for all images of a
    batch. The weights of the chains are drawn from a Dirichlet distribution and that of the image from a beta
    distribution of ``alpha``, which is 1 here. Source: Hendrycks et al., 2020, "AugMix".
    """

    _shown = "num_chains={num_chains}, chain_depth={chain_depth}, factor={factor}, value_range={value_range}"

    def __init__(
        self,
        value_range: tuple[float, float] = (0, 255),
        num_chains: int = 3,
        chain_depth: int = 3,
        factor: Factor = 0.3,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(data_format, **options)
        self.value_range, self.seed, self.all_ops = limits(value_range, self.name), seed, bool(all_ops)
        self.num_chains, self.chain_depth = (
            whole(v, w, self.name) for v, w in ((num_chains, "num_chains"), (chain_depth, "chain_depth"))
        )
        self.factor = bounds(factor, "factor", self.name, 0, 1)
        self.interpolation = self.one_of(interpolation, "interpolation", INTERPOLATIONS)
        if alpha != 1:
            raise ValueError(f"alpha of layer {self.name!r} is {alpha!r}, and here it is 1. Write 1.0 instead.")
        self.alpha = 1.0
        known = _changes(self.factor, self.value_range, interpolation, seed)
        self.changes = known if all_ops else known[:7]

    def _change(self, x: Any) -> Any:
        x, (low, high) = colors.in_floats(x), self.value_range
        numbers = [augmentation.one_uniform(x, *draw(self.seed)) for _ in range(self.num_chains + 1)]
        shares = [arrays.negative(arrays.log(arrays.subtract(1.0, v))) for v in numbers[1:]]
        whole_share = arrays.add(arrays.sum(arrays.stack(shares)), 1e-30)
        mixed: Any = 0.0
        for share in shares:
            chain = x
            for _ in range(self.chain_depth):
                chain = self._chosen(chain, augmentation.one_uniform(x, *draw(self.seed)), spare=1)
            mixed = arrays.add(arrays.multiply(chain, arrays.divide(share, whole_share)), mixed)
        own = arrays.multiply(x, numbers[0])
        return arrays.clip(arrays.add(own, arrays.multiply(mixed, arrays.subtract(1.0, numbers[0]))), low, high)

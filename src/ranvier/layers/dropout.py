"""Layers that do something only while training: noise against overfitting, and penalties on activities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Unpack

from ranvier.layers.annotations import LayerOptions, OptionsWithInputDim
from ranvier.layers.base import Family, Layer
from ranvier.module.serialization import register_module
from ranvier.ops import functional
from ranvier.regularizers import L1L2
from ranvier.support.validation import amount
from ranvier.tensor.rng import draw


@register_module
class Dropout(Layer):
    """While training, set a fraction ``rate`` of the elements to zero and scale the rest by ``1 / (1 - rate)``.

    ``noise_shape`` has None for a dimension whose elements are dropped separately, and 1 for one along which all are
    dropped or kept together: ``(None, 1, None)`` drops whole features of (batch, steps, features). With ``seed`` the
    layer draws from a generator of its own. (Srivastava et al., 2014.)
    """

    supports_masking = True
    _shown = "{rate:g}"
    _drop: ClassVar[Callable[..., Any]] = functional.dropout

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self.rate, self.seed = check_rate(rate, self.name), seed
        self.noise_shape = check_noise_shape(noise_shape, self.name)

    def forward(self, x: Any) -> Any:
        if not self.training or not self.rate:
            return x
        return type(self)._drop(x, *draw(self.seed), rate=self.rate, noise_shape=self.noise_shape)


class _SpatialDropout(Family, Dropout):
    """Dropout of whole channels (Tompson et al., 2015); ``dimensions`` are between the batch and the channels."""

    dimensions: int

    def __init__(
        self, rate: float, data_format: str | None = None, seed: int | None = None, **options: Unpack[LayerOptions]
    ) -> None:
        if data_format not in (None, "channels_last", "channels_first"):
            raise ValueError(f"data_format={data_format!r}: write 'channels_last' or 'channels_first' instead.")
        self.data_format = data_format
        together = (1,) * self.dimensions
        shape = (None, None, *together) if data_format == "channels_first" else (None, *together, None)
        super().__init__(rate, shape, seed, **options)


class SpatialDropout1D(_SpatialDropout, dimensions=1):
    """While training, drop whole channels of (batch, steps, channels); see `Dropout`."""


class SpatialDropout2D(_SpatialDropout, dimensions=2):
    """While training, drop whole channels of (batch, height, width, channels); see `Dropout`."""


class SpatialDropout3D(_SpatialDropout, dimensions=3):
    """While training, drop whole channels of (batch, three dimensions, channels); see `Dropout`."""


@register_module
class AlphaDropout(Dropout):
    """Dropout that keeps mean 0 and variance 1, for networks of "selu" units (Klambauer et al., 2017)."""

    _drop = functional.alpha_dropout


@register_module
class GaussianDropout(Layer):
    """While training, multiply by normal values of mean 1 and variance ``rate / (1 - rate)``, which is Dropout's.

    (Srivastava et al., 2014, section 10.) With ``seed`` the layer draws from a generator of its own.
    """

    supports_masking = True
    _shown = "{rate:g}"

    def __init__(self, rate: float, seed: int | None = None, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.rate, self.seed = check_rate(rate, self.name), seed

    def forward(self, x: Any) -> Any:
        if not self.training or not self.rate:
            return x
        return functional.gaussian_dropout(x, *draw(self.seed), rate=self.rate)


@register_module
class GaussianNoise(Layer):
    """While training, add normal values of mean 0 and standard deviation ``stddev``.

    With ``seed`` the layer draws from a generator of its own.
    """

    supports_masking = True
    _shown = "stddev={stddev:g}"

    def __init__(self, stddev: float, seed: int | None = None, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.stddev, self.seed = amount(stddev, self._label(), "stddev"), seed

    def forward(self, x: Any) -> Any:
        if not self.training or not self.stddev:
            return x
        return functional.gaussian_noise(x, *draw(self.seed), stddev=self.stddev)


@register_module
class ActivityRegularization(Layer):
    """Returns its inputs, and adds ``l1 * sum(abs(x)) + l2 * sum(x ** 2)``, divided by the samples, to the loss."""

    supports_masking = True
    _shown = "l1={l1:g}, l2={l2:g}"

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **options: Unpack[OptionsWithInputDim]) -> None:
        super().__init__(activity_regularizer=L1L2(l1, l2), **options)
        self.l1, self.l2 = float(l1), float(l2)

    def forward(self, x: Any) -> Any:
        return x


def check_rate(rate: Any, name: str) -> float:
    """A dropout rate as a float in [0, 1); raises ValueError naming the layer."""
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1:
        raise ValueError(f"the rate of layer {name!r} is {rate!r}. Write a fraction from 0 up to (not including) 1.")
    return float(rate)


def check_noise_shape(noise_shape: Any, name: str) -> tuple[int | None, ...] | None:
    """The shape of a dropout mask as a tuple; raises ValueError naming the layer."""
    if noise_shape is None:
        return None
    shape = tuple(noise_shape) if isinstance(noise_shape, (list, tuple)) else ("",)
    if any(d is not None and (isinstance(d, bool) or not isinstance(d, int) or d < 1) for d in shape):
        raise ValueError(
            f"the noise_shape of layer {name!r} is {noise_shape!r}. Write a tuple such as (None, 1, None): 1 for each "
            "dimension along which all elements are dropped together."
        )
    return shape

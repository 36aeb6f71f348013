"""Distributions of numbers from 0 to 1, of angles, and of ratios."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from ranvier.ops import vocabulary
from ranvier.tensor.tensor import Tensor
from ranvier.torch.distributions import draws
from ranvier.torch.distributions.continuous import Gamma
from ranvier.torch.distributions.distribution import EULER, Distribution, broadcast

where, i0e, i1e = (vocabulary.find("torch", name) for name in ("where", "special.i0e", "special.i1e"))


class InverseGamma(Distribution):
    """The distribution of 1 over a gamma variate of a shape, ``concentration``, and a ``rate``."""

    has_rsample = True
    arg_constraints: ClassVar = {"concentration": "positive", "rate": "positive"}
    support = "positive"

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = broadcast(concentration, rate)
        super().__init__(self.concentration.shape, (), validate_args)

    @property
    def base_dist(self) -> Gamma:
        """The distribution of 1 over the number."""
        return Gamma(self.concentration, self.rate, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return where(self.concentration > 1, self.rate / (self.concentration - 1), math.inf)

    @property
    def mode(self) -> Tensor:
        return self.rate / (self.concentration + 1)

    @property
    def variance(self) -> Tensor:
        a = self.concentration
        return where(a > 2, self.rate**2 / ((a - 1) ** 2 * (a - 2)), math.inf)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples with the gradient by both parameters."""
        return self.base_dist.rsample(sample_shape).reciprocal()

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        a = self.concentration
        return a * self.rate.log() - a.lgamma() - (a + 1) * value.log() - self.rate / value

    def cdf(self, value: Any) -> Any:
        return 1 - self.base_dist.cdf(value.reciprocal())

    def entropy(self) -> Tensor:
        a = self.concentration
        return a + self.rate.log() + a.lgamma() - (1 + a) * a.digamma()


class Kumaraswamy(Distribution):
    """The distribution of ``(1 - (1 - u)**(1 / concentration0))**(1 / concentration1)`` of a uniform number u."""

    has_rsample = True
    arg_constraints: ClassVar = {"concentration1": "positive", "concentration0": "positive"}
    support = "unit"

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = broadcast(concentration1, concentration0)
        super().__init__(self.concentration1.shape, (), validate_args)

    def _moment(self, n: int) -> Tensor:
        a, b = 1 + n / self.concentration1, self.concentration0
        return b * (a.lgamma() + b.lgamma() - (a + b).lgamma()).exp()

    @property
    def mean(self) -> Tensor:
        return self._moment(1)

    @property
    def variance(self) -> Tensor:
        return self._moment(2) - self._moment(1) ** 2

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples with the gradient by both parameters."""
        return self.icdf(draws.uniform(self.concentration1, self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        a, b = self.concentration1, self.concentration0
        return a.log() + b.log() + (a - 1) * value.log() + (b - 1) * (-(value**a)).log1p()

    def cdf(self, value: Any) -> Any:
        return 1 - (1 - value**self.concentration1) ** self.concentration0

    def icdf(self, value: Any) -> Any:
        return (1 - (1 - value) ** self.concentration0.reciprocal()) ** self.concentration1.reciprocal()

    def entropy(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        harmonic = (b + 1).digamma() + EULER
        return 1 - b.reciprocal() + (1 - a.reciprocal()) * harmonic - a.log() - b.log()


class FisherSnedecor(Distribution):
    """The distribution of the ratio of two means of squares of normal numbers, ``df1`` and ``df2`` of them."""

    has_rsample = True
    arg_constraints: ClassVar = {"df1": "positive", "df2": "positive"}
    support = "positive"

    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None) -> None:
        self.df1, self.df2 = broadcast(df1, df2)
        super().__init__(self.df1.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return where(self.df2 > 2, self.df2 / (self.df2 - 2), math.nan)

    @property
    def mode(self) -> Tensor:
        return where(self.df1 > 2, (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2), math.nan)

    @property
    def variance(self) -> Tensor:
        a, b = self.df1, self.df2
        return where(b > 4, 2 * b**2 * (a + b - 2) / (a * (b - 2) ** 2 * (b - 4)), math.nan)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples with the gradient by both parameters."""
        shape = self._extended_shape(sample_shape)
        above, below = (draws.gamma(0.5 * df, shape) / df for df in (self.df1, self.df2))
        return above / below

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        a, b, ratio = self.df1 * 0.5, self.df2 * 0.5, self.df1 / self.df2
        size = (a + b).lgamma() - a.lgamma() - b.lgamma()
        return size + a * ratio.log() + (a - 1) * value.log() - (a + b) * (ratio * value).log1p()


class VonMises(Distribution):
    """The distribution of angles, in radians, around ``loc``; the larger ``concentration``, the closer."""

    arg_constraints: ClassVar = {"loc": "real", "concentration": "positive"}

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast(loc, concentration)
        super().__init__(self.loc.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        """1 less the length of the mean of the points on the circle."""
        return 1 - i1e(self.concentration) / i0e(self.concentration)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape, loc, rate = self._extended_shape(sample_shape), draws.array(self.loc), draws.array(self.concentration)
        center = np.remainder(loc + np.pi, 2 * np.pi) - np.pi
        return draws.drawn(lambda source: source.vonmises(center, rate, shape), self.loc.dtype)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        k = self.concentration
        return k * (value - self.loc).cos() - math.log(2 * math.pi) - i0e(k).log() - k


class GeneralizedPareto(Distribution):
    """The generalized Pareto distribution of what exceeds ``loc``; ``concentration`` is how heavy the tail is."""

    has_rsample = True
    arg_constraints: ClassVar = {"loc": "real", "scale": "positive", "concentration": "real"}

    def __init__(self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale, self.concentration = broadcast(loc, scale, concentration)
        super().__init__(self.loc.shape, (), validate_args)

    def _bent(self, safe: Any) -> Any:
        """The concentration, and 1 where it is 0, where the exponential distribution is meant."""
        return where(safe, self.concentration, 1.0)

    @property
    def mean(self) -> Tensor:
        k = self.concentration
        return where(k < 1, self.loc + self.scale / (1 - k), math.inf)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        k = self.concentration
        return where(k < 0.5, self.scale**2 / ((1 - k) ** 2 * (1 - 2 * k)), math.inf)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples with the gradient by all parameters."""
        return self.icdf(draws.uniform(self.loc, self._extended_shape(sample_shape)))

    def _decay(self, value: Any) -> Any:
        """Minus the logarithm of the probability to be above a value."""
        y, bends = (value - self.loc) / self.scale, self.concentration != 0
        k = self._bent(bends)
        return where(bends, (k * y).log1p() / k, y)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return -self.scale.log() - (1 + self.concentration) * self._decay(value)

    def cdf(self, value: Any) -> Any:
        return -(-self._decay(value)).expm1()

    def icdf(self, value: Any) -> Any:
        decay, bends = -(-value).log1p(), self.concentration != 0
        k = self._bent(bends)
        return self.loc + self.scale * where(bends, (k * decay).expm1() / k, decay)

    def entropy(self) -> Tensor:
        return self.scale.log() + self.concentration + 1

"""Distributions of numbers with heavy tails, of magnitudes, and of sums of squares."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from ranvier.ops import vocabulary
from ranvier.tensor.tensor import Tensor
from ranvier.torch.distributions import draws
from ranvier.torch.distributions.continuous import Gamma, Normal, _LocationScale
from ranvier.torch.distributions.distribution import EULER, Distribution, broadcast

where: Any = vocabulary.find("torch", "where")


def _filled(like: Tensor, value: float) -> Tensor:
    return like.detach() * 0 + value


class Chi2(Gamma):
    """The distribution of a sum of ``df`` squares of standard normal numbers."""

    arg_constraints: ClassVar = {"df": "positive"}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        (self.df,) = broadcast(df)
        super().__init__(0.5 * self.df, 0.5, validate_args)


class Cauchy(_LocationScale):
    """The Cauchy distribution, which has no mean."""

    @property
    def mean(self) -> Tensor:
        return _filled(self.loc, math.nan)

    @property
    def variance(self) -> Tensor:
        return _filled(self.loc, math.inf)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples with the gradient by both parameters."""
        shape = self._extended_shape(sample_shape)
        return self.loc + self.scale * draws.drawn(lambda source: source.standard_cauchy(shape), self.loc.dtype)

    def log_prob(self, value: Any) -> Any:
        return -math.log(math.pi) - self.scale.log() - (self._standard(value) ** 2).log1p()

    def cdf(self, value: Any) -> Any:
        return self._standard(value).atan() / math.pi + 0.5

    def icdf(self, value: Any) -> Any:
        return (math.pi * (value - 0.5)).tan() * self.scale + self.loc

    def entropy(self) -> Tensor:
        return math.log(4 * math.pi) + self.scale.log()


class StudentT(Distribution):
    """Student's t distribution of ``df`` degrees of freedom, times ``scale``, plus ``loc``."""

    has_rsample = True
    arg_constraints: ClassVar = {"df": "positive", "loc": "real", "scale": "positive"}

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = broadcast(df, loc, scale)
        super().__init__(self.df.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return where(self.df > 1, self.loc, math.nan)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        finite = self.scale**2 * self.df / where(self.df > 2, self.df - 2, 1.0)
        return where(self.df > 2, finite, where(self.df > 1, math.inf, math.nan))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples with the gradient by all parameters."""
        shape = self._extended_shape(sample_shape)
        square = 2 * draws.gamma(0.5 * self.df, shape)
        return self.loc + self.scale * draws.normal(self.loc, shape) * (square / self.df).rsqrt()

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        x, df = (value - self.loc) / self.scale, self.df
        size = (
            self.scale.log()
            + 0.5 * df.log()
            + 0.5 * math.log(math.pi)
            + (0.5 * df).lgamma()
            - (0.5 * (df + 1)).lgamma()
        )
        return -0.5 * (df + 1) * (x**2 / df).log1p() - size

    def entropy(self) -> Tensor:
        df = self.df
        beta = (0.5 * df).lgamma() + math.lgamma(0.5) - (0.5 * (df + 1)).lgamma()
        change = (0.5 * (df + 1)).digamma() - (0.5 * df).digamma()
        return self.scale.log() + 0.5 * (df + 1) * change + 0.5 * df.log() + beta


class _Half(Distribution):
    """The distribution of the magnitude of a number around 0."""

    has_rsample = True
    arg_constraints: ClassVar = {"scale": "positive"}
    support = "nonnegative"
    _of: ClassVar[Any]

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        (self.scale,) = broadcast(scale)
        super().__init__(self.scale.shape, (), validate_args)

    @property
    def base_dist(self) -> Any:
        """The distribution of the number."""
        return type(self)._of(0.0, self.scale, validate_args=False)

    @property
    def mode(self) -> Tensor:
        return _filled(self.scale, 0.0)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples with the gradient by the scale."""
        drawn: Tensor = self.base_dist.rsample(sample_shape).abs()
        return drawn

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return where(value >= 0, self.base_dist.log_prob(value) + math.log(2), -math.inf)

    def cdf(self, value: Any) -> Any:
        return 2 * self.base_dist.cdf(value) - 1

    def icdf(self, value: Any) -> Any:
        return self.base_dist.icdf((value + 1) / 2)

    def entropy(self) -> Tensor:
        return self.base_dist.entropy() - math.log(2)


class HalfNormal(_Half):
    """The distribution of the magnitude of a normal number of mean 0."""

    _of = Normal

    @property
    def mean(self) -> Tensor:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Tensor:
        return self.scale**2 * (1 - 2 / math.pi)


class HalfCauchy(_Half):
    """The distribution of the magnitude of a Cauchy number around 0."""

    _of = Cauchy

    @property
    def mean(self) -> Tensor:
        return _filled(self.scale, math.inf)

    @property
    def variance(self) -> Tensor:
        return _filled(self.scale, math.inf)


class Pareto(Distribution):
    """The Pareto distribution of numbers from ``scale`` on; ``alpha`` is the exponent."""

    has_rsample = True
    arg_constraints: ClassVar = {"scale": "positive", "alpha": "positive"}
    support = "positive"

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        self.scale, self.alpha = broadcast(scale, alpha)
        super().__init__(self.scale.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        a = self.alpha.clamp(min=1)
        return a * self.scale / (a - 1)

    @property
    def mode(self) -> Tensor:
        return self.scale

    @property
    def variance(self) -> Tensor:
        a = self.alpha.clamp(min=2)
        return self.scale**2 * a / ((a - 1) ** 2 * (a - 2))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples with the gradient by both parameters."""
        return self.icdf(draws.uniform(self.scale, self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return self.alpha.log() + self.alpha * self.scale.log() - (self.alpha + 1) * value.log()

    def cdf(self, value: Any) -> Any:
        return 1 - (self.scale / value) ** self.alpha

    def icdf(self, value: Any) -> Any:
        return self.scale * (-(-value).log1p() / self.alpha).exp()

    def entropy(self) -> Tensor:
        return (self.scale / self.alpha).log() + (1 + self.alpha.reciprocal())


class Weibull(Distribution):
    """The Weibull distribution: ``(x / scale) ** concentration`` is exponential."""

    has_rsample = True
    arg_constraints: ClassVar = {"scale": "positive", "concentration": "positive"}
    support = "positive"

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = broadcast(scale, concentration)
        super().__init__(self.scale.shape, (), validate_args)

    def _moment(self, n: int) -> Tensor:
        return (1 + n / self.concentration).lgamma().exp()

    @property
    def mean(self) -> Tensor:
        return self.scale * self._moment(1)

    @property
    def mode(self) -> Tensor:
        k = self.concentration
        return self.scale * ((k - 1) / k) ** k.reciprocal()

    @property
    def variance(self) -> Tensor:
        return self.scale**2 * (self._moment(2) - self._moment(1) ** 2)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples with the gradient by both parameters."""
        return self.icdf(draws.uniform(self.scale, self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        k, x = self.concentration, value / self.scale
        return k.log() - self.scale.log() + (k - 1) * x.log() - x**k

    def cdf(self, value: Any) -> Any:
        return -(-((value / self.scale) ** self.concentration)).expm1()

    def icdf(self, value: Any) -> Any:
        return self.scale * (-(-value).log1p()) ** self.concentration.reciprocal()

    def entropy(self) -> Tensor:
        k = self.concentration
        return EULER * (1 - k.reciprocal()) + (self.scale * k.reciprocal()).log() + 1

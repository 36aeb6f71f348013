"""Transforms of values with their derivatives, and distributions of transformed values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self

from ranvier.ops import vocabulary
from ranvier.tensor.context import no_grad
from ranvier.tensor.tensor import Tensor
from ranvier.torch.distributions.distribution import Distribution
from ranvier.torch.distributions.independent import Independent

softplus: Any = vocabulary.find("torch", "F.softplus")


class Transform:
    """A function with an inverse: ``t(x)``, ``t.inv(y)``, and `log_abs_det_jacobian`.

    ``cache_size`` has no effect on values. A subclass defines ``_call``, ``_inverse`` and ``log_abs_det_jacobian``;
    ``event_dim`` is the number of dimensions that it takes together.
    """

    bijective = True
    domain: str = "real"
    codomain: str = "real"
    event_dim: int = 0
    sign: Any = 1  # of the derivative, where it has one

    def __init__(self, cache_size: int = 0) -> None:
        self._cache_size = cache_size

    @property
    def inv(self) -> Transform:
        """The inverse."""
        return _Inverse(self)

    def __call__(self, x: Any) -> Any:
        return self._call(x)

    def _call(self, x: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define _call.")

    def _inverse(self, y: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no inverse.")

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The logarithm of the size of the derivative at x, where y is ``t(x)``."""
        raise NotImplementedError(f"{type(self).__name__} has no derivative here.")

    def forward_shape(self, shape: Any) -> Any:
        """The shape of the results."""
        return shape

    inverse_shape = forward_shape

    def __eq__(self, other: object) -> bool:
        return self is other or (type(self) is type(other) and vars(self) == vars(other))

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Inverse(Transform):
    """The inverse of a transform."""

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self._of = transform
        self.domain, self.codomain = transform.codomain, transform.domain
        self.event_dim, self.sign, self.bijective = transform.event_dim, transform.sign, transform.bijective

    @property
    def inv(self) -> Transform:
        return self._of

    def _call(self, x: Any) -> Any:
        return self._of._inverse(x)

    def _inverse(self, y: Any) -> Any:
        return self._of(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -self._of.log_abs_det_jacobian(y, x)

    def __repr__(self) -> str:
        return f"{self._of!r}.inv"


class ComposeTransform(Transform):
    """Transforms one after another."""

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.parts = list(parts)
        self.event_dim = max((part.event_dim for part in self.parts), default=0)
        self.bijective = all(part.bijective for part in self.parts)
        if self.parts:
            self.domain, self.codomain = self.parts[0].domain, self.parts[-1].codomain

    @property
    def sign(self) -> Any:
        return math.prod(part.sign for part in self.parts)

    def _call(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return x

    def _inverse(self, y: Any) -> Any:
        for part in reversed(self.parts):
            y = part._inverse(y)
        return y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        total: Any = 0
        for part in self.parts:
            after = part(x)
            total = total + summed(part.log_abs_det_jacobian(x, after), self.event_dim - part.event_dim)
            x = after
        return total

    def __repr__(self) -> str:
        return f"ComposeTransform({self.parts})"


identity_transform = ComposeTransform([])


class AffineTransform(Transform):
    """``loc + scale * x``."""

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale, self.event_dim = loc, scale, event_dim

    @property
    def sign(self) -> Any:
        return self.scale.sign() if isinstance(self.scale, Tensor) else (self.scale > 0) - (self.scale < 0)

    def _call(self, x: Any) -> Any:
        return self.loc + self.scale * x

    def _inverse(self, y: Any) -> Any:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        size = self.scale.abs().log() if isinstance(self.scale, Tensor) else math.log(abs(self.scale))
        return summed(size + x * 0, self.event_dim)


class ExpTransform(Transform):
    """``exp(x)``."""

    codomain = "positive"

    def _call(self, x: Any) -> Any:
        return x.exp()

    def _inverse(self, y: Any) -> Any:
        return y.log()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return x


class PowerTransform(Transform):
    """``x ** exponent`` of numbers above 0."""

    domain = codomain = "positive"

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.exponent = exponent

    @property
    def sign(self) -> Any:
        return self.exponent.sign() if isinstance(self.exponent, Tensor) else (self.exponent > 0) - (self.exponent < 0)

    def _call(self, x: Any) -> Any:
        return x**self.exponent

    def _inverse(self, y: Any) -> Any:
        return y ** (1 / self.exponent)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return (self.exponent * y / x).abs().log()


class SigmoidTransform(Transform):
    """``1 / (1 + exp(-x))``."""

    codomain = "unit"

    def _call(self, x: Any) -> Any:
        gap = 2.0**-24 if x.dtype.name.endswith("float32") else 2.0**-53
        return x.sigmoid().clamp(min=2.0**-126 if gap == 2.0**-24 else 2.0**-1022, max=1 - gap)

    def _inverse(self, y: Any) -> Any:
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -softplus(-x) - softplus(x)


class SoftplusTransform(Transform):
    """``log(1 + exp(x))``."""

    codomain = "positive"

    def _call(self, x: Any) -> Any:
        return softplus(x)

    def _inverse(self, y: Any) -> Any:
        return (-y).expm1().neg().log() + y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -softplus(-x)


class TanhTransform(Transform):
    """``tanh(x)``, with a derivative that stays exact where tanh is nearly 1."""

    def _call(self, x: Any) -> Any:
        return x.tanh()

    def _inverse(self, y: Any) -> Any:
        return y.atanh()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return 2.0 * (math.log(2.0) - x - softplus(-2.0 * x))


class AbsTransform(Transform):
    """``|x|``, which has no inverse: that of y is y."""

    bijective = False
    codomain = "nonnegative"

    def _call(self, x: Any) -> Any:
        return x.abs()

    def _inverse(self, y: Any) -> Any:
        return y


class SoftmaxTransform(Transform):
    """Probabilities along the last dimension; the inverse is the logarithm."""

    bijective = False
    codomain = "simplex"
    event_dim = 1

    def _call(self, x: Any) -> Any:
        return x.softmax(-1)

    def _inverse(self, y: Any) -> Any:
        return y.log()


class IndependentTransform(Transform):
    """A transform whose last batch dimensions are part of an event."""

    def __init__(self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.base_transform, self.reinterpreted_batch_ndims = base_transform, reinterpreted_batch_ndims
        self.domain, self.codomain = base_transform.domain, base_transform.codomain
        self.event_dim = base_transform.event_dim + reinterpreted_batch_ndims

    def _call(self, x: Any) -> Any:
        return self.base_transform(x)

    def _inverse(self, y: Any) -> Any:
        return self.base_transform._inverse(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return summed(self.base_transform.log_abs_det_jacobian(x, y), self.reinterpreted_batch_ndims)


def summed(values: Any, dims: int) -> Any:
    """The sums over the last ``dims`` dimensions."""
    return values.sum(tuple(range(-dims, 0))) if dims > 0 and isinstance(values, Tensor) else values


class TransformedDistribution(Distribution):
    """The distribution of ``t(x)``, where x has ``base_distribution`` and t is a transform, or several in turn.

    A squashed normal distribution, for example, is ``TransformedDistribution(Normal(0, 1), TanhTransform())``.
    """

    arg_constraints: ClassVar[dict[str, str]] = {}

    def __init__(
        self,
        base_distribution: Distribution,
        transforms: Transform | Sequence[Transform],
        validate_args: bool | None = None,
    ) -> None:
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        if not all(isinstance(t, Transform) for t in self.transforms):
            raise ValueError(f"transforms={transforms!r}: write a Transform or a list of them instead.")
        event = max([len(base_distribution.event_shape), *(t.event_dim for t in self.transforms)])
        more = event - len(base_distribution.event_shape)
        self.base_dist = Independent(base_distribution, more) if more else base_distribution
        self.has_rsample = self.base_dist.has_rsample
        shape = base_distribution.batch_shape + base_distribution.event_shape
        cut = len(shape) - event
        self.support = self.transforms[-1].codomain if self.transforms else base_distribution.support
        super().__init__(shape[:cut], shape[cut:], validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        return type(self)(self.base_dist.expand(batch_shape), self.transforms, validate_args=False)

    def _forward(self, x: Any) -> Any:
        for transform in self.transforms:
            x = transform(x)
        return x

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            drawn: Tensor = self._forward(self.base_dist.sample(sample_shape))
            return drawn.detach()

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples with the gradient by the parameters."""
        drawn: Tensor = self._forward(self.base_dist.rsample(sample_shape))
        return drawn

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        event, total, y = len(self._event_shape), 0.0, value
        for transform in reversed(self.transforms):
            x = transform._inverse(y)
            total = total - summed(transform.log_abs_det_jacobian(x, y), event - transform.event_dim)
            y = x
        return self.base_dist.log_prob(y) + total

    def _turned(self, value: Any) -> Any:
        """A probability, or 1 less it where the transforms fall."""
        sign: Any = math.prod(t.sign for t in self.transforms)
        return sign * (value - 0.5) + 0.5

    def cdf(self, value: Any) -> Any:
        for transform in reversed(self.transforms):
            value = transform._inverse(value)
        return self._turned(self.base_dist.cdf(value))

    def icdf(self, value: Any) -> Any:
        return self._forward(self.base_dist.icdf(self._turned(value)))

    def __repr__(self) -> str:
        return f"TransformedDistribution({self.base_dist}, {self.transforms})"

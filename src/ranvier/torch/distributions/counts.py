"""Distributions of numbers of successes, and mixtures."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from ranvier.ops import vocabulary
from ranvier.tensor.context import no_grad
from ranvier.tensor.tensor import Tensor
from ranvier.torch.distributions import draws
from ranvier.torch.distributions.discrete import Categorical, choose_probabilities, inside
from ranvier.torch.distributions.distribution import Distribution, broadcast

where, xlogy, logsumexp, softplus = (
    vocabulary.find("torch", name) for name in ("where", "xlogy", "logsumexp", "F.softplus")
)


class _Trials(Distribution):
    """A distribution of independent trials, by the probability of a success or its logit."""

    arg_constraints: ClassVar = {"probs": "unit", "logits": "real"}
    support = "count"
    _name: str

    def __getattr__(self, name: str) -> Any:
        if name == "probs" and "_name" in vars(self):
            return self.logits.sigmoid()
        if name == "logits" and "_name" in vars(self):
            probs = inside(self.probs)
            return probs.log() - (-probs).log1p()
        return super().__getattr__(name)


class Geometric(_Trials):
    """The number of failures before the first success."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._name, value = choose_probabilities("Geometric", probs, logits)
        (vars(self)[self._name],) = broadcast(value)
        super().__init__(vars(self)[self._name].shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Tensor:
        return self.probs.detach() * 0

    @property
    def variance(self) -> Tensor:
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape, probs = self._extended_shape(sample_shape), draws.array(self.probs)
        return draws.drawn(lambda source: source.geometric(probs, shape) - 1, self.probs.dtype)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        value, probs = broadcast(value, self.probs)
        failing = where((probs == 1) & (value == 0), 0.0, probs)
        return value * (-failing).log1p() + probs.log()

    def entropy(self) -> Tensor:
        failing = 1 - self.probs
        return -(xlogy(failing, failing) + xlogy(self.probs, self.probs)) / self.probs


class Binomial(_Trials):
    """The number of successes of ``total_count`` trials."""

    arg_constraints: ClassVar = {"total_count": "count", "probs": "unit", "logits": "real"}

    def __init__(
        self, total_count: Any = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._name, value = choose_probabilities("Binomial", probs, logits)
        self.total_count, vars(self)[self._name] = broadcast(total_count, value)
        super().__init__(self.total_count.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape, probs = self._extended_shape(sample_shape), draws.array(self.probs)
        counts = draws.array(self.total_count).astype(np.int64)
        return draws.drawn(lambda source: source.binomial(counts, probs, shape), self.probs.dtype)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        count, logits = self.total_count, self.logits
        ways = (count + 1).lgamma() - (value + 1).lgamma() - (count - value + 1).lgamma()
        return ways + value * logits - count * softplus(logits)


class NegativeBinomial(_Trials):
    """The number of successes before ``total_count`` failures."""

    arg_constraints: ClassVar = {"total_count": "nonnegative", "probs": "unit", "logits": "real"}

    def __init__(
        self, total_count: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._name, value = choose_probabilities("NegativeBinomial", probs, logits)
        self.total_count, vars(self)[self._name] = broadcast(total_count, value)
        super().__init__(self.total_count.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Tensor:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0)

    @property
    def variance(self) -> Tensor:
        return self.mean / (-self.logits).sigmoid()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            shape = self._extended_shape(sample_shape)
            rate = draws.array(draws.gamma(self.total_count, shape) * self.logits.exp())
            return draws.drawn(lambda source: source.poisson(rate), self.total_count.dtype)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        logits, count = self.logits, self.total_count
        likely = -count * softplus(logits) - value * softplus(-logits)
        ways = -(count + value).lgamma() + (value + 1).lgamma() + count.lgamma()
        return likely - where(count + value == 0, 0.0, ways)


class _OverClasses(Distribution):
    """A distribution over the classes of another."""

    _categorical: Categorical

    @property
    def probs(self) -> Tensor:
        """The probabilities of the classes."""
        probs: Tensor = self._categorical.probs
        return probs

    @property
    def logits(self) -> Tensor:
        """The logarithms of the probabilities."""
        logits: Tensor = self._categorical.logits
        return logits


class Multinomial(_OverClasses):
    """The numbers of times that each class is drawn in ``total_count`` draws."""

    arg_constraints: ClassVar = {"probs": "nonnegative", "logits": "real"}
    support = "count"
    _event_dims: ClassVar = {"probs": 1, "logits": 1}

    def __init__(
        self, total_count: int = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError(  # as PyTorch does
                "Multinomial takes one total_count, a whole number, for the batch. Write one for each count instead."
            )
        self.total_count = total_count
        self._categorical = Categorical(probs=probs, logits=logits)
        super().__init__(self._categorical.batch_shape, self._categorical.param_shape[-1:], validate_args)

    @property
    def mean(self) -> Tensor:
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def _own(self) -> dict[str, Tensor]:
        return {self._categorical._name: vars(self._categorical)[self._categorical._name]}

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        ((name, value),) = self._own().items()
        expanded = value.expand(*batch_shape, value.shape[-1])
        return Multinomial(self.total_count, **{name: expanded}, validate_args=False)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape, probs = (*sample_shape, *self._batch_shape), draws.array(self.probs)
        probs = probs / probs.sum(-1, keepdims=True)
        return draws.drawn(lambda source: source.multinomial(self.total_count, probs, shape), self.probs.dtype)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        ways = (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1)
        logits = where((value == 0) & (self.logits == -math.inf), 0.0, self.logits)
        return ways + (logits * value).sum(-1)


class RelaxedOneHotCategorical(_OverClasses):
    """Probabilities near one class, with gradient: the lower ``temperature``, the nearer (Jang et al., 2017)."""

    has_rsample = True
    arg_constraints: ClassVar = {"temperature": "positive"}
    support = "simplex"

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        (self.temperature,) = broadcast(temperature)
        self._categorical = Categorical(probs=probs, logits=logits, validate_args=validate_args)
        super().__init__(self._categorical.batch_shape, self._categorical.param_shape[-1:], validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        logits = self.logits
        expanded = logits.expand(*batch_shape, logits.shape[-1])
        return RelaxedOneHotCategorical(self.temperature, logits=expanded, validate_args=False)

    def _noisy(self, sample_shape: Any) -> Tensor:
        noise = -(-draws.uniform(self.logits, self._extended_shape(sample_shape)).log()).log()
        return (self.logits + noise) / self.temperature

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples with the gradient of the probabilities."""
        drawn: Tensor = self._noisy(sample_shape).softmax(-1)
        return drawn

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            return self.rsample(sample_shape).detach()

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        classes = int(self._event_shape[-1])
        scale = math.lgamma(classes) + (classes - 1) * self.temperature.log()
        score = self.logits - self.temperature * value.log()
        score = (score - logsumexp(score, -1, keepdim=True)).sum(-1)
        return score + scale - value.log().sum(-1)


class RelaxedBernoulli(_Trials):
    """A number from 0 to 1 near one of both, with gradient: the lower ``temperature``, the nearer."""

    has_rsample = True
    support = "unit"

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._name, value = choose_probabilities("RelaxedBernoulli", probs, logits)
        (self.temperature,) = broadcast(temperature)
        (vars(self)[self._name],) = broadcast(value)
        super().__init__(vars(self)[self._name].shape, (), validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        given = {self._name: vars(self)[self._name].expand(*batch_shape)}
        return RelaxedBernoulli(self.temperature, **given, validate_args=False)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples with the gradient of the probabilities."""
        noise = draws.uniform(self.logits, self._extended_shape(sample_shape))
        drawn: Tensor = ((noise.log() - (-noise).log1p() + self.logits) / self.temperature).sigmoid()
        return drawn

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        logit = value.log() - (-value).log1p()
        difference = self.logits - self.temperature * logit
        return self.temperature.log() + difference - 2 * softplus(difference) - value.log() - (-value).log1p()


class MixtureSameFamily(Distribution):
    """A mixture: ``mixture_distribution`` chooses along the last batch dimension of ``component_distribution``.

    Raises ValueError where the numbers of components differ.
    """

    arg_constraints: ClassVar[dict[str, str]] = {}

    def __init__(
        self, mixture_distribution: Any, component_distribution: Any, validate_args: bool | None = None
    ) -> None:
        self.mixture_distribution, self.component_distribution = mixture_distribution, component_distribution
        batch = component_distribution.batch_shape
        if not isinstance(mixture_distribution, Categorical) or not batch:
            raise ValueError("MixtureSameFamily takes a Categorical, and a distribution with a batch dimension.")
        chances = mixture_distribution.param_shape[-1]
        if chances != batch[-1]:
            raise ValueError(
                f"MixtureSameFamily of {chances} probabilities and {batch[-1]} components. Write as many of both."
            )
        self.support = component_distribution.support
        super().__init__(batch[:-1], component_distribution.event_shape, validate_args)

    @property
    def _axis(self) -> int:
        return -1 - len(self._event_shape)

    def _weights(self) -> Any:
        probs = self.mixture_distribution.probs
        return probs.reshape(*probs.shape, *(1,) * len(self._event_shape))

    @property
    def mean(self) -> Tensor:
        mean: Tensor = (self._weights() * self.component_distribution.mean).sum(self._axis)
        return mean

    @property
    def variance(self) -> Tensor:
        weights, means = self._weights(), self.component_distribution.mean
        within = (weights * self.component_distribution.variance).sum(self._axis)
        between = (weights * (means - self.mean.unsqueeze(self._axis)) ** 2).sum(self._axis)
        total: Tensor = within + between
        return total

    def cdf(self, value: Any) -> Any:
        shares = self.component_distribution.cdf(value.unsqueeze(self._axis))
        return (self._weights() * shares).sum(self._axis)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        parts = self.component_distribution.log_prob(value.unsqueeze(self._axis))
        return logsumexp(parts + self.mixture_distribution.logits.log_softmax(-1), -1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            chosen = self.mixture_distribution.sample(sample_shape)
            parts = self.component_distribution.sample(sample_shape)
            places = chosen.reshape(*chosen.shape, 1, *(1,) * len(self._event_shape))
            places = places.expand(*chosen.shape, 1, *self._event_shape)
            drawn: Tensor = parts.gather(parts.ndim + self._axis, places).squeeze(self._axis)
            return drawn

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        k = self.mixture_distribution.param_shape[-1]
        parts = self.component_distribution.expand((*batch_shape, k))
        return MixtureSameFamily(self.mixture_distribution.expand(batch_shape), parts, validate_args=False)

    def __repr__(self) -> str:
        return f"MixtureSameFamily({self.mixture_distribution}, {self.component_distribution})"

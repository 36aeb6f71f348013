"""Distributions of whole numbers and classes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ranvier.ops import vocabulary
from ranvier.tensor.attribute_types import Size
from ranvier.tensor.context import no_grad
from ranvier.tensor.tensor import Tensor
from ranvier.torch.distributions import draws
from ranvier.torch.distributions.distribution import Distribution, broadcast, is_known

where, arange, one_hot, logsumexp, xlogy, cross_entropy = (
    vocabulary.find("torch", name)
    for name in ("where", "arange", "F.one_hot", "logsumexp", "xlogy", "F.binary_cross_entropy_with_logits")
)


def choose_probabilities(who: str, probs: Any, logits: Any) -> tuple[str, Any]:
    if (probs is None) == (logits is None):
        raise ValueError(f"{who} takes probs or logits. Write {who}(logits=...), or {who}(probs=...).")
    return ("logits", logits) if probs is None else ("probs", probs)


def inside(probs: Tensor) -> Tensor:
    """Probabilities, of which none is 0 or 1."""
    gap = float(np.finfo(probs.dtype.name).eps)
    inside: Tensor = probs.clamp(gap, 1 - gap)
    return inside


class Bernoulli(Distribution):
    """1 with the probability ``probs``, or ``sigmoid(logits)``, else 0."""

    has_enumerate_support = True
    arg_constraints: ClassVar = {"probs": "unit", "logits": "real"}
    support = "boolean"

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._name, value = choose_probabilities("Bernoulli", probs, logits)
        (vars(self)[self._name],) = broadcast(value)
        super().__init__(vars(self)[self._name].shape, (), validate_args)

    def __getattr__(self, name: str) -> Any:
        if name == "probs":
            return self.logits.sigmoid()
        if name == "logits":
            probs = inside(self.probs)
            return probs.log() - (-probs).log1p()
        return super().__getattr__(name)

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        return (self.probs >= 0.5).to(self.probs.dtype)

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape, probs = self._extended_shape(sample_shape), draws.parameter(self.probs)
        return draws.drawn(lambda source: source.random(shape) < probs, self.probs.dtype)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        logits, value = broadcast(self.logits, value)
        return -cross_entropy(logits, value.to(logits.dtype), reduction="none")

    def entropy(self) -> Tensor:
        entropy: Tensor = cross_entropy(self.logits, self.probs, reduction="none")
        return entropy

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """0 and 1, along a new first dimension."""
        values = arange(2, dtype=self.probs.dtype).reshape(2, *(1,) * len(self._batch_shape))
        return values.expand(2, *self._batch_shape) if expand else values


class Categorical(Distribution):
    """The number of a class, by ``probs``, which are divided by their sum, or by ``logits``: the last dimension."""

    has_enumerate_support = True
    arg_constraints: ClassVar = {"probs": "nonnegative", "logits": "real"}
    support = "count"
    _event_dims: ClassVar = {"probs": 1, "logits": 1}

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._name, value = choose_probabilities(type(self).__name__, probs, logits)
        (given,) = broadcast(value)
        if not given.ndim:
            raise ValueError(f"{type(self).__name__} takes {self._name} for each class, and got a number.")
        vars(self)[self._name] = given  # for the check
        super().__init__(given.shape[:-1], self._event(given), validate_args)
        total = given.sum(-1, keepdim=True) if self._name == "probs" else logsumexp(given, -1, keepdim=True)
        vars(self)[self._name] = given / total if self._name == "probs" else given - total

    def _event(self, given: Tensor) -> Any:
        return ()

    def __getattr__(self, name: str) -> Any:
        if name == "probs":
            return self.logits.softmax(-1)
        if name == "logits":
            return inside(self.probs).log()
        return super().__getattr__(name)

    @property
    def param_shape(self) -> Size:
        """The shape of the probabilities."""
        shape: Size = vars(self)[self._name].shape
        return shape

    @property
    def _num_events(self) -> int:
        return int(self.param_shape[-1])

    @property
    def mean(self) -> Tensor:
        return self._undefined()

    @property
    def variance(self) -> Tensor:
        return self._undefined()

    def _undefined(self) -> Tensor:
        nothing: Tensor = vocabulary.find("torch", "full")(self._extended_shape(), float("nan"))
        return nothing

    @property
    def mode(self) -> Tensor:
        return self.probs.argmax(-1)

    def _classes(self, sample_shape: Any) -> Tensor:
        shape, bounds = (*sample_shape, *self._batch_shape), np.cumsum(draws.array(self.probs), -1)

        def pick(source: np.random.Generator) -> Any:
            at = source.random(shape)[..., None] * bounds[..., -1:]
            return (at >= bounds[..., :-1]).sum(-1)

        return draws.drawn(pick, "int64")

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self._classes(sample_shape)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        if self._validates and is_known(value):
            largest = draws.array(value).max(initial=0)
            if largest >= self._num_events:
                raise ValueError(
                    f"Categorical: value is {largest:g}, and has to be below {self._num_events}, the number of classes."
                )
        chosen = arange(self._num_events) == value.unsqueeze(-1)
        return where(chosen, self.logits, 0.0).sum(-1)

    def entropy(self) -> Tensor:
        least = float(np.finfo(self.logits.dtype.name).min)
        return -(self.logits.clamp(min=least) * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """The numbers of the classes, along a new first dimension."""
        values = arange(self._num_events).reshape(-1, *(1,) * len(self._batch_shape))
        return values.expand(-1, *self._batch_shape) if expand else values


class OneHotCategorical(Categorical):
    """`Categorical` whose samples are rows with one 1."""

    support = "one_hot"

    def _event(self, given: Tensor) -> Any:
        return given.shape[-1:]

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        return self._rows(self.probs.argmax(-1))

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def _rows(self, classes: Tensor) -> Tensor:
        rows: Tensor = one_hot(classes, self._num_events).to(self.probs.dtype)
        return rows

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self._rows(self._classes(sample_shape))

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return where(value != 0, self.logits, 0.0).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """The unit vectors, along a new first dimension."""
        n = self._num_events
        values = vocabulary.find("torch", "eye")(n, dtype=self.probs.dtype)
        values = values.reshape(n, *(1,) * len(self._batch_shape), n)
        return values.expand(n, *self._batch_shape, n) if expand else values


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """`OneHotCategorical` whose samples have the gradient of the probabilities (Bengio et al., 2013)."""

    has_rsample = True

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples with the gradient of the probabilities."""
        with no_grad():
            rows = self.sample(sample_shape)
        return rows + (self.probs - self.probs.detach())


class Poisson(Distribution):
    """The number of independent events, of which ``rate`` are expected."""

    arg_constraints: ClassVar = {"rate": "nonnegative"}
    support = "count"

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast(rate)
        super().__init__(self.rate.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.rate

    @property
    def mode(self) -> Tensor:
        return self.rate.floor()

    @property
    def variance(self) -> Tensor:
        return self.rate

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape, rate = self._extended_shape(sample_shape), draws.array(self.rate)
        return draws.drawn(lambda source: source.poisson(rate, shape), self.rate.dtype)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        return xlogy(value, self.rate) - self.rate - (value + 1).lgamma()

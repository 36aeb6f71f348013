"""The Kullback-Leibler divergence of pairs of distributions, and a table of formulas for users to extend."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ranvier.ops import vocabulary
from ranvier.tensor.tensor import Tensor
from ranvier.torch.distributions.continuous import (
    Beta,
    Dirichlet,
    Exponential,
    Gamma,
    Laplace,
    LogNormal,
    Normal,
    Uniform,
)
from ranvier.torch.distributions.discrete import Bernoulli, Categorical, Poisson
from ranvier.torch.distributions.distribution import Distribution
from ranvier.torch.distributions.independent import Independent
from ranvier.torch.distributions.multivariate import MultivariateNormal, log_diagonal, solve_lower

where, softplus, stack = (vocabulary.find("torch", name) for name in ("where", "F.softplus", "stack"))

Formula = Callable[[Any, Any], Any]
_formulas: dict[tuple[type, type], Formula] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Formula], Formula]:
    """A decorator: the function gives the divergence of the first kind of distribution from the second."""

    def register(formula: Formula) -> Formula:
        _formulas[type_p, type_q] = formula
        return formula

    return register


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """The mean of ``p.log_prob(x) - q.log_prob(x)`` over samples x of p, for each element of the batch.

    Raises NotImplementedError for pairs without a formula.
    """
    for first in type(p).__mro__:
        for second in type(q).__mro__:
            formula = _formulas.get((first, second))
            if formula is not None:
                divergence: Tensor = formula(p, q)
                return divergence
    raise NotImplementedError(
        f"the divergence of {type(p).__name__} from {type(q).__name__} has no formula here. Write the mean of "
        "p.log_prob(x) - q.log_prob(x) over samples x of p."
    )


@register_kl(Normal, Normal)
@register_kl(LogNormal, LogNormal)
def _normal(p: Normal, q: Normal) -> Any:
    ratio, gap = (p.scale / q.scale) ** 2, ((p.loc - q.loc) / q.scale) ** 2
    return 0.5 * (ratio + gap - 1 - ratio.log())


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate(p: MultivariateNormal, q: MultivariateNormal) -> Any:
    n = p.event_shape[0]
    parts = [(solve_lower(q.scale_tril, p.scale_tril[..., :, j]) ** 2).sum(-1) for j in range(n)]
    gap = (solve_lower(q.scale_tril, p.loc - q.loc) ** 2).sum(-1)
    trace = stack(parts, -1).sum(-1)
    return log_diagonal(q.scale_tril) - log_diagonal(p.scale_tril) + 0.5 * (trace + gap - n)


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Bernoulli, q: Bernoulli) -> Any:
    one = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    return one + (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))


@register_kl(Categorical, Categorical)
def _categorical(p: Categorical, q: Categorical) -> Any:
    terms = where(p.probs == 0, 0.0, p.probs * (p.logits - q.logits))
    return terms.sum(-1)


@register_kl(Uniform, Uniform)
def _uniform(p: Uniform, q: Uniform) -> Any:
    inside = (q.low <= p.low) & (p.high <= q.high)
    return where(inside, ((q.high - q.low) / (p.high - p.low)).log(), math.inf)


@register_kl(Exponential, Exponential)
def _exponential(p: Exponential, q: Exponential) -> Any:
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


@register_kl(Poisson, Poisson)
def _poisson(p: Poisson, q: Poisson) -> Any:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Laplace, Laplace)
def _laplace(p: Laplace, q: Laplace) -> Any:
    ratio, gap = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + gap / q.scale + ratio * (-gap / p.scale).exp() - 1


@register_kl(Gamma, Gamma)
def _gamma(p: Gamma, q: Gamma) -> Any:
    a, b = p.concentration, q.concentration
    return (
        b * (p.rate / q.rate).log() + b.lgamma() - a.lgamma() + (a - b) * a.digamma() + (q.rate - p.rate) * (a / p.rate)
    )


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Dirichlet, q: Dirichlet) -> Any:
    a, b = p.concentration, q.concentration
    total = a.sum(-1, keepdim=True)
    return (
        total[..., 0].lgamma()
        - b.sum(-1).lgamma()
        + (b.lgamma() - a.lgamma() + (a - b) * (a.digamma() - total.digamma())).sum(-1)
    )


@register_kl(Beta, Beta)
def _beta(p: Beta, q: Beta) -> Any:
    return _dirichlet(_pair(p), _pair(q))


def _pair(beta: Beta) -> Dirichlet:
    return Dirichlet(stack([beta.concentration1, beta.concentration0], -1), validate_args=False)


@register_kl(Independent, Independent)
def _independent(p: Independent, q: Independent) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError(
            f"the events have {p.reinterpreted_batch_ndims} and {q.reinterpreted_batch_ndims} dimensions of the batch. "
            "Write the same number in both."
        )
    return p.summed(kl_divergence(p.base_dist, q.base_dist))

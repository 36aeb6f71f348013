"""Distributions against those of PyTorch: moments, probabilities, gradients and divergences."""

import contextlib
from typing import Any

import numpy as np
import pytest

import ranvier.torch as ours
from tests.peers.test_torch_vocabulary import array

pytestmark = pytest.mark.usefixtures("in_float64")

theirs = pytest.importorskip("torch")

RNG = np.random.default_rng(4)
POSITIVE = RNG.uniform(0.5, 3, (2, 3))
OTHER = RNG.uniform(0.5, 3, (2, 3))
REAL = RNG.normal(size=(2, 3))
UNIT = RNG.uniform(0.1, 0.9, (2, 3))
ROWS = UNIT / UNIT.sum(-1, keepdims=True)
ONES = np.eye(3)[[2, 0]]
LOWER = np.tril(RNG.uniform(0.3, 1, (3, 3)))
MATRIX = LOWER @ LOWER.T

COUNTS = np.array([[0.0, 1, 2], [3, 4, 5]])

# a distribution, its parameters, those of another for the divergence, and values
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any] | None, Any]] = {
    "normal": ("Normal", {"loc": REAL, "scale": POSITIVE}, {"loc": UNIT, "scale": OTHER}, REAL[::-1]),
    "lognormal": ("LogNormal", {"loc": REAL, "scale": UNIT}, {"loc": UNIT, "scale": OTHER}, POSITIVE),
    "laplace": ("Laplace", {"loc": REAL, "scale": POSITIVE}, {"loc": UNIT, "scale": OTHER}, REAL[::-1]),
    "gumbel": ("Gumbel", {"loc": REAL, "scale": POSITIVE}, None, REAL[::-1]),
    "uniform": ("Uniform", {"low": UNIT, "high": POSITIVE + 1}, {"low": UNIT - 1, "high": POSITIVE + 2}, UNIT + 0.3),
    "exponential": ("Exponential", {"rate": POSITIVE}, {"rate": OTHER}, OTHER),
    "gamma": ("Gamma", {"concentration": POSITIVE, "rate": OTHER}, {"concentration": OTHER, "rate": POSITIVE}, OTHER),
    "beta": (
        "Beta",
        {"concentration1": POSITIVE, "concentration0": OTHER},
        {"concentration1": OTHER, "concentration0": POSITIVE},
        UNIT,
    ),
    "dirichlet": ("Dirichlet", {"concentration": POSITIVE}, {"concentration": OTHER}, ROWS),
    "bernoulli": ("Bernoulli", {"probs": UNIT}, {"probs": UNIT[::-1]}, ONES),
    "bernoulli of logits": ("Bernoulli", {"logits": REAL}, {"probs": UNIT}, ONES),
    "categorical": ("Categorical", {"probs": POSITIVE}, {"probs": OTHER}, np.array([2, 0])),
    "categorical of logits": ("Categorical", {"logits": REAL}, {"logits": REAL[::-1]}, np.array([2, 0])),
    "one hot": ("OneHotCategorical", {"logits": REAL}, {"probs": OTHER}, ONES),
    "poisson": ("Poisson", {"rate": POSITIVE}, {"rate": OTHER}, np.array([[0.0, 1, 2], [3, 4, 5]])),
    "chi2": ("Chi2", {"df": POSITIVE}, None, OTHER),
    "student": ("StudentT", {"df": POSITIVE, "loc": REAL, "scale": OTHER}, None, REAL[::-1]),
    "cauchy": ("Cauchy", {"loc": REAL, "scale": POSITIVE}, None, REAL[::-1]),
    "inverse gamma": ("InverseGamma", {"concentration": POSITIVE + 2, "rate": OTHER}, None, OTHER),
    "kumaraswamy": ("Kumaraswamy", {"concentration1": POSITIVE, "concentration0": OTHER}, None, UNIT),
    "fisher": ("FisherSnedecor", {"df1": POSITIVE + 2, "df2": OTHER + 4}, None, OTHER),
    "von mises": ("VonMises", {"loc": REAL, "concentration": POSITIVE}, None, REAL[::-1]),
    "generalized pareto": ("GeneralizedPareto", {"loc": UNIT, "scale": POSITIVE, "concentration": UNIT / 3}, None, UNIT + 1),
    "low rank": ("LowRankMultivariateNormal", {"loc": REAL, "cov_factor": LOWER[:, :2], "cov_diag": POSITIVE[0]}, None, UNIT),
    "half normal": ("HalfNormal", {"scale": POSITIVE}, None, OTHER),
    "half cauchy": ("HalfCauchy", {"scale": POSITIVE}, None, OTHER),
    "pareto": ("Pareto", {"scale": UNIT, "alpha": POSITIVE + 2}, None, OTHER + 1),
    "weibull": ("Weibull", {"scale": POSITIVE, "concentration": OTHER + 1}, None, OTHER),
    "geometric": ("Geometric", {"probs": UNIT}, None, COUNTS),
    "geometric of logits": ("Geometric", {"logits": REAL}, None, COUNTS),
    "binomial": ("Binomial", {"total_count": COUNTS + 2, "probs": UNIT}, None, COUNTS),
    "negative binomial": ("NegativeBinomial", {"total_count": POSITIVE, "logits": REAL}, None, COUNTS),
    "relaxed bernoulli": ("RelaxedBernoulli", {"temperature": np.array(0.7), "logits": REAL}, None, UNIT),
    "relaxed one hot": ("RelaxedOneHotCategorical", {"temperature": np.array(0.7), "probs": OTHER}, None, ROWS),
    "covariance": (
        "MultivariateNormal",
        {"loc": REAL, "covariance_matrix": MATRIX},
        {"loc": UNIT, "scale_tril": LOWER},
        UNIT,
    ),
    "precision": ("MultivariateNormal", {"loc": REAL, "precision_matrix": MATRIX}, None, UNIT),
    "scale_tril": ("MultivariateNormal", {"loc": REAL, "scale_tril": LOWER}, {"loc": UNIT, "covariance_matrix": MATRIX}, UNIT),
}  # fmt: skip
METHODS = ("mean", "variance", "stddev", "mode", "batch_shape", "event_shape", "entropy", "log_prob", "cdf", "icdf")


def results(t, case):
    """Everything that one library says of a case, with the gradients of the parameters."""
    name, parameters, others, value = case
    kind, found = getattr(t.distributions, name), {}
    leaves = {n: t.tensor(p).requires_grad_() for n, p in parameters.items()}
    p, x = kind(**leaves), t.tensor(np.ascontiguousarray(value))
    total = 0
    for method in METHODS:
        if method in ("cdf", "icdf") and name in ("Gamma", "Beta", "Chi2", "Dirichlet", "InverseGamma", "Poisson"):
            continue
        try:
            told = getattr(p, method)
            if callable(told):
                told = (
                    told(t.tensor(UNIT) if method == "icdf" else x) if method in ("log_prob", "cdf", "icdf") else told()
                )
        except (NotImplementedError, AttributeError):
            continue
        found[method] = told
        if getattr(told, "requires_grad", False) and method != "mode":
            total = total + (told * told).sum()
    if others is not None:
        q = kind(**{n: t.tensor(np.ascontiguousarray(v)) for n, v in others.items()})
        found["kl"] = t.distributions.kl_divergence(p, q)
        total = total + found["kl"].sum()
    total.backward()
    found |= {f"gradient of {n}": leaf.grad for n, leaf in leaves.items()}
    wide = p.expand((4, *p.batch_shape))
    found |= {"expanded": wide.log_prob(x), "expanded shape": tuple(wide.sample((5,)).shape)}
    return {n: v if isinstance(v, tuple) else array(v) for n, v in found.items()}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_distribution_is_that_of_pytorch(case):
    here, there = results(ours, case), results(theirs, case)
    assert here.keys() >= there.keys() - {"mode"}
    for name in here.keys() & there.keys():
        np.testing.assert_allclose(here[name], there[name], rtol=1e-7, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", ["normal", "gamma", "beta", "dirichlet", "covariance", "laplace"])
def test_gradients_of_samples(name):
    """The mean of a function of many samples has the derivatives that PyTorch's samples estimate."""
    kind, parameters, _, _ = CASES[name]
    found = []
    for t in (ours, theirs):
        t.manual_seed(0)
        leaves = [t.tensor(p).requires_grad_() for p in parameters.values()]
        sample = getattr(t.distributions, kind)(*leaves).rsample((20_000,))
        (sample**2).mean(0).sum().backward()
        found.append([array(leaf.grad) for leaf in leaves])
    for here, there in zip(*found, strict=True):
        np.testing.assert_allclose(here, there, rtol=0.15, atol=0.15)


def squashed(d, loc, scale):
    return d.TransformedDistribution(d.Independent(d.Normal(loc, scale), 1), [d.TanhTransform(cache_size=1)])


# Distributions made of others, and a value
MADE: dict[str, Any] = {
    "squashed": (squashed, REAL / 9),
    "logistic": (lambda d, a, b: d.TransformedDistribution(d.Uniform(a * 0, b / b), [d.SigmoidTransform().inv, d.AffineTransform(a, b)]), REAL / 4),
    "powers": (lambda d, a, b: d.TransformedDistribution(d.Exponential(b), [d.PowerTransform(1 / b), d.AffineTransform(0.0, 2.0)]), OTHER),
    "composed": (lambda d, a, b: d.TransformedDistribution(d.Normal(a, b), d.ComposeTransform([d.SoftplusTransform(), d.ExpTransform()])), OTHER + 1),
    "falling": (lambda d, a, b: d.TransformedDistribution(d.Normal(a, b), [d.AffineTransform(1.0, -2.0)]), REAL),
    "mixture": (lambda d, a, b: d.MixtureSameFamily(d.Categorical(b), d.Normal(a, b + 1)), REAL[:, 0]),
    "mixture of vectors": (
        lambda d, a, b: d.MixtureSameFamily(d.Categorical(logits=a[:, 0]), d.Independent(d.Normal(a, b), 1)), REAL[0]
    ),
    "multinomial": (lambda d, a, b: d.Multinomial(6, logits=a), np.array([[1.0, 2, 3], [0, 6, 0]])),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_distributions_made_of_others(name):
    make, value = MADE[name]
    found = []
    for t in (theirs, ours):
        leaves = [t.tensor(p).requires_grad_() for p in (REAL, POSITIVE)]
        p, x = make(t.distributions, *leaves), t.tensor(np.ascontiguousarray(value))
        results = [p.log_prob(x)]
        for method in ("cdf", "mean", "variance"):
            if method != "cdf" or name in ("logistic", "powers", "composed", "falling", "mixture"):
                with contextlib.suppress(NotImplementedError):
                    results.append(p.cdf(x) if method == "cdf" else getattr(p, method))
        sum((r * r).sum() for r in results).backward()
        found.append(
            [
                tuple(p.batch_shape),
                tuple(p.event_shape),
                tuple(p.sample((4,)).shape),
                *results,
                *(v.grad for v in leaves),
            ]
        )
    for expected, got in zip(*found, strict=True):
        if expected is None or isinstance(expected, tuple):
            assert got == expected
        else:
            np.testing.assert_allclose(array(got), array(expected), rtol=1e-7, atol=1e-9)


MEANS = {
    "StudentT": {"df": 9.0, "loc": 1.0}, "HalfNormal": {"scale": 2.0}, "Weibull": {"scale": 2.0, "concentration": 1.5},
    "Pareto": {"scale": 1.0, "alpha": 5.0}, "Geometric": {"probs": 0.3}, "Binomial": {"total_count": 7, "probs": 0.4},
    "NegativeBinomial": {"total_count": 3.0, "probs": 0.4}, "Chi2": {"df": 3.0},
    "Multinomial": {"total_count": 5, "probs": ours.tensor([0.2, 0.3, 0.5])},
}  # fmt: skip


@pytest.mark.parametrize("name", MEANS)
def test_samples_have_the_mean(name):
    ours.manual_seed(0)
    p = getattr(ours.distributions, name)(**MEANS[name])
    x = array(p.sample((40_000,)))
    np.testing.assert_allclose(x.mean(0), array(p.mean), atol=5 * np.sqrt(array(p.variance).max() / 40_000))

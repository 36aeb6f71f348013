"""Distributions against those of PyTorch: moments, probabilities, gradients and divergences."""

from typing import Any

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as ours
from tests.peers.test_torch_vocabulary import array

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


@pytest.fixture(autouse=True)
def in_float64():
    kind, engine = rv.config.floatx(), rv.get_engine()
    rv.set_engine("reference")
    ours.set_default_dtype(ours.float64)
    theirs.set_default_dtype(theirs.float64)
    yield
    rv.set_engine(engine)
    ours.set_default_dtype(kind)
    theirs.set_default_dtype(theirs.float32)


def results(t, case):
    """Everything that one library says of a case, with the gradients of the parameters."""
    name, parameters, others, value = case
    kind, found = getattr(t.distributions, name), {}
    leaves = {n: t.tensor(p).requires_grad_() for n, p in parameters.items()}
    p, x = kind(**leaves), t.tensor(np.ascontiguousarray(value))
    total = 0
    for method in METHODS:
        if method in ("cdf", "icdf") and name in ("Gamma", "Beta", "Dirichlet", "Poisson"):
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

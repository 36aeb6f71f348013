"""``torch.distributions``: numbers of closed formulas, samples, and what is refused."""

import math

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier.torch import distributions as d

ROWS = [  # a distribution, a value, its log-probability, and the entropy, mean and variance
    (lambda: d.Normal(1.0, 2.0), 3.0, -0.5 - math.log(2) - 0.5 * math.log(2 * math.pi), 2.112085713764618, 1, 4),
    (lambda: d.Laplace(0.0, 2.0), 3.0, -1.5 - math.log(4), 1 + math.log(4), 0, 8),
    (lambda: d.Uniform(1.0, 3.0), 2.0, -math.log(2), math.log(2), 2, 1 / 3),
    (lambda: d.Exponential(0.5), 3.0, math.log(0.5) - 1.5, 1 + math.log(2), 2, 4),
    (lambda: d.Gamma(2.0, 1.0), 3.0, math.log(3) - 3, 1.5772156649015328, 2, 2),
    (lambda: d.Beta(2.0, 1.0), 0.5, 0, 0.5 - math.log(2), 2 / 3, 1 / 18),
    (lambda: d.Bernoulli(0.25), 1.0, math.log(0.25), 0.5623351446188083, 0.25, 0.1875),
    (lambda: d.Poisson(2.0), 3.0, math.log(8 / 6) - 2, None, 2, 2),
]


@pytest.fixture(autouse=True)
def reference(monkeypatch):
    before = rv.get_engine()
    rv.set_engine("reference")
    yield
    rv.set_engine(before)


@pytest.mark.parametrize(("make", "value", "log_prob", "entropy", "mean", "variance"), ROWS)
def test_formulas_and_samples(make, value, log_prob, entropy, mean, variance):
    made = make()
    assert made.log_prob(torch.tensor(value)).item() == pytest.approx(log_prob, abs=1e-6)
    if entropy is not None:
        assert made.entropy().item() == pytest.approx(entropy, rel=1e-5)
    assert (made.mean.item(), made.variance.item()) == (pytest.approx(mean), pytest.approx(variance, rel=1e-5))
    torch.manual_seed(1)
    sample = made.sample((20_000,))
    assert sample.mean().item() == pytest.approx(mean, abs=0.1)
    assert sample.var().item() == pytest.approx(variance, rel=0.1)
    torch.manual_seed(1)
    assert made.sample((20_000,)).equal(sample)
    assert not sample.requires_grad


def test_classes():
    made = d.Categorical(probs=torch.tensor([1.0, 0.0, 3.0]))
    assert made.log_prob(torch.tensor([0, 2])).tolist() == pytest.approx([math.log(0.25), math.log(0.75)], rel=1e-5)
    counts = torch.bincount(made.sample((4000,)), minlength=3)
    assert counts[1].item() == 0
    assert counts[2].item() == pytest.approx(3000, abs=100)
    rows = d.OneHotCategorical(logits=torch.zeros(2, 3))
    assert (rows.batch_shape, rows.event_shape, rows.sample((5,)).sum(-1).unique().tolist()) == ((2,), (3,), [1.0])


def test_events_of_several_dimensions():
    made = d.Independent(d.Normal(torch.zeros(2, 3), 1.0), 1)
    assert (made.batch_shape, made.event_shape, made.expand((4, 2)).batch_shape) == ((2,), (3,), (4, 2))
    assert made.log_prob(torch.zeros(2, 3)).tolist() == pytest.approx([-1.5 * math.log(2 * math.pi)] * 2)
    matrix = torch.tensor([[2.0, 1.0], [1.0, 2.0]])
    normal = d.MultivariateNormal(torch.zeros(2), matrix)
    assert normal.log_prob(torch.tensor([1.0, 0.0])).item() == pytest.approx(
        -1 / 3 - 0.5 * math.log(3) - math.log(2 * math.pi)
    )
    np.testing.assert_allclose(np.cov(normal.sample((20_000,)).numpy().T), matrix.numpy(), atol=0.1)


def test_samples_have_gradients():
    loc, shape = torch.tensor(0.5, requires_grad=True), torch.tensor(2.0, requires_grad=True)
    d.Normal(loc, 1.0).rsample((10,)).sum().backward()
    assert loc.grad.item() == 10
    torch.manual_seed(0)
    d.Gamma(shape, 1.0).rsample((4000,)).mean().backward()
    assert shape.grad.item() == pytest.approx(1, abs=0.05)  # the mean of the distribution is its shape


def test_divergences_are_extended():
    normal = d.Normal(0.0, 1.0), d.Normal(1.0, 1.0)
    assert d.kl_divergence(*normal).item() == 0.5

    class Mine(d.Normal):
        pass

    assert d.kl_divergence(Mine(0.0, 1.0), normal[1]).item() == 0.5
    d.register_kl(Mine, Mine)(lambda p, q: p.loc - q.loc)
    assert d.kl_divergence(Mine(3.0, 1.0), Mine(1.0, 1.0)).item() == 2


REFUSED = [
    (lambda: d.Normal(0.0, -1.0), ValueError, "Normal: scale is -1, and has to be above 0"),
    (lambda: d.Bernoulli(torch.tensor([0.5, 1.5])), ValueError, r"probs is 1.5 at index \(1,\), .* from 0 to 1"),
    (d.Bernoulli, ValueError, "takes probs or logits"),
    (lambda: d.Uniform(1.0, 0.0), ValueError, "low is not below high"),
    (lambda: d.Dirichlet(1.0), ValueError, "for each class"),
    (lambda: d.Dirichlet(torch.ones(2)).log_prob(torch.ones(2)), ValueError, "probabilities whose sum is 1"),
    (
        lambda: d.MultivariateNormal(torch.zeros(2), torch.tensor([[1.0, 2.0], [2.0, 1.0]])),
        ValueError,
        "positive definite",
    ),
    (lambda: d.MultivariateNormal(torch.zeros(2), scale_tril=torch.ones(2, 2)), ValueError, "lower triangular"),
    (lambda: d.MultivariateNormal(torch.zeros(2)), ValueError, "no matrix"),
    (lambda: d.Poisson(1.0).log_prob(torch.tensor(1.5)), ValueError, "whole number"),
    (lambda: d.OneHotCategorical(torch.ones(2)).log_prob(torch.ones(2)), ValueError, "one 1"),
    (lambda: d.Categorical(torch.ones(2)).log_prob(torch.tensor(2)), ValueError, "below 2, the number of classes"),
    (lambda: d.Categorical(torch.ones(2)).rsample(), NotImplementedError, "Categorical has no rsample"),
    (lambda: d.Independent(d.Normal(0.0, 1.0), 1), ValueError, "0 batch dimensions"),
    (lambda: d.kl_divergence(d.Normal(0.0, 1.0), d.Poisson(1.0)), NotImplementedError, "Normal from Poisson"),
]


@pytest.mark.parametrize(("refused", "error", "words"), REFUSED, ids=[row[2] for row in REFUSED])
def test_refused(refused, error, words):
    with pytest.raises(error, match=words):
        refused()


def test_checks_can_be_left_out():
    assert d.Normal(0.0, -1.0, validate_args=False).scale.item() == -1
    d.Distribution.set_default_validate_args(False)
    try:
        assert d.Exponential(-1.0).rate.item() == -1
    finally:
        d.Distribution.set_default_validate_args(True)


@pytest.mark.parametrize(
    "shapes", [((3,), (2, 2), (3,)), ((3,), (3, 2), (2,)), ((2,), (3, 2), (3,)), ((), (3, 2), (3,))]
)
def test_vectors_of_a_low_rank_covariance_have_one_size(shapes):
    with pytest.raises(ValueError, match=r"LowRankMultivariateNormal got shapes"):
        d.LowRankMultivariateNormal(*map(torch.ones, shapes))

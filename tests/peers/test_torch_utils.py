"""Weights that are computed (pruned, parametrized), buffers and sums of exponentials, against PyTorch."""

import importlib
from typing import Any

import numpy as np
import pytest

import ranvier.torch as ours
from ranvier import engines

theirs = pytest.importorskip("torch")
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")]

RNG = np.random.default_rng(0)
W, X, B = (RNG.normal(size=shape).astype(np.float32) for shape in ((4, 3), (5, 3), (4,)))


def utils(t: Any, name: str) -> Any:
    return importlib.import_module(f"{t.__name__}.nn.utils.{name}")


def linear(t: Any) -> Any:
    layer = t.nn.Linear(3, 4)
    with t.no_grad():
        layer.weight.copy_(t.tensor(W))
        layer.bias.copy_(t.tensor(B))
    return layer


def trained(t: Any, layer: Any) -> Any:
    optimizer = t.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        (layer(t.tensor(X)) ** 2).mean().backward()
        optimizer.step()
    return layer(t.tensor(X))


def pruned(t: Any) -> Any:
    layer, prune = linear(t), utils(t, "prune")
    prune.l1_unstructured(layer, "weight", amount=0.3)
    yield trained(t, layer)
    yield layer.weight_mask
    prune.ln_structured(layer, "weight", amount=0.25, n=2, dim=0)
    prune.l1_unstructured(layer, "weight", amount=2)
    yield trained(t, layer)
    yield sorted(layer.state_dict())
    yield prune.is_pruned(layer)
    prune.remove(layer, "weight")
    yield layer.weight
    yield sorted(layer.state_dict())
    yield prune.is_pruned(layer)


def pruned_together(t: Any) -> Any:
    net, prune = t.nn.Sequential(linear(t), t.nn.ReLU(), t.nn.Linear(4, 2)), utils(t, "prune")
    with t.no_grad():
        net[2].weight.copy_(t.tensor(W[:2, :1] * np.arange(1, 5, dtype=np.float32)))
        net[2].bias.zero_()
    chosen = [(net[0], "weight"), (net[2], "weight")]
    prune.global_unstructured(chosen, pruning_method=prune.L1Unstructured, amount=0.4)
    yield from (net[0].weight_mask, net[2].weight_mask, trained(t, net))


def pruned_by_a_mask_and_at_random(t: Any) -> Any:
    layer, prune = linear(t), utils(t, "prune")
    prune.custom_from_mask(layer, "bias", mask=t.tensor([1.0, 0, 1, 0]))
    prune.random_unstructured(layer, "weight", amount=5)
    prune.random_structured(layer, "weight", amount=1, dim=1)
    yield layer.bias
    yield layer.weight_mask.min(0).values.sum() <= 2


def weight_norm(t: Any) -> Any:
    layer = utils(t, "parametrizations").weight_norm(linear(t))
    yield layer(t.tensor(X))
    yield trained(t, layer)
    yield sorted(layer.state_dict())
    utils(t, "parametrize").remove_parametrizations(layer, "weight")
    yield layer.weight
    yield sorted(layer.state_dict())


def spectral_norm(t: Any) -> Any:
    layer = utils(t, "parametrizations").spectral_norm(linear(t), n_power_iterations=30)
    yield layer(t.tensor(X))
    yield trained(t, layer)
    yield sorted(layer.state_dict())


def of_ones_own(t: Any) -> Any:
    class Symmetric(t.nn.Module):  # type: ignore[misc]  # of either library
        def forward(self, x):
            return x.triu() + x.triu(1).transpose(-1, -2)

        def right_inverse(self, x):
            return x.triu()

    layer, parametrize = t.nn.Linear(3, 3), utils(t, "parametrize")
    with t.no_grad():
        layer.weight.copy_(t.tensor(W[:3]))
        layer.bias.zero_()
    parametrize.register_parametrization(layer, "weight", Symmetric())
    yield trained(t, layer)
    yield sorted(layer.state_dict())
    yield [parametrize.is_parametrized(layer, name) for name in (None, "weight", "bias")]


def logcumsumexp(t: Any) -> Any:
    x = t.tensor(X, requires_grad=True)
    y = t.logcumsumexp(x, 1)
    (y * t.tensor(X)).sum().backward()
    yield from (y, x.grad, t.logcumsumexp(x * 100, 0), x.logcumsumexp(-1))


def buffers(t: Any) -> Any:
    class Net(t.nn.Module):  # type: ignore[misc]  # of either library
        def __init__(self):
            super().__init__()
            self.a, self.b = t.nn.Buffer(t.zeros(2)), t.nn.Buffer(t.ones(1), persistent=False)

    net = Net()
    net.a.add_(1)
    yield sorted(net.state_dict())
    yield [name for name, _ in net.named_buffers()]
    yield net.a
    yield isinstance(net.b, t.nn.Buffer)


@pytest.mark.parametrize(
    "program",
    [
        pruned, pruned_together, pruned_by_a_mask_and_at_random, weight_norm, spectral_norm, of_ones_own, logcumsumexp,
        buffers,
    ],
)  # fmt: skip
def test_programs(program):
    engines.set_engine("reference")
    try:
        found = [list(program(t)) for t in (ours, theirs)]
    finally:
        engines.set_engine(None)
    for one, other in zip(*found, strict=True):
        if hasattr(other, "detach"):
            np.testing.assert_allclose(one.detach().numpy(), other.detach().numpy(), rtol=1e-4, atol=1e-5)
        else:
            assert one == other


def test_pruned_and_normed_weights_in_fit():
    prune, parametrizations = utils(ours, "prune"), utils(ours, "parametrizations")
    net = ours.nn.Sequential(prune.l1_unstructured(ours.nn.Linear(3, 4), "weight", 0.5), ours.nn.ReLU())
    net.append(parametrizations.weight_norm(ours.nn.Linear(4, 2)))
    net.compile(ours.optim.RAdam(net.parameters(), lr=0.1), "mse", engine="reference")
    history = net.fit(X, X[:, :2], epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert (net[0].weight_mask.numpy() == 0).sum() == 6

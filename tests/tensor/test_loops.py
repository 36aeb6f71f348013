"""Loops over time on tensors: carries, what they capture, and gradients that compute steps again."""

import functools
from typing import Any

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier.graph.simplify import simplify
from ranvier.ops import loops
from ranvier.tensor import executor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 11, 4)).astype(np.float32)


@pytest.fixture(autouse=True)
def reference():
    rv.set_engine("reference")
    yield
    rv.set_engine("native")


def weights():
    rng = np.random.default_rng(1)
    return [torch.tensor(rng.normal(size=s).astype(np.float32) / 2, requires_grad=True) for s in ((4, 5), (5, 5), (5,))]


def recurrent(x, w, u, b, reverse=False, recompute=False):
    def step(h, part):
        h = torch.tanh((part @ w + b) + h @ u)
        return h, {"h": h, "twice": 2 * h}

    return loops.scan(step, torch.zeros(3, 5), x, axis=1, reverse=reverse, recompute=recompute)


def gradients(network):
    x, own = torch.tensor(X, requires_grad=True), weights()
    result = network(x, *own)
    (result * torch.cos(result)).sum().backward()
    return [result.detach().numpy(), *(t.grad.numpy() for t in (x, *own) if t.grad is not None)]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_loop_in_chunks_gives_the_same(reverse):
    def whole(x, w, u, b, recompute=False):
        last, stacks = recurrent(x, w, u, b, reverse=reverse, recompute=recompute)
        return last.sum() + (stacks["h"] * stacks["twice"]).sum(1)

    chunked = gradients(functools.partial(whole, recompute=True))
    for a, b in zip(gradients(whole), chunked, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-4)


def kept(network, monkeypatch):
    """The most elements that a loop of a step's graph stacks."""
    found: list[Any] = []

    def spy(graph):
        made = simplify(graph)
        found.extend(n for n in made.nodes() if n.op.name == "result" and n.inputs[0].op.name == "scan")
        return made

    monkeypatch.setattr(executor, "simplify", spy)
    gradients(network)
    return sum(np.prod(n.shape) for n in found)


def test_recomputation_keeps_less(monkeypatch):
    x = np.repeat(X, 40, axis=1)

    def last(_, w, u, b, recompute):
        return recurrent(torch.tensor(x), w, u, b, recompute=recompute)[0]

    every = kept(functools.partial(last, recompute=False), monkeypatch)
    assert kept(functools.partial(last, recompute=True), monkeypatch) < every / 5


def test_remat_computes_a_function_again():
    def block(x, w, u, b):
        h = torch.relu(x @ w + b)
        return torch.tanh(h @ u) + h

    for a, b in zip(gradients(block), gradients(rv.remat(block)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_remat_of_numbers_and_structures():
    x = torch.tensor(X, requires_grad=True)
    made = rv.remat(lambda x, scale: {"sum": (x * scale).sum(), "x": (x, 3)})(x, scale=2.0)
    assert made["sum"].shape == ()
    assert made["x"][0].shape == X.shape
    made["sum"].backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.full_like(X, 2))


@pytest.mark.parametrize("recompute", [False, True])
def test_a_body_that_assigns_runs_step_by_step(recompute):
    count = torch.tensor(0.0)

    def step(c, x):
        count.assign(c)
        return c + 1, x

    last, _ = loops.scan(step, 0.0, torch.tensor(X), axis=1, recompute=recompute)
    assert last.item() == count.item() + 1 == 11


@pytest.mark.parametrize(
    ("carry", "slices", "options", "message"),
    [
        (0.0, [X, X[:, :2]], {"axis": 1}, r"slices along axis 1 of \[2, 11\] steps"),
        (0.0, None, {}, "a loop of None steps. Write length="),
        (np.zeros(3, np.int32), X[0, :, 0], {}, "a carry of a loop is int32"),
    ],
)
def test_mistakes(carry, slices, options, message):
    def step(c, x):
        return c + (0.5 if x is None else (x[0] if isinstance(x, list) else x).mean()), c

    with pytest.raises((ValueError, TypeError), match=message):
        loops.scan(step, carry, slices, **options)

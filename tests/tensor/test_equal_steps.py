"""A Python loop over time becomes one loop of the program, with the results of the calls that it makes."""

from typing import Any

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier.graph.graph import input_node
from ranvier.graph.node import topological
from ranvier.tensor import equal_steps, executor, trace

STEPS, ROWS, INPUTS, UNITS = 12, 3, 4, 5
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, STEPS, INPUTS)).astype(np.float32)


def weights():
    rng = np.random.default_rng(1)
    shapes = [(INPUTS, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,)]
    return [torch.tensor(rng.normal(size=s).astype(np.float32) / 2, requires_grad=True) for s in shapes]


def lstm(x, w, u, b):
    h = c = torch.zeros(ROWS, UNITS)
    for t in range(STEPS):
        i, f, g, o = ((x[:, t] @ w + b) + h @ u).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        yield h, c


def last(x, *w):
    *_, (h, c) = lstm(x, *w)
    return h * c


def every(x, *w):
    return torch.stack([h for h, _ in lstm(x, *w)], 1)


def some(x, *w):
    states = list(lstm(x, *w))
    return states[3][0] + states[7][1] + states[-1][1]


def backward_in_time(x, w, u, b):
    h = torch.zeros(ROWS, UNITS)
    for t in reversed(range(STEPS)):
        z = ((x[:, t] @ w + b) + h @ u)[:, :UNITS]
        h = torch.tanh(z) + torch.relu(z) * 0.1 + h * 0.5
    return h


def without_slices(x, w, u, b):
    h = x.mean(1) @ w[:, :UNITS]
    for _ in range(STEPS):
        h = torch.tanh(h @ u[:, :UNITS] + b[:UNITS]) * 0.5 + h * 0.9
    return h


def run(network, x):
    own = weights()
    result = network(x, *own)
    (result * torch.cos(result)).sum().backward()
    return [result.detach().numpy(), *(w.grad.numpy() for w in own)]


@pytest.fixture
def found(monkeypatch):
    """What the search finds, and a way to end it."""
    counts: list[int] = []

    def spy(calls, later, find=equal_steps.find):
        steps = find(calls, later)
        counts.extend(own.count for own, _ in steps)
        return steps

    monkeypatch.setattr(equal_steps, "find", spy)
    rv.set_engine("reference")
    trace.clear_caches()
    yield counts
    rv.set_engine("native")
    trace.clear_caches()


@pytest.mark.parametrize("sliced", [False, True], ids=["steps of data", "slices of a result"])
@pytest.mark.parametrize("network", [last, every, some, backward_in_time, without_slices], ids=lambda f: f.__name__)
def test_the_results_are_those_of_the_calls(network, sliced, found, monkeypatch):
    x = torch.tensor(X, requires_grad=True) * 1.0 if sliced else torch.tensor(X)
    rolled = run(network, x)
    assert max(found) >= STEPS - 1
    monkeypatch.setattr(equal_steps, "find", lambda calls, later: [])
    trace.clear_caches()
    x = torch.tensor(X, requires_grad=True) * 1.0 if sliced else torch.tensor(X)
    for a, b in zip(rolled, run(network, x), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_gradient_by_a_value_of_a_step_is_taken(found):
    w, u, b = weights()
    states = list(lstm(torch.tensor(X), w, u, b))
    (g,) = torch.autograd.grad(states[-1][0].sum(), [states[4][0]])
    assert np.abs(g.numpy()).max() > 0
    assert not found


def test_layers_with_weights_of_their_own_are_no_loop(found):
    layers = [torch.nn.Linear(4, 4) for _ in range(40)]
    h = torch.tensor(X[:, 0])
    for layer in layers:
        h = torch.relu(layer(h))
    h.sum().backward()
    assert layers[0].weight.grad is not None
    assert not found


def test_random_numbers_of_a_model_differ_from_step_to_step():
    rv.set_seed(3)
    rv.set_engine("reference")
    try:
        h = torch.ones(4000) * 1.0
        for _ in range(10):
            h = torch.nn.functional.dropout(h, 0.5) + 0.0 * torch.sin(h) + 0.0 * torch.cos(h)
        assert 0 < int((h != 0).sum()) < 40
    finally:
        rv.set_engine("native")


def test_parts_of_what_was_lowered_before():
    x = torch.tensor(X, requires_grad=True)
    whole: Any = x * 2
    total: Any = sum(torch.tanh(whole[:, t]) for t in range(STEPS))
    leaves = {whole.segment.ordinals[id(x)]: input_node("x", X.shape, "float32")}
    results: dict[Any, Any] = {}
    (first,) = trace.lower([whole.trace_node], leaves, results)
    (last,) = trace.lower([total.trace_node], leaves, results)
    assert first in topological([last])


def test_many_leaves_are_one_input(found, monkeypatch):
    given: list[int] = []
    compile_ = executor.engines.compile

    def spy(graph, *options):
        given.append(len(graph.inputs))
        return compile_(graph, *options)

    monkeypatch.setattr(executor.engines, "compile", spy)
    run(every, torch.tensor(X))
    assert max(given) <= 6  # the data, three weights, and the first state


def test_a_call_recorded_again_after_the_cache_forgot_it(monkeypatch):
    """Both records are one call, which comes before what reads either."""
    x = torch.tensor([0.5, 1.5])
    one = torch.sin(torch.exp(x))
    monkeypatch.setattr(trace, "_interned", {})
    two = torch.cos(torch.exp(x))
    np.testing.assert_allclose((one + two).numpy(), np.sin(np.exp([0.5, 1.5])) + np.cos(np.exp([0.5, 1.5])), rtol=1e-5)

"""Gradients that programs ask for, and where they are recorded: what PyTorch makes of each."""

import warnings

import numpy as np
import pytest
import torch as theirs

import ranvier.torch as ours
from tests.peers.test_tensors import linear, values

pytestmark = pytest.mark.peers


def asked_for_later(torch):
    w, x = torch.ones(2) * 2, (torch.ones(2) * 3).clone().detach()
    w.requires_grad = True
    x.requires_grad_()
    ((w**2).sum() + (x**3).sum()).backward()
    return [w.grad, x.grad]


def attack(torch):
    net, x = linear(torch, 2, 1), torch.ones(3, 2)
    for _ in range(3):
        x.requires_grad = True
        (slope,) = torch.autograd.grad(net(x).pow(2).sum(), x)
        x = torch.clamp(x.detach() + 0.1 * slope.sign(), 0, 1.5)
    return [x]


def second_derivative(torch):
    w = torch.tensor([2.0], requires_grad=True)
    (first,) = torch.autograd.grad((w**3).sum(), w, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), w)
    return [first, second]


def functions_without_gradients(torch):
    w = torch.ones(1, requires_grad=True)

    @torch.no_grad()
    def halves(n):
        return [float((w * n).requires_grad), *(halves(n // 2) if n else [])]

    @torch.no_grad
    def once():
        return float((w * 2).requires_grad)

    return [*halves(3), once(), float((w * 2).requires_grad)]


def generators_without_gradients(torch):
    """A generator is in its mode whenever it goes on, and what lies between is not."""
    w, modes = torch.ones(1, requires_grad=True), []

    def numbers():
        try:
            while (yield (w * 2).requires_grad) != "stop":
                pass
        except ValueError:
            yield (w * 3).requires_grad
        finally:
            modes.append((w * 4).requires_grad)
        return 7

    for make in (torch.no_grad, torch.inference_mode, lambda: torch.set_grad_enabled(False), torch.enable_grad):
        decorated = make()(numbers)
        modes.append((w * 2).requires_grad)
        with torch.set_grad_enabled(make is not torch.enable_grad):
            running = decorated()
            modes += [next(running), (w * 2).requires_grad, next(running)]
            modes += [running.throw(ValueError), (w * 2).requires_grad]
            running.close()
            running = decorated()
            next(running)
            with pytest.raises(StopIteration) as end:
                running.send("stop")
            modes += [end.value.value == 7, (w * 2).requires_grad]
    return list(map(float, modes))


def gradients_asked_for(torch):
    """By a generator of weights, of several outputs, of what is not used, by a result, to be differentiated again."""
    net = torch.nn.Sequential(linear(torch, 2, 3), torch.nn.Tanh(), linear(torch, 3, 1))
    x, unused = torch.ones(4, 2, requires_grad=True), torch.ones(3, requires_grad=True)
    hidden = net[1](net[0](x))
    out, grad = net[2](hidden), torch.autograd.grad
    results = [
        *grad(out.pow(2).sum(), net.parameters(), retain_graph=True),
        *grad(out.sum(), [hidden, x], retain_graph=True),
    ]
    results += grad([out.mean(), hidden.sum()], x, retain_graph=True)
    results += grad((out, hidden), x, (torch.ones(4, 1), hidden.detach()), retain_graph=True)
    assert grad(out.sum(), [unused, hidden * 2], allow_unused=True, retain_graph=True) == (None, None)
    results += grad(out.sum(), [unused, x], materialize_grads=True, retain_graph=True)
    for wrong in (lambda: grad(out.sum(), unused), lambda: grad(out.sum(), torch.ones(2), allow_unused=True)):
        with pytest.raises(RuntimeError):
            wrong()
    out.sum().backward(inputs=[x], retain_graph=True)
    assert net[0].weight.grad is None
    w = torch.tensor([2.0, 3.0], requires_grad=True)
    with warnings.catch_warnings(action="ignore"):
        (w**3).sum().backward(create_graph=True)
    results += [x.grad, w.grad, *grad(w.grad.sum(), w)]
    w.grad = None
    return results


def gradients_of_one_element(torch):
    w, results = torch.tensor([[2.0, 3.0]], requires_grad=True), []
    for keepdim in (True, False):
        loss = (w**2).sum(1, keepdim=keepdim)
        loss.backward()
        results += [w.grad.clone(), *torch.autograd.grad((w**3).sum(1, keepdim=keepdim), w)]
    return results


def recorded_or_not(torch):
    w = torch.ones(1, requires_grad=True)
    with torch.no_grad():
        inside = (w * 2).requires_grad
        with torch.enable_grad():
            within = (w * 2).requires_grad
    with torch.set_grad_enabled(False):
        switched = torch.is_grad_enabled()
    return [float(flag) for flag in (inside, within, switched, torch.is_grad_enabled())]


PROGRAMS = [
    asked_for_later, attack, second_derivative, recorded_or_not, functions_without_gradients, generators_without_gradients, gradients_asked_for, gradients_of_one_element,
]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_as_pytorch(program):
    for ours_, theirs_ in zip(values(program(ours)), values(program(theirs)), strict=True):
        assert ours_.shape == theirs_.shape
        np.testing.assert_allclose(ours_, theirs_, rtol=1e-5, atol=1e-6)

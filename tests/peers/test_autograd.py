"""Hooks, functions with gradients of their own, and derivatives of functions: the same programs under PyTorch."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch as theirs

import ranvier.torch as ours
import ranvier.torch.func  # noqa: F401  # `torch.func`
from ranvier.engines import set_engine

pytestmark = pytest.mark.peers


@pytest.fixture(autouse=True)
def reference():
    set_engine("reference")
    yield
    set_engine("native")


def numbers(found):
    """Nested lists of numbers, of the tensors in a result."""
    if isinstance(found, dict):
        return {k: numbers(v) for k, v in found.items()}
    if isinstance(found, (tuple, list)):
        return [numbers(v) for v in found]
    return np.asarray(found.detach(), "float64") if hasattr(found, "detach") else found


def agree(a, b):
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            agree(a[key], b[key])
    elif isinstance(a, list):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            agree(one, other)
    elif a is None or isinstance(a, (str, bool)):
        assert a == b
    else:
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)


def note(log, found, instead=None):
    """Add to the log; returns what a hook returns."""
    log.append(found)
    return instead


def network(torch):
    nn = torch.nn
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            p.copy_(((torch.arange(float(p.numel())) * (i + 1)) % 5 - 2).reshape(p.shape) / 3)
    return net


def module_hooks(torch, requires_grad):
    net: Any = network(torch)
    log: list[Any] = []
    net[0].register_forward_pre_hook(lambda m, a: (a[0] * 2,))
    net[1].register_forward_hook(lambda m, a, o: note(log, o, o + 1))
    net[1].register_full_backward_pre_hook(lambda m, go: note(log, go, (go[0] / 2,)))
    net[2].register_full_backward_hook(lambda m, gi, go: note(log, (gi, go), (gi[0] * 3,)))
    net[0].register_full_backward_hook(lambda m, gi, go: note(log, (gi, go)))
    net[0].weight.register_hook(lambda g: g + 1)
    x = (torch.arange(6.0).reshape(2, 3) / 6).requires_grad_(requires_grad)
    (net(x) ** 2).sum().backward()
    return [*log, *(p.grad for p in net.parameters()), x.grad]


def tensor_hooks(torch):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    log: list[Any] = []
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: note(log, g, g * 2))
    z = y.exp()
    loss = (y * z).sum() * y.prod()
    handle = z.register_hook(lambda g: note(log, g, g + 1))
    x.register_post_accumulate_grad_hook(lambda t: note(log, t.grad.clone()))
    loss.backward(retain_graph=True)
    handle.remove()
    loss.backward()
    return [x.grad, y.grad, z.requires_grad, y.retains_grad, log]


def second_derivatives_through_hooks(torch):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x**3
    y.register_hook(lambda g: g * 2)
    (first,) = torch.autograd.grad((y * x).sum(), x, create_graph=True)
    return [first, *torch.autograd.grad(first.sum(), x)]


def functions(torch):
    class Both(torch.autograd.Function):  # type: ignore[name-defined, misc]  # of either library
        @staticmethod
        def forward(ctx, x, factor, y):
            z = x * y
            ctx.factor = factor
            ctx.save_for_backward(x, y, z)
            ctx.set_materialize_grads(False)
            return z * factor, x.round(), z.sum()

        @staticmethod
        def backward(ctx, a, b, c):
            x, y, z = ctx.saved_tensors
            g = a * ctx.factor + (0 if b is None else b) + (0 if c is None else c) * z
            return g * y, None, g * x

    x = torch.tensor([1.2, 2.7], requires_grad=True)
    w = torch.tensor([0.5, 1.5], requires_grad=True)
    first, rounded, total = Both.apply(x * w, 3, x + 1)
    loss = (first * first).sum() + total * rounded.sum()
    found = torch.autograd.grad(loss, [x, w], create_graph=True)
    return [loss, *found, *torch.autograd.grad(found[0].sum() + found[1].prod(), [x, w])]


def derivatives(torch):
    func, functional = torch.func, torch.autograd.functional
    x, v = torch.tensor([0.3, 0.7, 1.1]), torch.tensor([1.0, -2.0, 0.5])

    def f(a, b):
        return (a.sin() * b.exp()).cumsum(0)

    def s(a):
        return (a**3).sum() * a.prod()

    return [
        func.jacrev(f, (0, 1))(x, v), func.jacfwd(f)(x, v), func.hessian(s)(x), func.jvp(f, (x, v), (v, x)),
        func.vjp(f, x, v)[1](x), func.vmap(func.hessian(s))(torch.stack([x, v])),
        func.vmap(f, in_dims=(1, None), out_dims=1)(torch.stack([x, v], 1), v),
        functional.jacobian(f, (x, v)), functional.hessian(s, x), functional.hvp(s, x, v), functional.vhp(s, x, v),
        functional.vjp(f, (x, v), x), functional.jvp(f, (x, v), (v, x)),
    ]  # fmt: skip


def gradients_of_samples(torch):
    net = network(torch)
    values = {k: v.detach() for k, v in net.named_parameters()}

    def loss(p, x, y):
        return ((torch.func.functional_call(net, p, (x.unsqueeze(0),)) - y) ** 2).mean()

    x = torch.arange(12.0).reshape(4, 3) / 10
    return torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(values, x, x[:, :2])


PROGRAMS = [
    lambda t: module_hooks(t, False), lambda t: module_hooks(t, True), tensor_hooks, second_derivatives_through_hooks,
    functions, derivatives, gradients_of_samples,
]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_programs(program):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of gradients that nobody asked for
        expected = numbers(program(theirs))
    agree(numbers(program(ours)), expected)

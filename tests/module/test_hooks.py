"""Hooks of modules: when they are called, what they get, and what they replace."""

import copy

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier.engines import set_engine
from ranvier.torch import nn


@pytest.fixture(autouse=True)
def reference():
    set_engine("reference")
    yield
    set_engine("native")


class Double(nn.Module):
    def forward(self, x, plus=0):
        return x * 2 + plus


def test_forward_hooks_see_and_replace():
    net, seen = Double(), []
    x = torch.tensor([1.0, 2.0])
    handles = [
        net.register_forward_pre_hook(lambda m, args: seen.append(("pre", m is net, args[0].tolist()))),
        net.register_forward_pre_hook(lambda m, args: args[0] + 1),
        net.register_forward_pre_hook(lambda m, args, kwargs: (args, {"plus": 5}), with_kwargs=True),
        net.register_forward_hook(lambda m, args, out: out * 10),
        net.register_forward_hook(lambda m, args, out: seen.append(("first", out.tolist())), prepend=True),
        net.register_forward_hook(lambda m, args, kwargs, out: seen.append(kwargs), with_kwargs=True),
    ]
    assert net(x).tolist() == [90, 110]
    assert seen == [("pre", True, [1, 2]), ("first", [9, 11]), {"plus": 5}]
    assert len(net._forward_hooks) == len(net._forward_pre_hooks) == 3
    for handle in handles:
        handle.remove()
    assert not net._forward_hooks
    assert net(x).tolist() == [2, 4]


def test_a_hook_that_is_always_called():
    net, seen = Double(), []
    net.register_forward_hook(lambda m, args, out: seen.append(out), always_call=True)
    with pytest.raises(TypeError):
        net("a", plus=object())
    assert seen == [None]


def test_backward_hooks():
    net, seen = nn.Sequential(Double(), Double()), []
    net[0].register_full_backward_hook(lambda m, gi, go: seen.append(("in", gi[0].tolist(), go[0].tolist())))
    handle = net[0].register_full_backward_hook(lambda m, gi, go: (gi[0] * 10,))
    net[1].register_full_backward_pre_hook(lambda m, go: (go[0] + 1,))
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    net(x).sum().backward()
    assert seen == [("in", [8, 8], [4, 4])]
    assert x.grad.tolist() == [80, 80]
    handle.remove()
    net(x).sum().backward()
    assert x.grad.tolist() == [88, 88]


def test_backward_hooks_without_gradients_of_inputs():
    net, seen = nn.Linear(2, 1), []
    net.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go[0].tolist())))
    net(torch.ones(1, 2)).sum().backward()
    assert seen == [((None,), [[1]])]
    assert net.weight.grad.tolist() == [[1, 1]]
    net.register_full_backward_hook(lambda m, gi, go: go)
    with pytest.raises(RuntimeError, match="inputs that require none"):
        net(torch.ones(1, 2)).sum().backward()


def test_a_module_called_twice_and_one_with_several_results():
    class Both(nn.Module):
        def forward(self, x, y):
            return x * y, x + y

    net, seen = Both(), []
    net.register_full_backward_hook(lambda m, gi, go: seen.append([g and g.item() for g in (*gi, *go)]))
    x, y = (torch.tensor(v, requires_grad=True) for v in (2.0, 3.0))
    product, _ = net(x, y)
    _, total = net(product, y)
    total.backward()
    assert seen == [[1, 1, None, 1], [3, 2, 1, None]]
    assert [x.grad.item(), y.grad.item()] == [3, 3]


def test_wrong_results_of_hooks():
    x = torch.ones(2, requires_grad=True)
    net = Double()
    handle = net.register_full_backward_hook(lambda m, gi, go: (gi[0], gi[0]))
    with pytest.raises(RuntimeError, match="2 gradients in place of 1"):
        net(x).sum().backward()
    handle.remove()
    net.register_forward_pre_hook(lambda m, args, kwargs: args, with_kwargs=True)
    with pytest.raises(RuntimeError, match=r"None or \(args, kwargs\)"):
        net(x)


def test_copies_keep_hooks_and_programs_see_new_ones():
    net = rv.Sequential([rv.Input((2,)), rv.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    x = np.ones((1, 2))
    assert net.predict(x, verbose=0).tolist() == [[2]]
    handle = net.layers[-1].register_forward_hook(lambda m, args, out: out + 1)
    assert net.predict(x, verbose=0).tolist() == [[3]]
    assert copy.deepcopy(net).predict(x, verbose=0).tolist() == [[3]]
    handle.remove()
    assert net.predict(x, verbose=0).tolist() == [[2]]

"""Programs that extend PyTorch's classes or look into them, run by both libraries: what each returns is the same."""

import importlib
import warnings

import pytest
import torch as theirs

import ranvier.torch as ours
from ranvier.engines import set_engine

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def of(torch, name):
    return importlib.import_module(f"{torch.__name__}.{name}")


def hooks_of_every_module(torch):
    module, log, warn = of(torch, "nn.modules.module"), [], warnings.catch_warnings()
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    net[1].register_forward_hook(lambda m, args, output: log.append("own"))
    handles = [
        module.register_module_forward_pre_hook(lambda m, args: log.append(("before", type(m).__name__))),
        module.register_module_forward_hook(lambda m, args, output: log.append(("after", type(m).__name__))),
        module.register_module_full_backward_pre_hook(lambda m, g: log.append(("gradient", type(m).__name__))),
        module.register_module_full_backward_hook(lambda m, a, g: log.append((type(m).__name__, tuple(g[0].shape)))),
    ]
    with warn:
        warnings.simplefilter("ignore")  # of PyTorch's, since the input requires no gradient
        net(torch.ones(1, 2)).sum().backward()
    for handle in handles:
        handle.remove()
    net(torch.ones(1, 2))
    return log


def a_hook_of_every_module_replaces_outputs(torch):
    module, net = of(torch, "nn.modules.module"), torch.nn.ReLU()
    with module.register_module_forward_hook(lambda m, args, output: output + 1):
        changed = net(torch.ones(2)).tolist()
    return [changed, net(torch.ones(2)).tolist()]


def dirty_arguments(torch):
    class Doubled(torch.autograd.Function):  # type: ignore[name-defined,misc]  # of either library
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2)

        @staticmethod
        def backward(ctx, g):
            return g * 2

    w = torch.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    a = w * 3
    b = Doubled.apply(a)
    (a * a).sum().backward()
    found = [b is a, a.tolist(), w.grad.tolist()]
    w.grad, part = None, w * 1
    Doubled.apply(part[:2])
    part.sum().backward()
    try:
        Doubled.apply(w)
    except RuntimeError:
        found.append("a leaf is refused")
    return [*found, w.grad.tolist()]


def writes_to_a_view_without_gradients(torch):
    w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    whole = w * 1
    part = whole[:2]
    with torch.no_grad():
        part.mul_(5)
    (part.sum() + whole.sum()).backward()
    return [part.requires_grad, part.tolist(), whole.tolist(), w.grad.tolist()]


def forward_mode(torch):
    ad = of(torch, "autograd.forward_ad")
    x, along, net = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]), torch.nn.Linear(2, 2)
    weight = torch.tensor([[0.5, -1.0], [2.0, 1.0]])
    with ad.dual_level():
        dual = ad.make_dual(x, along)
        for name in ("weight", "bias"):
            delattr(net, name)
        net.weight, net.bias = ad.make_dual(weight, torch.ones(2, 2)), torch.zeros(2)
        results = [dual, dual.sin() * dual**2, dual @ weight, x * 2, net(dual), net(x)]
        pairs = [ad.unpack_dual(r) for r in results]
    pairs.append(ad.unpack_dual(results[1]))
    return [(p.primal.tolist()[0], None if p.tangent is None else p.tangent.tolist()) for p in pairs[:-1]] + [
        pairs[-1].tangent,
        pairs[1].tangent.requires_grad,
    ]


def extra_state(torch):
    class Counting(torch.nn.Module):  # type: ignore[name-defined,misc]  # of either library
        def __init__(self, count=0):
            super().__init__()
            self.layer, self.count = torch.nn.Linear(1, 1), count

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"]

    net, other = (torch.nn.Sequential(Counting(n)) for n in (3, 0))
    state = net.state_dict()
    found = [list(state), str(other.load_state_dict(state)), other[0].count]
    del state["0._extra_state"]
    try:
        other.load_state_dict(state)
    except RuntimeError:
        found.append("missing")
    return [*found, other.load_state_dict(state, strict=False).missing_keys]


def state_that_is_assigned(torch):
    net, given = torch.nn.Linear(2, 1), torch.zeros(1, 2)
    net.load_state_dict({"weight": given, "bias": torch.ones(1, dtype=torch.float64)}, assign=True)
    given.fill_(7)
    return [net.weight.tolist(), net.bias.dtype == torch.float64, net.weight.requires_grad, type(net.weight).__name__]


def submodules_that_are_set(torch):
    net = torch.nn.Sequential(torch.nn.Sequential(torch.nn.ReLU()))
    net.set_submodule("0.0", torch.nn.Linear(1, 2))
    net.set_submodule("0.1", torch.nn.Tanh())
    found = [[type(m).__name__ for m in net.modules()]]
    for name, strict, error in (("0.7", True, AttributeError), ("5.0", False, AttributeError), ("", False, ValueError)):
        with pytest.raises(error):
            net.set_submodule(name, torch.nn.Tanh(), strict)
    return found


def states_of_modules(torch):
    class Old(torch.nn.Module):  # type: ignore[name-defined,misc]  # of either library
        def __setstate__(self, state):
            super().__setstate__(state)
            self.added = 1

    return [Old.__new__(Old) is not None, _restored(Old()).added]


def _restored(module):
    other = type(module)()
    other.__setstate__(dict(module.__dict__))
    return other


PROGRAMS = [
    hooks_of_every_module, a_hook_of_every_module_replaces_outputs, dirty_arguments,
    writes_to_a_view_without_gradients, forward_mode, extra_state, state_that_is_assigned, submodules_that_are_set,
    states_of_modules,
]  # fmt: skip


def near(value):
    """Numbers rounded, in nested lists."""
    if isinstance(value, (list, tuple)):
        return [near(v) for v in value]
    return round(value, 4) if isinstance(value, float) else value


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_programs(program):
    set_engine("reference")
    assert near(program(ours)) == near(program(theirs))

"""Hooks on tensors, and gradients that are kept: what they see, what they change, and that programs stay the same."""

import gc

import numpy as np
import pytest

from ranvier.tensor import hooks, trace
from ranvier.tensor.autograd import gradients
from ranvier.tensor.tensor import Tensor

pytestmark = pytest.mark.usefixtures("engine")


def leaf():
    return Tensor([1.0, 2.0], requires_grad=True)


def test_a_hook_sees_the_gradient_and_replaces_it():
    x, seen = leaf(), []
    y = x * 2
    y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: seen.append(g.tolist()))
    (y * y).sum().backward()
    assert seen == [[4, 8], [40, 80]]
    assert "grad_fn=<MulBackward0>" in repr(y)
    assert x.grad.tolist() == [80, 160]


def test_a_hook_that_comes_after_the_use_of_the_tensor():
    x = leaf()
    y = x * 2
    loss, other = (y * y).sum(), (x * 3).sum()
    handle = y.register_hook(lambda g: g * 10)
    loss.backward()
    assert x.grad.tolist() == [80, 160]
    handle.remove()
    x.grad = None
    (loss + other).backward()
    assert x.grad.tolist() == [11, 19]


def test_the_end_of_a_context_removes_a_hook():
    x = leaf()
    y = x * 2
    with y.register_hook(lambda g: g * 10):
        y.sum().backward()
    y.sum().backward()
    assert x.grad.tolist() == [22, 22]


def test_gradients_from_several_uses_come_together_before_the_hook():
    x, seen = leaf(), []
    y = x * 2
    y.register_hook(lambda g: seen.append(g.tolist()))
    z = y * 3
    z.register_hook(lambda g: g + 1)
    (z.sum() + (y * y).sum()).backward()
    assert seen == [[3 * 2 + 4, 3 * 2 + 8]]
    assert x.grad.tolist() == [20, 28]


def test_hooks_of_a_leaf():
    x, seen = leaf(), []
    first = x.register_hook(lambda g: g + 1)
    x.register_post_accumulate_grad_hook(lambda t: seen.append(t.grad.tolist()))
    (x * 3).sum().backward()
    first.remove()
    (x * 3).sum().backward()
    assert seen == [[4, 4], [7, 7]]
    number = id(x)
    del x
    leaf() * 2  # so that no pending program has it
    gc.collect()
    assert number not in hooks.leaf_hooks


def test_gradients_of_a_result_are_kept_after_the_hooks():
    x = leaf()
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g * 10)
    z = y * y
    assert [t.retains_grad for t in (x, y, z)] == [False, True, False]
    loss = z.sum()
    loss.backward()
    loss.backward()
    assert y.grad.tolist() == [80, 160]
    assert z.grad is None


def test_gradients_through_hooks_can_be_differentiated_again():
    x = Tensor(3.0, requires_grad=True)
    y = x * x
    y.register_hook(lambda g: g * 2)
    (first,) = gradients(y * y, [x])
    (second,) = gradients(first, [x])
    assert first.item() == 2 * 4 * 27
    # The gradient of 2 * 2y * 2x by y, which the hook doubles, and by x.
    assert second.item() == 2 * 8 * 3 * 2 * 3 + 8 * 9


def test_a_hook_may_use_results_that_are_pending_elsewhere():
    x, w = leaf(), Tensor([2.0, 3.0], requires_grad=True)
    other = w * 5
    y = x * 2
    y.register_hook(lambda g: other * g)
    y.register_hook(lambda g: g + float(g.sum()))
    z = y + 1
    z.register_hook(lambda g: w * g)
    z.sum().backward()
    assert x.grad.tolist() == [2 * (20 + 65), 2 * (45 + 65)]


def test_a_loop_with_hooks_runs_the_same_programs():
    w = Tensor([1.0, 2.0], requires_grad=True)

    def step():
        y = w * 2
        y.register_hook(lambda g: g * 10)
        y.retain_grad()
        w.grad = None
        (y * y).sum().backward()
        return w.grad.tolist() + y.grad.tolist()

    first = step()
    count = len(trace.programs)
    assert all(step() == first for _ in range(3))
    assert len(trace.programs) == count


def test_parallel_branches_meet_before_what_they_have_in_common():
    x = leaf()
    trunk, calls = x * 2, []
    trunk.register_hook(lambda g: calls.append(g.tolist()))
    parts = [trunk * k for k in (1.0, 2.0, 3.0)]
    for part in parts:
        part.register_hook(lambda g: g * 2)
    (parts[0].sum() + parts[1].sum() + parts[2].sum()).backward()
    assert calls == [[12, 12]]


WRONG = [
    (lambda: Tensor([1.0]).register_hook(print), RuntimeError, "requires none"),
    (lambda: (leaf() * 2).register_post_accumulate_grad_hook(print), RuntimeError, r"Write x.register_hook\(hook\)"),
    (lambda: backward_with(lambda g: 3), TypeError, "returned int"),
    (lambda: backward_with(lambda g: g.sum()), RuntimeError, r"of shape \(\), and the gradient has shape \(2,\)"),
]


def backward_with(hook):
    y = leaf() * 2
    y.register_hook(hook)
    y.sum().backward()


@pytest.mark.parametrize(("call", "error", "said"), WRONG, ids=range(len(WRONG)))
def test_wrong_hooks(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_a_hook_may_not_overwrite_what_the_loss_needs():
    x = leaf()
    y = x * 2
    y.register_hook(lambda g: x.assign(np.zeros(2)))
    with pytest.raises(RuntimeError, match=r"history ended|overwritten"):
        (y * y).sum().backward()

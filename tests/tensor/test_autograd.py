"""Gradients: their values, how they accumulate, and where they end."""

import numpy as np
import pytest

from ranvier.tensor.autograd import gradients
from ranvier.tensor.context import no_grad
from ranvier.tensor.tensor import Tensor

pytestmark = pytest.mark.usefixtures("engine")


# --- gradients ------------------------------------------------------------------------------------------------------


def test_gradients_accumulate():
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    (x * x).sum().backward()
    assert x.grad.tolist() == [4, 8]
    assert not x.grad.requires_grad
    (x * 3).backward([1.0, 10.0])
    assert x.grad.tolist() == [7, 38]


def test_higher_derivatives():
    x = Tensor(2.0, requires_grad=True)
    (first,) = gradients(x * x * x, [x])
    (second,) = gradients(first, [x])
    (third,) = gradients(second, [x])
    assert [first.item(), second.item(), third.item()] == [12, 12, 6]


def test_backward_after_reading():
    x = Tensor([1.0, 2.0], requires_grad=True)
    loss = (x * x).sum()
    assert loss.item() == 5
    loss.backward()
    assert x.grad.tolist() == [2, 4]


def test_detach_and_no_grad():
    x = Tensor(3.0, requires_grad=True)
    (x * x.detach()).backward()
    assert x.grad.item() == 3
    with no_grad():
        y = x * x
    assert not y.requires_grad
    with pytest.raises(RuntimeError, match="requires a gradient"):
        y.backward()

    @no_grad()
    def inference():
        return x * 2

    assert not inference().requires_grad
    assert (x * 2).requires_grad


REFUSED = [
    (lambda x: x.backward(), "needs a seed"),
    (lambda x: Tensor(1.0).backward(), "requires a gradient"),
    (lambda x: (x.argmax() == 0).float().mean().backward(), "requires a gradient"),
    (lambda x: (x > 1).sum().backward(), "requires a gradient"),
    (lambda x: x.__iadd__(1), "cannot be changed in place"),
    (lambda x: (x * 2).requires_grad_(False), "follows from its operands"),
    (lambda x: x.fill_(1.0), "cannot be changed in place"),
    (lambda x: x.copy_(Tensor([1.0, 2.0])), "cannot be changed in place"),
    (lambda x: x.__setitem__(0, 1.0), "cannot be changed in place"),
]


@pytest.mark.parametrize(("action", "message"), REFUSED)
def test_refused(action, message):
    with pytest.raises(RuntimeError, match=message):
        action(Tensor([1.0, 2.0], requires_grad=True))


@pytest.mark.parametrize(
    ("seed", "type_"),
    [(np.ones(3), r"float32\[3\]"), (np.ones((), np.float32), r"float32\[\]"), (np.ones(2, int), r"int64\[2\]")],
)
def test_a_seed_of_another_type_is_refused_at_the_call(seed, type_):
    w = Tensor([1.0, 2.0], requires_grad=True)
    y = w * 2
    with pytest.raises(RuntimeError, match=type_ + r".*float32\[2\]. Write a seed of float32 and of shape \(2,\)"):
        y.backward(seed)
    with pytest.raises(RuntimeError, match="Write a seed"):
        gradients(y, [w], Tensor(seed))
    y.backward(Tensor(np.ones(2), dtype="float64"))
    assert w.grad.tolist() == [2, 2]


# --- history --------------------------------------------------------------------------------------------------------


def test_history_ends_when_an_operand_is_overwritten():
    w = Tensor([2.0], requires_grad=True)
    loss = (w * w).sum()
    loss.item()
    with no_grad():
        w -= 1.0
    w.item()
    with pytest.raises(RuntimeError, match=r"history ended|overwritten"):
        loss.backward()
    assert loss.item() == 4


@pytest.mark.parametrize("derive", [lambda y, w: y.backward(), lambda y, w: gradients(y, [w])])
def test_history_ends_for_results_of_a_result_whose_history_ended(derive):
    """The part of the gradient that went through it would be missing."""
    w = Tensor([2.0], requires_grad=True)
    square = w * w
    square.item()
    with no_grad():
        w -= 1.0
    with pytest.raises(RuntimeError, match="history ended"):
        derive((w * square).sum(), w)
    (w * square.detach()).sum().backward()
    assert w.grad.item() == 4


def test_a_gradient_that_needs_no_value_is_computed_after_a_write():
    w = Tensor([2.0], requires_grad=True)
    y = (w * 4).sum()
    w.assign(Tensor([5.0]) * 1.0)
    y.backward()
    assert w.grad.item() == 4
    assert w.item() == 5


def test_history_ends_when_an_array_is_assigned():
    w = Tensor([2.0], requires_grad=True)
    loss = (w * w).sum()
    loss.item()
    w.assign(np.array([7.0]))
    with pytest.raises(RuntimeError, match="overwritten"):
        loss.backward()

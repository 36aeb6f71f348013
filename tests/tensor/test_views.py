"""Views: what is written through them reaches their tensor, and they show what is written to it later."""

import copy
import gc
import weakref
from typing import Any

import numpy as np
import pytest

import ranvier.torch as torch
from ranvier.graph.node import PRIMITIVES
from ranvier.tensor import movements, segment, tape

pytestmark = pytest.mark.usefixtures("engine")


def diagonal():
    x = torch.zeros(2, 2)
    x.diagonal().add_(0.5)
    return [x], [[[0.5, 0], [0, 0.5]]]


def weight_of_a_layer():
    layer = torch.nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight.zero_()
    layer.weight.data.view(-1)[0] = 7
    layer.weight.data.T[1] += 1
    return [layer.weight], [[[7, 1], [0, 1]]]


def transposed():
    x = torch.zeros(1, 2)
    x.T.fill_(4)
    return [x], [[[4, 4]]]


def initialized():
    w = torch.zeros(2, requires_grad=True)
    torch.nn.init.constant_(w.detach(), 3)
    return [w], [[3, 3]]


def gradient_of_a_part():
    x = torch.ones(4, requires_grad=True)
    y = x.clone()
    y.view(2, 2)[0].mul_(3)
    y.sum().backward()
    return [x.grad, y], [[3, 3, 1, 1], [3, 3, 1, 1]]


def copy_of_a_transpose():
    x = torch.zeros(2, 2)
    y = x.T.contiguous()
    y[0] = 9
    z = x.T.reshape(4)
    z += 1
    return [x, y, z], [[[0, 0], [0, 0]], [[9, 9], [0, 0]], [1, 1, 1, 1]]


def later_writes():
    x = torch.zeros(3)
    parts, whole = list(x), x.view(3, 1)
    before = whole + 10
    x.add_(1)
    parts[1].mul_(5)
    return [x, *parts, whole, before], [[1, 5, 1], 1, 5, 1, [[1], [5], [1]], [[10], [10], [10]]]


def views_of_what_is_gone():
    """The views show each other's writes, though nobody holds the tensor."""
    x = torch.ones(2, 2, requires_grad=True)
    y = x * 2
    row, column = y[0], y[:, 0]
    del y
    row.mul_(5)
    column.sum().backward()
    return [row, column, x.grad], [[10, 10], [10, 2], [[10, 0], [2, 0]]]


def writes_that_are_not_recorded():
    """They leave the gradient of a result as it was."""
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    y.data[0] = -0.0
    with torch.no_grad():
        y[1:].mul_(10)
    (y * y).sum().backward()
    return [y, x.grad], [[0, 20, 20], [0, 80, 80]]


def augmented():
    x = torch.ones(3) * 1
    same, part = x, x[1:]
    x += 1
    x **= 3
    part //= 3
    part %= 2
    mask = torch.tensor([True, False, True])
    both = mask
    both &= torch.tensor([True, True, False])
    both |= torch.tensor([False, True, False])
    return [same, part, mask], [[8, 0, 0], [0, 0], [True, True, False]]


def data_before_a_gradient():
    """Writes through `.data` are not told to gradients, which read the new values, as in PyTorch."""
    x, z = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0, 4.0])
    h = x * 2
    y, kept = (h * h).sum() + (x * z).sum() + (x * x).sum(), x.exp().sum()
    y.item()
    h.data.add_(1)
    z.data[0] = 5.0
    x.data.mul_(10)
    y.backward()
    first, x.grad = x.grad, None
    kept.backward()
    again: Any = x.grad
    return [first, y, (again * 100).int(), x], [[12 + 5 + 20, 20 + 4 + 40], 36, [271, 738], [10, 20]]


def optimizer_steps():
    w = torch.ones(2, requires_grad=True)
    part, data = w.view(2, 1)[1], w.data.view(1, 2)
    optimizer = torch.optim.SGD([w], lr=0.5)
    (w * w).sum().backward()
    optimizer.step()
    first = [part.tolist(), data.tolist()]
    w.grad = None
    (part * 3).sum().backward()
    return [torch.tensor(first[0]), torch.tensor(first[1]), w.grad], [[0], [[0, 0]], [0, 3]]


def gradient_of_an_alias():
    x = torch.zeros(2)
    leaf = x.detach().requires_grad_()
    (leaf * 3).sum().backward()
    x.add_(1)
    return [leaf, leaf.grad, x], [[1, 1], [3, 3], [1, 1]]


PROGRAMS = [
    diagonal, weight_of_a_layer, transposed, initialized, gradient_of_a_part, copy_of_a_transpose, later_writes, data_before_a_gradient,
    views_of_what_is_gone, writes_that_are_not_recorded, augmented, optimizer_steps, gradient_of_an_alias,
]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_writes_through_views(program):
    found, expected = program()
    assert [t.tolist() for t in found] == expected


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda: torch.zeros(3, 1).expand(3, 2).add_(1), "made by expand"),
        (lambda: torch.zeros(4).unfold(0, 2, 1).fill_(1), "made by expand or unfold"),
        (lambda: torch.zeros(2, requires_grad=True)[0].fill_(1), "a view of a tensor that requires a gradient"),
        (lambda: torch.zeros(2, 3).T.view(6), "Write x.reshape"),
        (lambda: torch.zeros(2, 3)[0].unsqueeze_(0), "the shape of a view"),
    ],
)
def test_what_is_refused(write, message):
    with pytest.raises(RuntimeError, match=message):
        write()


def test_memory_of_numpy():
    array = np.ones(3, np.float32)
    x = torch.from_numpy(array)
    part, before = x[1:], x * 2
    array[1] = 5
    x.add_(1)
    shown = x.detach().numpy()
    shown[0] = -1
    assert [t.tolist() for t in (before, x, part, x * 1)] == [[2, 2, 2], [-1, 6, 2], [6, 2], [-1, 6, 2]]
    assert array.tolist() == [-1, 6, 2]
    w = torch.nn.Parameter(x)
    (w * w).sum().backward()
    torch.optim.SGD([w], lr=0.5).step()
    assert (x.tolist(), array.tolist(), w.numpy() is w.numpy()) == ([0, 0, 0], [0, 0, 0], False)


def test_memory_of_numpy_that_is_seen_later():
    """Two parts of the tape meet: one read the tensor itself, the other what it keeps apart from NumPy's array."""
    x = torch.from_numpy(np.arange(4, dtype=np.float32))
    first = x * 2
    tape.local.segment = None
    seen = x._value
    assert ((x + 1) + first).tolist() == [1, 4, 7, 10]
    assert seen.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("add", [lambda total, loss: total.__iadd__(loss), lambda total, loss: total + loss])
def test_a_sum_of_losses_keeps_nothing(add):
    """Neither of known losses nor, without gradients, of those that are pending."""
    gc.collect()
    before = sum(len(s.live) for s in segment.local.segments)  # of other tests
    w = torch.ones(2, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.25)
    total, pending = torch.tensor(0.0), torch.tensor(0.0)
    for _ in range(20):
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        optimizer.step()
        total = add(total, loss)
        with torch.no_grad():
            pending = add(pending, (w * 0 + 1).sum())
    assert total.trace_node is None
    assert sum(len(s.live) for s in segment.local.segments) - before < 10
    assert total.item() == pytest.approx(8 / 3)
    assert pending.item() == 40
    with pytest.raises(RuntimeError, match="history ended"):
        total.backward()


def test_a_view_of_a_view_shows_what_was_written_before_in_a_traced_model():
    class Masked(torch.nn.Module):
        def forward(self, x):
            mask = torch.zeros(4, 4)
            mask[:2][:, 1:3].copy_(torch.tensor(7.0).expand(2, 2))
            return x + mask.reshape(2, 2, 4).permute(1, 0, 2).reshape(4, 4)

    x = np.zeros((2, 4, 4), np.float32)
    expected = Masked()(torch.tensor(x)).numpy()
    assert expected[0].tolist() == [[0, 7, 7, 0], [0] * 4, [0, 7, 7, 0], [0] * 4]
    np.testing.assert_array_equal(Masked().predict(x, verbose=0), expected)


def test_labels_are_checked_as_they_are_now():
    labels = torch.zeros(4, dtype=torch.long)
    part = labels[:2]
    labels.fill_(7)
    with pytest.raises(IndexError, match="7"):
        torch.nn.functional.cross_entropy(torch.zeros(2, 3), part)


def test_layouts():
    x = torch.zeros(2, 3, 4)
    assert x.mT.stride() == (12, 1, 4)
    assert not x.mT.is_contiguous()
    assert x.unfold(2, 2, 1).stride() == (12, 4, 1, 1)
    assert x[:, ::2].stride() == (12, 8, 1)
    assert x[:, 1:].reshape(2, 8).stride() == (12, 1)
    assert x.contiguous() is x
    assert movements.LAYOUTS.keys() == {op.name for op in PRIMITIVES.values() if op.is_view}


def test_a_view_keeps_no_root_that_nobody_sees():
    """So the root is no output of the program that computes the view."""
    y = torch.ones(4, requires_grad=True) * 2
    view, root = y.view(2, 2), weakref.ref(y)
    del y
    assert root() is None
    assert view.tolist() == [[2, 2], [2, 2]]


def test_copies_of_views_share_no_memory():
    x = torch.zeros(2)
    for twin in (copy.deepcopy(x[0:1]), copy.deepcopy(x), x.clone()):
        twin.add_(1)
    assert x.tolist() == [0, 0]


def test_what_numpy_may_write_is_compared_by_its_bits():
    """NaN is equal to itself, so that nothing is copied again; and -0.0 is no 0.0."""
    array = np.array([np.nan, 0.0], "float32")
    x = torch.from_numpy(array)
    first, before = x * 1, x.base.snapshot
    second, after = 1 / x, x.base.snapshot
    assert before is after
    array[1] = -0.0
    third = 1 / x
    np.testing.assert_array_equal(
        [t.numpy() for t in (first, second, third)], [[np.nan, 0], [np.nan, np.inf], [np.nan, -np.inf]]
    )

"""The tape: what is compiled once, who sees a write, and what an error leaves intact."""

import gc

import numpy as np
import pytest

from ranvier.graph.node import BATCH, GraphError, Node, Type, apply
from ranvier.ops import arrays as n
from ranvier.ops import functional as F
from ranvier.tensor import executor, layout, segment, tape, trace
from ranvier.tensor.context import no_grad
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor

pytestmark = pytest.mark.usefixtures("engine")
RNG = np.random.default_rng(2)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


# --- recording ------------------------------------------------------------------------------------------------------


def network():
    w = Tensor(normal(3, 4), requires_grad=True)
    b = Tensor(np.zeros(4), requires_grad=True)
    return w, b


def step(w, b, x, t, rate=0.1):
    y = F.relu(x @ w + b)
    loss = F.mse_loss(y, t)
    loss.backward()
    with no_grad():
        w -= rate * w.grad
        b -= rate * b.grad
    w.grad = b.grad = None
    return loss


def test_a_loop_is_compiled_once():
    w, b = network()
    x, t = normal(8, 3), normal(8, 4)
    rw, rb = w.numpy().astype(np.float64), b.numpy().astype(np.float64)
    known = []
    for _ in range(5):
        loss = step(w, b, Tensor(x), Tensor(t)).item()
        y = np.maximum(x @ rw + rb, 0)
        g = 2 * (y - t) / y.size * (y > 0)
        assert loss == pytest.approx(((y - t) ** 2).mean(), rel=1e-5)
        rw, rb = rw - 0.1 * x.T @ g, rb - 0.1 * g.sum(0)
        known.append((len(trace._interned), len(trace.programs)))
    np.testing.assert_allclose(w.numpy(), rw, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(b.numpy(), rb, rtol=1e-4, atol=1e-5)
    assert known[1:] == known[1:2] * 4


def drawn_actions(run):
    """An index that varies is an input of the program; indices that are the same in each step are constants."""
    x = Tensor(normal(4, 3), requires_grad=True)
    chosen = [(1, 0, 2), (2, 2, 0), (-1, 1, 1), (0, 0, 0), (2, 1, 0), (0, 1, 2), (1, 1, 1), (2, 0, 1)][run]
    loss = sum((x * x)[0][a] * (x * x)[a, 1] for a in chosen) + sum((x * 2)[i].sum() for i in range(4))
    loss.backward()
    v = x.numpy()
    expected = np.full((4, 3), 2.0)
    for a in chosen:
        expected[0, a] += 2 * v[0, a] * v[a, 1] ** 2
        expected[a, 1] += 2 * v[a, 1] * v[0, a] ** 2
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-4)


def replayed_states(run):
    """Which of the concatenated tensors are the same object is not part of the program."""
    kept = [Tensor(np.full((1, 2), i)) for i in range(6)]
    order = [*[(0, 1, 2)] * 5, (1, 1, 2), (1, 2, 1), (5, 5, 5)][run]
    w = Tensor([2.0, 1.0], requires_grad=True)
    now, then = n.concatenate([kept[i] for i in order]), n.stack([kept[i] for i in reversed(order)], 1)
    (n.matmul(now, w).sum() + (then * w).sum()).backward()
    assert w.grad.tolist() == [2 * sum(order)] * 2


def annealed(run):
    """A factor that changes with each step beside a constant."""
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = 3 - (run / 8) * (x * x).sum()
    y.backward()
    assert (y.item(), x.grad.tolist()) == (3 - 5 * run / 8, [-run / 4, -run / 2])


@pytest.mark.parametrize("step", [drawn_actions, replayed_states, annealed], ids=lambda step: step.__name__)
def test_values_that_vary_between_steps_compile_no_programs(step):
    known = []
    for run in range(8):
        step(run)
        known.append(len(trace.programs))
    assert known[5:] == known[5:6] * 3  # a few steps show that it varies


def test_programs_are_bounded(monkeypatch):
    monkeypatch.setattr(executor, "MAX_PROGRAMS", 3)
    x = Tensor(normal(2))
    for i in range(5):
        np.testing.assert_array_equal((x * i).numpy(), x.numpy() * np.float32(i))
    assert len(trace.programs) <= 3


def test_trace_nodes_name_their_functions():
    x = Tensor(normal(2, 3))
    p = F.softmax(x * 2)
    assert p.trace_node.function.name == "softmax"
    assert p.trace_node.inputs[0].function.name == "multiply"


def test_constants_are_distinguished_by_type_and_sign():
    """1, 1.0 and True are equal and have one hash, as 0.0 and -0.0 do."""
    x = Tensor([1, 2])
    assert [(x + v).dtype for v in (1, 1.0, True, 1)] == ["int32", "float32", "int32", "int32"]
    z = Tensor([1.0])
    assert [float(n.divide(z, v)) for v in (0.0, -0.0, 0.0)] == [np.inf, -np.inf, np.inf]


def test_unread_results_are_freed():
    x = Tensor(normal(4))
    for _ in range(3 * tape.MAX_LEAVES):
        x + Tensor(normal(4))
    gc.collect()
    assert sum(len(s.leaves) for s in segment.local.segments) < 3 * tape.MAX_LEAVES


def test_a_deep_trace():
    x = Tensor(1.0, requires_grad=True)
    y = x
    for _ in range(3000):
        y = y + x
    y.backward()
    assert (y.item(), x.grad.item()) == (3001, 3001)


def test_fortran_ordered_leaves():
    """A weight stored transposed (PyTorch's Linear) is read, differentiated and updated in place."""
    array = np.asfortranarray(normal(4, 3))
    before = array.copy()
    w, x = Tensor.wrap(array, requires_grad=True), Tensor(normal(5, 3))
    loss = F.linear(x, w).sum()
    loss.backward()
    with no_grad():
        w -= w.grad
    np.testing.assert_allclose(w.grad.numpy(), np.tile(x.numpy().sum(0), (4, 1)), rtol=1e-5)
    np.testing.assert_allclose(w.numpy(), before - np.tile(x.numpy().sum(0), (4, 1)), rtol=1e-5, atol=1e-6)
    assert w._value is array
    assert array.flags.f_contiguous


def test_leaf_input_and_to_storage():
    for array in (normal(2, 3), np.asfortranarray(normal(2, 3))):
        tensor = Tensor.wrap(array)
        source, value = layout.leaf_input("w", tensor)
        assert value.shape == (2, 3)
        assert source.shape == layout.storage(array).shape
        assert layout.to_storage(value, tensor).type == source.type
        assert layout.storage(array).flags.c_contiguous


def test_nan_constants_compile_one_program():
    x, mask = Tensor([1.0, 2.0]), Tensor([True, False])
    programs = len(trace.programs)
    for _ in range(3):
        assert np.isnan(n.where(mask, x, float("nan")).numpy()[1])
        assert np.isnan(n.full_like(x, float("nan")).numpy()).all()
    assert len(trace.programs) - programs <= 2


# --- overwriting ----------------------------------------------------------------------------------------------------


def test_results_keep_their_values_when_operands_are_overwritten():
    x = Tensor([1.0, 2.0])
    y = x + 1
    x.zero_()
    assert y.tolist() == [2, 3]
    assert (x + 1).tolist() == [1, 1]


def test_every_reader_sees_an_assignment():
    """Also calls in other segments, and NumPy."""
    x, other = Tensor([1.0]), Tensor([5.0], requires_grad=True)
    result = other * 2  # in another segment, which keeps it for its gradient
    result.item()
    x.assign(x * 10)
    assert (result + x).tolist() == [20]
    x.assign(x * 10)
    assert x.numpy().tolist() == [100]
    x += 1
    x += 1
    assert x.item() == 102


def test_a_result_can_be_overwritten():
    x = Tensor([1.0, 2.0])
    y = x * 2
    y.zero_()
    assert y.tolist() == [0, 0]
    assert x.tolist() == [1, 2]
    y[1] = 5
    assert y.tolist() == [0, 5]


def test_in_place_operations():
    x = Tensor([1.0, 4.0])
    alias = x
    x += 1
    x *= 2
    x.add_(Tensor([1.0, 1.0]), alpha=-1).clamp_(0, 5)
    assert alias is x
    assert x.tolist() == [3, 5]
    x.copy_([8, 9])
    x.fill_(4)
    assert x.tolist() == [4, 4]
    w = Tensor([1.0], requires_grad=True)
    w.data -= 0.5
    w.data.zero_()
    w.data = Tensor([3.0])
    assert w.tolist() == [3]
    assert w.requires_grad


def test_assign_refuses_another_shape():
    with pytest.raises(ValueError, match="cannot take values"):
        Tensor([1.0]).assign([1.0, 2.0])
    read_only = np.ones(2, np.float32)
    read_only.setflags(write=False)
    with pytest.raises(ValueError, match="read-only"):
        Tensor.wrap(read_only).zero_()


def late_readers():
    """Calls on a result whose segment was flushed before, read after its operand changed."""
    w = Tensor([1.0, 2.0], requires_grad=True)
    loss = (w * 2).sum()
    loss.item()
    late = [loss + 1, loss.detach() * 2, (loss > 5) * 1]
    with no_grad():
        w -= 5.0
    w.numpy()
    return [w, *late], [[-4, -3], 7, 12, 1]


def segments_that_overwrite_what_the_other_reads():
    """Neither may run first."""
    w, x = Tensor([1.0], requires_grad=True), Tensor([10.0], requires_grad=True)
    first = w * 1
    first.item()
    second = x * 1
    second.item()
    a, b = first.detach() * 1, second.detach() * 1
    x.assign(a * 2)
    w.assign(b * 2)
    return [w, x, a, b], [[20], [2], [1], [10]]


def views_before_a_step():
    w = Tensor([1.0, 1.0], requires_grad=True)
    view = w.data
    before = view + 10
    with no_grad():
        w -= 3.0
    return [before, view, view + 10, w], [[11, 11], [-2, -2], [8, 8], [-2, -2]]


def views_of_a_pending_assignment():
    w, other = Tensor([1.0]), Tensor([7.0], requires_grad=True)
    result = other * 2
    result.item()
    view = w.data
    w.assign(w * 3)
    return [result + view, w], [[17], [3]]


def exchanged_data():
    a, b = Tensor([1.0]), Tensor([2.0])
    kept = a.data
    a.data = b.data
    b.data = kept
    a.data += 10
    return [a, b, kept], [[12], [1], [1]]


def exchanged_copies():
    a, b = Tensor([1.0]), Tensor([2.0])
    kept = a.data.clone()
    a.data = b.data
    b.data = kept
    return [a, b, kept], [[2], [1], [1]]


def data_with_a_gradient_of_its_own():
    a = Tensor([1.0, 2.0])
    view = a.data.requires_grad_()
    (view * a).sum().backward()
    view.data.add_(view.grad)
    return [a, view, a.data], [[2, 4], [2, 4], [2, 4]]


def a_leaf_frozen_before_it_is_overwritten():
    w = Tensor([[1.0, 1.0], [0.0, 1.0]], requires_grad=True)
    y = w @ w @ w
    w.requires_grad = False
    w.assign(w * 5)
    return [w, y], [[[5, 5], [0, 5]], [[1, 3], [0, 1]]]


OVERWRITTEN = [
    late_readers, segments_that_overwrite_what_the_other_reads, views_before_a_step,
    views_of_a_pending_assignment, exchanged_data, exchanged_copies,
    data_with_a_gradient_of_its_own, a_leaf_frozen_before_it_is_overwritten,
]  # fmt: skip


@pytest.mark.parametrize("program", OVERWRITTEN, ids=lambda program: program.__name__)
def test_readers_of_overwritten_tensors(program):
    found, expected = program()
    assert [t.tolist() for t in found] == expected


# --- tracing --------------------------------------------------------------------------------------------------------


def test_a_placeholder_has_a_shape_and_no_value():
    x = Tensor.placeholder(Type((BATCH, 3), "float32"))
    w = Tensor(normal(3, 2), requires_grad=True)
    y = F.softmax(x @ w)
    assert y.shape == (BATCH, 2)
    assert "batch" in repr(y)
    with pytest.raises(RuntimeError, match="no value"):
        y.numpy()
    other = w * 2
    np.testing.assert_allclose(other.numpy(), w.numpy() * 2)  # traced results are not computed
    assert y.shape == (BATCH, 2)
    leaves = [y.segment.leaves[o] for o in sorted(y.trace_node.leaves)]
    assert leaves[0] is x
    assert leaves[1] is w
    nodes = {o: layout.leaf_input(f"n{o}", y.segment.leaves[o])[1] for o in y.trace_node.leaves}
    assert trace.lower([y.trace_node], nodes)[0].shape == (BATCH, 2)


# --- errors ---------------------------------------------------------------------------------------------------------


@function
def _late(x: Node) -> Node:
    """Fails when it is compiled, not when it is recorded."""
    if x.op.name != "input":
        raise GraphError("found late")
    return apply("neg", x)


def test_a_failing_result_leaves_others_computed():
    w = Tensor([1.0, 2.0], requires_grad=True)
    before, bad, after = w * 2, _late(w * 3), w * 4
    assert after.tolist() == [4, 8]
    after_bad = bad + 1
    for reading in (bad, bad, after_bad):
        with pytest.raises(GraphError, match="found late"):
            reading.numpy()
    assert before.tolist() == [2, 4]
    (w * w).sum().backward()
    assert w.grad.tolist() == [2, 4]


def test_a_failing_assignment_raises_and_is_dropped():
    w, v = Tensor([1.0, 2.0]), Tensor([3.0])
    other = w * 5
    w.assign(_late(w * 3))
    with pytest.raises(GraphError, match="found late"):
        w.numpy()
    assert w.tolist() == [1, 2]
    assert other.tolist() == [5, 10]
    assert (v + 1).tolist() == [4]

"""Tensor and tape: eager in feel, recorded in fact; what is found again, what is refused, what never changes a value."""

import gc
import threading

import numpy as np
import pytest

from ranvier.graph.node import BATCH, GraphError, Node, Type, apply
from ranvier.ops import arrays as n
from ranvier.ops import functional as F
from ranvier.tensor import executor, layout, segment, tape, trace
from ranvier.tensor.autograd import gradients
from ranvier.tensor.context import no_grad, set_dtype
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor

pytestmark = pytest.mark.usefixtures("engine")
RNG = np.random.default_rng(2)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


# --- eager in feel ----------------------------------------------------------------------------------------------------


def test_reading():
    x = Tensor([[1, 2], [3, 4]])
    assert x.numpy().tolist() == [[1, 2], [3, 4]]
    assert (x.shape, x.dtype, x.ndim, len(x), x.size(), x.size(1), x.dim(), x.numel()) == (
        (2, 2),
        "int32",
        2,
        2,
        (2, 2),
        2,
        2,
        4,
    )
    assert [row.tolist() for row in x] == [[1, 2], [3, 4]]
    assert float(x.sum()) == 10.0
    assert int(x.sum()) == 10
    assert bool(x.eq(x).all())
    assert [10, 20, 30][x[0, 1]] == 30
    assert f"{Tensor(2.5) * 2:.2f}" == "5.00"
    assert np.asarray(x + 1).tolist() == [[2, 3], [4, 5]]
    assert repr(Tensor([1.0, 2.0], requires_grad=True)) == "tensor([1., 2.], requires_grad=True)"
    assert len({x, x}) == 1


def test_reading_refuses():
    with pytest.raises(ValueError, match="needs one element"):
        Tensor([1, 2]).item()
    with pytest.raises(TypeError, match="no length"):
        len(Tensor(1))
    with pytest.raises(TypeError, match="no index"):
        [1, 2][Tensor(1.0)]
    with pytest.raises(TypeError, match="cannot hold"):
        Tensor(np.array(1j))
    with pytest.raises(OverflowError, match="int32"):
        Tensor([2**40])


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        (1.5, "float32"),
        (np.float64(1), "float32"),
        (1, "int32"),
        (True, "bool"),
        (np.uint8(3), "uint8"),
        (np.uint32(3), "uint32"),
        (np.int64(3), "int32"),
        (np.float16(1), "float32"),
    ],
)
def test_dtypes(given, dtype):
    assert Tensor(given).dtype == dtype


def test_the_default_dtype(float64):
    assert (Tensor(1.5) * 2).dtype == "float64"
    assert n.divide(Tensor(1), 2).dtype == "float64"
    set_dtype("float32")
    assert n.divide(Tensor(1), 2).dtype == "float32"
    with pytest.raises(ValueError, match="Write 'float32'"):
        set_dtype("float16")


ODD_ARRAYS = [
    RNG.normal(size=(4, 6))[::2, ::-1], RNG.normal(size=(4, 6)).T, np.broadcast_to(np.float32(2), (3, 2)), np.zeros((0, 3)),
    np.asarray(3.0), RNG.normal(size=(3, 4)).astype(">f8"), np.arange(6).astype(">i4").reshape(2, 3), np.asfortranarray(RNG.normal(size=(3, 4, 5))),
    RNG.normal(size=(3, 4, 5)).transpose(1, 0, 2),
]  # fmt: skip


@pytest.mark.parametrize("array", ODD_ARRAYS, ids=lambda a: f"{a.shape}{a.dtype.str}{a.strides}")
def test_any_layout(array):
    before = array.copy()
    x = Tensor(array)
    expected = array.astype(x.dtype)
    np.testing.assert_array_equal((x + x).numpy(), expected + expected)
    np.testing.assert_array_equal(x.numpy(), expected)
    x.fill_(7)
    np.testing.assert_array_equal(array, before)


def test_neither_side_sees_the_others_changes():
    array = np.ones(3, np.float32)
    x = Tensor(array)
    y = x + array
    array[:] = 5
    assert y.tolist() == [2, 2, 2]
    copy = x.numpy()
    copy[:] = 9
    assert x.tolist() == [1, 1, 1]


def test_zero_size_and_scalars():
    empty = Tensor(np.zeros((0, 3)))
    assert (empty * 2).shape == (0, 3)
    assert empty.sum().item() == 0
    assert n.matmul(empty, Tensor(np.ones((3, 2)))).shape == (0, 2)
    assert n.matmul(Tensor(np.ones((2, 0))), Tensor(np.ones((0, 2)))).tolist() == [[0, 0], [0, 0]]
    assert (Tensor(2.0) + Tensor(3.0)).shape == ()


# --- recorded in fact -------------------------------------------------------------------------------------------------


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


def test_a_loop_is_compiled_once_and_is_right():
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
    """An index that varies is an input of the program; one of a few that stand together each time is not."""
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
    """Which of the joined tensors are the same is no part of the program."""
    kept = [Tensor(np.full((1, 2), i)) for i in range(6)]
    order = [*[(0, 1, 2)] * 5, (1, 1, 2), (1, 2, 1), (5, 5, 5)][run]
    w = Tensor([2.0, 1.0], requires_grad=True)
    now, then = n.concatenate([kept[i] for i in order]), n.stack([kept[i] for i in reversed(order)], 1)
    (n.matmul(now, w).sum() + (then * w).sum()).backward()
    assert w.grad.tolist() == [2 * sum(order)] * 2


def annealed(run):
    """A number that changes, beside one that does not."""
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = 3 - (run / 8) * (x * x).sum()
    y.backward()
    assert (y.item(), x.grad.tolist()) == (3 - 5 * run / 8, [-run / 4, -run / 2])


@pytest.mark.parametrize("step", [drawn_actions, replayed_states, annealed], ids=lambda step: step.__name__)
def test_what_varies_from_step_to_step_makes_no_programs(step):
    known = []
    for run in range(8):
        step(run)
        known.append(len(trace.programs))
    assert known[5:] == known[5:6] * 3  # it takes a few steps to see that it does


def test_programs_are_bounded(monkeypatch):
    monkeypatch.setattr(executor, "MAX_PROGRAMS", 3)
    x = Tensor(normal(2))
    for i in range(5):
        np.testing.assert_array_equal((x * i).numpy(), x.numpy() * np.float32(i))
    assert len(trace.programs) <= 3


def test_what_was_recorded_is_known():
    x = Tensor(normal(2, 3))
    p = F.softmax(x * 2)
    assert p.trace_node.function.name == "softmax"
    assert p.trace_node.inputs[0].function.name == "multiply"


def test_numbers_are_part_of_the_program_by_type_and_sign():
    """1, 1.0 and True are equal and hash alike; 0.0 and -0.0 too."""
    x = Tensor([1, 2])
    assert [(x + v).dtype for v in (1, 1.0, True, 1)] == ["int32", "float32", "int32", "int32"]
    z = Tensor([1.0])
    assert [float(n.divide(z, v)) for v in (0.0, -0.0, 0.0)] == [np.inf, -np.inf, np.inf]


def test_what_nobody_reads_does_not_pile_up():
    x = Tensor(normal(4))
    for _ in range(3 * tape.MAX_LEAVES):
        x + Tensor(normal(4))
    gc.collect()
    assert sum(len(s.leaves) for s in segment.local.segments) < 3 * tape.MAX_LEAVES


def test_a_deep_tape():
    x = Tensor(1.0, requires_grad=True)
    y = x
    for _ in range(3000):
        y = y + x
    y.backward()
    assert (y.item(), x.grad.item()) == (3001, 3001)


def test_fortran_ordered_leaves():
    """A weight kept transposed (PyTorch's Linear) is read, differentiated and updated where it lies."""
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


# --- gradients --------------------------------------------------------------------------------------------------------


def test_backward_adds_up():
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


# --- overwriting ------------------------------------------------------------------------------------------------------


def test_what_was_computed_before_keeps_its_value():
    x = Tensor([1.0, 2.0])
    y = x + 1
    x.zero_()
    assert y.tolist() == [2, 3]
    assert (x + 1).tolist() == [1, 1]


def test_an_assignment_is_seen_by_everyone():
    """Also by what is recorded elsewhere, and through NumPy."""
    x, other = Tensor([1.0]), Tensor([5.0], requires_grad=True)
    waiting = other * 2  # pending in a segment of its own
    waiting.item()
    x.assign(x * 10)
    assert (waiting + x).tolist() == [20]
    x.assign(x * 10)
    assert x.numpy().tolist() == [100]
    x += 1
    x += 1
    assert x.item() == 102


def test_history_ends_where_an_operand_was_overwritten():
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
def test_what_a_result_without_its_history_goes_into_has_none(derive):
    """The part of the gradient that went through it would be missing."""
    w = Tensor([2.0], requires_grad=True)
    kept = w * w
    kept.item()
    with no_grad():
        w -= 1.0
    with pytest.raises(RuntimeError, match="history ended"):
        derive((w * kept).sum(), w)
    (w * kept.detach()).sum().backward()
    assert w.grad.item() == 4


def test_a_gradient_is_by_what_was_read_and_not_by_what_is_assigned_since():
    w = Tensor([2.0], requires_grad=True)
    y = (w * w).sum()
    w.assign(Tensor([5.0]) * 1.0)
    y.backward()
    assert w.grad.item() == 4
    assert w.item() == 5


def test_history_ends_when_overwritten_from_elsewhere():
    w = Tensor([2.0], requires_grad=True)
    loss = (w * w).sum()
    loss.item()
    w.assign(np.array([7.0]))
    with pytest.raises(RuntimeError, match="overwritten"):
        loss.backward()


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
    """Of a result of a stretch of tape that was computed long ago, read after what it was computed from changed."""
    w = Tensor([1.0, 2.0], requires_grad=True)
    loss = (w * 2).sum()
    loss.item()
    late = [loss + 1, loss.detach() * 2, (loss > 5) * 1]
    with no_grad():
        w -= 5.0
    w.numpy()
    return [w, *late], [[-4, -3], 7, 12, 1]


def two_stretches_that_overwrite_what_the_other_reads():
    """Neither may be computed first."""
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


def views_of_what_waits_to_be_assigned():
    w, other = Tensor([1.0]), Tensor([7.0], requires_grad=True)
    waiting = other * 2
    waiting.item()
    view = w.data
    w.assign(w * 3)
    return [waiting + view, w], [[17], [3]]


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
    return [a, view, a.data], [[1, 2], [2, 4], [1, 2]]


def a_leaf_frozen_before_it_is_overwritten():
    w = Tensor([[1.0, 1.0], [0.0, 1.0]], requires_grad=True)
    y = w @ w @ w
    w.requires_grad = False
    w.assign(w * 5)
    return [w, y], [[[5, 5], [0, 5]], [[1, 3], [0, 1]]]


OVERWRITTEN = [
    late_readers, two_stretches_that_overwrite_what_the_other_reads, views_before_a_step,
    views_of_what_waits_to_be_assigned, exchanged_data, exchanged_copies,
    data_with_a_gradient_of_its_own, a_leaf_frozen_before_it_is_overwritten,
]  # fmt: skip


@pytest.mark.parametrize("program", OVERWRITTEN, ids=lambda program: program.__name__)
def test_who_reads_what_is_overwritten(program):
    found, expected = program()
    assert [t.tolist() for t in found] == expected


# --- tracing ----------------------------------------------------------------------------------------------------------


def test_a_placeholder_has_a_shape_and_no_value():
    x = Tensor.placeholder(Type((BATCH, 3), "float32"))
    w = Tensor(normal(3, 2), requires_grad=True)
    y = F.softmax(x @ w)
    assert y.shape == (BATCH, 2)
    assert "batch" in repr(y)
    with pytest.raises(RuntimeError, match="no value"):
        y.numpy()
    other = w * 2
    np.testing.assert_allclose(other.numpy(), w.numpy() * 2)  # what is traced beside it is left alone
    assert y.shape == (BATCH, 2)
    leaves = [y.segment.leaves[o] for o in sorted(y.trace_node.leaves)]
    assert leaves[0] is x
    assert leaves[1] is w
    nodes = {o: layout.leaf_input(f"n{o}", y.segment.leaves[o])[1] for o in y.trace_node.leaves}
    assert trace.lower([y.trace_node], nodes)[0].shape == (BATCH, 2)


# --- functions --------------------------------------------------------------------------------------------------------


@function
def scaled(x: Node, factor: float, shift: Node | None = None) -> Node:
    """A tensor function of a test."""
    y: Node = n.multiply(x, factor)
    return y if shift is None else n.add(y, shift)


def test_functions():
    x = Tensor([1.0, 2.0])
    assert scaled(x, 3).tolist() == [3, 6]
    assert scaled(x=x, factor=3, shift=[1.0, 1.0]).tolist() == [4, 7]
    assert scaled(x, shift=1, factor=2).tolist() == [3, 5]
    assert scaled([1.0, 2.0], 2, None).tolist() == [2, 4]
    assert scaled.__name__ == "scaled"
    with pytest.raises(TypeError, match="factor"):
        scaled(x)
    with pytest.raises(TypeError, match="no argument 'scale'"):
        scaled(x, 2, scale=2)
    with pytest.raises(GraphError, match="broadcast"):
        scaled(x, 2, shift=[1.0, 2.0, 3.0])


def test_a_function_of_several_results():
    @function
    def halves(x: Node):
        return n.split(x, 2)

    x = Tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    a, b = halves(x)
    (a * b).sum().backward()
    assert (b.tolist(), x.grad.tolist()) == ([3, 4], [3, 4, 1, 2])


def test_functions_build_graph_from_nodes():
    from ranvier.graph.graph import input_node

    x = input_node("x", (2,), "float32")
    assert scaled(x, 3).type == x.type
    assert n.stack([x, x]).shape == (2, 2)
    assert apply("exp", x).type == n.exp(x).type


def test_threads_record_for_themselves():
    """Each thread has its own tape; results are those of one thread."""
    w = Tensor(normal(3, 3))
    results = {}

    def work(i):
        total = 0.0
        for k in range(20):
            total += float((w * (i + k)).sum())
        results[i] = total

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for i in range(4):
        assert results[i] == pytest.approx(
            sum(float(w.numpy().sum()) * (i + k) for k in range(20)), rel=1e-3, abs=1e-3
        )


def test_two_stretches_of_tape_become_one():
    """Results kept for their gradient stay in their own stretch; a call on both brings those together."""
    a, b = Tensor([2.0], requires_grad=True), Tensor([3.0], requires_grad=True)
    x = a * b
    x.item()
    y = a * 5
    y.item()
    assert x.segment is not y.segment
    (x * y).backward(np.ones(1))
    assert (a.grad.item(), b.grad.item()) == (2 * 2 * 3 * 5, 2 * 2 * 5)


# --- what cannot be computed ------------------------------------------------------------------------------------------


@function
def _late(x: Node) -> Node:
    """Fails where it is compiled, not where it is written."""
    if x.op.name != "input":
        raise GraphError("found late")
    return apply("neg", x)


def test_what_cannot_be_computed_spoils_nothing_else():
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


def test_an_assignment_that_cannot_be_made_is_told_and_dropped():
    w, v = Tensor([1.0, 2.0]), Tensor([3.0])
    other = w * 5
    w.assign(_late(w * 3))
    with pytest.raises(GraphError, match="found late"):
        w.numpy()
    assert w.tolist() == [1, 2]
    assert other.tolist() == [5, 10]
    assert (v + 1).tolist() == [4]


@pytest.mark.parametrize(
    ("seed", "told"),
    [
        (np.ones(3), r"float32\[3\]"),
        (np.ones((), np.float32), r"float32\[\]"),
        (np.ones(2, int), r"int32\[2\]"),
    ],
)
def test_a_seed_that_does_not_fit_is_told_where_it_is_given(seed, told):
    w = Tensor([1.0, 2.0], requires_grad=True)
    y = w * 2
    with pytest.raises(
        RuntimeError, match=told + r".*float32\[2\]. Write a seed of float32 and of shape \(2,\)"
    ):
        y.backward(seed)
    with pytest.raises(RuntimeError, match="Write a seed"):
        gradients(y, [w], Tensor(seed))
    y.backward(Tensor(np.ones(2), dtype="float64"))
    assert w.grad.tolist() == [2, 2]


def test_a_nan_of_each_step_is_one_program():
    x, mask = Tensor([1.0, 2.0]), Tensor([True, False])
    programs = len(trace.programs)
    for _ in range(3):
        assert np.isnan(n.where(mask, x, float("nan")).numpy()[1])
        assert np.isnan(n.full_like(x, float("nan")).numpy()).all()
    assert len(trace.programs) - programs <= 2

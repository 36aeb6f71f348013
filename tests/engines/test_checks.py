"""Values out of range: each engine reports the first one, and writes nothing of the step that computed it."""

import itertools
from typing import Any

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier import engines
from ranvier.engines.native import compiler
from ranvier.engines.native.runtime import llvm
from ranvier.engines.native.runtime.threads import threads_here
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import BATCH, apply
from ranvier.torch import nn, optim
from ranvier.torch.nn import functional as F

ROWS, STEP = 37, 16  # a last step of fewer rows


def program(dtype, shape, ignored=None):
    """A sum over checked rows is added to weights: numbers from 0 to 9 are in range."""
    x = input_node("x", (BATCH, *shape), dtype, windowed=True)
    w = input_node("w", (40,), "float32")
    checked = apply("check", x, rule="label", low=0, high=9, ignored=ignored)
    total = apply("reduce_sum", apply("cast", checked, dtype="float32"), axes=tuple(range(x.ndim)))
    return Graph((x, w), (checked,), ((w, w + apply("broadcast", total, shape=(40,), axes=())),))


@pytest.mark.parametrize("dtype", ["int32", "int64", "int8", "uint8", "float32", "float64"])
def test_the_first_value_out_of_range_is_reported_and_its_step_writes_nothing(dtype, engine):
    compiled = engines.compile(program(dtype, (5,)), STEP)
    x, w, out = np.ones((ROWS, 5), dtype), np.zeros(40, np.float32), np.empty((ROWS, 5), dtype)
    compiled.run([x, w], [out], 0, 3, ROWS)
    assert (out == x).all()
    assert (w == x.sum()).all()
    for (wrong, place), threads in itertools.product(((-3, (18, 2)), (10, (20, 4)), (99, (36, 0))), (1, 3)):
        bad = x.copy()
        bad[36, 1:] = 77
        bad[place] = np.array(wrong).astype(dtype)
        w[...] = 0
        message = (
            f"^label {bad[place]:.0f} is out of range for 10 classes, in row {place[0]}, position {place[1]}. Write"
        )
        with threads_here(threads), pytest.raises(IndexError, match=message):
            compiled.run([bad, w], [out], 0, 3, ROWS)
        assert (w == x[: place[0] // STEP * STEP].sum()).all()  # the steps before it
    compiled.run([x, w], [out], 0, 1, ROWS)  # a fault of one run is none of the next


def test_what_is_ignored_is_in_range_and_nan_is_not(engine):
    graph = program("int32", (), -100)
    x, w, out = np.full(4, -100, np.int32), np.zeros(40, np.float32), np.empty(4, np.int32)
    engines.compile(graph, 4).run([x, w], [out])
    assert w[0] == -400
    x, out = np.array([0, np.nan], np.float32), np.empty(2, np.float32)
    with pytest.raises(IndexError, match="label nan is out of range for 10 classes, in row 1"):
        engines.compile(program("float32", ()), 2).run([x, w], [out])


@pytest.mark.parametrize("target", ["x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64"])
def test_every_target_has_code_for_checks(target):
    resolved = llvm.resolve_target(target)
    text = compiler.text_of(compiler.lower(program("int64", (5,))), STEP, resolved)
    assert llvm.compile_object(text.text, resolved)


# --- fit, evaluate, predict ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "epochs"), [(40, 1), (40, 20)])
def test_an_index_without_a_vector_is_refused_in_fit_evaluate_and_predict(rows, epochs, engine):
    model = rv.Sequential([
        rv.Input((3,), dtype="int32"), rv.layers.Embedding(10, 4), rv.layers.Flatten(), rv.layers.Dense(1)
    ])  # fmt: skip
    model.compile("adam", "mse")
    x, y = np.arange(rows * 3).reshape(rows, 3) % 10, np.ones(rows)
    model.fit(x, y, epochs=epochs, batch_size=8, verbose=0, ignore="RV")
    before, wrong = model.get_weights(), x.copy()
    wrong[33, 1] = 99
    for run in (
        lambda: model.fit(wrong, y, epochs=epochs, batch_size=40, verbose=0, ignore="RV"),
        lambda: model.evaluate(wrong, y, verbose=0),
        lambda: model.predict(wrong, verbose=0),
    ):
        with pytest.raises(ValueError, match=r"^Embedding\(10, \.\.\.\) was given 99, in row 33, position 1\. .* "
                                             r"Embedding\(100, \.\.\.\), instead"):  # fmt: skip
            run()
    assert all(map(np.array_equal, before, model.get_weights()))
    model.fit(x, y, epochs=epochs, batch_size=8, verbose=0, ignore="RV")


# --- explicit loops -----------------------------------------------------------------------------------------------

LOOPS: dict[str, tuple[Any, type[Exception], str]] = {  # the loss of scores and labels that are not computed yet, and the error of labels from 7 on
    "cross_entropy": (F.cross_entropy, IndexError, "label [789] is out of range for 3 classes, in row 0"),
    "nll_loss": (F.nll_loss, IndexError, "label [789] is out of range for 3 classes, in row 0"),
    "sparse": (
        lambda out, y: rv.losses.SparseCategoricalCrossentropy(from_logits=True)(y, out), ValueError,
        "label [789] is out of range for 3 classes, in row 0",
    ),
    "embedding": (
        lambda out, y: F.embedding(y, out[:3]).sum(), IndexError, "index [789] is out of range for 3 rows, in row 0",
    ),
    "one_hot": (
        lambda out, y: (F.one_hot(y, 3) * out).sum(), RuntimeError, "index [789] is out of range for 3 classes, in row 0",
    ),
    "index": (lambda out, y: out[:3][y].sum(), IndexError, "index [789] is out of range for a dimension of 3, in row 0"),
    "index_select": (
        lambda out, y: torch.index_select(out[:3], 0, y).sum(), IndexError, "index [789] is out of range for a dimension of 3",
    ),
    "gather": (lambda out, y: out.gather(1, y.view(-1, 1)).sum(), RuntimeError, "index [789] is out of range for a dimension of 3"),
    "take_along_dim": (
        lambda out, y: torch.take_along_dim(out, y.view(-1, 1), 1).sum(), IndexError, "[789] is out of bounds",
    ),
    "scatter": (
        lambda out, y: (torch.zeros(4, 3).scatter(1, y.view(-1, 1), 1.0) * out).sum(), RuntimeError, "index [789] is out of range for a dimension of 3",
    ),
    "multi_margin_loss": (F.multi_margin_loss, RuntimeError, "label [789] is out of range for 3 classes, in row 0"),
    "binary_cross_entropy": (
        lambda out, y: F.binary_cross_entropy(torch.sigmoid(out) + (y > 3).float().view(-1, 1), torch.ones(4, 3)),
        RuntimeError, r"should be between 0 and 1, and one is 1\.[0-9]+, in row 0, position 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LOOPS)
def test_computed_labels_out_of_range_are_refused_and_the_step_is_not_made(name, engine):
    loss_of, error, message = LOOPS[name]
    torch.manual_seed(0)
    net = nn.Linear(5, 3)
    torch.nn.init.normal_(net.weight, std=0.1)  # no score is so far ahead that a margin has no gradient
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

    def step(shift):
        out = net(torch.ones(4, 5))
        loss = loss_of(out, out.argmax(1) + shift)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    assert np.isfinite(step(0).item())
    before = [p.detach().numpy().copy() for p in net.parameters()]
    with pytest.raises(error, match=message):
        step(7).item()
    assert all(map(np.array_equal, before, (p.detach().numpy() for p in net.parameters())))
    assert np.isfinite(step(0).item())
    assert not np.array_equal(before[1], net.bias.detach().numpy())


def test_a_failing_result_leaves_the_others(engine):
    x = torch.ones(3, 4, requires_grad=True)
    good, bad = (x * 2).sum(), F.cross_entropy(x, x.argmax(1) + 4)
    assert good.item() == 24
    for _ in range(2):
        with pytest.raises(IndexError, match="label 4 is out of range for 4 classes"):
            bad.item()


@pytest.mark.parametrize("index", [-1, 4])
@pytest.mark.parametrize(
    ("write", "error"),
    [
        (lambda x, i: x.gather(1, i), RuntimeError),
        (lambda x, i: x.scatter(1, i, 1.0), RuntimeError),
        (lambda x, i: x.scatter_add(1, i, torch.ones(3, 1)), RuntimeError),
        (lambda x, i: x.index_add(1, i[:, 0], torch.ones(3, 3)), RuntimeError),
        (lambda x, i: x.index_copy(1, i[:, 0], torch.ones(3, 3)), IndexError),
        (lambda x, i: x.index_select(1, i[:, 0]), IndexError),
        (lambda x, i: (x + 0).index_select(1, i[:, 0]), IndexError),
    ],
)
def test_indices_do_not_count_from_the_end(write, error, index):
    x = torch.arange(12.0).view(3, 4).requires_grad_()
    with pytest.raises(error, match=rf"^index {index} is out of range for a dimension of 4, in row 2.*from 0 to 3"):
        write(x, torch.tensor([[0], [3], [index]]))
    assert write(x, torch.tensor([[0], [3], [2]])).sum().item() > 0

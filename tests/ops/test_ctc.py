"""CTC: the sum over all readings and the best ones, against a count of every path."""

import itertools
from typing import Any

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(4, 5, 3)).astype(np.float32)
LOGS = (SCORES - np.log(np.exp(SCORES).sum(-1, keepdims=True))).astype(np.float64)
LABELS = np.array([[1, 2], [1, 1], [2, 0], [2, 1]])
STEPS, LENGTHS = [5, 4, 3, 2], [2, 2, 1, 0]


@pytest.fixture(autouse=True)
def reference():
    before = rv.get_engine()
    rv.set_engine("reference")
    yield
    rv.set_engine(before)


def read(path):
    """What a path of classes says: without repetitions, then without blanks."""
    return tuple(label for label, _ in itertools.groupby(path) if label)


def readings(logs):
    """The probability of each label sequence."""
    found: dict[Any, float] = {}
    for path in itertools.product(range(logs.shape[-1]), repeat=len(logs)):
        found[read(path)] = found.get(read(path), 0) + np.exp(logs[np.arange(len(logs)), path].sum())
    return found


EXPECTED = [
    -np.log(readings(logs[:n])[tuple(labels[:k])])
    for logs, n, labels, k in zip(LOGS, STEPS, LABELS, LENGTHS, strict=True)
]


def test_the_loss_is_that_of_all_paths(engine):
    rv.set_engine(engine)
    got = rv.ops.ctc_loss(LABELS, SCORES, LENGTHS, STEPS).numpy()
    np.testing.assert_allclose(got, EXPECTED, rtol=1e-5)


def test_the_gradient_by_finite_differences(float64):
    x = rv.Tensor(SCORES.astype(np.float64), requires_grad=True)
    rv.ops.ctc_loss(LABELS, x, LENGTHS, STEPS).sum().backward()
    step = RNG.normal(size=SCORES.shape)
    values = [rv.ops.ctc_loss(LABELS, SCORES + e * step, LENGTHS, STEPS).sum().item() for e in (1e-6, -1e-6)]
    assert np.isclose((x.grad.numpy() * step).sum(), (values[0] - values[1]) / 2e-6, rtol=1e-6)


def test_too_few_steps_are_an_infinite_loss_without_a_gradient():
    logs = torch.tensor(np.moveaxis(LOGS[:2], 0, 1).astype(np.float32), requires_grad=True)
    labels = torch.tensor([1, 1, 2])
    loss = torch.nn.functional.ctc_loss(logs, labels, (2, 2), (2, 1), reduction="none")
    assert np.isinf(loss.numpy()).tolist() == [True, False]
    torch.nn.CTCLoss(zero_infinity=True)(logs, labels, (2, 2), (2, 1)).backward()
    grad: Any = logs.grad
    assert not grad[:, 0].numpy().any()
    assert np.isfinite(grad.numpy()).all()


def test_no_probability_has_a_gradient_that_is_finite():
    with np.errstate(divide="ignore"):
        values = np.log(np.array([[[1, 0, 0]], [[0, 1, 0]], [[0.5, 0.5, 0]]], np.float32))
    logs = torch.tensor(values, requires_grad=True)
    loss = torch.nn.functional.ctc_loss(logs, torch.tensor([[1]]), [3], [1])
    loss.backward()
    assert loss.item() == 0
    assert np.isfinite(logs.grad.numpy()).all()


def test_decoding_finds_the_most_probable_labels():
    best = rv.ops.ctc_decode(SCORES, STEPS, strategy="beam_search", top_paths=2, beam_width=50)
    for i, n in enumerate(STEPS):
        order = sorted(readings(LOGS[i, :n]).items(), key=lambda item: -item[1])[:2]
        for place, (labels, p) in enumerate(order):
            assert [label for label in best[0][place, i].tolist() if label >= 0] == list(labels)
            assert np.isclose(best[1][i, place].item(), np.log(p), rtol=1e-5)
    greedy, scores = rv.ops.ctc_decode(SCORES, STEPS)
    apart, _ = rv.ops.ctc_decode(SCORES, STEPS, merge_repeated=False)
    for i, n in enumerate(STEPS):
        path = SCORES[i, :n].argmax(-1).tolist()
        assert [label for label in greedy[0, i].tolist() if label >= 0] == list(read(path))
        assert [label for label in apart[0, i].tolist() if label >= 0] == [label for label in path if label]
        assert np.isclose(scores[i, 0].item(), -SCORES[i, :n].max(-1).sum(), rtol=1e-6)


def test_a_network_learns_by_it():
    x = np.eye(4, dtype=np.float32)[np.array([[1, 1, 0, 2, 3, 3], [3, 0, 2, 2, 0, 1], [2, 2, 2, 0, 0, 3]])]
    y = np.array([[1, 2, 3], [3, 2, 1], [2, 3, 0]])
    rv.set_seed(0)
    model = rv.Sequential([rv.Input((6, 4)), rv.layers.Dense(4)])
    model.compile(rv.optimizers.Adam(0.1), "ctc")
    model.fit(x, y, epochs=100, verbose=0)
    decoded = rv.ops.ctc_decode(model.predict(x, verbose=0), [6, 6, 6])[0][0, :, :3].numpy()
    np.testing.assert_array_equal(np.where(decoded < 0, 0, decoded), y)
    with pytest.raises(ValueError, match="y has label 4 at row 0, column 0"):
        model.fit(x, y + 3, verbose=0)


REFUSED: dict[str, Any] = {
    "rank": (lambda: rv.ops.ctc_loss(LABELS, SCORES[0], LENGTHS, STEPS), ValueError, r"\(samples, steps, classes\)"),
    "label": (lambda: rv.ops.ctc_loss(LABELS + 2, SCORES, LENGTHS, STEPS), ValueError, "label 3 is out of range for 3"),
    "steps": (lambda: rv.ops.ctc_loss(LABELS, SCORES, LENGTHS, [6, 5, 5, 5]), ValueError, "length 6, in row 0, where there is room for 5"),
    "labels": (lambda: rv.ops.ctc_loss(LABELS, SCORES, [2, -1, 2, 2], STEPS), ValueError, "length -1, in row 1"),
    "steps to decode": (lambda: rv.ops.ctc_decode(SCORES, [5, 5, 5, 6]), ValueError, "Write lengths from 0 to 5"),
    "strategy": (lambda: rv.ops.ctc_decode(SCORES, STEPS, "best"), ValueError, "Write 'greedy' or 'beam_search'"),
    "lengths": (lambda: rv.ops.ctc_decode(SCORES, [5]), ValueError, r"and lengths \(batch,\)"),
    "targets": (
        lambda: torch.nn.functional.ctc_loss(torch.tensor(SCORES), torch.tensor([1, 2]), [4] * 5, [1] * 5), RuntimeError,
        "2 targets, and target_lengths that add up to 5",
    ),
    "one length": (
        lambda: torch.nn.functional.ctc_loss(torch.tensor(SCORES), torch.tensor(LABELS), [4], [1] * 5), RuntimeError,
        "Write one for each sample",
    ),
    "one sample": (
        lambda: torch.nn.functional.ctc_loss(torch.tensor(SCORES[0]), torch.tensor(LABELS[0]), [4, 4], [1, 1]),
        RuntimeError, "Write one for each sample",
    ),
    "reduction": (lambda: torch.nn.CTCLoss(reduction="max"), ValueError, "Write 'mean', 'sum' or 'none'"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()

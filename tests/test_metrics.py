"""Metrics against what they are by hand, in every form of target, alone and in batches, with and without weights."""

import numpy as np
import pytest

from ranvier import metrics
from ranvier.graph import ops

assert ops.PRIMITIVES

RNG = np.random.default_rng(3)
N, K = 60, 4
LABELS = RNG.integers(0, K, N)
SCORES = RNG.random((N, K)).astype(np.float32)
SCORES[np.arange(0, N, 2), LABELS[::2]] += 1  # half of them surely right
SCORES /= SCORES.sum(1, keepdims=True)
HOT = np.eye(K, dtype=np.float32)[LABELS]
YES = RNG.integers(0, 2, N)
CHANCE = np.clip(0.4 * YES + 0.6 * RNG.random(N), 0, 1).astype(np.float32)
WEIGHTS = RNG.integers(0, 4, N).astype(np.float32)
DECIDED = SCORES.argmax(1)


def confusion(truth, decided, classes, weights=None):
    table = np.zeros((classes, classes))
    np.add.at(table, (truth, decided), 1 if weights is None else weights)
    return table


def per_class(which, table):
    hit = np.diag(table)
    whole = {"precision": table.sum(0), "recall": table.sum(1), "f1": (table.sum(0) + table.sum(1)) / 2}[
        which
    ]
    return hit / np.maximum(whole, 1e-12)


TABLE = confusion(LABELS, DECIDED, K)
HEAVY = confusion(LABELS, DECIDED, K, WEIGHTS)
BINARY = confusion(YES, (CHANCE > 0.5).astype(int), 2)
TOP2 = (np.argsort(-SCORES, 1)[:, :2] == LABELS[:, None]).any(1)
VALUES = RNG.normal(size=(N, 2)).astype(np.float32)
TARGETS = RNG.normal(size=(N, 2)).astype(np.float32)
RIGHT = DECIDED == LABELS
MULTI = (SCORES > 0.5) & (HOT > 0)

ROWS = [  # metric, targets, predictions, weights, expected
    ("accuracy", LABELS, SCORES, None, RIGHT.mean()),
    ("accuracy", LABELS[:, None], SCORES, None, RIGHT.mean()),
    ("accuracy", HOT, SCORES, None, RIGHT.mean()),
    ("accuracy", LABELS, SCORES, WEIGHTS, np.average(RIGHT, weights=WEIGHTS)),
    ("accuracy", YES, CHANCE[:, None], None, np.diag(BINARY).sum() / N),
    ("accuracy", YES[:, None], CHANCE[:, None], None, np.diag(BINARY).sum() / N),
    ("accuracy", LABELS, DECIDED, None, RIGHT.mean()),
    ("binary_accuracy", YES, CHANCE, None, np.diag(BINARY).sum() / N),
    (metrics.BinaryAccuracy(threshold=0.3), YES, CHANCE, None, ((CHANCE > 0.3) == YES).mean()),
    ("categorical_accuracy", HOT, SCORES, None, RIGHT.mean()),
    ("sparse_categorical_accuracy", LABELS, SCORES, None, RIGHT.mean()),
    (metrics.SparseTopKCategoricalAccuracy(2), LABELS, SCORES, None, TOP2.mean()),
    (metrics.TopKCategoricalAccuracy(2), HOT, SCORES, WEIGHTS, np.average(TOP2, weights=WEIGHTS)),
    (metrics.TopKCategoricalAccuracy(K), HOT, SCORES, None, 1.0),
    ("mse", TARGETS, VALUES, None, ((TARGETS - VALUES) ** 2).mean()),
    ("mse", TARGETS[:, 0], VALUES[:, :1], None, ((TARGETS - VALUES)[:, 0] ** 2).mean()),
    ("mae", TARGETS, VALUES, WEIGHTS, np.average(abs(TARGETS - VALUES).mean(1), weights=WEIGHTS)),
    ("precision", LABELS, SCORES, None, per_class("precision", TABLE).mean()),
    ("recall", LABELS, SCORES, None, per_class("recall", TABLE).mean()),
    (metrics.Precision(average=None), LABELS, SCORES, None, per_class("precision", TABLE)),
    (metrics.Recall(average=None), LABELS, SCORES, WEIGHTS, per_class("recall", HEAVY)),
    (metrics.Precision(average="micro"), LABELS, SCORES, None, RIGHT.mean()),
    (metrics.Precision(class_id=2), LABELS, SCORES, None, per_class("precision", TABLE)[2]),
    ("precision", HOT, SCORES, None, MULTI.sum() / (SCORES > 0.5).sum()),
    ("recall", HOT, SCORES, None, MULTI.sum() / N),
    ("precision", YES, CHANCE, None, BINARY[1, 1] / BINARY[:, 1].sum()),
    ("recall", YES, CHANCE[:, None], None, BINARY[1, 1] / BINARY[1].sum()),
    ("f1_score", LABELS, SCORES, None, per_class("f1", TABLE)),
    ("f1_score", HOT, SCORES, None, per_class("f1", TABLE)),
    (metrics.F1Score(average="macro"), LABELS, SCORES, None, per_class("f1", TABLE).mean()),
    (metrics.F1Score(average="micro"), LABELS, SCORES, None, RIGHT.mean()),
    (metrics.F1Score(average="weighted"), LABELS, SCORES, None, np.average(per_class("f1", TABLE), weights=TABLE.sum(1))),
    (metrics.F1Score("macro"), YES, CHANCE, None, 2 * BINARY[1, 1] / (BINARY[1].sum() + BINARY[:, 1].sum())),
    ("confusion_matrix", LABELS, SCORES, None, TABLE),
    ("confusion_matrix", LABELS, SCORES, WEIGHTS, HEAVY),
    ("confusion_matrix", HOT, SCORES, None, TABLE),
    ("confusion_matrix", YES, CHANCE, None, BINARY),
    ("auc", [0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9], None, 0.75),
    ("auc", [0, 1], [0.2, 0.8], None, 1.0),
    (metrics.AUC(from_logits=True), [0, 1], [-3.0, 3.0], None, 1.0),
    ("precision", [0, 0], [0.1, 0.2], None, 0.0),
]  # fmt: skip


@pytest.mark.parametrize("batch", [N, 7])
@pytest.mark.parametrize(("metric", "true", "pred", "weights", "expected"), ROWS)
def test_values(metric, true, pred, weights, expected, batch):
    metric = metrics.get(metric)
    metric.reset_state()
    true, pred = np.asarray(true), np.asarray(pred)
    for i in range(0, len(true), batch):
        some = None if weights is None else weights[i : i + batch]
        metric.update_state(true[i : i + batch], pred[i : i + batch], some)
    np.testing.assert_allclose(metric.result(), expected, rtol=1e-5, atol=1e-7)


def test_auc_of_ranks():
    """Close to the probability that a positive ranks above a negative, of which it is an estimate."""
    above = CHANCE[YES == 1][:, None] > CHANCE[YES == 0]
    assert metrics.AUC()(YES, CHANCE) == pytest.approx(above.mean(), abs=0.01)


def test_reset_forgets():
    metric = metrics.Accuracy()
    assert metric([1], [[0.9]]) == 1.0
    metric.reset_state()
    assert metric.result() == 0.0
    assert metric([0], [[0.9]]) == 0.0


ERRORS = [
    (lambda: metrics.get("acuracy"), ValueError, "Write 'accuracy' instead"),
    (lambda: metrics.get(1), TypeError, "no metric"),
    (lambda: metrics.Precision(average="mean"), ValueError, "average='mean'"),
    (lambda: metrics.AUC(curve="roc"), ValueError, "'ROC' or 'PR'"),
    (lambda: metrics.Accuracy()([0, 1, 2], [[0.1, 0.9]]), ValueError, r"shape \(3,\) and y_pred \(1, 2\)"),
]


@pytest.mark.parametrize(("make", "error", "text"), ERRORS)
def test_errors(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_describe_and_get_are_inverse():
    for name in metrics.NAMES:
        metric = metrics.get(name)
        again = metrics.get(metrics.describe(metric))
        assert (type(again), again.config()) == (type(metric), metric.config())
        assert again.name == name

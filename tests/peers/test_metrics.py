"""Metrics against scikit-learn's and Keras's."""

import numpy as np
import pytest

from ranvier import metrics
from ranvier.graph import ops

# Keras on JAX hands NumPy variables whose __array__ takes no copy: its own affair.
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")]
assert ops.PRIMITIVES

RNG = np.random.default_rng(11)
N, K = 500, 5
LABELS = RNG.integers(0, K, N)
HOT = np.eye(K, dtype=np.float32)[LABELS]
SCORES = (RNG.random((N, K)) + HOT * RNG.random((N, 1))).astype(np.float32)
SCORES /= SCORES.sum(1, keepdims=True)
YES = RNG.integers(0, 2, N).astype(np.float32)
CHANCE = np.clip(0.5 * YES + 0.7 * RNG.random(N), 0, 1).astype(np.float32)
WEIGHTS = RNG.random(N).astype(np.float32)
VALUES = RNG.normal(size=(N, 3)).astype(np.float32)
TARGETS = RNG.normal(size=(N, 3)).astype(np.float32)

KERAS = [
    ("BinaryAccuracy", {"threshold": 0.6}, YES, CHANCE),
    ("CategoricalAccuracy", {}, HOT, SCORES),
    ("SparseCategoricalAccuracy", {}, LABELS, SCORES),
    ("TopKCategoricalAccuracy", {"k": 2}, HOT, SCORES),
    ("SparseTopKCategoricalAccuracy", {"k": 3}, LABELS, SCORES),
    ("Precision", {}, YES, CHANCE),
    ("Recall", {}, YES, CHANCE),
    ("Precision", {"thresholds": 0.3}, HOT, SCORES),
    ("Recall", {"thresholds": 0.3}, HOT, SCORES),
    ("F1Score", {}, HOT, SCORES),
    ("F1Score", {"average": "macro"}, HOT, SCORES),
    ("F1Score", {"average": "weighted"}, HOT, SCORES),
    ("F1Score", {"average": "micro", "threshold": 0.3}, HOT, SCORES),
    ("AUC", {}, YES, CHANCE),
    ("AUC", {"curve": "PR"}, YES, CHANCE),
    ("AUC", {"num_thresholds": 50}, YES, CHANCE),
    ("AUC", {}, HOT, SCORES),
    ("MeanSquaredError", {}, TARGETS, VALUES),
    ("MeanAbsoluteError", {}, TARGETS, VALUES),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "settings", "true", "pred"), KERAS)
def test_keras(name, settings, true, pred, weighted):
    keras = pytest.importorskip("keras")
    theirs, mine = getattr(keras.metrics, name)(**settings), metrics.CLASSES[name](**settings)
    weights = WEIGHTS if weighted else None
    for part in (slice(0, 300), slice(300, N)):
        some = None if weights is None else weights[part]
        theirs.update_state(true[part], pred[part], sample_weight=some)
        mine.update_state(true[part], pred[part], some)
    np.testing.assert_allclose(mine.result(), np.asarray(theirs.result()), rtol=2e-5)


@pytest.mark.parametrize("average", [None, "macro", "micro", "weighted"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_sklearn(name, average, weights):
    sklearn = pytest.importorskip("sklearn.metrics")
    kind = {"precision": metrics.Precision, "recall": metrics.Recall, "f1": metrics.F1Score}[name]
    mine = kind(average=average)(LABELS, SCORES, weights)
    theirs = getattr(sklearn, f"{name}_score")(
        LABELS, SCORES.argmax(1), average=average, sample_weight=weights
    )
    np.testing.assert_allclose(mine, theirs, rtol=1e-5)


def test_sklearn_confusion():
    sklearn = pytest.importorskip("sklearn.metrics")
    mine = metrics.ConfusionMatrix()(LABELS, SCORES)
    np.testing.assert_array_equal(mine, sklearn.confusion_matrix(LABELS, SCORES.argmax(1)))


def test_sklearn_auc():
    sklearn = pytest.importorskip("sklearn.metrics")
    assert metrics.AUC()(YES, CHANCE) == pytest.approx(sklearn.roc_auc_score(YES, CHANCE), abs=2e-3)

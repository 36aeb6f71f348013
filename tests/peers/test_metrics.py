"""Metrics against scikit-learn's and Keras's."""

import inspect
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import metrics
from ranvier.graph import ops
from ranvier.support.errors import snake_case
from tests.metrics.test_metrics import hits_of, made_of_metrics
from tests.utils.test_utils import SNAKES

# Keras on JAX hands NumPy variables whose __array__ takes no copy, and asks for int64: its own affairs.
pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64:UserWarning"),
]
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
SOME = HOT + (RNG.random((N, K)) < 0.3) > 0
SOME[SOME.all(1), 0] = False
PLACES = RNG.integers(0, K, (N, 4))

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
    ("AUC", {"summation_method": "minoring"}, YES, CHANCE),
    ("AUC", {"curve": "PR", "summation_method": "majoring"}, YES, CHANCE),
    ("AUC", {"thresholds": [0.2, 0.5, 0.9]}, YES, CHANCE),
    ("AUC", {"multi_label": True}, HOT, SCORES),
    ("AUC", {}, YES, 3 * CHANCE - 1),
    ("AUC", {"curve": "PR"}, YES, 3 * CHANCE - 1),
    ("PrecisionAtRecall", {"recall": 0.6}, YES, 3 * CHANCE - 1),
    ("AUC", {"from_logits": True}, HOT, 3 * SCORES - 1),
    ("AUC", {"from_logits": True, "multi_label": True}, HOT, 3 * SCORES - 1),
    ("AUC", {"multi_label": True, "curve": "PR", "num_thresholds": 30}, HOT, SCORES),
    ("AUC", {"multi_label": True, "label_weights": [1.0, 2.0, 0.5, 1.0, 3.0]}, HOT, SCORES),
    ("SensitivityAtSpecificity", {"specificity": 0.8}, YES, CHANCE),
    ("SpecificityAtSensitivity", {"sensitivity": 0.8}, YES, CHANCE),
    ("PrecisionAtRecall", {"recall": 0.6}, YES, CHANCE),
    ("RecallAtPrecision", {"precision": 0.9}, YES, CHANCE),
    ("TruePositives", {}, YES, CHANCE),
    ("TruePositives", {"thresholds": [0.2, 0.6]}, YES, CHANCE),
    ("Precision", {"thresholds": [0.2, 0.6]}, YES, CHANCE),
    ("FalsePositives", {"thresholds": 0.3}, YES, CHANCE),
    ("TrueNegatives", {}, HOT, SCORES),
    ("FalseNegatives", {}, YES, CHANCE),
    ("FBetaScore", {"beta": 2.0}, HOT, SCORES),
    ("FBetaScore", {"beta": 0.5, "average": "macro", "threshold": 0.3}, HOT, SCORES),
    ("BinaryCrossentropy", {"label_smoothing": 0.1}, YES[:, None], CHANCE[:, None]),
    ("BinaryCrossentropy", {"from_logits": True}, YES[:, None], VALUES[:, :1]),
    ("CategoricalCrossentropy", {}, HOT, SCORES),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, LABELS, SCORES),
    ("KLDivergence", {}, HOT, SCORES),
    ("Poisson", {}, abs(TARGETS), abs(VALUES)),
    ("Hinge", {}, HOT, SCORES),
    ("SquaredHinge", {}, 2 * HOT - 1, SCORES),
    ("CategoricalHinge", {}, HOT, SCORES),
    ("CosineSimilarity", {}, TARGETS, VALUES),
    ("LogCoshError", {}, TARGETS, VALUES),
    ("RootMeanSquaredError", {}, TARGETS, VALUES),
    ("MeanAbsolutePercentageError", {}, TARGETS, VALUES),
    ("MeanSquaredLogarithmicError", {}, abs(TARGETS), abs(VALUES)),
    ("R2Score", {}, TARGETS, VALUES),
    ("R2Score", {"class_aggregation": "variance_weighted_average"}, TARGETS, VALUES),
    ("MeanSquaredError", {}, TARGETS, VALUES),
    ("MeanAbsoluteError", {}, TARGETS, VALUES),
    ("Precision", {"top_k": 2}, SOME, SCORES),
    ("Recall", {"top_k": 3, "thresholds": 0.2}, SOME, SCORES),
    ("Recall", {"top_k": 2, "class_id": 1}, SOME, SCORES),
    ("Precision", {"top_k": 2, "thresholds": [0.1, 0.3]}, SOME, np.round(SCORES, 1)),
    ("IoU", {"num_classes": K, "target_class_ids": [0, 3]}, LABELS, SCORES.argmax(1)),
    ("IoU", {"num_classes": K, "target_class_ids": [1], "sparse_y_pred": False}, LABELS, SCORES),
    ("MeanIoU", {"num_classes": K + 2}, PLACES, PLACES[::-1]),
    ("MeanIoU", {"num_classes": K, "ignore_class": 1}, PLACES, PLACES[::-1]),
    ("MeanIoU", {"num_classes": 3}, PLACES, PLACES[::-1]),
    ("BinaryIoU", {}, YES, CHANCE),
    ("BinaryIoU", {"target_class_ids": [1], "threshold": 0.3}, YES, CHANCE),
    ("OneHotIoU", {"num_classes": K, "target_class_ids": [0, 2]}, HOT, SCORES),
    ("OneHotMeanIoU", {"num_classes": K, "ignore_class": 2}, HOT, SCORES),
    ("OneHotMeanIoU", {"num_classes": K, "sparse_y_pred": True}, HOT, SCORES.argmax(1)),
    ("PearsonCorrelation", {}, TARGETS, VALUES),
    ("PearsonCorrelation", {"axis": (1, 2)}, TARGETS.reshape(N, 3, 1), VALUES.reshape(N, 3, 1)),
    ("ConcordanceCorrelation", {}, TARGETS, VALUES),
    ("ConcordanceCorrelation", {"axis": 1}, TARGETS + 3, VALUES),
]
OVERLAPS = ("IoU", "MeanIoU", "BinaryIoU", "OneHotIoU", "OneHotMeanIoU")  # Keras counts in whole numbers by default


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "settings", "true", "pred"), KERAS)
def test_keras(name, settings, true, pred, weighted):
    keras = pytest.importorskip("keras")
    own = {"dtype": "float32"} if name in OVERLAPS else {}
    theirs, mine = getattr(keras.metrics, name)(**settings, **own), metrics.REGISTRY.classes[name](**settings)
    assert theirs.name.startswith(mine.name)  # Keras counts some over the process
    weights = WEIGHTS if weighted else None
    # Parts of unequal sizes; with weights, of a size that JAX has compiled already.
    for part in (slice(0, 200), slice(200, 400)) if weighted else (slice(0, 300), slice(300, N)):
        some = None if weights is None else weights[part]
        each = np.repeat(some[:, None], 4, 1) if some is not None and true is PLACES else some  # Keras wants all
        theirs.update_state(true[part], pred[part], sample_weight=each)
        mine.update_state(true[part], pred[part], some)
    np.testing.assert_allclose(mine.result(), np.asarray(theirs.result()), rtol=2e-5)


def test_arguments_are_in_the_order_of_keras(keras):
    common = [name for name in metrics.REGISTRY.classes if hasattr(keras.metrics, name)]
    assert len(common) > 40
    for name in common:
        mine = list(inspect.signature(metrics.REGISTRY.classes[name]).parameters)
        theirs = inspect.signature(getattr(keras.metrics, name)).parameters
        shared = [argument for argument in theirs if argument in mine]
        assert "dtype" in shared, name
        assert mine[: len(shared)] == shared, name


def test_a_metric_keeps_its_name_as_in_keras(keras):
    names = []
    for library in (rv, keras):
        model = library.Sequential([library.Input((K,)), library.layers.Dense(1, activation="sigmoid")])
        model.compile("sgd", "binary_crossentropy", metrics=["AUC", "RootMeanSquaredError"])
        history = model.fit(SCORES, YES, validation_split=0.2, verbose=0).history
        names.append(sorted(name for name in history if "loss" not in name))
    assert names[0] == names[1]


ENTROPIES = [  # what Keras calls the cross entropy of such targets
    ("BinaryCrossentropy", YES[:, None], CHANCE[:, None]),
    ("SparseCategoricalCrossentropy", LABELS, SCORES),
    ("CategoricalCrossentropy", HOT, SCORES),
]


@pytest.mark.parametrize("name", ["crossentropy", "ce"])
@pytest.mark.parametrize(("theirs", "true", "pred"), ENTROPIES)
def test_the_cross_entropy_of_such_targets(theirs, true, pred, name):
    keras = pytest.importorskip("keras")
    mine = metrics.get(name)
    assert mine.name == name
    np.testing.assert_allclose(mine(true, pred), getattr(keras.metrics, theirs)()(true, pred), rtol=2e-5)


def test_names_are_spelled_as_keras_spells_them(keras):
    from keras.src.utils.naming import to_snake_case

    names = [*dir(rv.layers), *dir(rv.metrics), *dir(rv.losses), *SNAKES]
    assert [snake_case(name) for name in names] == [to_snake_case(name) for name in names]


@pytest.mark.parametrize("average", [None, "macro", "micro", "weighted"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_sklearn(name, average, weights):
    sklearn = pytest.importorskip("sklearn.metrics")
    kind = {"precision": metrics.Precision, "recall": metrics.Recall, "f1": metrics.F1Score}[name]
    mine = kind(average=average)(LABELS, SCORES, weights)
    theirs = getattr(sklearn, f"{name}_score")(LABELS, SCORES.argmax(1), average=average, sample_weight=weights)
    np.testing.assert_allclose(mine, theirs, rtol=1e-5)


def test_sklearn_confusion():
    sklearn = pytest.importorskip("sklearn.metrics")
    mine = metrics.ConfusionMatrix()(LABELS, SCORES)
    np.testing.assert_array_equal(mine, sklearn.confusion_matrix(LABELS, SCORES.argmax(1)))


def test_sklearn_auc():
    sklearn = pytest.importorskip("sklearn.metrics")
    assert metrics.AUC()(YES, CHANCE) == pytest.approx(sklearn.roc_auc_score(YES, CHANCE), abs=2e-3)


AGREEMENT = [
    (metrics.BalancedAccuracy(), "balanced_accuracy_score", {}),
    (metrics.BalancedAccuracy(adjusted=True), "balanced_accuracy_score", {"adjusted": True}),
    (metrics.MatthewsCorrelation(), "matthews_corrcoef", {}),
    (metrics.CohenKappa(), "cohen_kappa_score", {}),
    (metrics.CohenKappa("linear"), "cohen_kappa_score", {"weights": "linear"}),
    (metrics.CohenKappa("quadratic"), "cohen_kappa_score", {"weights": "quadratic"}),
]


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(("metric", "name", "options"), AGREEMENT)
def test_sklearn_agreement(metric, name, options, binary, weights):
    sklearn = pytest.importorskip("sklearn.metrics")
    truth, scores = (YES, CHANCE) if binary else (LABELS, SCORES)
    decided = CHANCE > 0.5 if binary else SCORES.argmax(1)
    metric.reset_state()
    theirs = getattr(sklearn, name)(truth, decided, sample_weight=weights, **options)
    assert metric(truth, scores, weights) == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("average", ["macro", "weighted", "micro", None])
@pytest.mark.parametrize("name", ["roc_auc_score", "average_precision_score"])
def test_sklearn_areas(name, average, weights):
    sklearn = pytest.importorskip("sklearn.metrics")
    ties = np.round(SCORES, 1)
    for truth, scores in ((HOT, SCORES), (HOT, ties), (YES, np.round(CHANCE, 2))):
        theirs = getattr(sklearn, name)(truth, scores, average=average, sample_weight=weights)
        mine = getattr(metrics, name)(truth, scores, average=average, sample_weight=weights)
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)
    if name == "roc_auc_score" and average in ("macro", "weighted"):
        theirs = sklearn.roc_auc_score(LABELS, SCORES, average=average, multi_class="ovr", sample_weight=weights)
        mine = metrics.roc_auc_score(LABELS, SCORES, average=average, sample_weight=weights)
        assert mine == pytest.approx(theirs, rel=1e-6)


WORDS = np.array(["cat", "dog", "emu", "fox", "gnu"])
AREAS = [
    ("roc_auc_score", LABELS, SCORES, {"multi_class": "ovo"}),
    ("roc_auc_score", LABELS, SCORES, {"multi_class": "ovo", "average": "weighted"}),
    ("roc_auc_score", LABELS, SCORES, {"multi_class": "ovr", "average": None}),
    ("roc_auc_score", WORDS[LABELS], SCORES, {"multi_class": "ovr", "labels": WORDS}),
    ("roc_auc_score", WORDS[LABELS], SCORES, {"multi_class": "ovo", "labels": WORDS}),
    ("roc_auc_score", 2 * YES - 1, CHANCE, {}),
    ("roc_auc_score", YES, CHANCE, {"max_fpr": 0.1, "sample_weight": WEIGHTS}),
    ("roc_auc_score", YES, np.round(CHANCE, 1), {"max_fpr": 0.3}),
    ("roc_auc_score", SOME, SCORES, {"max_fpr": 0.5}),
    ("roc_auc_score", SOME, SCORES, {"average": "samples", "sample_weight": WEIGHTS}),
    ("average_precision_score", SOME, SCORES, {"average": "samples"}),
]


@pytest.mark.parametrize(("name", "truth", "scores", "options"), AREAS)
def test_sklearn_arguments_of_areas(name, truth, scores, options):
    sklearn = pytest.importorskip("sklearn.metrics")
    theirs = getattr(sklearn, name)(truth, scores, **options)
    np.testing.assert_allclose(getattr(metrics, name)(truth, scores, **options), theirs, rtol=1e-6)


@pytest.mark.parametrize("options", [
    {}, {"drop_intermediate": False}, {"drop_intermediate": True}, {"sample_weight": WEIGHTS}, {"pos_label": 0},
])  # fmt: skip
@pytest.mark.parametrize("name", ["roc_curve", "precision_recall_curve"])
@pytest.mark.parametrize("scores", [CHANCE, np.round(CHANCE, 1)], ids=["distinct", "ties"])
def test_sklearn_curves(name, scores, options):
    sklearn = pytest.importorskip("sklearn.metrics")
    theirs = getattr(sklearn, name)(YES, scores, **options)
    for a, b in zip(getattr(metrics, name)(YES, scores, **options), theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("several", [False, True])
def test_sklearn_report(several, weights):
    sklearn = pytest.importorskip("sklearn.metrics")
    truth = np.concatenate([HOT[:, :2], YES[:, None]], 1).astype(int) if several else LABELS
    decided = (SCORES[:, :3] > 0.25).astype(int) if several else SCORES.argmax(1)
    mine = metrics.report(truth, decided, sample_weight=weights).to_dict()
    theirs = sklearn.classification_report(truth, decided, output_dict=True, zero_division=0, sample_weight=weights)
    for name, row in theirs.items():
        if name == "accuracy":
            assert mine[name] == pytest.approx(row)
        elif name != "samples avg":
            found = mine[name.replace("avg", "average")]
            for key, value in row.items():
                assert found["f1" if key == "f1-score" else key] == pytest.approx(value, rel=1e-6)


def test_a_metric_written_for_keras_gives_what_it_gives_there(keras):
    """One class for both libraries: in compile with and without weights, over batches, and alone."""
    found = []
    for library, layers in ((rv, rv.layers), (keras, keras.layers)):
        hits = hits_of(library.metrics, library.ops)
        model = library.Sequential([library.Input((K,)), layers.Dense(K, activation="softmax")])
        model.set_weights([3 * np.eye(K, dtype=np.float32), np.zeros(K, np.float32)])
        model.compile(
            library.optimizers.SGD(0.1), "sparse_categorical_crossentropy",
            metrics=[hits(label=2)], weighted_metrics=[hits(name="weighted")],
        )  # fmt: skip
        options = {"batch_size": 64, "sample_weight": WEIGHTS, "verbose": 0}
        history = model.fit(SCORES, LABELS, epochs=2, shuffle=False, **options).history
        evaluated = model.evaluate(SCORES, LABELS, return_dict=True, **options)
        alone = hits(label=3)
        alone.update_state(LABELS, SCORES, sample_weight=WEIGHTS)
        found.append([*(history[n] for n in ("hits", "weighted")), *(2 * [evaluated[n]] for n in ("hits", "weighted")),
                      2 * [float(alone.result())]])  # fmt: skip
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


def test_a_metric_made_of_metrics_gives_what_it_gives_in_keras(keras):
    found = []
    for library in (rv, keras):
        own = made_of_metrics(library.metrics)
        model = library.Sequential([library.Input((K,)), library.layers.Dense(1, activation="sigmoid")])
        model.set_weights([np.linspace(-1, 2, K, dtype=np.float32)[:, None], np.zeros(1, np.float32)])
        model.compile(
            library.optimizers.SGD(1e-30), "binary_crossentropy", metrics=[own()], weighted_metrics=[own(name="w")]
        )
        targets = (LABELS > 1).astype(np.float32)[:, None]
        history = model.fit(SCORES, targets, sample_weight=WEIGHTS + 1, epochs=2, verbose=0).history
        found.append([history["own"], history["w"]])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


SURE = np.random.default_rng(3).random((6, 7)).astype(np.float32)
CHOSEN = np.array([2, 0, 6, 6, 1, 3])
IS_ONE = np.eye(7, dtype=np.float32)[CHOSEN]
FUNCTIONS: list[Any] = [(name, IS_ONE, SURE, {}) for name in metrics.functions.__all__ if "sparse" not in name] + [
    ("binary_accuracy", IS_ONE, SURE, {"threshold": 0.1}),
    ("top_k_categorical_accuracy", IS_ONE, SURE, {"k": 3}),
    ("sparse_categorical_crossentropy", CHOSEN, SURE, {}),
    ("sparse_categorical_accuracy", CHOSEN, SURE, {}),
    ("sparse_categorical_accuracy", CHOSEN[:, None], SURE, {}),
    ("sparse_top_k_categorical_accuracy", CHOSEN, SURE, {"k": 3}),
    ("sparse_top_k_categorical_accuracy", CHOSEN, np.argsort(-SURE, 1), {"k": 3, "from_sorted_ids": True}),
]


@pytest.mark.parametrize(("name", "y", "x", "options"), FUNCTIONS)
def test_functions(name, y, x, options):
    keras = pytest.importorskip("keras")
    expected = np.asarray(getattr(keras.metrics, name)(y, x, **options))
    found = getattr(metrics, name)(y, x, **options).numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)

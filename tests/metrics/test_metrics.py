"""Metrics against what they are by hand, in every form of target, alone and in batches, with and without weights."""

from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import metrics, optimizers
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


LABELED = np.stack([YES, RNG.integers(0, 2, N), YES], 1)
MANY = np.stack([CHANCE, RNG.random(N), 1 - CHANCE], 1).astype(np.float32)


def confusion(truth, decided, classes, weights=None):
    table = np.zeros((classes, classes))
    np.add.at(table, (truth, np.asarray(decided, int)), 1 if weights is None else weights)
    return table


def per_class(which, table):
    hit = np.diag(table)
    whole = {"precision": table.sum(0), "recall": table.sum(1), "f1": (table.sum(0) + table.sum(1)) / 2}[which]
    return hit / np.maximum(whole, 1e-12)


def kappa(table, power):
    """From observed and expected disagreement."""
    apart = abs(np.subtract.outer(np.arange(len(table)), np.arange(len(table)))) * 1.0
    cost = apart**power if power else apart > 0
    return 1 - (cost * table).sum() / (cost * np.outer(table.sum(1), table.sum(0)) / table.sum()).sum()


def calibration(right, confidence, weights=None, bins=15, norm="l1"):
    """Bin by bin, each open below and closed above."""
    weights = np.ones(len(right)) if weights is None else weights
    gaps, shares = [], []
    for low in np.arange(bins) / bins:
        inside = (confidence > np.float32(low)) & (confidence <= np.float32(low + 1 / bins))
        if (weights * inside).sum():
            gaps.append(abs(np.average((right - confidence)[inside], weights=weights[inside])))
            shares.append((weights * inside).sum() / weights.sum())
    gap, share = np.array(gaps), np.array(shares)
    return {"l1": (gap * share).sum(), "l2": np.sqrt((gap**2 * share).sum()), "max": gap.max()}[norm]


TABLE = confusion(LABELS, DECIDED, K)
HEAVY = confusion(LABELS, DECIDED, K, WEIGHTS)
BINARY = confusion(YES, (CHANCE > 0.5).astype(int), 2)
TOP2 = (np.argsort(-SCORES, 1)[:, :2] == LABELS[:, None]).any(1)
VALUES = RNG.normal(size=(N, 2)).astype(np.float32)
TARGETS = RNG.normal(size=(N, 2)).astype(np.float32)
FAR = TARGETS + np.float32(1e4)
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
    ("specificity", YES, CHANCE, None, BINARY[0, 0] / BINARY[0].sum()),
    (metrics.Specificity(average=None), LABELS, SCORES, None, [1 - (TABLE.sum(0) - np.diag(TABLE))[k] / (N - TABLE.sum(1)[k]) for k in range(K)]),
    (metrics.FBetaScore("macro", 2.0), YES, CHANCE, None, 5 * BINARY[1, 1] / (5 * BINARY[1, 1] + 4 * BINARY[1, 0] + BINARY[0, 1])),
    ("true_positives", YES, CHANCE, None, BINARY[1, 1]),
    ("precision", YES, (CHANCE > 0.5).astype(int), WEIGHTS, np.average(YES[CHANCE > 0.5], weights=WEIGHTS[CHANCE > 0.5])),
    ("roc_auc", YES, (CHANCE > 0.5).astype(int), None, per_class("recall", BINARY).mean()),
    ("balanced_accuracy", HOT, np.eye(K, dtype=int)[DECIDED], None, per_class("recall", TABLE).mean()),
    (metrics.RecallAtPrecision(0.8, class_id=2), LABELS, SCORES, None, metrics.RecallAtPrecision(0.8)(LABELS == 2, SCORES[:, 2])),
    (metrics.AUC(label_weights=[1, 0, 0, 0]), LABELS, SCORES, None, metrics.AUC()(LABELS == 0, SCORES[:, 0])),
    (metrics.R2Score(num_regressors=2), TARGETS[:, 0], VALUES[:, 0], None, 1 - (1 - metrics.R2Score()(TARGETS[:, 0], VALUES[:, 0])) * (N - 1) / (N - 3)),
    ("false_positives", YES, CHANCE, None, BINARY[0, 1]),
    ("false_negatives", YES, CHANCE, None, BINARY[1, 0]),
    (metrics.TrueNegatives(0.3), YES, CHANCE, WEIGHTS, WEIGHTS[(YES == 0) & (CHANCE <= 0.3)].sum()),
    ("true_positives", LABELS, SCORES, None, np.diag(TABLE).sum()),
    ("false_positives", LABELS, SCORES, None, N - np.diag(TABLE).sum()),
    ("sparse_categorical_crossentropy", LABELS, SCORES, WEIGHTS, np.average(-np.log(SCORES[np.arange(N), LABELS]), weights=WEIGHTS)),
    ("categorical_crossentropy", HOT, SCORES, None, -np.log(SCORES[np.arange(N), LABELS]).mean()),
    (metrics.SparseCategoricalCrossentropy(from_logits=True), LABELS, np.log(SCORES), None, -np.log(SCORES[np.arange(N), LABELS]).mean()),
    ("bce", YES, CHANCE, None, -np.log(np.clip(np.where(YES > 0, CHANCE, 1 - CHANCE), 1e-7, 1)).mean()),
    ("rmse", TARGETS, VALUES, WEIGHTS, np.sqrt(np.average(((TARGETS - VALUES) ** 2).mean(1), weights=WEIGHTS))),
    ("mape", TARGETS, VALUES, None, 100 * abs((TARGETS - VALUES) / TARGETS).mean()),
    ("cosine_similarity", TARGETS, VALUES, None, ((TARGETS * VALUES).sum(1) / np.linalg.norm(TARGETS, axis=1) / np.linalg.norm(VALUES, axis=1)).mean()),
    ("r2", TARGETS, VALUES, None, (1 - ((TARGETS - VALUES) ** 2).sum(0) / ((TARGETS - TARGETS.mean(0)) ** 2).sum(0)).mean()),
    (metrics.R2Score(None), FAR, FAR + 0.5, None, 1 - 0.25 / FAR.astype(float).var(0)),
    ("r2_score", [2.0, 2.0], [2.0, 2.0], None, 1.0),
    ("r2_score", [2.0, 2.0], [2.0, 3.0], None, 0.0),
    (metrics.BinaryAccuracy("a", None, 0.3), YES, CHANCE, None, ((CHANCE > 0.3) == YES).mean()),
    (metrics.Recall(thresholds=np.array([0.3, 0.6])), YES, CHANCE, None, [(CHANCE[YES == 1] > t).mean() for t in (0.3, 0.6)]),
    (metrics.AUC(multi_label=True, num_labels=K), HOT, SCORES, None, metrics.AUC(multi_label=True)(LABELS, SCORES)),
    (metrics.Recall(thresholds=[0.3, 0.6]), YES, CHANCE, None, [(CHANCE[YES == 1] > t).mean() for t in (0.3, 0.6)]),
    (metrics.FalsePositives([0.3, 0.6]), YES, CHANCE, None, [(CHANCE[YES == 0] > t).sum() for t in (0.3, 0.6)]),
    (metrics.Specificity(thresholds=[0.3, 0.6], class_id=1), HOT, SCORES, None, [(SCORES[LABELS != 1, 1] <= t).mean() for t in (0.3, 0.6)]),
    (metrics.Recall(thresholds=0.3), YES, CHANCE, WEIGHTS, np.average(CHANCE[YES == 1] > 0.3, weights=WEIGHTS[YES == 1])),
    ("balanced_accuracy", LABELS, SCORES, None, per_class("recall", TABLE).mean()),
    ("balanced_accuracy", LABELS, SCORES, WEIGHTS, per_class("recall", HEAVY).mean()),
    ("balanced_accuracy", HOT, SCORES, None, per_class("recall", TABLE).mean()),
    ("balanced_accuracy", YES, CHANCE[:, None], None, per_class("recall", BINARY).mean()),
    ("balanced_accuracy", np.minimum(LABELS, 2), SCORES, None, per_class("recall", confusion(np.minimum(LABELS, 2), DECIDED, K))[:3].mean()),
    (metrics.BalancedAccuracy(adjusted=True), LABELS, SCORES, None, (per_class("recall", TABLE).mean() - 1 / K) / (1 - 1 / K)),
    ("matthews_correlation", YES, CHANCE, None, np.corrcoef(YES, CHANCE > 0.5)[0, 1]),
    ("mcc", [0, 0], [0.1, 0.7], None, 0.0),
    ("balanced_accuracy", [[1, 0], [0, 1], [0, 0]], [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]], np.array([1, 1, 0], np.float32), 1.0),
    (metrics.BalancedAccuracy(multi_label=True), LABELED, MANY, None, np.mean([per_class("recall", confusion(LABELED[:, k], MANY[:, k] > 0.5, 2)).mean() for k in range(3)])),
    (metrics.BalancedAccuracy(multi_label=True), LABELED, MANY, WEIGHTS, np.mean([per_class("recall", confusion(LABELED[:, k], MANY[:, k] > 0.5, 2, WEIGHTS)).mean() for k in range(3)])),
    (metrics.BalancedAccuracy(multi_label=True), YES, CHANCE, None, per_class("recall", BINARY).mean()),
    (metrics.MatthewsCorrelation(multi_label=True), LABELED, MANY, None, np.mean([np.corrcoef(LABELED[:, k], MANY[:, k] > 0.5)[0, 1] for k in range(3)])),
    (metrics.MatthewsCorrelation(multi_label=True), YES, CHANCE[:, None], None, np.corrcoef(YES, CHANCE > 0.5)[0, 1]),
    ("cohen_kappa", LABELS, SCORES, None, kappa(TABLE, 0)),
    (metrics.CohenKappa("linear"), LABELS, SCORES, None, kappa(TABLE, 1)),
    (metrics.CohenKappa("quadratic"), LABELS, SCORES, WEIGHTS, kappa(HEAVY, 2)),
    ("cohen_kappa", [0, 0], [0.1, 0.2], None, 0.0),
    ("roc_auc", [0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9], None, 0.75),
    ("pr_auc", [0, 1], [0.2, 0.8], None, 1.0),
    (metrics.AUC(thresholds=[0.4, 0.2], summation_method="minoring"), [0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9], None, 0.5),
    (metrics.AUC(thresholds=[0.4, 0.2], summation_method="majoring"), [0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9], None, 0.75),
    (metrics.AUC(multi_label=True), [[0, 1], [1, 0]], [[0.2, 0.2], [0.8, 0.8]], None, 0.5),
    (metrics.AUC(multi_label=True, label_weights=[3, 1]), [[0, 1], [1, 0]], [[0.2, 0.2], [0.8, 0.8]], None, 0.75),
    (metrics.AUC(multi_label=True), LABELS, SCORES, WEIGHTS, np.mean([metrics.AUC()(k == LABELS, SCORES[:, k], WEIGHTS) for k in range(K)])),
    (metrics.AUC(multi_label=True, from_logits=True), LABELS, np.log(SCORES), None, metrics.AUC(multi_label=True)(LABELS, SCORES / (1 + SCORES))),
    (metrics.AUC(multi_label=True, from_logits=True), HOT, np.log(SCORES), None, metrics.AUC(multi_label=True)(LABELS, SCORES / (1 + SCORES))),
    ("auc", [0, 0, 1, 1], [-3.0, 0.2, 0.9, 7.0], None, 1.0),
    ("auc", [0, 1, -1], [0.2, 0.8, 0.5], np.float32([1, 1, 0]), 1.0),
    (metrics.RecallAtPrecision(1.0), [0, 1], [0.2, 3.0], None, 1.0),
    (metrics.SensitivityAtSpecificity(0.5), [0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8], None, 0.5),
    (metrics.SpecificityAtSensitivity(0.5), [0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8], None, 2 / 3),
    (metrics.PrecisionAtRecall(0.5), [0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8], None, 0.5),
    (metrics.RecallAtPrecision(0.8), [0, 0, 1, 1], [0, 0.5, 0.3, 0.9], None, 0.5),
    (metrics.RecallAtPrecision(1.0), [1, 0], [0.2, 0.8], None, 0.0),
    ("expected_calibration_error", LABELS, SCORES, None, calibration(RIGHT, SCORES.max(1))),
    ("ece", HOT, SCORES, WEIGHTS, calibration(RIGHT, SCORES.max(1), WEIGHTS)),
    ("ece", YES, CHANCE[:, None], None, calibration(YES, CHANCE)),
    (metrics.ExpectedCalibrationError(5, "max"), YES, CHANCE, None, calibration(YES, CHANCE, bins=5, norm="max")),
    (metrics.ExpectedCalibrationError(5, "l2"), YES, CHANCE, None, calibration(YES, CHANCE, bins=5, norm="l2")),
    (metrics.ExpectedCalibrationError(from_logits=True), LABELS, np.log(SCORES), None, calibration(RIGHT, SCORES.max(1))),
    (metrics.ExpectedCalibrationError(from_logits=True), [1, 1], [0.0, 0.0], None, 0.5),
    (metrics.Recall(top_k=2, average="micro"), LABELS, SCORES, None, TOP2.mean()),
    (metrics.Precision(top_k=2), [[1, 0, 0], [0, 0, 1]], [[0.3, 0.3, 0.3], [0.1, 0.2, 0.7]], None, 0.5),
    (metrics.Precision(0.5, 2), [[1, 0, 0], [0, 0, 1]], [[0.3, 0.6, 0.9], [0.1, 0.2, 0.7]], None, 1 / 3),
    (metrics.MeanIoU(3), [0, 0, 1, 1], [0, 1, 0, 1], None, 1 / 3),
    (metrics.MeanIoU(2), [0, 0, 1, 1], [0, 1, 0, 1], np.array([0.3, 0.3, 0.3, 0.1], np.float32), (0.3 / 0.9 + 0.1 / 0.7) / 2),
    (metrics.MeanIoU(2), [[[0, 1], [1, 7]]], [[[0, 1], [0, 1]]], None, 0.5),
    (metrics.MeanIoU(2, ignore_class=0), [0, 0, 1, 1], [0, 1, 1, 1], None, 1.0),
    (metrics.MeanIoU(K), LABELS, SCORES, None, np.mean(np.diag(TABLE) / (TABLE.sum(0) + TABLE.sum(1) - np.diag(TABLE)))),
    (metrics.IoU(2, [1]), [0, 0], [0, 0], None, 0.0),
    ("binary_io_u", [0, 1, 1], [[0.5], [0.7], [0.2]], None, 1 / 6),
    ("pearson_correlation", [[1, 2, 3], [1, 1, 1]], [[2, 4, 6], [1, 2, 3]], None, 0.5),
    ("concordance_correlation", [[1, 2, 3]], [[2, 3, 4]], None, 4 / 3 / (4 / 3 + 1)),
    ("confusion_matrix", YES.reshape(5, 3, 4, 1), CHANCE.reshape(5, 3, 4, 1), None, BINARY),
    ("confusion_matrix", YES.reshape(20, 3), CHANCE.reshape(20, 3, 1), WEIGHTS.reshape(20, 3), confusion(YES, CHANCE > 0.5, 2, WEIGHTS)),
    ("balanced_accuracy", YES.reshape(20, 3, 1), CHANCE.reshape(20, 3, 1), None, per_class("recall", BINARY).mean()),
    ("mcc", YES.reshape(20, 3, 1), CHANCE.reshape(20, 3, 1), None, np.corrcoef(YES, CHANCE > 0.5)[0, 1]),
    ("cohen_kappa", YES.reshape(20, 3, 1), CHANCE.reshape(20, 3, 1), None, kappa(BINARY, 0)),
    ("mae", [0.5, 1.5], [0, 1], None, 0.5),
    ("mse", [[1, 2]], [[[1], [3]]], None, 0.5),
    ("accuracy", YES.reshape(20, 3, 1), CHANCE.reshape(20, 3, 1), WEIGHTS.reshape(20, 3, 1), np.average((CHANCE > 0.5) == YES, weights=WEIGHTS)),
    ("accuracy", [0, 1], [0.2, 0.8], np.float32([0, 0]), 0.0),
    ("accuracy", [[1, 255], [-1, 0]], [[[0.2, 0.8]] * 2] * 2, np.float32([[2, 0], [0, 1]]), 2 / 3),
    ("accuracy", [1, 255], [[0.2, 0.8]] * 2, np.float32([1, 0]), 1.0),
    (metrics.TopKCategoricalAccuracy(2), [[1, 0, 0], [0, 1, 0]], [[np.nan] * 3, [0.1, 0.8, 0.1]], None, 0.5),
    (metrics.SparseTopKCategoricalAccuracy(5), [0, 1], [[np.nan, 1.0], [0.1, 0.8]], None, 0.5),
    ("crossentropy", YES, CHANCE, None, -np.log(np.clip(np.where(YES > 0, CHANCE, 1 - CHANCE), 1e-7, 1)).mean()),
    ("ce", LABELS, SCORES, WEIGHTS, np.average(-np.log(SCORES[np.arange(N), LABELS]), weights=WEIGHTS)),
    (metrics.Crossentropy(from_logits=True), HOT, np.log(SCORES), None, -np.log(SCORES[np.arange(N), LABELS]).mean()),
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


def test_a_batch_of_any_size_is_looked_at_in_parts():
    """The whole of 200 thresholds for each of a million scores would take a gigabyte."""
    metric = metrics.AUC()
    scores = np.linspace(0, 1, 100_001, dtype=np.float32)
    assert metric(scores > 0.3, scores) == pytest.approx(1.0, abs=1e-4)
    states: Any = metric._arrays
    assert [float(a.max()) for a in states] == [70_000, 30_001, 70_000, 30_001, 0]


def test_places_count_among_what_is_looked_at_together(monkeypatch):
    from ranvier.engines import reference
    from ranvier.metrics import base

    sizes = []

    def compiled(graph, compile=reference.compile):
        program = compile(graph)
        run = program.run

        def counted(arrays, outputs):
            sizes.append(len(arrays[0]))
            return run(arrays, outputs)

        monkeypatch.setattr(program, "run", counted)
        return program

    monkeypatch.setattr(base, "AT_ONCE", 8)
    monkeypatch.setattr(reference, "compile", compiled)
    assert metrics.BinaryAccuracy()(YES.reshape(15, 4, 1), CHANCE.reshape(15, 4, 1)) > 0
    assert sizes == [2] * 7 + [1]


def test_alone_a_metric_computes_in_the_floats_of_the_mode():
    true, pred = [1.0, 2.0], [1.0 + 1e-9, 2.0]
    assert metrics.MeanAbsoluteError()(true, pred) == 0
    before = rv.get_dtype()
    rv.set_dtype("float64")
    try:
        assert metrics.MeanAbsoluteError()(true, pred) == pytest.approx(5e-10, rel=1e-3)
        assert metrics.Accuracy()([0, 1], [0, 1]) == 1
    finally:
        rv.set_dtype(before)


def test_one_metric_in_two_places_takes_each_for_what_it_is():
    """What one set of targets is says nothing of another's, not even in the programs of two models."""
    shared = metrics.Precision()
    alone = metrics.Precision()(YES, CHANCE)
    models = []
    for loss, units in (("sparse_categorical_crossentropy", K), ("categorical_crossentropy", K)):
        rv.set_seed(1)
        model = rv.Sequential([rv.Input((K,)), rv.layers.Dense(units, "softmax")])
        model.compile("sgd", loss, metrics=[shared])
        models.append(model)
    before = [m.evaluate(SCORES, y, verbose=0)[1] for m, y in zip(models, (LABELS, HOT), strict=True)]
    assert before[0] != before[1]
    shared.reset_state()
    assert shared(YES, CHANCE) == alone
    after = [m.evaluate(SCORES, y, verbose=0)[1] for m, y in zip(models, (LABELS, HOT), strict=True)]
    assert after == before


def test_reset_forgets():
    metric = metrics.Accuracy()
    assert metric([1], [[0.9]]) == 1.0
    metric.reset_state()
    assert metric.result() == 0.0
    assert metric([0], [[0.9]]) == 0.0


ERRORS = [
    (lambda: metrics.get({"class_name": "Precison"}), ValueError, "'Precison' does not exist. Write 'Precision'"),
    (lambda: metrics.BinaryAccuracy("a", 0.6), TypeError, "dtype=0.6 is no dtype. Write 'float32'"),
    (
        lambda: metrics.AUC(multi_label=True, num_labels=3)(HOT, SCORES),
        ValueError,
        "num_labels=3 of 4 outputs. Write 4",
    ),
    (
        lambda: metrics.AUC()([-1, 1, 1], [0.2, 0.8, 0.1]),
        ValueError,
        r"metric 'auc' takes targets from 0 to 1.*1 were others. Write y_true > 0",
    ),
    (lambda: metrics.Precision()([[-1], [2]], [[-0.2], [0.8]]), ValueError, "2 were others"),
    (
        lambda: metrics.MeanSquaredError()(np.ones((2, 3, 2)), np.ones((2, 2, 3))),
        ValueError,
        r"\(2, 3, 2\) and y_pred \(2, 2, 3\)",
    ),
    (lambda: metrics.ConfusionMatrix()([0, 1, 7], np.eye(3)), ValueError, "y_true has label 7 at row 2; y_pred has 3"),
    (lambda: metrics.Accuracy()([0, 0.5], np.eye(2)), ValueError, "fractional label 0.5 at row 1"),
    (lambda: metrics.Accuracy()([0, 1], np.eye(2), [1, -1]), ValueError, "-1 at row 1"),
    (lambda: metrics.get("acuracy"), ValueError, "Write 'accuracy' instead"),
    (lambda: metrics.get(1), TypeError, "no metric"),
    (lambda: metrics.Precision(average="mean"), ValueError, "average='mean'"),
    (lambda: metrics.Precision(class_id=2)([0, 1], [0.2, 0.7]), ValueError, "class_id=2 of 1 outputs"),
    (lambda: metrics.FalsePositives(thresholds=[0.5, 2]), ValueError, "a threshold is a probability. Write 0.5"),
    (lambda: metrics.F1Score(threshold="0.5"), ValueError, "a threshold is a probability"),
    (lambda: metrics.FBetaScore(beta="2"), ValueError, "beta='2': write a number above 0"),
    (lambda: metrics.Precision(top_k=0), ValueError, "top_k=0: write a whole number"),
    (lambda: metrics.Recall(top_k=9)(HOT, SCORES), ValueError, f"top_k=9 of {K} outputs"),
    (lambda: metrics.IoU(3, [3]), ValueError, "class numbers from 0 to 2"),
    (lambda: metrics.PearsonCorrelation(axis=0)(TARGETS, VALUES), ValueError, "axis=0 goes along the samples"),
    (lambda: metrics.AUC(curve="roc"), ValueError, "'ROC' or 'PR'"),
    (lambda: metrics.AUC(thresholds=[0.5, 2]), ValueError, "from 0 to 1"),
    (
        lambda: metrics.Accuracy()([0, 1, 1], [[0.1], [0.2], [0.3]], [[1, 2, 3]]),
        ValueError,
        r"shape \(1, 3\), and there are 3 samples",
    ),
    (lambda: metrics.RecallAtPrecision(0.5, class_id=4)(LABELS, SCORES), ValueError, "class_id=4 of 4 classes"),
    (lambda: metrics.FBetaScore(beta=0), ValueError, "beta=0"),
    (lambda: metrics.R2Score("mean"), ValueError, "'uniform_average'"),
    (lambda: metrics.BinaryCrossentropy(label=1), TypeError, "has no argument 'label'"),
    (lambda: metrics.CohenKappa("square"), ValueError, "'quadratic'"),
    (lambda: metrics.RecallAtPrecision(90), ValueError, "precision=90"),
    (lambda: metrics.ExpectedCalibrationError(norm="l3"), ValueError, "'max'"),
    (lambda: metrics.get("recall_at_precision"), ValueError, "Write"),
    (
        lambda: metrics.BalancedAccuracy()([[1, 1], [0, 1]], [[0.5, 0.5]] * 2),
        ValueError,
        r"1 rows had several.*BalancedAccuracy\(multi_label=True\)",
    ),
    (lambda: metrics.MatthewsCorrelation()([[0, 0]], [[0.5, 0.5]]), ValueError, "multi_label=True"),
    (lambda: metrics.ConfusionMatrix()([[0, 0]], [[0.5, 0.5]]), ValueError, "one class a row"),
    (lambda: metrics.roc_auc_score([0, 0], [0.1, 0.2]), ValueError, "no positive sample"),
    (lambda: metrics.roc_auc_score([1, 1], [0.1, 0.2]), ValueError, "no negative sample"),
    (lambda: metrics.roc_auc_score([0, 2], [0.1, 0.2]), ValueError, "2 in row 1.*y_true == k"),
    (lambda: metrics.roc_auc_score([0, 1], [0.1, np.nan]), ValueError, "row 1 is NaN"),
    (lambda: metrics.roc_auc_score([0, 1, 1], [0.1, 0.2]), ValueError, r"shape \(3,\)"),
    (lambda: metrics.roc_auc_score([0, 1], [0.1, 0.2], sample_weight=[1, -1]), ValueError, "0 or more"),
    (lambda: metrics.roc_auc_score([0, 4], [[0.1, 0.9]] * 2), ValueError, "classes 0 to 4.*from 0 to 1"),
    (lambda: metrics.roc_auc_score(LABELS, SCORES, multi_class="raise"), ValueError, "'ovr' .* or 'ovo'"),
    (lambda: metrics.roc_auc_score(YES, CHANCE, max_fpr=0), ValueError, "max_fpr=0: write a rate"),
    (lambda: metrics.roc_auc_score(LABELS, SCORES, max_fpr=0.1), ValueError, "max_fpr=0.1 of several classes"),
    (lambda: metrics.roc_auc_score(LABELS, SCORES, multi_class="ovo", average=None), ValueError, "average=None with"),
    (lambda: metrics.roc_auc_score(LABELS, SCORES, labels="ab"), ValueError, f"the {K} classes"),
    (lambda: metrics.roc_auc_score(["a", "c"], [0.1, 0.2], labels=["a", "b"]), ValueError, "y_true has 'c'"),
    (lambda: metrics.roc_auc_score([0, 1, 0], np.ones((3, 3)), multi_class="ovo"), ValueError, "classes 0 and 2"),
    (lambda: metrics.roc_auc_score([[0, 1], [1, 1]], np.ones((2, 2)), average="samples"), ValueError, "row 1: "),
    (lambda: metrics.roc_auc_score([0, 1, 0], np.ones((3, 3))), ValueError, "class 2: .*average=None"),
    (lambda: metrics.average_precision_score([0, 1], [0.1, 0.2], average="mean"), ValueError, "'macro'"),
    (lambda: metrics.report([0, 1], [0]), ValueError, "2 samples and y_pred 1"),
    (lambda: metrics.report([], []), ValueError, "at least one"),
    (lambda: metrics.report([0, 1], [[0.5, 0.5], [0.1, np.nan]]), ValueError, "NaN in row 1"),
    (lambda: metrics.report([0, 1], [np.nan, 0.5]), ValueError, "NaN in row 0"),
    (
        lambda: metrics.report([0, 1], [0, 1], names=["a", "b", "c"], sample_weight=[1]),
        ValueError,
        "there are 2 samples",
    ),
    (lambda: metrics.report([0, 2], [0, 1], names=["a", "b"]), ValueError, "2 names for 3 classes"),
    (lambda: metrics.report([0, -1], [0, 1]), ValueError, "y_true holds -1"),
    (lambda: metrics.report([0, 1], [0, 1], sample_weight=[np.nan, 1]), ValueError, "nan at row 0"),
    (lambda: metrics.report([0, 1], [0, 1], sample_weight=[1, -1]), ValueError, "-1 at row 1"),
    (lambda: metrics.report([[1, 1], [0, 1]], [[0.5, 0.5, 0.5]] * 2), ValueError, r"\(2, 2\) and y_pred \(2, 3\)"),
    (lambda: metrics.report([[1, 1, 0], [0, 1, 1]], [0, 1]), ValueError, r"several labels, shape \(2, 3\)"),
    (lambda: metrics.report([0, 1], [-2.5, 0.3]), ValueError, "-2.5, which is no probability. Write threshold=0"),
    (lambda: metrics.report([[1, 1], [0, 1]], [[0.5, 1.5]] * 2), ValueError, "1.5, which is no probability"),
    (lambda: metrics.report([0, 1, 2], [0, 1, 2], ["a", "a", "b"]), ValueError, "two classes are called 'a'"),
    (lambda: metrics.report(["a", "b"], [[0.5, 0.5]] * 2), ValueError, "names and y_pred scores"),
    (lambda: metrics.report(["a", "b"], ["a", "c"], names=["a", "b"]), ValueError, "'c' is not among"),
    (lambda: metrics.get("MeanIoU"), TypeError, r"MeanIoU needs arguments. Write MeanIoU\(num_classes=...\) instead"),
    (lambda: metrics.get(metrics.IoU), TypeError, r"Write IoU\(num_classes=..., target_class_ids=...\) instead"),
    (lambda: metrics.Accuracy()([0, 1, 2], [[0.1, 0.9]]), ValueError, r"shape \(3,\) and y_pred \(1, 2\)"),
]


@pytest.mark.parametrize(("make", "error", "text"), ERRORS)
def test_errors(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_describe_and_get_are_inverse():
    for name in filter(str.islower, metrics.REGISTRY.names):
        metric = metrics.get(name)
        again = metrics.get(metrics.REGISTRY.describe(metric))
        assert (type(again), again.config()) == (type(metric), metric.config())
        assert again.name == name
    for metric in (
        metrics.RecallAtPrecision(0.9, 50), metrics.SpecificityAtSensitivity(0.3, name="mine"),
        metrics.AUC(thresholds=[0.5], multi_label=True), metrics.CohenKappa("linear"), metrics.Precision(top_k=2),
        metrics.IoU(3, (0, 2), axis=1), metrics.MeanIoU(3, ignore_class=1), metrics.BinaryIoU((1,), 0.3),
        metrics.Accuracy(dtype="float64"), metrics.F1Score(dtype=np.float64), metrics.TruePositives([0.3], dtype="float32"),
        metrics.AUC(label_weights=np.ones(2), multi_label=True, num_labels=2), metrics.FBetaScore(beta=2.0),
        metrics.OneHotIoU(3, [1]), metrics.OneHotMeanIoU(3, name="mine"), metrics.PearsonCorrelation(axis=(1, 2)),
    ):  # fmt: skip
        again = metrics.get(metrics.REGISTRY.describe(metric))
        assert (type(again), again.config()) == (type(metric), metric.config())


def test_settings_are_plain_and_results_can_be_read_as_tensors_are():
    assert metrics.MeanSquaredError(dtype=np.float64).get_config() == {"name": "mean_squared_error", "dtype": "float64"}
    assert "dtype" not in metrics.MeanSquaredError().get_config()
    assert metrics.Precision(thresholds=np.array([0.5])).get_config()["thresholds"] == [0.5]
    f1 = metrics.F1Score()
    each = f1(LABELS, SCORES)
    assert type(each.numpy()) is np.ndarray
    assert repr(each) == repr(each.numpy())
    assert metrics.Precision()(LABELS, SCORES).numpy() > 0


def test_a_variable_may_be_named_first():
    metric = metrics.Metric()
    total = metric.add_weight("total", initializer="zeros")
    other = metric.add_variable(shape=(2,), initializer=None, aggregation="sum", name="other")
    assert [(v.name, v.shape) for v in (total, other)] == [("total", ()), ("other", (2,))]


# --- in a training run --------------------------------------------------------------------------------------------

TRAINED = [
    "balanced_accuracy", "matthews_correlation", "cohen_kappa", "roc_auc", "pr_auc", "expected_calibration_error",
    "specificity", "crossentropy", metrics.RecallAtPrecision(0.4), metrics.Recall(top_k=1), metrics.MeanIoU(K),
]  # fmt: skip


@pytest.mark.parametrize(
    ("loss", "outputs", "truth"),
    [("BinaryCrossentropy", 1, YES), ("SparseCategoricalCrossentropy", K, LABELS), ("CategoricalCrossentropy", K, HOT)],
)
@pytest.mark.parametrize("logits", [False, True])
def test_in_a_step_as_alone(loss, outputs, truth, logits, engine):
    """With a partial last batch, from probabilities and from logits."""
    import ranvier as rv

    last = {1: "sigmoid", K: "softmax"}[outputs]
    rv.set_seed(1)
    model = rv.Sequential([rv.layers.Dense(outputs, None if logits else last, input_shape=(K,))])
    chosen = [m for m in TRAINED if isinstance(m, str)] if logits else TRAINED
    model.compile("sgd", getattr(rv.losses, loss)(from_logits=logits), metrics=chosen)
    found = model.evaluate(SCORES, truth, batch_size=16, verbose=0, return_dict=True)
    scores = model.predict(SCORES, verbose=0)
    for metric in chosen:
        alone = metrics.get(metric)
        alone.reset_state()
        if logits:
            alone.for_logits(exclusive=outputs > 1)
        assert found[alone.name] == pytest.approx(alone(truth, scores), rel=1e-5, abs=1e-7)


def test_a_metric_keeps_the_name_it_was_asked_for_by():
    model = rv.Sequential([rv.Input((K,)), rv.layers.Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy", metrics=["AUC", "RootMeanSquaredError", "mse"])
    stop = rv.callbacks.EarlyStopping("val_AUC", patience=2)
    found = model.fit(SCORES, YES, epochs=2, validation_split=0.2, callbacks=[stop], verbose=0, ignore="RV").history
    names = ["AUC", "RootMeanSquaredError", "loss", "mse"]
    assert list(found) == [*names, *(f"val_{name}" for name in names)]
    assert stop.better() == "max"


def test_which_way_is_better_is_the_own_word_of_a_metric_that_is_written():
    class Odd(metrics.Accuracy):
        direction = "down"

        def result(self):
            return super().result()

    model = rv.Sequential([rv.Input((K,)), rv.layers.Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy", metrics=[Odd(name="q")])
    stop = rv.callbacks.EarlyStopping("q")
    model.fit(SCORES, YES, verbose=0, callbacks=[stop], ignore="RV")
    assert stop.better() == "min"


def test_an_exact_function_is_no_metric_of_a_program():
    import ranvier as rv

    model = rv.Sequential([rv.layers.Dense(1, "sigmoid", input_shape=(K,))])
    model.compile("sgd", "binary_crossentropy", metrics=[metrics.roc_auc_score])
    with pytest.raises(TypeError, match=r"metrics=\['roc_auc'\]"):
        model.fit(SCORES, YES, verbose=0)


# --- exact, on arrays ---------------------------------------------------------------------------------------------


def test_areas_are_those_of_ranks():
    positive, negative = CHANCE[YES == 1], CHANCE[YES == 0]
    above = (positive[:, None] > negative).mean() + (positive[:, None] == negative).mean() / 2
    assert metrics.roc_auc_score(YES, CHANCE) == pytest.approx(above)
    assert metrics.roc_auc_score(YES, np.zeros(N)) == 0.5
    assert metrics.average_precision_score(YES, np.zeros(N)) == pytest.approx(YES.mean())
    each = metrics.roc_auc_score(LABELS, SCORES, average=None)
    np.testing.assert_allclose(each, [metrics.roc_auc_score(k == LABELS, SCORES[:, k]) for k in range(K)])
    assert metrics.roc_auc_score(LABELS, SCORES) == pytest.approx(each.mean())
    assert metrics.roc_auc_score(HOT, SCORES, average="weighted") == pytest.approx(np.average(each, weights=HOT.sum(0)))
    gone = metrics.roc_auc_score(np.minimum(LABELS, 2), SCORES, average=None)
    assert np.isnan(gone[3])


def test_a_weight_is_a_number_of_copies():
    some = WEIGHTS.astype(int)
    truth, scores = np.repeat(YES, some), np.repeat(CHANCE, some)
    for area in (metrics.roc_auc_score, metrics.average_precision_score):
        assert area(YES, CHANCE, sample_weight=some) == pytest.approx(area(truth, scores))
    many = metrics.roc_auc_score(HOT, SCORES, average="micro", sample_weight=some)
    assert many == pytest.approx(
        metrics.roc_auc_score(np.repeat(HOT, some, 0), np.repeat(SCORES, some, 0), average="micro")
    )


# --- the report ---------------------------------------------------------------------------------------------------

CALLED = ["ant", "bee", "cat", "dog"]


def test_probabilities_may_be_rounded_beyond_one():
    found = metrics.report([1, 0], np.array([1.0000001, -1e-7], np.float32))
    assert found.accuracy == 1


def test_report():
    report = metrics.report(LABELS, SCORES, CALLED)
    np.testing.assert_allclose(report.precision, per_class("precision", TABLE))
    np.testing.assert_allclose(report.recall, per_class("recall", TABLE))
    np.testing.assert_allclose(report.f1, per_class("f1", TABLE))
    np.testing.assert_array_equal(report.confusion, TABLE)
    found = report.to_dict()
    assert found["bee"]["support"] == int((LABELS == 1).sum())
    assert found["accuracy"] == pytest.approx(RIGHT.mean())
    assert found["balanced accuracy"] == pytest.approx(per_class("recall", TABLE).mean())
    assert found["macro average"]["f1"] == pytest.approx(per_class("f1", TABLE).mean())
    assert found["weighted average"]["recall"] == pytest.approx(RIGHT.mean())
    for truth, decided in (
        (HOT, SCORES), (LABELS[:, None], DECIDED), (HOT, DECIDED), (np.array(CALLED)[LABELS], np.array(CALLED)[DECIDED]),
    ):  # fmt: skip
        assert metrics.report(truth, decided, CALLED).to_dict() == found
    assert list(metrics.report(np.array(CALLED)[LABELS], np.array(CALLED)[DECIDED]).names) == CALLED
    heavy = metrics.report(LABELS, SCORES, sample_weight=WEIGHTS)
    np.testing.assert_allclose(heavy.recall, per_class("recall", HEAVY))
    assert metrics.report(YES, CHANCE[:, None]).accuracy == pytest.approx(np.diag(BINARY).sum() / N)
    assert metrics.report(YES, 8 * CHANCE - 4, threshold=0).accuracy == pytest.approx(np.diag(BINARY).sum() / N)
    assert metrics.report(YES, CHANCE, threshold=0.3).recall[1] == pytest.approx((CHANCE[YES == 1] > 0.3).mean())


def test_report_of_several_labels_at_once():
    truth = np.stack([YES, 1 - YES, YES * 0 + 1], 1)
    report = metrics.report(truth, np.stack([CHANCE] * 3, 1))
    assert report.accuracy is None
    assert report.precision[0] == pytest.approx(BINARY[1, 1] / BINARY[:, 1].sum())
    decided = CHANCE > 0.5
    assert report.averages["micro"][0] == pytest.approx((truth & decided[:, None]).sum() / (3 * decided.sum()))
    assert "micro average" in str(report)
    assert "accuracy" not in str(report)


def test_report_in_every_form():
    report = metrics.report([0, 0, 1, 1], [0, 1, 1, 1], ["cats & dogs", "other"])
    assert str(report).splitlines() == [
        "class              precision  recall     F1  support",
        "----------------------------------------------------",
        "cats & dogs            1.000   0.500  0.667        2",
        "other                  0.667   1.000  0.800        2",
        "----------------------------------------------------",
        "accuracy                       0.750               4",
        "balanced accuracy              0.750               4",
        "macro average          0.833   0.750  0.733        4",
        "weighted average       0.833   0.750  0.733        4",
    ]
    assert repr(report) == str(report)
    html = report._repr_html_()
    assert "cats &amp; dogs" in html
    assert html.count("<tr>") == 7
    from io import StringIO

    from rich.console import Console

    out = StringIO()
    Console(file=out, width=100).print(report)
    assert "balanced accuracy" in out.getvalue()
    for width in (30, 40, 50):  # words fold, numbers stay
        narrow = StringIO()
        Console(file=narrow, width=width).print(report)
        assert narrow.getvalue().count("0.833") == 2, narrow.getvalue()
        assert "…" not in narrow.getvalue()


# --- written as Keras's are ---------------------------------------------------------------------------------------


def hits_of(metrics: Any, ops: Any) -> Any:
    """A metric as Keras's documentation writes one, of either library: hits of a class, and the surest that there was."""

    class Hits(metrics.Metric):  # type: ignore[misc]
        def __init__(self, name="hits", label=1, **options):
            super().__init__(name=name, **options)
            self.label = label
            self.total = self.add_weight(name="total", initializer="zeros")
            self.surest = self.add_weight(shape=(2,), initializer="ones", name="surest")

        def update_state(self, y_true, y_pred, sample_weight=None):
            y_true = ops.cast(ops.reshape(y_true, (-1,)), "int32")
            right = ops.equal(y_true, ops.cast(ops.argmax(y_pred, axis=1), "int32"))
            values = ops.cast(ops.logical_and(right, ops.equal(y_true, self.label)), self.dtype)
            if sample_weight is not None:
                values = values * ops.cast(ops.reshape(sample_weight, (-1,)), self.dtype)
            self.total.assign_add(ops.sum(values))
            self.surest.assign(ops.maximum(self.surest, ops.stack([ops.max(y_pred), -ops.min(y_pred)])))

        def result(self):
            return self.total + 10 * self.surest[0]

        def reset_state(self):
            self.total.assign(0.0)
            self.surest.assign([-1.0, -1.0])

    return Hits


Hits = hits_of(metrics, rv.ops)


def test_a_metric_in_the_way_of_keras_is_part_of_the_step():
    """Its start is no zero, and a step's program knows it; alone, in training and in evaluation it is the same."""
    model = rv.Sequential([rv.Input((K,)), rv.layers.Dense(K, "softmax")])
    hits = Hits(label=2)
    model.compile(
        optimizers.SGD(0.0), "sparse_categorical_crossentropy", metrics=[hits], weighted_metrics=[Hits(name="w")]
    )
    history = model.fit(SCORES, LABELS, batch_size=25, epochs=2, sample_weight=WEIGHTS, verbose=0, ignore="RV").history
    scores = model.predict(SCORES, verbose=0)
    right = scores.argmax(1) == LABELS
    surest = 10 * scores.max()
    assert history["hits"] == pytest.approx([(right & (LABELS == 2)).sum() + surest] * 2, rel=1e-6)
    assert history["w"] == pytest.approx([(WEIGHTS * (right & (LABELS == 1))).sum() + surest] * 2, rel=1e-6)
    assert hits.result().item() == pytest.approx(history["hits"][0], rel=1e-6)
    found = model.evaluate(SCORES, LABELS, verbose=0, return_dict=True)
    alone = Hits(label=2)
    assert alone.result().item() == 10
    alone.reset_state()
    assert alone(LABELS, scores).item() == pytest.approx(found["hits"], rel=1e-6)
    alone.reset_state()
    assert alone.result().item() == -10


class Decided(metrics.MeanIoU):
    """One of Ranvier's, of which the user overrides what comes in, and what comes out."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(y_true, rv.ops.argmax(y_pred, axis=-1), sample_weight)

    def result(self):
        return 2 * super().result()


class Weighed(metrics.SparseCategoricalAccuracy):
    """One that also collects in a variable of its own, and never reaches the counts it is made of at one place."""

    def __init__(self, **options):
        super().__init__(**options)
        self.seen = self.add_weight(name="seen")
        self.inner = Decided(K, name="inner")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.seen.assign_add(rv.ops.sum(rv.ops.ones_like(y_true)))
        super().update_state(y_true, y_pred, sample_weight)
        self.inner.update_state(y_true, y_pred)

    def result(self):
        return super().result() + self.seen + self.inner.result()


class Doubled(metrics.Precision):
    def result(self):
        return 2 * super().result()


@pytest.mark.parametrize(
    "make", [lambda: Decided(K), Weighed, lambda: Doubled(average="macro")], ids=["update", "held", "result"]
)
def test_what_is_overridden_of_a_metric_counts_in_the_step(make):
    model = rv.Sequential([rv.Input((K,)), rv.layers.Dense(K, "softmax")])
    metric = make()
    model.compile(optimizers.SGD(0.0), "sparse_categorical_crossentropy", metrics=[metric])
    history = model.fit(SCORES, LABELS, batch_size=25, epochs=2, verbose=0, ignore="RV").history
    alone = make()
    alone.update_state(LABELS, model.predict(SCORES, verbose=0))
    expected = float(np.asarray(alone.result()))
    assert expected > 0
    assert history[metric.name] == pytest.approx([expected] * 2, rel=1e-6)
    assert float(np.asarray(metric.result())) == pytest.approx(expected, rel=1e-6)
    evaluated = model.evaluate(SCORES, LABELS, verbose=0, return_dict=True)
    assert evaluated[metric.name] == pytest.approx(expected, rel=1e-6)


def test_an_update_is_traced_once_for_each_program():
    class Traced(Hits):  # type: ignore[misc, valid-type]  # made for either library
        calls = 0

        def update_state(self, *arguments, **options):
            Traced.calls += 1
            super().update_state(*arguments, **options)

    model = rv.Sequential([rv.Input((K,)), rv.layers.Dense(K, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=[Traced()])
    model.evaluate(SCORES, LABELS, verbose=0)
    assert Traced.calls == 1


class Reading(metrics.Metric):
    def __init__(self):
        super().__init__()
        self.total = self.add_weight(name="total")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign(float(np.asarray(y_pred).sum()))

    def result(self):
        return self.total


class Bare(Reading):
    def __init__(self):
        metrics.Metric.__init__(self)


class Stray(Reading):
    def __init__(self):
        super().__init__()
        self.other = rv.Tensor(0.0)

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.other.assign(rv.ops.sum(y_pred))


class Several(Reading):
    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign(rv.ops.sum(y_pred))

    def result(self):
        return {"a": self.total, "b": self.total}


class Inside(Reading):
    """Reads the result of another metric where there is none yet."""

    def __init__(self):
        super().__init__()
        self.precision = metrics.Precision()

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign(self.precision(y_true, y_pred))


@pytest.mark.parametrize(
    ("metric", "kind", "words"),
    [
        (Inside, TypeError, r"metric 'precision' is read in the update_state of another.*Write"),
        (Reading, RuntimeError, "Write tensor functions"),
        (Bare, ValueError, r"'bare' has no variables. Write self.total = self.add_weight\(name='total'"),
        (Stray, ValueError, "assigns to a tensor that is none of its variables"),
        (Several, TypeError, r"several results, \['a', 'b'\]. Write a metric for each"),
        (metrics.Mean, TypeError, "metrics.Mean takes values"),
    ],
)
def test_what_such_a_metric_cannot_do_is_reported(metric, kind, words):
    model = rv.Sequential([rv.Input((K,)), rv.layers.Dense(K, "softmax")])

    def train():
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=[metric()])
        model.fit(SCORES, LABELS, verbose=0, ignore="RV")

    with pytest.raises(kind, match=words):
        train()


def test_means_and_sums_of_values():
    mean, total = metrics.Mean(name="loss"), metrics.Sum()
    assert not mean.result()
    assert not total.result()
    for values, weights in [([1.0, 2.0], None), (6, None), (np.ones((2, 3)), [0.5, 2.0])]:
        mean.update_state(values, sample_weight=weights)
        total.update_state(values, sample_weight=weights)
    assert (mean.result(), total.result()) == (16.5 / 10.5, 16.5)
    assert (mean.result().numpy(), f"{total.result():.1f}") == (16.5 / 10.5, "16.5")
    mean.reset_state()
    assert mean(rv.Tensor([3.0, 5.0])) == 4
    with pytest.raises(ValueError, match="Write one weight for each value"):
        mean.update_state([1.0, 2.0], [1.0, 2.0, 3.0])


def test_a_model_has_the_metrics_that_it_was_compiled_with():
    model = rv.Sequential([rv.Input((K,)), rv.layers.Dense(K, "softmax")])
    assert model.metrics == []
    hits, accuracy = Hits(), metrics.SparseCategoricalAccuracy()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=[hits, accuracy])
    model.evaluate(SCORES, LABELS, verbose=0)
    assert model.metrics[0] is hits
    assert [metric.name for metric in model.metrics] == ["hits", "sparse_categorical_accuracy"]
    assert hits.result().item() > 0
    model.reset_metrics()
    assert hits.result().item() == -10


class Read(Reading):
    """What it holds is read by ``value``, before and after it is written."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        before = self.total.value
        self.total.assign_add(rv.ops.sum(y_pred))
        self.total.assign(before + 2 * (self.total.value - before))

    def result(self):
        return self.total.value


def test_the_value_of_a_variable_is_what_was_assigned():
    metric = Read()
    assert metric(LABELS, SCORES).item() == pytest.approx(2 * SCORES.sum(), rel=1e-5)
    model = rv.Sequential([rv.Input((K,)), rv.layers.Dense(K, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=[Read()])
    history = model.fit(SCORES, LABELS, epochs=2, verbose=0, ignore="RV").history
    assert history["read"] == pytest.approx([2 * len(SCORES)] * 2, rel=1e-5)


class Tally(rv.Layer):
    def build(self, input_shape):
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, name="calls")

    def call(self, x):
        self.calls.assign_add(1.0)
        return x * self.calls.value


def test_the_value_of_a_weight_is_what_was_assigned():
    layer = Tally()
    assert [layer(rv.Tensor([1.0])).item() for _ in range(3)] == [1, 2, 3]
    weight = rv.Parameter([3.0])
    (weight.value**2).sum().backward()
    assert weight.grad.tolist() == [6]


def test_a_mean_of_losses_waits_for_the_step():
    """Nothing is computed for it alone in a loop: it is part of the program of the step."""
    net, tracker = rv.layers.Dense(1), metrics.Mean()
    optimizer = optimizers.SGD(0.1)
    seen = []
    for _ in range(3):
        loss = rv.ops.mean((net(SCORES) - 1.0) ** 2)
        if not optimizer.parameters:
            optimizer.attach(net.parameters())
        loss.backward()
        tracker.update_state(loss)
        assert loss._value is None
        optimizer.step()
        seen.append(loss.item())
    assert tracker.result() == pytest.approx(np.mean(seen))


def made_of_metrics(metrics: Any) -> Any:
    """An F score as people write one for either library, of metrics that it holds, and a mean of the scores."""

    class F1(metrics.Metric):  # type: ignore[misc]
        def __init__(self, name="own", **options):
            super().__init__(name=name, **options)
            self.precision, self.recall = metrics.Precision(), metrics.Recall()
            self.level = metrics.Mean()

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.precision.update_state(y_true, y_pred, sample_weight)
            self.recall.update_state(y_true, y_pred, sample_weight)
            self.level.update_state(y_pred)

        def result(self):
            p, r = self.precision.result(), self.recall.result()
            return 2 * p * r / (p + r + 1e-6) + 10 * self.level.result()

        def reset_state(self):
            for metric in (self.precision, self.recall, self.level):
                metric.reset_state()

    return F1


class ByClass(metrics.Metric):
    """It calls one metric for two parts of the batch, of other shapes than the outputs', and resets it when it is reset."""

    def __init__(self):
        super().__init__()
        self.counts = [metrics.TruePositives(thresholds=0.5)]

    def update_state(self, y_true, y_pred, sample_weight=None):
        for k in (1, 2):
            decided = rv.ops.equal(rv.ops.argmax(y_pred, axis=1), k)
            self.counts[0].update_state(rv.ops.equal(y_true, k), decided, sample_weight)

    def result(self):
        return self.counts[0].result()


def test_a_metric_may_be_made_of_metrics():
    model = rv.Sequential([rv.Input((K,)), rv.layers.Dense(1, "sigmoid")])
    targets = (LABELS > 1).astype(np.float32)[:, None]
    own = made_of_metrics(metrics)
    model.compile(optimizers.SGD(0.0), "bce", metrics=[own(), "f1_score"], weighted_metrics=[own(name="w")])
    found = model.fit(SCORES, targets, batch_size=32, epochs=2, sample_weight=WEIGHTS, verbose=0, ignore="RV").history
    scores = model.predict(SCORES, verbose=0)
    for name, weights in (("own", None), ("w", WEIGHTS)):
        alone = own()
        alone.update_state(targets, scores, weights)
        assert found[name] == pytest.approx([alone.result()] * 2, rel=1e-4)
        alone.reset_state()
        assert alone.result() == 0
    classes = rv.Sequential([rv.Input((K,)), rv.layers.Dense(K, "softmax")])
    classes.compile("sgd", "sparse_categorical_crossentropy", metrics=[ByClass()])
    decided = classes.predict(SCORES, verbose=0).argmax(1)
    right = ((decided == LABELS) & np.isin(LABELS, (1, 2))).sum()
    assert classes.evaluate(SCORES, LABELS, verbose=0, return_dict=True)["by_class"] == right


def test_variables_are_what_a_metric_accumulates():
    metric = metrics.SparseCategoricalAccuracy()
    assert [v.item() for v in metric.variables] == [0, 0]
    metric.update_state([1, 0], [[0.2, 0.8], [0.1, 0.9]])
    assert [v.item() for v in metric.variables] == [1, 2]
    metric.reset_state()
    assert [v.item() for v in metric.variables] == [0, 0]
    assert metric.result() == 0


class Seen(metrics.Metric):
    """What an update is given: dimensions of the targets, their kind, and whether there are weights."""

    def __init__(self, name="seen"):
        super().__init__(name)
        self.seen = self.add_weight((), name="seen")

    def update_state(self, y_true, y_pred, sample_weight=None):
        kinds = ["float32", "int32", "uint8", "bool"]
        self.seen.assign(
            self.seen * 0 + 100 * y_true.ndim + 10 * kinds.index(y_true.dtype) + (sample_weight is not None)
        )

    def result(self):
        return self.seen


GIVEN = [  # loss, units, targets, what Keras's metrics get by JAX
    ("sparse_categorical_crossentropy", 2, np.array([0, 1, 1, 0]), 110),
    ("sparse_categorical_crossentropy", 2, np.array([[0.0], [1.0], [1.0], [0.0]]), 200),
    ("sparse_categorical_crossentropy", 2, np.array([0, 1, 1, 0], np.uint8), 120),
    ("mse", 1, np.arange(4), 110), ("mse", 1, np.arange(4.0), 100), ("mse", 1, np.arange(4.0)[:, None], 200), ("mse", 1, [0, 1, 2, 3], 110),
    ("mse", 1, np.array([True, False] * 2), 130),
]  # fmt: skip


@pytest.mark.parametrize(("loss", "units", "y", "seen"), GIVEN, ids=range(len(GIVEN)))
def test_updates_get_targets_as_they_are_given(loss, units, y, seen):
    model = rv.Sequential([rv.Input((3,)), rv.layers.Dense(units, activation="softmax" if units > 1 else None)])
    model.compile("sgd", loss, metrics=[Seen()], weighted_metrics=[Seen("weighted")], engine="reference")
    x = np.zeros((4, 3), np.float32)
    history = model.fit(x, y, sample_weight=np.ones(4), validation_data=(x, y), verbose=0, ignore="RV").history
    assert (history["seen"], history["weighted"], history["val_seen"]) == ([seen], [seen + 1], [seen])
    batches = [(x[:2], np.asarray(y)[:2]), (x[2:], np.asarray(y)[2:])]
    assert model.fit((b for b in batches), verbose=0, ignore="RV").history["seen"] == [seen]


def test_outputs_of_one_sample_have_their_largest():
    y_true, y_pred = [0, 1, 1, 0, 0], [0.2, 0.1, 0.5, 0, 0.2]
    assert metrics.Precision(top_k=3)(y_true, y_pred) == pytest.approx(1 / 3)
    assert metrics.Recall(top_k=3)([y_true], [y_pred]) == metrics.Recall(top_k=3)(y_true, y_pred) == 0.5

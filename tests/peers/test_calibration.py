"""Calibration against scikit-learn's curve and SciPy's minimum."""

import numpy as np
import pytest

from ranvier.calibration import fit_temperature, reliability, tune_threshold

pytestmark = pytest.mark.peers
RNG = np.random.default_rng(6)
LOGITS = RNG.normal(size=(700, 4)) * 4
LABELS = np.array([RNG.choice(4, p=p) for p in np.exp(LOGITS / 2) / np.exp(LOGITS / 2).sum(1, keepdims=True)])
YES = (RNG.random(700) < 1 / (1 + np.exp(-LOGITS[:, 0] / 3))).astype(int)
CHANCE = 1 / (1 + np.exp(-LOGITS[:, 0]))


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_scipy_minimum(kind):
    optimize, special = pytest.importorskip("scipy.optimize"), pytest.importorskip("scipy.special")

    def loss(t):
        if kind == "softmax":
            return -special.log_softmax(LOGITS / t, 1)[np.arange(700), LABELS].mean()
        return -(YES * special.log_expit(LOGITS[:, 0] / t) + (1 - YES) * special.log_expit(-LOGITS[:, 0] / t)).mean()

    theirs = optimize.minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-9}).x
    mine = fit_temperature(LABELS, LOGITS) if kind == "softmax" else fit_temperature(YES, LOGITS[:, 0])
    assert mine == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_sklearn_curve(strategy):
    calibration = pytest.importorskip("sklearn.calibration")
    happened, sure = calibration.calibration_curve(YES, CHANCE, n_bins=8, strategy=strategy)
    mine = reliability(YES, CHANCE, 8, strategy=strategy)
    np.testing.assert_allclose(mine.accuracy[mine.count > 0], happened)
    np.testing.assert_allclose(mine.confidence[mine.count > 0], sure)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ("f1", "f1_score"),
        ("balanced_accuracy", "balanced_accuracy_score"),
        ("matthews_correlation", "matthews_corrcoef"),
    ],
)
def test_sklearn_scores_at_the_threshold(mine, theirs):
    metrics = pytest.importorskip("sklearn.metrics")
    score = getattr(metrics, theirs)
    found = tune_threshold(YES, CHANCE, mine)
    assert found.score == pytest.approx(score(YES, found(CHANCE)))
    assert found.score == pytest.approx(max(score(YES, c <= CHANCE) for c in CHANCE))
    assert tune_threshold(YES, CHANCE, score, candidates=10**6).value == pytest.approx(found.value)


def test_decisions_of_estimators():
    """An estimator's predict gives labels, which are no scores."""
    linear = pytest.importorskip("sklearn.linear_model")
    pipeline, scaling = pytest.importorskip("sklearn.pipeline"), pytest.importorskip("sklearn.preprocessing")
    model = pipeline.make_pipeline(scaling.StandardScaler(), linear.LogisticRegression()).fit(LOGITS, YES)
    found = tune_threshold(YES, model.predict_proba(LOGITS)[:, 1], "f1")
    decided = found.predict(model, LOGITS)
    np.testing.assert_array_equal(decided, model.predict_proba(LOGITS)[:, 1] > found.value)
    assert (decided != model.predict(LOGITS)).any()
    ridge = linear.RidgeClassifier().fit(LOGITS, YES)
    found = tune_threshold(YES, ridge.decision_function(LOGITS), "f1")
    np.testing.assert_array_equal(found.predict(ridge, LOGITS), found(ridge.decision_function(LOGITS)))

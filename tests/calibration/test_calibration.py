"""Thresholds against every threshold, temperatures that were put in and are found again, and how true probabilities are."""

import itertools
import subprocess
import sys
import warnings

import numpy as np
import pytest

import ranvier as rv
from ranvier.calibration import Calibrated, calibrate, fit_scaling, fit_temperature, reliability, tune_threshold

RNG = np.random.default_rng(5)
N = 300
YES = (RNG.random(N) < 0.15).astype(np.int64)
CHANCE = np.round(1 / (1 + np.exp(-(2.0 * YES - 2.5 + RNG.normal(size=N)))), 2)
WEIGHTS = RNG.integers(0, 3, N)


def rate(truth, decided, weights=None):
    w = np.ones(len(truth)) if weights is None else weights
    return (
        (w * truth * decided).sum(),
        (w * (1 - truth) * decided).sum(),
        (w * truth * (1 - decided)).sum(),
        (w * (1 - truth) * (1 - decided)).sum(),
    )


def by_hand(metric, truth, decided, weights=None):
    tp, fp, fn, tn = rate(truth, decided, weights)
    if metric.startswith("f"):
        b = float(metric[1:]) ** 2
        return (1 + b) * tp / ((1 + b) * tp + b * fn + fp)
    if metric == "accuracy":
        return (tp + tn) / (tp + fp + fn + tn)
    if metric == "balanced_accuracy":
        return (tp / (tp + fn) + tn / (tn + fp)) / 2
    sides = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return (tp * tn - fp * fn) / np.sqrt(sides) if sides else 0.0


# --- thresholds ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("metric", ["f1", "f2", "f0.5", "accuracy", "balanced_accuracy", "matthews_correlation"])
def test_no_threshold_is_better(metric, weights):
    found = tune_threshold(YES, CHANCE, metric, sample_weight=weights)
    best = max(by_hand(metric, YES, t < CHANCE, weights) for t in np.arange(-1, 101) / 100)
    assert found.score == pytest.approx(best)
    assert by_hand(metric, YES, found(CHANCE), weights) == pytest.approx(best)
    assert found.metric == metric
    again = tune_threshold(YES[:, None], CHANCE[:, None].astype(np.float32), metric, sample_weight=weights)
    assert by_hand(metric, YES, again(CHANCE.astype(np.float32)), weights) == pytest.approx(best)


def test_a_function_as_metric():
    def cost(truth, decided, sample_weight=None):
        _, fp, fn, _ = rate(truth, decided, sample_weight)
        return -(fp + 10 * fn)

    for weights in (None, WEIGHTS):
        found = tune_threshold(YES, CHANCE, cost, sample_weight=weights)
        best = max(cost(YES, t < CHANCE, weights) for t in np.arange(-1, 101) / 100)
        assert found.score == cost(YES, found(CHANCE), weights) == best
        assert found.metric == "cost"
    few = tune_threshold(YES, RNG.random(N) + YES, lambda y, d: (y == d).mean(), candidates=20)
    assert few.score > 0.9


def test_a_threshold_for_each_label():
    truth = np.stack([YES, RNG.permutation(YES)], 1)
    scores = np.stack([CHANCE, RNG.random(N)], 1)
    found = tune_threshold(truth, scores)
    for k in range(2):
        alone = tune_threshold(truth[:, k], scores[:, k])
        assert (found.value[k], found.score[k]) == (alone.value, alone.score)
    np.testing.assert_array_equal(found(scores)[:, 0], tune_threshold(YES, CHANCE)(CHANCE))
    with pytest.raises(ValueError, match="thresholds for 2 labels"):
        found(scores[:, :1])


TINY, HUGE = 5e-324, np.finfo(np.float64).max
SCORES = [
    np.log([1e-300, 0.2, 0.3, 0.9]), [-np.inf, -2.0, -1.0, -0.1], [-np.inf, -np.inf, 0.0, np.inf],
    [0.5, np.nextafter(0.5, 1), 0.5, np.nextafter(0.5, 0)], [1.0, np.nextafter(1, 2), 7.0, np.nextafter(7, 8)],
    [0.0, TINY, -TINY, 2 * TINY], [-HUGE, HUGE, np.nextafter(HUGE, 0), -1.0], [np.inf, np.inf, 1.0, -HUGE],
    [np.inf] * 4, [-np.inf] * 4, [0.3] * 4, [np.inf, -np.inf, np.inf, -np.inf], [1e20, 1e20, 1e20, 1e20],
]  # fmt: skip


@pytest.mark.parametrize("metric", ["f1", "accuracy", "balanced_accuracy", lambda y, d: float((y == d).mean())])
@pytest.mark.parametrize("scores", SCORES)
def test_a_threshold_decides_as_its_score_says(scores, metric):
    scores = np.array(scores)
    for truth in itertools.product((0, 1), repeat=4):
        if 0 < sum(truth) < 4:
            found, y = tune_threshold(truth, scores, metric), np.array(truth)
            value = metric if callable(metric) else lambda y, d: by_hand(metric, y, d)
            assert value(y, found(scores)) == pytest.approx(found.score, abs=1e-12)
            tried = [value(y, scores > t) for t in (*scores, -np.inf)]
            assert found.score == pytest.approx(max(tried), abs=1e-12)


def test_in_the_middle_of_the_widest_gap():
    assert tune_threshold([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], "accuracy").value == pytest.approx(0.5)
    assert tune_threshold([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.9], "accuracy").value == pytest.approx(0.6)
    everything = tune_threshold([1, 1, 1, 0], [0.5, 0.5, 0.5, 0.5], "f1")
    assert everything([0.5]) == [1]
    nothing = tune_threshold([0, 0, 0, 1], [0.5, 0.6, 0.7, 0.4], "accuracy")
    assert nothing([0.7, 0.4]).tolist() == [0, 0]


def test_decisions_of_a_model():
    model, x, y = trained(outputs=1)
    found = tune_threshold(y, model.predict(x, verbose=0), "balanced_accuracy")
    decided = found.predict(model, x)
    assert decided.shape == (len(x), 1)
    assert by_hand("balanced_accuracy", y, decided[:, 0]) == pytest.approx(found.score)


def test_decisions_on_two_columns():
    """Of two classes that exclude each other the second is decided on; of two labels it is not known which."""
    model, x, y = trained(outputs=2)
    scores = model.predict(x, verbose=0)[:, 1]
    found = tune_threshold(y, scores, "balanced_accuracy")
    np.testing.assert_array_equal(found.predict(model, x), found(scores))
    with pytest.raises(ValueError, match=r"one threshold, and the scores have shape \(2, 2\). Write scores\[:, k\]"):
        found([[0.2, 0.9], [0.1, 0.3]])


# --- temperature --------------------------------------------------------------------------------------------------

LOGITS = RNG.normal(size=(4000, 5)) * 2
LABELS = np.array([RNG.choice(5, p=p) for p in np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)])
DECISIONS = (RNG.random(4000) < 1 / (1 + np.exp(-LOGITS[:, 0]))).astype(int)


def likelihood(y, z, kind, temperature):
    z = z / temperature
    if kind == "sigmoid":
        return (np.logaddexp(0, z) - y * z).mean()
    return (np.logaddexp.reduce(z, 1) - z[np.arange(len(z)), y]).mean()


@pytest.mark.parametrize("scale", [1.0, 3.0, 0.2, 90.0])
@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_the_temperature_that_was_put_in_is_found(kind, scale):
    y, z = (LABELS, LOGITS) if kind == "softmax" else (DECISIONS, LOGITS[:, 0])
    found = fit_temperature(y, (z * scale).astype(np.float32))
    assert found == pytest.approx(scale, rel=0.06)  # the precision of 4,000 samples
    best = likelihood(y, z * scale, kind, found)
    for other in (found * 1.01, found / 1.01):
        assert best < likelihood(y, z * scale, kind, other)


def test_every_form_of_target():
    found = fit_temperature(LABELS, LOGITS)
    for y in (LABELS[:, None], np.eye(5)[LABELS]):
        assert fit_temperature(y, LOGITS) == pytest.approx(found)
    assert fit_temperature(LABELS.reshape(400, 10), LOGITS.reshape(400, 10, 5)) == pytest.approx(found)
    assert fit_temperature(DECISIONS[:, None], LOGITS[:, :1]) == pytest.approx(fit_temperature(DECISIONS, LOGITS[:, 0]))
    some = np.arange(4000) % 3
    copies = np.repeat(np.arange(4000), some)
    assert fit_temperature(LABELS, LOGITS, sample_weight=some) == pytest.approx(
        fit_temperature(LABELS[copies], LOGITS[copies])
    )
    labels = (RNG.random((4000, 5)) < 1 / (1 + np.exp(-LOGITS))).astype(int)
    assert fit_temperature(labels, LOGITS * 2, "sigmoid") == pytest.approx(2, rel=0.05)
    assert fit_temperature(labels, LOGITS * 2, "sigmoid", sample_weight=np.ones(4000)) == pytest.approx(
        fit_temperature(labels, LOGITS * 2, "sigmoid")
    )


def test_shifts_of_all_logits_mean_nothing():
    assert fit_temperature(LABELS, LOGITS + 1e4) == pytest.approx(fit_temperature(LABELS, LOGITS))


def test_where_there_is_no_best_temperature_it_is_said():
    with pytest.warns(RuntimeWarning, match="classified correctly"):
        assert fit_temperature(LOGITS.argmax(1), LOGITS) == pytest.approx(1e-3)
    with pytest.warns(RuntimeWarning, match="say nothing"):
        assert fit_temperature(LOGITS.argmin(1), LOGITS) == pytest.approx(1e3)
    shares = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    with pytest.warns(RuntimeWarning, match="like the output of a softmax"):
        fit_temperature(LABELS, shares)


BIAS = np.array([1.0, -0.5, 0.0, 0.7, -1.2])


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_the_bias_that_was_put_in_is_found(kind):
    y = LABELS if kind == "softmax" else (RNG.random((4000, 5)) < 1 / (1 + np.exp(-LOGITS))).astype(int)
    temperature, bias = fit_scaling(y, (LOGITS - BIAS) * 3, kind)
    assert temperature == pytest.approx(3, rel=0.06)
    found = bias - bias.mean() if kind == "softmax" else bias
    np.testing.assert_allclose(found, BIAS, atol=0.15)
    z = (LOGITS - BIAS) * 3 / temperature + bias

    def loss(u):
        if kind == "sigmoid":
            return (np.logaddexp(0, u) - y * u).sum(1).mean()
        return (np.logaddexp.reduce(u, 1) - u[np.arange(4000), LABELS]).mean()

    penalty = (bias**2).sum() / 8000
    for k in range(5):
        for move in (0.01, -0.01):
            moved = bias + move * np.eye(5)[k]
            assert loss(z + move * np.eye(5)[k]) + (moved**2).sum() / 8000 > loss(z) + penalty


def test_bias_of_a_class_that_is_not_there_stays_finite():
    temperature, bias = fit_scaling(np.minimum(LABELS, 3), LOGITS)
    assert np.isfinite(bias).all()
    assert bias.argmin() == 4
    assert 0.5 < temperature < 2


def test_bias_where_there_is_no_best_temperature():
    with pytest.warns(RuntimeWarning, match="classified correctly"):
        fit_scaling(LOGITS.argmax(1), LOGITS)


def test_bias_for_other_frequencies_than_those_of_training():
    """A model that was trained with balanced batches learns what the true frequencies are."""
    rng = np.random.default_rng(4)
    y = (rng.random(3000) < 0.1).astype(int)
    x = (rng.normal(size=(3000, 2)) + 1.5 * y[:, None]).astype(np.float32)
    rv.set_seed(0)
    model = rv.Sequential([rv.layers.Dense(2, "softmax", input_shape=(2,))])
    model.compile(rv.optimizers.Adam(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x[:1000], y[:1000], epochs=20, verbose=0, sampler=rv.data.BalancedSampler())
    only, both = (calibrate(model, x[1000:2000], y[1000:2000], bias=b) for b in (False, True))
    assert both.bias is not None
    error = [reliability(y[2000:], m.predict(x[2000:], verbose=0), class_id=1).ece for m in (model, only, both)]
    assert error[2] < 0.2 * error[1]
    assert error[2] < 0.04
    decided = [m.predict(x[2000:], verbose=0).argmax(1) for m in (model, both)]
    before, after = ((d == y[2000:]).mean() for d in decided)
    assert after > before + 0.03


def test_a_bias_is_kept_in_a_file(tmp_path):
    model, x, y = trained(3)
    calibrated = calibrate(model, x, y, bias=True)
    calibrated.save(tmp_path / "m.ranvier")
    again = rv.load_model(tmp_path / "m.ranvier")
    np.testing.assert_array_equal(again.predict(x, verbose=0), calibrated.predict(x, verbose=0))
    one, x, y = trained(1)
    assert calibrate(one, x, y, bias=True).bias.shape == (1,)


REFUSED = [
    (lambda: tune_threshold(YES, CHANCE, "f3"), "Write 'f"),
    (lambda: tune_threshold(LABELS, LOGITS), "5 classes.*y_true == k"),
    (lambda: tune_threshold([0, 0], [0.1, 0.2]), "no positive sample, so"),
    (lambda: tune_threshold([[1, 1], [0, 1]], [[0.1, 0.2]] * 2), "no negative sample of label 1"),
    (lambda: tune_threshold([0, 1, 1], [0.1, 0.2]), r"shape \(3,\)"),
    (lambda: tune_threshold([0, 1], [0.1, np.nan]), "row 1 is NaN"),
    (lambda: tune_threshold([0, 1], [0.1, 0.2])([0.1, np.nan]), "NaN in row 1"),
    (lambda: reliability([0, 1], [0.5, np.nan]), "nan, which is not a probability"),
    (lambda: tune_threshold([0, 1], [0.1, 0.2], lambda y, d: np.nan), "not finite"),
    (lambda: fit_temperature([0, 5], np.zeros((2, 5))), "y_true contains 5, and there are logits for 5 classes.*from 0 to 4"),
    (lambda: fit_temperature([0, 1], [[0.0, np.inf]] * 2), "NaN or infinity"),
    (lambda: fit_temperature([0, 1, 1], np.zeros((2, 2)), "sigmoid"), r"shape \(3,\)"),
    (lambda: fit_temperature([0, 1], np.zeros((2, 2)), "softplus"), "'softmax' or 'sigmoid'"),
    (lambda: fit_temperature([0, 1], np.ones((2, 2)), sample_weight=[0, 0]), "zero for all 2"),
    (lambda: Calibrated(rv.Sequential([]), 0.0), "above 0"),
    (lambda: Calibrated(rv.Sequential([]), kind="tanh"), "'softmax' or 'sigmoid'"),
    (lambda: reliability([0, 1], [0.5, 1.5]), "1.5, which is not a probability"),
    (lambda: reliability([0, 1], [0.5, 0.5], 0), "bins=0"),
    (lambda: reliability([0, 1, 1], [0.5, 0.5]), r"shape \(3,\)"),
    (lambda: reliability([0, 1], [0.5, 0.5], sample_weight=[1]), "there are 2 samples"),
    (lambda: reliability([0, 1], [0.5, 0.5], sample_weight=[0, 0]), "zero for all 2"),
    (lambda: reliability([[0, 1], [1, 1]], [[0.5, 0.5]] * 2, sample_weight=[1, -1]), "-1 at row 1"),
    (lambda: reliability([0, 2], [0.5, 0.5]), "y_true contains 2, where only 0 and 1"),
    (lambda: reliability([0, np.nan], [[0.5], [0.5]]), "y_true contains nan, where only 0 and 1"),
    (lambda: reliability([[0, 1], [2, 0]], [[0.5, 0.5]] * 2), "y_true contains 2, where only 0 and 1"),
    (lambda: reliability([0, 2], [[0.5, 0.5]] * 2), "y_true contains 2, and there are probabilities for 2"),
    (lambda: fit_temperature([0, 2], [0.5, 0.5]), "y_true contains 2, which is not a probability"),
    (lambda: fit_temperature([0, np.nan], [0.5, 0.5]), "y_true contains nan, which is not a probability"),
    (lambda: fit_temperature([0, 0.5], np.zeros((2, 5))), "y_true contains 0.5, and there are logits"),
    (lambda: fit_temperature([0, 1], [0.5, 0.5], sample_weight=[1, np.inf]), "inf at row 1"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "text"), REFUSED)
def test_refused(make, text):
    with pytest.raises(ValueError, match=text):
        make()


# --- models -------------------------------------------------------------------------------------------------------


def trained(outputs=3, last=None, logits=False):
    """A network that has learned its few samples by heart, and data that it has not seen."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(400, 4)).astype(np.float32)
    noisy = x @ rng.normal(size=(4, max(outputs, 1))) + 1.5 * rng.normal(size=(400, max(outputs, 1)))
    y = noisy.argmax(1) if outputs > 1 else (noisy[:, 0] > 0.5).astype(int)
    rv.set_seed(1)
    end = None if logits else last or ("softmax" if outputs > 1 else "sigmoid")
    model = rv.Sequential([rv.layers.Dense(32, "relu", input_shape=(4,)), rv.layers.Dense(outputs, end)])
    sort = rv.losses.SparseCategoricalCrossentropy if outputs > 1 else rv.losses.BinaryCrossentropy
    model.compile(rv.optimizers.Adam(0.03), sort(from_logits=logits))
    model.fit(x[:150], y[:150], epochs=60, verbose=0)
    return model, x[150:], y[150:]


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("outputs", [1, 3])
def test_calibrated_probabilities_are_truer(outputs, logits):
    model, x, y = trained(outputs, logits=logits)
    calibrated = calibrate(model, x, y)
    assert calibrated.kind == ("softmax" if outputs > 1 else "sigmoid")
    assert calibrated.from_logits is logits
    temperature = calibrated.temperature.item()
    assert temperature > 1.3
    before = model.predict(x, verbose=0)
    after = calibrated.predict(x, verbose=0)
    if logits:
        before = np.exp(before) / np.exp(before).sum(1, keepdims=True) if outputs > 1 else 1 / (1 + np.exp(-before))
    np.testing.assert_array_equal(after.argmax(1), before.argmax(1))
    assert reliability(y, after).ece < 0.8 * reliability(y, before).ece
    right = after[np.arange(len(y)), y] if outputs > 1 else np.where(y == 1, after[:, 0], 1 - after[:, 0])
    assert calibrated.evaluate(x, y, verbose=0) == pytest.approx(-np.log(right).mean(), rel=1e-4)
    assert calibrated.evaluate(x, y, verbose=0) < model.evaluate(x, y, verbose=0)
    if outputs > 1:
        cooled = before ** (1 / temperature)
        np.testing.assert_allclose(after, cooled / cooled.sum(1, keepdims=True), rtol=1e-4, atol=1e-6)


def test_a_model_that_hides_its_softmax():
    """Its logits are unknown, but for a constant they are the logarithms."""
    model, x, y = trained(3)

    class Hidden(rv.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, x):
            return self.inner(x) * 1.0

    found = calibrate(Hidden(), x, y, from_logits=False)
    assert found.kind == "softmax"
    assert found.temperature.item() == pytest.approx(calibrate(model, x, y).temperature.item(), rel=1e-3)
    np.testing.assert_allclose(
        found.predict(x, verbose=0), calibrate(model, x, y).predict(x, verbose=0), rtol=1e-3, atol=1e-5
    )


def test_a_model_of_several_inputs_is_refused():
    class Two(rv.Module):
        def forward(self, x, z):
            return x + z

    with pytest.raises(ValueError, match=r"several inputs.*fit_temperature"):
        calibrate(Two(), LOGITS, LABELS)


def test_a_network_of_pytorch():
    import ranvier.torch as torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 5))
    model.load_state_dict({"0.weight": 4 * np.eye(5), "0.bias": np.zeros(5)})
    calibrated = calibrate(model, LOGITS.astype(np.float32), LABELS)
    assert calibrated.from_logits
    assert calibrated.temperature.item() == pytest.approx(4, rel=0.06)
    assert "temperature=" in repr(calibrated)
    np.testing.assert_allclose(calibrated(torch.tensor(LOGITS[:3].astype(np.float32))).numpy().sum(1), 1, rtol=1e-6)


def test_far_logits_are_not_lost():
    """Probabilities that round to 0 and 1 carry no information; their logits do."""
    rv.set_seed(0)
    model = rv.Sequential([rv.layers.Dense(5, "softmax", input_shape=(5,))])
    model.set_weights([np.eye(5, dtype=np.float32) * 100, np.zeros(5, np.float32)])
    assert calibrate(model, LOGITS.astype(np.float32), LABELS).temperature.item() == pytest.approx(100, rel=0.06)


def test_thresholds_of_logits_become_those_of_probabilities():
    x = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    y = (x[:, :1] > 0.3).astype(np.float32)
    model = rv.Sequential([rv.layers.Dense(1, input_shape=(4,))])
    measured = [rv.metrics.BinaryAccuracy(threshold=0.2), rv.metrics.Precision(thresholds=[0.0, 1.0])]
    model.compile(rv.optimizers.Adam(0.05), rv.losses.BinaryCrossentropy(from_logits=True), metrics=measured)
    model.fit(x, y, epochs=40, verbose=0)
    calibrated = calibrate(model, x, np.roll(y, 1) * 0.4 + y * 0.6)
    calibrated.temperature.assign(np.float32(1))
    before, after = (m.evaluate(x, y, verbose=0, return_dict=True) for m in (model, calibrated))
    assert after["binary_accuracy"] == before["binary_accuracy"]
    np.testing.assert_array_equal(after["precision"], before["precision"])


def test_it_is_a_model_like_any(tmp_path):
    model, x, y = trained(3)
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy", "ece"])
    calibrated = calibrate(model, x, y, sample_weight=np.ones(len(x)), batch_size=64)
    after, before = (m.evaluate(x, y, verbose=0, return_dict=True) for m in (calibrated, model))
    assert after["loss"] < before["loss"]
    assert after["accuracy"] == before["accuracy"]
    assert after["ece"] < before["ece"]
    path = tmp_path / "calibrated.ranvier"
    calibrated.save(path)
    np.testing.assert_array_equal(rv.load_model(path).predict(x, verbose=0), calibrated.predict(x, verbose=0))
    code = f"import ranvier as rv; print(rv.load_model({str(path)!r}).temperature.item())"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert float(printed) == calibrated.temperature.item()
    assert [name for name, _ in calibrated.named_parameters()] == [
        f"model.{name}" for name, _ in model.named_parameters()
    ]


# --- reliability --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_reliability_is_what_the_metric_of_training_has(bins):
    scores = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    scores = scores.astype(np.float32)
    for norm, error in (("l1", "ece"), ("max", "mce")):
        metric = rv.metrics.ExpectedCalibrationError(bins, norm)
        assert getattr(reliability(LABELS, scores, bins), error) == pytest.approx(metric(LABELS, scores), rel=1e-3)


def test_reliability_by_hand():
    found = reliability([0, 1, 1, 1], [0.1, 0.4, 0.9, 0.8], 2)
    np.testing.assert_allclose(found.confidence, [0.25, 0.85])
    np.testing.assert_allclose(found.accuracy, [0.5, 1.0])
    np.testing.assert_allclose(found.gap, [-0.25, -0.15])
    assert found.count.tolist() == [2, 2]
    assert found.ece == pytest.approx(0.2)
    assert found.mce == pytest.approx(0.25)
    weighted = reliability([0, 1, 1, 1], [0.1, 0.4, 0.9, 0.8], 2, sample_weight=[3, 1, 0, 1])
    np.testing.assert_allclose(weighted.confidence, [0.175, 0.8])
    assert found.to_dict()["upper"] == [0.5, 1.0]
    assert "-0.250" in str(found)
    assert "largest error" in found._repr_html_()


def test_bins_of_equally_many_samples():
    found = reliability(DECISIONS, 1 / (1 + np.exp(-LOGITS[:, 0])), 8, strategy="quantile")
    assert found.count.tolist() == [500] * 8
    assert found.ece < 0.05
    assert reliability([0, 1], [0.3, 0.3], 4, strategy="quantile").count.tolist() == [2]


def test_reliability_in_every_form():
    scores = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    np.testing.assert_array_equal(reliability(np.eye(5)[LABELS], scores).count, reliability(LABELS, scores).count)
    one = reliability(LABELS, scores, class_id=2)
    np.testing.assert_array_equal(one.accuracy, reliability(LABELS == 2, scores[:, 2]).accuracy)
    many = np.stack([DECISIONS, 1 - DECISIONS], 1)
    chance = np.stack([CHANCE.mean() * np.ones(4000)] * 2, 1)
    assert reliability(many, chance, sample_weight=np.ones(4000)).count.sum() == 8000
    assert reliability(many, chance, class_id=1).count.sum() == 4000


def test_no_warnings_where_bins_are_empty():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert reliability([1], [1.0]).ece == 0.0

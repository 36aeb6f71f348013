"""The estimators against scikit-learn: its own checks, its MLP's curve, and everything that its users do with one."""

import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import numpy as np
import pytest

import ranvier as rv

sklearn = pytest.importorskip("sklearn")

import joblib  # noqa: E402
from sklearn import config_context  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.calibration import CalibratedClassifierCV  # noqa: E402
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.datasets import load_diabetes, load_digits, make_classification  # noqa: E402
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, StackingClassifier, VotingClassifier  # noqa: E402
from sklearn.exceptions import ConvergenceWarning, NotFittedError  # noqa: E402
from sklearn.experimental import enable_halving_search_cv  # noqa: E402, F401
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, TunedThresholdClassifierCV, cross_val_score  # noqa: E402
from sklearn.multiclass import OneVsRestClassifier  # noqa: E402
from sklearn.neural_network import MLPClassifier, MLPRegressor  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from ranvier.estimators import NeuralClassifier, NeuralRegressor  # noqa: E402
from ranvier.tensor.rng import get_state  # noqa: E402
from tests.support.test_imports import POOL, first_uses  # noqa: E402
from tests.test_docs import ROOT, verify  # noqa: E402

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),  # few epochs are enough here
    pytest.mark.filterwarnings("ignore:.*large features.*"),  # some of the checks' data are
]

X, Y = make_classification(300, 10, n_informative=8, n_classes=3, random_state=0)
X32 = X.astype(np.float32)
YES = (Y > 0).astype(int)
TAGS = np.stack([Y == 0, X[:, 0] > 0, X[:, 1] > X[:, 2]], axis=1).astype(int)
PAIRS = np.stack([np.array(["red", "green", "blue"])[Y], np.where(X[:, 0] > 0, "yes", "no")], axis=1)
VALUES = X @ np.random.default_rng(0).normal(size=(10, 2)) / 3
SMALL: Any = {"hidden_layer_sizes": (16,), "max_iter": 30, "random_state": 0}


# --- scikit-learn's own checks: none is expected to fail ------------------------------------------------------------

CHECKED = [
    NeuralClassifier(),
    NeuralRegressor(),
    NeuralClassifier((20, 10), ["tanh", "elu"], optimizer="nadam", learning_rate=0.01, max_iter=80, tol=None),
]


# The checks give unscaled data, and no seed: some starts are worth a warning, and right to warn is no failure.
@pytest.mark.filterwarnings("ignore::ranvier.training.PreflightWarning", "ignore:X is a sparse")
@parametrize_with_checks(CHECKED, expected_failed_checks=lambda estimator: {})
def test_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


# --- the same numbers as scikit-learn's MLP -------------------------------------------------------------------------

MLP_ROWS = [  # ours, theirs, targets, shared settings, weights of samples
    (NeuralClassifier, MLPClassifier, Y, {}, None),
    (NeuralClassifier, MLPClassifier, YES, {"alpha": 1.0}, None),
    (NeuralClassifier, MLPClassifier, TAGS, {"activation": "tanh"}, None),
    (
        NeuralClassifier,
        MLPClassifier,
        Y,
        {"hidden_layer_sizes": (20, 10), "activation": "logistic", "alpha": 0.1},
        None,
    ),
    (NeuralRegressor, MLPRegressor, VALUES[:, 0], {"alpha": 10.0}, None),
    (NeuralRegressor, MLPRegressor, VALUES, {"alpha": 0.0, "batch_size": 64}, None),
    (NeuralClassifier, MLPClassifier, Y, {"batch_size": 225, "alpha": 5.0}, np.arange(300) % 4),
    (NeuralRegressor, MLPRegressor, VALUES[:, 1], {"batch_size": 64, "alpha": 0.0}, np.arange(300) % 4 + 1.0),
]


def with_weights_of(theirs, mine, x, y, **fit):
    """Ours, warm from one epoch at a rate of next to nothing, with the weights of theirs."""
    mine.set_params(warm_start=True, max_iter=1, learning_rate=1e-30).fit(x, y, **fit)
    weights = [w for pair in zip(theirs.coefs_, theirs.intercepts_, strict=True) for w in pair]
    mine.model_.set_weights(weights)
    return mine


@pytest.mark.parametrize(("ours", "theirs", "y", "settings", "weight"), MLP_ROWS)
def test_the_curve_of_scikit_learns_mlp(ours, theirs, y, settings, weight):
    """The same weights at the start and the same batches: the same loss after every epoch, penalty included."""
    settings = {"hidden_layer_sizes": (16,), "batch_size": 128, **settings}
    exact = {"dtype": "float64", "shuffle": False, "random_state": 0}
    kept = np.ones(len(X), bool) if weight is None else weight > 0
    reference = theirs(**settings, shuffle=False, max_iter=15, tol=0, n_iter_no_change=100, random_state=0)
    start = theirs(**settings, max_iter=1, learning_rate_init=1e-30, random_state=0).fit(X, y)
    x, t, w = X[kept], y[kept], None if weight is None else weight[kept]
    reference.set_params(warm_start=True).fit(x, t, sample_weight=w)  # makes what a warm start needs
    reference.coefs_ = [c.copy() for c in start.coefs_]
    reference.intercepts_ = [b.copy() for b in start.intercepts_]
    reference.loss_curve_ = []
    reference.best_loss_ = np.inf
    mine = with_weights_of(start, ours(**settings, **exact), X, y, sample_weight=weight)
    mine.set_params(max_iter=15, tol=None, learning_rate=None, optimizer=rv.optimizers.Adam(epsilon=1e-8))
    mine.fit(X, y, sample_weight=weight)
    reference.fit(x, t, sample_weight=w)
    curve = np.array(reference.loss_curve_)
    if y.ndim == 2 and theirs is MLPRegressor:  # it reports the mean over targets, and follows the gradient of the sum
        curve = curve * y.shape[1]
    np.testing.assert_allclose(mine.loss_curve_[-15:], curve, rtol=1e-6)
    for a, b in zip([*mine.coefs_, *mine.intercepts_], [*reference.coefs_, *reference.intercepts_], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


STOPS = [  # settings of the rule
    {"tol": 1e-2, "n_iter_no_change": 3},
    {"tol": 1e-1, "n_iter_no_change": 5},
    {"tol": 0.0, "n_iter_no_change": 2},
]


@pytest.mark.parametrize("rule", STOPS)
def test_the_rule_that_stops_is_scikit_learns(rule):
    """Applied to our own curve, its rule stops at the same epoch."""
    model = NeuralClassifier(**SMALL | {"max_iter": 400, "learning_rate": 0.01}, **rule).fit(X, Y)
    best, since, epochs = np.inf, 0, 0
    for loss in model.loss_curve_:
        epochs += 1
        since = since + 1 if loss > best - rule["tol"] else 0
        best = min(best, loss)
        if since > rule["n_iter_no_change"]:
            break
    assert model.n_iter_ == epochs == len(model.loss_curve_) < 400
    assert model.best_loss_ == best


# --- every kind of target -------------------------------------------------------------------------------------------

KINDS = [  # y, shape of predict_proba or of each of its parts, parts
    (YES, (300, 2), 1),
    (Y, (300, 3), 1),
    (np.array(["a", "b", "c"], object)[Y], (300, 3), 1),
    (Y - 7.0, (300, 3), 1),
    (YES.astype(bool), (300, 2), 1),
    (TAGS, (300, 3), 1),
    (PAIRS, None, 2),
    (np.stack([Y, (Y + 1) % 3], axis=1), None, 2),
]


@pytest.mark.parametrize(("y", "shape", "parts"), KINDS)
def test_targets_of_every_kind(y, shape, parts):
    model = NeuralClassifier(**SMALL | {"max_iter": 120, "learning_rate": 0.01}).fit(X, y)
    found, proba = model.predict(X), model.predict_proba(X)
    assert found.shape == y.shape
    assert found.dtype == y.dtype or found.dtype.kind == y.dtype.kind
    assert model.score(X, y) > 0.8
    assert model.score(X, y) == (found == y).reshape(300, -1).all(1).mean()
    if parts == 1:
        assert proba.shape == shape
        with np.errstate(divide="ignore"):  # a probability may round to 0
            np.testing.assert_allclose(model.predict_log_proba(X), np.log(proba))
    else:
        assert [p.shape for p in proba] == [(300, len(c)) for c in model.classes_]
        for p, column, classes in zip(proba, found.T, model.classes_, strict=True):
            np.testing.assert_allclose(p.sum(1), 1, rtol=1e-6)
            np.testing.assert_array_equal(classes[p.argmax(1)], column)


LOSSES = [  # estimator, loss, y
    (NeuralClassifier, "hinge", YES),
    (NeuralClassifier, rv.losses.CategoricalCrossentropy(label_smoothing=0.1), Y),
    (NeuralClassifier, "mean_squared_error", Y),
    (NeuralRegressor, "huber", VALUES),
    (NeuralRegressor, "mae", VALUES[:, 0]),
    (NeuralRegressor, "poisson", np.exp(np.clip(VALUES[:, 0], -2, 2)).round()),
    (NeuralRegressor, "poisson", np.abs(VALUES)),
]


@pytest.mark.parametrize(("kind", "loss", "y"), LOSSES)
def test_other_losses(kind, loss, y):
    model = kind(loss=loss, **SMALL | {"max_iter": 150, "learning_rate": 0.01, "tol": None}).fit(X, y)
    assert model.score(X, y) > 0.5
    assert loss != "poisson" or (model.predict(X) > 0).all()


# --- networks -------------------------------------------------------------------------------------------------------


def wide_and_narrow(features, outputs, units=12):
    return rv.Sequential([rv.layers.Dense(units, activation="gelu"), rv.layers.Dense(outputs)])


class Residual(rv.Module):
    """A class that no file can name."""

    def __init__(self, features, outputs):
        super().__init__()
        self.inner, self.outer = rv.layers.Dense(features, activation="relu"), rv.layers.Dense(outputs)

    def forward(self, x):
        return self.outer(x + self.inner(x))


def softmax_at_the_end(features, outputs):
    return rv.Sequential([rv.layers.Dense(16, "relu"), rv.layers.Dense(max(outputs, 2), "softmax")])


DECAY = rv.optimizers.schedules.ExponentialDecay(0.02, 20, 0.9)
UNBUILT = rv.Sequential([rv.layers.Dense(16, activation="relu"), rv.layers.Dropout(0.1), rv.layers.Dense(3)])
BUILT = rv.Sequential([rv.layers.Dense(16, activation="relu", input_shape=(10,)), rv.layers.Dense(3, "softmax")])
NETWORKS = [  # settings, y
    ({"model": wide_and_narrow}, Y),
    ({"model": wide_and_narrow, "model_options": {"units": 30}}, YES),
    ({"model": wide_and_narrow}, TAGS),
    ({"model": wide_and_narrow}, PAIRS),
    ({"model": Residual}, Y),
    ({"model": softmax_at_the_end}, Y),
    ({"model": softmax_at_the_end}, YES),
    ({"model": UNBUILT}, Y),
    ({"model": BUILT}, Y),
    ({"dropout": 0.2, "batch_norm": True}, Y),
    ({"hidden_layer_sizes": (20, 10), "dropout": [0.2, 0.0], "activation": ["relu", rv.activations.tanh]}, Y),
    ({"hidden_layer_sizes": ()}, Y),
    ({"optimizer": rv.optimizers.SGD(0.1, momentum=0.9)}, Y),
    ({"optimizer": "adamw", "learning_rate": 0.02, "verbose": 0}, Y),
    ({"learning_rate": DECAY}, Y),
    ({"class_weight": "balanced"}, Y),
    ({"class_weight": {0: 1.0, 1: 3.0, 2: 2.0}}, Y),
    ({"early_stopping": True}, Y),
    ({"dtype": "float64"}, Y),
]


@pytest.mark.parametrize(("settings", "y"), NETWORKS)
@pytest.mark.parametrize("x", [X, X32], ids=["float64", "float32"])
def test_networks_fit_again_the_same_and_survive_pickling(settings, y, x):
    model = NeuralClassifier(**SMALL | {"max_iter": 60, "learning_rate": 0.01} | settings)
    first, second = clone(model).fit(x, y), clone(model).fit(x, y)
    before = first.predict_proba(x)
    wanted = np.float32 if model.dtype == "auto" else model.dtype
    assert all(p.dtype == wanted for p in (before if isinstance(before, list) else [before]))
    for loaded in (second, pickle.loads(pickle.dumps(first)), clone(first).fit(x, y)):
        for a, b in zip(before, loaded.predict_proba(x), strict=True):
            np.testing.assert_array_equal(a, b)
    assert first.score(x, y) > 0.6
    assert first.loss_curve_ == second.loss_curve_


def test_a_pickle_that_crosses_files_and_copies(tmp_path):
    import copy

    try:  # what loky sends functions with: older versions of joblib bring it along, newer ones depend on it
        import cloudpickle
    except ImportError:
        from joblib.externals import cloudpickle

    model = NeuralClassifier(
        model=lambda n, k: rv.Sequential([rv.layers.Dense(8, "tanh"), rv.layers.Dense(k)]), **SMALL
    )
    model.fit(X, Y)
    joblib.dump(clone(model).set_params(model=None).fit(X, Y), tmp_path / "model.joblib")
    assert joblib.load(tmp_path / "model.joblib").predict_proba(X).shape == (300, 3)
    for twin in (cloudpickle.loads(cloudpickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
        twin.partial_fit(X, Y)  # training a copy leaves the original alone
        assert not np.array_equal(twin.predict_proba(X), model.predict_proba(X))


# --- going on -------------------------------------------------------------------------------------------------------


FLOATS = [  # data, dtype, what is computed in
    (X, "auto", "float32"),
    (X[:200], "auto", "float64"),
    (X32[:200], "auto", "float32"),
    (X[:200], "float32", "float32"),
    (X32, "float64", "float64"),
    ((X * 10).astype(int), "auto", "float32"),
]


@pytest.mark.parametrize(("x", "dtype", "floats"), FLOATS)
def test_floats(x, dtype, floats):
    model = NeuralRegressor(dtype=dtype, **SMALL).fit(x, VALUES[: len(x)])
    assert model.predict(X32).dtype == model.coefs_[0].dtype == floats
    assert rv.get_dtype() == "float32"
    network = model.model_  # a model of its own, which knows nothing of the estimator's settings
    np.testing.assert_array_equal(network.predict(X32), model.predict(X32))
    assert network.predict(X32).dtype == floats


@pytest.mark.parametrize("through_pickle", [False, True])
@pytest.mark.parametrize("settings", [{}, {"dropout": 0.3}, {"optimizer": "sgd"}, {"learning_rate": DECAY}])
def test_partial_fit_goes_on(settings, through_pickle):
    model = NeuralClassifier(**SMALL, **settings)
    whole = clone(model)
    for _ in range(12):
        model.partial_fit(X, Y, classes=[0, 1, 2])
        whole.partial_fit(X, Y, classes=[0, 1, 2])
        if through_pickle:
            model = pickle.loads(pickle.dumps(model))
    assert model.loss_curve_ == whole.loss_curve_
    assert model.n_iter_ == len(model.loss_curve_) == 12
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    np.testing.assert_array_equal(model.predict_proba(X), whole.predict_proba(X))


def test_partial_fit_of_classes_that_come_later():
    model = NeuralClassifier(**SMALL)
    order = np.argsort(Y, kind="stable")
    for part in np.array_split(order, 5):
        model.partial_fit(X[part], Y[part], classes=np.unique(Y))
    assert model.predict_proba(X).shape == (300, 3)
    with pytest.raises(ValueError, match="contains \\[9\\]"):
        model.partial_fit(X[:2], [0, 9])
    with pytest.raises(ValueError, match="are not those of the first"):
        model.partial_fit(X, Y, classes=[0, 1, 2, 3])


def test_settings_that_change_between_parts():
    model, other = (NeuralClassifier(**SMALL, alpha=0.0) for _ in range(2))
    for part in (model, other):
        part.partial_fit(X, Y, classes=[0, 1, 2]).partial_fit(X, Y)
    model.set_params(alpha=50.0, learning_rate=0.1).partial_fit(X, Y).partial_fit(X, Y)
    other.partial_fit(X, Y).partial_fit(X, Y)
    assert model.loss_curve_[:2] == other.loss_curve_[:2]
    assert model.loss_curve_[2] > other.loss_curve_[2] + 1  # the penalty
    assert model.model_._compiled.optimizer.iterations.item() == 4 * 2  # the optimizer's state went on
    assert sum((c**2).sum() for c in model.coefs_) < sum((c**2).sum() for c in other.coefs_)


def test_ctrl_c_leaves_what_was_trained():
    class Press(rv.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 3:
                raise KeyboardInterrupt

    model = NeuralClassifier(**SMALL | {"random_state": 1}, callbacks=[Press()])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert len(model.loss_curve_) == 3
    assert model.predict(X).shape == (300,)


def test_a_fit_that_fails_leaves_nothing():
    model = NeuralRegressor(**SMALL).fit(X, VALUES)
    model.set_params(optimizer=rv.optimizers.SGD(1e30), callbacks=[])
    with pytest.raises(FloatingPointError):
        model.fit(X, VALUES)
    with pytest.raises(NotFittedError):
        model.predict(X)
    with pytest.raises(AttributeError, match="after fit"):
        _ = model.coefs_


def test_warm_start_goes_on():
    model = NeuralRegressor(**SMALL | {"max_iter": 10, "tol": None}, warm_start=True).fit(X, VALUES)
    first = model.loss_curve_
    model.fit(X, VALUES)
    assert model.loss_curve_[:10] == first
    assert len(model.loss_curve_) == 20
    assert model.loss_curve_[10] < first[-1]
    assert model.n_iter_ == 10


def test_warm_start_keeps_the_scores_of_before():
    settings = SMALL | {"max_iter": 2, "tol": None, "early_stopping": True}
    model = NeuralClassifier(**settings, warm_start=True).fit(X, Y)
    first = model.validation_scores_
    model.fit(X, Y)
    assert model.validation_scores_ is not None
    assert model.validation_scores_[:2] == first
    assert len(model.validation_scores_) == len(model.loss_curve_) == 4
    assert model.best_validation_score_ == max(model.validation_scores_)


# --- validation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "y"), [(NeuralClassifier, Y), (NeuralRegressor, VALUES), (NeuralClassifier, TAGS)])
@pytest.mark.parametrize("given", [False, True])
def test_early_stopping_keeps_the_best_weights(kind, y, given):
    settings = {"early_stopping": True, "n_iter_no_change": 5, "max_iter": 400, "learning_rate": 0.02}
    model = kind(**SMALL | settings)
    data = (X[200:], y[200:]) if given else None
    model.fit(X[:200], y[:200], validation_data=data)
    assert model.n_iter_ == len(model.validation_scores_) < 400
    assert model.best_validation_score_ == max(model.validation_scores_)
    if given:
        np.testing.assert_allclose(model.score(X[200:], y[200:]), model.best_validation_score_, rtol=1e-6)


def test_validation_data_alone_are_only_watched():
    with_data = NeuralClassifier(**SMALL).fit(X, Y, validation_data=(X, Y, np.ones(300)))
    without = NeuralClassifier(**SMALL).fit(X, Y)
    assert with_data.loss_curve_ == without.loss_curve_
    assert with_data.validation_scores_ is not None
    np.testing.assert_allclose(with_data.validation_scores_[-1], with_data.score(X, Y))
    assert without.validation_scores_ is None


@pytest.mark.parametrize("settings", [{"early_stopping": True}, {}])
def test_callbacks_find_the_results_of_validation(settings):
    watch = rv.callbacks.EarlyStopping("val_loss", patience=1)
    rate = rv.callbacks.ReduceLROnPlateau("val_score", patience=0)
    model = NeuralClassifier(**{**SMALL, "tol": None, "learning_rate": 0.1, "callbacks": [watch, rate]} | settings)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X[:200], Y[:200], validation_data=(X[200:], Y[200:]))
    assert model.n_iter_ < SMALL["max_iter"]
    assert rate.best == max(model.validation_scores_)
    assert model.model_.history.history["val_score"] == model.validation_scores_
    assert watch.best == min(model.model_.history.history["val_loss"])


class Crash(rv.callbacks.Callback):
    """Ends the process once."""

    step_interval = 13
    crashed = False

    def on_step(self, epoch, step, logs=None):
        if not self.crashed:
            self.crashed = True
            raise SystemExit


# --- weights --------------------------------------------------------------------------------------------------------


FAILS = [  # settings, fit's arguments, what is said: before the network is made, and while it is made
    ({"early_stopping": True}, {"y": np.where(np.arange(300) == 0, "rare", "usual")}, "least populated|member|split"),
    ({}, {"X": X[:, :4], "y": np.zeros(300)}, "one class only, 0.0, and at least two"),
    ({"activation": "none such"}, {"y": Y > 0}, "does not exist"),
]


@pytest.mark.parametrize(("settings", "given", "said"), FAILS)
def test_what_fails_before_training_leaves_what_there_was(settings, given, said):
    model = NeuralClassifier(**SMALL).fit(X, Y)
    expected, curve = model.predict_proba(X), model.loss_curve_
    fresh = clone(model).set_params(**settings)
    for fails in (fresh, model.set_params(**settings)):
        with pytest.raises(ValueError, match=said):
            fails.fit(**{"X": X, "y": Y} | given)
    with pytest.raises(NotFittedError):
        fresh.predict(X)
    assert np.array_equal(model.classes_, [0, 1, 2])
    assert model.loss_curve_ == curve
    np.testing.assert_array_equal(model.predict_proba(X), expected)


@pytest.mark.parametrize("settings", [{"early_stopping": True}, {"tol": 0.05}])
def test_a_backup_resumes_an_estimator(settings, tmp_path):
    settings = {**SMALL, "n_iter_no_change": 3, "learning_rate": 0.02, **settings}
    whole = NeuralClassifier(**settings).fit(X, Y)
    backup = rv.callbacks.BackupAndRestore(tmp_path / "backup")
    model = NeuralClassifier(callbacks=[Crash(), backup], **settings)
    with pytest.raises(SystemExit):
        model.fit(X, Y)
    with pytest.raises(rv.training.CheckpointError, match="seed was 'random_state=0' and is 'random_state=1'"):
        model.set_params(random_state=1).fit(X, Y)
    model.set_params(random_state=0).fit(X, Y)
    assert (model.n_iter_, model.loss_curve_) == (whole.n_iter_, whole.loss_curve_)
    assert model.validation_scores_ == whole.validation_scores_
    np.testing.assert_array_equal(model.predict_proba(X), whole.predict_proba(X))


@pytest.mark.parametrize("classes", [None, "balanced"])
def test_a_weight_of_zero_is_removal(classes):
    keep = np.arange(300) % 3 > 0
    weighted = NeuralClassifier(class_weight=classes, **SMALL).fit(X, Y, sample_weight=keep.astype(float))
    removed = NeuralClassifier(class_weight=classes, **SMALL).fit(X[keep], Y[keep])
    np.testing.assert_allclose(weighted.predict_proba(X), removed.predict_proba(X), rtol=1e-9)


def test_a_validation_sample_of_weight_zero_is_left_out():
    weight, watched = (np.arange(100) % 3 > 0).astype(float), []
    for part in (slice(None), weight > 0):
        model = NeuralClassifier(**SMALL, callbacks=[rv.callbacks.EarlyStopping()])
        model.fit(X[:200], Y[:200], validation_data=(X[200:][part], Y[200:][part], weight[part]))
        watched.append(model.model_.history.history["val_loss"])
    assert watched[0] == watched[1]


def test_class_weights_are_sample_weights():
    by_class = NeuralClassifier(class_weight={0: 2.0, 1: 1.0, 2: 0.5}, **SMALL).fit(X, Y)
    by_sample = NeuralClassifier(**SMALL).fit(X, Y, sample_weight=np.array([2.0, 1.0, 0.5])[Y])
    np.testing.assert_array_equal(by_class.predict_proba(X), by_sample.predict_proba(X))


# --- frames ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames(library):
    frames = pytest.importorskip(library)
    names = [f"f{i}" for i in range(10)]
    frame = frames.DataFrame({n: X[:, i] for i, n in enumerate(names)})
    labels = frames.Series(np.array(["x", "y", "z"])[Y])
    model = NeuralClassifier(**SMALL).fit(frame, labels)
    assert list(model.feature_names_in_) == names
    plain = NeuralClassifier(**SMALL).fit(X, np.array(["x", "y", "z"])[Y])
    np.testing.assert_array_equal(model.predict_proba(frame), plain.predict_proba(X))
    if library == "pandas":
        categories = NeuralClassifier(**SMALL).fit(frame, labels.astype("category"))
        np.testing.assert_array_equal(categories.predict(frame), model.predict(frame))
        whole = NeuralClassifier(**SMALL).fit(frame, frames.Series(Y, dtype="Int64"))
        np.testing.assert_array_equal(whole.classes_, [0, 1, 2])
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[names[::-1]])
    with pytest.warns(UserWarning, match="valid feature names"):
        model.predict(X)
    words = frames.DataFrame({**{n: X[:, i] for i, n in enumerate(names[1:])}, "e": np.array(["r", "s", "t"])[Y]})
    dummies = r"pd.get_dummies\(X, columns=\['e'\]\)" if library == "pandas" else r"X.to_dummies\(\['e'\]\)"
    with pytest.raises(ValueError, match=dummies):
        NeuralClassifier(**SMALL).fit(words, Y)
    dates = {"a": [1.0, 2.0], "d": frames.Series([datetime(2020, 1, 1), datetime(2020, 1, 3)])}
    with pytest.raises(TypeError, match=r"column 'd'.*Write \(X\['d'\] - X\['d'\].min\(\)\).dt"):
        NeuralClassifier(**SMALL).fit(frames.DataFrame(dates), [0, 1])


# --- the tools of scikit-learn --------------------------------------------------------------------------------------


def test_pipeline_grid_search_and_processes():
    pipe = make_pipeline(StandardScaler(), NeuralClassifier(**SMALL, learning_rate=0.02))
    grid = {"neuralclassifier__alpha": [1e-4, 1e-2], "neuralclassifier__dropout": [0.0, 0.2]}
    here = GridSearchCV(pipe, grid, cv=3, n_jobs=1).fit(X, Y)
    there = GridSearchCV(pipe, grid, cv=3, n_jobs=2).fit(X, Y)  # loky: other processes
    np.testing.assert_array_equal(here.cv_results_["mean_test_score"], there.cv_results_["mean_test_score"])
    assert here.best_score_ > 0.6
    with joblib.parallel_backend("threading"):
        scores = cross_val_score(pipe, X, Y, cv=4, n_jobs=2)
    np.testing.assert_array_equal(scores, cross_val_score(pipe, X, Y, cv=4))


@pytest.mark.parametrize("network", [UNBUILT, BUILT])
def test_a_network_and_an_optimizer_as_parameters_go_to_other_processes(network):
    model = NeuralClassifier(model=network, optimizer=rv.optimizers.RMSprop(0.01), **SMALL)
    np.testing.assert_array_equal(cross_val_score(model, X, Y, cv=2, n_jobs=2), cross_val_score(model, X, Y, cv=2))


BASE = NeuralClassifier(**SMALL | {"max_iter": 15, "learning_rate": 0.05})
WRAPPED = [  # scikit-learn's own estimators around ours
    CalibratedClassifierCV(BASE, cv=2),
    BaggingClassifier(BASE, 3, random_state=0),
    VotingClassifier([("a", BASE), ("b", LogisticRegression())], voting="soft"),
    StackingClassifier([("a", BASE), ("b", LogisticRegression())], cv=2),
    OneVsRestClassifier(BASE),
    AdaBoostClassifier(BASE, n_estimators=2),
    HalvingGridSearchCV(BASE, {"alpha": [0.0, 1e-3], "dropout": [0.0, 0.1]}, cv=2, random_state=0),
    make_pipeline(ColumnTransformer([("s", StandardScaler(), list(range(10)))]), BASE),
    TunedThresholdClassifierCV(BASE, cv=2),
]


@pytest.mark.parametrize("wrapped", WRAPPED, ids=lambda w: type(w).__name__)
def test_within_estimators_of_scikit_learn(wrapped):
    y = YES if isinstance(wrapped, TunedThresholdClassifierCV) else Y
    assert wrapped.fit(X, y).score(X, y) > 0.6
    assert pickle.loads(pickle.dumps(wrapped)).score(X, y) == wrapped.score(X, y)


def test_weights_are_routed():
    with config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        model = make_pipeline(scaler, clone(BASE).set_fit_request(sample_weight=True))
        weight = np.array([3.0, 1.0, 1.0])[Y]
        routed = model.fit(X, Y, sample_weight=weight).predict_proba(X)
    scaled = StandardScaler().fit_transform(X)
    plain = clone(BASE).fit(scaled, Y, sample_weight=weight).predict_proba(scaled)
    np.testing.assert_array_equal(routed, plain)


def test_callbacks_are_parameters():
    class Count(rv.callbacks.Callback):
        def __init__(self):
            self.epochs = 0

        def on_epoch_end(self, epoch, logs=None):
            self.epochs += 1

    seen = Count()
    model = NeuralClassifier(callbacks=[seen, rv.callbacks.ReduceLROnPlateau("loss")], **SMALL).fit(X, Y)
    assert seen.epochs == model.n_iter_
    model.callbacks.pop(0)  # its class is local, which pickle cannot name
    assert joblib.hash(clone(model)) is not None
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))


def threads(_):
    NeuralClassifier(**SMALL | {"max_iter": 1}).fit(X, Y)
    return rv.get_threads()


def test_processes_of_joblib_have_their_share_of_the_threads():
    share = max(1, joblib.cpu_count() // 2)
    assert joblib.Parallel(n_jobs=2)(joblib.delayed(threads)(i) for i in range(2)) == [share, share]


def test_the_process_is_left_as_it_was():
    """A seed given to the estimator is its own; what is drawn before and after goes on as if it had not been."""
    rv.set_seed(5)
    before = get_state()["counters"]
    first = NeuralClassifier(**SMALL, dropout=0.5).fit(X, Y).loss_curve_
    assert get_state()["seed"] == 5
    assert get_state()["counters"] == before
    rv.set_seed(6)
    assert NeuralClassifier(**SMALL, dropout=0.5).fit(X, Y).loss_curve_ == first
    assert rv.get_dtype() == "float32"


def test_threads_do_not_disturb_each_other():
    """Different seeds and dtypes at once: each thread draws and computes in what is its own."""
    settings = [
        {"dtype": dtype, "dropout": rate, "random_state": seed}
        for dtype in ("float32", "float64") for rate in (0.0, 0.3) for seed in (0, 1)
    ]  # fmt: skip

    def curve(own):
        return NeuralClassifier(**SMALL | {"max_iter": 10} | own).fit(X, Y).loss_curve_

    serial = [curve(own) for own in settings]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(curve, settings)) == serial
    assert len({tuple(c) for c in serial}) == len(settings)


def test_random_states():
    settings = SMALL | {"random_state": None}
    np.random.seed(3)  # noqa: NPY002  # scikit-learn's users still do
    first = NeuralClassifier(**settings).fit(X, Y).loss_curve_
    assert NeuralClassifier(**settings).fit(X, Y).loss_curve_ != first
    np.random.seed(3)  # noqa: NPY002  # scikit-learn's users still do
    assert NeuralClassifier(**settings).fit(X, Y).loss_curve_ == first
    state = np.random.RandomState(3)
    model = NeuralClassifier(**SMALL | {"random_state": state})
    assert model.fit(X, Y).loss_curve_ != model.fit(X, Y).loss_curve_


def test_models_that_differ_in_alpha_share_a_program(monkeypatch):
    from ranvier.engines.native.runtime import llvm

    NeuralClassifier(alpha=0.1, **SMALL).fit(X, Y)
    made: list[Any] = []
    compiled = llvm.compile_object

    def noted(*args):
        made.append(args)
        return compiled(*args)

    monkeypatch.setattr(llvm, "compile_object", noted)
    NeuralClassifier(alpha=0.7, **SMALL).fit(X, Y)
    NeuralClassifier(alpha=0.7, learning_rate=0.3, **SMALL).fit(X[::-1], Y)
    assert not made


def test_images():
    x, y = load_digits(return_X_y=True)

    def network(shape, outputs):
        assert shape == (8, 8)
        return rv.Sequential([rv.layers.Flatten(), rv.layers.Rescaling(1 / 16), rv.layers.Dense(outputs)])

    x = x.reshape(-1, 8, 8).astype(np.uint8)
    model = NeuralClassifier(model=network, max_iter=20, learning_rate=0.01, random_state=0).fit(x, y)
    assert model.score(x, y) > 0.9
    assert model.predict_proba(x).dtype == np.float32


def test_regression_on_real_data():
    x, y = load_diabetes(return_X_y=True)
    pipe = make_pipeline(StandardScaler(), NeuralRegressor(max_iter=300, alpha=1.0, random_state=0))
    assert pipe.fit(x[:350], y[:350] / 100).score(x[350:], y[350:] / 100) > 0.3


# --- mistakes -------------------------------------------------------------------------------------------------------


def with_statistics():
    layer = rv.layers.Normalization()
    layer.adapt(X)
    return rv.Sequential([layer, rv.layers.Dense(3)])


MISTAKES = [  # settings, fit's arguments, part of the message
    ({"dropout": 1.0}, {}, "dropout=1.0.*write a number from 0"),
    ({"dropout": [0.1, 0.2]}, {}, "dropout has 2 entries for 1 hidden layer"),
    ({"activation": ["relu", "tanh"]}, {}, "activation has 2 entries"),
    ({"activation": "rellu"}, {}, "rellu"),
    ({"alpha": -1.0}, {}, "alpha=-1.0"),
    ({"hidden_layer_sizes": (10, 0)}, {}, "hidden_layer_sizes"),
    ({"batch_size": 0}, {}, "batch_size=0"),
    ({"max_iter": 2.5}, {}, "max_iter=2.5"),
    ({"tol": -1}, {}, "tol=-1"),
    ({"dtype": "float16"}, {}, "dtype='float16'"),
    ({"optimizer": "addam"}, {}, "adam"),
    ({"optimizer": "lbfgs"}, {}, "there is no lbfgs"),
    ({"learning_rate": "adaptive"}, {}, "ReduceLROnPlateau"),
    ({"loss": "croosentropy"}, {}, "does not exist"),
    (
        {"model": lambda n, k: rv.Sequential([rv.layers.Dense(7)])},
        {},
        "outputs of shape \\(7,\\), and y needs \\(3,\\)",
    ),
    ({"model": lambda n, k: rv.Sequential([rv.layers.Dense(3, "sigmoid")])}, {}, "ends with sigmoid"),
    (
        {"model": rv.Sequential([rv.Input((7,)), rv.layers.Dense(3)])},
        {},
        r"takes inputs of shape \(7,\), and X has .*10",
    ),
    ({"model": with_statistics()}, {}, "was adapted to data.*Write model= as a function"),
    ({"model_options": {"a": 1}, "model": UNBUILT}, {}, "model_options"),
    ({}, {"y": np.zeros(300, int)}, "one class only"),
    ({}, {"sample_weight": (Y == 1).astype(float)}, "one class only"),
    ({}, {"sample_weight": -np.ones(300)}, "sample_weight is -1"),
    ({}, {"sample_weight": np.ones(7)}, "sample_weight has shape"),
    ({}, {"validation_data": (X[:, :3], Y)}, "features"),
    ({"early_stopping": True, "validation_fraction": 0.004}, {}, "test_size|validation"),
]


@pytest.mark.parametrize(("settings", "given", "message"), MISTAKES)
def test_mistakes_are_reported_before_training(settings, given, message):
    with pytest.raises(ValueError, match=message):
        NeuralClassifier(**SMALL | settings).fit(**{"X": X, "y": Y} | given)


TYPES = [  # settings, fit's arguments, part of the message
    ({"model": 5}, {}, "Write a function"),
    ({"model": lambda n, k: 5}, {}, "returned a int"),
    ({}, {"validation_data": X}, "validation_data must be"),
    ({"solver": "sgd"}, {}, "no argument 'solver'. Write optimizer='adam'"),
    ({"learning_rate_init": 0.1}, {}, "Write learning_rate=0.001"),
    ({"momentum": 0.9}, {}, "SGD\\(momentum=0.9\\)"),
    ({"epochs": 5}, {}, "Write max_iter="),
]


@pytest.mark.parametrize(("settings", "given", "message"), TYPES)
def test_things_of_a_wrong_type(settings, given, message):
    with pytest.raises(TypeError, match=message):
        NeuralClassifier(**SMALL | settings).fit(**{"X": X, "y": Y} | given)


@pytest.mark.parametrize(
    "use",
    [
        lambda model: rv.calibration.calibrate(model, X, Y),
        rv.calibration.Calibrated,
        lambda model: rv.find_learning_rate(model, X, Y),
        rv.pictures.weights,
        rv.pictures.network,
        lambda model: rv.explain.saliency(model, X),
    ],
)
def test_an_estimator_is_refused_where_a_network_is_needed(use):
    with pytest.raises(TypeError, match=r"here is a NeuralClassifier.*Write estimator.model_"):
        use(NeuralClassifier())


def test_what_partial_fit_refuses():
    with pytest.raises(ValueError, match="first call of partial_fit needs classes"):
        NeuralClassifier().partial_fit(X, Y)
    with pytest.raises(ValueError, match="early_stopping"):
        NeuralClassifier(early_stopping=True).partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="balanced"):
        NeuralClassifier(class_weight="balanced").partial_fit(X, Y, classes=[0, 1, 2])


class Narrow(NeuralClassifier):
    """Of which a parameter is called as scikit-learn's is."""

    def __init__(self, momentum=0.9):
        super().__init__((4,), optimizer=rv.optimizers.SGD(0.1, momentum), max_iter=1, tol=None)
        self.momentum = momentum


def test_a_subclass_has_the_parameters_that_it_names():
    assert clone(Narrow(momentum=0.5)).fit(X, Y).n_iter_ == 1


SAME = {
    "binary": (NeuralClassifier, MLPClassifier, Y > 0, {}),
    "classes": (NeuralClassifier, MLPClassifier, Y, {"early_stopping": True}),
    "labels": (NeuralClassifier, MLPClassifier, TAGS, {"hidden_layer_sizes": (5, 4)}),
    "values": (NeuralRegressor, MLPRegressor, X[:, 0], {}),
    "counts": (NeuralRegressor, MLPRegressor, np.abs(X[:, 0]), {"loss": "poisson"}),
}


@pytest.mark.parametrize("name", SAME)
def test_attributes_of_scikit_learns_networks(name):
    ours, theirs, y, settings = SAME[name]
    mine, other = (kind(max_iter=3, tol=0, n_iter_no_change=9, random_state=0, **settings) for kind in (ours, theirs))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mine.fit(X, y)
        other.fit(X, y)
    for attribute in ("t_", "n_layers_", "out_activation_", "n_iter_", "n_outputs_"):
        assert getattr(mine, attribute) == getattr(other, attribute), attribute
    seen = mine.t_
    if not mine.early_stopping:
        assert mine.partial_fit(X, y).t_ == seen + len(X)


@pytest.mark.parametrize(
    ("kind", "theirs", "ours"),
    [
        (NeuralClassifier, "log_loss", None),
        (NeuralClassifier, "squared_error", "mse"),
        (NeuralRegressor, "absolute_error", "mae"),
    ],
)
def test_losses_by_the_names_of_scikit_learn(kind, theirs, ours):
    settings = {"hidden_layer_sizes": (4,), "max_iter": 2, "tol": None, "random_state": 0}
    one, two = (kind(loss=loss, **settings).fit(X, Y) for loss in (theirs, ours))
    assert one.loss_curve_ == two.loss_curve_


def test_running_out_of_epochs_is_said():
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        NeuralClassifier(max_iter=2).fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        NeuralClassifier(max_iter=2, tol=None).fit(X, Y)
        early = rv.callbacks.EarlyStopping("loss", patience=0, min_delta=10.0)  # one callback, not a list
        assert NeuralClassifier(max_iter=9, callbacks=early).fit(X, Y).n_iter_ < 9


SPARSE_ROWS = [  # settings, targets, weights of samples
    (NeuralClassifier(early_stopping=True, dropout=0.2, batch_size=32, **SMALL), Y, None),
    (NeuralClassifier(class_weight={0: 1.0, 1: 2.0}, batch_size=1000, **SMALL), YES, np.arange(300) % 3),
    (NeuralRegressor(dtype="float64", batch_size=64, **SMALL), VALUES, None),
]


@pytest.mark.parametrize(("estimator", "y", "weight"), SPARSE_ROWS)
@pytest.mark.parametrize("form", ["csr_matrix", "coo_array"])
def test_sparse_matrices_train_as_dense_ones_do(estimator, y, weight, form):
    """The same bits, with one warning; after it the estimator takes sparse matrices without another."""
    import scipy.sparse

    x = np.where(np.abs(X32) < 1, 0, X32)
    some = getattr(scipy.sparse, form)(x)
    dense = clone(estimator).fit(x, y, weight)
    with pytest.warns(UserWarning, match="X is a sparse matrix.*never the whole matrix") as warned:
        found = clone(estimator).fit(some, y, weight)
    assert len([w for w in warned if "sparse" in str(w.message)]) == 1
    assert found.loss_curve_ == dense.loss_curve_
    np.testing.assert_array_equal(found.predict(some), dense.predict(x))
    assert found.score(some, y) == dense.score(x, y)
    if isinstance(found, NeuralClassifier):
        np.testing.assert_array_equal(found.predict_proba(some), dense.predict_proba(x))
    with pytest.warns(UserWarning, match="a sparse"):
        dense.predict(some)
    if not estimator.early_stopping:
        for part in (found, dense):
            part.partial_fit(some if part is found else x, y)
        np.testing.assert_array_equal(found.predict(some), dense.predict(x))


def test_sparse_matrices_become_dense_in_blocks(monkeypatch):
    """A matrix of 160 GB as float64: no more than a block of rows is made dense at once."""
    import scipy.sparse

    x = scipy.sparse.random_array((10**5, 2 * 10**5), density=1e-6, format="csr", rng=np.random.default_rng(0))
    y, largest, dense = np.arange(10**5) % 2, [0], scipy.sparse.csr_array.toarray

    def toarray(self, *args, **options):
        largest[0] = max(largest[0], int(np.prod(self.shape)))
        return dense(self, *args, **options)

    monkeypatch.setattr(scipy.sparse.csr_array, "toarray", toarray)
    with pytest.warns(UserWarning, match="made dense"):
        network = NeuralClassifier((2,), max_iter=1, batch_size=16, tol=None, dtype="float32").fit(x[:64], y[:64])
    assert network.predict(x[:96]).shape == (96,)
    assert largest[0] == 32 * 2 * 10**5


MISHAPS = [  # what is done, the error or warning, what it says
    (lambda: NeuralClassifier().fit(Y, X), ValueError, r"(?s)Expected 2D.*X and y are likely swapped. Write fit\(X, y\)"),
    (lambda: NeuralClassifier().fit(X.T, Y), ValueError, "inconsistent numbers of samples.*\n.*columns of X. Write X.T"),
    (lambda: NeuralClassifier().fit({1, 2}, Y), ValueError, "(?s)Expected 2D.*X is a set"),
    (lambda: NeuralClassifier().fit(np.array(["good", 3] * 150, object), Y), TypeError, r"maps texts, and was given 3"),
    (lambda: NeuralClassifier(class_weight={0: 1.0, 2: 2.0}, **SMALL).fit(X, Y), UserWarning, "no weight for class 1, which"),
    (lambda: NeuralRegressor(optimizer=rv.optimizers.Adam(epsilon=0), **SMALL).fit(X, VALUES), UserWarning, "RV508"),
    (lambda: NeuralRegressor(learning_rate=0.0, **SMALL).fit(X, VALUES), UserWarning, "RV507"),
]  # fmt: skip


@pytest.mark.parametrize(("action", "error", "text"), MISHAPS)
def test_mistakes_are_named_with_what_to_write(action, error, text):
    with pytest.warns(error, match=text) if issubclass(error, Warning) else pytest.raises(error, match=text):
        action()


def test_frames_of_other_labels_are_matched_by_position_with_a_warning():
    pandas = pytest.importorskip("pandas")
    with pytest.warns(UserWarning, match="rows of X and y have different labels"):
        NeuralClassifier(**SMALL).fit(pandas.DataFrame(X), pandas.Series(Y, index=range(300)[::-1]))


@pytest.mark.parametrize(("labels", "named"), [(["ham", "spam"], "'spam'"), ([7, 3], "3"), ([7, 8, 3], "3")])
def test_checks_name_classes_and_settings_as_the_user_wrote_them(labels, named):
    y = np.repeat(labels, [300 - 5 * (len(labels) - 1), *[5] * (len(labels) - 1)])
    text = rf"class {labels[0]!r} is .* class ({named}|8) .* always predicts {labels[0]!r} .*class_weight='balanced' in the"
    with pytest.warns(rv.training.PreflightWarning, match=text):
        NeuralClassifier(**SMALL).fit(X, y)
    with pytest.warns(rv.training.PreflightWarning, match=r"RV203.*make_pipeline\(StandardScaler\(\), estimator\)"):
        NeuralRegressor(**SMALL).fit(X * [10**4, *[1] * 9], VALUES)


def test_no_sparse_targets_are_made_dense_in_silence():
    import scipy.sparse

    with pytest.raises(TypeError, match="dense"):
        NeuralClassifier().fit(X, scipy.sparse.csr_matrix(TAGS))


def run(code):
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)


def test_scikit_learn_is_imported_when_it_is_needed():
    found = run(
        "import sys, ranvier as rv; rv.estimators; assert 'sklearn' not in sys.modules; rv.estimators.NeuralClassifier"
    )
    assert found.returncode == 0, found.stderr
    missing = run("import sys; sys.modules['sklearn'] = None; from ranvier.estimators import NeuralRegressor")
    assert "pip install 'ranvier[sklearn]'" in missing.stderr
    for name in rv.estimators.__all__:
        assert getattr(rv.estimators, name).__doc__


def test_first_uses_from_eight_threads(tmp_path):
    job = """
def job(seed):
    from ranvier.estimators import NeuralClassifier
    x = np.random.default_rng(seed).normal(size=(64, 4)).astype("float32")
    return NeuralClassifier(max_iter=1).fit(x, np.arange(64) % 3).predict(x[:2]).size
"""
    program = first_uses(job + POOL, tmp_path)
    assert program.stdout == "8\n", program.stderr


def test_the_document(tmp_path):
    verify(ROOT / "docs" / "scikit-learn.md", tmp_path, forked=False)

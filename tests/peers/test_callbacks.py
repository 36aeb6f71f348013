"""Callbacks against those of Keras: the same events in the same order, the same decisions on the same results."""

import csv

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ranvier as rv
from ranvier import callbacks as c

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")]

RNG = np.random.default_rng(3)
N, F, K = 100, 5, 3
X = RNG.normal(size=(N, F)).astype(np.float32)
Y = X[:, :K].argmax(1)
EVENTS = [
    "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_train_batch_begin", "on_train_batch_end",
    "on_test_begin", "on_test_end", "on_test_batch_begin", "on_test_batch_end", "on_predict_begin", "on_predict_end",
    "on_predict_batch_begin", "on_predict_batch_end",
]  # fmt: skip


class Optimizer:
    """As much of one as callbacks of either library look at."""

    def __init__(self):
        self.learning_rate = 1.0

    def current_rate(self):
        return self.learning_rate

    def set_rate(self, rate, who):
        self.learning_rate = rate


class Model:
    def __init__(self):
        self.stop_training, self.weights, self.metrics, self.saved = False, 0, [], []
        self.optimizer = Optimizer()

    def get_weights(self):
        return [self.weights]

    def set_weights(self, weights):
        (self.weights,) = weights

    def architecture(self):
        return {}

    def save(self, path, **options):
        self.saved.append(str(path))


def play(callback, results, rate=False):
    """What comes of a callback when epochs end with these results."""
    model, rates = Model(), []
    callback.set_model(model)
    callback.set_params({})
    callback.on_train_begin()
    for epoch, (loss, score) in enumerate(results):
        model.weights = epoch
        callback.on_epoch_begin(epoch, {})
        logs = {"val_loss": loss, "val_score": score}
        callback.on_epoch_end(epoch, logs)
        rates.append(round(model.optimizer.learning_rate, 12))
        if model.stop_training:
            break
    callback.on_train_end()
    return len(rates), rates if rate else None, model.weights, model.saved


NUMBERS = st.integers(0, 8).map(lambda n: n / 4)
RESULTS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=15)
MONITORED = st.sampled_from([("val_loss", "min"), ("val_score", "max"), ("val_loss", "auto")])
common = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@common
@given(
    results=RESULTS, monitored=MONITORED, patience=st.integers(0, 4), min_delta=st.sampled_from([0, 0.25, 0.5]),
    baseline=st.none() | NUMBERS, restore=st.booleans(), start=st.integers(0, 4),
)  # fmt: skip
def test_early_stopping(results, monitored, patience, min_delta, baseline, restore, start, keras):
    options = {
        "monitor": monitored[0], "mode": monitored[1], "patience": patience, "min_delta": min_delta,
        "baseline": baseline, "restore_best_weights": restore, "start_from_epoch": start,
    }  # fmt: skip
    own, other = c.EarlyStopping(**options), keras.callbacks.EarlyStopping(**options)
    assert play(own, results) == play(other, results)
    assert (own.stopped_epoch, own.wait, own.best) == (other.stopped_epoch, other.wait, other.best)
    if restore:
        assert own.best_epoch == other.best_epoch


@common
@given(
    results=RESULTS, monitored=MONITORED, patience=st.integers(0, 3), min_delta=st.sampled_from([0, 1e-4, 0.5]),
    factor=st.sampled_from([0.1, 0.5]), cooldown=st.integers(0, 3), min_lr=st.sampled_from([0.0, 0.3]),
)  # fmt: skip
def test_reduce_lr_on_plateau(results, monitored, patience, min_delta, factor, cooldown, min_lr, keras):
    options = {
        "monitor": monitored[0], "mode": monitored[1], "patience": patience, "min_delta": min_delta,
        "factor": factor, "cooldown": cooldown, "min_lr": min_lr,
    }  # fmt: skip
    own, other = c.ReduceLROnPlateau(**options), keras.callbacks.ReduceLROnPlateau(**options)
    assert play(own, results, rate=True) == play(other, results, rate=True)


@common
@given(results=RESULTS, monitored=MONITORED, best=st.booleans(), threshold=st.none() | NUMBERS)
def test_model_checkpoint(results, monitored, best, threshold, keras, tmp_path):
    path = str(tmp_path / "{epoch:02d}-{val_loss:.2f}.keras")
    options = {
        "monitor": monitored[0], "mode": monitored[1], "save_best_only": best, "initial_value_threshold": threshold,
    }  # fmt: skip
    own, other = c.ModelCheckpoint(path, **options), keras.callbacks.ModelCheckpoint(path, **options)
    assert play(own, results)[3] == play(other, results)[3]


def networks(keras):
    own = rv.Sequential([rv.layers.Dense(K, activation="softmax", input_shape=(F,))])
    other = keras.Sequential([keras.Input((F,)), keras.layers.Dense(K, activation="softmax")])
    other.set_weights(own.get_weights())
    for model in (own, other):
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return own, other


def watch(base):
    """A callback of either library that notes every event, its number and the names in its logs."""
    seen: list = []

    def note(event):
        def hook(self, *args, logs=None):
            number = [a for a in args if isinstance(a, int)]
            found = dict(next((a for a in args if isinstance(a, dict)), logs or {}))
            seen.append((event, *number, [] if event.startswith("on_predict") else sorted(found), found))

        return hook

    return type("Watch", (base,), {event: note(event) for event in EVENTS})(), seen


def test_every_event_in_the_same_order_with_the_same_logs(keras):
    notes = []
    for model, base in zip(networks(keras), (c.Callback, keras.callbacks.Callback), strict=True):
        callback, seen = watch(base)
        options = {"batch_size": 30, "verbose": 0, "callbacks": [callback]}
        more = {"ignore": "RV"} if base is c.Callback else {}
        model.fit(X, Y, epochs=2, shuffle=False, validation_data=(X[:50], Y[:50]), **options, **more)
        model.evaluate(X, Y, **options)
        model.predict(X, **options)
        notes.append(seen)
    own, other = notes
    assert [entry[:-1] for entry in own] == [entry[:-1] for entry in other]
    for one, two in zip(own, other, strict=True):
        if not one[0].startswith("on_predict"):
            for name, value in one[-1].items():
                np.testing.assert_allclose(value, float(two[-1][name]), rtol=1e-4, atol=1e-6)


def test_callbacks_of_keras_work_in_our_fit(keras, tmp_path):
    model, _ = networks(keras)
    stop = keras.callbacks.EarlyStopping("val_accuracy", patience=2, mode="max", restore_best_weights=True)
    log = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))
    save = keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.keras"), monitor="loss", mode="min")
    history = model.fit(
        X, Y, epochs=50, validation_data=(X[:20], Y[:20]), callbacks=[stop, log, save], verbose=0, ignore="RV"
    )
    assert len(history.epoch) < 50
    assert max(history.history["val_accuracy"]) == pytest.approx(stop.best)
    assert len((tmp_path / "log.csv").read_text().splitlines()) == len(history.epoch) + 1
    np.testing.assert_array_equal(rv.load_model(tmp_path / f"{len(history.epoch)}.keras").predict(X).shape, (N, K))


def test_the_file_of_csv_logger_is_the_same(keras, tmp_path):
    rows: list = []
    for model, library in zip(networks(keras), (c, keras.callbacks), strict=True):
        path = tmp_path / f"{len(rows)}.csv"
        more = {"ignore": "RV"} if library is c else {}
        model.fit(X, Y, epochs=3, shuffle=False, verbose=0, callbacks=[library.CSVLogger(str(path))], **more)
        rows.append(list(csv.DictReader(path.read_text().splitlines())))
    for one, two in zip(*rows, strict=True):
        assert list(one) == list(two)
        for name, value in one.items():
            assert value == two[name] if value == "NA" else float(value) == pytest.approx(float(two[name]), rel=1e-4)


@pytest.mark.parametrize("on_epoch", [False, True])
def test_averages_in_the_place_of_weights(on_epoch, keras):
    def run(k, swap, saved):
        model = k.Sequential([k.layers.Input((F,)), k.layers.Dense(K, activation="softmax")])
        model.compile(k.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.9), "sparse_categorical_crossentropy")
        model.set_weights([0.1 * np.cos(np.arange(F * K, dtype=np.float32)).reshape(F, K), np.zeros(K, np.float32)])
        keep = k.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: saved.append(model.get_weights()[0]))
        history = model.fit(
            X, Y, batch_size=25, epochs=3, shuffle=False, verbose=0, callbacks=[swap, keep],
            validation_data=(X[:50] + 0.3, Y[:50]),
        ).history  # fmt: skip
        return history, model.get_weights()[0]

    saved: list = []
    theirs: list = []
    (own, weights), (other, expected) = (
        run(rv, c.SwapEMAWeights(on_epoch), saved),
        run(keras, keras.callbacks.SwapEMAWeights(on_epoch), theirs),
    )
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(own[name], other[name], rtol=1e-5)
    np.testing.assert_allclose(saved, theirs, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(weights, expected, rtol=1e-4, atol=1e-6)

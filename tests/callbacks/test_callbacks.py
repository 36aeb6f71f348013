"""Callbacks: when each method is called, what each callback does, and that they continue after a stop."""

import csv
import signal

import numpy as np
import pytest

import ranvier as rv
from ranvier import callbacks as c
from ranvier import optimizers
from ranvier.support.results import infer
from ranvier.training import NonFiniteLoss

RNG = np.random.default_rng(0)
N, F, K = 100, 6, 3  # 4 batches of 32, the last of 4
X = RNG.normal(size=(N, F)).astype(np.float32)
Y = X[:, :K].argmax(1)


@pytest.fixture(autouse=True)
def reference():
    rv.set_engine("reference")
    rv.set_seed(0)
    yield
    rv.set_engine(None)


def classifier(optimizer="adam", **settings):
    model = rv.Sequential(
        [
            rv.layers.Dense(8, activation="tanh", input_shape=(F,)),
            rv.layers.Dropout(0.2),
            rv.layers.Dense(K, activation="softmax"),
        ]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], **settings)
    return model


def fit(callbacks=None, model=None, **options):
    model = model or classifier()
    return model.fit(X, Y, **{"verbose": 0, "callbacks": callbacks, "ignore": "RV", **options})


class Watch(c.Callback):
    """Notes every event with its number."""

    def __init__(self, *events, interval=None):
        self.seen: list = []
        self.step_interval = interval
        for event in events:
            setattr(self, event, self.note(event))

    def note(self, event):
        def hook(*args):
            self.seen.append((event.removeprefix("on_"), *[a for a in args if isinstance(a, int)]))

        return hook


# --- when methods are called ---------------------------------------------------------------------------------------


def test_the_order_of_events():
    events = [e for e in vars(c.Callback) if e.startswith("on_") and not e.startswith(("on_batch", "on_nonf"))]
    watch = Watch(*events, interval=3)
    fit(watch, epochs=2, batch_size=50, validation_data=(X[:40], Y[:40]), validation_batch_size=20)
    training = ["train_batch_begin", "train_batch_end"]
    one: list = [("test_begin",), ("test_batch_begin", 0), ("test_batch_end", 0), ("test_batch_begin", 1)]
    validation = [*one, ("test_batch_end", 1), ("test_end",)]
    expected: list = [("train_begin",)]
    for epoch in range(2):
        expected.append(("epoch_begin", epoch))
        for batch in range(2):
            expected += [(e, batch) for e in training]
            if epoch * 2 + batch == 2:
                expected.append(("step", epoch, batch))
        expected += [*validation, ("epoch_end", epoch)]
    assert watch.seen == [*expected, ("train_end",)]


def test_events_of_evaluate_and_predict():
    watch = Watch("on_test_begin", "on_test_batch_end", "on_test_end")
    model = classifier()
    plain = model.evaluate(X, Y, verbose=0)
    assert model.evaluate(X, Y, verbose=0, callbacks=[watch]) == plain
    assert watch.seen == [("test_begin",), *(("test_batch_end", i) for i in range(4)), ("test_end",)]
    watch = Watch("on_predict_begin", "on_predict_batch_end", "on_predict_end")
    np.testing.assert_array_equal(model.predict(X, callbacks=watch), model.predict(X))
    assert watch.seen[1:-1] == [("predict_batch_end", i) for i in range(4)]
    outputs = []
    model.predict(X, callbacks=c.LambdaCallback(on_predict_batch_end=lambda b, logs: outputs.append(logs["outputs"])))
    np.testing.assert_array_equal(np.concatenate(outputs), model.predict(X))


@pytest.mark.parametrize("old", [True, False])
def test_batch_logs_are_the_means_so_far(old):
    logs: list = []

    class Batches(c.Callback):
        def on_batch_end(self, batch, logs_=None):
            logs.append(logs_)

    class New(c.Callback):
        def on_train_batch_end(self, batch, logs_=None):
            logs.append(logs_)

    history = fit(Batches() if old else New())
    assert len(logs) == 4
    assert {n: v[-1] for n, v in history.history.items()} == logs[-1]
    assert logs[0] != logs[-1]


def test_hooks_change_nothing_by_themselves():
    """Every batch watched, some steps watched, nothing watched: the same bits."""
    results = []
    for callback in (None, Watch("on_train_batch_begin"), Watch("on_step", interval=3), Watch("on_epoch_end")):
        rv.set_seed(1)
        model = classifier()
        history = fit(callback, model, epochs=3)
        results.append((history.history, model.get_weights()))
    for history, weights in results[1:]:
        assert history == results[0][0]
        for one, other in zip(weights, results[0][1], strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_batch_hook_may_change_weights_rate_and_what_is_trainable():
    class Change(c.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.optimizer.learning_rate = 0.1 if batch == 0 else 0.0
            if batch == 2:
                self.model.layers[-1].trainable = False
            if batch == 3:
                self.model.set_weights([np.ones_like(w) for w in self.model.get_weights()])

    model = classifier(optimizers.SGD())
    fit(Change(), model)
    for weight in model.get_weights():
        np.testing.assert_array_equal(weight, np.ones_like(weight))
    rv.set_seed(0)
    first = classifier(optimizers.SGD(0.1))
    fit(None, first, steps_per_epoch=1, batch_size=32)
    rv.set_seed(0)
    changed = classifier(optimizers.SGD())

    class Rate(c.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.optimizer.learning_rate = 0.0

    changed.optimizer.learning_rate = 0.1
    fit(Rate(), changed)
    for one, other in zip(changed.get_weights(), first.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_a_batch_hook_freezes_stays_frozen_in_the_epochs_after():
    seen = []

    class Freeze(c.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.layers[-1].trainable = False
            seen.append(self.model.get_weights())

    model = classifier()
    before = model.get_weights()
    fit(Freeze(), model, epochs=3)
    assert not np.array_equal(before[2], seen[0][2])
    for weights in seen[1:]:
        np.testing.assert_array_equal(weights[2], seen[0][2])
        assert not np.array_equal(weights[0], seen[0][0])


@pytest.mark.parametrize("interval", [1, 3, 4, 7])
def test_steps_are_counted_exactly_and_across_epochs(interval):
    seen = []

    class Count(c.Callback):
        step_interval = interval

        def on_step(self, epoch, step, logs=None):
            seen.append((epoch, step, self.model.optimizer.iterations.item()))

    fit(Count(), epochs=5)
    total = range(interval, 21, interval)
    assert seen == [((n - 1) // 4, (n - 1) % 4, n) for n in total]


@pytest.mark.parametrize(
    ("event", "batch"), [("on_train_batch_end", 1), ("on_train_batch_begin", 1), ("on_step", 1), ("on_epoch_end", 3)]
)
def test_stop_training_stops_after_that_batch_or_epoch(event, batch):
    class Stop(c.Callback):
        step_interval = 2

    def stop(self, number, *rest):
        if event in ("on_epoch_end", "on_step") or number == 1:
            self.model.stop_training = True

    setattr(Stop, event, stop)
    model = classifier()
    history = fit(Stop(), model, epochs=3, validation_data=(X, Y))
    assert model.optimizer.iterations.item() == batch + 1
    assert history.epoch == [0]
    assert "val_loss" in history.history


def test_what_is_no_callback():
    with pytest.raises(TypeError, match=r"rv\.callbacks\.Callback"):
        fit([print])
    with pytest.raises(TypeError, match=r"Write TerminateOnNaN\(\) instead"):
        fit([c.TerminateOnNaN])
    with pytest.raises(TypeError, match="nearest is on_epoch_end"):
        c.LambdaCallback(on_epoch_ends=print)
    with pytest.raises(ValueError, match="step_interval is 0"):
        fit(Watch("on_step", interval=0))


def test_evaluate_within_a_hook():
    values = []
    fit(
        c.LambdaCallback(on_epoch_end=lambda e, logs: values.append(model.evaluate(X, Y, verbose=0))),
        model := classifier(),
    )
    assert len(values) == 1
    again = c.LambdaCallback(on_test_batch_end=lambda b, logs: model.evaluate(X, Y, verbose=0))
    with pytest.raises(RuntimeError, match="on_test_end"):
        model.evaluate(X, Y, verbose=0, callbacks=again)
    assert model.evaluate(X, Y, verbose=0)


# --- EarlyStopping, ReduceLROnPlateau, ModelCheckpoint: decisions -------------------------------------------------


class Model:
    """What a callback sees of a model, with the results of each epoch as given."""

    def __init__(self):
        self.stop_training, self.weights = False, 0
        self.optimizer = optimizers.SGD(1.0)

    def get_weights(self):
        return [self.weights]

    def set_weights(self, weights):
        (self.weights,) = weights


def play(callback, values, name="val_loss"):
    """Epochs with these results; returns the number of the last one and the learning rates."""
    model, rates = Model(), []
    callback.set_model(model)
    callback.on_train_begin()
    epoch = -1
    for epoch, value in enumerate(values):
        model.weights = epoch
        callback.on_epoch_begin(epoch, {})
        callback.on_epoch_end(epoch, {name: value})
        rates.append(model.optimizer.learning_rate)
        if model.stop_training:
            break
    callback.on_train_end()
    return epoch, rates, model.weights


STOPS = [  # settings, values, the last epoch, whose weights are left
    ({}, [3, 2, 2, 1], 2, 2),
    ({"patience": 2}, [3, 2, 2, 1], 3, 3),
    ({"patience": 2}, [3, 2, 2, 2, 1], 3, 3),
    ({"patience": 2, "restore_best_weights": True}, [3, 2, 2, 2, 1], 3, 1),
    ({"restore_best_weights": True}, [3, 2, 1], 2, 2),
    ({"min_delta": 0.5}, [3, 2.6, 1], 1, 1),
    ({"min_delta": 0.5}, [3, 2.4, 2.0], 2, 2),
    ({"mode": "max"}, [1, 2, 1, 3], 2, 2),
    ({"baseline": 1.0, "patience": 2}, [5, 4, 3, 2], 3, 3),
    ({"baseline": 4.5, "patience": 2}, [5, 4, 3, 2], 3, 3),
    ({"start_from_epoch": 3}, [1, 2, 3, 4, 3.5, 5, 2], 5, 5),
    ({"patience": 1, "restore_best_weights": True}, [np.nan, np.nan, 1.0], 1, 0),
    ({"patience": 0}, [1], 0, 0),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "values", "last", "left"), STOPS)
def test_early_stopping(settings, values, last, left):
    epoch, _, weights = play(c.EarlyStopping(**settings), values)
    assert (epoch, weights) == (last, left)


PLATEAUS = [
    ({"patience": 2, "factor": 0.5}, [3, 3, 3, 3, 3], [1, 1, 0.5, 0.5, 0.25]),
    ({"patience": 1, "factor": 0.5, "min_lr": 0.4}, [3] * 4, [1, 0.5, 0.4, 0.4]),
    ({"patience": 1, "factor": 0.5, "cooldown": 2}, [3] * 6, [1, 0.5, 0.5, 0.25, 0.25, 0.125]),
    ({"patience": 1, "factor": 0.5, "min_delta": 1}, [3, 2.5, 1.5], [1, 0.5, 0.5]),
    ({"patience": 1, "factor": 0.5, "mode": "max"}, [1, 2, 1], [1, 1, 0.5]),
]


@pytest.mark.parametrize(("settings", "values", "rates"), PLATEAUS)
def test_reduce_on_plateau(settings, values, rates):
    assert play(c.ReduceLROnPlateau(**settings), values)[1] == pytest.approx(rates)


WAYS = [
    ("loss", "min"), ("val_loss", "min"), ("accuracy", "max"), ("val_accuracy", "max"), ("auc", "max"),
    ("mean_squared_error", "min"), ("val_f1_score", "max"), ("a_loss", "min"), ("recall", "max"), ("surprise", None),
    ("val_balanced_accuracy", "max"), ("false_positives", "min"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "way"), WAYS)
def test_which_way_is_better(name, way):
    assert infer(name, None) == way


@pytest.mark.parametrize("name", sorted(set(filter(str.islower, rv.metrics.REGISTRY.names)) - {"confusion_matrix"}))
def test_which_way_is_better_is_known_of_every_metric(name):
    assert infer(f"val_{name}", rv.metrics.get(name)) is not None


ABSENT = [  # what is watched, whether there is validation, what to do
    ("val_acc", True, "watch 'val_accuracy'"),
    ("val_acc", False, "give validation_data"),
    ("acc", True, "watch 'accuracy'"),
]


@pytest.mark.parametrize(("name", "validation", "said"), ABSENT)
@pytest.mark.parametrize(
    "make",
    [
        lambda name, folder: c.EarlyStopping(name),
        lambda name, folder: c.ReduceLROnPlateau(name),
        lambda name, folder: c.ModelCheckpoint(folder / "best", name, save_best_only=True),
    ],
)
def test_a_result_that_is_not_there(make, name, validation, said, tmp_path):
    with pytest.warns(UserWarning, match=f"'{name}', which is not among.*; {said} instead"):
        fit(make(name, tmp_path), validation_data=(X, Y) if validation else None)


def test_monitors_say_what_is_wrong():
    with pytest.raises(ValueError, match="mode='min' or mode='max'"):
        play(c.EarlyStopping("surprise"), [1, 2], "surprise")
    with pytest.raises(ValueError, match="write 'min', 'max' or 'auto'"):
        c.EarlyStopping(mode="low")
    with pytest.raises(ValueError, match="one number"):
        play(c.EarlyStopping("x", mode="min"), [np.zeros((3, 3))], "x")
    with pytest.warns(UserWarning, match=r"'val_loss'.*results: accuracy, loss\. .*validation_data"):
        fit(c.EarlyStopping(), epochs=2)
    fit(c.EarlyStopping(), epochs=2, validation_data=(X, Y), validation_freq=2)  # nothing is said of epoch 1
    with pytest.raises(ValueError, match="below 1"):
        c.ReduceLROnPlateau(factor=1.5)


def test_results_of_each_class_show_and_can_be_watched_by_their_mean(tmp_path, capsys):
    from ranvier.pictures.curves import panels

    model = classifier(optimizers.SGD(0.1))
    model.compile(
        optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["f1_score", rv.metrics.ConfusionMatrix()]
    )
    stop = c.EarlyStopping("val_f1_score", patience=2, restore_best_weights=True)
    best = c.ModelCheckpoint(tmp_path / "{val_f1_score:.4f}", "val_f1_score", save_best_only=True)
    history = fit([stop, best], model, epochs=9, validation_data=(X, Y), verbose=2)
    each = history.history["val_f1_score"]
    means = [float(np.mean(one)) for one in each]
    assert np.shape(each) == (len(means), len(set(Y)))
    assert stop.best == max(means)
    assert (tmp_path / f"{max(means):.4f}").exists()
    assert f"val_f1_score {means[0]:.4f} (mean of {len(set(Y))})" in capsys.readouterr().out
    assert panels(history.history)["f1_score"][1] == means
    assert "confusion_matrix" not in panels(history.history)


def test_early_stopping_in_fit():
    model = classifier(optimizers.SGD(0.1))
    stop = c.EarlyStopping("val_accuracy", patience=2, restore_best_weights=True, verbose=1)
    history = fit(stop, model, epochs=100, validation_data=(X, Y), verbose=2)
    assert len(history.epoch) < 100
    assert model.evaluate(X, Y, verbose=0)[1] == max(history.history["val_accuracy"]) == stop.best
    assert stop.best_epoch == int(np.argmax(history.history["val_accuracy"]))
    assert stop.stopped_epoch == history.epoch[-1]


# --- learning rates -----------------------------------------------------------------------------------------------


def test_learning_rate_scheduler():
    model = classifier(optimizers.SGD(0.1))
    history = fit(c.LearningRateScheduler(lambda epoch, rate: rate / 2), model, epochs=3)
    assert history.history["learning_rate"] == pytest.approx([0.05, 0.025, 0.0125])
    fit(c.LearningRateScheduler(lambda epoch: 0.5), model)
    assert model.optimizer.learning_rate == 0.5

    def nothing(epoch, rate):
        return None

    with pytest.raises(TypeError, match="returned None for epoch 0"):
        fit(c.LearningRateScheduler(nothing), model)


@pytest.mark.parametrize("callback", [c.LearningRateScheduler(lambda e, r: r), c.ReduceLROnPlateau("loss")])
def test_a_schedule_and_a_callback_do_not_go_together(callback):
    schedule = optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    with pytest.raises(TypeError, match=rf"{type(callback).__name__} sets the learning rate"):
        fit(callback, classifier(optimizers.SGD(schedule)))


def test_the_history_of_a_schedule_has_the_columns_of_keras():
    schedule = optimizers.schedules.ExponentialDecay(0.1, 4, 0.5)
    model = classifier(optimizers.SGD(schedule))
    assert "learning_rate" not in fit(None, model, epochs=2).history
    assert model.optimizer.current_rate() == pytest.approx(0.025)


# --- averages, lists ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["reference", "native"])
def test_averages_in_the_place_of_weights(engine):
    rv.set_engine(engine)

    def run(*callbacks):
        rv.set_seed(3)
        model = classifier(optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9))
        return model, fit([*callbacks], model, epochs=3, validation_data=(X, Y)).history

    swap = c.SwapEMAWeights()
    (model, history), (other, plain) = run(swap), run()
    assert history["loss"] == plain["loss"], "training continues with the weights themselves"
    assert history["val_loss"] != plain["val_loss"]
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights(), strict=True))
    averages = model.get_weights()  # since the end of fit
    assert history["val_loss"][-1] == model.evaluate(X, Y, verbose=0, return_dict=True)["loss"]
    model.set_weights([w + 1 for w in averages])
    away = model.get_weights()
    outputs = model.predict(X, callbacks=swap)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), away, strict=True))
    model.set_weights(averages)
    np.testing.assert_array_equal(model.predict(X), outputs)
    for action in (lambda: fit(swap), lambda: classifier().predict(X, callbacks=swap)):
        with pytest.raises(ValueError, match=r"SwapEMAWeights needs .*use_ema=True"):
            action()


class Counts(c.Callback):
    """Keras's older name, and the newer one."""

    def __init__(self):
        self.batches = []

    def on_batch_end(self, batch, logs=None):
        self.batches.append((batch, logs))


def test_a_list_of_callbacks_in_your_own_loop():
    watch, counts, model = (Watch("on_train_begin", "on_epoch_end", "on_test_batch_begin"), Counts(), classifier())
    together = c.CallbackList([watch, [counts, None]], add_history=True, model=model, epochs=2)
    together.on_train_begin()
    for epoch in range(2):
        together.on_epoch_begin(epoch)
        together.on_train_batch_end(0, {"loss": 0.5})
        together.on_test_batch_begin(7)
        together.on_epoch_end(epoch, logs={"loss": 0.25 * epoch})
    together.on_train_end()
    assert watch.seen == [
        ("train_begin",),
        ("test_batch_begin", 7),
        ("epoch_end", 0),
        ("test_batch_begin", 7),
        ("epoch_end", 1),
    ]
    assert counts.batches == [(0, {"loss": 0.5})] * 2
    assert (watch.model, counts.params) == (model, {"epochs": 2})
    assert model.history.history == {"loss": [0.0, 0.25]}
    counts.batches.clear()
    fit(together, model)
    assert [number for number, _ in counts.batches] == [0, 1, 2, 3]
    with pytest.raises(TypeError, match="is not a callback"):
        c.CallbackList([3])
    with pytest.raises(ValueError, match="the bar"):
        c.CallbackList(add_progbar=True)


# --- files --------------------------------------------------------------------------------------------------------


def test_model_checkpoint_names_and_the_best(tmp_path):
    path = tmp_path / "deep" / "{epoch:02d}-{val_loss:.3f}.ranvier"
    model = classifier()
    history = fit(c.ModelCheckpoint(path), model, epochs=2, validation_data=(X, Y))
    names = [f"{e + 1:02d}-{v:.3f}.ranvier" for e, v in enumerate(history.history["val_loss"])]
    assert sorted(p.name for p in path.parent.iterdir()) == names
    again = rv.load_model(path.parent / names[-1])
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.optimizer.iterations.item() == 8

    best = c.ModelCheckpoint(tmp_path / "best", "loss", save_best_only=True)
    for callback in (
        best,
        c.ModelCheckpoint(tmp_path / "never", "loss", save_best_only=True, initial_value_threshold=0),
    ):
        history = fit(callback, classifier(optimizers.SGD(0.5)), epochs=5)
    assert (tmp_path / "best").exists()
    assert not (tmp_path / "never").exists()


def test_model_checkpoint_by_steps_and_weights_alone(tmp_path):
    model = classifier()
    fit(c.ModelCheckpoint(tmp_path / "{epoch}-{batch}", save_freq=3, save_weights_only=True), model, epochs=3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1-3", "2-2", "3-1", "3-4"]
    other = classifier()
    other.load_weights(tmp_path / "3-4")
    np.testing.assert_array_equal(other.predict(X), model.predict(X))
    with pytest.raises(ValueError, match="load_weights"):
        rv.load_model(tmp_path / "3-4")


def test_model_checkpoint_says_what_is_wrong(tmp_path):
    model = classifier()
    for name, options, said in (
        ("{val_loss}", {}, r"Write validation_data=... in fit, or a name with any of epoch, loss, accuracy"),
        ("{val_loss:.2f}", {"save_freq": 3}, r"Write save_freq='epoch', or a name"),
    ):
        given = {"validation_data": (X, Y)} if options else {}
        with pytest.raises(ValueError, match=said):
            fit(c.ModelCheckpoint(tmp_path / name, **options), model, **given)
    assert model.optimizer.iterations.item() == 0, "said before anything is trained"
    with pytest.raises(ValueError, match=r"any of epoch, accuracy, loss"):
        fit(c.ModelCheckpoint(tmp_path / "{acuracy}"))
    with pytest.raises(ValueError, match="'epoch' or a number of steps"):
        c.ModelCheckpoint("x", save_freq="day")
    with pytest.raises(IsADirectoryError):
        fit(c.ModelCheckpoint(tmp_path))


def test_csv_logger(tmp_path):
    path = tmp_path / "log.csv"
    model = classifier()
    first = fit(c.CSVLogger(path), model, epochs=2).history
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [float(r["loss"]) for r in rows] == first["loss"]
    assert [(r["epoch"], r["val_loss"]) for r in rows] == [("0", "NA"), ("1", "NA")]
    second = fit(c.CSVLogger(path, append=True), model, initial_epoch=2, epochs=3, validation_data=(X, Y)).history
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [float(r["loss"]) for r in rows] == first["loss"] + second["loss"]
    fit(c.CSVLogger(path, separator=";"), model)
    assert path.read_text().splitlines()[0] == "epoch;accuracy;loss;val_accuracy;val_loss"
    with pytest.raises(
        FileNotFoundError, match=r"log.csv: there is no folder .*none. Make it first, in Python with os.makedirs"
    ):
        fit(c.CSVLogger(tmp_path / "none" / "log.csv"))


# --- not finite, Ctrl-C, history ----------------------------------------------------------------------------------


def exploding():
    model = rv.Sequential([rv.layers.Dense(2, input_shape=(F,))])
    model.compile(optimizers.SGD(1e20), "mse")
    return model


def test_a_full_disk_names_the_log_and_a_folder_that_vanishes_is_made_again(tmp_path, monkeypatch):
    path = tmp_path / "logs" / "log.csv"
    path.parent.mkdir()

    class Vanish(c.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                path.unlink()
                path.parent.rmdir()

    fit([Vanish(), c.CSVLogger(path)], epochs=3)
    assert [row["epoch"] for row in csv.DictReader(path.read_text().splitlines())] == ["1", "2"]

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(csv, "writer", full)
    with pytest.raises(OSError, match=r"No space left on device \(free some, or .*: '.*log.csv'"):
        fit(c.CSVLogger(path))


def test_terminate_on_nan_ends_quietly_what_fit_raises(capsys):
    with pytest.raises(NonFiniteLoss):
        exploding().fit(X, X[:, :2], verbose=0, ignore="RV")
    with pytest.raises(NonFiniteLoss):
        exploding().fit(X, X[:, :2], verbose=0, ignore="RV", callbacks=c.TerminateOnNaN(raise_error=True))
    ended = Watch("on_train_end")
    callback, model = c.TerminateOnNaN(), exploding()
    history = model.fit(X, X[:, :2], epochs=3, verbose=0, ignore="RV", callbacks=[callback, ended])
    assert history.epoch == []
    assert ended.seen == [("train_end",)]
    assert isinstance(callback.error, NonFiniteLoss)
    assert callback.error.step == 1
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert "Training ends: the loss stopped being finite" in capsys.readouterr().out


@pytest.mark.parametrize("event", ["on_train_batch_end", "on_step", "on_epoch_end"])
def test_a_rate_that_a_hook_makes_far_too_high(event):
    """What is run again to find the bad step runs with the rate that it had."""

    class High(c.Callback):
        step_interval = 2 if event == "on_step" else None

    def high(self, number, *rest):
        self.model.optimizer.learning_rate = 1e20

    setattr(High, event, high)
    model = rv.Sequential([rv.layers.Dense(2, input_shape=(F,))])
    model.compile(optimizers.SGD(0.01), "mse")
    expected = rv.Sequential([rv.layers.Dense(2, input_shape=(F,))])
    expected.compile(optimizers.SGD(0.01), "mse")
    expected.set_weights(model.get_weights())
    good = {"on_train_batch_end": 1, "on_step": 2, "on_epoch_end": 4}[event]
    with pytest.raises(NonFiniteLoss, match=r"it is 1e\+20") as caught:
        model.fit(X, X[:, :2], shuffle=False, epochs=3, verbose=0, callbacks=High(), ignore="RV")
    assert caught.value.epoch * 4 + caught.value.step == good + 1
    expected.fit(X, X[:, :2], shuffle=False, steps_per_epoch=good, batch_size=32, verbose=0, ignore="RV")
    expected.optimizer.learning_rate = 1e20
    rows = np.arange(N)[32 * (good % 4) :][:32]
    expected.train_on_batch(X[rows], X[rows, :2])
    for one, other in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)


def test_interrupt_calls_callbacks():
    class Press(Watch):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                signal.raise_signal(signal.SIGINT)

    press = Press("on_interrupt", "on_train_end")
    model = classifier()
    with pytest.raises(KeyboardInterrupt):
        fit(press, model, epochs=10)
    assert press.seen == [("interrupt",)]
    assert model.optimizer.iterations.item() == 3


def test_history_is_a_callback():
    history = c.History()
    returned = fit(history, epochs=2)
    assert history.history == returned.history
    assert history.epoch == [0, 1]
    assert returned.params["epochs"] == 2


def test_callbacks_may_add_to_the_logs():
    def add(epoch, logs):
        logs["twice"] = 2 * logs["loss"]

    stop = c.EarlyStopping("twice", mode="min")
    history = fit([c.LambdaCallback(on_epoch_end=add), stop], epochs=2).history
    assert history["twice"] == [2 * v for v in history["loss"]]
    assert stop.best == min(history["twice"])


def test_lines_are_printed_above_the_bar(capsys):
    fit(c.ModelCheckpoint("unused", "loss", save_best_only=True, initial_value_threshold=0, verbose=1), verbose=2)
    assert "Epoch 1: loss did not improve from 0.00000" in capsys.readouterr().out

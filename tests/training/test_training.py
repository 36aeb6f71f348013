"""fit, evaluate and predict: what they compute, what they return, and what they share with an explicit loop."""

import contextlib
import itertools
import signal
import threading
import warnings

import numpy as np
import pytest

import ranvier as rv
from ranvier import optimizers
from ranvier.training import Callback, NonFiniteLoss, PreflightWarning

RNG = np.random.default_rng(0)
N, F, K = 100, 6, 3
X = RNG.normal(size=(N, F)).astype(np.float32)
Y = X[:, :K].argmax(1)
WEIGHTS = np.linspace(0.5, 1.5, N)
VALUES = X[:, :2] @ np.array([[1.0, -1.0], [0.5, 2.0]], np.float32)


@pytest.fixture(autouse=True)
def engine():
    rv.set_engine("reference")
    rv.set_seed(0)
    yield
    rv.set_engine(None)
    rv.set_dtype("float32")


def classifier(optimizer="adam", metrics=("accuracy",), dropout=0.0, **settings):
    hidden: list = [rv.layers.Dense(8, activation="tanh", input_shape=(F,))]
    hidden += [rv.layers.Dropout(dropout)] if dropout else []
    model = rv.Sequential([*hidden, rv.layers.Dense(K, activation="softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=list(metrics), **settings)
    return model


def regressor(optimizer=None, loss="mse"):
    model = rv.Sequential([rv.layers.Dense(2, input_shape=(F,))])
    model.compile(optimizer or optimizers.SGD(0.1), loss)
    return model


def by_hand(weights, batches, lr=0.1, rows=None):
    """Gradient descent on the mean squared error of one dense layer; returns weights and the epoch's loss."""
    (w, b), total, count = weights, 0.0, 0
    for part in batches:
        x, y = X[part], VALUES[part]
        error = x @ w + b - y
        total, count = total + (error**2).mean() * len(x), count + len(x)
        w, b = w - lr * 2 * (x.T @ error) / error.size, b - lr * 2 * error.sum(0) / error.size
    return (w, b), total / count


# --- what fit computes --------------------------------------------------------------------------------------------


def test_it_is_gradient_descent_with_the_last_partial_batch_weighted_exactly():
    model = regressor()
    start = model.get_weights()
    expected, loss = by_hand(start, np.split(np.arange(N), [32, 64, 96]))
    history = model.fit(X, VALUES, shuffle=False, verbose=0)
    np.testing.assert_allclose(history.history["loss"], [loss], rtol=1e-5)
    for got, wanted in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_class_weight_is_sample_weight():
    one, other = classifier(), classifier()
    other.set_weights(one.get_weights())
    options = {"epochs": 2, "shuffle": False, "verbose": 0}
    one.fit(X, Y, class_weight={0: 1.0, 1: 3.0}, **options)
    other.fit(X, Y, sample_weight=np.where(Y == 1, 3.0, 1.0), **options)
    np.testing.assert_array_equal(one.get_weights()[0], other.get_weights()[0])


@pytest.mark.parametrize("dtype", ["uint8", "int32", "bool"])
def test_integers_stay_as_they_are_until_the_program_casts_them(dtype):
    x = np.floor(np.abs(X) * 3).astype(dtype)
    one, other = classifier(), classifier()
    other.set_weights(one.get_weights())
    one.fit(x, Y, shuffle=False, verbose=0)
    other.fit(x.astype(np.float32), Y, shuffle=False, verbose=0)
    np.testing.assert_array_equal(one.predict(x), other.predict(x.astype(np.float32)))


def test_the_explicit_loop_and_fit_are_one():
    fitted, looped = classifier(optimizers.Adam(0.01)), classifier()
    looped.set_weights(fitted.get_weights())
    history = fitted.fit(X, Y, epochs=2, shuffle=False, verbose=0).history["loss"]
    loss_function = rv.losses.SparseCategoricalCrossentropy()
    optimizer, curve = optimizers.Adam(0.01).attach(looped.parameters()), []
    for _ in range(2):
        total = 0.0
        for i in range(0, N, 32):
            optimizer.zero_grad()
            loss = loss_function(rv.Tensor(Y[i : i + 32]), looped(rv.Tensor(X[i : i + 32])))
            loss.backward()
            optimizer.step()
            total += loss.item() * len(X[i : i + 32])
        curve.append(total / N)
    np.testing.assert_allclose(history, curve, rtol=1e-5)
    for one, other in zip(fitted.get_weights(), looped.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_same_seed_same_run_and_shuffling_matters():
    def run(shuffle, seed=1):
        rv.set_seed(seed)
        model = classifier(dropout=0.5)
        return model.fit(X, Y, epochs=2, shuffle=shuffle, verbose=0).history["loss"]

    assert run(True) == run(True)
    assert run(True) != run(False)
    assert run(True) != run(True, seed=2)


def test_dropout_differs_from_step_to_step_and_not_in_evaluation():
    model = classifier(optimizers.SGD(1e-30), dropout=0.5)
    losses = model.fit(X, Y, epochs=3, shuffle=False, batch_size=N, verbose=0).history["loss"]
    assert len(set(losses)) == 3
    assert model.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)


def test_a_second_fit_compiles_nothing_and_goes_on():
    whole, halves = classifier(), classifier()
    halves.set_weights(whole.get_weights())
    options = {"shuffle": False, "verbose": 0}
    whole.fit(X, Y, epochs=2, **options)
    halves.fit(X, Y, **options)
    known = set(halves._compiled.programs)
    halves._compiled.optimizer.learning_rate = 0.001
    halves.fit(X, Y, **options)
    assert set(halves._compiled.programs) == known
    np.testing.assert_array_equal(whole.get_weights()[0], halves.get_weights()[0])


def test_validation_split_takes_the_last_rows():
    model = regressor()
    start = model.get_weights()
    history = model.fit(X, VALUES, validation_split=0.25, batch_size=75, verbose=0).history
    (w, b), loss = by_hand(start, [np.arange(75)])
    np.testing.assert_allclose(history["loss"], [loss], rtol=1e-5)
    np.testing.assert_allclose(history["val_loss"], [((X[75:] @ w + b - VALUES[75:]) ** 2).mean()], rtol=1e-5)


def test_float64():
    rv.set_dtype("float64")
    model = regressor()
    expected, _ = by_hand(model.get_weights(), [np.arange(N)])
    model.fit(X, VALUES, batch_size=N, verbose=0)
    assert model.get_weights()[0].dtype == np.float64
    np.testing.assert_allclose(model.get_weights()[0], expected[0], rtol=1e-12)


def test_a_python_function_is_a_loss_and_a_metric():
    def error(y_true, y_pred):
        return ((y_true - y_pred) ** 2).mean(-1)

    one, other = regressor(loss=error), regressor()
    one.compile(optimizers.SGD(0.1), error, metrics=[error])
    other.set_weights(one.get_weights())
    got = one.fit(X, VALUES, shuffle=False, verbose=0).history
    wanted = other.fit(X, VALUES, shuffle=False, verbose=0).history
    np.testing.assert_allclose(got["loss"], wanted["loss"], rtol=1e-5)
    np.testing.assert_allclose(got["error"], wanted["loss"], rtol=1e-5)


def test_a_loss_used_as_a_metric_keeps_its_name():
    model = regressor()
    model.compile("sgd", "mse", metrics=[rv.losses.MeanSquaredError(name="my_mse"), rv.losses.Huber()])
    got = model.fit(X, VALUES, validation_split=0.5, verbose=0).history
    assert {"my_mse", "val_my_mse", "huber", "val_huber"} < set(got)
    assert got["val_my_mse"] == pytest.approx(got["val_loss"])


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32"])
@pytest.mark.parametrize("use", ["fit", "weights", "batches", "evaluate", "train_on_batch", "measured"])
def test_targets_are_aligned_to_one_column_whatever_their_dtype(dtype, use):
    def error(y_true, y_pred):
        return (y_true - y_pred) ** 2

    def run(y):
        rv.set_seed(0)
        x = rv.Input((F,))
        model = rv.Model(x, [rv.layers.Dense(1, name=name)(x) for name in "ab"])
        model.compile("sgd", [error, None], metrics=[[error], ["mae" if use == "measured" else error]])
        if use == "evaluate":
            return model.evaluate(X, [y, y], verbose=0)
        if use == "train_on_batch":
            return [model.train_on_batch(X, [y, y]) for _ in "ab"]
        if use == "batches":
            return model.fit(iter([(X[:50], [y[:50], y[:50]])] * 2), verbose=0).history
        weights = {"sample_weight": np.ones(N), "class_weight": [{0: 1, 1: 3}, None]}
        return model.fit(X, [y, y], verbose=0, **(weights if use == "weights" else {})).history

    y = (X[:, 0] > 0).astype(dtype)
    assert run(y) == run(y[:, None].astype(np.float32))


def test_masks_are_aligned_to_one_channel():
    model = rv.Sequential([rv.layers.Conv2D(1, 1, input_shape=(4, 4, 1), use_bias=False)])
    model.compile("sgd", lambda y_true, y_pred: (y_true - y_pred) ** 2)
    masks = RNG.integers(0, 2, (5, 4, 4))
    x = RNG.normal(size=(5, 4, 4, 1)).astype(np.float32)
    wanted = ((x * model.get_weights()[0] - masks[..., None]) ** 2).mean()
    assert model.evaluate(x, masks, verbose=0) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("steps", [2, 3, 5, 13])  # of five batches
def test_an_epoch_of_some_steps_goes_on_where_the_last_one_stopped(shuffle, steps):
    """As in Keras, and the end of the data ends it, with a warning."""
    model = rv.Sequential([rv.layers.Dense(1, input_shape=(1,), kernel_initializer="zeros")])
    model.compile(optimizers.SGD(0.0), "mae")  # so that an epoch's loss is the mean of its targets
    y = np.arange(50, dtype=np.float32)
    options = {"epochs": 7, "batch_size": 10, "steps_per_epoch": steps, "verbose": 0, "ignore": "RV"}
    made = {2: [2, 2, 1], 3: [3, 2], 5: [5], 13: [5]}[steps]  # of the epochs of a pass
    ends = (
        pytest.warns(UserWarning, match=f"ended after {made[-1]} of the {steps} steps")
        if made[-1] < steps
        else contextlib.nullcontext()
    )
    with ends:
        loss = model.fit(np.zeros((50, 1)), y, shuffle=shuffle, **options).history["loss"]
    each = (7 * made)[:7]
    assert model.optimizer.iterations == sum(each)
    if not shuffle:
        rows = np.split(np.arange(50), 10 * np.cumsum(made)[:-1])
        np.testing.assert_allclose(loss, [y[r].mean() for r in 7 * rows][:7], rtol=1e-6)
    whole = len(made)
    assert np.average(loss[:whole], weights=made) == pytest.approx(y.mean())  # they are all rows once
    assert shuffle is (loss[:whole] != loss[whole : 2 * whole]) or whole == 1


@pytest.mark.parametrize(("steps", "batches"), [(3, [17, 17, 16]), (50, [1] * 50), (4, [13, 13, 13, 11])])
def test_without_a_batch_size_the_steps_of_an_epoch_are_all_rows(steps, batches):
    """As in Keras, in `evaluate`, `predict` and validation too."""
    model = rv.Sequential([rv.layers.Dense(1, input_shape=(1,), kernel_initializer="zeros")])
    model.compile(optimizers.SGD(0.0), "mae")
    x, y = np.zeros((50, 1)), np.arange(50, dtype=np.float32)
    options = {"validation_data": (x, y), "validation_steps": steps, "verbose": 0, "ignore": "RV"}
    history = model.fit(x, y, steps_per_epoch=steps, **options).history
    assert model.optimizer.iterations == len(batches)
    assert [*history["loss"], *history["val_loss"]] == pytest.approx([24.5] * 2)
    assert model.evaluate(x, y, steps=steps, verbose=0) == pytest.approx(24.5)
    seen = []
    callback = rv.callbacks.LambdaCallback(on_predict_batch_end=lambda batch, logs: seen.append(len(logs["outputs"])))
    assert len(model.predict(x, steps=steps, callbacks=[callback])) == len(model.predict(x, steps=steps)) == 50
    assert seen == batches


@pytest.mark.parametrize(("size", "steps", "made"), [(30, 2, 2), (50, 1, 1)])
def test_steps_of_an_epoch_with_a_smaller_last_batch(size, steps, made):
    model = rv.Sequential([rv.layers.Dense(1, input_shape=(1,))])
    model.compile("sgd", "mae")
    seen = rv.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: batches.append(batch))
    batches: list[int] = []
    options = {"batch_size": size, "steps_per_epoch": steps, "verbose": 0, "ignore": "RV"}
    model.fit(np.zeros((50, 1)), np.arange(50.0), epochs=2, callbacks=[seen], **options)
    assert batches == 2 * list(range(made))


def test_networks_that_take_turns():
    """Adversaries, as Keras's programs write them: what was frozen for the combined model has to be thawed for its own."""
    judge = rv.Sequential([rv.Input((4,)), rv.layers.Dense(1, activation="sigmoid")])
    judge.compile("sgd", "binary_crossentropy")
    judge.trainable = False
    noise = rv.Input((2,))
    maker = rv.layers.Dense(4)
    both = rv.Model(noise, judge(maker(noise)))
    both.compile("sgd", "binary_crossentropy")
    x, y = np.ones((6, 4), np.float32), np.ones((6, 1), np.float32)
    with pytest.raises(
        ValueError, match="trainable = True before each train_on_batch of the network, and False before"
    ):
        judge.train_on_batch(x, y)
    for trained, model, rows in ((True, judge, x), (False, both, x[:, :2])) * 2:
        judge.trainable = trained
        before = judge.get_weights(), maker.get_weights()
        model.train_on_batch(rows, y)
        changed = [
            any((a != b).any() for a, b in zip(old, layer.get_weights(), strict=True))
            for old, layer in zip(before, (judge, maker), strict=True)
        ]
        assert changed == [trained, not trained]


def test_frozen_weights_stay():
    model = classifier()
    model.layers[0].trainable = False
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    after = model.get_weights()
    np.testing.assert_array_equal(before[0], after[0])
    assert (before[2] != after[2]).any()


@pytest.mark.parametrize("name", sorted(optimizers.REGISTRY.classes))
def test_every_optimizer_lowers_the_loss(name):
    model = classifier(optimizers.REGISTRY.classes[name](learning_rate=0.01))
    losses = model.fit(X, Y, epochs=10, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


# --- batches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [[32, 32, 32, 4], [10, 40, 50]])
def test_batches_of_a_generator_are_steps(sizes):
    one, other = regressor(), regressor()
    other.set_weights(one.get_weights())
    ends = np.cumsum(sizes)
    parts = np.split(np.arange(N), ends[:-1])
    got = one.fit(((X[p], VALUES[p]) for p in parts), verbose=0).history["loss"]
    expected, loss = by_hand(other.get_weights(), parts)
    np.testing.assert_allclose(got, [loss], rtol=1e-5)
    np.testing.assert_allclose(one.get_weights()[0], expected[0], rtol=1e-5, atol=1e-6)


def test_a_list_of_batches_is_read_anew_each_epoch_and_an_endless_one_goes_on():
    class Loader:
        def __len__(self):
            return 4

        def __getitem__(self, i):
            return X[i * 25 : i * 25 + 25], Y[i * 25 : i * 25 + 25]

    def endless():
        while True:
            yield X[:25], Y[:25]

    assert len(classifier().fit(Loader(), epochs=3, verbose=0).epoch) == 3
    assert len(classifier().fit(endless(), epochs=3, steps_per_epoch=2, verbose=0).epoch) == 3
    assert classifier().predict(X[i : i + 30] for i in range(0, N, 30)).shape == (N, K)
    model = classifier()
    np.testing.assert_allclose(model.evaluate(Loader(), verbose=0), model.evaluate(X, Y, verbose=0), rtol=1e-5)


ENDING = [  # epochs and steps asked of ten batches, epochs in the history, steps made, what is said
    (3, None, 1, 10, "stops in epoch 2: .* yielded no batch"),
    (4, 5, 2, 10, "stops in epoch 3: .* yielded no batch"),
    (3, 4, 3, 10, "stops in epoch 3: .* ended early: batch 2 of 4"),
    (9, 4, 3, 10, "stops in epoch 3: .* ended early: batch 2 of 4"),
]


@pytest.mark.parametrize(("epochs", "steps", "whole", "made", "said"), ENDING)
@pytest.mark.parametrize("watched", [False, True])
def test_a_generator_that_ends_keeps_the_history(epochs, steps, whole, made, said, watched):
    seen: list = []
    watch = rv.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(batch), on_epoch_end=lambda epoch, logs: seen.append("end")
    )
    model = classifier()
    source = ((X[i : i + 10], Y[i : i + 10]) for i in range(0, N, 10))
    options = {"epochs": epochs, "steps_per_epoch": steps, "verbose": 0}
    with pytest.warns(UserWarning, match=said) as caught:
        history = model.fit(source, callbacks=[watch] if watched else None, **options)
    assert caught[0].filename == __file__
    assert [len(history.epoch), len(history.history["loss"])] == [whole, whole]
    assert model.optimizer.iterations.item() == made
    assert not watched or (seen.count("end"), len(seen)) == (whole, made + whole)


# --- what is returned and shown -----------------------------------------------------------------------------------


def test_history_and_evaluate_have_the_same_names():
    model = classifier(metrics=["accuracy", "recall", rv.metrics.ConfusionMatrix()])
    history = model.fit(X, Y, epochs=2, validation_data=(X, Y), verbose=0, ignore="RV401")
    names = ["accuracy", "confusion_matrix", "loss", "recall"]
    assert list(history.history) == [*names, *(f"val_{n}" for n in names)]
    assert history.epoch == [0, 1]
    assert history is model.history
    values = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert list(values) == names
    assert values["loss"] == history.history["val_loss"][-1]
    assert values["confusion_matrix"].sum() == N
    assert regressor().evaluate(X, VALUES, verbose=0) > 0


def test_logits_decide_at_zero():
    model = rv.Sequential([rv.layers.Dense(1, input_shape=(F,))])
    model.compile("sgd", rv.losses.BinaryCrossentropy(from_logits=True), metrics=["accuracy"])
    y = (model.predict(X)[:, 0] > 0).astype(int)
    assert model.evaluate(X, y, verbose=0)[1] == 1.0


@pytest.mark.parametrize(("verbose", "lines"), [(0, 0), (1, 3), (2, 3), ("auto", 3)])
def test_verbose(verbose, lines, capsys):
    classifier().fit(X, Y, epochs=3, verbose=verbose)
    out = capsys.readouterr().out.splitlines()
    assert len(out) == lines
    if lines:
        assert out[0].startswith("Epoch 1/3  accuracy ")
        assert "samples/s" in out[0]


def test_the_bar_draws(monkeypatch):
    import io

    from rich.console import Console

    from ranvier.training.loop import progress

    screen = io.StringIO()
    bar = progress.Bar(Console(file=screen, force_terminal=True, width=120))
    monkeypatch.setattr(progress, "REDRAW_SECONDS", 0.0)
    bar.begin("Epoch 1/1", 4)
    bar.update(2, 64, {"loss": 0.5})
    bar.end(128, {"loss": 0.25})
    bar.close()
    shown = screen.getvalue()
    assert "loss 0.5000" in shown
    assert "s left" in shown
    assert "loss 0.2500" in shown


RESULTS = {"loss": 0.5146, "accuracy": 0.8173, "val_loss": 0.4274, "val_accuracy": 0.8453}


@pytest.mark.parametrize(
    ("width", "lines", "time", "rate", "bar"),
    [(40, 3, True, False, 0), (60, 2, True, False, 0), (80, 1, False, False, 0), (90, 1, True, False, 0), (120, 1, True, True, 12), (140, 1, True, True, 24)],
)  # fmt: skip
def test_a_finished_epoch_is_whole_however_narrow_the_terminal(width, lines, time, rate, bar):
    import io

    from rich.console import Console

    from ranvier.training.loop import progress

    screen = io.StringIO()
    drawn = progress.Bar(Console(file=screen, force_terminal=True, color_system=None, width=width))
    drawn.begin("Epoch 1/5", 4)
    drawn.started -= 2.0
    drawn.end(128, RESULTS)
    drawn.close()
    shown = screen.getvalue().splitlines()
    assert len(shown) == lines
    assert max(map(len, shown)) <= width
    text = " ".join(shown)
    for words in ("Epoch 1/5", *(f"{name} {value}" for name, value in RESULTS.items())):
        assert words in text
    assert (text.endswith(" s"), "samples/s" in text, text.count("━")) == (time, rate, bar)


def test_small_results_show_digits_that_count():
    from ranvier.training.loop.progress import results

    logs = {"loss": 1.234567e-5, "mae": 0.0, "val_loss": 0.01}
    assert results(logs) == ["loss 1.2346e-05", "mae 0.0000", "val_loss 0.0100"]


def test_callbacks():
    events: list = []

    class Watch(Callback):
        def on_train_begin(self, logs=None):
            events.append("begin")

        def on_epoch_end(self, epoch, logs=None):
            events.append((epoch, sorted(logs)))
            self.model.stop_training = epoch == 1

    model = classifier()
    model.fit(X, Y, epochs=5, verbose=0, callbacks=[Watch()])
    assert events == ["begin", (0, ["accuracy", "loss"]), (1, ["accuracy", "loss"])]


def test_a_callback_may_change_weights_and_rate():
    class Reset(Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model._compiled.optimizer.learning_rate = 0.0
            self.model.set_weights([np.zeros_like(w) for w in self.model.get_weights()])

    model = classifier()
    losses = model.fit(X, Y, epochs=2, verbose=0, callbacks=Reset()).history["loss"]
    assert losses[1] == pytest.approx(np.log(K))


def test_train_on_batch():
    one, other = classifier(), classifier()
    other.set_weights(one.get_weights())
    loss, accuracy = one.train_on_batch(X, Y)
    history = other.fit(X, Y, batch_size=N, verbose=0).history
    assert [loss, accuracy] == [history["loss"][0], history["accuracy"][0]]
    assert one.test_on_batch(X, Y, WEIGHTS) == one.evaluate(X, Y, sample_weight=WEIGHTS, verbose=0)
    assert one.test_on_batch(X, Y, return_dict=True).keys() == {"loss", "accuracy"}
    np.testing.assert_array_equal(one.predict_on_batch(X), one.predict(X))


@pytest.mark.parametrize("kind", ["arrays", "split", "endless", "by number"])
def test_validation_on_some_batches(kind):
    cuts = [(X[i : i + 20], Y[i : i + 20]) for i in range(0, N, 20)]
    given = {
        "arrays": {"validation_data": (X, Y), "validation_batch_size": 20},
        "split": {"validation_split": 0.99, "validation_batch_size": 20},
        "endless": {"validation_data": itertools.cycle(cuts[:2])},
        "by number": {"validation_data": Hundred()},
    }[kind]
    model = classifier()
    history = model.fit(X, Y, epochs=2, validation_steps=2, ignore="RV", verbose=0, **given).history
    first = slice(1, 41) if kind == "split" else slice(40)
    loss, accuracy = model.evaluate(X[first], Y[first], verbose=0)
    assert history["val_loss"][-1] == pytest.approx(loss, rel=1e-5)
    assert history["val_accuracy"][-1] == pytest.approx(accuracy)


class Hundred:
    """Batches by number, as Keras's PyDataset has them."""

    def __len__(self):
        return 5

    def __getitem__(self, i):
        return X[20 * i : 20 * i + 20], Y[20 * i : 20 * i + 20]


def test_what_keras_compiles_by():
    given = {"jit_compile": True, "steps_per_execution": 8, "run_eagerly": False}
    one, other = classifier(**given), classifier()
    other.set_weights(one.get_weights())
    rv.set_seed(1)
    history = one.fit(X, Y, verbose=0).history
    rv.set_seed(1)
    assert other.fit(X, Y, verbose=0).history == history


# --- predict ------------------------------------------------------------------------------------------------------


def test_predict_is_the_same_however_it_is_asked():
    model = classifier(dropout=0.5)
    whole = model.predict(X)
    assert whole.dtype == np.float32
    for rows in (1, 2, 31, 33, N):
        for _ in "fast path":
            np.testing.assert_allclose(model.predict(X[:rows]), whole[:rows], rtol=1e-6)
    locked = X[:1].copy()
    locked.flags.writeable = False
    for _ in "fast path":
        np.testing.assert_array_equal(model.predict(X, batch_size=7), whole)
        np.testing.assert_array_equal(model.predict(X, batch_size=7, steps=2), whole[:14])
        np.testing.assert_array_equal(model.predict(locked, batch_size=1), model.predict(X[:1]))
    np.testing.assert_array_equal(model.predict(np.asfortranarray(X)), whole)
    np.testing.assert_array_equal(model.predict(X.astype(">f8")), whole)
    np.testing.assert_array_equal(model.predict(X.tolist()), whole)


def test_predictions_are_arrays_of_their_own():
    model = classifier()
    found = [model.predict(X[i : i + 1]) for i in range(4)]  # the last ones by the fast path
    np.testing.assert_allclose(np.concatenate(found), model.predict(X[:4]), rtol=1e-6)
    assert all(array.flags.owndata for array in found)


def test_predict_sees_every_change():
    model = classifier()
    model.predict(X[:1])
    model.predict(X[:1])
    model.fit(X, Y, verbose=0)
    np.testing.assert_allclose(model.predict(X[:1]), model.predict(X)[:1], rtol=1e-6)
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    np.testing.assert_allclose(model.predict(X[:1]), 1 / K)
    model.add(rv.layers.Dense(2))
    assert model.predict(X[:1]).shape == (1, 2)
    model.layers[-1].bias.assign(rv.Tensor([1.0, 2.0]) * 2)
    model.layers[-1].kernel.assign(rv.Tensor(np.zeros((K, 2))) * 2)
    np.testing.assert_array_equal(model.predict(X[:1]), [[2.0, 4.0]])


def test_a_model_learns_its_input_from_the_first_data():
    model = rv.Sequential([rv.layers.Dense(4, activation="relu"), rv.layers.Dense(K, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(X, Y, verbose=0)
    assert model.predict(X).shape == (N, K)


def test_any_module_has_fit():
    class Net(rv.Module):
        def __init__(self):
            super().__init__()
            self.first = rv.layers.Dense(8, activation="relu")
            self.second = rv.layers.Dense(K, activation="softmax")

        def forward(self, x):
            return self.second(self.first(x))

    model = Net()
    model.compile("adam", "sparse_categorical_crossentropy")
    losses = model.fit(X, Y, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


# --- when it goes wrong -------------------------------------------------------------------------------------------


def test_nan_names_the_step_and_keeps_the_last_good_weights():
    model = regressor(optimizers.SGD(1e20))
    before = model.get_weights()
    with pytest.raises(NonFiniteLoss, match=r"step 2.*learning rate \(it is 1e\+20\)") as caught:
        model.fit(X, VALUES, shuffle=False, epochs=3, verbose=0)
    expected, _ = by_hand(before, [np.arange(32)], lr=1e20)
    np.testing.assert_allclose(model.get_weights()[0], expected[0], rtol=1e-4)
    assert (caught.value.step, caught.value.phase, caught.value.epoch) == (1, "forward", 0)
    assert caught.value.op in ("mul", "reduce_sum")
    assert model.history.epoch == []


def test_a_metric_that_is_nan_does_not_stop_the_training():
    """As in Keras: it is shown."""

    def undefined(y_true, y_pred):
        return rv.ops.log(rv.ops.mean(y_pred) * 0 - 1)

    model = regressor()
    model.compile("sgd", "mse", metrics=[undefined])
    history = model.fit(X, VALUES, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert np.isnan(history["undefined"]).all()


def test_nan_that_was_there_before_is_called_so():
    x = X.copy()
    x[40, 1] = np.nan
    with pytest.raises(NonFiniteLoss, match=r"step 2\. The data of that step are not finite.*nan_to_num") as caught:
        classifier().fit(x, Y, shuffle=False, check_finite=False, verbose=0)
    assert caught.value.op == "input"
    model = classifier()
    model.set_weights([w * np.nan if w.ndim == 2 else w for w in model.get_weights()])
    with pytest.raises(NonFiniteLoss, match=r"step 1\. Parameter '.*\.kernel' was not finite"):
        model.fit(X, Y, verbose=0)


@pytest.mark.parametrize("poison", [4, 40])
def test_nan_in_a_later_epoch_keeps_the_epochs_before(poison):
    """Found from a copy of the state that is several epochs old."""

    class Poison(optimizers.SGD):
        pass

    model = classifier(Poison(0.1))
    clean = classifier(optimizers.SGD(0.1))
    clean.set_weights(model.get_weights())
    state = model._compiled
    model.fit(X, Y, shuffle=False, verbose=0)
    clean.fit(X, Y, shuffle=False, verbose=0)
    step = next(iter(state.programs.values()))
    run, count = step.program.run, [0]

    class Program:
        def run(self, arrays, outputs, start, stop, total):
            for i in range(start, stop):
                run(arrays, outputs, i, i + 1, total)
                count[0] += 1
                if count[0] >= poison:
                    step.totals[0][...] = np.nan

    step.program = Program()
    epochs = (poison - 1) // 4
    with pytest.raises(NonFiniteLoss):
        model.fit(X, Y, shuffle=False, epochs=100, verbose=0)
    assert len(model.history.epoch) == epochs


def test_an_exception_in_a_step_leaves_the_state_before_it():
    model = classifier()
    model.fit(X, Y, shuffle=False, verbose=0)
    step = next(iter(model._compiled.programs.values()))
    run, count = step.program.run, [0]

    class Program:
        def run(self, arrays, outputs, start, stop, total):
            count[0] += 1
            run(arrays, outputs, start, stop, total)
            if count[0] == 1:
                raise MemoryError("no room for scratch")

    before, iterations = model.get_weights(), model._compiled.optimizer.iterations.item()
    step.program = Program()
    with pytest.raises(MemoryError):
        model.fit(X, Y, shuffle=False, verbose=0)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert model._compiled.optimizer.iterations.item() == iterations


def test_ctrl_c_ends_fit_at_a_step_with_the_history_kept(capsys):
    class Press(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                signal.raise_signal(signal.SIGINT)

    model = classifier()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=10, verbose=2, callbacks=Press())
    assert model.history.epoch == [0, 1]
    assert "Stopped by Ctrl-C after 2 whole epochs" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert np.isfinite(model.fit(X, Y, verbose=0).history["loss"]).all()


def test_one_fit_at_a_time():
    model, refused = classifier(), []

    class Nested(Callback):
        def on_epoch_end(self, epoch, logs=None):
            def other():
                try:
                    model.fit(X, Y, verbose=0)
                except RuntimeError as error:
                    refused.append(str(error))

            thread = threading.Thread(target=other)
            thread.start()
            thread.join()

    model.fit(X, Y, verbose=0, callbacks=Nested())
    assert "already running" in refused[0]
    model.fit(X, Y, verbose=0)


def test_concurrent_predict_is_serial_predict():
    model = classifier()
    expected, wrong = model.predict(X), []

    def ask(i):
        for rows in (1, 5, N):
            for _ in range(20):
                got = model.predict(X[i : i + rows])
                if not np.allclose(got, expected[i : i + rows], rtol=1e-5):
                    wrong.append(i)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# --- warnings before training -------------------------------------------------------------------------------------

D = rv.layers.Dense


def logits(loss):
    return loss(from_logits=True)


SCE, BCE = rv.losses.SparseCategoricalCrossentropy, rv.losses.BinaryCrossentropy
BINARY = (X[:, 0] > 0).astype(np.float32)
PIXELS = RNG.integers(0, 256, (N, F)).astype(np.uint8)
WARNINGS = [  # layers, loss, x, y, what is said
    (lambda: [D(K, activation="softmax")], logits(SCE), X, Y, "expects logits.*from_logits=False"),
    (lambda: [D(1, activation="sigmoid")], logits(BCE), X, BINARY, "expects logits.*sigmoid"),
    (lambda: [D(K)], SCE(), X, Y, "expects probabilities.*activation='softmax'"),
    (lambda: [D(K, activation="softplus")], SCE(), X, Y, "expects probabilities.*softplus"),
    (lambda: [D(1)], BCE(), X, BINARY, "expects probabilities.*activation='sigmoid'"),
    (lambda: [D(K, activation="sigmoid")], SCE(), X, Y, "a sum of 1.*sigmoid"),
    (lambda: [D(4, name="a"), D(2, name="b")], "mse", X, VALUES, "no nonlinearity between 'a' and 'b'"),
    (lambda: [D(4, name="a"), rv.layers.Dropout(0.5), D(2, name="b")], "mse", X, VALUES, "no nonlinearity"),
    (lambda: [rv.layers.Flatten(), D(2)], "mse", PIXELS, VALUES, r"Rescaling\(1 / 255\)"),
    (lambda: [D(2)], "mse", PIXELS.astype(np.float32), VALUES, r"from \d+ to 2\d\d, and no layer rescales"),
]  # fmt: skip

SILENT = [
    (lambda: [D(K, activation="softmax")], SCE(), X, Y),
    (lambda: [D(K)], logits(SCE), X, Y),
    (lambda: [D(4, activation="relu"), D(K), rv.layers.Activation("softmax")], SCE(), X, Y),
    (lambda: [D(1, activation="sigmoid")], BCE(), X, BINARY),
    (lambda: [D(4, activation="tanh"), D(2, activation="linear")], "mse", X, VALUES),
    (lambda: [rv.layers.Rescaling(1 / 255), D(2)], "mse", PIXELS, VALUES),
    (lambda: [D(2)], "mse", PIXELS / np.float32(255), VALUES),
]


def try_fit(layers, loss, x, y):
    model = rv.Sequential([rv.Input((F,)), *layers()])
    model.compile(optimizers.SGD(1e-6), loss)
    model.fit(x, y, verbose=0)
    return model


@pytest.mark.parametrize(("layers", "loss", "x", "y", "text"), WARNINGS)
def test_mistakes_are_reported_before_training(layers, loss, x, y, text):
    with pytest.warns(PreflightWarning, match=text):
        model = try_fit(layers, loss, x, y)
    with warnings.catch_warnings():  # once is enough
        warnings.simplefilter("error")
        model.fit(x, y, verbose=0)


@pytest.mark.parametrize(("layers", "loss", "x", "y"), SILENT)
def test_nothing_is_said_of_what_is_right(layers, loss, x, y):
    try_fit(layers, loss, x, y)


def test_the_warning_points_at_the_call_of_fit():
    with pytest.warns(PreflightWarning) as caught:
        try_fit(lambda: [D(K)], SCE(), X, Y)
    assert caught[0].filename == __file__


def test_chunks_grow_to_a_tenth_of_a_second():
    from ranvier.training.step.runner import Pace

    pace, seen = Pace(), []
    for _ in range(6):
        seen.append(pace.steps())
        pace.took(pace.steps(), pace.steps() * 1e-5)
    assert seen[0] <= 8
    assert seen[-1] == pytest.approx(10_000, rel=0.01)


def test_no_epochs_are_an_empty_history():
    model = regressor()
    before = model.get_weights()
    for validation in (None, (X, VALUES)):
        history = model.fit(X, VALUES, epochs=0, validation_data=validation, verbose=0)
        assert (history.history, history.epoch) == ({}, [])
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("frequency", [(1, 4), [4, 1, 9], np.array([1, 4]), {1, 4}])
def test_epochs_to_validate_after_may_be_listed(frequency):
    model = regressor()
    seen = []

    class Watch(rv.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append("val_loss" in logs)

    options = {"validation_freq": frequency, "callbacks": [Watch()], "ignore": "RV"}
    history = model.fit(X, VALUES, epochs=5, validation_data=(X, VALUES), verbose=0, **options)
    assert seen == [True, False, False, True, False]
    assert len(history.history["val_loss"]) == 2
    with pytest.raises(ValueError, match="validation_freq=0"):
        model.fit(X, VALUES, validation_data=(X, VALUES), validation_freq=[0], verbose=0)

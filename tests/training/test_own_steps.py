"""Models whose own methods are the step: ``train_step`` and its kin, traced into the compiled step or run eagerly."""

import copy
import pickle

import numpy as np
import pytest

import ranvier as rv
from ranvier.training.step import runner
from tests.training import own_steps
from tests.training.own_steps import CLASSES, X, with_weights

ops = rv.ops

RESULTS = {  # of two epochs, and then of `evaluate`, as Keras 3.15 gives them
    "vae": {"loss": [11.145856, 9.156518, 8.197980], "kl_loss": [1.6269277, 1.3747244, 1.2307845]},
    "gan": {"d_loss": [0.91073686, 0.93568993], "g_loss": [0.60100490, 0.53787464]},
    "distillation": {"loss": [0.49683881, 0.29950705, 0.22406384], "sparse_categorical_accuracy": [0.4, 0.3, 0.3]},
    "contrastive": {"c_loss": [1.0585681, 0.55686569], "c_acc": [0.6, 0.9]},
    "gradient_penalty": {"d_loss": [-0.44226801, -0.35988507], "g_loss": [0.18854913, 0.08922660]},
}


@pytest.fixture
def reference():
    rv.set_engine("reference")
    yield
    rv.set_engine(None)


def check(results, name):
    assert results.keys() == RESULTS[name].keys()
    for key, values in RESULTS[name].items():
        np.testing.assert_allclose(results[key], values, rtol=1e-5, atol=1e-5, err_msg=key)


@pytest.mark.parametrize("program", own_steps.PROGRAMS, ids=lambda p: p.__name__)
def test_programs_give_the_numbers_of_keras(program, reference):
    check(own_steps.trained(rv, program)[1], program.__name__)


def test_the_compiled_step_gives_them_too():
    check(own_steps.trained(rv, own_steps.gan)[1], "gan")


@pytest.mark.parametrize("program", [own_steps.vae, own_steps.gradient_penalty], ids=lambda p: p.__name__)
def test_methods_run_eagerly_give_them_too(program, reference):
    model, data, _ = program(rv)
    model.run_eagerly = True
    history = model.fit(*data, epochs=2, batch_size=4, shuffle=False, verbose=0).history
    for name, values in history.items():
        np.testing.assert_allclose(values, RESULTS[program.__name__][name][:2], rtol=1e-5, atol=1e-5)


class Net(rv.Model):
    def __init__(self):
        super().__init__()
        self.dense, self.dropout = rv.layers.Dense(3), rv.layers.Dropout(0.5)

    def call(self, x, training=False):
        return self.dense(self.dropout(x, training=training))


def fitted(own, *data, options=None, **settings):
    """A `Net` with these methods after a fit of two epochs, and its history."""
    rv.set_seed(3)
    model = type("Own", (Net,), own)()
    model.compile("adam", rv.losses.SparseCategoricalCrossentropy(from_logits=True), **settings)
    history = model.fit(*(data or (X, CLASSES)), batch_size=4, epochs=2, shuffle=False, verbose=0, **(options or {}))
    return model, history.history


def step_of_pytorch(self, data):
    """As Keras's guide for PyTorch writes it."""
    x, y = data
    self.zero_grad()
    loss = self.compute_loss(y=y, y_pred=self(x, training=True))
    loss.backward()
    weights = list(self.trainable_weights)
    gradients = [v.value.grad for v in weights]
    with rv.no_grad():
        self.optimizer.apply(gradients, weights)
    for metric in self.metrics:
        metric.update_state(loss) if metric.name == "loss" else metric.update_state(y, self(x))
    return {m.name: m.result() for m in self.metrics}


def step_of_tensorflow(self, data):
    x, y = data
    with rv.GradientTape() as tape:
        loss = self.compute_loss(y=y, y_pred=self(x, training=True))
    weights = self.trainable_variables
    self.optimizer.apply(tape.gradient(loss, weights), weights)
    for metric in self.metrics:
        metric.update_state(loss) if metric.name == "loss" else metric.update_state(y, self(x))
    return {m.name: m.result() for m in self.metrics}


def test_a_tape_and_backward_are_the_same(reference):
    one, other = (fitted({"train_step": step}, metrics=["accuracy"]) for step in (step_of_tensorflow, step_of_pytorch))
    assert one[1] == other[1]
    for a, b in zip(one[0].get_weights(), other[0].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


class Normalized(rv.Model):
    def __init__(self):
        super().__init__()
        self.normalization, self.dense = rv.layers.BatchNormalization(), rv.layers.Dense(3)

    def call(self, x, training=None):
        return self.dense(self.normalization(x, training=training))


class ByMethods(Normalized):
    def train_step(self, data):
        return super().train_step(data)


@pytest.mark.parametrize("weights", [None, "balanced"])
def test_the_default_methods_are_the_built_in_step(weights, reference):
    found = []
    for kind, eager in ((Normalized, False), (ByMethods, False), (Normalized, True)):
        model = kind()
        model(X)
        with_weights(model)
        model.normalization.moving_variance.assign(np.abs(model.normalization.moving_variance.numpy()))
        loss = rv.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"], run_eagerly=eager)
        history = model.fit(
            X, CLASSES, epochs=3, batch_size=4, shuffle=False, verbose=0, class_weight=weights,
            validation_data=(0.9 * X, CLASSES), ignore=("RV",),
        )  # fmt: skip
        found.append((history.history, model.get_weights()))
    (built, expected), *others = found
    for results, values in others:
        assert list(results) == list(built)
        for name in built:
            np.testing.assert_allclose(results[name], built[name], rtol=1e-6)
        for a, b in zip(values, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_nan_in_the_validation_does_not_end_the_training(reference, monkeypatch):
    """The states of metrics are those of the validation, until the next epoch begins."""
    monkeypatch.setattr(runner, "KEPT", 1e9)  # the state is copied once, so that the last check has steps to look at
    model = ByMethods()
    model(X)
    model.normalization.moving_variance.assign(np.full(6, -9.0))
    model.compile("sgd", rv.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(X, CLASSES, epochs=3, verbose=0, validation_data=(X, CLASSES), ignore=("RV",)).history
    assert np.isfinite(history["loss"]).all()
    assert np.isnan(history["val_loss"]).all()


def test_each_of_several_losses_is_shown(reference):
    class Two(rv.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = rv.layers.Dense(1), rv.layers.Dense(3)

        def call(self, x):
            return {"a": self.a(x), "b": self.b(x)}

        def train_step(self, data):
            return super().train_step(data)

    losses = {"a": "mse", "b": rv.losses.SparseCategoricalCrossentropy(from_logits=True)}
    model = Two()
    model.compile("sgd", losses, loss_weights={"a": 1.0, "b": 0.5}, metrics={"b": ["accuracy"]})
    history = model.fit(X, {"a": X[:, :1], "b": CLASSES}, verbose=0).history
    assert list(history) == ["a_loss", "b_accuracy", "b_loss", "loss"]
    assert model.metrics_names == ["loss", "a_loss", "b_loss", "b_accuracy"]
    np.testing.assert_allclose(history["loss"][0], history["a_loss"][0] + history["b_loss"][0] / 2, rtol=1e-5)


def test_dropout_draws_anew_in_each_step(reference):
    def train_step(self, data):
        return {"zeros": ops.sum(ops.cast(self.dropout(data[0], training=True) == 0, "float32"))}

    seen = []
    fitted({"train_step": train_step}, options={"callbacks": [rv.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(logs["zeros"])
    )]})  # fmt: skip
    assert len(seen) == 6
    assert len(set(seen)) > 1


def test_layers_are_in_evaluation_mode_unless_told(reference):
    def train_step(self, data):
        return {"changed": ops.sum(ops.abs(self.dropout(data[0]) - data[0]))}

    assert fitted({"train_step": train_step})[1] == {"changed": [0.0, 0.0]}


def test_state_of_the_users_and_counts_of_steps(reference):
    class Counting(Net):
        def __init__(self):
            super().__init__()
            self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False)
            self.mean = rv.metrics.Mean(name="mean")

        def train_step(self, data):
            self.seen.assign_add(1.0)
            self.mean.update_state(data[0], sample_weight=data[2])
            return {"seen": self.seen, "mean": self.mean.result(), "twice": {"seen2": 2 * self.seen}}

    model = Counting()
    model.compile("sgd")
    history = model.fit(X, CLASSES, sample_weight=np.ones(10), batch_size=4, epochs=2, verbose=0).history
    np.testing.assert_allclose([history[k] for k in ("seen", "seen2")], [[3, 6], [6, 12]])
    np.testing.assert_allclose(history["mean"], [X.mean()] * 2, rtol=1e-5)
    assert model.seen.item() == 6
    assert len(model.mean.variables) == 2


def test_results_of_means_are_tensors_in_a_step(reference):
    class Erring(Net):
        def __init__(self):
            super().__init__()
            self.accuracy = rv.metrics.SparseCategoricalAccuracy(name="accuracy")

        def train_step(self, data):
            self.accuracy.update_state(data[1], self(data[0]))
            return {"error": 1 - self.accuracy.result(), "accuracy": self.accuracy.result()}

    model = Erring()
    model.compile("sgd")
    history = model.fit(X, CLASSES, batch_size=4, verbose=0).history
    np.testing.assert_allclose(history["accuracy"][0] + history["error"][0], 1)
    np.testing.assert_allclose(
        history["accuracy"][0], (np.asarray(model(X, training=False)).argmax(1) == CLASSES).mean()
    )


def test_data_come_as_they_were_given(reference):
    found = []

    def train_step(self, data):
        found.append(data)
        return {"loss": ops.mean(next(iter(data[0].values())) if isinstance(data, tuple) else data)}

    fitted({"train_step": train_step}, {"a": X, "b": X[:, :2]}, {"c": CLASSES})
    fitted({"train_step": train_step}, X)
    (x, y), alone = found[0], found[2]
    assert x["b"].shape == (4, 2)
    assert y["c"].dtype == "int32"
    assert alone.shape == (4, 6)


def test_batches_of_a_source(reference):
    def train_step(self, data):
        return {"rows": ops.sum(ops.ones_like(data[1]))}

    source = [(X[:4], CLASSES[:4]), (X[4:], CLASSES[4:])]
    model, _ = fitted({"train_step": train_step})
    assert model.fit(iter(source), steps_per_epoch=2, verbose=0).history == {"rows": [6.0]}


def test_compute_metrics_and_predict_step(reference):
    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return {**super(type(self), self).compute_metrics(x, y, y_pred, sample_weight), "largest": ops.max(y_pred)}

    def predict_step(self, data):
        return ops.argmax(self(data, training=False), axis=-1)

    model, history = fitted({"compute_metrics": compute_metrics, "predict_step": predict_step}, metrics=["accuracy"])
    assert list(history) == ["accuracy", "largest", "loss"]
    assert model.metrics_names == ["loss", "accuracy", "largest"]
    np.testing.assert_array_equal(model.predict(X, verbose=0), np.asarray(model(X, training=False)).argmax(-1))


def test_print_sees_each_batch_where_methods_run_eagerly(reference):
    seen = []

    class Seeing(Net):
        def call(self, x, training=False):
            seen.append(float(x.numpy().sum()))
            return super().call(x, training)

    model = Seeing()
    model.compile("sgd", rv.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    model.fit(X, CLASSES, batch_size=5, shuffle=False, verbose=0)
    np.testing.assert_allclose(seen, [X[:5].sum(), X[5:].sum()], rtol=1e-5)
    assert model.predict(X, verbose=0).shape == (10, 3)


COPIES = {"pickle": lambda model: pickle.loads(pickle.dumps(model)), "deepcopy": copy.deepcopy}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_a_copy_of_a_compiled_model_goes_on_as_the_model(copied, reference):
    model = rv.Sequential([rv.Input((6,)), rv.layers.Dense(3, activation="softmax")])
    model.compile(rv.optimizers.Adam(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, CLASSES, verbose=0)
    other = copied(model)
    one, two = (m.fit(X, CLASSES, shuffle=False, verbose=0).history for m in (model, other))
    assert one == two
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert other.optimizer.iterations.item() == 2


def test_a_network_without_weights_is_fitted(reference):
    model = rv.Sequential([rv.Input((6,)), rv.layers.Activation("tanh")])
    model.compile("adam", "mse")
    with pytest.warns(UserWarning, match="has no weights, so training changes nothing"):
        history = model.fit(X, X, epochs=2, verbose=0).history
    assert history["loss"][0] == history["loss"][1]


def test_the_first_argument_goes_by_keras_name(reference):
    layer = rv.layers.Dense(3)
    np.testing.assert_array_equal(layer(inputs=X).numpy(), layer(X).numpy())
    assert rv.layers.Dense(2)(inputs=rv.Input((4,))).shape == (None, 2)


def branch(self, data):
    loss = ops.mean(data[0])
    if loss > 0:
        loss = 2 * loss
    return {"loss": loss}


MISTAKES = [
    (branch, RuntimeError, r"test_own_steps.py:\d+ reads the value .*in train_step.*rv.ops.where.*run_eagerly=True"),
    (lambda self, data: {"loss": float(ops.mean(data[0]))}, RuntimeError, "reads the value .*dict of logs instead"),
    (lambda self, data: {"loss": ops.mean(data[0]).numpy()}, RuntimeError, "reads the value"),
    (lambda self, data: {"n": int(self.optimizer.iterations)}, RuntimeError, "reads the value"),
    (lambda self, data: None, TypeError, r"Own.train_step returned None. Write: return a dict of numbers"),
    (lambda self, state, data: (state, {}), TypeError, r"train_step takes 2 arguments. Write train_step\(self, data\)"),
    (lambda self, data: {"loss": self.compute_loss(y=data[1])}, ValueError, "has no loss"),
    (
        lambda self, data: {"f": 1 - rv.metrics.Precision().result()},
        TypeError,
        "the result of the metric 'precision'.*as it is",
    ),
]


@pytest.mark.parametrize(("step", "error", "text"), MISTAKES)
def test_what_a_trace_cannot_see_is_reported(step, error, text):
    with pytest.raises(error, match=text):
        fitted({"train_step": step})


@pytest.mark.parametrize("eager", [False, True])
def test_labels_out_of_range_raise(eager, reference):
    labels = np.where(np.arange(10) == 7, 5, CLASSES)
    model = ByMethods()
    model.compile("sgd", rv.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=eager)
    with pytest.raises(ValueError, match="label 5 is out of range for 3 classes, in row 3"):
        model.fit(X, labels, batch_size=4, shuffle=False, verbose=0)


@pytest.mark.parametrize("eager", [False, True])
def test_a_loss_that_becomes_nan_ends_training(eager, reference):
    def train_step(self, data):
        self.dense.bias.assign_add([1.0, 1.0, 1.0])
        return {"loss": ops.log(ops.min(data[0]))}

    model = type("Own", (Net,), {"train_step": train_step})()
    model(X)
    model.compile("sgd", run_eagerly=eager)
    with pytest.raises(FloatingPointError, match="the loss stopped being finite in epoch 1, step 1"):
        model.fit(X, CLASSES, batch_size=4, verbose=0)
    np.testing.assert_array_equal(model.dense.bias.numpy(), 0)


class Stop(rv.callbacks.Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyError("stop")


@pytest.mark.parametrize("program", [own_steps.vae, own_steps.gan], ids=lambda p: p.__name__)
def test_a_run_that_is_resumed_ends_in_the_same_bits(program, tmp_path):
    def run(stop, *callbacks, **options):
        rv.set_seed(3)
        model, data, _ = program(rv)
        history = model.fit(
            *data, epochs=3, batch_size=4, verbose=0, callbacks=[Stop(stop), *callbacks], **options
        ).history
        return history, model.get_weights()

    history, weights = run(-1)
    with pytest.raises(KeyError, match="stop"):
        run(2, rv.callbacks.BackupAndRestore(tmp_path))
    again, restored = run(-1, resume=tmp_path)
    assert again == history
    for a, b in zip(weights, restored, strict=True):
        np.testing.assert_array_equal(a, b)


def test_rates_and_what_is_trained_are_read_by_each_run(reference):
    model, data, _ = own_steps.gan(rv)
    model.fit(*data, batch_size=4, verbose=0)

    def moved():
        before = model.discriminator.get_weights()[0], model.generator.get_weights()[0]
        model.fit(*data, batch_size=4, verbose=0)
        after = model.discriminator.get_weights()[0], model.generator.get_weights()[0]
        return [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]

    model.d_optimizer.learning_rate = 0.0
    assert moved() == [False, True]
    model.d_optimizer.learning_rate = 0.02
    assert moved() == [True, True]
    model.discriminator.trainable = False
    assert moved() == [False, True]


def test_a_weight_that_forward_assigns():
    """As in PyTorch, the step goes on from what was assigned, with the gradient by that."""

    class Clipped(rv.Module):
        def __init__(self):
            super().__init__()
            self.weight = rv.Parameter(np.array([3.0, 0.5], np.float32))

        def forward(self, x):
            with rv.no_grad():
                self.weight.assign(rv.ops.minimum(self.weight, 1.0))
            return x * self.weight

    model = Clipped()
    model.compile(rv.optimizers.SGD(0.5), "mse", engine="reference")
    x = np.ones((2, 2), np.float32)
    model.fit(x, np.zeros((2, 2), np.float32), verbose=0)
    np.testing.assert_allclose(model.weight.numpy(), [0.5, 0.25])  # w - 0.5 * w

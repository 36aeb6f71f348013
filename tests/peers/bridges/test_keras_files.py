"""Models between Keras and Ranvier: each loads what the other writes, predicts the same, and trains on alike."""

import warnings
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.interop.keras.describe import UNKNOWN
from tests.interop.damage import WHOLE
from tests.layers.test_layers import ROWS

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*HDF5 file:UserWarning"),
]

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(16, 8, 8, 3)).astype(np.float32), RNG.integers(0, 3, 16)
PAIR = {"a": X[:, 0, 0], "b": X[:, 1, 1]}
# Where the layers themselves differ; Keras builds no functional model with Equalization, whose output is its input.
OTHERWISE = ("random crop, inferring", "Equalization, inferring")
LACKED = ("mel, slaney",)  # with arguments that Keras lacks
FEW = (
    "dense, penalties", "batch norm, inferring", "embedding", "conv 2, same, strides", "layer norm", "integer lookup",
    "zero padding 1", "discretization",
)  # fmt: skip
if not WHOLE:
    ROWS = {name: row for name, row in ROWS.items() if name in FEW}


def values(predicted):
    if isinstance(predicted, dict):
        return list(predicted.values())
    return list(predicted) if isinstance(predicted, (list, tuple)) else [predicted]


def close(ours, theirs, x, atol=1e-6):
    found, expected = (values(m.predict(x, verbose=0)) for m in (ours, theirs))
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        scale = max(1.0, float(np.abs(b).max())) if b.size else 1.0
        np.testing.assert_allclose(a, b, atol=atol * scale)


@pytest.mark.parametrize("name", [name for name in ROWS if name not in ("input", *OTHERWISE)])
def test_layers_both_ways(name, keras, tmp_path):
    rv.set_engine("reference")
    make, x = ROWS[name][:2]
    arrays = list(map(np.asarray, x)) if isinstance(x, (list, tuple)) else [np.asarray(x)]
    starts = [rv.Input(a.shape[1:], dtype=a.dtype.name) for a in arrays]
    given = starts if len(starts) > 1 else starts[0]
    ours = rv.Model(given, make()(given))
    if type(make()).__name__ in UNKNOWN or name in LACKED:
        with pytest.raises(TypeError, match=r"is none of Keras's|which Keras lacks"):
            ours.save(tmp_path / "a.keras")
        return
    ours.save(tmp_path / "a.keras")
    theirs = keras.saving.load_model(tmp_path / "a.keras")
    x = arrays if len(arrays) > 1 else arrays[0]
    close(ours, theirs, x, 2e-6)
    theirs.save(tmp_path / "b.keras")
    close(rv.load_model(tmp_path / "b.keras"), theirs, x, 2e-6)
    rv.set_engine("native")


def network(keras):
    layers = keras.layers
    return keras.Sequential([
        keras.Input((8, 8, 3)), layers.Rescaling(1 / 255), layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2"),
        layers.BatchNormalization(), layers.MaxPooling2D(), layers.Flatten(),
        layers.Dense(3, activation="softmax", kernel_constraint="max_norm"),
    ])  # fmt: skip


OPTIMIZERS = {
    "schedule": lambda o: o.Adam(o.schedules.CosineDecay(0.01, 100), clipnorm=1.0), "sgd": lambda o: o.SGD(0.01),
    "momentum": lambda o: o.SGD(0.01, momentum=0.9, nesterov=True), "adamw": lambda o: o.AdamW(0.01),
    "rmsprop": lambda o: o.RMSprop(0.01, centered=True, momentum=0.5), "adamax": lambda o: o.Adamax(0.01),
    "amsgrad": lambda o: o.Adam(0.01, amsgrad=True), "nadam": lambda o: o.Nadam(0.01), "lion": lambda o: o.Lion(0.01),
    "adagrad": lambda o: o.Adagrad(0.01), "adadelta": lambda o: o.Adadelta(0.1), "ftrl": lambda o: o.Ftrl(0.01),
    "accumulation": lambda o: o.Adam(0.01, gradient_accumulation_steps=3), "average": lambda o: o.Adam(use_ema=True),
    "muon": lambda o: o.Muon(0.01), "adafactor": lambda o: o.Adafactor(0.1), "free": lambda o: o.ScheduleFreeAdamW(),
    "lamb": lambda o: o.Lamb(0.01),
}  # fmt: skip


def train(model):
    return model.fit(X, Y, epochs=1, batch_size=4, shuffle=False, verbose=0).history["loss"][0]


@pytest.mark.parametrize("name", OPTIMIZERS if WHOLE else ["schedule", "accumulation", "adafactor"])
def test_the_next_epoch_is_the_one_it_would_have_been(name, keras, tmp_path):
    model = network(keras)
    model.compile(OPTIMIZERS[name](keras.optimizers), "sparse_categorical_crossentropy", metrics=["accuracy"])
    train(model)
    model.save(tmp_path / "a.keras")
    ours = rv.load_model(tmp_path / "a.keras")
    close(ours, model, X)
    ours.save(tmp_path / "b.keras")
    again = keras.saving.load_model(tmp_path / "b.keras")
    close(again, model, X)
    expected = train(again)
    assert train(ours) == pytest.approx(expected, rel=1e-5)
    if name != "average":  # Keras cannot train on a model whose averages it has just taken
        assert train(model) == pytest.approx(expected, rel=1e-5)


def functional(keras):
    layers, ops = keras.layers, keras.ops
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    shared = layers.Dense(3, activation="tanh")
    joined = layers.Concatenate()([ops.relu(layers.Add()([shared(a), shared(b)])) * 2 + a[:, :3], 1 - b])
    inner = keras.Model([a, b], joined, name="inner")
    mean = ops.mean(ops.expand_dims(inner([a, b]), 1), axis=1) / 3
    return keras.Model({"a": a, "b": b}, [layers.Dense(1, name="one")(mean), layers.Dense(2, name="two")(mean)])


def test_functional_models_both_ways(keras, tmp_path):
    model = functional(keras)
    model.save(tmp_path / "a.keras")
    ours = rv.load_model(tmp_path / "a.keras")
    close(ours, model, PAIR)
    ours.save(tmp_path / "b.keras")
    close(keras.saving.load_model(tmp_path / "b.keras"), model, PAIR)


def nested(keras, calls):
    """A model within a model, whose results are outputs and arguments."""
    start, other = keras.Input((3,)), keras.Input((3,))
    inner = keras.Model(start, keras.layers.Dense(3)(start))
    outputs = [inner(other)]
    for _ in range(calls - 1):
        outputs.append(inner(outputs[-1]))
    return keras.Model(other, keras.Model(other, outputs[::-1])(other))


@pytest.mark.parametrize("name", ["a.keras", "a.h5"])
@pytest.mark.parametrize("calls", [1, 3])
def test_outputs_of_nested_models_both_ways(calls, name, keras, tmp_path):
    x = X[:, 0, 0]
    for ours, theirs in ((keras, rv), (rv, keras)):
        model = nested(ours, calls)
        model.save(tmp_path / name)
        close(theirs.saving.load_model(tmp_path / name), model, x)


def handed_over(layers, y, *held):
    return layers.LSTM(3)(y, initial_state=list(held))


SEQUENCES = {
    "lstm": lambda l, x: l.LSTM(3, return_sequences=True, go_backwards=True)(x), "rnn": lambda l, x: l.SimpleRNN(3)(x),
    "gru": lambda l, x: l.GRU(3)(x), "cell": lambda l, x: l.RNN(l.LSTMCell(3))(x),
    "both ways": lambda l, x: l.Bidirectional(l.LSTM(3, return_sequences=True))(x),
    "each step": lambda l, x: l.TimeDistributed(l.Dense(3))(x), "masks": lambda l, x: l.GRU(3)(l.Masking()(x)),
    "products": lambda l, x: l.EinsumDense("abc,cd->abd", output_shape=(None, 3), bias_axes="d")(x),
    "heads": lambda l, x: l.LayerNormalization()(l.Add()([x, l.MultiHeadAttention(2, 3)(x, x)])),
    "groups": lambda l, x: l.GroupQueryAttention(4, 4, 2)(x, x), "attention": lambda l, x: l.Attention(use_scale=True)([x, x]),
    "additive": lambda l, x: l.AdditiveAttention()([x, x]),
    "states": lambda l, x: handed_over(l, *l.LSTM(3, return_sequences=True, return_state=True)(x)),
}  # fmt: skip


@pytest.mark.parametrize("name", SEQUENCES if WHOLE else ["both ways", "heads", "groups", "states"])
def test_layers_of_sequences_both_ways(name, keras, tmp_path):
    rv.set_engine("reference")
    start = keras.Input((5, 4))
    model = keras.Model(start, SEQUENCES[name](keras.layers, start))
    model.save(tmp_path / "a.keras")
    x = RNG.normal(size=(2, 5, 4)).astype(np.float32)
    x[:, 3:] = 0
    ours = rv.load_model(tmp_path / "a.keras")
    close(ours, model, x)
    ours.save(tmp_path / "b.keras")
    close(keras.saving.load_model(tmp_path / "b.keras"), model, x)
    rv.set_engine("native")


def test_earlier_files_both_ways(keras, tmp_path):
    model = network(keras)
    model.compile("adam", "sparse_categorical_crossentropy")
    train(model)
    model.save(tmp_path / "a.h5")
    ours = rv.load_model(tmp_path / "a.h5")
    close(ours, model, X)
    ours.save(tmp_path / "b.h5")
    close(keras.saving.load_model(tmp_path / "b.h5"), model, X)
    assert train(ours) == pytest.approx(train(model), rel=1e-5)


def test_weights_both_ways(keras, tmp_path):
    model, other = network(keras), network(keras)
    ours = rv.from_keras(other)
    model.save_weights(tmp_path / "a.weights.h5")
    ours.load_weights(tmp_path / "a.weights.h5")
    close(ours, model, X)
    ours.save_weights(tmp_path / "b.weights.h5")
    other.load_weights(tmp_path / "b.weights.h5")
    close(ours, other, X)


def test_live_models_both_ways(keras):
    model = network(keras)
    model.compile("adam", "sparse_categorical_crossentropy")
    ours = rv.from_keras(model)
    close(ours.to_keras(), model, X)
    assert ours.optimizer.learning_rate == pytest.approx(0.001)
    with pytest.raises(TypeError, match="takes a model of Keras"):
        rv.from_keras(ours)


def test_layers_that_learned_their_data(keras, tmp_path):
    norm = keras.layers.Normalization()
    norm.adapt(X[:, 0, 0])
    model = keras.Sequential([keras.Input((3,)), norm, keras.layers.Dense(2)])
    model.save(tmp_path / "a.keras")
    ours = rv.load_model(tmp_path / "a.keras")
    close(ours, model, X[:, 0, 0])
    ours.save(tmp_path / "b.keras")
    close(keras.saving.load_model(tmp_path / "b.keras"), model, X[:, 0, 0])
    words = keras.layers.StringLookup()
    words.adapt([["x", "y", "x"]])
    start = keras.Input((1,), dtype="string")
    keras.Model(start, words(start)).save(tmp_path / "c.keras")
    assert rv.load_model(tmp_path / "c.keras").predict(np.array([["x"], ["y"], ["q"]]), verbose=0).tolist() == [
        [1],
        [2],
        [0],
    ]


@pytest.mark.parametrize("name", ["a.keras", "a.h5"])
def test_files_of_keras_2(name, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        former = pytest.importorskip("tf_keras")
        model = network(former)
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        train(model)
        model.save(tmp_path / name)
        ours = rv.load_model(tmp_path / name)
        close(ours, model, X)
        assert train(ours) == pytest.approx(train(model), rel=1e-5)


def own_class(keras):
    base: Any = keras.Model

    class Own(base):  # type: ignore[misc]  # of either library
        def __init__(self, units=3, **options):
            super().__init__(**options)
            self.units, self.one, self.other = units, keras.layers.Dense(units), keras.layers.Dense(units)

        def call(self, x):
            one, other = (x["u"], x["v"]) if isinstance(x, dict) else (x, x) if hasattr(x, "shape") else x
            return self.one(one) + self.other(other)

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    return Own


@pytest.mark.parametrize("form", ["alone", "list", "dict"])
def test_models_of_classes_both_ways(form, keras, tmp_path):
    kinds = {library: {"Own": own_class(library)} for library in (keras, rv)}
    x = X[:, 0, 0]
    given = {"alone": x, "list": [x, x + 1], "dict": {"u": x, "v": x + 1}}[form]
    model = kinds[keras]["Own"](2)
    expected = np.asarray(model(given))
    model.save(tmp_path / "a.keras")
    ours = rv.load_model(tmp_path / "a.keras", custom_objects=kinds[rv])
    np.testing.assert_allclose(ours(given), expected, atol=1e-6)
    ours.save(tmp_path / "b.keras")
    again = keras.saving.load_model(tmp_path / "b.keras", custom_objects=kinds[keras])
    np.testing.assert_allclose(np.asarray(again(given)), expected, atol=1e-6)


def own_objects(keras):
    layer: Any = keras.layers.Layer
    initializer: Any = keras.initializers.Initializer

    class Filled(initializer):  # type: ignore[misc]  # of either library
        def __call__(self, shape, dtype=None):
            return keras.ops.ones(shape, dtype=dtype) / 2

        def get_config(self):
            return {}

    class Doubled(layer):  # type: ignore[misc]  # of either library
        def __init__(self, inner, **options):
            super().__init__(**options)
            self.inner = inner

        def call(self, x):
            return self.inner(x) * 2

        def get_config(self):
            return {**super().get_config(), "inner": keras.saving.serialize_keras_object(self.inner)}

        @classmethod
        def from_config(cls, config):
            return cls(**{**config, "inner": keras.saving.deserialize_keras_object(config["inner"])})

    def bent(x):
        return x * 2 + 1

    return {"Filled": Filled, "Doubled": Doubled, "bent": bent}


@pytest.mark.parametrize("name", ["a.keras", "a.h5"])
def test_objects_that_are_not_registered_both_ways(name, keras, tmp_path):
    kinds = {library: own_objects(library) for library in (keras, rv)}
    for ours, theirs in ((keras, rv), (rv, keras)):
        layers, own = ours.layers, kinds[ours]
        model = ours.Sequential([
            ours.Input((3,)), layers.Dense(3, activation=own["bent"], kernel_initializer=own["Filled"]()),
            own["Doubled"](layers.Dense(3)), own["Doubled"](ours.Sequential([layers.Dense(2), layers.Dense(1)])),
        ])  # fmt: skip
        model.save(tmp_path / name)
        close(theirs.saving.load_model(tmp_path / name, custom_objects=kinds[theirs]), model, X[:, 0, 0])

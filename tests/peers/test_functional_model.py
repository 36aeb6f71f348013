"""Networks described by their inputs and outputs, against Keras: the same order of weights, names, values and curves."""

from typing import Any

import numpy as np
import pytest

import ranvier as rv

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")]

RNG = np.random.default_rng(3)
N = 96
A, B = (RNG.normal(size=(N, f)).astype(np.float32) for f in (6, 6))
IMAGES = RNG.normal(size=(N, 8, 8, 2)).astype(np.float32)
VALUE = (A[:, :1] * B[:, :1]).astype(np.float32)
KIND = (A[:, 1] > 0).astype(int) + (B[:, 1] > 0)
OPTIONS: dict = {"epochs": 3, "batch_size": 32, "shuffle": False, "verbose": 0}


def two_heads(k: Any, outputs=list):
    a, b = k.Input((6,), name="a"), k.Input((6,), name="b")
    x = k.layers.Concatenate()([k.layers.Dense(8, activation="tanh")(a), k.layers.Dense(4)(b)])
    x = k.layers.Dense(8, activation="relu")(x)
    value, kind = k.layers.Dense(1, name="value")(x), k.layers.Dense(3, activation="softmax", name="kind")(x)
    return k.Model(inputs=[a, b], outputs={"value": value, "kind": kind} if outputs is dict else [value, kind])


def siamese(k: Any):
    a, b = k.Input((6,)), k.Input((6,))
    body = k.Sequential([k.layers.Dense(8, activation="relu"), k.layers.Dense(4)])
    return k.Model([a, b], k.layers.Dense(1)(abs(body(a) - body(b))))


def operators(k: Any):
    x = k.Input((6,))
    y = k.layers.Dense(6)(x)
    y = (2 * y + x) * (y - x) / 3 - (1 - y) ** 2 / (1 + y * y) + (-x)
    return k.Model(x, k.layers.Dense(1)(k.activations.relu(y[:, 1:4])))


def residual(k: Any):
    images = k.Input((8, 8, 2))
    x = k.layers.Conv2D(4, 3, padding="same", use_bias=False)(images)
    x = k.layers.BatchNormalization()(x)
    for _ in range(2):
        short = k.layers.Conv2D(4, 1)(x)
        x = k.layers.Conv2D(4, 3, padding="same", activation="relu")(x)
        x = k.layers.Activation("relu")(k.layers.Add()([k.layers.BatchNormalization()(x), short]))
    return k.Model(images, k.layers.Dense(1)(k.layers.GlobalAveragePooling2D()(x)))


def alone(k: Any):
    x = k.Input((6,))
    return k.Model([x], [k.layers.Dense(1)(x)])


def nested(k: Any):
    x = k.Input((6,))
    shared = k.layers.Dense(6, activation="tanh")
    inner = k.Model(x, shared(shared(k.layers.Dense(6)(x))))
    start = k.Input((6,))
    return k.Model(start, k.layers.Dense(1)(inner(k.layers.Dense(6)(start)) + inner(start)))


def unused(k: Any):
    a, b = k.Input((6,)), k.Input((6,))
    return k.Model([a, b], k.layers.Dense(1)(a))


def of_both_floats(k: Any):
    x = k.Input((8, 8, 2))
    y = k.layers.LayerNormalization()(k.layers.Conv2D(3, 3, dtype="float64")(x))
    y = k.layers.BatchNormalization()(k.layers.Dense(4, activation="tanh", dtype="float64")(y))
    y = k.layers.Flatten()(k.layers.PReLU()(y))
    return k.Model(x, [k.layers.Dense(1, dtype="float64", name="wide")(y), k.layers.Dense(1, name="usual")(y)])


ROWS = [  # a network, its inputs, targets, loss
    (two_heads, [A, B], [VALUE, KIND], ["mse", "sparse_categorical_crossentropy"]),
    (siamese, [A, B], VALUE, "mse"),
    (operators, A, VALUE, "mae"),
    (residual, IMAGES, VALUE, "mse"),
    (nested, A, VALUE, "mse"),
    (alone, [A], [VALUE], "mse"),
    (unused, [A, B], VALUE, "mse"),
]


def pair(network, **options):
    keras = pytest.importorskip("keras")
    theirs, mine = network(keras, **options), network(rv, **options)
    assert [w.shape for w in mine.get_weights()] == [w.shape for w in theirs.get_weights()]
    mine.set_weights(theirs.get_weights())
    return theirs, mine


def listed(values):
    return values if isinstance(values, list) else [values]


def test_keras_with_floats_of_both_kinds():
    with pytest.importorskip("jax").enable_x64():  # without, Keras on JAX has float32 alone
        test_keras(of_both_floats, IMAGES, [VALUE, VALUE], ["mse", "mae"])


@pytest.mark.parametrize(("network", "x", "y", "loss"), ROWS)
def test_keras(network, x, y, loss):
    theirs, mine = pair(network)
    assert mine.output_shape == theirs.output_shape
    assert mine.input_shape == theirs.input_shape
    assert [type(layer).__name__ for layer in mine.layers if layer.weights] == [
        type(layer).__name__ for layer in theirs.layers if layer.weights
    ]
    for got, wanted in zip(listed(mine.predict(x)), listed(theirs.predict(x, verbose=0)), strict=True):
        assert got.dtype == wanted.dtype
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    for model in (theirs, mine):
        model.compile(optimizer="adam", loss=loss)
    expected = theirs.fit(x, y, **OPTIONS).history
    got = mine.fit(x, y, **OPTIONS, ignore="RV").history
    assert set(got) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-3, atol=2e-5, err_msg=name)


NAMED = {"value": "mse", "kind": "sparse_categorical_crossentropy"}


@pytest.mark.parametrize("outputs", [list, dict])
def test_keras_losses_weights_and_metrics_by_output(outputs):
    theirs, mine = pair(two_heads, outputs=outputs)
    settings = {"loss": NAMED, "loss_weights": {"value": 0.3, "kind": 2.0}, "metrics": {"kind": ["accuracy"]}}
    for model in (theirs, mine):
        model.compile(optimizer="adam", **settings)
    x, y = {"a": A, "b": B}, {"value": VALUE, "kind": KIND}
    expected = theirs.fit(x, y, **OPTIONS).history
    got = mine.fit(x, y, **OPTIONS, ignore="RV").history
    assert set(got) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-3, atol=2e-5, err_msg=name)
    wanted = theirs.evaluate(x, y, verbose=0, return_dict=True)
    found = mine.evaluate(x, y, verbose=0, return_dict=True)
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, rel=1e-3), name


def test_keras_feature_maps():
    theirs, mine = pair(residual)
    at = [type(layer).__name__ for layer in mine.layers].index("Add")
    ends = []
    for library, model in ((pytest.importorskip("keras"), theirs), (rv, mine)):
        add = next(layer for layer in model.layers if type(layer).__name__ == "Add")
        ends.append(library.Model(model.inputs, add.output))
    assert mine.get_layer(index=at) is mine.layers[at]
    got, wanted = ends[1].predict(IMAGES), ends[0].predict(IMAGES, verbose=0)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_keras_outputs_in_containers():
    """Outputs that are lists in a list: the states of an RNN of two cells."""
    import keras

    def model(k: Any):
        x = k.Input((5, 3))
        return k.Model(x, k.layers.RNN([k.layers.LSTMCell(4), k.layers.LSTMCell(3)], return_state=True)(x))

    ours, theirs = model(rv), model(keras)
    ours.set_weights(theirs.get_weights())
    x = RNG.normal(size=(6, 5, 3)).astype(np.float32)
    y, *states = theirs.predict(x, verbose=0)
    assert rv.Model.from_config(ours.get_config()).output_shape == ours.output_shape
    for found in (ours.predict(x, verbose=0), ours(x)):
        np.testing.assert_allclose(found[0], y, atol=1e-5)
        for pair, wanted in zip(found[1:], states, strict=True):
            for a, b in zip(pair, wanted, strict=True):
                np.testing.assert_allclose(a, b, atol=1e-5)
    assert [tuple(t.shape) for t in ours.outputs] == [tuple(t.shape) for t in theirs.outputs]
    ours.compile("sgd", ["mse"] * 5)
    targets = [np.zeros_like(y), *([np.zeros_like(part) for part in pair] for pair in states)]
    losses = ours.fit(x, targets, epochs=2, verbose=0, ignore="RV").history["loss"]
    assert losses[1] < losses[0]
    flat = [targets[0], *targets[1], *targets[2]]
    assert ours.evaluate(x, flat, verbose=0) == ours.evaluate(x, targets, verbose=0)

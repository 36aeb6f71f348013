"""Classes of one's own in the way of Keras, against Keras: the same values and curves."""

from typing import Any

import numpy as np
import pytest

import ranvier as rv

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")]

RNG = np.random.default_rng(4)
A, B = (RNG.normal(size=(64, f)).astype(np.float32) for f in (5, 3))
Y = A[:, :1] + B[:, :1]
OPTIONS: dict = {"epochs": 3, "batch_size": 16, "shuffle": False, "verbose": 0}


def overridden(k: Any):
    class Scaled(k.layers.Dense):  # type: ignore[misc]  # of either library
        def call(self, inputs, training=None):
            return super().call(inputs) * (3.0 if training else 2.0)

    class Doubled(k.Sequential):  # type: ignore[misc]  # of either library
        def call(self, inputs, training=None, mask=None):
            return super().call(inputs, training=training) * 2

    return Doubled([k.layers.Dense(4, activation="tanh"), Scaled(1)])


def pair(k: Any):
    class Pair(k.Model):  # type: ignore[misc]  # of either library
        def __init__(self):
            super().__init__()
            self.a, self.b = k.layers.Dense(4, activation="relu"), k.layers.Dense(1)

        def call(self, inputs):
            a, b = (inputs["a"], inputs["b"]) if isinstance(inputs, dict) else inputs
            return self.b(k.ops.concatenate([self.a(a), b], axis=-1))

    return Pair()


def listed(k: Any):
    return k.Sequential([k.layers.Concatenate(), k.layers.Dense(1)])


def by_itself(k: Any):
    class Small(k.Model):  # type: ignore[misc]  # of either library
        def __init__(self):
            super().__init__()
            self.dense = k.layers.Dense(2)

        def call(self, inputs):
            y = self.dense(inputs)
            self.add_loss(k.ops.mean(k.ops.square(y)))
            return y

    return Small()


ROWS = [  # a network, its inputs, targets, loss
    (overridden, A, Y, "mse"),
    (pair, [A, B], Y, "mse"),
    (pair, {"a": A, "b": B}, Y, "mse"),
    (listed, [A, B], Y, "mse"),
    (by_itself, A, None, None),
]


@pytest.mark.parametrize(("network", "x", "y", "loss"), ROWS)
def test_keras(network, x, y, loss):
    keras = pytest.importorskip("keras")
    theirs, mine = network(keras), network(rv)
    for model in (theirs, mine):
        model(x)
        model.compile(optimizer="sgd", loss=loss)
    mine.set_weights(theirs.get_weights())
    np.testing.assert_allclose(mine.predict(x), theirs.predict(x, verbose=0), rtol=1e-4, atol=1e-5)
    expected, got = (model.fit(x, y, **OPTIONS).history["loss"] for model in (theirs, mine))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)

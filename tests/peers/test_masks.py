"""Masks against Keras: the same values, losses, metrics and weights after training."""

from typing import Any

import numpy as np
import pytest

import ranvier as rv

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")]

RNG = np.random.default_rng(4)
TOKENS = np.where(RNG.random((24, 5)) < 0.6, RNG.integers(1, 7, (24, 5)), 0).astype(np.int32)
TOKENS[:, 0] = 1  # Keras's mean of no step is NaN
SERIES = np.where((TOKENS > 0)[:, :, None], RNG.normal(size=(24, 5, 3)), -1).astype(np.float32)
OPTIONS: dict = {"epochs": 2, "batch_size": 8, "shuffle": False, "verbose": 0}


def mean_of_steps(k: Any) -> Any:
    x = k.Input((5,), dtype="int32")
    h = k.layers.Embedding(7, 3, mask_zero=True)(x)
    return k.Model(x, k.layers.Dense(2)(k.layers.GlobalAveragePooling1D()(k.layers.Dropout(0.0)(h))))


def each_step(k: Any) -> Any:
    first = k.Input((5,), dtype="int32")
    return k.Sequential([first, k.layers.Embedding(7, 3, mask_zero=True), k.layers.Dense(2, activation="elu")])


def normalized(k: Any) -> Any:
    """Masking, and statistics of what is left."""
    x = k.Input((5, 3))
    h = k.layers.BatchNormalization(momentum=0.5)(k.layers.Masking(-1.0)(x))
    return k.Model(x, k.layers.TimeDistributed(k.layers.Dense(2))(h))


def merged(k: Any) -> Any:
    x = k.Input((5,), dtype="int32")
    one, two = (k.layers.Embedding(7, 3, mask_zero=True)(x) for _ in range(2))
    parts = [getattr(k.layers, name)()([one, two]) for name in ("Add", "Multiply", "Maximum", "Minimum")]
    return k.Model(x, k.layers.Dense(2)(k.layers.Concatenate()(parts)))


def joined(k: Any) -> Any:
    """A part with a mask and a part without one, along the steps."""
    x, series = k.Input((5,), dtype="int32"), k.Input((5, 3))
    h = k.layers.Concatenate(axis=1)([k.layers.Embedding(7, 3, mask_zero=True)(x), series])
    return k.Model([x, series], k.layers.Dense(2)(h))


def tied(k: Any) -> Any:
    """Logits of the embedding's own vectors."""
    x = k.Input((5,), dtype="int32")
    embedding = k.layers.ReversibleEmbedding(7, 3, mask_zero=True, logit_soft_cap=3.0)
    h = k.layers.Dense(3, activation="tanh")(embedding(x))
    return k.Model(x, embedding(h, reverse=True))


def own(k: Any) -> Any:
    class Last(k.layers.Layer):  # type: ignore[misc]  # of either library
        """The mean of the steps that count, and how many they are."""

        def call(self, x: Any, mask: Any = None) -> Any:
            kept = k.ops.expand_dims(k.ops.cast(mask, x.dtype), -1)
            return k.ops.sum(x * kept, axis=1) / k.ops.sum(kept, axis=1)

        def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
            return None

    return k.Sequential(
        [k.Input((5,), dtype="int32"), k.layers.Embedding(7, 3, mask_zero=True), Last(), k.layers.Dense(2)]
    )


def recurrent(k: Any) -> Any:
    first = k.Input((5,), dtype="int32")
    inner = k.layers.LSTM(2, return_sequences=True)
    return k.Sequential([first, k.layers.Embedding(7, 3, mask_zero=True), inner, k.layers.GRU(2), k.layers.Dense(2)])


def attending(k: Any) -> Any:
    x = k.Input((5,), dtype="int32")
    h = k.layers.Embedding(7, 4, mask_zero=True)(x)
    return k.Model(x, k.layers.Dense(2)(k.layers.MultiHeadAttention(2, 3)(h, h)))


MODELS: dict[str, Any] = {  # with the inputs and the shape of the targets
    "mean of steps": (mean_of_steps, TOKENS, (24, 2)),
    "each step": (each_step, TOKENS, (24, 5, 2)),
    "normalized": (normalized, SERIES, (24, 5, 2)),
    "merged": (merged, TOKENS, (24, 5, 2)),
    "joined": (joined, [TOKENS, SERIES], (24, 10, 2)),
    "tied": (tied, TOKENS, (24, 5, 7)),
    "own": (own, TOKENS, (24, 2)),
    "recurrent": (recurrent, TOKENS, (24, 2)),
    "attending": (attending, TOKENS, (24, 5, 2)),
}  # fmt: skip

WEIGHTED = ("mean of steps", "each step", "joined")  # one for each shape of the weights: one a sample, or one a step


@pytest.mark.parametrize("name", MODELS)
def test_training(keras: Any, name: str) -> None:
    make, x, shape = MODELS[name]
    y = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    weight = np.random.default_rng(2).random(shape[:-1]).astype(np.float32)
    theirs, ours = make(keras), make(rv)
    ours.set_weights(theirs.get_weights())
    found, wanted = ours.predict(x, verbose=0), theirs.predict(x, verbose=0)
    if name == "attending":  # Keras on JAX attends to all where a query is masked; here the result is 0
        found, wanted = found[TOKENS > 0], wanted[TOKENS > 0]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    for given in (None, weight) if name in WEIGHTED else (None,):
        curves = []
        for k, model in ((keras, theirs), (rv, ours)):
            model.compile(k.optimizers.SGD(0.1), "mse", metrics=["mae"], weighted_metrics=["cosine_similarity"])
            curves.append(model.fit(x, y, sample_weight=given, **OPTIONS).history)
            curves[-1]["evaluated"] = model.evaluate(x, y, sample_weight=given, batch_size=8, verbose=0)
        for key in ("loss", "evaluated"):  # Keras on JAX loses the mask before the metrics of a training step
            np.testing.assert_allclose(curves[1][key], curves[0][key], rtol=2e-4, atol=1e-6, err_msg=key)
        for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_reductions(keras: Any) -> None:
    y, x = SERIES, SERIES[::-1].copy()
    mask, weight = TOKENS > 0, np.random.default_rng(2).random((24, 5)).astype(np.float32)
    for reduction in ("sum", "mean", "sum_over_batch_size", "mean_with_sample_weight", "none"):
        for given in (None, weight):
            found = []
            for k in (keras, rv):
                pred = k.layers.Masking(7.0)(x) if k is keras else k.layers.Lambda(lambda v: v, mask=mask)(x)
                pred._keras_mask = mask if k is keras else pred._keras_mask
                found.append(np.asarray(k.losses.MeanSquaredError(reduction=reduction)(y, pred, given)))
            np.testing.assert_allclose(found[1], found[0], rtol=1e-4)

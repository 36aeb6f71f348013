"""Recurrent layers against Keras: outputs, states, masks, and weights after training."""

from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.support.tree import flatten

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")]

RNG = np.random.default_rng(4)
X = RNG.normal(size=(6, 5, 2)).astype(np.float32)
MASK = RNG.random((6, 5)) < 0.6
TOKENS = np.where(MASK, RNG.integers(1, 7, (6, 5)), 0).astype(np.int32)
IMAGES = {n: RNG.normal(size=(2, 3, *(6, 5, 4)[:n], 2)).astype(np.float32) for n in (1, 2, 3)}


def own(k: Any) -> Any:
    class Cell(k.layers.Layer):  # type: ignore[misc]  # of either library
        """A cell whose output is wider than its state."""

        def __init__(self, units: int, **options: Any) -> None:
            super().__init__(**options)
            self.state_size, self.output_size = units, 2 * units

        def build(self, input_shape: Any) -> None:
            self.w = self.add_weight(shape=(input_shape[-1], self.state_size), name="w", initializer="ones")

        def get_initial_state(self, batch_size: Any = None) -> Any:
            return [k.ops.ones((batch_size, self.state_size))]

        def call(self, inputs: Any, states: Any) -> Any:
            h = k.ops.tanh(k.ops.matmul(inputs, self.w) + 0.5 * states[0])
            return k.ops.concatenate([h, -h], -1), [h]

    return Cell(3)


def stacked(k: Any) -> Any:
    return k.layers.StackedRNNCells([k.layers.LSTMCell(3), k.layers.GRUCell(2), k.layers.SimpleRNNCell(4)])


ALL = {"return_sequences": True, "return_state": True}
LAYERS: dict[str, Any] = {  # with the inputs
    "simple": (lambda k: k.layers.SimpleRNN(3, activation="relu", **ALL), X),
    "lstm": (lambda k: k.layers.LSTM(3), X),
    "lstm, all": (lambda k: k.layers.LSTM(3, unit_forget_bias=False, recurrent_activation="hard_sigmoid", **ALL), X),
    "lstm, backwards": (lambda k: k.layers.LSTM(3, use_bias=False, go_backwards=True, **ALL), X),
    "lstm, zeros": (lambda k: k.layers.LSTM(3, zero_output_for_mask=True), X),
    "gru": (lambda k: k.layers.GRU(3, **ALL), X),
    "gru, reset before": (lambda k: k.layers.GRU(3, reset_after=False, go_backwards=True), X),
    "gru, no bias": (lambda k: k.layers.GRU(3, use_bias=False, zero_output_for_mask=True, **ALL), X),
    "stacked": (lambda k: k.layers.RNN(stacked(k), **ALL), X),
    "own": (lambda k: k.layers.RNN(own(k), zero_output_for_mask=True, **ALL), X),
    "both": (lambda k: k.layers.Bidirectional(k.layers.LSTM(3)), X),
    "both, all": (lambda k: k.layers.Bidirectional(k.layers.GRU(3, **ALL), merge_mode="ave"), X),
    "both, sum": (lambda k: k.layers.Bidirectional(k.layers.GRU(3, return_sequences=True), merge_mode="sum"), X),
    "both, mul": (lambda k: k.layers.Bidirectional(k.layers.SimpleRNN(3), merge_mode="mul"), X),
    "both, apart": (lambda k: k.layers.Bidirectional(k.layers.GRU(3, **ALL), merge_mode=None), X),
    "both, unlike": (
        lambda k: k.layers.Bidirectional(k.layers.GRU(3), backward_layer=k.layers.LSTM(3, go_backwards=True)), X,
    ),
    "conv 1": (lambda k: k.layers.ConvLSTM1D(3, 2, **ALL), IMAGES[1]),
    "conv 2": (lambda k: k.layers.ConvLSTM2D(3, (2, 3), strides=2, padding="same"), IMAGES[2]),
    "conv 2, first": (
        lambda k: k.layers.ConvLSTM2D(3, 2, data_format="channels_first", dilation_rate=2, go_backwards=True),
        np.moveaxis(IMAGES[2], -1, 2),
    ),
    "conv 3": (lambda k: k.layers.ConvLSTM3D(2, 2), IMAGES[3]),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_outputs_and_states(keras: Any, name: str) -> None:
    make, x = LAYERS[name]
    theirs, ours = make(keras), make(rv)
    theirs.build(x.shape), ours.build(x.shape)
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    values = [np.random.default_rng(i).normal(size=w.shape) for i, w in enumerate(theirs.get_weights())]
    theirs.set_weights(values), ours.set_weights(values)
    for mask in (None, MASK) if x is X else (None,):
        with pytest.importorskip("jax").disable_jit():  # which takes seconds
            expected = [np.asarray(a) for a in keras.tree.flatten(theirs(x, mask=mask))]
        for a, b in zip(flatten(ours(x, mask=mask)), expected, strict=True):
            np.testing.assert_allclose(a.numpy(), b, rtol=1e-4, atol=1e-5)
    shape = theirs.compute_output_shape(x.shape)
    assert ours.compute_output_shape(x.shape) == shape or name in ("stacked", "both, apart")


def words(k: Any) -> Any:
    """Two directions, twice, with masks."""
    x = k.Input((5,), dtype="int32")
    h = k.layers.Embedding(7, 3, mask_zero=True)(x)
    h = k.layers.Bidirectional(k.layers.LSTM(3, return_sequences=True))(h)
    return k.Model(x, k.layers.Dense(2)(k.layers.Bidirectional(k.layers.GRU(2, kernel_regularizer="l2"))(h)))


def translation(k: Any) -> Any:
    """States that go from one layer to another."""
    x, y = k.Input((5,), dtype="int32"), k.Input((5, 2))
    _, *states = k.layers.LSTM(3, return_state=True)(k.layers.Embedding(7, 3, mask_zero=True)(x))
    h = k.layers.LSTM(3, return_sequences=True)(y, initial_state=states)
    return k.Model([x, y], k.layers.TimeDistributed(k.layers.Dense(2))(h))


def cells(k: Any) -> Any:
    return k.Sequential([k.Input((5, 2)), k.layers.RNN(stacked(k)), k.layers.Dense(2)])


def frames(k: Any) -> Any:
    first = k.layers.ConvLSTM2D(3, 2, return_sequences=True, padding="same")
    return k.Sequential([k.Input(IMAGES[2].shape[1:]), first, k.layers.ConvLSTM2D(2, 2), k.layers.Flatten()])


MODELS: dict[str, Any] = {  # with the inputs and the shape of the targets
    "words": (words, TOKENS, (6, 2)), "translation": (translation, [TOKENS, X], (6, 5, 2)), "cells": (cells, X, (6, 2)),
    "frames": (frames, IMAGES[2], (2, 40)),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_training_and_files(keras: Any, name: str, tmp_path: Any) -> None:
    make, x, shape = MODELS[name]
    y = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    theirs, ours = make(keras), make(rv)
    ours.set_weights(theirs.get_weights())
    for k, model in ((keras, theirs), (rv, ours)):
        model.compile(k.optimizers.SGD(0.1), "mse")
        model.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    want = ours.predict(x, verbose=0)
    np.testing.assert_allclose(want, theirs.predict(x, verbose=0), rtol=1e-3, atol=1e-4)
    ours.save(tmp_path / "model.rv")
    np.testing.assert_array_equal(rv.load_model(tmp_path / "model.rv").predict(x, verbose=0), want)


def test_ctc(keras: Any) -> None:
    scores = RNG.normal(size=(3, 8, 4)).astype(np.float32)
    labels, lengths = np.array([[1, 2, 3], [2, 2, 0], [3, 0, 0]]), [3, 2, 1]
    np.testing.assert_allclose(rv.losses.ctc(labels, scores), keras.losses.ctc(labels, scores), rtol=1e-5)
    ours, theirs = (k.ops.ctc_loss(labels, scores, lengths, [8, 6, 4]) for k in (rv, keras))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    beams = {"strategy": "beam_search", "beam_width": 6, "top_paths": 2, "mask_index": 3}
    for options in ({}, {"merge_repeated": False}, beams):
        ours, theirs = (k.ops.ctc_decode(scores, [8, 6, 4], **options) for k in (rv, keras))
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-5)

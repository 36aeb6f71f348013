"""Weights in Keras's files against Keras's outputs, for layers with several arrays of one shape: layer, file, direction."""

from typing import Any

import numpy as np
import pytest

import ranvier as rv

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*HDF5 file:UserWarning"),
]

RNG = np.random.default_rng(0)
S, V, I = (RNG.normal(size=(2, *shape)).astype(np.float32) for shape in ((5, 4), (4,), (6, 6, 4)))


def nested(k: Any, x: Any) -> Any:
    start = k.Input((5, 4))
    inner = k.Model(start, k.layers.Bidirectional(k.layers.LSTM(2))(start))
    return k.layers.Dense(4)(inner(x))


def within(k: Any, x: Any) -> Any:
    parts = [k.Input((4,)), k.layers.Dense(4, trainable=False), k.layers.BatchNormalization(), k.layers.Dense(4)]
    return k.Sequential(parts)(x)


LAYERS: dict[str, tuple[Any, Any]] = {
    "Bidirectional LSTM": (S, lambda k, x: k.layers.Bidirectional(k.layers.LSTM(3))(x)),
    "Bidirectional GRU": (S, lambda k, x: k.layers.Bidirectional(k.layers.GRU(3), merge_mode="sum")(x)),
    "Bidirectional SimpleRNN": (S, lambda k, x: k.layers.Bidirectional(k.layers.SimpleRNN(4))(x)),
    "Bidirectional of two kinds": (S, lambda k, x: k.layers.Bidirectional(
        k.layers.LSTM(3), backward_layer=k.layers.GRU(3, go_backwards=True))(x)),
    "Bidirectional of stacked cells": (S, lambda k, x: k.layers.Bidirectional(
        k.layers.RNN([k.layers.LSTMCell(4), k.layers.LSTMCell(4)]))(x)),
    "stacked cells": (S, lambda k, x: k.layers.RNN(
        [k.layers.LSTMCell(4), k.layers.GRUCell(4), k.layers.SimpleRNNCell(4)])(x)),
    "a model in a model": (S, nested),
    "frozen layers in a model": (V, within),
    "MultiHeadAttention": (S, lambda k, x: k.layers.MultiHeadAttention(2, 2)(x, x)),
    "GroupQueryAttention": (S, lambda k, x: k.layers.GroupQueryAttention(2, 4, 2)(x, x)),
    "SpectralNormalization": (V, lambda k, x: k.layers.SpectralNormalization(k.layers.Dense(4))(x)),
    "LSTM": (S, lambda k, x: k.layers.LSTM(4)(x)),
    "GRU": (S, lambda k, x: k.layers.GRU(4)(x)),
    "GRU, before": (S, lambda k, x: k.layers.GRU(4, reset_after=False)(x)),
    "SeparableConv2D": (I, lambda k, x: k.layers.SeparableConv2D(4, 1)(x)),
    "BatchNormalization": (V, lambda k, x: k.layers.BatchNormalization()(x)),
    "LayerNormalization": (V, lambda k, x: k.layers.LayerNormalization()(x)),
    "EinsumDense": (S, lambda k, x: k.layers.EinsumDense("abc,cd->abd", (None, 4), bias_axes="d")(x)),
}  # fmt: skip


def made(library: Any, name: str, seed: int) -> Any:
    x, build = LAYERS[name]
    start = library.Input(x.shape[1:])
    model, rng = library.Model(start, build(library, start)), np.random.default_rng(seed)
    arrays = [rng.normal(size=w.shape) for w in model.get_weights()]
    model.set_weights(
        [np.abs(a) + 0.1 if "variance" in w.path else a for a, w in zip(arrays, model.weights, strict=True)]
    )
    return model


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("ending", [".keras", ".h5", ".weights.h5"])
def test_outputs_after_a_file_are_those_before(name, ending, keras, tmp_path):
    rv.set_engine("reference")
    x, path = LAYERS[name][0], tmp_path / f"m{ending}"
    for writer, reader in ((keras, rv), (rv, keras)):
        model = made(writer, name, 1)
        if ending == ".weights.h5":
            model.save_weights(path)
            other = made(reader, name, 2)
            other.load_weights(path)
        else:
            model.save(path)
            other = reader.saving.load_model(path)
        found, expected = (np.asarray(one.predict(x, verbose=0)) for one in (other, model))
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=f"written by {writer.__name__}")

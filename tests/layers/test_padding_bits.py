"""More padding changes no bit of a prediction."""

import numpy as np
import pytest

import ranvier as rv
from ranvier import layers

TOKENS = np.random.default_rng(0).integers(1, 50, (5, 10)).astype(np.int32)
TOKENS[2, 7:] = TOKENS[3, 3:] = 0


def transformer():
    tokens = rv.Input((None,), dtype="int32")
    x = layers.Embedding(50, 16, mask_zero=True)(tokens)
    y = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 8)(x, x))
    z = layers.LayerNormalization()(y + layers.Dense(16, activation="relu")(y))
    return rv.Model(tokens, layers.Dense(3)(layers.GlobalAveragePooling1D()(z)))


def recurrent():
    words, inner = layers.Embedding(50, 16, mask_zero=True), layers.GRU(16, return_sequences=True)
    both, last = layers.Bidirectional(inner), layers.Bidirectional(layers.LSTM(16))
    return rv.Sequential([rv.Input((None,), dtype="int32"), words, both, last, layers.Dense(3)])


@pytest.mark.parametrize("network", [transformer, recurrent], ids=lambda f: f.__name__)
def test_padding_changes_no_bit(network):
    rv.set_seed(0)
    model = network()
    plain = model.predict(TOKENS, verbose=0)
    for more in (3, 130):
        padded = np.pad(TOKENS, ((0, 0), (0, more)))
        np.testing.assert_array_equal(model.predict(padded, verbose=0), plain)

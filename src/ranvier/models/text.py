"""Networks that classify texts: a bag of words, a convolutional or recurrent network, a transformer."""

from __future__ import annotations

from typing import Any

from ranvier import layers, ops
from ranvier.layers.annotations import ActivationLike
from ranvier.layers.base import whole
from ranvier.models.vocabulary import Vocabulary, tokens_of
from ranvier.module import Module


def text_classifier(
    vocabulary: Vocabulary,
    classes: int,
    kind: str = "bag",
    *,
    width: int = 64,
    dropout: float = 0.5,
    activation: ActivationLike = "softmax",
) -> Module:
    """A network for texts of any length. More padding does not change what it predicts.

    ``vocabulary`` is a `TextVectorization` or `BytePairEncoding` layer that has learned one: the network then takes
    strings, as it does for a list of characters. Or it is the number of indices, of which 0 is padding: the network
    takes arrays (texts, tokens). Each token has a vector of ``width`` numbers. ``kind`` is

    - "bag": the mean of the vectors (Iyyer et al., 2015, without hidden layers);
    - "cnn": convolutions over 3, 4 and 5 tokens, ``width`` of each, and their largest values (Kim, 2014);
    - "gru": a GRU of ``width`` units from each end, and their last states (Cho et al., 2014);
    - "transformer": two layers of attention with 4 heads on vectors with sines of their places, and the mean (Vaswani
      et al., 2017). ``width`` is a multiple of 4.

    ``dropout`` is before the last layer. Raises ValueError for other kinds, and for a layer without a vocabulary.
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}. Write one of {', '.join(map(repr, KINDS))} instead.")
    inputs, tokens, size = tokens_of(vocabulary, "text_classifier")
    x = KINDS[kind](tokens, size, whole(width, "width", "text_classifier"))
    x = layers.Dropout(dropout)(x) if dropout else x
    return Module(inputs, layers.Dense(classes, activation=activation)(x), name="text_classifier")


def _bag(tokens: Any, size: int, width: int) -> Any:
    return layers.GlobalAveragePooling1D()(layers.Embedding(size, width, mask_zero=True)(tokens))


def _cnn(tokens: Any, size: int, width: int) -> Any:
    """Padding has zeros before and after each convolution, which exceed none of the values of ReLU."""
    filled = ops.expand_dims(ops.cast(ops.not_equal(tokens, 0), "float32"), -1)
    x = layers.Embedding(size, width)(tokens) * filled
    found = [layers.Conv1D(width, n, padding="same", activation="relu")(x) * filled for n in (3, 4, 5)]
    return layers.Concatenate()([layers.GlobalMaxPooling1D()(part) for part in found])


def _gru(tokens: Any, size: int, width: int) -> Any:
    return layers.Bidirectional(layers.GRU(width))(layers.Embedding(size, width, mask_zero=True)(tokens))


def _transformer(tokens: Any, size: int, width: int) -> Any:
    x = layers.Rescaling(width**0.5)(layers.Embedding(size, width, mask_zero=True)(tokens))
    x = x + layers.SinePositionEncoding()(x)
    for _ in range(2):
        attended = layers.MultiHeadAttention(4, width // 4)(x, x)
        x = layers.LayerNormalization()(x + attended)
        hidden = layers.Dense(width)(layers.Dense(4 * width, activation="relu")(x))
        x = layers.LayerNormalization()(x + hidden)
    return layers.GlobalAveragePooling1D()(x)


KINDS = {"bag": _bag, "cnn": _cnn, "gru": _gru, "transformer": _transformer}

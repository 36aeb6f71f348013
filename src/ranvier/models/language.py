"""Networks that say which token comes next: recurrent ones, small transformers, and encoders with decoders."""

from __future__ import annotations

from typing import Any

from ranvier import initializers, layers
from ranvier.layers.base import whole
from ranvier.models.vocabulary import Vocabulary, tokens_of
from ranvier.module import Module

SMALL = initializers.RandomNormal(stddev=0.02)
CELLS = {"lstm": layers.LSTM, "gru": layers.GRU, "rnn": layers.SimpleRNN}


def chosen(kind: str, kinds: Any) -> Any:
    """The entry of this kind. Raises ValueError for others."""
    if kind not in kinds:
        raise ValueError(f"kind={kind!r}. Write one of {', '.join(map(repr, kinds))} instead.")
    return kinds[kind]


def char_lm(
    vocabulary: Vocabulary, kind: str = "lstm", *, width: int = 128, depth: int = 1, dropout: float = 0.0
) -> Module:
    """A recurrent network that says which token follows each: (batch, tokens) -> logits (batch, tokens, vocabulary).

    ``vocabulary`` is the number of indices. Or it is a list of characters, or a `TextVectorization` or
    `BytePairEncoding` layer that has learned tokens: the network then takes texts. Each token has a vector of ``width``
    numbers, which goes through ``depth`` layers of ``kind`` ("lstm", "gru", "rnn") and as many units, each followed by
    ``dropout`` (Mikolov et al., 2010; Graves, 2013). The loss is ``SparseCategoricalCrossentropy(from_logits=True)`` of
    the tokens one place further. Write texts with `generate`.
    """
    cell = chosen(kind, CELLS)
    inputs, tokens, size = tokens_of(vocabulary, "char_lm")
    x = layers.Embedding(size, whole(width, "width", "char_lm"))(tokens)
    for _ in range(whole(depth, "depth", "char_lm")):
        x = cell(width, return_sequences=True)(x)
        x = layers.Dropout(dropout)(x) if dropout else x
    return Module(inputs, layers.Dense(size)(x), name="char_lm")


def gpt(
    vocabulary: Vocabulary,
    length: int = 128,
    *,
    width: int = 128,
    depth: int = 4,
    heads: int = 4,
    dropout: float = 0.0,
    tied: bool = False,
) -> Module:
    """A small transformer that says which token follows each: (batch, tokens) -> logits (batch, tokens, vocabulary).

    Vectors of ``width`` numbers for tokens and for each of ``length`` positions go through ``depth`` blocks of causal
    attention with ``heads`` and a dense network of 4 times the width, each on normalized inputs and with ``dropout``
    before it is added (Radford et al., 2019). With ``tied`` the logits are products with the vectors of the tokens.
    ``vocabulary``, loss and texts are as in `char_lm`.
    """
    width, heads = whole(width, "width", "gpt"), whole(heads, "heads", "gpt")
    if width % heads:
        raise ValueError(
            f"width={width} is no multiple of heads={heads}. Write width={width // heads * heads or heads}."
        )
    inputs, tokens, size = tokens_of(vocabulary, "gpt")
    embedding = layers.ReversibleEmbedding(size, width, tie_weights=tied, embeddings_initializer=SMALL)
    x = embedding(tokens)
    x = x + layers.PositionEmbedding(whole(length, "length", "gpt"), SMALL)(x)
    for _ in range(whole(depth, "depth", "gpt")):
        x = _block(x, width, heads, dropout)
    return Module(inputs, embedding(layers.LayerNormalization(epsilon=1e-5)(x), reverse=True), name="gpt")


def seq2seq(
    source: Vocabulary,
    target: Vocabulary,
    kind: str = "transformer",
    *,
    width: int = 128,
    depth: int = 2,
    heads: int = 4,
    dropout: float = 0.0,
) -> Module:
    """A network that writes one sequence for another: [sources, targets so far] -> logits (batch, tokens, vocabulary).

    Both vocabularies are as in `char_lm`; index 0 of a source is padding, which is not read. ``kind`` is

    - "gru" or "lstm": one from each end of the source, and one along the target that begins with the mean of their
      outputs, whose own attend to them (Bahdanau et al., 2015; Luong et al., 2015);
    - "transformer": ``depth`` blocks with ``heads`` of attention for each, on sines of positions (Vaswani et
      al., 2017).

    A target begins with a token that says so: the loss is that of the tokens one place further, with ``ignore_class=0``
    where they are padded. Write targets with `generate`.
    """
    make = chosen(kind, {"transformer": _transformer, "gru": _recurrent, "lstm": _recurrent})
    width, heads = whole(width, "width", "seq2seq"), whole(heads, "heads", "seq2seq")
    if width % heads:
        raise ValueError(f"width={width} is no multiple of heads={heads}. Write a multiple instead.")
    inputs, read, sources = tokens_of(source, "seq2seq")
    written, tokens, targets = tokens_of(target, "seq2seq")
    x = layers.Embedding(sources, width, mask_zero=True)(read)
    y = make(kind, x, layers.Embedding(targets, width)(tokens), width, whole(depth, "depth", "seq2seq"), heads, dropout)
    y = layers.Dropout(dropout)(y) if dropout else y
    return Module([inputs, written], layers.Dense(targets)(y), name="seq2seq")


def _recurrent(kind: str, x: Any, y: Any, width: int, depth: int, heads: int, dropout: float) -> Any:
    cell = CELLS[kind]
    for _ in range(depth):
        x = layers.Bidirectional(cell(width, return_sequences=True))(x)
    mean = layers.GlobalAveragePooling1D()(x)
    for _ in range(depth):
        begin = [layers.Dense(width, activation="tanh")(mean) for _ in range(1 + (kind == "lstm"))]
        y = cell(width, return_sequences=True)(y, initial_state=begin)
    seen = layers.Attention()([y, layers.Dense(width)(x)])
    return layers.Dense(width, activation="tanh")(layers.Concatenate()([y, seen]))


def _transformer(kind: str, x: Any, y: Any, width: int, depth: int, heads: int, dropout: float) -> Any:
    x, y = (
        z + layers.SinePositionEncoding()(z) for z in (layers.Rescaling(width**0.5)(x), layers.Rescaling(width**0.5)(y))
    )
    for _ in range(depth):
        x = _block(x, width, heads, dropout, causal=False)
    x = layers.LayerNormalization()(x)
    for _ in range(depth):
        y = _block(y, width, heads, dropout, memory=x)
    return layers.LayerNormalization()(y)


def _block(x: Any, width: int, heads: int, dropout: float, causal: bool = True, memory: Any = None) -> Any:
    """Attention to itself, to ``memory`` where there is one, and a dense network, each added to its input."""
    drop = layers.Dropout(dropout) if dropout else layers.Identity()
    z = layers.LayerNormalization(epsilon=1e-5)(x)
    x = x + drop(layers.MultiHeadAttention(heads, width // heads)(z, z, use_causal_mask=causal))
    if memory is not None:
        z = layers.LayerNormalization(epsilon=1e-5)(x)
        x = x + drop(layers.MultiHeadAttention(heads, width // heads)(z, memory))
    z = layers.LayerNormalization(epsilon=1e-5)(x)
    return x + drop(layers.Dense(width)(layers.Dense(4 * width, activation="gelu")(z)))

"""What networks of texts take: indices, or the texts that a layer maps to indices."""

from __future__ import annotations

from typing import Any

from ranvier import layers
from ranvier.layers.base import whole

Vocabulary = Any  # a size, characters, or a layer of texts


def tokens_of(vocabulary: Vocabulary, name: str) -> tuple[Any, Any, int]:
    """The input of a model, its tokens, and how many there are.

    A size takes indices, a list of symbols (single characters) and a layer with a vocabulary take texts. Raises
    ValueError for a layer without indices.
    """
    if isinstance(vocabulary, (str, list, tuple)):
        symbols = list(dict.fromkeys(vocabulary))
        vocabulary = layers.TextVectorization(standardize=None, split="character", vocabulary=symbols)
    if not isinstance(vocabulary, (layers.TextVectorization, layers.BytePairEncoding)):
        size = whole(vocabulary, "vocabulary", name, 2)
        inputs = layers.Input(batch_shape=(None, None), dtype="int32")
        return inputs, inputs, size
    if getattr(vocabulary, "output_mode", "int") != "int" or vocabulary._learned() is None:
        raise ValueError(
            f"{name} needs the indices of a vocabulary, and {vocabulary!r} has none. Write "
            "TextVectorization(), without output_mode, and its adapt(texts) first."
        )
    inputs = layers.Input((), dtype="string")
    return inputs, vocabulary(inputs), vocabulary.vocabulary_size()

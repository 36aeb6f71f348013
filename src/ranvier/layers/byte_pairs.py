"""Texts as indices of frequent parts of words, by the ``tokenizers`` library."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import numpy as np

from ranvier.data.convert import Array, to_numeric
from ranvier.graph.node import BATCH, Type
from ranvier.graph.open_extents import ANY, OpenExtent
from ranvier.layers.annotations import LayerOptions
from ranvier.layers.base import whole
from ranvier.layers.lookup import batches
from ranvier.layers.text import TextLayer, as_texts, padded
from ranvier.module.serialization import register_module
from ranvier.tensor.tensor import Tensor

PADDING = "[PAD]"  # its index is 0
LEAST = 257  # tokens: each byte is one, and the padding


@register_module
class BytePairEncoding(TextLayer):
    """Texts as indices of parts of words, which are learned: byte-pair encoding (Sennrich et al., 2016) of bytes.

    ``adapt(texts)`` begins with the 256 bytes and joins the most frequent pair of tokens within a word until there are
    ``max_tokens``, or no pair comes ``min_frequency`` times. Any text can be written so: no token is unknown. Index 0
    is padding; rows have ``output_sequence_length``, or the length of the longest text of the batch. `decode` maps
    indices back. ``vocabulary`` and ``merges`` ("a b" joins a and b, first ones first) are what another layer or
    tokenizer has learned. They are saved with the model.

    Needs tokenizers: ``pip install 'ranvier[text]'``.
    """

    _shown = "{max_tokens}"

    def __init__(
        self,
        max_tokens: int = 8000,
        output_sequence_length: int | None = None,
        lowercase: bool = False,
        min_frequency: int = 2,
        vocabulary: Mapping[str, int] | Sequence[str] | None = None,
        merges: Sequence[str] | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self.max_tokens = whole(max_tokens, "max_tokens", self.name, LEAST)
        length = output_sequence_length
        self.output_sequence_length = None if length is None else whole(length, "output_sequence_length", self.name)
        self.lowercase, self.min_frequency = bool(lowercase), whole(min_frequency, "min_frequency", self.name)
        if (vocabulary is None) != (merges is None):
            raise ValueError(f"layer {self.name!r}: write both vocabulary=... and merges=..., or neither and adapt.")
        self._input_type = self.codes_type(None)  # of a Sequential that begins with this layer
        self._tokenizer: Any = None
        if vocabulary is not None and merges is not None:
            self._take(vocabulary, merges)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, with the vocabulary and the merges that the layer has now."""
        return {**super().config(), **(self._learned() or {})}

    def _learned(self) -> Any:
        if self._tokenizer is None:
            return None
        return {"vocabulary": self.get_vocabulary(), "merges": list(self.merges)}

    def _learn(self, learned: Any) -> None:
        self._take(learned["vocabulary"], learned["merges"])

    def codes_type(self, given: Type | None) -> Type | None:
        batch = BATCH if given is None else given.shape[0]
        return Type((batch, self.output_sequence_length or OpenExtent(ANY)), "int32")

    # --- the vocabulary ---------------------------------------------------------------------------------------------

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the tokens of texts: an array or list, or batches of such (``steps`` of them at most)."""
        library = tokenizers()
        tokenizer = self._untrained(library.models.BPE())
        trainer = library.trainers.BpeTrainer(
            vocab_size=self.max_tokens, min_frequency=self.min_frequency, show_progress=False, special_tokens=[PADDING],
            initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
        )  # fmt: skip
        texts = (as_texts(batch, self.name).reshape(-1).tolist() for batch in batches(data, steps))
        tokenizer.train_from_iterator(texts, trainer)
        learned = json.loads(tokenizer.to_str())["model"]
        self._take(learned["vocab"], [" ".join(pair) for pair in learned["merges"]])

    def _take(self, vocabulary: Any, merges: Sequence[str]) -> None:
        """Use these tokens, in order or with their indices."""
        words = vocabulary if isinstance(vocabulary, Mapping) else {token: i for i, token in enumerate(vocabulary)}
        pairs = [tuple(merge.split(" ")) for merge in merges]
        if sorted(words.values()) != list(range(len(words))):
            raise ValueError(
                f"the vocabulary of layer {self.name!r} has not the indices 0, 1, 2, ... Write a list instead."
            )
        wrong = next((p for p in pairs if len(p) != 2 or not {*p, "".join(p)} <= words.keys()), None)
        if wrong is not None:
            raise ValueError(
                f"layer {self.name!r} has a merge {' '.join(wrong)!r}, which is no pair of tokens with a token of "
                "both. Write the vocabulary and the merges of one tokenizer instead."
            )
        self.merges = tuple(map(" ".join, pairs))
        self._tokenizer = self._untrained(tokenizers().models.BPE(dict(words), pairs))
        self._tokens = sorted(words, key=words.__getitem__)

    def _untrained(self, model: Any) -> Any:
        library = tokenizers()
        tokenizer = library.Tokenizer(model)
        tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = library.decoders.ByteLevel()
        if self.lowercase:
            tokenizer.normalizer = library.normalizers.Lowercase()
        return tokenizer

    def _trained(self) -> Any:
        if self._tokenizer is None:
            raise ValueError(f"layer {self.name!r} has no vocabulary yet. Write adapt(texts) before it is called.")
        return self._tokenizer

    def vocabulary_size(self) -> int:
        """The number of indices."""
        return len(self.get_vocabulary())

    def get_vocabulary(self) -> list[str]:
        """The token of each index. A space is written as U+0120, and bytes that are no letters as others like it."""
        self._trained()
        return list(self._tokens)

    # --- texts ------------------------------------------------------------------------------------------------------

    def encode(self, values: Any) -> Array:
        """Indices (samples, tokens) as int32, padded with 0."""
        texts = as_texts(values, self.name)
        found = self._trained().encode_batch_fast(texts.reshape(-1).tolist(), add_special_tokens=False)
        if texts.ndim > 2 or (texts.ndim == 2 and texts.shape[1] != 1):
            raise ValueError(
                f"layer {self.name!r} was given texts of shape {texts.shape}. Write (samples,) or (samples, 1) instead."
            )
        return padded([text.ids for text in found], self.output_sequence_length, 0)

    def decode(self, indices: Any) -> Any:
        """The text of indices (tokens,), or a list of the texts of (samples, tokens). Padding is left out.

        Raises ValueError for an index that the vocabulary lacks.
        """
        given = indices.compute() if isinstance(indices, Tensor) else indices
        rows = [given] if np.ndim(given[0] if len(given) else 0) == 0 else given
        texts = []
        for number, row in enumerate(rows):
            array = to_numeric(row, "the indices")
            outside = np.flatnonzero((array < 0) | (array >= self.vocabulary_size()))
            if len(outside):
                raise ValueError(
                    f"row {number} has the index {array[outside[0]]} at position {outside[0]}, and the vocabulary has "
                    f"0 to {self.vocabulary_size() - 1}. Write indices of this layer instead."
                )
            texts.append(self._trained().decode([int(i) for i in array if i != 0]))
        return texts[0] if rows is not given else texts

    def forward(self, codes: Any) -> Any:
        return codes


def tokenizers() -> Any:
    """The library. Raises ModuleNotFoundError with what to install."""
    try:
        import tokenizers
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "byte-pair encoding needs tokenizers. Write: pip install 'ranvier[text]'", name=error.name
        ) from error
    return tokenizers

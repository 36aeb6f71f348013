"""Texts as indices of their words or characters, or as counts of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import numpy as np

from ranvier.data.convert import Array
from ranvier.data.tokens import SPLIT, STANDARDIZE, standardized, tokens_of, with_ngrams
from ranvier.graph.node import BATCH, Type
from ranvier.graph.open_extents import ANY, OpenExtent
from ranvier.layers.annotations import LayerOptions
from ranvier.layers.base import Layer, whole
from ranvier.layers.embedding import check_mode
from ranvier.layers.lookup import FORMER, NOWHERE, StringLookup, check_encoding
from ranvier.layers.text import as_texts, joined, padded
from ranvier.module.serialization import register_module
from ranvier.ops import arrays
from ranvier.support.errors import likely
from ranvier.support.validation import is_whole
from ranvier.tensor.context import get_dtype

MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")
Change = Callable[[Any], Any]


@register_module
class TextVectorization(StringLookup):
    """Texts as indices of their words, or as counts: ``adapt(texts)`` first, or ``vocabulary=[...]``.

    Each text is standardized ("lower" and punctuation are of ASCII, as in Keras; or a function of an array of texts),
    split ("whitespace", "character", None for samples of tokens, or a function that returns a list of tokens for each
    text), and its ``ngrams`` are joined by spaces: 2 for those of 1 and 2 tokens, ``(2, 3)`` for these lengths.

    ``output_mode="int"`` gives (batch, tokens): 0 is padding, and 1 is any token that the vocabulary lacks. Rows have
    ``output_sequence_length``, or the length of the longest text of the batch. "multi_hot", "count" and "tf_idf" give
    (batch, vocabulary), where index 0 counts the unknown tokens; "one_hot" gives such a vector for each token. The
    vocabulary is saved with the model.
    """

    _shown = "{output_mode!r}"

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: str | Change | None = "lower_and_strip_punctuation",
        split: str | Change | None = "whitespace",
        ngrams: int | Sequence[int] | None = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        **options: Unpack[LayerOptions],
    ) -> None:
        mode = FORMER.get(output_mode, output_mode)
        Layer.__init__(self, **options)
        check_encoding(encoding, self.name)
        self.standardize = self._known(standardize, STANDARDIZE, "standardize")
        self.split = self._known(split, SPLIT, "split")
        self.ngrams = self._widths(ngrams)
        if ragged:
            raise ValueError(
                f"layer {self.name!r}: there are no ragged tensors. Leave ragged=True out: rows are padded with 0."
            )
        if output_sequence_length is not None and mode != "int":
            raise ValueError(
                f"layer {self.name!r} has output_mode={output_mode!r}, whose rows have the length of the vocabulary. "
                "Leave output_sequence_length out."
            )
        self.output_sequence_length = (
            None
            if output_sequence_length is None
            else whole(output_sequence_length, "output_sequence_length", self.name)
        )
        check_mode(mode, MODES, sparse, self.name)
        self._configure(
            max_tokens, 1, "", "[UNK]", vocabulary, idf_weights, False, mode, pad_to_max_tokens, sparse, None
        )

    def _known(self, value: Any, known: Sequence[str], what: str) -> Any:
        if value is None or callable(value) or value in known:
            return value
        near = likely(str(value), known)
        words = ", ".join(map(repr, [near] if near else known))
        raise ValueError(f"the {what} of layer {self.name!r} is {value!r}. Write {words}, None or a function instead.")

    def _widths(self, ngrams: Any) -> tuple[int, ...]:
        if ngrams is None:
            return (1,)
        several = isinstance(ngrams, (list, tuple))
        if several and ngrams and all(is_whole(width, 1) for width in ngrams):
            return tuple(ngrams)
        return tuple(range(1, 1 + whole(() if several else ngrams, "ngrams", self.name)))

    # --- types ------------------------------------------------------------------------------------------------------

    @property
    def _gives_rows(self) -> bool:
        """Whether the program gets the indices of each token, and not a vector of counts."""
        return self.output_mode in ("int", "one_hot")

    def codes_type(self, given: Type | None) -> Type | None:
        batch = BATCH if given is None else given.shape[0]
        if self._gives_rows:
            return Type((batch, self.output_sequence_length or OpenExtent(ANY)), "int32")
        return Type((batch, self.depth), get_dtype()) if self.table.tokens or self.pad_to_max_tokens else None

    def _store(self, tokens: list[Any], weights: Array | None) -> None:
        super()._store(tokens, weights)
        self._input_type = self.codes_type(None)  # of a Sequential that begins with this layer

    # --- texts ------------------------------------------------------------------------------------------------------

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:  # type: ignore[override]  # as in Keras
        """Take the vocabulary from texts: an array or list, or batches of such (``steps`` of them at most).

        Frequent tokens come first, and of equally frequent ones the last in alphabetical order. ``batch_size`` has no
        effect. Raises ValueError for a layer that was given a vocabulary.
        """
        super().adapt(data, steps)

    def _documents(self, data: Any) -> list[list[str]]:
        """The tokens of each sample."""
        texts = as_texts(data, self.name)
        flat = standardized(texts.reshape(-1).tolist(), self.standardize, self.name)
        if self.split is None:
            wide = texts.shape[1] if texts.ndim > 1 else 1
            rows = [flat[i : i + wide] for i in range(0, len(flat), wide)]
        else:
            rows = tokens_of(flat, self.split, self.name)
        if texts.ndim > 2 or (self.split is not None and texts.ndim == 2 and texts.shape[1] != 1):
            wanted = "(samples,) or (samples, 1), or split=None for texts that are split already,"
            raise ValueError(f"layer {self.name!r} was given texts of shape {texts.shape}. Write {wanted} instead.")
        return rows if self.ngrams == (1,) else [with_ngrams(row, self.ngrams) for row in rows]

    def indices(self, values: Any) -> list[list[int]]:
        """The index of each token of each text; of a masked one -1, except with ``output_mode="int"``."""
        find, unknown = self.table.index.get, len(self._special()) - 1
        return [[find(token, unknown) for token in row] for row in self._documents(values)]

    def encode(self, values: Any) -> Array:
        """Indices (samples, tokens) as int32, or vectors (samples, vocabulary)."""
        rows = self.indices(values)
        if self._gives_rows:
            return padded(rows, self.output_sequence_length, self.table.index[""])
        if self.codes_type(None) is None or (self.output_mode == "tf_idf" and self.table.weights is None):
            raise ValueError(f"layer {self.name!r} has no vocabulary yet. Write adapt(texts) before it is called.")
        codes, texts, _ = joined(rows)
        known = codes != NOWHERE
        places, counts = np.unique(texts[known] * self.depth + codes[known], return_counts=True)
        vectors = np.zeros((len(rows), self.depth), get_dtype())
        if self.output_mode == "multi_hot":
            counts[:] = 1
        if self.table.weights is not None:
            counts = counts * self.table.weights[places % self.depth]
        vectors.reshape(-1)[places] = counts
        return vectors

    def forward(self, codes: Any) -> Any:
        return arrays.one_hot(codes, self.depth) if self.output_mode == "one_hot" else codes

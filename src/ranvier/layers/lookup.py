"""Vocabularies: texts or whole numbers as indices, and back."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from ranvier.data.convert import Array, to_numeric
from ranvier.data.text_hash import buckets, each_value
from ranvier.layers.annotations import LayerOptions
from ranvier.layers.base import Layer, whole
from ranvier.layers.embedding import check_mode, encoded
from ranvier.layers.text import TextLayer, as_texts
from ranvier.module.serialization import register_module
from ranvier.ops import arrays
from ranvier.ops.functional.label_checks import in_range
from ranvier.support.custom_objects import check_file_name
from ranvier.tensor.context import get_dtype
from ranvier.tensor.tensor import Tensor

MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")
FORMER = {"binary": "multi_hot", "tf-idf": "tf_idf"}
NOWHERE, UNKNOWN = -1, -2  # the indices of what is masked, and of what no index stands for


@dataclass(frozen=True)
class Table:
    """A vocabulary: the tokens in order, the index of each and of the mask, the weight of each index ("tf_idf")."""

    tokens: list[Any] = field(default_factory=list)
    index: dict[Any, int] = field(default_factory=dict)
    weights: Array | None = None


class Lookup(Layer):
    """What lookups share: the vocabulary, which `adapt` or an argument gives, and the encodings of indices.

    Indices are in this order: 0 for the mask token, if there is one and ``output_mode`` is "int"; the
    ``num_oov_indices`` for what is not in the vocabulary; the vocabulary.
    """

    table: Table

    def _configure(
        self,
        max_tokens: int | None,
        num_oov_indices: int,
        mask_token: Any,
        oov_token: Any,
        vocabulary: Any,
        idf_weights: Any,
        invert: bool,
        output_mode: str,
        pad_to_max_tokens: bool,
        sparse: bool,
        salt: Any,
    ) -> None:
        name = self.name
        self.max_tokens = None if max_tokens is None else whole(max_tokens, "max_tokens", name, 2)
        self.num_oov_indices = whole(num_oov_indices, "num_oov_indices", name, 0)
        self.mask_token, self.oov_token, self.invert = mask_token, oov_token, bool(invert)
        self.output_mode = check_mode(FORMER.get(output_mode, output_mode), MODES, sparse, name)
        self.pad_to_max_tokens, self.salt = bool(pad_to_max_tokens), key_of(salt, name)
        if pad_to_max_tokens and max_tokens is None:
            raise ValueError(f"layer {name!r} has pad_to_max_tokens=True. Write max_tokens=... too.")
        if invert and self.output_mode != "int":
            raise ValueError(f"layer {name!r} has invert=True. Leave output_mode={output_mode!r} out.")
        self.given = vocabulary is not None
        self._store([], None)
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)
        elif idf_weights is not None:
            raise ValueError(f"layer {name!r} was given idf_weights. Write vocabulary=... too.")

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, with the vocabulary that the layer has now."""
        found = {**super().config()}
        if self.table.tokens:
            found["vocabulary"] = self.get_vocabulary(include_special_tokens=self.output_mode == "tf_idf")
        if self.table.weights is not None:
            found["idf_weights"] = self.table.weights[: len(found["vocabulary"])].tolist()
        return found

    def _learned(self) -> Any:
        found = self.config() if self.table.tokens else {}
        return {key: found[key] for key in ("vocabulary", "idf_weights") if key in found} or None

    def _learn(self, learned: Any) -> None:
        self.set_vocabulary(learned["vocabulary"], learned.get("idf_weights"))

    # --- the vocabulary ---------------------------------------------------------------------------------------------

    def _values(self, data: Any) -> Array:
        """Data as an array of tokens: `StringLookup` and `IntegerLookup` say what these are."""
        raise NotImplementedError

    def _documents(self, data: Any) -> list[list[Any]]:
        """The tokens of each sample of data."""
        values = self._values(data)
        rows: list[list[Any]] = values.reshape(-1, math.prod(values.shape[1:])).tolist()
        return rows

    def _sorting_key(self, token: Any) -> Any:
        return token

    def _special(self) -> list[Any]:
        """The tokens before the vocabulary."""
        mask = [self.mask_token] if self.mask_token is not None and self.output_mode == "int" else []
        return mask + [self.oov_token] * self.num_oov_indices

    @property
    def depth(self) -> int:
        """The size of the vectors that show indices."""
        return self.max_tokens if self.pad_to_max_tokens and self.max_tokens else self.vocabulary_size()

    def vocabulary_size(self) -> int:
        """The number of indices."""
        return len(self._special()) + len(self.table.tokens)

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The token of each index; without those of the mask and of what is unknown, if told so."""
        return [*(self._special() if include_special_tokens else ()), *self.table.tokens]

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Replace the vocabulary: an array or list of tokens, or a file with one in each line.

        "tf_idf" needs ``idf_weights``, one for each token. Raises ValueError for repeated tokens, for the mask token
        among them, and for more than ``max_tokens``.
        """
        name = self.name
        if (idf_weights is None) == (self.output_mode == "tf_idf"):
            verb = "Write" if idf_weights is None else "Leave out"
            raise ValueError(f"layer {name!r} has output_mode={self.output_mode!r}. {verb} idf_weights instead.")
        if isinstance(vocabulary, (str, Path)):
            check_file_name(vocabulary, f"the vocabulary of layer {name!r}")
            vocabulary = Path(vocabulary).read_text(encoding="utf-8").splitlines()
            vocabulary = vocabulary if isinstance(self, TextLayer) else [int(line) for line in vocabulary]
        tokens = self._values(vocabulary).reshape(-1).tolist()
        if not tokens:
            raise ValueError(f"layer {name!r} was given an empty vocabulary. Write one token or more.")
        special = self._special()
        has_special = bool(special) and tokens[: len(special)] == special
        tokens = tokens[len(special) :] if has_special else tokens
        repeated = [token for token, count in Counter(tokens).items() if count > 1]
        if repeated:
            raise ValueError(f"the vocabulary of layer {name!r} has {repeated[:5]} several times. Write each once.")
        for token in (self.mask_token, self.oov_token if self.invert else None):
            if token is not None and token in tokens:
                raise ValueError(
                    f"the vocabulary of layer {name!r} has the token {token!r} of what is masked or unknown. Leave it "
                    f"out, or begin with {special}, instead."
                )
        if self.max_tokens is not None and len(special) + len(tokens) > self.max_tokens:
            raise ValueError(
                f"layer {name!r} has max_tokens={self.max_tokens}, and the vocabulary takes "
                f"{len(special) + len(tokens)}. Write fewer tokens instead."
            )
        weights = None
        if idf_weights is not None:
            weights = np.asarray(idf_weights, np.float64)
            if weights.shape != (len(tokens) + len(special) * has_special,):
                raise ValueError(f"layer {name!r} was given {weights.size} idf_weights. Write one for each token.")
            front = 0 if has_special else len(special)
            weights = np.concatenate([np.full(front, weights.mean()), weights])
        self._store(tokens, weights)

    def _store(self, tokens: list[Any], weights: Array | None) -> None:
        start = len(self._special())
        if weights is not None:
            size = self.max_tokens if self.pad_to_max_tokens and self.max_tokens else start + len(tokens)
            weights = np.pad(weights, (0, size - len(weights))).astype(get_dtype())
        index = {} if self.mask_token is None else {self.mask_token: 0 if self.output_mode == "int" else NOWHERE}
        self.table = Table(tokens, index | {token: i for i, token in enumerate(tokens, start)}, weights)

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Take the vocabulary from data: an array or list of tokens, or batches of such (``steps`` of them at most).

        Frequent tokens come first, and of equally frequent ones the last in alphabetical order, as in Keras. Raises
        ValueError for a layer that was given a vocabulary.
        """
        if self.given:
            raise ValueError(f"layer {self.name!r} was given a vocabulary. Leave it out, or write set_vocabulary(...).")
        counts: Counter[Any] = Counter()
        documents: Counter[Any] = Counter()
        total = 0
        for row in chain.from_iterable(map(self._documents, batches(data, steps))):
            counts.update(row)
            total += 1
            if self.output_mode == "tf_idf":
                documents.update(set(row))
        for token in (self.mask_token, self.oov_token):
            counts.pop(token, None)
        if not counts:
            return
        ordered = sorted(counts, key=lambda token: (counts[token], self._sorting_key(token)), reverse=True)
        most = None if self.max_tokens is None else self.max_tokens - len(self._special())
        tokens, weights = ordered[:most], None
        if self.output_mode == "tf_idf":
            each = np.log(1 + total / (1 + np.array([documents[token] for token in tokens]))).astype(get_dtype())
            weights = np.concatenate([np.full(len(self._special()), each.mean()), each])
        self._store(tokens, weights)

    # --- indices as outputs -----------------------------------------------------------------------------------------

    def _encoded(self, indices: Any) -> Any:
        mode = "count" if self.output_mode == "tf_idf" else self.output_mode
        result = encoded(indices, self.depth, mode)
        if self.output_mode != "tf_idf":
            return result
        if self.table.weights is None:
            raise ValueError(f"layer {self.name!r} has no weights of tokens yet. Write adapt(data) first.")
        return arrays.multiply(result, self.table.weights)


def check_encoding(encoding: str, name: str) -> None:
    """Raise ValueError for any but UTF-8."""
    if encoding.lower().replace("_", "-") not in ("utf-8", "utf8"):
        raise ValueError(f"layer {name!r} has encoding={encoding!r}. Write texts, or bytes in UTF-8, instead.")


def key_of(salt: Any, name: str) -> list[int] | None:
    """The key of SipHash: two integers, or one for both."""
    if salt is None:
        return None
    pair = list(salt) if isinstance(salt, (tuple, list)) else [salt, salt]
    if len(pair) != 2 or not all(isinstance(part, int) for part in pair):
        raise ValueError(f"the salt of layer {name!r} is {salt!r}. Write one integer or two, or leave it out.")
    return pair


def batches(data: Any, steps: int | None = None) -> Iterable[Any]:
    """The parts of data: what holds tokens itself is one, and anything else gives batches, alone or as (x, y)."""
    if isinstance(data, (list, tuple, str, bytes)) or hasattr(data, "__array__"):
        yield data
        return
    for i, batch in enumerate(data):
        if steps is not None and i >= steps:
            return
        yield batch[0] if isinstance(batch, tuple) else batch


@register_module
class StringLookup(Lookup, TextLayer):
    """Texts as indices of a vocabulary, or vectors of them: ``StringLookup(vocabulary=['a', 'b'])``, or ``adapt(x)``.

    ``output_mode`` is "int", or "one_hot", "multi_hot", "count" and "tf_idf" as of `CategoryEncoding`. What is not in
    the vocabulary has index 0 (after the mask's), or one of ``num_oov_indices`` by its FarmHash, or with ``salt`` by
    its SipHash. ``invert`` maps indices to texts, at once. The vocabulary is saved with the model.
    """

    _shown = "{output_mode!r}"

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str | None = "[UNK]",  # noqa: S107  # no password
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        salt: int | Sequence[int] | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        check_encoding(encoding, self.name)
        self._configure(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert, output_mode,
            pad_to_max_tokens, sparse, salt,
        )  # fmt: skip

    def _values(self, data: Any) -> Array:
        return as_texts(data, self.name)

    def _sorting_key(self, token: str) -> bytes:
        return token.encode()

    def encode(self, values: Any) -> Array:
        texts = self._values(values)
        start, known = len(self._special()) - self.num_oov_indices, self.table.index

        def index(text: str) -> int:
            if text in known:
                return int(known[text])
            if not self.num_oov_indices:
                raise ValueError(
                    f"layer {self.name!r} has num_oov_indices=0, and {text!r} is not in its vocabulary. Write "
                    "num_oov_indices=1 instead."
                )
            if self.num_oov_indices == 1:
                return start
            return start + int(buckets(np.array(text, object), self.num_oov_indices, self.salt))

        return each_value(texts, index)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.invert:
            return super().__call__(*args, **kwargs)
        given = args[0].compute() if isinstance(args[0], Tensor) else args[0]
        indices, words = to_numeric(given, "the indices"), self.get_vocabulary()
        known = (indices >= 0) & (indices < len(words))
        return np.array([*words, self.oov_token])[np.where(known, indices, len(words)).astype(int)]

    def forward(self, indices: Any) -> Any:
        return self._encoded(indices)


@register_module
class IntegerLookup(Lookup):
    """Whole numbers as indices of a vocabulary, or vectors of them: as `StringLookup`, and part of the program.

    Unknown numbers have one of ``num_oov_indices`` by their remainder. Each element is compared with the whole
    vocabulary, so that one of 100,000 numbers is slow.
    """

    _shown = "{output_mode!r}"

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int = -1,
        vocabulary: Any = None,
        vocabulary_dtype: str = "int64",
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: int | Sequence[int] | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        if oov_method != "floormod" or salt is not None:
            raise ValueError(
                f"layer {self.name!r} distributes unknown numbers by their remainder. Leave oov_method and salt out, "
                "or write StringLookup of x.astype(str) for hashes, instead."
            )
        if vocabulary_dtype != "int64":
            raise ValueError(f"layer {self.name!r} has vocabulary_dtype={vocabulary_dtype!r}. Leave it out.")
        self._configure(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert, output_mode,
            pad_to_max_tokens, sparse, None,
        )  # fmt: skip

    def _values(self, data: Any) -> Array:
        array = to_numeric(data.compute() if isinstance(data, Tensor) else data, "the data")
        if array.dtype.kind not in "iu":
            raise TypeError(f"layer {self.name!r} maps whole numbers. Write x.astype('int64') instead.")
        return array

    def forward(self, x: Any) -> Any:
        x = x if x.dtype in ("int32", "int64") else arrays.cast(x, "int32")
        special = self._special()
        each = arrays.expand_dims(x, -1)
        tokens = np.array(self.table.tokens, x.dtype)
        places = np.arange(len(special), len(special) + len(tokens), dtype=np.int32)
        if self.invert:
            words = np.array([*special, *self.table.tokens], x.dtype)
            places = np.arange(len(words), dtype=x.dtype)
            hit = arrays.equal(each, places)
            found = arrays.sum(arrays.where(hit, words, np.zeros((), x.dtype)), -1)
            return arrays.where(arrays.any(hit, -1), found, np.array(self.oov_token, x.dtype))
        start = len(special) - self.num_oov_indices
        other: Any = np.array(start if self.num_oov_indices else UNKNOWN, np.int32)
        if self.num_oov_indices > 1:
            other = arrays.add(arrays.cast(arrays.remainder(x, self.num_oov_indices), "int32"), start)
        if self.table.tokens:
            hit = arrays.equal(each, tokens)
            found = arrays.sum(arrays.where(hit, places, np.zeros((), np.int32)), -1)
            other = arrays.where(arrays.any(hit, -1), found, other)
        else:
            other = arrays.add(arrays.zeros_like(arrays.cast(x, "int32")), other)
        if self.mask_token is not None:
            masked = np.array(0 if self.output_mode == "int" else NOWHERE, np.int32)
            other = arrays.where(arrays.equal(x, np.array(self.mask_token, x.dtype)), masked, other)
        if not self.num_oov_indices:
            other = in_range(other, "token", self.vocabulary_size(), low=NOWHERE)
        return self._encoded(other)

"""Texts as buckets of their hashes, which need no vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from ranvier.data.convert import Array, to_numeric
from ranvier.data.text_hash import buckets, crossed
from ranvier.layers.annotations import LayerOptions
from ranvier.layers.base import Layer, whole
from ranvier.layers.embedding import MODES, check_mode, encoded
from ranvier.layers.lookup import key_of
from ranvier.layers.text import TextLayer, as_texts
from ranvier.module.serialization import register_module
from ranvier.module.symbolic import Operators
from ranvier.support.tree import flatten
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import state


def hashed_values(values: Any, name: str) -> Array:
    """An array of texts or of int64, as TensorFlow hashes them; floats lose their fractions."""
    array = np.asarray(values.compute() if isinstance(values, Tensor) else values)
    return as_texts(array, name) if array.dtype.kind in "OUS" else to_numeric(array, "x").astype(np.int64)


@register_module
class Hashing(TextLayer):
    """Texts or whole numbers as buckets from 0 to ``num_bins - 1``, by FarmHash, or with ``salt`` by SipHash.

    Buckets are those of TensorFlow. ``mask_value`` has bucket 0 for itself. ``output_mode`` is "int", or one of those
    of `CategoryEncoding`.
    """

    _shown = "{num_bins}, {output_mode!r}"

    def __init__(
        self,
        num_bins: int,
        mask_value: Any = None,
        salt: int | Sequence[int] | None = None,
        output_mode: str = "int",
        sparse: bool = False,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self.num_bins = whole(num_bins, "num_bins", self.name)
        self.mask_value, self.salt = mask_value, key_of(salt, self.name)
        self.output_mode = check_mode(output_mode, ("int", *MODES), sparse, self.name)

    def encode(self, values: Any) -> Array:
        array = hashed_values(values, self.name)
        if self.mask_value is None or self.num_bins == 1:
            return buckets(array, self.num_bins, self.salt)
        found = buckets(array, self.num_bins - 1, self.salt) + np.int32(1)
        return np.where(array == self.mask_value, np.int32(0), found)

    def forward(self, indices: Any) -> Any:
        return encoded(indices, self.num_bins, self.output_mode)


@register_module
class HashedCrossing(Layer):
    """Several features as one: the bucket of the hash of their values in each row, as of TensorFlow.

    It is called on a list of arrays of texts or whole numbers, (batch,) or (batch, 1), before a model is given them:
    it is no part of a model. ``output_mode`` is "int" or "one_hot".
    """

    _shown = "{num_bins}, {output_mode!r}"

    def __init__(
        self, num_bins: int, output_mode: str = "int", sparse: bool = False, **options: Unpack[LayerOptions]
    ) -> None:
        super().__init__(**options)
        self.num_bins = whole(num_bins, "num_bins", self.name)
        self.output_mode = check_mode(output_mode, ("int", "one_hot"), sparse, self.name)

    def __call__(self, inputs: Any, **options: Any) -> Any:
        if not isinstance(inputs, (list, tuple)) or len(inputs) < 2:
            raise ValueError(f"layer {self.name!r} crosses features. Write a list of two arrays or more instead.")
        if state.tracing or any(isinstance(part, Operators) for part in flatten(inputs)):
            raise TypeError(
                f"layer {self.name!r} crosses features before a program runs, and is no part of a model. Write x = "
                "layer([a, b]) of arrays, and an Input for x, instead."
            )
        columns = [hashed_values(part, self.name) for part in inputs]
        if any(np.asarray(part).dtype.kind == "f" for part in inputs):
            raise ValueError(f"layer {self.name!r} crosses texts and whole numbers. Write x.astype('int64') instead.")
        shape = columns[0].shape
        if any(column.shape != shape for column in columns) or len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
            raise ValueError(
                f"layer {self.name!r} was given the shapes {[c.shape for c in columns]}. Write (batch,) or (batch, 1) "
                "for all of them instead."
            )
        return super().__call__(Tensor(crossed(columns, self.num_bins)), **options)

    def forward(self, indices: Any) -> Any:
        return encoded(indices, self.num_bins, self.output_mode)

"""Texts as buckets of their hashes, which need no vocabulary."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from ranvier.data.convert import Array, to_numeric
from ranvier.data.text_hash import buckets, cross_table, crossed
from ranvier.layers.annotations import LayerOptions
from ranvier.layers.base import Layer, whole
from ranvier.layers.discretization import Discretization
from ranvier.layers.embedding import MODES, CategoryEncoding, check_mode, encoded
from ranvier.layers.lookup import Lookup, key_of
from ranvier.layers.merging import _Merge
from ranvier.layers.text import TextLayer, as_texts
from ranvier.module.serialization import register_module
from ranvier.module.symbolic import Operators
from ranvier.ops import arrays
from ranvier.ops.functional.label_checks import in_range
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

    It is called on a list of arrays of texts or whole numbers, (batch,) or (batch, 1); in a model, on what lookups,
    `Hashing` and `Discretization` return. ``output_mode`` is "int" or "one_hot".
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
        if any(isinstance(part, Operators) for part in flatten(inputs)):
            return self._in_model(inputs)
        if state.tracing:
            raise TypeError(f"layer {self.name!r} {BEFORE}")
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
        return crossing(indices, self.num_bins, self.output_mode)

    def _in_model(self, inputs: Sequence[Any]) -> Any:
        """The crossing of symbolic values, which layers made that return few whole numbers."""
        modules = [part.symbol().call.module for part in inputs]
        counted = [isinstance(m, COUNTED) and getattr(m, "output_mode", "int") == "int" for m in modules]
        if not all(counted):
            raise TypeError(f"layer {self.name!r} {BEFORE}")
        sizes = [cardinality(m.name, m) for m in modules]
        return CrossedIndices(sizes, self.num_bins, self.output_mode, name=self.name)(list(inputs))


BEFORE = (
    "crosses what lookups, Hashing and Discretization return, within a model. Call it on their results, or write x = "
    "layer([a, b]) of arrays before the model, and an Input for x, instead."
)
MOST = 1 << 24  # combinations of numbers, of which a table is made


@register_module
class CrossedIndices(_Merge):
    """`HashedCrossing` of whole numbers below ``sizes``, within a model: a table has the bucket of each combination."""

    _shown = "{num_bins}, {output_mode!r}"
    least = 2

    def __init__(
        self, sizes: Sequence[int], num_bins: int, output_mode: str = "int", **options: Unpack[LayerOptions]
    ) -> None:
        super().__init__(**options)
        self.sizes = tuple(whole(size, "a size", self.name) for size in sizes)
        self.num_bins = whole(num_bins, "num_bins", self.name)
        self.output_mode = check_mode(output_mode, ("int", "one_hot"), False, self.name)
        if math.prod(self.sizes) > MOST:
            raise ValueError(
                f"layer {self.name!r} crosses {math.prod(self.sizes):,} combinations, more than {MOST:,}. Write fewer "
                "tokens or buckets of each feature instead."
            )
        self._table = cross_table(self.sizes, self.num_bins)

    def merged(self, inputs: Sequence[Any]) -> Any:
        place: Any = 0
        for x, size in zip(inputs, self.sizes, strict=True):
            place = arrays.add(arrays.multiply(place, size), in_range(arrays.cast(x, "int32"), "index", size))
        return crossing(arrays.take(Tensor(self._table), place, 0), self.num_bins, self.output_mode)


def crossing(buckets: Any, num_bins: int, mode: str) -> Any:
    """Buckets of crossings as vectors, or int64, as Keras's are."""
    return arrays.cast(buckets, "int64") if mode == "int" else encoded(buckets, num_bins, mode)


COUNTED = (Lookup, Discretization, Hashing, HashedCrossing, CrossedIndices)


def cardinality(name: str, layer: Any) -> int:
    """How many different whole numbers a layer returns."""
    if isinstance(layer, Lookup):
        return layer.vocabulary_size()
    if isinstance(layer, CategoryEncoding):
        return layer.num_tokens
    if isinstance(layer, Discretization) and layer.num_bins is None and layer.bin_boundaries is not None:
        return len(layer.bin_boundaries) + 1
    if not isinstance(layer, (Discretization, Hashing, HashedCrossing, CrossedIndices)):
        raise ValueError(f"{name!r} has a layer whose numbers are not counted. Write output_mode='int' instead.")
    return whole(layer.num_bins, "num_bins", name)

"""Embeddings, encodings of categories, PReLU, and the identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import numpy as np

from ranvier.graph.node import GraphError
from ranvier.layers.annotations import ConstraintLike, EmbeddingOptions, InitializerLike, LayerOptions, RegularizerLike
from ranvier.layers.base import Layer, known_dtype, whole
from ranvier.layers.weight_dtype import prelu
from ranvier.module.parameter import Parameter
from ranvier.module.serialization import register_module
from ranvier.ops import arrays, functional
from ranvier.ops.functional.label_checks import in_range
from ranvier.tensor.masks import set_mask

MODES = ("one_hot", "multi_hot", "count")


@register_module
class Identity(Layer):
    """Returns its inputs."""

    supports_masking = True

    def __init__(self, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)

    def forward(self, x: Any) -> Any:
        return x


@register_module
class PReLU(Layer):
    """``x`` above 0 and ``alpha * x`` below, with a learned alpha for each element of a sample (He et al., 2015).

    Along ``shared_axes`` there is one for all: ``[1, 2]`` for one a channel of images.
    """

    supports_masking = True
    alpha: Parameter

    def __init__(
        self,
        alpha_initializer: InitializerLike = "zeros",
        alpha_regularizer: RegularizerLike = None,
        alpha_constraint: ConstraintLike = None,
        shared_axes: Sequence[int] | int | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self._store_settings("alpha", alpha_initializer, alpha_regularizer, alpha_constraint)
        axes = () if shared_axes is None else (shared_axes,) if isinstance(shared_axes, int) else shared_axes
        self.shared_axes = tuple(whole(axis, "an axis of shared_axes", self.name) for axis in axes)

    def build(self, input_shape: Sequence[Any]) -> None:
        shape = [1 if i in self.shared_axes else d for i, d in enumerate(input_shape)][1:]
        if not all(isinstance(d, int) for d in shape):
            raise GraphError(f"it needs inputs of a known shape, not {tuple(input_shape)}")
        self._make_weights(alpha=shape)

    def forward(self, x: Any) -> Any:
        return prelu(x, self.alpha)


@register_module
class Embedding(Layer):
    """Whole numbers below ``input_dim`` -> learned vectors: (batch, ...) -> (batch, ..., output_dim).

    The weight is ``embeddings``, (input_dim, output_dim), which ``weights=[array]`` gives. A number out of range
    raises ValueError. With ``mask_zero`` the number 0 is padding: the layers after this one are given a mask that is
    false there. ``input_length`` has no effect, as in Keras 3: sequences may have any length.
    """

    every_position = True
    embeddings: Parameter
    _older: Mapping[str, str] = {"input_length": ""}
    _shown = "{input_dim}, {output_dim}"

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: InitializerLike = "uniform",
        embeddings_regularizer: RegularizerLike = None,
        embeddings_constraint: ConstraintLike = None,
        mask_zero: bool = False,
        weights: Any = None,
        *,
        input_length: int | None = None,
        **options: Unpack[EmbeddingOptions],
    ) -> None:
        super().__init__(**options)
        self.mask_zero = self.supports_masking = bool(mask_zero)
        self.input_dim = whole(input_dim, "input_dim", self.name)
        self.output_dim = whole(output_dim, "output_dim", self.name)
        self._store_settings("embeddings", embeddings_initializer, embeddings_regularizer, embeddings_constraint)
        self.given = [weights] if isinstance(weights, np.ndarray) else weights

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, without the weights: they are kept as weights are."""
        return {name: None if name == "weights" else value for name, value in super().config().items()}

    def build(self, input_shape: Sequence[Any] | None = None) -> None:
        self._make_weights(embeddings=(self.input_dim, self.output_dim))
        if self.given is not None:
            self.set_weights(self.given)

    def forward(self, x: Any) -> Any:
        return functional.embedding(in_range(x, "vector", self.input_dim), self.embeddings)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """With ``mask_zero`` where the inputs are not 0, else None."""
        return arrays.not_equal(inputs, 0) if self.mask_zero else None


@register_module
class ReversibleEmbedding(Embedding):
    """`Embedding`, and with ``reverse=True`` in the call logits of its numbers: (..., output_dim) -> (..., input_dim).

    These are the products with the same vectors, or without ``tie_weights`` with the columns of a weight of their own,
    ``reverse_embeddings`` (output_dim, input_dim). They are computed in ``reverse_dtype`` if there is one, and
    ``logit_soft_cap`` c makes them ``c * tanh(logits / c)``.
    """

    reverse_embeddings: Parameter
    every_position = True

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: InitializerLike = "uniform",
        embeddings_regularizer: RegularizerLike = None,
        embeddings_constraint: ConstraintLike = None,
        mask_zero: bool = False,
        reverse_dtype: str | None = None,
        logit_soft_cap: float | None = None,
        weights: Any = None,
        **options: Unpack[EmbeddingOptions],
    ) -> None:
        super().__init__(
            input_dim, output_dim, embeddings_initializer, embeddings_regularizer, embeddings_constraint, mask_zero,
            weights, **options,
        )  # fmt: skip
        self.tie_weights = bool(tie_weights)
        self.reverse_dtype = known_dtype(reverse_dtype, self.name)
        self.logit_soft_cap = None if logit_soft_cap is None else float(logit_soft_cap)

    def build(self, input_shape: Sequence[Any] | None = None) -> None:
        super().build(input_shape)
        if not self.tie_weights:
            self.add_weight((self.output_dim, self.input_dim), self.embeddings_initializer, name="reverse_embeddings")

    def forward(self, x: Any, reverse: bool = False) -> Any:
        if not reverse:
            found = super().forward(x)
            return set_mask(found, arrays.not_equal(x, 0)) if self.mask_zero else found
        kernel = arrays.transpose(self.embeddings) if self.tie_weights else self.reverse_embeddings
        if self.reverse_dtype is not None:
            x, kernel = arrays.cast(x, self.reverse_dtype), arrays.cast(kernel, self.reverse_dtype)
        logits = arrays.matmul(x, kernel)
        cap = self.logit_soft_cap
        return logits if cap is None else arrays.multiply(arrays.tanh(arrays.divide(logits, cap)), cap)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """None: a mask is made in ``forward``, which knows the direction."""


def encoded(x: Any, size: int, mode: str, weights: Any = None) -> Any:
    """Whole numbers below ``size`` as `CategoryEncoding` encodes them, and with ``mode="int"`` as they are."""
    if mode == "int":
        return x
    if mode == "one_hot":
        return arrays.one_hot(arrays.squeeze(x, -1) if x.ndim > 1 and x.shape[-1] == 1 else x, size)
    hot = arrays.one_hot(x, size)
    numbers = 1 if x.ndim > 1 else 0
    if mode == "multi_hot":
        return arrays.max(hot, numbers)
    if weights is not None:
        hot = arrays.multiply(hot, arrays.expand_dims(arrays.cast(weights, hot.dtype), -1))
    return arrays.sum(hot, numbers)


def check_mode(mode: Any, known: Sequence[str], sparse: bool, name: str) -> str:
    """An ``output_mode`` of a layer. Raises ValueError for others, and for ``sparse``."""
    if mode not in known:
        raise ValueError(
            f"the output_mode of layer {name!r} is {mode!r}. Write one of {', '.join(map(repr, known))} instead."
        )
    if sparse:
        raise ValueError(f"layer {name!r}: there are no sparse tensors. Leave sparse=True out.")
    return str(mode)


@register_module
class CategoryEncoding(Layer):
    """Whole numbers below ``num_tokens`` as vectors of that size.

    By ``output_mode``: "multi_hot", (batch, numbers, ...) -> (batch, ..., num_tokens), has 1 at each number that is
    there; "count" how often it is there, or with ``count_weights`` in the call the sum of their weights; "one_hot" a
    vector for each number: (batch, ...) -> (batch, ..., num_tokens), where a last dimension of 1 goes away. A number
    out of range is ignored.
    """

    _shown = "{num_tokens}, {output_mode!r}"

    def __init__(
        self, num_tokens: int, output_mode: str = "multi_hot", sparse: bool = False, **options: Unpack[LayerOptions]
    ) -> None:
        super().__init__(**options)
        self.num_tokens = whole(num_tokens, "num_tokens", self.name)
        self.output_mode = check_mode(output_mode, MODES, sparse, self.name)

    def forward(self, x: Any, count_weights: Any = None) -> Any:
        if count_weights is not None and self.output_mode != "count":
            raise ValueError(
                f"layer {self.name!r} was given count_weights. Write output_mode='count' in it, or leave them out."
            )
        if self.output_mode != "one_hot" and x.ndim < 2:
            raise GraphError(f"{self.output_mode} is of the numbers of each sample: write (batch, numbers)")
        return encoded(x, self.num_tokens, self.output_mode, count_weights)

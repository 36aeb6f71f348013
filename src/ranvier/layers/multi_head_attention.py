"""Attention of several heads, each with projections of its own: MultiHeadAttention and GroupQueryAttention."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any, Unpack

from ranvier.layers.annotations import ConstraintLike, InitializerLike, OptionsWithInputDim, RegularizerLike
from ranvier.layers.base import Layer, whole
from ranvier.layers.dropout import check_rate
from ranvier.layers.einsum_dense import EinsumDense
from ranvier.module.key_values import active_cache
from ranvier.module.serialization import register_module
from ranvier.ops import arrays, functional
from ranvier.ops.functional.attention import attend, attention_means, attention_weights
from ranvier.ops.functional.scoring import HEADS_LAST, Scoring
from ranvier.tensor.rng import draw


class HeadsAttention(Layer):
    """What both layers share: projections, masks, dropout."""

    supports_masking = True
    query_dense: EinsumDense
    key_dense: EinsumDense
    value_dense: EinsumDense
    gate_dense: EinsumDense
    output_dense: EinsumDense
    use_bias: bool
    outputs: tuple[int, ...] | None = None  # of the last projection; None: the features of the queries

    def _settings(
        self,
        dropout: float,
        use_bias: bool,
        sliding_window: int | None,
        flash_attention: bool | None,
        use_gate: bool,
        seed: int | None,
        **weights: Any,
    ) -> None:
        """Store what both constructors take; ``weights`` are the settings of all projections."""
        self.dropout, self.use_bias = check_rate(dropout, self.name), use_bias
        self.sliding_window = None if sliding_window is None else whole(sliding_window, "sliding_window", self.name)
        self.flash_attention, self.use_gate, self.seed = flash_attention, use_gate, seed
        self._projection_settings = weights

    def _projection(
        self, name: str, shape: Sequence[Any], summed: int, kept: Sequence[int], activation: Any = None
    ) -> EinsumDense:
        """A built layer that replaces the last ``summed`` axes of its inputs by axes of the extents ``kept``."""
        letters = string.ascii_letters
        free, ends = len(shape) - summed, len(shape) + len(kept)
        outer, inner, made = letters[:free], letters[free : len(shape)], letters[len(shape) : ends]
        layer = EinsumDense(
            f"{outer}{inner},{inner}{made}->{outer}{made}", (*[None] * (free - 1), *kept), activation,
            made if self.use_bias else None, name=name, **self._projection_settings,
        )  # fmt: skip
        layer.supports_masking = True  # it keeps the positions
        layer.build(shape)
        return layer

    def _make_projections(
        self, shapes: tuple[Any, Any, Any], heads: tuple[int, int], sizes: tuple[int, int], outputs: Sequence[int]
    ) -> None:
        """The projections of queries, keys and values of these shapes, with as many heads and of these sizes."""
        query, value, key = shapes
        (many, few), (key_size, value_size) = heads, sizes
        self.query_dense = self._projection("query", query, 1, (many, key_size))
        self.key_dense = self._projection("key", key, 1, (few, key_size))
        if self.use_gate:
            self.gate_dense = self._projection("gate", query, 1, (many, value_size), "sigmoid")
        self.value_dense = self._projection("value", value, 1, (few, value_size))
        self.output_dense = self._projection("attention_output", (*query[:-1], many, value_size), 2, outputs)

    def forward(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        key = value if key is None else key
        scoring = self._scoring(query.ndim, use_causal_mask)
        mask = self._seen(query_mask, value_mask, key_mask, attention_mask, query.ndim + scoring.axes, scoring.axes)
        queries, keys, values = self.query_dense(query), self.key_dense(key), self.value_dense(value)
        start = None
        cache = active_cache(query)
        if cache is not None and use_causal_mask:
            if mask is not None:
                raise ValueError(
                    f"layer {self.name!r} takes no masks from a KeyValueCache. Write prompts of one length."
                )
            keys, values = cache.extended(self, keys, values, 1)
            start = cache.position
        rate = self.dropout if (self.training if training is None else training) else 0.0
        noise = draw(self.seed) if rate else ()
        weights = None
        if return_attention_scores:
            weights = attention_weights(queries, keys, mask, None, start, scoring=scoring)
            used = functional.dropout(weights, *noise, rate=rate) if rate else weights
            y = attention_means(used, values, scoring)
        else:
            y = attend(queries, keys, values, mask, None, start, *noise, scoring=scoring, rate=rate)
        if self.use_gate:
            y = arrays.multiply(y, self.gate_dense(query))
        y = self.output_dense(y)
        return (y, weights) if return_attention_scores else y

    def _scoring(self, dimensions: int, causal: bool) -> Scoring:
        """The scores of queries of this many dimensions."""
        return Scoring(HEADS_LAST, causal=causal, window=self.sliding_window)

    def _seen(
        self, query_mask: Any, value_mask: Any, key_mask: Any, attention_mask: Any, dimensions: int, axes: int
    ) -> Any:
        """Which keys each query sees, in ``dimensions``, the last of ``axes`` for queries and keys each."""
        parts = [arrays.expand_dims(m, -2) for m in (value_mask, key_mask) if m is not None]
        parts += [] if query_mask is None else [arrays.expand_dims(query_mask, -1)]
        parts += [] if attention_mask is None else [attention_mask]
        mask = None
        for part in parts:
            truth = arrays.cast(part, "bool")
            mask = truth if mask is None else arrays.logical_and(mask, truth)
        while mask is not None and mask.ndim < dimensions:
            mask = arrays.expand_dims(mask, -2 * axes - 1)
        return mask

    def compute_output_shape(  # type: ignore[override]  # several shapes, as Keras's
        self, query_shape: Sequence[Any], value_shape: Sequence[Any], key_shape: Sequence[Any] | None = None
    ) -> tuple[Any, ...]:
        """The shape of the result. Raises ValueError where values and keys have different positions."""
        keys = value_shape if key_shape is None else key_shape
        if tuple(value_shape[1:-1]) != tuple(keys[1:-1]):
            raise ValueError(
                f"layer {self.name!r} was given values of shape {tuple(value_shape)} and keys {tuple(keys)}. Write a "
                "key for each value instead: shapes that are equal but for the features."
            )
        return (*query_shape[:-1], *(self.outputs or query_shape[-1:]))

    def compute_mask(self, query: Any, previous_mask: Any = None) -> Any:
        """The mask of the queries."""
        return previous_mask[0] if isinstance(previous_mask, (list, tuple)) else previous_mask


@register_module
class MultiHeadAttention(HeadsAttention):
    """Attention of several heads: queries (batch, t, q), values (batch, s, v) and keys (batch, s, k) -> (batch, t, q).

    Each head projects queries and keys to ``key_dim`` features and values to ``value_dim`` (None: as many), and weights
    the values by softmax of the products over ``sqrt(key_dim)``; a last projection makes ``output_shape`` of all heads
    (None: the features of the queries). Keys are the values if none are given. ``dropout`` drops weights while
    training. ``sliding_window`` hides the keys so many positions away, or more; ``use_gate`` multiplies each head by a
    sigmoid of the queries. ``attention_axes`` are those of the positions (None: all between the batch and the
    features). ``flash_attention`` changes nothing. (Vaswani et al., 2017.)

    In the call, ``query_mask`` (batch, t), ``value_mask`` and ``key_mask`` (batch, s) and ``attention_mask``
    (batch, t, s) are true for what counts, ``use_causal_mask=True`` hides the keys behind each query, and
    ``return_attention_scores=True`` returns the weights, (batch, heads, t, s), too. A query that sees no key has
    weights of 0.
    """

    _shown = "{num_heads}, {key_dim}"

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        activity_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        use_gate: bool = False,
        seed: int | None = None,
        **options: Unpack[OptionsWithInputDim],
    ) -> None:
        super().__init__(**options)
        self.num_heads, self.key_dim = whole(num_heads, "num_heads", self.name), whole(key_dim, "key_dim", self.name)
        self.value_dim = self.key_dim if value_dim is None else whole(value_dim, "value_dim", self.name)
        if not isinstance(output_shape, (int, Sequence, type(None))):
            raise ValueError(f"the output_shape of layer {self.name!r} is {output_shape!r}. Write (10,), for example.")
        outputs = (output_shape,) if isinstance(output_shape, int) else output_shape
        self.outputs = None if outputs is None else tuple(whole(d, "output_shape", self.name) for d in outputs)
        axes = (attention_axes,) if isinstance(attention_axes, int) else attention_axes
        self.attention_axes = None if axes is None else tuple(axes)
        self._settings(
            dropout, use_bias, sliding_window, flash_attention, use_gate, seed,
            kernel_initializer=kernel_initializer, bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer, bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer, kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
        )  # fmt: skip

    def build(  # type: ignore[override]  # several shapes, as Keras's
        self, query_shape: Sequence[Any], value_shape: Sequence[Any], key_shape: Any = None
    ) -> None:
        heads, sizes = (self.num_heads, self.num_heads), (self.key_dim, self.value_dim)
        shapes = (query_shape, value_shape, value_shape if key_shape is None else key_shape)
        self._make_projections(shapes, heads, sizes, self.outputs or (query_shape[-1],))

    def _scoring(self, dimensions: int, causal: bool) -> Scoring:
        if dimensions == 3:
            return super()._scoring(dimensions, causal)
        between = range(1, dimensions - 1)
        axes = [a % dimensions for a in (between if self.attention_axes is None else self.attention_axes)]
        if (causal or self.sliding_window is not None) and len(axes) > 1:
            raise ValueError(
                f"layer {self.name!r} attends along axes {axes}, which have no order. Write one of attention_axes for "
                "a causal mask or a sliding window."
            )
        letters = string.ascii_letters
        query = letters[: dimensions + 1]  # the batch, positions, heads and features
        key = "".join(letters[dimensions + 1 + i] if i in axes else c for i, c in enumerate(query))
        outer = "".join(c for i, c in enumerate(query[:-1]) if i not in axes)
        weights = outer + "".join(query[a] for a in axes) + "".join(key[a] for a in axes)
        value = key[:-1] + letters[-1]
        equations = (f"{query},{key}->{weights}", f"{weights},{value}->{query[:-1]}{letters[-1]}")
        return Scoring(equations, 1 / self.key_dim**0.5, causal, self.sliding_window, axes=len(axes))


@register_module
class GroupQueryAttention(HeadsAttention):
    """Attention whose queries have ``num_query_heads``, of which several share each of ``num_key_value_heads``.

    Queries (batch, t, d), values and keys (batch, s, d) -> (batch, t, d), with heads of ``head_dim`` features. All else
    is as in `MultiHeadAttention`. Raises ValueError where the first number is no multiple of the second. (Ainslie et
    al., 2023.)
    """

    _shown = "{head_dim}, {num_query_heads}, {num_key_value_heads}"

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        activity_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        use_gate: bool = False,
        seed: int | None = None,
        **options: Unpack[OptionsWithInputDim],
    ) -> None:
        super().__init__(**options)
        self.head_dim = whole(head_dim, "head_dim", self.name)
        self.num_query_heads = whole(num_query_heads, "num_query_heads", self.name)
        self.num_key_value_heads = whole(num_key_value_heads, "num_key_value_heads", self.name)
        if num_query_heads % num_key_value_heads:
            raise ValueError(
                f"layer {self.name!r} has num_query_heads={num_query_heads} and num_key_value_heads="
                f"{num_key_value_heads}. Write a multiple of the second as the first instead."
            )
        self._settings(
            dropout, use_bias, sliding_window, flash_attention, use_gate, seed,
            kernel_initializer=kernel_initializer, bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer, bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer, kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
        )  # fmt: skip

    def build(  # type: ignore[override]  # several shapes, as Keras's
        self, query_shape: Sequence[Any], value_shape: Sequence[Any], key_shape: Any = None
    ) -> None:
        shapes = (query_shape, value_shape, value_shape if key_shape is None else key_shape)
        heads = (self.num_query_heads, self.num_key_value_heads)
        self._make_projections(shapes, heads, (self.head_dim, self.head_dim), (query_shape[-1],))

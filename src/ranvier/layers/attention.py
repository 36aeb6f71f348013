"""Attention between sequences of one size: Attention and AdditiveAttention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from ranvier.graph.node import Node
from ranvier.layers.annotations import LayerOptions
from ranvier.layers.base import Layer
from ranvier.layers.dropout import check_rate
from ranvier.module.parameter import Parameter
from ranvier.module.serialization import register_module
from ranvier.ops import arrays, functional
from ranvier.ops.functional.attention import attention_weights, weights_of
from ranvier.ops.functional.scoring import Scoring
from ranvier.tensor.function import function
from ranvier.tensor.rng import draw


@function
def sums_of_tanh(query: Node, key: Node, scale: Node | float = 1.0, inside: Node | float = 1.0) -> Node:
    """The sum over the features of ``scale * tanh(inside * (query + key))``: (b, t, d), (b, s, d) -> (b, t, s)."""
    pairs = arrays.add(arrays.expand_dims(query, -2), arrays.expand_dims(key, -3))
    return arrays.sum(arrays.multiply(arrays.tanh(arrays.multiply(pairs, inside)), scale), -1)


@register_module
class Attention(Layer):
    """Means of the values, weighted by how well their keys fit each query (Luong et al., 2015).

    It is called on a list: queries (batch, t, d), values (batch, s, v) and, if they are not the values, keys
    (batch, s, d). The result is (batch, t, v); with ``return_attention_scores=True`` the weights, (batch, t, s), come
    with it. ``mask=[query_mask, value_mask]`` hides positions: values from all queries, and the results of queries,
    which are 0 there. ``use_causal_mask=True`` hides the values behind each query. A query that sees no value gives 0.

    ``score_mode`` is "dot", or "concat" for the sum of ``tanh(query + key)`` times a trained weight. ``use_scale``
    trains a factor. ``dropout`` drops weights while training, by ``seed`` if given.
    """

    supports_masking = True
    scale: Parameter | None
    concat_score_weight: Parameter | None

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        if score_mode not in ("dot", "concat"):
            raise ValueError(
                f"the score_mode of layer {self.name!r} is {score_mode!r}. Write 'dot' or 'concat' instead."
            )
        self.use_scale, self.score_mode = use_scale, score_mode
        self.dropout, self.seed = check_rate(dropout, self.name), seed

    def _takes_lists(self) -> bool:
        return True

    def build(self, input_shape: Sequence[Any]) -> None:
        self._several(input_shape, "inputs")
        for name, wanted in (("scale", self.use_scale), ("concat_score_weight", self.score_mode == "concat")):
            self.register_parameter(name, None) if not wanted else self.add_weight((), "ones", name=name)

    def forward(
        self,
        inputs: Sequence[Any],
        mask: Sequence[Any] | None = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        query, value, *rest = self._several(inputs, "inputs")
        key = rest[0] if rest else value
        query_mask, value_mask, *_ = (None, None) if mask is None else self._several(mask, "mask")
        seen = None if value_mask is None else arrays.expand_dims(arrays.cast(value_mask, "bool"), -2)
        weights = self.weights_of(query, key, seen, Scoring(scale=1.0, causal=use_causal_mask))
        if self.dropout and (self.training if training is None else training):
            weights = functional.dropout(weights, *draw(self.seed), rate=self.dropout)
        y = arrays.matmul(weights, value)
        if query_mask is not None:
            y = arrays.where(arrays.expand_dims(arrays.cast(query_mask, "bool"), -1), y, 0)
        return (y, weights) if return_attention_scores else y

    def weights_of(self, query: Any, key: Any, mask: Any, scoring: Scoring) -> Any:
        """The weights of the keys, (batch, t, s); ``mask`` is true where a key may be seen."""
        if self.score_mode == "dot":
            scaled = query if self.scale is None else arrays.multiply(query, self.scale)
            return attention_weights(scaled, key, mask, scoring=scoring)
        inside = 1.0 if self.scale is None else self.scale
        return weights_of(sums_of_tanh(query, key, self.concat_score_weight, inside), mask, scoring=scoring)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the queries, from a list with that of each input."""
        return None if mask is None else self._several(mask, "mask")[0]

    def _several(self, given: Any, what: str) -> Sequence[Any]:
        if not isinstance(given, (list, tuple)) or not 2 <= len(given) <= 3 or any(isinstance(x, int) for x in given):
            raise ValueError(
                f"layer {self.name!r} was given {what} that are no list of two or three. Write "
                f"{self.name}([query, value, key], mask=[query_mask, value_mask]) instead; the key may be left out."
            )
        return given


@register_module
class AdditiveAttention(Attention):
    """`Attention` by the sum of ``scale * tanh(query + key)`` over the features (Bahdanau et al., 2015).

    ``use_scale`` trains a factor for each feature.
    """

    def __init__(
        self, use_scale: bool = True, dropout: float = 0.0, seed: int | None = None, **options: Unpack[LayerOptions]
    ) -> None:
        super().__init__(use_scale, dropout=dropout, seed=seed, **options)

    def build(self, input_shape: Sequence[Any]) -> None:
        self._several(input_shape, "inputs")
        self.register_parameter("scale", None)
        if self.use_scale:
            self.add_weight((input_shape[0][-1],), "glorot_uniform", name="scale")

    def weights_of(self, query: Any, key: Any, mask: Any, scoring: Scoring) -> Any:
        scale = 1.0 if self.scale is None else self.scale
        return weights_of(sums_of_tanh(query, key, scale), mask, scoring=scoring)

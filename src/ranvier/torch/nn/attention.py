"""MultiheadAttention with PyTorch's arguments, defaults, initial values and names of weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ranvier.data.memory import check_memory
from ranvier.graph.node import Node
from ranvier.initializers import RandomNormal, uniform
from ranvier.layers.base import whole
from ranvier.module import Module, Parameter, register_module
from ranvier.module.key_values import active_cache
from ranvier.ops import arrays
from ranvier.ops.functional.attention import attend, attention_means, attention_weights
from ranvier.ops.functional.scoring import HEADS_LAST, LENGTH_FIRST, Scoring
from ranvier.ops.torch.attention import seen_and_added
from ranvier.ops.torch.device import Device, check_device
from ranvier.ops.torch.dtypes import dtype_name
from ranvier.ops.torch.noise import share
from ranvier.ops.torch.products import linear
from ranvier.tensor.context import get_dtype
from ranvier.tensor.function import function
from ranvier.tensor.rng import draw
from ranvier.torch.nn import functional as F
from ranvier.torch.nn.attention_backends import SDPBackend, sdpa_kernel
from ranvier.torch.nn.layers import Linear

__all__ = ["MultiheadAttention", "SDPBackend", "sdpa_kernel"]


@register_module(name="torch.MultiheadAttention")
class MultiheadAttention(Module):
    """Attention of ``num_heads`` heads: queries (L, N, E), keys (S, N, kdim) and values (S, N, vdim) -> (L, N, E).

    With ``batch_first`` the batch N comes first; it may be left out. It returns the result and, if ``need_weights``,
    the weights: (N, L, S), the mean of the heads, or (N, heads, L, S) if not ``average_attn_weights``.

    ``key_padding_mask`` (N, S) and ``attn_mask``, (L, S) or (N * heads, L, S), hold True for what is hidden, or numbers
    that are added to the scores. ``is_causal`` says that ``attn_mask`` hides the keys behind each query. A query that
    sees no key has weights of 0. ``add_bias_kv`` adds a trained key and value, ``add_zero_attn`` those of zeros.

    The weights start as PyTorch's. Raises ValueError if the heads do not divide ``embed_dim``. (Vaswani et al., 2017.)
    """

    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Device = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        check_device(device)
        self.embed_dim = whole(embed_dim, "embed_dim", self.name)
        self.num_heads = whole(num_heads, "num_heads", self.name)
        if embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention of {embed_dim} features with {num_heads} heads. Write an embed_dim that is a "
                "multiple of num_heads instead."
            )
        self.kdim = embed_dim if kdim is None else whole(kdim, "kdim", self.name)
        self.vdim = embed_dim if vdim is None else whole(vdim, "vdim", self.name)
        self.head_dim, self.dropout = embed_dim // num_heads, share(dropout, "MultiheadAttention")
        self.batch_first, self.add_zero_attn = batch_first, add_zero_attn
        same = self.kdim == self.vdim == embed_dim
        name = dtype_name(dtype) or get_dtype()
        shapes: dict[str, tuple[int, ...] | None] = {
            "q_proj_weight": None if same else (embed_dim, embed_dim),
            "k_proj_weight": None if same else (embed_dim, self.kdim),
            "v_proj_weight": None if same else (embed_dim, self.vdim),
            "in_proj_weight": (3 * embed_dim, embed_dim) if same else None,
            "in_proj_bias": (3 * embed_dim,) if bias else None,
            "bias_k": (1, 1, embed_dim) if add_bias_kv else None,
            "bias_v": (1, 1, embed_dim) if add_bias_kv else None,
        }
        for key, shape in shapes.items():
            if shape is not None:
                check_memory(shape, name, f"the {key} of layer {self.name!r}")
            self.register_parameter(key, None if shape is None else Parameter.over(_drawn(shape, name)))
        self.out_proj = Linear(embed_dim, embed_dim, bias, device, dtype)
        if self.out_proj.bias is not None:
            self.out_proj.bias.assign(np.zeros(embed_dim))

    def _reset_parameters(self) -> None:
        """Draw new initial values of all but ``out_proj``'s weight, as PyTorch does."""
        for parameter in self.parameters(recurse=False):
            parameter.assign(_drawn(parameter.shape, parameter.dtype))
        if self.out_proj.bias is not None:
            self.out_proj.bias.assign(np.zeros(self.embed_dim))

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        if is_causal and attn_mask is None:
            raise RuntimeError(
                "is_causal says that attn_mask is causal, and there is none. Write "
                "attn_mask=nn.Transformer.generate_square_subsequent_mask(length) too."
            )
        alone = query.ndim == 2
        if alone:
            same, batch = query is key is value, 0 if self.batch_first else 1
            query, key, value = (arrays.expand_dims(x, batch) for x in (query, key, value))
            query, key, value = (query,) * 3 if same else (query, key, value)
        cache = active_cache(query) if is_causal else None
        causal = cache is not None or (is_causal and not need_weights and key_padding_mask is None)
        mask, bias = self._seen_and_added(None if causal else attn_mask, key_padding_mask)
        more = (None, self.bias_k, self.bias_v)
        queries, keys, values = (
            _in_heads(x, row, heads=self.num_heads, zero=self.add_zero_attn and i > 0, axis=int(self.batch_first))
            for i, (x, row) in enumerate(zip(self._projected(query, key, value), more, strict=True))
        )
        start = None
        if cache is not None:
            if key_padding_mask is not None or not self.batch_first:
                raise ValueError(
                    "MultiheadAttention in a KeyValueCache takes no key_padding_mask, and the batch first. Write "
                    "batch_first=True, and prompts of one length."
                )
            keys, values = cache.extended(self, keys, values, 1)
            start = cache.position
        scoring = Scoring(HEADS_LAST if self.batch_first else LENGTH_FIRST, causal=causal)
        rate = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            weights = F.dropout(attention_weights(queries, keys, mask, bias, start, scoring=scoring), rate)
            y = attention_means(weights, values, scoring)
        else:
            noise = draw() if rate else ()
            y = attend(queries, keys, values, mask, bias, start, *noise, scoring=scoring, rate=rate)
        y = self.out_proj(arrays.flatten(y, 2))
        if weights is not None and average_attn_weights:
            weights = arrays.mean(weights, 1)
        if alone:
            y, weights = arrays.squeeze(y, batch), None if weights is None else arrays.squeeze(weights, 0)
        return y, weights

    def _projected(self, query: Any, key: Any, value: Any) -> tuple[Any, Any, Any]:
        bias = self.in_proj_bias
        if self.in_proj_weight is not None:
            if query is key is value:
                return _in_projection(query, None, None, self.in_proj_weight, bias)
            return _in_projection(query, key, value, self.in_proj_weight, bias)
        parts = (None,) * 3 if bias is None else arrays.split(bias, 3)
        weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        queries, keys, values = map(linear, (query, key, value), weights, parts)
        return queries, keys, values

    def _seen_and_added(self, attn_mask: Any, padding: Any) -> tuple[Any, Any]:
        """Both masks as what is seen, and as what is added to the scores: (N or 1, heads or 1, L or 1, S)."""
        parts = []
        if attn_mask is not None:
            rest = (-1, self.num_heads) if attn_mask.ndim == 3 else (1, 1)
            parts.append(arrays.reshape(attn_mask, (*rest, *attn_mask.shape[-2:])))
        if padding is not None:
            parts.append(arrays.reshape(padding, (*(padding.shape[:-1] or (1,)), 1, 1, padding.shape[-1])))
        more = (self.bias_k is not None) + self.add_zero_attn
        seen = added = None
        for part in parts:
            hidden, bias = seen_and_added(part)
            if hidden is not None:
                own = _also(arrays.logical_not(hidden), more, True)
                seen = own if seen is None else arrays.logical_and(seen, own)
            if bias is not None:
                own = _also(bias, more, False)
                added = own if added is None else arrays.add(added, own)
        return seen, added


def _drawn(shape: tuple[int, ...], dtype: str) -> Any:
    """PyTorch's initial values: zeros of a bias, Xavier's of a weight, whose bounds are those of the whole array."""
    if len(shape) == 1:
        return np.zeros(shape, dtype)
    if len(shape) == 3:  # a key or value that is added
        return RandomNormal(0.0, 1 / math.sqrt(shape[2]))(shape, dtype)
    # In Fortran order, as the weights of `Linear`.
    return uniform(math.sqrt(6 / sum(shape)), shape[::-1], dtype).T


@function
def _in_projection(
    query: Node, key: Node | None, value: Node | None, weight: Node, bias: Node | None
) -> tuple[Node, Node, Node]:
    """Queries, keys and values, by the thirds of a weight and a bias. Without keys and values all are of ``query``."""
    if key is None or value is None:
        first, second, third = arrays.split(linear(query, weight, bias), 3, -1)
        return first, second, third
    weights, biases = arrays.split(weight, 3), (None,) * 3 if bias is None else arrays.split(bias, 3)
    first, second, third = map(linear, (query, key, value), weights, biases)
    return first, second, third


@function
def _in_heads(x: Node, more: Node | None = None, heads: int = 1, zero: bool = False, axis: int = 0) -> Node:
    """Features as (heads, features of each), with one position more, along ``axis``, of ``more`` and one of zeros."""
    if more is not None:
        row = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
        x = arrays.concatenate([x, arrays.broadcast_to(more, row)], axis)
    x = arrays.reshape(x, (*x.shape[:-1], heads, x.shape[-1] // heads))
    return arrays.pad(x, tuple((0, int(zero and i == axis)) for i in range(x.ndim)))


def _also(mask: Any, more: int, value: Any) -> Any:
    """A mask with so many further keys, of this value."""
    return arrays.pad(mask, (*[(0, 0)] * (mask.ndim - 1), (0, more)), value) if more else mask

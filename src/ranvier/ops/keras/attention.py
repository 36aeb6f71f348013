"""Attention as Keras's ``ops`` names it."""

from __future__ import annotations

from typing import Any

from ranvier.graph.dtypes import FLOATING
from ranvier.ops.functional.attention import attend
from ranvier.ops.functional.scoring import HEADS_LAST, Scoring
from ranvier.ops.keras.arrays import limits_of
from ranvier.ops.keras.elementwise import Operand
from ranvier.tensor.context import get_dtype


def dot_product_attention(
    query: Operand,
    key: Operand,
    value: Operand,
    bias: Operand = None,
    mask: Operand = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Any:
    """Means of values (batch, s, heads, size), weighted by softmax of the products of queries (batch, t, heads, size)
    and keys: (batch, t, heads, size). ``bias`` and ``mask``, true for what counts, are (batch, heads, t, s).

    Keys and values of fewer heads serve several heads of the queries each (grouped queries).
    ``is_causal`` masks later positions; ``flash_attention`` changes nothing. A row that sees no key is the mean of
    all values. Attention of Vaswani et al., 2017.
    """
    dtype = query.dtype if query.dtype in FLOATING else get_dtype()
    least = 0.7 * limits_of(dtype)[0] if mask is not None or is_causal else None
    scoring = Scoring(HEADS_LAST, scale, is_causal, None, attn_logits_soft_cap, least)
    return attend(query, key, value, mask, bias, scoring=scoring)

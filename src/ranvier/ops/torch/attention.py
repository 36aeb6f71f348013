"""Attention as ``torch.nn.functional`` names it."""

from __future__ import annotations

from typing import Any

from ranvier.ops.functional.attention import attend
from ranvier.ops.functional.scoring import Scoring
from ranvier.ops.torch.noise import share
from ranvier.tensor.rng import draw


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """``softmax(query @ key.T * scale) @ value``: (..., L, E), (..., S, E), (..., S, V) -> (..., L, V).

    ``attn_mask`` holds where a key may be seen, or is added to the scores; ``is_causal`` shows each query the keys up
    to its own position. A query that sees no key gives 0. ``scale`` is ``1 / sqrt(E)`` by default. With ``enable_gqa``
    the queries may have a multiple of the heads of the keys and values, in dimension -3. (Vaswani et al., 2017.)
    """
    if not enable_gqa and min(query.ndim, key.ndim) > 3 and 1 != query.shape[-3] != key.shape[-3] != 1:
        raise ValueError(
            f"the queries have {query.shape[-3]} heads and the keys {key.shape[-3]}. Write enable_gqa=True if several "
            "heads of queries share one of keys."
        )
    mask, bias = seen_and_added(attn_mask)
    rate = share(dropout_p, "scaled_dot_product_attention")
    noise = draw() if rate else ()
    return attend(
        query, key, value, mask, bias, None, *noise, scoring=Scoring(scale=scale, causal=is_causal), rate=rate
    )


def seen_and_added(attn_mask: Any) -> tuple[Any, Any]:
    """A mask of PyTorch's as what is seen, if it holds truth values, or as what is added to the scores."""
    boolean = attn_mask is not None and attn_mask.dtype == "bool"
    return (attn_mask, None) if boolean else (None, attn_mask)

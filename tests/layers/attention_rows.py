"""Rows of the layers of attention: their value by NumPy, from the layer's weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier import layers

rng = np.random.default_rng(5)
WORDS = rng.standard_normal((2, 4, 6)).astype(np.float32)  # a batch of sequences
VALUES, KEYS = (rng.standard_normal((2, 5, n)).astype(np.float32) for n in (3, 6))
SEEN = np.array([[1, 1, 0, 1, 0], [0, 0, 1, 1, 1]], bool)
WANTED = np.array([[1, 1, 1, 0], [1, 0, 1, 1]], bool)
PAIRS = rng.random((2, 4, 5)) < 0.5
PAIRS[..., 3] = True
CAUSAL = np.tri(4, 5, dtype=bool)


def softmax(scores, mask=True):
    e = np.where(mask, np.exp(scores), 0)
    return e / np.maximum(e.sum(-1, keepdims=True), 1e-30)


def projected(layer, x):
    y = np.einsum("btd,dhe->bthe", x, layer.kernel.numpy())
    return y if layer.bias is None else y + layer.bias.numpy()


def heads(m, query, value, key=None, mask=True):
    """The result of `MultiHeadAttention` and of `GroupQueryAttention`, and the weights; the mask is (batch, t, s)."""
    q, k, v = (projected(layer, x) for layer, x in (
        (m.query_dense, query), (m.key_dense, value if key is None else key), (m.value_dense, value)))  # fmt: skip
    k, v = (np.repeat(x, q.shape[2] // x.shape[2], 2) for x in (k, v))
    scores = np.einsum("bthe,bshe->bhts", q, k) / np.sqrt(q.shape[-1])
    weights = softmax(scores, np.expand_dims(mask, 1) if np.ndim(mask) == 3 else mask)
    y = np.einsum("bhts,bshe->bthe", weights, v)
    if m.use_gate:
        y = y / (1 + np.exp(-projected(m.gate_dense, query)))
    out = m.output_dense
    return np.einsum("bthe,hed->btd", y, out.kernel.numpy()) + (0 if out.bias is None else out.bias.numpy()), weights


def window(width):
    return np.abs(np.subtract.outer(np.arange(4), np.arange(5))) < width


def positions(x):
    angles = np.arange(4)[:, None] / 10000 ** (np.arange(0, 6, 2) / 6)
    return angles, x[..., :3], x[..., 3:]


def rotated(m, x):
    angles, first, second = positions(x)
    parts = [first * np.cos(angles) - second * np.sin(angles), second * np.cos(angles) + first * np.sin(angles)]
    return np.concatenate(parts, -1)


def sines(m, x):
    angles = positions(x)[0]
    return np.broadcast_to(np.stack([np.sin(angles), np.cos(angles)], -1).reshape(4, 6), x.shape)


# of one input: rows of test_layers
ROWS: dict[str, Any] = {
    "einsum dense": (
        lambda: layers.EinsumDense("abc,cde->abde", (None, 2, 5), bias_axes="e", bias_initializer="ones"), WORDS,
        lambda m, x: np.einsum("abc,cde->abde", x, m.kernel.numpy()) + m.bias.numpy()),
    "einsum dense, dots": (
        lambda: layers.EinsumDense("...x,xy->...y", 5, "relu", "y"), WORDS,
        lambda m, x: np.maximum(x @ m.kernel.numpy(), 0)),
    "sine position encoding": (layers.SinePositionEncoding, WORDS, sines),
    "rotary embedding": (layers.RotaryEmbedding, WORDS, rotated),
    "position embedding": (
        lambda: layers.PositionEmbedding(7), WORDS,
        lambda m, x: np.broadcast_to(m.position_embeddings.numpy()[:4], x.shape)),
}  # fmt: skip

# of several: the layer, the arguments of the call, its options, the value
ATTENTIONS: dict[str, Any] = {
    "heads": (lambda: layers.MultiHeadAttention(2, 3), (WORDS, VALUES), {}, heads),
    "heads, keys": (
        lambda: layers.MultiHeadAttention(2, 3, 5, use_bias=False, output_shape=4), (WORDS, VALUES, KEYS), {}, heads),
    "heads, masks": (
        lambda: layers.MultiHeadAttention(2, 3, use_gate=True), (WORDS, VALUES),
        {"query_mask": WANTED, "value_mask": SEEN, "attention_mask": PAIRS},
        lambda m, q, v, k=None: heads(m, q, v, k, mask=WANTED[:, :, None] & SEEN[:, None] & PAIRS)),
    "heads, causal": (
        lambda: layers.MultiHeadAttention(2, 3), (WORDS, VALUES), {"use_causal_mask": True},
        lambda m, q, v, k=None: heads(m, q, v, k, mask=CAUSAL)),
    "heads, window": (
        lambda: layers.MultiHeadAttention(2, 3, sliding_window=2), (WORDS, VALUES), {"use_causal_mask": True},
        lambda m, q, v, k=None: heads(m, q, v, k, mask=CAUSAL & window(2))),
    "groups": (lambda: layers.GroupQueryAttention(3, 4, 2), (WORDS, VALUES, KEYS), {}, heads),
    "groups, masks": (
        lambda: layers.GroupQueryAttention(3, 4, 2, sliding_window=3), (WORDS, VALUES),
        {"key_mask": SEEN, "attention_mask": PAIRS}, lambda m, q, v, k=None: heads(m, q, v, k, mask=SEEN[:, None] & PAIRS & window(3))),
}  # fmt: skip

# of a list
LISTS: dict[str, Any] = {
    "attention": (layers.Attention, {}, lambda m, q, k: q @ k.mT),
    "attention, scaled": (lambda: layers.Attention(use_scale=True), {"use_causal_mask": True}, lambda m, q, k: q @ k.mT),
    "attention, concat": (
        lambda: layers.Attention(score_mode="concat"), {"mask": [WANTED, SEEN]},
        lambda m, q, k: np.tanh(q[:, :, None] + k[:, None]).sum(-1)),
    "additive": (
        layers.AdditiveAttention, {"mask": [WANTED, SEEN], "use_causal_mask": True},
        lambda m, q, k: np.tanh(q[:, :, None] + k[:, None]) @ m.scale.numpy()),
}  # fmt: skip

"""JAX on sequences: recurrences by `lax.scan` with one projection of all inputs before, one jitted function a step."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from benchmarks.contestants import Job
from benchmarks.contestants.images import Array as Samples
from benchmarks.contestants.images.jax_scan import stepped
from benchmarks.sequence import (
    EPSILON,
    Block,
    Convs,
    Dense,
    Embed,
    Mean,
    Norm,
    Part,
    Positions,
    Project,
    Recurrent,
    taken,
)  # fmt: skip
from benchmarks.sequence_networks import SEQUENCES
from benchmarks.workload import Workload

UNROLL = 4  # steps of a loop over time


def _lstm(state: Any, z: Array) -> tuple[Any, Array]:
    _, c = state
    i, f, g, o = jnp.split(z, 4, -1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def _states(kind: str, x: Array, mask: Array | None, weights: list[Array], backward: bool) -> Array:
    """(batch, steps, features) -> the states (steps, batch, units). Where masked, a state stays as it is."""
    kernel, recurrent, bias = weights
    units = len(recurrent)
    inner = bias[1] if kind == "gru" else None
    projected = jnp.einsum("bti,ig->tbg", x, kernel) + (bias if inner is None else bias[0])
    zero = jnp.zeros((len(x), units))

    def step(state: Any, now: Any) -> tuple[Any, Array]:
        z, seen = now
        if kind == "lstm":
            new, h = _lstm(state, z + state[0] @ recurrent)
        elif kind == "gru":
            zh = state @ recurrent + inner
            update, reset = jnp.split(jax.nn.sigmoid(z[:, : 2 * units] + zh[:, : 2 * units]), 2, -1)
            h = update * state + (1 - update) * jnp.tanh(z[:, 2 * units :] + reset * zh[:, 2 * units :])
            new = h
        else:
            new = h = jnp.tanh(z + state @ recurrent)
        if seen is not None:
            new = jax.tree.map(lambda a, b: jnp.where(seen[:, None], a, b), new, state)
            h = new[0] if kind == "lstm" else new
        return new, h

    start = (zero, zero) if kind == "lstm" else zero
    seen = None if mask is None else mask.T
    return lax.scan(step, start, (projected, seen), reverse=backward, unroll=UNROLL)[1]


def _recurrent(part: Recurrent, x: Array, mask: Array | None, weights: list[Array]) -> Array:
    out = []
    for backward in (False, True)[: 1 + part.both]:
        states = _states(part.kind, x, mask, weights[3 * backward : 3 * backward + 3], backward)
        out.append(states.swapaxes(0, 1) if part.every else states[0 if backward else -1])
    return jnp.concatenate(out, -1)


def _norm(x: Array, scale: Array, bias: Array) -> Array:
    mean = x.mean(-1, keepdims=True)
    variance = jnp.square(x - mean).mean(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + EPSILON) * scale + bias


def _block(part: Block, x: Array, weights: list[Array]) -> Array:
    y = _norm(x, *weights[:2])
    parts = [jnp.einsum("btd,dhk->bthk", y, weights[i]) + weights[i + 1] for i in (2, 4, 6)]
    y = jax.nn.dot_product_attention(*parts, is_causal=part.causal)
    x = x + jnp.einsum("bthk,hkd->btd", y, weights[8]) + weights[9]
    hidden = _norm(x, *weights[10:12]) @ weights[12] + weights[13]
    hidden = jax.nn.gelu(hidden, approximate=False) if part.gelu else jax.nn.relu(hidden)
    return x + hidden @ weights[14] + weights[15]


def _part(part: Part, x: Array, mask: Array | None, weights: list[Array]) -> Array:
    match part:
        case Embed():
            return weights[0][x]
        case Project() | Dense():
            return x @ weights[0] + weights[1]
        case Positions():
            return x + weights[0]
        case Recurrent():
            return _recurrent(part, x, mask, weights)
        case Block():
            return _block(part, x, weights)
        case Norm():
            return _norm(x, *weights)
        case Mean():
            return x.mean(1)
        case Convs():
            found = [
                lax.conv_general_dilated(x, kernel, (1,), "VALID", dimension_numbers=("NWC", "WIO", "NWC")) + bias
                for kernel, bias in zip(weights[::2], weights[1::2], strict=True)
            ]
            return jax.nn.relu(jnp.concatenate([y.max(1) for y in found], -1))
    raise TypeError(f"this contestant has no row for {part}")


def sequences(workload: Workload, x: Samples, y: Samples) -> Job:
    sequence = SEQUENCES[workload.network]
    params = [[jnp.array(w) for w in weights] for _, weights in taken(sequence)]

    def objective(params: Any, carried: Any, x: Array, y: Array) -> Any:
        mask = x != 0 if sequence.masked else None
        for part, weights in zip(sequence.parts, params, strict=True):
            x = _part(part, x, mask, weights)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(x), y[..., None], axis=-1)
        return -chosen.mean(), carried

    return stepped(workload, x, y, objective, params)

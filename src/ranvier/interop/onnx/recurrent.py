"""The recurrences of ONNX: RNN, GRU and LSTM, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier import ops as o
from ranvier.interop.foreign import refuse
from ranvier.interop.onnx.table import row
from ranvier.interop.onnx.values import Context, fixed, known, like, tensor
from ranvier.ops import loops

ACTIVATIONS = {"Sigmoid": "sigmoid", "Tanh": "tanh", "Relu": "relu", "Softsign": "softsign", "Softplus": "softplus"}


def _functions(given: Any, default: Sequence[str], directions: int) -> list[Any]:
    names = list(given) if given else list(default) * directions
    if any(name not in ACTIVATIONS for name in names):
        raise refuse(f"activations {names}")
    return [getattr(o, ACTIVATIONS[name]) for name in names]


def _recurrent(
    c: Context, x: Any, w: Any, r: Any, b: Any, lengths: Any, states: list[Any], step: Any, options: dict[str, Any]
) -> Any:
    """Steps over time in each direction. ``step`` is given the input, the states, the weights and the direction."""
    if options.get("layout"):
        x = o.transpose(x, axes=(1, 0, 2))
        states = [None if s is None else o.transpose(s, axes=(1, 0, 2)) for s in states]
    time, batch, directions = fixed(x, 0), x.shape[1], fixed(w, 0)
    hidden = fixed(r, 2)
    if options.get("clip") is not None:
        raise refuse("clip")
    if lengths is not None and np.any(known(lengths, "sequence_lens") != time):
        raise refuse("sequences of several lengths")
    steps = o.transpose(x, axes=(1, 0, 2))  # programs have the batch first
    every, last = [], []
    for d in range(directions):
        kind = options.get("direction", "forward")
        backward = kind == "reverse" or d == 1
        start = o.broadcast_to(tensor(np.zeros((1, 1), x.dtype.name)), (batch, hidden))
        held = [start if s is None else s[d] for s in states]
        bias = None if b is None else b[d]

        def body(held: list[Any], x: Any, bias: Any = bias, d: int = d) -> tuple[list[Any], Any]:
            after = step(x, held, w[d], r[d], bias, d)
            return after, after[0]

        held, outputs = loops.scan(body, held, steps, axis=1, reverse=backward)
        every.append(o.transpose(outputs, axes=(1, 0, 2)))
        last.append(held)
    y = o.stack(every, axis=1)
    finals = [o.stack([held[i] for held in last], axis=0) for i in range(len(states))]
    if options.get("layout"):
        y, finals = o.transpose(y, axes=(2, 0, 1, 3)), [o.transpose(f, axes=(1, 0, 2)) for f in finals]
    return tuple(like(part, x) for part in (y, *finals))


def _gate(x: Any, h: Any, w: Any, r: Any, b: Any, i: int, n: int, gates: int) -> Any:
    """The sum of what the input and the state give for a gate."""
    part = slice(i * n, (i + 1) * n)
    total = o.add(o.matmul(x, o.transpose(w[part])), o.matmul(h, o.transpose(r[part])))
    if b is None:
        return total
    return o.add(total, o.add(b[part], b[(gates + i) * n : (gates + i + 1) * n]))


@row("RNN")
def rnn(
    c: Context,
    x: Any,
    w: Any,
    r: Any,
    b: Any = None,
    lengths: Any = None,
    h0: Any = None,
    hidden_size: int = 0,
    activations: Any = None,
    **options: Any,
) -> Any:
    n = fixed(r, 2)
    functions = _functions(activations, ["Tanh"], fixed(w, 0))

    def step(x: Any, held: list[Any], w: Any, r: Any, b: Any, d: int) -> list[Any]:
        return [functions[d](_gate(x, held[0], w, r, b, 0, n, 1))]

    return _recurrent(c, x, w, r, b, lengths, [h0], step, options)[: c.outputs]


@row("GRU")
def gru(
    c: Context,
    x: Any,
    w: Any,
    r: Any,
    b: Any = None,
    lengths: Any = None,
    h0: Any = None,
    hidden_size: int = 0,
    activations: Any = None,
    linear_before_reset: int = 0,
    **options: Any,
) -> Any:
    n = fixed(r, 2)
    functions = _functions(activations, ["Sigmoid", "Tanh"], fixed(w, 0))

    def step(x: Any, held: list[Any], w: Any, r: Any, b: Any, d: int) -> list[Any]:
        (h,), f, g = held, functions[2 * d], functions[2 * d + 1]
        z, reset = (f(_gate(x, h, w, r, b, i, n, 3)) for i in (0, 1))
        if linear_before_reset:
            own = None if b is None else o.concatenate([b[: 3 * n], o.zeros_like(b[3 * n :])], axis=0)
            held_back = None if b is None else o.subtract(b, own)
            inner = _gate(o.zeros_like(x), h, w, r, held_back, 2, n, 3)
            outer = _gate(x, o.zeros_like(h), w, r, own, 2, n, 3)
            new = g(o.add(outer, o.multiply(reset, inner)))
        else:
            new = g(_gate(x, o.multiply(reset, h), w, r, b, 2, n, 3))
        return [o.add(o.multiply(o.subtract(1, z), new), o.multiply(z, h))]

    return _recurrent(c, x, w, r, b, lengths, [h0], step, options)[: c.outputs]


@row("LSTM")
def lstm(
    c: Context,
    x: Any,
    w: Any,
    r: Any,
    b: Any = None,
    lengths: Any = None,
    h0: Any = None,
    c0: Any = None,
    peepholes: Any = None,
    hidden_size: int = 0,
    activations: Any = None,
    input_forget: int = 0,
    **options: Any,
) -> Any:
    n = fixed(r, 2)
    functions = _functions(activations, ["Sigmoid", "Tanh", "Tanh"], fixed(w, 0))
    if input_forget:
        raise refuse("input_forget")

    def step(x: Any, held: list[Any], w: Any, r: Any, b: Any, d: int) -> list[Any]:
        (h, cell), (f, g, out) = held, functions[3 * d : 3 * d + 3]
        i, og, fg, cg = (_gate(x, h, w, r, b, k, n, 4) for k in range(4))
        if peepholes is not None:
            p = peepholes[d]
            i, fg = o.add(i, o.multiply(p[:n], cell)), o.add(fg, o.multiply(p[2 * n :], cell))
        new = o.add(o.multiply(f(fg), cell), o.multiply(f(i), g(cg)))
        if peepholes is not None:
            og = o.add(og, o.multiply(peepholes[d][n : 2 * n], new))
        return [o.multiply(f(og), out(new)), new]

    return _recurrent(c, x, w, r, b, lengths, [h0, c0], step, options)[: c.outputs]

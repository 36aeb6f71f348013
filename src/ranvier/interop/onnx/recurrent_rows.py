"""Recurrent layers that leave as one operator of ONNX each."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier import activations
from ranvier.interop.onnx.builder import Builder, Value
from ranvier.interop.onnx.layer_rows import layer, refuse
from ranvier.tensor.function import same_function

# By layer, the order of ONNX's gates among Keras's.
ORDERS = {"LSTM": (0, 3, 1, 2), "GRU": (0, 1, 2), "SimpleRNN": (0,)}
KINDS = {"SimpleRNN": "RNN"}


def _plain(cell: Any, name: str, function: str) -> None:
    given = getattr(cell, name, None)
    if given is not None and not same_function(getattr(activations, function), given):
        raise refuse(f"its {name} is not {function}")


@layer("LSTM", "GRU", "SimpleRNN")
def recurrent(b: Builder, m: Any, x: Value) -> str:
    title, cell = type(m).__name__, m.cell
    if m.return_state or m.stateful or (m.go_backwards and m.return_sequences):
        raise refuse("it returns or keeps its states, or a sequence backwards")
    _plain(cell, "activation", "tanh")
    _plain(cell, "recurrent_activation", "sigmoid")
    n, order = cell.units, ORDERS[title]

    def gates(array: Any) -> Any:
        """(inputs, gates * n) as (1, gates * n, inputs), in ONNX's order."""
        parts = np.split(array, len(order), axis=-1)
        return np.concatenate([parts[i] for i in order], axis=-1).T[None]

    def biases(array: Any) -> Any:
        """Those of the input and those of the state, one after the other."""
        rows = array if array.ndim == 2 else np.stack([array, np.zeros_like(array)])
        return np.concatenate([gates(row[None])[0, :, 0] for row in rows])[None]

    given = [b.weight(cell.kernel, gates), b.weight(cell.recurrent_kernel, gates)]
    given += [] if cell.bias is None else [b.weight(cell.bias, biases)]
    options: dict[str, Any] = {"hidden_size": n, "direction": "reverse" if m.go_backwards else "forward"}
    if title == "GRU":
        options["linear_before_reset"] = int(cell.reset_after)
    steps = b.transpose(x.name, (1, 0, 2))
    every = b.op(KINDS.get(title, title), steps, *given, outputs=2, **options)
    if not m.return_sequences:
        return b.op("Squeeze", every.removesuffix(":0") + ":1", b.constant(np.array([0], np.int64), "axes"))
    one = b.op("Squeeze", every, b.constant(np.array([1], np.int64), "axes"))
    return b.transpose(one, (1, 0, 2))

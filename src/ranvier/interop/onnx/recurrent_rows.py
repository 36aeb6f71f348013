"""Recurrent layers that leave as one operator of ONNX each, in one direction or in both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier import activations
from ranvier.interop.foreign import refuse
from ranvier.interop.onnx.builder import Builder, Value
from ranvier.interop.onnx.layer_rows import layer
from ranvier.tensor.function import same_function

# By layer, the operator and the order of its gates among the layer's: those of Keras, then those of PyTorch.
KINDS = {"LSTM": "LSTM", "GRU": "GRU", "SimpleRNN": "RNN"}
ORDERS = {"LSTM": (0, 3, 1, 2), "GRU": (0, 1, 2), "SimpleRNN": (0,)}
TORCH_ORDERS = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}


def _ordered(array: Any, order: Sequence[int]) -> Any:
    """(gates * n, ...) in another order of the gates."""
    parts = np.split(array, len(order), axis=0)
    return np.concatenate([parts[i] for i in order], axis=0)


def _joined(b: Builder, parts: Sequence[str], axis: int) -> str:
    return parts[0] if len(parts) == 1 else b.op("Concat", *parts, axis=axis)


def _without(b: Builder, x: str, axis: int) -> str:
    return b.op("Squeeze", x, b.axes(axis))


def _backwards(b: Builder, x: str, axis: int) -> str:
    """The steps in the other order."""
    ends = (b.axes(n, base=base) for n, base in ((-1, "starts"), (-np.iinfo(np.int64).max, "ends"), (axis, "axes")))
    return b.op("Slice", x, *ends, b.axes(-1, base="steps"))


# --- Keras's ------------------------------------------------------------------------------------------------------


def _plain(cell: Any, name: str, function: str) -> None:
    given = getattr(cell, name, None)
    if given is not None and not same_function(getattr(activations, function), given):
        raise refuse(f"its {name} is not {function}")


def _check(m: Any) -> str:
    """The class of a recurrent layer with an operator. Raises UnsupportedError for others."""
    title = str(vars(type(m)).get("_registered"))
    if title not in ORDERS or m.stateful:
        raise refuse("it is no LSTM, GRU or SimpleRNN, or it keeps its states")
    _plain(m.cell, "activation", "tanh")
    _plain(m.cell, "recurrent_activation", "sigmoid")
    return title


def _weights(b: Builder, title: str, cell: Any) -> list[str]:
    """The weights of one direction, each with its axis before the others."""
    order = ORDERS[title]

    def gates(array: Any) -> Any:
        return _ordered(array.T, order)[None]

    def biases(array: Any) -> Any:
        """Those of the input and those of the state, one after the other."""
        rows = array if array.ndim == 2 else np.stack([array, np.zeros_like(array)])
        return np.concatenate([_ordered(row, order) for row in rows])[None]

    given = [b.weight(cell.kernel, gates), b.weight(cell.recurrent_kernel, gates)]
    return given if cell.bias is None else [*given, b.weight(cell.bias, biases)]


def _run(b: Builder, title: str, layers: Sequence[Any], direction: str, x: Value, states: Sequence[str]) -> list[str]:
    """The outputs (steps, directions, batch, units), and the last states (directions, batch, units)."""
    cell = layers[0].cell
    parts = [_weights(b, title, m.cell) for m in layers]
    options: dict[str, Any] = {"hidden_size": cell.units, "direction": direction}
    if title == "GRU":
        options["linear_before_reset"] = int(cell.reset_after)
    weights = [_joined(b, column, 0) for column in zip(*parts, strict=True)]
    if states and len(weights) == 2:
        weights.append("")
    given = [*weights, *([""] if states else []), *states]
    count = 3 if title == "LSTM" else 2
    return b.ops(KINDS[title], b.transpose(x.name, (1, 0, 2)), *given, outputs=count, **options)


@layer("LSTM", "GRU", "SimpleRNN")
def recurrent(b: Builder, m: Any, x: Value, *states: Value) -> list[str]:
    title = _check(m)
    first = [b.op("Unsqueeze", s.name, b.axes(0)) for s in states]
    every, *last = _run(b, title, [m], "reverse" if m.go_backwards else "forward", x, first)
    ends = [_without(b, name, 0) for name in last]
    if m.return_sequences:
        y = b.transpose(_without(b, every, 1), (1, 0, 2))
        y = _backwards(b, y, 1) if m.go_backwards else y
    else:
        y = ends[0]
    return [y, *ends] if m.return_state else [y]


JOINS = {"sum": "ReduceSum", "mul": "ReduceProd", "ave": "ReduceMean"}


@layer("Bidirectional")
def bidirectional(b: Builder, m: Any, x: Value) -> list[str]:
    both = (m.forward_layer, m.backward_layer)
    titles = [_check(each) for each in both]
    cells = [each.cell for each in both]
    if titles[0] != titles[1] or both[0].go_backwards or len({(c.units, c.bias is None) for c in cells}) > 1:
        raise refuse("its layers are not alike")
    if titles[0] == "GRU" and cells[0].reset_after != cells[1].reset_after:
        raise refuse("its layers are not alike")
    every, *last = _run(b, titles[0], both, "bidirectional", x, [])
    units = cells[0].units
    if m.return_sequences:  # (steps, directions, batch, units)
        pair, axis, order = every, 1, tuple[int, ...]((2, 0, 1, 3))
    else:
        pair, axis, order = last[0], 0, (1, 0, 2)
    if m.merge_mode == "concat":
        dims = [0, 0, 2 * units] if m.return_sequences else [0, 2 * units]
        merged = [b.op("Reshape", b.transpose(pair, order), b.axes(*dims, base="shape"))]
    else:
        if m.merge_mode is None:
            found = [b.op("Gather", pair, b.constant(np.int64(i), "direction"), axis=axis) for i in (0, 1)]
        else:
            found = [b.op(JOINS[m.merge_mode], pair, b.axes(axis), keepdims=0)]
        merged = [b.transpose(name, (1, 0, 2)) for name in found] if m.return_sequences else found
    if not m.return_state:
        return merged
    ends = [b.op("Gather", s, b.constant(np.int64(i), "direction"), axis=0) for i in (0, 1) for s in last]
    return [*merged, *ends]


# --- PyTorch's ----------------------------------------------------------------------------------------------------


@layer("torch.LSTM", "torch.GRU", "torch.RNN")
def recurrent_torch(b: Builder, m: Any, x: Value, *states: Value) -> list[str]:
    kind = type(m).__name__
    if x.ndim != 3 or m.proj_size:
        raise refuse("it has a projection, or no batch")
    order, steps = TORCH_ORDERS[kind], x.name if not m.batch_first else b.transpose(x.name, (1, 0, 2))
    options: dict[str, Any] = {
        "hidden_size": m.hidden_size,
        "direction": "bidirectional" if m.bidirectional else "forward",
    }
    if kind == "GRU":
        options["linear_before_reset"] = 1
    elif kind == "RNN":
        options["activations"] = [{"tanh": "Tanh", "relu": "Relu"}[m.nonlinearity]] * m.directions

    def rows(array: Any) -> Any:
        return _ordered(array, order)[None]

    last: list[list[str]] = []
    for layer_ in range(m.num_layers):
        columns: list[list[str]] = [[], [], []]
        for names in m._names(layer_):
            ih, hh, *both = (b.weight(m._parameters[n], rows) for n in names if n in m._parameters)
            columns[0].append(ih)
            columns[1].append(hh)
            columns[2] += [b.op("Concat", *both, axis=1)] if both else []
        weights = [_joined(b, column, 0) if column else "" for column in columns]
        first = [_part(b, s.name, layer_ * m.directions, m.directions) for s in states]
        given = [*weights, *(["", *first] if first else [])]
        every, *ends = b.ops(kind, steps, *given, outputs=3 if kind == "LSTM" else 2, **options)
        last.append(ends)
        if m.directions == 1:
            steps = _without(b, every, 1)
        else:  # (steps, directions, batch, units)
            shape = b.axes(0, 0, 2 * m.hidden_size, base="shape")
            steps = b.op("Reshape", b.transpose(every, (0, 2, 1, 3)), shape)
    y = steps if not m.batch_first else b.transpose(steps, (1, 0, 2))
    return [y, *(_joined(b, column, 0) for column in zip(*last, strict=True))]


def _part(b: Builder, name: str, start: int, count: int) -> str:
    """The states of one layer."""
    cuts = (b.axes(n, base=base) for n, base in ((start, "starts"), (start + count, "ends"), (0, "axes")))
    return b.op("Slice", name, *cuts)

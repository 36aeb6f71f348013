"""Look-ups and loops as operators of ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.graph.node import Node
from ranvier.graph.open_extents import OpenExtent
from ranvier.interop.foreign import refuse
from ranvier.interop.onnx.graphs import library
from ranvier.interop.onnx.lowering import Lowering, row
from ranvier.interop.onnx.values import NUMBERS


@row("gather")
def gather(low: Lowering, node: Node) -> str:
    """Indices out of range read the first or the last row."""
    b, (source, index), batch = low.b, node.inputs, node.attrs.get("batch", 0)
    zero = b.constant(np.int64(0), "number")
    last = b.op("Sub", low.scalar(source.shape[batch], "int64"), b.constant(np.int64(1), "number"))
    places = low.cast(low.full(index), "int64")
    places = b.op("Max", b.op("Min", places, last), zero)
    if not batch:
        return b.op("Gather", low.full(source), places, axis=0)
    places = b.op("Unsqueeze", places, b.axes(index.ndim))
    return b.op("GatherND", low.full(source), places, batch_dims=batch)


@row("scatter_add")
def scatter_add(low: Lowering, node: Node) -> str:
    """Updates out of range go to a row more, which is left out then."""
    b, (index, updates), batch = low.b, node.inputs, node.attrs.get("batch", 0)
    rows = low.scalar(node.attrs["rows"], "int64")
    places = low.cast(low.full(index), "int64")
    inside = b.op("And", b.op("GreaterOrEqual", places, b.constant(np.int64(0), "number")), b.op("Less", places, rows))
    places = b.op("Unsqueeze", b.op("Where", inside, places, rows), b.axes(index.ndim))
    whole = b.op("Concat", low.shape(index.shape), b.axes(1), axis=0)
    parts = [b.op("Expand", low.line(index.shape[axis], index.ndim - axis), whole) for axis in range(batch)]
    if parts:
        places = b.op("Concat", *parts, places, axis=-1)
    more = b.op("Add", low.extent(node.attrs["rows"]), b.axes(1))
    dims = [*map(low.extent, node.shape[:batch]), more, *map(low.extent, node.shape[batch + 1 :])]
    zeros = b.op("Expand", b.constant(np.asarray(0, node.dtype), "number"), b.op("Concat", *dims, axis=0))
    added = b.op("ScatterND", zeros, places, low.full(updates), reduction="add")
    cuts = (b.axes(0, base="starts"), low.extent(node.attrs["rows"]), b.axes(batch))
    return b.op("Slice", added, *cuts)


@row("scan")
def scan(low: Lowering, node: Node) -> str:
    """The operator Scan; `result` reads its outputs."""
    onnx, b = library(), low.b
    body, length, axis, slices = (node.attrs[name] for name in ("body", "length", "axis", "slices"))
    if isinstance(length, OpenExtent) and not slices:
        raise refuse("a loop of any number of steps over nothing")
    carries = len(body.updates)
    given = [low.full(n) for n in node.inputs[: carries + slices]]
    sliced = list(body.inputs[carries : carries + slices])
    inner = low.inside()
    for target, source in zip(body.inputs[carries + slices :], node.inputs[carries + slices :], strict=True):
        inner.forms[target] = low.form(source)
    inputs = [_declared(b, inner, n) for n in (*body.inputs[:carries], *sliced)]
    if not slices:  # the operator takes the number of steps from a slice
        given.append(b.constant(np.zeros(length, np.int64), "steps"))
        inputs.append(onnx.helper.make_tensor_value_info(b.within("step"), NUMBERS["int64"], []))
        axis_of_inputs = [0]
    else:
        axis_of_inputs = [axis] * slices
    outer = b.nodes, dict(b.turned)
    b.nodes = []
    ends = [value for _, value in body.updates]
    inner.add([*ends, *body.outputs])
    outputs = [_returned(b, inner, n) for n in (*ends, *body.outputs)]
    graph = onnx.helper.make_graph(b.nodes, b.within("body"), inputs, outputs)
    b.nodes, b.turned = outer
    back, stacked = int(node.attrs["reverse"]), len(body.outputs)
    count = len(axis_of_inputs)
    found = b.ops(
        "Scan", *given, outputs=carries + stacked, body=graph, num_scan_inputs=count, scan_input_axes=axis_of_inputs,
        scan_input_directions=[back] * count,
        **({"scan_output_axes": [axis] * stacked, "scan_output_directions": [back] * stacked} if stacked else {}),
    )  # fmt: skip
    return found[0]


def _shape(node: Node) -> list[Any]:
    return ["batch" if not isinstance(n, int) else None if isinstance(n, OpenExtent) else n for n in node.shape]


def _declared(b: Any, inner: Lowering, node: Node) -> Any:
    """An input of a body."""
    name = b.within("carried")
    inner.give(node, name)
    return library().helper.make_tensor_value_info(name, NUMBERS[node.dtype], _shape(node))


def _returned(b: Any, inner: Lowering, node: Node) -> Any:
    """An output of a body."""
    name = b.op("Identity", inner.full(node))
    return library().helper.make_tensor_value_info(name, NUMBERS[node.dtype], _shape(node))


@row("result")
def result(low: Lowering, node: Node) -> str:
    first = low.form(node.inputs[0]).name
    return f"{first.removesuffix(':0')}:{node.attrs['index']}"

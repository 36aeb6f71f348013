"""Movements of elements: what makes a view of a tensor, what puts it back, and where its elements are in memory."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier.graph.extents import Shape
from ranvier.graph.graph import input_node
from ranvier.graph.node import Node, apply, full
from ranvier.tensor.function import function
from ranvier.tensor.trace import Function

Step = tuple[Function, tuple[tuple[str, Any], ...], int]  # a recorded call of one operand: function, options, output
Steps = tuple[Step, ...]
Strides = tuple[int, ...]


def _moved(x: Node, steps: Steps) -> Node:
    """The view of a root's node."""
    for target, options, index in steps:
        result = target.body(x, **dict(options))
        x = result[index] if index >= 0 else result
    return x


def _path(moved: Node, x: Node) -> list[Node]:
    """The primitives that make ``moved`` of ``x``, the last one first."""
    path = []
    while moved is not x:
        path.append(moved)
        moved = moved.inputs[0]
    return path


@functools.lru_cache(4096)
def _movements(steps: Steps, shape: Shape) -> tuple[Node, ...]:
    """The primitives of the steps, in order; they are the same for every dtype."""
    x = input_node("x", shape, "float32")
    return tuple(reversed(_path(_moved(x, steps), x)))


def moved_array(steps: Steps, array: Any) -> Any:
    """The view of a root's array, in the same memory where the array is row-major."""
    for node in _movements(steps, array.shape):
        array = node.op.value([array], node.attrs, {})
    return array


def _placed(x: Node, value: Node, steps: Steps) -> Node:
    """``x`` with ``value`` in place of its view."""
    path = _path(_moved(x, steps), x)

    def back(node: Node) -> Node:
        for movement in path:
            node = movement.op.gradient(movement, node)[0]  # type: ignore[misc,assignment]  # movements have one
        return node

    if all(node.op.preserves for node in path):  # all elements, in another shape or order
        return back(value)
    return apply("select", back(full(True, value.shape, "bool")), back(value), x)


PLACED = Function("placed", _placed)


@function
def with_value(x: Node, value: Node) -> Node:
    """``value``, whose gradient goes to ``x`` alone: what a write that is not recorded makes of a result."""
    value, known = apply("stop_gradient", value), apply("stop_gradient", x)
    difference = known - x
    zero = difference - difference
    finite = apply("equal", zero, zero)
    return value - apply("select", finite, difference, zero)


@function
def overwritten(x: Node, value: Node) -> Node:
    """``value`` in place of every element of ``x``, whose gradient is 0 from here on."""
    return apply("select", full(False, x.shape, "bool"), x, value)


# --- layout -------------------------------------------------------------------------------------------------------


def row_major(shape: Sequence[int]) -> Strides:
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def _reshaped(shape: Sequence[int], strides: Strides, new: Sequence[int]) -> Strides | None:
    """The strides in another shape; None where the elements would have to be copied."""
    if math.prod(shape) == 0:
        return row_major(new)
    blocks: list[tuple[int, int]] = []  # (elements, the last stride) of axes that are as one
    for extent, stride in zip(shape, strides, strict=True):
        if extent == 1:
            continue
        if blocks and blocks[-1][1] == extent * stride:
            blocks[-1] = blocks[-1][0] * extent, stride
        else:
            blocks.append((extent, stride))
    found: list[int] = []
    rest, step = blocks.pop() if blocks else (1, 1)
    for extent in reversed(new):
        while rest == 1 and extent > 1 and blocks:
            rest, step = blocks.pop()
        if rest % extent:
            return None
        found.append(step)
        rest, step = rest // extent, step * extent
    return tuple(reversed(found))


def strides_after(steps: Steps, shape: Shape) -> Strides | None:
    """The strides of a view of a row-major root, in elements; None where a step makes a copy."""
    strides: Strides | None = row_major(shape)  # type: ignore[arg-type]  # no symbols
    for node in _movements(steps, shape):
        assert strides is not None
        strides = LAYOUTS[node.op.name](node, strides) if node.op.name in LAYOUTS else None
        if strides is None:
            return None
    return strides


def _windowed(axes: Any, strides: Strides) -> Strides:
    by_axis = {axis: (stride, dilation) for axis, _, stride, dilation in axes}
    return tuple(s * k for i, s in enumerate(strides) for k in by_axis.get(i, (1,)))


LAYOUTS: dict[str, Callable[[Node, Strides], Strides | None]] = {
    "reshape": lambda n, s: _reshaped(n.inputs[0].shape, s, n.shape),  # type: ignore[arg-type]  # no symbols
    "transpose": lambda n, s: tuple(s[i] for i in n.attrs["axes"]),
    "slice": lambda n, s: tuple(k if r is None else k * r[2] for k, r in zip(s, n.attrs["ranges"], strict=True)),
    "reverse": lambda n, s: tuple(-k if i in n.attrs["axes"] else k for i, k in enumerate(s)),
    "windows": lambda n, s: _windowed(n.attrs["axes"], s),
    "broadcast": lambda n, s: tuple(
        s[n.attrs["axes"].index(i)] if i in n.attrs["axes"] else 0 for i in range(len(n.shape))
    ),
}


def overlaps(shape: Sequence[int], strides: Strides | None) -> bool:
    """Whether several elements have one place in memory."""
    reach = 0
    for stride, extent in sorted((abs(s), n) for n, s in zip(shape, strides or (), strict=False) if n > 1):
        if stride <= reach:
            return True
        reach += (extent - 1) * stride
    return False


def write_moved(steps: Steps, array: Any, index: Any, value: Any) -> None:
    """Write into the elements of a view of an array, which may be stored in another order."""
    part = moved_array(steps, array)
    if np.may_share_memory(part, array) and part.flags.writeable:
        part[index] = value
        return
    whole = np.ascontiguousarray(array)
    places = moved_array(steps, np.arange(whole.size).reshape(whole.shape))
    whole.reshape(-1)[places[index]] = value
    if whole is not array:
        array[...] = whole

"""Writes to roots: at once into the array of a leaf, or recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ranvier.tensor import trace
from ranvier.tensor.function import detach, record
from ranvier.tensor.movements import PLACED, Steps, with_value, write_moved
from ranvier.tensor.segment import local
from ranvier.tensor.tensor import Tensor


def recorded(grad: int, call: Callable[..., Any], *arguments: Any) -> Any:
    """A call that records gradients, or none, whatever the mode."""
    before, trace.state.grad_enabled = trace.state.grad_enabled, grad
    try:
        return call(*arguments)
    finally:
        trace.state.grad_enabled = before


def constant(tensor: Tensor) -> Tensor:
    """The tensor, without its history."""
    return recorded(False, detach, tensor) if tensor.requires_grad else tensor


def holds_value(tensor: Tensor) -> bool:
    """Whether a tensor is a leaf with an array, which can be written to at once."""
    return tensor.trace_node is None and tensor._value is not None and not trace.state.tracing


def written_by(base: Any, root: Tensor, write: Callable[[], None]) -> None:
    """Make a write through a base: gradients are told of it but for those through `.data`."""
    if base.silent:
        unnoticed(root, write)
    else:
        write()


def unnoticed(root: Tensor, write: Callable[[], None]) -> None:
    """Make a write of which gradients are not told: as in PyTorch, they read the new value where they need the old."""
    if not trace.state.tracing:
        key = id(root)
        for segment in local.segments:
            if (ordinal := segment.ordinals.get(key)) is not None and segment.live:
                segment.changed[segment.leaf_nodes[ordinal]] = root
        if root.trace_node is not None and root.segment is not None:
            root.segment.changed[root.trace_node] = root
    write()


def place(root: Tensor, steps: Steps, result: Tensor, detached: bool) -> None:
    """Write a view's new values into its root."""
    if holds_value(root) and (not result.requires_grad or detached):
        array = result.compute()
        root.overwrite_part(lambda whole: write_moved(steps, whole, ..., array))
        return
    given = constant(result) if detached else result
    whole = record(PLACED, (root, given), (("steps", steps),)) if steps else given
    put_whole(root, whole, detached)


def is_made_in_trace(tensor: Tensor) -> bool:
    """Whether a tensor was made in the trace of a model: it is part of the program, and a step keeps nothing of it."""
    return bool(trace.state.tracing) and tensor.version >= trace.state.born and type(tensor) is Tensor


def put_whole(root: Tensor, result: Tensor, detached: bool) -> None:
    is_leaf = root.trace_node is None and root._value is not None
    if is_leaf and not result.requires_grad and not is_made_in_trace(root):
        root.overwrite(result)
        return
    if root.requires_grad and root.trace_node is not None and (detached or not trace.state.grad_enabled):
        result = recorded(trace.state.grad_enabled | True, with_value, root, result)
    root.replace(result)

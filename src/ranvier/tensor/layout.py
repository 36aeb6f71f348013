"""Memory layout of tensors. Engines take C-contiguous arrays: a Fortran-ordered leaf is an input of reversed shape."""

from __future__ import annotations

from typing import Any

from ranvier.graph.graph import input_node
from ranvier.graph.node import Node, apply
from ranvier.tensor.trace import Leaf


def is_transposed(array: Any) -> bool:
    """Whether an array is Fortran-ordered; False for None."""
    return array is not None and not array.flags.c_contiguous


def storage(array: Any) -> Any:
    """The C-contiguous view of a C- or Fortran-ordered array, which an engine takes."""
    return array if array.flags.c_contiguous else array.T


def storage_of(tensor: Leaf) -> Any:
    """The `storage` of a tensor's array. It is the same object as long as the array is the same.

    It is remembered, since a loop asks for that of each weight in each step, and NumPy makes a new object of flags.
    """
    value, known = tensor._value, tensor.storage_view
    if known is None or known[0] is not value:
        known = tensor.storage_view = value, storage(value)
    return known[1]


def leaf_input(name: str, tensor: Leaf, zeros: float = 0, axes: tuple[str | None, ...] = ()) -> tuple[Node, Node]:
    """An input node for the tensor's storage, and its value as a node.

    ``zeros``: the expected fraction of zeros. ``axes``: those of a mesh of devices that divide its dimensions.
    """
    if is_transposed(tensor._value):
        source = input_node(name, tensor.spec.shape[::-1], tensor.spec.dtype, zeros=zeros, layout=axes[::-1])
        return source, reverse_axes(source)
    source = input_node(name, tensor.spec.shape, tensor.spec.dtype, zeros=zeros, layout=axes)
    return source, source


def to_storage(value: Node, tensor: Leaf) -> Node:
    """A new value of the tensor in the layout of its storage: the update of the input of `leaf_input`."""
    return reverse_axes(value) if is_transposed(tensor._value) else value


def reverse_axes(node: Node) -> Node:
    """The transpose of a node."""
    return apply("transpose", node, axes=tuple(reversed(range(node.ndim))))

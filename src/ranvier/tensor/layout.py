"""How the arrays of tensors lie: engines see C-contiguous ones only; a Fortran-ordered leaf is an input of the reversed
shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ranvier.graph.graph import input_node
from ranvier.graph.node import Node, apply

if TYPE_CHECKING:
    from ranvier.tensor.tensor import Tensor


def is_transposed(array: Any) -> bool:
    return array is not None and not array.flags.c_contiguous


def storage(array: Any) -> Any:
    """The C-contiguous view of a C- or Fortran-ordered array: what an engine is given."""
    return array if array.flags.c_contiguous else array.T


def stored(tensor: Tensor) -> Any:
    """The `storage` of a tensor's value: the same array as long as the value is the same."""
    value = tensor._value
    if value.flags.c_contiguous:
        return value
    if tensor.kept is None or tensor.kept[0] is not value:
        tensor.kept = value, value.T
    return tensor.kept[1]


def leaf_input(name: str, tensor: Tensor, zeros: float = 0) -> tuple[Node, Node]:
    """An input for the tensor's storage, with so many ``zeros``, and the node that stands for the tensor itself."""
    if is_transposed(tensor._value):
        source = input_node(name, tensor.spec.shape[::-1], tensor.spec.dtype, zeros=zeros)
        return source, reverse_axes(source)
    source = input_node(name, tensor.spec.shape, tensor.spec.dtype, zeros=zeros)
    return source, source


def to_storage(value: Node, tensor: Tensor) -> Node:
    """A new value of the tensor, as its storage holds it: what updates the input of `leaf_input`."""
    return reverse_axes(value) if is_transposed(tensor._value) else value


def reverse_axes(node: Node) -> Node:
    return apply("transpose", node, axes=tuple(reversed(range(node.ndim))))

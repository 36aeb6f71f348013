"""The base of `Tensor` that holds the methods of the table of operations."""

from __future__ import annotations


class TensorMethods:
    """What the table of operations gives to tensors; `ranvier.ops.methods` attaches it when ``ranvier`` is imported."""

    __slots__ = ()

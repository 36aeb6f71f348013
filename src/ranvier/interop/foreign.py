"""What models have in common that came from a graph of another library: weights by their names, sizes of any batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier.graph.extents import ExtentError
from ranvier.module import Module, Parameter
from ranvier.tensor.tensor import Tensor

ANY_BATCH = 1 << 41
"""Stands for the size of a batch of any size in numbers that are known, such as what the operator Shape gives."""
FAR = 1 << 60  # a number that says "to the end"


class UnsupportedError(ValueError):
    """A layer, an operator, or a use of one, that cannot be brought over."""


class BatchSizeError(UnsupportedError, ExtentError):
    """The same, where a number is wanted of a batch of any size: programs have the sizes at hand then."""


def refuse(why: str) -> UnsupportedError:
    """The error to raise for one."""
    return UnsupportedError(why)


class Part(Module):
    """The weights of a part of a model, by their names."""


class ForeignModel(Module):
    """A module over a graph of operators whose weights have names with parts, such as ``block.0.weight``."""

    def hold(self, words: Sequence[str], tensor: Tensor, persistent: bool = True) -> str:
        """Register a parameter or a buffer, in a part of the model for each word of its name. Returns its path."""
        holder: Any = self
        for word in words[:-1]:
            if word not in holder._modules:
                holder.add_module(word, Part())
            holder = holder._modules[word]
        last = words[-1]
        while last in holder._parameters or last in holder._buffers or last in holder._modules or hasattr(Module, last):
            last += "_"
        if isinstance(tensor, Parameter):
            holder.register_parameter(last, tensor)
        else:
            holder.register_buffer(last, tensor, persistent)
        return ".".join([*words[:-1], last])

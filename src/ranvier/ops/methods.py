"""The methods of tensors, from the table: their one place."""

from __future__ import annotations

from typing import Any

from ranvier.ops.vocabulary import find, names
from ranvier.tensor.methods import TensorMethods
from ranvier.tensor.tensor import Tensor


class _Method:
    """A method that is not loaded yet. The first look at it puts the function in its place."""

    __slots__ = ("name",)
    column = "method"

    def __init__(self, name: str) -> None:
        self.name = name

    def load(self) -> Any:
        function = find(self.column, self.name)
        if "<locals>" in getattr(function, "__qualname__", ""):  # made by another function: Python's errors name it
            function.__qualname__ = function.__name__ = self.name
        setattr(TensorMethods, self.name, function)
        return function

    def __get__(self, tensor: Tensor | None, kind: type[Tensor]) -> Any:
        return self.load().__get__(tensor, kind)


class _Attribute(_Method):
    """A property that is not loaded yet."""

    __slots__ = ()
    column = "attribute"

    def __set__(self, tensor: Tensor, value: Any) -> None:
        self.load().__set__(tensor, value)


def attach() -> None:
    """Give tensors their methods and attributes."""
    for kind in (_Method, _Attribute):
        for name in names(kind.column):
            setattr(TensorMethods, name, kind(name))

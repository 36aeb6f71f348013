"""The types of ``x.shape`` and ``x.dtype``: a tuple and a text, with what PyTorch's classes have beside.

They print in the program's vocabulary: as a tuple and a text in Keras's, and as ``torch.Size([2, 3])`` and
``torch.float32`` once the program has imported `ranvier.torch`.
"""

from __future__ import annotations

import math
from typing import Any, SupportsIndex

from ranvier.graph.dtypes import ELEMENT_TYPES, array_dtype


class Printing:
    """How shapes and dtypes print, in a process."""

    as_pytorch = False


class Size(tuple[int, ...]):
    """A shape: a tuple that can count its elements. Its slices and sums are shapes too."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})" if Printing.as_pytorch else tuple.__repr__(self)

    def numel(self) -> int:
        """The number of elements of a tensor of this shape."""
        return math.prod(self)

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        found: Any = tuple.__getitem__(self, index)
        return Size(found) if isinstance(index, slice) else found

    def __add__(self, other: Any) -> Any:
        return Size(tuple.__add__(self, other))


class DType(str):
    """An element type: a text such as "float32", with which it compares equal, that knows what it is.

    There is one object for each type, so that ``x.dtype is torch.float32`` works too. Raises TypeError for a name
    that is none.
    """

    __slots__ = ()

    def __new__(cls, name: str) -> Any:
        known: Any = DTYPES.get(name)
        if known is None:
            raise TypeError(f"dtype {name!r} does not exist here. Write one of {', '.join(DTYPES)}.")
        return known

    def __str__(self) -> str:
        return f"torch.{self.name}" if Printing.as_pytorch else self.name

    def __repr__(self) -> str:
        return str(self) if Printing.as_pytorch else repr(self.name)

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __reduce__(self) -> Any:
        return DType, (self.name,)

    @property
    def name(self) -> str:
        """The text alone, as NumPy's dtypes have it."""
        return str.__str__(self)

    @property
    def is_floating_point(self) -> bool:
        """Whether it is a float."""
        return ELEMENT_TYPES[self].category == "float"

    @property
    def is_complex(self) -> bool:
        """False: there are no complex tensors."""
        return False

    @property
    def is_signed(self) -> bool:
        """Whether it has numbers below zero."""
        return ELEMENT_TYPES[self].signed

    @property
    def itemsize(self) -> int:
        """The bytes of an element."""
        return int(array_dtype(self).itemsize)


DTYPES: dict[str, DType] = {name: str.__new__(DType, name) for name in ELEMENT_TYPES}

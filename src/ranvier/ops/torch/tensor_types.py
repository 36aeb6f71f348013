"""``torch.Tensor`` and its kinds (``torch.FloatTensor``): classes that make tensors of sizes or of data.

What they make, and all other tensors, are instances of `ranvier.Tensor`. These classes stand for it, which is made of
values alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.ops.torch.creation import empty
from ranvier.ops.torch.device import check_device
from ranvier.ops.torch.dtypes import CLASSES
from ranvier.tensor import tensor
from ranvier.tensor.attribute_types import Size
from ranvier.tensor.context import get_dtype

__all__ = [
    "BFloat16Tensor", "BoolTensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor", "HalfTensor",
    "IntTensor", "LongTensor", "ShortTensor", "Tensor",
]  # fmt: skip


class _Kind(type):
    """A class that stands for `ranvier.Tensor`, or for its tensors of one dtype; what is derived from it does not."""

    _dtype: str | None  # None for any

    @property
    def dtype(cls) -> str:
        """The dtype of what it makes, and what ``x.type(torch.FloatTensor)`` converts to."""
        return cls._dtype or get_dtype()

    @property
    def stands(cls) -> bool:
        return "_dtype" in cls.__dict__

    def __call__(cls, *data: Any, device: Any = None, **options: Any) -> Any:
        if not cls.stands:
            return super().__call__(*data, **options)
        check_device(device)
        if not data or all(isinstance(extent, (int, np.integer)) for extent in data):
            return empty(*(data or (0,)), dtype=cls.dtype)
        if len(data) == 1 and isinstance(data[0], Size):
            return empty(*data[0], dtype=cls.dtype)
        if len(data) > 1 or options or isinstance(data[0], (float, str)):
            raise TypeError(
                f"torch.{cls.__name__} takes sizes, as in torch.{cls.__name__}(2, 3), or one sequence of numbers. "
                "Write torch.tensor(...) of anything else instead."
            )
        value = data[0].compute() if isinstance(data[0], tensor.Tensor) else data[0]
        return tensor.Tensor(value, dtype=cls.dtype)

    def __instancecheck__(cls, instance: Any) -> bool:
        if not cls.stands:
            return super().__instancecheck__(instance)
        return isinstance(instance, tensor.Tensor) and cls._dtype in (None, instance.dtype)

    def __subclasscheck__(cls, subclass: type) -> bool:
        if not cls.stands or cls._dtype is not None:
            return super().__subclasscheck__(subclass)
        return issubclass(subclass, tensor.Tensor)

    def __eq__(cls, other: object) -> bool:  # type(x) == torch.Tensor
        return cls is other or (cls.stands and cls._dtype is None and other is tensor.Tensor)

    def __hash__(cls) -> int:
        return hash(tensor.Tensor) if cls.stands and cls._dtype is None else super().__hash__()


class Tensor(tensor.Tensor, metaclass=_Kind):
    """Every tensor is an instance. Called with sizes it makes a tensor of them, which holds zeros; with a sequence or
    an array, a copy of it in the default floating dtype. Raises TypeError for anything else.
    """

    __slots__ = ()
    _dtype = None


def _of_dtype(name: str) -> Any:
    body = {"__slots__": (), "__module__": __name__, "_dtype": CLASSES[name]}
    body["__doc__"] = f"Tensors of {CLASSES[name]}, made of sizes or of data as `Tensor` makes them."
    return _Kind(name, (tensor.Tensor,), body)


FloatTensor, DoubleTensor, HalfTensor, BFloat16Tensor = map(_of_dtype, tuple(CLASSES)[:4])
CharTensor, ShortTensor, IntTensor, LongTensor, BoolTensor, ByteTensor = map(_of_dtype, tuple(CLASSES)[4:])

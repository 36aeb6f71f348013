"""Tensor: a lazy handle on a recorded computation; eager in feel, compiled in fact."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.graph.node import FLOATS, Symbol, Type
from ranvier.tensor import tape
from ranvier.tensor.context import get_dtype
from ranvier.tensor.tape import Segment
from ranvier.tensor.trace import Entry


class Number(float):
    """A float that can be read as a tensor of one number is."""

    __slots__ = ()

    def numpy(self) -> Any:
        """As a NumPy number."""
        return np.float64(self)

    def item(self) -> float:
        """As a plain float."""
        return float(self)


class Numbers(np.ndarray[Any, Any]):
    """An array that can be read as a tensor is."""

    def __repr__(self) -> str:
        return repr(self.numpy())

    def numpy(self) -> np.ndarray[Any, Any]:
        """As a plain array."""
        return self.view(np.ndarray)


class Tensor:
    """An n-dimensional array, perhaps not computed yet.

    Reading it (``numpy()``, ``item()``, printing) computes it together with all that is pending. Arithmetic follows
    NumPy's broadcasting. ``backward()`` fills the ``grad`` of every leaf that requires one. Its operators and most of
    its methods are `ranvier.ops.tensor_methods`' table.
    """

    __array_priority__ = 1000  # NumPy arrays on the left let our operators answer
    __slots__ = (
        "__weakref__",
        "_requires_grad",
        "_value",
        "base",
        "entry",
        "grad",
        "kept",
        "released",
        "segment",
        "spec",
        "version",
    )

    def __init__(self, value: Any = None, *, requires_grad: bool = False, dtype: str | None = None) -> None:
        array = convert(value, dtype)
        self._value: Any = array
        self.spec = Type(array.shape, array.dtype.name)
        if requires_grad:
            self.check_float()
        self._start(requires_grad)

    def _start(self, requires_grad: bool) -> None:
        self.entry: Entry | None = None
        self.segment: Segment | None = None
        self.grad: Any = None
        self.released = False
        self.kept: Any = None  # see layout.stored
        self.base: Any = None  # the tensor that this one is a view of, and the index: ... for all of it
        self.version = 0
        self._requires_grad = requires_grad

    @staticmethod
    def placeholder(type_: Type, *, requires_grad: bool = False) -> Tensor:
        """A leaf without a value, for tracing; its shape may hold symbols."""
        tensor = Tensor.__new__(Tensor)
        tensor._value, tensor.spec = None, type_
        tensor._start(requires_grad)
        return tensor

    @staticmethod
    def wrap(array: Any, *, requires_grad: bool = False, type_: Type | None = None) -> Tensor:
        """A tensor that shares an array of a dtype that programs have, C- or Fortran-contiguous; nothing is copied."""
        tensor = Tensor.__new__(Tensor)
        tensor._value, tensor.spec = array, type_ or Type(array.shape, array.dtype.name)
        tensor._start(requires_grad)
        return tensor

    @staticmethod
    def pending(entry: Entry, segment: Segment) -> Tensor:
        tensor = Tensor.__new__(Tensor)
        tensor._value, tensor.spec = None, entry.type
        tensor.entry, tensor.segment, tensor.grad, tensor.kept, tensor.base = entry, segment, None, None, None
        tensor.released, tensor._requires_grad, tensor.version = False, entry.requires_grad, 0
        segment.live.append(weakref.ref(tensor))
        return tensor

    if TYPE_CHECKING:  # given at run time by `ranvier.ops.tensor_methods`
        __add__: Any
        __radd__: Any
        __sub__: Any
        __rsub__: Any
        __mul__: Any
        __rmul__: Any
        __truediv__: Any
        __rtruediv__: Any
        __floordiv__: Any
        __mod__: Any
        __pow__: Any
        __matmul__: Any
        __neg__: Any
        __abs__: Any
        __lt__: Any
        __le__: Any
        __gt__: Any
        __ge__: Any
        __and__: Any
        __or__: Any
        __invert__: Any
        __getitem__: Any
        __setitem__: Any
        data: Any

        def __getattr__(self, name: str) -> Any: ...

    # --- looking --------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[Any, ...]:
        return self.spec.shape

    @property
    def dtype(self) -> str:
        return self.spec.dtype

    @property
    def ndim(self) -> int:
        return len(self.spec.shape)

    @property
    def is_leaf(self) -> bool:
        return self.entry is None or not self.entry.requires_grad

    @property
    def requires_grad(self) -> bool:
        """Whether gradients reach this tensor. What was computed from none that they reach may ask for its own."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        if not self.is_leaf:
            if flag:
                return
            raise RuntimeError(
                "the gradient of a result follows from its operands. Write x.detach() instead."
            )
        if self.entry is not None and flag:
            self.compute()
            self.entry = self.segment = None
        if bool(flag) is not self._requires_grad:
            tape.settle(self)  # no segment knows a leaf by two flags
            if self.owner is not None:
                self.part()
        self._requires_grad = bool(flag)

    def check_float(self) -> None:
        """Raise RuntimeError for whole numbers and truth values, which have no gradient."""
        if self.spec.dtype not in FLOATS:
            raise RuntimeError(
                f"a tensor of {self.dtype} has no gradient. Write x.float(), 1.0 in place of 1, or "
                "requires_grad=False, instead."
            )

    @property
    def owner(self) -> Tensor | None:
        """The tensor whose memory this one is, as `.data` gives it; None for memory of its own."""
        return self.base[0] if self.base is not None and self.base[1] is ... and self.entry is None else None

    def part(self) -> None:
        """Hold the values in memory of its own from here on."""
        self._value, self.base = self.compute().copy(order="K"), None

    def copied(self) -> Tensor:
        """A leaf with a copy of the values, which it is read in place of: see `tape.hand_over`."""
        other = Tensor.wrap(self._value.copy(order="K"))
        other.version = self.version
        return other

    def compute(self) -> Any:
        """The value as the array that holds it."""
        segment = self.segment
        if segment is not None and (self._value is None or self.entry is None):  # pending, or assigned to
            tape.flush(segment)
        if self.base is not None and (owner := self.owner) is not None:
            return owner.compute()
        if self._value is None:
            if self.segment is not None and self.entry in self.segment.failed:
                raise self.segment.failed[self.entry]
            raise RuntimeError(
                f"this tensor of shape {self.shape} has no value: it stands for data while a model is traced. "
                "Write tensor functions (rv.ops.where, rv.ops.maximum, ...) instead of another library's (np.maximum, "
                "tf.square) and of Python's if, print or numpy() in forward."
            )
        return self._value

    def numpy(self) -> Any:
        """The value as a NumPy array of its own."""
        return np.array(self.compute())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self.compute(), dtype=dtype)

    def item(self) -> Any:
        """The only element, as a Python number."""
        array = self.compute()
        if array.size != 1:
            raise ValueError(
                f"item() needs one element; this tensor has shape {self.shape}. Use numpy() or tolist()."
            )
        return array.item()

    def tolist(self) -> Any:
        return self.compute().tolist()

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a 0-d tensor has no length")
        size: int = self.shape[0]
        if isinstance(size, Symbol):
            raise TypeError(
                f"this tensor of shape {self.shape} stands for data while a model is traced, and the number of its "
                "rows is not known. Write functions of the whole tensor instead of a loop over rows or len(x); several "
                "inputs are given as a list, fit([a, b], y)."
            )
        return size

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        if self.shape and math.prod(self.shape) != 1:
            raise ValueError(
                f"a tensor of shape {self.shape} is neither true nor false. Write x.any(), x.all(), or "
                "`x is not None`, instead."
            )
        return bool(self.item())

    def __index__(self) -> int:
        if self.dtype in FLOATS:
            raise TypeError(f"a {self.dtype} tensor is no index. Write x.int() instead.")
        return int(self.item())

    def __repr__(self) -> str:
        if self._value is None and (self.segment is None or any(isinstance(d, Symbol) for d in self.shape)):
            return f"tensor(shape={self.shape}, dtype={self.dtype})"
        body = np.array2string(self.compute(), precision=4, separator=", ", prefix="tensor(")
        told = "" if self.dtype in (get_dtype(), "int32", "bool") else f", dtype={self.dtype}"
        return f"tensor({body}{told}{', requires_grad=True' if self.requires_grad else ''})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    # --- writing ---------------------------------------------------------------------------------------------------

    def assign(self, value: Any) -> None:
        """Overwrite the values with those of a tensor or array of the same shape; tensors computed from the old values
        keep them. Becomes real with the next thing that is read, or with ``optimizer.step()``. What this one is a view
        of is written too.
        """
        if (owner := self.owner) is not None:
            owner.assign(value)
            self.version += 1
            return
        self._write(value)
        if self.base is not None:
            self.base[0][self.base[1]] = self

    def _write(self, value: Any) -> None:
        leaf = self.entry is None and self._value is not None
        if leaf and isinstance(value, Tensor) and value.segment is not None:
            if value.spec != self.spec:
                raise ValueError(f"a tensor of {self.spec} cannot take values of {value.spec}.")
            segment = tape.segment_of((value, self))
            segment.assign(self, value.entry or segment.leaf(value))
            return
        array = np.asarray(value.compute() if isinstance(value, Tensor) else value)
        if array.shape != self.shape:
            raise ValueError(f"a tensor of shape {self.shape} cannot take values of shape {array.shape}.")
        if self.entry is not None:  # a result becomes a leaf of its own
            self.compute()
            self.entry = self.segment = None
        tape.keep_operands([self])
        tape.settle(self)
        if not self._value.flags.writeable:
            raise ValueError("this tensor shares a read-only array. Write x.clone() and change that instead.")
        self._value[...] = array
        self.version += 1

    def become(self, other: Tensor) -> None:
        """Be what ``other`` is from here on, with its history; tensors computed from the old values keep them."""
        if self._value is not None:
            before = Tensor.wrap(self.compute(), requires_grad=self._requires_grad)
            before.version = self.version
            tape.hand_over(self, before)
        listed = self.entry is not None and self.segment is other.segment
        self.version += 1
        self._value, self.spec, self.entry, self.segment = (
            other._value,
            other.spec,
            other.entry,
            other.segment,
        )
        self.released, self._requires_grad = other.released, other._requires_grad
        if self.segment is not None and self.entry is not None and not listed:
            self.segment.live.append(weakref.ref(self))
        if self.base is not None:
            self.base[0][self.base[1]] = self


def convert(value: Any, dtype: str | None = None) -> Any:
    """Any array-like as an array of a dtype that programs have; floats take the default floating dtype."""
    array = np.asarray(value)
    if array.dtype.kind == "c" or array.dtype.kind not in "fiub":
        raise TypeError(f"a tensor cannot hold {array.dtype}. Convert it to numbers first.")
    if dtype is not None:
        wanted = dtype
    elif array.dtype.kind == "f":
        wanted = get_dtype()
    elif array.dtype.kind in "iu" and array.dtype not in (np.uint8, np.uint32):
        if array.size and (array.max() > 2**31 - 1 or array.min() < -(2**31)):
            beyond = array.max() if array.max() > 2**31 - 1 else array.min()
            raise OverflowError(
                f"integer {beyond} does not fit int32, the integers that programs compute with."
            )
        wanted = "int32"
    else:
        wanted = array.dtype.name
    array = np.array(array, wanted, order="K")  # a copy: neither side sees the other's later changes
    return array if array.flags.f_contiguous or array.flags.c_contiguous else np.ascontiguousarray(array)


def clear_gradients(tensors: Iterable[Tensor], set_to_none: bool) -> None:
    """Forget the gradients of tensors, or fill those that there are with zeros."""
    for tensor in tensors:
        if set_to_none or tensor.grad is None:
            tensor.grad = None
        else:
            tensor.grad = Tensor.wrap(np.zeros(tensor.shape, tensor.dtype))

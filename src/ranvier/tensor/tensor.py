"""Tensor: a handle on a recorded computation, which is compiled and run when its value is read."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier.graph.dtypes import DTYPES, FLOATING, INTEGERS, STORAGE, array_dtype, as_array, dtype_of, widened
from ranvier.graph.extents import Extent, ExtentError
from ranvier.graph.node import Type
from ranvier.support.source_lines import warn
from ranvier.tensor import printing, tape
from ranvier.tensor.attribute_types import DTYPES as DTYPE_OF
from ranvier.tensor.attribute_types import DType, Size
from ranvier.tensor.context import get_dtype
from ranvier.tensor.conversion import check_range, copied, not_numbers
from ranvier.tensor.methods import TensorMethods
from ranvier.tensor.segment import TapeSegment
from ranvier.tensor.trace import Function, StepTrace, TraceNode, first_version, state
from ranvier.tensor.value_errors import no_value


class Tensor(TensorMethods):
    """An n-dimensional array whose value may be pending.

    Reading it (``numpy()``, ``item()``, printing) computes it together with everything else that is pending. Arithmetic
    broadcasts like NumPy. ``backward()`` fills the ``grad`` of every leaf that requires one. Operators and most methods
    come from the table of operations: see `ranvier.ops.methods`.
    """

    __array_priority__ = 1000  # NumPy arrays on the left leave operators to this class
    __slots__ = (
        "__weakref__",
        "_grad",
        "_keras_mask",  # see `tensor.masks`; absent from a tensor that has never had one
        "_requires_grad",
        "_value",
        "as_leaf",
        "base",
        "history_ended",
        "inference",
        "segment",
        "spec",
        "storage_view",
        "trace_node",
        "version",
    )

    def __init__(
        self, value: ArrayLike | None = None, *, requires_grad: bool = False, dtype: str | None = None
    ) -> None:
        array = to_array(value, dtype)
        self._value: Any = array
        self.spec = Type(array.shape, dtype_of(array))
        if requires_grad:
            self.check_float()
        self._init_leaf(requires_grad)

    def _init_leaf(self, requires_grad: bool) -> None:
        self.trace_node: TraceNode | None = None
        self.segment: TapeSegment | None = None
        self._grad: Tensor | None = None
        self.history_ended: Function | bool = False  # see `trace.Leaf`
        self.storage_view: Any = None  # the cache of `layout.storage_of`
        self.as_leaf: Any = None  # the cache of `TapeSegment.add_leaf`
        self.base: Any = None  # what it shares its memory with: see `tensor.views`
        self.version, self.inference, self._requires_grad = first_version[0], state.inference, requires_grad

    @staticmethod
    def placeholder(type_: Type, *, requires_grad: bool = False) -> Tensor:
        """A leaf without a value, for tracing. Its shape may hold symbols."""
        tensor = Tensor.__new__(Tensor)
        tensor._value, tensor.spec = None, type_
        tensor._init_leaf(requires_grad)
        return tensor

    @staticmethod
    def wrap(array: NDArray[Any], *, requires_grad: bool = False, type_: Type | None = None) -> Tensor:
        """A tensor that shares an array, C- or Fortran-contiguous and of a dtype that programs support."""
        tensor = Tensor.__new__(Tensor)
        tensor._value, tensor.spec = array, type_ or Type(array.shape, dtype_of(array))
        tensor._init_leaf(requires_grad)
        return tensor

    @staticmethod
    def pending(node: TraceNode, segment: TapeSegment) -> Tensor:
        """The result of a recorded call."""
        tensor = Tensor.__new__(Tensor)
        tensor._value, tensor.spec = None, node.type
        tensor.trace_node, tensor.segment, tensor._grad = node, segment, None
        tensor.storage_view, tensor.as_leaf, tensor.base, tensor.version = None, None, None, 0
        tensor.history_ended, tensor._requires_grad, tensor.inference = False, node.requires_grad, state.inference
        segment.live.append(weakref.ref(tensor))
        return tensor

    # --- reading --------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The extents of the axes. While a model is traced, the batch's is a `Extent`."""
        return Size(self.spec.shape)  # type: ignore[arg-type]  # users see no symbols

    @property
    def dtype(self) -> DType:
        """The element type, a text such as "float32"."""
        return DTYPE_OF[self.spec.dtype]

    @property
    def ndim(self) -> int:
        return len(self.spec.shape)

    @property
    def is_leaf(self) -> bool:
        if self.base is not None:
            self.base.sync(self)
        return self.trace_node is None or not self.trace_node.requires_grad

    @property
    def requires_grad(self) -> bool:
        """Whether gradients reach this tensor. It can be set for leaves and for results that no gradient reaches."""
        if self.base is not None:
            self.base.sync(self)
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        if not self.is_leaf:
            if flag:
                return
            raise RuntimeError("the gradient of a result follows from its operands. Write x.detach() instead.")
        if self.trace_node is not None and flag:
            self._become_leaf()
        if bool(flag) is not self._requires_grad:
            tape.flush_readers(self)  # a segment knows a leaf by one flag
            if self.owner is not None:
                self.base.lead(self)
        self._requires_grad = bool(flag)

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` added up, or None. Raises RuntimeError for one of another shape."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and value.shape != self.shape:
            raise RuntimeError(
                f"a gradient of shape {value.shape} for a tensor of {self.shape}. Write one of its shape."
            )
        self._grad = value

    def check_float(self) -> None:
        """Raise RuntimeError for integers and bools, which have no gradient."""
        if self.spec.dtype not in FLOATING:
            raise RuntimeError(
                f"a tensor of {self.dtype} has no gradient. Write x.float(), 1.0 in place of 1, or "
                "requires_grad=False, instead."
            )

    @property
    def owner(self) -> Tensor | None:
        """The tensor whose array this one shares, as ``x.data`` does; None for an array of its own."""
        return None if self.base is None else self.base.owner

    def copy_leaf(self) -> Tensor:
        """A leaf with a copy of the values, for `tape.replace_leaf`."""
        other = Tensor.wrap(self._value.copy(order="K"))
        other.version = self.version
        return other

    def __getstate__(self) -> Any:
        """What copies and files have of a tensor: its value, in memory of its own, and no history."""
        attributes, slots = cast("tuple[Any, dict[str, Any]]", super().__getstate__())  # of a class with slots
        value = self.compute() if self.base is None else self.compute().copy(order="K")
        fresh = dict.fromkeys(("trace_node", "segment", "storage_view", "as_leaf", "base"))
        return attributes, slots | fresh | {"_value": value, "history_ended": False, "inference": False}

    def _become_leaf(self) -> None:
        """Compute a result and drop its history."""
        self.compute()
        self.trace_node = self.segment = None

    def compute(self) -> Any:
        """The array that holds the value."""
        if self.base is not None:
            self.base.sync(self)
            if (owner := self.owner) is not None:
                return owner.compute()
        segment = self.segment
        if segment is not None and (self._value is None or self.trace_node is None):  # pending, or assigned to
            tape.flush(segment)
        if self._value is None:
            if self.segment is not None and self.trace_node in self.segment.failed:
                raise self.segment.failed[self.trace_node]
            raise no_value(self.shape)
        return self._value

    @property
    def known(self) -> Any:
        """The array, if it is there without running a program; else None."""
        if self.base is None:
            return self._value
        self.base.sync(self)
        return self._value if (owner := self.owner) is None else owner._value

    @property
    def is_constant(self) -> bool:
        """Whether no step changes the value of a leaf: it is neither a variable nor a parameter."""
        return type(self) is Tensor and not self._requires_grad

    def _read(self) -> Any:
        """`compute` for the user, who may not read the state of a step while the step is traced."""
        if state.tracing and isinstance(state.tracing, StepTrace) and self.trace_node is None and not self.is_constant:
            raise no_value(self.shape)
        return self.compute()

    def for_numpy(self) -> Any:
        """The array. Raises TypeError for bfloat16."""
        if self.dtype == "bfloat16":
            raise TypeError("NumPy has no bfloat16. Write x.float().numpy() instead.")
        return self._read()

    def item(self) -> float | int | bool:
        """The value of a tensor of one element, as a Python number. Raises ValueError for any other."""
        array = widened(self._read())
        if array.size != 1:
            raise ValueError(f"item() needs one element; this tensor has shape {self.shape}. Use numpy() or tolist().")
        number: float | int | bool = array.item()
        if number != number and self._requires_grad:
            warn(
                "this loss is NaN, and so are its gradients: a step makes every weight NaN. Look at the batch "
                "(torch.isfinite(x).all()), at logarithms and divisions, and at the learning rate."
            )
        return number

    def tolist(self) -> Any:
        """The value as nested lists of Python numbers."""
        return widened(self._read()).tolist()

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a 0-d tensor has no length")
        if isinstance(size := self.spec.shape[0], Extent):
            raise ExtentError(
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
        if self.dtype in FLOATING:
            raise TypeError(f"a {self.dtype} tensor is no index. Write x.int() instead.")
        return int(self.item())

    def __repr__(self) -> str:
        if self._value is None and (self.segment is None or any(isinstance(d, Extent) for d in self.shape)):
            return f"tensor(shape={self.shape}, dtype={self.dtype})"
        return printing.text_of(self)

    def __format__(self, spec: str) -> str:
        """A number where there is one element and a format, or no dimension; else as `repr`."""
        is_number = not self.shape and self._value is not None and not state.tracing
        return format(self.item(), spec) if spec or is_number else repr(self)

    # --- writing ---------------------------------------------------------------------------------------------------

    def assign(self, value: ArrayLike) -> None:
        """Overwrite the values with those of a tensor or array of the same shape.

        Tensors computed from the old values keep theirs. The write happens with the next read of anything, or with
        ``optimizer.step()``. Tensors that share its memory show it.
        """
        if self.base is None:
            self.overwrite(value)
        else:
            self.base.assign(self, value)

    def overwrite(self, value: ArrayLike) -> None:
        """`assign` for the array of this tensor alone."""
        is_leaf = self.trace_node is None and self._value is not None
        # In a trace also values that are known already are written in each step; a tensor that was made in it has them.
        if is_leaf and state.tracing and (isinstance(state.tracing, StepTrace) or tape.is_owned(self)):
            value = value if isinstance(value, Tensor) else Tensor(value, dtype=self.dtype)
            segment = tape.segment_of((value, self))
            if value.spec != self.spec:
                raise ValueError(f"a tensor of {self.spec} cannot take values of {value.spec}.")
            segment.assign(self, segment.node_of(value))
            return
        if is_leaf and isinstance(value, Tensor) and value.segment is not None:
            if value.spec != self.spec:
                raise ValueError(f"a tensor of {self.spec} cannot take values of {value.spec}.")
            segment = tape.segment_of((value, self))
            segment.assign(self, segment.node_of(value))
            return
        array = as_array(value.compute() if isinstance(value, Tensor) else value, self.dtype)
        if array.shape != self.shape:
            raise ValueError(f"a tensor of shape {self.shape} cannot take values of shape {array.shape}.")
        if self.trace_node is not None:
            self._become_leaf()
        self.overwrite_part(lambda whole: np.copyto(whole, array, casting="unsafe"))

    def overwrite_part(self, write: Callable[[Any], None]) -> None:
        """Write into the array of a leaf by a function of it. Tensors computed from the old values keep theirs."""
        tape.preserve_operands([self])
        tape.flush_readers(self)
        if not self._value.flags.writeable:
            raise ValueError("this tensor shares a read-only array. Write x.clone() and change that instead.")
        write(self._value)
        self.version += 1

    def replace(self, other: Tensor) -> None:
        """Take over the value and the history of ``other``. Tensors computed from the old values keep theirs."""
        if self.segment is not None and self.trace_node is None:  # assigned to
            tape.flush(self.segment)
        if self._value is not None and tape.is_leaf(self):
            before = Tensor.wrap(self._value, requires_grad=self._requires_grad, type_=self.spec)
            before.version = self.version
            tape.replace_leaf(self, before)
        is_listed = self.trace_node is not None and self.segment is other.segment
        self.version += 1
        self._value, self.spec = other._value, other.spec
        self.trace_node, self.segment = other.trace_node, other.segment
        self.history_ended, self._requires_grad = other.history_ended, other._requires_grad
        if self.segment is not None and self.trace_node is not None and not is_listed:
            self.segment.live.append(weakref.ref(self))


def plain_array(value: Any) -> NDArray[Any]:
    """An array-like as an array. Raises ValueError for lists of different lengths."""
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(
            "lists of different lengths are no tensor. Write rows of one length instead, padded or cut: "
            "torch.nn.utils.rnn.pad_sequence and utils.pad_sequences do that."
        ) from error


def to_array(value: Any, dtype: str | None = None) -> NDArray[Any]:
    """A copy of an array-like, C- or Fortran-contiguous, in a dtype that programs support.

    Without ``dtype`` floats take the default floating dtype, but for those of 16 bits, which keep theirs. Integers of
    arrays keep theirs, and Python's are int32.
    Raises OverflowError for integers that do not fit.
    """
    array = plain_array(value)
    if array.dtype.kind not in "fiub" and dtype_of(array) not in DTYPES:
        raise not_numbers(value, array)
    name, by_python = dtype_of(array), not hasattr(value, "dtype")
    target = dtype or name
    if dtype is None and array.dtype.kind == "f" and name not in STORAGE:
        target = get_dtype()
    elif dtype is None and array.dtype.kind in "iu" and by_python:
        target = "int32"
    if array.dtype.kind in "iu" and target in INTEGERS and by_python:
        check_range(array, target)
    array = as_array(array, target).copy(order="K") if target == "bfloat16" else copied(array, target)
    return array if array.flags.f_contiguous or array.flags.c_contiguous else np.ascontiguousarray(array)


def numbers_of(value: Any) -> NDArray[Any]:
    """The numbers of a tensor or an array-like, of a dtype that NumPy computes with."""
    return widened(value.compute()) if isinstance(value, Tensor) else np.asarray(value)


def leaves_of(segment: TapeSegment) -> list[Tensor]:
    """The leaves of a segment, by ordinal: all are tensors, which the tape knows by a protocol alone."""
    return segment.leaves  # type: ignore[return-value]  # `cast` costs time here


def clear_gradients(tensors: Iterable[Tensor], set_to_none: bool) -> None:
    """Set the gradients of tensors to None, or fill those that exist with zeros."""
    for tensor in tensors:
        if set_to_none or tensor._grad is None:
            tensor._grad = None
        else:
            tensor._grad = Tensor.wrap(np.zeros(tensor.shape, array_dtype(tensor.dtype)))

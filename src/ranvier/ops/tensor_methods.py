"""Operators and methods of tensors that are not operations themselves: writing, conversions, gradients.

The table (`ranvier.ops.table.tensor`) lists them.
"""

from __future__ import annotations

import copy
import math
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier.graph.dtypes import as_array
from ranvier.graph.node import DTYPES, Node, apply
from ranvier.ops import arrays, bits
from ranvier.ops.arrays import division
from ranvier.ops.draws import drawn_tensor, generator_of
from ranvier.ops.indexing import put, writable
from ranvier.tensor import trace
from ranvier.tensor.autograd import backward as backward  # noqa: PLC0414 - a method too
from ranvier.tensor.context import no_grad
from ranvier.tensor.function import function
from ranvier.tensor.movements import overwritten
from ranvier.tensor.rng import numpy_generator
from ranvier.tensor.sharing import Memory, memory_of
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.views import add_number, alias_of, is_row_major, leave_memory, note_write, shown_array, take_memory
from ranvier.tensor.writing import holds_value


def _named(method: Any, doc: str) -> Any:
    method.__doc__ = doc
    return method


def reflected(operation: Callable[..., Any]) -> Callable[..., Any]:
    """The operator that Python calls where the other operand, on the left, is no tensor."""
    return lambda self, other: operation(other, self)


def augmented(operation: Callable[..., Any], by_numpy: Any = None) -> Callable[..., Any]:
    """``x += y``, which writes into x."""

    def change(*operands: Any) -> Tensor:
        if by_numpy is not None and add_number(operands[0], operands[1], by_numpy):
            return operands[0]
        return put(operands[0], operation(*operands))

    return change


def hold(self: Tensor, array: Any) -> Tensor:
    """Let a tensor hold these values from here on; a gradient of 0 goes on to what a result was computed from."""
    writable(self)
    if self.is_leaf or not self.requires_grad:
        note_write(self)
        self.assign(array)
        return self
    given = Tensor.wrap(np.array(as_array(array, self.dtype), order="C"))
    return put(self, overwritten(self, given) if trace.state.grad_enabled else given)


def numpy(self: Tensor, *, force: bool = False) -> Any:
    """The value as a NumPy array of the same memory: writes to one are seen in both. ``force`` changes nothing.

    Of a tensor that requires a gradient, which PyTorch refuses, and of a variable, as in Keras, it is a copy;
    ``detach().numpy()`` shares the memory.
    """
    array = self.for_numpy()
    return shown_array(self) if self.is_constant else np.array(array)


def array(self: Tensor, dtype: Any = None, copy: bool | None = None) -> Any:
    """What ``np.asarray`` takes."""
    return np.array(self.numpy(), dtype=dtype, copy=copy)


def fill_(self: Tensor, value: Any) -> Tensor:
    """A value in every element."""
    if isinstance(value, Tensor):
        return copy_(self, value)
    return hold(self, np.broadcast_to(as_array(value, self.dtype), self.shape))


def zero_(self: Tensor) -> Tensor:
    """Zero in every element."""
    return fill_(self, 0.0)


def copy_(self: Tensor, other: Any, non_blocking: bool = False) -> Tensor:
    """The values of another tensor, or a number, written into this one."""
    grad = trace.state.grad_enabled
    # What a traced step computes is written in each step, not the value that it has while it is traced.
    if isinstance(other, Tensor) and ((other.requires_grad and grad) or (trace.state.tracing and other.segment)):
        given = arrays.broadcast_to(arrays.cast(other, self.dtype), self.shape)
        return put(self, given if self.is_leaf or not grad else overwritten(self, given))
    array = other.compute() if isinstance(other, Tensor) else np.asarray(other)
    return hold(self, np.broadcast_to(array, self.shape))


def assigned(operation: Callable[..., Any]) -> Callable[..., Any]:
    """Keras's ``w.assign_add(x)`` and ``w.assign_sub(x)``."""

    def change(self: Tensor, value: Any) -> Tensor:
        with no_grad():
            self.assign(operation(self, value))
        return self

    return _named(change, f"Assign `{operation.__name__}` of the tensor and ``value``, outside of the gradient.")


DEVICES = ("cuda", "mps", "xpu", "hip", "xla", "mkldnn", "meta", "gpu")  # what programs call them


def no_device(name: Any) -> RuntimeError:
    """The error for a device that is not the processor."""
    return RuntimeError(
        f"there is no device {name!r}: programs run on the processor. Write 'cpu', or leave it out, instead."
    )


def to(self: Tensor, *targets: Any, dtype: str | None = None, device: Any = None, **_: Any) -> Tensor:
    """To a dtype (a name or another tensor's), or to the device "cpu", which is where everything is."""
    result = self
    for target in (*targets, dtype, device):
        name = target.dtype if isinstance(target, Tensor) else target
        if name in DTYPES:
            result = result if result.dtype == name else arrays.cast(result, name)
        elif name is not None and not isinstance(name, bool) and str(name).partition(":")[0] != "cpu":
            if name is device or str(name).partition(":")[0] in DEVICES:
                raise no_device(name)
            raise ValueError(f"cannot convert to {name!r}. Write a dtype ({', '.join(DTYPES)}) or 'cpu'.")
    return result


def to_dtype(name: str) -> Callable[..., Any]:
    """A method that converts to a dtype."""

    def method(self: Tensor, memory_format: Any = None) -> Tensor:
        return to(self, name)

    return _named(method, f"The tensor in {name}; there is one memory format.")


@function
def copied(x: Node) -> Node:
    """A copy whose gradient flows on."""
    return apply("reshape", x, shape=x.shape)


def clone(self: Tensor, *, memory_format: Any = None) -> Any:
    """A copy whose gradient flows on; there is one memory format."""
    return copied(self)


def requires_grad_(self: Tensor, flag: bool = True) -> Tensor:
    """Let gradients reach this tensor, or not. Raises RuntimeError for whole numbers."""
    if flag:
        self.check_float()
    self.requires_grad = flag
    return self


detach = alias_of


def get_data(self: Tensor) -> Tensor:
    """A tensor of the same memory, without gradients: writes to one are seen in both."""
    memory = memory_of(self)[0]
    known = None if memory.data is None else memory.data()
    owner = self if self.owner is None else self.owner
    if known is None or known.owner is not owner:
        known = alias_of(self, silent=True)
        memory.data = weakref.ref(known)
    return known


def set_data(self: Tensor, value: Any) -> None:
    """Go on in the memory of another tensor. Tensors that shared the memory keep the old values."""
    if isinstance(value, Tensor) and value.base is not None:
        memory, steps, _, _ = memory_of(value)
        if (memory, steps) == memory_of(self)[:2]:
            return  # of ``x.data += 1``, which has been written already
        if memory is memory_of(self)[0]:
            value = Tensor.wrap(np.array(value.compute(), order="C"), type_=value.spec)
    if isinstance(value, Tensor) and holds_value(self):
        leave_memory(self)
        take_memory(self, value)
    else:
        if isinstance(self.base, Memory):
            self.base.forgotten(self)
        self.assign(value)


def shallow_copy(self: Tensor) -> Tensor:
    """A tensor of the same class, in the same memory."""
    twin = copy.deepcopy(self)
    set_data(twin, self)
    return twin


def size(self: Tensor, dim: int | None = None) -> Any:
    """The shape, or the extent of one dimension."""
    return self.shape if dim is None else self.shape[dim]


def eq(self: Tensor, other: Any) -> Any:
    """``==``, element by element."""
    return False if other is None else arrays.equal(self, other)


def ne(self: Tensor, other: Any) -> Any:
    """``!=``, element by element."""
    return True if other is None else arrays.not_equal(self, other)


def drawn(draw: Callable[..., Any]) -> Callable[..., Any]:
    """A method that writes random numbers into its tensor, drawn by the process's seed or by a given generator."""

    def change(self: Tensor, *arguments: float, generator: Any = None, **named: float) -> Tensor:
        own = None if generator is None else generator.numpy
        if trace.state.tracing and (self.is_constant or isinstance(trace.state.tracing, trace.StepTrace)):
            values = drawn_tensor(draw(generator_of(own), self.shape, *arguments, **named), self.dtype)
            if self.base is not None or not self.is_constant:
                return put(self, values)
            self.replace(values)
            return self
        source = numpy_generator("tensor") if own is None else own
        return hold(self, as_array(draw(source, self.shape, *arguments, **named), self.dtype))

    return _named(change, f"{draw.__doc__} Written into the tensor, which is returned.")


def normal(source: Any, shape: Any, mean: float = 0.0, std: float = 1.0) -> Any:
    """Normal numbers of a mean and a standard deviation."""
    if not std >= 0:
        raise ValueError(f"a standard deviation of {std}. Write a number of 0 or more instead.")
    return source.standard_normal(shape) * std + mean


def uniform(source: Any, shape: Any, low: float = 0.0, high: float = 1.0, **named: float) -> Any:
    """Uniform numbers from ``low`` (or ``from``) up to ``high`` (or ``to``)."""
    low, high = named.get("from", low), named.get("to", high)
    return source.random(shape) * (high - low) + low


def pos(self: Tensor) -> Tensor:
    """The tensor itself."""
    return self


cpu = pos


def contiguous(self: Tensor, memory_format: Any = None) -> Any:
    """The tensor itself; of a view whose elements are in another order a copy."""
    return self if is_row_major(self) else copied(self)


def where(self: Tensor, condition: Any, other: Any) -> Any:
    """The tensor where the condition holds, else ``other``."""
    return arrays.where(condition, self, other)


def dim(self: Tensor) -> int:
    """The number of dimensions."""
    return self.ndim


def numel(input: Tensor) -> int:
    """The number of elements."""
    return math.prod(input.shape)


radd, rsub, rmul = reflected(arrays.add), reflected(arrays.subtract), reflected(arrays.multiply)
rtruediv, rfloordiv = reflected(arrays.divide), reflected(division.whole_quotient)
rmod, rpow, rmatmul = reflected(division.whole_remainder), reflected(arrays.power), reflected(arrays.matmul)
iadd, isub = augmented(arrays.add, np.add), augmented(arrays.subtract, np.subtract)
imul, itruediv = augmented(arrays.multiply), augmented(arrays.divide)
ifloordiv, imod = augmented(division.whole_quotient), augmented(division.whole_remainder)
ipow = augmented(arrays.power)
and_, or_, xor, invert = bits.bitwise_and, bits.bitwise_or, bits.bitwise_xor, bits.bitwise_not
lshift, rshift = bits.bitwise_left_shift, bits.bitwise_right_shift
rand, ror, rxor, rlshift, rrshift = map(reflected, (and_, or_, xor, lshift, rshift))
iand, ior, ixor, ilshift, irshift = map(augmented, (and_, or_, xor, lshift, rshift))
assign_add, assign_sub = assigned(arrays.add), assigned(arrays.subtract)
to_float, to_double, to_bool = to_dtype("float32"), to_dtype("float64"), to_dtype("bool")
to_int, to_long, to_short, to_char = map(to_dtype, ("int32", "int64", "int16", "int8"))
to_half, to_bfloat16 = to_dtype("float16"), to_dtype("bfloat16")
normal_, uniform_ = drawn(normal), drawn(uniform)
data = property(get_data, set_data)

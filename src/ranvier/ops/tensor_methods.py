"""The operators and methods of Tensor, in both vocabularies: a table from names to array operations.

Most are the operations themselves, so that ``x + y`` costs no more than ``numeric.add(x, y)``.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier.graph.node import DTYPES, FLOATS, Node, apply
from ranvier.ops import arrays, functional, indexing
from ranvier.ops.indexing import Ordered, put, writable
from ranvier.ops.shape_methods import (
    chunked,
    expanded,
    flipped,
    repeated,
    sized,
    split,
    squeezed,
    transposed,
    unbound,
    unsqueezed,
)
from ranvier.tensor import trace
from ranvier.tensor.arguments import no_out
from ranvier.tensor.autograd import backward
from ranvier.tensor.context import get_dtype, no_grad
from ranvier.tensor.function import detach, function
from ranvier.tensor.rng import numpy_generator
from ranvier.tensor.tensor import Tensor


def reflected(operation: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, other: operation(other, self)


def in_place(operation: Callable[..., Any]) -> Callable[..., Any]:
    """A method that changes its tensor, as PyTorch's whose names end in an underscore."""

    def change(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return put(self, operation(self, *args, **kwargs))

    change.__doc__ = f"{operation.__doc__ or operation.__name__} Written into the tensor, which is returned."
    return change


def augmented(operation: Callable[..., Any]) -> Callable[..., Any]:
    """``x += y`` writes into a leaf; of a result, or where the new value has a history, it makes a new tensor."""

    def change(self: Tensor, other: Any) -> Tensor:
        result: Tensor = operation(self, other)
        leaf = self.trace_node is None and self._value is not None
        return put(self, result) if leaf and (self.requires_grad or not result.requires_grad) else result

    return change


def filled(value: float) -> Callable[..., Any]:
    def change(self: Tensor) -> Tensor:
        """One value in every element."""
        return fill(self, value)

    return change


def fill(self: Tensor, value: Any) -> Tensor:
    """A value in every element."""
    writable(self)
    self.assign(np.full(self.shape, value, self.dtype))
    return self


def copy(self: Tensor, other: Any) -> Tensor:
    if isinstance(other, Tensor) and other.requires_grad and trace.state.grad_enabled:
        return put(self, arrays.broadcast_to(arrays.cast(other, self.dtype), self.shape))
    writable(self)
    array = other.compute() if isinstance(other, Tensor) else np.asarray(other)
    self.assign(np.broadcast_to(array, self.shape))
    return self


def assigned(operation: Callable[..., Any]) -> Callable[..., Any]:
    """Keras's ``w.assign_add(x)`` and ``w.assign_sub(x)``, outside of the gradient."""

    def change(self: Tensor, value: Any) -> Tensor:
        with no_grad():
            self.assign(operation(self, value))
        return self

    return change


def reduction(operation: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's ``axis, keepdims`` and PyTorch's ``dim, keepdim``."""

    def method(
        self: Tensor,
        axis: Any = None,
        keepdims: bool = False,
        *,
        dim: Any = None,
        keepdim: bool = False,
        **options: Any,
    ) -> Any:
        axis = dim if axis is None else axis
        return operation(
            self, tuple(axis) if isinstance(axis, list) else axis, keepdims or keepdim, **options
        )

    method.__doc__ = operation.__doc__
    return method


def extremum(largest: Callable[..., Any], position: Callable[..., Any]) -> Callable[..., Any]:
    """``max()`` and ``max(axis=1)`` give values; ``max(1)`` and ``max(dim=1)`` give (values, indices) as PyTorch."""

    def method(
        self: Tensor,
        dim: Any = None,
        keepdim: bool = False,
        *,
        axis: Any = None,
        keepdims: bool = False,
    ) -> Any:
        if isinstance(dim, Tensor):
            return (arrays.maximum if largest is arrays.max else arrays.minimum)(self, dim)
        if dim is None:
            return largest(self, axis, keepdims or keepdim)
        return Ordered(largest(self, dim, keepdim), position(self, dim, keepdim))

    return method


DEVICES = ("cuda", "mps", "xpu", "hip", "xla", "mkldnn", "meta", "gpu")  # what programs call them


def no_device(name: Any) -> RuntimeError:
    """The error for a device that is not the processor."""
    return RuntimeError(
        f"there is no device {name!r}: programs run on the processor. Write 'cpu', or leave it out, instead."
    )


def converted(self: Tensor, *targets: Any, dtype: str | None = None, device: Any = None, **_: Any) -> Tensor:
    """To a dtype (a name or another tensor's), or to the device "cpu", which is where everything is."""
    result = self
    for target in (*targets, dtype, device):
        name = target.dtype if isinstance(target, Tensor) else "int32" if target == "int64" else target
        if name in DTYPES:
            result = result if result.dtype == name else arrays.cast(result, name)
        elif name is not None and not isinstance(name, bool) and str(name).partition(":")[0] != "cpu":
            if name is device or str(name).partition(":")[0] in DEVICES:
                raise no_device(name)
            raise ValueError(f"cannot convert to {name!r}. Write a dtype ({', '.join(DTYPES)}) or 'cpu'.")
    return result


def to_dtype(name: str | None) -> Callable[..., Any]:
    return lambda self: converted(self, name or get_dtype())


@function
def clone(x: Node) -> Node:
    """A copy whose gradient flows on."""
    return apply("reshape", x, shape=x.shape)


def requires_grad(self: Tensor, flag: bool = True) -> Tensor:
    """Let gradients reach this tensor, or not. Raises RuntimeError for whole numbers."""
    if flag:
        self.check_float()
    self.requires_grad = flag
    return self


def detached(self: Tensor) -> Tensor:
    """The same values, taken as constant by gradients."""
    with no_grad():
        return detach(self)


_data: weakref.WeakValueDictionary[int, Tensor] = (
    weakref.WeakValueDictionary()
)  # by the owner's id, while in use


def get_data(self: Tensor) -> Tensor:
    """The same memory, outside of the gradient: what is written into either is seen in both."""
    owner = self if self.owner is None else self.owner
    data = _data.get(id(owner))
    if data is None or data.owner is not owner:
        data = Tensor.wrap(owner.compute() if owner._value is None else owner._value)
        data.base = owner, ...
        _data[id(owner)] = data
    return data


def set_data(self: Tensor, value: Any) -> None:
    """Take the values of another tensor. What `.data` gave before keeps the old ones, as after an exchange."""
    data = _data.get(id(self))
    if data is not None and data.owner is self:
        if data is value:  # of ``x.data += 1``, which has been written already
            return
        data.own_storage()
    self.assign(value)


def clamp(self: Tensor, min: Any = None, max: Any = None) -> Tensor:
    return arrays.clip(self, min, max)


def size(self: Tensor, dim: int | None = None) -> Any:
    return self.shape if dim is None else self.shape[dim]


def spread(operation: Callable[..., Any]) -> Callable[..., Any]:
    """Variance and deviation as PyTorch's methods, dividing by n - 1 unless ``unbiased=False`` or ``correction=0``.

    Where ``axis``, ``keepdims`` or ``ddof`` are named it is NumPy's, which divides by n - ``ddof``, n by default.
    """

    def method(
        self: Tensor,
        dim: Any = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: Any = None,
        **numpy: Any,
    ) -> Any:
        if numpy:
            axis = numpy.pop("axis", dim)
            return operation(self, axis, numpy.pop("keepdims", keepdim), numpy.pop("ddof", 0), **numpy)
        if isinstance(dim, bool):  # x.std(False)
            dim, unbiased = None, dim
        given = int(unbiased) if correction is None else correction
        return operation(self, tuple(dim) if isinstance(dim, list) else dim, keepdim, given)

    return method


def norm(
    self: Tensor,
    p: Any = 2,
    dim: Any = None,
    keepdim: bool = False,
    *,
    axis: Any = None,
    keepdims: bool = False,
) -> Any:
    """The p-norm over the given dimensions, or of all elements."""
    dim = axis if dim is None else dim
    order = {"fro": 2, "inf": np.inf}.get(p, p)
    return arrays.norm(self, tuple(dim) if isinstance(dim, list) else dim, keepdim or keepdims, order)


def along(operation: Callable[..., Any]) -> Callable[..., Any]:
    """An operation along a dimension, which PyTorch calls ``dim``."""

    def method(self: Tensor, dim: Any = None, *, axis: Any = None, dtype: Any = None) -> Any:
        axis = dim if axis is None else axis
        result = operation(self, *(() if axis is None else (axis,)))
        return result if dtype is None else converted(result, dtype)

    return method


def logical(operation: Callable[..., Any], sign: str, word: str) -> Callable[..., Any]:
    """``&``, ``|``, ``^`` and ``~``: of truth values."""

    def method(*operands: Any) -> Any:
        for x in operands:
            if not isinstance(x, bool) and getattr(x, "dtype", None) != "bool":
                kind = getattr(x, "dtype", type(x).__name__)
                raise TypeError(f"{sign} is for bool tensors, and here is {kind}. Write {word} instead.")
        return operation(*operands)

    return method


def equals(self: Tensor, other: Any) -> Any:
    return False if other is None else arrays.equal(self, other)


def differs(self: Tensor, other: Any) -> Any:
    return True if other is None else arrays.not_equal(self, other)


def kind(self: Tensor, dtype: Any = None) -> Any:
    """PyTorch's ``x.type()``, the name of the dtype, and ``x.type(dtype)``, a conversion."""
    return self.dtype if dtype is None else converted(self, dtype)


def scaled(sign: int) -> Callable[..., Any]:
    """PyTorch's ``x.add(y, alpha=a)`` and ``x.sub(y, alpha=a)``."""
    operation = arrays.add if sign > 0 else arrays.subtract

    def method(input: Any, other: Any, *, alpha: float = 1, out: Any = None) -> Any:
        if out is not None:
            raise no_out("add" if sign > 0 else "sub")
        return operation(input, other if alpha == 1 else arrays.multiply(other, alpha))

    method.__doc__ = f"``input {'+' if sign > 0 else '-'} alpha * other``."

    return method


def drawn(draw: Callable[..., Any]) -> Callable[..., Any]:
    """A method that fills its tensor with random numbers, of the process's seed or of a generator that is given."""

    def change(self: Tensor, *arguments: float, generator: Any = None, **named: float) -> Tensor:
        writable(self)
        own = None if generator is None else generator.numpy
        source = numpy_generator("tensor") if own is None else own
        self.assign(np.asarray(draw(source, self.shape, *arguments, **named), self.dtype))
        return self

    return change


def normal(source: Any, shape: Any, mean: float = 0.0, std: float = 1.0) -> Any:
    return source.standard_normal(shape) * std + mean


def uniform(source: Any, shape: Any, low: float = 0.0, high: float = 1.0, **named: float) -> Any:
    low, high = named.get("from", low), named.get("to", high)
    return source.random(shape) * (high - low) + low


ELEMENTWISE = (
    "abs", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "square", "reciprocal", "tanh", "sigmoid", "erf", "sin",
    "cos", "sign", "floor", "ceil", "isnan", "isfinite", "clip", "maximum", "minimum", "matmul", "flatten", "swapaxes",
)  # fmt: skip
REDUCTIONS = ("sum", "mean", "any", "all", "argmax", "argmin", "logsumexp")


METHODS: dict[str, Any] = {
    # operators
    "__add__": arrays.add, "__radd__": reflected(arrays.add), "__iadd__": augmented(arrays.add),
    "__sub__": arrays.subtract, "__rsub__": reflected(arrays.subtract), "__isub__": augmented(arrays.subtract),
    "__mul__": arrays.multiply, "__rmul__": reflected(arrays.multiply), "__imul__": augmented(arrays.multiply),
    "__truediv__": arrays.divide, "__rtruediv__": reflected(arrays.divide), "__itruediv__": augmented(arrays.divide),
    "__floordiv__": arrays.floor_divide, "__rfloordiv__": reflected(arrays.floor_divide),
    "__mod__": arrays.remainder, "__rmod__": reflected(arrays.remainder),
    "__pow__": arrays.power, "__rpow__": reflected(arrays.power),
    "__matmul__": arrays.matmul, "__rmatmul__": reflected(arrays.matmul),
    "__neg__": arrays.negative, "__pos__": lambda self: self, "__abs__": arrays.abs,
    "__lt__": arrays.less, "__le__": arrays.less_equal, "__gt__": arrays.greater, "__ge__": arrays.greater_equal,
    "__eq__": equals, "__ne__": differs,
    "__and__": logical(arrays.logical_and, "&", "(x != 0) & (y != 0)"),
    "__or__": logical(arrays.logical_or, "|", "(x != 0) | (y != 0)"),
    "__xor__": logical(arrays.logical_xor, "^", "(x != 0) ^ (y != 0)"),
    "__rand__": logical(arrays.logical_and, "&", "(x != 0) & (y != 0)"),
    "__ror__": logical(arrays.logical_or, "|", "(x != 0) | (y != 0)"),
    "__rxor__": logical(arrays.logical_xor, "^", "(x != 0) ^ (y != 0)"),
    "__invert__": logical(arrays.logical_not, "~", "x == 0"),
    "__getitem__": indexing.indexed, "__setitem__": indexing.set_item,
    # elementwise
    **{name: getattr(arrays, name) for name in ELEMENTWISE},
    "add": scaled(1), "sub": scaled(-1), "mul": arrays.multiply, "div": arrays.divide, "pow": arrays.power,
    "mm": arrays.matmul, "bmm": arrays.matmul, "dot": arrays.matmul, "neg": arrays.negative,
    "clamp": clamp, "clamp_min": clamp, "clamp_max": lambda self, most: clamp(self, None, most),
    "where": lambda self, condition, other: arrays.where(condition, self, other),
    "eq": arrays.equal, "ne": arrays.not_equal, "lt": arrays.less, "le": arrays.less_equal, "gt": arrays.greater,
    "ge": arrays.greater_equal, "relu": functional.relu,
    "softmax": along(functional.softmax), "log_softmax": along(functional.log_softmax),
    # reductions
    **{name: reduction(getattr(arrays, name)) for name in REDUCTIONS},
    "var": spread(arrays.var), "std": spread(arrays.std), "norm": norm,
    "amax": reduction(arrays.max), "amin": reduction(arrays.min),
    "max": extremum(arrays.max, arrays.argmax), "min": extremum(arrays.min, arrays.argmin),
    # movement
    "reshape": sized("shape", arrays.reshape), "view": sized("size", arrays.reshape),
    "permute": sized("dims", arrays.transpose), "transpose": transposed, "expand": sized("size", expanded),
    "flip": flipped, "t": arrays.transpose, "T": property(arrays.transpose),
    "mT": property(lambda self: arrays.swapaxes(self, -1, -2)),
    "squeeze": squeezed, "unsqueeze": unsqueezed,
    "expand_as": lambda self, other: arrays.broadcast_to(self, other.shape),
    "view_as": lambda self, other: arrays.reshape(self, other.shape),
    "chunk": chunked,
    "contiguous": lambda self: self, "clone": clone,
    "split": split, "repeat": sized("repeats", repeated), "unbind": unbound,
    # choosing
    **{name: getattr(indexing, name) for name in indexing.__all__},
    # dtype, device, shape
    "to": converted, "astype": converted, "type_as": converted, "type": kind, "cpu": lambda self: self,
    "float": to_dtype("float32"), "double": to_dtype("float64"), "int": to_dtype("int32"), "long": to_dtype("int32"),
    "bool": to_dtype("bool"),
    "size": size, "dim": lambda self: self.ndim, "numel": lambda self: int(np.prod(self.shape)),
    "is_floating_point": lambda self: self.dtype in FLOATS,
    # gradients
    "backward": backward, "detach": detached, "requires_grad_": requires_grad,
    # in place
    "zero_": filled(0.0), "fill_": fill, "copy_": copy, "add_": in_place(scaled(1)),
    "sub_": in_place(scaled(-1)), "mul_": in_place(arrays.multiply),
    "assign_add": assigned(arrays.add), "assign_sub": assigned(arrays.subtract),
    "normal_": drawn(normal), "uniform_": drawn(uniform),
    "div_": in_place(arrays.divide), "clamp_": in_place(clamp),
    "data": property(get_data, set_data),
}  # fmt: skip

for _name, _method in METHODS.items():
    setattr(Tensor, _name, _method)

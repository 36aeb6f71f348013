"""The operators and methods of Tensor, in both vocabularies: a table from names to array operations.

Most are the operations themselves, so that ``x + y`` costs no more than ``numeric.add(x, y)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier import functional, numeric, tape
from ranvier.graph.node import DTYPES, FLOATS, Node, apply
from ranvier.tensor import Tensor, function, get_dtype


def reflected(operation: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, other: operation(other, self)


def in_place(operation: Callable[..., Any]) -> Callable[..., Any]:
    """``x += y`` and ``x.add_(y)`` write into a leaf; of a result they make a new tensor."""

    def change(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        result: Tensor = operation(self, *args, **kwargs)
        if self.entry is not None or self.value is None:
            return result
        if result.requires_grad:
            if self.requires_grad:
                raise RuntimeError(
                    "a tensor that requires a gradient cannot be changed in place while gradients are recorded. "
                    "Write 'with no_grad():' around the change."
                )
            return result
        self.assign(numeric.cast(result, self.dtype) if result.dtype != self.dtype else result)
        return self

    return change


def filled(value: float) -> Callable[..., Any]:
    return lambda self: fill(self, value)


def fill(self: Tensor, value: float) -> Tensor:
    self.assign(np.full(self.shape, value, self.dtype))
    return self


def copy(self: Tensor, other: Any) -> Tensor:
    self.assign(other.compute() if isinstance(other, Tensor) else other)
    return self


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
            return (numeric.maximum if largest is numeric.max else numeric.minimum)(self, dim)
        if dim is None:
            return largest(self, axis, keepdims or keepdim)
        return largest(self, dim, keepdim), position(self, dim, keepdim)

    return method


def dims(sizes: Sequence[Any]) -> tuple[Any, ...]:
    """``f(2, 3)`` and ``f((2, 3))`` alike."""
    return tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else tuple(sizes)


def transposed(self: Tensor, *axes: Any) -> Any:
    """Two axes exchanged, as PyTorch has it; without arguments the axes reversed."""
    return (
        numeric.swapaxes(self, *axes)
        if len(axes) == 2
        else numeric.transpose(self, dims(axes) if axes else None)
    )


def converted(self: Tensor, *targets: Any, dtype: str | None = None, device: Any = None, **_: Any) -> Tensor:
    """To a dtype (a name or another tensor's), or to the device "cpu", which is where everything is."""
    result = self
    for target in (*targets, dtype, device):
        name = target.dtype if isinstance(target, Tensor) else "int32" if target == "int64" else target
        if name in DTYPES:
            result = result if result.dtype == name else numeric.cast(result, name)
        elif name is not None and not isinstance(name, bool) and str(name).partition(":")[0] != "cpu":
            raise ValueError(f"cannot convert to {name!r}. Write a dtype ({', '.join(DTYPES)}) or 'cpu'.")
    return result


def to_dtype(name: str | None) -> Callable[..., Any]:
    return lambda self: converted(self, name or get_dtype())


@function
def clone(x: Node) -> Node:
    """A copy whose gradient flows on."""
    return apply("reshape", x, shape=x.shape)


def indexed(self: Tensor, index: Any) -> Any:
    """``x[index]`` by whole numbers, slices, None, ... and (along the first axis) integer tensors.

    A tensor that holds its value and asks for no gradient is indexed at once by NumPy's rules, so that a loop over
    slices of a data set compiles nothing.
    """
    items = index if isinstance(index, tuple) else (index,)
    if self.entry is None and self.value is not None and not self.requires_grad:
        items = tuple(i.compute() if isinstance(i, Tensor) else i for i in items)
        return Tensor.wrap(np.array(self.compute()[items], order="C"))
    if len(items) == 1 and isinstance(items[0], (Tensor, np.ndarray, list)):
        chosen = items[0] if isinstance(items[0], Tensor) else Tensor(items[0])
        if chosen.dtype == "bool":
            raise TypeError(
                "a mask would give a shape that depends on values. Write where(mask, x, 0) instead."
            )
        return numeric.take(self, chosen)
    plain: list[Any] = []
    for item in items:
        if isinstance(item, slice):
            plain.append(("slice", item.start, item.stop, item.step))
        elif item is None or item is Ellipsis or hasattr(item, "__index__"):
            plain.append(item if item is None or item is Ellipsis else item.__index__())
        else:
            raise TypeError(
                f"cannot index a tensor by {type(item).__name__}. Write whole numbers, slices, None or ...."
            )
    return numeric.index_basic(self, tuple(plain))


def set_item(self: Tensor, index: Any, value: Any) -> None:
    """``x[index] = value`` for a leaf."""
    array = self.numpy()
    array[index.compute() if isinstance(index, Tensor) else index] = np.asarray(value)
    self.assign(array)


def requires_grad(self: Tensor, flag: bool = True) -> Tensor:
    if self.entry is not None:
        raise RuntimeError("only leaves can be asked for a gradient. Write x.detach() first.")
    tape.settle(self)
    self.requires_grad = flag
    return self


def get_data(self: Tensor) -> Tensor:
    """The same memory, outside of the gradient."""
    tape.settle(self)
    return Tensor.wrap(self.compute())


def set_data(self: Tensor, value: Any) -> None:
    self.assign(value)


def clamp(self: Tensor, min: Any = None, max: Any = None) -> Tensor:
    return numeric.clip(self, min, max)


def size(self: Tensor, dim: int | None = None) -> Any:
    return self.shape if dim is None else self.shape[dim]


def spread(operation: Callable[..., Any]) -> Callable[..., Any]:
    """Variance and deviation: NumPy's ``ddof``, PyTorch's ``correction`` or ``unbiased``."""

    def variant(x: Tensor, axis: Any, keepdims: bool, ddof: int = 0, **torch: Any) -> Any:
        return operation(x, axis, keepdims, int(torch.get("correction", torch.get("unbiased", ddof))))

    return reduction(variant)


def scaled_in_place(sign: int) -> Callable[..., Any]:
    """PyTorch's ``x.add_(y, alpha=a)`` and ``x.sub_(y, alpha=a)``."""

    def change(x: Any, y: Any, alpha: float = 1) -> Any:
        return numeric.add(x, numeric.multiply(y, sign * alpha)) if sign * alpha != 1 else numeric.add(x, y)

    return in_place(change)


def expanded(self: Tensor, *shape: Any) -> Any:
    """Repeated to a shape, in which -1 keeps an extent."""
    sizes = dims(shape)
    known = (*(None,) * (len(sizes) - self.ndim), *self.shape)
    return numeric.broadcast_to(self, tuple(d if e == -1 else e for e, d in zip(sizes, known, strict=True)))


def shaped(self: Tensor, *shape: Any) -> Any:
    """The same elements in another shape; one extent may be -1."""
    return numeric.reshape(self, dims(shape))


ELEMENTWISE = (
    "abs", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "square", "reciprocal", "tanh", "sigmoid", "erf", "sin",
    "cos", "sign", "floor", "ceil", "isnan", "isfinite", "clip", "maximum", "minimum", "matmul", "flatten", "swapaxes",
    "flip",
)  # fmt: skip
REDUCTIONS = ("sum", "mean", "any", "all", "argmax", "argmin", "norm", "logsumexp")


def squeezed(self: Tensor, dim: Any = None) -> Any:
    return numeric.squeeze(self, dim)


def unsqueezed(self: Tensor, dim: int) -> Any:
    return numeric.expand_dims(self, dim)


METHODS: dict[str, Any] = {
    # operators
    "__add__": numeric.add, "__radd__": reflected(numeric.add), "__iadd__": in_place(numeric.add),
    "__sub__": numeric.subtract, "__rsub__": reflected(numeric.subtract), "__isub__": in_place(numeric.subtract),
    "__mul__": numeric.multiply, "__rmul__": reflected(numeric.multiply), "__imul__": in_place(numeric.multiply),
    "__truediv__": numeric.divide, "__rtruediv__": reflected(numeric.divide), "__itruediv__": in_place(numeric.divide),
    "__floordiv__": numeric.floor_divide, "__rfloordiv__": reflected(numeric.floor_divide),
    "__mod__": numeric.remainder, "__rmod__": reflected(numeric.remainder),
    "__pow__": numeric.power, "__rpow__": reflected(numeric.power),
    "__matmul__": numeric.matmul, "__rmatmul__": reflected(numeric.matmul),
    "__neg__": numeric.negative, "__pos__": lambda self: self, "__abs__": numeric.abs,
    "__lt__": numeric.less, "__le__": numeric.less_equal, "__gt__": numeric.greater, "__ge__": numeric.greater_equal,
    "__eq__": numeric.equal, "__ne__": numeric.not_equal,
    "__and__": numeric.logical_and, "__or__": numeric.logical_or, "__invert__": numeric.logical_not,
    "__getitem__": indexed, "__setitem__": set_item,
    # elementwise
    **{name: getattr(numeric, name) for name in ELEMENTWISE},
    "add": numeric.add, "sub": numeric.subtract, "mul": numeric.multiply, "div": numeric.divide, "pow": numeric.power,
    "mm": numeric.matmul, "bmm": numeric.matmul, "dot": numeric.matmul, "neg": numeric.negative,
    "clamp": clamp,
    "eq": numeric.equal, "ne": numeric.not_equal, "lt": numeric.less, "le": numeric.less_equal, "gt": numeric.greater,
    "ge": numeric.greater_equal, "relu": functional.relu,
    "softmax": functional.softmax, "log_softmax": functional.log_softmax,
    # reductions
    **{name: reduction(getattr(numeric, name)) for name in REDUCTIONS},
    "var": spread(numeric.var), "std": spread(numeric.std),
    "max": extremum(numeric.max, numeric.argmax), "min": extremum(numeric.min, numeric.argmin),
    # movement
    "reshape": shaped, "view": shaped, "permute": lambda self, *axes: numeric.transpose(self, dims(axes)),
    "transpose": transposed, "expand": expanded,
    "t": numeric.transpose, "T": property(numeric.transpose),
    "mT": property(lambda self: numeric.swapaxes(self, -1, -2)),
    "squeeze": squeezed, "unsqueeze": unsqueezed,
    "expand_as": lambda self, other: numeric.broadcast_to(self, other.shape),
    "view_as": lambda self, other: numeric.reshape(self, other.shape),
    "chunk": lambda self, chunks, dim=0: numeric.split(self, chunks, dim),
    "contiguous": lambda self: self, "clone": clone,
    # dtype, device, shape
    "to": converted, "astype": converted, "type_as": converted, "cpu": lambda self: self, "float": to_dtype("float32"),
    "double": to_dtype("float64"), "int": to_dtype("int32"), "long": to_dtype("int32"), "bool": to_dtype("bool"),
    "size": size, "dim": lambda self: self.ndim, "numel": lambda self: int(np.prod(self.shape)),
    "is_floating_point": lambda self: self.dtype in FLOATS,
    # in place
    "zero_": filled(0.0), "fill_": fill, "copy_": copy, "add_": scaled_in_place(1),
    "sub_": scaled_in_place(-1), "mul_": in_place(numeric.multiply),
    "div_": in_place(numeric.divide), "clamp_": in_place(numeric.clip), "requires_grad_": requires_grad,
    "data": property(get_data, set_data),
}  # fmt: skip

for _name, _method in METHODS.items():
    setattr(Tensor, _name, _method)

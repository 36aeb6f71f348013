"""The methods of tensors that this vocabulary adds to those of `ranvier.ops.tensor_methods`: a table from names
to functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier.ops import indexing, shape_methods, tensor_methods
from ranvier.ops.torch import arguments, creation, elementwise, linalg, reductions, renamed
from ranvier.ops.torch import indexing as choosing
from ranvier.ops.torch import shape as arranging
from ranvier.ops.torch.device import check_device, device
from ranvier.ops.torch.dtypes import CLASSES
from ranvier.tensor.tensor import Tensor

# Functions whose first argument is the tensor are its methods as they are.
SHARED = {
    elementwise: (
        "acos", "acosh", "addcdiv", "addcmul", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh",
        "asin", "asinh", "atan", "atan2", "atanh", "cosh", "deg2rad", "erfc", "exp2", "fix", "fmax", "fmin", "fmod",
        "frac", "heaviside", "hypot", "isclose", "lerp", "logaddexp", "logaddexp2", "logit", "nan_to_num", "positive",
        "rad2deg", "round", "signbit", "sinc", "sinh", "tan", "trunc", "xlogy",
    ),
    arranging: (
        "diag", "diag_embed", "diff", "fliplr", "flipud", "moveaxis", "movedim", "narrow", "ravel",
        "repeat_interleave", "roll", "select", "tensor_split", "trace", "tril", "triu", "unflatten",
    ),
    reductions: (
        "addmm", "addmv", "aminmax", "baddbmm", "corrcoef", "count_nonzero", "cov", "cumprod", "cumsum", "dist",
        "median", "nanmean", "nansum", "prod", "quantile",
    ),
    choosing: (
        "argwhere", "bincount", "histc", "index_add", "index_copy", "index_fill", "scatter", "scatter_",
        "scatter_add", "take", "take_along_dim", "unique", "unique_consecutive",
    ),
    arguments: ("allclose", "equal", "ger", "isinf", "log10", "log2", "outer"),
    renamed: tuple(renamed.__all__),
    creation: ("bernoulli", "multinomial"),
}  # fmt: skip

# An underscore after the name of each of these changes the tensor.
IN_PLACE: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(renamed, name)
        for name in (
            "abs", "absolute", "ceil", "clamp", "clip", "cos", "div", "divide", "eq", "erf", "exp", "expm1", "floor",
            "floor_divide", "ge", "gt", "le", "log", "log1p", "lt", "mul", "multiply", "ne", "neg", "negative", "pow",
            "reciprocal", "relu", "remainder", "rsqrt", "sgn", "sigmoid", "sign", "sin", "sqrt", "square", "tanh",
            "true_divide",
        )
    },
    **{
        name: getattr(elementwise, name)
        for name in (
            "acos", "acosh", "addcdiv", "addcmul", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2",
            "arctanh", "asin", "asinh", "atan", "atan2", "atanh", "clamp_max", "clamp_min", "cosh", "deg2rad", "erfc",
            "exp2", "fix", "fmod", "frac", "hypot", "lerp", "logit", "nan_to_num", "rad2deg", "round", "sinh", "tan",
            "trunc", "xlogy",
        )
    },
    "cumprod": reductions.cumprod,
    "cumsum": reductions.cumsum,
    "index_add": choosing.index_add,
    "index_copy": choosing.index_copy,
    "index_fill": choosing.index_fill,
    "masked_fill": indexing.masked_fill,
    "log10": arguments.log10,
    "log2": arguments.log2,
    "scatter_add": choosing.scatter_add,
    "tril": arranging.tril,
    "triu": arranging.triu,
}  # fmt: skip


def detach_(self: Tensor) -> Tensor:
    """Take this very tensor as constant from here on."""
    if self.is_leaf:
        return self.requires_grad_(False)
    self.rebind(self.detach())
    return self


def retain_grad(self: Tensor) -> None:
    """Nothing for a leaf, which keeps its gradient. Raises RuntimeError for a result, which has none here."""
    if not self.is_leaf:
        raise RuntimeError(
            "the gradient of a result is not kept. Write torch.autograd.grad(loss, x), which gives it, instead."
        )


def _reshaping(operation: Callable[..., Any]) -> Callable[..., Any]:
    """A method that gives its tensor another shape: one with memory of its own, and no weight."""

    def change(self: Tensor, *args: Any, **named: Any) -> Tensor:
        if self.base is not None or (self.is_leaf and self.requires_grad):
            raise RuntimeError(
                "the shape of a view, or of a tensor that requires a gradient, cannot be changed in place. Write "
                "x = x.unsqueeze(...), or its like, instead."
            )
        self.rebind(operation(self, *args, **named))
        return self

    return change


def stride(self: Tensor, dim: int | None = None) -> Any:
    """How far apart elements lie that are next to each other, along each dimension or one, in a row-major tensor."""
    steps = tuple(math.prod(self.shape[i + 1 :]) for i in range(self.ndim))
    return steps if dim is None else steps[dim]


def clone(self: Tensor, *, memory_format: Any = None) -> Any:
    """A copy whose gradient flows on; there is one memory format."""
    return tensor_methods.clone(self)


def fill_diagonal_(self: Tensor, fill_value: float) -> Tensor:
    """Write a number on the diagonal of a matrix."""
    places = np.arange(min(self.shape))
    self[places, places] = fill_value
    return self


def _new(make: Callable[..., Any]) -> Callable[..., Any]:
    """A new tensor of the dtype of this one."""

    def method(self: Tensor, *args: Any, dtype: Any = None, **options: Any) -> Tensor:
        made: Tensor = make(*args, dtype=dtype or self.dtype, **options)
        return made

    return method


def cuda(self: Tensor, *_: Any, **__: Any) -> Tensor:
    """Raises RuntimeError: there is no such device."""
    check_device("cuda")
    return self


def grad_fn(self: Tensor) -> str | None:
    """The name of the function that the tensor is a result of, where gradients go on from it; None for leaves."""
    if self.trace_node is None or self.is_leaf or self.trace_node.function is None:
        return None
    return f"<{self.trace_node.function.name} backward>"


def numpy(self: Tensor, *, force: bool = False) -> Any:
    """The values as a NumPy array of its own, which ``force`` asks for."""
    return np.array(self.compute())


def copy_(self: Tensor, other: Any, non_blocking: bool = False) -> Tensor:
    """The values of another tensor, or a number, written into this one."""
    return tensor_methods.copy(self, other)


def kind(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The name of the dtype; with a dtype, or PyTorch's name for tensors of it (``torch.LongTensor``), a conversion."""
    if isinstance(dtype, str):
        dtype = CLASSES.get(dtype.removeprefix("torch."), dtype)
    return tensor_methods.kind(self, getattr(dtype, "dtype", dtype))


def whole_numbers(source: Any, shape: Any, low: int = 0, high: int | None = None, **named: int) -> Any:
    """Uniform whole numbers from ``low`` (or ``from``) up to but not including ``high`` (or ``to``)."""
    low, high = named.get("from", low), named.get("to", high)
    return source.integers(*((0, low) if high is None and low else (low, high or 2**24)), shape)


METHODS: dict[str, Any] = {
    **{name: getattr(module, name) for module, names in SHARED.items() for name in names},
    **{f"{name}_": tensor_methods.in_place(operation) for name, operation in IN_PLACE.items()},
    "squeeze": arguments.squeeze, "squeeze_": _reshaping(arguments.squeeze),
    "unsqueeze_": _reshaping(arguments.unsqueeze),
    "transpose_": _reshaping(arguments.transpose), "t_": _reshaping(arguments.t), "stride": stride,
    "clone": clone, "contiguous": lambda self, memory_format=None: self,
    "pin_memory": lambda self, device=None: self, "det": linalg.det, "inverse": linalg.inv,
    "exponential_": tensor_methods.drawn(lambda source, shape, lambd=1.0: source.standard_exponential(shape) / lambd),
    "detach_": detach_, "retain_grad": retain_grad, "type": kind, "fill_diagonal_": fill_diagonal_,
    "bernoulli_": tensor_methods.drawn(lambda source, shape, p=0.5: source.random(shape) < p),
    "subtract": elementwise.sub, "subtract_": tensor_methods.in_place(elementwise.sub), "clamp_min":
    elementwise.clamp_min,
    "clamp_max": elementwise.clamp_max, "broadcast_to": shape_methods.sized("size", arranging.broadcast_to),
    "tile": shape_methods.sized("dims", arranging.tile), "numpy": numpy, "copy_": copy_,
    "new_zeros": _new(creation.zeros), "new_ones": _new(creation.ones), "new_empty": _new(creation.empty),
    "new_full": _new(creation.full), "new_tensor": _new(creation.tensor),
    "inner": reductions.inner, "cross": reductions.cross,
    "reshape_as": lambda self, other: self.reshape(other.shape), "grad_fn": property(grad_fn),
    "random_": tensor_methods.drawn(whole_numbers), "nbytes": property(lambda self: self.nelement() *
    self.element_size()),
    "itemsize": property(lambda self: self.element_size()),
    "nelement": lambda self: math.prod(self.shape), "ndimension": lambda self: self.ndim,
    "is_contiguous": lambda self: True, "element_size": lambda self: np.dtype(self.dtype).itemsize,
    "layout": creation.strided, "is_complex": lambda self: False, "byte": lambda self: self.to("uint8"), "cuda": cuda,
    "device": property(lambda self: device("cpu")), "is_cuda": False,
}  # fmt: skip


def attach() -> None:
    """Give the methods to all tensors."""
    for name, method in METHODS.items():
        setattr(Tensor, name, method)

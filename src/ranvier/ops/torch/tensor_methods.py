"""Methods and attributes of tensors that PyTorch alone has and that are not operations. The table lists them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier.graph.dtypes import array_dtype
from ranvier.ops.tensor_methods import drawn, to, to_dtype
from ranvier.ops.torch import creation
from ranvier.ops.torch.device import check_device
from ranvier.ops.torch.device import device as device_of
from ranvier.ops.torch.dtypes import CLASSES
from ranvier.tensor.hooks import (
    register_hook,  # noqa: F401  # the table finds it here
    register_post_accumulate_grad_hook,  # noqa: F401  # likewise
    retain_grad,  # noqa: F401  # likewise
)
from ranvier.tensor.hooks import retains_grad as _retains_grad
from ranvier.tensor.printing import gradient_name, is_computed
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.views import is_row_major, strides_of


def detach_(self: Tensor) -> Tensor:
    """Take this very tensor as constant from here on."""
    if self.is_leaf:
        self.requires_grad = False
    else:
        self.replace(self.detach())
    return self


def stride(self: Tensor, dim: int | None = None) -> Any:
    """The step in elements along each dimension, or one."""
    steps = strides_of(self)
    return steps if dim is None else steps[dim]


def fill_diagonal_(self: Tensor, fill_value: float) -> Tensor:
    """Write a number on the diagonal of a matrix."""
    places = np.arange(min(self.shape))
    self[places, places] = fill_value
    return self


def _new(make: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Tensor, *args: Any, dtype: Any = None, **options: Any) -> Tensor:
        """A new tensor, of the dtype of this one where no other is given."""
        made: Tensor = make(*args, dtype=dtype or self.dtype, **options)
        return made

    return method


new_zeros, new_ones, new_empty = _new(creation.zeros), _new(creation.ones), _new(creation.empty)
new_full, new_tensor = _new(creation.full), _new(creation.tensor)


def cuda(self: Tensor, *_: Any, **__: Any) -> Tensor:
    """Raises RuntimeError: there is no such device."""
    check_device("cuda")
    return self


def type(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """PyTorch's name for tensors of the dtype (``torch.LongTensor``); with a dtype or such a name, a conversion."""
    if dtype is None:
        names = (name for name, known in CLASSES.items() if known == self.dtype)
        return "torch." + next(names, f"{self.dtype.name.replace('uint', 'UInt')}Tensor")
    if isinstance(dtype, str):
        dtype = CLASSES.get(dtype.removeprefix("torch."), dtype)
    return to(self, getattr(dtype, "dtype", dtype))


byte = to_dtype("uint8")


def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """The tensor itself: there is one kind of memory."""
    return self


def nelement(self: Tensor) -> int:
    """The number of elements."""
    return math.prod(self.shape)


def ndimension(self: Tensor) -> int:
    """The number of dimensions."""
    return self.ndim


def is_contiguous(self: Tensor) -> bool:
    """Whether the elements are in order in memory: not those of some views."""
    return is_row_major(self)


def element_size(self: Tensor) -> int:
    """The bytes of an element."""
    return array_dtype(self.dtype).itemsize


# --- random numbers, written into the tensor ----------------------------------------------------------------------


def _whole_numbers(source: Any, shape: Any, low: int = 0, high: int | None = None, **named: int) -> Any:
    """Uniform whole numbers from ``low`` (or ``from``) up to but not including ``high`` (or ``to``)."""
    low, high = named.get("from", low), named.get("to", high)
    return source.integers(*((0, low) if high is None and low else (low, high or 2**24)), shape)


def _exponential(source: Any, shape: Any, lambd: float = 1.0) -> Any:
    """Numbers of the exponential distribution of rate ``lambd``."""
    return source.standard_exponential(shape) / lambd


def _bernoulli(source: Any, shape: Any, p: float = 0.5) -> Any:
    """1 with the probability ``p``, else 0."""
    return source.random(shape) < p


bernoulli_, exponential_, random_ = drawn(_bernoulli), drawn(_exponential), drawn(_whole_numbers)


# --- attributes ---------------------------------------------------------------------------------------------------


def _grad_fn(self: Tensor) -> str | None:
    """The name of the function that the tensor is a result of, where gradients go on from it; None for leaves."""
    return f"<{gradient_name(self)}>" if self.requires_grad and is_computed(self) else None


grad_fn = property(_grad_fn)
retains_grad = property(_retains_grad)
device = property(lambda self: device_of("cpu"), doc="The processor.")
is_cpu = property(lambda self: True, doc="True: the processor is the one device.")
is_cuda = property(lambda self: False, doc="False: there is no such device.")
layout = property(lambda self: creation.strided, doc="The one layout that there is.")
itemsize = property(element_size)
nbytes = property(lambda self: nelement(self) * element_size(self), doc="The bytes of all elements.")

"""Methods that move elements: other shapes, orders and parts, with sizes one by one or in a sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ranvier.ops import arrays
from ranvier.ops.arrays.promotion import axes_of, axis_of
from ranvier.tensor.attribute_types import DType
from ranvier.tensor.tensor import Tensor


def dims(sizes: Sequence[Any]) -> tuple[Any, ...]:
    """``f(2, 3)`` and ``f((2, 3))`` alike."""
    return tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else tuple(sizes)


def sized(name: str, operation: Callable[[Any, tuple[Any, ...]], Any]) -> Callable[..., Any]:
    """A method that takes numbers one by one, in a sequence, or by a name: ``permute(1, 0)``, ``permute(dims=...)``."""

    def method(self: Tensor, *given: Any, **named: Any) -> Any:
        if named and (given or list(named) != [name]):
            raise TypeError(f"{operation.__name__} takes {name}=, and here is {', '.join(named)}.")
        return operation(self, dims(given or (named[name],) if named else given))

    method.__doc__ = operation.__doc__
    return method


def transpose(self: Tensor, *axes: Any, dim0: int | None = None, dim1: int | None = None) -> Any:
    """Two axes exchanged, as PyTorch has it; without arguments the axes reversed."""
    axes += tuple(axis for axis in (dim0, dim1) if axis is not None)
    return arrays.swapaxes(self, *axes) if len(axes) == 2 else arrays.transpose(self, dims(axes) if axes else None)


def expanded(self: Tensor, sizes: tuple[Any, ...]) -> Any:
    """Repeated to a shape, in which -1 keeps an extent."""
    known = (*(None,) * (len(sizes) - self.ndim), *self.shape)
    return arrays.broadcast_to(self, tuple(d if e == -1 else e for e, d in zip(sizes, known, strict=True)))


def flip(self: Tensor, *dims_: Any, dims: Any = None, axis: Any = None) -> Any:
    """The order along the given dimensions reversed, or along all."""
    given = dims_[0] if len(dims_) == 1 else dims_ or (axis if dims is None else dims)
    return arrays.flip(self, tuple(given) if isinstance(given, list) else given)


def squeeze(input: Tensor, dim: Any = None, *, axis: Any = None) -> Any:
    """Without dimensions of extent 1, all or those of ``dim`` that are, as PyTorch has it; ``axis`` must be such."""
    if dim is None:
        return arrays.squeeze(input, axis)
    return arrays.squeeze(input, tuple(d for d in axes_of(dim, input.ndim) if input.shape[d] == 1))


def repeated(self: Tensor, times: tuple[Any, ...]) -> Any:
    """The tensor repeated along each dimension; new dimensions come first."""
    whole = arrays.reshape(self, (*(1,) * (len(times) - self.ndim), *self.shape))
    paired = [n for pair in zip(times, whole.shape, strict=True) for n in pair]
    apart = arrays.reshape(whole, tuple(n for d in whole.shape for n in (1, d)))
    shape = tuple(t * d for t, d in zip(times, whole.shape, strict=True))
    return arrays.reshape(arrays.broadcast_to(apart, tuple(paired)), shape)


def tiled(self: Tensor, times: tuple[Any, ...]) -> Any:
    """The tensor repeated along its last dimensions."""
    return repeated(self, (*(1,) * (self.ndim - len(times)), *times))


def unbind(input: Tensor, dim: int = 0) -> tuple[Any, ...]:
    """The slices along a dimension."""
    parts = arrays.split(input, input.shape[axis_of(dim, input.ndim)], dim)
    return tuple(arrays.squeeze(part, dim) for part in parts)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """That many parts along a dimension, the last of them smaller where it does not divide."""
    if chunks < 1:
        raise ValueError(f"{chunks} parts along dimension {dim}. Write 1 or more instead.")
    return split(input, max(1, -(-input.shape[axis_of(dim, input.ndim)] // chunks)), dim)


def split(self: Tensor, split_size: Any, dim: int = 0) -> tuple[Any, ...]:
    """Parts of that size along a dimension, the last of them smaller where it does not divide; or of those sizes."""
    given = split_size
    if isinstance(given, int):
        extent = self.shape[axis_of(dim, self.ndim)]
        if given < 1:
            raise ValueError(f"parts of size {given} of {extent} elements. Write a size of 1 or more instead.")
        given = [min(given, extent - at) for at in range(0, extent, given)]
    return arrays.split(self, tuple(given), dim)


def expand_as(self: Tensor, other: Any) -> Any:
    """Repeated to the shape of another tensor."""
    return arrays.broadcast_to(self, other.shape)


def view_as(self: Tensor, other: Any) -> Any:
    """The same elements in the shape of another tensor."""
    return arrays.reshape(self, other.shape)


reshape_as = view_as
reshape, _view = sized("shape", arrays.reshape), sized("size", arrays.reshape)


def view(self: Tensor, *size: Any, **named: Any) -> Any:
    """The same elements in another shape. Raises TypeError for a dtype, which would read their bits as others."""
    dtype = named.get("dtype", size[0] if size else None)
    if not isinstance(dtype, DType):
        return _view(self, *size, **named)
    if dtype == self.dtype:
        return arrays.reshape(self, self.shape)
    raise TypeError(
        f"x.view({dtype!r}) would read the bits of {self.dtype} as {dtype}. Write x.to({dtype!r}) for the same "
        f"numbers, or torch.from_numpy(x.numpy().view({dtype.name!r})) for the same bits, instead."
    )


permute, expand = sized("dims", arrays.transpose), sized("size", expanded)
repeat, tile = sized("repeats", repeated), sized("dims", tiled)
T = property(arrays.transpose)
mT = property(  # noqa: N816 - PyTorch's name
    lambda self: arrays.swapaxes(self, -1, -2)
)

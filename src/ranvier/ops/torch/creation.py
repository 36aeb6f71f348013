"""Making tensors, as PyTorch spells it."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier.data.memory import check_memory
from ranvier.graph.dtypes import FLOATING, INTEGERS, array_dtype, as_array, dtype_of, promote, widened
from ranvier.graph.extents import Extent
from ranvier.graph.node import DTYPES
from ranvier.graph.node import full as full_node
from ranvier.ops import arrays
from ranvier.ops.draws import drawn_tensor
from ranvier.ops.torch.device import check_device
from ranvier.ops.torch.dtypes import dtype_name
from ranvier.ops.torch.element_types import own_dtype
from ranvier.ops.torch.random import drawer_of
from ranvier.tensor import trace
from ranvier.tensor.context import get_dtype
from ranvier.tensor.function import record
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import Function
from ranvier.tensor.views import over_array


def _made(make: Callable[..., Any]) -> Callable[..., Any]:
    """A function that makes tensors, with what PyTorch's have besides: ``size=`` where sizes may stand one by one, and
    ``layout``, ``pin_memory`` and ``memory_format``, of which there is one kind.
    """
    own = inspect.signature(make)
    first = next(iter(own.parameters.values()))
    kind = inspect.Parameter.KEYWORD_ONLY
    others = [inspect.Parameter(n, kind, default=v) for n, v in _PLACED.items() if n not in own.parameters]

    @functools.wraps(make)
    def maker(*args: Any, **options: Any) -> Any:
        if options:
            if first.kind is first.VAR_POSITIONAL and first.name in options:
                args = (*args, options.pop(first.name))
            if options.pop("layout", None) not in (None, strided):
                raise ValueError("there are no sparse tensors. Write layout=torch.strided, or leave it out.")
            for name in ("pin_memory", "memory_format"):
                options.pop(name, None)
        return make(*args, **options)

    maker.__signature__ = own.replace(parameters=[*own.parameters.values(), *others])  # type: ignore[attr-defined]  # what inspect reads
    return maker


strided = "torch.strided"  # the one layout
_PLACED = {"layout": strided, "pin_memory": False, "memory_format": None}


@_made
def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of a copy of ``data``. Arrays and tensors keep their dtype; Python's floats take the default dtype
    (``rv.set_dtype``), its integers become int64.

    Raises TypeError for what holds no numbers and OverflowError for integers that do not fit.
    """
    check_device(device)
    value = data.compute() if isinstance(data, Tensor) else data
    return Tensor(value, requires_grad=requires_grad, dtype=dtype_name(dtype) or own_dtype(value))


def scalar_tensor(s: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A number as a tensor without dimensions, in the default dtype."""
    return _filled(((),), s, dtype, device, requires_grad)


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False
) -> Tensor:
    """`as_tensor`, or a tensor of a copy of ``obj`` with ``copy=True``."""
    made = tensor(obj, dtype=dtype, device=device) if copy else as_tensor(obj, dtype, device)
    return made.requires_grad_() if requires_grad else made


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """``data`` itself if it is a tensor of that dtype, `from_numpy` of an array of it, else a tensor of a copy."""
    if isinstance(data, Tensor) and dtype_name(dtype) in (None, data.dtype):
        return data
    if isinstance(data, np.ndarray) and dtype_name(dtype) in (None, data.dtype.name):
        check_device(device)
        return from_numpy(data)
    return tensor(data, dtype=dtype, device=device)


def from_numpy(array: Any) -> Tensor:
    """A tensor that shares the array's memory where its dtype and layout allow it, else a copy."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy takes an array, not a {type(array).__name__}. Write torch.tensor(...) instead.")
    contiguous = array.flags.c_contiguous or array.flags.f_contiguous
    if array.dtype.isnative and dtype_of(array) in DTYPES and contiguous:
        return over_array(np.asarray(array))
    return tensor(array)


def is_tensor(obj: Any) -> bool:
    """Whether ``obj`` is a tensor."""
    return isinstance(obj, Tensor)


def _sizes(size: tuple[Any, ...], dtype: str) -> tuple[int, ...]:
    if len(size) == 1 and isinstance(size[0], Sequence):
        size = tuple(size[0])
    if any(isinstance(n, Extent) for n in size):  # in a model that is traced
        return tuple(size)
    shape = tuple(int(n) for n in size)
    check_memory(shape, array_dtype(dtype), "a tensor")
    return shape


FILLED = Function("full", lambda dtype, shape, value: full_node(value, shape, dtype))


def _filled(
    size: tuple[Any, ...], value: Any, dtype: Any, device: Any, requires_grad: bool, default: str | None = None
) -> Tensor:
    check_device(device)
    name = dtype_name(dtype) or default or get_dtype()
    shape = _sizes(size, name)
    number = value.compute() if isinstance(value, Tensor) else value
    if any(isinstance(n, Extent) for n in shape):
        options = ("dtype", name), ("shape", shape), ("value", as_array(number, name).item())
        made: Tensor = record(FILLED, (), options)
        return made
    return Tensor.wrap(np.full(shape, as_array(number, name)), requires_grad=requires_grad)


@_made
def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of a shape, given as numbers or as one sequence."""
    return _filled(size, 0, dtype, device, requires_grad)


@_made
def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of a shape, given as numbers or as one sequence."""
    return _filled(size, 1, dtype, device, requires_grad)


empty = zeros  # memory that was never written would make results differ from run to run


@_made
def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """One value in every element of a shape; whole numbers make int64, True and False bool, a tensor its dtype."""
    default = "bool" if isinstance(fill_value, bool) else "int64" if isinstance(fill_value, int) else None
    default = fill_value.dtype if isinstance(fill_value, Tensor) else default
    return _filled((size,), fill_value, dtype, device, requires_grad, default)


def _like(name: str, value: Any) -> Any:
    def make(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
        return _filled((input.shape,), value, dtype or input.dtype, device, requires_grad)

    make.__name__ = make.__qualname__ = name
    return _made(make)


zeros_like, ones_like = _like("zeros_like", 0), _like("ones_like", 1)
zeros_like.__doc__ = "Zeros in the shape and dtype of another tensor."
ones_like.__doc__ = "Ones in the shape and dtype of another tensor."
empty_like = zeros_like


@_made
def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """One value in the shape and dtype of another tensor."""
    return _filled((input.shape,), fill_value, dtype or input.dtype, device, requires_grad)


@_made
def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:  # fmt: skip
    """``start, start + step, ...`` up to but not including ``end``; with one argument, 0 up to it."""
    check_device(device)
    low, high = (0, start) if end is None else (start, end)
    low, high, step = (v.item() if isinstance(v, Tensor) else v for v in (low, high, step))
    whole = all(isinstance(v, int) for v in (low, high, step))
    if not step:
        raise ValueError(f"steps of {step} from {low} never come to {high}. Write a step that is not 0 instead.")
    if not all(map(math.isfinite, (low, high, step))) or (high - low) * step < 0:
        raise ValueError(f"steps of {step} from {low} never come to {high}. Write a step toward it instead.")
    name = dtype_name(dtype)
    if name == "int64":
        low, high, step = int(low), int(high), int(step)
    count = max(0, math.ceil((high - low) / step))
    if name in INTEGERS:
        low, step, whole = int(low), int(step), True
    check_memory((count,), "float64", "a tensor")
    values = low + step * np.arange(count, dtype=np.int64 if whole else np.float64)
    return _stored(values, dtype, requires_grad)


@_made
def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:  # fmt: skip
    """``steps`` values from ``start`` to ``end``, both included, evenly spaced."""
    check_device(device)
    return _stored(np.linspace(*_whole_ends(start, end, dtype), _steps(steps)), dtype, requires_grad)


@_made
def logspace(
    start: float, end: float, steps: int, base: float = 10.0, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """``base`` to the power of `linspace`."""
    check_device(device)
    values = np.logspace(*_whole_ends(start, end, dtype), _steps(steps), base=base)
    return _stored(values, dtype, requires_grad)


def _steps(steps: Any) -> int:
    if isinstance(steps, float) or steps < 0:
        raise ValueError(f"steps={steps!r}. Write a whole number of 0 or more instead.")
    return int(steps)


def _whole_ends(start: Any, end: Any, dtype: Any) -> tuple[Any, Any]:
    """The ends of a range as they are stored: of integers whole."""
    if any(getattr(v, "ndim", 0) for v in (start, end)):
        raise RuntimeError(
            "the ends of a range have dimensions. Write numbers, or tensors without dimensions, instead."
        )
    first, last = (v.item() if isinstance(v, Tensor) else v for v in (start, end))
    return (first, last) if dtype_name(dtype) not in INTEGERS else (math.trunc(first), math.trunc(last))


def _stored(values: Any, dtype: Any, requires_grad: bool) -> Tensor:
    """Computed numbers in a dtype: floats by default in the default one. Integers are rounded toward 0."""
    name = dtype_name(dtype) or ("int64" if values.dtype.kind in "iu" else get_dtype())
    return Tensor(values, dtype=name, requires_grad=requires_grad)


@_made
def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal, zeros elsewhere: (n, m), or (n, n)."""
    check_device(device)
    name = dtype_name(dtype) or get_dtype()
    _sizes((n, m or n), name)
    return Tensor.wrap(np.array(as_array(np.eye(n, m), name)), requires_grad=requires_grad)


# --- random: drawn from the generator that manual_seed (rv.set_seed) seeds, or from one given ---------------------


def _random(draw: Any, size: tuple[Any, ...], dtype: Any, generator: Any, device: Any, requires_grad: bool) -> Tensor:
    check_device(device)
    name = dtype_name(dtype) or get_dtype()
    return drawn_tensor(draw(drawer_of(generator), _sizes(size, name)), name, requires_grad)


def _uniform(generator: Any, shape: tuple[int, ...]) -> Any:
    return generator.random(shape, dtype=np.float32)


def _normal(generator: Any, shape: tuple[int, ...]) -> Any:
    return generator.standard_normal(shape)


@_made
def rand(
    *size: Any, dtype: Any = None, generator: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Uniform numbers in [0, 1)."""
    return _random(_uniform, size, dtype, generator, device, requires_grad)


@_made
def randn(
    *size: Any, dtype: Any = None, generator: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Numbers of the standard normal distribution."""
    return _random(_normal, size, dtype, generator, device, requires_grad)


@_made
def rand_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """`rand` in the shape and dtype of another tensor."""
    return rand(input.shape, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


@_made
def randn_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """`randn` in the shape and dtype of another tensor."""
    return randn(input.shape, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


@_made
def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    dtype: Any = None,
    generator: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Whole numbers in [low, high); ``randint(high, size)`` starts at 0."""
    check_device(device)
    if size is None:
        low, high, size = 0, low, high
    name = dtype_name(dtype) or "int64"
    values = drawer_of(generator).integers(low, high, _sizes((size,), name))
    return drawn_tensor(values, name, requires_grad)


@_made
def randint_like(input: Tensor, low: int, high: Any = None, *, dtype: Any = None, device: Any = None) -> Tensor:
    """`randint` in the shape and dtype of another tensor."""
    low, high = (0, low) if high is None else (low, high)
    return randint(low, high, input.shape, dtype=dtype or input.dtype, device=device)


@_made
def randperm(n: int, *, generator: Any = None, dtype: Any = None, device: Any = None) -> Tensor:
    """The numbers 0 to n - 1 in random order, int64."""
    check_device(device)
    return Tensor(drawer_of(generator).permutation(n), dtype=dtype_name(dtype) or "int64")


def normal(mean: Any, std: Any = 1.0, size: Any = None, *, generator: Any = None, **options: Any) -> Tensor:
    """Normal numbers of a mean and a deviation, each a number, for a ``size``, or a tensor."""
    if trace.state.tracing:
        shape = size or arrays.broadcast_shape(*(getattr(v, "shape", ()) for v in (mean, std)))
        noise, known = randn(shape, generator=generator, **options), (mean, std)
        centre, width = (v.detach() if isinstance(v, Tensor) else v for v in known)
        return arrays.add(arrays.multiply(noise, width), centre)
    given = [v.detach().compute() if isinstance(v, Tensor) else v for v in (mean, std)]
    shape = np.broadcast_shapes(*map(np.shape, given)) if size is None else size
    drawn = randn(shape, generator=generator, **options)
    name = promote(v.dtype for v in (mean, std) if isinstance(v, Tensor)) or drawn.dtype
    values = widened(drawn.compute()) * widened(np.asarray(given[1])) + widened(np.asarray(given[0]))
    return _without_slope(Tensor.wrap(as_array(values, name), requires_grad=drawn.requires_grad), mean, std)


def _without_slope(drawn: Tensor, *sources: Any) -> Tensor:
    """Drawn numbers as a result of what their distribution depends on: the gradient that reaches it is 0."""
    for source in sources:
        if isinstance(source, Tensor) and source.requires_grad:
            drawn = arrays.where(Tensor.wrap(np.ones((), bool)), drawn, source)
    return drawn


def bernoulli(input: Tensor, p: float | None = None, *, generator: Any = None) -> Tensor:
    """1 with the probability that each element is (or ``p``), else 0, in the dtype of ``input``."""
    if trace.state.tracing:
        drawn = drawer_of(generator).random(input.shape) < (input.detach() if p is None else p)
        return _without_slope(drawn_tensor(drawn, input.dtype), input)
    chance = input.detach().compute() if p is None else np.full(input.shape, p)
    if chance.size and not (chance.min() >= 0 and chance.max() <= 1):
        raise ValueError(f"probabilities from {chance.min()} to {chance.max()}. Write 0 to 1 instead.")
    drawn = drawn_tensor(drawer_of(generator).random(input.shape) < chance, input.dtype)
    return _without_slope(drawn, input)


def multinomial(input: Tensor, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Tensor:
    """Numbers drawn with probabilities proportional to weights: (n,) -> (num_samples,), or row by row; int64.

    Raises ValueError for weights that are no probabilities, or fewer of them above 0 than are drawn.
    """
    if input.dtype not in FLOATING or num_samples < 1:
        raise ValueError(
            f"{num_samples} numbers by {input.dtype} weights. Write 1 or more, and float weights, instead."
        )
    if trace.state.tracing:
        drawer_of(generator).multinomial()
    weights = as_array(input.detach().compute(), "float64")
    rows = weights.reshape(-1, weights.shape[-1])
    with np.errstate(all="ignore"):  # of shares that are none, of which the error below tells
        rows = rows / rows.sum(1, keepdims=True)
    enough = 1 if replacement else num_samples
    if not np.isfinite(rows).all() or (rows < 0).any() or ((rows > 0).sum(1) < enough).any():
        raise ValueError(
            f"{num_samples} numbers cannot be drawn with these weights. Write weights of 0 or more, of which "
            f"{enough} or more are above 0, or replacement=True."
        )
    source = drawer_of(generator)
    drawn = [source.choice(len(r), num_samples, replacement, r) for r in rows]
    return Tensor(np.array(drawn).reshape(*weights.shape[:-1], num_samples), dtype="int64")

"""Pooling as ``torch.nn.functional`` names it: (batch, channels, positions...), or without the batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ranvier.graph.dtypes import INTEGERS
from ranvier.graph.node import GraphError, Node
from ranvier.ops import arrays
from ranvier.ops.arrays.elementwise import add, cast, multiply, sign
from ranvier.ops.functional import pooling
from ranvier.ops.functional.convolution import Pairs, channels_first, channels_last
from ranvier.ops.torch.sizes import batched, each
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor


@function
def largest(x: Node, size: Sequence[int], stride: Sequence[int], padding: Pairs, dilation: Sequence[int]) -> Node:
    """`functional.pooling.max_pool` with channels first."""
    return channels_first(pooling.max_pool(channels_last(x), size, stride, padding, dilation))


@function
def places(x: Node, size: Sequence[int], stride: Sequence[int], padding: Pairs, dilation: Sequence[int]) -> Node:
    """`functional.pooling.max_places` with channels first."""
    return channels_first(pooling.max_places(channels_last(x), size, stride, padding, dilation))


@function
def mean(
    x: Node,
    size: Sequence[int],
    stride: Sequence[int],
    padding: Pairs,
    counted: bool,
    beyond: Sequence[int],
    divisor: float | None,
) -> Node:
    """`functional.pooling.average_pool` with channels first."""
    whole = x.dtype in INTEGERS
    rows = cast(x, "float64") if whole else x
    y = channels_first(pooling.average_pool(channels_last(rows), size, stride, padding, counted, beyond, divisor))
    if not whole:
        return y
    # Means of integers are whole or far from it, and rounded toward 0.
    return cast(add(y, multiply(sign(y), 1e-7)), x.dtype)


def _strides(stride: Any, sizes: tuple[int, ...], n: int) -> tuple[int, ...]:
    """The steps between windows; adjacent windows where there is none."""
    return sizes if stride is None or stride in ((), []) else each(stride, n, "stride", 1)


def _pads(padding: Any, sizes: Sequence[int], n: int) -> tuple[int, ...]:
    pads = each(padding, n, "padding")
    if any(2 * p > k for p, k in zip(pads, sizes, strict=True)):
        raise ValueError(f"padding={padding!r} with windows of {tuple(sizes)}. Write at most half their size.")
    return pads


def _beyond(d: int, p: int, reach: int, stride: int, ceil_mode: bool) -> int:
    """How far the last window reaches past the padding: with ``ceil_mode`` it need only start within."""
    if not ceil_mode:
        return 0
    outs = -(-(d + 2 * p - reach) // stride) + 1
    if (outs - 1) * stride >= d + p:
        outs -= 1
    return max(0, (outs - 1) * stride + reach - d - 2 * p)


def _max_pool(n: int) -> Any:
    def max_pool(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        sizes = each(kernel_size, n, "kernel_size", 1)
        strides = _strides(stride, sizes, n)
        pads, rates = _pads(padding, sizes, n), each(dilation, n, "dilation", 1)
        if input.ndim not in (n + 1, n + 2) or 0 in input.shape[-n - 1 :]:
            raise GraphError(
                f"it takes (batch, channels, ...) of {n + 2} dimensions, filled but for the batch, not {input.shape}"
            )
        pairs = tuple(
            (p, p + _beyond(d, p, (k - 1) * r + 1, s, ceil_mode))
            for d, p, k, r, s in zip(input.shape[-n:], pads, sizes, rates, strides, strict=True)
        )
        values = batched(lambda x: largest(x, sizes, strides, pairs, rates), input, n)
        if not return_indices:
            return values
        return values, batched(lambda x: places(x, sizes, strides, pairs, rates), input, n)

    max_pool.__name__ = max_pool.__qualname__ = f"max_pool{n}d"
    max_pool.__doc__ = f"The largest value of each window, and with ``return_indices`` its place; see `MaxPool{n}d`."
    return max_pool


max_pool1d, max_pool2d, max_pool3d = (_max_pool(n) for n in (1, 2, 3))


def _max_unpool(n: int) -> Any:
    def max_unpool(
        input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
    ) -> Any:
        sizes = each(kernel_size, n, "kernel_size", 1)
        strides, pads = _strides(stride, sizes, n), each(padding, n, "padding")
        if indices.shape != input.shape:
            raise ValueError(f"indices of shape {indices.shape} for {input.shape}. Write those of the max_pool{n}d.")
        shape = tuple(
            (d - 1) * s - 2 * p + k for d, s, p, k in zip(input.shape[-n:], strides, pads, sizes, strict=True)
        )
        if output_size is not None:
            given = tuple(output_size)[-n:]
            if len(given) != n or any(abs(g - d) >= s for g, d, s in zip(given, shape, strides, strict=True)):
                raise ValueError(f"output_size={tuple(output_size)}. Write a size less than {strides} from {shape}.")
            shape = given
        if isinstance(indices, Tensor) and indices._value is not None and indices._value.size:
            low, high = indices._value.min(), indices._value.max()
            if not 0 <= low <= high < math.prod(shape):
                raise ValueError(
                    f"indices from {low} to {high} of {math.prod(shape)} places. Write a larger output_size."
                )
        if input.ndim == n + 1:
            one = (arrays.expand_dims(v, 0) for v in (input, indices))
            return arrays.squeeze(pooling.max_unpool(*one, shape), 0)
        return pooling.max_unpool(input, indices, shape)

    max_unpool.__name__ = max_unpool.__qualname__ = f"max_unpool{n}d"
    max_unpool.__doc__ = f"The values that `max_pool{n}d` found at their places, and 0 elsewhere; see `MaxUnpool{n}d`."
    return max_unpool


max_unpool1d, max_unpool2d, max_unpool3d = (_max_unpool(n) for n in (1, 2, 3))


def _avg_pool(n: int) -> Any:
    def avg_pool(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Any:
        if divisor_override == 0:
            raise ValueError("divisor_override=0. Write another number instead.")
        sizes = each(kernel_size, n, "kernel_size", 1)
        strides = _strides(stride, sizes, n)
        pads = _pads(padding, sizes, n)
        beyond = tuple(
            _beyond(d, p, k, s, ceil_mode) for d, p, k, s in zip(input.shape[-n:], pads, sizes, strides, strict=True)
        )
        pairs = tuple((p, p) for p in pads)
        return batched(lambda x: mean(x, sizes, strides, pairs, count_include_pad, beyond, divisor_override), input, n)

    avg_pool.__name__ = avg_pool.__qualname__ = f"avg_pool{n}d"
    avg_pool.__doc__ = f"The mean of each window; see `AvgPool{n}d`."
    return avg_pool


avg_pool1d, avg_pool2d, avg_pool3d = (_avg_pool(n) for n in (1, 2, 3))


def _lp_pool(n: int) -> Any:
    def lp_pool(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
        p, sizes = float(norm_type), each(kernel_size, n, "kernel_size", 1)
        if math.isinf(p):
            sign = 1 if p > 0 else -1
            large = (max_pool1d, max_pool2d, max_pool3d)[n - 1]
            return large(input.abs() * sign, kernel_size, stride, 0, 1, ceil_mode) * sign
        means = (avg_pool1d, avg_pool2d, avg_pool3d)[n - 1](input**p, kernel_size, stride, 0, ceil_mode)
        totals = means.sign() * means.abs().clamp(min=0.0) * float(math.prod(sizes))
        return totals ** (1.0 / p)

    lp_pool.__name__ = lp_pool.__qualname__ = f"lp_pool{n}d"
    lp_pool.__doc__ = f"The p-norm of each window; see `LPPool{n}d`."
    return lp_pool


lp_pool1d, lp_pool2d, lp_pool3d = (_lp_pool(n) for n in (1, 2, 3))


def _adaptive(kind: str, n: int) -> Any:
    most = kind == "max"

    def shape_of(input: Any, output_size: Any) -> tuple[Any, ...]:
        given = tuple(output_size) if isinstance(output_size, (list, tuple)) else (output_size,) * n
        if len(given) != n:
            raise ValueError(f"output_size={output_size!r}. Write a number, or {n} of them, instead.")
        dims = input.shape[-n:]
        if len(dims) < n:
            raise GraphError(f"it takes {n + 2} dimensions (or {n + 1} for one sample), not {input.ndim}")
        return tuple(
            d if wanted is None else each(wanted, 1, "output_size", 1)[0] for wanted, d in zip(given, dims, strict=True)
        )

    def adaptive_max_pool(input: Any, output_size: Any, return_indices: bool = False) -> Any:
        shape = shape_of(input, output_size)
        values = batched(lambda x: pooling.adaptive_pool(x, shape, True, True), input, n)
        if not return_indices:
            return values
        return values, batched(lambda x: pooling.adaptive_places(x, shape, True), input, n)

    def adaptive_avg_pool(input: Any, output_size: Any) -> Any:
        shape = shape_of(input, output_size)
        return batched(lambda x: pooling.adaptive_pool(x, shape, False, True), input, n)

    pool: Any = adaptive_max_pool if most else adaptive_avg_pool
    pool.__name__ = pool.__qualname__ = f"adaptive_{kind}_pool{n}d"
    what = "largest value" if most else "mean"
    pool.__doc__ = f"The {what} of each of ``output_size`` parts, as equal as they can be; None keeps an extent."
    return pool


adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = (_adaptive("avg", n) for n in (1, 2, 3))


adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = (_adaptive("max", n) for n in (1, 2, 3))

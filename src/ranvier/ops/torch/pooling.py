"""Pooling as ``torch.nn.functional`` names it: (batch, channels, positions...), or without the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier.graph.dtypes import INTEGERS
from ranvier.graph.node import Node
from ranvier.ops.arrays.elementwise import add, cast, multiply, sign
from ranvier.ops.functional import pooling
from ranvier.ops.functional.convolution import Pairs, channels_first, channels_last
from ranvier.ops.torch.sizes import batched, each
from ranvier.tensor.function import function


@function
def largest(x: Node, size: Sequence[int], stride: Sequence[int], padding: Pairs, dilation: Sequence[int]) -> Node:
    """`functional.pooling.max_pool` with channels first."""
    return channels_first(pooling.max_pool(channels_last(x), size, stride, padding, dilation))


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
        no_indices(return_indices)
        sizes = each(kernel_size, n, "kernel_size", 1)
        strides = sizes if stride is None else each(stride, n, "stride", 1)
        pads, rates = _pads(padding, sizes, n), each(dilation, n, "dilation", 1)
        pairs = tuple(
            (p, p + _beyond(d, p, (k - 1) * r + 1, s, ceil_mode))
            for d, p, k, r, s in zip(input.shape[-n:], pads, sizes, rates, strides, strict=True)
        )
        return batched(lambda x: largest(x, sizes, strides, pairs, rates), input, n)

    max_pool.__name__ = max_pool.__qualname__ = f"max_pool{n}d"
    max_pool.__doc__ = f"The largest value of each window; see `MaxPool{n}d`."
    return max_pool


max_pool1d, max_pool2d, max_pool3d = (_max_pool(n) for n in (1, 2, 3))


def no_indices(return_indices: bool) -> None:
    """Raise ValueError where the places of the largest values are asked for."""
    if return_indices:
        raise ValueError("return_indices=True: the places of maxima are not given. Write False instead.")


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
        sizes = each(kernel_size, n, "kernel_size", 1)
        strides = sizes if stride is None else each(stride, n, "stride", 1)
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


def _adaptive(kind: str, n: int) -> Any:
    most = kind == "max"

    def parts(input: Any, output_size: Any) -> Any:
        given = tuple(output_size) if isinstance(output_size, (list, tuple)) else (output_size,) * n
        shape = tuple(
            d if wanted is None else each(wanted, 1, "output_size", 1)[0]
            for wanted, d in zip(given, input.shape[-n:], strict=True)
        )
        return batched(lambda x: pooling.adaptive_pool(x, shape, most, True), input, n)

    def adaptive_max_pool(input: Any, output_size: Any, return_indices: bool = False) -> Any:
        no_indices(return_indices)
        return parts(input, output_size)

    def adaptive_avg_pool(input: Any, output_size: Any) -> Any:
        return parts(input, output_size)

    pool: Any = adaptive_max_pool if most else adaptive_avg_pool
    pool.__name__ = pool.__qualname__ = f"adaptive_{kind}_pool{n}d"
    what = "largest value" if most else "mean"
    pool.__doc__ = f"The {what} of each of ``output_size`` parts, as equal as they can be; None keeps an extent."
    return pool


adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = (_adaptive("avg", n) for n in (1, 2, 3))


adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = (_adaptive("max", n) for n in (1, 2, 3))

"""Functions of images as ``torch.nn.functional`` names them: (batch, channels, positions...), or without the batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ranvier import functional, numeric
from ranvier.functional import convolution as convolutions
from ranvier.functional import pooling
from ranvier.functional import spatial as shapes
from ranvier.functional.convolution import Pairs, channels_first, channels_last
from ranvier.functional.normalization import (
    group_standardize,
    instance_moments,
    moved,
    rms_standardize,
    standardize,
)
from ranvier.functional.resizing import resize
from ranvier.graph.node import GraphError, Node, apply
from ranvier.seed import draw
from ranvier.tensor import function, get_dtype, no_grad

MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


def each(value: Any, n: int, what: str, least: int = 0) -> tuple[int, ...]:
    """One whole number for each of n dimensions; raises ValueError."""
    given = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    given = given * n if len(given) == 1 else given
    if len(given) != n or any(isinstance(v, bool) or not isinstance(v, int) or v < least for v in given):
        raise ValueError(
            f"{what}={value!r}. Write a whole number of {least} or more, or {n} of them, instead."
        )
    return given


def one_of(value: Any, what: str, known: Sequence[str]) -> str:
    """A word among those known; raises ValueError."""
    if value not in known:
        raise ValueError(f"{what}={value!r}. Write {' or '.join(map(repr, known))} instead.")
    return str(value)


def batched(compute: Callable[[Any], Any], input: Any, n: int) -> Any:
    """``compute`` for inputs with or without the batch's dimension."""
    if input.ndim != n + 1:
        if input.ndim != n + 2:
            raise GraphError(f"it takes {n + 2} dimensions (or {n + 1} for one sample), not {input.ndim}")
        return compute(input)
    return numeric.squeeze(compute(numeric.expand_dims(input, 0)), 0)


# --- convolution ------------------------------------------------------------------------------------------------------


def _kernel(weight: Node) -> Node:
    """(out, in, sizes...) -> (sizes in reverse order..., in, out), as weights lie in memory."""
    return apply("transpose", weight, axes=tuple(reversed(range(weight.ndim))))


@function
def convolve(
    x: Node,
    weight: Node,
    bias: Node | None,
    stride: Sequence[int],
    padding: str | Pairs,
    dilation: Sequence[int],
    groups: int,
) -> Node:
    """`functional.convolution.convolve` with channels first and a weight (out, in / groups, sizes...)."""
    kernel = _kernel(weight)
    y: Node = convolutions.convolve(x, kernel, bias, stride, padding, dilation, groups, True, True)
    return y


@function
def convolve_transposed(
    x: Node,
    weight: Node,
    bias: Node | None,
    stride: Sequence[int],
    padding: Pairs,
    dilation: Sequence[int],
    shape: Sequence[int],
    groups: int,
) -> Node:
    """`functional.convolution.convolve_transposed` with channels first and a weight (in, out / groups, sizes...)."""
    kernel = _kernel(weight)
    y: Node = convolutions.convolve_transposed(
        x, kernel, bias, stride, padding, dilation, shape, groups, True, True
    )
    return y


def _conv(n: int) -> Any:
    def conv(
        input: Any,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        strides = each(stride, n, "stride", 1)
        pairs: Any = padding
        if isinstance(padding, str):
            one_of(padding, "padding", ("valid", "same"))
            if padding == "same" and set(strides) != {1}:
                raise ValueError(
                    f"padding='same' with stride={stride!r}. Write numbers for the padding instead."
                )
        else:
            pairs = tuple((p, p) for p in each(padding, n, "padding"))
        rates = each(dilation, n, "dilation", 1)
        return batched(lambda x: convolve(x, weight, bias, strides, pairs, rates, groups), input, n)

    conv.__name__ = f"conv{n}d"
    conv.__doc__ = f"Convolution by a weight (out, in / groups, sizes...); see `Conv{n}d`."
    return conv


conv1d, conv2d, conv3d = (_conv(n) for n in (1, 2, 3))


def _conv_transpose(n: int) -> Any:
    def conv_transpose(
        input: Any,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Any:
        strides, rates = each(stride, n, "stride", 1), each(dilation, n, "dilation", 1)
        pads, more = each(padding, n, "padding"), each(output_padding, n, "output_padding")
        if any(m >= s for m, s in zip(more, strides, strict=True)):
            raise ValueError(
                f"output_padding={output_padding!r} with stride={stride!r}. Write less than the stride instead."
            )
        sizes = weight.shape[2:]
        shape = tuple(
            (d - 1) * s - 2 * p + r * (k - 1) + m + 1
            for d, s, p, r, k, m in zip(input.shape[-n:], strides, pads, rates, sizes, more, strict=True)
        )
        if min(shape) < 1:
            raise ValueError(
                f"padding={padding!r} leaves nothing of {tuple(input.shape)}. Write less instead."
            )
        pairs = tuple((p, max(0, p - m)) for p, m in zip(pads, more, strict=True))
        return batched(
            lambda x: convolve_transposed(x, weight, bias, strides, pairs, rates, shape, groups), input, n
        )

    conv_transpose.__name__ = f"conv_transpose{n}d"
    conv_transpose.__doc__ = (
        f"`conv{n}d` backwards by a weight (in, out / groups, sizes...); see `ConvTranspose{n}d`."
    )
    return conv_transpose


conv_transpose1d, conv_transpose2d, conv_transpose3d = (_conv_transpose(n) for n in (1, 2, 3))


# --- pooling ----------------------------------------------------------------------------------------------------------


@function
def largest(
    x: Node, size: Sequence[int], stride: Sequence[int], padding: Pairs, dilation: Sequence[int]
) -> Node:
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
    y = pooling.average_pool(channels_last(x), size, stride, padding, counted, beyond, divisor)
    return channels_first(y)


def _pads(padding: Any, sizes: Sequence[int], n: int) -> tuple[int, ...]:
    pads = each(padding, n, "padding")
    if any(2 * p > k for p, k in zip(pads, sizes, strict=True)):
        raise ValueError(
            f"padding={padding!r} with windows of {tuple(sizes)}. Write at most half their size."
        )
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

    max_pool.__name__ = f"max_pool{n}d"
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
            _beyond(d, p, k, s, ceil_mode)
            for d, p, k, s in zip(input.shape[-n:], pads, sizes, strides, strict=True)
        )
        pairs = tuple((p, p) for p in pads)
        return batched(
            lambda x: mean(x, sizes, strides, pairs, count_include_pad, beyond, divisor_override), input, n
        )

    avg_pool.__name__ = f"avg_pool{n}d"
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
    pool.__name__ = f"adaptive_{kind}_pool{n}d"
    what = "largest value" if most else "mean"
    pool.__doc__ = (
        f"The {what} of each of ``output_size`` parts, as equal as they can be; None keeps an extent."
    )
    return pool


adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = (_adaptive("avg", n) for n in (1, 2, 3))
adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = (_adaptive("max", n) for n in (1, 2, 3))


# --- shapes -----------------------------------------------------------------------------------------------------------


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """Elements added before and after the last dimensions, the last one first: (left, right, top, bottom, ...).

    ``mode`` is "constant", "reflect", "replicate" or "circular"; the last three add to positions alone.
    """
    one_of(mode, "mode", ("constant", "reflect", "replicate", "circular"))
    widths = tuple(zip(pad[::2], pad[1::2], strict=True))[::-1]
    if len(pad) % 2 or len(widths) > input.ndim:
        raise ValueError(
            f"pad={tuple(pad)} for {input.ndim} dimensions. Write a pair for each, the last first."
        )
    if mode != "constant" and value:
        raise ValueError(f"value={value!r} with mode={mode!r}. Write mode='constant', or no value.")
    return extended(input, widths, mode, float(value or 0.0))


@function
def extended(x: Node, widths: Pairs, mode: str, value: float) -> Node:
    """`functional.spatial.extend` in the last dimensions, whatever they are."""
    lead = x.ndim - len(widths)
    if lead == 2:  # channels last between layers, as everywhere
        return shapes.extend(x, widths, mode, value, True)
    return shapes.extend(x, widths, mode, value, False, lead)


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
) -> Any:
    """Images of another ``size``, or ``scale_factor`` times as large; see `Upsample`."""
    n = input.ndim - 2
    linear = {1: "linear", 2: "bilinear", 3: "trilinear"}.get(n)
    one_of(mode, "mode", ("nearest", str(linear), "area"))
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate takes either size= or scale_factor=. Write one of them.")
    if align_corners is not None and mode != linear:
        raise ValueError(
            f"align_corners={align_corners} with mode={mode!r}. Write mode={linear!r}, or leave it out."
        )
    dims = input.shape[2:]
    if size is None:
        factors = tuple(scale_factor) if isinstance(scale_factor, (list, tuple)) else (scale_factor,) * n
        shape = tuple(math.floor(d * f) for d, f in zip(dims, factors, strict=True))
        ratios = () if recompute_scale_factor or align_corners else tuple(1.0 / f for f in factors)
    else:
        shape, ratios = each(size, n, "size", 1), ()
    if mode == "area":
        return pooling.adaptive_pool(input, shape, False, True)
    if mode == "nearest" and all(m % d == 0 for m, d in zip(shape, dims, strict=True)):
        return shapes.repeat(input, tuple(m // d for m, d in zip(shape, dims, strict=True)), True)
    if mode == "nearest":
        return resize(input, shape, "nearest", "starts", ratios=ratios, first=True)
    places = "corners" if align_corners else "centres"
    return resize(input, shape, "linear", places, ratios=ratios, first=True)


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """(..., c * r * r, h, w) -> (..., c, h * r, w * r); see `PixelShuffle`."""
    return batched(lambda x: shapes.pixel_shuffle(x, upscale_factor), input, 2)


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """(..., c, h * r, w * r) -> (..., c * r * r, h, w); see `PixelUnshuffle`."""
    return batched(lambda x: shapes.pixel_unshuffle(x, downscale_factor), input, 2)


# --- normalization and dropout ----------------------------------------------------------------------------------------


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Each group of channels of each sample at mean 0 and variance 1, then ``* weight + bias``; see `GroupNorm`."""
    return group_standardize(input, weight, bias, groups=num_groups, axis=1, epsilon=float(eps))


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Each channel of each sample at mean 0 and variance 1, then ``* weight + bias``; see `InstanceNorm2d`.

    Running statistics are used unless ``use_input_stats``; moved toward the inputs' in place otherwise, where given.
    """
    if not use_input_stats:
        return standardize(input, running_mean, running_var, weight, bias, 1, float(eps))
    if running_mean is not None:
        with no_grad():
            own = instance_moments(input)
            after = moved(running_mean, running_var, *own, input, None, 1, float(momentum))
        for tensor, value in zip((running_mean, running_var), after, strict=True):
            tensor.assign(value)
    return group_standardize(input, weight, bias, groups=input.shape[1], axis=1, epsilon=float(eps))


def rms_norm(
    input: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None
) -> Any:
    """Each sample divided by its root mean square over the last dimensions, then ``* weight``; see `RMSNorm`."""
    smallest = {"float32": 2.0**-23, "float64": 2.0**-52}[get_dtype()]
    axes = tuple(range(-len(tuple(normalized_shape)), 0))
    return rms_standardize(input, weight, axes=axes, epsilon=smallest if eps is None else float(eps))


def _channel_dropout(n: int) -> Any:
    def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
        if isinstance(p, bool) or not 0 <= p <= 1:
            raise ValueError(f"dropout{n}d with p={p!r}. Write a share from 0 to 1 instead.")
        if not training or not p:
            return input
        shape = (None, None, *(1,) * n)
        return batched(
            lambda x: functional.dropout(x, *draw(), rate=float(p), noise_shape=shape[-x.ndim :]), input, n
        )

    dropout.__name__ = f"dropout{n}d"
    dropout.__doc__ = (
        f"While training, whole channels set to zero, the rest divided by ``1 - p``; see `Dropout{n}d`."
    )
    return dropout


dropout1d, dropout2d, dropout3d = (_channel_dropout(n) for n in (1, 2, 3))

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "adaptive_max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
    "conv_transpose2d", "conv_transpose3d", "dropout1d", "dropout2d", "dropout3d", "group_norm", "instance_norm",
    "interpolate", "max_pool1d", "max_pool2d", "max_pool3d", "pad", "pixel_shuffle", "pixel_unshuffle", "rms_norm",
]  # fmt: skip

"""Convolutions as ``torch.nn.functional`` names them: (batch, channels, positions...), or without the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier.graph.dtypes import INTEGERS
from ranvier.graph.node import GraphError, Node, apply
from ranvier.ops import arrays
from ranvier.ops.functional import convolution as convolutions
from ranvier.ops.functional.convolution import Pairs
from ranvier.ops.torch.sizes import batched, each, one_of
from ranvier.tensor.function import function
from ranvier.tensor.layout import reverse_axes


def _exact(compute: Any, x: Node, weight: Node, bias: Node | None, *others: Any) -> Node:
    """A convolution of integers: through double precision, exact below 2**53."""
    operands = [None if v is None else apply("cast", v, dtype="float64") for v in (x, weight, bias)]
    return apply("cast", compute(*operands, *others), dtype=x.dtype)


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
    if x.dtype in INTEGERS:
        return _exact(convolve, x, weight, bias, stride, padding, dilation, groups)
    kernel = reverse_axes(weight)  # the order of weights in memory
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
    if x.dtype in INTEGERS:
        return _exact(convolve_transposed, x, weight, bias, stride, padding, dilation, shape, groups)
    kernel = reverse_axes(weight)  # the order of weights in memory
    y: Node = convolutions.convolve_transposed(x, kernel, bias, stride, padding, dilation, shape, groups, True, True)
    return y


def _conv(n: int) -> Any:
    def conv(
        input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
    ) -> Any:
        if weight.ndim != n + 2:
            raise GraphError(
                f"a weight of shape {weight.shape}: write (out, in / groups, sizes...), {n + 2} dimensions"
            )
        strides = each(stride, n, "stride", 1)
        pairs: Any = padding
        if isinstance(padding, str):
            one_of(padding, "padding", ("valid", "same"))
            if padding == "same" and set(strides) != {1}:
                raise ValueError(f"padding='same' with stride={stride!r}. Write numbers for the padding instead.")
        else:
            pairs = tuple((p, p) for p in each(padding, n, "padding"))
        rates = each(dilation, n, "dilation", 1)
        return batched(lambda x: convolve(x, weight, bias, strides, pairs, rates, groups), input, n)

    conv.__name__ = conv.__qualname__ = f"conv{n}d"
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
        if any(m >= max(s, r) for m, s, r in zip(more, strides, rates, strict=True)):
            raise ValueError(
                f"output_padding={output_padding!r} with stride={stride!r} and dilation={dilation!r}. Write less than "
                "one of the two instead."
            )
        sizes = weight.shape[2:]
        # Output padding of a stride or more meets no input: it is added as zeros.
        beyond = tuple(max(0, m - p - s + 1) for m, p, s in zip(more, pads, strides, strict=True))
        more = tuple(m - b for m, b in zip(more, beyond, strict=True))
        shape = tuple(
            (d - 1) * s - 2 * p + r * (k - 1) + m + 1
            for d, s, p, r, k, m in zip(input.shape[-n:], strides, pads, rates, sizes, more, strict=True)
        )
        if min(shape) < 1:
            raise ValueError(f"padding={padding!r} leaves nothing of {tuple(input.shape)}. Write less instead.")
        pairs = tuple((p, max(0, p - m)) for p, m in zip(pads, more, strict=True))

        def compute(x: Any) -> Any:
            if not any(beyond):
                return convolve_transposed(x, weight, bias, strides, pairs, rates, shape, groups)
            y = convolve_transposed(x, weight, None, strides, pairs, rates, shape, groups)
            y = arrays.pad(y, ((0, 0), (0, 0), *((0, b) for b in beyond)))
            return y if bias is None else arrays.add(y, arrays.reshape(bias, (-1, *(1,) * n)))

        return batched(compute, input, n)

    conv_transpose.__name__ = conv_transpose.__qualname__ = f"conv_transpose{n}d"
    conv_transpose.__doc__ = f"`conv{n}d` backwards by a weight (in, out / groups, sizes...); see `ConvTranspose{n}d`."
    return conv_transpose


conv_transpose1d, conv_transpose2d, conv_transpose3d = (_conv_transpose(n) for n in (1, 2, 3))

"""Conv1d to Conv3d and their transposes, with PyTorch's arguments, defaults, initial values and names of weights."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from numpy.typing import DTypeLike

from ranvier.graph.node import Type
from ranvier.layers.base import whole
from ranvier.layers.shape_errors import ImageLayout, ShapeFault, largest_divisor
from ranvier.ops.torch.device import Device
from ranvier.ops.torch.sizes import Sizes, each, one_of
from ranvier.ops.torch.spatial import MODES
from ranvier.torch.nn import functional as F
from ranvier.torch.nn.dimensions import in_dimensions
from ranvier.torch.nn.layers import Drawn


class _ConvNd(Drawn):
    """The base of convolutions and their transposes: the weight (filters, channels / groups, sizes...) and the bias."""

    dimensions: ClassVar[int]
    transposed: ClassVar[bool] = False

    def _make(
        self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes, dilation: Sizes, groups: int,
        bias: bool, device: Device, dtype: DTypeLike | None,
    ) -> None:  # fmt: skip
        self.in_channels = whole(in_channels, "in_channels", self.name)
        self.out_channels = whole(out_channels, "out_channels", self.name)
        self.groups = whole(groups, "groups", self.name)
        for what, channels in (("in_channels", self.in_channels), ("out_channels", self.out_channels)):
            if channels % self.groups:
                best = largest_divisor(math.gcd(self.in_channels, self.out_channels), self.groups)
                raise ValueError(
                    f"{what} of layer {self.name!r} is {channels}, which {self.groups} groups do not divide. Write "
                    f"groups={best}, or {what}={-(-channels // self.groups) * self.groups}."
                )
        n = self.dimensions
        self.kernel_size = each(kernel_size, n, "kernel_size", 1)
        self.stride, self.dilation = each(stride, n, "stride", 1), each(dilation, n, "dilation", 1)
        first, second = self.out_channels, self.in_channels
        if self.transposed:
            first, second = second, first
        shape = (first, second // self.groups, *self.kernel_size)
        self._draw(shape, math.prod(shape[1:]), self.out_channels, bias, device, dtype)

    @property
    def _form(self) -> ImageLayout:
        return ImageLayout(self.dimensions, True, torch=True)

    def shape_error(self, given: Type) -> ShapeFault:
        form, shape = self._form, given.shape
        if len(shape) == self.dimensions + 1:
            shape = (1, *shape)  # a single sample
        return form.rank(shape) or form.filled(shape, self.in_channels, "weight")

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}", f"kernel_size={self.kernel_size}", f"stride={self.stride}"]
        for name, plain in (("padding", 0), ("dilation", 1), ("output_padding", 0)):
            value = getattr(self, name, None)
            if value is not None and value != (plain,) * self.dimensions:
                parts.append(f"{name}={value}")
        parts += [f"groups={self.groups}"] if self.groups > 1 else []
        parts += [] if self.bias is not None else ["bias=False"]
        return ", ".join(parts + ([] if self.padding_mode == "zeros" else [f"padding_mode={self.padding_mode}"]))


class _Conv(_ConvNd):
    """Cross-correlation: (batch, in_channels, ...) -> (batch, out_channels, ...)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Device = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self._make(in_channels, out_channels, kernel_size, stride, dilation, groups, bias, device, dtype)
        self.padding_mode = one_of(padding_mode, "padding_mode", tuple(MODES))
        if isinstance(padding, str):
            self.padding: Any = one_of(padding, "padding", ("valid", "same"))
            if padding == "same" and set(self.stride) != {1}:
                raise ValueError(
                    f"layer {self.name!r} has padding='same' and stride={stride!r}. Write numbers for the padding."
                )
        else:
            self.padding = each(padding, self.dimensions, "padding")

    def _around(self) -> tuple[int, ...]:
        """The padding as `F.pad` takes it: (before, after) for each dimension, the last one first."""
        sides: list[int] = []
        for i in reversed(range(self.dimensions)):
            total = self.dilation[i] * (self.kernel_size[i] - 1) if self.padding == "same" else 0
            one = 0 if isinstance(self.padding, str) else self.padding[i]
            sides += [total // 2, total - total // 2] if self.padding == "same" else [one, one]
        return tuple(sides)

    def forward(self, input: Any) -> Any:
        convolve = getattr(F, f"conv{self.dimensions}d")
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._around(), MODES[self.padding_mode]), 0
        return convolve(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def shape_error(self, given: Type) -> ShapeFault:
        wrong = super().shape_error(given)
        if wrong is not None:
            return wrong
        around = self._around()[::-1]
        pairs = list(zip(around[1::2], around[::2], strict=True))
        reaches = [(k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation, strict=True)]
        shape = given.shape if len(given.shape) == self.dimensions + 2 else (1, *given.shape)
        return self._form.reached(shape, reaches, pairs, "kernel", "padding=1 or more, or a smaller kernel_size")


class _ConvTranspose(_ConvNd):
    """The gradient of a convolution by its inputs: (batch, in_channels, ...) -> (batch, out_channels, larger...)."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        padding_mode: str = "zeros",
        device: Device = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self._make(in_channels, out_channels, kernel_size, stride, dilation, groups, bias, device, dtype)
        self.padding = each(padding, self.dimensions, "padding")
        self.output_padding = each(output_padding, self.dimensions, "output_padding")
        self.padding_mode = one_of(padding_mode, "padding_mode", ("zeros",))

    def _extra(self, input: Any, output_size: Sizes) -> tuple[int, ...]:
        """The output padding that gives an output of ``output_size``, which is its spatial or its whole shape."""
        n = self.dimensions
        sizes = (output_size,) * n if isinstance(output_size, int) else tuple(output_size)[-n:]
        least = [
            (d - 1) * s - 2 * p + r * (k - 1) + 1
            for d, s, p, r, k in zip(
                input.shape[-n:], self.stride, self.padding, self.dilation, self.kernel_size, strict=True
            )
        ]
        most = [low + s - 1 for low, s in zip(least, self.stride, strict=True)]
        if len(sizes) != n or any(not a <= d <= b for a, d, b in zip(least, sizes, most, strict=False)):
            raise ValueError(
                f"output_size={output_size!r} for {tuple(input.shape)}. Write sizes from {tuple(least)} to "
                f"{tuple(most)} instead."
            )
        return tuple(d - low for d, low in zip(sizes, least, strict=True))

    def forward(self, input: Any, output_size: Sizes | None = None) -> Any:
        convolve = getattr(F, f"conv_transpose{self.dimensions}d")
        extra = self.output_padding if output_size is None else self._extra(input, output_size)
        return convolve(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)


Conv1d, Conv2d, Conv3d = in_dimensions(_Conv, "Conv", """Convolution of {inputs} -> (batch, out_channels, ...).

    ``padding`` adds zeros on both sides of each dimension (or, by ``padding_mode``, "reflect", "replicate" or
    "circular" values); it may be "valid" or, for strides of 1, "same". The weight (out_channels, in_channels / groups,
    sizes...) and the bias (out_channels,) start uniform within ``1 / sqrt(fan_in)``, as PyTorch's do. Raises ValueError
    for channels that groups do not divide, inputs of other channels, and inputs smaller than the kernel.
    """)  # fmt: skip
ConvTranspose1d, ConvTranspose2d, ConvTranspose3d = in_dimensions(_ConvTranspose, "ConvTranspose",
    """A transposed convolution of {inputs} -> (batch, out_channels, ...).

    A dimension of n becomes ``(n - 1) * stride - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1``, or
    the size given by ``forward(input, output_size)``, up to ``stride - 1`` more than without output padding. The weight
    is (in_channels, out_channels / groups, sizes...), the bias (out_channels,).
    """)  # fmt: skip

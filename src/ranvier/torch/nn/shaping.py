"""Padding, upsampling, rearranged pixels and dropout of channels, with PyTorch's names and arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ranvier.module import Module, register_module
from ranvier.ops.torch.sizes import Sizes, each
from ranvier.torch.nn import functional as F
from ranvier.torch.nn.dimensions import in_dimensions
from ranvier.torch.nn.layers import Dropout


class _Pad(Module):
    """Padding of the last ``dimensions``: one number for all sides, or (left, right, top, bottom, ...)."""

    dimensions: ClassVar[int]
    mode: ClassVar[str] = "constant"
    value: float = 0.0
    _shown = "{padding}"

    def __init__(self, padding: Sizes) -> None:
        super().__init__()
        given: tuple[Any, ...] = (
            tuple(padding) if isinstance(padding, (list, tuple)) else (padding,) * (2 * self.dimensions)
        )
        if len(given) != 2 * self.dimensions or any(isinstance(p, bool) or not isinstance(p, int) for p in given):
            raise ValueError(
                f"padding={padding!r} for layer {self.name!r}. Write a whole number, or {2 * self.dimensions} of them: "
                "before and after each dimension, the last one first."
            )
        self.padding = given

    def forward(self, input: Any) -> Any:
        return F.pad(input, self.padding, self.mode, self.value or None)


class _ConstantPad(_Pad):
    """A value around the last dimensions."""

    _shown = "padding={padding}, value={value}"

    def __init__(self, padding: Sizes, value: float) -> None:
        super().__init__(padding)
        self.value = float(value)


_SIDES = " ``padding`` is one number, or (before, after) for each dimension, the last one first, as one tuple."
ZeroPad1d, ZeroPad2d, ZeroPad3d = in_dimensions(_Pad, "ZeroPad", f"Zeros around the last {{n}} dimensions.{_SIDES}")
ConstantPad1d, ConstantPad2d, ConstantPad3d = in_dimensions(
    _ConstantPad, "ConstantPad", f"``value`` around the last {{n}} dimensions.{_SIDES}"
)
ReflectionPad1d, ReflectionPad2d, ReflectionPad3d = in_dimensions(
    _Pad, "ReflectionPad", f"The inputs mirrored, around the last {{n}} dimensions.{_SIDES}", mode="reflect"
)
ReplicationPad1d, ReplicationPad2d, ReplicationPad3d = in_dimensions(
    _Pad, "ReplicationPad", f"The edges repeated, around the last {{n}} dimensions.{_SIDES}", mode="replicate"
)
CircularPad1d, CircularPad2d, CircularPad3d = in_dimensions(
    _Pad, "CircularPad", f"The inputs repeated periodically, around the last {{n}} dimensions.{_SIDES}", mode="circular"
)


@register_module(name="torch.Upsample")
class Upsample(Module):
    """Images of another ``size``, or ``scale_factor`` times as large: (batch, channels, ...).

    ``mode``: "nearest", "nearest-exact" (by the pixels' centres), or interpolation by the number
    of dimensions, "linear", "bilinear" or "bicubic", "trilinear"; with ``align_corners`` the first and the last pixels
    stay where they are.
    """

    def __init__(
        self,
        size: Sizes | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        if (size is None) == (scale_factor is None):
            raise ValueError(f"layer {self.name!r} takes either size= or scale_factor=. Write one of them.")
        self.size, self.mode = size, mode
        self.scale_factor = (
            tuple(map(float, scale_factor))
            if isinstance(scale_factor, Sequence)
            else scale_factor and float(scale_factor)
        )
        self.align_corners, self.recompute_scale_factor = align_corners, recompute_scale_factor

    def forward(self, input: Any) -> Any:
        return F.interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        size = f"size={self.size}" if self.scale_factor is None else f"scale_factor={self.scale_factor}"
        return f"{size}, mode={self.mode!r}"


@register_module(name="torch.UpsamplingNearest2d")
class UpsamplingNearest2d(Upsample):
    """`Upsample` of images with ``mode="nearest"``."""

    def __init__(self, size: Sizes | None = None, scale_factor: float | Sequence[float] | None = None) -> None:
        super().__init__(size, scale_factor, "nearest")


@register_module(name="torch.UpsamplingBilinear2d")
class UpsamplingBilinear2d(Upsample):
    """`Upsample` of images with ``mode="bilinear"`` and ``align_corners=True``."""

    def __init__(self, size: Sizes | None = None, scale_factor: float | Sequence[float] | None = None) -> None:
        super().__init__(size, scale_factor, "bilinear", True)


@register_module(name="torch.PixelShuffle")
class PixelShuffle(Module):
    """(..., c * r * r, h, w) -> (..., c, h * r, w * r), r the ``upscale_factor`` (Shi et al., 2016)."""

    _shown = "upscale_factor={upscale_factor}"

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        (self.upscale_factor,) = each(upscale_factor, 1, "upscale_factor", 1)

    def forward(self, input: Any) -> Any:
        return F.pixel_shuffle(input, self.upscale_factor)


@register_module(name="torch.PixelUnshuffle")
class PixelUnshuffle(Module):
    """(..., c, h * r, w * r) -> (..., c * r * r, h, w), r the ``downscale_factor``: the inverse of `PixelShuffle`."""

    _shown = "downscale_factor={downscale_factor}"

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        (self.downscale_factor,) = each(downscale_factor, 1, "downscale_factor", 1)

    def forward(self, input: Any) -> Any:
        return F.pixel_unshuffle(input, self.downscale_factor)


@register_module(name="torch.Unfold")
class Unfold(Module):
    """The patches of images (batch, channels, h, w) as columns: (batch, channels * elements of a patch, patches)."""

    _shown = "kernel_size={kernel_size}, dilation={dilation}, padding={padding}, stride={stride}"

    def __init__(self, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> None:
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input: Any) -> Any:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)


@register_module(name="torch.Fold")
class Fold(Unfold):
    """The sum of patches, which are columns as `Unfold` gives them, in images (batch, channels, *output_size)."""

    _shown = "output_size={output_size}, " + Unfold._shown

    def __init__(
        self, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
    ) -> None:
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = output_size

    def forward(self, input: Any) -> Any:
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)


class _ChannelDropout(Dropout):
    """Dropout of whole channels."""

    dimensions: ClassVar[int]

    def forward(self, input: Any) -> Any:
        return getattr(F, f"dropout{self.dimensions}d")(input, self.p, self.training, self.inplace)


Dropout1d, Dropout2d, Dropout3d = in_dimensions(
    _ChannelDropout, "Dropout",
    "In training, the fraction ``p`` of the channels of {inputs} set to zero (Tompson et al., 2015).",
)  # fmt: skip

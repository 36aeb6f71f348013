"""Padding, upsampling, rearranged pixels and dropout of channels, with PyTorch's names and arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ranvier.module import Module, register_module
from ranvier.ops.torch.sizes import Sizes, each
from ranvier.torch.nn import functional as F
from ranvier.torch.nn.layers import Dropout

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d", "Dropout1d",
    "Dropout2d", "Dropout3d", "PixelShuffle", "PixelUnshuffle", "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d",
    "ReplicationPad1d", "ReplicationPad2d", "ReplicationPad3d", "Upsample", "UpsamplingBilinear2d",
    "UpsamplingNearest2d", "ZeroPad1d", "ZeroPad2d", "ZeroPad3d",
]  # fmt: skip


class _Pad(Module):
    """Padding of the last ``dimensions``: one number for all sides, or (left, right, top, bottom, ...)."""

    dimensions: ClassVar[int]
    mode: ClassVar[str] = "constant"
    value: float = 0.0

    def __init__(self, padding: Sizes) -> None:
        super().__init__()
        given: tuple[Any, ...] = (
            tuple(padding) if isinstance(padding, (list, tuple)) else (padding,) * (2 * self.dimensions)
        )
        if len(given) != 2 * self.dimensions or any(
            isinstance(p, bool) or not isinstance(p, int) for p in given
        ):
            raise ValueError(
                f"padding={padding!r} for layer {self.name!r}. Write a whole number, or {2 * self.dimensions} of them: "
                "before and after each dimension, the last one first."
            )
        self.padding = given

    def forward(self, input: Any) -> Any:
        return F.pad(input, self.padding, self.mode, self.value or None)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    """A value around the last dimensions."""

    def __init__(self, padding: Sizes, value: float) -> None:
        super().__init__(padding)
        self.value = float(value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value:g}"


_KINDS = {
    "ZeroPad": (_Pad, "constant", "Zeros around the last {n} dimensions."),
    "ConstantPad": (_ConstantPad, "constant", "``value`` around the last {n} dimensions."),
    "ReflectionPad": (_Pad, "reflect", "The inputs mirrored at their edges, around the last {n} dimensions."),
    "ReplicationPad": (_Pad, "replicate", "The edges repeated, around the last {n} dimensions."),
    "CircularPad": (_Pad, "circular", "What lies at the other side, around the last {n} dimensions."),
}


def _kind(name: str, n: int) -> Any:
    """The class of this name for n dimensions, registered."""
    base, mode, words = _KINDS[name]
    words += (
        " ``padding`` is one number, or (before, after) for each dimension, the last one first, as one tuple."
    )
    body = {
        "dimensions": n, "mode": mode, "__doc__": words.format(n=n), "__module__": __name__,
        "__qualname__": f"{name}{n}d",
    }  # fmt: skip
    return register_module(name=f"torch.{name}{n}d")(type(f"{name}{n}d", (base,), body))


ZeroPad1d, ZeroPad2d, ZeroPad3d = (_kind("ZeroPad", n) for n in (1, 2, 3))
ConstantPad1d, ConstantPad2d, ConstantPad3d = (_kind("ConstantPad", n) for n in (1, 2, 3))
ReflectionPad1d, ReflectionPad2d, ReflectionPad3d = (_kind("ReflectionPad", n) for n in (1, 2, 3))
ReplicationPad1d, ReplicationPad2d, ReplicationPad3d = (_kind("ReplicationPad", n) for n in (1, 2, 3))
CircularPad1d, CircularPad2d, CircularPad3d = (_kind("CircularPad", n) for n in (1, 2, 3))


@register_module(name="torch.Upsample")
class Upsample(Module):
    """Images of another ``size``, or ``scale_factor`` times as large: (batch, channels, ...).

    ``mode``: "nearest", "nearest-exact" (by the pixels' centres), or interpolation, "linear", "bilinear" or "trilinear"
    by the number of dimensions; with ``align_corners`` the first and the last pixels stay where they are.
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
        self.size, self.scale_factor, self.mode = size, scale_factor, mode
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

    def __init__(
        self, size: Sizes | None = None, scale_factor: float | Sequence[float] | None = None
    ) -> None:
        super().__init__(size, scale_factor, "nearest")


@register_module(name="torch.UpsamplingBilinear2d")
class UpsamplingBilinear2d(Upsample):
    """`Upsample` of images with ``mode="bilinear"`` and ``align_corners=True``."""

    def __init__(
        self, size: Sizes | None = None, scale_factor: float | Sequence[float] | None = None
    ) -> None:
        super().__init__(size, scale_factor, "bilinear", True)


@register_module(name="torch.PixelShuffle")
class PixelShuffle(Module):
    """(..., c * r * r, h, w) -> (..., c, h * r, w * r), r the ``upscale_factor`` (Shi et al., 2016)."""

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        (self.upscale_factor,) = each(upscale_factor, 1, "upscale_factor", 1)

    def forward(self, input: Any) -> Any:
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


@register_module(name="torch.PixelUnshuffle")
class PixelUnshuffle(Module):
    """(..., c, h * r, w * r) -> (..., c * r * r, h, w), r the ``downscale_factor``: the inverse of `PixelShuffle`."""

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        (self.downscale_factor,) = each(downscale_factor, 1, "downscale_factor", 1)

    def forward(self, input: Any) -> Any:
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


@register_module(name="torch.Dropout1d")
class Dropout1d(Dropout):
    """In training, the fraction ``p`` of the channels of (batch, channels, length) set to zero.

    (Tompson et al., 2015.)
    """

    def forward(self, input: Any) -> Any:
        return F.dropout1d(input, self.p, self.training, self.inplace)


@register_module(name="torch.Dropout2d")
class Dropout2d(Dropout):
    """In training, the fraction ``p`` of the channels of (batch, channels, height, width) set to zero."""

    def forward(self, input: Any) -> Any:
        return F.dropout2d(input, self.p, self.training, self.inplace)


@register_module(name="torch.Dropout3d")
class Dropout3d(Dropout):
    """In training, the fraction ``p`` of the channels of (batch, channels, depth, height, width) set to zero."""

    def forward(self, input: Any) -> Any:
        return F.dropout3d(input, self.p, self.training, self.inplace)

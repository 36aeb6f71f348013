"""Pooling by norms, with PyTorch's names and arguments."""

from __future__ import annotations

from typing import Any

from ranvier.module import Module, register_module
from ranvier.ops.torch.sizes import Sizes
from ranvier.torch.nn import functional as F


class _LPPool(Module):
    """The norm ``sum(x ** norm_type) ** (1 / norm_type)`` of each window; inf is the largest magnitude."""

    _shown = "norm_type={norm_type}, kernel_size={kernel_size}, stride={stride}, ceil_mode={ceil_mode}"
    _pool: Any

    def __init__(
        self, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input: Any) -> Any:
        return type(self)._pool(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


@register_module(name="torch.LPPool1d")
class LPPool1d(_LPPool):
    """The ``norm_type``-norm of each window of (batch, channels, length); adjacent windows without ``stride``."""

    _pool = staticmethod(F.lp_pool1d)


@register_module(name="torch.LPPool2d")
class LPPool2d(_LPPool):
    """The ``norm_type``-norm of each window of (batch, channels, height, width)."""

    _pool = staticmethod(F.lp_pool2d)


@register_module(name="torch.LPPool3d")
class LPPool3d(_LPPool):
    """The ``norm_type``-norm of each window of (batch, channels, depth, height, width)."""

    _pool = staticmethod(F.lp_pool3d)

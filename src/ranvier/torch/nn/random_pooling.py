"""Maxima of windows at random places, with PyTorch's names and arguments."""

from __future__ import annotations

from typing import Any

from ranvier.module import Module, register_module
from ranvier.ops.torch.sizes import Sizes
from ranvier.torch.nn import functional as F


class _FractionalMaxPool(Module):
    """The maximum of windows whose places are drawn for each channel of each sample; in evaluation too."""

    _pool: Any

    def __init__(
        self,
        kernel_size: Sizes,
        output_size: Sizes | None = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> None:
        super().__init__()
        if (output_size is None) == (output_ratio is None):
            raise ValueError(
                f"{type(self).__name__} was given output_size={output_size!r} and output_ratio={output_ratio!r}. Write "
                "one of the two instead."
            )
        self.kernel_size, self.output_size, self.output_ratio = kernel_size, output_size, output_ratio
        self.return_indices, self._random_samples = return_indices, _random_samples

    def forward(self, input: Any) -> Any:
        return type(self)._pool(
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices, self._random_samples
        )


@register_module(name="torch.FractionalMaxPool2d")
class FractionalMaxPool2d(_FractionalMaxPool):
    """The maxima of (batch, channels, height, width) in windows at random places (Graham, 2014).

    The result is of ``output_size``, or of ``output_ratio`` times the size of the image. ``_random_samples`` (batch,
    channels, 2), numbers from 0 to 1, say where the windows are, instead of chance.
    """

    _pool = staticmethod(F.fractional_max_pool2d)


@register_module(name="torch.FractionalMaxPool3d")
class FractionalMaxPool3d(_FractionalMaxPool):
    """`FractionalMaxPool2d` of (batch, channels, depth, height, width)."""

    _pool = staticmethod(F.fractional_max_pool3d)

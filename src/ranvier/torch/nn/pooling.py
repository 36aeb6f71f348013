"""Pooling with PyTorch's names and arguments: (batch, channels, positions...), or one sample without the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ranvier.graph.node import Type
from ranvier.layers.shape_errors import ImageLayout, ShapeFault
from ranvier.module import Module, register_module
from ranvier.ops.torch.sizes import Sizes, each
from ranvier.torch.nn import functional as F
from ranvier.torch.nn.dimensions import in_dimensions


class _Pool(Module):
    """Windows of ``kernel_size`` every ``stride`` positions; with None they are adjacent."""

    dimensions: ClassVar[int]
    dilation: Sizes = 1
    _shown = "kernel_size={kernel_size}, stride={stride}, padding={padding}"

    def _windows(self, kernel_size: Sizes, stride: Sizes | None, padding: Sizes, ceil_mode: bool) -> None:
        n = self.dimensions
        # as they were given, for the repr
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, bool(ceil_mode)
        self._reach, self._pad = each(kernel_size, n, "kernel_size", 1), each(padding, n, "padding")
        each(self.stride, n, "stride", 1)

    def shape_error(self, given: Type) -> ShapeFault:
        n = self.dimensions
        shape = (1, *given.shape) if len(given.shape) == n + 1 else given.shape
        form = ImageLayout(n, True, torch=True)
        rates = each(self.dilation, n, "dilation", 1)
        reaches = [(k - 1) * d + 1 for k, d in zip(self._reach, rates, strict=True)]
        pairs = [(p, p) for p in self._pad]
        return form.rank(shape) or form.reached(shape, reaches, pairs, "window", "a smaller kernel_size")


class _MaxPool(_Pool):
    """The largest value of each window; among equal values the first gets the gradient."""

    _shown = f"{_Pool._shown}, dilation={{dilation}}, ceil_mode={{ceil_mode}}"

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.return_indices = bool(return_indices)
        self._windows(kernel_size, stride, padding, ceil_mode)
        each(dilation, self.dimensions, "dilation", 1)
        self.dilation = dilation

    def forward(self, input: Any) -> Any:
        pool = getattr(F, f"max_pool{self.dimensions}d")
        windows = self.kernel_size, self.stride, self.padding, self.dilation
        return pool(input, *windows, self.ceil_mode, self.return_indices)


class _AvgPool(_Pool):
    """The mean of each window."""

    divisor_override: int | None = None

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self._windows(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad, self.divisor_override = bool(count_include_pad), divisor_override

    def forward(self, input: Any) -> Any:
        pool = getattr(F, f"avg_pool{self.dimensions}d")
        return pool(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
            self.divisor_override,
        )  # fmt: skip


class _Adaptive(Module):
    """Split each dimension into ``output_size`` parts (None: as many as there are positions)."""

    dimensions: ClassVar[int]
    kind: ClassVar[str]
    output_size: Any
    _shown = "output_size={output_size}"

    def forward(self, input: Any) -> Any:
        return getattr(F, f"adaptive_{self.kind}_pool{self.dimensions}d")(input, self.output_size)


class _AdaptiveAvgPool(_Adaptive):
    """The mean of each part."""

    kind = "avg"

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        super().__init__()
        self.output_size = output_size


class _AdaptiveMaxPool(_Adaptive):
    """The largest value of each part."""

    kind = "max"

    def __init__(self, output_size: int | Sequence[int | None] | None, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size, self.return_indices = output_size, bool(return_indices)

    def forward(self, input: Any) -> Any:
        pool = getattr(F, f"adaptive_max_pool{self.dimensions}d")
        return pool(input, self.output_size, self.return_indices)


class _MaxUnpool(Module):
    """The values of a `MaxPool` with the same arguments at their places, and 0 elsewhere."""

    dimensions: ClassVar[int]
    _shown = "kernel_size={kernel_size}, stride={stride}, padding={padding}"

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        super().__init__()
        self.kernel_size = each(kernel_size, self.dimensions, "kernel_size", 1)
        self.stride = self.kernel_size if stride is None else each(stride, self.dimensions, "stride", 1)
        self.padding = each(padding, self.dimensions, "padding")

    def forward(self, input: Any, indices: Any, output_size: Sequence[int] | None = None) -> Any:
        unpool = getattr(F, f"max_unpool{self.dimensions}d")
        return unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)


MaxPool1d, MaxPool2d, MaxPool3d = in_dimensions(
    _MaxPool, "MaxPool", """The largest value of each window of {inputs}, by channel.

    Padding is never the largest. With ``ceil_mode`` a last window that starts within the inputs may extend past them.
    With ``return_indices`` the result is (values, indices): where in its channel each value was, for `MaxUnpool{n}d`.
    """)  # fmt: skip
MaxUnpool1d, MaxUnpool2d, MaxUnpool3d = in_dimensions(
    _MaxUnpool, "MaxUnpool",
    "The values of `MaxPool{n}d`, {inputs}, at their indices, and 0 elsewhere; ``output_size`` chooses among sizes.",
)  # fmt: skip


@register_module(name="torch.AvgPool1d")
class AvgPool1d(_AvgPool):
    """The mean of each window of (batch, channels, length), by channel; see `AvgPool2d`."""

    dimensions = 1

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)


AvgPool2d, AvgPool3d = in_dimensions(_AvgPool, "AvgPool", """The mean of each window of {inputs}, by channel.

    ``count_include_pad`` counts the zeros of the padding; ``divisor_override`` replaces the number of values as the
    divisor. With ``ceil_mode`` a last window that starts within the inputs may extend past them.
    """, least=2)  # fmt: skip
AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d = in_dimensions(
    _AdaptiveAvgPool, "AdaptiveAvgPool",
    "The means of ``output_size`` parts of {inputs}, by channel; an ``output_size`` of 1 is global pooling.",
)  # fmt: skip
AdaptiveMaxPool1d, AdaptiveMaxPool2d, AdaptiveMaxPool3d = in_dimensions(
    _AdaptiveMaxPool, "AdaptiveMaxPool", "The largest values of ``output_size`` parts of {inputs}, by channel."
)

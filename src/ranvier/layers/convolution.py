"""Convolutions in one, two and three dimensions, and transposed convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Unpack

from ranvier import activations
from ranvier.graph.node import Type
from ranvier.layers.annotations import (
    ActivationLike,
    ConstraintLike,
    InitializerLike,
    LayerOptions,
    OptionsWithInputDim,
    RegularizerLike,
    Sizes,
)
from ranvier.layers.base import whole
from ranvier.layers.shape_errors import ShapeFault, largest_divisor
from ranvier.layers.spatial import Spatial
from ranvier.layers.weight_dtype import convolve, convolve_transposed
from ranvier.module.parameter import Parameter
from ranvier.ops.functional.convolution import enlarged, padding_of


class Convolution(Spatial):
    """The base of all convolutions: sizes, padding, bias, activation, and the errors for inputs that do not fit.

    ``kernel_size``, ``strides`` and ``dilation_rate`` are one number or one for each dimension.
    """

    groups = 1
    paddings: ClassVar[tuple[str, ...]] = ("valid", "same")
    slides = True  # whether the kernel slides over the inputs, which must be as large
    filters: int
    bias: Parameter | None

    def __init__(
        self,
        kernel_size: Sizes,
        strides: Sizes,
        padding: str,
        data_format: str | None,
        dilation_rate: Sizes,
        activation: ActivationLike,
        use_bias: bool,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(data_format, **options)
        self.kernel_size = self.sizes(kernel_size, "kernel_size")
        self.strides, self.dilation_rate = (self.sizes(strides, "strides"), self.sizes(dilation_rate, "dilation_rate"))
        self.padding = self.one_of(padding, "padding", self.paddings)
        self.activation = None if activation is None else activations.get(activation)
        self.use_bias = bool(use_bias)

    def forward(self, x: Any) -> Any:
        y = self._change(x)
        return y if self.activation is None else self.activation(y)

    def kernels(self, channels: int) -> dict[str, tuple[int, ...]]:
        """The shape of each kernel for this number of input channels."""
        raise NotImplementedError

    def build(self, input_shape: Sequence[Any]) -> None:
        self._require_shape(tuple(input_shape))
        self._make_weights(**self.kernels(self.layout.channels(tuple(input_shape))))
        self._make_weights(bias=(self.filters,) if self.use_bias else None)

    def shape_error(self, given: Type) -> ShapeFault:
        layout, shape = self.layout, given.shape
        wrong = super().shape_error(given) or (
            layout.filled(shape, layout.channels(self._built_shape))
            if self.built
            else layout.grouped(shape, self.groups)
        )
        if wrong or not self.slides:
            return wrong
        pairs = padding_of(self.padding, layout.positions(shape), self.kernel_size, self.strides, self.dilation_rate)
        return layout.reached(shape, self.reaches, pairs, "kernel", "padding='same' or a smaller kernel_size")

    @property
    def reaches(self) -> tuple[int, ...]:
        """How many positions the kernel covers in each dimension."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True))

    def extra_repr(self) -> str:
        parts = [super().extra_repr(), f"kernel_size={self.kernel_size}"]
        parts += [f"strides={self.strides}"] if set(self.strides) != {1} else []
        parts += [f"padding={self.padding!r}"] if self.padding != "valid" else []
        return ", ".join(filter(None, parts))


class _Conv(Convolution):
    """Cross-correlation with kernels (sizes..., channels / groups, filters), plus a bias for each filter."""

    kernel: Parameter
    _shown = "{filters}"

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        groups: int = 1,
        activation: ActivationLike = None,
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        activity_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        **options: Unpack[OptionsWithInputDim],
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            activity_regularizer=activity_regularizer, **options,
        )  # fmt: skip
        self.filters, self.groups = whole(filters, "filters", self.name), whole(groups, "groups", self.name)
        if self.filters % self.groups:
            raise ValueError(
                f"layer {self.name!r} has {self.filters} filters in {self.groups} groups, which do not divide them. "
                f"Write groups={largest_divisor(self.filters, self.groups)}, or "
                f"filters={-(-self.filters // self.groups) * self.groups}."
            )
        self._store_settings("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self._store_settings("bias", bias_initializer, bias_regularizer, bias_constraint)

    def kernels(self, channels: int) -> dict[str, tuple[int, ...]]:
        return {"kernel": (*self.kernel_size, channels // self.groups, self.filters)}

    def _change(self, x: Any) -> Any:
        return convolve(
            x, self.kernel, self.bias, stride=self.strides, padding=self.padding, dilation=self.dilation_rate,
            groups=self.groups, first=self.first,
        )  # fmt: skip


class Conv1D(_Conv, dimensions=1, paddings=("valid", "same", "causal")):
    """Convolution along steps: (batch, steps, channels) -> (batch, new steps, filters).

    ``padding`` is "valid" (none), "same" (ceil(steps / strides) come out) or "causal" (outputs see no later inputs).
    Weights: kernel (size, channels / groups, filters), bias (filters,).
    """


class Conv2D(_Conv, dimensions=2):
    """Convolution of images: (batch, height, width, channels) -> (batch, new height, new width, filters).

    ``padding`` is "valid" (none) or "same" (zeros around, so that ceil(size / strides) come out). With ``groups`` each
    part of the filters sees a part of the channels. ``data_format="channels_first"`` takes and gives (batch, channels,
    height, width). Weights: kernel (height, width, channels / groups, filters), bias (filters,). Raises ValueError for
    channels that groups do not divide and images smaller than the kernel.
    """


class Conv3D(_Conv, dimensions=3):
    """Convolution of volumes: (batch, depth, height, width, channels) -> (batch, ..., filters); see `Conv2D`."""


class _ConvTranspose(Convolution):
    """The gradient of a convolution as a layer, which enlarges images."""

    slides = False
    kernel: Parameter
    _shown = "{filters}"

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        output_padding: Sizes | None = None,
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        activation: ActivationLike = None,
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        activity_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        **options: Unpack[OptionsWithInputDim],
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            activity_regularizer=activity_regularizer, **options,
        )  # fmt: skip
        self.filters = whole(filters, "filters", self.name)
        self.output_padding = None if output_padding is None else self.sizes(output_padding, "output_padding", 0)
        if any(p >= s for p, s in zip(self.output_padding or (), self.strides, strict=False)):
            raise ValueError(
                f"output_padding of layer {self.name!r} is {output_padding!r}, and its strides are {self.strides}. "
                "Write less than the strides in each dimension."
            )
        self._store_settings("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self._store_settings("bias", bias_initializer, bias_regularizer, bias_constraint)

    def kernels(self, channels: int) -> dict[str, tuple[int, ...]]:
        return {"kernel": (*self.kernel_size, self.filters, channels)}

    def _change(self, x: Any) -> Any:
        self._require_shape(x.shape)
        shape, pairs = [], []
        for i, n in enumerate(self.layout.positions(x.shape)):
            extra = None if self.output_padding is None else self.output_padding[i]
            size, pair = enlarged(n, self.reaches[i], self.strides[i], self.padding, extra)
            shape.append(size)
            pairs.append(pair)
        return convolve_transposed(
            x, self.kernel, self.bias, stride=self.strides, padding=tuple(pairs), dilation=self.dilation_rate,
            shape=tuple(shape), first=self.first,
        )  # fmt: skip


class Conv1DTranspose(_ConvTranspose, dimensions=1):
    """A convolution backwards along steps: (batch, steps, channels) -> (batch, about steps * strides, filters).

    "same" gives steps * strides, "valid" what every place of the kernel reaches. Weights: kernel (size, filters,
    channels), bias (filters,).
    """


class Conv2DTranspose(_ConvTranspose, dimensions=2):
    """A convolution backwards: (batch, height, width, channels) -> (batch, about height * strides, ..., filters).

    "same" gives height * strides, "valid" what every place of the kernel reaches; ``output_padding`` sets the size
    otherwise. Weights: kernel (height, width, filters, channels), bias (filters,).
    """


class Conv3DTranspose(_ConvTranspose, dimensions=3):
    """A convolution of volumes backwards; see `Conv2DTranspose`."""

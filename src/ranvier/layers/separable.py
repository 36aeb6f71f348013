"""Depthwise convolutions, each channel by itself, and separable ones, which mix the channels afterwards."""

from __future__ import annotations

from typing import Any, Unpack

from ranvier.layers.annotations import (
    ActivationLike,
    ConstraintLike,
    InitializerLike,
    OptionsWithInputDim,
    RegularizerLike,
    Sizes,
)
from ranvier.layers.base import whole
from ranvier.layers.convolution import Convolution
from ranvier.layers.weight_dtype import convolve_separably
from ranvier.module.parameter import Parameter


class _DepthwiseConv(Convolution):
    """Every channel by itself, with ``depth_multiplier`` kernels."""

    kernel: Parameter

    def __init__(
        self,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        activation: ActivationLike = None,
        use_bias: bool = True,
        depthwise_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        depthwise_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        activity_regularizer: RegularizerLike = None,
        depthwise_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        **options: Unpack[OptionsWithInputDim],
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            activity_regularizer=activity_regularizer, **options,
        )  # fmt: skip
        self.depth_multiplier = whole(depth_multiplier, "depth_multiplier", self.name)
        self._store_settings("kernel", depthwise_initializer, depthwise_regularizer, depthwise_constraint)
        self._store_settings("bias", bias_initializer, bias_regularizer, bias_constraint)

    def kernels(self, channels: int) -> dict[str, tuple[int, ...]]:
        self.filters = channels * self.depth_multiplier
        return {"kernel": (*self.kernel_size, channels, self.depth_multiplier)}

    def _change(self, x: Any) -> Any:
        return convolve_separably(
            x, self.kernel, None, self.bias, stride=self.strides, padding=self.padding,
            dilation=self.dilation_rate, first=self.first,
        )  # fmt: skip


class DepthwiseConv1D(_DepthwiseConv, dimensions=1):
    """Each channel by itself: (batch, steps, channels) -> (batch, new steps, channels * depth_multiplier).

    Weights: kernel (size, channels, depth_multiplier), bias (channels * depth_multiplier,).
    """


class DepthwiseConv2D(_DepthwiseConv, dimensions=2):
    """Each channel by itself: (batch, height, width, channels) -> (batch, ..., channels * depth_multiplier).

    Weights: kernel (height, width, channels, depth_multiplier), bias (channels * depth_multiplier,).
    """


class _SeparableConv(Convolution):
    """Every channel by itself, then a mixture of all at each position."""

    depthwise_kernel: Parameter
    pointwise_kernel: Parameter
    _shown = "{filters}"

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        depth_multiplier: int = 1,
        activation: ActivationLike = None,
        use_bias: bool = True,
        depthwise_initializer: InitializerLike = "glorot_uniform",
        pointwise_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        depthwise_regularizer: RegularizerLike = None,
        pointwise_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        activity_regularizer: RegularizerLike = None,
        depthwise_constraint: ConstraintLike = None,
        pointwise_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        **options: Unpack[OptionsWithInputDim],
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            activity_regularizer=activity_regularizer, **options,
        )  # fmt: skip
        self.filters = whole(filters, "filters", self.name)
        self.depth_multiplier = whole(depth_multiplier, "depth_multiplier", self.name)
        self._store_settings("depthwise_kernel", depthwise_initializer, depthwise_regularizer, depthwise_constraint)
        self._store_settings("pointwise_kernel", pointwise_initializer, pointwise_regularizer, pointwise_constraint)
        self._store_settings("bias", bias_initializer, bias_regularizer, bias_constraint)

    def kernels(self, channels: int) -> dict[str, tuple[int, ...]]:
        ones, together = (1,) * self.dimensions, channels * self.depth_multiplier
        return {
            "depthwise_kernel": (*self.kernel_size, channels, self.depth_multiplier),
            "pointwise_kernel": (*ones, together, self.filters),
        }

    def _change(self, x: Any) -> Any:
        return convolve_separably(
            x, self.depthwise_kernel, self.pointwise_kernel, self.bias, stride=self.strides, padding=self.padding,
            dilation=self.dilation_rate, first=self.first,
        )  # fmt: skip


class SeparableConv1D(_SeparableConv, dimensions=1):
    """A depthwise convolution, then one of size 1: (batch, steps, channels) -> (batch, new steps, filters).

    Weights: depthwise_kernel (size, channels, depth_multiplier), pointwise_kernel (1, channels * depth_multiplier,
    filters), bias (filters,).
    """


class SeparableConv2D(_SeparableConv, dimensions=2):
    """A depthwise convolution, then one of size 1: (batch, height, width, channels) -> (batch, ..., filters).

    Weights: depthwise_kernel (height, width, channels, depth_multiplier), pointwise_kernel (1, 1,
    channels * depth_multiplier, filters), bias (filters,). (Chollet, 2017.)
    """

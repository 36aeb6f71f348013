"""Normalization of each sample by itself: by groups of channels, by instance, by root mean square, by length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from ranvier.graph.node import Type
from ranvier.layers.annotations import ConstraintLike, Factor, InitializerLike, LayerOptions, RegularizerLike
from ranvier.layers.base import Layer, whole
from ranvier.layers.normalization import Normalizing, features_of
from ranvier.layers.shape_errors import largest_divisor
from ranvier.layers.weight_dtype import group_standardize, rms_standardize
from ranvier.module.serialization import register_module
from ranvier.ops import functional
from ranvier.ops.arrays.promotion import axes_of
from ranvier.support.validation import amount


@register_module
class GroupNormalization(Normalizing):
    """Each of ``groups`` of channels of a sample at mean 0 and variance 1, then ``* gamma + beta`` by channel.

    (Wu and He, 2018.) Channels are along ``axis``. The same in training and evaluation. With ``groups=-1`` each channel
    is one. Weights: gamma and beta, (channels,).
    """

    supports_masking = True
    _shown = "{groups}, axis={axis}, epsilon={epsilon:g}"

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: InitializerLike = "zeros",
        gamma_initializer: InitializerLike = "ones",
        beta_regularizer: RegularizerLike = None,
        gamma_regularizer: RegularizerLike = None,
        beta_constraint: ConstraintLike = None,
        gamma_constraint: ConstraintLike = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self.groups = -1 if groups == -1 else whole(groups, "groups", self.name)
        self.axis = self._one_axis(axis)
        self._store_affine(epsilon, center, scale)
        self._store_settings("gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        self._store_settings("beta", beta_initializer, beta_regularizer, beta_constraint)

    def build(self, input_shape: Sequence[Any]) -> None:
        self._make_affine((features_of(input_shape, self.axis),))

    def forward(self, x: Any) -> Any:
        groups = self.groups if self.groups > 0 else x.shape[self.axis]
        return group_standardize(x, self.gamma, self.beta, groups=groups, axis=self.axis, epsilon=self.epsilon)

    def shape_error(self, given: Type) -> tuple[str, str] | None:
        channels = given.shape[self.axis] if -len(given.shape) <= self.axis < len(given.shape) else None
        if self.groups < 1 or not isinstance(channels, int) or channels % self.groups == 0:
            return None
        best = largest_divisor(channels, self.groups)
        return f"its {self.groups} groups do not divide {channels} channels.", f"Write groups={best} instead."


@register_module
class InstanceNormalization(GroupNormalization):
    """Each channel of each sample at mean 0 and variance 1 over its positions, then ``* gamma + beta``.

    (Ulyanov et al., 2016.) The arguments are those of `GroupNormalization` but for ``groups``: each channel is one.
    """

    _shown = "axis={axis}, epsilon={epsilon:g}"

    def __init__(self, axis: int = -1, epsilon: float = 1e-3, **options: Unpack[LayerOptions]) -> None:
        super().__init__(-1, axis, epsilon, **options)


@register_module
class RMSNormalization(Layer):
    """Each sample divided by its root mean square over ``axis``, then ``* scale`` (Zhang and Sennrich, 2019).

    Weights: scale, of the axes' shape.
    """

    scale: Factor
    _shown = "axis={axis}, epsilon={epsilon:g}"

    def __init__(self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.axis = tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)
        self.epsilon = amount(epsilon, self._label(), "epsilon")

    def build(self, input_shape: Sequence[Any]) -> None:
        shape = tuple(features_of(input_shape, a) for a in axes_of(self.axis, len(input_shape)))
        self.add_weight(shape, "ones", name="scale")

    def forward(self, x: Any) -> Any:
        return rms_standardize(x, self.scale, axes=self.axis, epsilon=self.epsilon)


@register_module
class UnitNormalization(Layer):
    """Each sample divided by its length (its 2-norm) along ``axis``."""

    supports_masking = True
    _shown = "axis={axis}"

    def __init__(self, axis: int = -1, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.axis = axis

    def forward(self, x: Any) -> Any:
        return functional.normalize(x, 2.0, self.axis)

"""Dense: the fully connected layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from ranvier import activations
from ranvier.graph.contraction import einsum
from ranvier.graph.node import GraphError, Node, Type, apply
from ranvier.layers.annotations import (
    ActivationLike,
    ConstraintLike,
    InitializerLike,
    OptionsWithInputDim,
    RegularizerLike,
)
from ranvier.layers.base import Layer, whole
from ranvier.layers.weight_dtype import weighted
from ranvier.module.parameter import Parameter
from ranvier.module.serialization import register_module


@weighted
def affine(x: Node, kernel: Node, bias: Node | None = None) -> Node:
    """``x @ kernel + bias`` over the last dimension of x: (..., in), (in, out), (out,) -> (..., out)."""
    if not x.shape or x.shape[-1] != kernel.shape[0]:
        raise GraphError(f"{x.type} has no last dimension of {kernel.shape[0]}")
    rest = "abcdefghij"[: x.ndim - 1]
    y = einsum(f"{rest}k,kn->{rest}n", x, kernel)
    return y if bias is None else y + apply("broadcast", bias, shape=y.shape, axes=(y.ndim - 1,))


@register_module
class Dense(Layer):
    """``activation(x @ kernel + bias)``: (..., features) -> (..., units).

    The kernel (features, units) and the bias (units,) are made at the first call, or by a `Sequential` that knows the
    shape of its inputs. ``activation`` is a name, a function, or None. Raises ValueError for units below 1 and for a
    kernel too large for the machine, by its layer's name. Regularizers and constraints are names, objects or functions
    of one tensor.
    """

    supports_masking = True
    every_position = True
    kernel: Parameter
    bias: Parameter | None
    _shown = "{units}"

    def __init__(
        self,
        units: int,
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
        super().__init__(activity_regularizer=activity_regularizer, **options)
        self.units = whole(units, "units", self.name)
        self.activation = activations.get(activation) if activation is not None else None
        self.use_bias = use_bias
        self._store_settings("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self._store_settings("bias", bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: Sequence[Any]) -> None:
        features = input_shape[-1] if len(input_shape) > 1 else None
        if not isinstance(features, int):
            raise GraphError(
                f"it needs inputs of shape (batch, features), not {tuple(input_shape)}. Write x.reshape(-1, 1) for a "
                "single feature"
            )
        self._make_weights(kernel=(features, self.units), bias=(self.units,) if self.use_bias else None)

    def forward(self, x: Any) -> Any:
        y = affine(x, self.kernel, self.bias)
        return y if self.activation is None else self.activation(y)

    def shape_error(self, given: Type) -> tuple[str, str] | None:
        if not self.built or not given.shape or given.shape[-1] == self.kernel.shape[0]:
            return None
        return (
            f"its kernel takes {self.kernel.shape[0]} features in the last dimension, and there are {given.shape[-1]}.",
            f"Make the layer before it give {self.kernel.shape[0]}, or build this one for {given.shape[-1]}.",
        )

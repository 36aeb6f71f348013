"""EinsumDense: a product of the inputs and a kernel along any axes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, Unpack

from ranvier import activations
from ranvier.graph.node import GraphError, Node
from ranvier.initializers import VarianceScaling
from ranvier.layers.annotations import ActivationLike, ConstraintLike, InitializerLike, LayerOptions, RegularizerLike
from ranvier.layers.base import Layer
from ranvier.layers.weight_dtype import weighted
from ranvier.module.parameter import Parameter
from ranvier.module.serialization import register_module
from ranvier.ops import arrays

EQUATION = re.compile(r"(\.{3})?([A-Za-z]+)(\.{3})?,([A-Za-z]+)->(\.{3})?([A-Za-z]+)(\.{3})?")


@weighted
def contracted(x: Node, kernel: Node, bias: Node | None = None, equation: str = "") -> Node:
    """`einsum` of x and a kernel, plus a bias that broadcasts."""
    y: Node = arrays.einsum(equation, x, kernel)
    return y if bias is None else arrays.add(y, bias)


class Shapes(NamedTuple):
    """The shapes of the weights, and the extents of the kernel that are summed over and that are kept."""

    kernel: tuple[Any, ...]
    bias: tuple[Any, ...] | None
    fans: tuple[int, int]


@register_module
class EinsumDense(Layer):
    """``activation(einsum(equation, x, kernel) + bias)``, with "abc,cde->abde", "...x,xy->...y" or "ab...,bc->ac...".

    ``output_shape`` has the extents behind the batch's, without those of the dots; None for those that the inputs give.
    The bias has the letters in ``bias_axes``, and extent 1 along the other axes of the output behind the first of them.
    Raises ValueError for an equation of another form.
    """

    kernel: Parameter
    bias: Parameter | None
    _shown = "{equation!r}, {partial_output_shape}"

    def __init__(
        self,
        equation: str,
        output_shape: int | Sequence[int | None],
        activation: ActivationLike = None,
        bias_axes: str | None = None,
        kernel_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        if EQUATION.fullmatch(equation) is None:
            raise ValueError(
                f"the equation of layer {self.name!r} is {equation!r}. Write one such as 'abc,cd->abd', "
                "'...x,xy->...y' or 'ab...,bc->ac...' instead."
            )
        self.equation = equation
        self.partial_output_shape = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        self.activation = activations.get(activation) if activation is not None else None
        self.bias_axes = bias_axes
        self._store_settings("kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        self._store_settings("bias", bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: Sequence[Any]) -> None:
        shapes = self._weight_shapes(tuple(input_shape))
        own, draw = self.kernel_initializer, self.kernel_initializer
        if isinstance(own, VarianceScaling):  # its fans are those of the equation

            def draw(shape: Sequence[int], dtype: str | None = None) -> Any:
                return own(shapes.fans, dtype).reshape(shape)

        self.add_weight(
            shapes.kernel, draw, name="kernel", regularizer=self.kernel_regularizer, constraint=self.kernel_constraint
        )
        self._make_weights(bias=shapes.bias)

    def _weight_shapes(self, given: tuple[Any, ...]) -> Shapes:
        """Raises GraphError for inputs that do not fit the equation."""
        match = EQUATION.fullmatch(self.equation)
        assert match is not None
        before, inputs, after, kernel, _, output, _ = match.groups(default="")
        elided = len(given) - len(inputs) if before or after else 0
        if len(given) != len(inputs) + elided or elided < 0:
            raise GraphError(f"the equation {self.equation!r} takes {len(inputs)} axes, and the inputs have {given}")
        lead = elided if before else 0
        extents = dict(zip(inputs, given[lead:], strict=False))
        made = (given[0], *given[1:lead], *self.partial_output_shape)[lead:]
        if len(made) < len(output):
            raise GraphError(
                f"output_shape={self.partial_output_shape} has too few extents for {self.equation!r}. Write one for "
                "each letter of the output but the batch's"
            )
        for letter, extent in zip(output, made, strict=False):
            if extent is not None and extents.get(letter, extent) not in (extent, None):
                raise GraphError(
                    f"{letter!r} of {self.equation!r} is {extents[letter]} in the inputs and {extent} in the output"
                )
            extents[letter] = extents.get(letter) if extent is None else extent
        shape = tuple(extents.get(letter) for letter in kernel)
        if not all(isinstance(extent, int) for extent in shape):
            raise GraphError(f"the extents {shape} of the kernel in {self.equation!r} are not all known")
        bias = None
        if self.bias_axes:
            first = min(output.find(letter) for letter in self.bias_axes)
            if first < 0:
                raise GraphError(f"bias_axes={self.bias_axes!r} has letters that the output {output!r} lacks")
            bias = tuple(extents[c] if c in self.bias_axes else 1 for c in output[first:])
            bias += (1,) * (elided if after else 0)
        summed = math.prod(extents[c] for c in kernel if c not in output)
        return Shapes(shape, bias, (summed, math.prod(extents[c] for c in kernel if c in output)))

    def forward(self, x: Any) -> Any:
        y = contracted(x, self.kernel, self.bias, equation=self.equation)
        return y if self.activation is None else self.activation(y)

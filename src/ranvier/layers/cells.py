"""One step of the recurrent layers: ``output, states = cell(inputs, states)``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Unpack

import numpy as np

from ranvier import activations
from ranvier.graph.node import GraphError, Type
from ranvier.layers.annotations import ActivationLike, CellOptions, ConstraintLike, InitializerLike, RegularizerLike
from ranvier.layers.base import Layer, whole
from ranvier.layers.dense import affine
from ranvier.layers.dropout import check_rate
from ranvier.module.parameter import Parameter
from ranvier.module.serialization import register_module
from ranvier.ops import arrays, functional
from ranvier.ops.keras.arrays import zeros
from ranvier.tensor import rng


class Cell(Layer):
    """The base of cells: ``output, states = cell(inputs, states)``.

    The first operand of each sum, ``x @ kernel + bias``, depends on the inputs alone: a loop over the steps computes it
    for all of them at once. While training, ``dropout`` drops inputs and ``recurrent_dropout`` states, in all steps of
    a sequence the same ones (Gal and Ghahramani, 2016). With ``recurrent_dropout`` each gate drops its own.
    """

    gates: ClassVar[int] = 1  # how many products of the inputs there are
    state_count: ClassVar[int] = 1
    output_is_state: ClassVar[bool]  # of this very class: whether the output is the first state
    kernel: Parameter
    recurrent_kernel: Parameter
    bias: Parameter | None
    _shown = "{units}"

    def __init__(
        self,
        units: int,
        activation: ActivationLike,
        use_bias: bool,
        dropout: float,
        recurrent_dropout: float,
        seed: int | None,
        **options: Unpack[CellOptions],
    ) -> None:
        options.pop("implementation", None)
        super().__init__(**options)
        self.units = whole(units, "units", self.name)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self._store_dropout(dropout, recurrent_dropout, seed)
        self.output_size = self.units
        self.state_size: int | list[int] = self.units if self.state_count == 1 else [self.units] * self.state_count

    def _store_dropout(self, dropout: float, recurrent_dropout: float, seed: int | None) -> None:
        self.dropout = check_rate(dropout, self.name)
        self.recurrent_dropout, self.seed = check_rate(recurrent_dropout, self.name), seed

    def _store_weights(self, kernel: Sequence[Any], recurrent: Sequence[Any], bias: Sequence[Any]) -> None:
        """Store the initializer, regularizer and constraint of each weight."""
        for name, settings in (("kernel", kernel), ("recurrent", recurrent), ("bias", bias)):
            self._store_settings(name, *settings)

    @property
    def bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    def build(self, input_shape: Sequence[Any]) -> None:
        features = input_shape[-1] if len(input_shape) == 2 else None
        if not isinstance(features, int):
            raise GraphError(f"it needs inputs of shape (batch, features) at each step, not {tuple(input_shape)}")
        width = self.gates * self.units
        self._make_recurrent((features, width), (self.units, width), self.bias_shape)

    def _make_recurrent(self, kernel: Sequence[int], recurrent: Sequence[int], bias: Sequence[int]) -> None:
        self._make_weights(kernel=kernel)
        self.add_weight(
            recurrent, self.recurrent_initializer, name="recurrent_kernel", regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
        )  # fmt: skip
        if self.use_bias:
            self.add_weight(
                bias, self._first_bias(), name="bias", regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )  # fmt: skip
        else:
            self.register_parameter("bias", None)

    def _first_bias(self) -> Callable[..., Any]:
        """The initializer of the bias."""
        given: Callable[..., Any] = self.bias_initializer
        return given

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Zeros for each state."""
        sizes = [self.state_size] if isinstance(self.state_size, int) else self.state_size
        return [zeros((batch_size, size)) for size in sizes]

    def _dropped(self, x: Any, rate: float) -> list[Any]:
        """What each gate takes of the inputs or of a state: one tensor for all, or one for each."""
        if not self.training or not rate:
            return [x]
        count = self.gates if self.recurrent_dropout else 1
        with rng.in_step(None):  # the same elements in all steps
            return [functional.dropout(x, *rng.draw(self.seed), rate=rate) for _ in range(count)]

    def _products(
        self, x: Any, kernel: Any, bias: Any = None, product: Callable[..., Any] = affine, axis: int = -1
    ) -> Any:
        """``x @ kernel + bias`` for all gates next to each other along ``axis``; x is what `_dropped` returned."""
        if len(x) == 1:
            return product(x[0], kernel, bias)
        kernels = arrays.split(kernel, len(x), -1)
        biases = [None] * len(x) if bias is None else arrays.split(bias, len(x), -1)
        return arrays.concatenate([product(*each) for each in zip(x, kernels, biases, strict=True)], axis)

    def shape_error(self, given: Type) -> tuple[str, str] | None:
        if not self.built or len(given.shape) != 2 or given.shape[-1] == self.kernel.shape[-2]:
            return None
        features = self.kernel.shape[-2]
        return (
            f"its kernel takes {features} features at each step, and there are {given.shape[-1]}.",
            f"Make the layer before it give {features}, or build this one for {given.shape[-1]}.",
        )


def first_state(states: Any) -> tuple[Any, Callable[[Any], Any]]:
    """The state of a cell that has one, given alone or in a list; and what gives the next one back so."""
    if isinstance(states, (list, tuple)):
        return states[0], lambda h: [h]
    return states, lambda h: h


@register_module
class SimpleRNNCell(Cell):
    """``h = activation(x @ kernel + bias + h @ recurrent_kernel)``: one step of `SimpleRNN`.

    Weights: kernel (features, units), recurrent_kernel (units, units), bias (units,).
    """

    output_is_state = True

    def __init__(
        self,
        units: int,
        activation: ActivationLike = "tanh",
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        recurrent_initializer: InitializerLike = "orthogonal",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        recurrent_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        recurrent_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **options: Unpack[CellOptions],
    ) -> None:
        super().__init__(units, activation, use_bias, dropout, recurrent_dropout, seed, **options)
        self._store_weights(
            (kernel_initializer, kernel_regularizer, kernel_constraint),
            (recurrent_initializer, recurrent_regularizer, recurrent_constraint),
            (bias_initializer, bias_regularizer, bias_constraint),
        )

    def forward(self, inputs: Any, states: Any) -> Any:
        h, packed = first_state(states)
        z = self._products(self._dropped(inputs, self.dropout), self.kernel, self.bias)
        h = self.activation(z + self._products(self._dropped(h, self.recurrent_dropout), self.recurrent_kernel))
        return h, packed(h)


def forget_ones(initializer: Callable[..., Any]) -> Callable[..., Any]:
    """The initializer of the biases of gates i, f, c, o, of which those of f are 1 (Jozefowicz et al., 2015)."""

    def initial(shape: Sequence[int], dtype: str | None = None) -> Any:
        units = shape[0] // 4
        first, rest = initializer((units,), dtype=dtype), initializer((2 * units,), dtype=dtype)
        return np.concatenate([first, np.ones_like(first), rest])

    return initial


class GatedCell(Cell):
    """The arguments that the cells with gates share."""

    def __init__(self, recurrent_activation: ActivationLike, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.recurrent_activation = activations.get(recurrent_activation)


@register_module
class LSTMCell(GatedCell):
    """One step of `LSTM`: the states are the output h and the memory c.

    Weights, with the gates i, f, c, o next to each other: kernel (features, 4 units), recurrent_kernel (units,
    4 units), bias (4 units,).
    """

    output_is_state = True
    gates = 4
    state_count = 2

    def __init__(
        self,
        units: int,
        activation: ActivationLike = "tanh",
        recurrent_activation: ActivationLike = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        recurrent_initializer: InitializerLike = "orthogonal",
        bias_initializer: InitializerLike = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: RegularizerLike = None,
        recurrent_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        recurrent_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **options: Unpack[CellOptions],
    ) -> None:
        super().__init__(recurrent_activation, units, activation, use_bias, dropout, recurrent_dropout, seed, **options)
        self.unit_forget_bias = bool(unit_forget_bias)
        self._store_weights(
            (kernel_initializer, kernel_regularizer, kernel_constraint),
            (recurrent_initializer, recurrent_regularizer, recurrent_constraint),
            (bias_initializer, bias_regularizer, bias_constraint),
        )

    def _first_bias(self) -> Callable[..., Any]:
        return forget_ones(self.bias_initializer) if self.unit_forget_bias else self.bias_initializer

    def forward(self, inputs: Any, states: Any) -> Any:
        h, c = states
        z = self._products(self._dropped(inputs, self.dropout), self.kernel, self.bias)
        z = z + self._products(self._dropped(h, self.recurrent_dropout), self.recurrent_kernel)
        h, c = self._next(z, c)
        return h, [h, c]

    def _next(self, z: Any, c: Any, axis: int = -1) -> tuple[Any, Any]:
        """The output and the memory for the sums of all gates and the memory before."""
        i, f, g, o = arrays.split(z, 4, axis)
        c = self.recurrent_activation(f) * c + self.recurrent_activation(i) * self.activation(g)
        return self.recurrent_activation(o) * self.activation(c), c


@register_module
class GRUCell(GatedCell):
    """One step of `GRU`, whose one state is its output h.

    Weights, with the gates z, r and the candidate next to each other: kernel (features, 3 units), recurrent_kernel
    (units, 3 units), and bias (2, 3 units), of the inputs and of the state; with ``reset_after=False`` (3 units,).
    """

    output_is_state = True
    gates = 3

    def __init__(
        self,
        units: int,
        activation: ActivationLike = "tanh",
        recurrent_activation: ActivationLike = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        recurrent_initializer: InitializerLike = "orthogonal",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        recurrent_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        recurrent_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        **options: Unpack[CellOptions],
    ) -> None:
        super().__init__(recurrent_activation, units, activation, use_bias, dropout, recurrent_dropout, seed, **options)
        self.reset_after = bool(reset_after)
        self._store_weights(
            (kernel_initializer, kernel_regularizer, kernel_constraint),
            (recurrent_initializer, recurrent_regularizer, recurrent_constraint),
            (bias_initializer, bias_regularizer, bias_constraint),
        )

    @property
    def bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def forward(self, inputs: Any, states: Any) -> Any:
        h, packed = first_state(states)
        units, kernel = self.units, self.recurrent_kernel
        bias = [self.bias, None] if self.bias is None or not self.reset_after else [self.bias[0], self.bias[1]]
        x_z, x_r, x_c = arrays.split(self._products(self._dropped(inputs, self.dropout), self.kernel, bias[0]), 3, -1)
        given = self._dropped(h, self.recurrent_dropout)
        if self.reset_after:
            h_z, h_r, h_c = arrays.split(self._products(given, kernel, bias[1]), 3, -1)
        else:
            h_z, h_r = arrays.split(self._products(given[:2], kernel[:, : 2 * units]), 2, -1)
        z, r = self.recurrent_activation(x_z + h_z), self.recurrent_activation(x_r + h_r)
        reset = r * h_c if self.reset_after else affine(r * given[-1], kernel[:, 2 * units :])
        h = z * h + (1 - z) * self.activation(x_c + reset)
        return h, packed(h)

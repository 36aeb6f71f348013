"""SimpleRNN, LSTM and GRU."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TypeVar, Unpack

from ranvier.layers.annotations import (
    ActivationLike,
    ConstraintLike,
    InitializerLike,
    OptionsWithInputDim,
    RegularizerLike,
)
from ranvier.layers.cells import GRUCell, LSTMCell, SimpleRNNCell
from ranvier.layers.rnn import RNN
from ranvier.module.serialization import register_module

Made = TypeVar("Made", bound=type)


class RecurrentOptions(OptionsWithInputDim, total=False):
    """The keywords of the layers of one cell, of which ``implementation`` changes nothing."""

    zero_output_for_mask: bool
    implementation: int


def of_cell(names: str) -> Callable[[Made], Made]:
    """A decorator of the layers of one cell, which have the cell's arguments as attributes."""

    def decorate(cls: Made) -> Made:
        for name in names.split():
            setattr(cls, name, property(operator.attrgetter(f"cell.{name}")))
        return cls

    return decorate


@register_module
@of_cell(
    "units activation use_bias kernel_initializer recurrent_initializer bias_initializer kernel_regularizer "
    "recurrent_regularizer bias_regularizer kernel_constraint recurrent_constraint bias_constraint dropout "
    "recurrent_dropout seed"
)
class SimpleRNN(RNN):
    """``h = activation(x @ kernel + bias + h @ recurrent_kernel)`` at each step; see `RNN` for what comes out.

    Weights: kernel (features, units), recurrent_kernel (units, units), bias (units,). While training, ``dropout`` drops
    inputs and ``recurrent_dropout`` states, in all steps of a sequence the same ones.
    """

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
        activity_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        recurrent_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        **options: Unpack[RecurrentOptions],
    ) -> None:
        cell = SimpleRNNCell(
            units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
            kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
            recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed,
            dtype=options.get("dtype"),
        )  # fmt: skip
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful, unroll,
            activity_regularizer=activity_regularizer, **options,
        )  # fmt: skip


@register_module
@of_cell(
    "units activation recurrent_activation use_bias kernel_initializer recurrent_initializer bias_initializer "
    "unit_forget_bias kernel_regularizer recurrent_regularizer bias_regularizer kernel_constraint "
    "recurrent_constraint bias_constraint dropout recurrent_dropout seed"
)
class LSTM(RNN):
    """The long short-term memory (Hochreiter and Schmidhuber, 1997); see `RNN` for what comes out.

    The states are the output h and the memory c: ``c = f * c + i * activation(...)``, ``h = o * activation(c)``, with
    gates i, f, o. Weights, with the gates i, f, c, o next to each other: kernel (features, 4 units), recurrent_kernel
    (units, 4 units), bias (4 units,), of which with ``unit_forget_bias`` those of f start with 1. While training,
    ``dropout`` drops inputs and ``recurrent_dropout`` states, in all steps of a sequence the same ones.
    """

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
        activity_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        recurrent_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        use_cudnn: bool | str = "auto",
        **options: Unpack[RecurrentOptions],
    ) -> None:
        cell = LSTMCell(
            units, activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer,
            bias_initializer, unit_forget_bias, kernel_regularizer, recurrent_regularizer, bias_regularizer,
            kernel_constraint, recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed,
            dtype=options.get("dtype"),
        )  # fmt: skip
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful, unroll,
            activity_regularizer=activity_regularizer, **options,
        )  # fmt: skip
        self.use_cudnn = use_cudnn


@register_module
@of_cell(
    "units activation recurrent_activation use_bias kernel_initializer recurrent_initializer bias_initializer "
    "kernel_regularizer recurrent_regularizer bias_regularizer kernel_constraint recurrent_constraint "
    "bias_constraint dropout recurrent_dropout reset_after seed"
)
class GRU(RNN):
    """The gated recurrent unit (Cho et al., 2014); see `RNN` for what comes out.

    ``h = z * h + (1 - z) * candidate``. The gate r multiplies what the candidate takes of the state: its product, or
    with ``reset_after=False`` the state itself. Weights, with z, r and the candidate next to each other: kernel
    (features, 3 units), recurrent_kernel (units, 3 units), and bias (2, 3 units), of the inputs and of the state; with
    ``reset_after=False`` (3 units,). While training, ``dropout`` drops inputs and ``recurrent_dropout`` states, in all
    steps of a sequence the same ones.
    """

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
        activity_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        recurrent_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: bool | str = "auto",
        **options: Unpack[RecurrentOptions],
    ) -> None:
        cell = GRUCell(
            units, activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer,
            bias_initializer, kernel_regularizer, recurrent_regularizer, bias_regularizer,
            kernel_constraint, recurrent_constraint, bias_constraint, dropout, recurrent_dropout,
            reset_after, seed,
            dtype=options.get("dtype"),
        )  # fmt: skip
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful, unroll,
            activity_regularizer=activity_regularizer, **options,
        )  # fmt: skip
        self.use_cudnn = use_cudnn

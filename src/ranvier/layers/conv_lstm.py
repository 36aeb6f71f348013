"""LSTMs whose products are convolutions, for sequences of images."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Unpack

from ranvier.graph.node import GraphError, Type
from ranvier.graph.open_extents import is_open
from ranvier.layers.annotations import (
    ActivationLike,
    ConstraintLike,
    InitializerLike,
    OptionsWithInputDim,
    RegularizerLike,
    Sizes,
)
from ranvier.layers.base import Family
from ranvier.layers.cells import LSTMCell
from ranvier.layers.recurrent import of_cell
from ranvier.layers.rnn import RNN
from ranvier.layers.shape_errors import POSITIONS, ImageLayout, ShapeFault
from ranvier.layers.spatial import sizes_of, word_of
from ranvier.layers.weight_dtype import convolve
from ranvier.ops.functional.convolution import padding_of
from ranvier.ops.keras.arrays import zeros


class ConvLSTMCell(LSTMCell):
    """One step of `ConvLSTM1D`, `ConvLSTM2D` or `ConvLSTM3D`, by ``rank``.

    Weights, with the gates i, f, c, o next to each other: kernel (sizes..., channels, 4 filters), recurrent_kernel
    (sizes..., filters, 4 filters), bias (4 filters,).
    """

    output_is_state = True
    _shown = "{filters}"

    def __init__(
        self,
        rank: int,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        *arguments: Any,
        **options: Any,
    ) -> None:
        super().__init__(filters, *arguments, **options)
        self.rank, self.filters = rank, self.units
        sizes = {"kernel_size": kernel_size, "strides": strides, "dilation_rate": dilation_rate}
        found = [sizes_of(value, what, rank, self.name) for what, value in sizes.items()]
        self.kernel_size, self.strides, self.dilation_rate = found
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"layer {self.name!r} has strides={self.strides} and dilation_rate={self.dilation_rate}. Write 1 for "
                "one of them instead."
            )
        self.padding = word_of(padding, "padding", ("valid", "same"), self.name)
        formats = ("channels_last", "channels_first")
        self.data_format = word_of(data_format or formats[0], "data_format", formats, self.name)
        self.first = self.data_format == "channels_first"
        self.layout = ImageLayout(rank, self.first)

    def build(self, input_shape: Sequence[Any]) -> None:
        wrong = self.layout.rank(tuple(input_shape))
        if wrong is not None:
            raise GraphError(" ".join(wrong))
        positions, channels = self.layout.positions(tuple(input_shape)), self.layout.channels(tuple(input_shape))
        if is_open((*positions, channels)):
            raise GraphError(f"it needs inputs of a known size at each step, not {tuple(input_shape)}")
        width = 4 * self.filters
        self._make_recurrent((*self.kernel_size, channels, width), (*self.kernel_size, self.filters, width), (width,))
        pairs = padding_of(self.padding, positions, self.kernel_size, self.strides, self.dilation_rate)
        each = zip(positions, pairs, self.kernel_size, self.strides, self.dilation_rate, strict=True)
        self.positions = tuple((n + sum(pair) - (k - 1) * d - 1) // s + 1 for n, pair, k, s, d in each)

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        inner = (self.filters, *self.positions) if self.first else (*self.positions, self.filters)
        return [zeros((batch_size, *inner)) for _ in range(2)]

    def forward(self, inputs: Any, states: Any) -> Any:
        h, c = states
        options = {"stride": self.strides, "padding": self.padding, "dilation": self.dilation_rate}
        of_inputs = functools.partial(convolve, groups=1, first=self.first, **options)
        ones = (1,) * self.rank
        of_state = functools.partial(convolve, stride=ones, padding="same", dilation=ones, groups=1, first=self.first)
        axis = 1 if self.first else -1
        z = self._products(self._dropped(inputs, self.dropout), self.kernel, self.bias, of_inputs, axis)
        given = self._dropped(h, self.recurrent_dropout)
        h, c = self._next(z + self._products(given, self.recurrent_kernel, None, of_state, axis), c, axis)
        return h, [h, c]

    def shape_error(self, given: Type) -> ShapeFault:
        wrong = self.layout.rank(given.shape)
        return wrong or (self.layout.filled(given.shape, self.kernel.shape[-2]) if self.built else None)


CELL = (
    "filters kernel_size strides padding data_format dilation_rate activation recurrent_activation use_bias "
    "kernel_initializer recurrent_initializer bias_initializer unit_forget_bias kernel_regularizer "
    "recurrent_regularizer bias_regularizer kernel_constraint recurrent_constraint bias_constraint dropout "
    "recurrent_dropout seed"
)


@of_cell(CELL)
class _ConvLSTM(RNN, Family):
    """An LSTM whose products of inputs and of states are convolutions (Shi et al., 2015)."""

    dimensions: int

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
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
        **options: Unpack[OptionsWithInputDim],
    ) -> None:
        cell = ConvLSTMCell(
            self.dimensions, filters, kernel_size, strides, padding, data_format, dilation_rate, activation,
            recurrent_activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
            unit_forget_bias, kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
            recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed, name="conv_lstm_cell",
            dtype=options.get("dtype"),
        )  # fmt: skip
        where = POSITIONS[self.dimensions]
        self.steps_shape = f"(batch, steps, channels, {where})" if cell.first else f"(batch, steps, {where}, channels)"
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful, activity_regularizer=activity_regularizer,
            **options,
        )  # fmt: skip


class ConvLSTM1D(_ConvLSTM, dimensions=1):
    """An LSTM whose products are convolutions, over steps of (positions, channels); see `ConvLSTM2D`."""


class ConvLSTM2D(_ConvLSTM, dimensions=2):
    """An LSTM whose products are convolutions, over steps of images: (batch, steps, height, width, channels).

    The products of the inputs have ``strides``, ``padding`` and ``dilation_rate``; those of the state keep its size
    (Shi et al., 2015). What comes out is that of `RNN`. Weights, with the gates i, f, c, o next to each other: kernel
    (height, width, channels, 4 filters), recurrent_kernel (height, width, filters, 4 filters), bias (4 filters,).
    """


class ConvLSTM3D(_ConvLSTM, dimensions=3):
    """An LSTM whose products are convolutions, over steps of volumes; see `ConvLSTM2D`."""

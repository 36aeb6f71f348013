"""RNNCell, LSTMCell and GRUCell, and the steps that the layers share with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from numpy.typing import DTypeLike

from ranvier.graph.node import GraphError, Node, Type
from ranvier.initializers import uniform
from ranvier.layers.base import whole
from ranvier.module import Module, Parameter, register_module
from ranvier.ops import arrays, functional
from ranvier.ops.keras.arrays import zeros
from ranvier.ops.torch.device import Device, check_device
from ranvier.ops.torch.dtypes import dtype_name
from ranvier.ops.torch.products import linear
from ranvier.tensor.context import get_dtype
from ranvier.tensor.function import function

# The product of the inputs is the first operand of each sum: a loop computes it for all steps at once.


@function
def rnn_step(
    x: Node, h: Node, w_ih: Node, w_hh: Node, b_ih: Node | None, b_hh: Node | None, w_hr: Node | None, relu: bool
) -> tuple[Node, ...]:
    """The next state of an Elman network."""
    z = linear(x, w_ih, _sum(b_ih, b_hh)) + linear(h, w_hh)
    return (functional.relu(z) if relu else arrays.tanh(z),)


@function
def lstm_step(
    x: Node, h: Node, c: Node, w_ih: Node, w_hh: Node, b_ih: Node | None, b_hh: Node | None, w_hr: Node | None
) -> tuple[Node, ...]:
    """The next output and memory, with the gates i, f, g, o next to each other in the weights."""
    z = linear(x, w_ih, _sum(b_ih, b_hh)) + linear(h, w_hh)
    i, f, g, o = arrays.split(z, 4, -1)
    c = arrays.sigmoid(f) * c + arrays.sigmoid(i) * arrays.tanh(g)
    h = arrays.sigmoid(o) * arrays.tanh(c)
    return h if w_hr is None else linear(h, w_hr), c


@function
def gru_step(
    x: Node, h: Node, w_ih: Node, w_hh: Node, b_ih: Node | None, b_hh: Node | None, w_hr: Node | None
) -> tuple[Node, ...]:
    """The next state, with the gates r, z and the candidate n next to each other in the weights."""
    x_r, x_z, x_n = arrays.split(linear(x, w_ih, b_ih), 3, -1)
    h_r, h_z, h_n = arrays.split(linear(h, w_hh, b_hh), 3, -1)
    z, n = arrays.sigmoid(x_z + h_z), arrays.tanh(x_n + arrays.sigmoid(x_r + h_r) * h_n)
    return (n + z * (h - n),)


def _sum(a: Node | None, b: Node | None) -> Node | None:
    return a if b is None or a is None else a + b


class Recurrent(Module):
    """What modules of steps share: sizes, first weights, and what a step computes."""

    gates: ClassVar[int] = 1
    state_count: ClassVar[int] = 1
    bias: bool
    hidden_size: int
    nonlinearity: str

    def _start(self, device: Device, dtype: DTypeLike | None) -> None:
        check_device(device)
        self._kind = dtype_name(dtype) or get_dtype()
        self._bound = 1 / math.sqrt(self.hidden_size)

    def _draw(self, name: str, *shape: int) -> None:
        """Make a weight that starts uniform within 1 / sqrt(hidden_size)."""
        # Fortran order: the weights of each input are contiguous, which is fastest for the compiled programs.
        self.register_parameter(name, Parameter.over(uniform(self._bound, shape[::-1], self._kind).T))

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        for parameter in self.parameters(recurse=False):
            parameter.assign(uniform(self._bound, parameter.shape, parameter.dtype))

    def _check_nonlinearity(self, value: str) -> str:
        if value not in ("tanh", "relu"):
            raise ValueError(f"nonlinearity {value!r} of {type(self).__name__}. Write 'tanh' or 'relu' instead.")
        return value

    def _step(self, x: Any, states: Sequence[Any], weights: Sequence[Any]) -> list[Any]:
        """The next states for the inputs of a step."""
        raise NotImplementedError

    def _refuse_input(self, shape: Sequence[Any], size: int) -> None:
        """Raise GraphError where the last dimension is not the input_size."""
        if shape[-1] != size:
            kind = type(self).__name__
            raise GraphError(
                f"it takes {size} features in the last dimension, and there are {shape[-1]}. Write "
                f"{kind}({shape[-1]}, {self.hidden_size}), or make the layer before it give {size}."
            )


class Elman(Recurrent):
    """Steps of an Elman network."""

    def _step(self, x: Any, states: Sequence[Any], weights: Sequence[Any]) -> list[Any]:
        return list(rnn_step(x, *states, *weights, relu=self.nonlinearity == "relu"))


class LongShortTerm(Recurrent):
    """Steps of an LSTM."""

    gates = 4
    state_count = 2

    def _step(self, x: Any, states: Sequence[Any], weights: Sequence[Any]) -> list[Any]:
        return list(lstm_step(x, *states, *weights))


class Gated(Recurrent):
    """Steps of a GRU."""

    gates = 3

    def _step(self, x: Any, states: Sequence[Any], weights: Sequence[Any]) -> list[Any]:
        return list(gru_step(x, *states, *weights))


class RNNCellBase(Recurrent):
    """One step: (batch, input_size) and states (batch, hidden_size) -> the next states; both without batch too.

    Weights: weight_ih (gates * hidden_size, input_size), weight_hh (gates * hidden_size, hidden_size), bias_ih and
    bias_hh (gates * hidden_size,), uniform within ``1 / sqrt(hidden_size)``.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Device = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.input_size, self.bias = whole(input_size, "input_size", self.name), bool(bias)
        self.hidden_size = whole(hidden_size, "hidden_size", self.name)
        self._start(device, dtype)
        width = self.gates * self.hidden_size
        self._draw("weight_ih", width, self.input_size)
        self._draw("weight_hh", width, self.hidden_size)
        for name in ("bias_ih", "bias_hh"):
            self._draw(name, width) if self.bias else self.register_parameter(name, None)

    def forward(self, input: Any, hx: Any = None) -> Any:
        alone = input.ndim == 1
        if input.ndim not in (1, 2):
            raise GraphError(f"a cell takes (batch, input_size), or (input_size,), and here is {tuple(input.shape)}")
        self._refuse_input(input.shape, self.input_size)
        x = arrays.expand_dims(input, 0) if alone else input
        if hx is None:
            states = [zeros((x.shape[0], self.hidden_size), x.dtype)] * self.state_count
        else:
            states = list(hx) if isinstance(hx, (tuple, list)) else [hx]
            states = [arrays.expand_dims(s, 0) if alone else s for s in states]
            check_states(self, states, [(x.shape[0], self.hidden_size)] * self.state_count, input.shape)
        found = self._step(x, states, (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, None))
        found = [arrays.squeeze(s, 0) for s in found] if alone else found
        return tuple(found) if self.state_count > 1 else found[0]

    def shape_error(self, given: Type) -> tuple[str, str] | None:
        return None

    def extra_repr(self) -> str:
        parts = [str(self.input_size), str(self.hidden_size), *([] if self.bias else ["bias=False"])]
        return ", ".join([*parts, *(["nonlinearity=relu"] if vars(self).get("nonlinearity") == "relu" else [])])


def check_states(module: Module, states: Sequence[Any], wanted: Sequence[Any], given: Sequence[Any]) -> None:
    """Raise RuntimeError where states have other shapes than the module takes for its inputs."""
    if [tuple(s.shape) for s in states] != [tuple(shape) for shape in wanted]:
        named = ", ".join(str(tuple(s.shape)) for s in states)
        raise RuntimeError(
            f"{type(module).__name__} was given hx of shapes {named} for an input of shape {tuple(given)}. Write "
            f"{', '.join(str(tuple(shape)) for shape in wanted)} instead."
        )


@register_module(name="torch.RNNCell")
class RNNCell(Elman, RNNCellBase):
    """One step of `RNN`: (batch, input_size) and h -> the next h, (batch, hidden_size); both without batch too.

    Weights: weight_ih (hidden_size, input_size), weight_hh (hidden_size, hidden_size), bias_ih and bias_hh
    (hidden_size,), uniform within ``1 / sqrt(hidden_size)``.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Device = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = self._check_nonlinearity(nonlinearity)


@register_module(name="torch.LSTMCell")
class LSTMCell(LongShortTerm, RNNCellBase):
    """One step of `LSTM`: (batch, input_size) and (h, c) -> the next (h, c), of shapes (batch, hidden_size).

    The gates i, f, g, o are next to each other in the weights; see `RNNCell`.
    """


@register_module(name="torch.GRUCell")
class GRUCell(Gated, RNNCellBase):
    """One step of `GRU`: (batch, input_size) and h -> the next h, (batch, hidden_size).

    The gates r, z and the candidate n are next to each other in the weights; see `RNNCell`.
    """

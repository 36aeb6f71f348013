"""RNN, LSTM and GRU with PyTorch's arguments, names of weights and initial values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from numpy.typing import DTypeLike

from ranvier.graph.node import GraphError
from ranvier.layers.base import whole
from ranvier.module import register_module
from ranvier.module.key_values import cache_of_steps
from ranvier.ops import arrays, loops
from ranvier.ops.keras.arrays import zeros
from ranvier.ops.torch.device import Device
from ranvier.ops.torch.noise import share
from ranvier.support.tree import flatten, map_structure, map_together
from ranvier.tensor.tensor import Tensor
from ranvier.torch.nn import functional as F
from ranvier.torch.nn.recurrent_cells import Elman, Gated, LongShortTerm, Recurrent, check_states
from ranvier.torch.nn.utils.rnn import PackedSequence, packed_rows, padded_rows


class RNNBase(Recurrent):
    """The base of the layers of steps: their weights, and the loops over layers, directions and steps."""

    proj_size = 0

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Device = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.mode, self.bias, self.batch_first = mode, bool(bias), bool(batch_first)
        self.input_size = whole(input_size, "input_size", self.name)
        self.hidden_size = whole(hidden_size, "hidden_size", self.name)
        self.num_layers = whole(num_layers, "num_layers", self.name)
        self.dropout, self.bidirectional = share(dropout, type(self).__name__), bool(bidirectional)
        self.proj_size = whole(proj_size, "proj_size", self.name, 0)
        if self.proj_size >= self.hidden_size:
            raise ValueError(
                f"proj_size={proj_size} of layer {self.name!r} is not below its hidden_size of {hidden_size}. Write a "
                "smaller one, or 0 for no projection."
            )
        self._start(device, dtype)
        self._inner = self.proj_size or self.hidden_size
        for layer in range(self.num_layers):
            size = self.input_size if layer == 0 else self._inner * self.directions
            for names in self._names(layer):
                self._make(names, size)

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _names(self, layer: int) -> Iterator[list[str]]:
        """The names of the weights of each direction of a layer."""
        for suffix in ("", "_reverse")[: self.directions]:
            kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
            yield [f"{kind}_l{layer}{suffix}" for kind in kinds]

    def _make(self, names: list[str], size: int) -> None:
        width = self.gates * self.hidden_size
        self._draw(names[0], width, size)
        self._draw(names[1], width, self._inner)
        if self.bias:
            self._draw(names[2], width)
            self._draw(names[3], width)
        if self.proj_size:
            self._draw(names[4], self.proj_size, self.hidden_size)

    @property
    def all_weights(self) -> list[list[Any]]:
        """The weights of each direction of each layer."""
        each = [names for layer in range(self.num_layers) for names in self._names(layer)]
        return [[self._parameters[n] for n in names if n in self._parameters] for names in each]

    def flatten_parameters(self) -> None:
        """Nothing: compiled programs read the weights as they are."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, PackedSequence):
            x, mask = padded_rows(input)
            given, states = self._run(x, self._sorted(hx, input.sorted_indices), mask, tuple(x.shape))
            output = PackedSequence(packed_rows(given, input), *input[1:])
            return output, self._hidden(self._sorted(states, input.unsorted_indices))
        if input.ndim not in (2, 3):
            raise GraphError(f"it takes (steps, batch, features), or (steps, features), and here is {input.spec}")
        alone = input.ndim == 2
        if alone:
            x = arrays.expand_dims(input, 0)
        else:
            x = input if self.batch_first else arrays.swapaxes(input, 0, 1)
        if x.shape[1] == 0:
            raise RuntimeError("a sequence of 0 steps. Write one of one step or more instead.")
        given = None if hx is None else [arrays.expand_dims(s, 1) if alone else s for s in self._states_in(hx)]
        output, states = self._run(x, given, None, tuple(input.shape))
        if alone:
            return arrays.squeeze(output, 0), self._hidden([arrays.squeeze(s, 1) for s in states])
        return output if self.batch_first else arrays.swapaxes(output, 0, 1), self._hidden(states)

    def _states_in(self, hx: Any) -> list[Any]:
        return list(hx) if isinstance(hx, (tuple, list)) else [hx]

    def _hidden(self, states: Sequence[Any]) -> Any:
        """The last states as PyTorch returns them."""
        return tuple(states) if self.state_count > 1 else states[0]

    def _sorted(self, states: Any, indices: Any) -> Any:
        """The states of a packed sequence's samples in another order."""
        if states is None:
            return None
        states = self._states_in(states)
        return states if indices is None else [arrays.take(s, indices, 1) for s in states]

    def _run(self, x: Any, hx: Any, mask: Any, shape: tuple[Any, ...]) -> tuple[Any, list[Any]]:
        """The outputs (batch, steps, features) of the last layer, and the states (layers * directions, batch, ...)."""
        self._refuse_input(x.shape, self.input_size)
        count, sizes = self.num_layers * self.directions, [self._inner, self.hidden_size][: self.state_count]
        if hx is None:
            first = [[zeros((x.shape[0], n), x.dtype) for n in sizes]] * count
        else:
            check_states(self, hx, [(count, x.shape[0], n) for n in sizes], shape)
            first = [[s[i] for s in hx] for i in range(count)]
        cache = cache_of_steps(x, type(self).__name__, self.directions == 2)
        if cache is not None:
            before = iter(cache.kept(self, partial(flatten, first)))
            first = map_structure(first, Tensor, lambda _: next(before))
        last = list[list[Any]]()
        for layer in range(self.num_layers):
            if layer and self.dropout and self.training:
                x = F.dropout(x, self.dropout)
            found = []
            for direction, names in enumerate(self._names(layer)):
                weights = [self._parameters.get(n) for n in names]
                output, after = self._direction(x, first[len(last)], weights, bool(direction), mask)
                found.append(output)
                last.append(after)
            x = found[0] if len(found) == 1 else arrays.concatenate(found, -1)
        if cache is not None:
            cache.keep(self, list(flatten(last)))
        return x, [arrays.stack(list(parts), 0) for parts in zip(*last, strict=True)]

    def _direction(
        self, x: Any, states: list[Any], weights: Sequence[Any], reverse: bool, mask: Any
    ) -> tuple[Any, list[Any]]:
        """The outputs of one direction, and its last states. Where the mask is false a step changes nothing."""

        def body(states: Any, slices: Any) -> Any:
            x, kept = slices
            after = self._step(x, states, weights)
            if kept is not None:
                kept = arrays.expand_dims(kept, -1)
                after = map_together([after, states], lambda new, old: arrays.where(kept, new, old))
            return after, after[0]

        last, outputs = loops.scan(body, states, (x, mask), axis=1, reverse=reverse)
        return outputs, last

    def extra_repr(self) -> str:
        parts = [str(self.input_size), str(self.hidden_size)]
        defaults = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0}
        shown = {**defaults, "bidirectional": False}
        return ", ".join([*parts, *(f"{n}={getattr(self, n)}" for n, d in shown.items() if getattr(self, n) != d)])


@register_module(name="torch.RNN")
class RNN(Elman, RNNBase):
    """``h = tanh(x @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh)``, or relu, at each step.

    (steps, batch, input_size), or (batch, steps, input_size) with ``batch_first``, or (steps, input_size) -> the output
    of each step, and the last states (layers * directions, batch, hidden_size). A `PackedSequence` gives another.
    ``dropout`` is between the layers, while training. Weights: weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 and
    so on for each layer, with _reverse at the end for the other direction, uniform within ``1 / sqrt(hidden_size)``.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Device = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        mode = f"RNN_{self._check_nonlinearity(nonlinearity).upper()}"
        super().__init__(
            mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )
        self.nonlinearity = nonlinearity


@register_module(name="torch.LSTM")
class LSTM(LongShortTerm, RNNBase):
    """The long short-term memory (Hochreiter and Schmidhuber, 1997), whose states are (h, c); see `RNN`.

    With ``proj_size`` each h is multiplied by weight_hr_l0 (proj_size, hidden_size).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Device = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device,
            dtype,
        )  # fmt: skip


@register_module(name="torch.GRU")
class GRU(Gated, RNNBase):
    """The gated recurrent unit (Cho et al., 2014), whose gate r multiplies the state's product; see `RNN`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Device = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )

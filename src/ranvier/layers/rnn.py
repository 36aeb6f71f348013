"""Recurrent layers: a cell over the steps of a sequence, as one loop of the compiled program."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Unpack

import numpy as np

from ranvier.graph.checks import Fault
from ranvier.graph.node import Node, Type, apply, like
from ranvier.layers.annotations import CellOptions
from ranvier.layers.base import Layer
from ranvier.layers.cells import Cell
from ranvier.layers.normalization import RunningStatistics
from ranvier.layers.stacked_cells import (
    StackedRNNCells,
    build_cell,
    check_cell,
    gives_state,
    initial_states,
    size_of_output,
    step,
)
from ranvier.module.key_values import cache_of_steps
from ranvier.module.parameter import State
from ranvier.module.serialization import register_module
from ranvier.ops import arrays, loops
from ranvier.ops.arrays.promotion import count
from ranvier.ops.keras.arrays import zeros
from ranvier.support.tree import flatten, map_structure, map_together
from ranvier.tensor.context import no_grad
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor


@register_module
class RNN(Layer):
    """A cell, or a list of `StackedRNNCells`, over steps: (batch, steps, features) -> (batch, features of its output).

    A cell is called as ``cell(inputs, states)`` (a class of yours says in ``call`` what it does) and returns its output
    and the next states, in a list. It has ``state_size``, a number or one for each state, and may have ``output_size``,
    ``build(shape)`` and ``get_initial_state(batch_size)``.

    The output is that of the last step, or with ``return_sequences`` that of each: (batch, steps, features). With
    ``return_state`` the last states follow. ``go_backwards`` begins with the last step, whose output then comes first.
    The call takes ``initial_state``, a tensor for each state, in place of zeros. Where ``mask`` (batch, steps) is
    false, a step changes no state, and its output is that of the step before, or zero with ``zero_output_for_mask``.
    With ``stateful`` a batch begins with the last states of the batch before, until `reset_state`.

    All steps are one loop of the program, whether ``unroll`` or not.
    """

    supports_masking = True
    steps_shape = "(batch, steps, features)"

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **options: Unpack[CellOptions],
    ) -> None:
        options.pop("implementation", None)
        super().__init__(**options)
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell)
        check_cell(cell, self.name)
        self.cell = cell
        self.return_sequences, self.return_state = bool(return_sequences), bool(return_state)
        self.go_backwards, self.stateful, self.unroll = bool(go_backwards), bool(stateful), bool(unroll)
        self.zero_output_for_mask = bool(zero_output_for_mask)
        self.states: Any = None  # of a stateful layer, from its first batch on
        self._kept_states = RunningStatistics()

    @property
    def state_size(self) -> list[Any]:
        size = self.cell.state_size
        return list(size) if isinstance(size, (list, tuple)) else [size]

    def build(self, sequences_shape: Sequence[Any]) -> None:
        self._require_shape(tuple(sequences_shape))
        build_cell(self.cell, (sequences_shape[0], *sequences_shape[2:]))

    def get_initial_state(self, batch_size: Any) -> list[Any]:
        """The states before the first step: zeros, or what the cell says."""
        return initial_states(self.cell, batch_size)

    def reset_state(self) -> None:
        """Let the next batch begin with zeros, where the layer is ``stateful``."""
        for state in flatten(self.states):
            state.assign(np.zeros(state.shape, state.dtype))

    reset_states = reset_state  # Keras's older name

    def _stored_states(self, sequences: Any) -> Any:
        """The states that the next batch begins with, which the first batch makes."""
        if self.states is None:
            rows = sequences.shape[0]
            holder = self.__dict__.get("_within", lambda: None)()  # the Sequential that it is in
            if not isinstance(rows, int):
                rows = getattr(holder, "_batch", None)
            if rows is None:
                raise ValueError(
                    f"layer {self.name!r} is stateful, and the number of samples in a batch is not known. Write it in "
                    "the input's shape: Input(batch_shape=(32, 10, 8)) for 32 samples."
                )
            zero = self.get_initial_state(rows)
            self.states = map_structure(zero, Tensor, lambda x: State.over(np.zeros(x.shape, x.dtype), "state"))
        rows = next(flatten(self.states)).shape[0]
        if isinstance(sequences.shape[0], int) and sequences.shape[0] != rows:  # else the program checks it
            raise Fault("samples", rows, rows, np.int32(sequences.shape[0]), ()).error()
        return self.states

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the inputs, where each step has an output."""
        mask = next(flatten(previous_mask)) if self.return_sequences else None
        return [mask, *[None] * len(self.state_size)] if self.return_state else mask

    def forward(self, sequences: Any, initial_state: Any = None, mask: Any = None) -> Any:
        self._require_shape(sequences.shape)
        stored = self._stored_states(sequences) if self.stateful else None
        if initial_state is None and stored is not None:
            states = map_structure(stored, Tensor, lambda state: of_rows(state, sequences))
        else:
            states = self._first_states(sequences, initial_state)
        cache = cache_of_steps(sequences, self.name, self.go_backwards)
        if cache is not None:
            past = iter(cache.kept(self, partial(flatten, states)))
            states = map_structure(states, Tensor, lambda _: next(past))
        kept = self._kept(sequences, mask)
        own = gives_state(self.cell)
        before = None
        if kept is not None and not (own or self.zero_output_for_mask):
            before = zeros((sequences.shape[0], size_of_output(self.cell)), sequences.dtype)

        def body(carry: Any, slices: Any) -> Any:
            (states, before), (x, kept) = carry, slices
            output, after = step(self.cell, x, states)
            if kept is not None:
                after = map_together([states, after], lambda old, new: chosen(kept, new, old))
                if own:
                    output = last_state(after)
                if self.zero_output_for_mask:
                    output = chosen(kept, output, 0)
                elif before is not None:
                    output = before = chosen(kept, output, before)
            return (after, before), output if self.return_sequences or not own else None

        (states, _), outputs = loops.scan(body, (states, before), (sequences, kept), axis=1, reverse=self.go_backwards)
        if cache is not None:
            cache.keep(self, list(flatten(states)))
        if stored is not None:
            with no_grad():
                pairs = list(zip(flatten(stored), flatten(states), strict=True))
                self._kept_states.assign([s for s, _ in pairs], [of_rows(x, s) for s, x in pairs])
        if self.return_sequences:
            output = arrays.flip(outputs, 1) if self.go_backwards else outputs
        else:
            last = (slice(None), 0 if self.go_backwards else -1)
            output = outputs[last] if not own else last_state(states)
            if own and kept is not None and self.zero_output_for_mask:
                output = chosen(kept[last], output, 0)
        return (output, *states) if self.return_state else output

    def _first_states(self, sequences: Any, given: Any) -> list[Any]:
        """The states before the first step. Raises ValueError where given ones do not fit."""
        zero = self.get_initial_state(sequences.shape[0])
        if given is None:
            return zero
        given = list(given) if isinstance(given, (list, tuple)) else [given]
        given = map_structure(given, (Tensor,), lambda x: x)
        flat, wanted = list(flatten(given)), list(flatten(zero))
        states = [x if isinstance(x, Tensor) else Tensor(x) for x in flat]
        if [x.shape for x in states] != [x.shape for x in wanted]:
            raise ValueError(
                f"layer {self.name!r} was given an initial_state of shapes {shapes_of(states)} for sequences of shape "
                f"{tuple(sequences.shape)}. Write states of shapes {shapes_of(wanted)} instead."
            )
        rest = iter(arrays.cast(x, w.dtype) if x.dtype != w.dtype else x for x, w in zip(states, wanted, strict=True))
        return map_structure(zero, Tensor, lambda _: next(rest))

    def _kept(self, sequences: Any, mask: Any) -> Any:
        """Which steps count, bool; None for all."""
        mask = next(flatten(mask), None)
        if mask is None:
            return None
        mask = mask if isinstance(mask, Tensor) else Tensor(mask)
        if tuple(mask.shape) != tuple(sequences.shape[:2]):
            raise ValueError(
                f"layer {self.name!r} was given a mask of shape {tuple(mask.shape)} for sequences of shape "
                f"{tuple(sequences.shape)}. Write one of shape {tuple(sequences.shape[:2])} instead."
            )
        return mask if mask.dtype == "bool" else arrays.cast(mask, "bool")

    def shape_error(self, given: Type) -> tuple[str, str] | None:
        shape = given.shape
        wanted = self.steps_shape.count(",") + 1
        if len(shape) < 3 or (isinstance(self.cell, Cell) and len(shape) != wanted):
            reason = f"it takes {wanted} dimensions, {self.steps_shape}, and there are {len(shape)}."
            if (wanted, len(shape)) == (3, 2):
                return reason, "Write x[..., None] for steps of one feature, or x[None] for a single sample."
            return reason, f"Reshape its inputs to {self.steps_shape}."
        if shape[1] == 0:
            return "its sequences have 0 steps.", "Give it sequences of one step or more."
        return self.cell.shape_error(Type((shape[0], *shape[2:]), given.dtype)) if isinstance(self.cell, Cell) else None


@function
def of_rows(state: Node, other: Node) -> Node:
    """A state with as many rows as another tensor: the program checks that both have the same."""
    rows, wanted = state.shape[0], other.shape[0]
    if rows == wanted:
        return state
    known, given = (rows, wanted) if isinstance(rows, int) else (wanted, rows)
    assert isinstance(known, int)
    number = count([given], "int32")
    number = apply("check", number, rule="samples", low=known, high=known, ignored=None)
    shift = apply("broadcast", number - like(number, known), shape=(wanted,), axes=())
    return apply("gather", state, apply("iota", shape=(wanted,), axis=0, dtype="int32") + shift)


def chosen(kept: Any, new: Any, old: Any) -> Any:
    """``new`` for the samples that are kept and ``old`` for the others."""
    while kept.ndim < new.ndim:
        kept = arrays.expand_dims(kept, -1)
    return arrays.where(kept, new, old)


def last_state(states: Any) -> Any:
    """The first state of a cell, or of the last of stacked ones: its output."""
    return states[-1][0] if isinstance(states[-1], (list, tuple)) else states[0]


def shapes_of(tensors: Sequence[Any]) -> str:
    return ", ".join(str(tuple(t.shape)) for t in tensors)

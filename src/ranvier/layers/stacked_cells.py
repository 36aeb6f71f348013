"""Several cells as one, and what is done with any cell, also of a class of the user's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from ranvier.layers.annotations import LayerOptions
from ranvier.layers.base import Layer
from ranvier.module.core import Module
from ranvier.module.serialization import register_module
from ranvier.ops.keras.arrays import zeros
from ranvier.support.tree import flatten


def check_cell(cell: Any, name: str) -> None:
    """Raise ValueError for what is no cell, naming the layer that was given it."""
    if not callable(cell) and not hasattr(cell, "call"):
        what = f"which has no method call(inputs, states), is no cell of layer {name!r}"
    elif not hasattr(cell, "state_size"):
        what = f"which has no state_size, is no cell of layer {name!r}"
    else:
        return
    raise ValueError(
        f"{cell!r}, {what}. Write a cell such as LSTMCell(8), or a class with call(inputs, states) -> (output, states) "
        "and state_size, instead."
    )


def size_of_output(cell: Any) -> int:
    """The features of a cell's output: its ``output_size``, or the size of its first state."""
    size = getattr(cell, "output_size", None)
    return next(flatten(cell.state_size if size is None else size))


def initial_states(cell: Any, batch: Any) -> list[Any]:
    """The states before the first step, in a list."""
    own = getattr(cell, "get_initial_state", None)
    if own is None:
        sizes = cell.state_size if isinstance(cell.state_size, (list, tuple)) else [cell.state_size]
        return [zeros((batch, *(size if isinstance(size, (list, tuple)) else [size]))) for size in sizes]
    made = own(batch_size=batch)
    return list(made) if isinstance(made, (list, tuple)) else [made]


def build_cell(cell: Any, shape: Sequence[Any]) -> None:
    """Make the weights of a cell for inputs of a shape at each step."""
    if isinstance(cell, Module) and type(cell)._builds and not cell.__dict__["built"]:
        cell.build(shape)


def step(cell: Any, inputs: Any, states: list[Any]) -> tuple[Any, list[Any]]:
    """The output of a cell and its next states, in a list."""
    output, after = (cell if callable(cell) else cell.call)(inputs, states)
    return output, list(after) if isinstance(after, (list, tuple)) else [after]


@register_module
class StackedRNNCells(Layer):
    """Several cells as one, each on the output of the one before: for `RNN`. The states are a list for each cell."""

    def __init__(self, cells: Sequence[Any], **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        for cell in cells:
            check_cell(cell, self.name)
        self.cells = list(cells)

    @property
    def state_size(self) -> list[Any]:
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> int:
        return size_of_output(self.cells[-1])

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """The first states of each cell."""
        made = [(cell, initial_states(cell, batch_size)) for cell in self.cells]
        return [states[0] if _is_bare(cell) else states for cell, states in made]

    def build(self, input_shape: Sequence[Any]) -> None:
        shape = tuple(input_shape)
        for cell in self.cells:
            build_cell(cell, shape)
            shape = (shape[0], size_of_output(cell))

    def forward(self, inputs: Any, states: Any) -> Any:
        after = []
        for cell, own in zip(self.cells, states, strict=True):
            inputs, own = step(cell, inputs, list(own) if isinstance(own, (list, tuple)) else [own])
            after.append(own[0] if _is_bare(cell) else own)
        return inputs, after


def _is_bare(cell: Any) -> bool:
    """Whether the one state of a cell among others is in no list: as in Keras, where the cell says nothing of it."""
    return not hasattr(cell, "get_initial_state") and not isinstance(cell.state_size, (list, tuple))


def gives_state(cell: Any) -> bool:
    """Whether the output of a cell is its first state, as that of all cells here is."""
    last = cell.cells[-1] if type(cell) is StackedRNNCells else cell
    return bool(vars(type(last)).get("output_is_state"))

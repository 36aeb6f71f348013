"""Sequences of different lengths in a list: batches of equal lengths, and predictions in the order of the list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ranvier.data.arrays import check_lengths
from ranvier.data.convert import Array
from ranvier.graph.checks import ERRORS, moved
from ranvier.module import Module
from ranvier.support.source_lines import warn
from ranvier.support.tree import flatten
from ranvier.tensor import rng
from ranvier.tensor.tensor import Tensor
from ranvier.training.adapters.arrays import has_open_sizes
from ranvier.training.step.arrays import DEFAULT_BATCH
from ranvier.training.step.step import KEPT
from ranvier.training.step.structure import OutputStructure

NAMES = ("x", "y", "sample_weight")


class Ragged:
    """The rows of a list of sequences of different lengths."""

    def __init__(self, rows: Sequence[Array]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> Ragged:
        return Ragged(self.rows[part])

    def stacked(self, numbers: Sequence[int]) -> Array:
        """The rows of these numbers, which have one length."""
        return np.stack([self.rows[i] for i in numbers])


def is_ragged(model: Module, x: Any) -> bool:
    """Whether an input is a list of sequences of different lengths, and the model takes any length."""
    return has_open_sizes(model) and any(isinstance(part, Ragged) for part in flatten(inputs_in(model, x)))


def inputs_in(model: Module, x: Any) -> Any:
    """The columns of inputs: of each of several, or of the one."""
    several = len(model._input_types) > 1
    return columns_in(x) if isinstance(x, Mapping) or several else column(x)


def columns_in(part: Any) -> Any:
    """The columns in a container of one for each input or output."""
    if isinstance(part, Mapping):
        return {name: column(inner) for name, inner in part.items()}
    return tuple(map(column, part)) if isinstance(part, (list, tuple)) else column(part)


def column(part: Any) -> Any:
    """A list of rows of different lengths as `Ragged`; anything else as it is."""
    if not isinstance(part, (list, tuple)) or not all(hasattr(row, "__len__") and np.ndim(row[:1]) for row in part):
        return part
    if len({len(row) for row in part}) < 2:
        return part
    return Ragged([np.asarray(row.compute() if isinstance(row, Tensor) else row) for row in part])


def each(columns: Any, change: Callable[[Any], Any]) -> Any:
    """The same containers with ``change`` of each column."""
    if isinstance(columns, Mapping):
        return {name: change(inner) for name, inner in columns.items()}
    return tuple(map(change, columns)) if isinstance(columns, tuple) else change(columns)


def leaves_of(columns: Any) -> list[Any]:
    if isinstance(columns, Mapping):
        return list(columns.values())
    return list(columns) if isinstance(columns, tuple) else [columns]


class RaggedBatches:
    """Batches of sequences of one length: an iterable of x, of (x, y) or of (x, y, sample_weight).

    ``parts`` are the columns of these. A pass goes through the rows in a new order, which ``generator`` draws, or in
    theirs where it is None. A batch comes when there are ``batch_size`` rows of its length; the rest come at the end.
    """

    def __init__(
        self, parts: Sequence[Any], batch_size: int | None, generator: np.random.Generator | None = None
    ) -> None:
        self.__name__ = NAMES[0]  # in errors
        self.parts, self.batch_size, self.generator = list(parts), batch_size or DEFAULT_BATCH, generator
        ragged = [c for part in self.parts for c in leaves_of(part) if isinstance(c, Ragged)]
        self.count = len(leaves_of(self.parts[0])[0])
        self.keys = [tuple(c.rows[i].shape for c in ragged) for i in range(self.count)]  # what rows of a batch share

    @classmethod
    def of(
        cls, model: Module, parts: Sequence[Any], batch_size: int | None, generator: np.random.Generator | None = None
    ) -> RaggedBatches:
        """The batches of x, y and the weights as `fit` was given them.

        Raises ValueError for an empty sequence, for elements of different shapes, and where a part has another number
        of rows. Warns of more lengths than programs that are kept.
        """
        columns = [inputs_in(model, parts[0])]
        for part in parts[1:]:
            if part is not None:
                listed = isinstance(part, (list, tuple)) and len(getattr(model, "output_names", None) or ()) > 1
                columns.append(columns_in(part) if listed or isinstance(part, Mapping) else column(part))
        named = {
            name if len(leaves_of(part)) == 1 else f"{name}[{i}]": leaf
            for name, part in zip(NAMES, columns, strict=False)
            for i, leaf in enumerate(leaves_of(part))
        }
        check_lengths(**named)
        for name, leaf in named.items():
            if isinstance(leaf, Ragged):
                check_rows(name, leaf.rows)
        parts = [each(part, lambda c: c if isinstance(c, Ragged) else np.asarray(c)) for part in columns]
        made = cls(parts, batch_size, generator)
        if (lengths := len(set(made.keys))) > KEPT:
            warn(
                f"x has {lengths} different lengths. Each has a program of its own, and {KEPT} are kept. Write "
                "rv.data.batches_by_length(x, y), which pads to few lengths, instead."
            )
        return made

    def __len__(self) -> int:
        return sum(-(-count // self.batch_size) for count in Counter(self.keys).values())

    def __iter__(self) -> Iterator[Any]:
        for numbers in self.numbers():
            batch = self.at(numbers)
            yield batch if len(batch) > 1 else batch[0]

    def numbers(self) -> Iterator[list[int]]:
        """The numbers of the rows of each batch of a pass."""
        order = np.arange(self.count, dtype=np.int32)
        if self.generator is not None:
            order = rng.shuffled(order, self.generator)
        waiting: dict[Any, list[int]] = {}
        for number in order.tolist():
            rows = waiting.setdefault(self.keys[number], [])
            rows.append(number)
            if len(rows) == self.batch_size:
                yield waiting.pop(self.keys[number])
        yield from waiting.values()

    def at(self, numbers: Sequence[int]) -> tuple[Any, ...]:
        """The parts at the rows of these numbers, which have one length."""
        return tuple(
            each(part, lambda c: c.stacked(numbers) if isinstance(c, Ragged) else c[np.asarray(numbers)])
            for part in self.parts
        )

    def split(self, at: int) -> tuple[RaggedBatches, RaggedBatches]:
        """The rows before one, and the others in their order."""
        first = [each(part, lambda c: c[:at]) for part in self.parts]
        rest = [each(part, lambda c: c[at:]) for part in self.parts]
        return RaggedBatches(first, self.batch_size, self.generator), RaggedBatches(rest, self.batch_size)


def check_rows(name: str, rows: Sequence[Array]) -> None:
    """Raise ValueError for an empty sequence, and for one whose elements have another shape than the first's."""
    for i, row in enumerate(rows):
        if not len(row):
            raise ValueError(
                f"{name}[{i}] is an empty sequence. Leave it out, or write one element of padding, instead."
            )
        if row.shape[1:] != rows[0].shape[1:]:
            raise ValueError(
                f"{name}[0] has elements of shape {rows[0].shape[1:]}, and {name}[{i}] has {row.shape[1:]}. Write "
                "sequences of the same features instead."
            )


def predicted_in_order(
    model: Module, x: Any, predict: Callable[[Any], tuple[OutputStructure, list[Array]]]
) -> tuple[OutputStructure, list[Any]]:
    """The outputs for sequences of different lengths, in their order: an array where all have one shape, else a list.

    ``predict`` gives the outputs for inputs of one length.
    """
    batches = RaggedBatches.of(model, [x], None)
    batches.batch_size = batches.count
    places: list[int] = []
    found: list[list[Array]] = []
    for numbers in batches.numbers():
        try:
            outputs, values = predict(batches.at(numbers)[0])
        except ERRORS as error:  # with the row in the list
            raise moved(error, numbers.__getitem__) from None
        places += numbers
        found.append(values)
    back = np.argsort(places)

    def ordered(parts: Sequence[Array]) -> Any:
        if len({part.shape[1:] for part in parts}) == 1:
            return np.concatenate(parts)[back]
        rows = [row for part in parts for row in part]
        return [rows[i] for i in back]

    return outputs, [ordered(parts) for parts in zip(*found, strict=True)]

"""Batches of a generator, DataLoader or PyDataset as checked arrays, one or several at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ranvier.data.batches import RanOut, batches_from, name_of, notify
from ranvier.data.convert import Array, to_numeric
from ranvier.layers.text import text_layers_of
from ranvier.module import Module
from ranvier.module.arguments import input_parameters
from ranvier.support import processes
from ranvier.support.source_lines import warn, warned_once
from ranvier.support.tree import flatten
from ranvier.tensor.tensor import Tensor
from ranvier.training.adapters.arrays import has_open_sizes, input_arrays, to_data, traced_outputs
from ranvier.training.adapters.batching import Group, Parts, Raw
from ranvier.training.adapters.sample_weights import is_balanced
from ranvier.training.adapters.trees import TreeBatches
from ranvier.training.step.arrays import Data
from ranvier.training.step.compiled import Compiled
from ranvier.training.step.structure import container_of, inputs_of, is_alone, is_container

TOGETHER = 256  # the most batches that are checked together
GROUP_SECONDS = 0.02  # batches of a source that takes longer are checked one by one


def is_source(x: Any) -> bool:
    """Whether ``x`` gives batches (a generator, a DataLoader, a PyDataset) rather than being an array."""
    if isinstance(x, (np.ndarray, Tensor, list, tuple, set, frozenset, str, bytes, Mapping)) or x is None:
        return False
    array = any(hasattr(x, name) for name in ("__array__", "shape", "to_numpy", "__dlpack__"))
    array = array or hasattr(type(x), "columns")  # of the type, since a LazyFrame would compute its columns
    # A function that makes a generator counts as a source, so that the error can name what to write.
    return not array and (hasattr(x, "__iter__") or hasattr(x, "__getitem__") or callable(x))


def batch_splitter(
    model: Module, outputs: Callable[[Any], int] | None = None
) -> Callable[[Any], tuple[Any, ...] | None]:
    """A function that splits a batch into (x, y, sample_weight) for models of several inputs or outputs.

    It returns None for a batch that is split as for any other model. Besides ``((a, b), (y, z))``, as in Keras, a batch
    may be flat, ``(a, b, y, z)``, as a TensorDataset gives it. ``outputs`` gives the number of outputs for such inputs.
    """
    names, needed, any_number = input_parameters(model)
    many = needed > 1 and not any_number

    def part(item: Any) -> tuple[Any, ...] | None:
        if many and isinstance(item, Mapping) and set(item) <= set(names):
            return (item,)
        if not isinstance(item, (list, tuple)) or not item or is_container(item[0]):
            return None
        if not many:
            flat = outputs is not None and len(item) > 2 and not is_container(item[1])
            count = outputs(item[0]) if flat and outputs is not None else 1
            return None if count == 1 else (item[0], *tail(item[1:], count))
        if len(item) < needed:
            return None
        x, rest = tuple(item[:needed]), item[needed:]
        if not rest or is_container(rest[0]):
            return (x, *rest)
        return (x, *tail(rest, 1 if outputs is None else outputs(x)))

    def tail(rest: Sequence[Any], count: int) -> tuple[Any, ...]:
        if count == 1:
            return tuple(rest)
        y, weights = tuple(rest[:count]), tuple(rest[count:])
        return (y, weights if len(weights) > 1 else weights[0]) if weights else (y,)

    return part


@dataclass
class MemoryLoader:
    """A loader whose data set is in memory: it is used as arrays, in the order that it draws for each epoch."""

    arrays: tuple[Array, ...]
    batch: int
    draw: Callable[[], Array]  # the numbers of an epoch's rows, in order
    loader: Any  # itself
    checked: Data | None = None

    def x(self, model: Module, rows: Array) -> Any:
        """The inputs at these rows."""
        found = batch_splitter(model)(self.arrays)
        x = self.arrays[0] if found is None else found[0]
        whole = np.arange(len(self.arrays[0]))

        def at(array: Array) -> Array:
            return array if np.array_equal(rows, whole) else array[rows]

        return tuple(map(at, x)) if isinstance(x, tuple) else at(x)

    def data(self, model: Module, compiled: Compiled, **options: Any) -> Data | None:
        """All rows as checked arrays; None if weights of zero leave samples out, which changes the batches."""
        if self.checked is not None:
            return self.checked
        found = batch_splitter(model, partial(count_outputs, model, compiled))(self.arrays)
        x, y, weight = (*(self.arrays if found is None else found), None, None)[:3]
        data = to_data(model, compiled, x, y, weight, **options)
        self.checked = data if all(w is None or w.all() for w in data.weight) else None
        return self.checked


def memory_loader(source: Any) -> MemoryLoader | None:
    """A DataLoader over a TensorDataset (or a Subset of one) as arrays; None for anything else that gives batches."""
    if isinstance(source, MemoryLoader):
        return source
    if processes.group is not None and not processes.group.reads_all:
        return None  # it gives the rows of this process alone
    find = None if isinstance(source, type) else getattr(source, "_ranvier_resident", None)
    found = find() if callable(find) else None
    if found is None:
        return None
    arrays, batch, draw = found
    return MemoryLoader(arrays, batch, draw, source)


def count_outputs(model: Module, compiled: Compiled, x: Any) -> int:
    """How many outputs the model has for such inputs."""
    if not compiled.resolved:
        arrays = input_arrays(model, x, check_finite=False)
        compiled.resolve(traced_outputs(model, compiled, arrays)[0])
    return len(compiled.outputs)


def batch_size_of(source: Any) -> int | None:
    """The batch size of a source; None if it is unknown."""
    loader = memory_loader(source)
    return None if loader is None else loader.batch


class Batches:
    """The batches of a source, each checked like a whole data set. An iterator of `Data`.

    `take` checks several batches together, which costs as much as checking one. ``largest`` is the size of the largest
    batch so far, and the batch size of the program that runs them all. That program would cut batches of another size
    at other rows, so those are checked one by one: no batch is merged with another or split. Which batches are checked
    together depends on how fast they come, and changes no bit. Raises what `to_data` and `batches_from` raise, with the
    number of the batch.
    """

    def __init__(
        self,
        model: Module,
        compiled: Compiled,
        source: Any,
        steps: int | None,
        *,
        class_weight: Any,
        check_finite: bool,
        start: int = 0,
        largest: int = 0,
    ) -> None:
        parts = class_weight.values() if isinstance(class_weight, Mapping) else class_weight or ()
        if is_balanced(class_weight) or any(map(is_balanced, parts)):
            raise ValueError(
                "class_weight='balanced' counts the classes of all samples, and x gives batches. Write a dict, such as "
                "{0: 1.0, 1: 5.0}, or give arrays as x and y, instead."
            )
        self.model, self.compiled = model, compiled
        self.options = {"class_weight": class_weight, "check_finite": check_finite}
        source = source.loader if isinstance(source, MemoryLoader) else source
        self.name = name_of(source)
        self.index = start  # of the next batch
        self.largest = largest
        self.x: Any = None  # of the batch that is being read
        self.waiting: Raw | None = None  # taken from the source, and not yet checked
        self.queue: list[Data] = []  # checked, and not yet returned
        self.over: RanOut | None = None  # raised when all batches have been returned
        self.raw = batches_from(
            source, steps=steps, as_x=self._inputs, as_y=partial(self._targets, "y"),
            as_w=partial(self._targets, "sample_weight"), name=self.name, start=start,
            check=not has_open_sizes(model),
            parts=batch_splitter(model, partial(count_outputs, model, compiled)),
        )  # fmt: skip

    def __iter__(self) -> Iterator[Data]:
        return self

    def __next__(self) -> Data:
        data = self.take(1)
        if data is None:
            raise StopIteration
        return data

    def take(self, most: int) -> Data | None:
        """The next batches as one, at most so many: `Data.size` is the size of each. None when there are no more.

        All but the last have the largest size so far, and all have the same shapes and dtypes.
        """
        if self.queue:
            return self.queue.pop(0)
        first = self.waiting or self._next()
        self.waiting = None
        if first is None:
            if self.over is not None:
                raise self.over
            return None
        index, started = self.index, time.perf_counter()
        self.largest = max(self.largest, first.n)
        if most == 1 or not first.plain or first.n < self.largest:
            self.index += 1
            return self._checked(first.parts, index)
        group, late = Group(first, most), False
        while not group.full and not late:
            raw = self._next()
            if raw is None or not group.takes(raw):
                self.waiting = raw
                break
            group.add(raw)
            # Several processes take as many batches together, whatever their clocks say.
            late = processes.group is None and time.perf_counter() - started > GROUP_SECONDS
        self.index += len(group.stops)
        if len(group.stops) == 1:
            return self._checked(group.parts(), index)
        try:
            return replace(self._to_data(group.parts()), size=first.n)
        except (TypeError, ValueError):
            self._each(group, index)  # raises an error that names the batch
            raise

    def _each(self, group: Group, index: int) -> list[Data]:
        return [self._checked(parts, index + i) for i, parts in enumerate(group.each())]

    def _checked(self, parts: Parts, index: int) -> Data:
        try:
            return self._to_data(parts)
        except (TypeError, ValueError) as error:
            text, *others = error.args or ("",)  # the text names rows of the batch, so the batch comes first
            error.args = (f"Batch {index} of {self.name}: {text}", *others)
            raise

    def _to_data(self, parts: Parts) -> Data:
        with warned_once(self.compiled.reported):  # not for each batch
            return to_data(self.model, self.compiled, *parts, **self.options)

    def _next(self) -> Raw | None:
        try:
            found = next(self.raw, None)
        except RanOut as error:
            self.over, found = error, None
        return None if found is None else Raw(*found)

    def _inputs(self, part: Any) -> Any:
        # Inputs have a row for each sample of the batch, so a list of as many arrays is a list of samples.
        rows = len(part[0]) if isinstance(part, (list, tuple)) and len(part) and np.ndim(part[0]) else None
        form = container_of(self.model, part, rows)
        parts = inputs_of(self.model, part, form=form)
        texts = text_layers_of(self.model, list(parts.values()), form) or (None,) * len(parts)
        found = tuple(
            simple(p if t is None else np.asarray(p), label)
            for (label, p), t in zip(parts.items(), texts, strict=False)
        )
        self.x = found if len(found) > 1 or form is not None else found[0]
        if isinstance(form, tuple):
            self.x = dict(zip(form, found, strict=True))
        return self.x

    def _targets(self, role: str, part: Any) -> Any:
        """Targets or weights; of each output if there are several."""
        if isinstance(part, Mapping) and is_container(part):
            return {name: simple(p, f"{role}[{name!r}]") for name, p in part.items()}
        if is_alone(part, len(next(flatten(self.x)))):
            part = part[0]
        elif is_container(part) and count_outputs(self.model, self.compiled, self.x) > 1:
            return tuple(simple(p, f"{role}[{i}]") for i, p in enumerate(part))
        return simple(part, role)


def simple(part: Any, name: str) -> Any:
    """Anything as an array; frames stay as they are, because their column names are checked."""
    if part is None or type(part) is np.ndarray or hasattr(type(part), "columns"):
        return part
    return part.compute() if isinstance(part, Tensor) else to_numeric(part, name)


def batches_of(model: Module, compiled: Compiled, source: Any, steps: int | None, **options: Any) -> Any:
    """The batches of a source; as the source gives them, if the model's own methods take them."""
    if not compiled.calls_methods:
        return Batches(model, compiled, source, steps, **options)
    if options.pop("class_weight", None) is not None:
        raise ValueError("class_weight needs arrays as x and y. Write batches of (x, y, sample_weight) instead.")
    return TreeBatches(source, steps, **options)


def evaluation_batches(
    model: Module, compiled: Compiled, source: Any, steps: int | None, check_finite: bool = True
) -> Iterable[Data]:
    """The batches of a source for evaluation; of a loader in memory all rows at once, in the loader's order."""
    options: Any = {"class_weight": None, "check_finite": check_finite}
    loader = None if compiled.calls_methods else memory_loader(source)
    data = None if loader is None else loader.data(model, compiled, **options)
    if loader is not None and data is not None:
        order = loader.draw()
        return [replace(data, among=order if steps is None else order[: steps * loader.batch])]
    batches = batches_of(model, compiled, source, steps, **options)
    return with_epoch_events(source, as_many_as_come(iter(lambda: batches.take(TOGETHER), None)))


def as_many_as_come(batches: Iterator[Any]) -> Iterator[Any]:
    """Batches, with a warning where fewer come than were asked for. Raises RanOut where none comes."""
    came = False
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except RanOut as error:
            if not came:
                raise
            warn(f"the batches end before the last step. {error}")
            return
        came = True
        yield batch


def with_epoch_events(source: Any, batches: Iterator[Any]) -> Iterator[Any]:
    """The batches of a source, whose ``on_epoch_begin`` and ``on_epoch_end`` are called around them (PyDataset)."""
    notify(source, "on_epoch_begin")
    yield from batches
    notify(source, "on_epoch_end")

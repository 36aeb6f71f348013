"""Loaders. Batches of a `TensorDataset` are gathered by one index operation a tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic

import numpy as np

from ranvier.graph.node import Type
from ranvier.ops.torch.arguments import stack
from ranvier.ops.torch.random import checked_generator
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.validation import whole
from ranvier.tensor.tensor import Tensor
from ranvier.torch.utils.data.dataset import Dataset, IterableDataset, Subset, TensorDataset
from ranvier.torch.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    SequentialSampler,
    T_co,
    grouped,
    numbers_of,
)

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

# How PyTorch hides the cost of making a batch; here one is gathered in microseconds.
_IGNORED = {
    "timeout": 0, "worker_init_fn": None, "multiprocessing_context": None, "prefetch_factor": None,
    "persistent_workers": False, "pin_memory_device": "", "in_order": True,
}  # fmt: skip


def get_worker_info() -> Any:
    """None: a loader has no processes of its own."""
    return None


# --- samples as a batch -------------------------------------------------------------------------------------------


def default_collate(batch: Sequence[Any]) -> Any:
    """Samples as one batch: numbers, arrays and tensors are stacked; tuples, lists and mappings go part by part.

    Raises ValueError for samples of several sizes, naming the first that differs, and TypeError for what is none of
    these.
    """
    return _collate(batch, None, "")


def _collate(batch: Sequence[Any], numbers: Sequence[Any] | None, place: str) -> Any:
    """``numbers`` are those of the samples in their data set, ``place`` where in a sample these parts stand."""
    first = batch[0]
    if isinstance(first, (str, bytes)):  # NumPy's too, which is one of its numbers as well
        return batch
    if isinstance(first, Tensor) and any(isinstance(s, Tensor) and s.requires_grad for s in batch):
        _alike(batch, np.shape, "shape {}", numbers, place)
        return stack(batch)
    if isinstance(first, Tensor):
        return Tensor(_stacked([s.compute() for s in batch], numbers, place), dtype=first.dtype)
    if isinstance(first, (np.ndarray, np.generic, int, float, bool)):
        return Tensor(_stacked(batch, numbers, place))
    if isinstance(first, Mapping):
        try:
            columns = {key: [s[key] for s in batch] for key in first}
        except KeyError:
            _alike(batch, lambda s: sorted(map(str, s)), "keys {}", numbers, place)
            raise
        return _as(type(first), {k: _collate(c, numbers, f"{place}[{k!r}]") for k, c in columns.items()})
    if isinstance(first, (tuple, list)):
        try:
            parts = list(zip(*batch, strict=True))
        except ValueError:
            _alike(batch, len, "{} parts", numbers, place)
            raise
        return _as(type(first), [_collate(p, numbers, f"{place}[{i}]") for i, p in enumerate(parts)])
    raise TypeError(
        f"samples hold a {type(first).__name__}{f' at {place}' if place else ''}, which cannot be made a batch. Write "
        "a collate_fn instead."
    )


def _stacked(values: Sequence[Any], numbers: Sequence[Any] | None, place: str) -> Any:
    try:
        return np.stack(values)
    except ValueError:
        _alike(values, np.shape, "shape {}", numbers, place)
        raise


def _alike(
    batch: Sequence[Any],
    of: Callable[[Any], Any],
    words: str,
    numbers: Sequence[Any] | None,
    place: str,
) -> None:
    """Raise ValueError for the first sample of which ``of`` says something else than of sample 0."""
    first = of(batch[0])
    for i, sample in enumerate(batch):
        if of(sample) != first:
            one, other = (i, 0) if numbers is None else (numbers[i], numbers[0])
            raise ValueError(
                f"sample {one} of the {'batch' if numbers is None else 'data set'} has {words.format(of(sample))}"
                f"{f' at {place}' if place else ''}, and sample {other} has {words.format(first)}. Write a collate_fn "
                "that makes them alike, with torch.nn.utils.rnn.pad_sequence for example."
            )


def _as(kind: type, parts: Any) -> Any:
    """Parts in a container of the samples' kind; a list in place of a tuple, as in PyTorch."""
    if hasattr(kind, "_fields"):  # a named tuple
        return kind(*parts)
    if kind in (dict, tuple, list):
        return parts
    try:
        return kind(parts)
    except TypeError:
        return parts


def default_convert(data: Any) -> Any:
    """A sample with tensors in the place of its arrays, as a loader without batches gives it; the rest as it is."""
    if isinstance(data, (np.ndarray, np.generic)):
        return data if data.dtype.kind in "OSU" else Tensor(data)
    if isinstance(data, Mapping):
        return _as(type(data), {key: default_convert(part) for key, part in data.items()})
    if isinstance(data, (tuple, list)):
        return _as(type(data), [default_convert(part) for part in data])
    return data


# --- loaders ------------------------------------------------------------------------------------------------------


# What says which samples come: PyTorch's loaders do not let it be changed either.
_FIXED = frozenset({"dataset", "batch_size", "sampler", "batch_sampler", "drop_last"})


class DataLoader(CheckedConstructor, Generic[T_co]):
    """Batches of a data set, as lists of tensors; another random order each time with ``shuffle=True``.

    The last batch is smaller where the samples do not divide evenly, or left out with ``drop_last=True``. With
    ``batch_size=None`` the samples come as they are, or as ``collate_fn`` makes them: for a data set of batches, or a
    sampler that gives the numbers of a batch. ``num_workers``, ``pin_memory`` and their kin are accepted and change
    nothing. Raises ValueError for a ``batch_sampler`` beside what it decides: ``batch_size``, ``shuffle``, ``sampler``
    and ``drop_last``.
    """

    _complete = False

    def __init__(
        self,
        dataset: Dataset[T_co],
        batch_size: int | None = 1,
        shuffle: bool = False,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Iterable[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        *,
        generator: Any = None,
        **ignored: Any,
    ) -> None:
        unknown = ignored.keys() - _IGNORED
        if unknown:
            raise TypeError(f"DataLoader has no arguments {sorted(unknown)}.")
        if getattr(batch_size, "ndim", 0):
            raise TypeError(
                f"batch_size is a {type(batch_size).__name__}: a DataLoader takes one data set. Write "
                "DataLoader(TensorDataset(x, y), batch_size=32) for two arrays instead."
            )
        if batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None makes no batches to drop the last of. Leave out drop_last=True."
            )
        if shuffle and sampler is not None:
            raise ValueError("shuffle=True and a sampler exclude each other: the sampler says the order.")
        stream = isinstance(dataset, IterableDataset)
        if stream and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError(
                "an IterableDataset says its order itself. Write no shuffle and no sampler instead."
            )
        decided = {
            "batch_size": batch_size != 1, "shuffle": shuffle, "sampler": sampler is not None, "drop_last": drop_last,
        }  # fmt: skip
        if batch_sampler is not None and any(decided.values()):
            given = ", ".join(name for name, is_given in decided.items() if is_given)
            raise ValueError(
                f"batch_sampler is mutually exclusive with {given}: it says what the batches are. Leave out {given} "
                "instead."
            )
        if shuffle and len(dataset) == 0:
            raise ValueError("the data set has 0 samples.")
        checked_generator(generator)
        if sampler is None and not stream:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_sampler is not None:
            batch_size = None
        elif batch_size is not None:
            batch_size = whole("batch_size", batch_size, of="DataLoader")
            batch_sampler = None if sampler is None else BatchSampler(sampler, batch_size, drop_last)
        self.dataset, self.shuffle = dataset, bool(shuffle)
        self.batch_size, self.batch_sampler, self.sampler = batch_size, batch_sampler, sampler
        self.collate_fn, self.drop_last, self.generator = collate_fn, drop_last, generator
        self.num_workers, self.pin_memory = num_workers, pin_memory
        self.__dict__.update({**_IGNORED, **ignored})
        self._complete = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self._complete and name in _FIXED:
            raise ValueError(
                f"{name} of a DataLoader cannot be changed. Write DataLoader(dataset, {name}=...), a new one, instead."
            )
        object.__setattr__(self, name, value)

    def __len__(self) -> int:
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]  # as PyTorch: a sampler without length raises
        n = len(self.dataset) if self.sampler is None else len(self.sampler)  # type: ignore[arg-type]
        if self.batch_size is None:
            return n
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def _batches(self) -> Iterator[Any]:
        """The indices of each batch."""
        batches = self.batch_sampler
        assert batches is not None
        return batches._batches() if type(batches) is BatchSampler else iter(batches)

    def _samples(self) -> Iterator[Any]:
        """The samples one by one."""
        return iter(self.dataset) if self.sampler is None else (self.dataset[i] for i in self.sampler)

    def _in_memory(self) -> tuple[tuple[Tensor, ...], Any] | None:
        """The tensors of a data set whose samples are their rows, and which rows those are (None: all, in order)."""
        dataset: Any = self.dataset
        rows = None
        while type(dataset) is Subset:
            indices = np.asarray(dataset.indices)
            if indices.dtype.kind not in "iu" or indices.ndim != 1:
                return None
            rows, dataset = indices if rows is None else indices[rows], dataset.dataset
        plain = type(dataset) is TensorDataset and self.collate_fn is None and self.batch_sampler is not None
        if not plain or any(
            t.requires_grad for t in dataset.tensors
        ):  # rows of which gradients are asked for
            return None
        return dataset.tensors, rows

    def _ranvier_resident(self) -> tuple[tuple[Any, ...], int, Callable[[], Any]] | None:
        """What ``fit`` needs to run without asking for batches: the arrays, the batch size, and a function that draws
        the numbers of an epoch's rows as iterating would. None where the data set does not lie in memory, where a
        sampler may have no end, and where a subclass gives batches in a way of its own.
        """
        found = self._in_memory()
        if found is None or self.batch_size is None or not hasattr(self.sampler, "__len__"):
            return None
        if type(self).__iter__ is not DataLoader.__iter__ or type(self.batch_sampler) is not BatchSampler:
            return None
        tensors, rows = found

        def draw() -> Any:
            order = np.concatenate([np.zeros(0, np.int64), *map(numbers_of, self._batches())])
            # Negative numbers count from the end, and those beyond it are refused, as by indexing.
            return np.arange(len(tensors[0]), dtype=np.int32)[order if rows is None else rows[order]]

        return tuple(t.compute() for t in tensors), self.batch_size, draw

    def __iter__(self) -> Iterator[Any]:
        found = self._in_memory()
        if found is not None:
            tensors, rows = found
            batches = map(numbers_of, self._batches())
            return _gathered(tensors, batches if rows is None else (rows[b] for b in batches))
        dataset, collate = self.dataset, self.collate_fn
        if self.batch_sampler is None and self.batch_size is None:
            return map(collate or default_convert, self._samples())
        if self.batch_sampler is None:
            assert self.batch_size is not None
            return map(collate or default_collate, grouped(iter(dataset), self.batch_size, self.drop_last))
        # The samples of each batch, by numbers or by keys, as the sampler gives them.
        chosen = (b.tolist() if isinstance(b, np.ndarray) else list(b) for b in self._batches())
        if collate is not None:
            return (collate([dataset[i] for i in indices]) for indices in chosen)
        return (_collate([dataset[i] for i in indices], indices, "") for indices in chosen)


def _gathered(tensors: Sequence[Tensor], batches: Iterable[Any]) -> Iterator[list[Tensor]]:
    arrays = [t.compute() for t in tensors]
    types: dict[
        int, list[Type]
    ] = {}  # made once for each size: equal types are found faster when they are the same
    wrap = Tensor.wrap
    for indices in batches:
        size = len(indices)
        known = types.get(size)
        if known is None:
            known = types[size] = [Type((size, *t.shape[1:]), t.dtype) for t in tensors]
        yield [wrap(array[indices], type_=type_) for array, type_ in zip(arrays, known, strict=True)]

"""Data loaders. Batches of a `TensorDataset` are gathered by one index operation for each tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic

import numpy as np

from ranvier.graph.node import Type
from ranvier.ops.arrays import stack
from ranvier.ops.torch.creation import tensor
from ranvier.ops.torch.random import Generator, checked_generator
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.validation import whole
from ranvier.tensor.tensor import Tensor
from ranvier.torch.utils.data.dataset import Dataset, IterableDataset, Subset, TensorDataset
from ranvier.torch.utils.data.sampler import (
    DRAWN_AT_ONCE,
    BatchSampler,
    RandomSampler,
    SequentialSampler,
    T_co,
    in_lists,
    indices_of,
)

# PyTorch's options for loading in other processes; here a batch is gathered in microseconds.
_IGNORED = {
    "timeout": 0, "worker_init_fn": None, "multiprocessing_context": None, "prefetch_factor": None,
    "persistent_workers": False, "pin_memory_device": "", "in_order": True,
}  # fmt: skip


def get_worker_info() -> Any:
    """None: a loader has no processes of its own."""
    return None


# --- samples as a batch -------------------------------------------------------------------------------------------


def default_collate(batch: Sequence[Any]) -> Any:
    """Collate samples into a batch: numbers, arrays and tensors are stacked; tuples, lists and mappings recursively.

    Raises ValueError for samples of different sizes, naming the first that differs, and TypeError for other types.
    """
    return _collate(batch, None, "")


def _collate(batch: Sequence[Any], numbers: Sequence[Any] | None, place: str) -> Any:
    """``numbers`` are the samples' indices in their data set; ``place`` is the path of these parts in a sample."""
    first = batch[0]
    if isinstance(first, (str, bytes)):  # NumPy's strings are np.generic too
        return batch
    if isinstance(first, Tensor) and any(isinstance(s, Tensor) and s.requires_grad for s in batch):
        _check_alike(batch, np.shape, "shape {}", numbers, place)
        return stack(batch)
    if isinstance(first, Tensor):
        return Tensor(_stacked([s.compute() for s in batch], numbers, place), dtype=first.dtype)
    if isinstance(first, (np.ndarray, np.generic, int, float, bool)):
        return tensor(_stacked(batch, numbers, place))
    if isinstance(first, Mapping):
        try:
            columns = {key: [s[key] for s in batch] for key in first}
        except KeyError:
            _check_alike(batch, lambda s: sorted(map(str, s)), "keys {}", numbers, place)
            raise
        return _rebuild(type(first), {k: _collate(c, numbers, f"{place}[{k!r}]") for k, c in columns.items()})
    if isinstance(first, (tuple, list)):
        try:
            parts = list(zip(*batch, strict=True))
        except ValueError:
            _check_alike(batch, len, "{} parts", numbers, place)
            raise
        return _rebuild(type(first), [_collate(p, numbers, f"{place}[{i}]") for i, p in enumerate(parts)])
    if hasattr(first, "__array__") and np.asarray(first).dtype.kind in "fiub":  # of PyTorch itself, as torchvision's
        return tensor(_stacked([np.asarray(s) for s in batch], numbers, place))
    raise TypeError(
        f"samples hold a {type(first).__name__}{f' at {place}' if place else ''}, which cannot be made a batch. Write "
        "a collate_fn instead."
    )


def _stacked(values: Sequence[Any], numbers: Sequence[Any] | None, place: str) -> Any:
    try:
        return np.stack(values)
    except ValueError:
        _check_alike(values, np.shape, "shape {}", numbers, place)
        raise


def _check_alike(
    batch: Sequence[Any], of: Callable[[Any], Any], words: str, numbers: Sequence[Any] | None, place: str
) -> None:
    """Raise ValueError naming the first sample whose ``of`` differs from that of sample 0."""
    first = of(batch[0])
    for i, sample in enumerate(batch):
        if of(sample) != first:
            one, other = (i, 0) if numbers is None else (numbers[i], numbers[0])
            raise ValueError(
                f"sample {one} of the {'batch' if numbers is None else 'data set'} has {words.format(of(sample))}"
                f"{f' at {place}' if place else ''}, and sample {other} has {words.format(first)}. Write a collate_fn "
                "that makes them alike, with torch.nn.utils.rnn.pad_sequence for example."
            )


def _rebuild(kind: type, parts: Any) -> Any:
    """Parts in a container of the samples' type; a list for a tuple, as in PyTorch."""
    if hasattr(kind, "_fields"):  # a named tuple
        return kind(*parts)
    if kind in (dict, tuple, list):
        return parts
    try:
        return kind(parts)
    except TypeError:
        return parts


def default_convert(data: Any) -> Any:
    """A sample with its arrays as tensors, as a loader without batches returns it."""
    if isinstance(data, (np.ndarray, np.generic)):
        return data if data.dtype.kind in "OSU" else Tensor(data)
    if isinstance(data, Mapping):
        return _rebuild(type(data), {key: default_convert(part) for key, part in data.items()})
    if isinstance(data, (tuple, list)):
        return _rebuild(type(data), [default_convert(part) for part in data])
    return data


# --- loaders ------------------------------------------------------------------------------------------------------


# These determine the batches: PyTorch's loaders do not allow changes either.
_FIXED = frozenset({"dataset", "batch_size", "sampler", "batch_sampler", "drop_last"})


class DataLoader(CheckedConstructor, Generic[T_co]):
    """Batches of a data set, as lists of tensors; in a new random order each time with ``shuffle=True``.

    The last batch is smaller if the samples do not divide evenly, or left out with ``drop_last=True``. With
    ``batch_size=None`` samples are not batched, only passed to ``collate_fn``: for a data set of batches, or a sampler
    that yields the indices of a batch. ``num_workers``, ``pin_memory`` and similar arguments are accepted without
    effect. Raises ValueError for a ``batch_sampler`` together with what it determines: ``batch_size``, ``shuffle``,
    ``sampler`` and ``drop_last``.
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
        generator: Generator | None = None,
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
                "batch_size=None makes no batches, so there is no last one to drop. Leave out drop_last=True."
            )
        if shuffle and sampler is not None:
            raise ValueError("shuffle=True and a sampler exclude each other: the sampler determines the order.")
        stream = isinstance(dataset, IterableDataset)
        if stream and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError("an IterableDataset has its own order. Leave out shuffle and sampler instead.")
        decided = {
            "batch_size": batch_size != 1, "shuffle": shuffle, "sampler": sampler is not None, "drop_last": drop_last,
        }  # fmt: skip
        if batch_sampler is not None and any(decided.values()):
            given = ", ".join(name for name, is_given in decided.items() if is_given)
            raise ValueError(
                f"batch_sampler is mutually exclusive with {given}: it determines the batches. Leave out {given} "
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
        """The tensors of a data set whose samples are their rows, and the indices of the rows (None: all, in order)."""
        dataset: Any = self.dataset
        rows = None
        while type(dataset) is Subset:
            indices = np.asarray(dataset.indices)
            if indices.dtype.kind not in "iu" or indices.ndim != 1:
                return None
            rows, dataset = indices if rows is None else indices[rows], dataset.dataset
        plain = type(dataset) is TensorDataset and self.collate_fn is None and self.batch_sampler is not None
        if not plain or any(t.requires_grad for t in dataset.tensors):  # rows of tensors that need gradients
            return None
        return dataset.tensors, rows

    def _ranvier_resident(self) -> tuple[tuple[Any, ...], int, Callable[[], Any]] | None:
        """What ``fit`` needs to run without iterating: the arrays, the batch size, and a function to draw rows.

        The function draws the rows of one epoch. None if the data set is not in memory, if the sampler may be infinite
        or draws while it is read, and for a subclass with its own batches.
        """
        found = self._in_memory()
        count = getattr(self.sampler, "__len__", None)
        if found is None or self.batch_size is None or count is None:
            return None
        if type(self).__iter__ is not DataLoader.__iter__ or type(self.batch_sampler) is not BatchSampler:
            return None
        tensors, rows = found
        if count() > max(DRAWN_AT_ONCE, len(tensors[0])):
            return None

        def draw() -> Any:
            order = np.concatenate([np.zeros(0, np.int64), *map(indices_of, self._batches())])
            # Negative indices count from the end, and indices out of range raise, as in indexing.
            return np.arange(len(tensors[0]), dtype=np.int32)[order if rows is None else rows[order]]

        return tuple(t.compute() for t in tensors), self.batch_size, draw

    def __iter__(self) -> Iterator[Any]:
        found = self._in_memory()
        if found is not None:
            tensors, rows = found
            batches = map(indices_of, self._batches())
            return _gathered(tensors, batches if rows is None else (rows[b] for b in batches))
        dataset, collate = self.dataset, self.collate_fn
        if self.batch_sampler is None and self.batch_size is None:
            return map(collate or default_convert, self._samples())
        if self.batch_sampler is None:
            assert self.batch_size is not None
            return map(collate or default_collate, in_lists(iter(dataset), self.batch_size, self.drop_last))
        # The samples of each batch, by the indices or keys that the sampler yields.
        chosen = (b.tolist() if isinstance(b, np.ndarray) else list(b) for b in self._batches())
        if collate is not None:
            return (collate([dataset[i] for i in indices]) for indices in chosen)
        return (_collate([dataset[i] for i in indices], indices, "") for indices in chosen)


def _gathered(tensors: Sequence[Tensor], batches: Iterable[Any]) -> Iterator[list[Tensor]]:
    arrays = [t.compute() for t in tensors]
    types: dict[int, list[Type]] = {}  # one for each size: types that are the same object compare faster
    wrap = Tensor.wrap
    for indices in batches:
        size = len(indices)
        known = types.get(size)
        if known is None:
            known = types[size] = [Type((size, *t.spec.shape[1:]), t.spec.dtype) for t in tensors]
        yield [wrap(array[indices], type_=type_) for array, type_ in zip(arrays, known, strict=True)]

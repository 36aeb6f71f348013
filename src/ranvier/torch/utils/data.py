"""Data sets and loaders. Batches of a `TensorDataset` are gathered by one index operation a tensor."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ranvier.graph.node import Type
from ranvier.module.names import missing
from ranvier.tensor import Tensor
from ranvier.torch.utils.samplers import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    permutation,
)

__all__ = [
    "BatchSampler", "ConcatDataset", "DataLoader", "Dataset", "IterableDataset", "RandomSampler", "Sampler",
    "SequentialSampler", "Subset", "SubsetRandomSampler", "TensorDataset", "WeightedRandomSampler", "default_collate",
    "get_worker_info", "random_split",
]  # fmt: skip


class Dataset:
    """Samples by number. Subclasses write ``__getitem__(index)`` and ``__len__()``."""

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(
            f"{type(self).__name__} does not say what a sample is. Write: def __getitem__(self, index)"
        )

    def __len__(self) -> int:
        raise TypeError(
            f"{type(self).__name__} does not say how many samples it has. Write: def __len__(self)"
        )

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """Samples one after the other, as a stream. Subclasses write ``__iter__()``; a loader takes them in that order."""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(
            f"{type(self).__name__} does not say what its samples are. Write: def __iter__(self)"
        )


def get_worker_info() -> Any:
    """None: a loader has no processes of its own."""
    return None


class TensorDataset(Dataset):
    """Sample i is row i of every tensor. Raises ValueError when their first dimensions differ."""

    def __init__(self, *tensors: Any) -> None:
        self.tensors = tuple(t if isinstance(t, Tensor) else Tensor(t) for t in tensors)
        if not tensors or any(not t.shape for t in self.tensors):
            raise ValueError("TensorDataset needs tensors of at least one dimension.")
        lengths = [len(t) for t in self.tensors]
        if len(set(lengths)) > 1:
            raise ValueError(
                f"the tensors hold {' and '.join(map(str, lengths))} samples. Give each as many."
            )

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])


class Subset(Dataset):
    """The samples of a data set at the given indices."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: Any) -> Any:
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset):
    """Data sets one after the other."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        self._ends = np.cumsum([len(d) for d in self.datasets])

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        index %= len(self)
        which = int(np.searchsorted(self._ends, index, side="right"))
        return self.datasets[which][index - (int(self._ends[which - 1]) if which else 0)]

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0


def random_split(dataset: Any, lengths: Sequence[float], generator: Any = None) -> list[Subset]:
    """Split at random into parts of the given lengths, or of the given shares if they add up to 1."""
    sizes = [int(n) for n in lengths]
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1 + 1e-9:
        sizes = [math.floor(len(dataset) * share) for share in lengths]
        for i in range(len(dataset) - sum(sizes)):
            sizes[i % len(sizes)] += 1
    if sum(sizes) != len(dataset):
        raise ValueError(
            f"the lengths {sizes} add up to {sum(sizes)}, and the data set has {len(dataset)} samples."
        )
    order, stops = permutation(len(dataset), generator), np.cumsum(sizes)
    return [
        Subset(dataset, order[stop - size : stop].tolist()) for size, stop in zip(sizes, stops, strict=True)
    ]


# How PyTorch hides the cost of making a batch; here one is gathered in microseconds.
_IGNORED = {
    "num_workers", "pin_memory", "timeout", "worker_init_fn", "persistent_workers", "prefetch_factor",
    "pin_memory_device", "multiprocessing_context",
}  # fmt: skip


def default_collate(batch: Sequence[Any]) -> Any:
    """Samples as one batch: numbers, arrays and tensors are stacked; tuples, lists and mappings go part by part."""
    first = batch[0]
    if isinstance(first, Tensor):
        return Tensor(np.stack([s.compute() for s in batch]), dtype=first.dtype)
    if isinstance(first, (np.ndarray, np.generic, int, float, bool)):
        return Tensor(np.stack(batch))
    if isinstance(first, dict):
        return {key: default_collate([s[key] for s in batch]) for key in first}
    if isinstance(first, (tuple, list)):
        return [default_collate(parts) for parts in zip(*batch, strict=True)]
    if isinstance(first, str):
        return list(batch)
    raise TypeError(
        f"samples hold a {type(first).__name__}, which cannot be made a batch. Write a collate_fn instead."
    )


class DataLoader:
    """Batches of a data set, as lists of tensors; another random order each time with ``shuffle=True``.

    The last batch is smaller where the samples do not divide evenly, or left out with ``drop_last=True``.
    ``num_workers``, ``pin_memory`` and their kin are accepted and change nothing.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Sequence[int]] | None = None,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        drop_last: bool = False,
        *,
        generator: Any = None,
        **ignored: Any,
    ) -> None:
        unknown = ignored.keys() - _IGNORED
        if unknown:
            raise TypeError(f"DataLoader has no arguments {sorted(unknown)}.")
        if int(batch_size) != batch_size or batch_size < 1:
            raise ValueError(f"batch_size is {batch_size!r}. Write a whole number of 1 or more instead.")
        if shuffle and (sampler is not None or batch_sampler is not None):
            raise ValueError("shuffle=True and a sampler exclude each other: the sampler says the order.")
        if isinstance(dataset, IterableDataset) and (
            shuffle or sampler is not None or batch_sampler is not None
        ):
            raise ValueError(
                "an IterableDataset says its order itself. Write no shuffle and no sampler instead."
            )
        if shuffle and len(dataset) == 0:
            raise ValueError("the data set has 0 samples.")
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle
        self.sampler, self.batch_sampler = sampler, batch_sampler
        self.collate_fn, self.drop_last, self.generator = collate_fn, drop_last, generator

    def __len__(self) -> int:
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]  # as PyTorch: a sampler without length raises
        n = len(self.dataset) if self.sampler is None else len(self.sampler)  # type: ignore[arg-type]
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def _batches(self) -> Iterator[Any]:
        """The indices of each batch."""
        if self.batch_sampler is not None:
            yield from self.batch_sampler
            return
        if self.shuffle:
            order = permutation(len(self.dataset), self.generator)
        else:
            order = (
                np.arange(len(self.dataset)) if self.sampler is None else np.fromiter(self.sampler, np.int64)
            )
        size, n = self.batch_size, len(order)
        for start in range(0, n - n % size if self.drop_last else n, size):
            yield order[start : start + size]

    def _in_memory(self) -> tuple[tuple[Tensor, ...], Any] | None:
        """The tensors of a data set whose samples are their rows, and which rows those are (None: all, in order)."""
        dataset, rows = self.dataset, None
        while type(dataset) is Subset:
            indices = np.asarray(dataset.indices)
            if indices.dtype.kind not in "iu" or indices.ndim != 1:
                return None
            rows, dataset = indices if rows is None else indices[rows], dataset.dataset
        plain = type(dataset) is TensorDataset and self.collate_fn is None
        return (dataset.tensors, rows) if plain else None

    def resident(self) -> tuple[tuple[Any, ...], int, Callable[[], Any]] | None:
        """What ``fit`` needs to run without asking for batches: the arrays, the batch size, and a function that draws
        the numbers of an epoch's rows as iterating would. None where the data set does not lie in memory.
        """
        found = self._in_memory()
        if found is None or self.batch_sampler is not None:
            return None
        tensors, rows = found

        def draw() -> Any:
            order = np.concatenate([np.zeros(0, np.int64), *self._batches()])
            # Negative numbers count from the end, and those beyond it are refused, as by indexing.
            return np.arange(len(tensors[0]), dtype=np.int32)[order if rows is None else rows[order]]

        return tuple(t.compute() for t in tensors), self.batch_size, draw

    def __iter__(self) -> Iterator[Any]:
        found = self._in_memory()
        if found is not None:
            tensors, rows = found
            batches = self._batches()
            return _gathered(tensors, batches if rows is None else (rows[np.asarray(b)] for b in batches))
        collate = self.collate_fn or default_collate
        dataset = self.dataset
        if isinstance(dataset, IterableDataset):
            return map(collate, _grouped(iter(dataset), self.batch_size, self.drop_last))
        return (collate([dataset[i] for i in map(int, indices)]) for indices in self._batches())


def _grouped(samples: Iterator[Any], size: int, drop_last: bool) -> Iterator[list[Any]]:
    """Samples in lists of ``size``, the last of them shorter or left out."""
    while group := list(itertools.islice(samples, size)):
        if len(group) == size or not drop_last:
            yield group


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
        batch = []
        for array, type_ in zip(arrays, known, strict=True):
            tensor = wrap(array[indices])
            tensor.spec = type_
            batch.append(tensor)
        yield batch


__getattr__, __dir__ = missing("torch.utils.data", __all__)

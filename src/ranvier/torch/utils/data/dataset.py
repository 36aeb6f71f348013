"""Data sets: samples by index, or as a stream."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic

import numpy as np

from ranvier.ops.torch.random import Generator
from ranvier.support.constructors import CheckedConstructor
from ranvier.tensor.tensor import Tensor
from ranvier.torch.utils.data.sampler import T_co, permutation


class Dataset(CheckedConstructor, Generic[T_co]):
    """Samples by index. Subclasses define ``__getitem__(index)`` and ``__len__()``."""

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(
            f"{type(self).__name__} has no method __getitem__. Write: def __getitem__(self, index)"
        )

    def __len__(self) -> int:
        raise TypeError(f"{type(self).__name__} has no length. Write: def __len__(self)")

    def __add__(self, other: Dataset[Any]) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """A stream of samples. Subclasses define ``__iter__()``; a loader keeps their order."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} has no method __iter__. Write: def __iter__(self)")

    def __add__(self, other: Any) -> ChainDataset:  # type: ignore[override]  # a stream has no indices
        return ChainDataset([self, other])


class TensorDataset(Dataset[Any]):
    """Sample i is row i of every tensor. Raises ValueError when their first dimensions differ."""

    def __init__(self, *tensors: Any) -> None:
        self.tensors = tuple(t if isinstance(t, Tensor) else Tensor(t) for t in tensors)
        if not tensors or any(not t.shape for t in self.tensors):
            raise ValueError("TensorDataset needs tensors of at least one dimension.")
        lengths = [len(t) for t in self.tensors]
        if len(set(lengths)) > 1:
            raise ValueError(f"the tensors hold {' and '.join(map(str, lengths))} samples. Give each as many.")

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])


class Subset(Dataset[Any]):
    """The samples of a data set at the given indices."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset[Any]):
    """The concatenation of data sets."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        self.cumulative_sizes = list(itertools.accumulate(len(d) for d in self.datasets))

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        index %= len(self)
        which = bisect.bisect_right(self.cumulative_sizes, index)
        return self.datasets[which][index - (self.cumulative_sizes[which - 1] if which else 0)]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1] if self.cumulative_sizes else 0


class StackDataset(Dataset[Any]):
    """Sample i is sample i of every data set: a tuple of them, or a dict if they are given by name.

    Raises ValueError for different numbers of samples, and if only some have a name.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ValueError("StackDataset needs data sets, either all of them by name or none.")
        self.datasets: Any = args or kwargs
        lengths = [len(d) for d in args or kwargs.values()]
        if len(set(lengths)) > 1:
            raise ValueError(f"the data sets hold {' and '.join(map(str, lengths))} samples. Give each as many.")

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __len__(self) -> int:
        return len(next(iter(self.datasets.values())) if isinstance(self.datasets, dict) else self.datasets[0])


class ChainDataset(IterableDataset[Any]):
    """The concatenation of streams."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[Any]:
        return itertools.chain.from_iterable(self.datasets)

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets)


def random_split(dataset: Any, lengths: Sequence[float], generator: Generator | None = None) -> list[Subset]:
    """Split at random into parts of the given lengths, or of the given fractions if they sum to 1.

    Raises ValueError for lengths that do not sum to the number of samples, and for fractions that do not sum to 1.
    """
    n, total = len(dataset), sum(lengths)
    fractions = math.isclose(total, 1) and total <= 1 + 1e-9
    if any(size < 0 for size in lengths):
        raise ValueError(
            f"the lengths {list(lengths)} contain a negative one. Write lengths that sum to {n}, or fractions that sum "
            "to 1, instead."
        )
    if fractions:
        sizes = [math.floor(n * fraction) for fraction in lengths]
        for i in range(n - sum(sizes)):
            sizes[i % len(sizes)] += 1
    elif any(size != int(size) for size in lengths):
        raise ValueError(f"the fractions {list(lengths)} sum to {total:g}. Write fractions that sum to 1 instead.")
    else:
        sizes = [int(size) for size in lengths]
    if sum(sizes) != n:
        raise ValueError(f"the lengths {sizes} sum to {sum(sizes)}, and the data set has {n} samples.")
    order, stops = permutation(n, generator), np.cumsum(sizes)
    return [Subset(dataset, order[stop - size : stop].tolist()) for size, stop in zip(sizes, stops, strict=True)]

"""Samplers: the order in which a loader takes samples."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from ranvier.data.samplers import weighted_rows
from ranvier.ops.torch.random import Generator, checked_generator, numpy_of
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.validation import whole
from ranvier.tensor.rng import shuffled
from ranvier.tensor.tensor import Tensor

T_co = TypeVar("T_co", covariant=True)

DRAWN_AT_ONCE = 1 << 20  # the most samples of an order that is drawn at once: 8 MB


def permutation(n: int, generator: Any) -> Any:
    """A random permutation of the integers below n, from a generator or the process's seed."""
    return shuffled(np.arange(n, dtype=np.int32), numpy_of(generator, "shuffle"))


def indices_of(indices: Any) -> Any:
    """The indices of a batch's samples as a one-dimensional array, which indexes tensors.

    Any iterable of integers is accepted. (NumPy would take a tuple for an index of several dimensions, and booleans for
    a mask.) Raises TypeError for anything else.
    """
    if isinstance(indices, Tensor):
        indices = indices.numpy()
    if not isinstance(indices, np.ndarray):
        indices = np.asarray([i.item() if isinstance(i, Tensor) else i for i in indices])
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise TypeError(
            f"a sampler gave {indices.tolist()!r:.80} as the samples of a batch of a TensorDataset. Write whole "
            "numbers, such as [0, 5, 2], instead."
        )
    return indices


def in_lists(samples: Iterator[Any], size: int, drop_last: bool) -> Iterator[list[Any]]:
    """Samples in lists of ``size``, each made when it is needed; the last is shorter or left out."""
    while group := list(itertools.islice(samples, size)):
        if len(group) == size or not drop_last:
            yield group


class Sampler(CheckedConstructor, Generic[T_co]):
    """The indices of samples in their order. Subclasses define ``__iter__()`` and ``__len__()``."""

    def __init__(self, data_source: Any = None) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} has no method __iter__. Write: def __iter__(self)")


class ArraySampler(Sampler[Any]):
    """A sampler that draws arrays of samples, usually its whole order at once, from which loaders slice batches."""

    def _order(self) -> Any:
        """The order of one epoch: an array, or a list of keys that are no integers."""
        raise NotImplementedError

    def _pieces(self) -> Iterator[Any]:
        """The order of one epoch in consecutive arrays, each drawn when it is needed."""
        yield self._order()

    def __iter__(self) -> Iterator[Any]:
        for piece in self._pieces():
            yield from piece.tolist() if isinstance(piece, np.ndarray) else piece


class SequentialSampler(ArraySampler):
    """0, 1, 2, ..."""

    def __init__(self, data_source: Any) -> None:
        super().__init__(data_source)

    def _order(self) -> Any:
        return np.arange(len(self.data_source))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(ArraySampler):
    """All samples in a new random order each time; or ``num_samples`` of them, repeated with ``replacement``.

    Many samples, such as ``num_samples=int(1e10)``, are drawn while they are taken.
    """

    def __init__(
        self,
        data_source: Any,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(data_source)
        self.replacement, self.generator = replacement, checked_generator(generator)
        self._num_samples = num_samples
        whole("num_samples", self.num_samples, of=type(self).__name__)

    @property
    def num_samples(self) -> int:
        """The number of samples: the given one, or the data set's current one."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def _drawn(self) -> Iterator[Any]:
        n, left = len(self.data_source), self.num_samples
        generator = numpy_of(self.generator, "shuffle") if self.replacement else None
        while left > 0 and n:
            piece = (
                permutation(n, self.generator)
                if generator is None
                else generator.integers(0, n, min(left, DRAWN_AT_ONCE))
            )
            yield piece[:left]
            left -= len(piece)

    def _order(self) -> Any:
        return np.concatenate([np.zeros(0, np.int32), *self._drawn()])

    def _pieces(self) -> Iterator[Any]:
        return super()._pieces() if self.num_samples <= DRAWN_AT_ONCE else self._drawn()

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(ArraySampler):
    """The samples of the given indices (or keys), in a new random order each time."""

    def __init__(self, indices: Sequence[Any], generator: Generator | None = None) -> None:
        super().__init__()
        self.indices, self.generator = indices, checked_generator(generator)

    def _order(self) -> Any:
        known = self.indices.numpy() if isinstance(self.indices, Tensor) else self.indices
        return [known[i] for i in permutation(len(known), self.generator).tolist()]

    def __len__(self) -> int:
        return len(self.indices)


class BatchSampler(Sampler[list[Any]]):
    """The indices of a sampler, in lists of ``batch_size``; the last is shorter, or left out with ``drop_last``."""

    def __init__(self, sampler: Iterable[Any], batch_size: int, drop_last: bool) -> None:
        super().__init__()
        self.sampler, self.drop_last = sampler, drop_last
        self.batch_size = whole("batch_size", batch_size, of=type(self).__name__)

    def _batches(self) -> Iterator[Any]:
        """The batches of one epoch; slices of arrays if the sampler draws those."""
        sampler, size = self.sampler, self.batch_size
        if not isinstance(sampler, ArraySampler) or type(sampler).__iter__ is not ArraySampler.__iter__:
            yield from in_lists(iter(sampler), size, self.drop_last)  # may be infinite
            return
        rest: Any = ()
        for piece in sampler._pieces():
            order = piece if len(rest) == 0 else np.concatenate([rest, piece])
            whole = len(order) - len(order) % size
            for at in range(0, whole, size):
                yield order[at : at + size]
            rest = order[whole:]
        if len(rest) and not self.drop_last:
            yield rest

    def __iter__(self) -> Iterator[list[Any]]:
        return (batch if isinstance(batch, list) else batch.tolist() for batch in self._batches())

    def __len__(self) -> int:
        n = len(self.sampler)  # type: ignore[arg-type]  # as PyTorch: a sampler without length raises
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


class WeightedRandomSampler(ArraySampler):
    """``num_samples`` indices, each drawn with a probability proportional to its weight.

    ``weights`` are numbers of 0 or more, one for each sample, that need not sum to 1. Without ``replacement`` no sample
    is drawn twice. For a `DataLoader`: ``DataLoader(dataset, 32, sampler=WeightedRandomSampler(weights,
    len(dataset)))``.
    """

    def __init__(
        self, weights: Any, num_samples: int, replacement: bool = True, generator: Generator | None = None
    ) -> None:
        super().__init__()
        given = weights.numpy() if isinstance(weights, Tensor) else weights
        self.weights = np.asarray(given, np.float64)
        self.num_samples, self.replacement = num_samples, replacement
        self.generator = checked_generator(generator)
        self._draw(np.random.Generator(np.random.Philox(0)))  # raises for invalid weights now

    def _draw(self, generator: Any) -> Any:
        return weighted_rows(self.weights, self.num_samples, self.replacement, generator)

    def _order(self) -> Any:
        return self._draw(numpy_of(self.generator, "shuffle"))

    def __len__(self) -> int:
        return self.num_samples


class DistributedSampler(ArraySampler):
    """The samples of one of ``num_replicas`` processes: each ``num_replicas``-th, from ``rank`` on.

    There is one process unless you say otherwise. The order is a random one of ``seed`` and the epoch, which
    ``set_epoch`` says; without ``shuffle`` it is that of the data set. All processes take equally many samples: the
    first ones are repeated, or with ``drop_last`` the last ones left out. Raises ValueError for another ``rank``.
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        super().__init__(dataset)
        self.num_replicas = whole("num_replicas", 1 if num_replicas is None else num_replicas, of=type(self).__name__)
        self.rank = whole("rank", 0 if rank is None else rank, 0, type(self).__name__)
        if self.rank >= self.num_replicas:
            raise ValueError(f"DistributedSampler(rank={rank}): write a number below num_replicas={self.num_replicas}.")
        self.dataset, self.shuffle, self.seed, self.drop_last, self.epoch = dataset, shuffle, seed, drop_last, 0

    @property
    def num_samples(self) -> int:
        """The number of samples of this process."""
        n, count = len(self.dataset), self.num_replicas
        return n // count if self.drop_last else -(-n // count)

    @property
    def total_size(self) -> int:
        """The number of samples of all processes."""
        return self.num_samples * self.num_replicas

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch begins, for another order."""
        self.epoch = epoch

    def _order(self) -> Any:
        n = len(self.dataset)
        order = permutation(n, Generator().manual_seed(self.seed + self.epoch)) if self.shuffle else np.arange(n)
        return np.resize(order, self.total_size)[self.rank :: self.num_replicas]

    def __len__(self) -> int:
        return self.num_samples

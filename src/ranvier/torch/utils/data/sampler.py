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
    """A sampler that draws its whole order at once, so that loaders slice their batches from an array."""

    def _order(self) -> Any:
        """The order of one epoch: an array, or a list of keys that are no integers."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Any]:
        order = self._order()
        return iter(order.tolist() if isinstance(order, np.ndarray) else order)


class SequentialSampler(ArraySampler):
    """0, 1, 2, ..."""

    def __init__(self, data_source: Any) -> None:
        super().__init__(data_source)

    def _order(self) -> Any:
        return np.arange(len(self.data_source))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(ArraySampler):
    """All samples in a new random order each time; or ``num_samples`` of them, repeated with ``replacement``."""

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

    def _order(self) -> Any:
        n, size = len(self.data_source), self.num_samples
        if self.replacement:
            return numpy_of(self.generator, "shuffle").integers(0, n, size)
        orders = [permutation(n, self.generator) for _ in range(-(-size // max(n, 1)))]
        return np.concatenate([np.zeros(0, np.int32), *orders])[:size]

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
        """The batches of one epoch; slices of an array if the sampler draws its order at once."""
        sampler, size = self.sampler, self.batch_size
        if not isinstance(sampler, ArraySampler) or type(sampler).__iter__ is not ArraySampler.__iter__:
            yield from in_lists(iter(sampler), size, self.drop_last)  # may be infinite
            return
        order = sampler._order()
        whole = len(order) - len(order) % size if self.drop_last else len(order)
        for at in range(0, whole, size):
            yield order[at : at + size]

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

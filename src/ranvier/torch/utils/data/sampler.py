"""Samplers: in which order the samples of a data set are taken."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from ranvier.data.samplers import weighted_rows
from ranvier.ops.torch.random import checked_generator, numpy_of
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.validation import whole
from ranvier.tensor.rng import shuffled
from ranvier.tensor.tensor import Tensor

__all__ = [
    "BatchSampler", "RandomSampler", "Sampler", "SequentialSampler", "SubsetRandomSampler", "WeightedRandomSampler",
    "grouped", "numbers_of", "permutation",
]  # fmt: skip

T_co = TypeVar("T_co", covariant=True)


def permutation(n: int, generator: Any) -> Any:
    """The numbers below n in random order, of a generator or of the process's seed."""
    return shuffled(np.arange(n, dtype=np.int32), numpy_of(generator, "shuffle"))


def numbers_of(indices: Any) -> Any:
    """The numbers of a batch's samples as an array of one dimension, for tensors that are indexed by it.

    Any iterable of whole numbers will do: an array would take a tuple for an index of several dimensions, and booleans
    for a mask. Raises TypeError for anything else.
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


def grouped(samples: Iterator[Any], size: int, drop_last: bool) -> Iterator[list[Any]]:
    """Samples in lists of ``size``, the last of them shorter or left out; each list when it is asked for."""
    while group := list(itertools.islice(samples, size)):
        if len(group) == size or not drop_last:
            yield group


class Sampler(CheckedConstructor, Generic[T_co]):
    """Numbers of samples in the order in which they are taken. Subclasses write ``__iter__()``, and ``__len__()``."""

    def __init__(self, data_source: Any = None) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(
            f"{type(self).__name__} does not say in which order. Write: def __iter__(self)"
        )


class Drawn(Sampler[Any]):
    """A sampler that draws its whole order at once, so that loaders take their batches from an array."""

    def _order(self) -> Any:
        """The samples of one pass: an array, or a list of what are no numbers."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Any]:
        order = self._order()
        return iter(order.tolist() if isinstance(order, np.ndarray) else order)


class SequentialSampler(Drawn):
    """0, 1, 2, ..."""

    def __init__(self, data_source: Any) -> None:
        super().__init__(data_source)

    def _order(self) -> Any:
        return np.arange(len(self.data_source))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Drawn):
    """All samples in random order, another one each time; or ``num_samples``, which ``replacement`` may repeat."""

    def __init__(
        self,
        data_source: Any,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Any = None,
    ) -> None:
        super().__init__(data_source)
        self.replacement, self.generator = replacement, checked_generator(generator)
        self._num_samples = num_samples
        whole("num_samples", self.num_samples, of=type(self).__name__)

    @property
    def num_samples(self) -> int:
        """How many it gives: as many as the data set has now, unless it was told."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def _order(self) -> Any:
        n, size = len(self.data_source), self.num_samples
        if self.replacement:
            return numpy_of(self.generator, "shuffle").integers(0, n, size)
        orders = [permutation(n, self.generator) for _ in range(-(-size // max(n, 1)))]
        return np.concatenate([np.zeros(0, np.int32), *orders])[:size]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Drawn):
    """Some samples, of the numbers (or keys) given, in random order, another one each time."""

    def __init__(self, indices: Sequence[Any], generator: Any = None) -> None:
        super().__init__()
        self.indices, self.generator = indices, checked_generator(generator)

    def _order(self) -> Any:
        known = self.indices.numpy() if isinstance(self.indices, Tensor) else self.indices
        return [known[i] for i in permutation(len(known), self.generator).tolist()]

    def __len__(self) -> int:
        return len(self.indices)


class BatchSampler(Sampler[list[Any]]):
    """What a sampler gives, in lists of ``batch_size``; the last of them is shorter, or left out with ``drop_last``."""

    def __init__(self, sampler: Iterable[Any], batch_size: int, drop_last: bool) -> None:
        super().__init__()
        self.sampler, self.drop_last = sampler, drop_last
        self.batch_size = whole("batch_size", batch_size, of=type(self).__name__)

    def _batches(self) -> Iterator[Any]:
        """The batches of one pass: parts of an array where the sampler draws its order at once."""
        sampler, size = self.sampler, self.batch_size
        if not isinstance(sampler, Drawn) or type(sampler).__iter__ is not Drawn.__iter__:
            yield from grouped(iter(sampler), size, self.drop_last)  # which may have no end
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


class WeightedRandomSampler(Drawn):
    """``num_samples`` sample numbers, each drawn with a probability proportional to its weight, anew each time.

    ``weights`` are numbers of 0 or more, one a sample, that need not add up to 1. Without ``replacement`` no sample
    comes twice. For a `DataLoader`: ``DataLoader(dataset, 32, sampler=WeightedRandomSampler(weights, len(dataset)))``.
    """

    def __init__(
        self, weights: Any, num_samples: int, replacement: bool = True, generator: Any = None
    ) -> None:
        super().__init__()
        given = weights.numpy() if isinstance(weights, Tensor) else weights
        self.weights = np.asarray(given, np.float64)
        self.num_samples, self.replacement = num_samples, replacement
        self.generator = checked_generator(generator)
        self._draw(np.random.Generator(np.random.Philox(0)))  # what is wrong is said now

    def _draw(self, generator: Any) -> Any:
        return weighted_rows(self.weights, self.num_samples, self.replacement, generator)

    def _order(self) -> Any:
        return self._draw(numpy_of(self.generator, "shuffle"))

    def __len__(self) -> int:
        return self.num_samples

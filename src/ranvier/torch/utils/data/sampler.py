"""Samplers: in which order the samples of a data set are taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ranvier.data.samplers import weighted_rows
from ranvier.seed import numpy_generator, shuffled
from ranvier.tensor import Tensor

__all__ = [
    "BatchSampler", "RandomSampler", "Sampler", "SequentialSampler", "SubsetRandomSampler", "WeightedRandomSampler",
    "permutation",
]  # fmt: skip


def permutation(n: int, generator: Any) -> Any:
    """The numbers below n in random order, of a generator or of the process's seed."""
    return shuffled(np.arange(n, dtype=np.int32), _source(generator))


def _source(generator: Any) -> Any:
    return numpy_generator("shuffle") if generator is None else generator.numpy


class Sampler:
    """Numbers of samples in the order in which they are taken. Subclasses write ``__iter__()``, and ``__len__()``."""

    def __init__(self, data_source: Any = None) -> None:
        self.data_source = data_source

    def __class_getitem__(cls, item: Any) -> Any:
        """``Sampler[int]`` is the class itself."""
        return cls

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(
            f"{type(self).__name__} does not say in which order. Write: def __iter__(self)"
        )


class SequentialSampler(Sampler):
    """0, 1, 2, ..."""

    def __init__(self, data_source: Any) -> None:
        super().__init__(data_source)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """All samples in random order, another one each time; or ``num_samples``, which ``replacement`` may repeat."""

    def __init__(
        self,
        data_source: Any,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Any = None,
    ) -> None:
        super().__init__(data_source)
        self.replacement, self.generator, self._num_samples = replacement, generator, num_samples

    @property
    def num_samples(self) -> int:
        """How many it gives: as many as the data set has now, unless it was told."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        n = len(self.data_source)
        if self.replacement:
            return iter(_source(self.generator).integers(0, n, self.num_samples).tolist())
        orders = (permutation(n, self.generator) for _ in range(-(-self.num_samples // max(n, 1))))
        return iter([int(i) for order in orders for i in order][: self.num_samples])

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """Some samples, of the numbers given, in random order, another one each time."""

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        super().__init__()
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        return iter([int(self.indices[i]) for i in permutation(len(self.indices), self.generator)])

    def __len__(self) -> int:
        return len(self.indices)


class BatchSampler(Sampler):
    """What a sampler gives, in lists of ``batch_size``; the last of them is shorter, or left out with ``drop_last``."""

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        super().__init__()
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        order = list(self.sampler)
        whole = len(order) - len(order) % self.batch_size if self.drop_last else len(order)
        return (order[at : at + self.batch_size] for at in range(0, whole, self.batch_size))

    def __len__(self) -> int:
        n = len(self.sampler)  # type: ignore[arg-type]  # as PyTorch: a sampler without length raises
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


class WeightedRandomSampler(Sampler):
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
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator
        self._draw(np.random.Generator(np.random.Philox(0)))  # what is wrong is said now

    def _draw(self, generator: Any) -> Any:
        return weighted_rows(self.weights, self.num_samples, self.replacement, generator)

    def __iter__(self) -> Iterator[int]:
        return iter(self._draw(_source(self.generator)).tolist())

    def __len__(self) -> int:
        return self.num_samples

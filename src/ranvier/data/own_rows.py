"""Batches of which each of several processes reads only the rows that its devices compute.

A batch keeps its size: the rows of other processes are filled with rows of this one, which no step sees. So shapes,
numbers of rows and checks of a batch are those of one process.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from ranvier.data.batched import BatchedDataset
from ranvier.support import processes

Part = Callable[[int], tuple[int, int]]  # of the number of rows in a batch: the first row of this process, and the end
WORKERS = ("num_workers", "worker_init_fn", "multiprocessing_context", "prefetch_factor", "timeout")


class OwnBatches:
    """The numbers of this process's rows in each batch of a sampler."""

    def __init__(self, batches: Iterable[Any], part: Part) -> None:
        self.batches, self.part = batches, part
        self.sizes: deque[tuple[int, int]] = deque()  # of each batch to come the rows, and the first of this process
        self.first: Any = None

    def __iter__(self) -> Iterator[Any]:
        for batch in self.batches:
            numbers = list(batch)
            self.first = numbers if self.first is None else self.first
            low, high = self.part(len(numbers))
            self.sizes.append((len(numbers), low))
            yield numbers[low:high]

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]  # as the sampler of the loader


def own_rows(source: Any) -> Iterator[Any] | None:
    """The batches of a pass over a source; None if only whole batches can be read from it.

    Raises ValueError if the processes draw different rows.
    """
    group = processes.group
    if group is None or not group.reads_all:
        return None
    if isinstance(source, BatchedDataset) and source.batch_size is not None:
        batches = OwnBatches(islice(source._numbers(), len(source)), group.part)
        return filled(map(source.rows, map(np.asarray, batches)), batches, group, source)
    sampler, make = getattr(source, "batch_sampler", None), type(source)
    if sampler is None or make.__name__ != "DataLoader":  # a subclass may have batches of its own
        return None
    batches = OwnBatches(sampler, group.part)
    options = {name: value for name in WORKERS if (value := getattr(source, name, None))}
    loader: Iterable[Any] = make(
        source.dataset, batch_sampler=batches, collate_fn=source.collate_fn, generator=source.generator, **options
    )
    return filled(iter(loader), batches, group, source)


def filled(made: Iterator[Any], batches: OwnBatches, group: processes.Group, source: Any) -> Iterator[Any]:
    """Whole batches of what was read of them."""
    checked = False
    for batch in made:
        if not checked:
            checked = True
            codes = group.exchange("the first batch of a loader", (float(zlib.crc32(repr(batches.first).encode())),))
            if (codes != codes[0]).any():
                raise ValueError(
                    f"the processes draw different rows from {type(source).__name__}. Write rv.set_seed(0), and "
                    "torch.manual_seed(0) for a loader of PyTorch's, before fit instead."
                )
        size, low = batches.sizes.popleft()
        yield whole(batch, size, low)


def each_its_own(batches: Iterator[Any]) -> Iterator[Any]:
    """Whole batches, where a source gives the rows of this process alone (``auto_shard_dataset=False``)."""
    group = processes.group
    return batches if group is None or group.reads_all else _for_all(batches, group)


def _for_all(batches: Iterator[Any], group: processes.Group) -> Iterator[Any]:
    for batch in batches:
        rows = len(next(leaves(batch)))
        if group.part(rows * group.count) != (rows * group.number, rows * (group.number + 1)):
            raise ValueError(
                f"with auto_shard_dataset=False each process has {rows} rows of a batch, and the mesh divides it "
                "otherwise. Write DataParallel(auto_shard_dataset=False), and batches of equal sizes, instead."
            )
        yield whole(batch, rows * group.count, rows * group.number)


def whole(batch: Any, size: int, low: int) -> Any:
    """A batch of ``size`` rows, of which those from ``low`` are given."""
    if isinstance(batch, Mapping):
        return {name: whole(part, size, low) for name, part in batch.items()}
    if is_container(batch):
        parts = [whole(part, size, low) for part in batch]
        return tuple(parts) if isinstance(batch, tuple) else parts
    if batch is None or len(batch) == size:
        return batch
    places = (np.arange(size) - low) % len(batch)
    return batch[places] if getattr(batch, "shape", ()) else [batch[i] for i in places]


def is_container(part: Any) -> bool:
    """Whether this holds the parts of a batch, and is none itself, such as a list of texts."""
    return isinstance(part, (list, tuple)) and any(hasattr(p, "shape") or isinstance(p, (list, Mapping)) for p in part)


def leaves(batch: Any) -> Iterator[Any]:
    """The parts of a batch that have a row for each sample."""
    if isinstance(batch, Mapping) or is_container(batch):
        for part in batch.values() if isinstance(batch, Mapping) else batch:
            yield from leaves(part)
    elif batch is not None:
        yield batch

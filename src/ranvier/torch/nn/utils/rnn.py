"""``torch.nn.utils.rnn``: sequences of different lengths as one tensor, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ranvier.ops import arrays
from ranvier.ops.torch.creation import full
from ranvier.ops.torch.sizes import one_of
from ranvier.support.errors import missing
from ranvier.tensor.tensor import Tensor

__all__ = [
    "PackedSequence", "pack_padded_sequence", "pack_sequence", "pad_packed_sequence", "pad_sequence", "unpack_sequence",
    "unpad_sequence",
]  # fmt: skip


class PackedSequence(NamedTuple):
    """Sequences of different lengths without padding: what `pack_padded_sequence` returns.

    ``data`` has the first step of all sequences, from the longest to the shortest, then the second step of those that
    have one, and so on; ``batch_sizes`` how many have each step. ``sorted_indices`` are the numbers of the sequences in
    this order, and ``unsorted_indices`` the places in it by number; None where they were given in it.
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    @property
    def is_cuda(self) -> bool:
        return False

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same with its data in another dtype."""
        return self._replace(data=self.data.to(*args, **kwargs))

    def cpu(self) -> PackedSequence:
        return self

    def float(self) -> PackedSequence:
        return self.to("float32")

    def double(self) -> PackedSequence:
        return self.to("float64")


def lengths_of(packed: PackedSequence) -> np.ndarray[Any, Any]:
    """The lengths of the sequences, in the order of the data."""
    sizes = packed.batch_sizes.numpy()
    return (sizes[:, None] > np.arange(sizes[0])).sum(0)


def places_of(lengths: np.ndarray[Any, Any], steps: int) -> np.ndarray[Any, Any]:
    """Where each row of the data of sequences in order is among those of (batch, steps), flattened."""
    t, i = np.nonzero(np.arange(steps)[:, None] < lengths)
    return (i * steps + t).astype(np.int32)


def packed_rows(x: Any, like: PackedSequence) -> Any:
    """The data of a packed sequence of the same lengths, from (batch, steps, ...) in their order."""
    return arrays.take(arrays.flatten(x, 0, 1), Tensor(places_of(lengths_of(like), x.shape[1])), 0)


def padded_rows(packed: PackedSequence) -> tuple[Any, Any]:
    """The sequences as (batch, steps, ...), in the order of the data, and which of the steps there are."""
    lengths = lengths_of(packed)
    steps = len(packed.batch_sizes)
    mask = np.arange(steps) < lengths[:, None]
    source = np.zeros(mask.size, np.int32)  # what is read elsewhere does not count
    source[places_of(lengths, steps)] = np.arange(len(packed.data))
    rows = arrays.take(packed.data, Tensor(source), 0)
    return arrays.reshape(rows, (*mask.shape, *packed.data.shape[1:])), Tensor(mask)


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """The sequences of these lengths, (steps, batch, ...) or (batch, steps, ...), without their padding.

    Raises RuntimeError for lengths that are no number from 1 to the number of steps for each sequence, and where they
    do not decrease, unless ``enforce_sorted`` is False.
    """
    x = input if batch_first else arrays.swapaxes(input, 0, 1)
    counts = np.asarray(lengths.numpy() if isinstance(lengths, Tensor) else lengths).astype(np.int64)
    if counts.shape != (x.shape[0],) or (counts < 1).any() or (counts > x.shape[1]).any():
        raise RuntimeError(
            f"lengths {counts.tolist()} of {x.shape[0]} sequences of up to {x.shape[1]} steps. Write a number from 1 "
            f"to {x.shape[1]} for each instead."
        )
    order = None
    if not enforce_sorted:
        order = np.argsort(-counts, kind="stable")
        x, counts = arrays.take(x, Tensor(order), 0), counts[order]
    elif (np.diff(counts) > 0).any():
        raise RuntimeError(
            f"lengths {counts.tolist()} do not decrease. Write enforce_sorted=False, or sort the sequences, instead."
        )
    rows = arrays.take(arrays.flatten(x, 0, 1), Tensor(places_of(counts, x.shape[1])), 0)
    sizes = Tensor((np.arange(counts[0])[:, None] < counts).sum(1))
    if order is None:
        return PackedSequence(rows, sizes)
    return PackedSequence(rows, sizes, Tensor(order), Tensor(np.argsort(order)))


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Any, Any]:
    """The sequences padded to the longest, or to ``total_length``, in the order that they were packed in; and their
    lengths. Raises ValueError for a ``total_length`` below the longest.
    """
    x, mask = padded_rows(sequence)
    lengths, steps = lengths_of(sequence), x.shape[1]
    if total_length is not None and total_length < steps:
        raise ValueError(f"total_length={total_length} of sequences of {steps} steps. Write {steps} or more instead.")
    x = arrays.where(arrays.reshape(mask, (*mask.shape, *(1,) * (x.ndim - 2))), x, padding_value)
    if total_length is not None and total_length > steps:
        fill = full((x.shape[0], total_length - steps, *x.shape[2:]), padding_value, dtype=x.dtype)
        x = arrays.concatenate([x, fill], 1)
    if sequence.unsorted_indices is not None:
        x = arrays.take(x, sequence.unsorted_indices, 0)
        lengths = lengths[sequence.unsorted_indices.numpy()]
    return x if batch_first else arrays.swapaxes(x, 0, 1), Tensor(lengths)


def pack_sequence(sequences: Sequence[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences (n_i, ...) without padding; see `pack_padded_sequence`."""
    lengths = [len(s) for s in sequences]
    return pack_padded_sequence(pad_sequence(sequences, batch_first=True), lengths, True, enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """The sequences that `pack_sequence` packed."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


def pad_sequence(
    sequences: Iterable[Any], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Any:
    """Sequences of shapes (n_i, ...) padded to the longest: (n, batch, ...), or (batch, n, ...).

    Raises ValueError for no sequences, and if they differ in more than their lengths.
    """
    one_of(padding_side, "padding_side", ("right", "left"))
    given = [s if isinstance(s, Tensor) else Tensor(s) for s in sequences]
    if not given:
        raise ValueError("pad_sequence of no sequences. Write a list of tensors of shapes (n, ...) instead.")
    rest = given[0].shape[1:]
    for i, sequence in enumerate(given):
        if not sequence.ndim or sequence.shape[1:] != rest:
            raise ValueError(
                f"sequence {i} has shape {sequence.shape}, and sequence 0 {given[0].shape}. Write sequences that "
                "differ in their first dimension alone."
            )
    longest = max(len(s) for s in given)
    padded = []
    for sequence in given:
        if len(sequence) < longest:
            fill = full((longest - len(sequence), *rest), padding_value, dtype=sequence.dtype)
            sequence = arrays.concatenate([sequence, fill] if padding_side == "right" else [fill, sequence], 0)
        padded.append(sequence)
    return arrays.stack(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The sequences of these lengths that `pad_sequence` padded on the right."""
    rows = padded_sequences.unbind(0 if batch_first else 1)
    return [row[: int(n)] for row, n in zip(rows, lengths, strict=True)]


__getattr__, __dir__ = missing("torch.nn.utils.rnn", __all__)

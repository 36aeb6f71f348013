"""``torch.nn.utils.rnn``: sequences of different lengths as one tensor, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ranvier.ops import arrays
from ranvier.ops.torch.creation import full
from ranvier.ops.torch.sizes import one_of
from ranvier.support.errors import missing
from ranvier.tensor.tensor import Tensor

__all__ = ["pad_sequence", "unpad_sequence"]


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

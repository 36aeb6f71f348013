"""Random numbers: one seed for the process, and from it a stream for every purpose.

Inside programs randomness is a pure function of (seed, stream, element): `draw` gives the two numbers. Outside of them
`numpy_generator` gives NumPy generators. Nothing depends on the process, on hashing, or on the order of purposes.
"""

from __future__ import annotations

import contextlib
import secrets
import zlib
from collections import Counter
from collections.abc import Iterator

import numpy as np

from ranvier.tensor import Tensor

__all__ = ["draw", "get_seed", "next_stream", "numpy_generator", "set_seed", "traced_draws"]

_seed: int | None = None
_counters: Counter[str] = Counter()
_listeners: list[list[tuple[Tensor, Tensor]]] = []


def set_seed(seed: int) -> None:
    """Make everything random from here on a function of ``seed`` alone: weights, shuffling, dropout.

    Raises ValueError for what is no whole number from 0 to 2**63 - 1.
    """
    global _seed
    if type(seed) is bool or not hasattr(seed, "__index__") or not 0 <= seed < 2**63:
        raise ValueError(
            f"seed {seed!r} is no whole number from 0 to 2**63 - 1. Write set_seed(0), for example."
        )
    _seed = int(seed)
    _counters.clear()


def get_seed() -> int:
    """The seed; drawn from the system once where none was set."""
    global _seed
    if _seed is None:
        _seed = secrets.randbits(63)
    return _seed


def numpy_generator(purpose: str, seed: int | None = None) -> np.random.Generator:
    """A fresh generator: the next for this purpose ("initializer", "shuffle", ...), or the one that ``seed`` gives."""
    if seed is not None:
        return np.random.Generator(np.random.Philox(seed))
    number = _counters[purpose]
    _counters[purpose] += 1
    sequence = np.random.SeedSequence(get_seed(), spawn_key=(zlib.crc32(purpose.encode()), number))
    return np.random.Generator(np.random.Philox(sequence))


def fold(seed: int) -> int:
    """A seed of up to 63 bits as the 32 bits that the primitive ``random`` takes."""
    return int(np.random.SeedSequence(seed).generate_state(1, np.uint32)[0])


def next_stream(purpose: str = "stream") -> int:
    """A stream number that was not used since the seed was set."""
    number = _counters[purpose]
    _counters[purpose] += 1
    return number % 2**32


def draw(seed: int | None = None) -> tuple[Tensor, Tensor]:
    """Seed and stream for one use of the primitive ``random``, as uint32 scalars; each call another stream.

    With ``seed`` the streams are counted for that seed alone. While `traced_draws` listens, the pair is also noted
    there, so that a compiled loop can put a number that changes from step to step in the stream's place.
    """
    purpose = "stream" if seed is None else f"stream of {seed}"
    pair = (
        Tensor.wrap(np.asarray(fold(get_seed() if seed is None else seed), np.uint32)),
        Tensor.wrap(np.asarray(next_stream(purpose), np.uint32)),
    )
    for listener in _listeners:
        listener.append(pair)
    return pair


@contextlib.contextmanager
def traced_draws() -> Iterator[list[tuple[Tensor, Tensor]]]:
    """The (seed, stream) leaves drawn within this context, in order."""
    listener: list[tuple[Tensor, Tensor]] = []
    _listeners.append(listener)
    try:
        yield listener
    finally:
        _listeners.pop(next(i for i, known in enumerate(_listeners) if known is listener))

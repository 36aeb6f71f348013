"""Random numbers: one seed for the process, and from it a stream for every purpose.

Inside programs randomness is a pure function of (seed, stream, element): `draw` gives the two numbers. Outside of them
`numpy_generator` gives NumPy generators. Nothing depends on the process, on hashing, or on the order of purposes.
"""

from __future__ import annotations

import contextlib
import random
import secrets
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ranvier import engines
from ranvier.tensor import Tensor

__all__ = [
    "borrowed_streams", "draw", "generators_of", "get_seed", "get_state", "next_stream", "numpy_generator", "seeded",
    "set_generator", "set_seed", "set_state", "shuffled", "shuffling", "traced_draws",
]  # fmt: skip


class Source:
    """A seed, drawn from the system where none was set, and how often each purpose has asked for a stream."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed
        self.counters: Counter[str] = Counter()


class _Local(threading.local):
    def __init__(self) -> None:
        self.source: Source | None = None  # that of `seeded`, for this thread alone
        self.listeners: list[list[tuple[Tensor, Tensor]]] = []  # a thread hears only what it draws itself


_process = Source()
_local = _Local()


def source() -> Source:
    """Where this thread's random numbers come from: the process's seed, or that of `seeded`."""
    return _local.source or _process


@contextlib.contextmanager
def seeded(seed: int | Source) -> Iterator[Source]:
    """Within this context everything random that this thread asks for is a function of ``seed`` alone.

    The process's seed, and what other threads draw, are as if it had not been. What the context gives may be entered
    again in place of a seed, also in another thread, and goes on from where it was left.
    """
    before = _local.source
    _local.source = seed if isinstance(seed, Source) else Source(checked(seed))
    try:
        yield _local.source
    finally:
        _local.source = before


def checked(seed: int) -> int:
    if type(seed) is bool or not hasattr(seed, "__index__") or not 0 <= seed < 2**63:
        raise ValueError(
            f"seed {seed!r} is no whole number from 0 to 2**63 - 1. Write set_seed(0), for example."
        )
    return int(seed)


def set_seed(seed: int) -> None:
    """Make everything random from here on a function of ``seed`` alone: weights, shuffling, dropout.

    Raises ValueError for what is no whole number from 0 to 2**63 - 1.
    """
    current = source()
    current.seed = checked(seed)
    current.counters.clear()


def get_seed() -> int:
    """The seed; drawn from the system once where none was set."""
    current = source()
    if current.seed is None:
        current.seed = secrets.randbits(63)
    return current.seed


def generators_of(source: Any) -> list[np.random.Generator]:
    """The generator of its own that a loader draws its order from, if it was given one."""
    found = getattr(source, "generator", None)
    found = getattr(found, "numpy", found)
    return [found] if isinstance(found, np.random.Generator) else []


def get_state(*generators: np.random.Generator) -> dict[str, Any]:
    """Where all random numbers stand: the seed and what was drawn from it, NumPy's global state and Python's.

    ``generators`` are others that belong to it.
    """
    return {
        "own": [g.bit_generator.state for g in generators],
        "seed": get_seed(),
        "counters": dict(source().counters),
        "numpy": np.random.get_state(legacy=False),  # noqa: NPY002  # what a user's generator may draw from
        "python": random.getstate(),
    }


def bounded(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """A state of a NumPy generator whose places in its buffers lie within them, which NumPy takes on trust.

    Raises ValueError for any other.
    """
    for part in (state, state["state"]):
        for name, most in (("pos", 624), ("buffer_pos", 4)):
            if not 0 <= part.get(name, 0) <= most:
                raise ValueError(f"a generator's {name} of {part[name]!r}, which is beyond its buffer")
    return state


def set_generator(generator: np.random.Generator, state: Mapping[str, Any]) -> None:
    """Let a generator go on from this state. Raises ValueError or TypeError for what is none of its kind."""
    generator.bit_generator.state = bounded(state)


def set_state(state: Mapping[str, Any], *generators: np.random.Generator) -> None:
    """Go on from where `get_state` was called, in this process or in another."""
    for generator, own in zip(generators, state["own"], strict=True):
        set_generator(generator, own)
    current = source()
    current.seed = int(state["seed"])
    current.counters.clear()
    current.counters.update({str(purpose): int(n) for purpose, n in state["counters"].items()})
    np.random.set_state(bounded(state["numpy"]))  # type: ignore[arg-type]  # noqa: NPY002
    random.setstate(state["python"])


@contextlib.contextmanager
def borrowed_streams() -> Iterator[None]:
    """Streams that are drawn within this context are drawn again after it.

    It is for traces that put others in their place, so that nothing depends on how often a program was traced.
    """
    counters = source().counters
    before = {p: n for p, n in counters.items() if p.startswith("stream")}
    try:
        yield
    finally:
        for purpose in [p for p in counters if p.startswith("stream")]:
            del counters[purpose]
        counters.update(before)


def numpy_generator(purpose: str, seed: int | None = None) -> np.random.Generator:
    """A fresh generator: the next for this purpose ("initializer", "shuffle", ...), or the one that ``seed`` gives."""
    if seed is not None:
        return np.random.Generator(np.random.Philox(seed))
    counters = source().counters
    number = counters[purpose]
    counters[purpose] += 1
    sequence = np.random.SeedSequence(get_seed(), spawn_key=(zlib.crc32(purpose.encode()), number))
    return np.random.Generator(np.random.Philox(sequence))


def shuffling(rows: Any, generator: np.random.Generator) -> Callable[[], Any]:
    """Begin to put the numbers of an int32 array into random order; of the generator it takes one number.

    What is returned gives the order, a new array.
    """
    return engines.shuffled(rows, int(generator.integers(2**64, dtype=np.uint64)))


def shuffled(rows: Any, generator: np.random.Generator) -> Any:
    """The numbers of an int32 array in random order, as a new array; of the generator it takes one number."""
    return shuffling(rows, generator)()


def fold(seed: int) -> int:
    """A seed of up to 63 bits as the 32 bits that the primitive ``random`` takes."""
    return int(np.random.SeedSequence(seed).generate_state(1, np.uint32)[0])


def next_stream(purpose: str = "stream") -> int:
    """A stream number that was not used since the seed was set."""
    counters = source().counters
    number = counters[purpose]
    counters[purpose] += 1
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
    for listener in _local.listeners:
        listener.append(pair)
    return pair


@contextlib.contextmanager
def traced_draws() -> Iterator[list[tuple[Tensor, Tensor]]]:
    """The (seed, stream) leaves drawn within this context, in order."""
    listener: list[tuple[Tensor, Tensor]] = []
    _local.listeners.append(listener)
    try:
        yield listener
    finally:
        _local.listeners.pop(next(i for i, known in enumerate(_local.listeners) if known is listener))

"""Random numbers: one seed for the process, and from it a stream for every purpose.

Inside programs randomness is a pure function of (seed, stream, element): `draw` gives the two numbers. Outside of them
`numpy_generator` gives NumPy generators. Nothing depends on the process, on hashing, or on the order of purposes.
"""

from __future__ import annotations

import contextlib
import functools
import random
import secrets
import sys
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ranvier import engines
from ranvier.tensor.tensor import Tensor

__all__ = [
    "Source", "borrowed_streams", "chosen_seed", "draw", "generators_of", "get_seed", "get_state", "get_streams",
    "next_stream", "numpy_generator", "of_a_run", "scatter_globals", "seeded", "set_generator", "set_seed",
    "set_state", "set_streams", "shuffled", "shuffling", "traced_draws",
]  # fmt: skip


BATCHES = 1 << 16  # from one run's first batch to the next one's


class Source:
    """A seed, drawn from the system where none was set, and how often each purpose has asked for a stream.

    ``chosen`` is the seed as whoever set it wrote it, None where it was drawn.
    """

    def __init__(self, seed: int | None = None, chosen: int | str | None = None) -> None:
        self.seed, self.chosen = seed, chosen
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
    _local.source = seed if isinstance(seed, Source) else Source(checked(seed), int(seed))
    try:
        yield _local.source
    finally:
        _local.source = before


def checked(seed: Any, fix: str = "seed=0", bits: int = 64) -> int:
    """A seed as an int. Raises ValueError for what is no whole number of 0 or more and of so many bits.

    ``fix`` is what the error says to write.
    """
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or not 0 <= int(seed) < 2**bits:
        raise ValueError(
            f"seed {seed!r} is no whole number from 0 to 2**{bits} - 1. Write {fix}, for example, instead."
        )
    return int(seed)


def set_seed(seed: int) -> None:
    """Make everything random from here on a function of ``seed`` alone: weights, shuffling, dropout.

    Raises ValueError for what is no whole number from 0 to 2**64 - 1.
    """
    current = source()
    current.seed = current.chosen = checked(seed, "set_seed(0)")
    current.counters.clear()


def chosen_seed() -> int | str | None:
    """The seed as it was set, before anything was drawn or after; None where the system was asked for one."""
    return source().chosen


def get_seed() -> int:
    """The seed; drawn from the system once where none was set."""
    current = source()
    if current.seed is None:
        current.seed = secrets.randbits(63)
    return current.seed


def _pytorch() -> Any:
    """PyTorch where the program has imported it, whose loaders draw from generators of its own; else None.

    It is not imported here: nothing draws from what nobody has imported. And a program may call `ranvier.torch` torch.
    """
    module = sys.modules.get("torch")
    known = getattr(module, "__name__", "") == "torch" and hasattr(module, "default_generator")
    return module if known else None


def generators_of(source: Any) -> list[Any]:
    """The generators of its own that a loader draws from, if it was given any: NumPy's, or PyTorch's."""
    batches = getattr(source, "batch_sampler", None)
    holders = (source, getattr(source, "sampler", None), batches, getattr(batches, "sampler", None))
    given = [getattr(holder, "generator", None) for holder in holders]
    pytorch = _pytorch()
    kinds = (np.random.Generator,) if pytorch is None else (np.random.Generator, pytorch.Generator)
    found = [getattr(generator, "numpy", generator) for generator in given]
    return list({id(g): g for g in found if isinstance(g, kinds)}.values())


def _state_of(generator: Any) -> Any:
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return np.array(generator.get_state().numpy())


def get_streams() -> dict[str, Any]:
    """The seed, and how often each purpose has asked for a stream: where Ranvier's own random numbers stand."""
    return {"seed": get_seed(), "chosen": chosen_seed(), "counters": dict(source().counters)}


def set_streams(state: Mapping[str, Any]) -> None:
    """Go on from where `get_streams` was called. Raises ValueError for a seed that is none."""
    seed = checked(state["seed"])
    counters = {str(purpose): int(n) for purpose, n in state["counters"].items()}
    current = source()
    current.seed, current.chosen = seed, state["chosen"]
    current.counters.clear()
    current.counters.update(counters)


def get_state(*generators: Any) -> dict[str, Any]:
    """Where all random numbers stand: the seed and what was drawn from it, and the global states of NumPy, Python and,
    where it is imported, PyTorch.

    ``generators`` are others that belong to it.
    """
    pytorch = _pytorch()
    return {
        "own": [_state_of(g) for g in generators],
        **get_streams(),
        "numpy": np.random.get_state(legacy=False),  # noqa: NPY002  # what a user's generator may draw from
        "python": random.getstate(),
        "pytorch": None if pytorch is None else _state_of(pytorch.default_generator),
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


def set_generator(generator: Any, state: Any) -> None:
    """Let a generator go on from this state. Raises ValueError or TypeError for what is none of its kind."""
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = bounded(state)
        return
    try:
        generator.set_state(_pytorch().from_numpy(np.array(state, np.uint8)))
    except RuntimeError as error:
        raise ValueError(f"no state of a generator of PyTorch's: {error}") from None


def set_state(state: Mapping[str, Any], *generators: Any) -> None:
    """Go on from where `get_state` was called, in this process or in another."""
    for generator, own in zip(generators, state["own"], strict=True):
        set_generator(generator, own)
    set_streams(state)
    np.random.set_state(bounded(state["numpy"]))  # type: ignore[arg-type]  # noqa: NPY002  # as above
    random.setstate(state["python"])
    pytorch = _pytorch()
    if pytorch is not None and state["pytorch"] is not None:
        set_generator(pytorch.default_generator, state["pytorch"])


def scatter_globals() -> None:
    """Put the global generators of NumPy, Python and PyTorch somewhere else, where a new process would find them."""
    np.random.seed(None)  # noqa: NPY002  # what a user's generator may draw from
    random.seed()
    pytorch = _pytorch()
    if pytorch is not None:
        pytorch.default_generator.seed()


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
        return np.random.Generator(np.random.Philox(checked(seed)))
    counters = source().counters
    number = counters[purpose]
    counters[purpose] += 1
    sequence = np.random.SeedSequence(get_seed(), spawn_key=(zlib.crc32(purpose.encode()), number))
    return np.random.Generator(np.random.Philox(sequence))


def shuffling(rows: Any, generator: np.random.Generator) -> Callable[[], Any]:
    """Begin to put the numbers of an int32 array into random order; of the generator it takes one number.

    What is returned gives the order, a new array.
    """
    return engines.shuffled(rows, _drawn(generator), beside=True)


def shuffled(rows: Any, generator: np.random.Generator, into: Any = None) -> Any:
    """int32 numbers in random order, in a new array or in ``into``; of the generator it takes one number."""
    order: Any = engines.shuffled(rows, _drawn(generator), into=into)()
    return order


def _drawn(generator: np.random.Generator) -> int:
    return int(generator.integers(2**64, dtype=np.uint64))


@functools.lru_cache(64)  # a dropout of an explicit loop asks at each call
def fold(seed: int) -> int:
    """A seed of up to 64 bits as the 32 bits that the primitive ``random`` takes."""
    return int(np.random.SeedSequence(seed).generate_state(1, np.uint32)[0])


def next_stream(purpose: str = "stream") -> int:
    """A stream number that was not used since the seed was set."""
    counters = source().counters
    number = counters[purpose]
    counters[purpose] += 1
    return number % 2**32


def of_a_run(purpose: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """What `traced_draws` of a run that does not train start from: a seed, and the number of its first batch.

    uint32 scalars, of which the program counts the second on; it is another in each call for one purpose
    ("prediction", "evaluation"), whatever is asked for others. A layer with a seed of its own depends on it alone.
    """
    salt = fold(get_seed()) ^ zlib.crc32(purpose.encode())
    first = next_stream(purpose) * BATCHES % 2**32
    return np.asarray(salt, np.uint32), np.asarray(first, np.uint32)


def draw(seed: int | None = None) -> tuple[Tensor, Tensor]:
    """Seed and stream for one use of the primitive ``random``, as uint32 scalars; each call another stream.

    With ``seed`` the streams are counted for that seed alone. While `traced_draws` listens, the pair is also noted
    there, so that a compiled loop can put a number that changes from step to step in the stream's place.
    """
    purpose = "stream" if seed is None else f"stream of {seed}"
    pair = (
        Tensor.wrap(np.asarray(fold(get_seed() if seed is None else checked(seed)), np.uint32)),
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

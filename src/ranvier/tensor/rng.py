"""Random numbers: one seed for the process, from which every purpose derives its streams.

Inside programs randomness is a pure function of (seed, stream, element): `draw` returns seed and stream. Outside,
`numpy_generator` returns NumPy generators. Nothing depends on the process, on hashing, or on the order of purposes.
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
from ranvier.graph.node import Node, apply, like
from ranvier.support import processes
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor

STEP = 0x9E3779B9  # between the seeds of two steps of a loop: odd, so that 2**32 steps have different seeds
BATCHES_PER_RUN = 1 << 16  # stream numbers reserved for the batches of one run


class SeedState:
    """A seed and, by purpose, the number of streams drawn from it. None as ``seed`` is replaced at the first use.

    ``chosen`` is the seed as the user wrote it; None where the system drew it. ``times`` is how often one was set.
    """

    def __init__(self, seed: int | None = None, chosen: int | str | None = None) -> None:
        self.seed, self.chosen = seed, chosen
        self.counters: Counter[str] = Counter()
        self.times = 0


class _Local(threading.local):
    def __init__(self) -> None:
        self.state: SeedState | None = None  # set by `seed_scope`, and by `set_seed` in a thread
        self.listeners: list[list[tuple[Tensor, Tensor]]] = []  # see `traced_draws`
        self.step: Tensor | None = None  # see `in_step`


_process = SeedState()
_local = _Local()


def current_state() -> SeedState:
    """The state that this thread draws from: its own, else the process's."""
    return _local.state or _process


class RunStreams:
    """The streams of the runs of one model in threads that have no seed of their own.

    The first one continues from where the streams were when this object was made, or from a seed that was set since,
    and the next one from its end. So a run is the same whatever else draws meanwhile, and the same as if it were alone.
    """

    def __init__(self) -> None:
        self.origin = current_state()
        self.times, self.counters = self.origin.times, Counter(self.origin.counters)
        self.state: SeedState | None = None

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Within this context a thread draws from these streams; the main thread, and one with a seed, as usual."""
        if _local.state is not None or threading.current_thread() is threading.main_thread():
            yield
            return
        if self.times != self.origin.times:
            self.times, self.counters, self.state = self.origin.times, Counter(), None
        if self.state is None:
            self.state = SeedState(seed_of(self.origin), self.origin.chosen)
            self.state.counters = Counter(self.counters)
        with seed_scope(self.state):
            yield


@contextlib.contextmanager
def seed_scope(seed: int | SeedState) -> Iterator[SeedState]:
    """Within this context everything random in this thread is a function of ``seed`` alone.

    The process's state and other threads are not affected. The state that the context returns can be entered again,
    also in another thread, and continues where it was left.
    """
    before = _local.state
    _local.state = seed if isinstance(seed, SeedState) else SeedState(check_seed(seed), int(seed))
    try:
        yield _local.state
    finally:
        _local.state = before


def check_seed(seed: Any, fix: str = "seed=0", bits: int = 64) -> int:
    """A seed as an int. Raises ValueError unless it is an integer from 0 to 2**bits - 1.

    ``fix`` is what the error tells the user to write.
    """
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or not 0 <= int(seed) < 2**bits:
        raise ValueError(f"seed {seed!r} is not an integer from 0 to 2**{bits} - 1. Write {fix}, for example, instead.")
    return int(seed)


def set_seed(seed: int) -> None:
    """Make everything random from here on a function of ``seed`` alone: weights, shuffling, dropout.

    In another thread than the main one it is the seed of that thread. Raises ValueError unless it is an integer from 0
    to 2**64 - 1.
    """
    checked = check_seed(seed, "set_seed(0)")
    if _local.state is None and threading.current_thread() is not threading.main_thread():
        _local.state = SeedState()
    current = current_state()
    current.seed = current.chosen = checked
    current.times += 1
    current.counters.clear()


def chosen_seed() -> int | str | None:
    """The seed as the user set it; None where the system drew one."""
    return current_state().chosen


def get_seed() -> int:
    """The seed. Where none was set, the system draws one once."""
    return seed_of(current_state())


def seed_of(state: SeedState) -> int:
    if state.seed is None:
        state.seed = secrets.randbits(63) if processes.group is None else processes.group.seed
    return state.seed


def _pytorch() -> Any:
    """PyTorch, whose loaders draw from its own generators, if the program has imported it; else None.

    The name ``torch`` in ``sys.modules`` may also stand for `ranvier.torch`.
    """
    module = sys.modules.get("torch")
    known = getattr(module, "__name__", "") == "torch" and hasattr(module, "default_generator")
    return module if known else None


def generators_of(source: Any) -> list[Any]:
    """The generators, of NumPy or PyTorch, that were given to a data loader or its samplers."""
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
    """The state of Ranvier's own random numbers: the seed, and the streams drawn so far by purpose."""
    return {"seed": get_seed(), "chosen": chosen_seed(), "counters": dict(current_state().counters)}


def set_streams(state: Mapping[str, Any]) -> None:
    """Continue from where `get_streams` was called. Raises ValueError for an invalid seed."""
    seed = check_seed(state["seed"])
    counters = {str(purpose): int(n) for purpose, n in state["counters"].items()}
    current = current_state()
    current.seed, current.chosen = seed, state["chosen"]
    current.counters.clear()
    current.counters.update(counters)


def get_state(*generators: Any) -> dict[str, Any]:
    """The state of all random numbers: `get_streams`, the global generators of NumPy, Python and, where it is imported,
    PyTorch, and the given ``generators``.
    """
    pytorch = _pytorch()
    return {
        "own": [_state_of(g) for g in generators],
        **get_streams(),
        "numpy": np.random.get_state(legacy=False),  # noqa: NPY002  # user code may draw from it
        "python": random.getstate(),
        "pytorch": None if pytorch is None else _state_of(pytorch.default_generator),
    }


def _check_positions(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state of a NumPy generator. Raises ValueError for buffer positions out of range, which NumPy accepts."""
    for part in (state, state["state"]):
        for name, length in (("pos", 624), ("buffer_pos", 4)):
            if not 0 <= part.get(name, 0) <= length:
                raise ValueError(f"a generator's {name} of {part[name]!r}, which is beyond its buffer")
    return state


def set_generator_state(generator: Any, state: Any) -> None:
    """Set the state of a generator. Raises ValueError or TypeError for the state of another kind of generator."""
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = _check_positions(state)
        return
    try:
        generator.set_state(_pytorch().from_numpy(np.array(state, np.uint8)))
    except RuntimeError as error:
        raise ValueError(f"no state of a generator of PyTorch's: {error}") from None


def set_state(state: Mapping[str, Any], *generators: Any) -> None:
    """Continue from where `get_state` was called, in this process or in another."""
    for generator, own in zip(generators, state["own"], strict=True):
        set_generator_state(generator, own)
    set_streams(state)
    np.random.set_state(_check_positions(state["numpy"]))  # type: ignore[arg-type]  # noqa: NPY002  # as above
    random.setstate(state["python"])
    pytorch = _pytorch()
    if pytorch is not None and state["pytorch"] is not None:
        set_generator_state(pytorch.default_generator, state["pytorch"])


def reseed_globals() -> None:
    """Seed the global generators of NumPy, Python and PyTorch from the system, as a new process does."""
    np.random.seed(None)  # noqa: NPY002  # user code may draw from it
    random.seed()
    pytorch = _pytorch()
    if pytorch is not None:
        pytorch.default_generator.seed()


@contextlib.contextmanager
def restored_streams() -> Iterator[None]:
    """Within this context streams are drawn as usual; after it the same ones are drawn again.

    Tracing a program draws streams that the program then replaces. So nothing depends on how often it is traced.
    """
    counters = current_state().counters
    before = {p: n for p, n in counters.items() if p.startswith("stream")}
    try:
        yield
    finally:
        for purpose in [p for p in counters if p.startswith("stream")]:
            del counters[purpose]
        counters.update(before)


def numpy_generator(purpose: str, seed: int | None = None) -> np.random.Generator:
    """A new generator: the next for this purpose ("initializer", "shuffle", ...), or the one of ``seed``."""
    if seed is not None:
        return np.random.Generator(np.random.Philox(check_seed(seed)))
    counters = current_state().counters
    number = counters[purpose]
    counters[purpose] += 1
    sequence = np.random.SeedSequence(get_seed(), spawn_key=(zlib.crc32(purpose.encode()), number))
    return np.random.Generator(np.random.Philox(sequence))


def start_shuffle(rows: Any, generator: np.random.Generator) -> Callable[[], Any]:
    """Start to shuffle the elements of an int32 array in the background; draws one number from the generator.

    Calling the result waits for the shuffled copy and returns it.
    """
    return engines.shuffled(rows, _draw_seed(generator), background=True)


def shuffled(rows: Any, generator: np.random.Generator, into: Any = None) -> Any:
    """int32 elements in random order, as a copy or in ``into``; draws one number from the generator."""
    order: Any = engines.shuffled(rows, _draw_seed(generator), into=into)()
    return order


def _draw_seed(generator: np.random.Generator) -> int:
    return int(generator.integers(2**64, dtype=np.uint64))


@functools.lru_cache(64)  # dropout in an explicit loop asks at each call
def fold_seed(seed: int) -> int:
    """A seed of up to 64 bits, hashed to the 32 bits that the primitive ``random`` takes."""
    return int(np.random.SeedSequence(seed).generate_state(1, np.uint32)[0])


def next_stream(purpose: str = "stream") -> int:
    """A stream number that has not been used since the seed was set."""
    counters = current_state().counters
    number = counters[purpose]
    counters[purpose] += 1
    return number % 2**32


def run_stream(purpose: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The seed and the first batch number of a run that does not train, as uint32 scalars for its `traced_draws`.

    The program increments the batch number. Each call for a purpose ("prediction", "evaluation") gets other numbers,
    independent of other purposes. A layer with its own seed depends on the batch number alone.
    """
    salt = fold_seed(get_seed()) ^ zlib.crc32(purpose.encode())
    first = next_stream(purpose) * BATCHES_PER_RUN % 2**32
    return np.asarray(salt, np.uint32), np.asarray(first, np.uint32)


def draw(seed: int | None = None) -> tuple[Tensor, Tensor]:
    """Seed and stream for one use of the primitive ``random``, as uint32 scalars. Each call returns a new stream.

    With ``seed`` the streams are counted for that seed alone. `traced_draws` records the pair, so that a compiled loop
    can replace the stream with a number that changes from step to step.
    """
    purpose = "stream" if seed is None else f"stream of {seed}"
    pair = (
        Tensor.wrap(np.asarray(fold_seed(get_seed() if seed is None else check_seed(seed)), np.uint32)),
        Tensor.wrap(np.asarray(next_stream(purpose), np.uint32)),
    )
    for listener in _local.listeners:
        listener.append(pair)
    return pair if _local.step is None else (_moved(pair[0], _local.step), pair[1])


@function
def _moved(seed: Node, step: Node) -> Node:
    """The seed of one step of a loop."""
    return seed + apply("reshape", step, shape=()) * like(seed, STEP)


@contextlib.contextmanager
def in_step(number: Tensor | None) -> Iterator[None]:
    """Within this context, where the body of a loop is recorded, draws are those of a step of this number.

    With None they are the same in all steps.
    """
    before = _local.step
    _local.step = number
    try:
        yield
    finally:
        _local.step = before


@contextlib.contextmanager
def traced_draws() -> Iterator[list[tuple[Tensor, Tensor]]]:
    """The (seed, stream) leaves drawn within this context, in order."""
    listener: list[tuple[Tensor, Tensor]] = []
    _local.listeners.append(listener)
    try:
        yield listener
    finally:
        _local.listeners.pop(next(i for i, known in enumerate(_local.listeners) if known is listener))

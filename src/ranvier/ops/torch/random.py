"""``torch.random``: the seed and the random state of the process, and generators with states of their own."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from ranvier.ops.draws import generator_of
from ranvier.ops.torch.device import check_device
from ranvier.support.constructors import CheckedConstructor
from ranvier.tensor.rng import get_seed, get_streams, numpy_generator, set_generator_state, set_seed, set_streams
from ranvier.tensor.tensor import Tensor


def manual_seed(seed: Any) -> Generator:
    """Make everything random from here on a function of ``seed``: the same as ``rv.set_seed(seed)``.

    Any number that ``int`` takes, from -2**63 to 2**64 - 1; those below 0 are counted from 2**64. Returns the
    generator of the process.
    """
    return default_generator.manual_seed(seed)


def _seed_of(seed: Any, fix: str) -> int:
    """PyTorch's seed as one of 64 bits. Raises ValueError for anything else."""
    try:
        number = int(seed)
    except (TypeError, ValueError, OverflowError):
        number = 2**64
    if not -(2**63) <= number < 2**64:
        raise ValueError(f"seed {seed!r} is no number from -2**63 to 2**64 - 1. Write {fix}, for example, instead.")
    return number % 2**64


def initial_seed() -> int:
    """The seed that everything random is a function of."""
    return default_generator.initial_seed()


def seed() -> int:
    """Set a seed that the system draws, and return it."""
    return default_generator.seed()


def _drawn() -> int:
    return int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> np.uint64(1))


def get_rng_state() -> Tensor:
    """The random state of the process (weights, shuffling, dropout) for a checkpoint: uint8, (n,).

    n grows with the number of purposes that have drawn. A `Generator` has its own ``get_state()``.
    """
    return _as_bytes("get_rng_state", get_streams())


def set_rng_state(new_state: Any) -> None:
    """Restore the state that `get_rng_state` returned, in this process or another.

    Raises ValueError for anything else.
    """
    set_streams(_from_bytes("get_rng_state", new_state))


def _as_bytes(kind: str, state: dict[str, Any]) -> Tensor:
    """A state as the bytes of a text: JSON, whose whole numbers may be of any size."""
    text = json.dumps({kind: state}, default=np.ndarray.tolist)
    return Tensor.wrap(np.frombuffer(text.encode(), np.uint8).copy())


def _from_bytes(kind: str, given: Any) -> Any:
    values = np.asarray(given)
    try:
        if values.dtype != np.uint8:
            raise ValueError(f"its dtype is {values.dtype}")
        return json.loads(values.tobytes())[kind]
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"a state that torch.{kind}() did not give ({error}). Write what it gave, a uint8 tensor, instead."
        ) from None


@contextlib.contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, **_: Any) -> Iterator[None]:
    """A context after which the random numbers go on as if nothing was drawn within; not with ``enabled=False``."""
    del devices
    before = get_rng_state()
    try:
        yield
    finally:
        if enabled:
            set_rng_state(before)


class Generator(CheckedConstructor):
    """A random generator with its own state, for ``DataLoader``, ``randn`` and similar functions."""

    numpy: Any  # NumPy's generator; None for the process's

    def __init__(self, device: Any = "cpu") -> None:
        check_device(device)
        self.numpy = np.random.Generator(np.random.Philox(0))
        self._seed = 0

    def manual_seed(self, seed: Any) -> Self:
        """Restart from ``seed``: any number that `manual_seed` takes."""
        self._seed = _seed_of(seed, "torch.Generator().manual_seed(0)")
        # The object stays the same: a run that holds it for its checkpoints draws from the new seed.
        self.numpy.bit_generator.state = np.random.Philox(self._seed).state
        return self

    def initial_seed(self) -> int:
        """The seed that it was given last."""
        return self._seed

    def seed(self) -> int:
        """Restart from a seed drawn by the system, and return it."""
        self.manual_seed(_drawn())
        return self._seed

    def get_state(self) -> Tensor:
        """The state for a checkpoint: uint8, (n,)."""
        return _as_bytes("Generator.get_state", {"seed": self._seed, "numpy": self.numpy.bit_generator.state})

    def set_state(self, new_state: Any) -> None:
        """Restore the state that `get_state` returned. Raises ValueError for anything else."""
        state = _from_bytes("Generator.get_state", new_state)
        place = state["numpy"]
        place["state"] = {name: np.array(words, np.uint64) for name, words in place["state"].items()}
        place["buffer"] = np.array(place["buffer"], np.uint64)
        set_generator_state(self.numpy, place)
        self._seed = int(state["seed"])


class _Process(Generator):
    """The process's generator, for all that is given no other."""

    def __init__(self) -> None:
        self.numpy = None

    def manual_seed(self, seed: Any) -> Self:
        set_seed(_seed_of(seed, "torch.manual_seed(0)"))
        return self

    def initial_seed(self) -> int:
        return get_seed()

    def seed(self) -> int:
        drawn = _drawn()
        set_streams({"seed": drawn, "chosen": None, "counters": {}})
        return drawn

    def get_state(self) -> Tensor:
        return get_rng_state()

    def set_state(self, new_state: Any) -> None:
        set_rng_state(new_state)


default_generator = _Process()


def checked_generator(generator: Any) -> Any:
    """The given generator, or None. Raises TypeError for anything but a `Generator`."""
    if generator is None or isinstance(generator, Generator):
        return generator
    raise TypeError(
        f"generator={generator!r} is no ranvier.torch.Generator. Write generator=torch.Generator().manual_seed(0) "
        "instead."
    )


def drawer_of(generator: Any) -> Any:
    """What tensors are drawn from: see `ranvier.ops.draws`."""
    given: Generator | None = checked_generator(generator)
    return generator_of(None if given is None else given.numpy)


def numpy_of(generator: Any, purpose: str) -> np.random.Generator:
    """What is drawn from: the given generator, or the next of the process's seed for this purpose."""
    given: Generator | None = checked_generator(generator)
    own = None if given is None else given.numpy
    return numpy_generator(purpose) if own is None else own

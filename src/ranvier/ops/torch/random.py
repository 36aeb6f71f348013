"""``torch.random``: the seed of the process and where its random numbers stand, and generators apart from it."""

from __future__ import annotations

import json
from typing import Any, Self

import numpy as np

from ranvier.ops.torch.device import check_device
from ranvier.support.constructors import CheckedConstructor
from ranvier.tensor.rng import (
    get_seed,
    get_streams,
    numpy_generator,
    set_generator_state,
    set_seed,
    set_streams,
)
from ranvier.tensor.tensor import Tensor

__all__ = [
    "Generator", "default_generator", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state",
]  # fmt: skip


def manual_seed(seed: Any) -> Generator:
    """Make everything random from here on a function of ``seed``: the same as ``rv.set_seed(seed)``.

    Any number that ``int`` takes, from -2**63 to 2**64 - 1; those below 0 are counted from 2**64. Returns the
    generator of the process.
    """
    return default_generator.manual_seed(seed)


def _seed_of(seed: Any, fix: str) -> int:
    """A seed as PyTorch takes it, as one of 64 bits. Raises ValueError for what is none."""
    try:
        number = int(seed)
    except (TypeError, ValueError, OverflowError):
        number = 2**64
    if not -(2**63) <= number < 2**64:
        raise ValueError(
            f"seed {seed!r} is no number from -2**63 to 2**64 - 1. Write {fix}, for example, instead."
        )
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
    """Where the random numbers of the process stand, for a checkpoint: weights, shuffling, dropout; uint8, (n,).

    n grows with the number of purposes that have drawn. What a `Generator` draws stands in its ``get_state()``.
    """
    return _as_bytes("get_rng_state", get_streams())


def set_rng_state(new_state: Any) -> None:
    """Go on from where `get_rng_state` was called, in this process or in another.

    Raises ValueError for what is no such state.
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


class Generator(CheckedConstructor):
    """A source of random numbers of its own, for ``DataLoader``, ``randn`` and their kin."""

    numpy: Any  # what is drawn from, a generator of NumPy's; None for that of the process's seed

    def __init__(self, device: Any = "cpu") -> None:
        check_device(device)
        self.numpy = np.random.Generator(np.random.Philox(0))
        self._seed = 0

    def manual_seed(self, seed: Any) -> Self:
        """Begin anew, as a function of ``seed``: any number that `manual_seed` takes."""
        self._seed = _seed_of(seed, "torch.Generator().manual_seed(0)")
        # The same object goes on: a run that keeps it for its backups draws from what is seeded now.
        self.numpy.bit_generator.state = np.random.Philox(self._seed).state
        return self

    def initial_seed(self) -> int:
        """The seed that it was given last."""
        return self._seed

    def seed(self) -> int:
        """Begin anew with a seed that the system draws, and return it."""
        self.manual_seed(_drawn())
        return self._seed

    def get_state(self) -> Tensor:
        """Where it stands, for a checkpoint: uint8, (n,)."""
        return _as_bytes("Generator.get_state", {"seed": self._seed, "numpy": self.numpy.bit_generator.state})

    def set_state(self, new_state: Any) -> None:
        """Go on from where `get_state` was called. Raises ValueError for what is no such state."""
        state = _from_bytes("Generator.get_state", new_state)
        place = state["numpy"]
        place["state"] = {name: np.array(words, np.uint64) for name, words in place["state"].items()}
        place["buffer"] = np.array(place["buffer"], np.uint64)
        set_generator_state(self.numpy, place)
        self._seed = int(state["seed"])


class _Process(Generator):
    """What everything draws from that was given no generator of its own: the seed of the process."""

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
    """What was given as a generator, None too. Raises TypeError for what is no `Generator`."""
    if generator is None or isinstance(generator, Generator):
        return generator
    raise TypeError(
        f"generator={generator!r} is no ranvier.torch.Generator. Write generator=torch.Generator().manual_seed(0) "
        "instead."
    )


def numpy_of(generator: Any, purpose: str) -> np.random.Generator:
    """What is drawn from: the given generator, or the next of the process's seed for this purpose."""
    given: Generator | None = checked_generator(generator)
    own = None if given is None else given.numpy
    return numpy_generator(purpose) if own is None else own

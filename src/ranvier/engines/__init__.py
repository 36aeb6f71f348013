"""Engines run graphs. Each is a module with a row in `NAMES`.

An engine must have ``compile(graph, batch) -> Program``. It may have ``target()``, a hashable description of what its
programs are compiled for, and ``shuffled(rows, seed, *, background, into)``, a faster `ranvier.graph.random.shuffle`.
An engine of another library has a row in `LIBRARIES`, too. Its ``compile`` takes a device, which follows the engine's
name after a colon: ``"torch:cuda:0"``. The native engine shuffles for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol

from ranvier.engines.placement import get_placement
from ranvier.graph.graph import Graph, Key
from ranvier.graph.random import shuffle
from ranvier.support import forks as forks  # a fork waits for imports, also before an engine is imported
from ranvier.support.changes import counted
from ranvier.support.exits import finite

NAMES = {
    "native": "ranvier.engines.native",
    "reference": "ranvier.engines.reference",
    "jax": "ranvier.engines.jax",
    "torch": "ranvier.engines.torch",
    "tensorflow": "ranvier.engines.tensorflow",
}


class Library(NamedTuple):
    """What an engine needs: a library by its name, the first release with all that is used of it, and our extra."""

    name: str
    least: tuple[int, int]
    extra: str
    packages: tuple[str, ...]
    """The packages that may carry it."""


LIBRARIES = {
    "jax": Library("JAX", (0, 8), "jax", ("jax",)),
    "torch": Library("PyTorch", (2, 6), "torch", ("torch",)),
    "tensorflow": Library("TensorFlow", (2, 19), "keras", ("tensorflow", "tensorflow-cpu", "tensorflow-macos")),
}
"""The engines that run on other libraries, which are imported when a program is compiled."""


DISTRIBUTED = "jax"
"""The engine that divides a model among devices and processes."""


class Program(Protocol):
    """A compiled graph.

    ``run`` executes steps ``start`` to ``stop``: step i sees rows [i*batch, min((i+1)*batch, total)) of each windowed
    input and writes the same rows of each output whose first dimension is the batch. Other outputs hold the last
    step's value. Updated inputs are written in place. ``arrays`` and ``outputs`` follow the graph's order.

    Where a ``check`` of the graph fails, the error of its rule (`ranvier.graph.checks`) is raised: the inputs then hold
    what the steps before have written, and the outputs anything.
    """

    def run(
        self, arrays: Sequence[Any], outputs: Sequence[Any], start: int = 0, stop: int = 1, total: int | None = None
    ) -> None: ...


_default: str | None = None
# What `os.environ` holds: it takes a microsecond to say that a variable is not set, in each step of a loop.
_environment: Any = getattr(os.environ, "_data", os.environ)
_IN_ENVIRONMENT = os.environ.encodekey("RANVIER_ENGINE") if _environment is not os.environ else "RANVIER_ENGINE"


def set_engine(name: str | None, device: str | None = None) -> None:
    """Choose the default engine: "native", "reference", "jax", "torch", "tensorflow", or None for what RANVIER_ENGINE
    names, else native.

    ``device`` is one of the engine's library, as that names it: ``set_engine("torch", device="cuda:0")``. With
    ``engine=`` of `compile` and RANVIER_ENGINE it follows the name: ``"torch:cuda:0"``.
    """
    global _default
    if device is not None:
        name = f"{name}:{device}"
    if name is not None:
        check(name)
    _default = name
    counted[0] += 1


def check(name: str) -> str:
    """The name of an engine, with or without a device. Raises an error if it cannot run here."""
    if name in NAMES and name not in LIBRARIES:
        return name
    engine, _, device = name.partition(":")
    if engine not in NAMES:
        raise ValueError(f"engine {name!r} does not exist. Write one of {', '.join(map(repr, NAMES))}.")
    if engine not in LIBRARIES:
        raise ValueError(f"engine {engine!r} takes no device, and was given {device!r}. Write {engine!r} instead.")
    _check_library(engine)
    if device:
        import_module(NAMES[engine]).device_of(device)
    return name


@cache
def _check_library(engine: str) -> None:
    """Raise an error if the library of an engine is not installed, or is too old."""
    library = LIBRARIES[engine]
    found = {d for d in library.packages if find_spec(library.packages[0]) and _release(d)}
    least, what = ".".join(map(str, library.least)), f"pip install --upgrade 'ranvier[{library.extra}]'"
    if not found:
        raise ModuleNotFoundError(
            f"engine {engine!r} needs {library.name} {least} or newer, which is not installed. Write: {what}",
            name=library.packages[0],
        )
    release = max(_release(d) for d in found)
    if release < library.least:
        now = ".".join(map(str, release))
        raise ImportError(
            f"engine {engine!r} needs {library.name} {least} or newer, and {now} is installed. Write: {what}"
        )


def _release(package: str) -> tuple[int, ...]:
    """The first two numbers of a package's version; empty if it is not installed."""
    from importlib import metadata

    try:
        return tuple(int(part) for part in metadata.version(package).split(".")[:2])
    except metadata.PackageNotFoundError:
        return ()


def get_engine() -> str:
    """The name of the default engine, with its device if one was chosen."""
    if _default is not None:
        return _default
    return check(os.environ["RANVIER_ENGINE"] or "native") if _IN_ENVIRONMENT in _environment else "native"


def _module(name: str | None) -> Any:
    with finite.busy():  # the import of PyTorch and its kin takes seconds
        return import_module(NAMES[check(name or get_engine()).partition(":")[0]])


def compile(graph: Graph, batch: int | None = None, engine: str | None = None) -> Program:
    """Compile ``graph``. ``batch`` is the most rows that a step sees."""
    engine = engine or get_engine()
    name, _, device = engine.partition(":")
    placement = get_placement()
    if placement is not None and any(node.attrs["windowed"] for node in graph.inputs):
        if engine != DISTRIBUTED:
            raise ValueError(
                f"a distribution is set, which runs on engine {DISTRIBUTED!r}, and this model runs on {engine!r}. "
                f"Write rv.set_engine({DISTRIBUTED!r}) or compile(engine={DISTRIBUTED!r}), or "
                "rv.distribution.set_distribution(None), instead."
            )
        sharded: Program = import_module(f"{NAMES[name]}_sharded").ShardedJaxProgram(graph, batch, placement)
        return sharded
    program: Program = _module(engine).compile(graph, batch, *([device] if device else []))
    return program


_shared: dict[Key, Program] = {}  # in the order of their last use
MAX_SHARED = 64


def shared(graph: Graph, batch: int | None = None, engine: str | None = None) -> Program:
    """A compiled program that all graphs of one structure share: models that differ in their numbers alone.

    Programs may run in several threads at once and hold no state of their callers.
    """
    engine = check(engine or get_engine())
    target = getattr(_module(engine), "target", None)
    key = Key((engine, target() if target is not None else None, get_placement(), batch, graph.key()))
    program = _shared.get(key) or compile(graph, batch, engine)
    _shared.pop(key, None)
    _shared[key] = program
    for old in list(_shared)[:-MAX_SHARED]:  # pop: another thread may have removed it
        _shared.pop(old, None)
    return program


def shuffled(
    rows: Any, seed: int, engine: str | None = None, *, background: bool = False, into: Any = None
) -> Callable[[], Any]:
    """Shuffle int32 numbers by ``seed`` (64 bits) alone: every engine gives the same order.

    The result is a function that returns the order: the array ``into``, or a new one. With ``background``, another
    thread may compute it, and the function waits for it.
    """
    name = (engine or get_engine()).partition(":")[0]
    own = getattr(_module("native" if name in LIBRARIES else name), "shuffled", None)
    if own is not None:
        order: Callable[[], Any] = own(rows, seed, background=background, into=into)
        return order
    numbers = shuffle(rows, seed, into)
    return lambda: numbers

"""Engines run graphs. Each is a module with a row in `NAMES`.

An engine must have ``compile(graph, batch) -> Program``. It may have ``target()``, a hashable description of what its
programs are compiled for, and ``shuffled(rows, seed, *, background, into)``, a faster `ranvier.graph.random.shuffle`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Protocol

from ranvier.graph.graph import Graph
from ranvier.graph.random import shuffle
from ranvier.support import forks as forks  # a fork waits for imports, also before an engine is imported

NAMES = {"native": "ranvier.engines.native", "reference": "ranvier.engines.reference"}


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


def set_engine(name: str | None) -> None:
    """Choose the default engine: "native", "reference", or None for what RANVIER_ENGINE names, else native."""
    global _default
    if name is not None:
        check(name)
    _default = name


def check(name: str) -> str:
    if name not in NAMES:
        raise ValueError(f"engine {name!r} does not exist. Write one of {', '.join(map(repr, NAMES))}.")
    return name


def get_engine() -> str:
    """The name of the default engine."""
    return _default or check(os.environ.get("RANVIER_ENGINE") or "native")


def _module(name: str | None) -> Any:
    return import_module(NAMES[check(name or get_engine())])


def compile(graph: Graph, batch: int | None = None, engine: str | None = None) -> Program:
    """Compile ``graph``. ``batch`` is the most rows that a step sees."""
    program: Program = _module(engine).compile(graph, batch)
    return program


_shared: dict[Any, Program] = {}  # in the order of their last use
MAX_SHARED = 64


def shared(graph: Graph, batch: int | None = None, engine: str | None = None) -> Program:
    """A compiled program that all graphs of one structure share: models that differ in their numbers alone.

    Programs may run in several threads at once and hold no state of their callers.
    """
    engine = check(engine or get_engine())
    target = getattr(_module(engine), "target", None)
    key = (engine, target() if target is not None else None, batch, graph.key())
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
    own = getattr(_module(engine), "shuffled", None)
    if own is not None:
        order: Callable[[], Any] = own(rows, seed, background=background, into=into)
        return order
    numbers = shuffle(rows, seed, into)
    return lambda: numbers

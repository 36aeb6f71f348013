"""Engines run graphs. Each is one table, primitive -> execution, and one loop."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Protocol

from ranvier.graph.graph import Graph

NAMES = {"native": "ranvier.engines.native", "reference": "ranvier.engines.reference"}


class Program(Protocol):
    """A compiled graph.

    ``run`` executes steps ``start`` to ``stop``: step i sees rows [i*batch, min((i+1)*batch, total)) of each windowed
    input and writes the same rows of each output whose first dimension is the batch. Other outputs hold the last
    step's value. Updated inputs are written in place. ``arrays`` and ``outputs`` follow the graph's order.
    """

    def run(
        self,
        arrays: Sequence[Any],
        outputs: Sequence[Any],
        start: int = 0,
        stop: int = 1,
        total: int | None = None,
    ) -> None: ...


_default: str | None = None


def set_engine(name: str | None) -> None:
    """Choose the engine used where none is named: "native", "reference", or None for RANVIER_ENGINE's or native."""
    global _default
    if name is not None:
        check(name)
    _default = name


def check(name: str) -> str:
    if name not in NAMES:
        raise ValueError(f"engine {name!r} does not exist. Write one of {', '.join(map(repr, NAMES))}.")
    return name


def get_engine() -> str:
    """The engine used where none is named."""
    return _default or check(os.environ.get("RANVIER_ENGINE") or "native")


_shared: dict[Any, Program] = {}
SHARED = 64  # programs kept for graphs that come again


def compile(graph: Graph, batch: int | None = None, engine: str | None = None) -> Program:
    """Make ``graph`` ready to run. ``batch`` is the most rows that a step sees."""
    program: Program = import_module(NAMES[check(engine or get_engine())]).compile(graph, batch)
    return program


def shared(graph: Graph, batch: int | None = None, engine: str | None = None) -> Program:
    """What `compile` makes, once for all graphs of one structure: models that differ in their numbers share a program.

    Programs may run in several threads at once and hold nothing of those who ran them.
    """
    engine = check(engine or get_engine())
    key = (engine, import_module(NAMES[engine]).target(), batch, graph.key())
    program = _shared.get(key) or compile(graph, batch, engine)
    _shared.pop(key, None)
    _shared[key] = program  # the last one used stands last
    for old in list(_shared)[:-SHARED]:  # other threads may be here too: the list is theirs as much as ours
        _shared.pop(old, None)
    return program


def shuffled(
    rows: Any, seed: int, engine: str | None = None, *, beside: bool = False, into: Any = None
) -> Callable[[], Any]:
    """Put int32 numbers into an order that ``seed`` (64 bits) alone decides, the same by every engine.

    What is returned gives the order: the array ``into``, or one of its own. With ``beside`` another thread may make it,
    and what is returned waits.
    """
    module = import_module(NAMES[check(engine or get_engine())])
    order: Callable[[], Any] = module.shuffled(rows, seed, beside=beside, into=into)
    return order

"""Compiling a program in units, several at once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple

from ranvier.engines.native.runtime import llvm
from ranvier.engines.native.target.target import Target
from ranvier.support.exits import finite

_STACK = 8 << 20  # bytes of a compiling thread's stack: some systems give a thread little
_SWITCH = 2e-4  # seconds


class Unit(NamedTuple):
    """A part of a program as LLVM text, and the functions of other parts that it calls. ``quick``: see `llvm.emit`."""

    text: str
    outside: frozenset[str] = frozenset()
    quick: bool = False


class _Work:
    """The units of a program that wait for a thread, and what became of the others."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.queue = SimpleQueue[tuple[int, Unit] | None]()
        self.objects: dict[int, bytes] = {}
        self.errors: list[Exception] = []

    def compile(self, number: int, unit: Unit) -> None:
        self.objects[number] = llvm.emit(unit.text, self.target, unit.outside, unit.quick)

    def help(self) -> None:
        """Compile what others have put into the queue, up to None."""
        try:
            with finite.busy():  # also if Ctrl-C ends the wait for this thread
                while (item := self.queue.get()) is not None:
                    self.compile(*item)
        except Exception as error:  # noqa: BLE001  # raised in the calling thread
            self.errors.append(error)

    def drain(self) -> None:
        """Compile what is left in the queue."""
        with suppress(Empty):
            while (item := self.queue.get_nowait()) is not None:
                self.compile(*item)


def compile_units(units: Iterable[Unit], target: Target, threads: int) -> list[bytes]:
    """The objects of a program's units, on up to ``threads`` threads. Units are compiled while others are written.

    Raises:
        CompilerError: as `llvm.compile_object`.
    """
    work, helpers = _Work(target), list[threading.Thread]()
    with llvm.exclusive(), _quick_switches():
        try:
            for number, unit in enumerate(units):
                work.queue.put((number, unit))
                if len(helpers) < threads - 1:
                    helpers.append(_helper(work))
                elif not helpers:
                    work.drain()
            work.drain()
        finally:
            for _ in helpers:
                work.queue.put(None)
            for helper in helpers:
                helper.join()
    if work.errors:
        raise work.errors[0]
    return [data for _, data in sorted(work.objects.items())]


@contextmanager
def _quick_switches() -> Iterator[None]:
    """Let a thread that returns from LLVM wait for the interpreter only briefly.

    The thread that writes units keeps the interpreter for as long as it may, which is longer than most calls of LLVM.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(_SWITCH, before))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _helper(work: _Work) -> threading.Thread:
    before = threading.stack_size(_STACK)
    try:
        helper = threading.Thread(target=work.help, name="ranvier-compiler", daemon=True)
        helper.start()
    finally:
        threading.stack_size(before)
    return helper

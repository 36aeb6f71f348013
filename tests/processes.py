"""Programs in processes of their own that start within milliseconds: a server has imported the library, and forks them.

A process begins as a new interpreter does, except that modules are imported already. Tests of imports, of hash seeds,
of how an interpreter starts or ends, and of the command line start Python by ``subprocess``.
"""

from __future__ import annotations

import builtins
import contextlib
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from ranvier.engines import LIBRARIES
from ranvier.tensor.attribute_types import Printing
from tests import house

FORKS = "forkserver" in multiprocessing.get_all_start_methods()  # Windows has none: it starts Python each time
_context: Any = multiprocessing.get_context("forkserver" if FORKS else "spawn")
_HEAVY = {"__main__", "cli", "estimators"}  # a program, and what imports scikit-learn
# These import other libraries, for seconds where they are installed.
_OTHERS = ("ranvier.interop.torch", *(f"ranvier.engines.{name}" for name in LIBRARIES))
if FORKS:
    _light = [name for name in house.files() if house.room_of(name) not in _HEAVY and not name.startswith(_OTHERS)]
    _context.set_forkserver_preload(["numpy.testing", "llvmlite.binding", *_light])


@dataclass(frozen=True)
class Result:
    """What a program printed, and how it ended: ``-signal.SIGKILL`` if it was killed."""

    returncode: int
    stdout: str
    stderr: str


class Running:
    """A program that runs."""

    def __init__(self, process: Any, folder: Path) -> None:
        self._process, self._folder = process, folder
        self.pid: int = process.pid

    def output(self, name: str = "out") -> str:
        """What it has printed so far."""
        return (self._folder / name).read_text(encoding="utf-8")

    def wait_for_output(self) -> None:
        """Until it has printed something, or has ended."""
        while not self.output() and self._process.is_alive():
            time.sleep(0.002)

    def kill(self, signal: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.kill(self.pid, signal)

    def result(self, timeout: float = 300) -> Result:
        """Wait for its end."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
            raise TimeoutError(f"the program took more than {timeout} s:\n{self.output('err')[-3000:]}")
        return Result(self._process.exitcode, self.output("out"), self.output("err"))


def start(
    code: str, *arguments: object, folder: Path, file: str = "<program>", cwd: Path | None = None, **variables: object
) -> Running:
    """Start a program that warns by errors. ``folder`` is an empty one, for its output."""
    for name in ("out", "err"):
        (folder / name).touch()
    environment = os.environ | {name: str(value) for name, value in variables.items()}
    given = (code, file, [str(a) for a in arguments], folder, str(cwd or Path.cwd()), dict(environment))
    process = _context.Process(target=_run, args=given)
    process.start()
    return Running(process, folder)


def run(code: str, *arguments: object, timeout: float = 300, **options: Any) -> Result:
    """Run a program to its end. ``options`` are those of `start`."""
    with tempfile.TemporaryDirectory() as folder:
        return start(code, *arguments, folder=Path(folder), **options).result(timeout)


def _import(name: str, *rest: Any, _import: Any = builtins.__import__, fromlist: Any = (), **other: Any) -> Any:
    """Import, where the vocabulary of PyTorch, imported already, has the effect of its first import."""
    parts = (rest[2] if len(rest) > 2 else fromlist) or ()
    Printing.as_pytorch |= name.startswith("ranvier.torch") or (name == "ranvier" and "torch" in parts)
    return _import(name, *rest, **other) if len(rest) > 2 else _import(name, *rest, fromlist=fromlist, **other)


def _run(code: str, file: str, arguments: list[str], folder: Path, cwd: str, environment: dict[str, str]) -> None:
    """The program, in the process that was forked for it."""
    streams: list[IO[str]] = [(folder / name).open("w", encoding="utf-8", buffering=1) for name in ("out", "err")]
    for number, stream in enumerate(streams, 1):
        os.dup2(stream.fileno(), number)
    sys.stdout, sys.stderr = streams
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = ["-c", *arguments]
    sys.modules["__main__"] = main = ModuleType("__main__")
    Printing.as_pytorch, builtins.__import__ = False, _import
    warnings.resetwarnings()
    warnings.simplefilter("error")
    try:
        exec(compile(code, file, "exec", dont_inherit=True), main.__dict__)
    except Exception:  # noqa: BLE001  as an interpreter would
        traceback.print_exc()
        sys.exit(1)

"""First imports from several threads.

Python puts a package into ``sys.modules`` before it runs its code, and another thread that imports a module of the
package then goes on at once. Here it waits until ``import ranvier`` has ended.

Python takes the lock of ``a.b`` and then imports ``a``, whose code may import ``a.b``. Two threads that begin with one
of them each wait for the other, which Python ends by an error. Here the thread that runs ``a`` loads ``a.b`` without
its lock, and the other thread finds it loaded.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

FACE = __name__.partition(".")[0]
_PAUSE = 1e-3  # seconds


class _Thread(threading.local):
    running: tuple[str, ...] = ()  # the modules whose code this thread runs to import them


_thread = _Thread()


def _awaited(error: RuntimeError) -> str:
    """The module whose lock another thread holds, which waits for this one. Raises any other error."""
    if type(error).__name__ != "_DeadlockError":
        raise error
    return str(error).split("'")[1]


def run(name: str, code: Callable[[], Any]) -> Any:
    """Run what imports modules, as the code of a module of this name.

    Imports come first in a module, so that its code can begin again.
    """
    outer, _thread.running = _thread.running, (*_thread.running, name)
    try:
        while True:
            try:
                return code()
            except RuntimeError as error:
                awaited = _awaited(error)
            if any(awaited.startswith(f"{own}.") for own in _thread.running) and awaited not in sys.modules:
                _load_unlocked(awaited)
            else:  # the other thread goes on, since this one has let go of a lock
                time.sleep(_PAUSE)
    finally:
        _thread.running = outer


def _load_unlocked(name: str) -> None:
    """Load a module whose lock is held by a thread that waits for this one."""
    from importlib.util import find_spec, module_from_spec

    parent, _, own = name.rpartition(".")
    package = import_module(parent)
    spec = find_spec(name) if name not in sys.modules else None
    if spec is None or spec.loader is None:
        return
    module = sys.modules[name] = module_from_spec(spec)
    spec._initializing = True  # type: ignore[attr-defined]  # further threads wait for the lock
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    finally:
        spec._initializing = False  # type: ignore[attr-defined]  # as above
    setattr(package, own, module)


def wait_for_face() -> None:
    """Wait until another thread has ended ``import ranvier``, unless that thread waits for this one."""
    try:
        import_module(FACE)
    except RuntimeError as error:
        _awaited(error)


class _Loader(SourceFileLoader):
    loaded: ModuleType | None = None  # while this thread waited

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loaded

    def exec_module(self, module: ModuleType) -> None:
        if self.loaded is None:
            run(module.__name__, lambda: super(_Loader, self).exec_module(module))
        self.loaded = None


class _Finder:
    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not name.startswith(f"{FACE}."):
            return None
        if not _thread.running:
            wait_for_face()
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = loader = _Loader(spec.loader.name, spec.loader.path)
            loader.loaded = sys.modules.get(name) if target is None else None
        return spec


sys.meta_path.insert(0, _Finder)

"""Modules of Keras and PyTorch that define nothing here: those whose names others hold, and those that are not there.

They can be imported, as the programs of both libraries do.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from ranvier.support.errors import no_name
from ranvier.support.rows import load


class NamedModule(ModuleType):
    """A module without definitions: it shows what ``place`` holds, or its names raise an error with ``words``."""

    def __init__(self, package: str, shown: str, place: str, words: str) -> None:
        text = f"``{shown}`` shows the names of `{place}`." if place else f"``{shown}`` is not there."
        super().__init__(package, text)
        self.__spec__ = ModuleSpec(package, None)
        self.__path__: list[str] = []
        self._shown, self._place, self._words = shown, place, words

    def __getattr__(self, name: str) -> Any:
        if self._place and (name == "__all__" or not name.startswith("__")):
            try:
                return getattr(load(self._place), name)
            except AttributeError as error:
                raise no_name(self.__name__, name, str(error)) from None
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        raise no_name(self.__name__, name, f"{self._shown}.{name} does not exist: {self._words}.")

    def __dir__(self) -> list[str]:
        return dir(load(self._place)) if self._place else []


def install(package: str, vocabulary: str, shown: Mapping[str, str], absent: Mapping[str, str]) -> None:
    """Make the modules of a package, which users call ``vocabulary``.

    ``shown`` has names of modules by the one that holds their names. ``absent`` has those that are not there, with what
    their errors say: they can be imported, and are no attributes of their packages.
    """
    for place, names in shown.items():
        for name in names.split():
            module = NamedModule(f"{package}.{name}", f"{vocabulary}.{name}", place, "")
            parent, _, own = module.__name__.rpartition(".")
            sys.modules[module.__name__] = module
            if parent in sys.modules:  # one that is loaded later names them itself
                setattr(sys.modules[parent], own, module)
    for name, words in absent.items():
        sys.modules[f"{package}.{name}"] = NamedModule(f"{package}.{name}", f"{vocabulary}.{name}", "", words)

"""Names that do not exist: the error says so and names the nearest that does."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["missing", "nearest"]


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like ``name``, whatever its capitals."""
    spelled = {k.lower(): k for k in known}
    found = difflib.get_close_matches(name.lower(), spelled, 1, 0.0)
    return spelled[found[0]] if found else None


def missing(
    module: str,
    names: Iterable[str],
    lazy: Mapping[str, str] | None = None,
    hints: Mapping[str, str] | None = None,
) -> Callable[[str], Any]:
    """The ``__getattr__`` of a module of the public face.

    ``lazy`` maps names to the modules they are imported from when first used (``"package.module:attribute"``, or the
    module itself); ``hints`` maps starts of names that the peers have to what comes nearest here.
    """
    known = sorted(names)

    def look_up(name: str) -> Any:
        if lazy is not None and name in lazy:
            path, _, attribute = lazy[name].partition(":")
            value = import_module(path)
            return getattr(value, attribute) if attribute else value
        if name.startswith("__"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        near = next((h for start, h in (hints or {}).items() if name.startswith(start)), None) or nearest(
            name, known
        )
        raise AttributeError(f"{module}.{name} does not exist. The nearest that does is {near}.")

    return look_up

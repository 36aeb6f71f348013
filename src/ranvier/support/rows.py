"""Rows: what a lower room uses of a higher one, by name.

The face, ``ranvier/__init__.py``, declares each as ``(kind, name) -> "module:attribute"``, or as a module alone. A row
is imported when it is looked up, so the lower room names no room above it and `import ranvier` stays quick.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from ranvier.support.imports import wait_for_face

_places: dict[tuple[str, str], str] = {}


def declare(rows: Mapping[tuple[str, str], str]) -> None:
    """Add rows. Raises ValueError where one is declared already, with another place."""
    for key, place in rows.items():
        if _places.setdefault(key, place) != place:
            raise ValueError(f"the row {key} is {_places[key]!r}, and cannot be {place!r} too.")


def look_up(kind: str, name: str) -> Any:
    """What the row of this kind and name holds. Raises KeyError where there is none."""
    if (kind, name) not in _places:
        wait_for_face()
    return load(_places[kind, name])


def load(place: str) -> Any:
    """Import what a row, or another table, names as "module:attribute" or as a module.

    The module is not taken from ``sys.modules``, where it is also while another thread imports it.
    """
    path, _, attribute = place.partition(":")
    module = import_module(path)
    return getattr(module, attribute) if attribute else module


def names(kind: str) -> list[str]:
    """The names of the rows of a kind, in the order of declaration."""
    return [name for known, name in _places if known == kind]

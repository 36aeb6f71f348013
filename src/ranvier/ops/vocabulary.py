"""Each vocabulary's functions, by name: what the table shows in a column, made when it is first asked for."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from ranvier.ops import dispatch
from ranvier.ops.arrays.elementwise import of_primitive
from ranvier.ops.table import ROWS
from ranvier.ops.table.row import DIMENSIONAL, IN_PLACE, IN_PLACE_FUNCTIONS, ONLY_VIEW, SAME, Row
from ranvier.support import rows


@functools.cache
def load(place: str, doc: str = "") -> Any:
    """What ``"module:attribute"`` in `ranvier.ops` is, or the function of ``"primitive:name"``."""
    module, _, attribute = place.partition(":")
    if module == "primitive":
        return of_primitive(attribute, doc)
    return rows.load(f"ranvier.ops.{place}")


def entries(row: Row, column: str) -> list[tuple[list[str], str]]:
    """The entries of a row in a column: their names, and what follows. For a method that is PyTorch's function, "="."""
    text = getattr(row, column)
    if text == SAME:
        several = [
            [name for name in names if "." not in name and name[-1] != "_"] for names, _ in entries(row, "torch")
        ]
        return [(names, "=") for names in several if names]
    found = []
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        head = entry.partition("(")[0].partition("->")[0]
        found.append((head.split(), entry[len(head) :]))
    return found


@functools.cache
def _index(column: str) -> dict[str, tuple[Row, str]]:
    """For each name of a column its row and the rest of its entry; "_" for a method that writes its result."""
    found: dict[str, tuple[Row, str]] = {}
    for row in ROWS:
        if column == "activation":
            found |= dict.fromkeys(row.activation.split(), (row, ""))
            continue
        own = {name: (row, rest) for names, rest in entries(row, column) for name in names}
        if column == "method" and row.in_place:
            own |= {f"{name}_": (row, "_") for name in own}
        elif column == "torch" and row.in_place:
            own |= {f"{name}_": (row, "_") for name in own if f"{name}_" in IN_PLACE_FUNCTIONS}
        found |= own
    return found


def names(column: str, prefix: str = "") -> list[str]:
    """The names of a column: those of a module by its prefix, such as "linalg.", or those without one."""
    known = _index(column)
    if prefix:
        return sorted(name.removeprefix(prefix) for name in known if name.startswith(prefix))
    return sorted(name for name in known if "." not in name)


@functools.cache
def find(column: str, name: str) -> Any:
    """What has this name in a column. Raises KeyError for another name."""
    row, rest = _index(column)[name]
    found = _made(column, name, row, rest)
    own = rest not in ("=", "_") and column in ("torch", "method", "attribute")
    return dispatch.viewing(found, row.view == ONLY_VIEW) if row.view and own else found


def _made(column: str, name: str, row: Row, rest: str) -> Any:
    short = name.rpartition(".")[2]
    if column == "activation":
        return _activation(row, name)
    if rest == "=":
        return find("torch", name)
    if rest == "_":
        change = dispatch.changing if row.in_place == IN_PLACE else dispatch.reshaping
        return change(find(column, name[:-1]), name)
    if column == "keras" and rest.startswith("->"):
        return dispatch.composed(load(rest[2:].strip()), short if short in _index(column) else name)
    if column == "keras":
        return dispatch.show(load(row.body, row.doc), short, rest, False, short)
    if rest.startswith("->"):
        own = load(rest[2:].strip())
        return own if short in DIMENSIONAL or not callable(own) else dispatch.taking_scalars(own)
    shown = dispatch.show(load(row.body, row.doc), short.removesuffix("_"), rest, True, None)
    shown = shown if short in DIMENSIONAL else dispatch.taking_scalars(shown)
    return dispatch.changing(shown, short) if short.endswith("_") else shown


def _activation(row: Row, name: str) -> Any:
    """The body, which both vocabularies' functions are views of, under the name of the row."""
    body = load(row.body, row.doc)
    return body if body.__name__ == row.name or name != row.name else dispatch.show(body, name, "(x)", False, None)


def maker(column: str, prefix: str = "") -> Callable[[str], Any]:
    """What makes the functions of a module that shows a column, or the names with a prefix."""
    takes_out = column == "torch" and prefix in ("", "linalg.")
    return lambda name: (_taking_out if takes_out else find)(column, prefix + name)


@functools.cache
def _taking_out(column: str, name: str) -> Any:
    found = find(column, name)
    return dispatch.taking_out(found) if inspect.isfunction(found) and not name.endswith("_") else found

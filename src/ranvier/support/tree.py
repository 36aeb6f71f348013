"""Trees: nested lists, tuples and dicts, and the values at their leaves."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any


def flatten(value: Any, kind: type = object) -> Iterator[Any]:
    """The leaves of type ``kind``, in order; dicts in order of insertion."""
    if isinstance(value, (list, tuple, Mapping)):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from flatten(part, kind)
    elif isinstance(value, kind):
        yield value


def map_together(trees: Sequence[Any], change: Callable[..., Any]) -> Any:
    """The tree that has at each place ``change`` of what equal trees have there; None where they have None."""
    first = trees[0]
    if isinstance(first, Mapping):
        return {key: map_together([tree[key] for tree in trees], change) for key in first}
    if isinstance(first, (list, tuple)):
        parts = [map_together(column, change) for column in zip(*trees, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)  # a named tuple takes each
    return None if first is None else change(*trees)


def map_structure(value: Any, kind: type | tuple[type, ...], change: Callable[[Any], Any]) -> Any:
    """The same tree with ``change`` applied to each leaf of type ``kind``."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, (list, tuple)):
        parts = [map_structure(part, kind, change) for part in value]
        if hasattr(value, "_fields"):  # a named tuple takes each
            return type(value)(*parts)
        return tuple(parts) if isinstance(value, tuple) else parts
    if isinstance(value, Mapping):
        container = OrderedDict if isinstance(value, OrderedDict) else dict
        return container((key, map_structure(part, kind, change)) for key, part in value.items())
    return value

"""Trees: nested lists, tuples and dicts, and the values at their leaves."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any


def flatten(value: Any, kind: type = object) -> Iterator[Any]:
    """The leaves of type ``kind``, in order; dicts in order of insertion."""
    if isinstance(value, (list, tuple, Mapping)):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from flatten(part, kind)
    elif isinstance(value, kind):
        yield value


def map_structure(value: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """The same tree with ``change`` applied to each leaf of type ``kind``."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, (list, tuple)):
        parts = [map_structure(part, kind, change) for part in value]
        return tuple(parts) if isinstance(value, tuple) else parts
    if isinstance(value, Mapping):
        container = OrderedDict if isinstance(value, OrderedDict) else dict
        return container((key, map_structure(part, kind, change)) for key, part in value.items())
    return value

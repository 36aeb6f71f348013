"""Text of programs in Python: calls and containers, broken into lines as Black does."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

WIDTH = 88
INDENT = "    "


@dataclass(frozen=True)
class Code:
    """Text that stands in a program as it is."""

    text: str


@dataclass(frozen=True)
class Call:
    """A call of a name. With ``long`` each argument has a line of its own."""

    name: str
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    long: bool = False


@dataclass(frozen=True)
class Rows:
    """A list with a line for each part."""

    parts: tuple[Any, ...]


def call(name: str, /, *arguments: Any, **options: Any) -> Call:
    """A call; options that are None are left out."""
    return Call(name, arguments, {key: value for key, value in options.items() if value is not None})


def identifier(name: str, taken: Any = ()) -> str:
    """A name of Python's like this one that is not among those that are taken."""
    base = re.sub(r"\W", "_", name, flags=re.ASCII) or "_"
    if base[0].isdigit() or keyword.iskeyword(base) or keyword.issoftkeyword(base):
        base = f"_{base}"
    found, number = base, 0
    while found in taken:
        number += 1
        found = f"{base}_{number}"
    return found


def class_name(name: str, taken: Any = ()) -> str:
    """The same in the form of a class's name."""
    words = re.split(r"[^0-9a-zA-Z]+", name)
    return identifier("".join(word[:1].upper() + word[1:] for word in words), taken)


def flat(value: Any) -> str:
    """A value on one line."""
    return _opened(value)[0] + ", ".join(_texts(value)) + _opened(value)[1] if _holds(value) else _plain(value)


def statement(start: str, value: Any, indent: str = "", end: str = "") -> str:
    """A value after the start of its line, on as many lines as it needs."""
    line = f"{indent}{start}{flat(value)}{end}"
    if (len(line) <= WIDTH and not _is_long(value)) or not _holds(value) or not _texts(value):
        return line
    opening, closing = _opened(value)
    inner = indent + INDENT
    body = inner + ", ".join(_texts(value))
    if len(body) > WIDTH or _is_long(value):
        parts = _parts(value)
        comma = "" if len(parts) == 1 and _holds(parts[0][1]) and not parts[0][0] and isinstance(value, Call) else ","
        body = "\n".join(statement(label, part, inner, comma) for label, part in parts)
    return f"{indent}{start}{opening}\n{body}\n{indent}{closing}{end}"


def _holds(value: Any) -> bool:
    return isinstance(value, (Call, Rows, list, tuple, Mapping))


def _is_long(value: Any) -> bool:
    """Whether a value, or one within it, is never on one line."""
    own = isinstance(value, Rows) or (isinstance(value, Call) and value.long)
    return (own and len(_texts(value)) > isinstance(value, Call)) or (
        _holds(value) and any(_is_long(part) for _, part in _parts(value))
    )


def _opened(value: Any) -> tuple[str, str]:
    if isinstance(value, Call):
        return f"{value.name}(", ")"
    if isinstance(value, Mapping):
        return "{", "}"
    if isinstance(value, tuple):
        return "(", ",)" if len(value) == 1 else ")"
    return "[", "]"


def _parts(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Call):
        return [*(("", part) for part in value.arguments), *((f"{key}=", part) for key, part in value.options.items())]
    if isinstance(value, Mapping):
        return [(f"{_plain(key)}: ", part) for key, part in value.items()]
    return [("", part) for part in (value.parts if isinstance(value, Rows) else value)]


def _texts(value: Any) -> list[str]:
    return [label + flat(part) for label, part in _parts(value)]


def _plain(value: Any) -> str:
    if isinstance(value, Code):
        return value.text
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, np.ndarray):
        return flat(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return f'float("{value}")'
    if value is None or value is ... or isinstance(value, (bool, int, float)):
        return "..." if value is ... else repr(value)
    raise TypeError(f"{value!r} has no text")

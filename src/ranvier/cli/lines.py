"""What commands print: lines, which a terminal wraps between words, aligned tables, and JSON."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from ranvier.metrics.table import Row, Tabular

HANG = "  "  # before what continues a line


def echo(text: object, *, err: bool = False) -> None:
    """Print lines; on a terminal each is wrapped between words."""
    stream = sys.stderr if err else sys.stdout
    width = shutil.get_terminal_size().columns if stream.isatty() else None
    for line in str(text).split("\n"):
        typer.echo(line if width is None else wrapped(line, width), err=err)


def wrapped(line: str, width: int) -> str:
    """The line in lines of at most ``width`` cells, if its words are shorter. All but the first are indented."""
    from rich.cells import cell_len  # a Chinese character has two

    if cell_len(line) <= width:
        return line
    hang = line[: len(line) - len(line.lstrip())] + HANG
    made = [""]
    for word in re.findall(r"\s*\S+", line):
        if made[-1] and cell_len(made[-1] + word) > width:
            made.append(hang + word.lstrip())
        else:
            made[-1] += word
    return "\n".join(made)


class Columns(Tabular):
    """An aligned table of texts. The first column is of names, the others are of numbers."""

    def __init__(self, names: Sequence[str], rows: Sequence[Row], title: str = "") -> None:
        self.names, self.rows, self.title = list(names), list(rows), title

    def table(self) -> tuple[str, list[str], list[Row]]:
        return self.title, self.names, self.rows


def echo_json(value: Any) -> None:
    """Print a value as one line of JSON, in which what is no finite number is null."""
    typer.echo(json.dumps(_finite(value), ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return value

"""``ranvier inspect``: what a model, a run or data hold, as lines or as a value of JSON."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ranvier as rv
from ranvier.auto.runs import FACTS
from ranvier.auto.sources import ARRAYS
from ranvier.auto.tables import ENDINGS
from ranvier.cli.train import contents_of_run
from ranvier.interop.inspecting import inspect as contents_of
from ranvier.support.phrases import counted


def lines_of(path: Path) -> Iterable[str]:
    """What the command prints."""
    path = path.parent if path.name == FACTS else path
    if _is_run(path):
        return contents_of_run(path)
    return _lines_of_data(path) if _is_data(path) else contents_of(path).lines()


def value_of(path: Path) -> dict[str, Any]:
    """The same as a value of JSON."""
    path = path.parent if path.name == FACTS else path
    if _is_run(path):
        return rv.auto.Run.load(path).to_dict()
    if _is_data(path):
        table = rv.auto.read_data(path)
        columns = [column.to_dict() for column in rv.auto.find_columns(table).values()]
        return {"rows": len(table), "notes": list(table.notes), "columns": columns}
    return contents_of(path).to_dict()


def _is_run(path: Path) -> bool:
    return (path / FACTS).is_file()


def _is_data(path: Path) -> bool:
    return path.is_dir() or path.suffix.lower() in (*ENDINGS, ARRAYS)


def _lines_of_data(path: Path) -> list[str]:
    table = rv.auto.read_data(path)
    columns = rv.auto.find_columns(table)
    known = bool(table.kinds)  # of a folder, or of arrays: they have a class
    what = counted(len(table), table.unit if known else "row")
    lines = [what if known else f"{what}, {counted(len(columns), 'column')}", *rv.auto.column_lines(columns.values())]
    target = "" if known else " --target COLUMN"
    return [*lines, *(f"note: {note}" for note in table.notes), "next:", f"  ranvier train {path}{target}"]

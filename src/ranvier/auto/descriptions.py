"""A run in words: its data and its settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ranvier.auto.columns import Column
from ranvier.auto.runs import Run
from ranvier.auto.scores import CLASSES, LABELS
from ranvier.support.phrases import counted


def settings_words(settings: Mapping[str, Any]) -> str:
    """Settings as words: "mlp, view pieces, width 128". Those that are off are left out."""
    words = [f"{settings['network']}"]
    for name, value in settings.items():
        if name != "network" and value:
            shown = f"{value:g}" if isinstance(value, float) else f"{value}"
            words.append(name if value is True else f"{name} {shown}")
    return ", ".join(words)


def data_lines(run: Run) -> Iterable[str]:
    """The data in lines: what is predicted, what each column is, the parts, the notes."""
    task = run.task
    if task.kind == CLASSES:
        shown = ", ".join(task.classes[:8]) + (f" and {len(task.classes) - 8} more" if len(task.classes) > 8 else "")
        yield f"target {task.targets[0]}: one of {len(task.classes)} classes ({shown})"
    elif task.kind == LABELS:
        for name, (no, yes) in zip(task.targets, task.labels, strict=True):
            yield f"target {name}: {no} or {yes}"
    else:
        yield f"target {', '.join(task.targets)}: {'a number' if len(task.targets) == 1 else 'numbers'}"
    yield from column_lines([column for column in run.columns.values() if column.role != "target"])
    parts = [f"{counted(len(run.arrays['train']), 'row')} to learn from", f"{len(run.arrays['test']):,} for the test"]
    yield f"{', '.join(parts)} (split by {run.split['by']}), {counted(run.split['folds'], 'fold')}"
    for note in run.notes:
        yield f"note: {note}"


def column_lines(columns: Iterable[Column]) -> Iterable[str]:
    """A line for each column: its name, its kind, and what was found."""
    from rich.cells import cell_len  # a Chinese character has two

    width = max((cell_len(column.name) for column in columns), default=0)
    for column in columns:
        yield f"  {column.name}{' ' * (width - cell_len(column.name))}  {_column_words(column)}"


def _column_words(column: Column) -> str:
    facts = column.facts
    kind = column.kind + (" (given)" if column.given and column.role != "ignored" else "")
    if column.kind in ("number", "date") and "lowest" in facts:
        low, high = (
            f"{v:.6g}" if isinstance(v, float) else v.removesuffix("T00:00:00")
            for v in (facts["lowest"], facts["highest"])
        )
        kind += f", {low} to {high}"
    elif column.kind in ("category", "yes/no"):
        kind += f", {counted(column.distinct, 'value')}"
    if column.missing:
        kind += f", {column.missing:,} missing"
    if column.role in ("time", "group"):
        return f"{kind}; not used as an input, but to split by {column.role}"
    return kind if column.used else f"{kind}; not used"

"""A run in words: its data, and whether the network is better than what is simple."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ranvier.auto.columns import Column
from ranvier.auto.runs import Run
from ranvier.auto.scores import CLASSES, LABELS, better, title
from ranvier.support.phrases import counted

CLOSE = 0.005  # a difference of scores from 0 to 1 that is called equal


def best_baseline(run: Run) -> dict[str, Any] | None:
    """The baseline with the best score of the test part; None without one."""
    metric = run.task.metric
    rows = [row for row in run.baselines if metric in row["test"]] if run.test else []
    best = rows[0] if rows else None
    for row in rows[1:]:
        best = row if best is None or better(metric, row["test"][metric], best["test"][metric]) else best
    return best


def verdict(run: Run, chance: bool = False) -> str:
    """The sentence. It is plain where the trees, or even something simpler, are better.

    ``chance`` says that the test rows are too few to tell.
    """
    metric, best = run.task.metric, best_baseline(run)
    if best is None:
        return "there is no test part, so nothing is known of new data: write --test 0.2"
    mine, other = run.test[metric], best["test"][metric]
    name = title(metric)
    rows = f"on {counted(len(run.arrays['test']), 'test row')}"
    if abs(mine - other) <= CLOSE * (abs(other) if metric in ("mae", "rmse") else 1):
        return f"the model is as good as {best['title']}: {name} {mine:.4f} against {other:.4f}, {rows}"
    rows += ", which may be chance" * chance
    if better(metric, mine, other):
        return f"the model is better than {best['title']}: {name} {mine:.4f} against {other:.4f}, {rows}"
    advice = "use those instead" if best["name"] == "trees" else "the simpler one is enough"
    verb = "are" if best["name"] == "trees" else "is"
    return f"{best['title']} {verb} better than the model: {name} {other:.4f} against {mine:.4f}, {rows}; {advice}"


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

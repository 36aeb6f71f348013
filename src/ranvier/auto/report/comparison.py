"""Runs side by side: whether their test rows are the same, and how sure the difference of their scores is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ranvier.auto.runs import Run
from ranvier.auto.scores import DECISIVE, better, paired, title
from ranvier.data.convert import Array


def comparable(runs: Sequence[Run]) -> bool:
    """Whether all runs are scored on the same rows of the same data, for the same targets."""
    first = runs[0]
    return all(
        _same(run.arrays["truth"], first.arrays["truth"])  # also of one table in two formats
        and (run.task.kind, run.task.targets, run.task.classes)
        == (first.task.kind, first.task.targets, first.task.classes)
        and np.array_equal(run.arrays["test"], first.arrays["test"])
        for run in runs
    )


def _same(one: Array, other: Array) -> bool:
    return np.array_equal(one, other, equal_nan=one.dtype.kind == other.dtype.kind == "f")


def compared(runs: Sequence[Run]) -> list[str]:
    """Sentences: which run is best by the decisive score, and how much better than each other one."""
    if len(runs) < 2 or not comparable(runs):
        return ["the runs have other data or another test part, so their scores are not comparable"] * (len(runs) > 1)
    if not runs[0].test:
        return ["the runs have no test part, so nothing is known of new data"]
    name = DECISIVE[runs[0].task.kind]
    best = runs[0]
    for run in runs[1:]:
        best = run if better(name, run.test[name], best.test[name]) else best
    rows = best.arrays["test"]
    lines = [f"best by {title(name)}, on {len(rows):,} test rows: {best.folder}"]
    for run in runs:
        if run is not best:
            outputs = best.arrays["test/output"], run.arrays["test/output"]
            difference, low, high = paired(best.task, best.arrays["truth"][rows], *outputs)
            clear = "" if low > 0 or high < 0 else ": no clear difference"
            lines.append(f"  {difference:+.4f} against {run.folder} (95 % interval {low:+.4f} to {high:+.4f}){clear}")
    return lines

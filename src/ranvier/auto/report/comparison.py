"""Runs side by side: whether their test rows are the same, and how sure the difference of their scores is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ranvier.auto.descriptions import best_baseline
from ranvier.auto.report.facts import Facts, Rival, bootstrap
from ranvier.auto.runs import Run
from ranvier.auto.scores import NUMBERS, better, title
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


def may_be_chance(run: Run) -> bool:
    """Whether the model and its best baseline may differ by chance: the interval of the difference contains 0."""
    best = best_baseline(run)
    if best is None:
        return False
    rows, output = run.arrays["test"], run.arrays["test/output"]
    decided = None if run.task.kind == NUMBERS else run.decide(output)
    facts = Facts(str(run.folder), run.task, run.arrays["truth"][rows], output, decided=decided)
    facts.rivals = [Rival(best["title"], run.arrays[f"test/{best['name']}/output"], None)]
    _, low, high = bootstrap(facts).differences[best["title"]]
    return not (low > 0 or high < 0)


def compared(runs: Sequence[Run]) -> list[str]:
    """Sentences: which run is best by the metric of the first one, and how much better than each other one.

    An interval is the middle 95 % of bootstrap samples of the test rows, the same for all runs.
    """
    if len(runs) < 2 or not comparable(runs):
        return ["the runs have other data or another test part, so their scores are not comparable"] * (len(runs) > 1)
    metric = runs[0].task.metric
    if not runs[0].test:
        return ["the runs have no test part, so nothing is known of new data"]
    best = runs[0]
    for run in runs[1:]:
        best = run if better(metric, run.test[metric], best.test[metric]) else best
    decided = [None if run.task.kind == NUMBERS else run.decide(run.arrays["test/output"]) for run in runs]
    names = {id(run): str(run.folder) for run in runs}
    others = [
        Rival(names[id(run)], run.arrays["test/output"], taken)
        for run, taken in zip(runs, decided, strict=True)
        if run is not best
    ]
    rows = best.arrays["test"]
    mine = next(taken for run, taken in zip(runs, decided, strict=True) if run is best)
    facts = Facts(names[id(best)], runs[0].task, best.arrays["truth"][rows], best.arrays["test/output"], decided=mine)
    facts.rivals = others
    lines = [f"best by {title(metric)}, on {len(rows):,} test rows: {best.folder}"]
    for name, (difference, low, high) in bootstrap(facts).differences.items():
        clear = "" if low > 0 or high < 0 else ", which may be chance"
        lines.append(f"  {difference:+.4f} against {name} (95 % interval {low:+.4f} to {high:+.4f}){clear}")
    return lines

"""Write a report: `write_report` of a run or of a model, as one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ranvier.auto.report.explained import importances_of
from ranvier.auto.report.facts import Facts, bootstrap
from ranvier.auto.report.of_model import facts_of_model
from ranvier.auto.report.of_run import facts_of_run
from ranvier.auto.report.page import document
from ranvier.auto.report.sections import lead, sections
from ranvier.auto.report.words import Name, Say
from ranvier.auto.runs import Run
from ranvier.data import files
from ranvier.explain import Importances

NAME = "report.html"


def write_report(
    model: Any,
    x: Any = None,
    y: Any = None,
    path: Any = None,
    *,
    lang: str = "en",
    classes: Sequence[Any] | None = None,
    names: Sequence[str] | None = None,
    history: Any = None,
    train: tuple[Any, Any] | None = None,
    title: str | None = None,
    seed: Any = None,
) -> Path:
    """Write one HTML file about a model: its data, its scores beside baselines, its mistakes, and why it decides.

    ``model`` is a `Run`, or the folder of one, or a trained model: a network, an estimator, or a pipeline, with rows
    ``x`` that it was not trained on, and their targets ``y``. The file needs no network and no script, and is readable
    on a phone, on paper, and in Chinese (``lang="zh"``). It needs matplotlib (``pip install 'ranvier[plot]'``).

    ``path`` is the file to write; by default "report.html", in the folder of a run. ``lang`` is "en" or "zh".
    ``classes`` names the classes of a network, ``names`` the columns of an array ``x``. ``history`` is what `fit`
    returned, for the curves. ``train`` are the training rows, (x, y), from which the baseline is learned; without them
    it is learned from ``y``. ``title`` is the heading, and ``seed`` is noted.

    Returns the path. The scores are those of `ranvier.auto.evaluate` and of ``model.evaluate``; the same arguments give
    the same file. Raises ValueError for targets that do not match the outputs, FileNotFoundError for a folder without a
    run, OSError where the file cannot be written, and ModuleNotFoundError without matplotlib.
    """
    say = Say(lang)
    if isinstance(model, (str, Path, Run)):
        return report_of_run(model, path, lang=lang, title=title)[0]
    if x is None or y is None:
        raise TypeError("the report of a model needs rows and targets. Write model.report(x, y, 'report.html').")
    target = Path(path if path is not None else NAME)
    options: dict[str, Any] = {"names": names, "history": history, "train": train, "title": title, "seed": seed}
    facts = facts_of_model(model, x, y, classes=classes, **options)
    facts.title = title or facts.title
    _write(facts, target, say)
    return target


def report_of_run(run: Any, path: Any = None, *, lang: str = "en", title: str | None = None) -> tuple[Path, list[str]]:
    """`write_report` of a `Run` or its folder: the path, and notes on what the report lacks."""
    loaded = run if isinstance(run, Run) else Run.load(run)
    target = Path(path) if path is not None else loaded.folder / NAME
    say, facts = Say(lang), facts_of_run(loaded)
    facts.title = title or facts.title
    _write(facts, target, say)
    return target, facts.notes


def _write(facts: Facts, target: Path, say: Say) -> None:
    files.check_target(target, NAME)
    files.write_bytes(target, html_of(facts, say).encode(), NAME)


def importances(run: Any) -> Importances:
    """How much the score of a run drops where the values of one column are shuffled, on its scored rows.

    Of images, sounds and texts how much the error rises without a part: a cell of the image, a stretch of the sound, a
    word. ``run`` is a `Run` or its folder. It prints as a table, and has ``plot()``. Raises ValueError where the data
    file is gone or has changed.
    """
    loaded = run if isinstance(run, Run) else Run.load(run)
    facts = facts_of_run(loaded)
    found = importances_of(facts)
    if found is None:
        reason = "; ".join(facts.notes) or "its data have no columns or parts that could be left out"
        raise ValueError(f"{loaded.folder} cannot be explained by columns: {reason}.")
    return found


def html_of(facts: Facts, say: Say) -> str:
    """The page of the facts."""
    heading = say("Report: {name}", name=Name(facts.title))
    compared = bootstrap(facts)
    return document(heading, lead(facts, compared, say), list(sections(facts, compared, say)), say)

"""The sections of a report, each from the same facts: data, steps, curves, scores, pictures, explanations, checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ranvier import pictures
from ranvier.auto.report.explained import importances_of, mistakes, used_features
from ranvier.auto.report.facts import Compared, Facts
from ranvier.auto.report.page import Html, cards, cut, element, interval, lines, number, pairs, picture, table
from ranvier.auto.report.verdicts import sentences
from ranvier.auto.report.words import Say
from ranvier.auto.scores import SCORES
from ranvier.calibration import reliability
from ranvier.metrics.report import report as class_report

ROWS = 300  # of a table of columns
CLASSES = 60  # of a table of classes
MATRIX = 40  # the most classes of a confusion matrix

Section = tuple[str, str, Html]


def sections(facts: Facts, compared: Compared, say: Say) -> Iterator[Section]:
    """All sections that the facts have, in the order of the page: id, heading, content."""
    importances = importances_of(facts)
    made = [
        ("data", "The data", _data(facts, say)),
        ("steps", "What was done", _steps(facts, say)),
        ("curves", "Training", _curves(facts, say)),
        ("scores", "The model against baselines", _scores(facts, compared, say)),
        ("classes", "Each class", _by_class(facts, say) if facts.classes else []),
        ("targets", "Each target", _by_target(facts, say) if facts.labels else []),
        ("ranking", "Scores and probabilities", _ranking(facts, say) if facts.classes else []),
        ("residuals", "Residuals", [] if facts.classes or facts.labels else _residuals(facts, say)),
        ("features", "What the model uses", used_features(facts, importances, say)),
        ("mistakes", "The worst mistakes", mistakes(facts, importances, say)),
        ("checks", "What the checks said", _checks(facts, say)),
        ("origin", "How to repeat this", _origin(facts, say)),
    ]
    for name, heading, parts in made:
        if parts:
            yield name, say(heading), Html.join(parts)


def lead(facts: Facts, compared: Compared, say: Say) -> Html:
    """The result in one sentence and in large numbers."""
    mine = compared.mine
    said, worse = sentences(facts, say)
    names = dict.fromkeys([facts.decisive, facts.metric, *SCORES[facts.task.kind]])
    big = [(say.score(name), number(mine[name])) for name in names if mine[name] == mine[name]]
    rows = (say("rows that are scored"), f"{len(facts.truth):,}")
    lead = element("p", " ".join(said), css="lead worse" if worse else "lead")
    return Html.join([lead, cards([*big, rows])])


# --- data and training --------------------------------------------------------------------------------------------


def _data(facts: Facts, say: Say) -> list[Html]:
    parts = [pairs((say(name), say(value)) for name, value in facts.data)]
    if facts.frequencies:
        head = [say("class"), *(say(name) for name, _ in facts.frequencies)]
        counted = [
            [
                name,
                *(
                    f"{int(count[k]):,} ({100 * count[k] / max(count.sum(), 1):.1f} %)"
                    for _, count in facts.frequencies
                ),
            ]
            for k, name in enumerate(facts.task.classes[:CLASSES])
        ]
        parts.append(table(head, counted, caption=_more(facts.task.classes, CLASSES, "classes", say)))
    if facts.columns:
        head = [say(name) for name in ("column", "kind", "values", "missing")]
        rows = [[cut(name), say(kind), say(values), missing] for name, kind, values, missing in facts.columns[:ROWS]]
        parts.append(table(head, rows, texts=3, caption=_more(facts.columns, ROWS, "columns", say)))
    if facts.notes:
        parts += [element("h3", say("Notes on the data")), lines(_cut_long(say.sentence(note)) for note in facts.notes)]
    return parts


def _cut_long(text: str) -> str:
    return text if len(text) <= 400 else f"{text[:399]}\u2026"


def _more(values: Any, most: int, what: str, say: Say) -> str:
    if len(values) <= most:
        return ""
    return say("The first {most} of {all} {what}.", most=most, all=f"{len(values):,}", what=say(what))


def _steps(facts: Facts, say: Say) -> list[Html]:
    parts = [lines(map(say, facts.steps))]
    if facts.layers:
        head = [say(name) for name in ("layer", "output", "parameters")]
        parts.append(table(head, facts.layers[:ROWS], texts=2, caption=_more(facts.layers, ROWS, "layers", say)))
    if facts.trials:
        head = [say("trial"), say("settings"), say.score(facts.metric), say("epochs")]
        rows = [
            [f"{r[0]}", _cut_long(str(r[1])), number(r[2]) if r[2] is not None else say("failed"), r[3]]
            for r in facts.trials
        ]
        used = [place for place, trial in enumerate(facts.trials) if trial[0] in facts.members]
        parts.append(element("h3", say("The search, by held-out rows")))
        parts.append(table(head, rows, texts=2, stressed=used))
        parts.append(element("p", say("The model consists of the networks in bold type."), css="small"))
    return parts


def _curves(facts: Facts, say: Say) -> list[Html]:
    """The loss, and at most two further results, of each training."""
    made = []
    for name, histories in facts.curves[:3]:
        results = [key for key in histories[0] if not key.startswith("val_") and key != "learning_rate"]
        for result in results[:3]:
            drawn = pictures.compare({say(name): histories}, result, title=None)
            drawn.set_size_inches(4.4, 3.4)
            made.append(picture(drawn, say))
    if not made:
        return []
    several = max(len(histories) for _, histories in facts.curves) > 1
    text = "Mean over the folds that are still training; the band is one standard deviation."
    return [element("div", *made, css="figures"), element("p", say(text) if several else "", css="small")]


# --- scores -------------------------------------------------------------------------------------------------------


def _scores(facts: Facts, compared: Compared, say: Say) -> list[Html]:
    mine, others = compared.mine, compared.others
    names = [name for name in SCORES[facts.task.kind] if mine[name] == mine[name]]
    head = ["", *(say.score(name) for name in names)]
    rows = []
    for place, (title, found) in enumerate(
        [(say("the model"), mine), *((say(r.title), o) for r, o in zip(facts.rivals, others, strict=True))]
    ):
        cells: list[Any] = [title]
        for name in names:
            bounds = interval(compared.intervals[:, place, SCORES[facts.task.kind].index(name)])
            cells.append(Html.join([number(found[name]), Html("<br>"), element("span", bounds, css="small")]))
        rows.append(cells)
    parts = [table(head, rows, stressed=[0])]
    parts.append(element("p", say(
        "Below each score is its 95 % interval: the middle 95 % of bootstrap samples of the rows. It does not "
        "contain what another training would change."
    ), css="small"))  # fmt: skip
    if facts.rivals:
        head = [
            say("the model minus"),
            say("difference of {metric}", metric=say.score(facts.decisive)),
            say("95 % interval"),
        ]
        gaps = [(rival.title, *facts.difference(rival)) for rival in facts.rivals]
        rows = [[say(title), f"{d:+.4f}", interval((low, high))] for title, d, low, high in gaps]
        parts.append(table(head, rows))
        text = (
            "These intervals are the normal ones of the differences of the rows, so that the same rows count for both. "
            "Where one contains 0 there is no clear difference."
        )
        parts.append(element("p", say(text), css="small"))
        if facts.decide is not None:
            text = "The probabilities of all are calibrated, and their thresholds set, by the same held-out rows."
            parts.append(element("p", say(text), css="small"))
    if facts.evaluated:
        parts += [
            element("h3", say("What evaluate gives")),
            table((say("result"), say("value")), [[name, number(v)] for name, v in facts.evaluated.items()]),
        ]
    return parts


def _by_class(facts: Facts, say: Say) -> list[Html]:
    found = class_report(facts.truth, facts.chosen(), _unique(facts.task.classes))
    assert found.confusion is not None  # each row has one class
    head = [say(name) for name in ("class", "precision", "recall", "F1", "rows")]
    rows = [
        [name, *(number(v[k]) for v in (found.precision, found.recall, found.f1)), f"{int(found.support[k]):,}"]
        for k, name in enumerate(facts.task.classes[:CLASSES])
    ]
    parts = [table(head, rows, caption=_more(facts.task.classes, CLASSES, "classes", say))]
    if len(facts.task.classes) <= MATRIX:
        drawn = pictures.confusion_matrix(found.confusion, list(map(cut, facts.task.classes)))
        parts.append(picture(drawn, say, wide=len(facts.task.classes) > 9))
    return parts


def _by_target(facts: Facts, say: Say) -> list[Html]:
    """Scores, ROC curve and calibration of each of several targets of two values."""
    names = _unique(facts.task.targets)
    found = class_report(facts.truth, facts.chosen(), names)
    head = [say(name) for name in ("target", "value", "precision", "recall", "F1", "rows")]
    rows = [
        [
            name,
            label[1],
            *(number(v[k]) for v in (found.precision, found.recall, found.f1)),
            f"{int(found.support[k]):,}",
        ]
        for k, (name, label) in enumerate(zip(names[:CLASSES], facts.task.labels, strict=False))
    ]
    parts = [table(head, rows, texts=2, caption=_more(names, CLASSES, "targets", say))]
    for k, name in enumerate(names[:4]):
        truth, output = facts.truth[:, k], facts.output[:, k]
        if 0 < truth.sum() < len(truth):
            drawn = [pictures.roc(truth, output), reliability(truth, output, 10).plot()]
            parts += [element("h3", cut(name)), element("div", *(picture(one, say) for one in drawn), css="figures")]
    return parts


def _unique(names: list[str]) -> list[str]:
    """Names that differ, for a table that needs that."""
    return [name if names.count(name) == 1 else f"{name} ({k})" for k, name in enumerate(names)]


def _ranking(facts: Facts, say: Say) -> list[Html]:
    """ROC, precision and recall, threshold and cost, calibration."""
    truth, output, names = facts.truth, facts.output, list(map(cut, facts.task.classes))
    present = np.bincount(truth, minlength=output.shape[1]) > 0
    made = []
    if present.sum() > 1:
        scored = output[:, 1] if output.shape[1] == 2 else output
        made += [picture(draw(truth, scored, names), say) for draw in (pictures.roc, pictures.precision_recall)]
        if output.shape[1] == 2:
            drawn = pictures.threshold_costs(truth, output[:, 1], (1.0, 1.0), threshold=facts.threshold)
            made.append(
                picture(drawn, say, say("Both kinds of errors cost 1 here; other costs have another threshold."))
            )
    bins = reliability(truth, output[:, 1] if output.shape[1] == 2 else output, 10)
    made.append(picture(bins.plot(), say))
    return [element("div", *made, css="figures")]


def _residuals(facts: Facts, say: Say) -> list[Html]:
    made = []
    for k, name in enumerate(facts.task.targets[:4]):
        drawn = pictures.residuals(facts.truth[:, k], facts.output[:, k], across=1, title=cut(name))
        made.append(picture(drawn, say))
    return [element("div", *made, css="figures")]


# --- the rest -----------------------------------------------------------------------------------------------------


def _checks(facts: Facts, say: Say) -> list[Html]:
    if facts.checks is None:
        return []
    if not facts.checks:
        return [element("p", say("The checks of data and network found nothing."))]
    rows = [
        [say(level), _cut_long(say.sentence(found) if isinstance(found, str) else say.finding(found))]
        for level, found in facts.checks
    ]
    return [table((say("level"), say("what")), rows, texts=2)]


def _origin(facts: Facts, say: Say) -> list[Html]:
    parts = []
    if facts.command:
        parts.append(element("pre", facts.command))
    rows: list[tuple[Any, Any]] = [(say("seed"), facts.seed)] if facts.seed is not None else []
    rows += list(facts.versions.items())
    rows += [(say("seconds: {part}", part=say(name)), number(value, 1)) for name, value in facts.seconds.items()]
    return [*parts, pairs(rows)] if rows else parts

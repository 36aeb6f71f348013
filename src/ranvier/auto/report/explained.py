"""The sections that explain: what the model uses, and its worst mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier import explain, pictures
from ranvier.auto.report.facts import Facts
from ranvier.auto.report.page import Html, cut, element, number, picture, table
from ranvier.auto.report.used_parts import explained_mistakes, importances_of_parts, used_parts
from ranvier.auto.report.words import Say
from ranvier.auto.scores import LOWER_IS_BETTER, NUMBERS, scores
from ranvier.data.convert import Array
from ranvier.support.sampling import some_rows
from ranvier.support.tables import Table

FEATURES = 40  # whose importances are computed with repeats
EFFECTS = 6  # features whose dependence is drawn
SAMPLE, VARIED = 400, 120  # rows for importances and for dependences
MISTAKES = 12


class _Scored:
    """The model of a report as something with predict and score, for explanations."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def __call__(self, x: Any) -> Array:
        assert self.facts.predict is not None  # asked before
        return self.facts.predict(x)


def importances_of(facts: Facts) -> explain.Importances | None:
    """Of the columns; of data that are one column of images, sounds or texts, of their parts."""
    if facts.parts is not None and (facts.features is None or len(facts.features) == 1):
        return importances_of_parts(facts, facts.parts)
    if facts.features is None or facts.predict is None:
        return None
    whole = Table(facts.features, facts.names)
    if len(whole.names) > FEATURES * 10:
        return None
    rows = some_rows(len(facts.truth), SAMPLE)
    sign = -1 if facts.metric in LOWER_IS_BETTER else 1

    def scored(model: Any, x: Any, y: Any) -> float:
        output = model(x)
        decided = None if facts.decide is None else facts.decide(output)
        return sign * scores(facts.task, y, output, decided)[facts.metric]

    scored.__name__ = facts.metric
    part = whole.rows(rows)
    repeats = 3 if len(whole.names) <= FEATURES else 1
    found = explain.permutation_importance(
        _Scored(facts), part, facts.truth[rows], metric=scored, repeats=repeats, names=whole.names
    )
    found.score *= sign  # as it is shown elsewhere
    return found


def used_features(facts: Facts, found: explain.Importances | None, say: Say) -> list[Html]:
    if found is not None and facts.parts is not None and len(facts.features or "1") == 1:
        return used_parts(facts, facts.parts, found, say)
    if found is None or facts.predict is None:
        return []
    drawn = pictures.importances(found, most=20, title=say("Permutation importances"))
    change = say(
        "rise of {metric}" if facts.metric in LOWER_IS_BETTER else "drop of {metric}", metric=say.score(facts.metric)
    )
    drawn.axes[0].set_xlabel(change)
    text = say(
        "How much worse the score is where the values of one column are shuffled, on {rows} of the scored rows. Of two "
        "columns that say the same, each may look unimportant. It is what this model uses, not what causes the target.",
        rows=min(SAMPLE, len(facts.truth)),
    )
    parts = [element("p", text), picture(drawn, say)]
    order = np.argsort(-found.mean, kind="stable")
    varied = [int(i) for i in order if facts.varied is None or found.names[i] in facts.varied][:EFFECTS]
    if varied:
        whole = Table(facts.features, facts.names)
        outputs = list(map(cut, facts.task.classes if facts.classes else facts.task.targets))
        effects = explain.partial_dependence(
            _Scored(facts), facts.features, varied, points=16, samples=VARIED, names=whole.names, classes=outputs
        )
        parts.append(element("h3", say("The prediction by the value of one column")))
        drawn_effects = [effect.plot() for effect in effects if len(effect.outputs) <= 10]
        for made in drawn_effects:
            if facts.classes and made.axes[0].get_ylabel() == "output":
                made.axes[0].set_ylabel(say("probability"))
        parts.append(element("div", *(picture(made, say) for made in drawn_effects), css="figures"))
        text = (
            "The mean over rows in which only this column is changed. Grey lines are single rows, or one standard "
            "deviation; ticks are the tenths of the values."
        )
        parts.append(element("p", say(text), css="small"))
    return parts


def mistakes(facts: Facts, found: explain.Importances | None, say: Say) -> list[Html]:
    if facts.classes:
        decided = facts.chosen()
        wrong = np.flatnonzero(decided != facts.truth)
        if not len(wrong):
            return [element("p", say("No row is classified wrongly."))]
        chosen = facts.output[wrong, facts.truth[wrong]]
        order = wrong[np.argsort(chosen, kind="stable")][:MISTAKES]
        names = facts.task.classes
        head = [say(facts.lines_are), say("true"), say("predicted"), say("probability of the true class")]
        cells = [
            [cut(names[facts.truth[i]]), cut(names[decided[i]]), number(facts.output[i, facts.truth[i]])] for i in order
        ]
        text = say(
            "Rows that are classified wrongly: {wrong} of {all}.", wrong=f"{len(wrong):,}", all=f"{len(facts.truth):,}"
        )
    elif facts.labels:
        wrong = np.flatnonzero((facts.chosen() != facts.truth).any(1))
        if not len(wrong):
            return [element("p", say("No row is classified wrongly."))]
        chosen = np.where(facts.truth == 1, facts.output, 1 - facts.output)
        order = wrong[np.argsort(chosen[wrong].min(1), kind="stable")][:MISTAKES]
        head = [say(facts.lines_are), say("true"), say("predicted"), say("lowest probability of a true value")]
        cells = [
            [_values(facts, facts.truth[i]), _values(facts, facts.chosen()[i]), number(chosen[i].min())] for i in order
        ]
        text = say("Rows with a wrong target: {wrong} of {all}.", wrong=f"{len(wrong):,}", all=f"{len(facts.truth):,}")
    else:
        size = np.abs(facts.output - facts.truth).max(1)
        order = np.argsort(-size, kind="stable")[:MISTAKES]
        head = [say(facts.lines_are), say("true"), say("predicted"), say("difference")]
        cells = [
            [_listed(facts.truth[i]), _listed(facts.output[i]), _listed(facts.truth[i] - facts.output[i])]
            for i in order
        ]
        text = say("The rows whose prediction is farthest off.")
    if facts.images is not None and facts.classes:
        names = list(map(cut, facts.task.classes))
        drawn = pictures.mistakes(facts.images, facts.truth, _as_decided(facts), names, count=MISTAKES)
        if facts.lines is not None:  # the table has the files, which say more than the number of a scored row
            for axes in drawn.axes:
                axes.title.set_text(axes.get_title().partition("\nrow ")[0])
        parts = [element("p", text), picture(drawn, say, wide=len(order) > 3)]
        if facts.parts is not None:
            parts.append(explained_mistakes(facts, facts.parts, order, say))
        if facts.lines is not None:
            named = [[f"{facts.lines[i]}", *cell] for i, cell in zip(order, cells, strict=True)]
            parts.append(table(head, named, texts=3))
        return parts
    shown = _shown_columns(facts, found, order)
    numbered = order if facts.lines is None else facts.lines[order]
    rows = [
        [f"{line}", *cell, *(cut(v[k]) for _, v in shown)]
        for k, (line, cell) in enumerate(zip(numbered, cells, strict=True))
    ]
    parts = [element("p", text)]
    if facts.parts is not None and facts.classes:
        parts.append(explained_mistakes(facts, facts.parts, order, say))
    texts = {0} if facts.task.kind == NUMBERS else {0, 1, 2}
    texts |= {len(head) + k for k, (_, values) in enumerate(shown) if any(map(_is_text, values))}
    return [*parts, table([*head, *(name for name, _ in shown)], rows, texts=texts)]


def _is_text(value: Any) -> bool:
    """Whether a value is no number; what is missing is neither."""
    try:
        return float(value) != float(value)
    except ValueError:
        return value not in ("", "\u2013")


def _as_decided(facts: Facts) -> Array:
    """Probabilities whose largest is the decision, for a picture that asks for that."""
    p, decided, rows = facts.output.copy(), facts.chosen(), np.arange(len(facts.output))
    moved = p.argmax(1) != decided  # by a threshold
    p[rows[moved], decided[moved]] = np.minimum(1.0, p[moved].max(1) + 1e-9)
    return p


def _values(facts: Facts, row: Array) -> str:
    """The values of several targets, of those that the row has."""
    return ", ".join(
        cut(f"{n}: {v[int(k)]}") for n, v, k in zip(facts.task.targets, facts.task.labels, row, strict=True)
    )


def _listed(values: Array) -> str:
    return ", ".join(number(value) for value in np.atleast_1d(values)[:4])


def _shown_columns(facts: Facts, found: explain.Importances | None, rows: Array) -> list[tuple[str, Any]]:
    """The columns that matter most, of some rows."""
    if facts.features is None:
        return []
    whole = Table(facts.features, facts.names)
    known = found is not None and found.names == tuple(whole.names)  # and not those of words
    order = np.argsort(-found.mean, kind="stable") if found is not None and known else range(len(whole.names))
    shown = []
    for index in list(order)[:6]:
        column = whole.column(int(index))[rows]
        values = [("\u2013" if v != v else f"{v:.6g}") if isinstance(v, float) else v for v in column.tolist()]
        shown.append((cut(whole.names[int(index)]), values))
    return shown

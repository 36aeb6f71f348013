"""The sections of a report, each from the same facts: data, steps, curves, scores, pictures, explanations, checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ranvier import explain, pictures
from ranvier.auto.report.facts import Facts, Z, bootstrap
from ranvier.auto.report.page import Html, cards, element, interval, lines, number, pairs, picture, table
from ranvier.auto.report.words import Say
from ranvier.auto.scores import LOWER_IS_BETTER, SCORES
from ranvier.calibration import reliability
from ranvier.data.convert import Array
from ranvier.metrics.report import report as class_report

ROWS = 300  # of a table of columns
CLASSES = 60  # of a table of classes
MATRIX = 40  # the most classes of a confusion matrix
FEATURES = 40  # whose importances are computed
EFFECTS = 6  # features whose dependence is drawn
SAMPLE = 400  # rows for importances and dependences
MISTAKES = 12
LONGEST = 80  # characters of a cell

Section = tuple[str, str, Html]


def sections(facts: Facts, say: Say) -> Iterator[Section]:
    """All sections that the facts have, in the order of the page: id, heading, content."""
    importances = _importances(facts)
    made = [
        ("data", "The data", _data(facts, say)),
        ("steps", "What was done", _steps(facts, say)),
        ("curves", "Training", _curves(facts, say)),
        ("scores", "The model against baselines", _scores(facts, say)),
        ("classes", "Each class", _by_class(facts, say) if facts.classes else []),
        ("ranking", "Scores and probabilities", _ranking(facts, say) if facts.classes else []),
        ("residuals", "Residuals", [] if facts.classes else _residuals(facts, say)),
        ("features", "What the model uses", _features(facts, importances, say)),
        ("mistakes", "The worst mistakes", _mistakes(facts, importances, say)),
        ("checks", "What the checks said", _checks(facts, say)),
        ("origin", "How to repeat this", _origin(facts, say)),
    ]
    for name, heading, parts in made:
        if parts:
            yield name, say(heading), Html.join(parts)


def lead(facts: Facts, say: Say) -> Html:
    """The result in one sentence and in large numbers."""
    mine, others, _, differences = bootstrap(facts)
    metric = facts.metric
    sentence, worse = _verdict(facts, mine, others, differences, say)
    shown = [(say.score(name), number(mine[name])) for name in SCORES[facts.task.kind] if mine[name] == mine[name]]
    first = [(say.score(metric), number(mine[metric]))]
    big = first + [pair for pair in shown if pair != first[0]]
    rows = (say("rows that are scored"), f"{len(facts.truth):,}")
    return Html.join([element("p", sentence, css="lead worse" if worse else "lead"), cards([*big[:4], rows])])


def _verdict(facts: Facts, mine: Any, others: Any, differences: Any, say: Say) -> tuple[str, bool]:
    metric = facts.metric
    sign = -1 if metric in LOWER_IS_BETTER else 1
    known = [(other[metric], rival.title) for other, rival in zip(others, facts.rivals, strict=True)]
    known = [(value, title) for value, title in known if value == value]
    if not known or mine[metric] != mine[metric]:
        return say(
            "{metric} {value} on {part}.", metric=say.score(metric), value=number(mine[metric]), part=say(facts.part)
        ), False
    value, title = max(known, key=lambda pair: sign * pair[0])
    difference, error = differences[title]
    words = {
        "metric": say.score(metric), "value": number(mine[metric]), "other": number(value), "rival": say(title),
        "part": say(facts.part),
    }  # fmt: skip
    if error != error or abs(difference) <= Z * error:
        text = "The model and {rival} do not differ clearly: {metric} {value} against {other}, on {part}."
        return say(text, **words), False
    if sign * difference > 0:
        return say("The model is better than {rival}: {metric} {value} against {other}, on {part}.", **words), False
    return say(
        "{rival} is better than the model: {metric} {other} against {value}, on {part}. Use it instead.", **words
    ), True


# --- data and training --------------------------------------------------------------------------------------------


def _cut(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}\u2026"


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
        rows = [[_cut(name), say(kind), say(values), missing] for name, kind, values, missing in facts.columns[:ROWS]]
        parts.append(table(head, rows, texts=3, caption=_more(facts.columns, ROWS, "columns", say)))
    if facts.notes:
        parts += [element("h3", say("Notes on the data")), lines(map(_cut_long, facts.notes))]
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
        sign = -1 if facts.metric in LOWER_IS_BETTER else 1
        values = [-np.inf if r[2] is None or r[2] != r[2] else sign * r[2] for r in facts.trials]
        best = int(np.argmax(values)) if np.isfinite(values).any() else None
        parts.append(element("h3", say("The search, by held-out rows")))
        parts.append(table(head, rows, texts=2, best=best))
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
    text = say("Mean over the folds; the band is one standard deviation.") if several else ""
    return [element("div", *made, css="figures"), element("p", text, css="small")]


# --- scores -------------------------------------------------------------------------------------------------------


def _scores(facts: Facts, say: Say) -> list[Html]:
    mine, others, error, differences = bootstrap(facts)
    names = [name for name in SCORES[facts.task.kind] if mine[name] == mine[name]]
    head = ["", *(say.score(name) for name in names)]
    rows = []
    for place, (title, found) in enumerate(
        [(say("the model"), mine), *((say(r.title), o) for r, o in zip(facts.rivals, others, strict=True))]
    ):
        cells: list[Any] = [title]
        for name in names:
            half = Z * float(error[place, SCORES[facts.task.kind].index(name)])
            bounds = interval((found[name] - half, found[name] + half)) if half == half else ""
            cells.append(Html.join([number(found[name]), Html("<br>"), element("span", bounds, css="small")]))
        rows.append(cells)
    parts = [table(head, rows, best=0)]
    parts.append(element("p", say(
        "Below each score is its 95 % interval: 1.96 standard errors of the bootstrap over the rows. It does not "
        "contain what another training would change."
    ), css="small"))  # fmt: skip
    if differences:
        head = [
            say("the model minus"),
            say("difference of {metric}", metric=say.score(facts.metric)),
            say("95 % interval"),
        ]
        rows = [[say(t), f"{d:+.4f}", interval((d - Z * e, d + Z * e))] for t, (d, e) in differences.items()]
        parts.append(table(head, rows))
    if facts.evaluated:
        parts += [
            element("h3", say("What evaluate gives")),
            table((say("result"), say("value")), [[name, number(v)] for name, v in facts.evaluated.items()]),
        ]
    return parts


def _decided(facts: Facts) -> Array:
    return facts.output.argmax(1) if facts.decided is None else facts.decided


def _by_class(facts: Facts, say: Say) -> list[Html]:
    found = class_report(facts.truth, _decided(facts), _unique(facts.task.classes))
    assert found.confusion is not None  # each row has one class
    head = [say(name) for name in ("class", "precision", "recall", "F1", "rows")]
    rows = [
        [name, *(number(v[k]) for v in (found.precision, found.recall, found.f1)), f"{int(found.support[k]):,}"]
        for k, name in enumerate(facts.task.classes[:CLASSES])
    ]
    parts = [table(head, rows, caption=_more(facts.task.classes, CLASSES, "classes", say))]
    if len(facts.task.classes) <= MATRIX:
        drawn = pictures.confusion_matrix(found.confusion, list(map(_cut, facts.task.classes)))
        parts.append(picture(drawn, say, wide=len(facts.task.classes) > 9))
    return parts


def _unique(names: list[str]) -> list[str]:
    """Names that differ, for a table that needs that."""
    return [name if names.count(name) == 1 else f"{name} ({k})" for k, name in enumerate(names)]


def _ranking(facts: Facts, say: Say) -> list[Html]:
    """ROC, precision and recall, threshold and cost, calibration."""
    truth, output, names = facts.truth, facts.output, list(map(_cut, facts.task.classes))
    present = np.bincount(truth, minlength=output.shape[1]) > 0
    made = []
    if present.sum() > 1:
        scored = output[:, 1] if output.shape[1] == 2 else output
        made += [picture(draw(truth, scored, names), say) for draw in (pictures.roc, pictures.precision_recall)]
        if output.shape[1] == 2:
            decided = _decided(facts)
            in_use = _threshold(output[:, 1], decided)
            drawn = pictures.threshold_costs(truth, output[:, 1], (1.0, 1.0), threshold=in_use)
            made.append(
                picture(drawn, say, say("Both kinds of errors cost 1 here; other costs have another threshold."))
            )
    bins = reliability(truth, output[:, 1] if output.shape[1] == 2 else output, 10)
    made.append(picture(bins.plot(), say))
    return [element("div", *made, css="figures")]


def _threshold(scores: Array, decided: Array) -> float | None:
    """The threshold that gives the decisions, None where there is none."""
    low, high = scores[decided == 0], scores[decided == 1]
    if not len(low) or not len(high):
        return 0.5
    if low.max() >= high.min():
        return None
    return 0.5 if low.max() < 0.5 <= high.min() else float((low.max() + high.min()) / 2)


def _residuals(facts: Facts, say: Say) -> list[Html]:
    made = []
    for k, name in enumerate(facts.task.targets[:4]):
        drawn = pictures.residuals(facts.truth[:, k], facts.output[:, k], across=1, title=_cut(name))
        made.append(picture(drawn, say))
    return [element("div", *made, css="figures")]


# --- explanations -------------------------------------------------------------------------------------------------


class _Scored:
    """The model of a report as something with predict and score, for explanations."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def __call__(self, x: Any) -> Array:
        assert self.facts.predict is not None  # asked before
        return self.facts.predict(x)


def _rows_of(facts: Facts) -> Array:
    """Some of the rows, the same each time."""
    n = len(facts.truth)
    generator = np.random.Generator(np.random.Philox(0))
    return np.sort(generator.permutation(n)[:SAMPLE])


def _importances(facts: Facts) -> explain.Importances | None:
    if facts.features is None or facts.predict is None:
        return None
    from ranvier.auto.scores import scores
    from ranvier.support.tables import Table

    whole = Table(facts.features, facts.names)
    if len(whole.names) > FEATURES * 10:
        return None
    rows = _rows_of(facts)
    sign = -1 if facts.metric in LOWER_IS_BETTER else 1

    def scored(model: Any, x: Any, y: Any) -> float:
        return sign * scores(facts.task, y, model(x))[facts.metric]

    scored.__name__ = facts.metric
    part = whole.rows(rows)
    repeats = 3 if len(whole.names) <= FEATURES else 1
    return explain.permutation_importance(
        _Scored(facts), part, facts.truth[rows], metric=scored, repeats=repeats, names=whole.names
    )


def _features(facts: Facts, found: explain.Importances | None, say: Say) -> list[Html]:
    if found is None or facts.predict is None:
        return []
    from ranvier.support.tables import Table

    drawn = pictures.importances(found, most=20, title=say("Permutation importances"))
    drawn.axes[0].set_xlabel(say("drop of {metric}", metric=say.score(facts.metric)))
    text = say(
        "How much the score drops where the values of one column are shuffled, on {rows} of the scored rows. Of two "
        "columns that say the same, each may look unimportant. It is what this model uses, not what causes the target.",
        rows=min(SAMPLE, len(facts.truth)),
    )
    parts = [element("p", text), picture(drawn, say)]
    order = np.argsort(-found.mean, kind="stable")
    varied = [int(i) for i in order if facts.varied is None or found.names[i] in facts.varied][:EFFECTS]
    if varied:
        whole = Table(facts.features, facts.names)
        part = whole.rows(_rows_of(facts)[:120])
        outputs = list(map(_cut, facts.task.classes if facts.classes else facts.task.targets))
        effects = explain.partial_dependence(
            _Scored(facts), part, varied, points=16, samples=120, names=whole.names, classes=outputs
        )
        parts.append(element("h3", say("The prediction by the value of one column")))
        few = [effect for effect in effects if len(effect.outputs) <= 10]
        parts.append(element("div", *(picture(effect.plot(), say) for effect in few), css="figures"))
        text = "The mean over rows in which only this column is changed; ticks are the tenths of its values."
        parts.append(element("p", say(text), css="small"))
    return parts


def _mistakes(facts: Facts, found: explain.Importances | None, say: Say) -> list[Html]:
    if facts.classes:
        decided = _decided(facts)
        wrong = np.flatnonzero(decided != facts.truth)
        if not len(wrong):
            return [element("p", say("No row is classified wrongly."))]
        chosen = facts.output[wrong, facts.truth[wrong]]
        order = wrong[np.argsort(chosen, kind="stable")][:MISTAKES]
        names = facts.task.classes
        head = [say(facts.lines_are), say("true"), say("predicted"), say("probability of the true class")]
        cells = [
            [_cut(names[facts.truth[i]]), _cut(names[decided[i]]), number(facts.output[i, facts.truth[i]])]
            for i in order
        ]
        text = say(
            "{wrong} of {all} rows are classified wrongly.", wrong=f"{len(wrong):,}", all=f"{len(facts.truth):,}"
        )
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
        names = list(map(_cut, facts.task.classes))
        drawn = pictures.mistakes(facts.images, facts.truth, _as_decided(facts), names, count=MISTAKES)
        return [element("p", text), picture(drawn, say, wide=True)]
    shown = _shown_columns(facts, found, order)
    numbered = order if facts.lines is None else facts.lines[order]
    rows = [
        [f"{line}", *cell, *(_cut(v[k]) for _, v in shown)]
        for k, (line, cell) in enumerate(zip(numbered, cells, strict=True))
    ]
    return [element("p", text), table([*head, *(name for name, _ in shown)], rows, texts=3 if facts.classes else 1)]


def _as_decided(facts: Facts) -> Array:
    """Probabilities whose largest is the decision, for a picture that asks for that."""
    p, decided, rows = facts.output.copy(), _decided(facts), np.arange(len(facts.output))
    moved = p.argmax(1) != decided  # by a threshold
    p[rows[moved], decided[moved]] = np.minimum(1.0, p[moved].max(1) + 1e-9)
    return p


def _listed(values: Array) -> str:
    return ", ".join(number(value) for value in np.atleast_1d(values)[:4])


def _shown_columns(facts: Facts, found: explain.Importances | None, rows: Array) -> list[tuple[str, Any]]:
    """The columns that matter most, of some rows."""
    if facts.features is None:
        return []
    from ranvier.support.tables import Table

    whole = Table(facts.features, facts.names)
    order = range(len(whole.names)) if found is None else np.argsort(-found.mean, kind="stable")
    shown = []
    for index in list(order)[:6]:
        column = whole.column(int(index))[rows]
        values = [f"{v:.6g}" if isinstance(v, float) else v for v in column.tolist()]
        shown.append((_cut(whole.names[int(index)]), values))
    return shown


# --- the rest -----------------------------------------------------------------------------------------------------


def _checks(facts: Facts, say: Say) -> list[Html]:
    if facts.checks is None:
        return []
    if not facts.checks:
        return [element("p", say("The checks of data and network found nothing."))]
    return [
        table((say("level"), say("what")), [[say(level), _cut_long(text)] for level, text in facts.checks], texts=2)
    ]


def _origin(facts: Facts, say: Say) -> list[Html]:
    parts = []
    if facts.command:
        parts.append(element("pre", facts.command))
    rows: list[tuple[Any, Any]] = [(say("seed"), facts.seed)] if facts.seed is not None else []
    rows += list(facts.versions.items())
    rows += [(say("seconds: {part}", part=say(name)), number(value, 1)) for name, value in facts.seconds.items()]
    return [*parts, pairs(rows)] if rows else parts

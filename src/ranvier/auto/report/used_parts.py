"""What a report says of the parts of images, sounds and texts that a model uses: see `ranvier.auto.report.parts`."""

from __future__ import annotations

import numpy as np

from ranvier import explain, pictures
from ranvier.auto.report.facts import Facts
from ranvier.auto.report.page import Html, cut, element, picture, table
from ranvier.auto.report.parts import Parts
from ranvier.auto.report.words import Say
from ranvier.auto.scores import NUMBERS, row_losses
from ranvier.data.convert import Array
from ranvier.support.sampling import some_rows

ROWS = {"image": 60, "sound": 60, "word": 200}  # whose parts are left out
NAMES = 100  # words with the largest importances
DRAWN = 6  # mistakes that are explained

TEXTS = {
    "image": "How much the error rises where a part of the image is covered with its mean, on {rows} of the scored "
    "images: red parts matter. It is what this model uses, not what causes the target.",
    "sound": "How much the error rises where a part of the sound is silent, on {rows} of the scored sounds. It is what "
    "this model uses, not what causes the target.",
    "word": "How much the error rises where a word is left out, on {rows} of the scored texts: the mean over all of "
    "them, so that words in many texts count more. It is what this model uses, not what causes the target.",
}


def errors(facts: Facts, truth: Array, output: Array) -> Array:
    """The error of each row: the log loss, or of numbers the mean distance."""
    if facts.task.kind == NUMBERS:
        return np.asarray(np.abs(output - truth).mean(1))
    return row_losses(facts.task, truth, output)


def sample(facts: Facts, parts: Parts) -> Array:
    """Some of the scored rows, the same each time."""
    return some_rows(len(facts.truth), ROWS[parts.kind])


def importances_of_parts(facts: Facts, parts: Parts) -> explain.Importances | None:
    """How much the error rises without each part, on average."""
    rows = sample(facts, parts)
    before = errors(facts, facts.truth[rows], facts.output[rows])
    rises: dict[str, float] = {}
    for place, found in enumerate(parts.without(rows)):
        if found:
            truth = np.repeat(facts.truth[rows[place]][None], len(found), 0)
            after = errors(facts, truth, np.stack([output for _, output in found]))
            for (name, _), error in zip(found, after, strict=True):
                rises[name] = rises.get(name, 0.0) + float(error - before[place]) / len(rows)
    if not rises:
        return None
    names = list(rises)
    if parts.kind == "word":
        names = sorted(names, key=lambda name: -abs(rises[name]))[:NAMES]
    values = np.array([[rises[name]] for name in names])
    metric = "mae" if facts.task.kind == NUMBERS else "log_loss"
    return explain.Importances(names, values, float(before.mean()), metric)


def used_parts(facts: Facts, parts: Parts, found: explain.Importances, say: Say) -> list[Html]:
    """A picture of the importances."""
    made = [element("p", say(TEXTS[parts.kind], rows=len(sample(facts, parts))))]
    if parts.kind == "image":
        rows = sample(facts, parts)
        mean = np.asarray(facts.images)[rows].mean(0, keepdims=True)
        heat = parts.heat(found.mean)[None]
        drawn = pictures.attributions(mean, {say("rise of the error"): heat}, captions=[say("mean of the images")])
        return [*made, picture(drawn, say)]
    drawn = pictures.importances(found, most=20, title=say("What the model uses"))
    drawn.axes[0].set_xlabel(say("rise of the error"))
    return [*made, picture(drawn, say)]


def explained_mistakes(facts: Facts, parts: Parts, order: Array, say: Say) -> Html:
    """What spoke for the wrong class in the worst mistakes: over the images, by the words, or as a table."""
    rows = order[:DRAWN]
    decided = facts.chosen()[rows]
    drops = [
        [(name, float(facts.output[row, k] - output[k])) for name, output in found]
        for row, k, found in zip(rows, decided, parts.without(rows), strict=True)
    ]
    names = list(map(cut, facts.task.classes))
    captions = [
        say("predicted {a}, true {b}", a=names[k], b=names[facts.truth[row]])
        for row, k in zip(rows, decided, strict=True)
    ]
    note = element(
        "p", say("Red parts speak for the predicted class: its probability falls without them."), css="small"
    )
    if parts.kind == "image":
        heat = np.stack([parts.heat(np.array([drop for _, drop in found])) for found in drops])
        images = np.asarray(facts.images)[rows]
        drawn = pictures.attributions(images, {say("what speaks for the prediction"): heat}, captions=captions)
        return Html.join([note, picture(drawn, say)])
    if parts.kind == "word":
        texts = [(found, caption) for found, caption in zip(drops, captions, strict=True) if found]
        if not texts:
            return Html("")
        drawn = pictures.words([found for found, _ in texts], captions=[caption for _, caption in texts])
        return Html.join([note, picture(drawn, say, wide=True)])
    strongest = [max(found, key=lambda pair: pair[1]) for found in drops]
    lines = rows if facts.lines is None else facts.lines[rows]
    cells = [
        [f"{line}", caption, name, f"{facts.output[row, k]:.3f}", f"{facts.output[row, k] - drop:.3f}"]
        for line, row, k, caption, (name, drop) in zip(lines, rows, decided, captions, strongest, strict=True)
    ]
    head = [
        say(facts.lines_are), say("mistake"), say("the part that speaks most for the prediction"),
        say("probability of the prediction"), say("its probability without that part"),
    ]  # fmt: skip
    return table(head, cells, texts=3)

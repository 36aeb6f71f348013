"""What a report shows, whether it is of a run or of a model: facts, from which the sections are made."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ranvier.auto.report.parts import Parts
from ranvier.auto.scores import CLASSES, DECISIVE, LABELS, NUMBERS, SCORES, Task, mean_interval, paired, scores
from ranvier.data.convert import Array
from ranvier.support.constructors import CheckedConstructor

DRAWS = 300  # samples of the bootstrap
MOST_NUMBERS = 40_000_000  # rows x outputs x draws, above which there are fewer draws


@dataclass
class Rival(CheckedConstructor):
    """What the model is compared with: its name, its outputs for the same rows, and the classes that it decides on.

    ``unfinished`` is whether the time was too short for it.
    """

    title: str
    output: Array
    decided: Array | None = None
    unfinished: bool = False

    def chosen(self, labels: bool) -> Array:
        """The class that is decided on for each row; of ``labels`` 0 or 1 for each target."""
        usual = (self.output > 0.5).astype(np.int64) if labels else self.output.argmax(1)
        return np.asarray(usual) if self.decided is None else self.decided


@dataclass
class Facts(CheckedConstructor):
    """The contents of a report. Texts are English; the sections translate what they know.

    ``truth`` and ``output`` are of the rows that are scored: class numbers (n,) and probabilities (n, classes), or
    numbers (n, targets), or 0 and 1 with the probabilities of 1 (n, targets). ``lines`` names the rows. ``rivals`` are
    the baselines. ``evaluated`` are numbers that ``evaluate`` gives, by name. ``columns`` are rows of a table of the
    data: name, kind, missing, values. ``features`` is the table that importances and dependences change, and
    ``predict`` gives the outputs for it. ``curves`` are the names of trainings, with the histories of each. ``checks``
    are findings, ``notes`` other lines about the data.
    """

    title: str
    task: Task
    truth: Array
    output: Array
    decided: Array | None = None
    threshold: float | None = 0.5  # of two classes, from which the second one is decided on; None where there is none
    part: str = "the rows that were given"
    lines: Array | None = None
    lines_are: str = "row"
    rivals: list[Rival] = field(default_factory=list)
    uncompared: str = ""  # what is usually compared and is not, and why
    evaluated: dict[str, float] = field(default_factory=dict)
    data: list[tuple[str, Any]] = field(default_factory=list)
    columns: list[list[Any]] = field(default_factory=list)
    frequencies: list[tuple[str, Array]] = field(default_factory=list)  # of classes, by part
    steps: list[Any] = field(default_factory=list)  # what was done, in order
    layers: list[list[str]] = field(default_factory=list)
    trials: list[list[Any]] = field(default_factory=list)
    members: Sequence[int] = ()  # the numbers of the trials whose networks the model has
    curves: list[tuple[Any, Sequence[Mapping[str, Sequence[Any]]]]] = field(default_factory=list)
    features: Any = None
    names: Sequence[str] | None = None
    predict: Callable[[Any], Array] | None = None
    decide: Callable[[Array], Array] | None = None  # classes from probabilities; None takes the most probable
    varied: Sequence[str] | None = None  # the features of which the dependence may be drawn
    images: Any = None
    parts: Parts | None = None  # of images, sounds and texts, which are left out one by one
    checks: list[tuple[str, Any]] | None = None  # level, and a note or a finding; None where there were none
    notes: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    seed: Any = None
    command: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def classes(self) -> bool:
        return self.task.kind == CLASSES

    @property
    def labels(self) -> bool:
        """Whether each of several targets has one of two values."""
        return self.task.kind == LABELS

    def chosen(self) -> Array:
        """The class that is decided on for each row."""
        return Rival(self.title, self.output, self.decided).chosen(self.labels)

    @property
    def metric(self) -> str:
        return self.task.metric

    @property
    def decisive(self) -> str:
        """The score by which the model is compared: of a model that gives no probabilities the accuracy."""
        hard = self.task.kind != NUMBERS and bool(np.isin(self.output, (0, 1)).all())
        return "accuracy" if hard else DECISIVE[self.task.kind]

    def difference(self, rival: Rival) -> tuple[float, float, float]:
        """The `decisive` score minus that of a rival, and the ends of its 95 % interval, paired over the rows."""
        if self.decisive != "accuracy":
            return paired(self.task, self.truth, self.output, rival.output)
        other = rival.chosen(self.labels)
        return mean_interval(
            ((self.chosen() == self.truth) * 1.0 - (other == self.truth)).reshape(len(other), -1).mean(1)
        )


class Compared(NamedTuple):
    """The scores of the model and of the rivals by name, with intervals.

    ``intervals`` are (2, 1 + rivals, scores), the scores in the order of `SCORES`.
    """

    mine: dict[str, float]
    others: list[dict[str, float]]
    intervals: Array


def bootstrap(facts: Facts) -> Compared:
    """The scores of the model and its rivals; the interval of each is the middle 95 % of samples of the rows."""
    names = SCORES[facts.task.kind]
    models = [(facts.output, facts.decided), *((r.output, r.decided) for r in facts.rivals)]
    truth = np.asarray(facts.truth)

    def scored(rows: Any) -> Array:
        found = []
        for output, decided in models:
            part = None if decided is None else decided[rows]
            values = scores(facts.task, truth[rows], output[rows], part)
            found.append([values[name] for name in names])
        return np.array(found)

    whole = scored(slice(None))
    n = len(truth)
    draws = int(np.clip(MOST_NUMBERS // max(1, n * facts.output.shape[1] * len(models)), 40, DRAWS))
    generator = np.random.Generator(np.random.Philox(0))
    drawn = np.array([scored(generator.integers(0, n, n)) for _ in range(draws)])  # draws, models, scores
    mine, *others = [dict(zip(names, row.tolist(), strict=True)) for row in whole]
    return Compared(mine, others, _middle(drawn))


def _middle(values: Array) -> Array:
    """The ends of the middle 95 % over the draws, of those that are defined; NaN where none is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a score that no draw defines
        return np.asarray(np.nanquantile(values, [0.025, 0.975], axis=0))

"""Tasks and their scores. All that shows a score of a run takes it from here, so that all show the same."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.metrics.exact import roc_auc_score
from ranvier.support.constructors import CheckedConstructor

CLASSES, LABELS, NUMBERS = "classes", "labels", "numbers"
SCORES = {  # of each kind of task, in the order that they are shown
    CLASSES: ("balanced_accuracy", "accuracy", "f1", "roc_auc", "log_loss"),
    LABELS: ("balanced_accuracy", "accuracy", "f1", "roc_auc", "log_loss"),
    NUMBERS: ("r2", "mae", "rmse"),
}
OF_CONFUSION = frozenset(["balanced_accuracy", "accuracy", "f1"])
LOWER_IS_BETTER = frozenset(["log_loss", "mae", "rmse"])
TITLES = {"r2": "R2", "f1": "F1", "roc_auc": "ROC AUC", "mae": "mean absolute error", "rmse": "RMSE"}  # else the name
DECISIVE = {CLASSES: "log_loss", LABELS: "log_loss", NUMBERS: "r2"}  # by which models are compared: no threshold counts
SURE = 1.96  # standard errors on either side of a difference: an interval of 95 % of the normal distribution
TINY = 1e-7


@dataclass
class Task(CheckedConstructor):
    """What is predicted: one of ``classes``, or one of two values, or a number, for each of ``targets``.

    ``kind`` is `CLASSES`, `LABELS` or `NUMBERS`, ``targets`` are the names of columns (one for classes), ``classes``
    the names of the classes in order, ``labels`` the two values of each target, such as ["no", "yes"]. ``metric`` is
    the score that the search looks for.
    """

    kind: str
    targets: list[str]
    classes: list[str] = field(default_factory=list)
    metric: str = ""
    labels: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        known = SCORES[self.kind]
        self.metric = self.metric or known[0]
        if self.metric not in known:
            raise ValueError(
                f"metric={self.metric!r}: the scores of {self.kind} are {', '.join(known)}. Write one of them."
            )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def outputs(self) -> int:
        """The numbers that a network gives."""
        return len(self.classes) if self.kind == CLASSES else len(self.targets)


def title(score: str) -> str:
    """What a score is called for people."""
    return TITLES.get(score, score.replace("_", " "))


def better(metric: str, value: float, other: float) -> bool:
    """Whether a score is better than another one. NaN is worse than any number."""
    if np.isnan(other):
        return not np.isnan(value)
    return value < other if metric in LOWER_IS_BETTER else value > other


def scores(task: Task, truth: Array, output: Array, decided: Array | None = None) -> dict[str, float]:
    """All scores of a task, by name.

    ``truth`` are class numbers (n,), or of several targets 0 and 1, or numbers (n, targets). ``output`` are
    probabilities (n, classes), or of 1 (n, targets), or numbers (n, targets). ``decided`` are the predicted classes, as
    ``truth`` has them, by default the most probable ones. Balanced accuracy and F1
    are means over the classes in ``truth``; of two classes F1 and the area under the ROC curve are of the second one. A
    score that ``truth`` does not define, such as an area where there is one class, is NaN. Of several targets each
    score is the mean.
    """
    if task.kind == NUMBERS:
        return _of_numbers(np.asarray(truth, np.float64), np.asarray(output, np.float64))
    truth = np.asarray(truth)
    if task.kind == LABELS:
        decided = decide(output, [[1.0, 1.0]] * task.outputs) if decided is None else decided
        found = [
            _of_classes(truth[:, k], np.stack([1 - output[:, k], output[:, k]], 1), decided[:, k], 2)
            for k in range(task.outputs)
        ]
        return {name: float(np.mean([row[name] for row in found])) for name in found[0]}
    return _of_classes(truth, output, output.argmax(1) if decided is None else decided, len(task.classes))


def _of_classes(truth: Array, output: Array, decided: Array, classes: int) -> dict[str, float]:
    return {
        **of_confusion(confusion_of(truth, decided, classes)),
        "roc_auc": _area(truth, output),
        "log_loss": float(_log_losses(output[np.arange(len(truth)), truth]).mean()),
    }


def row_losses(task: Task, truth: Array, output: Array) -> Array:
    """The loss of each row: the squared error, or minus the logarithm of the probability; a mean over targets."""
    if task.kind == NUMBERS:
        return np.asarray(np.square(output - truth).mean(1))
    if task.kind == LABELS:
        return np.asarray(_log_losses(np.where(truth == 1, output, 1 - output)).mean(1))
    return _log_losses(output[np.arange(len(truth)), truth])


def _log_losses(chosen: Array) -> Array:
    return np.asarray(-np.log(np.clip(chosen, TINY, 1)))


def paired(task: Task, truth: Array, output: Array, other: Array) -> tuple[float, float, float]:
    """A model's decisive score (`DECISIVE`) minus another's on the same rows, and the ends of its 95 % interval.

    The interval is the normal one of the differences of the rows: of log losses, and for R2 of what each row
    contributes to the ratio of squared errors and variance. Where ``truth`` has one row, or does not vary, it is NaN.
    """
    if task.kind == NUMBERS:
        truth, output, other = (np.asarray(part, np.float64).reshape(len(truth), -1) for part in (truth, output, other))
        variation = np.square(truth - truth.mean(0))
        gaps = np.square(other - truth) - np.square(output - truth)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = gaps.mean(0) / variation.mean(0)
            each = (gaps - ratio * variation) / variation.mean(0) + ratio  # whose mean is the ratio
            return mean_interval(each.mean(1))
    return mean_interval(row_losses(task, truth, output) - row_losses(task, truth, other))


def mean_interval(each: Array) -> tuple[float, float, float]:
    """A mean over rows, and the ends of its normal 95 % interval; of one row they are NaN."""
    mean = float(each.mean())
    half = SURE * float(each.std(ddof=1)) / len(each) ** 0.5 if len(each) > 1 else float("nan")
    return mean, mean - half, mean + half


def of_confusion(confusion: Array) -> dict[str, float]:
    """The scores that a table of counts gives, by name (`OF_CONFUSION`): see `confusion_of`."""
    there, hits = confusion.sum(1), np.diag(confusion)
    present = there > 0
    recall = hits[present] / there[present]
    f1 = 2 * hits / np.maximum(there + confusion.sum(0), 1)
    return {
        "balanced_accuracy": float(recall.mean()),
        "accuracy": float(hits.sum() / there.sum()),
        "f1": float(f1[1] if len(f1) == 2 else f1[present].mean()),
    }


def confusion_of(truth: Array, decided: Array, classes: int) -> Array:
    """How many rows of class i are predicted as class j: (classes, classes)."""
    return np.bincount(truth * classes + decided, minlength=classes * classes).reshape(classes, classes)


def _area(truth: Array, output: Array) -> float:
    present = np.unique(truth)
    if len(present) < 2:
        return float("nan")
    if output.shape[1] == 2:
        return float(roc_auc_score(truth, output[:, 1]))
    return float(np.mean([roc_auc_score((truth == k).astype(int), output[:, k]) for k in present]))


def _of_numbers(truth: Array, output: Array) -> dict[str, float]:
    truth, output = truth.reshape(len(truth), -1), output.reshape(len(output), -1)
    square = np.square(output - truth)
    spread = np.square(truth - truth.mean(0)).sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = np.where(spread > 0, 1 - square.sum(0) / spread, np.nan)
    return {
        "r2": float(r2.mean()),
        "mae": float(np.abs(output - truth).mean()),
        "rmse": float(np.sqrt(square.mean(0)).mean()),
    }


def decide(output: Array, weights: Any) -> Array:
    """The class with the largest probability times weight: (n, classes) to (n,).

    With weights (targets, 2) the same of each target, from the probability of its second value: (n, targets).
    """
    w = np.asarray(weights)
    if w.ndim == 2:
        return np.asarray((output * w[:, 1] > (1 - output) * w[:, 0]).astype(np.int64))
    return np.asarray((output * w).argmax(1))

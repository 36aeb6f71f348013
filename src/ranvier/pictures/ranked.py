"""Pictures of scores of classes: ROC, precision and recall, and the cost of each threshold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ranvier.data.convert import Array
from ranvier.metrics.exact import (
    average_precision_score,
    columns,
    precision_recall_curve,
    ranked,
    roc_auc_score,
    roc_curve,
)
from ranvier.pictures.style import BLUE, INK, ORANGE, PALE, Target, colour_of, figure, finish, percent, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 201  # at which the curves of several folds are averaged
NAMED = 10  # the most classes with a colour and a name of their own


class Fold(NamedTuple):
    """Truth and scores, both (samples, columns), of one fold or seed."""

    truth: Array
    scores: Array


def folds_of(y_true: Any, y_score: Any) -> list[Fold]:
    """One fold, or those of two lists of arrays. Two columns of probabilities are those of the second class.

    Raises ValueError for targets and scores that do not match.
    """

    def arrays(given: Any) -> bool:
        return isinstance(given, (list, tuple)) and bool(given) and all(np.ndim(part) for part in given)

    several = arrays(y_true) and arrays(y_score) and all(hasattr(part, "shape") for part in (*y_true, *y_score))
    pairs = list(zip(y_true, y_score, strict=True)) if several else [(y_true, y_score)]
    found = []
    for truth, scores in pairs:
        t, s = np.asarray(truth), np.asarray(scores)
        if s.ndim == 2 and s.shape[1] == 2 and (t.ndim == 1 or t.shape[1] == 1):
            s = s[:, 1]
        found.append(Fold(*columns(t, s)))
    return found


def names_of(folds: Sequence[Fold], classes: Sequence[Any] | None) -> list[str]:
    """What is positive in each column. Of two names, the second is that of one column."""
    count = folds[0].truth.shape[1]
    if classes is None:
        return ["positive"] if count == 1 else [str(k) for k in range(count)]
    names = [str(name) for name in classes]
    if count == 1 and len(names) == 2:
        return names[1:]
    if len(names) != count:
        raise ValueError(f"{len(names)} names for {count} classes. Write one for each.")
    return names


def _curves(
    axes: Axes,
    folds: Sequence[Fold],
    names: Sequence[str],
    curve: Callable[[Array, Array], tuple[Array, Array]],
    area: Callable[[Array, Array], float],
    steps: bool,
) -> list[float]:
    """Draw the curve of each class against the rest, of several folds as mean and band. Returns the mean areas."""
    grid = np.linspace(0, 1, POINTS)
    areas = []
    many = len(names) > NAMED
    for k, name in enumerate(names):
        pairs = [(fold.truth[:, k], fold.scores[:, k]) for fold in folds]
        pairs = [(t, s) for t, s in pairs if 0 < np.count_nonzero(t == 1) < len(t)]
        if not pairs:
            areas.append(float("nan"))
            continue
        each = np.array([area(t, s) for t, s in pairs])
        areas.append(float(each.mean()))
        colour, style = (PALE, "-") if many else colour_of(k, len(names))
        spread = f" ± {each.std(ddof=1):.3f}" if len(each) > 1 else ""
        label = f"{name}{' against the rest' if len(names) > 1 else ''}: {areas[-1]:.3f}{spread}"
        drawn: dict[str, Any] = {
            "color": colour,
            "linestyle": style,
            "linewidth": 0.7 if many else 1.8,
            "label": None if many else label,
        }
        if len(pairs) == 1:
            x, y = curve(*pairs[0])
            axes.plot(x, y, drawstyle="steps-post" if steps else "default", **drawn)
            continue
        at = np.array([_at(grid, *curve(t, s), steps=steps) for t, s in pairs])
        mean, deviation = at.mean(0), at.std(0, ddof=1)
        low, high = np.clip(mean - deviation, 0, 1), np.clip(mean + deviation, 0, 1)
        axes.fill_between(grid, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(grid, mean, **drawn)
    return areas


def _at(grid: Array, x: Array, y: Array, *, steps: bool) -> Array:
    """The curve at the points of the grid; x rises. A step curve has the value to its right."""
    if not steps:
        # Where x stays and y rises, the last point counts; at 0 the curve begins at 0.
        found = np.interp(grid, x, y)
        found[0] = 0.0
        return np.asarray(found)
    return y[np.clip(np.searchsorted(x, grid, side="right") - 1, 0, len(y) - 1)]


def _finish(
    made: Figure, axes: Axes, labels: tuple[str, str], title: str, path: Target, legend: tuple[str, str]
) -> Figure:
    tidy(axes, title)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(labels[0], color=INK)
    axes.set_ylabel(labels[1], color=INK)
    percent(axes.xaxis)
    percent(axes.yaxis)
    shown = axes.legend(
        frameon=False, fontsize=8.5, loc=legend[0], title=legend[1], title_fontsize=8.5, alignment="left"
    )
    for text in shown.get_texts():
        text.set_parse_math(False)
    return finish(made, path)


def roc(
    y_true: Any, y_score: Any, classes: Sequence[Any] | None = None, path: Target = None, *, title: str = "ROC"
) -> Figure:
    """Draw the ROC curve of each class against the rest: true by false positives, with the area below it.

    ``y_true`` are 0 and 1 with scores (n,), (n, 1) or (n, 2); class numbers with scores (n, classes); or ones and zeros
    of several labels with scores of their shape. Lists of such arrays, of several folds or seeds, are drawn as their
    mean, with a band of one standard deviation on each side. ``classes`` names the classes; beyond ten they share one
    colour, and the mean area is written. ``path`` names a file to write (.png, .svg, .pdf). Returns the figure. Raises
    ValueError for targets and scores that do not match. The areas are those of `ranvier.metrics.roc_auc_score`.
    """
    folds = folds_of(y_true, y_score)
    names = names_of(folds, classes)
    made = figure(4.9, 4.9)
    axes = made.subplots()
    areas = _curves(axes, folds, names, lambda t, s: roc_curve(t, s)[:2], roc_auc_score, steps=False)
    label = f"mean of {len(names)} classes: {np.nanmean(areas):.3f}" if len(names) > NAMED else None
    axes.plot([0, 1], [0, 1], color=PALE, linewidth=1, linestyle="--", label="by chance" if label is None else label)
    return _finish(made, axes, ("false positive rate", "true positive rate"), title, path, ("lower right", "area"))


def precision_recall(
    y_true: Any,
    y_score: Any,
    classes: Sequence[Any] | None = None,
    path: Target = None,
    *,
    title: str = "Precision and recall",
) -> Figure:
    """Draw precision by recall of each class against the rest, with the average precision.

    A dotted line has the precision by chance, the fraction of the class. The arguments are those of `roc`. The average
    precisions are those of `ranvier.metrics.average_precision_score`.
    """
    folds = folds_of(y_true, y_score)
    names = names_of(folds, classes)

    def curve(truth: Array, score: Array) -> tuple[Array, Array]:
        precision, recall, _ = precision_recall_curve(truth, score)
        return recall[::-1], precision[::-1]

    made = figure(4.9, 4.9)
    axes = made.subplots()
    areas = _curves(axes, folds, names, curve, average_precision_score, steps=True)
    for k in range(len(names)) if len(names) <= NAMED else ():
        share = float(np.mean([fold.truth[:, k].mean() for fold in folds]))
        axes.axhline(share, color=colour_of(k, len(names))[0], linewidth=0.8, linestyle=":")
    if len(names) > NAMED:
        axes.plot([], [], color=PALE, label=f"mean of {len(names)} classes: {np.nanmean(areas):.3f}")
    return _finish(made, axes, ("recall", "precision"), title, path, ("lower left", "average precision"))


def threshold_costs(
    y_true: Any,
    y_score: Any,
    cost: tuple[float, float] = (1.0, 1.0),
    path: Target = None,
    *,
    threshold: float | None = 0.5,
    title: str = "Cost by threshold",
) -> Figure:
    """Draw the mean cost of a sample by the threshold from which it counts as positive, and mark the cheapest one.

    ``y_true`` are 0 and 1, with scores (n,), (n, 1) or (n, 2). ``cost`` is that of a false positive and of a false
    negative. ``threshold`` is the one in use, which is marked, too. Lists of arrays, of several folds or seeds, are
    drawn as their mean, with a band of one standard deviation on each side. ``path`` names a file to write. Returns the
    figure. Raises ValueError for several classes, and for costs that are negative or both 0.
    """
    folds = folds_of(y_true, y_score)
    false_positive, false_negative = map(float, cost)
    if folds[0].truth.shape[1] != 1:
        raise ValueError("a threshold decides between two classes. Write y_true == k and y_score[:, k] for class k.")
    if min(false_positive, false_negative) < 0 or false_positive + false_negative <= 0:
        raise ValueError(f"cost={cost!r}: write the costs of a false positive and of a false negative, 0 or more.")
    scores = np.concatenate([fold.scores[:, 0] for fold in folds])
    grid = np.unique(scores)
    if len(grid) > 2 * POINTS:
        grid = np.unique(np.quantile(scores, np.linspace(0, 1, 2 * POINTS), method="nearest"))
    grid = np.append(grid, grid[-1] + max(1e-6, (grid[-1] - grid[0]) / POINTS))
    if scores.min() >= 0 and scores.max() <= 1:
        grid = np.unique([0.0, *grid[:-1], 1.0])
    if threshold is not None:
        grid = np.unique([*grid, threshold])
    parts = np.array([_errors(fold, grid) for fold in folds])  # folds, (positives, negatives), thresholds
    wrong = parts.mean(0) * np.array([[false_positive], [false_negative]])
    total = wrong.sum(0)
    made = figure(5.6, 4.0)
    axes = made.subplots()
    tidy(axes, title)
    kinds = (f"false positives ({false_positive:g} each)", f"false negatives ({false_negative:g} each)")
    for values, colour, label in zip(wrong, (BLUE, ORANGE), kinds, strict=True):
        axes.plot(grid, values, color=colour, linewidth=1.2, label=label, drawstyle="steps-pre")
    if len(folds) > 1:
        each = parts[:, 0] * false_positive + parts[:, 1] * false_negative
        spread = each.std(0, ddof=1)
        axes.fill_between(
            grid, np.maximum(total - spread, 0), total + spread, color=INK, alpha=0.12, linewidth=0, step="pre"
        )
    axes.plot(grid, total, color=INK, linewidth=2, label="both", drawstyle="steps-pre")
    best = int(total.argmin())
    axes.plot(
        grid[best], total[best], "o", color=INK, markersize=7, label=f"cheapest: {total[best]:.3g} at {grid[best]:.3g}"
    )
    if threshold is not None:
        now = total[grid == threshold].item()
        axes.plot(threshold, now, "s", color=PALE, markersize=6, label=f"in use: {now:.3g} at {threshold:g}")
    axes.set_xlabel("positive from a score of", color=INK)
    axes.set_ylabel("cost of a sample", color=INK)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8.5)
    return finish(made, path)


def _errors(fold: Fold, grid: Array) -> Array:
    """The false positives and the false negatives of each threshold, as fractions of the samples."""
    tp, fp, cuts = ranked(fold.truth[:, 0], fold.scores[:, 0])
    count = np.searchsorted(-cuts, -grid, side="right")  # the distinct scores from the threshold up
    tp, fp = np.append(0, tp), np.append(0, fp)
    return np.array([fp[count], tp[-1] - tp[count]]) / len(fold.truth)

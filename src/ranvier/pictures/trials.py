"""Results of many trainings: scores by setting, and by the number of samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ranvier.pictures.style import BLUE, INK, ORANGE, PALE, Target, figure, finish, grid, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOGARITHMIC = 20  # values that span more than this factor have a logarithmic axis


class Tried(Protocol):
    """The results of a search: settings with estimates of each metric, and the metric that ranks them."""

    @property
    def monitor(self) -> str: ...
    @property
    def higher_is_better(self) -> bool: ...
    def settings(self, confidence: float = 0.95, corrected: bool = False) -> Sequence[Any]: ...
    def records(self) -> list[dict[str, Any]]: ...


def search_results(found: Tried, path: Target = None, *, title: str | None = None) -> Figure:
    """Draw the score of each setting of a search by each of the settings' values, one panel for each name.

    ``found`` is the result of `ranvier.search`. A pale point is a model (a fold, a seed); a blue point is the mean of a
    setting with its 95 % interval; the best setting is orange. The last panel has the settings by rank. Values that
    are not numbers are names on the axis. ``path`` names a file to write (.png, .svg, .pdf). Returns the figure.
    Raises ValueError where no model has the score.
    """
    name = found.monitor
    made_settings = [s for s in found.settings() if name in s.metrics and s.metrics[name].n]
    if not made_settings:
        raise ValueError(f"no model has {name!r}: there is nothing to draw.")
    keys = list(dict.fromkeys(key for setting in made_settings for key in setting.settings))
    varied = [key for key in keys if len({repr(s.settings.get(key)) for s in made_settings}) > 1]
    made, panels = grid(
        len(varied) + 1, 3, (3.7, 2.9), (0.4, 0.2), title or f"{name.replace('_', ' ')} of a search", sharey=True
    )
    for axes, key in zip(panels, varied, strict=False):
        _draw_setting(axes, [(s.settings[key], s) for s in made_settings if key in s.settings], name)
        axes.set_xlabel(key, color=INK, parse_math=False)
        tidy(axes, "")
    last = panels[-1]
    _draw_points(last, [(rank, s) for rank, s in enumerate(made_settings, 1)], name)
    tidy(last, "")
    last.set_xlabel("rank of the setting", color=INK)
    from matplotlib.ticker import MaxNLocator

    last.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    for axes in panels[::3]:
        axes.set_ylabel(name.replace("_", " "), color=INK)
    return finish(made, path)


def _draw_setting(axes: Axes, pairs: Sequence[tuple[Any, Any]], name: str) -> None:
    values = [value for value, _ in pairs]
    if all(isinstance(v, (int, float, np.number)) and not isinstance(v, bool) for v in values):
        _draw_points(axes, pairs, name)
        if min(values) > 0 and max(values) > LOGARITHMIC * min(values):
            axes.set_xscale("log")
        return
    texts = sorted({str(value) for value in values})
    _draw_points(axes, [(texts.index(str(value)), s) for value, s in pairs], name)
    axes.set_xticks(
        range(len(texts)), [t if len(t) < 16 else f"{t[:15]}…" for t in texts], fontsize=8, parse_math=False
    )
    axes.margins(x=0.15)


def _draw_points(axes: Axes, pairs: Sequence[tuple[Any, Any]], name: str) -> None:
    """Models, means and intervals; the pairs come best first."""
    for at, setting in reversed(pairs):
        scores = [float(row.metrics[name]) for row in setting.rows if name in row.metrics]
        if len(scores) > 1:
            axes.plot([at] * len(scores), scores, "o", color=PALE, alpha=0.5, markersize=3, linestyle="none")
    for place, (at, setting) in reversed(list(enumerate(pairs))):
        estimate = setting.metrics[name]
        colour = ORANGE if place == 0 else BLUE
        if np.isfinite(estimate.low):
            axes.plot([at, at], [estimate.low, estimate.high], color=colour, linewidth=1.1, alpha=0.8)
        axes.plot(at, estimate.mean, "o", color=colour, markersize=6)


def learning_curve(
    sizes: Any,
    training: Any,
    validation: Any,
    path: Target = None,
    *,
    score: str = "score",
    title: str = "Learning curve",
) -> Figure:
    """Draw a score by the number of training samples: where validation still rises, more data would help.

    ``sizes`` are numbers of samples (n,), ``training`` and ``validation`` scores (n,), or (n, folds) of several folds
    or seeds, which are drawn as their mean with a band of one standard deviation on each side. This is what
    `ranvier.search.learning_curve` and scikit-learn's function of that name return. ``path`` names a file to write.
    Returns the figure. Raises ValueError for scores that are not one row for each size.
    """
    at = np.asarray(sizes, np.float64)
    made = figure(5.6, 4.0)
    axes = made.subplots()
    tidy(axes, title)
    for given, colour, label, marker in ((training, BLUE, "training", "o"), (validation, ORANGE, "validation", "s")):
        scores = np.asarray(given, np.float64)
        scores = scores[:, None] if scores.ndim == 1 else scores
        if at.ndim != 1 or scores.ndim != 2 or len(scores) != len(at) or not scores.size:
            raise ValueError(
                f"sizes have shape {at.shape} and the {label} scores {np.shape(given)}. Write one row of scores for "
                "each size."
            )
        mean = scores.mean(1)
        if scores.shape[1] > 1:
            spread = scores.std(1, ddof=1)
            axes.fill_between(at, mean - spread, mean + spread, color=colour, alpha=0.18, linewidth=0)
        axes.plot(at, mean, color=colour, marker=marker, markersize=5, linewidth=2, label=label)
    if at.min() > 0 and at.max() > LOGARITHMIC * at.min():
        axes.set_xscale("log")
    axes.set_xlabel("training samples", color=INK)
    axes.set_ylabel(score.replace("_", " "), color=INK)
    axes.legend(frameon=False, fontsize=9)
    return finish(made, path)

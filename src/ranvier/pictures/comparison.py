"""Several training runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ranvier.data.convert import Array
from ranvier.pictures.curves import Results, results_of
from ranvier.pictures.style import BLUE, INK, ORANGE, PALE, Target, finish, grid, tidy
from ranvier.support.results import number_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACROSS = 4  # panels side by side
BAND = 40  # the most epochs at which the edges of the band are drawn


def compare(
    runs: Mapping[str, Results | Sequence[Results]],
    result: str = "loss",
    path: Target = None,
    *,
    limits: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw one result of several training runs by epoch, one panel for each name, all with the same axes.

    ``runs`` maps names to the histories that `fit` returned. A list of histories (of several seeds) is drawn as their
    mean, and the band around the validation curve, or without validation around that of training, is one standard
    deviation wide on each side. Where the histories differ in length, the curve ends where half of them end. The curve
    of the first name that has the band appears in all other panels as a grey line. Of a result with a number for each
    class, the mean over the classes is drawn; a ``result`` that begins with "val_" is drawn alone. ``limits`` are the
    lowest and the highest value shown. ``path`` names a file to write (.png, .svg, .pdf). Returns the figure. Raises
    ValueError where a run does not have the result.
    """
    if not runs:
        raise ValueError("there are no runs to compare. Write {'name': model.fit(...), ...} instead.")
    made, panels = grid(len(runs), ACROSS, (2.6, 2.0), (0.4, 0.5), title, sharex=True, sharey=True)
    from matplotlib.ticker import MaxNLocator

    first: tuple[Array, str] | None = None  # the first name's curve with a band, and what it is
    alone = result.startswith("val_")  # the validation result, without that of training
    for axes, (name, given) in zip(panels, runs.items(), strict=True):
        seeds = given if isinstance(given, Sequence) else [given]
        empty = np.zeros(0)
        trained, differing = (empty, empty) if alone else mean_of(seeds, result, name)
        held_out, spread = mean_of(seeds, result if alone else f"val_{result}", name, needed=alone)
        if first is not None:
            axes.plot(epochs(first[0]), first[0], color=PALE, linewidth=1, label=first[1])
        if len(trained):
            axes.plot(epochs(trained), trained, color=BLUE, linewidth=1.6, label="training")
        if len(held_out):
            axes.plot(epochs(held_out), held_out, color=ORANGE, linewidth=1.6, label="validation")
        mean, deviation, colour, what = (held_out, spread, ORANGE, "validation")
        if not len(held_out):
            mean, deviation, colour, what = (trained, differing, BLUE, "training")
        some = np.unique(np.linspace(0, len(mean) - 1, BAND).round().astype(int))
        low, high = (mean - deviation)[some], (mean + deviation)[some]
        axes.fill_between(some + 1, low, high, color=colour, alpha=0.2, linewidth=0)
        first = (mean, f"{what}, {name}") if first is None else first
        tidy(axes, name)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
        axes.tick_params(labelsize=8)
    if limits is not None:
        panels[0].set_ylim(limits)  # all panels share the axis
    for axes in panels[-ACROSS:]:
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("epoch", fontsize=9, color=INK)
    for axes in panels[::ACROSS]:
        axes.set_ylabel(result.removeprefix("val_").replace("_", " "), fontsize=9, color=INK)
    handles, labels = panels[-1].get_legend_handles_labels()
    made.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return finish(made, path)


def epochs(values: Array) -> Array:
    return np.arange(1, len(values) + 1)


def mean_of(seeds: Sequence[Results], result: str, name: str, needed: bool = True) -> tuple[Array, Array]:
    """Mean and standard deviation of the runs that reach each epoch, up to the epoch that half of them reach.

    Of a result with a number for each class, each run counts with their mean, so that the deviation is that of the
    seeds. Raises ValueError where a run lacks the result, or it is no number; unless ``needed``, it is left out.
    """
    series = [list(map(number_of, results_of(seed).get(result, []))) for seed in seeds]
    if any(None in values for values in series):
        raise ValueError(f"{result!r} of the run {name!r} is no number. Write a result that is one instead.")
    if not series or (needed and not all(series)):
        raise ValueError(f"the run {name!r} has no {result!r}. Write a result that its history contains instead.")
    lengths = sorted(map(len, series), reverse=True)
    far = [np.array([s[i] for s in series if len(s) > i], float) for i in range(lengths[len(lengths) // 2])]
    return np.array([v.mean() for v in far]), np.array([v.std(ddof=1) if len(v) > 1 else 0.0 for v in far])

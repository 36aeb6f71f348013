"""Several training runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ranvier.pictures.style import BLUE, INK, ORANGE, PALE, figure, finish, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["compare"]

ACROSS = 4  # panels side by side
BAND = 40  # epochs at which the band's edges are drawn, at most


def compare(
    runs: Mapping[str, Any],
    result: str = "loss",
    path: Any = None,
    *,
    limits: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw one result of several training runs by epoch, a small panel for each name, all with the same axes.

    ``runs`` maps names to what `fit` returned, or to a list of those of several seeds: then the curve is their mean,
    and a band around that of the validation data reaches a standard deviation to each side. Where they have not the
    same length, a curve ends where half of them have ended. The validation curve of the first name is drawn into
    all other panels as a grey line. ``limits`` are the lowest and the highest value shown. ``path`` names a file to
    write (.png, .svg, .pdf). Returns the figure. Raises ValueError where a run lacks the result.
    """
    from matplotlib.ticker import MaxNLocator

    if not runs:
        raise ValueError("there are no runs to compare. Write {'name': model.fit(...), ...} instead.")
    across = min(ACROSS, len(runs))
    down = -(-len(runs) // across)
    made = figure(2.6 * across + 0.4, 2.0 * down + (0.9 if title else 0.5))
    if title:
        made.suptitle(title, fontsize=13, fontweight="bold", color=INK)
    grid = list(made.subplots(down, across, sharex=True, sharey=True, squeeze=False).flat)
    first: Any = None
    for axes, (name, given) in zip(grid, runs.items(), strict=False):
        seeds = list(given) if isinstance(given, (list, tuple)) else [given]
        (trained, _), (held_out, spread) = (mean_of(seeds, key, name) for key in (result, f"val_{result}"))
        if first is not None and len(first):
            axes.plot(epochs(first), first, color=PALE, linewidth=1, label=f"validation, {next(iter(runs))}")
        axes.plot(epochs(trained), trained, color=BLUE, linewidth=1.6, label="training")
        if len(held_out):
            some = np.unique(np.linspace(0, len(spread) - 1, BAND).round().astype(int))
            low, high = (held_out - spread)[some], (held_out + spread)[some]
            axes.fill_between(some + 1, low, high, color=ORANGE, alpha=0.2, linewidth=0)
            axes.plot(epochs(held_out), held_out, color=ORANGE, linewidth=1.6, label="validation")
        tidy(axes, name)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
        axes.tick_params(labelsize=8)
        first = held_out if first is None else first
    if limits is not None:
        grid[0].set_ylim(limits)  # and with it all others
    for axes in grid[len(runs) :]:
        axes.set_visible(False)
    for axes in grid[max(0, len(runs) - across) : len(runs)]:
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("epoch", fontsize=9, color=INK)
    for axes in grid[::across]:
        axes.set_ylabel(result.replace("_", " "), fontsize=9, color=INK)
    handles, labels = grid[len(runs) - 1].get_legend_handles_labels()
    made.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return finish(made, path)


def epochs(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.arange(1, len(values) + 1)


def mean_of(seeds: Sequence[Any], result: str, name: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Mean and standard deviation by epoch, of the runs that go so far, as far as half of them go."""
    series = [getattr(seed, "history", seed).get(result, []) for seed in seeds]
    if not series or (not all(series) and not result.startswith("val_")):
        raise ValueError(
            f"the run {name!r} has no {result!r}. Write a result that its history holds instead."
        )
    lengths = sorted(map(len, series), reverse=True)
    far = [np.array([s[i] for s in series if len(s) > i], float) for i in range(lengths[len(lengths) // 2])]
    return np.array([v.mean() for v in far]), np.array([v.std(ddof=1) if len(v) > 1 else 0.0 for v in far])

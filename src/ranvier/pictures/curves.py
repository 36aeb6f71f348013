"""Learning curves: every result by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ranvier.pictures.style import BLUE, INK, ORANGE, Target, finish, grid, percent, tidy
from ranvier.support.columns import column_names
from ranvier.support.results import number_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Results", "Run", "curves", "draw_curve", "panels", "results_of"]

ACROSS = 3  # panels side by side
PERCENT = ("accuracy", "precision", "recall", "f1", "auc")  # results between 0 and 1


class Run(Protocol):
    """A training run, as `fit` returns it: results by epoch, and the numbers of the epochs from 0."""

    @property
    def history(self) -> Mapping[str, Sequence[Any]]: ...
    @property
    def epoch(self) -> Sequence[int]: ...


Results = Run | Mapping[str, Sequence[Any]]


def results_of(run: Results) -> Mapping[str, Sequence[Any]]:
    """The results by epoch of a run, or of its ``history``."""
    return run if isinstance(run, Mapping) else run.history


def panels(history: Mapping[str, Sequence[Any]]) -> dict[str, tuple[Sequence[Any], Sequence[Any] | None]]:
    """The numeric results, the loss first, each with its validation results (named "val_..."), if any.

    Of results with a number for each class it is their mean.
    """
    each = {name: list(map(number_of, values)) for name, values in history.items()}
    plain = {name: values for name, values in each.items() if values and None not in values}
    names = [n for n in plain if not (n.startswith("val_") and n[4:] in plain)]
    names.sort(key=lambda name: name != "loss")
    return {name: (plain[name], plain.get(f"val_{name}")) for name in names}


def curves(history: Results, path: Target = None, *, title: str | None = None) -> Figure:
    """Draw every result of a training run by epoch, training and validation together.

    ``history`` is the return value of `fit`, its ``history``, or a frame of it (with or without a column "epoch", from
    0). ``path`` names a file to write (.png, .svg, .pdf). Returns the figure, which a notebook displays. Raises
    ValueError where there is nothing to draw.
    """
    names = column_names(history)
    if names is None:
        numbers = getattr(history, "epoch", None)
    else:
        frame: Any = history
        history = columns = {name: np.asarray(frame[name]).tolist() for name in names}
        numbers = columns.pop("epoch", None)
    shown = panels(results_of(history))
    if not shown:
        raise ValueError("the history has no results yet. Write model.fit(...) first.")
    made, all_axes = grid(len(shown), ACROSS, (4.6, 3.3), (0.4, 0.2), title, fontsize=14)
    for axes, (name, (values, held_out)) in zip(all_axes, shown.items(), strict=True):
        draw_curve(axes, name, values, held_out, numbers)
    return finish(made, path)


def draw_curve(
    axes: Axes,
    name: str,
    values: Sequence[Any],
    held_out: Sequence[Any] | None = None,
    numbers: Sequence[int] | None = None,
    title: str | None = None,
) -> None:
    """Draw one result by epoch. Epochs count from 1, as in the output of `fit`. Validation may skip some of them."""
    from matplotlib.ticker import MaxNLocator

    for series, colour, label, marker in ((values, BLUE, "training", "o"), (held_out, ORANGE, "validation", "s")):
        if not series:
            continue
        epochs = np.arange(1, len(series) + 1)
        if numbers is not None and len(numbers) == len(series):
            epochs = np.asarray(numbers) + 1
        elif numbers is not None and len(series) < len(numbers):  # a result of every few epochs
            every = max(1, len(numbers) // len(series))
            epochs = np.asarray(numbers)[every - 1 :: every][: len(series)] + 1
        size = 5 if len(series) <= 30 else 0
        axes.plot(epochs, series, color=colour, label=label, marker=marker, markersize=size, linewidth=2)
    tidy(axes, title or name.replace("_", " "))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch", color=INK)
    if name == "learning_rate" and min(values) > 0 and max(values) > 20 * min(values):
        axes.set_yscale("log")
    if any(word in name.lower() for word in PERCENT):
        percent(axes.yaxis)
    axes.margins(x=0.04)
    if held_out:
        axes.legend(frameon=False, fontsize=9)

"""How training went: every result by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.data.convert import column_names
from ranvier.pictures.style import BLUE, INK, ORANGE, figure, finish, percent, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["curves", "draw_curve", "panels"]

ACROSS = 3  # panels side by side
SHARES = ("accuracy", "precision", "recall", "f1", "auc")  # results that are shares of 1


def panels(history: Mapping[str, Sequence[Any]]) -> dict[str, tuple[Sequence[Any], Sequence[Any] | None]]:
    """The results that are numbers, the loss first, each with those on validation data under "val_...", if any."""
    plain = {
        name: values
        for name, values in history.items()
        if values and all(np.ndim(value) == 0 for value in values)
    }
    names = [n for n in plain if not (n.startswith("val_") and n[4:] in plain)]
    names.sort(key=lambda name: name != "loss")
    return {name: (plain[name], plain.get(f"val_{name}")) for name in names}


def curves(history: Any, path: Any = None, *, title: str | None = None) -> Figure:
    """Draw every result of a training run by epoch, training and validation together.

    ``history`` is what `fit` returned, its ``history``, or a frame of it (with or without a column "epoch", from 0).
    ``path`` names a file to write (.png, .svg, .pdf). Returns the figure, which a notebook shows. Raises ValueError
    where there is nothing to draw.
    """
    names = column_names(history)
    if names is not None:
        history = {name: np.asarray(history[name]).tolist() for name in names}
        numbers = history.pop("epoch", None)
    else:
        numbers = getattr(history, "epoch", None)
    shown = panels(getattr(history, "history", history))
    if not shown:
        raise ValueError("the history holds no results yet. Write model.fit(...) first.")
    across = min(ACROSS, len(shown))
    down = -(-len(shown) // across)
    made = figure(4.6 * across + 0.4, 3.3 * down + (0.6 if title else 0.2))
    if title:
        made.suptitle(title, fontsize=14, fontweight="bold", color=INK)
    grid = made.subplots(down, across, squeeze=False)
    for axes, (name, (values, held_out)) in zip(grid.flat, shown.items(), strict=False):
        draw_curve(axes, name, values, held_out, numbers)
    for axes in list(grid.flat)[len(shown) :]:
        axes.set_visible(False)
    return finish(made, path)


def draw_curve(
    axes: Axes,
    name: str,
    values: Sequence[Any],
    held_out: Sequence[Any] | None = None,
    numbers: Sequence[int] | None = None,
    title: str | None = None,
) -> None:
    """One result by epoch. Epochs are counted from 1, as `fit` shows them; validation may skip some of them."""
    from matplotlib.ticker import MaxNLocator

    for series, colour, label, marker in (
        (values, BLUE, "training", "o"),
        (held_out, ORANGE, "validation", "s"),
    ):
        if not series:
            continue
        epochs = np.arange(1, len(series) + 1)
        if numbers is not None and len(numbers) == len(series):
            epochs = np.asarray(numbers) + 1
        elif numbers is not None and len(series) < len(
            numbers
        ):  # every few epochs, the last of them included
            every = max(1, len(numbers) // len(series))
            epochs = np.asarray(numbers)[every - 1 :: every][: len(series)] + 1
        size = 5 if len(series) <= 30 else 0
        axes.plot(epochs, series, color=colour, label=label, marker=marker, markersize=size, linewidth=2)
    tidy(axes, title or name.replace("_", " "))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch", color=INK)
    if name == "learning_rate" and min(values) > 0 and max(values) > 20 * min(values):
        axes.set_yscale("log")
    if any(share in name.lower() for share in SHARES):
        percent(axes.yaxis)
    axes.margins(x=0.04)
    if held_out:
        axes.legend(frameon=False, fontsize=9)

"""The confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ranvier.pictures.style import INK, PALE, Target, figure, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEXT = 26  # the most classes for which counts are written into the cells


def confusion_matrix(
    counts: Any, classes: Sequence[str] | None = None, path: Target = None, *, title: str = "Confusion matrix"
) -> Figure:
    """Draw a confusion matrix: ``counts[i, j]`` samples (or their fraction) of class i were predicted as class j.

    ``classes`` names the classes. ``path`` names a file to write (.png, .svg, .pdf). Returns the figure. Raises
    ValueError where counts are not a square matrix, or the number of names differs.
    """
    array = np.asarray(counts)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not len(array):
        raise ValueError(
            f"counts of shape {array.shape} are not a confusion matrix. Write one of shape (classes, classes)."
        )
    names = [str(i) for i in range(len(array))] if classes is None else [str(name) for name in classes]
    if len(names) != len(array):
        raise ValueError(f"{len(names)} names for {len(array)} classes. Write one for each.")
    side = min(14.0, 2.2 + 0.62 * len(names))
    made = figure(side + 1, side)
    draw_matrix(made.subplots(), array, names, title)
    return finish(made, path)


def written(count: float, whole: bool) -> str:
    """A count as text: in full where all are integers (``whole``), rounded for fractions and sums of weights."""
    if whole or count >= 100:
        return f"{count:,.0f}"
    return f"{count:.2f}" if count >= 0.01 else f"{count:.0e}".replace("e-0", "e-")


def draw_matrix(axes: Axes, counts: npt.NDArray[Any], classes: Sequence[str], title: str) -> None:
    """Draw counts as text and the fraction of each row as colour: blue for correct classes, orange for errors."""
    totals = counts.sum(axis=1, keepdims=True)
    fraction = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    normalized = counts.dtype.kind == "f" and counts.max(initial=0) <= 1
    whole = not normalized and bool((counts == np.floor(counts)).all())
    right = np.eye(len(counts), dtype=bool)
    axes.imshow(np.ma.masked_where(~right, fraction), cmap="Blues", vmin=0, vmax=1.25)
    # Errors are few, so they have a separate scale up to the largest one, which keeps them visible.
    worst = max(float(fraction[~right].max(initial=0.0)), 0.05)
    axes.imshow(np.ma.masked_where(right | (counts == 0), fraction), cmap="Oranges", vmin=0, vmax=worst * 1.6)
    for i, j in np.ndindex(counts.shape) if len(counts) <= TEXT else ():
        dark = right[i, j] and fraction[i, j] > 0.75
        empty = counts[i, j] == 0
        axes.text(
            j, i, "·" if empty else written(float(counts[i, j]), whole), ha="center", va="center", fontsize=9,
            color="white" if dark else PALE if empty else INK, fontweight="bold" if right[i, j] else "normal",
        )  # fmt: skip
    ticks = range(len(classes))
    axes.set_xticks(ticks, classes, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, classes)
    axes.set_xlabel("Predicted class", color=INK)
    axes.set_ylabel("True class", color=INK)
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    axes.set_xticks(np.arange(len(classes) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(classes) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)

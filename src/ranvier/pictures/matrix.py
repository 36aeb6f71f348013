"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ranvier.pictures.style import INK, PALE, figure, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["confusion_matrix", "draw_matrix"]

TEXT = 26  # classes beyond which counts are not written into the cells


def confusion_matrix(
    counts: Any, classes: Sequence[str] | None = None, path: Any = None, *, title: str = "Confusion matrix"
) -> Figure:
    """Draw a confusion matrix: ``counts[i, j]`` samples of class i were taken for class j, or shares of them.

    ``classes`` names the classes. ``path`` names a file to write (.png, .svg, .pdf). Returns the figure. Raises
    ValueError for counts that are no square of numbers, or another number of names.
    """
    array = np.asarray(counts)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not len(array):
        raise ValueError(
            f"counts of shape {array.shape} are no confusion matrix. Write one of (classes, classes)."
        )
    names = [str(i) for i in range(len(array))] if classes is None else [str(name) for name in classes]
    if len(names) != len(array):
        raise ValueError(f"{len(names)} names for {len(array)} classes. Write one for each.")
    side = min(14.0, 2.2 + 0.62 * len(names))
    made = figure(side + 1, side)
    draw_matrix(made.subplots(), array, names, title)
    return finish(made, path)


def written(count: float, whole: bool) -> str:
    """A count in full, where all are ``whole``; of shares and sums of weights the digits that there is room for."""
    if whole or count >= 100:
        return f"{count:,.0f}"
    return f"{count:.2f}" if count >= 0.01 else f"{count:.0e}".replace("e-0", "e-")


def draw_matrix(axes: Axes, counts: npt.NDArray[Any], classes: Sequence[str], title: str) -> None:
    """Counts as text, each row's shares as colour: blue where the class was named right, orange where not."""
    totals = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    shares = counts.dtype.kind == "f" and counts.max(initial=0) <= 1
    whole = not shares and bool((counts == np.floor(counts)).all())
    right = np.eye(len(counts), dtype=bool)
    axes.imshow(np.ma.masked_where(~right, share), cmap="Blues", vmin=0, vmax=1.25)
    # Errors are few: a scale of their own, up to the worst one, keeps them visible beside the diagonal.
    worst = max(float(share[~right].max(initial=0.0)), 0.05)
    axes.imshow(np.ma.masked_where(right | (counts == 0), share), cmap="Oranges", vmin=0, vmax=worst * 1.6)
    for i, j in np.ndindex(counts.shape) if len(counts) <= TEXT else ():
        dark = right[i, j] and share[i, j] > 0.75
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

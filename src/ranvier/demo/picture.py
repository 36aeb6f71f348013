"""The demo's picture: how training went, and which classes are taken for which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

# Two hues that stay apart for colour-blind readers and in grey print (Okabe and Ito, 2008).
_TRAIN, _TEST = "#0072B2", "#D55E00"
_INK, _PALE = "#222222", "#8A8A8A"


def draw(
    path: Path,
    *,
    title: str,
    history: Mapping[str, Sequence[float]],
    confusion: npt.NDArray[Any],
    classes: Sequence[str],
) -> None:
    """Write one PNG: loss and accuracy by epoch on the left, the confusion matrix on the right.

    ``history`` holds ``loss``, ``accuracy``, ``val_loss`` and ``val_accuracy``, a value an epoch; ``confusion[i, j]``
    counts the samples of class i that were taken for class j. No window is opened and no display is needed.

    Raises ``ModuleNotFoundError`` without matplotlib and ``OSError`` where ``path`` cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)  # inches
    # Figure and canvas without pyplot: no global state, so a caller's own plots and back end stay as they are.
    figure = Figure(figsize=(14, 7.6), dpi=120, facecolor="white", layout=layout)
    FigureCanvasAgg(figure)
    figure.suptitle(f"\n{title}\n", fontsize=15, fontweight="bold", color=_INK, linespacing=0.45)
    halves: Any = figure.subfigures(1, 2, width_ratios=(1, 1.4), wspace=0.03)
    left, right = halves
    loss, accuracy = left.subplots(2, 1, sharex=True)
    _curves(loss, history["loss"], history["val_loss"], "Loss (lower is better)")
    _curves(
        accuracy, history["accuracy"], history["val_accuracy"], "Accuracy (higher is better)", percent=True
    )
    loss.legend(frameon=False, loc="upper right")
    accuracy.set_xlabel("Epoch", color=_INK)
    _matrix(right.subplots(), np.asarray(confusion), classes)
    _save(figure, path)


def _curves(
    axes: Axes, train: Sequence[float], test: Sequence[float], title: str, *, percent: bool = False
) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    epochs = np.arange(1, len(train) + 1)
    for values, colour, label, marker in ((train, _TRAIN, "training", "o"), (test, _TEST, "test", "s")):
        axes.plot(epochs, values, color=colour, label=label, marker=marker, markersize=5, linewidth=2)
    axes.set_title(title, loc="left", fontsize=11, color=_INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if percent:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g} %"))
    axes.grid(axis="y", color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.04)


def _matrix(axes: Axes, counts: npt.NDArray[Any], classes: Sequence[str]) -> None:
    """Counts as text, each row's shares as colour: blue where the class was named right, orange where not."""
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    right = np.eye(len(counts), dtype=bool)
    axes.imshow(np.ma.masked_where(~right, share), cmap="Blues", vmin=0, vmax=1.25)
    # Errors are few: a scale of their own, up to the worst one, keeps them visible beside the diagonal.
    worst = max(float(share[~right].max(initial=0.0)), 0.05)
    axes.imshow(np.ma.masked_where(right | (counts == 0), share), cmap="Oranges", vmin=0, vmax=worst * 1.6)
    for i, j in np.ndindex(counts.shape):
        dark = right[i, j] and share[i, j] > 0.75
        empty = counts[i, j] == 0
        axes.text(
            j, i, "·" if empty else f"{counts[i, j]:,}", ha="center", va="center", fontsize=9,
            color="white" if dark else _PALE if empty else _INK, fontweight="bold" if right[i, j] else "normal",
        )  # fmt: skip
    ticks = range(len(classes))
    axes.set_xticks(ticks, classes, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, classes)
    axes.set_xlabel("Predicted class", color=_INK)
    axes.set_ylabel("True class", color=_INK)
    axes.set_title("Confusion matrix (test images)", loc="left", fontsize=11, color=_INK)
    axes.set_xticks(np.arange(len(classes) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(classes) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)


def _save(figure: Figure, path: Path) -> None:
    """All or nothing: a reader never sees half a picture."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        figure.savefig(partial, format="png")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)

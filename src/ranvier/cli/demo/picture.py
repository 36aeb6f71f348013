"""The picture of the demo: learning curves and the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.pictures.curves import draw_curve
from ranvier.pictures.matrix import draw_matrix
from ranvier.pictures.style import INK, figure, finish


def draw(
    path: Path,
    *,
    title: str,
    history: Mapping[str, Sequence[float]],
    confusion: npt.NDArray[Any],
    classes: Sequence[str],
) -> None:
    """Write one PNG: loss and accuracy by epoch on the left, the confusion matrix on the right.

    ``history`` has ``loss``, ``accuracy``, ``val_loss`` and ``val_accuracy``, with a value for each epoch.
    ``confusion[i, j]`` is the number of samples of class i that were predicted as class j. No display is needed.

    Raises ``ModuleNotFoundError`` without matplotlib and ``OSError`` where ``path`` cannot be written.
    """
    made = figure(14, 7.6)
    made.suptitle(f"\n{title}\n", fontsize=15, fontweight="bold", color=INK, linespacing=0.45)
    halves: Any = made.subfigures(1, 2, width_ratios=(1, 1.4), wspace=0.03)
    left, right = halves
    for axes, name, heading in zip(
        left.subplots(2, 1),
        ("loss", "accuracy"),
        ("Loss (lower is better)", "Accuracy (higher is better)"),
        strict=True,
    ):
        draw_curve(axes, name, history[name], history[f"val_{name}"], title=heading)
    draw_matrix(right.subplots(), np.asarray(confusion), classes, "Confusion matrix (test images)")
    finish(made, path)

"""The reliability diagram: accuracy by confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from ranvier.data.convert import Array
from ranvier.pictures.style import BLUE, INK, ORANGE, PALE, Target, figure, finish, percent, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Bins(Protocol):
    """The result of `ranvier.calibration.reliability`: an element for each bin, and the expected calibration error."""

    lower: Array
    upper: Array
    confidence: Array
    accuracy: Array
    count: Array

    @property
    def ece(self) -> float: ...


def reliability(table: Bins, path: Target = None, *, title: str = "Reliability") -> Figure:
    """Draw a reliability diagram: accuracy by confidence for each bin, and below it the number of samples.

    ``table`` is the result of `ranvier.calibration.reliability`. Where a blue bar ends below the diagonal, the model is
    overconfident, and orange shows by how much. Pale blue shows underconfidence. ``path`` names a file to write (.png,
    .svg, .pdf). Returns the figure.
    """
    made = figure(4.8, 5.4)
    above, below = made.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    seen = table.count > 0
    left, width = table.lower[seen], (table.upper - table.lower)[seen]
    accuracy, confidence = table.accuracy[seen], table.confidence[seen]
    tidy(above, f"{title}: expected error {100 * table.ece:.1f} %")
    for height, bottom, colour, alpha, label in (
        (np.minimum(accuracy, confidence), 0.0, BLUE, 1.0, "accuracy"),
        (np.maximum(confidence - accuracy, 0), accuracy, ORANGE, 0.35, "overconfident by"),
        (np.maximum(accuracy - confidence, 0), confidence, BLUE, 0.45, "underconfident by"),
    ):
        if np.any(height):
            above.bar(left, height, width, bottom, align="edge", color=colour, alpha=alpha, label=label)
    above.plot([0, 1], [0, 1], color=PALE, linewidth=1, linestyle="--", label="perfectly calibrated")
    above.set_ylim(0, 1)
    above.set_xlim(0, 1)
    above.set_ylabel("accuracy", color=INK)
    above.legend(frameon=False, fontsize=9, loc="upper left")
    tidy(below, "")
    below.bar(left, table.count[seen], width, align="edge", color=PALE, edgecolor="white", linewidth=0.6)
    below.set_ylabel("samples", color=INK)
    below.set_xlabel("confidence", color=INK)
    percent(above.xaxis)
    percent(above.yaxis)
    return finish(made, path)

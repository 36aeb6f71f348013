"""The learning-rate range test: loss by learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from ranvier.data.convert import Array
from ranvier.pictures.style import BLUE, INK, ORANGE, PALE, Target, figure, finish, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class RateTest(Protocol):
    """The result of `find_learning_rate`: the loss at each rate, smoothed losses, and the index of the suggestion."""

    @property
    def rates(self) -> Array: ...
    @property
    def losses(self) -> Array: ...
    @property
    def smoothed(self) -> Array: ...
    @property
    def steepest(self) -> int | None: ...


def learning_rates(found: RateTest, path: Target = None, *, title: str = "Learning-rate range test") -> Figure:
    """Draw the loss by learning rate, and mark the suggested rate.

    ``found`` is the result of `find_learning_rate`. ``path`` names a file to write (.png, .svg, .pdf). Returns the
    figure.
    """
    made = figure(6.4, 3.8)
    axes = made.subplots()
    curve, at = found.smoothed, found.steepest
    finite = found.losses[np.isfinite(found.losses)]
    tidy(axes, title)
    axes.plot(found.rates, found.losses, color=PALE, linewidth=0.8, label="loss of a step")
    axes.plot(found.rates[: len(curve)], curve, color=BLUE, linewidth=2, label="smoothed")
    if at is not None:
        label = f"suggestion {found.rates[at]:.2g}"
        axes.plot(found.rates[at], curve[at], "o", color=ORANGE, markersize=8, linestyle="none", label=label)
    axes.set_xscale("log")
    axes.set_xlabel("learning rate", color=INK)
    axes.set_ylabel("loss", color=INK)
    if len(curve):
        low, high = float(finite.min()), max(float(finite[:10].max()), float(curve.max()))
        margin = 0.1 * (high - low) or 1.0
        axes.set_ylim(low - margin, high + margin)
    axes.legend(frameon=False, fontsize=9)
    return finish(made, path)

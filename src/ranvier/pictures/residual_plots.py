"""The residuals of a regression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.pictures.style import BLUE, INK, ORANGE, PALE, POINTS, Target, finish, grid, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def residuals(
    y_true: Any, y_pred: Any, path: Target = None, *, unit: str = "", title: str = "Residuals", across: int = 3
) -> Figure:
    """Draw predictions and residuals (true minus predicted) of a regression of one number, in three panels.

    The first has predicted against true values: on the diagonal the prediction is right. The second has residuals by
    prediction: a curve or a funnel shows what the model misses. The third is the histogram of the residuals. At most
    5,000 points are drawn. ``unit`` is written at the axes. ``across`` is the number of panels side by side. ``path``
    names a file to write (.png, .svg, .pdf). Returns the figure. Raises ValueError for arrays of other shapes than (n,)
    or (n, 1), of different lengths or without a finite pair.
    """
    true, found = np.asarray(y_true, np.float64), np.asarray(y_pred, np.float64)
    if true.size != found.size or any(a.ndim > 2 or (a.ndim == 2 and a.shape[1] != 1) for a in (true, found)):
        raise ValueError(
            f"y_true has shape {true.shape} and y_pred {found.shape}. Write one number each a sample; of several "
            "outputs write y[:, k] and predicted[:, k]."
        )
    true, found = true.reshape(-1), found.reshape(-1)
    finite = np.isfinite(true) & np.isfinite(found)
    if not finite.any():
        raise ValueError("there is no pair of finite numbers to draw. Write what model.predict(x) gives.")
    true, found = true[finite], found[finite]
    residual = true - found
    some = np.linspace(0, len(true) - 1, min(len(true), POINTS)).astype(int)
    dots: dict[str, Any] = {"s": 9, "color": BLUE, "alpha": 0.45, "linewidths": 0, "rasterized": len(some) > 500}
    made, (left, middle, right) = grid(3, across, (3.7, 3.5), (0.3, 0.3))
    suffix = f" ({unit})" if unit else ""
    ends = [min(true.min(), found.min()), max(true.max(), found.max())]
    left.scatter(true[some], found[some], **dots)
    left.plot(ends, ends, color=PALE, linewidth=1, linestyle="--")
    tidy(left, "predicted by true")
    left.set_xlabel(f"true{suffix}", color=INK)
    left.set_ylabel(f"predicted{suffix}", color=INK)
    middle.scatter(found[some], residual[some], **dots)
    middle.axhline(0, color=PALE, linewidth=1, linestyle="--")
    at, mean = _means(found, residual)
    middle.plot(at, mean, color=ORANGE, linewidth=1.8, label="mean")
    middle.legend(frameon=False, fontsize=9)
    tidy(middle, f"{title} by prediction")
    middle.set_xlabel(f"predicted{suffix}", color=INK)
    middle.set_ylabel(f"true minus predicted{suffix}", color=INK)
    right.hist(residual, bins=int(min(50, max(8, 2 * len(residual) ** 0.5))), color=BLUE)
    right.axvline(0, color=PALE, linewidth=1, linestyle="--")
    tidy(right, f"mean {residual.mean():.3g}, sd {residual.std():.3g}")
    right.set_xlabel(f"true minus predicted{suffix}", color=INK)
    right.set_ylabel("samples", color=INK)
    return finish(made, path)


def _means(found: Any, residual: Any) -> tuple[list[float], list[float]]:
    """The mean residual of each tenth of the predictions, or of fewer parts where there are few."""
    order = np.argsort(found, kind="stable")
    parts = np.array_split(order, max(1, min(10, len(order) // 10)))
    return [float(found[p].mean()) for p in parts], [float(residual[p].mean()) for p in parts]

"""How well probabilities are calibrated: confidence and accuracy for each bin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.calibration.scaling import check_numbers
from ranvier.data.convert import Array
from ranvier.data.targets import as_weights
from ranvier.metrics.operands import fraction
from ranvier.metrics.table import Row, Tabular

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.pictures.style import Target

STRATEGIES = ("uniform", "quantile")


class Reliability(Tabular):
    """For each bin of confidence: its edges, the mean confidence, the accuracy, and the number (or weight) of samples.

    The arrays ``lower``, ``upper``, ``confidence``, ``accuracy``, ``count`` and ``gap`` have one element for each bin.
    ``gap`` is confidence minus accuracy: it is above 0 where the model is overconfident. ``ece`` and ``mce`` are the
    expected and the maximum calibration error. It prints as a table. ``plot()`` draws accuracy by confidence.
    """

    def __init__(self, edges: Array, confidence: Array, accuracy: Array, count: Array) -> None:
        self.lower, self.upper = edges[:-1], edges[1:]
        self.confidence, self.accuracy, self.count = confidence, accuracy, count
        self.gap = confidence - accuracy

    @property
    def ece(self) -> float:
        """The mean size of the gaps, weighted by samples (Guo et al., 2017)."""
        return float((abs(self.gap) * fraction(self.count, self.count.sum())).sum())

    @property
    def mce(self) -> float:
        """The largest gap of a bin with samples."""
        return float(abs(self.gap[self.count > 0]).max())

    def plot(self, path: Target = None) -> Figure:
        """Draw the diagram, and write it to ``path`` if given: see `ranvier.pictures.reliability`.

        Returns the figure, which a notebook displays.
        """
        from ranvier.pictures import reliability as draw

        return draw(self, path)

    def to_dict(self) -> dict[str, Any]:
        """The columns as lists, and the two calibration errors."""
        names = ("lower", "upper", "confidence", "accuracy", "count", "gap")
        return {name: getattr(self, name).tolist() for name in names} | {"ece": self.ece, "mce": self.mce}

    def table(self) -> tuple[str, list[str], list[Row]]:
        rows: list[Row] = []
        for i in np.flatnonzero(self.count > 0):
            numbers = [f"{v[i]:.3f}" for v in (self.confidence, self.accuracy)]
            count = self.count[i]
            counted = f"{count:,.0f}" if count == int(count) else f"{count:,.1f}"
            rows.append([f"{self.lower[i]:.3f} to {self.upper[i]:.3f}", *numbers, f"{self.gap[i]:+.3f}", counted])
        rows += [
            None,
            ["expected error", "", "", f"{self.ece:.3f}", ""],
            ["largest error", "", "", f"{self.mce:.3f}", ""],
        ]
        return "", ["probability", "confidence", "accuracy", "gap", "samples"], rows


def reliability(
    y_true: Any,
    y_score: Any,
    bins: int = 15,
    *,
    strategy: str = "uniform",
    class_id: int | None = None,
    sample_weight: Any = None,
) -> Reliability:
    """Compare predicted probabilities with the observed frequencies.

    For several classes, ``y_true`` are class numbers (n,) or one-hot rows, and ``y_score`` probabilities (n, classes).
    Confidence is the largest probability, and accuracy the fraction of samples of that class; with ``class_id`` they
    are the probability and the fraction of that class. For two classes, ``y_true`` are 0 and 1, with probabilities (n,)
    or (n, 1). Multi-label probabilities (n, labels) are counted together. ``strategy`` is "uniform" (bins of equal
    width from 0 to 1, open below and closed above) or "quantile" (bins with equally many samples).

    Raises ValueError for scores that are not probabilities, and for shapes that do not match.
    """
    if strategy not in STRATEGIES or bins < 1:
        raise ValueError(f"bins={bins!r}, strategy={strategy!r}: write 1 or more, and 'uniform' or 'quantile'.")
    confidence, right, repeats = _confidence(np.asarray(y_true), np.asarray(y_score, np.float64), class_id)
    wrong = confidence[~((confidence >= 0) & (confidence <= 1))]
    if len(wrong):
        raise ValueError(
            f"the scores contain {wrong[0]:g}, which is not a probability. Write a softmax or sigmoid of them."
        )
    weight = np.ones(len(confidence))
    if sample_weight is not None:
        given = as_weights(sample_weight, len(confidence) // repeats, dtype=np.float64)
        weight = np.repeat(given, repeats)
    edges = np.arange(bins + 1) / bins
    if strategy == "quantile":
        edges = np.unique(np.quantile(confidence, edges))
        edges = edges if len(edges) > 1 else np.array([0.0, 1.0])
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, len(edges) - 2)
    count, confident, correct = (
        np.bincount(place, weight * v, minlength=len(edges) - 1) for v in (1.0, confidence, right)
    )
    return Reliability(edges, fraction(confident, count), fraction(correct, count), count)


def _confidence(y: Array, p: Array, class_id: int | None) -> tuple[Array, Array, int]:
    """The probability of each prediction, whether it is correct (0 or 1), and the number of predictions of a sample."""
    y, p = (a[:, 0] if a.ndim == 2 and a.shape[1] == 1 else a for a in (y, p))
    if not len(y) or len(y) != len(p) or p.ndim > 2 or y.ndim > p.ndim or (y.ndim == 2 and y.shape != p.shape):
        raise ValueError(
            f"y_true has shape {y.shape} and the probabilities {p.shape}. Write class numbers (n,) and (n, classes), "
            "or targets in the shape of the probabilities, instead."
        )
    if y.ndim == p.ndim:
        odd = y[~np.isin(y, (0, 1))]
        if len(odd):
            raise ValueError(
                f"y_true contains {odd[0]}, where only 0 and 1 are allowed. Write y_true == k for class k."
            )
    else:
        check_numbers(y, p.shape[1], "probabilities")
    if p.ndim == 1:
        return p, y.astype(np.float64), 1
    if y.ndim == 2 and not ((y.sum(1) == 1).all() and np.isclose(p.sum(1), 1, atol=1e-3).all()):
        if class_id is not None:
            return p[:, class_id], y[:, class_id].astype(np.float64), 1
        return p.reshape(-1), y.reshape(-1).astype(np.float64), p.shape[1]
    labels = y.argmax(1) if y.ndim == 2 else y
    if class_id is not None:
        return p[:, class_id], (labels == class_id).astype(np.float64), 1
    return p.max(1), (p.argmax(1) == labels).astype(np.float64), 1

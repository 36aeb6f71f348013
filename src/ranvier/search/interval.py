"""Confidence intervals of means of few numbers, from Student's t distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ranvier.support.constructors import CheckedConstructor


def _between(t: float, df: int) -> float:
    """The probability that Student's t is between -t and t: the finite sums of Abramowitz and Stegun, 26.7.3 and 4."""
    angle = math.atan(t / math.sqrt(df))
    sine, square = math.sin(angle), math.cos(angle) ** 2
    odd = df % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for k in range(1 + odd, df, 2):
        total += term
        term *= square * k / (k + 1)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def student_t(confidence: float, df: int) -> float:
    """The quantile t: Student's t with ``df`` degrees of freedom is beyond -t or t with probability 1 - confidence.

    Raises ValueError unless ``0 < confidence < 1`` and ``df`` is 1 or more.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence!r}: write a number between 0 and 1, such as 0.95, instead.")
    if df < 1:
        raise ValueError(f"df={df!r}: an interval needs at least two numbers. Write 1 or more instead.")
    low, high = 0.0, 1.0
    while _between(high, df) < confidence:
        low, high = high, 2 * high
    for _ in range(100):  # bisection to the precision of doubles
        middle = (low + high) / 2
        low, high = (middle, high) if _between(middle, df) < confidence else (low, middle)
    return high


@dataclass(frozen=True)
class Estimate(CheckedConstructor):
    """A mean of ``n`` numbers, their standard deviation, and the confidence interval of the mean, ``low`` to ``high``.

    For a single number the interval is unknown: both ends are NaN.
    """

    mean: float
    low: float
    high: float
    std: float
    n: int

    def __str__(self) -> str:
        if math.isnan(self.low):
            return f"{self.mean:.4f}"
        return f"{self.mean:.4f} ± {self.high - self.mean:.4f}"


def estimate(values: Sequence[float], confidence: float = 0.95, overlap: float = 0.0) -> Estimate:
    """The mean of ``values`` and its interval.

    ``overlap`` is the ratio of held-out to training rows for values of several folds. Models that share training rows
    are not independent, and the correction of Nadeau and Bengio (Machine Learning 52, 2003) widens the interval.
    """
    n = len(values)
    mean = math.fsum(values) / n if n else math.nan
    if n < 2:
        return Estimate(mean, math.nan, math.nan, math.nan, n)
    std = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
    half = student_t(confidence, n - 1) * std * math.sqrt(1 / n + overlap)
    return Estimate(mean, mean - half, mean + half, std, n)

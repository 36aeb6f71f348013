"""Learning curves: the score by the number of training samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.metrics.table import Row, Tabular
from ranvier.module import Module
from ranvier.search.folds import Folds, folds_of
from ranvier.search.interval import estimate
from ranvier.search.many import check_options, fit_many
from ranvier.search.results import check_measured

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.pictures.style import Target


class LearningCurve(Tabular):
    """The scores by number of training samples: ``sizes`` (n,), ``training`` and ``validation`` (n, models).

    A model is a fold and a seed. ``metric`` is the name of the score. It prints as a table of
    means, ± half of their 95 % interval; ``plot()`` draws it.
    """

    def __init__(self, sizes: Array, training: Array, validation: Array, metric: str) -> None:
        self.sizes, self.training, self.validation, self.metric = sizes, training, validation, metric

    def plot(self, path: Target = None) -> Figure:
        """Draw the curve, and write it to ``path`` if given: see `ranvier.pictures.learning_curve`."""
        from ranvier.pictures import learning_curve as draw

        return draw(self.sizes, self.training, self.validation, path, score=self.metric)

    def table(self) -> tuple[str, list[str], list[Row]]:
        rows: list[Row] = [
            [f"{size:,}", *(str(estimate(scores.tolist())) for scores in (trained, held_out))]
            for size, trained, held_out in zip(self.sizes, self.training, self.validation, strict=True)
        ]
        return "", ["samples", self.metric, f"val_{self.metric}"], rows


def learning_curve(
    build: Callable[..., Module],
    x: Any,
    y: Any = None,
    *,
    sizes: Sequence[int | float] = (0.1, 0.325, 0.55, 0.775, 1.0),
    folds: Folds = 5,
    settings: Mapping[str, Any] | None = None,
    monitor: str | None = None,
    **options: Any,
) -> LearningCurve:
    """Train on more and more samples, and score each model on the held-out rows of its fold.

    ``sizes`` are numbers of samples, or fractions (0 to 1) of the training rows of a fold; the first rows of each fold
    are taken, in its order, so that smaller samples are part of larger ones. ``monitor`` is the score, such as
    "accuracy"; by default it is that of `fit_many`. All other arguments are those of `cross_validate`. Raises
    ValueError for sizes that a fold does not have.
    """
    check_options(learning_curve, options, "learning_curve")
    splits = folds_of(folds, len(x), y, options.pop("groups", None))
    shuffle = np.random.Generator(np.random.Philox(0))
    orders = [shuffle.permutation(np.asarray(train)) for train, _ in splits]
    least = min(map(len, orders))
    counts = sorted({round(s * least) if isinstance(s, float) and 0 < s <= 1 else int(s) for s in sizes})
    if not counts or counts[0] < 1 or counts[-1] > least:
        raise ValueError(f"sizes={sizes!r}: write numbers of samples from 1 to {least}, or fractions of them, instead.")
    parts = [(np.sort(order[:n]), held) for n in counts for order, (_, held) in zip(orders, splits, strict=True)]
    options.setdefault("keep_models", False)
    found = fit_many(build, x, y, [dict(settings or {})], folds=parts, **options)
    name = (monitor or found.monitor).removeprefix("val_")
    check_measured(f"val_{name}", found.names)
    scores: dict[int, list[tuple[float, float]]] = {n: [] for n in counts}
    for row in found:
        assert row.variant.fold is not None  # each model has a fold
        pair = float(row.metrics.get(name, np.nan)), float(row.metrics.get(f"val_{name}", np.nan))
        scores[counts[row.variant.fold // len(splits)]].append(pair)
    table = np.array([scores[n] for n in counts])  # sizes, models, (training, validation)
    return LearningCurve(np.array(counts), table[..., 0], table[..., 1], name)

"""The importance of each feature of a table: how much the score drops where its values are shuffled."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.metrics.table import Row, Tabular
from ranvier.module.core import Module
from ranvier.support import rows
from ranvier.support.results import infer, number_of
from ranvier.support.tables import Table
from ranvier.support.validation import whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Importances(Tabular):
    """The drop of a score for each feature and repeat: ``values`` (features, repeats), with their ``names``.

    ``mean`` and ``std`` (population, as in scikit-learn) are those of the repeats. ``score`` is the score of the table
    as it is, and ``metric`` its name. It prints as a table, the largest first. ``plot()`` draws it.
    """

    def __init__(self, names: Sequence[str], values: Array, score: float, metric: str) -> None:
        self.names, self.values, self.score, self.metric = tuple(names), values, score, metric
        self.mean, self.std = values.mean(1), values.std(1)

    def plot(self, path: str | os.PathLike[str] | None = None, *, most: int = 20) -> Figure:
        """Draw the importances, and write them to ``path`` if given: see `ranvier.pictures.importances`."""
        made: Figure = rows.look_up("picture", "importances")(self, path, most=most)
        return made

    def to_dict(self) -> dict[str, Any]:
        """The columns as lists, and the score."""
        columns = {"feature": list(self.names), "mean": self.mean.tolist(), "std": self.std.tolist()}
        return columns | {"metric": self.metric, "score": self.score}

    def table(self) -> tuple[str, list[str], list[Row]]:
        order = np.argsort(-self.mean, kind="stable")
        rows: list[Row] = [[self.names[i], f"{self.mean[i]:+.4f}", f"{self.std[i]:.4f}"] for i in order]
        return f"change of {self.metric}, {self.score:.4f}", ["feature", "mean", "sd"], rows


def permutation_importance(
    model: Any,
    x: Any,
    y: Any,
    *,
    metric: str | Callable[[Any, Any, Any], float] | None = None,
    repeats: int = 5,
    seed: int = 0,
    names: Sequence[str] | None = None,
    sample_weight: Any = None,
) -> Importances:
    """How much a score drops where the values of a feature are shuffled (Breiman, 2001), on held-out data.

    ``model`` is a compiled network, an estimator, or a pipeline: then ``x`` is the table before its first step, and a
    feature is a column there, whatever the steps make of it. ``x`` is an array (rows, features), a frame, or a dict of
    columns. ``metric`` is a function (model, x, y) of a number that is better when larger, or the name of a result of
    `evaluate`; by default it is ``score`` of an estimator, and of a network its first metric whose direction is known,
    else the loss. The change of a loss is its rise. ``repeats`` is the number of shuffles of each feature, which depend
    only on ``seed``. ``names`` are those of the features of an array.

    Of two features that say the same, each may look unimportant. Raises ValueError for tables of other shapes, and
    TypeError for a model that cannot be scored.
    """
    table = Table(x, names)
    score, name, larger = _scorer(model, metric, y, sample_weight, x)
    base = score(x)
    generator = np.random.Generator(np.random.Philox(seed))
    values = np.empty((len(table.names), whole("repeats", repeats)))
    for index in range(len(table.names)):
        for repeat in range(repeats):
            changed = score(table.shuffled(index, generator.permutation(len(table))))
            values[index, repeat] = base - changed if larger else changed - base
    return Importances(table.names, values, base, name)


def _scorer(model: Any, metric: Any, y: Any, weight: Any, x: Any) -> tuple[Callable[[Any], float], str, bool]:
    """A function from a table to the score, the name of the score, and whether a larger one is better."""
    weights = {} if weight is None else {"sample_weight": weight}
    if callable(metric):
        return lambda part: float(metric(model, part, y)), getattr(metric, "__name__", "metric"), True
    if isinstance(model, Module):

        def results(part: Any) -> dict[str, Any]:
            found = model.evaluate(part, y, verbose=0, return_dict=True, **weights)
            return {key: number for key, value in found.items() if (number := number_of(value)) is not None}

        known = results(x)
        chosen = metric or next((key for key in known if infer(key, None) == "max"), "loss")
        if chosen not in known:
            raise ValueError(f"metric={metric!r} is no result of evaluate. Write one of {', '.join(known)} instead.")
        return lambda part: float(results(part)[chosen]), chosen, infer(chosen, None) == "max"
    if metric is not None or not hasattr(model, "score"):
        what = f"metric={metric!r} is a name" if metric is not None else f"{type(model).__name__} has no score"
        raise TypeError(f"{what}. Write metric= with a function (model, x, y) of a number, instead.")
    kind = "accuracy" if hasattr(model, "classes_") else "R2"
    return lambda part: float(model.score(part, y, **weights)), kind, True

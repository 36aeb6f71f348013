"""Partial dependence: the mean output of a model by the value of one feature."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.module.outputs import class_names_of, outputs_of
from ranvier.support import rows
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.sampling import some_rows
from ranvier.support.tables import Table
from ranvier.support.validation import whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CATEGORIES = 12
TAILS = (0.02, 0.98)  # of a feature's values, between which it is varied


class Dependence(CheckedConstructor):
    """The dependence on one feature, ``name``: ``points`` (points,), and ``values`` (samples, points, outputs).

    ``average`` (points, outputs) is the partial dependence. ``outputs`` are the names of the outputs, and ``quantiles``
    the tenths of the feature's values; there are none for categories.
    """

    def __init__(self, name: str, points: Array, values: Array, outputs: Sequence[str], quantiles: Array) -> None:
        self.name, self.points, self.values = name, points, values
        self.outputs, self.quantiles = tuple(outputs), quantiles

    @property
    def average(self) -> Array:
        """The mean over the samples, (points, outputs)."""
        return np.asarray(self.values.mean(0))

    def __repr__(self) -> str:
        spread = float(np.ptp(self.average, axis=0).max())
        return f"Dependence({self.name!r}, {len(self.points)} points, changes the output by {spread:.4g})"

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw the dependence, and write it to ``path`` if given: see `ranvier.pictures.partial_dependence`."""
        made: Figure = rows.look_up("picture", "partial_dependence")(self, path)
        return made


def partial_dependence(
    model: Any,
    x: Any,
    features: Sequence[int | str] | int | str | None = None,
    *,
    points: int = 24,
    samples: int = 200,
    seed: int = 0,
    names: Sequence[str] | None = None,
    classes: Sequence[Any] | None = None,
) -> list[Dependence]:
    """The output of a model for samples in which one feature has each of some values (Friedman, 2001).

    ``model`` is a network, an estimator, a pipeline, or a function of a table; ``x`` an array (rows, features), a
    frame, or a dict of columns. ``features`` are numbers or names of columns (None: all). A feature of numbers is
    varied over ``points`` values between its quantiles of 2 and 98 %; one of few values, or of categories, over at most
    12 of its values, the most frequent. At most ``samples`` rows are used, which depend on ``seed``. The outputs are
    probabilities of the classes where there are some; of two classes, that of the second. ``classes`` names them.

    It assumes that a feature can change while the others stay: for features that go together, the model is asked for
    rows that do not exist. Raises ValueError for columns that do not exist.
    """
    table = Table(x, names)
    part = Table(table.rows(some_rows(len(table), whole("samples", samples), seed)), table.names)
    called = class_names_of(model) if classes is None else [str(name) for name in classes]
    chosen: Any = range(len(table.names)) if features is None else features
    chosen = [chosen] if isinstance(chosen, (int, str)) else chosen
    return [_dependence(model, table, part, table.index(f), whole("points", points, 2), called) for f in chosen]


def _dependence(
    model: Any, table: Table, part: Table, index: int, points: int, called: Sequence[str] | None
) -> Dependence:
    column = table.column(index)
    at, quantiles = _points_of(column, points)
    columns = []
    for value in at:
        outputs = outputs_of(model, part.replaced(index, value))
        two = outputs.shape[1] == 2 and bool(np.allclose(outputs.sum(1), 1, atol=1e-3))
        columns.append(outputs[:, 1:] if two else outputs)
    values = np.stack(columns, 1)
    width = values.shape[2]
    if called is None:
        named = ["output"] if width == 1 else [str(k) for k in range(width)]
    else:
        named = list(called[1:]) if width == 1 and len(called) == 2 else list(called)
    named = named if len(named) == width else [str(k) for k in range(width)]
    return Dependence(table.names[index], at, values, named, quantiles)


def _points_of(column: Array, points: int) -> tuple[Array, Array]:
    """The values at which a feature is set, and the tenths of a feature of numbers."""
    known = column[column == column]  # without NaN
    if known.dtype.kind not in "fiu":
        known = np.array([value for value in known.tolist() if value is not None], known.dtype)
        values, counts = np.unique(known.astype(str) if known.dtype.kind == "O" else known, return_counts=True)
        often = np.argsort(-counts, kind="stable")[:MOST_CATEGORIES]
        return values[np.sort(often)], np.zeros(0)
    quantiles = np.quantile(known, np.linspace(0.1, 0.9, 9)) if len(known) else np.zeros(0)
    values = np.unique(known)
    if len(values) <= min(points, MOST_CATEGORIES):
        return values, quantiles
    low, high = np.quantile(known, TAILS)
    if low == high:
        low, high = values[0], values[-1]
    at = np.linspace(low, high, points)
    return (
        np.unique(np.rint(at).astype(known.dtype)) if known.dtype.kind in "iu" else at.astype(known.dtype)
    ), quantiles

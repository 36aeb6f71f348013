"""The decision boundary of a classifier, or the surface of a regression, over two features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.module.outputs import class_names_of, outputs_of
from ranvier.pictures.style import COLOURS, INK, POINTS, Target, figure, finish, tidy
from ranvier.support.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARGIN = 0.06  # of the range of a feature, on each side


def decision_boundary(
    model: Any,
    x: Any,
    y: Any = None,
    features: tuple[int | str, int | str] = (0, 1),
    path: Target = None,
    *,
    classes: Sequence[Any] | None = None,
    resolution: int = 120,
    title: str | None = None,
) -> Figure:
    """Draw what a model predicts over two features: a colour for each class, stronger where it is more certain.

    ``model`` is a network, an estimator or a pipeline, ``x`` a table (rows, columns), ``y`` the targets, which are
    drawn as points. ``features`` are the numbers or names of two columns; all others have their median, or their most
    frequent value. Lines are where the class changes. One output of a regression is drawn as a surface. ``resolution``
    is the number of points along each axis. ``path`` names a file to write (.png, .svg, .pdf). Returns the figure.
    Raises ValueError for columns that do not exist or are not numbers.
    """
    table = Table(x)
    first, second = (table.index(feature) for feature in features)
    axis_values = []
    for index in (first, second):
        column = table.column(index)
        if column.dtype.kind not in "fiub":
            raise ValueError(f"column {table.names[index]!r} is not of numbers. Write features= with two that are.")
        finite = column[np.isfinite(column.astype(np.float64))].astype(np.float64)
        margin = MARGIN * (float(np.ptp(finite)) or 1.0)
        axis_values.append(np.linspace(finite.min() - margin, finite.max() + margin, resolution))
    across, up = np.meshgrid(*axis_values)
    sample = table.rows(np.zeros(across.size, np.intp))
    for index in range(len(table.names)):
        values = {first: across.ravel(), second: up.ravel()}.get(index)
        if values is None:
            values = _usual(table.column(index))
        sample = Table(sample, table.names).replaced(index, values)
    outputs = outputs_of(model, sample)
    names = class_names_of(model) if classes is None else [str(name) for name in classes]
    made = figure(6.0, 4.8)
    axes = made.subplots()
    surface = outputs.shape[1] == 1 and not (names or _binary(y, outputs))
    tidy(axes, title or ("Predictions" if surface else "Decision boundary"))
    axes.grid(visible=False)
    codes = _codes(y, class_names_of(model) if classes is None else None)
    if surface:
        drawn: Any = axes.pcolormesh(across, up, outputs.reshape(across.shape), cmap="viridis", shading="gouraud")
        made.colorbar(drawn, ax=axes, label="predicted")
        if y is not None:
            targets = np.asarray(y, np.float64).reshape(-1)
            drawn.set_clim(min(targets.min(), outputs.min()), max(targets.max(), outputs.max()))
            some = np.linspace(0, len(targets) - 1, min(len(targets), POINTS)).astype(int)
            at, height = (table.column(i)[some] for i in (first, second))
            axes.scatter(
                at, height, s=18, c=targets[some], cmap="viridis", norm=drawn.norm, edgecolors="white", linewidths=0.6
            )
    else:
        p = np.concatenate([1 - outputs, outputs], 1) if outputs.shape[1] == 1 else outputs
        _draw_classes(axes, across, up, p)
        _draw_points(axes, table, (first, second), codes, names, p.shape[1])
    axes.set_xlabel(table.names[first], color=INK, parse_math=False)
    axes.set_ylabel(table.names[second], color=INK, parse_math=False)
    return finish(made, path)


def _binary(y: Any, outputs: Array) -> bool:
    """Whether one output is the probability of the second of two classes."""
    between = outputs.min() >= 0 and outputs.max() <= 1
    return bool(between and (y is None or len(np.unique(np.asarray(y))) <= 2))


def _usual(column: Array) -> Any:
    if column.dtype.kind in "fc":
        return np.nanmedian(column)
    values, counts = np.unique(column[column == column], return_counts=True)  # without NaN
    return np.median(column).astype(column.dtype) if column.dtype.kind in "iu" else values[counts.argmax()]


def _codes(y: Any, names: Sequence[str] | None) -> Array | None:
    """Class numbers of the targets: class numbers, one-hot rows, or names."""
    if y is None:
        return None
    array = np.asarray(y)
    if array.ndim == 2:
        return array.argmax(1) if array.shape[1] > 1 else array[:, 0].astype(int)
    if names is not None:
        place = {name: k for k, name in enumerate(names)}
        return np.array([place.get(str(value), 0) for value in array.tolist()])
    return array.astype(int)


def _draw_classes(axes: Any, across: Array, up: Array, p: Array) -> None:
    """The colour of the most probable class, paler where it is less certain, and lines between the classes."""
    from matplotlib.colors import to_rgb

    colours = np.array([to_rgb(COLOURS[k % len(COLOURS)]) for k in range(p.shape[1])])
    taken = p.argmax(1)
    best = p.max(1)
    least = 1 / p.shape[1]
    strength = 0.15 + 0.45 * np.clip((best - least) / (1 - least), 0, 1) if best.max() <= 1 + 1e-6 else 0.4
    image = 1 - np.reshape(strength, (-1, 1)) * (1 - colours[taken])
    edges = (across[0, 0], across[0, -1], up[0, 0], up[-1, 0])
    axes.imshow(image.reshape(*across.shape, 3), extent=edges, origin="lower", aspect="auto", interpolation="bilinear")
    for k in range(p.shape[1]) if p.shape[1] > 2 else (1,):
        others = np.delete(p, k, 1).max(1)
        if 0 < np.count_nonzero(taken == k) < len(taken):
            axes.contour(across, up, (p[:, k] - others).reshape(across.shape), [0], colors=[INK], linewidths=1)


def _draw_points(
    axes: Any, table: Table, features: tuple[int, int], codes: Array | None, names: Sequence[str] | None, count: int
) -> None:
    if codes is None:
        return
    some = np.linspace(0, len(codes) - 1, min(len(codes), POINTS)).astype(int)
    columns = [table.column(index)[some] for index in features]
    for k in range(count):
        mine = codes[some] == k
        if mine.any():
            label = names[k] if names is not None and k < len(names) else str(k)
            axes.scatter(
                columns[0][mine], columns[1][mine], s=16, color=COLOURS[k % len(COLOURS)], edgecolors="white",
                linewidths=0.5, label=label,
            )  # fmt: skip
    legend = axes.legend(fontsize=9, framealpha=0.85, edgecolor="none")
    for text in legend.get_texts():
        text.set_parse_math(False)

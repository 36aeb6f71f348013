"""What the features of a table do: their importances, and the output by the value of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ranvier.data.convert import Array
from ranvier.pictures.style import BLUE, INK, ORANGE, PALE, Target, colour_of, figure, finish, grid, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST = 28  # characters of a name
CURVES = 40  # of single samples
HANDLE, LETTER = 0.6, 0.075  # inches of a legend: a line with what is around it, and a letter


class Ranked(Protocol):
    """The result of `ranvier.explain.permutation_importance`: values (features, repeats), and the names."""

    @property
    def names(self) -> Sequence[str]: ...
    @property
    def values(self) -> Array: ...
    @property
    def metric(self) -> str: ...


class Effect(Protocol):
    """The dependence on one feature: its points, and the outputs (samples, points, outputs)."""

    @property
    def name(self) -> str: ...
    @property
    def points(self) -> Array: ...
    @property
    def values(self) -> Array: ...
    @property
    def outputs(self) -> Sequence[str]: ...
    @property
    def quantiles(self) -> Array: ...


def importances(
    found: Ranked | Mapping[str, Any], path: Target = None, *, most: int = 20, title: str | None = None
) -> Figure:
    """Draw the importance of each feature, the largest first: a bar for the mean, a line for one standard deviation.

    ``found`` is the result of `ranvier.explain.permutation_importance`, or a dict from names to numbers (one, or one
    for each repeat, fold or seed). At most ``most`` features are drawn. ``path`` names a file to write (.png, .svg,
    .pdf). Returns the figure. Raises ValueError where there are no features.
    """
    if isinstance(found, Mapping):
        names, label = list(found), "importance"
        rows = [np.atleast_1d(np.asarray(values, np.float64)) for values in found.values()]
    else:
        names, rows, label = list(found.names), list(np.asarray(found.values)), f"change of {found.metric}"
    if not rows:
        raise ValueError("there are no features to draw. Write {'name': importance, ...} instead.")
    means = np.array([row.mean() for row in rows])
    spread = np.array([row.std(ddof=1) if len(row) > 1 else 0.0 for row in rows])
    order = np.argsort(-means, kind="stable")[:most][::-1]
    made = figure(6.4, 1.1 + 0.27 * len(order))
    axes = made.subplots()
    tidy(
        axes, title or ("Importances" if len(order) == len(rows) else f"The {most} largest of {len(rows)} importances")
    )
    places = np.arange(len(order))
    colours = [BLUE if means[i] >= 0 else ORANGE for i in order]
    bars: dict[str, Any] = {"error_kw": {"ecolor": INK, "elinewidth": 1}}
    axes.barh(places, means[order], xerr=spread[order] if spread.any() else None, color=colours, height=0.7, **bars)
    axes.set_yticks(places, [short(names[i]) for i in order], fontsize=9, parse_math=False)
    axes.axvline(0, color=PALE, linewidth=0.8)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(label, color=INK)
    axes.set_ylim(-0.6, len(order) - 0.4)
    return finish(made, path)


def partial_dependence(
    found: Effect | Sequence[Effect], path: Target = None, *, title: str | None = None, across: int = 3
) -> Figure:
    """Draw the mean output of a model by the value of each feature, the others as they are.

    ``found`` is the result of `ranvier.explain.partial_dependence`. Pale lines are single samples, where there is one
    output; categories are bars, with a line for one standard deviation over the samples. Ticks above the axis are the
    tenths of the feature's values: beyond them the model has seen little. ``path`` names a file to write. Returns the
    figure. Raises ValueError where there are no features.
    """
    effects: list[Any] = list(found) if isinstance(found, Sequence) else [found]
    if not effects:
        raise ValueError("there are no features to draw. Write rv.explain.partial_dependence(model, x) instead.")
    several = max(len(effect.outputs) for effect in effects) > 1
    made, panels = grid(len(effects), across, (3.7, 2.9), (0.4, 0.6 if several else 0.2), title, sharey=True)
    for place, (axes, effect) in enumerate(zip(panels, effects, strict=True)):
        _draw_effect(axes, effect)
        tidy(axes, short(effect.name))
        if place % across == 0:
            axes.set_ylabel("output" if several else effect.outputs[0], color=INK, parse_math=False)
    if several:
        handles, labels = panels[0].get_legend_handles_labels()
        width = made.get_size_inches()[0] / (HANDLE + LETTER * max(map(len, labels)))
        made.legend(
            handles, labels, loc="outside lower center", ncols=int(np.clip(width, 1, min(len(labels), 5))),
            frameon=False, fontsize=9,
        )  # fmt: skip
    return finish(made, path)


def _draw_effect(axes: Axes, effect: Any) -> None:
    mean = effect.values.mean(0)  # (points, outputs)
    outputs = mean.shape[1]
    if effect.points.dtype.kind not in "fiu":
        places = np.arange(len(effect.points))
        width = 0.8 / outputs
        for k in range(outputs):
            error = effect.values[..., k].std(0) if outputs == 1 else None
            axes.bar(
                places + (k - (outputs - 1) / 2) * width, mean[:, k], width * 0.92, color=colour_of(k, outputs)[0],
                yerr=error, error_kw={"ecolor": PALE, "elinewidth": 1}, label=effect.outputs[k],
            )  # fmt: skip
        names = [short(str(point), 14) or "missing" for point in effect.points]
        axes.set_xticks(places, names, rotation=35, ha="right", rotation_mode="anchor", fontsize=8, parse_math=False)
        return
    if outputs == 1:
        some = np.linspace(0, len(effect.values) - 1, min(CURVES, len(effect.values))).astype(int)
        axes.plot(effect.points, effect.values[some, :, 0].T, color=PALE, linewidth=0.5, alpha=0.35)
    for k in range(outputs):
        colour, style = colour_of(k, outputs)
        axes.plot(effect.points, mean[:, k], color=colour, linestyle=style, linewidth=2, label=effect.outputs[k])
    axes.plot(
        effect.quantiles, np.zeros(len(effect.quantiles)), "|", color=INK, markersize=7,
        transform=axes.get_xaxis_transform(), clip_on=False,
    )  # fmt: skip


def short(name: str, most: int = LONGEST) -> str:
    """A name that fits an axis."""
    return name if len(name) <= most else f"{name[: most - 1]}…"

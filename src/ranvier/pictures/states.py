"""The states of recurrent layers over the steps of a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.pictures.style import INK, PALE, Target, finish, grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 12  # panels of one figure
UNITS = 32  # that are chosen where none are named
WIDTH, HEIGHT = 0.16, 0.13  # inches of a step and of a unit
LONGEST = 100  # steps that are named along the axis


def states(
    values: Any,
    steps: Sequence[Any] | None = None,
    path: Target = None,
    *,
    units: Sequence[int] | None = None,
    captions: Sequence[str] = (),
) -> Figure:
    """Draw the outputs or states of a recurrent layer over time: a row for each unit, red above 0 and blue below.

    ``values`` are (steps, units) of one sequence, which a layer with ``return_sequences=True`` gives, or of several,
    (sequences, steps, units), as far as the 12th. ``steps`` names the steps, such as the characters of a text; values
    beyond them are left out. ``units`` are the numbers of those to draw, in this order. None draws the 32 that change
    most, ordered by the step at which each is largest. ``captions`` are titles, ``path`` names a file to write. Returns
    the figure. Raises ValueError for values of other shapes, and for more steps than there are.
    """
    array = np.asarray(values, np.float64)
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or not array.size:
        raise ValueError(f"values of shape {np.shape(values)}. Write (steps, units), or (sequences, steps, units).")
    names = list(map(str, range(1, array.shape[1] + 1))) if steps is None else [_visible(step) for step in steps]
    if len(names) > array.shape[1] or not names:
        raise ValueError(f"{len(names)} steps are named, and the values have {array.shape[1]}. Write a name for each.")
    shown = array[:MOST, : len(names)]
    rows = _chosen(shown) if units is None else list(units)
    wrong = [unit for unit in rows if not 0 <= unit < array.shape[2]]
    if wrong:
        raise ValueError(f"there is no unit {wrong[0]}. Write some of 0 to {array.shape[2] - 1}.")
    panel = max(2.4, WIDTH * len(names)), max(1.2, HEIGHT * len(rows)) + 0.3
    made, panels = grid(len(shown), max(1, int(12 // panel[0])), panel, (1.4, 0.4))
    limit = float(np.abs(shown[:, :, rows]).max()) or 1.0
    drawn = None
    for i, (axes, value) in enumerate(zip(panels, shown, strict=True)):
        drawn = axes.imshow(
            value[:, rows].T, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest", aspect="auto"
        )
        axes.set_title(captions[i] if i < len(captions) else "", loc="left", fontsize=11, color=INK)
        if steps is not None and len(names) <= LONGEST:
            axes.set_xticks(range(len(names)), names, fontsize=8, parse_math=False)
        else:
            axes.set_xlabel("step", color=INK)
        axes.set_yticks(range(len(rows)), [str(unit) for unit in rows], fontsize=6, color=PALE)
        axes.set_ylabel("unit", color=INK)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    assert drawn is not None
    bar = made.colorbar(drawn, ax=panels, shrink=0.6, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8, labelcolor=PALE)
    return finish(made, path)


def _chosen(values: Array) -> list[int]:
    """The units that change most, those first that are largest at an early step."""
    most = np.argsort(-values.std(1).mean(0), kind="stable")[:UNITS]
    return [int(unit) for unit in most[np.argsort(np.abs(values[0][:, most]).argmax(0), kind="stable")]]


def _visible(step: Any) -> str:
    """The name of a step; white space as a sign for it."""
    return {" ": "␣", "\n": "↵", "\t": "→"}.get(step, str(step))

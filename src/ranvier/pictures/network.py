"""The diagram of a network: a box for each call of a layer, and an arrow for each tensor between two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranvier.module.calls import check_network
from ranvier.pictures.diagram import JOIN, Box, Drawing
from ranvier.pictures.diagram_layout import Spot, place
from ranvier.pictures.style import BLUE, INK, PALE, Target, figure, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ranvier.module.core import Module

WIDTH, HEIGHT, GAP = 2.9, 0.62, 0.34  # inches: least width and height of a box, and the gap between rows
LETTER = 0.088  # inches: the width of a letter
ROUND = 0.17  # inches: the radius of an operation between layers
HEADING = 0.36  # inches above the first box


def network(model: Module, path: Target = None, *, title: str | None = None) -> Figure:
    """Draw a network from its inputs down to its outputs, with the output shape and the parameters of each layer.

    Boxes of layers with weights are blue. ``path`` names a file to write (.png, .svg, .pdf). Returns the figure. Raises
    ValueError for a network whose input shape is not known yet.
    """
    check_network(model)
    if model._input_type is None:
        raise ValueError(
            f"{model.name!r} does not know the shape of its inputs yet. Write model.build((None, 784)), or call it, "
            "before it is drawn."
        )
    boxes = Drawing(model).boxes
    total = sum(p._value.size for p in model.parameters())
    heading = title or f"{model.name}: {total:,} parameters"
    wide = max(WIDTH, 0.3 + LETTER * max(len(text) for box in boxes for text in (box.title, below(box))))
    rows, across = place(boxes, wide, GAP)
    width = max(across, 0.1 * len(heading)) + 2 * GAP
    height = HEADING + len(rows) * (HEIGHT + GAP) + GAP / 2
    made = figure(width, height)
    made.set_layout_engine(None)
    axes = made.add_axes((0, 0, 1, 1))
    axes.set_xlim(-(width - across) / 2, (width + across) / 2)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    axes.text(across / 2, 0.26, heading, ha="center", va="center", fontsize=12, fontweight="bold", color=INK)
    tops = [HEADING + GAP / 2 + level * (HEIGHT + GAP) for level in range(len(rows))]
    for row, top in zip(rows, tops, strict=True):
        for spot in row:
            for above in spot.above:
                _draw_arrow(axes, above, spot, top)
            if spot.box is not None:
                _draw_box(axes, spot.box, spot.x, top, wide)
    return finish(made, path)


def below(box: Box) -> str:
    return box.shape if box.parameters is None else f"{box.shape}   {box.parameters:,} parameters"


def _draw_arrow(axes: Axes, above: Spot, spot: Spot, top: float) -> None:
    """Draw a curve across the gap above ``top``, vertical at both ends. In a lane, a straight line follows."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    high, turn, ends = top - GAP, top - GAP / 2, spot.box is not None
    edge = top + HEIGHT / 2 - ROUND if spot.box is not None and spot.box.kind == JOIN else top
    points = [(above.x, high), (above.x, turn), (spot.x, turn), (spot.x, edge)]
    codes = [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
    if not ends:
        points.append((spot.x, top + HEIGHT))
        codes.append(Path.LINETO)
    axes.add_patch(
        FancyArrowPatch(
            path=Path(points, codes), arrowstyle="-|>" if ends else "-", mutation_scale=9, color=PALE, linewidth=1.2,
            shrinkA=0, shrinkB=0, fill=ends,
        )
    )  # fmt: skip


def _draw_box(axes: Axes, box: Box, x: float, top: float, wide: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    if box.kind == JOIN:
        _draw_join(axes, box, x, top)
        return
    weights = box.parameters is not None
    axes.add_patch(
        FancyBboxPatch(
            (x - wide / 2, top), wide, HEIGHT, boxstyle="round,pad=0,rounding_size=0.07",
            facecolor="#E3EEF7" if weights else "#F4F4F4", edgecolor=BLUE if weights else PALE, linewidth=1.1,
        )
    )  # fmt: skip
    y = top + HEIGHT / 2
    axes.text(x, y - 0.12, box.title, ha="center", va="center", fontsize=9.5, fontweight="bold", color=INK)
    axes.text(x, y + 0.14, below(box), ha="center", va="center", fontsize=8.5, color=INK)


def _draw_join(axes: Axes, box: Box, x: float, top: float) -> None:
    """Draw an operation between layers: its sign in a circle, or its name in an oval, on the line of the arrows."""
    from matplotlib.patches import FancyBboxPatch

    half = max(ROUND, LETTER * len(box.title) / 2)
    y = top + HEIGHT / 2
    axes.plot([x, x], [y, top + HEIGHT], color=PALE, linewidth=1.2, zorder=1)
    shape = f"round,pad=0,rounding_size={ROUND}"
    corner = (x - half, y - ROUND)
    axes.add_patch(
        FancyBboxPatch(corner, 2 * half, 2 * ROUND, boxstyle=shape, facecolor="white", edgecolor=INK, zorder=2)
    )
    axes.text(x, y, box.title, ha="center", va="center", fontsize=11 if len(box.title) == 1 else 8.5, color=INK)

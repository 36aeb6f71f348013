"""Shared parts of all pictures: figures without global state, colours, axes, and complete files."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranvier.data.files import check_target
from ranvier.support.whole_files import naming

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

Target = str | os.PathLike[str] | None  # the file to write, if any

# Two hues that colour-blind readers can distinguish, also in greyscale print (Okabe and Ito, 2008).
BLUE, ORANGE = "#0072B2", "#D55E00"
# The hues of several classes, from the same palette; where they end, they begin again with another line.
COLOURS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#222222")
STYLES = ("-", "--", ":", "-.")
INK, PALE, LINE = "#222222", "#8A8A8A", "#E4E4E4"
POINTS = 5000  # the most points of a scatter


def figure(width: float, height: float) -> Figure:
    """Return an empty white figure, sized in inches. Raises ModuleNotFoundError where matplotlib is not installed.

    It is made without pyplot: the caller's plots and back end do not change, and no display is needed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        from ranvier.pictures.shown import Picture
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "pictures need matplotlib. Write: pip install 'ranvier[plot]'", name=error.name
        ) from error
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)  # inches
    made = Picture(figsize=(width, height), dpi=120, facecolor="white", layout=layout)
    FigureCanvasAgg(made)
    return made


def grid(
    count: int,
    across: int,
    panel: tuple[float, float],
    margin: tuple[float, float],
    title: str | None = None,
    *,
    fontsize: float = 13,
    fontweight: str = "bold",
    **options: Any,
) -> tuple[Figure, list[Axes]]:
    """Return a figure with ``count`` panels, at most ``across`` side by side. Sizes are in inches.

    ``options`` are those of matplotlib's ``Figure.subplots``.
    """
    across = min(across, count)
    down = -(-count // across)
    made = figure(panel[0] * across + margin[0], panel[1] * down + margin[1] + (0.4 if title else 0))
    if title:
        made.suptitle(title, fontsize=fontsize, fontweight=fontweight, color=INK)
    panels = list(made.subplots(down, across, squeeze=False, **options).flat)
    for unused in panels[count:]:
        unused.set_visible(False)
    return made, panels[:count]


def tidy(axes: Axes, title: str) -> None:
    """Set a title at the left and faint horizontal lines, and remove the frame at the top and at the right."""
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    axes.grid(axis="y", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def colour_of(place: int, count: int) -> tuple[str, str]:
    """The colour and the style of one of ``count`` lines."""
    colours = COLOURS if count > 2 else COLOURS[:2]
    return colours[place % len(colours)], STYLES[place // len(colours) % len(STYLES)]


def percent(axis: Axis) -> None:
    """Label an axis from 0 to 1 in percent."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda fraction, _: f"{100 * fraction:.4g} %"))


# The same numbers give the same bytes, and text stays text: small files, whose words a search finds.
SVG = {"svg.fonttype": "none", "svg.hashsalt": "ranvier"}
FONTS = {"font.sans-serif": ["DejaVu Sans", "Verdana"]}  # unless the user chose others


def finish(made: Figure, path: Target) -> Figure:
    """Write the figure to ``path``, if given, and return it.

    The suffix of the name is the format: .png, .svg, .pdf. Readers never see an incomplete file. Raises OSError where
    the file cannot be written and ValueError for an unknown format.
    """
    if path is None:
        return made
    check_target(path, "picture.png")
    target = Path(path)
    kind = target.suffix[1:].lower() or "png"
    partial = target.with_name(f".{target.name}.partial")
    try:
        with naming(target):
            save(made, partial, kind)
            if kind == "svg":
                partial.write_text(rounded(partial.read_text(encoding="utf-8")), encoding="utf-8")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return made


def save(made: Figure, target: Any, kind: str) -> None:
    """Write the figure to a file or a buffer, with the user's fonts, if any."""
    from matplotlib import rc_context

    from ranvier.pictures.shown import fonts_were_set

    with rc_context(SVG if fonts_were_set() else SVG | FONTS):
        made.savefig(target, format=kind, metadata={"Date": None} if kind == "svg" else None)


def svg_of(made: Figure) -> str:
    """The figure as text of an SVG element, for a page: no XML header, sizes that follow the page."""
    buffer = io.StringIO()
    save(made, buffer, "svg")
    text = rounded(buffer.getvalue())
    return text[text.index("<svg") :]


def rounded(svg: str) -> str:
    """Round lines to a hundredth of a point and remove indentation, which halves the file."""

    def line(match: re.Match[str]) -> str:
        return re.sub(r"(\.\d\d)\d+", r"\1", match[0]).replace("\n", "")

    return re.sub(r"\n +", "\n", re.sub(r' d="[^"]*"', line, svg))

"""What all pictures share: figures without global state, colours, axes, and files that are whole or not there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranvier.data.files import check_target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = ["BLUE", "INK", "ORANGE", "PALE", "figure", "finish", "percent", "tidy"]

# Two hues that stay apart for colour-blind readers and in grey print (Okabe and Ito, 2008).
BLUE, ORANGE = "#0072B2", "#D55E00"
INK, PALE, LINE = "#222222", "#8A8A8A", "#E4E4E4"


def figure(width: float, height: float) -> Figure:
    """An empty white figure of so many inches. Raises ModuleNotFoundError, saying what to install, without matplotlib.

    It is made without pyplot: a caller's own plots and back end stay as they are, and no display is needed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "pictures need matplotlib. Write: pip install 'ranvier[plot]'", name=error.name
        ) from error
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)  # inches
    made = Figure(figsize=(width, height), dpi=120, facecolor="white", layout=layout)
    FigureCanvasAgg(made)
    return made


def tidy(axes: Axes, title: str) -> None:
    """A title at the left, faint horizontal lines, no frame above and at the right."""
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    axes.grid(axis="y", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def percent(axis: Axis) -> None:
    """Write shares of 1 along this axis in percent."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g} %"))


# An SVG of the same numbers has the same bytes, and its text is text: small, and found by a search.
SVG = {"svg.fonttype": "none", "svg.hashsalt": "ranvier", "font.sans-serif": ["DejaVu Sans", "Verdana"]}


def finish(made: Figure, path: Any) -> Figure:
    """Write the figure to ``path``, if there is one, and return it.

    The file's kind is that of its name: .png, .svg, .pdf. A reader never sees half a picture. Raises OSError where it
    cannot be written and ValueError for a kind that does not exist.
    """
    if path is None:
        return made
    from matplotlib import rc_context

    check_target(path, "picture.png")
    target = Path(path)
    kind = target.suffix[1:].lower() or "png"
    partial = target.with_name(f".{target.name}.partial")
    try:
        with rc_context(SVG):
            made.savefig(partial, format=kind, metadata={"Date": None} if kind == "svg" else None)
        if kind == "svg":
            partial.write_text(rounded(partial.read_text(encoding="utf-8")), encoding="utf-8")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return made


def rounded(svg: str) -> str:
    """The same picture with lines to a hundredth of a point and no indentation: half as long."""

    def line(match: re.Match[str]) -> str:
        return re.sub(r"(\.\d\d)\d+", r"\1", match[0]).replace("\n", "")

    return re.sub(r"\n +", "\n", re.sub(r' d="[^"]*"', line, svg))

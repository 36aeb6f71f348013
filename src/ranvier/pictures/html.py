"""Models and histories in a notebook: HTML tables and sparklines, which need no other package."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from ranvier.module.summary import COLUMNS, rows_of, totals_of
from ranvier.pictures.curves import Run, panels
from ranvier.pictures.style import BLUE, ORANGE
from ranvier.support.results import infer

if TYPE_CHECKING:
    from ranvier.module.core import Module

WIDTH, HEIGHT = 160, 36  # of a sparkline, in pixels


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """An HTML table. The first ``left`` columns are text, the others numbers. A cell may be an SVG."""

    def cell(text: str, tag: str, place: int) -> str:
        side = "left" if place < left else "right"
        content = text if text.startswith("<svg") else escape(text).replace("  ", "&emsp;")
        return f'<{tag} style="text-align:{side}">{content}</{tag}>'

    def line(row: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(cell(text, tag, place) for place, text in enumerate(row))}</tr>"

    head, body = line(columns, "th"), "".join(line(row, "td") for row in rows)
    return f"<table><caption>{escape(caption)}</caption><thead>{head}</thead><tbody>{body}</tbody></table>"


def model_html(model: Module) -> str:
    """The table of ``model.summary()``."""
    totals = "<br>".join(escape(line) for line in totals_of(model))
    return table(f"{type(model).__name__} {model.name!r}", COLUMNS, rows_of(model), left=2) + f"<p>{totals}</p>"


def history_html(history: Run) -> str:
    """A row for each result: its first, last and best value, the epoch of the best one, and a sparkline."""
    rows = []
    for name, (values, held_out) in panels(history.history).items():
        for label, series in ((name, values), (f"val_{name}", held_out)):
            if not series:
                continue
            best = int(np.argmax(series) if infer(name, None) == "max" else np.argmin(series))
            epochs = history.epoch if len(history.epoch) == len(series) else range(len(series))
            ends = f"{series[0]:.4g}", f"{series[-1]:.4g}"
            highlight = "" if name == "learning_rate" else f"{series[best]:.4g} (epoch {epochs[best] + 1})"
            rows.append([label, *ends, highlight, sparkline(series, BLUE if series is values else ORANGE)])
    count = len(history.epoch)
    return table(f"{count} epoch{'s' * (count != 1)}", ("result", "first", "last", "best", ""), rows)


def sparkline(values: Sequence[float], colour: str) -> str:
    """A small curve as SVG, with gaps at values that are not finite."""
    numbers = np.asarray(values, float)
    finite = numbers[np.isfinite(numbers)]
    if not finite.size:
        return "<svg></svg>"
    low, span = float(finite.min()), float(np.ptp(finite)) or 1.0
    x = np.linspace(2, WIDTH - 2, len(numbers)) if len(numbers) > 1 else np.array([WIDTH / 2])
    parts: list[list[str]] = [[]]
    for at, value in zip(x, numbers, strict=True):
        if np.isfinite(value):
            parts[-1].append(f"{at:.1f},{HEIGHT - 3 - (value - low) / span * (HEIGHT - 6):.1f}")
        elif parts[-1]:
            parts.append([])
    lines = "".join(
        f'<polyline points="{" ".join(part)}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
        if len(part) > 1
        else f'<circle cx="{part[0].split(",")[0]}" cy="{part[0].split(",")[1]}" r="2" fill="{colour}"/>'
        for part in parts
        if part
    )
    return f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">{lines}</svg>'

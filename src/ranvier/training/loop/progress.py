"""The progress of `fit` and `evaluate`: a bar on a terminal, one display that changes in a notebook, lines elsewhere.

``verbose=0`` shows nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ranvier.config import is_interactive_logging_enabled
from ranvier.support.results import number_of

REDRAW_SECONDS = 0.2
BAR_WIDTHS = (24, 12)  # columns, the widest that fits
GAP = "  "
SHOWN = 12  # lines of a display of a notebook
SMALL = 1e-3  # smaller results are shown with an exponent


class Progress:
    """Shows nothing; the base class of the other two."""

    def begin(self, title: str, steps: int | None) -> None:
        """A pass over the data begins."""

    def update(self, done: int, samples: int, logs: Mapping[str, Any]) -> None:
        """So many steps and samples are done."""

    def end(self, samples: int, logs: Mapping[str, Any]) -> None:
        """The pass is over."""

    def say(self, text: str) -> None:
        """Print a line."""

    def speaker(self) -> Callable[[str], None] | None:
        """The function with which callbacks print a line; None if they may print as usual."""
        return None if type(self) is Progress else self.say

    def close(self) -> None:
        """The end of all passes."""


class Lines(Progress):
    """One line for each pass."""

    def __init__(self, console: Any) -> None:
        self.console = console
        self.title, self.started = "", 0.0

    def begin(self, title: str, steps: int | None) -> None:
        self.title, self.started = title, time.perf_counter()

    def end(self, samples: int, logs: Mapping[str, Any]) -> None:
        seconds = time.perf_counter() - self.started
        self.say(GAP.join([self.title, *results(logs), rate(samples, seconds), f"{seconds:.1f} s"]))

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)


class Bar(Lines):
    """A live line for each pass, which stays when the pass is over: title, bar, results, samples a second, time left.

    On a narrow terminal first the bar is left out, then the rate, then the time; results are never cut.
    """

    def __init__(self, console: Any) -> None:
        super().__init__(console)
        self.live: Any = None  # while a pass is drawn
        self.line: Any = ""
        self.total: int | None = None
        self.drawn = 0.0

    def begin(self, title: str, steps: int | None) -> None:
        self.title, self.total = title, steps
        self.started = self.drawn = time.perf_counter()

    def update(self, done: int, samples: int, logs: Mapping[str, Any]) -> None:
        now = time.perf_counter()
        if now - self.drawn < REDRAW_SECONDS:
            return
        self.drawn = now
        seconds = now - self.started
        left = f"{seconds * (self.total - done) / done:.0f} s left" if self.total and done else ""
        self.line = self.fitted(done, self.total, logs, rate(samples, seconds), left)
        if self.live is None:
            from rich.live import Live

            self.live = Live(console=self.console, auto_refresh=False, transient=True, get_renderable=lambda: self.line)
            self.live.start()
        self.live.refresh()

    def end(self, samples: int, logs: Mapping[str, Any]) -> None:
        seconds = time.perf_counter() - self.started
        self.line = self.fitted(1, 1, logs, rate(samples, seconds), f"{seconds:.1f} s")
        self._leave()

    def fitted(self, done: int, total: int | None, logs: Mapping[str, Any], speed: str, clock: str) -> Any:
        """The line as rich text that fits the terminal; wrapped between results if the results are wider."""
        from rich.cells import cell_len
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        width, words = self.console.width, results(logs)
        both = [speed, clock]
        for bar, rest in (*((w, both) for w in BAR_WIDTHS), (0, both), (0, [clock]), (0, [])):
            parts = [self.title, *["-" * bar] * bool(bar), *words, *filter(None, rest)]
            if cell_len(GAP.join(parts)) <= width:
                break
        else:
            parts = [self.title, *words, *filter(None, [clock])]
            return Text("\n".join(wrapped(parts, width)), overflow="fold")
        line = Text(GAP.join(parts), no_wrap=True, overflow="ignore")
        if not bar:
            return line
        drawn = ProgressBar(total, done, bar, pulse=total is None)
        at = len(self.title + GAP)
        segments = Text.assemble(*((s.text, s.style or "") for s in self.console.render(drawn)))
        segments.align("left", bar)
        return line[:at] + segments + line[at + bar :]

    def close(self) -> None:
        if self.live is not None:  # stopped within a pass, whose line stays
            self._leave()

    def _leave(self) -> None:
        """Print the line permanently; the next pass begins below it."""
        if self.live is not None:
            self.live.stop()
            self.live = None
        self.console.print(self.line, highlight=False)


class Notebook(Lines):
    """One display of a notebook, which changes: the last passes, and the one that is running."""

    def __init__(self, console: Any) -> None:
        super().__init__(console)
        self.lines: list[str] = []
        self.handle: Any = None  # of the display
        self.total: int | None = None
        self.drawn = 0.0

    def begin(self, title: str, steps: int | None) -> None:
        super().begin(title, steps)
        self.total = steps

    def update(self, done: int, samples: int, logs: Mapping[str, Any]) -> None:
        if time.perf_counter() - self.drawn < REDRAW_SECONDS:
            return
        seconds = time.perf_counter() - self.started
        left = [f"{seconds * (self.total - done) / done:.0f} s left"] if self.total and done else []
        steps = f"{done}/{self.total}" if self.total else f"{done} steps"
        self.show([*self.lines, GAP.join([self.title, steps, *results(logs), rate(samples, seconds), *left])])

    def say(self, text: str) -> None:
        self.lines.append(text)
        if self.handle is None or time.perf_counter() - self.drawn >= REDRAW_SECONDS:
            self.show(self.lines)

    def close(self) -> None:
        if self.lines:
            self.show(self.lines)

    def show(self, lines: list[str]) -> None:
        from IPython import display

        hidden = [f"... {len(lines) - SHOWN} lines before"] if len(lines) > SHOWN else []
        shown = {"text/plain": "\n".join([*hidden, *lines[-SHOWN:]])}
        self.drawn = time.perf_counter()
        if self.handle is None:
            show: Any = display.display
            self.handle = show(shown, raw=True, display_id=True)
        else:
            self.handle.update(shown, raw=True)


def results(logs: Mapping[str, Any]) -> list[str]:
    """The results as text with four digits after the point or an exponent; of a number for each class the mean."""
    found = []
    for name, value in logs.items():
        number = number_of(value)
        if number is not None:
            text = f"{name} {number:.4e}" if 0 < abs(number) < SMALL else f"{name} {number:.4f}"
            found.append(f"{text} (mean of {np.size(value)})" if np.size(value) > 1 else text)
    return found


def wrapped(parts: Sequence[str], width: int) -> list[str]:
    """The parts on lines of at most ``width``, none of them cut; lines after the first are indented."""
    from rich.cells import cell_len

    lines = [parts[0]]
    for part in parts[1:]:
        if cell_len(lines[-1] + GAP + part) <= width:
            lines[-1] += GAP + part
        else:
            lines.append(GAP + part)
    return lines


def rate(samples: int, seconds: float) -> str:
    return f"{samples / max(seconds, 1e-9):,.0f} samples/s"


def progress_of(verbose: Any) -> Progress:
    """The progress for ``verbose``: 0 shows nothing, 1 (or "auto") a bar on a terminal, 2 one line an epoch."""
    if verbose not in (0, 1, 2, "auto", True, False):
        raise ValueError(f"verbose={verbose!r}: write 0 (nothing), 1 (a bar) or 2 (one line an epoch) instead.")
    if not verbose or (verbose == "auto" and not is_interactive_logging_enabled()):
        return Progress()
    from rich.console import Console

    if Console().is_jupyter:
        # Plain lines go to one stream of text; rich would make a display of each.
        return Lines(Console(force_jupyter=False)) if verbose == 2 else Notebook(None)
    console = Console()
    return Bar(console) if verbose != 2 and console.is_terminal else Lines(console)

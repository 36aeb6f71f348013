"""What `fit` and `evaluate` show: a live bar on a terminal, one line an epoch elsewhere, nothing for verbose=0."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

__all__ = ["Progress", "progress"]

REDRAW_SECONDS = 0.2


class Progress:
    """Shows nothing: the base of the other two."""

    def begin(self, title: str, steps: int | None) -> None:
        """A pass over the data begins."""

    def update(self, done: int, samples: int, logs: Mapping[str, Any]) -> None:
        """So many steps and samples are done."""

    def end(self, samples: int, logs: Mapping[str, Any]) -> None:
        """The pass is over."""

    def say(self, text: str) -> None:
        """A line of its own."""

    def speaker(self) -> Callable[[str], None] | None:
        """How callbacks print a line; None where they may write as they like."""
        return None if type(self) is Progress else self.say

    def close(self) -> None:
        """Nothing more comes."""


class Lines(Progress):
    """One line for each pass."""

    def __init__(self, console: Any) -> None:
        self.console = console
        self.title, self.started = "", 0.0

    def begin(self, title: str, steps: int | None) -> None:
        self.title, self.started = title, time.perf_counter()

    def end(self, samples: int, logs: Mapping[str, Any]) -> None:
        seconds = time.perf_counter() - self.started
        self.say(f"{self.title}  {described(logs)}  {rate(samples, seconds)}  {seconds:.1f} s")

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)


class Bar(Progress):
    """A live bar for each pass: title, bar, results, samples a second, time left."""

    def __init__(self, console: Any) -> None:
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[logs]}"),
            TextColumn("{task.fields[rate]}"), TextColumn("{task.fields[left]}"),
        )  # fmt: skip
        self.live = RichProgress(*columns, console=console, auto_refresh=False)
        self.live.start()
        self.task: Any = None
        self.started = self.drawn = 0.0

    def begin(self, title: str, steps: int | None) -> None:
        self.started = self.drawn = time.perf_counter()
        self.task = self.live.add_task(title, total=steps, logs="", rate="", left="")

    def update(self, done: int, samples: int, logs: Mapping[str, Any]) -> None:
        now = time.perf_counter()
        if now - self.drawn < REDRAW_SECONDS:
            return
        self.drawn = now
        seconds = now - self.started
        total = self.live.tasks[-1].total
        left = f"{seconds * (total - done) / done:.0f} s left" if total and done else ""
        self.live.update(
            self.task, completed=done, logs=described(logs), rate=rate(samples, seconds), left=left
        )
        self.live.refresh()

    def end(self, samples: int, logs: Mapping[str, Any]) -> None:
        seconds = time.perf_counter() - self.started
        total = self.live.tasks[-1].total or 1
        self.live.update(
            self.task,
            completed=total,
            total=total,
            logs=described(logs),
            rate=rate(samples, seconds),
            left=f"{seconds:.1f} s",
        )
        self.live.refresh()

    def say(self, text: str) -> None:
        self.live.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def close(self) -> None:
        self.live.stop()


def described(logs: Mapping[str, Any]) -> str:
    """The results that are single numbers, in words."""
    return "  ".join(f"{name} {value:.4f}" for name, value in logs.items() if np.ndim(value) == 0)


def rate(samples: int, seconds: float) -> str:
    return f"{samples / max(seconds, 1e-9):,.0f} samples/s"


def progress(verbose: Any) -> Progress:
    """What ``verbose`` asks for: 0 nothing, 1 (or "auto") a bar where there is a terminal, 2 one line an epoch."""
    if verbose not in (0, 1, 2, "auto", True, False):
        raise ValueError(
            f"verbose={verbose!r}: write 0 (nothing), 1 (a bar) or 2 (one line an epoch) instead."
        )
    if not verbose:
        return Progress()
    from rich.console import Console

    console = Console()
    return Bar(console) if verbose != 2 and console.is_terminal else Lines(console)

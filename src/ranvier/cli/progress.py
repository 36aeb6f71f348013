"""The progress of a search: a live line with the time left on a terminal, a plain line for each trial elsewhere."""

from __future__ import annotations

import time
from math import isnan
from types import TracebackType
from typing import Any, Self

import ranvier as rv
from ranvier.cli.lines import wrapped
from ranvier.support.phrases import counted

REDRAWN = 4  # times a second


class SearchProgress:
    """Prints lines and trials. On a terminal a live line shows trials done, the best loss, and the time left."""

    def __init__(self, limit: float | None, trials: int | None, *, quiet: bool) -> None:
        from rich.console import Console

        self.console = Console(quiet=quiet, soft_wrap=True, highlight=False)
        self.limit, self.trials = limit, trials
        self.began = time.perf_counter()
        self.done, self.best = 0, float("inf")
        self.linear = True  # whether the trials have a linear one before them
        self.stage = "reading the data"
        self.live: Any = None

    def __enter__(self) -> Self:
        if self.console.is_terminal and not self.console.quiet:
            from rich.live import Live

            self.live = Live(console=self.console, transient=True, refresh_per_second=REDRAWN, get_renderable=self.line)
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live is not None:
            self.live.stop()

    def say(self, text: str) -> None:
        self.stage = "measuring what is simple"
        shown = wrapped(text, self.console.width) if self.console.is_terminal else text
        self.console.print(shown, markup=False)

    def trial(self, trial: rv.auto.Trial, seconds: float) -> None:
        """A trial is done."""
        self.linear = self.linear and (bool(self.done) or not trial.number)
        self.done += 1
        loss = trial.loss
        self.best = min(self.best, loss) if not isnan(loss) else self.best
        name = f"trial {trial.number}" if trial.number else "linear"
        failed = f"failed: {trial.error}" if trial.error else f"held-out loss {loss:.4f}"
        cut = ", cut by the time" * trial.cut
        self.say(f"{name}: {failed}{cut}, {seconds:.1f} s ({rv.auto.settings_words(trial.settings)})")

    def line(self) -> str:
        """The live line."""
        passed = time.perf_counter() - self.began
        total = self.trials + self.linear if self.trials else 0
        parts = [self.stage]
        if self.done:
            parts = [f"{self.done} of {counted(total, 'trial')}" if total else counted(self.done, "trial")]
        if self.best < float("inf"):
            parts.append(f"best held-out loss {self.best:.4f}")
        if self.limit is not None:
            parts.append(f"{max(0, self.limit - passed):.0f} s left")
        elif total and self.done:
            parts.append(f"about {passed * (total - self.done) / self.done:.0f} s left")
        return ", ".join(parts)

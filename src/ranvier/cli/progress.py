"""The progress of a search: a live line with the time left on a terminal, a plain line for each trial elsewhere."""

from __future__ import annotations

import sys
import time
from math import isnan
from types import TracebackType
from typing import Any, Self

import typer

import ranvier as rv
from ranvier.cli.lines import wrapped
from ranvier.support.phrases import counted

REDRAWN = 4  # times a second


class SearchProgress:
    """Prints lines and trials. On a terminal a live line shows trials done, the best loss, and the time left.

    ``trials`` is the number that ends the search, None where the time does. The linear network before them is none.
    """

    def __init__(self, limit: float | None, trials: int | None, *, quiet: bool) -> None:
        from rich.console import Console

        self.console = Console(quiet=quiet, soft_wrap=True, highlight=False)
        self.limit, self.trials = limit, trials
        self.began = time.perf_counter()
        self.done: int | None = None  # trials; None before the search
        self.best = float("inf")
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
        """A line for people, before and after the search."""
        self.stage = "measuring what is simple" if self.done is None else self.stage
        self.print(text)

    def print(self, text: str) -> None:
        shown = wrapped(text, self.console.width) if self.console.is_terminal else text
        self.console.print(shown, markup=False)

    def ask_target(self, table: rv.auto.Table) -> str:
        """The columns to predict, as the user writes them; "" where nobody can be asked, or the guess is taken."""
        from ranvier.auto.checks import target_of
        from ranvier.auto.columns import names_of, no_column

        guess, _ = target_of(table)
        if self.live is None or not sys.stdin.isatty() or guess in table.kinds:  # of folders and arrays it is known
            return ""

        def checked(text: str) -> str:
            wrong = [name for name in text.split(",") if name and name not in table.columns]
            if wrong and text != guess:
                raise typer.BadParameter(no_column(table, wrong[0]))
            return text

        began = time.perf_counter()
        self.live.stop()
        self.print(f"the columns are {names_of(table)}")
        answer: str = typer.prompt("Which one is to be predicted?", default=guess, value_proc=checked)
        self.live.start()
        self.began += time.perf_counter() - began
        return "" if answer == guess else answer

    def trial(self, trial: rv.auto.Trial, seconds: float) -> None:
        """A trial is done."""
        self.done = trial.number
        self.stage = "trying networks" if self.trials is None or self.done < self.trials else "finishing"
        loss = trial.loss
        self.best = min(self.best, loss) if not isnan(loss) else self.best
        name = f"trial {trial.number}" if trial.number else "linear"
        failed = f"failed: {trial.error}" if trial.error else f"held-out loss {loss:.4f}"
        cut = ", cut by the time" * trial.cut
        self.print(f"{name}: {failed}{cut}, {seconds:.1f} s ({rv.auto.settings_words(trial.settings)})")

    def line(self) -> str:
        """The live line."""
        passed = time.perf_counter() - self.began
        parts = [self.stage]
        if self.done is not None:
            parts.append(
                f"{self.done} of {counted(self.trials, 'trial')}" if self.trials else counted(self.done, "trial")
            )
        if self.best < float("inf"):
            parts.append(f"best held-out loss {self.best:.4f}")
        if self.limit is not None:
            parts.append(f"{max(0, self.limit - passed):.0f} s left")
        elif self.trials and self.done and self.done < self.trials:
            parts.append(f"about {passed * (self.trials - self.done) / self.done:.0f} s left")
        return ", ".join(parts)

"""Keras's ``Progbar``: the progress of a loop of your own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ranvier.support.constructors import CheckedConstructor
from ranvier.training.loop.progress import progress_of


class Progbar(CheckedConstructor):
    """A progress bar for a loop of your own, drawn as that of ``fit``.

    ``target`` is the number of steps, None if it is unknown. Values are averaged over the steps, but for those named
    in ``stateful_metrics``, or not named in ``stateless_metrics``. ``verbose`` is 0 (nothing), 1 or 2 (a line at the
    end). ``width``, ``interval`` and ``unit_name`` have no effect. Raises ValueError if both names are given. Source:
    Keras.

    Example:
        >>> import ranvier as rv
        >>> bar = rv.utils.Progbar(2, verbose=0)
        >>> bar.add(1, [("loss", 0.5)])
        >>> bar.update(2, [("loss", 0.3)])
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError(
                "Progbar was given stateful_metrics and stateless_metrics. Write only one of them instead."
            )
        self.target, self.width, self.verbose, self.interval, self.unit_name = (
            target,
            width,
            verbose,
            interval,
            unit_name,
        )
        self.stateful_metrics = None if stateless_metrics is not None else set(stateful_metrics or ())
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        self._progress = progress_of(verbose)
        self._totals: dict[str, tuple[float, float]] = {}  # the sum of each value and its number
        self._done, self._begun = 0, False

    def update(
        self, current: int, values: Iterable[tuple[str, Any]] | None = None, finalize: bool | None = None
    ) -> None:
        """``current`` steps are done, the last of which had these pairs of a name and a value.

        With ``finalize`` (by default at ``target``) the bar is finished, and shows the last values.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        for name, value in values or ():
            kept = self.stateful_metrics
            averaged = name not in kept if kept is not None else name in (self.stateless_metrics or ())
            if averaged and not finalize:
                count = max(current - self._done, 1)
                total, number = self._totals.get(name, (0.0, 0))
                self._totals[name] = total + float(value) * count, number + count
            else:
                self._totals[name] = float(value), 1
        self._done = current
        if not self._begun:
            self._progress.begin("", self.target)
            self._begun = True
        shown = {name: total / max(1, number) for name, (total, number) in self._totals.items()}
        if finalize:
            self._progress.end(current, shown)
            self._progress.close()
            self._begun = False
        else:
            self._progress.update(current, current, shown)

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """`update` after ``n`` more steps."""
        self.update(self._done + n, values)

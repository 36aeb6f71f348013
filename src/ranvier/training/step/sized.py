"""Steps whose programs have one size of a batch each, because what was traced computes with the number of rows.

A last batch that is smaller has a program of its own, for which the trace is made again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from ranvier.graph.checks import ERRORS
from ranvier.tensor import layout, rng
from ranvier.training.step.builder import Step

StepT = TypeVar("StepT", bound=Step)


def sized(step: StepT, make: Callable[[int], Step]) -> StepT:
    """The step with a program that also runs a smaller last batch, by the step that ``make`` returns for its rows."""
    step.program = SizedProgram(step, make)
    return step


def step_of(step: Step, rows: int) -> Step:
    """The step whose graph is that of a batch of so many rows."""
    return step.program.tail(rows) if is_sized(step) and rows != step.batch else step


def is_sized(step: Step) -> bool:
    """Whether the step's graph has numbers of rows: `sized`, or the step of a last batch."""
    shape = step.graph.inputs[0].shape if step.graph.inputs else ()
    return shape[:1] == (step.batch,)


class SizedProgram:
    """The programs of a step for batches of its size and for a smaller last one, which is made when it is needed."""

    def __init__(self, step: Step, make: Callable[[int], Step]) -> None:
        self.program, self.batch, self.make = step.program, step.batch, make
        # The number of arrays of a run that are before those of the state: the order, the data, and settings.
        self.first = len(step.graph.inputs) - len(step.state) - len(step.totals)
        self.places = {id(t): i for i, t in enumerate(step.state, self.first)}
        self.places |= {key: i for i, key in enumerate(keys_of(step), self.first + len(step.state))}
        self.tails: dict[int, Step] = {}
        if hasattr(self.program, "run_each") and not any(start.any() for start in getattr(step, "starts", ())):
            self.run_each = self._run_each

    def run(
        self, arrays: Sequence[Any], outputs: Sequence[Any], start: int = 0, stop: int = 1, total: int | None = None
    ) -> None:
        try:
            self._run(arrays, outputs, start, stop, self.batch if total is None else total)
        except ERRORS as error:
            error.add_note("(the row is that of a batch, within what was traced for batches of this size)")
            raise

    def _run(self, arrays: Sequence[Any], outputs: Sequence[Any], start: int, stop: int, total: int) -> None:
        whole, rest = divmod(total, self.batch)
        if start < min(stop, whole):
            self.program.run(arrays, outputs, start, min(stop, whole), whole * self.batch)
        if rest and stop > whole:
            tail = self.tail(rest)
            own = [layout.storage(t.compute()) for t in tail.state]
            state = [
                arrays[self.places[id(t)]] if id(t) in self.places else a for t, a in zip(tail.state, own, strict=True)
            ]
            totals = [arrays[self.places[key]] for key in keys_of(tail)]
            order = np.ascontiguousarray(arrays[0][whole * self.batch :])
            tail.program.run([order, *arrays[1 : self.first], *state, *totals], outputs, 0, 1, rest)

    def _run_each(self, arrays: Sequence[Any], own: Mapping[int, Any], steps: int, total: int) -> None:
        """See the method of native programs."""
        if total % self.batch == 0:
            self.program.run_each(arrays, own, steps, total)
            return
        for i in range(len(next(iter(own.values())))):
            given = [own[n][i, ...] if n in own else a for n, a in enumerate(arrays)]
            self.run(given, (), 0, steps, total)

    def tail(self, rows: int) -> Step:
        """The step for a batch of so many rows."""
        known = self.tails.get(rows)
        if known is None:
            with rng.restored_streams():
                known = self.tails[rows] = self.make(rows)
        return known


def keys_of(step: Step) -> Sequence[Any]:
    """What each total is: steps of other sizes have the same ones, maybe in another order."""
    found: Sequence[Any] = getattr(step, "keys", range(len(step.totals)))
    return found

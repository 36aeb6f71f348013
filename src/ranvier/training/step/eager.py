"""A step that is not compiled: the model's method runs for each batch, so that ``print`` and a debugger work in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.graph.graph import Graph
from ranvier.metrics.operands import WIDE
from ranvier.module import Module
from ranvier.tensor.tensor import Tensor
from ranvier.training.step.arrays import Data
from ranvier.training.step.builder import Step
from ranvier.training.step.compiled import Compiled
from ranvier.training.step.traced import loss_names, method_mode, named_logs


class EagerProgram:
    """Calls the method for each batch, with the contract of a program (`ranvier.engines.Program`)."""

    def __init__(self, model: Module, data: Data, batch: int, method: str) -> None:
        self.model, self.data, self.batch, self.method = model, data, batch, method
        self.logs: dict[str, Any] = {}
        self.losses = np.zeros((), WIDE)  # which shows whether all were finite

    def run(
        self, arrays: Sequence[Any], outputs: Sequence[Any], start: int = 0, stop: int = 1, total: int | None = None
    ) -> None:
        order, *given = arrays[: 1 + len(self.data.x)]
        model, training = self.model, self.method == "train_step"
        for step in range(start, stop):
            rows = order[step * self.batch : (step + 1) * self.batch][: (total or len(order)) - step * self.batch]
            batch = [Tensor.wrap(array[rows]) for array in given]
            with method_mode(model, training):
                returned = getattr(model, self.method)(self.data.packed(batch))
            self.logs = {name: number(value) for name, value in named_logs(returned, self.method).items()}
            for name in loss_names(list(self.logs)):
                self.losses += self.logs[name]


def number(value: Any) -> Any:
    """A result as a Python number, or as an array if it is several."""
    array = np.asarray(value.compute() if isinstance(value, Tensor) else value)
    return float(array) if array.size == 1 else array


class EagerStep(Step):
    """A step whose results are those of the last call of the method."""

    program: EagerProgram

    def logs(self, names: Sequence[str]) -> dict[str, Any]:
        return dict(self.program.logs)

    def reset(self) -> None:
        super().reset()
        self.program.model.reset_metrics()

    def take_over(self, before: Step | None) -> Step:
        if before is None:
            self.reset()
        return self


def eager_step(model: Module, compiled: Compiled, data: Data, batch: int, kind: str) -> Step:
    """The step that calls the method for each batch."""
    program = EagerProgram(model, data, batch, compiled.method(kind))
    written = [*model.parameters(), *model.buffers()] if kind == "train" else []
    return EagerStep(Graph((), (), ()), program, batch, [], written, [program.losses], draws=True)

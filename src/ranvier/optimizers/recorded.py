"""The step of an explicit loop as what the tape records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranvier.graph.node import Node
from ranvier.optimizers.treatment import Excluded, Treatment

if TYPE_CHECKING:
    from ranvier.optimizers.base import Optimizer

__all__ = ["Recorded"]


class Recorded:
    """The body of the tensor function that a step of an explicit loop records."""

    def __init__(self, optimizer: Optimizer, n: int, treatments: tuple[Treatment, ...]) -> None:
        # A function outlives its optimizer, and holds none of its tensors.
        optimizer.parameters, optimizer.slots, optimizer.sync = [], [], None
        optimizer._excluded = Excluded()  # which the treatments tell
        self.optimizer, self.n, self.treatments = optimizer, n, treatments

    def __call__(self, *nodes: Node) -> tuple[Node, ...]:
        n, names = self.n, self.optimizer.slot_names
        grads, params, rest = nodes[:n], nodes[n : 2 * n], nodes[2 * n :]
        width = len(names)
        slots = [dict(zip(names, rest[i * width : (i + 1) * width], strict=True)) for i in range(n)]
        count, lr, *varied = rest[n * width :]
        settings = dict(zip(self.optimizer._varied, varied, strict=True))
        new, after, count = self.optimizer.update(params, grads, slots, lr, count, settings, self.treatments)
        return (*new, *(s[name] for s in after for name in names), count)

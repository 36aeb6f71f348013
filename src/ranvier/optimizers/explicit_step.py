"""The step of an explicit loop as what the tape records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranvier.graph.node import Node
from ranvier.optimizers.counts import Counts
from ranvier.optimizers.parameter_options import Excluded, Treatment

if TYPE_CHECKING:
    from ranvier.optimizers.base import Optimizer

__all__ = ["Recorded"]


class Recorded:
    """The body of the tensor function that a step of an explicit loop records; ``whose`` is that of `Counts.of`."""

    def __init__(
        self, optimizer: Optimizer, n: int, treatments: tuple[Treatment, ...], whose: tuple[int, ...]
    ) -> None:
        # A function outlives its optimizer, and holds none of its tensors.
        optimizer.parameters, optimizer.slots, optimizer.sync = [], [], None
        optimizer.counts = Counts(optimizer.iterations)
        optimizer._excluded = Excluded()  # which the treatments tell
        self.optimizer, self.n, self.treatments, self.whose = optimizer, n, treatments, whose

    def __call__(self, *nodes: Node) -> tuple[Node, ...]:
        n, names = self.n, self.optimizer.slot_names
        grads, params, rest = nodes[:n], nodes[n : 2 * n], nodes[2 * n :]
        width = len(names)
        slots = [dict(zip(names, rest[i * width : (i + 1) * width], strict=True)) for i in range(n)]
        end = n * width + 1 + max(self.whose, default=0)
        counts = rest[n * width : end]
        lr, *varied = rest[end:]
        settings = dict(zip(self.optimizer._varied, varied, strict=True))
        new, after, ticked = self.optimizer.update(
            params, grads, slots, lr, counts, settings, self.treatments, self.whose
        )
        return (*new, *(s[name] for s in after for name in names), *ticked)

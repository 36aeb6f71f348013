"""SparseAdam: Adam on the rows that a step used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ranvier.graph.node import Node, apply, like
from ranvier.graph.tiny import squared
from ranvier.ops import arrays
from ranvier.optimizers.arithmetic import Slots, Updated, lerp, one_minus, one_minus_power, scaled, shifted, sqrt
from ranvier.optimizers.rules import AdamBase


@dataclass(eq=False, repr=False)
class SparseAdam(AdamBase):
    """Adam (Kingma and Ba, 2014) for the rows of a table whose gradient is not 0, as PyTorch's of a sparse gradient.

    The other rows keep their values and their moments: Adam would go on moving them. A row is all that has the same
    first index; of a vector it is an element. Epsilon is added to the root of the uncorrected second moment.
    """

    slot_starts: ClassVar[dict[str, float]] = {"momentum": 0.0, "velocity": 0.0}
    reads_axes = True

    def rule(self, p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
        m = lerp(slots["momentum"], g, one_minus(self.beta_1))
        v = lerp(slots["velocity"], squared(g), 1.0 - self.beta_2)
        rate = lr * sqrt(one_minus_power(self.beta_2, t)) / one_minus_power(self.beta_1, t)
        used = apply("logical_not", apply("equal", g, like(g, 0.0)))
        if g.ndim > 1:
            used = arrays.broadcast_to(arrays.any(used, tuple(range(1, g.ndim)), True), g.shape)
        new = p - scaled(m, rate) / shifted(sqrt(v), self.epsilon)
        moments = {"momentum": m, "velocity": v}
        kept = {name: apply("select", used, value, slots[name]) for name, value in moments.items()}
        return apply("select", used, new, p), kept

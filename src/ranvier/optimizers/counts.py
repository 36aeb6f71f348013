"""The number of steps of each parameter, for groups in which some parameters have no gradient in some steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ranvier.tensor.tensor import Tensor

__all__ = ["STEP", "Counts"]

STEP = "step"  # the name of a parameter's own count in the state


class Counts:
    """The number of steps of a group, and of those of its parameters that were updated less often.

    Parameters share a count as long as they are updated in the same steps; most groups have only the group's count. A
    shared count is split when a step updates some of its parameters and not the others.
    """

    def __init__(self, total: Tensor) -> None:
        self.total = total
        self.own: list[Tensor] = []  # of each parameter; empty if all share the group's
        self.version = 0  # increased whenever counts are split or replaced

    @property
    def tensors(self) -> list[Tensor]:
        """All counts, each once, the group's first."""
        return list({id(c): c for c in (self.total, *self.own)}.values())

    @property
    def key(self) -> tuple[int, ...]:
        """What a program depends on: the counts, and which parameter has which."""
        if not self.own:
            return ()
        places = {id(c): i for i, c in enumerate(self.tensors)}
        return (self.version, *(places[id(c)] for c in self.own))

    def of(self, chosen: Sequence[int], n: int) -> tuple[list[Tensor], tuple[int, ...]]:
        """For a step of these of ``n`` parameters: the counts besides the group's, and the index of each one's count.

        Index 0 is the group's count, 1 the first of the list. Both are empty if all parameters have the group's count.
        """
        if not self.own and len(chosen) == n:
            return [], ()
        self._part(chosen, n)
        counts = [self.own[i] for i in chosen]
        places = {id(self.total): 0}
        for c in counts:
            places.setdefault(id(c), len(places))
        if len(places) == 1:
            return [], ()
        others = {id(c): c for c in counts if c is not self.total}
        return list(others.values()), tuple(places[id(c)] for c in counts)

    def _part(self, chosen: Sequence[int], n: int) -> None:
        """Copy the counts of parameters that the step does not update, if the step advances them."""
        own = self.own or [self.total] * n
        inside = set(chosen)
        advanced = {id(self.total), *(id(own[i]) for i in inside)}
        kept: dict[int, Tensor] = {}
        for i in range(n):
            count = own[i]
            if i not in inside and id(count) in advanced:
                if id(count) not in kept:
                    kept[id(count)] = Tensor.wrap(np.array(count.compute()))
                own[i] = kept[id(count)]
        if kept:
            self.own, self.version = own, self.version + 1

    def state(self) -> dict[str, Tensor]:
        """The counts that differ from the group's: ``"0.step"`` for parameter 0."""
        return {f"{i}.{STEP}": c for i, c in enumerate(self.own) if c is not self.total}

    def set_state(self, state: Mapping[str, Any], n: int) -> None:
        """Restore what `state` returned; parameters without an entry get the group's count."""
        total = int(self.total.item())
        self.assign([int(state.get(f"{i}.{STEP}", total)) for i in range(n)])

    def steps_of(self, number: int) -> int:
        """The number of steps of a parameter."""
        return int((self.own[number] if self.own else self.total).item())

    def assign(self, steps: Sequence[int]) -> None:
        """Set the number of steps of each parameter."""
        made = {n: Tensor.wrap(np.asarray(n, np.uint32)) for n in steps}
        made[int(self.total.item())] = self.total
        own = [made[n] for n in steps]
        own = [] if all(c is self.total for c in own) else own
        if own or self.own:
            self.own, self.version = own, self.version + 1

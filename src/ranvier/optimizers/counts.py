"""How many steps each parameter has been through, where not all of a group have gradients in every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ranvier.tensor.tensor import Tensor

__all__ = ["STEP", "Counts"]

STEP = "step"  # what the state calls a parameter's own count


class Counts:
    """The steps of a group, and of the parameters that have been through fewer.

    Parameters share a count as long as they are in the same steps, so that as a rule there is the group's alone. One
    that is shared is parted when a step has some of its parameters and not the others.
    """

    def __init__(self, total: Tensor) -> None:
        self.total = total
        self.own: list[Tensor] = []  # of each parameter; empty while that is the group's of all
        self.version = 0  # counts have been parted or replaced so often

    @property
    def tensors(self) -> list[Tensor]:
        """All counts, each once, the group's first."""
        return list({id(c): c for c in (self.total, *self.own)}.values())

    @property
    def key(self) -> tuple[int, ...]:
        """What a program depends on: which counts there are, and whose."""
        if not self.own:
            return ()
        places = {id(c): i for i, c in enumerate(self.tensors)}
        return (self.version, *(places[id(c)] for c in self.own))

    def of(self, chosen: Sequence[int], n: int) -> tuple[list[Tensor], tuple[int, ...]]:
        """For a step of these of ``n`` parameters: the counts besides the group's, and which of them is whose.

        0 is the group's, 1 the first of the list. Both are empty where the group's is that of all.
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
        """Let those that the step leaves out keep their counts, where others advance them."""
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
        """The counts of parameters that are not the group's: ``"0.step"`` for each parameter's number."""
        return {f"{i}.{STEP}": c for i, c in enumerate(self.own) if c is not self.total}

    def set_state(self, state: Mapping[str, Any], n: int) -> None:
        """Take back what `state` gave; what is not there is the group's."""
        total = int(self.total.item())
        self.assign([int(state.get(f"{i}.{STEP}", total)) for i in range(n)])

    def steps_of(self, number: int) -> int:
        """How many steps a parameter has been through."""
        return int((self.own[number] if self.own else self.total).item())

    def assign(self, steps: Sequence[int]) -> None:
        """Let each parameter have been through so many steps."""
        made = {n: Tensor.wrap(np.asarray(n, np.uint32)) for n in steps}
        made[int(self.total.item())] = self.total
        own = [made[n] for n in steps]
        own = [] if all(c is self.total for c in own) else own
        if own or self.own:
            self.own, self.version = own, self.version + 1

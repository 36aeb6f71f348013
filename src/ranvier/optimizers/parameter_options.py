"""What one parameter asks of an optimizer's step besides the rule: whether it decays, and its constraint."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ranvier.graph.node import Node
from ranvier.optimizers.apply_constraint import constrained
from ranvier.tensor import layout
from ranvier.tensor.tensor import Tensor

__all__ = ["Excluded", "Treatment"]


@dataclass(frozen=True)
class Treatment:
    """Of one parameter. ``reversed``: its node has the axes in reverse, as a Fortran-ordered weight lies in memory."""

    decays: bool = True
    constraint: Callable[[Any], Any] | None = None
    reversed: bool = False
    held: tuple[Any, ...] = ()  # what the constraint holds: other numbers, another program

    def finish(self, p: Node) -> Node:
        """The parameter's new value after its constraint."""
        if self.constraint is None:
            return p
        if not self.reversed:
            return constrained(self.constraint, p)
        return layout.reverse_axes(constrained(self.constraint, layout.reverse_axes(p)))


class Excluded:
    """The parameters that weight decay leaves alone: themselves, or by a pattern in their names.

    ``positions`` are those of parameters that are known later, when the optimizer is attached to them.
    """

    def __init__(
        self, tensors: Iterable[Tensor] = (), names: Iterable[str] = (), positions: Iterable[int] = ()
    ) -> None:
        self.tensors, self.names, self.positions = tuple(tensors), tuple(names), tuple(positions)

    def __bool__(self) -> bool:
        return bool(self.tensors or self.names or self.positions)

    def __contains__(self, parameter: Tensor) -> bool:
        name = getattr(parameter, "name", "")
        return any(t is parameter for t in self.tensors) or any(re.search(part, name) for part in self.names)

    def among(self, parameters: Sequence[Tensor]) -> Excluded:
        """The same, with those at ``positions`` found among the optimizer's parameters."""
        found = [parameters[i] for i in self.positions if i < len(parameters)]
        return Excluded([*self.tensors, *found], self.names) if self.positions else self

    def config(self, parameters: Sequence[Tensor]) -> dict[str, Any]:
        """As plain values: the names, and the positions among the optimizer's parameters."""
        own = [i for i, p in enumerate(parameters) if any(t is p for t in self.tensors)]
        return {"names": list(self.names), "positions": sorted({*own, *self.positions})}

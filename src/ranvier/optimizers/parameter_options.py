"""What a step does to one parameter besides the rule: weight decay or none, and a constraint."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ranvier.graph.node import Node
from ranvier.optimizers.apply_constraint import constrained
from ranvier.tensor import layout
from ranvier.tensor.tensor import Tensor


@dataclass(frozen=True)
class ParameterOptions:
    """Of one parameter. ``reversed``: the node's axes are reversed, the memory order of Fortran-ordered weights.

    ``slots`` are the names of its slots, if they are not those of every parameter.
    """

    decays: bool = True
    constraint: Callable[[Any], Any] | None = None
    reversed: bool = False
    key: tuple[Any, ...] = ()  # the constraint's attributes: other values need another program
    slots: tuple[str, ...] = ()

    def finish(self, p: Node) -> Node:
        """The parameter's new value after its constraint."""
        if self.constraint is None:
            return p
        if not self.reversed:
            return constrained(self.constraint, p)
        return layout.reverse_axes(constrained(self.constraint, layout.reverse_axes(p)))


class DecayExclusions:
    """The parameters that weight decay leaves out: tensors, or patterns of names.

    ``positions`` are indices of parameters that become known when the optimizer is attached to them.
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

    def resolve(self, parameters: Sequence[Tensor]) -> DecayExclusions:
        """The same, with ``positions`` replaced by the parameters at them."""
        found = [parameters[i] for i in self.positions if i < len(parameters)]
        return DecayExclusions([*self.tensors, *found], self.names) if self.positions else self

    def config(self, parameters: Sequence[Tensor]) -> dict[str, Any]:
        """Plain values: the patterns, and the indices of the parameters."""
        own = [i for i, p in enumerate(parameters) if any(t is p for t in self.tensors)]
        return {"names": list(self.names), "positions": sorted({*own, *self.positions})}

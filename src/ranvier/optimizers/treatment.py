"""What one parameter asks of an optimizer's step besides the rule: whether it decays, and its constraint."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ranvier import tape
from ranvier.graph.node import Node
from ranvier.tensor import Tensor

__all__ = ["Excluded", "Treatment"]


@dataclass(frozen=True)
class Treatment:
    """Of one parameter. ``reversed``: its node has the axes in reverse, as a Fortran-ordered weight lies in memory."""

    decays: bool = True
    constraint: Callable[[Any], Any] | None = None
    reversed: bool = False

    def finish(self, p: Node) -> Node:
        """The parameter's new value after its constraint."""
        if self.constraint is None:
            return p
        from ranvier.constraints import constrained

        if not self.reversed:
            return constrained(self.constraint, p)
        return tape.reverse_axes(constrained(self.constraint, tape.reverse_axes(p)))


class Excluded:
    """The parameters that weight decay leaves alone: themselves, or by a pattern in their names."""

    def __init__(self, tensors: Iterable[Tensor] = (), names: Iterable[str] = ()) -> None:
        self.tensors, self.names = tuple(tensors), tuple(names)

    def __bool__(self) -> bool:
        return bool(self.tensors or self.names)

    def __contains__(self, parameter: Tensor) -> bool:
        name = getattr(parameter, "name", "")
        return any(t is parameter for t in self.tensors) or any(re.search(part, name) for part in self.names)

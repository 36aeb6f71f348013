"""Updates of many parameters of one form on PyTorch: flat vectors, and its own fused Adam."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch

from ranvier.engines.eager import Group, updates_of
from ranvier.engines.tables import Interpreter
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import Node, apply
from ranvier.graph.simplify import common_subexpressions, scalar_of
from ranvier.graph.tiny import TINY, snapped, squared

Array = Any
LATE = 1e9  # a step so late that PyTorch's Adam corrects no bias: the rate that it is given does already


class Flat:
    """The vectors of a group in a run of steps, which the inputs that it updates are views of."""

    def __init__(self, update: FlatUpdate, held: list[Array]) -> None:
        self.update = update
        self.vectors = [self._join([held[i] for i in place]) if place else None for place in update.group.places]
        for vector, place in zip(self.vectors, update.group.places, strict=True):
            parts = () if vector is None else vector.split([held[i].numel() for i in place])
            for i, part in zip(place, parts, strict=True):
                held[i] = part.view(held[i].shape)
        if update.adam is not None:  # which makes no tiny numbers zeros itself
            for vector in self.vectors[1:]:
                if vector is not None:
                    vector.mul_(vector.abs() >= TINY["float32"])
        self.late = held[0].new_tensor(LATE, dtype=torch.float32)

    def _join(self, parts: Sequence[Array]) -> Array:
        return torch.cat([x.reshape(-1) for x in parts])

    def joined(self, more: list[Array]) -> list[Array]:
        """The leaves and scalars of a step, of which those that the rest of the graph computed are taken from
        ``more``.
        """
        count, given = len(self.update.group.updates), []
        for vector in self.vectors:
            if vector is None:
                given.append(self._join(more[:count]))
                del more[:count]
            else:
                given.append(vector)
        scalars = more[: self.update.scalars]
        del more[: self.update.scalars]
        return [*given, *scalars]

    def apply(self, given: list[Array]) -> None:
        """Write the new values."""
        if self.update.adam is not None and given[0].device.type == "cpu":
            self.update.adam(given, self.late)
            return
        _, new = self.update.interpret(given, {})
        own = {vector.data_ptr() for vector in self.vectors if vector is not None}
        new = [v.clone() if v.data_ptr() in own else v for v in new]
        for place, value in zip(self.update.written, new, strict=True):
            given[place].copy_(value)


class FlatUpdate:
    """A group of updates, with the functions that compute it."""

    def __init__(self, group: Group, interpreter: Callable[[Graph], Interpreter]) -> None:
        self.group, flat = group, group.flat
        self.interpret = interpreter(flat)
        self.written = [flat.inputs.index(target) for target, _ in flat.updates]
        self.scalars = len(group.updates[0].scalars)
        self.adam = fused_adam(group)


def fused_adam(group: Group) -> Callable[[list[Array], Array], None] | None:
    """PyTorch's function, where the updates are those of Adam."""
    form, scalars = _adam()
    first = group.updates[0]
    if group.form != form:
        return None
    place, known = {}, {}
    for i, (mine, its) in enumerate(zip(scalars, first.scalars, strict=True)):
        if mine.op.name == "input":
            place[mine.attrs["name"]], known[mine.attrs["name"]] = i, scalar_of(its)
        elif scalar_of(mine) != scalar_of(its):
            return None
    if None in (known["one"], known["two"], known["epsilon"]):
        return None
    betas, epsilon = (1 - known["one"], 1 - known["two"]), known["epsilon"]
    rate = 4 + place["rate"]

    def step(given: list[Array], late: Array) -> None:
        p, m, g, v = given[:4]
        torch._fused_adam_(
            [p], [g], [m], [v], [], [late], lr=given[rate], beta1=betas[0], beta2=betas[1], weight_decay=0.0,
            eps=epsilon, amsgrad=False, maximize=False,
        )  # fmt: skip

    return step


@cache
def _adam() -> tuple[tuple[Any, ...], list[Node]]:
    """The form of a step of Adam, as `ranvier.optimizers` writes it, and its scalars. Its leaves
    are the parameter, the momentum, the gradient and the velocity.
    """
    scalars = {name: input_node(name, (), "float32") for name in ("one", "two", "epsilon", "rate")}
    shape = (2,)

    def moved(x: Node, to: Node, factor: str) -> Node:
        return x + (to - x) * spread(factor)

    def spread(name: str) -> Node:
        return apply("broadcast", scalars[name], shape=shape, axes=())

    p, m, v, given = (input_node(name, shape, "float32") for name in "pmvg")
    g = apply("reshape", given, shape=shape)  # what any operation but an elementwise one gives
    first, second = moved(m, g, "one"), moved(v, squared(g), "two")
    p_new = p - first * spread("rate") / (apply("sqrt", second) + spread("epsilon"))
    graph = Graph((p, m, v, given, *scalars.values()), (), ((p, p_new), (m, snapped(first)), (v, snapped(second))))
    (update,) = updates_of(common_subexpressions(graph))
    return update.form, update.scalars

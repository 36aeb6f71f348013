"""What waits on the tape as a program: found again by the entries, and given the arrays it reads and fills."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from ranvier import engines
from ranvier.data.sampled import share_of_zeros
from ranvier.graph.graph import Graph
from ranvier.graph.simplify import simplify
from ranvier.tensor.layout import leaf_input, stored, to_storage
from ranvier.tensor.trace import Entry, expand, programs

if TYPE_CHECKING:
    from ranvier.tensor.tape import Segment
    from ranvier.tensor.tensor import Tensor

PROGRAMS = 500  # kept; steps whose control flow keeps changing must not either


def program_for(segment: Segment, roots: tuple[Entry, ...], assigned: dict[int, Entry]) -> Any:
    """The compiled program for these results and assignments of the segment, the ordinals of the leaves it reads, and
    which results it hands out with their axes reversed: a gradient lies in memory as its Fortran-ordered weight does;
    of what shapes and dtypes they lie there; and whether a gradient of the results may still read what is overwritten.
    """
    assigns = tuple(assigned.items())
    key = (roots, assigns, engines.get_engine())
    known = programs.get(key)
    if known is not None:
        return known
    used = sorted(
        set[int]().union(*(r.leaves for r in roots), *(e.leaves for _, e in assigns), (o for o, _ in assigns))
    )
    changed = {o for o, _ in assigns}
    # Elsewhere than in a step nobody looks whether weights are finite, so that zeros that meet them must tell.
    is_step = any(segment.leaves[o]._requires_grad for o in changed)
    pairs = {}
    for o in used:
        leaf = segment.leaves[o]
        # What the first values are like, later ones are expected to be.
        skips = is_step and o not in changed and leaf._value is not None
        zeros = share_of_zeros(leaf._value) if skips else 0.0
        pairs[o] = leaf_input(f"leaf{o}", leaf, zeros)
    nodes = expand([*roots, *(e for _, e in assigns)], {o: value for o, (_, value) in pairs.items()})
    updates = tuple(
        (pairs[o][0], to_storage(node, segment.leaves[o]))
        for (o, _), node in zip(assigns, nodes[len(roots) :], strict=True)
    )
    graph = simplify(Graph(tuple(pairs[o][0] for o in used), tuple(nodes[: len(roots)]), updates))
    flipped = [
        n.op.name == "transpose" and n.attrs["axes"] == tuple(reversed(range(n.ndim))) for n in graph.outputs
    ]
    outputs = tuple(n.inputs[0] if flip else n for n, flip in zip(graph.outputs, flipped, strict=True))
    graph = Graph(graph.inputs, outputs, graph.updates)
    while len(programs) >= PROGRAMS:
        programs.pop(next(iter(programs)), None)  # the oldest
    known = programs[key] = (
        engines.compile(graph),
        used,
        flipped,
        [
            (r.type.shape[::-1] if flip else r.type.shape, np.dtype(r.type.dtype))
            for r, flip in zip(roots, flipped, strict=True)
        ],
        bool(operands(segment, roots, changed)),
    )
    return known


def operands(segment: Segment, results: Iterable[Entry | None], overwritten: AbstractSet[int]) -> set[int]:
    """The leaves, of those that are overwritten, that the gradient of a result may still read."""
    found: set[int] = set()
    for entry in results:
        if entry is not None and entry.requires_grad and entry.sources.isdisjoint(overwritten):
            found |= entry.leaves & overwritten
    return {o for o in found if not segment.leaves[o]._requires_grad}


class Prepared(NamedTuple):
    """A program, what it is given, what it fills, what of that lies there with its axes reversed, and whether a
    gradient of the results may still read what it overwrites.
    """

    program: Any
    given: list[Any]
    outputs: list[Any]
    flipped: list[bool]
    kept: bool

    def run(self, pending: list[Tensor]) -> None:
        self.program.run(self.given, self.outputs)
        for tensor, value, flip in zip(pending, self.outputs, self.flipped, strict=True):
            tensor._value = value.T if flip else value


def prepared(segment: Segment, pending: list[Tensor], assigns: dict[int, Entry]) -> Prepared:
    entries = cast("tuple[Entry, ...]", tuple([t.entry for t in pending]))  # what is pending has one
    program, used, flipped, kinds, kept = program_for(segment, entries, assigns)
    given = []
    for o in used:
        leaf = segment.leaves[o]
        if leaf.version != segment.versions[o]:  # by another thread, or by what the tape does not know of
            raise RuntimeError(
                f"a tensor of shape {leaf.shape} was overwritten before what was computed from it was read. "
                "Read results (item(), numpy()) and call backward() before you overwrite their operands."
            )
        given.append(stored(leaf))
    return Prepared(program, given, [np.empty(shape, dtype) for shape, dtype in kinds], flipped, kept)

"""Building loops over time, and their gradients, which are loops in the other direction.

`scan` makes a loop of a body, and leaves in it only what depends on a carry: everything else is computed for all steps
at once (`stacking`). The gradient of a loop reads what the loop stores of each step: its carries, and results that cost
more to compute again than to keep. With ``recompute`` it stores the carries alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from ranvier.graph.dtypes import FLOATING
from ranvier.graph.grad import derivatives
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import INSTRUCTION, Node, apply, like, topological, walk
from ranvier.graph.scan import Operands, operands
from ranvier.graph.stacking import Total, repeated, stacked


def scan(
    body: Graph,
    carries: Sequence[Node],
    slices: Sequence[Node],
    constants: Sequence[Node],
    *,
    length: int,
    axis: int = 0,
    reverse: bool = False,
    recompute: bool = False,
) -> list[Node]:
    """The last value of each carry, and the stacked outputs, of a loop of ``length`` steps: see `graph.scan`.

    ``carries`` are the first values. Raises GraphError where these and the body's inputs disagree.
    """
    attrs = {"length": length, "axis": axis, "reverse": reverse, "recompute": recompute}
    apply("scan", *carries, *slices, *constants, body=body, slices=len(slices), **attrs)  # checks the types
    loop = _Loop(body, Operands((*carries, *slices, *constants), body, len(slices)), length, axis, recompute)
    outputs = [loop.outside(node) for node in body.outputs]
    inner = [node for node, outer in zip(body.outputs, outputs, strict=True) if outer is None]
    made = loop.node(inner, attrs) if carries or inner else None
    results = [apply("result", made, index=i) for i in range(len(carries) + len(inner))] if made is not None else []
    rest = iter(results[len(carries) :])
    return [*results[: len(carries)], *(next(rest) if outer is None else outer for outer in outputs)]


def _is_cheap(node: Node) -> bool:
    """Whether a value costs less to compute again than to keep."""
    if node.op.kind == "source" or node.op.is_view:
        return True
    return node.op.kind == "elementwise" and node.op.cost <= INSTRUCTION


class _Loop:
    """A loop while it is built: which values of the body stay in it, and those of the others outside of it."""

    def __init__(self, body: Graph, given: Operands, length: int, axis: int, recompute: bool) -> None:
        self.body, self.length, self.axis, self.recompute = body, length, axis, recompute
        inner = Operands(body.inputs, body, len(given.slices))
        self.carried, self.varying = set(inner.carries), set(inner.slices)
        for node in body.nodes():
            self.carried.update([node] if any(i in self.carried for i in node.inputs) else ())
            self.varying.update([node] if any(i in self.varying for i in node.inputs) else ())
        self.given, self.inner = given, inner
        # Values outside of the loop, by the node of the body: of all steps where these differ.
        self.outer = dict(zip((*inner.slices, *inner.constants), (*given.slices, *given.constants), strict=True))
        self.hoisted = set[Node]()
        for node in body.nodes():
            if self._is_worth_hoisting(node) and self.value(node) is not None:
                self.hoisted.add(node)

    def _is_worth_hoisting(self, node: Node) -> bool:
        """Whether a value is better computed outside, with what it is computed from."""
        if node in self.carried or node.op.kind == "source" or node.op.is_view:
            return False
        if node not in self.varying:
            return True
        if self.recompute:
            return False
        after = node.op.kind == "elementwise" and any(i in self.hoisted and i.shape == node.shape for i in node.inputs)
        return after or not _is_cheap(node)

    def value(self, node: Node) -> Node | None:
        """A value outside of the loop, of all steps where these differ; None where it cannot be computed there."""
        for each in topological([node]):
            if each in self.outer or each in self.carried:
                continue
            inputs = [self.outer.get(i) for i in each.inputs]
            found = [i for i in inputs if i is not None]
            if len(found) < len(inputs):
                return None
            varies = [i in self.varying for i in each.inputs]
            made = stacked(each, found, varies, self.length, self.axis) if any(varies) else each.on(tuple(found))
            if made is None:
                return None
            self.outer[each] = made
        return self.outer.get(node)

    def outside(self, node: Node) -> Node | None:
        """A stacked output that needs no loop; None for others."""
        if node in self.carried or (self.recompute and node in self.varying):
            return None
        found = self.value(node)
        return found if found is None or node in self.varying else repeated(found, self.length, self.axis)

    def node(self, outputs: Sequence[Node], attrs: dict[str, Any]) -> Node:
        """The loop with these outputs, over what it still reads."""
        roots = [*outputs, *(value for _, value in self.body.updates)]

        def stays(node: Node) -> bool:
            return node not in self.hoisted and node.op.name != "input"

        needed = list(walk(roots, stays))
        inside = dict[Node, Node]()
        slices, constants = list[Node](), list[Node]()
        new: dict[bool, list[Node]] = {True: [], False: []}
        order = {node: i for i, node in enumerate((*self.inner.slices, *self.inner.constants, *self.body.nodes()))}
        for node in sorted((n for n in needed if not stays(n) and n not in self.inner.carries), key=order.__getitem__):
            varies = node in self.varying
            made = node if node.op.name == "input" else input_node(f"h{order[node]}", node.shape, node.dtype)
            new[varies].append(made)
            (slices if varies else constants).append(self.outer[node])
            inside[node] = made
        kept = set(needed)
        for node in topological(roots):
            if node in kept and node not in inside:
                inside[node] = node.on(tuple(inside.get(i, i) for i in node.inputs))
        updates = tuple((target, inside[value]) for target, value in self.body.updates)
        inputs = (*self.inner.carries, *new[True], *new[False])
        body = Graph(inputs, tuple(inside[node] for node in outputs), updates)
        given = (*self.given.carries, *slices, *constants)
        return apply("scan", *given, body=body, slices=len(slices), **attrs)


# --- gradients ----------------------------------------------------------------------------------------------------


def scan_gradient(node: Node, cotangents: Mapping[int, Node]) -> list[Node | None]:
    """The derivatives by a loop's operands, given those by some of its results, by index."""
    return _Gradient(node, cotangents).operands()


class _Gradient:
    """The loop in the other direction that computes the gradient of a loop."""

    def __init__(self, node: Node, cotangents: Mapping[int, Node]) -> None:
        self.node, self.cotangents = node, cotangents
        self.body: Graph = node.attrs["body"]
        self.length, self.axis, self.recompute = (node.attrs[name] for name in ("length", "axis", "recompute"))
        self.given, self.inner = operands(node), Operands(self.body.inputs, self.body, node.attrs["slices"])
        self.forward = set(self.body.nodes())
        # What the loop stores beside its outputs, for its gradient to read.
        self.kept: dict[Node, None] = {}
        # The new body's inputs, by what they stand for, with their values outside.
        self.slices: dict[Node, tuple[Node, Callable[[Node], Node]]] = {}
        self.constants: dict[Node, tuple[Node, Node]] = {}

    def operands(self) -> list[Node | None]:
        body, inner = self.body, self.inner
        floats = [(i, pair) for i, pair in enumerate(body.updates) if pair[0].dtype in FLOATING]
        seeds = [input_node(f"d{i}", target.shape, target.dtype) for i, (target, _) in floats]
        outputs, stacks = [value for _, (_, value) in floats], dict[Node, Node]()
        for i, output in enumerate(body.outputs, len(body.updates)):
            if i in self.cotangents:
                seed = input_node(f"d{i}", output.shape, output.dtype)
                outputs.append(output)
                stacks[seed] = self.cotangents[i]
        wrt = [n for n in body.inputs if n.dtype in FLOATING]
        found = dict(zip(wrt, derivatives(outputs, [*seeds, *stacks], wrt), strict=True))
        inside = self._inside([part for part in found.values() if part is not None])
        parts = {n: inside[part] for n, part in found.items() if part is not None}
        zero = {
            seed: parts.get(target) or like(target, 0.0) for seed, (_, (target, _)) in zip(seeds, floats, strict=True)
        }
        totals, sums = self._totals(parts, seeds, stacks)
        accumulated = [n for n in inner.constants if n in parts and n not in sums]
        adders = {n: input_node(f"a{i}", n.shape, n.dtype) for i, n in enumerate(accumulated)}
        updates = [*zero.items(), *((adders[n], adders[n] + parts[n]) for n in accumulated)]
        by_slice = [n for n in inner.slices if n in parts]
        results = [*(parts[n] for n in by_slice), *totals.wanted_inside]
        firsts = [self._first(i, target) for i, (target, _) in floats]
        firsts += [like(self._constant(n), 0.0) for n in accumulated]
        stored = self._stored()
        slices = {new: value(stored) for new, value in self.slices.values()} | stacks
        constants = dict(self.constants.values())
        new_body = Graph((*(t for t, _ in updates), *slices, *constants), tuple(results), tuple(updates))
        made = scan(
            new_body, firsts, list(slices.values()), list(constants.values()), length=self.length, axis=self.axis,
            reverse=not self.node.attrs["reverse"], recompute=self.recompute,
        )  # fmt: skip
        ends, stacked_results = made[: len(updates)], made[len(updates) :]
        answer: dict[Node, Node] = {target: ends[k] for k, (_, (target, _)) in enumerate(floats)}
        answer |= dict(zip(accumulated, ends[len(floats) :], strict=True))
        answer |= dict(zip(by_slice, stacked_results, strict=False))
        stacks_of = dict(zip(totals.wanted_inside, stacked_results[len(by_slice) :], strict=True)) | slices
        answer |= {n: build(stacks_of.__getitem__) for n, build in sums.items()}
        return [answer.get(n) for n in body.inputs]

    def _first(self, i: int, target: Node) -> Node:
        return self.cotangents.get(i) or like(self.node.inputs[i], 0.0)

    def _constant(self, node: Node) -> Node:
        return dict(zip(self.inner.constants, self.given.constants, strict=True))[node]

    # --- what the gradient reads of the loop ------------------------------------------------------------------------

    def _is_read(self, node: Node) -> bool:
        """Whether the gradient reads a value of the loop, rather than compute it again."""
        if self.recompute:
            return node.op.name == "input" or node in self.body.outputs  # they are stored anyway
        return node.op.name in ("input", "result") or not _is_cheap(node)

    def _inside(self, roots: Sequence[Node]) -> dict[Node, Node]:
        """The nodes of the derivatives, on the inputs of the new body."""

        def reads(node: Node) -> bool:
            known = node in self.forward or (node.op.name == "result" and node.inputs[0] in self.forward)
            return known and self._is_read(node)

        needed, result = set(walk(roots, lambda node: not reads(node))), dict[Node, Node]()
        for node in topological(roots):
            if node in needed:
                read = reads(node)
                result[node] = self._read(node) if read else node.on(tuple(result[i] for i in node.inputs))
        return result

    def _wide(self, node: Node) -> Node:
        """A value that the loop stores, with an axis to stack it along."""
        missing = self.axis - node.ndim
        return node if missing <= 0 else apply("reshape", node, shape=(*node.shape, *(1,) * missing))

    def _read(self, node: Node) -> Node:
        """The value in the new body of a value of the loop."""
        number = len(self.slices) + len(self.constants)
        if node in self.inner.constants:
            new = input_node(f"c{number}", node.shape, node.dtype)
            return self.constants.setdefault(node, (new, self._constant(node)))[0]
        if node not in self.slices:
            new = input_node(f"v{number}", self._wide(node).shape, node.dtype)
            if node in self.inner.slices:
                outer = self.given.slices[self.inner.slices.index(node)]
                self.slices[node] = new, partial(_given, outer)
            else:
                places = {output: i for i, output in reversed(list(enumerate(self.body.outputs)))}
                if node not in places:
                    self.kept[node] = None
                self.slices[node] = new, partial(self._stack, node)
        new = self.slices[node][0]
        return new if new.shape == node.shape else apply("reshape", new, shape=node.shape)

    def _stored(self) -> Node:
        """The loop with what its gradient reads among its outputs. `simplify` makes one of it and the loop."""
        if not self.kept:
            return self.node
        body = Graph(self.body.inputs, (*self.body.outputs, *map(self._wide, self.kept)), self.body.updates)
        return apply("scan", *self.node.inputs, **{**self.node.attrs, "body": body})

    def _stack(self, node: Node, stored: Node) -> Node:
        return apply("result", stored, index=len(self.body.updates) + (*self.body.outputs, *self.kept).index(node))

    # --- sums over the steps ----------------------------------------------------------------------------------------

    def _totals(
        self, parts: Mapping[Node, Node], seeds: Sequence[Node], stacks: Collection[Node]
    ) -> tuple[_Totals, dict[Node, Any]]:
        """What computes the derivatives by constants after the loop, where that is one operation for all steps."""
        slices = {*(new for new, _ in self.slices.values()), *stacks}
        constants = dict(self.constants.values())
        totals = _Totals({*slices, *seeds}, slices, constants, self.length, self.axis, not self.recompute)
        sums = {n: build for n in self.inner.constants if n in parts and (build := totals.build(parts[n])) is not None}
        return totals, sums


def _given(outer: Node, stored: Node) -> Node:
    """The stack of a slice, which the loop need not store."""
    return outer


class _Totals:
    """Sums over the steps of a gradient's loop: the values of the body that they read, and how."""

    def __init__(
        self,
        changing: set[Node],
        slices: set[Node],
        constants: Mapping[Node, Node],
        length: int,
        axis: int,
        stores: bool = True,
    ) -> None:
        self.changing, self.slices, self.constants, self.stores = changing, slices, constants, stores
        self.length, self.axis = length, axis
        self.known: dict[Node, bool] = {}
        self.wanted_inside: list[Node] = []

    def varies(self, node: Node) -> bool:
        if node not in self.known:
            for each in topological([node]):
                self.known[each] = each in self.changing or any(self.known[i] for i in each.inputs)
        return self.known[node]

    def fixed(self, node: Node) -> Node:
        """A value that is the same in all steps, outside of the loop."""
        result = dict[Node, Node]()
        for each in topological([node]):
            result[each] = self.constants.get(each) or each.on(tuple(result[i] for i in each.inputs))
        return result[node]

    def build(self, part: Node) -> Callable[[Callable[[Node], Node]], Node] | None:
        total = Total(self.varies, self.fixed, self.length, self.axis)
        build = total.of(part)
        if not self.stores and not self.slices.issuperset(total.wanted):
            return None  # values of all steps would be kept
        if build is not None:
            self.wanted_inside += [n for n in total.wanted if n not in self.slices and n not in self.wanted_inside]
        return build

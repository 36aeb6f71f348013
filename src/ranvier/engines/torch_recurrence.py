"""Loops over time that are layers of LSTM, for which PyTorch has a kernel, and one for the gradient: see `torch_lstm`.

In the graph such a layer is the product of all inputs with the kernel, a loop over time, a loop backward for the
gradient, and products for the gradients of the weights. What is not exactly that, such as a layer with a mask or with
other activations, stays a loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import permutations

from ranvier.engines.contractions import whole_operands
from ranvier.engines.patterns import Match, Pattern
from ranvier.engines.pools import own_primitive
from ranvier.engines.torch_slopes import with_slopes
from ranvier.graph.graph import Graph
from ranvier.graph.node import PRIMITIVES, Node, Primitive, Type, apply
from ranvier.graph.scan import Operands, operands

LAYER = own_primitive("lstm")
"""A layer of (x, kernel, weights, first h, first c, and the bias if it has one): the outputs of all steps, the last h,
the last c, and what the gradient reads. Kernel and weights have a column for each of the gates i, f, g, o."""
GRADIENTS = own_primitive("lstm_gradients")
"""The gradients of (the operands of a layer, its results, the gradients by its first three results): by x, kernel,
weights, bias, first h and first c."""

# --- the steps of a cell and of its gradient --------------------------------------------------------------------------

GATES = ("add", "x", ("product", "h", "weights"))
I, F, G, O = (("tanh" if i == 2 else "sigmoid", (f"part {i}", GATES)) for i in range(4))
C = ("add", ("mul", F, "c"), ("mul", I, G))
TANH = ("tanh", C)
H = ("mul", O, TANH)
STORED = {"o": O, "f": F, "c": "c", "i": I, "g": G, "tanh": TANH}
"""What the gradient reads of each step, by its names in the patterns of the gradient."""


@cache
def gradient(has_outputs: bool) -> tuple[Pattern, Pattern, Pattern]:
    """The gradients by the sums of the gates, by h and by c before a step; with those by the outputs of the steps, or
    by the last one alone.
    """
    by_h = ("add", "dh", "dy") if has_outputs else "dh"
    by_c = ("add", "dc", ("tanh_gradient", ("mul", by_h, "o"), "tanh"))
    gates = (
        "concatenate",
        ("sigmoid_gradient", ("mul", by_c, "g"), "i"),
        ("sigmoid_gradient", ("mul", by_c, "c"), "f"),
        ("tanh_gradient", ("mul", by_c, "i"), "g"),
        ("sigmoid_gradient", ("mul", by_h, "tanh"), "o"),
    )
    return gates, ("turned product", gates, "weights"), ("mul", by_c, "f")


RIGHT = {"product": (2, 1), "turned product": (1, 2)}


class Cell(Match):
    """The body of a loop as the step of a cell."""

    def is_of(self, node: Node, name: str, *operands: Pattern) -> bool:
        kind, _, number = name.partition(" ")
        if kind == "part":
            size = node.shape[-1]
            ranges = (None, (int(number) * size, (int(number) + 1) * size, 1))
            return (node.op.name, node.attrs.get("ranges")) == ("slice", ranges) and self.find(
                node.inputs[0], *operands
            )
        if name in RIGHT:
            loops = whole_operands(node) if node.op.name == "contract" and node.attrs["rank"] == 2 else None
            for pair in permutations(zip(loops or (), node.inputs, strict=False)):
                if [own for own, _ in pair] == [(0, 2), RIGHT[name]]:
                    return all(map(self.find, [operand for _, operand in pair], operands))
            return False
        return super().is_of(node, name, *operands)


# --- layers of a graph ------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Layer:
    """A loop that is a layer, and the loop of its gradient."""

    loop: Node
    cell: Cell
    given: list[Node]
    """x, kernel, weights, first h, first c."""
    biases: list[Node]
    states: list[Node]
    """The carries h and c of the body."""
    gradient: Node | None = None
    derivatives: list[Node] = field(default_factory=list)
    """The carries of the body of the gradient, by h and c."""
    cotangents: list[Node] = field(default_factory=list)
    """Those by the last h and the last c, and by all outputs if there are."""
    roles: dict[Node, tuple[Primitive, int, bool]] = field(default_factory=dict)
    """Nodes of the graph that are results of the layer or of its gradient, and whether they are transposed."""

    def place(self, node: Node) -> int:
        """Whether a result of either loop is of h, 0, or of c, 1."""
        (loop,) = node.inputs
        states = self.states if loop is self.loop else self.derivatives
        return states.index(loop.attrs["body"].updates[node.attrs["index"]][0])

    def stored(self, node: Node) -> Node | None:
        """What a node of the graph has of each step: a node of the body, or None."""
        if node.op.name != "result" or node.inputs[0] is not self.loop:
            return None
        body, index = self.loop.attrs["body"], node.attrs["index"] - 2
        found: Node | None = body.outputs[index] if index >= 0 else None
        return found


def layer_of(loop: Node) -> Layer | None:
    """A loop as a layer; None of others."""
    body, attrs = loop.attrs["body"], loop.attrs
    given, inner = operands(loop), Operands(body.inputs, body, attrs["slices"])
    counts = tuple(map(len, (inner.carries, inner.slices, inner.constants)))
    is_float = all(node.dtype == "float32" for node in loop.inputs)
    if counts != (2, 1, 1) or attrs["axis"] != 1 or not attrs["length"] or not is_float:
        return None
    updates = dict(body.updates)
    for h, c in permutations(inner.carries):
        cell = Cell(h=h, c=c, x=inner.slices[0])
        if cell.find(updates[h], H) and cell.find(updates[c], C):
            break
    else:
        return None
    weights = _weights(cell.names["weights"], inner.constants[0], given.constants[0])
    sums = _sums_of(given.slices[0])
    if weights is None or sums is None:
        return None
    x, kernel, biases = sums
    first = dict(zip(inner.carries, given.carries, strict=True))
    return Layer(loop, cell, [x, kernel, weights, first[h], first[c]], biases, [h, c])


def _weights(inside: Node, constant: Node, outer: Node) -> Node | None:
    """The weights as the body reads them: the constant of a loop, or its transpose."""
    if inside is constant:
        return outer
    is_turned = inside.op.name == "transpose" and inside.inputs[0] is constant
    return apply("transpose", outer, axes=(1, 0)) if is_turned else None


def _sums_of(node: Node) -> tuple[Node, Node, list[Node]] | None:
    """x, kernel and biases of sums (rows, steps, gates) of products."""
    biases: list[Node] = []
    while node.op.name == "add":
        spread = [i for i in node.inputs if i.op.name == "broadcast" and i.attrs["axes"] == (2,)]
        if not spread:
            return None
        biases.append(spread[0].inputs[0])
        node = next(i for i in node.inputs if i is not spread[0])
    if node.op.name != "contract" or node.attrs["rank"] != 3:
        return None
    found = dict(zip(whole_operands(node) or (), node.inputs, strict=False))
    return (found[0, 1, 3], found[3, 2], biases) if set(found) == {(0, 1, 3), (3, 2)} else None


def _set_gradient(layer: Layer, loop: Node) -> bool:
    """Whether a loop is the one of a layer's gradient, which it becomes."""
    body, attrs = with_slopes(loop.attrs["body"]), loop.attrs
    given, inner = operands(loop), Operands(body.inputs, body, attrs["slices"])
    is_back = attrs["reverse"] != layer.loop.attrs["reverse"] and attrs["axis"] == 1
    if not is_back or len(inner.carries) != 2 or len(inner.constants) != 1 or len(body.outputs) != 1:
        return False
    updates, outer = dict(body.updates), dict(zip(body.inputs, loop.inputs, strict=True))
    for dh, dc in permutations(inner.carries):
        for has_outputs in (False, True):
            step, (gates, by_h, by_c) = Cell(dh=dh, dc=dc), gradient(has_outputs)
            if not all(map(step.find, (body.outputs[0], updates[dh], updates[dc]), (gates, by_h, by_c))):
                continue
            read = {name: layer.stored(outer[step.names[name]]) for name in STORED if step.names[name] in outer}
            weights = _weights(step.names["weights"], inner.constants[0], given.constants[0])
            is_same = weights is not None and _is_same(weights, layer.given[2])
            count = len(STORED) + has_outputs
            if (
                is_same
                and len(inner.slices) == count
                and all(read.get(name) is layer.cell.value(pattern) for name, pattern in STORED.items())
            ):
                layer.gradient, layer.derivatives = loop, [dh, dc]
                layer.cotangents = [outer[dh], outer[dc], *([outer[step.names["dy"]]] if has_outputs else [])]
                return True
    return False


def _is_same(a: Node, b: Node) -> bool:
    return a is b or (a.op.name == b.op.name == "transpose" and a.inputs == b.inputs and a.attrs == b.attrs)


def layers_of(graph: Graph) -> Iterator[Layer]:
    """The layers whose values are read by nothing else than what PyTorch's functions give, too."""
    loops, readers, roots = graph.of("scan"), graph.readers(), {*graph.roots()}
    for layer in filter(None, map(layer_of, loops)):
        after = dict.fromkeys(i for node in readers.get(layer.loop, ()) for i in readers.get(node, ()))
        any(_set_gradient(layer, loop) for loop in after if loop.op.name == "scan")
        if _set_roles(layer, readers, roots):
            yield layer


def _set_roles(layer: Layer, readers: dict[Node, list[Node]], roots: set[Node]) -> bool:
    """Find the roles of all nodes that read the layer, or its gradient. Whether all have one."""
    roles, inside = layer.roles, []
    for node in readers.get(layer.loop, ()):
        value = layer.stored(node)
        if value is None:
            roles[node] = LAYER, 1 + layer.place(node), False
        elif value is layer.cell.value(H):
            roles[node] = LAYER, 0, False
        else:
            inside.append(node)
    before = next((node for node in inside if layer.stored(node) is layer.states[0]), None)
    for node in readers.get(layer.gradient, ()) if layer.gradient is not None else ():
        if node.attrs["index"] < 2:
            roles[node] = GRADIENTS, 4 + layer.place(node), False
        else:
            inside.append(node)
            roles.update(_parts(layer, node, before, readers))
    known = {*roles, *inside, layer.gradient}
    return roots.isdisjoint(inside) and all(reader in known for node in inside for reader in readers[node])


def _parts(
    layer: Layer, gates: Node, before: Node | None, readers: dict[Node, list[Node]]
) -> Iterator[tuple[Node, tuple[Primitive, int, bool]]]:
    """The roles of what reads the gradient by the sums of the gates: products with x, h and the kernel, and sums.

    ``before`` has h before each step.
    """
    x, kernel = layer.given[:2]
    for node in readers[gates]:
        if node.op.name == "reduce_sum":
            later = readers[node] if node.attrs["axes"] == (1,) else ()
            is_bias = node.attrs["axes"] == (0, 1) or (later and all(_is_sum(reader) for reader in later))
            yield from dict.fromkeys((node, *later) if is_bias else (), (GRADIENTS, 3, False)).items()
        elif node.op.name == "contract" and (loops := whole_operands(node)) is not None:
            own, other = (
                zip(loops, node.inputs, strict=True)
                if node.inputs[0] is gates
                else zip(loops[::-1], node.inputs[::-1], strict=True)
            )
            if node.attrs["rank"] == 3 and own[0] == (0, 1, 3) and other == ((2, 3), kernel):
                yield node, (GRADIENTS, 0, False)
            elif node.attrs["rank"] == 2 and own[0][:2] == other[0][:2] == (2, 3) and other[1] in (x, before):
                yield node, (GRADIENTS, 1 if other[1] is x else 2, own[0][2] == 0)


def _is_sum(node: Node) -> bool:
    return node.op.name == "reduce_sum" and node.attrs["axes"] == (0,)


def with_recurrence(graph: Graph) -> Graph:
    """Layers of LSTM are PyTorch's."""
    layers = list(layers_of(graph)) if graph.of("scan") else []
    if not layers:
        return graph
    roles = {node: (layer, *role) for layer in layers for node, role in layer.roles.items()}
    result: dict[Node, Node] = {}
    made: dict[tuple[Layer, Primitive], Node] = {}
    for node in graph.nodes():
        result[node] = node.on(tuple(result[i] for i in node.inputs))
        if node not in roles:
            continue
        layer, op, index, is_turned = roles[node]
        if (layer, LAYER) not in made:
            made[layer, LAYER] = _layer(layer, result)
        if (layer, op) not in made:
            made[layer, op] = _gradients(layer, made[layer, LAYER], result)
        kind = Type(node.shape[::-1], node.dtype) if is_turned else node.type
        found = Node(PRIMITIVES["result"], (made[layer, op],), {"index": index}, kind)
        result[node] = apply("transpose", found, axes=(1, 0)) if is_turned else found
    return graph.rebuild(lambda node: result[node])


def _layer(layer: Layer, result: dict[Node, Node]) -> Node:
    body, attrs = layer.loop.attrs["body"], layer.loop.attrs
    rows, size = body.inputs[0].shape
    kind = Type((rows, attrs["length"], size), "float32")
    inputs = [_changed(node, result) for node in layer.given]
    if layer.biases:
        first, *rest = (result[bias] for bias in layer.biases)
        for bias in rest:
            first = first + bias
        inputs.append(first)
    own = {"reverse": attrs["reverse"], "trains": layer.gradient is not None, "type": kind}
    return Node(LAYER, tuple(inputs), own, kind)


def _changed(node: Node, result: dict[Node, Node]) -> Node:
    """The new node for one of the graph, or for the transpose of one."""
    return result[node] if node in result else node.on(tuple(result[i] for i in node.inputs))


def _gradients(layer: Layer, made: Node, result: dict[Node, Node]) -> Node:
    parts = [Node(PRIMITIVES["result"], (made,), {"index": i}, made.type) for i in range(4)]
    cotangents = [result[node] for node in layer.cotangents]
    own = {"reverse": made.attrs["reverse"], "operands": len(made.inputs), "type": made.type}
    return Node(GRADIENTS, (*made.inputs, *parts, *cotangents), own, made.type)

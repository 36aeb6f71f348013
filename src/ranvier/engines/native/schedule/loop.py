"""Loops over time: each has a schedule of its own for its body, which reads and writes memory of the outer one.

A step of the loop reads the slices at its place in the stacks, and writes its outputs to theirs. Each carry has two
places: a step reads one and writes the other, so nothing is copied and no step disturbs the reads of another thread.
A sum to which each step adds has one place.
"""

from __future__ import annotations

from collections.abc import Callable

from ranvier.engines.native.schedule.buffers import Interface
from ranvier.engines.native.schedule.carries import added_in_place
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import Buffer, View, move
from ranvier.engines.native.target.lanes import SIZE
from ranvier.graph.graph import Graph
from ranvier.graph.node import Node, apply
from ranvier.graph.scan import Operands

BEYOND_CACHE = 1 << 20  # bytes of a stack, which has left the second-level cache before its slices are read
Step = tuple[tuple[int, ...], int]


def body_graph(node: Node) -> Graph:
    """The body as a graph whose first outputs are the carries' next values."""
    body: Graph = node.attrs["body"]
    return Graph(body.inputs, (*(value for _, value in body.updates), *body.outputs))


def interface_of(node: Node, view: Callable[[Node], View | None], results: dict[int, View]) -> Interface:
    """Where the body of a loop finds its inputs and stores its outputs; ``results`` are those of the loop that are
    stored, by index.
    """
    axis, body = node.attrs["axis"], node.attrs["body"]

    def found(operand: Node) -> View:
        place = view(operand)
        assert place is not None
        return place

    def step(place: View) -> Step:
        return (*place.strides[:axis], *place.strides[axis + 1 :]), place.offset

    given = Operands([found(operand) for operand in node.inputs], body, node.attrs["slices"])
    carries = [(place.strides, place.offset) for place in given.carries]
    constants = [(place.strides, place.offset) for place in given.constants]
    count = len(carries)
    stacks = [step(results[count + i]) for i in range(len(body.outputs))]
    slices = range(count, count + len(given.slices))
    length, sign = node.attrs["length"], -1 if node.attrs["reverse"] else 1
    read = {("input", number): place for number, place in zip(slices, given.slices, strict=True)}
    written = {("output", number): results[number] for number in range(count, count + len(body.outputs))}
    ahead = {
        slice_: sign * place.strides[axis]
        for slice_, place in (read | written).items()
        if length * place.strides[axis] * SIZE[place.buffer.dtype] >= BEYOND_CACHE
    }
    inputs = [*carries, *map(step, given.slices), *constants]
    return Interface(inputs, [*carries, *stacks], slices, added_in_place(node), ahead)


def packed_inputs(graph: Graph, interface: Interface) -> Graph:
    """The body with copies of the inputs that it reshapes, where their gaps in the outer memory leave no view."""
    buffer = Buffer("input", 0, "float32")
    views, gapped = dict[Node, tuple[Node, View]](), set[Node]()
    for node, (strides, offset) in zip(graph.inputs, interface.inputs, strict=True):
        views[node] = node, View(buffer, node.shape, strides, offset)
    for node in graph.nodes():
        if not node.op.is_view or node.inputs[0] not in views:
            continue
        source, view = views[node.inputs[0]]
        if (moved := move(node, view)) is not None:
            views[node] = source, moved
        elif node.op.name == "reshape" and not view.contiguous:
            gapped.add(source)
    if not gapped:
        return graph
    given = [apply("concatenate", node, axis=0) if node in gapped else node for node in graph.inputs]
    return Graph(graph.inputs, tuple(graph.on(given)))


def stored_results(task: Task) -> dict[int, View]:
    """The stacks that a loop stores, by index of the result."""
    return {node.attrs["index"]: view for node, view in task.stores}

"""A model as a graph for other libraries: calls of layers that they have, and primitives between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import Node, Type
from ranvier.graph.simplify import simplify
from ranvier.interop.foreign import UnsupportedError
from ranvier.module import Module, mode
from ranvier.module.calls import model_dtype_scope
from ranvier.module.masks import parameters_of
from ranvier.module.parameter import State
from ranvier.support.tree import flatten
from ranvier.tensor import rng, tape
from ranvier.tensor.call_state import forward_hook, isolated_tape
from ranvier.tensor.context import no_grad
from ranvier.tensor.masks import mask_of
from ranvier.tensor.segment import TapeSegment
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import TraceNode, lower


@dataclass
class LayerCall:
    """A call of a layer: its arguments and results as they were recorded, and then as nodes of the graph."""

    module: Module
    arguments: list[TraceNode]
    results: list[TraceNode]
    given: list[Node] = field(default_factory=list)
    made: list[Node] = field(default_factory=list)


@dataclass
class Captured:
    """What a model computes. ``tensors`` are the weights and constants by their input nodes."""

    inputs: list[Node]
    tensors: dict[Node, Tensor]
    calls: list[LayerCall]  # in order
    outputs: list[Node]
    names: list[str | None]  # of the outputs, where they are the keys of a dict


class _Notes:
    """The calls of layers that may be operators, while a model is traced."""

    def __init__(self, knows: Callable[[Module], bool]) -> None:
        self.knows = knows
        self.calls: list[LayerCall] = []

    def note(self, module: Any, arguments: tuple[Any, ...], result: Any) -> None:
        if not self.knows(module) or module._call_hooks is not None:
            return
        given = [value for value in arguments if value is not None and value is not False]
        found = list(flatten(result))
        if not all(isinstance(value, Tensor) for value in (*given, *found)) or not given:
            return
        if "mask" in parameters_of(module) and any(mask_of(value) is not None for value in given):
            return  # it counts where the mask is true alone
        nodes = [value.trace_node for value in found]
        own = [tape.segment_of([value]).node_of(value) for value in given]
        if all(node is not None and node.function is not None and node not in own for node in nodes):
            self.calls.append(LayerCall(module, own, nodes))


def capture(
    model: Module, types: Sequence[Type], call: Callable[[list[Tensor]], Any], knows: Callable[[Module], bool],
    fits: Callable[[LayerCall], bool],
) -> Captured:  # fmt: skip
    """Trace a model in evaluation mode on inputs of these types, which ``call`` calls it on.

    ``knows`` says whether a module may be an operator, and ``fits`` whether this call of it is. Raises UnsupportedError
    for a model that keeps states from batch to batch.
    """
    notes = _Notes(knows)
    with model_dtype_scope(model), no_grad(), mode(model, False), isolated_tape(model), rng.traced_draws() as draws:
        given = [Tensor.placeholder(type_) for type_ in types]
        with forward_hook(notes.note):
            output = call(given)
        returned = list(flatten(output))
        wrong = [value for value in returned if not isinstance(value, Tensor)]
        if wrong or not returned:
            raise UnsupportedError(f"it returns {wrong[0] if wrong else output!r}, which is no tensor")
        segment = tape.segment_of(returned)
        roots = [segment.node_of(value) for value in returned]
    if draws:
        raise UnsupportedError("it draws random numbers when it predicts")
    if any(isinstance(segment.leaves[ordinal], State) for ordinal in segment.assigns):
        raise UnsupportedError("it keeps states from one batch to the next")
    sources = [input_node(f"x{i}", type_.shape, type_.dtype) for i, type_ in enumerate(types)]
    own = dict(zip(map(id, given), sources, strict=True))
    names = list(output) if isinstance(output, dict) else [None] * len(roots)
    calls = _needed(roots, notes.calls, segment, fits)
    return _lowered(segment, sources, own, calls, roots, names)


def _needed(
    roots: Sequence[TraceNode], noted: Sequence[LayerCall], segment: TapeSegment, fits: Callable[[LayerCall], bool]
) -> list[LayerCall]:
    """The calls that the roots need and that fit, in order; of a layer within another, the outer one if that fits."""
    claims: dict[TraceNode, list[LayerCall]] = {}
    for call in noted:  # inner calls first
        for node in call.results:
            claims.setdefault(node, []).append(call)
    chosen, decided, seen, stack = set[int](), dict[int, bool](), set[TraceNode](), list(roots)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        for call in reversed(claims.get(node, ())):
            if id(call) not in decided:
                decided[id(call)] = fits(call)
            if decided[id(call)]:
                chosen.add(id(call))
                stack.extend(call.arguments)
                break
        else:
            stack.extend(node.inputs)
            if node.function is None and node.ordinal in segment.definitions:
                stack.append(segment.definitions[node.ordinal])
    return [call for call in noted if id(call) in chosen]


def _lowered(
    segment: TapeSegment, sources: list[Node], own: dict[int, Node], calls: list[LayerCall],
    roots: Sequence[TraceNode], names: list[Any],
) -> Captured:  # fmt: skip
    """The graph of recorded calls, in which the results of layers are inputs, and their arguments outputs."""
    leaves, tensors, results = dict[int, Node](), dict[Node, Tensor](), dict[Any, Any]()
    for ordinal, leaf in enumerate(segment.leaves):
        if id(leaf) in own:
            leaves[ordinal] = own[id(leaf)]
        elif ordinal not in segment.definitions:
            leaves[ordinal] = input_node(f"leaf{ordinal}", leaf.spec.shape, leaf.spec.dtype)
            tensors[leaves[ordinal]] = leaf  # type: ignore[assignment]  # every leaf is a tensor
    for ordinal, value in segment.definitions.items():
        leaves[ordinal] = lower([value], leaves, results)[0]
    for number, call in enumerate(calls):
        call.given = lower(call.arguments, leaves, results)
        for place, node in enumerate(call.results):
            made = input_node(f"layer{number}_{place}", node.type.shape, node.type.dtype)
            known = results.get(node.call)
            if not isinstance(known, dict):
                known = results[node.call] = dict(enumerate(known or ()))
            known[max(node.output_index, 0)] = made
            call.made.append(made)
    ends = lower(roots, leaves, results)
    inputs = (*sources, *tensors, *(node for call in calls for node in call.made))
    graph = simplify(Graph(inputs, (*(node for call in calls for node in call.given), *ends)))
    found = iter(graph.outputs)
    for call in calls:
        call.given = [next(found) for _ in call.given]
    return Captured(sources, tensors, calls, list(found), names)

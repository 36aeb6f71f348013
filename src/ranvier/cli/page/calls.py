"""The layers of a model of a class of one's own, found while it is traced: what each gives, and what is before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ranvier import activations
from ranvier.module import Sequential
from ranvier.module.shape_errors import user_names
from ranvier.support.tree import flatten
from ranvier.tensor.call_state import forward_hook
from ranvier.tensor.segment import local
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import TraceNode

MOST = 16  # layers; of more, those within a layer are not shown


@dataclass(frozen=True)
class Operation:
    """A computation between layers, such as the sum at the end of a skip connection."""

    name: str
    weights: tuple[()] = ()


@dataclass(eq=False)
class Call:
    """A call of a module, with the calls that it makes."""

    module: Any
    arguments: list[Tensor]
    results: list[Tensor]
    children: list[Call]
    scope: str = ""  # the names of the modules that were opened around it

    @property
    def is_open(self) -> bool:
        """Whether the layers within a module may be shown in its place."""
        module = self.module
        own = not type(module).__module__.startswith("ranvier.")
        return bool(self.children) and (own or isinstance(module, Sequential) or module._recorded is not None)


@dataclass(eq=False)
class Step:
    """A layer that is shown, or an operation between layers: its output, and the places of those before it."""

    module: Any
    name: str
    node: TraceNode
    sources: list[int]
    activation: str | None = None


class Calls:
    """The calls of one run of a model. ``changes`` says of a module whether it is shown."""

    def __init__(self, model: Any, changes: Callable[[Any], bool]) -> None:
        self.model, self.changes = model, changes
        self.names = user_names(model)
        self.counted = Counter(self.names.values())
        self.stack: list[Call] = []
        self.steps: list[Step] = []
        self.ends: list[int] = []
        self.result: Any = None
        self.made: dict[TraceNode, list[int]] = {}  # the places behind each node

    def of(self, inputs: tuple[Any, ...]) -> list[Tensor]:
        """Call the model: the outputs of the steps."""
        with forward_hook(self.note):
            result = self.result = self.model(*inputs)
        segment: Any = local.segment
        for k, tensor in enumerate(flatten(inputs, Tensor)):
            self.made[segment.node_of(tensor)] = [-k]
        ends = [segment.node_of(tensor) for tensor in flatten(result, Tensor)]
        users = users_of(ends)
        for call in opened(self.stack[-1].children if self.stack else [], self.changes):
            self.add(call, segment, users)
        for node in ends:
            before = self.places(node)
            if len(before) != 1 or before[0] < 1 or self.steps[before[0] - 1].node is not node:
                before = self.append(Operation(name_of(node)), name_of(node), node, before)
            self.ends.append(before[0] - 1)
        return [Tensor.pending(step.node, segment) for step in self.steps]

    def note(self, module: Any, arguments: tuple[Any, ...], result: Any) -> None:
        """Note a call. Those that it made were noted before it."""
        inner = set(module.modules()) - {module}
        children: list[Call] = []
        while self.stack and self.stack[-1].module in inner:
            children.insert(0, self.stack.pop())
        tensors = list(flatten(arguments, Tensor))
        self.stack.append(Call(module, tensors, list(flatten(result, Tensor)), children))

    def add(self, call: Call, segment: Any, users: dict[TraceNode, set[TraceNode]]) -> None:
        """A step for a call, if it is shown; with it goes the activation that follows it alone."""
        nodes = [segment.node_of(tensor) for tensor in call.results]
        if not nodes or nodes[0].function is None or any(step.node is nodes[0] for step in self.steps):
            return  # an input, or an activation that went with the layer before it
        before = list(dict.fromkeys(p for tensor in call.arguments for p in self.places(segment.node_of(tensor))))
        if not self.changes(call.module) and len(before) < 2:
            return
        name = self.names.get(id(call.module), call.module.name)
        if self.counted[name] > 1:  # in several models within the model
            name = f"{call.scope}{name}"
        place = self.append(call.module, name, nodes[0], before or [0])
        self.made.update(dict.fromkeys(nodes, place))
        (after, *others) = users.get(nodes[0], {None})
        if after is not None and not others and len(after.inputs) == 1 and is_activation(after):
            step = self.steps[-1]
            step.node, step.activation = after, name_of(after)
            self.made[after] = place

    def append(self, module: Any, name: str, node: TraceNode, before: list[int]) -> list[int]:
        """Add a step: the list of its place. Names differ."""
        count = Counter(step.name.partition(" ")[0] for step in self.steps)[name]
        self.steps.append(Step(module, f"{name} {count + 1}" if count else name, node, before))
        self.made[node] = [len(self.steps)]
        return self.made[node]

    def places(self, node: TraceNode) -> list[int]:
        """The places that a node is computed from; what joins several of them becomes a step."""
        waiting = [node]
        while waiting:
            last = waiting[-1]
            unknown = [] if last in self.made else [each for each in last.inputs if each not in self.made]
            waiting += unknown
            if unknown:
                continue
            waiting.pop()
            if last not in self.made:
                self.made[last] = list(dict.fromkeys(place for each in last.inputs for place in self.made[each]))
                if len(self.made[last]) > 1 and len(last.type.shape) > 1:
                    self.append(Operation(name_of(last)), name_of(last), last, self.made[last])
        return self.made[node]


def opened(level: list[Call], changes: Callable[[Any], bool]) -> list[Call]:
    """Calls with those that they make in their places, as deep as not too many of them are shown."""
    while any(call.is_open for call in level):
        inner = [part for call in level for part in (call.children if call.is_open else [call])]
        if sum(changes(call.module) for call in inner) > MOST:
            break
        for call in level:
            if call.is_open:
                for part in call.children:
                    part.scope = f"{call.scope}{call.module.name}/"
        level = inner
    return level


def users_of(ends: list[TraceNode]) -> dict[TraceNode, set[TraceNode]]:
    """The nodes that take each node, of those that outputs are computed from."""
    users: dict[TraceNode, set[TraceNode]] = {}
    stack, seen = list(ends), set(ends)
    while stack:
        node = stack.pop()
        for operand in node.inputs:
            users.setdefault(operand, set()).add(node)
            if operand not in seen:
                seen.add(operand)
                stack.append(operand)
    return users


def name_of(node: TraceNode) -> str:
    """The name of an operation."""
    return "input" if node.function is None else node.function.name


def is_activation(node: TraceNode) -> bool:
    """Whether an operation is one of the known activations."""
    return name_of(node) in activations.REGISTRY.names

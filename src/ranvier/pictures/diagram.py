"""The boxes of a network diagram: one for each call of a layer, recorded by a forward hook.

An operation between layers has one, too, where it joins the results of several layers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ranvier.graph.extents import Extent
from ranvier.graph.node import Type
from ranvier.module.calls import check_network, mode
from ranvier.module.summary import shape_text
from ranvier.support.tree import flatten
from ranvier.tensor.call_state import forward_hook, isolated_tape
from ranvier.tensor.tensor import Tensor, leaves_of
from ranvier.tensor.trace import TraceNode

if TYPE_CHECKING:
    from ranvier.module.core import Module


JOIN = "operation"  # the kind of a box that is no layer
SIGNS = {"add": "+", "subtract": "\u2212", "multiply": "\u00d7", "divide": "\u00f7"}


@dataclass
class Box:
    """A call of a layer, an input, or an operation that joins several of them.

    It has the path of the layer (or the name of the operation), its class, the types of its results, and its sources.
    """

    scope: str  # "encoder/dense"
    kind: str
    types: list[Type | None]
    parameters: int | None = None  # None for a layer without parameters
    sources: list[int] = field(default_factory=list)
    level: int = 0

    @property
    def title(self) -> str:
        name = self.scope.rpartition("/")[2]
        if self.kind == JOIN:
            return SIGNS.get(name, name.replace("_", " "))
        return name if name == "input" else f"{name} ({self.kind})"

    @property
    def shape(self) -> str:
        return ", ".join(shape_text(type_, "batch") for type_ in self.types)


def scopes(model: Module) -> dict[int, str]:
    """The path of each module, by ``id``: the names of the modules around it and its name, joined by "/"."""
    check_network(model)
    found: dict[int, str] = {}
    modules = dict(model.named_modules())
    for path, module in modules.items():
        outer, _, last = path.rpartition(".")
        name = module.name if last.isdecimal() or not last else last
        above = found.get(id(modules[outer]), "") if outer else ""
        found[id(module)] = f"{above}/{name}" if above else name
    return found


class Drawing:
    """The boxes of a model, collected while it is traced once, or called with ``inputs``."""

    def __init__(self, model: Module, *inputs: Any) -> None:
        self.boxes: list[Box] = []
        self.made: dict[Any, int] = {}  # the box of each trace node, and of each placeholder by ``id``
        self.passed: dict[TraceNode, list[int]] = {}  # the boxes behind each node between layers
        self.scopes = scopes(model)
        with mode(model, False), isolated_tape(model), forward_hook(self.note):
            model(*inputs) if inputs else model._trace()
        for box in self.boxes:
            box.level = 1 + max((self.boxes[i].level for i in box.sources), default=-1)

    def note(self, module: Any, arguments: tuple[Any, ...], result: Any) -> None:
        if module._modules:  # its submodules have boxes
            return
        begins = getattr(module, "is_input", False)
        if begins and (arguments[0].trace_node is not None or id(arguments[0]) in self.made):
            return  # an inner model, whose input is a result of the outer one
        sources: dict[int, None] = {}
        for tensor in () if begins else flatten(arguments, Tensor):
            sources |= dict.fromkeys(self.makers(tensor))
        results = list(flatten(result, Tensor))
        own = [p for p in module._parameters.values() if p is not None]
        count = sum(p._value.size for p in own) if own else None
        scope = self.scopes.get(id(module), module.name)
        self.boxes.append(Box(scope, type(module).__name__, [t.spec for t in results], count, list(sources)))
        for tensor in results:
            self.made[tensor.trace_node if tensor.trace_node is not None else id(tensor)] = len(self.boxes) - 1

    def makers(self, tensor: Tensor) -> list[int]:
        """The boxes that a tensor is computed from; an operation between layers that joins several has a box."""
        if tensor.trace_node is None or id(tensor) in self.made:
            return [self.given(tensor)]
        pending = [tensor.trace_node]
        while pending:
            node = pending[-1]
            if self.sources_of(node, tensor) is not None:
                pending.pop()
                continue
            pending += [each for each in node.inputs if self.sources_of(each, tensor) is None]
            if pending[-1] is node:  # all its operands are known
                found = dict.fromkeys(i for each in node.inputs for i in self.sources_of(each, tensor) or ())
                self.passed[node] = [self.join(node, list(found))] if len(found) > 1 else list(found)
        return list(self.sources_of(tensor.trace_node, tensor) or ())

    def sources_of(self, node: TraceNode, tensor: Tensor) -> list[int] | None:
        """The boxes behind a node, None where its operands are not known yet."""
        if node in self.made:
            return [self.made[node]]
        if node.function is None and tensor.segment is not None and node not in self.passed:
            leaf = leaves_of(tensor.segment)[node.ordinal]
            of_samples = bool(leaf.spec.shape) and isinstance(leaf.spec.shape[0], Extent)
            self.passed[node] = [self.given(leaf)] if of_samples else []
        return self.passed.get(node)

    def join(self, node: TraceNode, sources: list[int]) -> int:
        """The box of an operation between layers, such as the sum at the end of a skip connection."""
        name = node.function.name if node.function is not None else ""
        self.boxes.append(Box(name, JOIN, [node.type], None, sources))
        return len(self.boxes) - 1

    def given(self, tensor: Tensor) -> int:
        """The box of an input."""
        known = self.made.get(id(tensor))
        if known is None:
            self.boxes.append(Box("input", "Input", [tensor.spec]))
            known = self.made[id(tensor)] = len(self.boxes) - 1
        return known

"""A whole program: its inputs, what it returns and what it writes back; printing and verifying."""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from ranvier.graph.extents import Extent
from ranvier.graph.node import PRIMITIVES, GraphError, Node, Primitive, apply, topological


@dataclass(frozen=True)
class Graph:
    """A program over arrays.

    ``inputs`` are nodes of the primitive ``input``. ``outputs`` are returned. Each pair of ``updates`` is
    (input, new value): written into the input's array after every read of the old value.
    """

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    updates: tuple[tuple[Node, Node], ...] = ()

    def roots(self) -> tuple[Node, ...]:
        return (*self.outputs, *(value for _, value in self.updates))

    def nodes(self) -> list[Node]:
        """All nodes, inputs before their users. The list is computed once: do not change it."""
        return self._nodes

    @cached_property
    def _nodes(self) -> list[Node]:
        return topological((*self.inputs, *self.roots()))

    def readers(self) -> dict[Node, list[Node]]:
        """The readers of each node that has any, once for each operand. Computed once: do not change it."""
        return self._readers

    @cached_property
    def _readers(self) -> dict[Node, list[Node]]:
        result: dict[Node, list[Node]] = {}
        for node in self.nodes():
            for operand in node.inputs:
                result.setdefault(operand, []).append(node)
        return result

    def of(self, name: str) -> list[Node]:
        """The nodes of one primitive, inputs before their users."""
        return [node for node in self.nodes() if node.op.name == name]

    def rebuild(self, mapping: Callable[[Node], Node]) -> Graph:
        """The same program with its outputs and new values replaced."""
        return Graph(
            self.inputs, tuple(mapping(n) for n in self.outputs), tuple((i, mapping(v)) for i, v in self.updates)
        )

    def on(self, given: Iterable[Node]) -> list[Node]:
        """The outputs computed from other nodes than the inputs, of the same types."""
        value = dict(zip(self.inputs, given, strict=True))
        for node in self.nodes():
            if node not in value:
                value[node] = node.on(tuple([value[i] for i in node.inputs]))
        return [value[output] for output in self.outputs]

    def changed(self, change: Callable[[Node, Node], Node], *of: str) -> Graph:
        """The program with every node replaced, inputs first; this graph if nothing is replaced.

        ``change`` is given the node on its new inputs, and the old node: each node, or those of the primitives ``of``.
        """
        nodes = iter(self.nodes())
        for node in nodes:  # the first that is replaced
            if (not of or node.op.name in of) and (new := change(node, node)) is not node:
                break
        else:
            return self
        result = {node: new}  # of the nodes that are replaced
        get = result.get
        for node in nodes:
            old = node.inputs
            inputs = tuple(map(get, old, old))
            new = node if inputs == old else Node(node.op, inputs, node.attrs, node.type)
            if not of or node.op.name in of:
                new = change(new, node)
            if new is not node:
                result[node] = new
        return self.rebuild(lambda n: result.get(n, n))

    def key(self) -> tuple[Any, ...]:
        """A key that graphs of the same structure share, and no others; it leaves out the names of inputs."""
        nodes = self.nodes()
        number = {node: i for i, node in enumerate(nodes)}
        place = number.__getitem__
        lines = tuple(
            [
                (node.op.name, *map(place, node.inputs), node.type.shape, node.type.dtype, _key(node.attrs))
                if node.attrs
                else (node.op.name, *map(place, node.inputs), node.type.shape, node.type.dtype)
                for node in nodes
            ]
        )
        updates = tuple((number[target], number[value]) for target, value in self.updates)
        return tuple(number[i] for i in self.inputs), tuple(number[o] for o in self.outputs), updates, lines

    @cached_property
    def as_key(self) -> Key:
        """`key`, computed once: many nodes may have this graph as their body."""
        return Key(self.key())

    @cached_property
    def as_attribute(self) -> str:
        """The text of a body in that of a node."""
        label = names(self)
        text = f"inputs {', '.join(label[n] for n in self.inputs)}\n{self}"
        return "{\n" + textwrap.indent(text, "  ") + "\n}"

    def __str__(self) -> str:
        return print_graph(self)


class Key:
    """A key whose hash is computed once: those of deep networks are long."""

    def __init__(self, parts: tuple[Any, ...]) -> None:
        self.parts, self.hash = parts, hash(parts)

    def __repr__(self) -> str:
        return repr(self.parts)  # the same in every process

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Key) and self.hash == other.hash and self.parts == other.parts)


_PLAIN = frozenset((int, float, bool, str, type(None)))


def _key(attrs: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(
        [
            (name, value if value.__class__ in _PLAIN else _fixed(value))
            for name, value in attrs.items()
            if name not in ("name", "shape", "dtype")
        ]
    )


def _fixed(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.char, value.tobytes()
    if isinstance(value, Graph):
        return value.as_key
    if not isinstance(value, (list, tuple)):
        return value
    return tuple([each if each.__class__ in _PLAIN else _fixed(each) for each in value])


def input_node(
    name: str,
    shape: tuple[int | Extent, ...],
    dtype: str,
    *,
    windowed: bool = False,
    zeros: float = 0,
    rows: int = 0,
    layout: tuple[str | None, ...] = (),
) -> Node:
    """A value given at run time. ``windowed``: step i of a loop sees rows [i*batch, (i+1)*batch) of a longer array.

    ``zeros`` is the expected fraction of zeros, ``rows`` the most that a run is expected to have, if few, and
    ``layout`` has for each dimension the axis of a mesh of devices that divides it: engines may use them, and compute
    the same in any case.
    """
    hints = {name: hint for name, hint in (("zeros", zeros), ("rows", rows), ("layout", layout)) if hint}
    return apply("input", name=name, shape=shape, dtype=dtype, windowed=windowed, **hints)


def verify(graph: Graph, extra: Mapping[str, Primitive] = MappingProxyType({})) -> None:
    """Check every type rule again, and that inputs and updates agree. Raises GraphError.

    ``extra`` primitives, by name, may occur beside those of `ops`: an engine's own.
    """
    known, primitives = set(graph.inputs), {**PRIMITIVES, **extra}
    for node in graph.nodes():
        if node.op is not primitives.get(node.op.name):
            raise GraphError(f"unknown primitive {node.op.name}")
        if node.op.infer([i.type for i in node.inputs], node.attrs) != node.type:
            raise GraphError(f"{node!r} disagrees with its type rule")
        if isinstance(body := node.attrs.get("body"), Graph):
            verify(body, extra)
        if node.op.name == "input" and node not in known:
            raise GraphError(f"input {node.attrs['name']!r} is used but not among the graph's inputs")
    for target, value in graph.updates:
        if target.op.name != "input" or target not in known:
            raise GraphError(f"only inputs can be updated, not {target!r}")
        if target.type != value.type:
            raise GraphError(f"input {target.attrs['name']!r} is {target.type} but its update is {value.type}")


def _attr(value: Any) -> str:
    if isinstance(value, np.ndarray):
        digest = hashlib.sha256(value.tobytes()).hexdigest()[:16]
        return str(value.tolist()) if value.size <= 8 else f"array{value.shape}#{digest}"
    if isinstance(value, Graph):
        return value.as_attribute
    return str(value)


def names(graph: Graph) -> dict[Node, str]:
    """Stable names for printing: inputs have their own, other nodes are numbered in order."""
    result: dict[Node, str] = {}
    count = 0
    for node in graph.nodes():
        if node.op.name == "input":
            result[node] = f"%{node.attrs['name']}"
        else:
            result[node] = f"%{count}"
            count += 1
    return result


def print_graph(graph: Graph) -> str:
    """One line a node. The text is complete and stable: it is also the compile cache's key."""
    label = names(graph)
    lines = []
    types: dict[int, str] = {}  # by the identity of the type: many nodes share one
    for node in graph.nodes():
        operands = [label[i] for i in node.inputs]
        if node.attrs:
            operands += [
                f"{k}={_attr(v)}"
                for k, v in node.attrs.items()
                if k not in ("name", "shape", "dtype") or node.op.name == "reshape"
            ]
        type_ = types.get(id(node.type)) or types.setdefault(id(node.type), str(node.type))
        lines.append(f"{label[node]}: {type_} = {node.op.name}({', '.join(operands)})")
    lines += [f"update {label[target]} <- {label[value]}" for target, value in graph.updates]
    lines.append(f"return {', '.join(label[n] for n in graph.outputs)}")
    return "\n".join(lines)

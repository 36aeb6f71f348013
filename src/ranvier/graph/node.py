"""Types, primitives and nodes: the vocabulary in which every program is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ranvier.graph.dtypes import DTYPES as DTYPES  # noqa: PLC0414  # read from here too
from ranvier.graph.dtypes import FLOATS as FLOATS  # noqa: PLC0414  # likewise
from ranvier.graph.dtypes import STORAGE
from ranvier.graph.extents import Extent, ExtentError, Shape, symbol


class GraphError(ValueError):
    """A graph that breaks a type rule."""


class GraphExtentError(GraphError, ExtentError):
    """The same, where a type rule wanted it."""


BATCH = symbol("batch")  # the rows of one step; programs loop over windows of this many rows


@dataclass(frozen=True)
class Type:
    """Shape and dtype of a value."""

    shape: Shape
    dtype: str

    def __post_init__(self) -> None:
        for extent in self.shape:  # type rules and engines take symbols alone so far
            if extent.__class__ is Extent and not extent.is_symbol:
                raise GraphExtentError(f"the extent {extent} is computed from a size, and only one alone is an axis")
        if type(self.dtype) is not str:  # that of a tensor, which prints in a vocabulary
            object.__setattr__(self, "dtype", str.__str__(self.dtype))

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


FREE, INSTRUCTION, DIVISION, FUNCTION = range(4)  # costs of an element, in rising order


@dataclass(frozen=True, eq=False)
class Primitive:
    """One operation. Its meaning is the type rule, the NumPy value and the gradient, declared together in `ops`.

    ``infer(types, attrs) -> Type`` raises GraphError; ``value(arrays, attrs, extents) -> array``;
    ``gradient(node, g) -> one Node or None for each input``. Passes and engines ask for the kind (source, elementwise,
    reduce, movement, index, contract, random) and for the traits below, not for names.
    """

    name: str
    kind: str
    infer: Callable[..., Type]
    value: Callable[..., Any]
    gradient: Callable[..., Sequence[Node | None]] | None = None
    cost: int = FUNCTION
    """What one element costs: `FREE` (addressing alone), `INSTRUCTION`, `DIVISION` or `FUNCTION`."""
    keeps_zeros: bool = False
    """The result is zero where the first operand is."""
    selects: bool = False
    """An element of the result is that of one operand, or zero: which one, a comparison decides."""
    preserves: bool = False
    """Each element of the first operand occurs in the result once, moved or converted."""
    is_view: bool = False
    """The result's elements are elements of the operand under other indices, so it needs no memory of its own."""
    in_memory: tuple[int, ...] = ()
    """Operands that must be in memory, because an element of the result reads them at many or computed indices."""
    combine: str = ""
    """Of a reduction that can be done in parts: the elementwise primitive that combines two partial results."""
    keeps_rows: Callable[[Node], Sequence[bool]] | None = None
    """For each operand, whether row i of the result reads its row i alone. Left out: true of every operand."""


PRIMITIVES: dict[str, Primitive] = {}


class Node:
    """An immutable application of a primitive. Nodes are equal only if identical; a pass merges equal ones."""

    __slots__ = ("attrs", "inputs", "op", "type")

    op: Primitive
    inputs: tuple[Node, ...]
    attrs: dict[str, Any]
    type: Type

    def __init__(self, op: Primitive, inputs: tuple[Node, ...], attrs: dict[str, Any], type_: Type) -> None:
        _set_op(self, op)
        _set_inputs(self, inputs)
        _set_attrs(self, attrs)
        _set_type(self, type_)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("nodes are immutable; build a new one with ranvier.graph.node.apply")

    @property
    def shape(self) -> Shape:
        return self.type.shape

    @property
    def dtype(self) -> str:
        return self.type.dtype

    @property
    def ndim(self) -> int:
        return len(self.type.shape)

    def on(self, inputs: tuple[Node, ...]) -> Node:
        """The same operation on other inputs, of the same types."""
        return self if inputs == self.inputs else Node(self.op, inputs, self.attrs, self.type)

    def __repr__(self) -> str:
        return f"<{self.op.name} {self.type}>"

    # Operators demand equal shapes and dtypes; ranvier.ops.functional inserts the broadcasts.
    def __add__(self, other: Node) -> Node:
        return apply("add", self, other)

    def __sub__(self, other: Node) -> Node:
        return apply("sub", self, other)

    def __mul__(self, other: Node) -> Node:
        return apply("mul", self, other)

    def __truediv__(self, other: Node) -> Node:
        return apply("div", self, other)

    def __neg__(self) -> Node:
        return apply("neg", self)


# How a new node gets its fields: `Node.__setattr__` refuses, and this is faster than `object.__setattr__`.
_set_op, _set_inputs, _set_attrs, _set_type = (
    Node.__dict__[field].__set__ for field in ("op", "inputs", "attrs", "type")
)


def apply(name: str, /, *inputs: Node, **attrs: Any) -> Node:
    """Build a node, checking its type rule. Raises GraphError naming the primitive and the types it was given."""
    primitive = PRIMITIVES[name]
    types = [node.type for node in inputs]
    try:
        result = primitive.infer(types, attrs)
    except GraphError as error:
        given = ", ".join(map(str, types))
        raise GraphError(f"{name}({given}): {error}") from None
    return Node(primitive, inputs, attrs, result)


def extent(node: Node, axis: int) -> int:
    """The extent of one axis. Raises GraphExtentError if it is no number, like that of the batch."""
    result = node.shape[axis]
    if not isinstance(result, int):
        raise GraphExtentError(
            f"dimension {axis % node.ndim} of the result of {node.op.name}, {node.type}, is known only when the "
            f"program runs ({result}), and what reads it takes a number. Write an extent that is known instead."
        )
    return result


def extents(node: Node, start: int = 0, stop: int | None = None) -> tuple[int, ...]:
    """`extent` of the axes from start up to stop, counted as in a slice of the shape."""
    return tuple(extent(node, axis) for axis in range(node.ndim)[start:stop])


def constant(value: Any, dtype: str) -> Node:
    """A scalar (or small array) known when the graph is built; of a storage type a cast of one. Raises GraphError for
    None, which is nan to NumPy.
    """
    if value is None:
        raise GraphError("a number is wanted here, and this is None: write the number")
    if dtype in STORAGE:
        return apply("cast", constant(value, "float32"), dtype=dtype)
    if _is_plain(value):
        return _scalar(value, dtype)
    array = np.asarray(value, dtype)
    array.setflags(write=False)
    return apply("constant", value=array)


def _is_plain(value: Any) -> bool:
    """Whether a value is a number that equals no other number: 0.0 equals -0.0."""
    return value.__class__ in (float, int) and (value != 0 or str(value) in ("0.0", "0"))


# Networks repeat few numbers for each of their layers: equal ones are one node, which passes need not merge.
@lru_cache(maxsize=1 << 12, typed=True)
def _scalar(value: float, dtype: str) -> Node:
    array = np.asarray(value, dtype)
    array.setflags(write=False)
    return apply("constant", value=array)


def full(value: float, shape: Shape, dtype: str) -> Node:
    """A constant scalar broadcast to ``shape``."""
    if not shape:
        return constant(value, dtype)
    return _full(value, shape, dtype) if _is_plain(value) else _broadcast(constant(value, dtype), shape)


@lru_cache(maxsize=1 << 12, typed=True)
def _full(value: float, shape: Shape, dtype: str) -> Node:
    return _broadcast(constant(value, dtype), shape)


def _broadcast(node: Node, shape: Shape) -> Node:
    return apply("broadcast", node, shape=shape, axes=())


def like(node: Node, value: float) -> Node:
    """``full`` in another node's shape and dtype."""
    return full(value, node.shape, node.dtype)


def walk(roots: Iterable[Node], through: Callable[[Node], object]) -> Iterator[Node]:
    """Every node reached from ``roots``, once: it goes on to the operands of nodes for which ``through`` holds."""
    stack, seen = list(roots), set[Node]()
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            yield node
            if through(node):
                stack.extend(node.inputs)


def topological(roots: Iterable[Node]) -> list[Node]:
    """Every node reachable from ``roots``, inputs first. Iterative: graphs may be thousands of nodes deep."""
    placed: list[Node] = []
    seen: set[Node] = set()
    stack: list[tuple[Node | None, Iterator[Node]]] = []  # nodes with their operands that were not looked at yet
    place, see, push, pop = placed.append, seen.add, stack.append, stack.pop
    node: Node | None = None
    operands = iter(roots)
    while True:
        for operand in operands:
            if operand in seen:
                continue
            see(operand)
            if operand.inputs:
                push((node, operands))
                node, operands = operand, iter(operand.inputs)
                break
            place(operand)
        else:
            if node is None:
                return placed
            place(node)
            node, operands = pop()

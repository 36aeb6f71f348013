"""What the tape records: entries, known by their structure alone.

Calling a tensor function makes an `Entry`, interned: function, operands, options. So the second time round a loop the
same calls find the same entries by a dictionary look-up each, and the program compiled for them by one more.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ranvier.graph.graph import input_node
from ranvier.graph.node import FLOATS, Node, Type, apply

if TYPE_CHECKING:
    from ranvier.tensor.tape import Segment


class Function:
    """A tensor function: ``body`` builds its graph from nodes; calling it is recorded when given tensors."""

    def __init__(self, name: str, body: Callable[..., Any]) -> None:
        self.name = name
        self.body = body

    def __repr__(self) -> str:
        return f"<function {self.name}>"


class Entry:
    """A recorded call, or a leaf, known by its structure alone. Interned: equal structure is the same object."""

    __slots__ = (
        "alone",
        "children",
        "function",
        "leaves",
        "number",
        "options",
        "pick",
        "requires_grad",
        "seen",
        "sources",
        "type",
        "types",
    )

    def __init__(
        self,
        function: Function | None,
        children: tuple[Entry, ...],
        options: tuple[tuple[str, Any], ...],
        types: tuple[Type, ...],
        requires_grad: bool,
        leaves: frozenset[int],
        pick: int,
    ) -> None:
        self.function = function
        self.children = children
        self.options = options
        self.types = types
        self.type = types[max(pick, 0)]
        self.requires_grad = requires_grad
        self.leaves = leaves
        # The leaves that a gradient reaches: what was detached or computed under no_grad hides those behind it.
        reached = frozenset[int]().union(*(c.sources for c in children)) if children else leaves
        self.sources: frozenset[int] = reached if requires_grad else frozenset()
        self.pick = pick
        # Whether it is whole numbers made of nothing but leaves: see `at_once`.
        self.alone = (
            pick < 0
            and types[0].dtype == "int32"
            and bool(children)
            and all(c.function in (None, DATA) and not c.requires_grad for c in children)
        )
        self.seen: dict[
            Any, Any
        ] = {}  # by operation, what else it was called with: see recording and selecting
        self.number = next(_numbers)


_numbers = itertools.count()
_interned: dict[Any, Any] = {}
programs: dict[Any, Any] = {}
LIMIT = 20_000  # entries kept; a loop whose shapes keep changing must not grow without end


class _State(threading.local):
    def __init__(self) -> None:
        self.segment: Segment | None = None
        self.grad_enabled = True
        self.tracing = False  # of a model: what its tensors hold now is no part of what is recorded
        self.dtype: str | None = (
            None  # of floats, for this thread alone; a part of every entry's key through its leaves
        )
        self.segments: weakref.WeakSet[Segment] = weakref.WeakSet()


state = _State()


def forget() -> None:
    """Drop what is interned and compiled: after a setting changed that tensor functions look at."""
    _interned.clear()
    programs.clear()


DATA = Function("data", lambda x: x)


def leaf_entry(ordinal: int, type_: Type, requires_grad: bool, transposed: bool) -> Entry:
    # Of the type its parts: numbers and text are hashed more quickly than an object of a class.
    key = (ordinal, type_.shape, type_.dtype, requires_grad, transposed, state.dtype)
    entry = _interned.get(key)
    if entry is None:
        entry = _interned[key] = Entry(
            None, (), (("ordinal", ordinal),), (type_,), requires_grad, frozenset((ordinal,)), -1
        )
    return entry


def intern(
    function: Function, children: tuple[Entry, ...], options: tuple[tuple[str, Any], ...], grad: bool
) -> tuple[Entry, ...]:
    """The entries of a call's results; its types are worked out once, by building its graph on fresh inputs."""
    key = (function, children or state.dtype, options, grad)
    known = _interned.get(key)
    if known is not None:
        return known
    if len(_interned) > LIMIT:
        forget()
    nodes = [input_node(f"x{i}", c.type.shape, c.type.dtype) for i, c in enumerate(children)]
    result = function.body(*nodes, **dict(options))
    many = isinstance(result, (tuple, list))
    types = tuple(n.type for n in result) if many else (result.type,)
    reached = grad and any(c.requires_grad for c in children)
    leaves = frozenset[int]().union(*(c.leaves for c in children))
    entries = tuple(
        Entry(
            function,
            children,
            (*options, ("__grad", grad)),
            types,
            reached and t.dtype in FLOATS,
            leaves,
            i if many else -1,
        )
        for i, t in enumerate(types)
    )
    _interned[key] = entries
    return entries


def expand(roots: Sequence[Entry], leaf_nodes: dict[int, Node]) -> list[Node]:
    """The graph of recorded entries over the given nodes for their leaves. Iterative: tapes may be deep."""
    values: dict[Any, Any] = {}

    def key(entry: Entry) -> Any:
        return (entry.function, entry.children, entry.options)

    stack: list[tuple[Entry, bool]] = [(root, False) for root in reversed(roots)]
    while stack:
        entry, ready = stack.pop()
        if entry.function is None or key(entry) in values:
            continue
        if not ready:
            stack.append((entry, True))
            stack.extend((c, False) for c in entry.children)
            continue
        operands = [read(c, values, leaf_nodes) for c in entry.children]
        options = dict(entry.options)
        grad = options.pop("__grad")
        result = entry.function.body(*operands, **options)
        results = list(result) if isinstance(result, (tuple, list)) else [result]
        if not grad:
            results = [apply("stop_gradient", n) for n in results]
        values[key(entry)] = results
    return [read(root, values, leaf_nodes) for root in roots]


def read(entry: Entry, values: dict[Any, Any], leaf_nodes: dict[int, Node]) -> Node:
    if entry.function is None:
        return leaf_nodes[entry.options[0][1]]
    return values[(entry.function, entry.children, entry.options)][max(entry.pick, 0)]

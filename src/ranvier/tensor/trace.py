"""Trace nodes: recorded calls, identified by their structure alone.

Calling a tensor function makes a `TraceNode`, interned by function, inputs and options. A second iteration of a loop
therefore finds the same nodes with one dictionary look-up per call, and their compiled program with one more.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain, count
from typing import Any, Protocol

from ranvier.graph.dtypes import FLOATING, INDICES
from ranvier.graph.graph import input_node
from ranvier.graph.node import DIVISION, Node, Type, apply, topological
from ranvier.graph.open_extents import is_open
from ranvier.tensor import equal_steps
from ranvier.tensor.called import called, called_with_number


class Function:
    """A tensor function: ``body`` builds its graph from nodes; calls on tensors are recorded."""

    def __init__(self, name: str, body: Callable[..., Any]) -> None:
        self.name = name
        self.body = body
        self.is_local = True  # its result depends on the values of its operands alone, not on how they were computed
        self.makes_views = False  # of its operand: set by the first view that it makes

    def __repr__(self) -> str:
        return f"<function {self.name}>"


class TraceNode:
    """A recorded call or a leaf. Nodes are interned: equal structure is the same object."""

    __slots__ = (
        "cuts",
        "eager",
        "function",
        "grad",
        "grad_leaves",
        "inputs",
        "leaves",
        "number",
        "options",
        "output_index",
        "plain",
        "repeats",
        "requires_grad",
        "seen_constants",
        "step",
        "type",
        "types",
    )

    def __init__(
        self,
        function: Function | None,
        inputs: tuple[TraceNode, ...],
        options: tuple[tuple[str, Any], ...],
        types: tuple[Type, ...],
        requires_grad: bool,
        leaves: frozenset[int],
        output_index: int,
        grad: int = True,
        exact: bool = False,
    ) -> None:
        self.function = function  # None for a leaf
        self.number = next(_numbers)
        self.inputs = inputs
        self.options = options
        self.types = types
        self.type = types[max(output_index, 0)]
        self.requires_grad = requires_grad
        self.grad = grad  # whether gradients were recorded: a number whose bits are those of `_State.grad_enabled`
        self.leaves = leaves  # ordinals
        # The leaves that a gradient reaches: not through results of `detach` or of `no_grad`.
        reached = frozenset[int]().union(*(c.grad_leaves for c in inputs)) if inputs else leaves
        self.grad_leaves: frozenset[int] = reached if requires_grad else frozenset()
        # Whether a gradient of it meets a rule in Python on its way to the leaves: see `cuts`.
        self.cuts: bool = requires_grad and (function is CUT or any(c.cuts for c in inputs))
        self.output_index = output_index  # -1 where the function returns one value, not a tuple
        # Integers, and sums of losses, of leaves: evaluated eagerly where these are known, see `tape.evaluate_eagerly`.
        self.eager = (
            output_index < 0
            and (types[0].dtype in INDICES or exact)
            and bool(inputs)
            and all(c.function in (None, DATA) for c in inputs)
        )
        # How often the function has been applied to its own result: see `tape.MAX_REPEATS`.
        again = bool(inputs) and not requires_grad and types[0].shape == () and inputs[0].function is function
        self.repeats: int = inputs[0].repeats + 1 if again else 0
        self.plain = output_index < 0 and not self.eager and not again  # one result, which waits: see `function.record`
        self.step: Any = function, options, output_index  # the movement, of a view
        # By operation, the Python numbers it was called with beside this node: see `function` and `ops.indexing`.
        self.seen_constants: dict[Any, Any] = {}

    @property
    def ordinal(self) -> int:
        """The number of a leaf within its segment of the tape."""
        ordinal: int = self.options[0][1]
        return ordinal

    @property
    def call(self) -> tuple[Any, ...]:
        """What all outputs of one call have in common."""
        return self.function, self.inputs, self.options, self.grad


class Leaf(Protocol):
    """What recording and running programs need of a tensor."""

    spec: Type
    version: int  # counts writes to the array
    trace_node: TraceNode | None  # None for a tensor that holds a value and has no history
    # False, or what computed the tensor, where an operand was overwritten since: gradients cannot be computed any more.
    history_ended: Function | bool
    storage_view: Any  # the cache of `layout.storage_of`
    as_leaf: Any  # the cache of `segment.TapeSegment.add_leaf`
    _value: Any  # the array, None while pending
    _requires_grad: bool


MAX_INTERNED = 20_000  # nodes; bounds the cache of a loop whose shapes keep changing

_numbers = count()  # of nodes, in the order in which they are recorded
programs: dict[Any, Any] = {}
_interned: dict[Any, Any] = {}
_inferred: dict[Any, Any] = {}  # the types of a call's results, by its function, the types of its operands, its options


class StepTrace:
    """The trace of a whole step of training, as a method that the user wrote defines it.

    It notes what takes part in the step, and tells the state that the step reads from constants: the value of a
    constant may be read while the step is traced.
    """

    def __init__(self, method: str) -> None:
        self.method = method  # its name, for errors
        self.optimizers: list[Any] = []  # those that update parameters, each once
        self.draws: Sequence[tuple[Any, Any]] = ()  # seeds and streams of random numbers

    def note_update(self, optimizer: Any) -> None:
        """An optimizer updates parameters in this step."""
        if not any(known is optimizer for known in self.optimizers):
            self.optimizers.append(optimizer)


class _State(threading.local):
    def __init__(self) -> None:
        # Whether gradients are recorded. Each gradient tape that records has a bit of its own, from the second on.
        self.grad_enabled: int = True
        # A model is being traced: the current values of tensors must not be recorded. A `StepTrace` for a whole step.
        self.tracing: StepTrace | bool = False
        self.born = 0  # where a model is traced, the least version of tensors that were made in the trace
        self.inference = False  # tensors that are made now say that they were made in PyTorch's ``inference_mode``
        self.moving = False  # a view is made, by recorded calls
        self.refuses_nan = False  # `backward` raises where a gradient is NaN
        self.dtype: str | None = None  # of floats, for this thread; part of every node's key through its leaves


state = _State()

# The version of a tensor that is made now. Each trace raises it by more than there are writes, so that what is made in
# the trace, such as ``torch.zeros(4)``, is known from what was there before.
first_version = [0]
VERSIONS = 1 << 32


class _Caches:
    """The state of the caches of this process."""

    generation = 0  # how often they have been cleared: what tensors remember of them ends then


caches = _Caches()


def clear_caches() -> None:
    """Drop interned nodes and compiled programs, after a change of a setting that tensor functions read."""
    caches.generation += 1
    _interned.clear()
    _inferred.clear()
    programs.clear()


DATA = Function("data", lambda x: x)
# The same value as a node of its own, by which derivatives are taken: see `gradient_tape`.
WATCH = Function("watch", lambda x, tape: apply("reshape", x, shape=x.shape))
# The first operands as constants. Their gradients go on by a rule, which the last operand holds: see `cuts`.
CUT = Function("cut", lambda *nodes, values, **_: [apply("stop_gradient", n) for n in nodes[:values]])


def leaf_node(ordinal: int, type_: Type, requires_grad: bool, transposed: bool) -> TraceNode:
    """The node of a leaf."""
    # The fields of the type, not the type: tuples and strings hash faster than instances of a Python class.
    # An open extent equals a number that is none.
    key = (ordinal, type_.shape, is_open(type_.shape), type_.dtype, requires_grad, transposed, state.dtype)
    node = _interned.get(key)
    if node is None:
        node = _interned[key] = TraceNode(
            None, (), (("ordinal", ordinal),), (type_,), requires_grad, frozenset((ordinal,)), -1
        )
    return node


def intern(
    function: Function, inputs: tuple[TraceNode, ...], options: tuple[tuple[str, Any], ...], grad: int
) -> tuple[TraceNode, ...]:
    """The nodes of a call's results. Types are inferred once, by building the call's graph on fresh inputs."""
    key = (function, inputs or (state.dtype, _opens(options)), options, grad)
    known = _interned.get(key)
    if known is not None:
        return known
    if len(_interned) > MAX_INTERNED:
        clear_caches()
    types, is_tuple, exact = _inferred_types(function, inputs, options)
    requires_grad = bool(grad) and (function is WATCH or any(c.requires_grad for c in inputs))
    leaves = frozenset[int]().union(*(c.leaves for c in inputs))
    nodes = tuple(
        TraceNode(
            function,
            inputs,
            options,
            types,
            requires_grad and t.dtype in FLOATING,
            leaves,
            i if is_tuple else -1,
            grad,
            exact,
        )
        for i, t in enumerate(types)
    )
    _interned[key] = nodes
    return nodes


def _opens(options: tuple[tuple[str, Any], ...]) -> tuple[bool, ...]:
    """Whether each option that is a shape has an open extent."""
    return tuple([is_open(value) for _, value in options if isinstance(value, tuple)])


def _inferred_types(
    function: Function, inputs: tuple[TraceNode, ...], options: tuple[tuple[str, Any], ...]
) -> tuple[tuple[Type, ...], bool, bool]:
    """The types of a call's results, whether it returns a tuple, and whether it is one exact operation."""
    operands = tuple([(c.type.shape, is_open(c.type.shape), c.type.dtype) for c in inputs])
    key = function, operands, options, _opens(options), state.dtype
    known = _inferred.get(key) if function.is_local else None
    if known is None:
        result = function.body(*fresh_inputs(inputs), **dict(options))
        is_tuple = isinstance(result, (tuple, list))
        if wrong := [r for r in (result if is_tuple else [result]) if not isinstance(r, Node)]:
            raise TypeError(
                f"{function} returns a {type(wrong[0]).__name__}, not nodes of a graph. Annotate its operands, "
                "`def f(x: Node) -> Node`, and build nodes with ranvier.ops.arrays, or leave rv.function out."
            )
        types = tuple(n.type for n in result) if is_tuple else (result.type,)
        known = types, is_tuple, not is_tuple and result.shape == () and is_one_operation(result)
        _inferred[key] = known
    return known


def interned_over(root: TraceNode, known: dict[TraceNode, TraceNode]) -> TraceNode:
    """The same calls with other operands: ``known`` has by node what stands in its place, and gets what is made."""
    stack = [root]
    while stack:
        node = stack[-1]
        missing = [] if node in known else [c for c in node.inputs if c not in known]
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        if node not in known and node.function is None:
            known[node] = node
        elif node not in known and node.function is not None:
            inputs = tuple([known[c] for c in node.inputs])
            known[node] = intern(node.function, inputs, node.options, node.grad)[max(node.output_index, 0)]
    return known[root]


def is_one_operation(result: Node) -> bool:
    """Whether a graph is one operation that IEEE 754 defines to the last bit, such as a sum, besides conversions."""
    count = 0
    for node in topological([result]):
        if node.op.kind == "source":
            continue
        if node.op.kind == "elementwise" and not node.op.preserves:
            count += 1
        if node.op.kind not in ("elementwise", "movement") or node.op.cost > DIVISION:
            return False
    return count == 1


def fresh_inputs(inputs: Sequence[TraceNode]) -> list[Node]:
    """Input nodes of the graph that one call builds."""
    return [input_node(f"x{i}", c.type.shape, c.type.dtype) for i, c in enumerate(inputs)]


def lower(
    roots: Sequence[TraceNode],
    leaf_nodes: dict[int, Node],
    results: dict[Any, Any] | None = None,
    rows: int = 0,
    *,
    mixed: bool = False,
) -> list[Node]:
    """The graph of recorded calls, given graph nodes for their leaves. Iterative, because traces may be deep.

    ``results`` has the nodes of calls that were lowered before, and gets those of this call. ``rows``: see `called`;
    ``mixed``: `called_with_number`.
    """
    results = {} if results is None else results
    calls = _pending_calls(roots, results)
    loops = {steps.start: (steps, read) for steps, read in equal_steps.find(calls, roots)}

    def lowered(node: TraceNode) -> Node:
        return _lowered(node, results, leaf_nodes)

    place = 0
    while place < len(calls):
        if place in loops and loops[place][0].lower(lowered, loops[place][1], results, rows):
            place = loops[place][0].end
            continue
        node = calls[place]
        given = [lowered(i) for i in node.inputs]
        results[node.call] = called_with_number(node, given, rows) if mixed else called(node, given, rows)
        place += 1
    return [lowered(root) for root in roots]


def _pending_calls(roots: Sequence[TraceNode], results: dict[Any, Any]) -> list[TraceNode]:
    """The calls that the roots need and that have no results yet, each once, in the order of their recording.

    A call that takes one of many parts of its operand, such as a step's of a sequence, comes as early as it can: what
    follows in that step is then the same in all steps.
    """
    found: dict[Any, TraceNode] = {}
    stack, seen = list(roots), set[TraceNode]()
    while stack:
        node = stack.pop()
        if node.function is None or node in seen:
            continue
        seen.add(node)
        known = results.get(node.call)
        if known is None or (isinstance(known, dict) and max(node.output_index, 0) not in known):
            # A call recorded again after `intern` forgot it stands where it was first: others have read it there.
            found[node.call] = min(node, found.get(node.call, node), key=lambda each: each.number)
            stack.extend(node.inputs)
    calls = sorted(found.values(), key=lambda node: node.number)
    parts: Counter[Any] = Counter([(node.function, node.inputs) for node in calls if len(node.inputs) == 1])
    if not any(number >= equal_steps.LEAST_STEPS for number in parts.values()):
        return calls
    ordered: list[TraceNode] = []
    taken: dict[Any, list[TraceNode]] = {}  # parts, by the call whose result they are taken of
    for node in calls:
        if parts[node.function, node.inputs] >= equal_steps.LEAST_STEPS:
            source = node.inputs[0]
            is_pending = source.function is not None and source.call in found
            taken.setdefault(source.call if is_pending else None, []).append(node)
    moved = set(chain(*taken.values()))
    waiting = list(reversed([*taken.get(None, ()), *(node for node in calls if node not in moved)]))
    seen = set()
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            ordered.append(node)
            waiting.extend(reversed(taken.get(node.call, ())))
    return ordered


def _lowered(node: TraceNode, results: dict[Any, Any], leaf_nodes: dict[int, Node]) -> Node:
    if node.function is None:
        return leaf_nodes[node.ordinal]
    return results[node.call][max(node.output_index, 0)]

"""Recording: what makes a builder of nodes a function of tensors, and the gradients of what was recorded."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from ranvier.graph.grad import gradient
from ranvier.graph.node import FLOATS, Node, apply
from ranvier.tensor import tape
from ranvier.tensor.arguments import View, answering, freeze
from ranvier.tensor.context import no_grad
from ranvier.tensor.tape import Segment
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import Entry, Function, intern, state

VARIED = 3  # as many numbers at one place of a program are each a part of it; where there are more they are its data


def function(
    body: Callable[..., Any], joins: Callable[..., Any] | None = None, *, varying: bool = False
) -> Any:
    """Make a tensor function of a builder of nodes.

    Given tensors (or arrays, for the parameters annotated ``Node``) the call is recorded; given nodes it builds graph
    at once. Parameters annotated ``Node`` (or ``Node | None``) are operands, those annotated ``Sequence[Node]`` are
    sequences of operands, all others are options and must be hashable. A Python number or None given for an operand
    is part of the program; where numbers are all that is given, the first becomes a tensor. A value whose class has
    ``__tensor_function__``, such as a symbolic value, answers the call itself. For ``joins`` see `joining`, for
    ``varying`` `arithmetic`, for other arguments `viewed`.
    """
    return _function(body, joins, varying, {}, None)


def viewed(operation: Any, view: View) -> Any:
    """The same tensor function, with what it has recorded, whose arguments are those that a vocabulary shows."""
    return operation.viewed(view)


def same(one: Any, other: Any) -> bool:
    """Whether two functions are one tensor function, perhaps by another vocabulary's names."""
    return inspect.unwrap(one) is inspect.unwrap(other)


def _function(
    body: Callable[..., Any],
    joins: Callable[..., Any] | None,
    varying: bool,
    recorded: dict[tuple[Any, ...], Function],
    other: View | None,
) -> Any:
    view = other or View.of(body)
    order, known, defaults, required = view.order, view.known, view.defaults, view.required
    fixed, total, plain = tuple(defaults.items()), len(order), view.plain()

    def function_for(pattern: tuple[Any, ...]) -> Function:
        return recorded.get(pattern) or recorded.setdefault(pattern, _recorded(body, view, pattern))

    @functools.wraps(body)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not kwargs and (key := plain.get(len(args))) is not None:  # the usual call, and the quick way
            for arg in args:
                if not isinstance(arg, Tensor):
                    break
            else:
                return record(recorded.get(key) or function_for(key), args, fixed)
        if other is None and (Node in map(type, args) or (kwargs and Node in map(type, kwargs.values()))):
            return body(*args, **kwargs)
        given: dict[str, Any] = dict(zip(order, args, strict=False))
        for name, value in kwargs.items():
            target = known.get(name)
            if target is None or target in given:
                raise view.error(args, kwargs)
            given[target] = value
        if len(args) > total or (len(given) < total and not given.keys() >= required):
            raise view.error(args, kwargs)
        if other is not None and Node in map(type, given.values()):
            return body(**{**defaults, **given})
        tensors: list[Tensor] = []
        pattern: list[Any] = []
        options: list[tuple[str, Any]] = []
        answerer = _sort_out(view, given, tensors, pattern, options)
        if answerer is not None:
            if answerer is Node:
                return body(**{**defaults, **given})
            return answerer.__tensor_function__(call, args, kwargs)
        if varying and len(tensors) == len(options) == 1 and _varies(body, tensors[0], options[0][1]):
            name, value = options.pop()
            place = list(view.kinds).index(name)
            pattern[place] = name
            tensors.insert(place, Tensor.wrap(np.asarray(value, tensors[0].dtype)))
        if joins is not None and (arrays := tape.at_hand(tensors)) is not None:
            joined = _joined(joins, arrays, dict(options))
            if joined is not None:
                return joined
        return record(function_for(tuple(pattern)), tensors, tuple(options))

    call.__name__ = call.__qualname__ = view.name
    if defaults:  # with other defaults it is another function
        del call.__wrapped__
    call.__signature__ = view.signature  # type: ignore[attr-defined]  # what inspect reads
    call.operation = view.operation  # type: ignore[attr-defined]  # what a functional model records
    call.viewed = functools.partial(_function, body, joins, varying, recorded)  # type: ignore[attr-defined]  # see above
    return call


def _recorded(body: Callable[..., Any], view: View, pattern: tuple[Any, ...]) -> Function:
    """The recorded function for one way of giving operands: tensors by name, sequences by name and length."""
    if absent := [p[0] for p in pattern if p[-1] is type(None) and p[0] in view.tensors_only]:
        raise TypeError(
            f"{view.name} takes a tensor as {view.titles[absent[0]]}, and here is None. Does the function that should "
            "give it return something?"
        )

    def build(*nodes: Node, **options: Any) -> Any:
        rest = iter(nodes)
        for item in pattern:
            if isinstance(item, str):
                options[item] = next(rest)
            elif isinstance(item[1], int):
                options[item[0]] = [next(rest) for _ in range(item[1])]
        return body(**options)

    return Function(body.__name__, build)


def _sort_out(
    view: View,
    given: Mapping[str, Any],
    tensors: list[Tensor],
    pattern: list[Any],
    options: list[tuple[str, Any]],
) -> Any:
    """Sort the arguments of a call into tensors, the pattern that says which they are, and options.

    Returns what answers the call instead: a symbolic value, or `Node` where the operands are nodes; None otherwise.
    """
    for name, kind in view.kinds.items():
        if name not in given:
            if name in view.defaults:
                options.append((name, view.defaults[name]))
            continue
        value = given[name]
        if kind == "option":
            options.append((name, value if type(value) is int else freeze(value)))
        elif isinstance(value, Tensor) and kind == "operand":
            tensors.append(value)
            pattern.append(name)
        elif kind == "sequence":
            if len(value) and all(isinstance(v, Node) for v in value):
                return Node
            if (answerer := answering(value)) is not None:
                return answerer
            tensors += [v if isinstance(v, Tensor) else Tensor(v) for v in value]
            pattern.append((name, len(value)))
        elif isinstance(value, (np.ndarray, np.generic, list, tuple)):
            if isinstance(value, (list, tuple)) and (answerer := answering((value,))) is not None:
                return answerer
            tensors.append(Tensor(value))
            pattern.append(name)
        elif hasattr(value, "__tensor_function__"):
            return value
        else:  # 1, 1.0 and True are equal and hash alike, but make different programs; so do 0.0 and -0.0
            value = value if value == value else math.nan  # no nan equals another
            options.append((name, value))
            pattern.append((name, "-0" if value == 0 and str(value)[0] == "-" else type(value)))
    if not tensors and pattern:
        _first_as_tensor(tensors, pattern, options)
    return None


def _first_as_tensor(tensors: list[Tensor], pattern: list[Any], options: list[tuple[str, Any]]) -> None:
    """Make the first number a tensor, where numbers are all that is given for the operands."""
    for i, (name, value) in enumerate(options):
        place = next((p for p in range(len(pattern)) if pattern[p][0] == name), None)
        if place is not None and isinstance(value, (bool, int, float)):
            del options[i]
            pattern[place] = name
            tensors.append(Tensor(value))
            return


def arithmetic(body: Callable[..., Any]) -> Any:
    """`function` of two operands, of which a Python number becomes data of the program where it is seen to vary.

    A rate that decays or a weight that grows from step to step would make each step a program of its own.
    """
    return function(body, varying=True)


def _varies(operation: Any, tensor: Tensor, number: Any) -> bool:
    """Whether other numbers have stood where this one stands: with what was recorded so, in this operation."""
    if type(number) not in (int, float) or tensor.dtype not in FLOATS or state.tracing:
        return False
    entry = tensor.entry or tape.segment_of([tensor]).leaf(tensor)
    seen = entry.seen.setdefault(operation, set())
    if len(seen) <= VARIED:
        seen.add(number)
    return len(seen) > VARIED


def joining(by_numpy: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    """`function` for what joins tensors: it is done at once, with NumPy, where all of them are at hand.

    There may be many, taken anew each time from those that are kept (transitions of a game, say): and which of them are
    one tensor is a part of a program's structure, so that each draw would be a program of its own.
    """

    def decorate(body: Callable[..., Any]) -> Any:
        return function(body, by_numpy)

    return decorate


def _joined(joins: Callable[..., Any], arrays: list[Any], options: dict[str, Any]) -> Tensor | None:
    """Arrays of one dtype joined; None where NumPy refuses: then the function says why."""
    if len({array.dtype for array in arrays}) != 1:
        return None
    try:
        return Tensor.wrap(np.ascontiguousarray(joins(arrays, **options)))
    except (TypeError, ValueError):
        return None


def record(target: Function, tensors: Sequence[Tensor], options: tuple[tuple[str, Any], ...]) -> Any:
    segment = tape.segment_of(tensors)
    children = tuple([t.entry if t.entry is not None else segment.leaf(t) for t in tensors])
    entries = intern(target, children, options, state.grad_enabled)
    if entries[0].pick < 0:
        if entries[0].alone and (value := tape.at_once(entries[0], tensors, segment)) is not None:
            return Tensor.wrap(value, type_=entries[0].type)
        return Tensor.pending(entries[0], segment)
    return tuple(Tensor.pending(e, segment) for e in entries)


def _gradients(output: Node, *nodes: Node, seeded: bool) -> list[Node]:
    if seeded:
        return gradient(output, nodes[:-1], nodes[-1])
    return gradient(output if output.shape == () else apply("reshape", output, shape=()), nodes)


_gradients_function = Function("gradients", _gradients)


def gradients(output: Tensor, wrt: Sequence[Tensor], seed: Tensor | None = None) -> list[Tensor]:
    """The derivative of ``output`` by each tensor of ``wrt``, as tensors that may be differentiated again.

    Raises RuntimeError where the history of something that ``output`` was computed from has ended.
    """
    if output.entry is None and not any(output is w for w in wrt):
        raise RuntimeError("the output was not computed from any of these tensors")
    seeds = _seeds(output, seed)
    segment = tape.segment_of([output, *wrt, *seeds])
    return _derivatives(output, segment, [t.entry or segment.leaf(t) for t in wrt], seeds)


def _seeds(output: Tensor, seed: Any) -> list[Tensor]:
    """What the derivative of the final value by ``output`` is, none for one element. Raises RuntimeError for another
    shape or what is no float: it would be found where the gradients are computed, and whatever waits with them.
    """
    if seed is None:
        if any(extent != 1 for extent in output.shape):
            raise RuntimeError(
                f"the gradient of a tensor of shape {output.shape} needs a seed; reduce it with mean() or sum()."
            )
        return []
    given = seed if isinstance(seed, Tensor) else Tensor(seed)
    if given.shape != output.shape or given.dtype not in FLOATS:
        raise RuntimeError(
            f"the seed of a gradient is {given.spec}, and what is differentiated is {output.spec}. Write a seed of "
            f"{output.dtype} and of shape {output.shape}, or reduce with mean() or sum() and leave it out, instead."
        )
    return [given if given.dtype == output.dtype else converted(given, output.dtype)]


def reaches(output: Tensor, tensor: Tensor) -> bool:
    """Whether the gradient of ``output`` reaches a tensor: itself, a leaf, or a result that it was computed from."""
    entry, segment = output.entry, output.segment
    if output is tensor or entry is None or segment is None:
        return output is tensor
    if tensor.entry is None or tensor.entry.function is None:
        return segment.ordinals.get(id(tensor)) in entry.sources
    if tensor.segment is not segment:
        return False
    stack, seen = [entry], {entry}
    while stack:
        if stack[-1] is tensor.entry:
            return True
        fresh = {c for c in stack.pop().children if c.requires_grad} - seen
        stack += fresh
        seen |= fresh
    return False


def _derivatives(
    output: Tensor, segment: Segment, wrt: Sequence[Entry], seeds: Sequence[Tensor]
) -> list[Tensor]:
    """The derivatives by what is recorded as these entries, pending in the segment that all operands belong to."""
    ends, *given = [t.entry or segment.leaf(t) for t in (output, *seeds)]
    if any(segment.leaves[o].released for o in ends.sources):
        raise _ended()
    options = (("seeded", bool(seeds)),)
    entries = intern(_gradients_function, (ends, *wrt, *given), options, state.grad_enabled)
    return [Tensor.pending(entry, segment) for entry in entries]


def backward(
    output: Tensor,
    gradient: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the derivative of this tensor by every leaf that requires one, or by ``inputs``, to the leaf's ``grad``;
    with ``create_graph=True`` that may be differentiated again.

    What was recorded is kept in any case: ``retain_graph`` changes nothing. Raises RuntimeError when the tensor
    depends on no such leaf, or when its history ended because a tensor it was computed from has been overwritten
    since (by ``optimizer.step()``, say).
    """
    with nullcontext() if create_graph else no_grad():
        check_history(output)
        seeds = _seeds(output, gradient)
        segment = tape.segment_of([output, *seeds])
        # By what was read of each leaf: what has been assigned to it since, and waits, is another value.
        ends = output.entry or segment.leaf(output)
        reached = sorted(ends.sources)
        if inputs is not None:
            wanted = _leaves(inputs)
            reached = [o for o in reached if id(segment.leaves[o]) in wanted]
        parts = _derivatives(output, segment, [segment.entries[o] for o in reached], seeds)
        for leaf, part in zip([segment.leaves[o] for o in reached], parts, strict=True):
            leaf.grad = part if leaf.grad is None else add(leaf.grad, part)


def _leaves(inputs: Any) -> set[int]:
    """The leaves that gradients are to be added to, by their ids. Raises RuntimeError for a result."""
    wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for tensor in wanted:
        if not tensor.is_leaf:
            raise RuntimeError(
                f"the gradient of a result (of shape {tensor.shape}) is not kept. Write "
                "torch.autograd.grad(loss, x), which gives it, instead."
            )
    return set(map(id, wanted))


def check_history(output: Tensor) -> None:
    """Raise RuntimeError where no gradient goes from here to any leaf."""
    entry, segment = output.entry, output.segment
    if output.released or (entry is not None and segment is not None and segment.is_stale(entry)):
        raise _ended()
    if not output.requires_grad:
        raise RuntimeError(
            "this tensor depends on no tensor that requires a gradient. Was it computed under no_grad?"
        )


def _ended() -> RuntimeError:
    return RuntimeError(
        "this tensor's history ended: a tensor it was computed from has been overwritten since. "
        "Call backward() before optimizer.step(), or compute the loss again."
    )


@function
def detach(x: Node) -> Node:
    """``x``, taken as constant by gradients."""
    return apply("stop_gradient", x)


@function
def converted(x: Node, dtype: str) -> Node:
    """``x`` in another dtype."""
    return apply("cast", x, dtype=dtype)


@function
def kept(x: Node) -> Node:
    """``x`` as it is now, as something that was computed: what is assigned later does not change it."""
    return apply("reshape", x, shape=x.shape)


@function
def add(a: Node, b: Node) -> Node:
    """The sum of two tensors of one shape and dtype: gradients that meet at a leaf."""
    return a + b


def renamed(operation: Any, *names: str) -> Any:
    """The same tensor function, whose first parameters have a peer's names; ours are taken too."""
    body = inspect.unwrap(operation)
    own = list(inspect.signature(body).parameters.values())
    shown = [p.replace(name=names[i]) if i < len(names) else p for i, p in enumerate(own)]
    return viewed(
        operation, View(body, body.__name__, shown, [p.name for p in own], {p.name: p.name for p in own})
    )

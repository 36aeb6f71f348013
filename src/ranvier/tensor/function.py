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
from ranvier.support.errors import misfit
from ranvier.tensor import tape
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
    is part of the program. For ``joins`` see `joining`, for ``varying`` `arithmetic`, for other names `renamed`.
    """
    return _function(body, joins, varying, {}, ())


def renamed(operation: Any, *names: str) -> Any:
    """The same tensor function, with what it has recorded, whose first parameters have a peer's names; they are taken
    by those of ours too, as PyTorch takes NumPy's.
    """
    return operation.renamed(names)


def same(one: Any, other: Any) -> bool:
    """Whether two functions are one tensor function, perhaps by another vocabulary's names."""
    return inspect.unwrap(one) is inspect.unwrap(other)


def _function(
    body: Callable[..., Any],
    joins: Callable[..., Any] | None,
    varying: bool,
    recorded: dict[tuple[Any, ...], Function],
    peers: Sequence[str],
) -> Any:
    signature = inspect.signature(body)
    kinds = {p.name: _kind(str(p.annotation)) for p in signature.parameters.values()}
    names = list(kinds.items())
    required = [p.name for p in signature.parameters.values() if p.default is p.empty]
    tensors_only = {
        p.name for p in signature.parameters.values() if str(p.annotation) == "Node" and p.default is p.empty
    }
    own = dict(zip(peers, kinds, strict=False))  # by the peer's name, which errors tell
    told = {name: peer for peer, name in own.items()}
    shown = signature.replace(
        parameters=[p.replace(name=told.get(p.name, p.name)) for p in signature.parameters.values()]
    )
    # For so many arguments, where all of them may be tensors and the rest is left out.
    plain = {
        n: tuple(name for name, _ in names[:n])
        for n in range(max(len(required), 1), len(names) + 1)
        if all(kind == "operand" for _, kind in names[:n])
    }

    def function_for(pattern: tuple[Any, ...]) -> Function:
        """The recorded function for one way of giving operands: tensors by name, sequences by name and length."""
        known = recorded.get(pattern)
        if known is not None:
            return known
        if absent := [p[0] for p in pattern if p[-1] is type(None) and p[0] in tensors_only]:
            raise TypeError(
                f"{body.__name__} takes a tensor as {told.get(absent[0], absent[0])}, and here is None. Does the "
                "function that should give it return something?"
            )

        def build(*nodes: Node, **options: Any) -> Any:
            rest = iter(nodes)
            for item in pattern:
                if isinstance(item, str):
                    options[item] = next(rest)
                elif isinstance(item[1], int):
                    options[item[0]] = [next(rest) for _ in range(item[1])]
            return body(**options)

        return recorded.setdefault(pattern, Function(body.__name__, build))

    @functools.wraps(body)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not kwargs and (key := plain.get(len(args))) is not None:  # the usual call, and the quick way
            for arg in args:
                if not isinstance(arg, Tensor):
                    break
            else:
                return record(recorded.get(key) or function_for(key), args, ())
        if kwargs and own:
            kwargs = {own.get(name, name): value for name, value in kwargs.items()}
        if Node in map(type, args) or (kwargs and Node in map(type, kwargs.values())):
            return body(*args, **kwargs)
        if kwargs or len(args) < len(required) or len(args) > len(names):
            named = {told.get(name, name): value for name, value in kwargs.items()} if own else kwargs
            given = bound(shown, args, named, body.__name__)
            items = [(name := own.get(n, n), kinds[name], value) for n, value in given.items()]
        else:
            items = [(name, kind, value) for (name, kind), value in zip(names, args, strict=False)]
        tensors: list[Tensor] = []
        pattern: list[Any] = []
        options: list[tuple[str, Any]] = []
        for name, kind, value in items:
            if kind == "operand":
                if isinstance(value, Tensor):
                    tensors.append(value)
                    pattern.append(name)
                elif isinstance(value, (np.ndarray, list, np.generic)):
                    tensors.append(Tensor(value))
                    pattern.append(name)
                elif hasattr(value, "__tensor_function__"):  # see module.symbolic
                    return value.__tensor_function__(call, args, kwargs)
                else:  # 1, 1.0 and True are equal and hash alike, but make different programs; so do 0.0 and -0.0
                    value = value if value == value else math.nan  # no nan equals another
                    options.append((name, value))
                    pattern.append((name, "-0" if value == 0 and str(value)[0] == "-" else type(value)))
            elif kind == "option":
                options.append((name, value if type(value) is int else freeze(value)))
            else:
                if len(value) and all(isinstance(v, Node) for v in value):
                    return body(*args, **kwargs)
                described = [v for v in value if hasattr(v, "__tensor_function__")]
                if described:
                    return described[0].__tensor_function__(call, args, kwargs)
                tensors += [v if isinstance(v, Tensor) else Tensor(v) for v in value]
                pattern.append((name, len(value)))
        if varying and len(tensors) == len(options) == 1 and _varies(body, tensors[0], options[0][1]):
            name, value = options.pop()
            place = list(kinds).index(name)
            pattern[place] = name
            tensors.insert(place, Tensor.wrap(np.asarray(value, tensors[0].dtype)))
        if joins is not None and (arrays := tape.at_hand(tensors)) is not None:
            joined = _joined(joins, arrays, dict(options))
            if joined is not None:
                return joined
        return record(function_for(tuple(pattern)), tensors, tuple(options))

    call.__wrapped__ = body
    call.__signature__ = shown  # type: ignore[attr-defined]  # what inspect reads
    call.renamed = functools.partial(_function, body, joins, varying, recorded)  # type: ignore[attr-defined]  # see above
    return call


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


def bound(signature: inspect.Signature, args: Any, kwargs: Any, name: str) -> Mapping[str, Any]:
    """The arguments of a call. Raises TypeError where they are not the function's, as those are that NumPy gives."""
    try:
        return signature.bind(*args, **kwargs).arguments
    except TypeError as error:
        if "out" in kwargs:
            if kwargs["out"] is not None:
                raise no_out(name) from None
            raise TypeError(
                f"np.{name} cannot be taken of a tensor. Write x.{name}(...) or rv.numeric.{name}(x, ...) instead."
            ) from None
        raise misfit(name, signature, args, kwargs) or error from None


def no_out(name: str) -> TypeError:
    """The error for ``out=``, which PyTorch's functions write their result into."""
    return TypeError(
        f"{name} has no argument 'out'. Write y = {name}(...), or y.copy_({name}(...)), instead."
    )


def _kind(annotation: str) -> str:
    if "Node" not in annotation:
        return "option"
    return "sequence" if "Sequence" in annotation else "operand"


def freeze(value: Any) -> Any:
    """An option as a part of a key: a list as a tuple, and one nan for all, as no nan equals another."""
    if isinstance(value, (list, tuple)):
        return tuple(freeze(v) for v in value)
    return math.nan if isinstance(value, float) and math.isnan(value) else value


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

"""Tensor functions: `function` makes one of a builder of nodes. Calls on tensors are recorded on the tape."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ranvier.graph.dtypes import ELEMENT_TYPES, FLOATING, FLOATS, STORAGE, merged, promote
from ranvier.graph.node import Node, apply
from ranvier.graph.scan import stack
from ranvier.support.foreign import check_own
from ranvier.tensor import tape
from ranvier.tensor.arguments import ParameterMap, find_handler, freeze
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import Function, intern, state

MAX_CONSTANTS = 3  # different numbers of one operand that get a program each; further ones are passed as data


def function(body: Callable[..., Any], by_numpy: Callable[..., Any] | None = None, *, varying: bool = False) -> Any:
    """Make a tensor function of a builder of nodes.

    Parameters annotated ``Node`` (or ``Node | None``) are operands, those annotated ``Sequence[Node]`` are sequences of
    operands, and all others are options, which must be hashable. A call on tensors (or arrays) is recorded; a call on
    nodes builds graph. A Python number or None given for an operand is part of the program; where all operands are
    numbers, the first becomes a tensor. A value whose class has ``__tensor_function__``, such as a symbolic value,
    handles the call itself. See `joining` for ``by_numpy``, `arithmetic` for ``varying``, `with_parameters` for other
    names.
    """
    return _function(body, by_numpy, varying, {}, None)


def with_parameters(operation: Any, mapping: ParameterMap) -> Any:
    """The same tensor function with the parameters of a vocabulary; both record the same calls."""
    return operation.with_parameters(mapping)


def same_function(one: Any, other: Any) -> bool:
    """Whether two callables are one tensor function, perhaps with the parameters of another vocabulary."""
    return inspect.unwrap(one) is inspect.unwrap(other)


def _function(
    body: Callable[..., Any],
    by_numpy: Callable[..., Any] | None,
    varying: bool,
    recorded: dict[tuple[Any, ...], Function],
    other: ParameterMap | None,
) -> Any:
    mapping = other or ParameterMap.of(body)
    order, known, defaults, required = mapping.order, mapping.known, mapping.defaults, mapping.required
    fixed, total, all_tensors = tuple(defaults.items()), len(order), mapping.all_tensors()

    def function_for(pattern: tuple[Any, ...]) -> Function:
        return recorded.get(pattern) or recorded.setdefault(pattern, _recorded(body, mapping, pattern))

    @functools.wraps(body)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not kwargs and (key := all_tensors.get(len(args))) is not None:  # the usual call, kept fast
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
                raise mapping.error(args, kwargs)
            given[target] = value
        if len(args) > total or (len(given) < total and not given.keys() >= required):
            raise mapping.error(args, kwargs)
        if other is not None and Node in map(type, given.values()):
            return body(**{**defaults, **given})
        tensors: list[Tensor] = []
        pattern: list[Any] = []
        options: list[tuple[str, Any]] = []
        handler = _classify(mapping, given, tensors, pattern, options)
        if handler is not None:
            if handler is Node:
                return body(**{**defaults, **given})
            return handler.__tensor_function__(call, args, kwargs)
        if mapping.operation and options and tensors and all(t.dtype == "bool" for t in tensors):
            _numbers_as_int32(mapping, tensors, pattern, options)
        if varying and len(tensors) == len(options) == 1 and _is_varying(body, tensors[0], options[0][1]):
            name, value = options.pop()
            position = list(mapping.kinds).index(name)
            pattern[position] = name
            tensors.insert(position, Tensor.wrap(np.asarray(value, tensors[0].dtype)))
        if by_numpy is not None and (arrays := tape.ready_arrays(tensors)) is not None:
            joined = _joined(by_numpy, arrays, dict(options))
            if joined is not None:
                return joined
        return record(function_for(tuple(pattern)), tensors, tuple(options))

    call.__name__ = call.__qualname__ = mapping.name
    if defaults:  # which make it another function
        del call.__wrapped__
    call.__signature__ = mapping.signature  # type: ignore[attr-defined]  # what inspect reads
    call.operation = mapping.operation  # type: ignore[attr-defined]  # what a functional model records
    call.with_parameters = functools.partial(_function, body, by_numpy, varying, recorded)  # type: ignore[attr-defined]  # see above
    return call


def _recorded(body: Callable[..., Any], mapping: ParameterMap, pattern: tuple[Any, ...]) -> Function:
    """The recorded function for a pattern of operands: tensors by name, sequences by name and length, numbers by name
    and type. Raises TypeError for None in place of a tensor.
    """
    if absent := [p[0] for p in pattern if p[-1] is type(None) and p[0] in mapping.tensors_only]:
        raise TypeError(
            f"{mapping.name} takes a tensor as {mapping.titles[absent[0]]}, and here is None. Does the function that "
            "should give it return something?"
        )

    def build(*nodes: Node, **options: Any) -> Any:
        rest = iter(nodes)
        for item in pattern:
            if isinstance(item, str):
                options[item] = next(rest)
            elif isinstance(item[1], int):
                options[item[0]] = [next(rest) for _ in range(item[1])]
        return _widening(body, nodes, options)

    return Function(body.__name__, build)


def _widening(body: Callable[..., Any], nodes: Sequence[Node], options: dict[str, Any]) -> Any:
    """The body's result. Storage types among the operands are widened to what programs compute in, and floats of the
    result are stored again in the type in which the operands meet: each function rounds once.
    """
    dtype = options.get("dtype")
    if dtype not in STORAGE and not any(node.dtype in STORAGE for node in nodes):
        return body(**options)
    stored = dtype
    if dtype is None:
        floats = [node for node in nodes if node.dtype in FLOATING]
        stored = merged(*(promote(n.dtype for n in floats if bool(n.ndim) is ranked) for ranked in (True, False)))
    if dtype in STORAGE:
        options["dtype"] = ELEMENT_TYPES[dtype].arithmetic
    result = body(**{name: _widened(value) for name, value in options.items()})
    if stored not in STORAGE:
        return result
    wide = ELEMENT_TYPES[stored].arithmetic

    def narrowed(node: Any) -> Any:
        return apply("cast", node, dtype=stored) if node.dtype == wide else node

    return type(result)(map(narrowed, result)) if isinstance(result, (tuple, list)) else narrowed(result)


def _widened(value: Any) -> Any:
    if isinstance(value, list):
        return [_widened(v) for v in value]
    if isinstance(value, Node) and value.dtype in STORAGE:
        return apply("cast", value, dtype=ELEMENT_TYPES[value.dtype].arithmetic)
    return value


def _classify(
    mapping: ParameterMap,
    given: Mapping[str, Any],
    tensors: list[Tensor],
    pattern: list[Any],
    options: list[tuple[str, Any]],
) -> Any:
    """Append the arguments of a call to ``tensors`` or ``options``, and the operands to ``pattern``.

    Returns None, or what handles the call instead: a symbolic value, or `Node` where the operands are nodes.
    """
    for name in mapping.no_numbers:
        if type(number := given.get(name)) in (int, float, bool):
            raise TypeError(
                f"{mapping.name} takes a tensor as {mapping.titles[name]}, and here is {number}. Write "
                f"torch.tensor({number}) instead."
            )
    for name, kind in mapping.kinds.items():
        if name not in given:
            if name in mapping.defaults:
                options.append((name, mapping.defaults[name]))
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
            if (handler := find_handler(value)) is not None:
                return handler
            tensors += [v if isinstance(v, Tensor) else Tensor(v) for v in value]
            pattern.append((name, len(value)))
        elif isinstance(value, (np.ndarray, np.generic, list, tuple)):
            if isinstance(value, (list, tuple)) and (handler := find_handler((value,))) is not None:
                return handler
            tensors.append(_one_tensor(value))
            pattern.append(name)
        elif hasattr(value, "__tensor_function__"):
            return value
        elif hasattr(value, "__array__"):  # a column of pandas, a tensor of another library
            check_own(value)
            tensors.append(Tensor(value))
            pattern.append(name)
        else:  # 1, 1.0 and True are equal and have one hash, but make different programs; so do 0.0 and -0.0
            value = value if value == value else math.nan  # one object for all nan, none of which equals another
            options.append((name, value))
            pattern.append((name, "-0" if value == 0 and str(value)[0] == "-" else type(value)))
    if not tensors and pattern:
        _promote_first_number(tensors, pattern, options)
    return None


def _promote_first_number(tensors: list[Tensor], pattern: list[Any], options: list[tuple[str, Any]]) -> None:
    """Make the first number a tensor, where all operands are numbers."""
    for i, (name, value) in enumerate(options):
        position = next((p for p in range(len(pattern)) if pattern[p][0] == name), None)
        if position is not None and isinstance(value, (bool, int, float)):
            del options[i]
            pattern[position] = name
            tensors.append(Tensor(value))
            return


def _numbers_as_int32(
    mapping: ParameterMap, tensors: list[Tensor], pattern: list[Any], options: list[tuple[str, Any]]
) -> None:
    """Make tensors of int32 of the whole numbers beside bool tensors: Keras's, whose integers are int32."""
    for name, value in list(options):
        if type(value) is int and mapping.kinds[name] == "operand":
            options.remove((name, value))
            place = list(mapping.kinds).index(name)
            pattern[next(i for i, p in enumerate(pattern) if p[0] == name)] = name
            tensors.insert(min(place, len(tensors)), Tensor.wrap(np.asarray(value, np.int32)))


def arithmetic(body: Callable[..., Any]) -> Any:
    """`function` of two operands, where a Python number that varies from call to call becomes data of the program.

    A decaying rate, or a weight that grows with each step, would otherwise compile a program for each step.
    """
    return function(body, varying=True)


def _is_varying(operation: Any, tensor: Tensor, number: Any) -> bool:
    """Whether this operation has been called on the same recorded operand with several numbers."""
    if type(number) not in (int, float) or tensor.dtype not in FLOATS or state.tracing:
        return False
    node = tensor.trace_node or tape.segment_of([tensor]).leaf_node(tensor)
    seen = node.seen_constants.setdefault(operation, set())
    if len(seen) <= MAX_CONSTANTS:
        seen.add(number)
    return len(seen) > MAX_CONSTANTS


def joining(by_numpy: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    """`function` for concatenation and its like: NumPy does it at once where no operand is pending.

    The operands may be many and drawn anew for each call, such as transitions from a replay buffer. Which of them are
    the same tensor is part of a program's structure, so each draw would compile a program.
    """

    def decorate(body: Callable[..., Any]) -> Any:
        return function(body, by_numpy)

    return decorate


def _joined(by_numpy: Callable[..., Any], arrays: list[Any], options: dict[str, Any]) -> Tensor | None:
    """The result by NumPy; None where NumPy refuses, so that the function raises its own error."""
    if len({array.dtype for array in arrays}) != 1:
        return None
    try:
        return Tensor.wrap(np.ascontiguousarray(by_numpy(arrays, **options)))
    except (TypeError, ValueError):
        return None


def record(target: Function, tensors: Sequence[Tensor], options: tuple[tuple[str, Any], ...]) -> Any:
    """Record a call on tensors; returns its result, a tuple where the function returns several."""
    segment = tape.segment_of(tensors)
    # As `segment.node_of` does, without a call for each operand.
    inputs = tuple([t.trace_node if t.trace_node is not None else segment.leaf_node(t) for t in tensors])
    nodes = intern(target, inputs, options, state.grad_enabled)
    node = nodes[0]
    if node.plain:
        return Tensor.pending(node, segment)
    if node.output_index < 0:
        if node.eager and not state.moving and (value := tape.evaluate_eagerly(node, tensors, segment)) is not None:
            result = Tensor.wrap(value, type_=node.type)
            result._requires_grad = node.requires_grad
            result.history_ended = node.requires_grad and target
            return result
        result = Tensor.pending(node, segment)
        if node.repeats >= tape.MAX_REPEATS and not state.tracing:
            tape.flush(segment)
        return result
    return tuple([Tensor.pending(n, segment) for n in nodes])


def _one_tensor(value: Any) -> Tensor:
    """An array-like as a tensor. Lists of tensors that are pending or have gradients, such as those of losses, are
    recorded: their values may not be there yet, and gradients reach them.
    """
    if not _holds_recorded(value):
        return Tensor(value)
    parts = [part if isinstance(part, Tensor) else _one_tensor(part) for part in value]
    shapes = dict.fromkeys(part.shape for part in parts)
    if len(shapes) != 1:
        raise ValueError(
            f"tensors of the shapes {', '.join(map(str, shapes))} in a list are no tensor. Write tensors of one shape, "
            "or concatenate them, instead."
        )
    joined: Tensor = stacked(parts)
    return joined


def _holds_recorded(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.requires_grad or value.known is None
    return isinstance(value, (list, tuple)) and any(map(_holds_recorded, value))


@function
def stacked(tensors: Sequence[Node]) -> Node:
    """Tensors of one shape along a new first axis, in the dtype in which they meet."""
    dtype = promote(x.dtype for x in tensors)
    return stack([x if x.dtype == dtype else apply("cast", x, dtype=dtype) for x in tensors], 0)


@function
def detach(x: Node) -> Node:
    """``x`` as a constant for gradients."""
    return apply("stop_gradient", x)


@function
def converted(x: Node, dtype: str) -> Node:
    """``x`` in another dtype."""
    return apply("cast", x, dtype=dtype)


@function
def snapshot(x: Node) -> Node:
    """The present value of ``x``, which later assignments to it do not change."""
    return apply("reshape", x, shape=x.shape)


@function
def add(a: Node, b: Node) -> Node:
    """The sum of two tensors of one shape and dtype: gradients that accumulate in a leaf."""
    return a + b

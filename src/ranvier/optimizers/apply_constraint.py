"""The constraint of a weight as part of the step's program."""

from __future__ import annotations

from typing import Any

from ranvier.graph.node import GraphError, Node, constant
from ranvier.tensor import tape, trace
from ranvier.tensor.call_state import isolated_tape
from ranvier.tensor.check_returned import callable_name, check_tensor
from ranvier.tensor.tensor import Tensor, leaves_of


def constrained(constraint: Any, w: Node) -> Node:
    """A weight's new value after its constraint, which is any function of one tensor.

    Raises GraphError if it changes the shape or dtype.
    """
    with isolated_tape():
        leaf = Tensor.placeholder(w.type)
        result = check_tensor(
            constraint(leaf), f"the constraint {callable_name(constraint)}", "a tensor of the weight's shape"
        )
        segment = tape.segment_of([result])
    if result.spec != w.type:
        raise GraphError(
            f"the constraint {constraint!r} returns {result.spec} for a weight of {w.type}: write one that "
            "keeps its shape and dtype"
        )
    nodes = {o: w if known is leaf else value_of(known) for o, known in enumerate(leaves_of(segment))}
    return trace.lower([segment.node_of(result)], nodes)[0]


def value_of(leaf: Tensor) -> Node:
    """What a constraint reads besides the weight: numbers and arrays, which are constants of the program."""
    return constant(leaf.compute(), leaf.dtype)

"""The graph of one recorded call, on operands of the recorded types or with a symbol for their rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier.graph.extents import ExtentError, Shape
from ranvier.graph.node import BATCH, GraphError, GraphExtentError, Node, apply
from ranvier.graph.simplify import rejoined


def called(call: Any, given: Sequence[Node], rows: int = 0) -> list[Node]:
    """The results of a call, a trace node, on these operands.

    ``rows``: what the symbol of a batch stands for, where operands have it now and had this number when the call was
    recorded. A shape that begins with it then does so too, as that of ``x.view(x.shape[0], -1)``. Raises
    GraphExtentError where the results do not have the recorded shapes.
    """
    options = dict(call.options)
    shape = options.get("shape") if rows and given and given[0].shape[:1] == (BATCH,) else None
    if isinstance(shape, tuple) and shape[:1] == call.inputs[0].type.shape[:1] == (rows,):
        options["shape"] = (BATCH, *shape[1:])
    made = call.function.body(*given, **options)
    results = list(made) if isinstance(made, (tuple, list)) else [rejoined(made) or made]
    if rows and [with_rows(node.shape, rows) for node in results] != [type_.shape for type_ in call.types]:
        raise GraphExtentError(f"{call.function} has other shapes with a symbol for {rows} rows than with the number")
    return results if call.grad else [apply("stop_gradient", node) for node in results]


def called_with_number(call: Any, given: Sequence[Node], rows: int) -> list[Node]:
    """`called`; a call that wants the number of rows, such as ``x.view(-1, 8)`` of sequences, has it.

    Raises what the call raises where that may not be: a loop over time is to have the symbol or nothing, and gradients
    are taken by the very nodes.
    """
    try:
        return called(call, given, rows)
    except (GraphError, ExtentError):
        symbolic = [node for node in given if BATCH in node.shape]
        if call.function.name == "scan" or not call.function.is_local or any(BATCH in n.shape[1:] for n in symbolic):
            raise
        if not symbolic:
            raise
        numbers = [
            apply("reshape", n, shape=with_rows(n.shape, rows), rows=rows) if n in symbolic else n for n in given
        ]
        return called(call, numbers)


def with_rows(shape: Shape, rows: int) -> Shape:
    """A shape with the number of rows in place of its symbol."""
    return tuple(rows if d is BATCH else d for d in shape)


def rows_between(recorded: Sequence[Shape], given: Sequence[Shape]) -> int:
    """What the symbol of a batch in given shapes stands for, which were recorded with a number; 0 without one."""
    pairs = (pair for shapes in zip(recorded, given, strict=True) for pair in zip(*shapes, strict=False))
    return next((d for d, e in pairs if e is BATCH and isinstance(d, int)), 0)

"""The body of a loop whose samples stay apart, with its first extent as the batch: threads then divide the samples.

In a program for a batch of a known size, threads would divide every operation of a step for itself, and wait for each
other after each one.
"""

from __future__ import annotations

from typing import Any

from ranvier.graph.contraction import plain
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, apply

LEAST_ROWS = 8  # of which each thread takes some


def symbolic_rows(graph: Graph, varying: int) -> tuple[Graph, int] | None:
    """The graph with a symbolic first extent, and that extent; None where its rows do not stay apart.

    The first ``varying`` inputs have rows.
    """
    given = graph.inputs[:varying]
    counts = {node.shape[:1] for node in given}
    if len(counts) != 1 or any(BATCH in node.shape for node in graph.nodes()):
        return None
    (shape,) = counts
    if not shape or not isinstance(shape[0], int) or shape[0] < LEAST_ROWS:
        return None
    rows, result = shape[0], dict[Node, Node]()
    for node in given:
        result[node] = apply("input", **{**node.attrs, "shape": (BATCH, *node.shape[1:])})
    known = set(given)
    for node in graph.nodes():
        if node in result:
            continue
        if not any(i in known for i in node.inputs):
            result[node] = node.on(tuple(result[i] for i in node.inputs))
            continue
        made = _with_rows(node, [result[i] for i in node.inputs], [i in known for i in node.inputs], rows)
        if made is None:
            return None
        result[node] = made
        known.add(node)
    if not known.issuperset(graph.outputs):
        return None
    inputs = tuple(result[node] for node in graph.inputs)
    return Graph(inputs, tuple(result[node] for node in graph.outputs)), rows


def _with_rows(node: Node, inputs: list[Node], has_rows: list[bool], rows: int) -> Node | None:
    """The operation on operands of which some have symbolic rows; None where its rows do not stay apart."""
    name, attrs = node.op.name, node.attrs
    if name == "contract":
        return _product(node, inputs, has_rows)
    if node.op.kind == "elementwise" or name == "concatenate":
        if attrs.get("axis") == 0:
            return None
        spread = [i if known else _spread(i, rows) for i, known in zip(inputs, has_rows, strict=True)]
        found = [i for i in spread if i is not None]
        return apply(name, *found, **attrs) if len(found) == len(spread) else None
    if name == "gather":
        batch = attrs.get("batch", 0)
        apart = has_rows == ([True, True] if batch else [False, True])
        return apply(name, *inputs, **attrs) if apart else None
    if not has_rows[0] or any(has_rows[1:]) or not _keeps_rows(node):
        return None
    changed: dict[str, Any] = {**attrs}
    if name in ("reshape", "broadcast"):
        changed["shape"] = (BATCH, *node.shape[1:])
    return apply(name, *inputs, **changed)


def _keeps_rows(node: Node) -> bool:
    """Whether row i of a movement or a reduction is made of row i of its first operand."""
    rule = node.op.keeps_rows
    if rule is None or node.op.kind not in ("movement", "reduce") or node.op.name == "windows":
        return False
    return node.ndim > 0 and node.shape[:1] == node.inputs[0].shape[:1] and rule(node)[0]


def _spread(node: Node, rows: int) -> Node | None:
    """What is the same for all rows, in symbolic rows; None for other nodes."""
    if node.shape[:1] != (rows,):
        return None
    shape = (BATCH, *node.shape[1:])
    if node.op.name == "broadcast" and 0 not in node.attrs["axes"]:
        return apply("broadcast", node.inputs[0], shape=shape, axes=node.attrs["axes"])
    return apply("random", *node.inputs, **{**node.attrs, "shape": shape}) if node.op.name == "random" else None


def _product(node: Node, inputs: list[Node], has_rows: list[bool]) -> Node | None:
    """A product of each row on its own: the rows are its first loop."""
    attrs, (row,) = node.attrs, plain(0)
    for functions, known in zip(attrs["index"], has_rows, strict=True):
        own = functions[:1] == (row,)
        others = functions[1:] if own else functions
        if own is not known or any(loop == 0 for terms, _ in others for loop, _ in terms):
            return None
    return apply("contract", *inputs, **{**attrs, "loops": (BATCH, *attrs["loops"][1:])})

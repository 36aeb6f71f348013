"""A computation in blocks: one block after the other, each of which the gradient may compute again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ranvier.graph.graph import Graph, input_node
from ranvier.graph.loops import scan
from ranvier.graph.node import Node, apply, extent
from ranvier.ops import arrays as n

Body = Callable[[list[Node], list[Node], Node], tuple[Node, ...]]


def in_blocks(
    body: Body, divided: Sequence[tuple[Node, int]], whole: Sequence[Node], size: int, axis: int, recompute: bool = True
) -> Node:
    """The first value of ``body(blocks, whole, number)`` for each block of ``size`` positions, joined along ``axis``.

    ``divided`` are values and the axis along which each is divided, of a multiple of the size. With ``recompute``, no
    more than the body's values is kept of each block, so the memory that the body needs is that of one block. What the
    gradient must not compute again is among them: it reads them.
    """
    x, along = divided[0]
    count = extent(x, along) // size
    stacks = [_stacked(x, along, size, axis) for x, along in divided]
    stacks.append(apply("iota", shape=(1,) * axis + (count,), dtype="int32", axis=axis))
    blocks = [input_node(f"b{i}", (*s.shape[:axis], *s.shape[axis + 1 :]), s.dtype) for i, s in enumerate(stacks)]
    constants = [input_node(f"w{i}", x.shape, x.dtype) for i, x in enumerate(whole)]
    results = body(blocks[:-1], constants, apply("reshape", blocks[-1], shape=()))
    graph = Graph((*blocks, *constants), results)
    made, *_ = scan(graph, [], stacks, whole, length=count, axis=axis, recompute=recompute)
    shape = results[0].shape
    return n.reshape(made, (*shape[:axis], count * size, *shape[axis + 1 :]))


def _stacked(x: Node, along: int, size: int, axis: int) -> Node:
    """The blocks of a value in an axis of their own."""
    apart = n.reshape(x, (*x.shape[:along], extent(x, along) // size, size, *x.shape[along + 1 :]))
    order = [i for i in range(apart.ndim) if i != along]
    order.insert(axis, along)
    return n.transpose(apart, tuple(order)) if along != axis else apart

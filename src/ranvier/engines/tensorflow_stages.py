"""Steps whose convolutions are TensorFlow's own kernels, and of which XLA compiles the parts between them.

XLA's convolutions take up to twice as long on a processor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from ranvier.engines.contractions import Geometry, contraction, plain_positions, trimmed, with_padding
from ranvier.engines.pools import POOL, UNPOOL, with_pools
from ranvier.engines.tables import PICKING, Table
from ranvier.graph.graph import Graph
from ranvier.graph.node import Node

Array = Any
REPEATED = ("broadcast", "reshape")  # computed again where a later part needs it, rather than kept


def transpose(x: Array, axes: Sequence[int]) -> Array:
    """The axes in this order. What was transposed before is not transposed twice."""
    if x.op.type == "Transpose" and (before := tf.get_static_value(x.op.inputs[1])) is not None:
        x, axes = x.op.inputs[0], [int(before[axis]) for axis in axes]
    return x if list(axes) == list(range(len(axes))) else tf.transpose(x, axes)


def reshape(a: Sequence[Array], s: Any, e: Any) -> Array:
    return a[0] if tuple(a[0].shape) == tuple(s["shape"]) else tf.reshape(a[0], s["shape"])


def padded(sides: Sequence[int], places: Sequence[int], of: Geometry) -> dict[str, Any]:
    """The arguments of a padding of images, by its name where it has one, as oneDNN wants it."""
    along = zip(sides, of.strides, of.spans(places), strict=True)
    needed = [max(0, (-(-n // s) - 1) * s + span + 1 - n) for n, s, span in along]
    named = {"VALID": [(0, 0)] * len(places), "SAME": [(n // 2, n - n // 2) for n in needed]}
    for name, widths in named.items():
        if widths == list(of.padding):
            return {"padding": name}
    return {"padding": "EXPLICIT", "explicit_paddings": [0, 0, *(n for pair in of.padding for n in pair), 0, 0]}


def convolve(x: Array, w: Array, of: Geometry) -> Array:
    places, found = list(w.shape[:2]), of.results(x.shape[1:3], w.shape[:2])
    has_more_places = math.prod(places) > math.prod(found)
    x, of = trimmed(PICKING, x, of, of.dilations if has_more_places else of.strides)
    sides, strides, dilations = list(x.shape[1:3]), [1, *of.strides, 1], [1, *of.dilations, 1]
    if not has_more_places:
        options = padded(sides, places, of)
        return tf.raw_ops.Conv2D(input=x, filter=w, strides=strides, dilations=dilations, **options)
    # The same sums as the gradient of a convolution by its weights: this has more places than positions.
    options = padded(sides, found, of._replace(strides=of.dilations, dilations=of.strides))
    made = tf.raw_ops.Conv2DBackpropFilter(
        input=transpose(x, (3, 1, 2, 0)), filter_sizes=[*found, x.shape[0], w.shape[-1]],
        out_backprop=transpose(w, (2, 0, 1, 3)), strides=dilations, dilations=strides, **options,
    )  # fmt: skip
    return transpose(made, (2, 0, 1, 3))


def turned(x: Array, w: Array, of: Geometry) -> Array:
    """A convolution with the places of ``w`` backward, as the gradient of one by its images."""
    places, steps = list(w.shape[:2]), [n + 1 for n in of.between]
    spans = of.spans(places)
    cut = [(span - low, span - high) for span, (low, high) in zip(spans, of.padding, strict=True)]
    if any(low < 0 or high <= -step for (low, high), step in zip(cut, steps, strict=True)):
        return convolve(x, tf.reverse(w, [0, 1]), of)
    whole = [(n - 1) * step + span + 1 for n, step, span in zip(x.shape[1:3], steps, spans, strict=True)]
    sides = [n - sum(pair) for n, pair in zip(whole, cut, strict=True)]
    back = of._replace(strides=steps, padding=[(low, max(high, 0)) for low, high in cut])
    return tf.raw_ops.Conv2DBackpropInput(
        input_sizes=[x.shape[0], *sides, w.shape[-1]], filter=transpose(w, (0, 1, 3, 2)), out_backprop=x,
        strides=[1, *steps, 1], dilations=[1, *of.dilations, 1], **padded(sides, places, back),
    )  # fmt: skip


def max_pool(a: Sequence[Array], s: Any, e: Any) -> tuple[Array, Any]:
    """The maxima, and as their places the images and the maxima, from which TensorFlow finds them."""
    found = tf.raw_ops.MaxPool(input=a[0], **windows_of(s))
    return found, (a[0], found)


def max_unpool(a: Sequence[Array], s: Any, e: Any) -> Array:
    g, (images, found) = a
    return tf.raw_ops.MaxPoolGrad(orig_input=images, orig_output=found, grad=g, **windows_of(s))[
        :, : s["type"].shape[1], : s["type"].shape[2]
    ]


def windows_of(attrs: Any) -> dict[str, Any]:
    return {"ksize": [1, *attrs["sizes"], 1], "strides": [1, *attrs["strides"], 1], "padding": "VALID"}


KERNELS = {"max_pool": max_pool, "max_unpool": max_unpool, "result": PICKING["result"]}
"""TensorFlow's functions of nodes that are no part of what XLA compiles."""


def with_kernels(graph: Graph) -> Graph:
    """The graph with TensorFlow's pools, which take channels last, and its gradients of convolutions with strides."""
    graph = with_padding(graph, lambda width: True)
    return with_pools(graph, lambda node, s: s["first"] == 1 and s["dilations"] == (1, 1) and node.dtype == "float32")


def is_kernel(node: Node) -> bool:
    """Whether a node is computed by TensorFlow's own kernel, which has images of two positions."""
    if node.op.name == "result":
        return node.inputs[0].op is POOL
    return node.op in (POOL, UNPOOL) or (plain_positions(node) == 2 and node.dtype == "float32")


@dataclass(eq=False)
class Part:
    """What XLA compiles as one function: operations in order, what they need of earlier parts, what later ones need."""

    nodes: list[Node]
    needed: list[Node]
    kept: list[Node]


class Stages:
    """The functions of a graph's nodes, as `ranvier.engines.tables.Interpreter`: parts, and kernels between them."""

    def __init__(self, graph: Graph, table: Table, einsum: Callable[..., Any]) -> None:
        self.graph, self.table = with_kernels(graph), table
        moving = {"transpose": lambda a, s, e: transpose(a[0], s["axes"]), "reshape": reshape}
        self.kernels = {**KERNELS, "contract": contraction({**table, **moving}, einsum, convolve, turned)}
        self.fixed = set[Node]()  # what depends on no input
        level, roots = dict[Node, int](), {*self.graph.roots()}
        stages: list[tuple[list[Node], list[Node]]] = []
        for node in self.graph.nodes():
            level[node] = max((level[i] + is_kernel(i) for i in node.inputs), default=0)
            if node.op.name == "input":
                continue
            if node in roots or not all(i in self.fixed for i in node.inputs):
                stages.extend(([], []) for _ in range(level[node] + 1 - len(stages)))
                stages[level[node]][is_kernel(node)].append(node)
            else:
                self.fixed.add(node)
        self.stages = self._parts(stages)

    def _parts(self, stages: list[tuple[list[Node], list[Node]]]) -> list[tuple[Part, list[Node]]]:
        known = {*self.graph.inputs}
        parts = []
        for own, kernels in stages:
            nodes, needed = dict[Node, None](), dict[Node, None]()
            stack = [*(k for kernel in reversed(kernels) for k in kernel.inputs if not is_kernel(k)), *reversed(own)]
            while stack:
                node = stack[-1]
                if node in nodes or node in needed:
                    stack.pop()
                elif node in known and node.op.name not in REPEATED:
                    needed[node] = None
                elif missing := [i for i in node.inputs if i not in nodes and i not in needed]:
                    stack += missing
                else:
                    nodes[node] = None
            parts.append((Part(list(nodes), list(needed), []), kernels))
            known |= {*nodes, *kernels}
        wanted = {*self.graph.roots()}
        for part, kernels in reversed(parts):
            wanted |= {i for kernel in kernels for i in kernel.inputs}
            part.kept = [node for node in part.nodes if node in wanted]
            wanted = wanted - {*part.nodes} | {*part.needed}
        return parts

    def __call__(self, arrays: Sequence[Array], extents: dict[str, Any]) -> tuple[list[Array], list[Array]]:
        """The outputs, and the new values of updated inputs."""
        values = dict(zip(self.graph.inputs, arrays, strict=True))
        for part, kernels in self.stages:
            if part.kept:
                given = [values[node] for node in part.needed]
                run = tf.function(self._function(part, extents), jit_compile=True, autograph=False)
                values |= zip(part.kept, run(*given), strict=True)
            for node in kernels:
                row = self.kernels[node.op.name]
                values[node] = row([values[i] for i in node.inputs], node.attrs, extents)
        return [values[node] for node in self.graph.outputs], [values[value] for _, value in self.graph.updates]

    def _function(self, part: Part, extents: dict[str, Any]) -> Callable[..., list[Array]]:
        def run(*given: Array) -> list[Array]:
            values = dict(zip(part.needed, given, strict=True))
            for node in part.nodes:
                values[node] = self.table[node.op.name]([values[i] for i in node.inputs], node.attrs, extents)
            return [values[node] for node in part.kept]

        return run

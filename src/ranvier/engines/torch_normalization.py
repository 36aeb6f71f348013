"""Normalization of batches on PyTorch, which has a function for the moments, for the result, and for the gradients.

In the graph they are some twenty operations, of which ten go over all elements. `FORWARD` and `backward` are these
operations as the layers and `ranvier.graph.grad` write them; what looks otherwise stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from typing import Any

import torch

from ranvier.engines.patterns import COMMUTATIVE, Match, Pattern
from ranvier.engines.pools import own_primitive
from ranvier.graph.dtypes import FLOATS
from ranvier.graph.extents import Shape
from ranvier.graph.graph import Graph
from ranvier.graph.node import PRIMITIVES, Node, Primitive, Type, apply
from ranvier.graph.simplify import scalar_of
from ranvier.graph.sums import counts

Array = Any

MOMENTS = own_primitive("moments")
"""The mean and the variance of (x) over all axes but one: two results."""
NORMALIZED = own_primitive("normalized")
"""(x, mean, variance, and gamma and beta where it has them), normalized."""
GRADIENTS = own_primitive("normalized_gradients")
"""The gradients of (g, x, mean, 1 / deviation, and gamma where it has one): by x, and the sums over all axes but one of
g * (x - mean) and of g."""

MEAN = ("div", ("sum", "x"), "count")
CENTRED = ("sub", "x", ("along", MEAN))
VARIANCE = ("div", ("sum", ("mul", CENTRED, CENTRED)), "count")
DEVIATION = ("sqrt", ("add", VARIANCE, "epsilon"))
INVERSE = ("div", 1.0, DEVIATION)
PRODUCTS = ("sum", ("mul", "g", CENTRED))


@cache
def forward(has_gamma: bool, has_beta: bool) -> Pattern:
    """The normalized values."""
    scaled = ("mul", CENTRED, ("along", ("mul", INVERSE, "gamma") if has_gamma else INVERSE))
    return ("add", scaled, ("along", "beta")) if has_beta else scaled


@cache
def backward(has_gamma: bool) -> Pattern:
    """The gradient by x of values whose gradient is g."""
    scale = ("mul", INVERSE, "gamma") if has_gamma else INVERSE
    by_inverse = ("mul", PRODUCTS, "gamma") if has_gamma else PRODUCTS
    by_deviation = ("neg", ("div", ("mul", by_inverse, INVERSE), DEVIATION))
    by_variance = ("div", ("div", ("mul", by_deviation, 0.5), DEVIATION), "count")
    part = ("mul", ("along", by_variance), CENTRED)
    twice, direct = ("add", part, part), ("mul", "g", ("along", scale))
    by_mean = ("div", ("add", ("neg", ("sum", twice)), ("neg", ("sum", direct))), "count")
    return ("add", ("add", twice, direct), ("along", by_mean))


PATTERNS = (*(forward(*has) for has in product((True, False), repeat=2)), *(backward(has) for has in (True, False)))
OPERANDS: dict[Primitive, tuple[Pattern, ...]] = {
    MOMENTS: ("x",),
    NORMALIZED: ("x", MEAN, VARIANCE, "gamma", "beta"),
    GRADIENTS: ("g", "x", MEAN, INVERSE, "gamma"),
}


class Normalization(Match):
    """A part of a graph that is a pattern, of values whose features are along ``axis``."""

    def __init__(self, shape: Shape, axis: int) -> None:
        super().__init__()
        self.shape, self.axis = shape, axis

    @property
    def features(self) -> Any:
        return self.shape[self.axis]

    @property
    def attrs(self) -> dict[str, Any]:
        names = [name for name in ("gamma", "beta") if name in self.names]
        return {"axis": self.axis, "epsilon": scalar_of(self.names["epsilon"]), "parameters": names}

    @property
    def others(self) -> tuple[int, ...]:
        return tuple(a for a in range(len(self.shape)) if a != self.axis)

    def is_of(self, node: Node, name: str, *operands: Pattern) -> bool:
        if name == "sum":
            every = node.op.name == "reduce_sum" and node.attrs["axes"] == self.others
            return every and node.inputs[0].shape == self.shape and self.find(node.inputs[0], operands[0])
        if name == "along":
            spread = node.op.name == "broadcast" and node.attrs["axes"] == (self.axis,)
            return spread and node.shape == self.shape and self.find(node.inputs[0], operands[0])
        return super().is_of(node, name, *operands)

    def plain(self, node: Node) -> Node:
        """What a number of each feature is without dimensions of 1, and a number of all without its broadcast."""
        while node.shape != self.shape:
            operand = node.inputs[0] if node.inputs else node
            is_longer = node.op.name == "reshape" and _without_ones(node) == _without_ones(operand)
            if not is_longer and (node.op.name != "broadcast" or operand.shape):
                break
            node = operand
        return node


def _without_ones(node: Node) -> tuple[Any, ...]:
    return tuple(dim for dim in node.shape if dim != 1)


def matches(graph: Graph) -> Iterator[tuple[Node, Normalization]]:
    """The normalized values and the gradients by x."""
    taken = set[Node]()
    for node in reversed(graph.nodes()):
        if node in taken or node.op.name not in COMMUTATIVE or node.dtype not in FLOATS or node.ndim < 2:
            continue
        for axis, pattern in product((node.ndim - 1, 1)[: node.ndim - 1], PATTERNS):
            match = Normalization(node.shape, axis)
            if pattern[0] == node.op.name and node.shape[axis] != 1 and match.find(node, pattern):
                is_mean = counts(match.names["count"], [node.shape[a] for a in match.others])
                if is_mean and scalar_of(match.names["epsilon"]) is not None:
                    taken.update(match.found.values())
                    yield node, match
                    break


def with_normalization(graph: Graph) -> Graph:
    """Normalized values, their statistics and their gradients are PyTorch's."""
    roles: dict[Node, tuple[Normalization, Primitive, int]] = {}
    for root, match in matches(graph):
        if g := match.value("g"):
            sums = [n for n in graph.of("reduce_sum") if n.inputs[0] is g and n.attrs["axes"] == match.others]
            roles |= dict.fromkeys(sums, (match, GRADIENTS, 2))
            roles |= {root: (match, GRADIENTS, 0), match.found[id(PRODUCTS)]: (match, GRADIENTS, 1)}
        else:
            parts = (match.found[id(part)] for part in (MEAN, VARIANCE))
            roles |= {part: (match, MOMENTS, i) for i, part in enumerate(parts)}
            roles[root] = match, NORMALIZED, 0
    result: dict[Node, Node] = {}
    made: dict[tuple[Normalization, Primitive], Node] = {}
    for node in graph.nodes():
        result[node] = node.on(tuple(result[i] for i in node.inputs))
        if node not in roles:
            continue
        match, op, index = roles[node]
        if (match, op) not in made:
            values = [value for pattern in OPERANDS[op] if (value := match.value(pattern)) is not None]
            if not all(value in result for value in values):  # one comes later than what it is an operand of
                continue
            inputs = tuple(_shaped(result[v], v.shape if v.shape == match.shape else (match.features,)) for v in values)
            made[match, op] = Node(op, inputs, match.attrs | {"type": node.type}, node.type)
        found = made[match, op]
        if op is not NORMALIZED:
            is_whole = op is GRADIENTS and not index
            kind = Type(match.shape if is_whole else (match.features,), node.dtype)
            found = Node(PRIMITIVES["result"], (found,), {"index": index}, kind)
        result[node] = _shaped(found, node.shape)
    return graph.rebuild(lambda node: result[node])


def _shaped(node: Node, shape: Shape) -> Node:
    return node if node.shape == shape else apply("reshape", node, shape=shape)


def _features_second(x: Array, axis: int) -> Array:
    return x.reshape(-1, x.shape[-1]) if axis == x.ndim - 1 and x.is_contiguous() else x.movedim(axis, 1)


def _as_before(found: Array, x: Array, axis: int) -> Array:
    return found.reshape(x.shape) if found.ndim < x.ndim else found.movedim(1, axis)


def moments_of(x: Array, axis: int) -> tuple[Array, Array]:
    if x.device.type in ("cpu", "cuda"):
        mean, variance = torch.ops.aten.batch_norm_update_stats(_features_second(x, axis), None, None, 0)
    else:
        variance, mean = torch.var_mean(x, [i for i in range(x.ndim) if i != axis], correction=0)
    return mean, variance


def normalize(
    x: Array, mean: Array, variance: Array, gamma: Array | None, beta: Array | None, axis: int, epsilon: float
) -> Array:
    view = _features_second(x, axis)
    found, *_ = torch.native_batch_norm(view, gamma, beta, mean, variance, False, 0.0, epsilon)
    return _as_before(found, x, axis)


def normalize_backward(
    g: Array, x: Array, mean: Array, inverse: Array, gamma: Array | None, axis: int, epsilon: float
) -> tuple[Array, Array, Array]:
    views = [_features_second(v, axis) for v in (g, x)]
    if views[0].ndim != views[1].ndim:
        views = [v.movedim(axis, 1) for v in (g, x)]
    found, by_gamma, total = torch.ops.aten.native_batch_norm_backward(
        *views, gamma, None, None, mean, inverse, True, epsilon, [True, True, True]
    )
    return _as_before(found, x, axis), by_gamma / inverse, total


def moments(a: Sequence[Array], s: Any, e: Any, call: Any = moments_of) -> Any:
    return call(a[0], s["axis"])


def normalized(a: Sequence[Array], s: Any, e: Any, call: Any = normalize) -> Any:
    x, mean, variance, *more = a
    given = dict(zip(s["parameters"], more, strict=True))
    return call(x, mean, variance, given.get("gamma"), given.get("beta"), s["axis"], s["epsilon"])


def normalized_gradients(a: Sequence[Array], s: Any, e: Any, call: Any = normalize_backward) -> Any:
    *given, gamma = a if "gamma" in s["parameters"] else (*a, None)
    return call(*given, gamma, s["axis"], s["epsilon"])


ROWS = {"moments": moments, "normalized": normalized, "normalized_gradients": normalized_gradients}
SETTINGS = "int axis, float epsilon"
FUNCTIONS = {
    "moments": (moments_of, "(Tensor x, int axis) -> (Tensor, Tensor)"),
    "normalized": (
        normalize,
        f"(Tensor x, Tensor mean, Tensor variance, Tensor? gamma, Tensor? beta, {SETTINGS}) -> Tensor",
    ),
    "normalized_gradients": (
        normalize_backward,
        f"(Tensor g, Tensor x, Tensor mean, Tensor inverse, Tensor? gamma, {SETTINGS}) -> (Tensor, Tensor, Tensor)",
    ),
}
"""The functions that the rows call, with their schemas."""

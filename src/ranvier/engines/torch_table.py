"""The functions of PyTorch for each primitive, and what they are for a node."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch

from ranvier.engines import native
from ranvier.engines.contractions import Geometry, contraction, trimmed, whole_operands, windows
from ranvier.engines.eager import with_reuse, without_broadcasts
from ranvier.engines.tables import PICKING, Function, Interpreter, Table, elementwise
from ranvier.engines.torch_functions import ROWS, with_functions
from ranvier.engines.torch_integers import MASKS, quotient, whole, without_sign
from ranvier.engines.torch_normalization import GRADIENTS
from ranvier.engines.torch_slopes import SLOPES
from ranvier.graph.dtypes import ELEMENT_TYPES, FLOATS
from ranvier.graph.extents import shape_at
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import Node, apply
from ranvier.graph.random import KEY_ADDITIONS, KEY_PARITY, ROTATIONS
from ranvier.graph.scan import Operands

Array = Any
MASK = 0xFFFFFFFF

ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "neg": torch.neg, "abs": torch.abs, "floor": torch.floor, "exp": torch.exp, "expm1": torch.expm1,
    "sign": lambda x: torch.where(x != x, x, torch.sign(x)),  # nan is not itself
    "log": torch.log, "log1p": torch.log1p, "sqrt": torch.sqrt, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
    "erf": torch.erf, "sin": torch.sin, "cos": torch.cos, "relu": torch.relu,
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div,
    "quotient": quotient, "power": torch.pow, "maximum": torch.maximum, "minimum": torch.minimum, "less": torch.lt,
    "less_equal": torch.le, "equal": torch.eq, "logical_and": torch.logical_and, "logical_or": torch.logical_or,
    "logical_not": torch.logical_not, "select": torch.where,
}  # fmt: skip


def kept(function: Function) -> Function:
    """The function, called once."""
    held: list[Array] = []

    def value(a: Sequence[Array], s: Any, e: Any) -> Array:
        if not held:
            held.append(function(a, s, e))
        return held[0]

    return value


OF_ANY_TYPE = ("cast", "random", "scan", "result", *ROWS)
"""Rows that take unsigned integers as they are."""


OVERWRITING: dict[str, Callable[..., Any]] = {
    "relu": torch.relu_, "add": torch.Tensor.add_, "mul": torch.Tensor.mul_, "sub": torch.Tensor.sub_,
    "relu_gradient": lambda g, y: torch.ops.aten.threshold_backward.grad_input(g, y, 0, grad_input=g),
}  # fmt: skip
"""The functions that write their result into their first operand."""


def is_fresh(node: Node) -> bool:
    """Whether the value of a node is memory of its own."""
    if node.op.name == "result":
        return node.inputs[0].op is GRADIENTS
    return node.op.name in ELEMENTWISE or node.op.name in ("contract", "normalized", *SLOPES)


def interpreter(graph: Graph) -> Interpreter:
    """The functions of a graph that run one after another."""
    return Interpreter(with_reuse(without_broadcasts(graph), OVERWRITING, is_fresh), OWN, adapted)


def overwriting(node: Node) -> Function:
    """The function of a node that writes its result into an operand."""
    function, first = OVERWRITING[node.op.name], node.attrs["reuses"]
    return lambda a, s, e: function(a[first], *a[:first], *a[first + 1 :])


def adapted(row: Function, node: Node) -> Function:
    """The function of a node: constants are made once, and so are the bodies of loops."""
    if "reuses" in node.attrs:
        return overwriting(node)
    if node.op.name == "constant":
        return kept(row)
    if node.op.name == "scan":
        return partial(scan, step=interpreter(with_functions(node.attrs["body"])))
    if node.op.name in OF_ANY_TYPE:
        return row
    if node.op.name == "contract" and node.dtype in FLOATS and (product := matrices(node)) is not None:
        return product
    return without_sign(row, node)


def matrices(node: Node) -> Function | None:
    """The function of a product of two whole matrices, without the analysis of contractions; None of others."""
    sides = whole_operands(node)
    if sides is None or len(node.attrs["loops"]) != 3 or node.attrs["rank"] != 2:
        return None
    if sorted(map(sorted, sides)) != [[0, 2], [1, 2]]:
        return None
    left = 0 if 0 in sides[0] else 1
    is_turned = sides[left] == (2, 0), sides[1 - left] == (1, 2)

    def value(a: Sequence[Array], s: Any, e: Any) -> Array:
        x, y = a[left], a[1 - left]
        return (x.t() if is_turned[0] else x) @ (y.t() if is_turned[1] else y)

    return value


def traced(row: Function, node: Node) -> Function:
    """The function of a node for a trace, in which numbers are written into the program."""
    if node.op.name == "constant":
        return row if node.shape or node.dtype == "bfloat16" else number
    if node.op.name == "random":
        return composed_random
    if node.op.name == "scan":
        return partial(scan, step=Interpreter(node.attrs["body"], TABLE, traced))
    return adapted(row, node)


def number(a: Any, s: Any, e: Any) -> Array:
    return torch.full((), s["value"].item(), dtype=element_type(str(s["value"].dtype)))


def element_type(name: str) -> torch.dtype:
    """PyTorch's dtype of an element type."""
    found: torch.dtype = getattr(torch, name)
    return found


def cast(a: Sequence[Array], s: Any, e: Any) -> Array:
    (x,), target = a, ELEMENT_TYPES[s["dtype"]]
    kind = element_type(target.name)
    if x.dtype in MASKS:
        x = x.long()
    if x.dtype.is_floating_point and target.category == "integer":
        x = whole(x, target.name)
    return (x.long() & MASKS[kind]).to(kind) if kind in MASKS else x.to(kind)


def iota(a: Any, s: Any, e: Any) -> Array:
    shape = shape_at(s["shape"], e)
    line = cast([torch.arange(shape[s["axis"]])], s, e)
    return line.reshape([-1 if i == s["axis"] else 1 for i in range(len(shape))]).expand(shape)


def random(a: Sequence[Array], s: Any, e: Any) -> Array:
    if a[0].device.type != "cpu":
        return composed_random(a, s, e)
    return from_native("random", [x.numpy() for x in a], shape_at(s["shape"], e), s["dtype"])


@lru_cache(maxsize=256)
def native_program(name: str, dtypes: tuple[str, ...], shape: tuple[int, ...], dtype: str) -> Any:
    """The compiler's program of a primitive of numbers."""
    inputs = tuple(input_node(f"x{i}", (), kind) for i, kind in enumerate(dtypes))
    return native.compile(Graph(inputs, (apply(name, *inputs, shape=shape, dtype=dtype),)))


def from_native(name: str, arrays: Sequence[Any], shape: tuple[int, ...], dtype: str) -> Array:
    """What the compiler computes, for what PyTorch has no function for: some hundred calls here, one loop there."""
    found = np.empty(shape, dtype)
    native_program(name, tuple(str(a.dtype) for a in arrays), shape, dtype).run(arrays, [found])
    return torch.from_numpy(found)


def composed_random(a: Sequence[Array], s: Any, e: Any) -> Array:
    shape = shape_at(s["shape"], e)
    keys = [x.long() for x in a]
    keys.append(keys[0] ^ keys[1] ^ KEY_PARITY)
    counters = torch.arange(math.prod(shape))
    x, y = ((counters & MASK) + keys[0]) & MASK, ((counters >> 32) + keys[1]) & MASK
    for group in range(KEY_ADDITIONS):
        for rotation in ROTATIONS[group % 2]:
            x = (x + y) & MASK
            y = (((y << rotation) | (y >> (32 - rotation))) & MASK) ^ x
        x, y = (x + keys[(group + 1) % 3]) & MASK, (y + keys[(group + 2) % 3] + group + 1) & MASK
    return ((x >> 8).to(element_type(s["dtype"])) * 2.0**-24).reshape(shape)


def broadcast(a: Sequence[Array], s: Any, e: Any) -> Array:
    shape, axes = shape_at(s["shape"], e), s["axes"]
    if axes == tuple(range(len(shape) - len(axes), len(shape))):
        return a[0].expand(shape)
    view = [1] * len(shape)
    for dim, axis in zip(a[0].shape, axes, strict=True):
        view[axis] = dim
    return a[0].reshape(view).expand(shape)


def pad(a: Sequence[Array], s: Any, e: Any) -> Array:
    x, value = a
    sizes = list(zip(x.shape, s["widths"], strict=True))
    shape = [low + n + max(0, n - 1) * between + high for n, (low, high, between) in sizes]
    inner = tuple(slice(low, n - high, between + 1) for n, (low, high, between) in zip(shape, s["widths"], strict=True))
    result = value.expand(shape).clone()
    result[inner] = x
    return result


def parts(index: Array, batch: int) -> list[Array]:
    """For each of the first ``batch`` axes of the indices, their positions along it."""
    shape = index.shape
    return [
        torch.arange(n).reshape([-1 if a == axis else 1 for a in range(len(shape))]).expand(shape)
        for axis, n in enumerate(shape[:batch])
    ]


def gather(a: Sequence[Array], s: Any, e: Any) -> Array:
    x, index = a
    batch = s.get("batch", 0)
    rows = index.long().clamp(0, x.shape[batch] - 1)
    if not batch:
        return x.index_select(0, rows.reshape(-1)).reshape(*index.shape, *x.shape[1:])
    return x[(*parts(index, batch), rows)]


def scatter_add(a: Sequence[Array], s: Any, e: Any) -> Array:
    index, updates = a
    batch, (rows,) = s.get("batch", 0), shape_at((s["rows"],), e)
    index = torch.where((index >= 0) & (index < rows), index, rows).long()  # a row more, which is cut off
    zeros = updates.new_zeros((*index.shape[:batch], rows + 1, *updates.shape[index.ndim :]))
    return zeros.index_put_((*parts(index, batch), index), updates, accumulate=True).narrow(batch, 0, rows)


def reduce_sum(a: Sequence[Array], s: Any, e: Any) -> Array:
    (x,), axes = a, s["axes"]
    if not axes:
        return x
    return x.any(axes) if x.dtype is torch.bool else x.sum(axes, dtype=x.dtype)


def argmax(a: Sequence[Array], s: Any, e: Any) -> Array:
    x = a[0].to(torch.uint8) if a[0].dtype is torch.bool else a[0]
    return x.argmax(s["axis"]).int()


def scan(a: Sequence[Array], s: Any, e: Any, step: Interpreter | None = None) -> tuple[Array, ...]:
    body, axis, length = s["body"], s["axis"], s["length"]
    given, step = Operands(a, body, s["slices"]), step or Interpreter(body, TABLE, adapted)
    carries, slices = given.carries, [x.unbind(axis) for x in given.slices]
    found: list[list[Array]] = [[] for _ in range(length)]
    for t in reversed(range(length)) if s["reverse"] else range(length):
        found[t], carries = step([*carries, *(x[t] for x in slices), *given.constants], e)
    # In memory the steps are one after another: each is written, and read by the loop of the gradient, as a whole.
    return (*carries, *(torch.stack(values).movedim(0, axis) for values in zip(*found, strict=True)))


def einsum(a: Array, a_loops: Sequence[int], b: Array, b_loops: Sequence[int], out: Sequence[int]) -> Array:
    summed = [loop for loop in a_loops if loop in b_loops and loop not in out]
    if (
        len(a_loops) == len(b_loops) == len(out) == 2 and len(summed) == 1
    ):  # a product of matrices, without the analysis
        left = a if a_loops[1] == summed[0] else a.t()
        right = b if b_loops[0] == summed[0] else b.t()
        return left @ right if out[0] in a_loops else (left @ right).t()
    return torch.einsum(a, list(a_loops), b, list(b_loops), list(out))


CONVOLUTIONS = (torch.conv1d, torch.conv2d, torch.conv3d)
TRANSPOSED = (torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d)


def padded(x: Array, padding: Sequence[tuple[int, int]]) -> tuple[Array, list[int]]:
    """The images, and their padding by zeros, where that is equal at both ends; else the padded images, and none."""
    if all(low == high for low, high in padding):
        return x, [low for low, _ in padding]
    order = sorted(range(x.ndim), key=x.stride, reverse=True)  # the order in memory, which stays
    widths = [(0, 0), *padding, (0, 0)]
    made = torch.nn.functional.pad(x.permute(order), [width for axis in reversed(order) for width in widths[axis]])
    return made.permute([order.index(axis) for axis in range(x.ndim)]), [0] * len(padding)


def convolve(x: Array, w: Array, of: Geometry) -> Array:
    found = of.results(x.shape[1:-1], w.shape[:-2])
    has_more_places = math.prod(w.shape[:-2]) > math.prod(found)
    x, of = trimmed(TABLE, x, of, of.dilations if has_more_places else of.strides)
    x, zeros = padded(x, of.padding)
    if has_more_places:
        return by_weights(x, w, found, of, zeros)
    made = CONVOLUTIONS[len(of.strides) - 1](
        x.movedim(-1, 1), w.movedim((-1, -2), (0, 1)), None, of.strides, zeros, of.dilations, of.groups
    )
    return made.movedim(1, -1)


def by_weights(x: Array, w: Array, found: Sequence[int], of: Geometry, zeros: Sequence[int]) -> Array:
    """The same sums as PyTorch's gradient of a convolution by its weights: this has more places than positions."""
    rows, channels, filters = x.shape[0], w.shape[-2], w.shape[-1]
    images = x.reshape(*x.shape[:-1], of.groups, channels).movedim((-1, -2), (0, 1)).flatten(1, 2)
    gradients = w.movedim((-2, -1), (0, 1))
    weights = x.new_empty((filters, *found, rows)).movedim(-1, 1)  # in the order of the images, which is not changed
    _, made, _ = torch.ops.aten.convolution_backward(
        gradients, images, weights, None, of.dilations, zeros, of.strides, False, [0] * len(of.strides), of.groups,
        [False, True, False],
    )  # fmt: skip
    return made.movedim(0, -1)


def turned(x: Array, w: Array, of: Geometry) -> Array:
    """A convolution with the places of ``w`` backward, as PyTorch's gradient of one by its images."""
    rank = len(of.dilations)
    spans, steps = of.spans(w.shape[:-2]), [n + 1 for n in of.between]
    cut = [(span - low, span - high) for span, (low, high) in zip(spans, of.padding, strict=True)]
    most = [max(pair) - 1 for pair in zip(steps, of.dilations, strict=True)]  # elements that PyTorch adds at the end
    if any(low < 0 or high < -n for (low, high), n in zip(cut, most, strict=True)):
        return convolve(x, w.flip(tuple(range(rank))), of)
    both = [min(low, high + n) for (low, high), n in zip(cut, most, strict=True)]
    more = [max(n - high, 0) for n, (_, high) in zip(both, cut, strict=True)]
    made = TRANSPOSED[rank - 1](
        x.movedim(-1, 1), w.movedim((-2, -1), (0, 1)), None, steps, both, more, 1, list(of.dilations)
    )
    for axis, (n, added, (low, high)) in enumerate(zip(both, more, cut, strict=True), 2):
        made = made.narrow(axis, low - n, made.shape[axis] - (low - n) - (high - n + added))
    return made.movedim(1, -1)


def takes(width: tuple[int, int, int]) -> bool:
    """Whether a convolution takes a padding: PyTorch's are equal at both ends, or zeros between the elements."""
    return width[0] == width[1] or width[2] > 0


TABLE: Table = {
    **PICKING,
    **elementwise(ELEMENTWISE),
    "cast": cast, "iota": iota, "random": random, "broadcast": broadcast, "pad": pad, "scan": scan,
    "gather": gather, "scatter_add": scatter_add, "reduce_sum": reduce_sum,
    "argmax": argmax,
    "constant": lambda a, s, e: torch.tensor(s["value"]),
    "extent": lambda a, s, e: torch.tensor(math.prod(e[n] for n in s["symbols"]), dtype=element_type(s["dtype"])),
    "reduce_max": lambda a, s, e: a[0].amax(s["axes"]) if s["axes"] else a[0],
    "reshape": lambda a, s, e: a[0].reshape(shape_at(s["shape"], e)),
    "transpose": lambda a, s, e: a[0].permute(s["axes"]),
    "reverse": lambda a, s, e: a[0].flip(s["axes"]),
    "concatenate": lambda a, s, e: torch.cat(a, s["axis"]),
}  # fmt: skip
TABLE["windows"] = windows(TABLE)
TABLE["contract"] = contraction(TABLE, einsum, convolve, turned)
OWN = {**TABLE, **ROWS}
"""With the rows of what `with_functions` writes."""

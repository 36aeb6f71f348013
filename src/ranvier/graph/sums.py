"""Rules for sums: factors that do not vary along the summed axes move out, and deviations from the mean sum to 0.

The gradient of a variance by its mean is such a sum. It would be a second pass over all the data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ranvier.graph.extents import Dim, Extent
from ranvier.graph.node import FLOATS, Node, apply, like

Number = tuple[float, tuple[str, ...]]  # a factor, and the names of the extents that it is multiplied by


def sum_of(node: Node) -> Node | None:
    """A simpler form of a sum of floats; None if there is none."""
    if node.op.name != "reduce_sum" or node.dtype not in FLOATS:
        return None
    (operand,), axes = node.inputs, node.attrs["axes"]
    zero = _sum_of_deviations(operand, axes)
    if zero is not None:
        return zero
    if operand.op.name == "select":
        return _at_one_place(operand, axes)
    if operand.op.name == "neg":
        return -apply("reduce_sum", operand.inputs[0], axes=axes)
    if operand.op.name == "mul":
        for one, other in (operand.inputs, operand.inputs[::-1]):
            factor = _without(other, axes)
            if factor is not None:
                return apply("reduce_sum", one, axes=axes) * factor
    return None


def joined(node: Node) -> Node | None:
    """A sum of values padded with zeros that together fill an axis, as the gradient of a split: their concatenation.

    None for other nodes.
    """
    if node.op.name != "add" or node.inputs[1].op.name not in ("add", "pad"):
        return None
    parts, axes, stack = list[tuple[int, int, Node]](), set[int](), [node]
    while stack:
        each = stack.pop()
        if each.op.name == "add":
            stack.extend(each.inputs)
            continue
        widths = each.attrs["widths"] if each.op.name == "pad" else ()
        padded = [axis for axis, width in enumerate(widths) if any(width)]
        if len(padded) != 1 or _number(each.inputs[1]) != (0.0, ()):
            return None
        (axis,) = padded
        low, _, between = widths[axis]
        size = each.inputs[0].shape[axis]
        if between or not isinstance(size, int):
            return None
        parts.append((low, low + size, each.inputs[0]))
        axes.add(axis)
    parts.sort(key=lambda part: part[:2])
    ends = [0, *(end for _, end, _ in parts)]
    if len(axes) != 1 or [low for low, _, _ in parts] != ends[:-1] or ends[-1] != node.shape[axis]:
        return None
    return apply("concatenate", *(part for _, _, part in parts), axis=axis)


def _without(node: Node, axes: tuple[int, ...]) -> Node | None:
    """The node without these axes, if it does not vary along them; otherwise None."""
    if node.op.name != "broadcast" or any(axis in axes for axis in node.attrs["axes"]):
        return None
    kept = [axis for axis in range(node.ndim) if axis not in axes]
    shape = tuple(node.shape[axis] for axis in kept)
    places = tuple(kept.index(axis) for axis in node.attrs["axes"])
    inner = node.inputs[0]
    return inner if inner.shape == shape else apply("broadcast", inner, shape=shape, axes=places)


def _at_one_place(node: Node, axes: tuple[int, ...]) -> Node | None:
    """The sum along an axis of a value that is 0 except at one index: the gradient by the score of a row's class.

    None for other nodes.
    """
    condition, chosen, rest = node.inputs
    value = _without(chosen, axes)
    if condition.op.name != "equal" or value is None or len(axes) != 1 or _number(rest) != (0.0, ()):
        return None
    (axis,), (size,) = axes, (node.shape[axis] for axis in axes)
    for counter, other in (condition.inputs, condition.inputs[::-1]):
        place = _without(other, axes)
        counts = counter.op.name == "iota" and counter.attrs["axis"] == axis
        if counts and place is not None and place.dtype == "int32" and isinstance(size, int):
            unsigned = apply("cast", place, dtype="uint32")  # negative indices become large
            return apply("select", apply("less", unsigned, like(unsigned, size)), value, like(value, 0.0))
    return None


def _sum_of_deviations(node: Node, axes: tuple[int, ...]) -> Node | None:
    """The sum along these axes of multiples of deviations from the mean: 0, or nan if the mean is not finite.

    None for other nodes.
    """
    name, inputs = node.op.name, node.inputs
    total = deviating(node, axes)
    if total is not None:
        return total * like(total, 0.0)
    if name == "neg":
        return _sum_of_deviations(inputs[0], axes)
    if name == "mul":
        pairs = (inputs, inputs[::-1])
        return next((_sum_of_deviations(one, axes) for one, other in pairs if _without(other, axes) is not None), None)
    if name not in ("add", "sub"):
        return None
    # The operand of the residual branch first: the other one may be a chain as long as the network is deep.
    b = _sum_of_deviations(inputs[1], axes)
    a = None if b is None else _sum_of_deviations(inputs[0], axes)
    return None if a is None or b is None else a if inputs[0] is inputs[1] else a + b


def deviating(node: Node, axes: tuple[int, ...]) -> Node | None:
    """The sum of x along these axes if the node is ``x - mean(x)`` along them; None for other nodes."""
    mean = _without(node.inputs[1], axes) if node.op.name == "sub" else None
    if mean is None or mean.op.name not in ("div", "mul"):
        return None
    x, (total, by) = node.inputs[0], mean.inputs
    if total.op.name != "reduce_sum" or total.inputs[0] is not x or total.attrs["axes"] != axes:
        return None
    dims = [x.shape[axis] for axis in axes]
    if mean.op.name == "div":
        return total if counts(by, dims) else None
    known, names = _product(dims)
    number, of = _number(by) or (0.0, ())
    return total if not names and not of and math.isclose(number * known, 1, rel_tol=1e-6) else None


def counts(node: Node, dims: Sequence[Dim]) -> bool:
    """Whether all elements of a node are the product of these extents."""
    return _number(node) == _product(dims)


def _product(dims: Sequence[Dim]) -> Number:
    known = float(math.prod(d for d in dims if not isinstance(d, Extent)))
    return known, tuple(sorted(d.name for d in dims if isinstance(d, Extent)))


def _number(node: Node) -> Number | None:
    """The value of a node of equal elements, as a constant times extents; None for other nodes."""
    if node.op.name == "broadcast":
        return _number(node.inputs[0])
    if node.op.name == "constant" and not node.ndim:
        return float(node.attrs["value"]), ()
    if node.op.name == "extent":
        return 1.0, tuple(sorted(node.attrs["symbols"]))
    if node.op.name == "mul":
        a, b = (_number(i) for i in node.inputs)
        return None if a is None or b is None else (a[0] * b[0], tuple(sorted(a[1] + b[1])))
    return None

"""Values that each reader computes: constants, counters, movements, reductions of a few elements, random numbers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from ranvier.engines.native.codegen.elementwise import combine
from ranvier.engines.native.codegen.kernel import At, Index, Kernel, Value
from ranvier.engines.native.schedule.view import only_ones, regrouped
from ranvier.engines.native.target.lanes import ELEMENT, LANES, Scalar, literal, vector
from ranvier.graph.node import Node


def _constant(k: Kernel, node: Node, index: Index) -> Value:
    return Value(k.numbers.get(node) or literal(node.attrs["value"].item(), ELEMENT[node.dtype]), False)


def _iota(k: Kernel, node: Node, index: Index) -> Value:
    return k.number(index[node.attrs["axis"]], node.dtype)


def _extent(k: Kernel, node: Node, index: Index) -> Value:
    product: Scalar = 1
    for name in node.attrs["symbols"]:
        product = k.function.mul(product, f"%n.{name}")
    return k.number(At(product), node.dtype)


def _broadcast(k: Kernel, node: Node, index: Index) -> Value:
    return k.value(node.inputs[0], tuple(index[a] for a in node.attrs["axes"]))


def _transpose(k: Kernel, node: Node, index: Index) -> Value:
    inner: list[At] = [At(0)] * len(index)
    for place, axis in enumerate(node.attrs["axes"]):
        inner[axis] = index[place]
    return k.value(node.inputs[0], tuple(inner))


def _reshape(k: Kernel, node: Node, index: Index) -> Value:
    """Dimensions of 1 appear or vanish, or those between the first and the last change (`schedule/fusion.py`)."""
    source = node.inputs[0]
    if only_ones(node.shape, source.shape):
        kept = iter([at for at, dim in zip(index, node.shape, strict=True) if dim != 1])
        return k.value(source, tuple(At(0) if dim == 1 else next(kept) for dim in source.shape))
    f, inner, bases = k.function, list[At](), iter(at.base for at in index[1:-1])
    for outer, extents in regrouped(node.shape[1:-1], source.shape[1:-1]):
        place: Scalar = 0
        for extent in outer:
            place = f.add(f.mul(place, extent), next(bases))
        places: list[At] = []
        for extent in extents[:0:-1]:
            places.insert(0, At(f.remainder(place, extent)))
            place = f.floor_divide(place, extent)
        inner += [At(place), *places]
    return k.value(source, (index[0], *inner, index[-1]))


def reduce_small(k: Kernel, node: Node, index: Index) -> Value:
    """A reduction of a few elements, one after another; larger ones have kernels or loops of their own."""
    operand = node.inputs[0]
    axes, element = node.attrs["axes"], ELEMENT[node.dtype]
    total: Value | None = None
    for places in product(*(range(operand.shape[axis]) for axis in axes)):
        inner, own = dict(zip(axes, places, strict=True)), iter(index)
        value = k.value(operand, tuple(At(inner[i]) if i in inner else next(own) for i in range(operand.ndim)))
        if total is None:
            total = value
            continue
        wide = total.wide or value.wide
        a, b = (k.widen(v, element) if wide else v.name for v in (total, value))
        total = Value(combine(k, node, vector(element) if wide else element, a, b), wide)
    assert total is not None
    return total


def _slice(k: Kernel, node: Node, index: Index) -> Value:
    f = k.function
    inner = []
    for at, item in zip(index, node.attrs["ranges"], strict=True):
        start, _, step = item or (0, 0, 1)
        lanes = (
            at.lanes if at.lanes is None or step == 1 else f.op(f"mul {vector('i64')} {at.lanes}, splat (i64 {step})")
        )
        inner.append(At(f.add(f.mul(at.base, step), start), at.step * step, lanes))
    return k.value(node.inputs[0], tuple(inner))


def _pad(k: Kernel, node: Node, index: Index) -> Value:
    """Zeros behind the rows. Vectors run along this axis only where the reader is stored transposed: they gather."""
    f, source, element = k.function, node.inputs[0], ELEMENT[node.dtype]
    axis = next(axis for axis, width in enumerate(node.attrs["widths"]) if any(width))
    at, last = index[axis], f.sub(k.extent(source.shape[axis]), 1)
    wide = at.step != 0 or at.lanes is not None
    if wide:
        place, end = k.lane_numbers(at), f.splat(str(last), "i64")
        inside = f.op(f"icmp sle {vector('i64')} {place}, {end}")
        here = At(0, 0, k.intrinsic("smin", vector("i64"), place, end))
    else:
        inside, here = f.op(f"icmp sle i64 {at.base}, {last}"), At(f.minimum(at.base, last))
    value = k.value(source, (*index[:axis], here, *index[axis + 1 :]))
    if wide:
        value = Value(k.widen(value, element), True)
    type_ = vector(element) if value.wide else element
    zero = "zeroinitializer" if value.wide else literal(0.0, element)
    condition = f"{vector('i1') if wide else 'i1'} {inside}"
    return Value(f.op(f"select {condition}, {type_} {value.name}, {type_} {zero}"), value.wide)


def _windows(k: Kernel, node: Node, index: Index) -> Value:
    """Element i of window o is element o * stride + i * dilation."""
    places = iter(index)
    by_axis = {axis: (stride, dilation) for axis, _, stride, dilation in node.attrs["axes"]}
    inner = []
    for axis in range(node.inputs[0].ndim):
        at = At(0)
        for factor in by_axis.get(axis, (1,)):
            at = k.plus(at, next(places), factor)
        inner.append(at)
    return k.value(node.inputs[0], tuple(inner))


def _reverse(k: Kernel, node: Node, index: Index) -> Value:
    f = k.function
    inner = list(index)
    for axis in node.attrs["axes"]:
        at, last = index[axis], f.sub(k.extent(node.shape[axis]), 1)
        lanes = None if at.lanes is None else f.op(f"sub {vector('i64')} zeroinitializer, {at.lanes}")
        inner[axis] = At(f.sub(last, at.base), -at.step, lanes)
    return k.value(node.inputs[0], tuple(inner))


def _gather(k: Kernel, node: Node, index: Index) -> Value:
    f = k.function
    source, rows = node.inputs
    batch = node.attrs.get("batch", 0)
    view = k.module.view(source)
    if rows.ndim == 1 and index[-1].step == 1 and view is not None:
        # The rows of a data set are anywhere in memory, so the processor cannot predict them.
        following = f.minimum(f.add(index[0].base, 1), f.sub(k.extent(rows.shape[0]), 1))
        k.prefetch(view, (gathered(k, node, (At(following),)), *index[1:]))
    return k.value(source, (*index[:batch], gathered(k, node, index[: rows.ndim]), *index[rows.ndim :]))


def gathered(k: Kernel, node: Node, index: Index) -> At:
    """The row that a gather reads, or 16 rows; an index out of range reads the first or the last row."""
    f, (source, rows) = k.function, node.inputs
    last = f.sub(k.extent(source.shape[node.attrs.get("batch", 0)]), 1)
    place = k.value(rows, index)
    type_ = vector("i64") if place.wide else "i64"
    number = k.as_position(place, rows.dtype)
    limit = f.splat(str(last), "i64") if place.wide else str(last)
    number = k.intrinsic("smin", type_, number, limit)
    number = k.intrinsic("smax", type_, number, "zeroinitializer" if place.wide else "0")
    return At(0, 0, number) if place.wide else At(number)


def _random(k: Kernel, node: Node, index: Index) -> Value:
    """Uniform numbers in [0, 1): the high 24 bits of the block whose counter is the element's position."""
    f = k.function
    position: Scalar = 0
    step, stride = 0, 1
    strides: list[Scalar] = []
    for dim in reversed(node.shape):
        strides.append(stride)
        stride = f.mul(stride, k.extent(dim))  # type: ignore[assignment]  # known for all but the batch, which comes last here
    for at, size in zip(index, reversed(strides), strict=True):
        position = f.add(position, f.mul(at.base, size))
        if at.step:
            if not isinstance(size, int):
                raise ValueError("random numbers are vectorized along known extents only")
            step += at.step * size
    key = [k.value(i, ()).name for i in node.inputs]
    if step == 0:
        bits, wide = f.op(f"call i32 @rv.random_bits.s(i32 {key[0]}, i32 {key[1]}, i64 {position})"), False
    elif step == 1:
        bits = f.op(f"call {vector('i32')} @rv.random_bits.v16(i32 {key[0]}, i32 {key[1]}, i64 {position})")
        wide = True
    else:
        bits, wide = "poison", True
        for lane in range(LANES):
            one = f.op(f"call i32 @rv.random_bits.s(i32 {key[0]}, i32 {key[1]}, i64 {f.add(position, lane * step)})")
            bits = f.op(f"insertelement {vector('i32')} {bits}, i32 {one}, i64 {lane}")
    k.module.functions.add(("random_bits", "v16" if wide and step == 1 else "s"))
    element = ELEMENT[node.dtype]
    integer, float_ = (vector("i32"), vector(element)) if wide else ("i32", element)
    eight = "splat (i32 8)" if wide else "8"
    scale = literal(2.0**-24, element)
    number = f.op(f"uitofp {integer} {f.op(f'lshr {integer} {bits}, {eight}')} to {float_}")
    return Value(f.op(f"fmul {float_} {number}, {f'splat ({element} {scale})' if wide else scale}"), wide)


SOURCES: dict[str, Callable[[Kernel, Node, Index], Value]] = {
    "constant": _constant,
    "iota": _iota,
    "extent": _extent,
    "broadcast": _broadcast,
    "transpose": _transpose,
    "reshape": _reshape,
    "slice": _slice,
    "pad": _pad,
    "windows": _windows,
    "reverse": _reverse,
    "gather": _gather,
    "random": _random,
}

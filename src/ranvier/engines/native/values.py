"""The value of a node at an index, as LLVM: what every kernel's body is made of.

An index has an `At` for each dimension: a number, plus the same step from each of the 16 lanes to the next, so that an
index names either one element or 16 of them. Values are made where they are asked for, once in each scope.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

from ranvier.engines.native.elementwise import ELEMENTWISE, cast, combine
from ranvier.engines.native.emit import (
    ALL_LANES,
    ELEMENT,
    LANES,
    SIZE,
    SUFFIX,
    Function,
    Scalar,
    lane_constants,
    literal,
    memory_type,
    suffix_of,
    tail_mask,
    vector,
)
from ranvier.engines.native.view import Buffer, View, move, moves, only_ones, regrouped
from ranvier.graph.graph import Graph
from ranvier.graph.node import Node, Symbol


class At(NamedTuple):
    """A place along one dimension: ``base + lane * step``, or ``lanes`` (16 numbers read from data)."""

    base: Scalar
    step: int = 0
    lanes: str | None = None


Index = tuple[At, ...]


class Value(NamedTuple):
    """An LLVM value: one element, or 16 where ``wide``."""

    name: str
    wide: bool


@dataclass(frozen=True)
class Module:
    """What all kernels of a program share: where nodes lie, and what the text of the module must define."""

    graph: Graph
    view: Callable[[Node], View | None]  # where a node lies in memory, also by way of movement
    uses: dict[Node, int]
    has_fma: bool
    samples_adjacent: bool
    batch: int  # the most rows that a step sees
    functions: set[tuple[str, str]] = field(
        default_factory=set
    )  # (name, suffix) of the elementary functions needed
    declarations: set[str] = field(default_factory=set)


class Kernel:
    """Writes one kernel function: its parameters are the buffers it touches, the extents of symbols, and its share."""

    def __init__(self, module: Module, name: str, buffers: Sequence[Buffer], symbols: Sequence[str]) -> None:
        self.module = module
        self.pointers = {buffer: f"%p{i}" for i, buffer in enumerate(buffers)}
        pointers = [f"ptr noalias {p}" for p in self.pointers.values()]
        extents = [f"i64 %n.{s}" for s in symbols]
        self.function = Function(
            name, ["i64 %lo", "i64 %hi", "i64 %worker", "ptr noalias %work", *extents, *pointers]
        )
        self.work = 0  # bytes of the thread's own memory that it needs
        self.scopes: list[dict[object, Value]] = [{}]
        self.mask: str | None = None  # the lanes in use, where not all are
        self.fresh: set[Node] = set()  # nodes this kernel makes: computed here, not loaded

    # --- scopes ----------------------------------------------------------------------------------------------------

    def remember(self, node: Node, index: Index, value: Value) -> None:
        self.scopes[-1][(node, index, self.mask)] = value

    def known(self, node: Node, index: Index) -> Value | None:
        key = (node, index, self.mask)
        for scope in reversed(self.scopes):
            if key in scope:
                return scope[key]
        return None

    def workspace(self, size: int) -> str:
        """The thread's own memory, for as long as this kernel runs."""
        self.work = max(self.work, size)
        return "%work"

    # --- extents ---------------------------------------------------------------------------------------------------

    def extent(self, dim: int | Symbol) -> Scalar:
        return f"%n.{dim.name}" if isinstance(dim, Symbol) else dim

    # --- memory ----------------------------------------------------------------------------------------------------

    def address(self, view: View, index: Index) -> tuple[Scalar, int, str | None]:
        """Offset in elements, step from lane to lane, and the offsets of the lanes where these come from data."""
        f = self.function
        offset: Scalar = view.offset
        step = 0
        lanes: str | None = None
        for at, stride in zip(index, view.strides, strict=True):
            offset = f.add(offset, f.mul(at.base, stride))
            step += at.step * stride
            if at.lanes is not None and stride:
                part = (
                    at.lanes if stride == 1 else f.op(f"mul {vector('i64')} {at.lanes}, splat (i64 {stride})")
                )
                lanes = part if lanes is None else f.op(f"add {vector('i64')} {lanes}, {part}")
        if lanes is not None and step:
            steps = lane_constants([i * step for i in range(LANES)], "i64")
            lanes, step = f.op(f"add {vector('i64')} {lanes}, {steps}"), 0
        return offset, step, lanes

    def load(self, view: View, index: Index) -> Value:
        f, dtype = self.function, view.buffer.dtype
        kind = memory_type(dtype)
        wide = vector(kind)
        offset, step, lanes = self.address(view, index)
        pointer = f.pointer(self.pointers[view.buffer], offset, kind)
        size = SIZE[dtype]
        is_wide = lanes is not None or step != 0
        if not is_wide:
            value = f.op(f"load {kind}, ptr {pointer}, align {size}")
        elif lanes is None and step == 1 and self.mask is None:
            value = f.op(f"load {wide}, ptr {pointer}, align {size}")
        elif lanes is None and step == 1:
            value = self._load_some(pointer, kind, size)
        else:
            pointers = f"{vector('ptr')} {self._spread(pointer, kind, step, lanes)}"
            name = f"masked.gather.v{LANES}{SUFFIX[kind]}.v{LANES}p0"
            gather = self._memory(name, wide, vector("ptr"), "i32", vector("i1"), wide)
            mask = f"{vector('i1')} {self.mask or ALL_LANES}"
            value = f.op(f"call {wide} {gather}({pointers}, i32 {size}, {mask}, {wide} zeroinitializer)")
        if dtype == "bool":
            value = f.op(
                f"icmp ne {wide if is_wide else kind} {value}, {'zeroinitializer' if is_wide else '0'}"
            )
        return Value(value, is_wide)

    def prefetch(self, view: View, index: Index) -> None:
        """Have the processor fetch the memory that these elements begin in."""
        offset, _, _ = self.address(view, index)
        pointer = self.function.pointer(self.pointers[view.buffer], offset, memory_type(view.buffer.dtype))
        self.module.declarations.add("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        self.function.emit(f"call void @llvm.prefetch.p0(ptr {pointer}, i32 0, i32 3, i32 1)")

    def store(self, view: View, index: Index, value: Value) -> None:
        f, dtype = self.function, view.buffer.dtype
        kind = memory_type(dtype)
        offset, step, lanes = self.address(view, index)
        pointer = f.pointer(self.pointers[view.buffer], offset, kind)
        size = SIZE[dtype]
        name = value.name
        if dtype == "bool":
            type_ = vector("i1") if value.wide else "i1"
            name = f.op(f"zext {type_} {name} to {vector(kind) if value.wide else kind}")
        if lanes is None and step == 0:
            if value.wide:
                raise ValueError("16 values cannot be stored in one place")
            f.emit(f"store {kind} {name}, ptr {pointer}, align {size}")
            return
        if not value.wide:
            name = f.splat(name, kind)
        wide = vector(kind)
        if lanes is None and step == 1 and self.mask is None:
            f.emit(f"store {wide} {name}, ptr {pointer}, align {size}")
        elif lanes is None and step == 1:
            self._store_some(name, pointer, kind, size)
        else:
            pointers = f"{vector('ptr')} {self._spread(pointer, kind, step, lanes)}"
            full = f"masked.scatter.v{LANES}{SUFFIX[kind]}.v{LANES}p0"
            scatter = self._memory(full, "void", wide, vector("ptr"), "i32", vector("i1"))
            mask = f"{vector('i1')} {self.mask or ALL_LANES}"
            f.emit(f"call void {scatter}({wide} {name}, {pointers}, i32 {size}, {mask})")

    def _load_some(self, pointer: str, kind: str, size: int) -> str:
        """The lanes in use, from elements one after the other."""
        f, (count, mask) = self.function, self._lanes_in_use()
        some, flags = (vector(t, count) for t in (kind, "i1"))
        load = self._memory(f"masked.load.v{count}{SUFFIX[kind]}.p0", some, "ptr", "i32", flags, some)
        value = f.op(f"call {some} {load}(ptr {pointer}, i32 {size}, {flags} {mask}, {some} zeroinitializer)")
        return value if count == LANES else f.first_lanes(value, some, LANES)

    def _store_some(self, name: str, pointer: str, kind: str, size: int) -> None:
        f, (count, mask) = self.function, self._lanes_in_use()
        some, flags = (vector(t, count) for t in (kind, "i1"))
        value = name if count == LANES else f.first_lanes(name, vector(kind), count)
        store = self._memory(f"masked.store.v{count}{SUFFIX[kind]}.p0", "void", some, "ptr", "i32", flags)
        f.emit(f"call void {store}({some} {value}, ptr {pointer}, i32 {size}, {flags} {mask})")

    def _lanes_in_use(self) -> tuple[int, str]:
        """The lanes that memory is reached by and their mask: half of them, which cross fewer cache lines, will do
        where no more are in use.
        """
        half = next((n for n in range(1, LANES // 2 + 1) if self.mask == tail_mask(n)), None)
        if half is None:
            return LANES, str(self.mask)
        return LANES // 2, tail_mask(half, LANES // 2)

    def _memory(self, name: str, result: str, *operands: str) -> str:
        """Declare one of LLVM's ways to reach memory by lanes, and give its name."""
        self.module.declarations.add(f"declare {result} @llvm.{name}({', '.join(operands)})")
        return f"@llvm.{name}"

    def _spread(self, pointer: str, kind: str, step: int, lanes: str | None) -> str:
        """16 pointers, ``step`` apart or as ``lanes`` says."""
        offsets = lanes or lane_constants([i * step for i in range(LANES)], "i64")
        return self.function.op(f"getelementptr inbounds {kind}, ptr {pointer}, {vector('i64')} {offsets}")

    # --- values ----------------------------------------------------------------------------------------------------

    def widen(self, value: Value, element: str) -> str:
        return value.name if value.wide else self.function.splat(value.name, element)

    def value(self, node: Node, index: Index) -> Value:
        """The node at the index. Scalars of the whole program are made once, at the function's start."""
        before = self.mask
        if all(at.step == 0 and at.lanes is None for at in index):
            self.mask = None  # a single element: lanes do not matter
        known = self.known(node, index)
        if known is None and node.shape == () and not any(n.shape == () for n in self.fresh):
            # Straight-line and independent of what this kernel makes, so the outermost scope serves every later use.
            inner, self.scopes = self.scopes, self.scopes[:1]
            with self.function.at_entry():
                known = self._make(node, ())
            self.scopes = inner
            self.scopes[0][(node, (), None)] = known
        elif known is None:
            known = self._make(node, index)
            self.remember(node, index, known)
        self.mask = before
        return known

    def _make(self, node: Node, index: Index) -> Value:
        view = None
        if not self._made_here(node):
            view = self.module.view(node)
        elif moves(node) and not self._made_here(node.inputs[0]):  # moved here, out of what lies in memory
            source = self.module.view(node.inputs[0])
            view = move(node, source) if source is not None else None
        if view is not None:
            return self.load(view, index)
        name = node.op.name
        if name == "add" or name == "sub":
            fused = self._fused(node, index)
            if fused is not None:
                return fused
        if node.op.kind == "elementwise":
            return self._elementwise(node, index)
        if node.op.kind == "layout":  # the same value
            return self.value(node.inputs[0], index)
        if node.op.kind == "reduce":
            return _few(self, node, index)
        return SOURCES[name](self, node, index)

    def _made_here(self, node: Node) -> bool:
        """Whether the node, or what it is a movement of, is this kernel's own: in registers, and not yet in memory."""
        while node not in self.fresh:
            if not moves(node):
                return False
            node = node.inputs[0]
        return True

    def _elementwise(self, node: Node, index: Index) -> Value:
        operands = [self.value(i, index) for i in node.inputs]
        wide = any(v.wide for v in operands)
        elements = [ELEMENT[i.dtype] for i in node.inputs]
        names = [self.widen(v, e) if wide else v.name for v, e in zip(operands, elements, strict=True)]
        types = [vector(e) if wide else e for e in elements]
        if node.op.name == "cast":
            return Value(cast(self, names[0], node.inputs[0].dtype, node.dtype, wide), wide)
        return Value(ELEMENTWISE[node.op.name](self, node, types, names, wide), wide)

    def _fused(self, node: Node, index: Index) -> Value | None:
        """a*b+c as one fused multiply-add, where nothing else needs the product. The same choice for every target."""
        if node.dtype not in ("float32", "float64"):
            return None
        first, second = node.inputs
        negate_product = negate_other = False
        if self._is_product(first):
            product, other = first, second
            negate_other = node.op.name == "sub"
        elif self._is_product(second):
            product, other = second, first
            negate_product = node.op.name == "sub"
        else:
            return None
        values = [self.value(n, index) for n in (*product.inputs, other)]
        wide = any(v.wide for v in values)
        element = ELEMENT[node.dtype]
        type_ = vector(element) if wide else element
        a, b, c = (self.widen(v, element) if wide else v.name for v in values)
        if negate_product:
            a = self.function.op(f"fneg {type_} {a}")
        if negate_other:
            c = self.function.op(f"fneg {type_} {c}")
        return Value(self.call("fma", type_, a, b, c), wide)

    def _is_product(self, node: Node) -> bool:
        return node.op.name == "mul" and self.module.uses[node] == 1 and self.module.view(node) is None

    def call(self, name: str, type_: str, *operands: str) -> str:
        """One of our own elementary functions."""
        suffix = suffix_of(type_)
        if name == "fma" and self.module.has_fma:
            return self.intrinsic("fma", type_, *operands)
        self.module.functions.add((name, suffix))
        arguments = ", ".join(f"{type_} {o}" for o in operands)
        return self.function.op(f"call {type_} @rv.{name}.{suffix}({arguments})")

    def intrinsic(self, name: str, type_: str, *operands: str) -> str:
        suffix = suffix_of(type_)
        self.module.declarations.add(
            f"declare {type_} @llvm.{name}.{suffix}({', '.join([type_] * len(operands))})"
        )
        return self.function.op(
            f"call {type_} @llvm.{name}.{suffix}({', '.join(f'{type_} {o}' for o in operands)})"
        )

    def number(self, at: At, dtype: str) -> Value:
        """An index as a number of a program's dtype."""
        f, element = self.function, ELEMENT[dtype]
        convert = {"float": "sitofp", "double": "sitofp"}.get(element, "trunc")
        if at.lanes is None and at.step == 0:
            if isinstance(at.base, int):
                return Value(literal(at.base, element), False)
            return Value(f.op(f"{convert} i64 {at.base} to {element}"), False)
        wide = self.lane_numbers(at)
        return Value(f.op(f"{convert} {vector('i64')} {wide} to {vector(element)}"), True)

    def plus(self, at: At, more: At, factor: int) -> At:
        """``at + more * factor``."""
        f, lanes = self.function, at.lanes
        if more.lanes is not None:
            part = f.op(f"mul {vector('i64')} {more.lanes}, splat (i64 {factor})")
            lanes = part if lanes is None else f.op(f"add {vector('i64')} {lanes}, {part}")
        return At(f.add(at.base, f.mul(more.base, factor)), at.step + more.step * factor, lanes)

    def lane_numbers(self, at: At) -> str:
        f = self.function
        base = f.splat(str(at.base), "i64")
        steps = lane_constants([i * at.step for i in range(LANES)], "i64")
        result = f.op(f"add {vector('i64')} {base}, {steps}") if at.step else base
        return f.op(f"add {vector('i64')} {result}, {at.lanes}") if at.lanes is not None else result


# --- what is neither in memory nor elementwise --------------------------------------------------------------------


def _constant(k: Kernel, node: Node, index: Index) -> Value:
    return Value(literal(node.attrs["value"].item(), ELEMENT[node.dtype]), False)


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
    """Dimensions of 1 come or go, or those between the first and the last are others (grouping sees to it)."""
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


def _few(k: Kernel, node: Node, index: Index) -> Value:
    """A reduction of a few elements, one after the other; those of more have kernels or loops of their own."""
    operand = node.inputs[0]
    axes, element = node.attrs["axes"], ELEMENT[node.dtype]
    total: Value | None = None
    for places in product(*(range(operand.shape[axis]) for axis in axes)):
        inner, own = dict(zip(axes, places, strict=True)), iter(index)
        value = k.value(
            operand, tuple(At(inner[i]) if i in inner else next(own) for i in range(operand.ndim))
        )
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
            at.lanes
            if at.lanes is None or step == 1
            else f.op(f"mul {vector('i64')} {at.lanes}, splat (i64 {step})")
        )
        inner.append(At(f.add(f.mul(at.base, step), start), at.step * step, lanes))
    return k.value(node.inputs[0], tuple(inner))


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
    """Rows out of range read the first or the last row."""
    f = k.function
    source, rows = node.inputs
    batch = node.attrs.get("batch", 0)
    last = f.sub(k.extent(source.shape[batch]), 1)

    def row(index: Index) -> At:
        place = k.value(rows, index)
        type_ = vector("i64") if place.wide else "i64"
        number = f.op(f"sext {vector('i32') if place.wide else 'i32'} {place.name} to {type_}")
        limit = f.splat(str(last), "i64") if place.wide else str(last)
        number = k.intrinsic("smin", type_, number, limit)
        number = k.intrinsic("smax", type_, number, "zeroinitializer" if place.wide else "0")
        return At(0, 0, number) if place.wide else At(number)

    view = k.module.view(source)
    if rows.ndim == 1 and index[-1].step == 1 and view is not None:
        # The rows of a data set lie anywhere in memory, where the processor cannot foresee them.
        following = f.minimum(f.add(index[0].base, 1), f.sub(k.extent(rows.shape[0]), 1))
        k.prefetch(view, (row((At(following),)), *index[1:]))
    return k.value(source, (*index[:batch], row(index[: rows.ndim]), *index[rows.ndim :]))


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
            one = f.op(
                f"call i32 @rv.random_bits.s(i32 {key[0]}, i32 {key[1]}, i64 {f.add(position, lane * step)})"
            )
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
    "windows": _windows,
    "reverse": _reverse,
    "gather": _gather,
    "random": _random,
}

"""A kernel being written: its buffers, scopes, loads, stores and calls. The rules of primitives use it.

Kernels compute with positions along dimensions, and with LLVM values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ranvier.engines.native.codegen.builder import PREFETCH, STREAMED, Function
from ranvier.engines.native.schedule.memory_planning import LINE
from ranvier.engines.native.schedule.view import Buffer, View
from ranvier.engines.native.target.lanes import (
    ALL_LANES,
    ELEMENT,
    LANES,
    SIZE,
    SUFFIX,
    Scalar,
    lane_constants,
    literal,
    memory_type,
    suffix_of,
    tail_mask,
    vector,
)
from ranvier.graph.dtypes import FLOATS
from ranvier.graph.extents import Extent
from ranvier.graph.graph import Graph
from ranvier.graph.node import Node


class At(NamedTuple):
    """A position along one dimension: ``base + lane * step``, plus ``lanes`` (16 numbers read from data)."""

    base: Scalar
    step: int = 0
    lanes: str | None = None


Index = tuple[At, ...]


class Value(NamedTuple):
    """An LLVM value: one element, or 16 if ``wide``."""

    name: str
    wide: bool


@dataclass(frozen=True)
class Module:
    """What all kernels of a program share: where nodes are in memory, and what the module must define."""

    graph: Graph
    view: Callable[[Node], View | None]  # the view of a node in memory, also through movements
    uses: dict[Node, int]
    has_fma: bool
    has_masks: bool
    samples_adjacent: bool
    batch: int  # the most rows that a step sees
    near: Collection[Buffer]  # values of a block of samples, or of a part of an axis, which stay in the cache
    unread: Collection[Buffer]  # values that are read for the first time
    # (name, suffix) of the elementary functions needed.
    functions: set[tuple[str, str]]
    declarations: set[str]


class Kernel(ABC):
    """Writes one kernel function.

    Its parameters are its range, the extents of symbols, the buffers it touches, and ``numbers``.
    """

    def __init__(
        self, module: Module, name: str, buffers: Sequence[Buffer], symbols: Sequence[str], numbers: Sequence[Node] = ()
    ) -> None:
        self.module = module
        self.numbers = {node: f"%c{i}" for i, node in enumerate(numbers)}  # constants that are passed to it
        self.pointers = {buffer: f"%p{i}" for i, buffer in enumerate(buffers)}
        pointers = [f"ptr noalias {p}" for p in self.pointers.values()]
        extents = [f"i64 %n.{s}" for s in symbols]
        constants = [f"{ELEMENT[node.dtype]} {name}" for node, name in self.numbers.items()]
        parameters = ["i64 %lo", "i64 %hi", "i64 %worker", "ptr noalias %work", *extents, *pointers, *constants]
        self.function = Function(name, parameters)
        self.work = 0  # bytes of workspace that it needs
        self.scopes: list[dict[object, Value]] = [{}]
        self.mask: str | None = None  # the active lanes, if not all are
        self.streams = False  # whether the vectors that are stored bypass the caches; they are aligned
        self.computed_here: set[Node] = set()  # nodes that this kernel computes instead of loading
        self.interleaved: str | None = None  # a call to be emitted with every tile (prefetching)
        self.maps: dict[Node, Node] = {}  # its maps, each with the result of its operations
        self.inner: dict[tuple[Any, ...], Node] = {}  # these operations, and how many of them read each
        self.inner_uses: Counter[Node] = Counter()

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
        """The thread's workspace, which this kernel has while it runs."""
        self.work = max(self.work, size)
        return "%work"

    # --- extents ---------------------------------------------------------------------------------------------------

    def extent(self, dim: int | Extent) -> Scalar:
        return f"%n.{dim.name}" if isinstance(dim, Extent) else dim

    # --- memory ----------------------------------------------------------------------------------------------------

    def address(self, view: View, index: Index) -> tuple[str, int, str | None]:
        """A pointer, the step from lane to lane, and the offsets of the lanes if these come from data.

        What is known of the offset is added last: LLVM takes long for many addresses that differ in the loops' part.
        """
        f = self.function
        offset: Scalar = 0
        known, step = view.offset, 0
        lanes: str | None = None
        for at, stride in zip(index, view.strides, strict=True):
            more = f.mul(at.base, stride)
            offset, known = (offset, known + more) if isinstance(more, int) else (f.add(offset, more), known)
            step += at.step * stride
            if at.lanes is not None and stride:
                part = at.lanes if stride == 1 else f.op(f"mul {vector('i64')} {at.lanes}, splat (i64 {stride})")
                lanes = part if lanes is None else f.op(f"add {vector('i64')} {lanes}, {part}")
        if lanes is not None and step:
            steps = lane_constants([i * step for i in range(LANES)], "i64")
            lanes, step = f.op(f"add {vector('i64')} {lanes}, {steps}"), 0
        pointer, kind = self.pointers[view.buffer], memory_type(view.buffer.dtype)
        if known and offset != 0:  # outside of the array, perhaps, until what is known is added
            pointer, offset = f.op(f"getelementptr {kind}, ptr {pointer}, i64 {offset}"), 0
        return f.pointer(pointer, offset if offset != 0 else known, kind), step, lanes

    def load(self, view: View, index: Index) -> Value:
        f, dtype = self.function, view.buffer.dtype
        kind = memory_type(dtype)
        wide = vector(kind)
        pointer, step, lanes = self.address(view, index)
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
            value = f.op(f"icmp ne {wide if is_wide else kind} {value}, {'zeroinitializer' if is_wide else '0'}")
        return Value(value, is_wide)

    def prefetch(self, view: View, index: Index, written: bool = False) -> None:
        """Prefetch the cache line of the first of these elements; ``written``: away from other processors."""
        pointer, _, _ = self.address(view, index)
        self.module.declarations.add(PREFETCH)
        self.function.emit(f"call void @llvm.prefetch.p0(ptr {pointer}, i32 {int(written)}, i32 3, i32 1)")

    def store(self, view: View, index: Index, value: Value) -> None:
        f, dtype = self.function, view.buffer.dtype
        kind = memory_type(dtype)
        pointer, step, lanes = self.address(view, index)
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
        if lanes is None and step == 1 and self.mask is None and self.streams:
            self.module.declarations.add(STREAMED)
            f.emit(f"store {wide} {name}, ptr {pointer}, align {LINE}, !nontemporal !0")
        elif lanes is None and step == 1 and self.mask is None:
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
        """Load the active lanes from adjacent elements."""
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
        """The lanes of a masked access, and their mask.

        If the active lanes are in the lower half, half a vector is accessed: it crosses fewer cache lines.
        """
        half = next((n for n in range(1, LANES // 2 + 1) if self.mask == tail_mask(n)), None)
        if half is None:
            return LANES, str(self.mask)
        return LANES // 2, tail_mask(half, LANES // 2)

    def _memory(self, name: str, result: str, *operands: str) -> str:
        """Declare one of LLVM's masked memory intrinsics, and return its name."""
        self.module.declarations.add(f"declare {result} @llvm.{name}({', '.join(operands)})")
        return f"@llvm.{name}"

    def _spread(self, pointer: str, kind: str, step: int, lanes: str | None) -> str:
        """16 pointers, ``step`` elements apart or at the offsets ``lanes``."""
        offsets = lanes or lane_constants([i * step for i in range(LANES)], "i64")
        return self.function.op(f"getelementptr inbounds {kind}, ptr {pointer}, {vector('i64')} {offsets}")

    # --- values ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def value(self, node: Node, index: Index) -> Value:
        """The node at the index."""

    def widen(self, value: Value, element: str) -> str:
        return value.name if value.wide else self.function.splat(value.name, element)

    def call(self, name: str, type_: str, *operands: str) -> str:
        """Call one of our own elementary functions."""
        suffix = suffix_of(type_)
        if name == "fma" and self.module.has_fma:
            return self.intrinsic("fma", type_, *operands)
        self.module.functions.add((name, suffix))
        arguments = ", ".join(f"{type_} {o}" for o in operands)
        return self.function.op(f"call {type_} @rv.{name}.{suffix}({arguments})")

    def intrinsic(self, name: str, type_: str, *operands: str) -> str:
        suffix = suffix_of(type_)
        self.module.declarations.add(f"declare {type_} @llvm.{name}.{suffix}({', '.join([type_] * len(operands))})")
        return self.function.op(f"call {type_} @llvm.{name}.{suffix}({', '.join(f'{type_} {o}' for o in operands)})")

    def number(self, at: At, dtype: str) -> Value:
        """A position as a value of a dtype."""
        f, element = self.function, ELEMENT[dtype]
        convert = "sitofp" if dtype in FLOATS else "trunc"
        if at.lanes is None and at.step == 0:
            if isinstance(at.base, int):
                return Value(literal(at.base, element), False)
            return Value(at.base if element == "i64" else f.op(f"{convert} i64 {at.base} to {element}"), False)
        wide = self.lane_numbers(at)
        if element == "i64":
            return Value(wide, True)
        return Value(f.op(f"{convert} {vector('i64')} {wide} to {vector(element)}"), True)

    def as_position(self, value: Value, dtype: str) -> str:
        """Signed integers as positions, which are i64."""
        if ELEMENT[dtype] == "i64":
            return value.name
        source, target = (vector(t) if value.wide else t for t in (ELEMENT[dtype], "i64"))
        return self.function.op(f"sext {source} {value.name} to {target}")

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

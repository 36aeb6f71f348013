"""The kernel that examines values, and reports the first one that is out of range."""

from __future__ import annotations

from functools import partial

from ranvier.engines.native.codegen.kernel import Index, Kernel, Value
from ranvier.engines.native.codegen.loops import nest, scope
from ranvier.engines.native.runtime.context import FAULT, POSITION, STEP, VALUE
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.target.lanes import ELEMENT, LANES, literal, vector
from ranvier.graph.dtypes import FLOATS, SIGNED, limits
from ranvier.graph.node import Node

Range = tuple[float, float, int | None]


def emit_fault(k: Kernel, task: Task) -> None:
    """Examine each operand in row-major order. The first fault of a run stays; %worker is the step."""
    for number, (operand, given) in enumerate(zip(task.node.inputs, task.node.attrs["ranges"], strict=True), 1):
        ranges = [(0, k.extent(dim)) for dim in operand.shape]
        nest(k, ranges, partial(_examine, k, task, number, operand, given), wide=True)


def _examine(k: Kernel, task: Task, number: int, operand: Node, given: Range, index: Index) -> None:
    f, value = k.function, k.value(operand, index)
    wrong = _outside(k, value, operand.dtype, given)
    if wrong is None:
        return
    if value.wide:
        flags = f.op(f"and {vector('i1')} {wrong}, {k.mask}") if k.mask is not None else wrong
        bits = f.op(f"bitcast {vector('i1')} {flags} to i{LANES}")
        wrong = f.op(f"icmp ne i{LANES} {bits}, 0")
    with f.when(wrong), scope(k):
        lane = "0"
        if value.wide:
            k.module.declarations.add(f"declare i{LANES} @llvm.cttz.i{LANES}(i{LANES}, i1)")
            first = f.op(f"call i{LANES} @llvm.cttz.i{LANES}(i{LANES} {bits}, i1 true)")
            lane = f.op(f"zext i{LANES} {first} to i64")
        _report(k, task, number, operand, value, index, lane)


def _outside(k: Kernel, value: Value, dtype: str, given: Range) -> str | None:
    """Whether an element is out of range; None if its dtype has no such number."""
    f, (low, high, ignored) = k.function, given
    element = ELEMENT[dtype]
    type_, flag = (vector(element), vector("i1")) if value.wide else (element, "i1")

    def compare(word: str, number: float) -> str:
        text = literal(number, element)
        return f.op(f"{word} {type_} {value.name}, {f'splat ({element} {text})' if value.wide else text}")

    if dtype in FLOATS:  # nan is out of range
        return f.op(f"or {flag} {compare('fcmp ult', low)}, {compare('fcmp ugt', high)}")
    least, most = limits(dtype)
    sign = "s" if dtype in SIGNED else "u"
    found = [compare(f"icmp {sign}lt", low)] if low > least else []
    found += [compare(f"icmp {sign}gt", high)] if high < most else []
    if not found:
        return None
    wrong = found[0] if len(found) == 1 else f.op(f"or {flag} {found[0]}, {found[1]}")
    if ignored is not None and least <= ignored <= most:
        wrong = f.op(f"and {flag} {wrong}, {compare('icmp ne', ignored)}")
    return wrong


def _report(k: Kernel, task: Task, number: int, operand: Node, value: Value, index: Index, lane: str) -> None:
    """Store what is wrong, if nothing was before."""
    f, element = k.function, ELEMENT[operand.dtype]
    words = k.pointers[task.stores[0][1].buffer]
    old = f.op(f"load i64, ptr {f.pointer(words, FAULT, 'i64')}, align 8")
    with f.when(f.op(f"icmp eq i64 {old}, 0")):
        position = f.add(0, lane if lane != "0" else 0)
        for axis, at in enumerate(index):
            stride = 1
            for dim in operand.shape[axis + 1 :]:
                stride = f.mul(stride, k.extent(dim))  # type: ignore[assignment]  # a name, where an extent has one
            position = f.add(position, f.mul(at.base, stride))
        name = value.name
        if value.wide:
            name = f.op(f"extractelement {vector(element)} {name}, i64 {lane}")
        if operand.dtype in FLOATS:
            name = name if element == "double" else f.op(f"fpext {element} {name} to double")
            name = f.op(f"bitcast double {name} to i64")
        elif element != "i64":
            name = f.op(f"{'sext' if operand.dtype in SIGNED else 'zext'} {element} {name} to i64")
        for place, word in ((POSITION, position), (VALUE, name), (STEP, "%worker"), (FAULT, number)):
            f.emit(f"store i64 {word}, ptr {f.pointer(words, place, 'i64')}, align 8")

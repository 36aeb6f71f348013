"""The shuffle of `ranvier.graph.random` in native code: the same order, ten times as fast as NumPy's `permutation`.

A thread that waits for the next program can run it while the interpreter goes on. Swaps are done eight at a time: one
by one, each waits for the stores of the one before, which takes ten times as long on some processors.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier.engines.native.runtime import object_cache, thread_pool
from ranvier.graph.random import GOLDEN, MIX

PATIENCE = 1000  # polls before the processor is yielded, which takes longer
TOGETHER = 8  # numbers that are drawn at once


def _mixed(type_: str, name: str, state: str, bound: str) -> str:
    """SplitMix64's number after a state, times a bound of fewer than 33 bits, over 2**64."""

    def splat(value: int) -> str:
        return str(value) if type_ == "i64" else f"splat (i64 {value})"

    lines, value = [], state
    for i, (shift, factor) in enumerate(MIX):
        lines += [
            f"%{name}s{i} = lshr {type_} {value}, {splat(shift)}",
            f"%{name}x{i} = xor {type_} {value}, %{name}s{i}",
            f"%{name}m{i} = mul {type_} %{name}x{i}, {splat(factor)}",
        ]
        value = f"%{name}m{i}"
    lines += [
        f"%{name}high = lshr {type_} {value}, {splat(32)}",
        f"%{name}low = and {type_} {value}, {splat(2**32 - 1)}",
        f"%{name}top = mul nuw {type_} %{name}high, {bound}",
        f"%{name}rest = mul nuw {type_} %{name}low, {bound}",
        f"%{name}carry = lshr {type_} %{name}rest, {splat(32)}",
        f"%{name}sum = add nuw {type_} %{name}top, %{name}carry",
        f"%{name} = lshr {type_} %{name}sum, {splat(32)}",
    ]
    return "\n  ".join(lines)


def _swap(name: str, last: str, other: str) -> tuple[list[str], list[str]]:
    """The loads and the stores that swap two elements."""
    loads = [
        f"%{name}here = getelementptr i32, ptr %rows, i64 {last}",
        f"%{name}there = getelementptr i32, ptr %rows, i64 {other}",
        f"%{name}x = load i32, ptr %{name}here, align 4",
        f"%{name}y = load i32, ptr %{name}there, align 4",
    ]
    stores = [f"store i32 %{name}y, ptr %{name}here, align 4", f"store i32 %{name}x, ptr %{name}there, align 4"]
    return loads, stores


def _swaps(name: str, *, at_once: bool) -> str:
    """A block's swaps, one after another; or, ``at_once``, all loads before all stores, so none waits."""
    begun: list[str] = []
    ended: list[str] = []
    for i in range(TOGETHER):
        last, other = f"%{name}{i}last", f"%{name}{i}other"
        loads, stores = _swap(f"{name}{i}", last, other)
        begun += [f"{last} = sub i64 %left, {i + 1}", f"{other} = extractelement {_VECTOR} %others, i64 {i}", *loads]
        (ended if at_once else begun).extend(stores)
    return "\n  ".join([*begun, *ended])


def _clash() -> str:
    """Whether two of a block's swaps have an element in common."""
    kind, flags = f"<{TOGETHER} x i32>", f"<{TOGETHER} x i1>"
    lines = [
        f"%small = trunc {_VECTOR} %others to {kind}",
        "%first.small = trunc i64 %left1 to i32",
        f"%first.one = insertelement {kind} poison, i32 %first.small, i64 0",
        f"%first.all = shufflevector {kind} %first.one, {kind} poison, <{TOGETHER} x i32> zeroinitializer",
        f"%clash0 = icmp uge {kind} %small, %first.all",
    ]
    for i in range(1, TOGETHER // 2 + 1):  # these rotations pair each element with each other one
        turned = ", ".join(f"i32 {(lane + i) % TOGETHER}" for lane in range(TOGETHER))
        lines += [
            f"%turned{i} = shufflevector {kind} %small, {kind} poison, <{TOGETHER} x i32> <{turned}>",
            f"%equal{i} = icmp eq {kind} %small, %turned{i}",
            f"%clash{i} = or {flags} %clash{i - 1}, %equal{i}",
        ]
    lines += [
        f"%clashes = bitcast {flags} %clash{TOGETHER // 2} to i{TOGETHER}",
        f"%clash = icmp ne i{TOGETHER} %clashes, 0",
    ]
    return "\n  ".join(lines)


# The arguments of an errand, in words of 64 bits: the addresses of the result and of the rows, their number, the seed,
# and whether it has ended.
_TO, _FROM, _ROWS, _SEED, _DONE = range(5)
_Words = ctypes.c_uint64 * 5


def _word(number: int, type_: str, name: str) -> str:
    return f"""%{name}.at = getelementptr i64, ptr %ctx, i64 {number}
  %{name} = load {type_}, ptr %{name}.at, align 8"""


_VECTOR = f"<{TOGETHER} x i64>"
_STEPS = ", ".join(f"i64 {(i + 1) * GOLDEN % 2**64}" for i in range(TOGETHER))
_LESS = ", ".join(f"i64 {i}" for i in range(TOGETHER))
_SWAP = "\n  ".join(itertools.chain(*_swap("s", "%last", "%other")))
_TEXT = f"""
define internal void @shuffle(ptr %rows, i64 %n, i64 %seed) nounwind {{
start:
  br label %check
check:
  %left = phi i64 [ %n, %start ], [ %left1, %at.once ], [ %left1, %one.by.one ]
  %state = phi i64 [ %seed, %start ], [ %state1, %at.once ], [ %state1, %one.by.one ]
  %many = icmp ugt i64 %left, {TOGETHER}
  br i1 %many, label %block, label %few
block:
  %state.one = insertelement {_VECTOR} poison, i64 %state, i64 0
  %state.all = shufflevector {_VECTOR} %state.one, {_VECTOR} poison, <{TOGETHER} x i32> zeroinitializer
  %states = add {_VECTOR} %state.all, <{_STEPS}>
  %left.one = insertelement {_VECTOR} poison, i64 %left, i64 0
  %left.all = shufflevector {_VECTOR} %left.one, {_VECTOR} poison, <{TOGETHER} x i32> zeroinitializer
  %bounds = sub {_VECTOR} %left.all, <{_LESS}>
  {_mixed(_VECTOR, "others", "%states", "%bounds")}
  %left1 = sub i64 %left, {TOGETHER}
  %state1 = add i64 %state, {TOGETHER * GOLDEN % 2**64}
  {_clash()}
  br i1 %clash, label %one.by.one, label %at.once
at.once:
  {_swaps("a", at_once=True)}
  br label %check
one.by.one:
  {_swaps("b", at_once=False)}
  br label %check
few:
  %rest = phi i64 [ %left, %check ], [ %last, %swap ]
  %state2 = phi i64 [ %state, %check ], [ %state3, %swap ]
  %more = icmp ugt i64 %rest, 1
  br i1 %more, label %swap, label %done
swap:
  %last = sub i64 %rest, 1
  %state3 = add i64 %state2, {GOLDEN}
  {_mixed("i64", "other", "%state3", "%rest")}
  {_SWAP}
  br label %few
done:
  ret void
}}
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
define void @errand(i64 %tid, i64 %nthreads, ptr %ctx) nounwind {{
  {_word(_TO, "ptr", "to")}
  {_word(_FROM, "ptr", "from")}
  {_word(_ROWS, "i64", "rows")}
  {_word(_SEED, "i64", "seed")}
  %done = getelementptr i64, ptr %ctx, i64 {_DONE}
  %bytes = shl i64 %rows, 2
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %bytes, i1 false)
  call void @shuffle(ptr %to, i64 %rows, i64 %seed)
  store atomic i64 1, ptr %done release, align 8
  ret void
}}
define i64 @is_done(ptr %ctx) nounwind {{
  %done = getelementptr i64, ptr %ctx, i64 {_DONE}
  %now = load atomic i64, ptr %done acquire, align 8
  ret i64 %now
}}
"""


@functools.cache
def _native() -> tuple[thread_pool.EntryPoint, Callable[[int], int]]:
    """The functions ``errand`` and ``is_done``."""
    library = object_cache.load_text(_TEXT)
    is_done = library.function("is_done", ctypes.c_int64, ctypes.c_void_p)
    return thread_pool.function(library.address("errand"), library), is_done


def shuffled(rows: Any, seed: int, *, background: bool = False, into: Any = None) -> Callable[[], Any]:
    """Shuffle the int32 numbers of a C-contiguous array by ``seed`` (64 bits) alone.

    The result is a function that returns the order: the C-contiguous array ``into``, or a new one. With ``background``,
    a lingering thread computes it, if there is one, and the function waits for it.
    """
    (errand, is_done), order = _native(), np.empty_like(rows) if into is None else into
    words = _Words(order.ctypes.data, rows.ctypes.data, len(rows), seed, 0)
    ctx = ctypes.addressof(words)
    if not background or not thread_pool.run_in_background(errand, ctx, (order, rows, words)):
        errand(0, 1, ctx)
    return functools.partial(_finished, order, words, ctx, is_done)


def _finished(order: Any, words: Any, ctx: int, is_done: Callable[[int], int]) -> Any:
    """The order, when it is complete; ``ctx`` is the address of ``words``, which must live until then."""
    turns = 0
    while not is_done(ctx):
        turns += 1
        if turns > PATIENCE:
            time.sleep(0)
    return order

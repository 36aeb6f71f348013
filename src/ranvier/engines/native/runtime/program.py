"""A compiled program: it binds arrays, chooses the number of threads, and calls the entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from ranvier.engines.native.runtime import llvm, thread_pool
from ranvier.engines.native.runtime import threads as runtime
from ranvier.engines.native.runtime.context import (
    FAULT,
    FAULT_WORDS,
    POSITION,
    PRIVATE,
    SCRATCH,
    START,
    STEP,
    STOP,
    SYNC,
    TOTAL,
    VALUE,
    WORDS,
    Text,
)
from ranvier.engines.native.runtime.thread_tuning import Remembered, ThreadTuner
from ranvier.graph.checks import reported
from ranvier.graph.dtypes import array_dtype
from ranvier.graph.extents import Extent
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH
from ranvier.support.aligned_memory import aligned_empty
from ranvier.support.exits import calls

LARGE = 1 << 20  # bytes


class Improvement(NamedTuple):
    """How a quickly compiled program gets better code, and after how many seconds of running that pays."""

    compile: Callable[[], tuple[Text, llvm.Library]]
    after: float


class _Code(NamedTuple):
    """A program's code, and the bytes of its own that each thread needs. What threads share is the same for all."""

    entry: thread_pool.EntryPoint
    private: int

    @classmethod
    def of(cls, text: Text, library: llvm.Library) -> _Code:
        return cls(thread_pool.function(library.address("entry"), library), text.private)


class _Frame:
    """The memory of one run: its context, scratch memory and barrier, and the code that it is for."""

    def __init__(self, text: Text, arrays: int, checked: bool, code: _Code) -> None:
        end = WORDS + len(text.symbols) + arrays
        self.context = aligned_empty(end + (1 + FAULT_WORDS if checked else 0), np.int64)
        self.context[:] = 0
        self.words = memoryview(self.context.data)  # faster to write word by word than the array
        self.address = self.context.ctypes.data
        self.use(code)
        self.sync = runtime.new_sync_block()
        self.scratch = aligned_empty(max(text.scratch, 64), np.uint8)
        self.held: list[Any] = [None] * arrays
        self.context[SYNC] = self.sync.ctypes.data
        self.context[SCRATCH] = self.scratch.ctypes.data
        if checked:
            self.context[end] = self.address + 8 * (end + 1)

    def use(self, code: _Code) -> None:
        """Run this code from now on."""
        self.code = code
        self.run_alone = thread_pool.on_one_thread(code.entry, self.address)
        self.private: Any = None
        self.threads = 0  # that private memory is reserved for

    def reserve(self, threads: int) -> None:
        """Allocate the private memory of so many threads."""
        self.private = aligned_empty(max(threads * self.code.private, 64), np.uint8)
        self.context[PRIVATE] = self.private.ctypes.data
        self.threads = threads


class NativeProgram:
    """A graph as machine code. `ranvier.engines.Program` describes ``run``."""

    def __init__(
        self,
        graph: Graph,
        batch: int | None,
        text: Text,
        library: llvm.Library,
        remembered: Remembered | None = None,
        improvement: Improvement | None = None,
    ) -> None:
        self.inputs, self.outputs = graph.inputs, graph.outputs
        self.batch = batch or 1
        self.text = text
        self._arrays = (*graph.inputs, *graph.outputs)
        self._dtypes = [array_dtype(node.dtype) for node in self._arrays]
        self._first = WORDS + len(text.symbols)
        self.checks = [node for node in graph.nodes() if node.op.name == "check"]
        self._fault = self._first + len(self._arrays) + 1
        self.code = _Code.of(text, library)
        self._improvements = [improvement] if improvement is not None else []
        self._spent = 0.0  # seconds in quickly compiled code
        self.tuner = ThreadTuner(text.work, remembered)
        self.tuner_each = ThreadTuner(text.work)  # of calls with several runs
        self._frames: list[_Frame] = []  # one for each concurrent run at most; append and pop are atomic
        sized = [(d, (p, axis)) for p, n in enumerate(graph.inputs) for axis, d in enumerate(n.shape)]
        dims = {d.name: found for d, found in sized if isinstance(d, Extent)}
        self._symbols = [(WORDS + i, *dims[name]) for i, name in enumerate(text.symbols) if name != BATCH.name]
        self._batch_from = next((p for p, n in enumerate(graph.inputs) if n.shape[:1] == (BATCH,)), None)

    def run(
        self, arrays: Sequence[Any], outputs: Sequence[Any], start: int = 0, stop: int = 1, total: int | None = None
    ) -> None:
        calls.check()
        frames = self._frames
        frame = frames.pop() if frames else self._new_frame()
        try:
            if total is None:
                total = len(arrays[self._batch_from]) if self._batch_from is not None else self.batch * stop
            self._bind(frame, arrays, outputs, total)
            context = frame.words
            began = perf_counter() if self._improvements else 0.0
            for first, end, threads in self.tuner.pieces(start, stop):
                context[START], context[STOP] = first, end
                if frame.code is not self.code:
                    frame.use(self.code)
                if threads > frame.threads:
                    frame.reserve(threads)
                if threads == 1:
                    frame.run_alone()
                else:
                    thread_pool.run_parallel(frame.code.entry, threads, frame.address)
                if self.checks and context[self._fault]:
                    raise self._error(frame, [a.shape for a in arrays], total)
                if began:
                    began = self._improve(began)
        finally:
            frames.append(frame)

    def _improve(self, began: float) -> float:
        """Count the seconds since ``began``, and compile better code when that pays. Returns the time."""
        now = perf_counter()
        self._spent += now - began
        improvements = self._improvements
        if improvements and self._spent > improvements[0].after:
            try:
                improvement = improvements.pop()
            except IndexError:  # another thread does it
                return now
            self.code = _Code.of(*improvement.compile())
            return perf_counter()
        return now

    def run_each(self, arrays: Sequence[Any], own: Mapping[int, Any], steps: int, total: int) -> None:
        """Several runs of ``steps`` steps each, one after another in one native call, of a program without outputs.

        ``own`` maps an array's number to a stack of arrays: run i takes row i of it instead of the array.
        """
        calls.check()
        frames = self._frames
        frame = frames.pop() if frames else self._new_frame()
        try:
            if frame.code is not self.code:
                frame.use(self.code)
            if runtime.get_threads() > frame.threads:
                frame.reserve(runtime.get_threads())
            self._bind(frame, [own[i][0, ...] if i in own else a for i, a in enumerate(arrays)], (), total)
            frame.words[START], frame.words[STOP] = 0, steps
            runs = len(next(iter(own.values())))
            words = -(-len(frame.context) // 8) * 8  # whole cache lines
            contexts = aligned_empty((runs, words), np.int64)
            contexts[:, : len(frame.context)] = frame.context
            for number, stack in own.items():
                contexts[:, self._first + number] += np.arange(runs) * stack.strides[0]
            began = perf_counter() if self._improvements else 0.0
            for first, end, threads in self.tuner_each.pieces(0, runs):
                # More processors may be available than when private memory was reserved.
                threads = min(threads, frame.threads)
                thread_pool.run_each(frame.code.entry, threads, contexts[first:end], frame.sync.ctypes.data)
                if self.checks and frame.words[self._fault]:
                    raise self._error(frame, [a.shape for a in arrays], total)
                if began:
                    began = self._improve(began)
        finally:
            frames.append(frame)

    def _error(self, frame: _Frame, shapes: Sequence[tuple[int, ...]], total: int) -> Exception:
        """The error that a run's words report; they are 0 again for the next run."""
        found = frame.context[self._fault :].tolist()
        frame.words[self._fault] = 0
        check = self.checks[found[FAULT] - 1]
        before = found[STEP] * self.batch
        extents = {BATCH.name: min(self.batch, total - before)}
        for node, shape in zip(self.inputs, shapes, strict=True):
            extents |= {
                d.name: n for d, n in zip(node.shape, shape, strict=True) if isinstance(d, Extent) and d != BATCH
            }
        return reported(check, found[POSITION], found[VALUE], extents, before)

    def _new_frame(self) -> _Frame:
        return _Frame(self.text, len(self._arrays), bool(self.checks), self.code)

    def _bind(self, frame: _Frame, arrays: Sequence[Any], outputs: Sequence[Any], total: int) -> None:
        """Write the arrays' addresses and extents into the context, where they differ from the run before."""
        held, words, first, dtypes = frame.held, frame.words, self._first, self._dtypes
        given = (*arrays, *outputs)
        if len(given) != len(held):
            raise ValueError(f"a program of {len(held)} arrays was given {len(given)}")
        for number, array in enumerate(given):
            if held[number] is not array:
                address, dtype = runtime.address_of(array), array.dtype
                if address is None or (dtype is not dtypes[number] and dtype != dtypes[number]):
                    raise ValueError(
                        f"{self._arrays[number]!r} was given an array of {dtype} with strides {array.strides}"
                    )
                words[first + number] = address
                held[number] = array if array.nbytes < LARGE else None  # a data set is not kept alive
        words[TOTAL] = total
        for word, place, axis in self._symbols:
            words[word] = arrays[place].shape[axis]

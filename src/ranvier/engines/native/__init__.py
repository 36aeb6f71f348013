"""The native engine: a graph becomes one machine-code program.

The compiler is the list of passes in `PASSES`, then a schedule (`schedule/schedule.py`), then LLVM text
(`codegen/assemble.py`), then an
object file (`runtime/llvm.py`), kept on disk (`runtime/object_cache.py`). RANVIER_DUMP names stages to print as
they are made: the passes,
``schedule``, ``llvm`` (what is given to LLVM), ``optimized`` (what LLVM makes of it), ``assembly``, or ``all``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ranvier.engines.native.dump import LATE, STAGES, asked, dump
from ranvier.engines.native.passes.clip_padding import cut
from ranvier.engines.native.passes.split_strided import weave
from ranvier.engines.native.passes.squeeze import squeeze
from ranvier.engines.native.runtime import llvm, thread_pool
from ranvier.engines.native.runtime import threads as runtime
from ranvier.engines.native.runtime.context import PRIVATE, SCRATCH, START, STOP, SYNC, TOTAL, WORDS, Text
from ranvier.engines.native.runtime.object_cache import cache_key, default_cache
from ranvier.engines.native.runtime.shuffle import shuffled as shuffled
from ranvier.engines.native.runtime.thread_tuning import Pace
from ranvier.engines.reference import ReferenceProgram
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Symbol
from ranvier.graph.simplify import share, simplify

LARGE = 1 << 20  # bytes
PASSES: tuple[tuple[str, Callable[[Graph], Graph]], ...] = (
    ("share", share),
    ("simplify", simplify),
    ("cut", cut),
    ("weave", weave),
    ("squeeze", squeeze),
    ("simplify again", simplify),
)
"""What is done to a graph before it is scheduled, in order."""
STAGES.update(name for name, _ in PASSES)


def lower(graph: Graph) -> Graph:
    """The graph after every pass."""
    dump("graph", graph.__str__)
    for name, run in PASSES:
        graph = run(graph)
        dump(name, graph.__str__)
    return graph


class _Frame:
    """What one run at a time needs: the context, scratch memory, a barrier."""

    def __init__(self, text: Text, arrays: int) -> None:
        self.context = runtime.aligned_empty(WORDS + len(text.symbols) + arrays, np.int64)
        self.context[:] = 0
        self.words = memoryview(self.context.data)  # quicker to write into, word by word, than the array
        self.address = self.context.ctypes.data
        self.sync = runtime.new_sync_block()
        self.scratch = runtime.aligned_empty(max(text.scratch, 64), np.uint8)
        self.private: Any = None
        self.threads = 0
        self.held: list[Any] = [None] * arrays
        self.context[SYNC] = self.sync.ctypes.data
        self.context[SCRATCH] = self.scratch.ctypes.data

    def reserve(self, threads: int, size: int) -> None:
        """Memory that each of so many threads has for itself."""
        self.private = runtime.aligned_empty(max(threads * size, 64), np.uint8)
        self.context[PRIVATE] = self.private.ctypes.data
        self.threads = threads


class NativeProgram:
    """A graph as machine code. See `ranvier.engines.Program` for the contract that every engine keeps."""

    def __init__(self, graph: Graph, batch: int | None, text: Text, library: llvm.Library) -> None:
        self.inputs, self.outputs = (
            graph.inputs,
            graph.outputs,
        )  # as the caller knows them, with dimensions of 1
        self.batch = batch or 1
        self.text = text
        self._arrays = (*graph.inputs, *graph.outputs)
        self._dtypes = [np.dtype(node.dtype) for node in self._arrays]
        self._first = WORDS + len(text.symbols)
        self.entry = thread_pool.function(library.address("entry"), library)
        self.pace = Pace(text.work)
        self.pace_each = Pace(text.work)  # of whole runs, several in a call
        self._frames: list[_Frame] = []  # one for each run under way at most; append and pop are atomic
        dims = {d: (p, axis) for p, n in enumerate(graph.inputs) for axis, d in enumerate(n.shape)}
        self._symbols = [
            (WORDS + i, *dims[Symbol(name)]) for i, name in enumerate(text.symbols) if name != BATCH.name
        ]
        self._batch_from = next((p for p, n in enumerate(graph.inputs) if n.shape[:1] == (BATCH,)), None)

    def run(
        self,
        arrays: Sequence[Any],
        outputs: Sequence[Any],
        start: int = 0,
        stop: int = 1,
        total: int | None = None,
    ) -> None:
        frame = self._frame()
        try:
            if total is None:
                total = len(arrays[self._batch_from]) if self._batch_from is not None else self.batch * stop
            self._bind(frame, arrays, outputs, total)
            context = frame.words
            for first, end, threads in self.pace.pieces(start, stop):
                context[START], context[STOP] = first, end
                if threads > frame.threads:
                    frame.reserve(threads, self.text.private)
                thread_pool.run_parallel(self.entry, threads, frame.address)
        finally:
            self._frames.append(frame)

    def run_each(self, arrays: Sequence[Any], own: Mapping[int, Any], steps: int, total: int) -> None:
        """Several runs of ``steps`` steps each, one after the other in one native call.

        ``own`` has by its number what each run takes in an array's place: the run's row of a stack of them. Of a
        program without outputs.
        """
        frame = self._frame()
        try:
            if runtime.get_threads() > frame.threads:
                frame.reserve(runtime.get_threads(), self.text.private)
            self._bind(frame, [own[i][0, ...] if i in own else a for i, a in enumerate(arrays)], (), total)
            frame.words[START], frame.words[STOP] = 0, steps
            runs = len(next(iter(own.values())))
            words = -(-len(frame.context) // 8) * 8  # whole cache lines
            contexts = runtime.aligned_empty((runs, words), np.int64)
            contexts[:, : len(frame.context)] = frame.context
            for number, stack in own.items():
                contexts[:, self._first + number] += np.arange(runs) * stack.strides[0]
            for first, end, threads in self.pace_each.pieces(0, runs):
                # Processors may have come since memory was reserved for threads.
                threads = min(threads, frame.threads)
                thread_pool.run_each(self.entry, threads, contexts[first:end], frame.sync.ctypes.data)
        finally:
            self._frames.append(frame)

    def _frame(self) -> _Frame:
        return self._frames.pop() if self._frames else _Frame(self.text, len(self._arrays))

    def _bind(self, frame: _Frame, arrays: Sequence[Any], outputs: Sequence[Any], total: int) -> None:
        """Put the arrays' addresses and extents into the context; addresses of the run before are there already."""
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


def target() -> llvm.Target:
    """What programs are compiled for now."""
    return llvm.resolve_target()


def _translated(lowered: Graph, rows: int, target: llvm.Target) -> Text:
    """The LLVM text. What makes it is imported here alone: loading what the cache has takes less than that import."""
    from ranvier.engines.native.compiler import text_of

    return text_of(lowered, rows, target)


def compile(graph: Graph, batch: int | None = None) -> NativeProgram | ReferenceProgram:
    """Compile a graph, or find it in the cache. ``batch`` is the most rows that a step sees.

    Programs over arrays without elements are left to the reference engine: there is nothing to compute in them.
    """
    if any(0 in node.shape for node in graph.nodes()):
        return ReferenceProgram(graph, batch)
    target = llvm.resolve_target()
    llvm.check_runnable(target)
    lowered = lower(graph)
    rows = batch or 1
    key = cache_key(str(lowered), str(rows), target.triple, target.cpu, target.features)
    cache = default_cache()
    found = cache.get(key)
    if found is not None:
        if asked(*LATE):
            _translated(lowered, rows, target)  # printed, as it was when the entry was made
        line, _, data = found.partition(b"\n")
        facts = json.loads(line)
        text = Text("", tuple(facts["symbols"]), facts["scratch"], facts["private"], facts["work"])
        return NativeProgram(graph, batch, text, llvm.load_object(data, target))
    text = _translated(lowered, rows, target)
    data = llvm.compile_object(text.text, target)
    head = json.dumps(dict(symbols=text.symbols, scratch=text.scratch, private=text.private, work=text.work))
    cache.put(key, head.encode() + b"\n" + data)
    return NativeProgram(graph, batch, text, llvm.load_object(data, target))

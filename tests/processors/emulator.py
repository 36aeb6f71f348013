"""An AArch64 processor under the native engine: programs are compiled for it, linked with a start that needs no system
library, and run by QEMU. Everything above the engine is the same as on this machine.
"""

import os
import tempfile
from pathlib import Path

import numpy as np

from ranvier.engines import native
from ranvier.engines.native import compiler
from ranvier.engines.native.runtime import context, llvm
from ranvier.engines.native.runtime.program import NativeProgram
from ranvier.engines.reference import ReferenceProgram
from tests.processors.tools import Tools

LINE = 128
# The three functions of C that LLVM may call, and a start that runs the entry on one thread and writes all arrays out.
START = """
.globl _start, memcpy, memmove, memset
.text
_start:
  mov x0, #0
  mov x1, #1
  adrp x2, context
  add x2, x2, :lo12:context
  bl entry
  adrp x19, begin
  add x19, x19, :lo12:begin
  adrp x20, end
  add x20, x20, :lo12:end
write:
  cmp x19, x20
  b.hs leave
  mov x0, #1
  mov x1, x19
  sub x2, x20, x19
  mov x8, #64
  svc #0
  cmp x0, #0
  b.le fail
  add x19, x19, x0
  b write
leave:
  mov x0, #0
  mov x8, #93
  svc #0
fail:
  mov x0, #1
  mov x8, #93
  svc #0
memmove:
  cmp x0, x1
  b.ls memcpy
backward:
  cbz x2, done
  sub x2, x2, #1
  ldrb w4, [x1, x2]
  strb w4, [x0, x2]
  b backward
memcpy:
  mov x3, #0
forward:
  cmp x3, x2
  b.hs done
  ldrb w4, [x1, x3]
  strb w4, [x0, x3]
  add x3, x3, #1
  b forward
memset:
  mov x3, #0
fill:
  cmp x3, x2
  b.hs done
  strb w1, [x0, x3]
  add x3, x3, #1
  b fill
done:
  ret
"""


class NoLibrary:
    """Stands where a loaded object would: nothing of it can run here."""

    @staticmethod
    def address(name):
        return 0


class EmulatedProgram(NativeProgram):
    """A native program whose runs happen in QEMU."""

    def __init__(self, graph, batch, text, code, tools):
        super().__init__(graph, batch, text, NoLibrary)
        self.code, self.tools = code, tools
        self.written = {graph.inputs.index(target) for target, _ in graph.updates}

    def run(self, arrays, outputs, start=0, stop=1, total=None):
        faults = np.zeros(context.FAULT_WORDS, np.int64)  # what checks write
        given = (*arrays, *outputs, *((faults,) if self.checks else ()))
        if total is None:
            total = len(arrays[self._batch_from]) if self._batch_from is not None else self.batch * stop
        words: list[object] = [0] * (context.WORDS + len(self.text.symbols))
        words[context.START], words[context.STOP], words[context.TOTAL] = start, stop, total
        words[context.SYNC], words[context.SCRATCH], words[context.PRIVATE] = "sync", "scratch", "private"
        for word, place, axis in self._symbols:
            words[word] = arrays[place].shape[axis]
        words += [f"begin + {i * LINE}" for i in self._offsets(given)]
        with tempfile.TemporaryDirectory() as folder:
            result = self._execute(Path(folder), words, given)
        for number, at in enumerate(self._offsets(given)):
            if number in self.written or number >= len(arrays):
                array = given[number]
                values = np.frombuffer(result, array.dtype, array.size, at * LINE)
                np.copyto(array, values.reshape(array.shape))
        if faults.any():
            raise RuntimeError(f"a check of the program failed: {faults.tolist()}")

    def run_each(self, arrays, own, steps, total):  # one call of QEMU for each
        for i in range(len(next(iter(own.values())))):
            self.run([own[n][i, ...] if n in own else a for n, a in enumerate(arrays)], (), 0, steps, total)

    @staticmethod
    def _offsets(arrays):
        """Where each array begins, in lines."""
        at = 0
        for array in arrays:
            yield at
            at += -(-array.nbytes // LINE) + 1

    def _execute(self, folder, words, arrays):
        code, source, binary = (folder / name for name in ("program.o", "start.s", "program"))
        code.write_bytes(self.code)
        data = [".data", f".balign {LINE}", f"sync: .zero {3 * LINE}", "context: .quad " + ", ".join(map(str, words))]
        data += [f".balign {LINE}", "begin:"]
        for number, array in enumerate(arrays):
            (folder / f"{number}.bin").write_bytes(np.ascontiguousarray(array).tobytes())
            data += [f'.incbin "{number}.bin"', f".balign {LINE}", f".zero {LINE}"]
        data += ["end:", ".bss", f".balign {LINE}", f"scratch: .zero {self.text.scratch + LINE}"]
        data += [f".balign {LINE}", f"private: .zero {self.text.private + LINE}", ""]
        source.write_text(START + "\n".join(data))
        self.tools.run("aarch64-linux-gnu-as", source.name, "-o", "start.o", cwd=folder)
        self.tools.run("aarch64-linux-gnu-ld", "-static", "-o", binary.name, "start.o", code.name, cwd=folder)
        return self.tools.run("qemu-aarch64", binary)


def install():
    """From here on the native engine of this process is an AArch64 processor."""
    target, tools = llvm.resolve_target("aarch64"), Tools()

    def compile(graph, batch=None):
        if any(0 in node.shape for node in graph.nodes()):
            return ReferenceProgram(graph, batch)
        text = compiler.text_of(compiler.lower(graph), batch or 1, target)
        return EmulatedProgram(graph, batch, text, llvm.compile_object(text.text, target), tools)

    os.environ["RANVIER_THREADS"] = "1"
    native.compile = compile

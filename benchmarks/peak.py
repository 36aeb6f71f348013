"""The machine's peak, and the bandwidth of a copy.

The peak is that of independent fused multiply-adds on registers, in vectors of every width of the host.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable

import numpy as np

COPIED = 1 << 27  # bytes of a copy: more than the caches hold
# Operations of one loop turn: 4 rounds over the accumulators, two operations per multiply-add.
_ROUNDS = 4


def _kernel(name: str, lanes: int, accumulators: int, fma: bool) -> str:
    """LLVM IR of `void name(i64 turns, ptr data)`; the data contains the two operands and receives the sum."""
    v = f"<{lanes} x float>"
    body = [f"define void @{name}(i64 %turns, ptr %data) #0 {{", "entry:", f"  %a = load {v}, ptr %data, align 4"]
    body += [f"  %q = getelementptr float, ptr %data, i64 {lanes}", f"  %b = load {v}, ptr %q, align 4"]
    body += ["  br label %loop", "loop:", "  %i = phi i64 [ 0, %entry ], [ %n, %loop ]"]
    for j in range(accumulators):
        body.append(f"  %x0_{j} = phi {v} [ %b, %entry ], [ %x{_ROUNDS}_{j}, %loop ]")
    for r in range(_ROUNDS):
        for j in range(accumulators):
            old, new = f"%x{r}_{j}", f"%x{r + 1}_{j}"
            if fma:
                body.append(f"  {new} = call {v} @llvm.fma.v{lanes}f32({v} {old}, {v} %a, {v} %b)")
            else:
                body += [f"  %m{r}_{j} = fmul {v} {old}, %a", f"  {new} = fadd {v} %m{r}_{j}, %b"]
    body += ["  %n = add i64 %i, 1", "  %c = icmp slt i64 %n, %turns", "  br i1 %c, label %loop, label %end", "end:"]
    total = f"%x{_ROUNDS}_0"
    for j in range(1, accumulators):
        body.append(f"  %s{j} = fadd {v} {total}, %x{_ROUNDS}_{j}")
        total = f"%s{j}"
    return "\n".join([*body, f"  store {v} {total}, ptr %q, align 4", "  ret void", "}"])


class Peak:
    """The compiled kernels; `measure(threads)` gives GFLOP/s of the best width."""

    def __init__(self, narrow: bool = False) -> None:
        """With ``narrow`` no vectors of AVX-512 are used."""
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        features = {
            k for k, on in llvm.get_host_cpu_features().items() if on and not (narrow and k.startswith("avx512"))
        }
        x86 = llvm.get_process_triple().split("-")[0] in ("x86_64", "amd64", "i686")
        fma = not x86 or "fma" in features
        # (lanes, accumulators): enough chains to hide the latency, few enough to stay in the registers.
        if not x86:
            shapes = [(4, 24), (4, 16)]
        else:
            shapes = [(4, 12)] + [(8, 12)] * ("avx" in features) + [(16, 24), (16, 12)] * ("avx512f" in features)
        wide = ' "prefer-vector-width"="512" "min-legal-vector-width"="512"' if "avx512f" in features else ""
        text = [f"attributes #0 = {{ nounwind{wide} }}"]
        for lanes, accumulators in shapes:
            text.append(_kernel(f"peak_{lanes}_{accumulators}", lanes, accumulators, fma))
            v = f"<{lanes} x float>"
            text.append(f"declare {v} @llvm.fma.v{lanes}f32({v}, {v}, {v})")
        module = llvm.parse_assembly("\n".join(dict.fromkeys(text)))
        module.verify()
        target = llvm.Target.from_default_triple()
        machine = target.create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2
        )
        self._engine = llvm.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()
        kind = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)
        self._kernels = []
        for lanes, accumulators in shapes:
            address = self._engine.get_function_address(f"peak_{lanes}_{accumulators}")
            self._kernels.append((2.0 * lanes * accumulators * _ROUNDS, kind(address)))

    def measure(self, threads: int, seconds: float = 0.02, tries: int = 4) -> float:
        """The best rate of `tries` runs of about `seconds` on `threads` threads, in GFLOP/s."""
        return max(self._rate(k, flops, threads, seconds) for flops, k in self._kernels for _ in range(tries))

    def _rate(self, kernel: Callable[[int, object], None], flops: float, threads: int, seconds: float) -> float:
        turns = max(1000, int(seconds * 5e10 / flops))
        operands = [(ctypes.c_float * 64)(*[0.5] * 64) for _ in range(threads)]
        for data in operands:
            kernel(100, data)
        return flops * turns * threads / _together(threads, lambda i: kernel(turns, operands[i])) / 1e9


def bandwidth(threads: int, tries: int = 4) -> float:
    """The best rate of a copy, each thread a part, in GB/s: the bytes read and those written."""
    source, target = (np.ones(COPIED // threads * threads, np.uint8) for _ in range(2))
    part = COPIED // threads

    def copy(i: int) -> None:
        ctypes.memmove(target.ctypes.data + i * part, source.ctypes.data + i * part, part)

    return max(2 * part * threads / _together(threads, copy) / 1e9 for _ in range(tries))


def _together(threads: int, work: Callable[[int], object]) -> float:
    """The seconds from the first start to the last end of `work(i)` on as many threads."""
    start = threading.Barrier(threads)
    begins, ends = [0.0] * threads, [0.0] * threads

    def run(i: int) -> None:
        start.wait()
        # Each thread reads the clock itself, because waiting for the interpreter would delay it.
        begins[i] = time.perf_counter()
        work(i)
        ends[i] = time.perf_counter()

    pool = [threading.Thread(target=run, args=(i,)) for i in range(threads)]
    for t in pool:
        t.start()
    for t in pool:
        t.join()
    return max(ends) - min(begins)

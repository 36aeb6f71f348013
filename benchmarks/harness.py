"""Runs the contestants interleaved, round by round, and collects one record per workload."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

from rich.console import Console

from benchmarks.contestants import AVX2, WARM, Contestant
from benchmarks.cores import Cores
from benchmarks.datasets import prepare
from benchmarks.fresh import Fresh
from benchmarks.peak import Peak, bandwidth
from benchmarks.workload import HELD, Workload

ROOT = Path(__file__).parent.parent
PATIENCE = 900.0  # seconds after which a missing answer is an error
REST = 0.4  # seconds between two turns: the threads of some libraries spin for 0.2 s after their work
FEW = 2  # epochs of a complete training in a quick run
PACKAGES = (
    *("numpy", "llvmlite", "torch", "jax", "jaxlib", "keras", "tensorflow-cpu", "tensorflow", "scikit-learn"),
    "onnxruntime",
)
# Make glibc's allocator keep freed memory. By default it may return tens of megabytes to the system and have them
# cleared again at every operation of PyTorch, depending on the layout of the heap.
KEEPING = {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 33)}
Record = dict[str, Any]


class Process:
    """The worker of a contestant. It starts at its first turn and runs until the end. Its standard error is `log`."""

    def __init__(self, contestant: Contestant, log: Path, cache: Path) -> None:
        self.log = log
        with log.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.worker", contestant.name],
                cwd=ROOT,
                env={**os.environ, **KEEPING, **contestant.environment, "RANVIER_CACHE": str(cache)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
            )

    def ask(self, do: str, **request: Any) -> Record:
        """The answer of the worker. Raises RuntimeError where it failed, exited or took too long."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        timer = threading.Timer(PATIENCE, self.process.kill)
        timer.start()
        try:
            self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if not line:
            code, words = self.process.wait(), self.log.read_text(errors="replace").strip().splitlines()
            raise RuntimeError(f"its process ended with code {code}: {words[-1][:200] if words else 'no words'}")
        answer: Record = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def close(self) -> None:
        """Close the input of the worker, which ends it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _held() -> bool:
    """Whether all libraries are held to AVX2."""
    return os.environ.get("RANVIER_TARGET") == AVX2["RANVIER_TARGET"]


class Harness:
    """Measures workloads with a set of contestants: `with Harness(...) as h: record = h.measure(workload)`."""

    def __init__(
        self, contestants: Sequence[Contestant], rounds: int, console: Console, *, seconds: float = 0.4, cut: int = 1
    ) -> None:
        self.contestants, self.rounds, self.console = contestants, rounds, console
        self.seconds, self.cut = seconds, cut
        self.peak, self.cores = Peak(narrow=_held()), Cores() if _cores() > 1 else None
        self.workers: dict[str, Process] = {}
        self.data = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ranvier-benchmarks"

    def __enter__(self) -> Self:
        self.stack = ExitStack()
        self.data.mkdir(parents=True, exist_ok=True)
        self.scratch = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="ranvier-bench-")))
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self.workers.values():
            worker.close()
        self.stack.close()

    def measure(self, workload: Workload) -> Record:
        """Run every contestant of the workload, interleaved. Return a record of JSON values (see `report.py`)."""
        if self.cut > 1 and workload.samples:
            few = min(workload.samples, max(workload.samples // self.cut, 256))
            workload = dataclasses.replace(workload, samples=few)
            workload = dataclasses.replace(workload, batch=min(workload.batch, workload.samples))
            if workload.unit == "training":
                workload = dataclasses.replace(workload, epochs=FEW)
        begun = time.perf_counter()
        has_data = bool(workload.layers or workload.network)
        unavailable = ""
        try:
            x, y, source = prepare(workload, self.data) if has_data else (None, None, "")
        except OSError as error:
            x, y, source, unavailable = None, None, "", str(error).splitlines()[0]
        paths = (x, y) if x is not None and y is not None else None
        asked = workload.contestants or tuple(c.name for c in self.contestants if not c.named)
        able = [c for c in self.contestants if workload.kind in c.kinds and c.name in asked]
        reasons = {c.name: unavailable for c in able} if unavailable else dict(workload.without)
        chosen = [c for c in able if c.name not in reasons]
        rows: list[Record] = []
        failed = {c.title: reasons[c.name] for c in able if c.name in reasons}
        turns = self._warm(workload, paths) if workload.kind in WARM else self._fresh(workload, paths)
        begun_turns = time.perf_counter()
        # The first turn builds, compiles and warms up. It is timed only where it also does the work.
        for contestant in chosen:
            self._say(f"{workload.name}: {contestant.title} warms up")
            try:
                first = turns(contestant, True)
            except (RuntimeError, ImportError, OSError) as error:
                failed[contestant.title] = str(error)
                self.console.print(
                    f"{workload.name}: {contestant.title} not run: {error}", style="yellow", markup=False
                )
                continue
            rows.append({"name": contestant.name, "times": [], **first})
        peaks, apart, ready = [self._peak()], [self._apart()], time.perf_counter()
        copies = [self._copy(workload)]
        rounds = 1 if workload.unit == "MB" else self.rounds  # a size does not vary
        for i in range(0 if workload.warmed else 1, rounds):
            # The order rotates from round to round, so that no contestant always follows the same one.
            for row in rows[i % len(rows) :] + rows[: i % len(rows)] if rows else ():
                contestant = next(c for c in chosen if c.name == row["name"])
                self._say(f"{workload.name}: round {i + 1} of {self.rounds}, {contestant.title}")
                time.sleep(REST)
                try:
                    row["times"].append(turns(contestant, False)["seconds"])
                except (RuntimeError, OSError) as error:
                    failed[contestant.title] = str(error)
            rows = [r for r in rows if len(r["times"]) == i + 1]
            peaks.append(self._peak())
            apart.append(self._apart())
            copies.append(self._copy(workload))
        start = ready if workload.warmed else begun_turns
        if workload.kind in WARM:
            for row in rows:
                self.workers[row["name"]].ask("drop")
        return {
            "workload": workload.name,
            "data": source,
            "flops": workload.flops,
            "peak": max(peaks),
            "bytes": workload.bytes,
            "bandwidth": max(copies),
            "apart": [round(ns) for ns in apart if ns],
            "rows": rows,
            "failed": failed,
            # The seconds until the first round, and of one round.
            "cost": [round(start - begun, 2), round((time.perf_counter() - start) / rounds, 2)],
            "date": dt.date.today().isoformat(),
            "machine": machine(),
        }

    def _say(self, line: str) -> None:
        if self.console.is_terminal:
            self.console.print(line, style="dim", end="\r", markup=False)

    def _peak(self) -> float:
        return self.peak.measure(_cores())

    def _copy(self, workload: Workload) -> float:
        return bandwidth(_cores()) if workload.bytes else 0.0

    def _apart(self) -> float:
        return self.cores.measure() if self.cores is not None else 0.0

    def _warm(self, workload: Workload, paths: tuple[Path, Path] | None) -> Any:
        assert paths is not None
        request = {"workload": workload.name, "samples": workload.samples, "seconds": self.seconds}

        def turn(contestant: Contestant, first: bool) -> Record:
            worker = self.workers.get(contestant.name)
            if first and (worker is None or worker.process.poll() is not None):
                log = self.scratch / f"{contestant.name}.log"
                worker = self.workers[contestant.name] = Process(contestant, log, self.scratch / "cache")
            assert worker is not None
            if not first:
                return worker.ask("unit")
            return worker.ask("prepare", x=str(paths[0]), y=str(paths[1]), **request)

        return turn

    def _fresh(self, workload: Workload, paths: tuple[Path, Path] | None) -> Any:
        fresh = Fresh(workload, paths, self.scratch / f"cache-{workload.name}")

        def turn(contestant: Contestant, first: bool) -> Record:
            sample = fresh.sample(contestant)
            if not first:
                return {"seconds": sample.value}
            times = [] if workload.warmed else [sample.value]
            return {"times": times, "loss": sample.loss, "note": sample.note, "count": 1}

        return turn


def machine() -> Record:
    """The processor, its cores, the system and the versions of everything that was measured."""
    cpu, flags = platform.processor(), ""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        pairs = [line.split(":", 1) for line in lines if ":" in line]
        facts = {key.strip(): value.strip() for key, value in pairs}
        family = f"family {facts.get('cpu family', '?')} model {facts.get('model', '?')}"
        cpu = f"{facts.get('model name', cpu)}, {family}"
        flags = next((f for f in ("avx512f", "avx2", "sse2") if f in facts.get("flags", "").split()), "")
    flags = HELD if _held() else flags
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    if "tensorflow-cpu" in versions:  # the same files; an extra of ours requires the other name
        versions.pop("tensorflow", None)
    return {
        "cpu": f"{cpu}{', ' + flags if flags else ''}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": versions,
    }

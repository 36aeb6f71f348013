"""The workloads that run in a new process each time (process, compile, import), and the size, which needs none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement as Package

from benchmarks.contestants import Contestant
from benchmarks.workloads import Workload

ROOT = Path(__file__).parent.parent
SCRIPTS = Path(__file__).parent / "scripts"


@dataclass(frozen=True)
class Sample:
    """One measurement: seconds (megabytes for a size), the loss or accuracy if any, and a remark."""

    value: float
    loss: float | None = None
    note: str = ""


def _python(arguments: list[str], environment: Mapping[str, str]) -> str:
    """The last line that a new interpreter prints. Raises RuntimeError with its last error line where it fails."""
    inherited = {
        k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"
    }  # the bytecode exists, as for users
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        words = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(words[-1][:200])
    return done.stdout.strip().splitlines()[-1]


class Fresh:
    """Measures a contestant on a workload; `warm_cache` is the cache folder that processes share."""

    def __init__(self, workload: Workload, paths: tuple[Path, Path] | None, warm_cache: Path) -> None:
        self.workload, self.paths, self.warm_cache = workload, paths, warm_cache

    def sample(self, contestant: Contestant) -> Sample:
        """One run of the workload. The cache folder is empty at its start, except for the disk-cache workload."""
        measure = getattr(self, f"_{self.workload.kind}")
        with tempfile.TemporaryDirectory(prefix="ranvier-bench-") as empty:
            cache = str(self.warm_cache) if contestant.name == "ranvier-cache" else empty
            sample: Sample = measure(contestant, {**contestant.environment, "RANVIER_CACHE": cache})
        return sample

    def _files(self) -> list[str]:
        assert self.paths is not None
        return [str(p) for p in self.paths]

    def _process(self, contestant: Contestant, environment: dict[str, str]) -> Sample:
        arguments = [str(SCRIPTS / contestant.script), *self._files(), str(self.workload.epochs)]
        begin = time.perf_counter()
        loss = float(_python(arguments, environment))
        return Sample(time.perf_counter() - begin, loss)

    def _compile(self, _: Contestant, environment: dict[str, str]) -> Sample:
        arguments = ["-m", "benchmarks.compilation", self.workload.name, *self._files()]
        report = json.loads(_python(arguments, environment))
        if self.workload.unit == "MB":
            return Sample(report["megabytes"], report["loss"])
        note = f"import of LLVM {report['llvm'] * 1e3:.0f} ms before, second fit {report['second'] * 1e3:.1f} ms"
        # Of networks of several depths, whose steps differ too, the step itself is not counted.
        step = report["second"] if self.workload.kind == "depth" else 0.0
        return Sample(report["seconds"] - step, report["loss"], note)

    _depth = _compile

    def _mapped(self, _: Contestant, environment: dict[str, str]) -> Sample:
        report = json.loads(_python(["-m", "benchmarks.mapped", self.workload.name, *self._files()], environment))
        if self.workload.unit == "MB":
            return Sample(report["megabytes"], report["loss"])
        note = f"{report['gigabytes']:.1f} GB, {report['megabytes']:.0f} MB private"
        return Sample(report["seconds"], report["loss"], note)

    def _memory(self, contestant: Contestant, environment: dict[str, str]) -> Sample:
        arguments = ["-m", "benchmarks.memory", contestant.name, self.workload.name, *self._files()]
        report = json.loads(_python(arguments, environment))
        return Sample(report["megabytes"], report["loss"])

    def _accuracy(self, contestant: Contestant, environment: dict[str, str]) -> Sample:
        size = [str(self.workload.samples), str(self.workload.epochs)]
        arguments = ["-m", "benchmarks.accuracy", contestant.name, self.workload.name, *self._files(), *size]
        report = json.loads(_python(arguments, environment))
        return Sample(report["seconds"], report["accuracy"], report["note"])

    def _import(self, contestant: Contestant, environment: dict[str, str]) -> Sample:
        report = json.loads(_python([str(SCRIPTS / "import_time.py"), contestant.statement], environment))
        if contestant.ours and report["optional"]:
            raise RuntimeError(f"import ranvier brings in {', '.join(report['optional'])}")
        return Sample(report["seconds"], None, "nothing optional imported" if contestant.ours else "")

    def _size(self, contestant: Contestant, _: dict[str, str]) -> Sample:
        sizes = installed_sizes(contestant.packages)
        largest = sorted(sizes, key=lambda n: -sizes[n])[:3]
        note = ", ".join(f"{name} {sizes[name] / 1e6:.0f}" for name in largest)
        return Sample(sum(sizes.values()) / 1e6, None, f"{len(sizes)} packages: {note}")


def _requires(name: str) -> list[str]:
    if name == "ranvier":  # from the source tree, without installation
        project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        return [str(d) for d in project["dependencies"]]
    return distribution(name).requires or []


def _bytes(name: str) -> int:
    if name == "ranvier":
        files = (p for p in (ROOT / "src" / "ranvier").rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        return sum(p.stat().st_size for p in files)
    found: Distribution = distribution(name)
    paths = (Path(str(found.locate_file(f))) for f in found.files or ())
    return sum(p.stat().st_size for p in paths if p.is_file())


def installed_sizes(packages: tuple[str, ...]) -> dict[str, int]:
    """Bytes on disk of the packages and of everything they require without extras, by name.

    PackageNotFoundError where one of `packages` is not installed; a missing requirement is ignored, because
    pip would have installed it if its marker applied.
    """
    sizes: dict[str, int] = {}
    todo = list(packages)
    while todo:
        name = todo.pop().lower().replace("_", "-")
        if name in sizes:
            continue
        try:
            sizes[name] = _bytes(name)
        except PackageNotFoundError:
            if name in packages:
                raise
            continue
        for text in _requires(name):
            required = Package(text)
            if required.marker is None or required.marker.evaluate({"extra": ""}):
                todo.append(required.name)
    return sizes

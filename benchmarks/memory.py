"""Peak resident memory of a training process: python -m benchmarks.memory contestant workload x.npy y.npy."""

from __future__ import annotations

import importlib
import json
import resource
import sys
from pathlib import Path

from benchmarks.contestants import by_name
from benchmarks.contestants.images import Epochs
from benchmarks.datasets import load
from benchmarks.workloads import by_name as workload_by_name


def peak_megabytes() -> float:
    """The peak of this process, if possible of this program only: getrusage includes the time before exec."""
    status = Path("/proc/self/status")
    if status.exists():
        facts = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return float(facts["VmHWM"].split()[0]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # bytes on macOS


def main(contestant: str, workload_name: str, x: str, y: str) -> None:
    workload = workload_by_name(workload_name)
    module = importlib.import_module(by_name(contestant).path(workload.family), __package__)
    epochs: Epochs = module.memory(workload, *load(x, y))
    _, loss = epochs(workload.checked, workload.loss_at)
    print(json.dumps({"megabytes": peak_megabytes(), "loss": loss}))


if __name__ == "__main__":
    main(*sys.argv[1:5])

"""Seconds of the first `fit` of one step, in a new process: python -m benchmarks.compilation workload x.npy y.npy.

The shared library of LLVM is loaded before, as an import. Its time is printed too, that of a second `fit`, and the
peak resident memory of the process.
"""

from __future__ import annotations

import importlib
import json
import sys
import time

import numpy as np

from benchmarks.contestants import by_name
from benchmarks.datasets import load
from benchmarks.memory import peak_megabytes
from benchmarks.workloads import by_name as workload_by_name


def main(workload_name: str, x_path: str, y_path: str) -> None:
    workload = workload_by_name(workload_name)
    x, y = load(x_path, y_path, workload.batch)
    ours = importlib.import_module(by_name("ranvier").path(workload.family), __package__)
    times = [time.perf_counter()]
    importlib.import_module("llvmlite.binding")
    times.append(time.perf_counter())
    model = ours.compiled(workload)
    losses = []
    times.append(time.perf_counter())
    for _ in range(2):
        history = model.fit(x, y, epochs=1, batch_size=workload.batch, verbose=0)
        times.append(time.perf_counter())
        losses.append(history.history["loss"][-1])
    llvm, _, first, second = np.diff(times)
    report = {"seconds": first, "llvm": llvm, "second": second, "loss": losses[0], "megabytes": peak_megabytes()}
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:4])

"""A complete training and its test: python -m benchmarks.accuracy contestant workload x.npy y.npy images epochs.

The files contain the training images, of which the first ``images`` are used, then the test images (`datasets.py`).
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
import time

import numpy as np

from benchmarks.contestants import by_name
from benchmarks.contestants.images import WholeTraining
from benchmarks.datasets import TESTED
from benchmarks.workloads import by_name as workload_by_name


def main(contestant: str, workload_name: str, x_path: str, y_path: str, images: str, epochs: str) -> None:
    workload = dataclasses.replace(workload_by_name(workload_name), samples=int(images), epochs=int(epochs))
    x, y = np.load(x_path), np.load(y_path)
    module = importlib.import_module(by_name(contestant).path("images"), __package__)
    training: WholeTraining = module.accuracy(workload, x[: workload.samples], y[: workload.samples])
    start = time.perf_counter()
    training.train()
    seconds = time.perf_counter() - start
    right = training.predict(x[-TESTED:]).argmax(axis=1) == y[-TESTED:]
    print(json.dumps({"seconds": seconds, "accuracy": float(right.mean()), "note": training.note}))


if __name__ == "__main__":
    main(*sys.argv[1:])

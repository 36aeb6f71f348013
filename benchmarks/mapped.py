"""A training on a file larger than memory should hold: python -m benchmarks.mapped workload x.npy y.npy.

The file is memory-mapped, and in the page cache. With IN_MEMORY the first gigabyte of it is an array in memory. The
time of a sample is that of the second epoch; the private memory does not count the mapped pages.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Self

import numpy as np

from benchmarks.contestants import ours
from benchmarks.workloads import by_name

GIGABYTE = 10**9
PAUSE = 0.02  # seconds between two looks at the memory
ROWS = 100_000  # that are read at once


class Private:
    """The most private memory of this process within a `with`, in megabytes."""

    def __enter__(self) -> Self:
        self.megabytes, self.over = 0.0, threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.over.set()
        self.thread.join()

    def _watch(self) -> None:
        while True:
            facts = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            self.megabytes = max(self.megabytes, float(facts["RssAnon"].split()[0]) * 1024 / 1e6)
            if self.over.wait(PAUSE):
                return


def main(workload_name: str, x_path: str, y_path: str) -> None:
    workload = by_name(workload_name)
    x, y = np.load(x_path, mmap_mode="r"), np.load(y_path)
    if os.environ.get("IN_MEMORY"):
        few = GIGABYTE // x[0].nbytes
        x, y = np.array(x[:few]), y[:few]
    else:
        for start in range(0, len(x), ROWS):  # brings the file into the page cache
            x[start : start + ROWS].max()
    epochs = ours.memory(workload, x, y)
    with Private() as private:
        times, loss = epochs(len(x), 2)
    report = {
        "seconds": (times[2] - times[1]) / len(x), "loss": loss, "gigabytes": x.nbytes / GIGABYTE,
        "megabytes": private.megabytes,
    }  # fmt: skip
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:4])

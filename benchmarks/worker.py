"""The process of one contestant. Each line of standard input is a request, each line of standard output an answer.

Between two turns it blocks on standard input, so that only one contestant uses the machine.
"""

from __future__ import annotations

import dataclasses
import gc
import importlib
import json
import logging
import math
import os
import sys
from typing import Any

from benchmarks.contestants import Job, by_name
from benchmarks.datasets import load
from benchmarks.workloads import Workload
from benchmarks.workloads import by_name as workload_by_name

MAX_COUNT = 1_000_000
LOG = logging.getLogger("benchmarks")


class Worker:
    """Runs the job of the current workload. Each public method answers one request with a dictionary."""

    def __init__(self, contestant: str) -> None:
        self.contestant = by_name(contestant)
        self.job: Job | None = None
        self.count = 1

    def prepare(self, workload: str, samples: int, x: str, y: str, seconds: float) -> dict[str, Any]:
        """Build the job, train to the epoch whose loss is compared, choose the work of one timed unit, and warm up."""
        job_of: Workload = dataclasses.replace(workload_by_name(workload), samples=samples)
        if job_of.batch > samples:
            job_of = dataclasses.replace(job_of, batch=samples)
        module = importlib.import_module(self.contestant.path(job_of.family), __package__)
        self._threads()
        self.job = getattr(module, job_of.kind)(job_of, *load(x, y, samples))
        loss = self.job.begin(job_of.loss_at)
        once = self.job.run(1)
        if once < seconds:
            few = max(1, min(100, int(seconds / 4 / once)))
            once = min(once, self.job.run(few) / few)
        self.count = min(max(1, math.ceil(seconds / once)), MAX_COUNT)
        if job_of.epochs > 1:  # the workload gives their number; slow contestants run fewer
            self.count = min(job_of.epochs, max(1, math.ceil(4 * seconds / once)))
        if self.count > 1:
            self.job.run(self.count)
        return {"loss": loss, "note": self.job.note, "count": self.count}

    def unit(self) -> dict[str, Any]:
        """Run one timed unit. Return the seconds of an epoch or a call."""
        assert self.job is not None
        return {"seconds": self.job.run(self.count) / self.count}

    def drop(self) -> dict[str, Any]:
        """Forget the job and its data."""
        self.job = None
        gc.collect()
        return {}

    def _threads(self) -> None:
        # The environment sets the thread count already; this makes sure of it.
        threads = os.environ.get("RANVIER_THREADS")
        if self.contestant.ours and threads:
            importlib.import_module("ranvier").set_threads(int(threads))


def main(contestant: str) -> None:
    # Only answers use standard output; prints of libraries go to standard error.
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    worker = Worker(contestant)
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except Exception as error:
            LOG.exception("%s failed", contestant)
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
        channel.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])

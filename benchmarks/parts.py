"""The time of a training step by part: python -m benchmarks.parts [--write].

This is the fraction of the cycles of all threads in native code, by the parts of `ranvier.engines.native.profile`. The
images are random, because the time does not depend on their content.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

import ranvier as rv
from benchmarks import overview, report
from benchmarks.contestants import ours
from benchmarks.contestants.images import ours as images
from benchmarks.contestants.sequences import ours as sequences
from benchmarks.harness import machine
from benchmarks.networks import NETWORKS
from benchmarks.sequence_networks import SEQUENCES
from benchmarks.workload import Workload
from benchmarks.workloads import select
from ranvier.engines.native.profile import TimedProgram
from ranvier.training.adapters.arrays import to_data
from ranvier.training.loop.callback_list import Callbacks
from ranvier.training.loop.trainer import Training

STEPS = 20


Built = tuple[Any, NDArray[Any], NDArray[Any]]  # a compiled model, its data and what it is to predict


def _trained(workload: Workload) -> Built:
    """The model of a training workload on random data."""
    if workload.kind == "sequences":
        return _on_sequences(workload)
    network = NETWORKS[workload.network] if workload.kind == "images" else None
    model = images.build(network) if network is not None else ours.build(workload)
    model.compile(rv.optimizers.get(workload.optimizer), workload.loss, metrics=list(workload.metrics))
    shape = network.shape if network is not None else workload.layers[:1]
    rng, samples = np.random.default_rng(0), STEPS * workload.batch
    x = rng.random((samples, *shape), dtype=np.float32)
    if network is not None and network.restores:
        return model, x, x
    if workload.loss.startswith("sparse"):
        return model, x, rng.integers(0, 10, samples)
    return model, x, rng.random((samples, workload.layers[-1]), dtype=np.float32)


def _on_sequences(workload: Workload) -> Built:
    sequence, rng, samples = SEQUENCES[workload.network], np.random.default_rng(0), STEPS * workload.batch
    shape = samples, *sequence.shape
    tokens = sequence.vocabulary
    x = rng.integers(1, tokens, shape).astype(np.int32) if tokens else rng.random(shape, dtype=np.float32)
    *steps, classes = sequence.answers
    return sequences.compiled(workload), x, rng.integers(0, classes, (samples, *steps)).astype(np.int32)


def parts(workload: Workload, threads: int) -> dict[str, float]:
    """The fraction of each part in the steps of a training workload."""
    model, x, y = _trained(workload)
    rng, samples = np.random.default_rng(0), len(x)
    state = model._compiled
    with state.exclusive():
        training = Training(model, state, Callbacks(None, model, {}))
        data = to_data(model, state, x, y)
        step = training.step(data, workload.batch)
        training.bind(step)
        training.set_rate()
        runner = training.runner
        assert runner is not None
        steps = runner.begin(data, rng.permutation(samples).astype(np.int32))
        timed = TimedProgram(step.graph, workload.batch)
        for _ in range(3):  # to warm up caches and threads
            found = timed.shares(lambda p: p.run(runner.arrays, (), 0, steps, runner.total), threads)
    return found


def main(
    only: Annotated[str, typer.Option(help="Workloads that train, as for python -m benchmarks.")] = "",
    write: Annotated[bool, typer.Option("--write", help="Write results.json and RESULTS.md here.")] = False,
) -> None:
    """Show the time of training steps by part. Keep all cores idle meanwhile."""
    records = report.of(machine()["cpu"])
    for workload in select(only):
        if workload.kind in ("images", "sequences", "train") and workload.name in records:
            records[workload.name]["parts"] = parts(workload, rv.get_threads())
    Console(width=160).print("\n".join(overview.times(records)), highlight=False)
    if write:
        report.save(records)


if __name__ == "__main__":
    typer.run(main)

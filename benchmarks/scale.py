"""When several machines pay: step times of 1, 2 and 4 processes, measured here, and of many hosts, computed.

    python -m benchmarks.scale            measure, write benchmarks/scale.json, and print the tables of docs/scale.md
    python -m benchmarks.scale --print    print them from benchmarks/scale.json, and write them into docs/scale.md

The model: a step of N hosts takes the measured time of B / N rows on one host, and a ring all-reduce of the gradients
(Patarasu and Yuan, 2009): 2 (N - 1) / N times their bytes over the network, and 2 (N - 1) messages one after the other.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import markdown_table

ROOT = Path(__file__).parent.parent
RESULTS, PAGE = ROOT / "benchmarks/scale.json", ROOT / "docs/scale.md"
NAMES = {"mlp": "784-64-64-10", "resnet": "ResNet-20", "gpt": "GPT, 4 layers of 128"}
BATCHES = {"mlp": (128, 4096), "resnet": (16, 64), "gpt": (4, 16)}  # measured on one host, of which a line is made
COUNTS = (1, 2, 4)
HOSTS, SPEEDS = (8, 64, 512), (10, 100)  # Gbit/s
MESSAGE = 50e-6  # seconds of a message between two hosts, over TCP
SECONDS = 3.0  # that a measurement takes at least
LARGEST = 1 << 20  # rows of a batch
_BLOCK = re.compile(r"(<!-- tables of `python -m benchmarks.scale` -->\n).*?(<!-- /tables -->)", re.DOTALL)


def network(name: str) -> tuple[Any, tuple[int, ...], int]:
    """The network, compiled; the shape of a sample and the number of classes."""
    import ranvier as rv
    from benchmarks.contestants.images.ours import build as image_network
    from benchmarks.contestants.sequences.vocabulary import build as sequence_network
    from benchmarks.networks import NETWORKS
    from benchmarks.sequence_networks import CHARACTERS, SEQUENCES

    shape: tuple[int, ...]
    if name == "mlp":
        dense = rv.layers.Dense
        model: Any = rv.Sequential([rv.Input((784,)), dense(64, "relu"), dense(64, "relu"), dense(10)])
        shape, classes = (784,), 10
    elif name == "resnet":
        model, shape, classes = image_network(NETWORKS["resnet"]), (32, 32, 3), 10
    else:
        model, shape, classes = sequence_network(SEQUENCES["gpt"], rv), (128,), CHARACTERS
    model.compile("adam", rv.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model, shape, classes


def work(name: str, batch: int, engine: str) -> dict[str, Any]:
    """The seconds of a step over a batch, the shortest mean of an epoch; of all processes that run this."""
    import ranvier as rv

    rv.set_engine(engine)
    if engine == "jax":
        rv.distribution.initialize()
        rv.distribution.set_distribution(rv.distribution.DataParallel())
    rv.set_seed(0)
    model, shape, classes = network(name)
    draw, steps = np.random.default_rng(0), 8
    x: Any
    rows = batch * steps
    if name == "gpt":
        x = draw.integers(classes, size=(rows, *shape), dtype=np.int32)
        y = draw.integers(classes, size=x.shape, dtype=np.int32)
    else:
        x = draw.random((rows, *shape), np.float32)
        y = draw.integers(classes, size=rows, dtype=np.int32)
    ends: list[float] = []

    class Clock(rv.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            ends.append(time.perf_counter())
            self.model.stop_training = ends[-1] - ends[0] > SECONDS and len(ends) > 4

    options: Any = {"ignore": "RV", "verbose": 0, "shuffle": False}
    model.fit(x, y, batch_size=batch, epochs=200, callbacks=[Clock()], **options)
    times = np.diff(ends[1:])  # the first epochs compile
    return {"seconds": float(times.min() / steps), "weights": int(sum(w.size for w in model.get_weights()))}


def measured(name: str, batch: int, engine: str, count: int) -> dict[str, Any]:
    """What `work` returns in the first of some processes."""
    program = ["-m", "ranvier", "launch", "-n", str(count)] if engine == "jax" else []
    command = [sys.executable, *program, str(Path(__file__)), "--work", name, str(batch), engine]
    found = [str(ROOT), str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(found)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    lines = [line for line in done.stdout.splitlines() if "MEASURED " in line]
    if not lines:
        raise RuntimeError(done.stdout + done.stderr)
    result: dict[str, Any] = json.loads(lines[0].partition("MEASURED ")[2])
    return result


def measure() -> dict[str, Any]:
    """All measurements, by network."""
    results: dict[str, Any] = {}
    for name, batches in BATCHES.items():
        alone = {batch: measured(name, batch, "native", 1) for batch in batches}
        jax = {batch: measured(name, batch, "jax", 1) for batch in batches}
        several = {count: measured(name, batches[-1], "jax", count)["seconds"] for count in COUNTS[1:]}
        results[name] = {
            "weights": alone[batches[0]]["weights"],
            "native": {str(batch): r["seconds"] for batch, r in alone.items()},
            "jax": {str(batch): r["seconds"] for batch, r in jax.items()},
            "processes": {"1": jax[batches[-1]]["seconds"], **{str(n): s for n, s in several.items()}},
        }
        print(name, results[name], file=sys.stderr, flush=True)
    return results


# --- the model ----------------------------------------------------------------------------------------------------


def line(times: Mapping[str, float]) -> tuple[float, float]:
    """The seconds of a step of no rows, and those of a row, from the times of two batches."""
    (small, low), (large, high) = ((int(batch), seconds) for batch, seconds in times.items())
    each = max((high - low) / (large - small), 1e-12)
    return max(low - each * small, 0.0), each


def exchange(size: float, hosts: int, gigabits: float) -> float:
    """The seconds of a ring all-reduce of ``size`` bytes."""
    return 2 * (hosts - 1) / hosts * size / (gigabits * 1e9 / 8) + 2 * (hosts - 1) * MESSAGE


def step(result: Mapping[str, Any], batch: int, hosts: int, gigabits: float) -> float:
    """The computed seconds of a step of some hosts."""
    start, each = line(result["jax"])
    return start + each * batch / hosts + exchange(4 * result["weights"], hosts, gigabits)


def alone(result: Mapping[str, Any], batch: int) -> float:
    """The seconds of a step of one host, on the faster of the two engines."""
    return min(start + each * batch for start, each in (line(result["native"]), line(result["jax"])))


def pays_from(result: Mapping[str, Any], hosts: int, gigabits: float, share: float = 0.0) -> int | None:
    """The smallest power of two of rows for which hosts are faster than one, or ``share * hosts`` times as fast."""
    batch = hosts
    while batch <= LARGEST:
        if alone(result, batch) / step(result, batch, hosts, gigabits) > max(1.0, share * hosts):
            return batch
        batch *= 2
    return None


# --- the tables ---------------------------------------------------------------------------------------------------


def duration(seconds: float) -> str:
    """With two digits, in ms."""
    digits = max(0, 1 - math.floor(math.log10(seconds * 1e3)))
    return f"{seconds * 1e3:,.{digits}f} ms"


def tables(results: Mapping[str, Any]) -> str:
    """The tables of the page."""
    here = [
        (
            NAMES[name], f"{BATCHES[name][-1]:,}", duration(result["native"][str(BATCHES[name][-1])]),
            *(duration(result["processes"][str(count)]) for count in COUNTS),
        )
        for name, result in results.items()
    ]  # fmt: skip
    computed = []
    for name, result in results.items():
        for hosts in HOSTS:
            cells = []
            for gigabits in SPEEDS:
                cells.append(duration(exchange(4 * result["weights"], hosts, gigabits)))
                for share in (0.0, 0.5):
                    batch = pays_from(result, hosts, gigabits, share)
                    cells.append("never" if batch is None else f"{batch:,}")
            computed.append((NAMES[name], f"{4 * result['weights'] / 1e6:.1f} MB", str(hosts), *cells))
    first = "\n".join(markdown_table(
        ("network", "rows of a batch", "`native`, one process", *(f"`jax`, processes: {n}" for n in COUNTS)),
        here,
    ))  # fmt: skip
    titles = [t for g in SPEEDS for t in (f"exchange at {g} Gbit/s", "pays from", "half of the hosts' speed from")]
    second = "\n".join(markdown_table(("network", "gradients", "hosts", *titles), computed))
    return f"Measured: a step, here.\n\n{first}\n\nComputed: rows of a batch.\n\n{second}\n"


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        name, batch, engine = sys.argv[2:]
        print("MEASURED " + json.dumps(work(name, int(batch), engine)), flush=True)
        return
    if "--print" not in sys.argv:
        RESULTS.write_text(json.dumps(measure(), indent=1) + "\n", encoding="utf-8")
    text = tables(json.loads(RESULTS.read_text(encoding="utf-8")))
    print(text)
    if PAGE.exists():
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(_BLOCK.sub(lambda m: m[1] + text + m[2], page), encoding="utf-8")


if __name__ == "__main__":
    main()

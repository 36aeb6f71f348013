"""From records to tables, on the terminal and in RESULTS.md.

A record is what `Harness.measure` returns: the workload's name, the source of its data, the machine, its peak in
GFLOP/s, and for each contestant the seconds of every round. Ratios are taken within a round, ours / theirs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import overview
from benchmarks.contestants import by_name as contestant_by_name
from benchmarks.figures import Verdict, duration, markdown_table, number, ratios, verdicts
from benchmarks.workloads import FASTEST, OURS, WORKLOADS, Requirement, Workload
from benchmarks.workloads import by_name as workload_by_name

Record = dict[str, Any]
Records = dict[str, Record]  # of one processor, by workload
HERE = Path(__file__).parent
RAW, MARKDOWN = HERE / "results.json", HERE / "RESULTS.md"
COLUMNS = ("contestant", "time", "best", "ours / theirs", "best", "spread", "GFLOP/s", "of peak", "loss", "how")

VERDICT_COLUMNS = ("workload", "contestant", "against", "required", "median", "best", "verdict")


def cells(record: Record) -> list[tuple[str, ...]]:
    """The table of one workload, a row per contestant in order of their medians."""
    workload = workload_by_name(record["workload"])
    out = []
    for row in sorted(record["rows"], key=lambda r: median(r["times"])):
        middle, best = median(row["times"]), min(row["times"])
        size = workload.unit == "MB"
        shown = [f"{middle:.0f} MB", ""] if size else [duration(middle), duration(best)]
        ratio = ratios(record, row["name"]) if row["name"] != OURS else []
        low, high = (number(min(ratio)), number(max(ratio))) if ratio else ("", "")
        shown += [number(median(ratio)), low, f"{low}..{high}"] if ratio else [""] * 3
        rate = record["flops"] / middle / 1e9
        shown += [f"{rate:.3g}", f"{rate / record['peak']:.1%}"] if rate else ["", ""]
        loss = row.get("loss")
        shown.append(
            ""
            if loss is None
            else format(loss, {"predict": ".1e", "infer": ".6f", "accuracy": ".2%"}.get(workload.kind, ".4f"))
        )
        out.append((contestant_by_name(row["name"]).title, *shown, row.get("note") or ""))
    return out


def _headings(workload: Workload) -> tuple[str, ...]:
    loss = {
        "predict": "error",
        "process": "loss",
        "compile": "loss",
        "depth": "loss",
        "attention": "gradient",
        "generate": "mean likeliest token",
        "search": "accuracy",
        "fit": "accuracy",
        "accuracy": "accuracy",
        "infer": "loss",
        "memory": "loss",
        "mapped": "loss",
    }.get(workload.kind, f"loss, epoch {workload.loss_at}")
    sizes = {"size": "size"}.get(workload.kind, "peak")
    time = sizes if workload.unit == "MB" else f"time / {workload.unit}"
    return (COLUMNS[0], time, *COLUMNS[2:8], loss, COLUMNS[-1])


def _conditions(record: Record) -> str:
    """The source of the data and the speed of the machine, where they matter to the workload."""
    peak = f"peak {record['peak']:.0f} GFLOP/s" if record["flops"] else ""
    apart = record.get("apart") or ()
    edges = sorted({min(apart), max(apart)}) if apart and record["flops"] else ()
    meeting = f"cores meet in {' to '.join(map(str, edges))} ns" if edges else ""
    return "; ".join(filter(None, [record["data"], peak, meeting]))


# --- on the terminal ------------------------------------------------------------------------------------------------


def show(record: Record, console: Console) -> None:
    """Print the table of one workload."""
    workload = workload_by_name(record["workload"])
    rows, headings = cells(record), _headings(workload)
    if not rows:
        return  # the reasons are printed when contestants fail
    keep = [i for i in range(len(headings)) if i == 0 or any(row[i] for row in rows)]
    table = Table(title="\n".join(filter(None, [workload.title, _conditions(record)])), title_justify="left")
    for i in keep:
        table.add_column(headings[i], justify="left" if i in (0, len(headings) - 1) else "right")
    for row in rows:
        table.add_row(*(row[i] for i in keep), style="bold" if row[0] == OURS else None)
    console.print(table)


def _limit(value: float, requirement: Requirement) -> str:
    return {
        "ratio": lambda: f"{number(value)} x",
        "least": lambda: f"{number(value)} x",
        "share": lambda: f"{value:.1%} of peak",
        "accuracy": lambda: f"{value:.2%}",
        "seconds": lambda: duration(value),
        "MB": lambda: f"{value:.0f} MB",
    }[requirement.measure]()


def _verdict_cells(v: Verdict) -> tuple[str, ...]:
    r = v.requirement
    against = "least possible time" if r.measure == "least" else ""
    if r.against:
        against = v.against if r.against != FASTEST else f"{FASTEST} ({v.against or '?'})"
        against = against or contestant_by_name(r.against).title
    # A limit is shown as it is written, without trailing zeros.
    plain = {"ratio": f"{r.limit:.3g} x", "least": f"{r.limit:.3g} x", "accuracy": f"{100 * r.limit:.3g}%"}
    limit = plain.get(r.measure) or _limit(r.limit, r)
    bound = f"{'at least' if r.at_least else 'at most'} {limit}"
    values = [_limit(x, r) if x is not None else "" for x in (v.value, v.best)]
    return (r.workload, contestant_by_name(r.contestant).title, against, bound, *values, v.word)


def show_verdicts(records: Mapping[str, Record], console: Console) -> None:
    """Print every requirement on the workloads that ran, and whether it is met."""
    table = Table(title="Requirements, by the median over the rounds", title_justify="left")
    for heading in VERDICT_COLUMNS:
        table.add_column(heading)
    for v in verdicts(records):
        table.add_row(*_verdict_cells(v), style={True: "green", False: "red", None: "yellow"}[v.met])
    console.print(table)


def show_costs(measured: Mapping[str, Record], rounds: int, console: Console) -> None:
    """Print how long each workload took, and would take with `rounds` rounds."""
    table = Table(title=f"What the run costs; with {rounds} rounds", title_justify="left")
    for heading in ("workload", "until the first round", "a round", f"with {rounds} rounds"):
        table.add_column(heading, justify="left" if heading == "workload" else "right")
    total = 0.0
    for name, record in measured.items():
        ready, once = record["cost"]
        whole = ready + once * (1 if workload_by_name(name).unit == "MB" else rounds)
        total += whole
        table.add_row(name, *(f"{seconds:.1f} s" for seconds in (ready, once, whole)))
    table.add_row("all", "", "", f"{total:.0f} s", style="bold")
    console.print(table)


# --- in files -------------------------------------------------------------------------------------------------------


def load() -> list[Records]:
    """The records of the last runs, by workload; one for each processor, the one with most measurements first."""
    found: list[Records] = json.loads(RAW.read_text()) if RAW.exists() else []
    return sorted(found, key=lambda records: -len(records))


def of(cpu: str) -> Records:
    """The records of one processor, empty where there are none."""
    return next((records for records in load() if _processor(records) == cpu), {})


def save(records: Records) -> None:
    """Replace the records of the same processor by these, and write results.json and RESULTS.md."""
    known = {_processor(old): old for old in load()}
    for name, record in records.items():
        known.setdefault(record["machine"]["cpu"], {})[name] = record
    ordered = [{w.name: old[w.name] for w in WORKLOADS if w.name in old} for old in known.values()]
    RAW.write_text(json.dumps(ordered, indent=1) + "\n")
    MARKDOWN.write_text(markdown(load()))


def _processor(records: Records) -> str:
    return str(next(iter(records.values()))["machine"]["cpu"])


def _machine_line(machine: Record) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return f"{machine['cpu']}; {machine['cores']} cores; {machine['system']}. {versions}."


_PREFACE = """# Results

Written by `python -m benchmarks --write` from [results.json](results.json); not edited by hand.

Each contestant runs in a process of its own, and waits while another one runs. After a warm-up that includes
compilation, each round runs each contestant once. A ratio (ours / theirs) is Ranvier's time divided by the other's
within one round. The tables show the median over the rounds, the best round and the spread (lowest..highest ratio).
Times of `fit` are those of the epochs after the first of a call; where Ranvier needs a few milliseconds for one,
those of calls of many epochs. GFLOP/s count only matrix products and convolutions (forward, gradient of the weights,
gradient of the inputs except those of the first layer). The count is the same for every contestant, even for one that
computes the result with fewer operations, as Ranvier does for 3x3 convolutions of many channels and for gradients of
strided convolutions. `peak.py` measures the peak before every round. `cores.py` measures how long two threads need to
synchronize; small steps on several threads depend on it, and the host of a virtual machine may change it at any
moment.

All contestants start from the same weights (whole processes from their own). They report the mean training loss of
the same epoch, which reveals a run that skips work. In the first three workloads, whose program asks for it, all
except scikit-learn, which cannot, also compute the training accuracy. Each library runs as its experts would run it:
float32 data in memory and fused optimizers. Trials before the rounds choose threads, unrolling and the form of the
call (last column). The models of a search are created for each round; their mean accuracy on the held-out rows takes
the place of the loss. The allocator of the C library is set to keep freed memory. By default it may return memory to
the system at every operation of PyTorch, whose batch normalization then takes up to three times as long.
"""
_IMAGES = """
## Images

Ratios are Ranvier's value divided by the other's. Every library builds each network from the same table of layers
(`networks.py`). PyTorch runs in the faster of both memory formats. Keras on TensorFlow runs with or without XLA and
with one or several steps a call, whichever is faster in a trial (on the two largest networks without XLA, its
default). A contestant that takes more than 0.9 s for an epoch of 10,240 images trains on fewer of them, and the time
is scaled (last column of its table). The compared loss is that of the second epoch over a smaller part of the images.
Predictions use the same weights, similar to trained ones, in every library; the compared number is the cross entropy
of the predictions. Peak memory is that of a new process that loads the images and trains. For PyTorch the images are
in its memory format, so that it holds nothing twice.
"""
_TRAININGS = """
## Whole trainings

The programs of [examples/images.py](../examples/images.py): the same network, initial weights, optimizer, learning
rates, batch size and epochs in every library, seed 0. Each run is a new process. Its time is that of training,
including compilation, but without what comes before (imports, data, trials). The 10,000 test images are evaluated
once, after the last epoch. Accuracies of different libraries differ by chance, because each draws its own batches,
dropout masks and mirrored images.
"""
_GROWTH = """
## Growth

Trainings of wider and deeper networks. GFLOP/s are those of the direct algorithm. GB/s count each weight and each
moment as read once and written once a step. The bandwidth is that of a copy of 128 MiB on all cores, measured before
every round. The least possible time is that of the operations at peak plus that of these bytes at the bandwidth of a
copy; fewer operations, as those of Winograd's convolutions, can take less. Ratios are Ranvier's time, or the peak
memory of its process, divided by the other's. The networks of images that restore their input learn the mean squared
error.
"""
_SEQUENCES = """
## Sequences

Every library builds each network from the same table of parts (`sequence_networks.py`), with the same weights. GFLOP/s
are those of the direct algorithm: causal attention counts the pairs of positions that it needs. PyTorch packs padded
samples, takes the mean of an embedding as a bag, with SGD with sparse gradients where they are faster, and attends by
its fused function. JAX runs recurrences by `lax.scan`. Ratios are Ranvier's value divided by the other's.
"""
_TIMES = """
## Where the time goes

Fractions of the processor cycles that all threads spend in native code during training (`python -m benchmarks.parts
--write`; on all cores, float32). Operations that are fused with a product count as product: activations and their
derivatives, and the optimizer's step where a gradient is stored. Transforms of Winograd tiles count as laying out.
Waiting means waiting for another thread at a barrier.
"""


def markdown(machines: Sequence[Records]) -> str:
    """The text of RESULTS.md: one section for each processor."""
    parts = [_measured(records) for records in machines]
    for i, records in enumerate(machines[1:], 1):
        parts[i] = f"# On another processor: {_processor(records)}\n\n{parts[i]}"
    return "\n".join([_PREFACE, *parts])


def _measured(records: Records) -> str:
    """The results of one processor."""
    lines = []
    machines = {_machine_line(r["machine"]) for r in records.values()}
    lines += [f"Machine: {line}\n" for line in sorted(machines)]
    lines += ["## Requirements\n", "Judged by the median over the rounds.\n"]
    lines += markdown_table(VERDICT_COLUMNS, [_verdict_cells(v) for v in verdicts(records)])
    images = overview.table(records)
    if images:
        lines += [_IMAGES, *images]
    trainings = overview.trainings(records)
    if trainings:
        lines += [_TRAININGS, *trainings]
    growth, predictions = overview.growth(records), overview.predictions(records)
    if growth or predictions:
        lines += [_GROWTH, *growth, "", *predictions]
    sequences = overview.sequences(records)
    if sequences:
        lines += [_SEQUENCES, *sequences]
    times = overview.times(records)
    if times:
        lines += [_TIMES, *times]
    for name, record in records.items():
        workload = workload_by_name(name)
        lines += ["", f"## {workload.title}\n"]
        rounds = max((len(row["times"]) for row in record["rows"]), default=0)
        facts = [f"`{name}`", record["date"], f"{rounds} round{'s' * (rounds != 1)}", _conditions(record)]
        lines.append("; ".join(filter(None, facts)) + ".\n")
        lines += markdown_table(_headings(workload), cells(record))
        lines += [f"\nNot run: {title} ({why})." for title, why in record["failed"].items()]
    return "\n".join(lines) + "\n"

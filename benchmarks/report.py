"""From records to tables: on the terminal, in RESULTS.md, and the summary in both READMEs.

A record is what `Harness.measure` returns: the workload's name, where its data came from, the machine, its peak in
GFLOP/s, and for each contestant the seconds of every round. Ratios are taken within a round, ours / theirs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.contestants import CONTESTANTS
from benchmarks.contestants import by_name as contestant_by_name
from benchmarks.workloads import FASTEST, OURS, REQUIREMENTS, WORKLOADS, Requirement, Workload
from benchmarks.workloads import by_name as workload_by_name

Record = dict[str, Any]
HERE = Path(__file__).parent
RAW, MARKDOWN = HERE / "results.json", HERE / "RESULTS.md"
_OURS = {c.name for c in CONTESTANTS if c.ours}
COLUMNS = (
    "contestant",
    "time",
    "best",
    "ours / theirs",
    "best",
    "spread",
    "GFLOP/s",
    "of peak",
    "loss",
    "how",
)

VERDICT_COLUMNS = ("workload", "contestant", "against", "required", "median", "best", "verdict")


@dataclass(frozen=True)
class Verdict:
    """A requirement and what was measured: `value` is None where it was not."""

    requirement: Requirement
    value: float | None
    best: float | None = None
    against: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the median is within the limit; None where nothing was measured."""
        if self.value is None:
            return None
        share = self.requirement.measure == "share"
        return self.value >= self.requirement.limit if share else self.value <= self.requirement.limit

    @property
    def word(self) -> str:
        """The verdict in words."""
        return {True: "met", False: "not met", None: "not measured"}[self.met]


# --- numbers --------------------------------------------------------------------------------------------------------


def ratios(record: Record, name: str, ours: str = OURS) -> list[float]:
    """Ours / theirs in each round; empty where either did not run."""
    times = {row["name"]: row["times"] for row in record["rows"]}
    return [a / b for a, b in zip(times.get(ours, ()), times.get(name, ()), strict=False)]


def fastest_peer(record: Record) -> str | None:
    """The peer with the smallest median."""
    peers = {row["name"]: median(row["times"]) for row in record["rows"] if row["name"] not in _OURS}
    return min(peers, key=peers.__getitem__) if peers else None


def verdict(requirement: Requirement, records: Mapping[str, Record]) -> Verdict:
    """Judge one requirement by the median over the rounds."""
    record = records.get(requirement.workload)
    row = next((r for r in record["rows"] if r["name"] == requirement.contestant), None) if record else None
    if record is None or row is None:
        return Verdict(requirement, None)
    if requirement.measure == "ratio":
        peer = fastest_peer(record) if requirement.against == FASTEST else requirement.against
        values = ratios(record, peer, requirement.contestant) if peer else []
        if not values:
            return Verdict(requirement, None)
        return Verdict(
            requirement, median(values), min(values), contestant_by_name(peer).title if peer else ""
        )
    times = row["times"]
    if requirement.measure == "share":
        shares = [record["flops"] / t / 1e9 / record["peak"] for t in times]
        return Verdict(requirement, median(shares), max(shares))
    return Verdict(requirement, median(times), min(times))


def duration(seconds: float) -> str:
    """Seconds with three digits and the unit that fits."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * scale >= 0.9995 or unit == "µs":
            return f"{seconds * scale:#.3g}".rstrip(".") + f" {unit}"
    raise AssertionError


def number(value: float) -> str:
    """A ratio: three digits, or two after the point where it is large."""
    digits = next((d for bound, d in ((10, 1), (1, 2), (0.1, 3)) if value >= bound), None)
    return f"{value:#.3g}" if digits is None else f"{value:.{digits}f}"


def cells(record: Record) -> list[tuple[str, ...]]:
    """The table of one workload, a row per contestant in order of their medians."""
    workload = workload_by_name(record["workload"])
    out = []
    for row in sorted(record["rows"], key=lambda r: median(r["times"])):
        middle, best = median(row["times"]), min(row["times"])
        size = workload.kind == "size"
        shown = [f"{middle:.0f} MB", ""] if size else [duration(middle), duration(best)]
        ratio = ratios(record, row["name"]) if row["name"] != OURS else []
        low, high = (number(min(ratio)), number(max(ratio))) if ratio else ("", "")
        shown += [number(median(ratio)), low, f"{low}..{high}"] if ratio else [""] * 3
        rate = record["flops"] / middle / 1e9
        shown += [f"{rate:.3g}", f"{rate / record['peak']:.1%}"] if rate else ["", ""]
        loss = row.get("loss")
        shown.append("" if loss is None else f"{loss:.1e}" if workload.kind == "predict" else f"{loss:.4f}")
        out.append((contestant_by_name(row["name"]).title, *shown, row.get("note") or ""))
    return out


def _headings(workload: Workload) -> tuple[str, ...]:
    loss = {
        "predict": "error",
        "process": "loss",
        "compile": "loss",
        "search": "accuracy",
        "fit": "accuracy",
    }.get(workload.kind, f"loss, epoch {workload.loss_at}")
    time = "size" if workload.kind == "size" else f"time / {workload.unit}"
    return (COLUMNS[0], time, *COLUMNS[2:8], loss, COLUMNS[-1])


def _conditions(record: Record) -> str:
    """What the data are and how fast the machine was, where the workload has any."""
    peak = f"peak {record['peak']:.0f} GFLOP/s" if record["flops"] else ""
    return "; ".join(filter(None, [record["data"], peak]))


# --- on the terminal ------------------------------------------------------------------------------------------------


def show(record: Record, console: Console) -> None:
    """Print the table of one workload."""
    workload = workload_by_name(record["workload"])
    rows, headings = cells(record), _headings(workload)
    if not rows:
        return  # why was told as each contestant failed
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
        "share": lambda: f"{value:.1%} of peak",
        "seconds": lambda: duration(value),
        "MB": lambda: f"{value:.0f} MB",
    }[requirement.measure]()


def _verdict_cells(v: Verdict) -> tuple[str, ...]:
    r = v.requirement
    against = ""
    if r.against:
        against = v.against if r.against != FASTEST else f"{FASTEST} ({v.against or '?'})"
        against = against or contestant_by_name(r.against).title
    # A limit is shown as the plan states it, without the zeros that a measurement would have.
    limit = f"{r.limit:.3g} x" if r.measure == "ratio" else _limit(r.limit, r)
    bound = f"{'at least' if r.measure == 'share' else 'at most'} {limit}"
    values = [_limit(x, r) if x is not None else "" for x in (v.value, v.best)]
    return (r.workload, contestant_by_name(r.contestant).title, against, bound, *values, v.word)


def verdicts(records: Mapping[str, Record]) -> list[Verdict]:
    return [verdict(r, records) for r in REQUIREMENTS if r.workload in records]


def show_verdicts(records: Mapping[str, Record], console: Console) -> None:
    """Print every requirement on the workloads that ran, and whether it is met."""
    table = Table(title="Requirements, by the median over the rounds", title_justify="left")
    for heading in VERDICT_COLUMNS:
        table.add_column(heading)
    for v in verdicts(records):
        table.add_row(*_verdict_cells(v), style={True: "green", False: "red", None: "yellow"}[v.met])
    console.print(table)


# --- in files -------------------------------------------------------------------------------------------------------


def load() -> dict[str, Record]:
    """The records of the last runs by workload, empty where there are none."""
    return json.loads(RAW.read_text()) if RAW.exists() else {}


def save(records: Mapping[str, Record]) -> None:
    """Write results.json and RESULTS.md."""
    ordered = {w.name: records[w.name] for w in WORKLOADS if w.name in records}
    RAW.write_text(json.dumps(ordered, indent=1) + "\n")
    MARKDOWN.write_text(markdown(ordered))


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table, without the columns that no row fills."""
    keep = [i for i in range(len(headings)) if i == 0 or any(row[i] for row in rows)]
    lines = ["| " + " | ".join(headings[i] for i in keep) + " |", "|" + "---|" * len(keep)]
    return lines + ["| " + " | ".join(row[i] for i in keep) + " |" for row in rows]


def _machine_line(machine: Record) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return f"{machine['cpu']}; {machine['cores']} cores; {machine['system']}. {versions}."


_PREFACE = """# Results

Written by `python -m benchmarks --write` from [results.json](results.json); not edited by hand.

Every contestant is a process of its own and blocks while it is not its turn. After a warm-up that includes
compilation, each round runs each contestant once; a ratio is ours / theirs within one round. Given are the median over
the rounds, the best round and the spread (lowest..highest ratio). Times of `fit` are those of the epochs after the
first of a call (of the tanh network: of whole calls of ranvier). GFLOP/s count the matrix products only; the peak is
measured by `peak.py` beside every round.

All start from the same weights (whole processes from their own) and report the mean training loss of the same epoch,
so that a run which skips work shows. In the first three workloads, whose program asks for it, all but scikit-learn,
which cannot, keep the training accuracy too. Each peer runs as its experts would run it: float32 data in memory, fused
optimizers; threads, unrolling and the way of calling by a trial before the rounds (last column). The models of a
search start anew each time; their mean accuracy on the held-out rows is reported in the loss's place.
"""


def markdown(records: Mapping[str, Record]) -> str:
    """The text of RESULTS.md."""
    lines = [_PREFACE]
    machines = {_machine_line(r["machine"]) for r in records.values()}
    lines += [f"Machine: {line}\n" for line in sorted(machines)]
    lines += ["## Requirements\n", "Judged by the median over the rounds.\n"]
    lines += markdown_table(VERDICT_COLUMNS, [_verdict_cells(v) for v in verdicts(records)])
    for name, record in records.items():
        workload = workload_by_name(name)
        lines += ["", f"## {workload.title}\n"]
        rounds = max((len(row["times"]) for row in record["rows"]), default=0)
        facts = [f"`{name}`", record["date"], f"{rounds} round{'s' * (rounds != 1)}", _conditions(record)]
        lines.append("; ".join(filter(None, facts)) + ".\n")
        lines += markdown_table(_headings(workload), cells(record))
        lines += [f"\nNot run: {title} ({why})." for title, why in record["failed"].items()]
    return "\n".join(lines) + "\n"

"""Statistics of records: ratios, the fastest contestant, verdicts on requirements, and their text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.contestants import CONTESTANTS
from benchmarks.contestants import by_name as contestant_by_name
from benchmarks.growth import AVX2_REQUIREMENTS
from benchmarks.workload import FASTEST, HELD, OURS, Requirement
from benchmarks.workloads import REQUIREMENTS

Record = dict[str, Any]
_OURS = {c.name for c in CONTESTANTS if c.ours}


@dataclass(frozen=True)
class Verdict:
    """A requirement and its measured value, None where it was not measured."""

    requirement: Requirement
    value: float | None
    best: float | None = None
    against: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the median is within the limit; None where nothing was measured."""
        if self.value is None:
            return None
        limit = self.requirement.limit
        return self.value >= limit if self.requirement.at_least else self.value <= limit

    @property
    def word(self) -> str:
        """The verdict in words."""
        return {True: "met", False: "not met", None: "not measured"}[self.met]


def ratios(record: Record, name: str, ours: str = OURS) -> list[float]:
    """Ours / theirs in each round; empty where one of them did not run."""
    times = {row["name"]: row["times"] for row in record["rows"]}
    return [a / b for a, b in zip(times.get(ours, ()), times.get(name, ()), strict=False)]


def fastest_peer(record: Record) -> str | None:
    """The peer with the smallest median."""
    peers = {row["name"]: median(row["times"]) for row in record["rows"] if row["name"] not in _OURS}
    return min(peers, key=peers.__getitem__) if peers else None


def least(record: Record) -> float:
    """The least possible seconds of a timed unit: its operations at peak, and its bytes at the speed of a copy."""
    return float(record["flops"] / record["peak"] + record["bytes"] / record["bandwidth"]) / 1e9


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
        return Verdict(requirement, median(values), min(values), contestant_by_name(peer).title if peer else "")
    times = row["times"]
    if requirement.measure == "least":
        above = [t / least(record) for t in times]
        return Verdict(requirement, median(above), min(above))
    if requirement.measure == "share":
        shares = [record["flops"] / t / 1e9 / record["peak"] for t in times]
        return Verdict(requirement, median(shares), max(shares))
    if requirement.measure == "accuracy":
        return Verdict(requirement, row["loss"], row["loss"])  # every round trains with the same seed
    return Verdict(requirement, median(times), min(times))


def duration(seconds: float) -> str:
    """Seconds with three digits and a suitable unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * scale >= 0.9995 or unit == "µs":
            return f"{seconds * scale:#.3g}".rstrip(".") + f" {unit}"
    raise AssertionError


def number(value: float) -> str:
    """A ratio: three digits, or two after the point where it is large."""
    digits = next((d for bound, d in ((10, 1), (1, 2), (0.1, 3)) if value >= bound), None)
    return f"{value:#.3g}" if digits is None else f"{value:.{digits}f}"


def verdicts(records: Mapping[str, Record]) -> list[Verdict]:
    """What is required of the workloads that ran, on the processor that they ran on."""
    held = any(record["machine"]["cpu"].endswith(HELD) for record in records.values())
    return [verdict(r, records) for r in (AVX2_REQUIREMENTS if held else REQUIREMENTS) if r.workload in records]


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table, without the columns that no row fills."""
    keep = [i for i in range(len(headings)) if i == 0 or any(row[i] for row in rows)]
    lines = ["| " + " | ".join(headings[i] for i in keep) + " |", "|" + "---|" * len(keep)]
    return lines + ["| " + " | ".join(row[i] for i in keep) + " |" for row in rows]

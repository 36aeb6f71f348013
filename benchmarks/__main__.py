"""python -m benchmarks: every library against every other, interleaved, on this machine."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks import readme as readmes
from benchmarks import report, tables
from benchmarks.contestants import AVX2
from benchmarks.contestants import select as select_contestants
from benchmarks.harness import Harness
from benchmarks.workloads import select


def main(
    only: Annotated[
        str, typer.Option(help="Workloads: names, parts of names or shell patterns, by commas; or tables.")
    ] = "",
    rounds: Annotated[int, typer.Option(min=1, help="Timed rounds; each runs every contestant once.")] = 5,
    contestants: Annotated[str, typer.Option(help="Contestants by name, by commas; all of them if empty.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="One round on a tenth of the data: does it run?")] = False,
    avx2: Annotated[
        bool, typer.Option("--avx2", help="Hold every library to AVX2; recorded as another processor.")
    ] = False,
    write: Annotated[bool, typer.Option("--write", help="Write results.json and RESULTS.md here.")] = False,
    readme: Annotated[
        bool, typer.Option("--readme", help="Write the summary into both READMEs; measure nothing.")
    ] = False,
) -> None:
    """Time every library on every workload and compare ranvier with each. Keep all cores idle meanwhile."""
    console = Console(width=None if Console().is_terminal else 160)
    if readme:
        try:
            changed = readmes.update(next(iter(report.load()), {}))
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        console.print(f"Changed: {', '.join(changed) or 'nothing'}")
        return
    if only == "tables":
        tables.main(console, quick=quick, write=write)
        return
    if write and (quick or contestants):
        raise typer.BadParameter("--write records whole runs. Write it without --quick and --contestants instead.")
    try:
        chosen, workloads = select_contestants(contestants), select(only)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if avx2:
        os.environ.update(AVX2)  # the processes of all contestants inherit it
    settings: dict[str, Any] = {"seconds": 0.03, "cut": 10} if quick else {}
    measured = {}
    with Harness(chosen, 1 if quick else rounds, console, **settings) as harness:
        for workload in workloads:
            measured[workload.name] = harness.measure(workload)
            report.show(measured[workload.name], console)
            if write:  # after each workload: runs of some workloads update one table
                report.save({workload.name: measured[workload.name]})
    report.show_verdicts(measured, console)
    report.show_costs(measured, max(rounds, 3), console)


if __name__ == "__main__":
    typer.run(main)

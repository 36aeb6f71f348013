"""``ranvier report`` and ``explain``: what a run knows, as one HTML file, and what it uses, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

import ranvier as rv
from ranvier.auto.runs import FILES
from ranvier.auto.scores import LOWER_IS_BETTER
from ranvier.cli.errors import errors_as_lines
from ranvier.cli.lines import Columns, echo, echo_json
from ranvier.cli.targets import check_targets
from ranvier.cli.train import JSON, RUN
from ranvier.metrics.table import Row

REPORT = """Write the report of a run: one HTML file that needs no network.

It has the data, what was done to them, the curves, the model beside baselines, the scores of each class, what the model
uses, the worst mistakes, and how to repeat the run.

Examples:

  ranvier report run

  ranvier report run --lang zh --out report-zh.html
"""

EXPLAIN = """Print what a run uses.

It is how much the score drops where the values of one column are shuffled; of images, sounds and texts, how much the
error rises without a part of the image, a stretch of the sound, or a word. The columns that matter most come first.
Of two columns that say the same, each may look unimportant.

Examples:

  ranvier explain run

  ranvier explain run --json
"""


def report(
    run: Annotated[Path, RUN],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file to write. [default: report.html in the run]")
    ] = None,
    lang: Annotated[str, typer.Option(metavar="LANGUAGE", help="en or zh.")] = "en",
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """See `REPORT`."""
    with errors_as_lines():
        if out is not None and out.suffix.lower() not in (".html", ".htm"):
            raise ValueError(
                f"{out} does not end in .html, which a report is. Write {out.with_suffix('.html')} instead."
            )
        from ranvier.auto.report.writing import report_of_run

        if out is not None:
            check_targets([out], (run / name for name in FILES))
        written, lacking = report_of_run(run, out, lang=lang)
        if as_json:
            echo_json({"report": str(written), "lacking": lacking})
        else:
            echo(f"wrote {written}; open it in a browser")
        if lacking:
            raise ValueError(f"{written} is not complete: {'; '.join(lacking)}")


def explain(
    run: Annotated[Path, RUN],
    most: Annotated[int, typer.Option(metavar="NUMBER", min=1, help="How many columns, parts or words to print.")] = 20,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """See `EXPLAIN`."""
    with errors_as_lines():
        found = rv.auto.importances(run)
        if as_json:
            echo_json(found.to_dict())
            return
        for line in importances(found, most):
            echo(line)


def importances(found: rv.explain.Importances, most: int) -> list[str]:
    """What ``ranvier explain`` prints: the largest drops of a score, or rises of an error."""
    metric = found.metric
    what = "rise" if metric in LOWER_IS_BETTER else "drop"
    repeated = found.values.shape[1] > 1  # of one repeat there is no deviation
    order = np.argsort(-found.mean, kind="stable")[:most]
    rows: list[Row] = [
        [found.names[k], f"{found.mean[k]:+.4f}", *([f"{found.std[k]:.4f}"] if repeated else [])] for k in order
    ]
    table = Columns(["without it", f"{what} of {rv.auto.title(metric)}", *["deviation"] * repeated], rows)
    left = len(found.names) - len(order)
    more = [f"and {left:,} more: --most {len(found.names)}"] if left else []
    return [f"{rv.auto.title(metric)} with all of them: {found.score:.4f}", "", str(table), *more]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(help=REPORT)(report)
    app.command(help=EXPLAIN)(explain)

"""``ranvier report`` and ``explain``: what a run knows, as one HTML file, and what it uses, as a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

import ranvier as rv
from ranvier.cli.errors import errors_as_lines
from ranvier.cli.train import JSON, RUN

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
    out: Annotated[Path | None, typer.Option(help="The file to write. By default report.html in the run.")] = None,
    lang: Annotated[str, typer.Option(help="en or zh.")] = "en",
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """See `REPORT`."""
    with errors_as_lines():
        written = rv.auto.write_report(run, path=out, lang=lang)
        typer.echo(json.dumps({"report": str(written)}) if as_json else f"wrote {written}")


def explain(run: Annotated[Path, RUN], as_json: Annotated[bool, JSON] = False) -> None:
    """See `EXPLAIN`."""
    from rich.console import Console

    with errors_as_lines():
        found = rv.auto.importances(run)
        if as_json:
            typer.echo(json.dumps(found.to_dict(), ensure_ascii=False))
        else:
            Console().print(found)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(help=REPORT)(report)
    app.command(help=EXPLAIN)(explain)

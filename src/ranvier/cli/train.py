"""``ranvier train``, ``predict``, ``evaluate`` and ``compare``: from a file of data to a model and its predictions."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import ranvier as rv
from ranvier.cli.errors import errors_as_lines
from ranvier.support.phrases import counted

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
DATA = typer.Argument(
    help="A table (CSV, TSV, Parquet, Excel) with names in the first line; a folder of images, sounds or texts with a "
    "folder for each class; or an .npz file with x and y."
)
RUN = typer.Argument(help="The folder of a run, as ranvier train wrote it.")
JSON = typer.Option("--json", help="Print one JSON object in place of lines for people.")
SEPARATOR = typer.Option(help="What separates the columns, if it is not found.")
ENCODING = typer.Option(help="The encoding of a text file, if it is not found.")

TRAIN = """Train a model on a file of data.

Finds what each column is, sets a test part aside, tries networks, compares the best with what is simple, and writes the
folder --out. Ctrl-C keeps the best so far. A run that was killed goes on with the same command.

Examples:

  ranvier train iris.csv --target species

  ranvier train houses.csv --target price --time 5m --columns zip=category --columns id=ignore

  ranvier train photos/ --time 10m --network cnn

  ranvier train sales.csv --target sold --time-column day --trials 20 --seed 1 --out sales-run
"""
PREDICT = """Predict the rows of a file.

Writes the columns of the file, the prediction, and the probability of each class, as CSV, to --out, or to standard
output for a pipe. What does not fit is reported by line and column.

Examples:

  ranvier predict run new.csv --out out.csv

  ranvier predict run new.csv | head
"""
EVALUATE = """Score a run on a file that has the target.

Example:

  ranvier evaluate run test.csv
"""
COMPARE = """Compare runs: their scores, and which is best.

The scores are side by side, with whether a difference may be chance.

Example:

  ranvier compare run-a run-b run-c
"""


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(help=TRAIN)(train)
    app.command(help=PREDICT)(predict)
    app.command(help=EVALUATE)(evaluate)
    app.command(help=COMPARE)(compare)


def seconds(text: str) -> float:
    """``90``, ``90s``, ``5m`` or ``1.5h`` as seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip().lower())
    if not found or not float(found[1]):
        raise typer.BadParameter(f"{text!r} is no time. Write 90s, 5m or 1h, for example.")
    return float(found[1]) * UNITS[found[2]]


def pairs(texts: Sequence[str], example: str) -> dict[str, str]:
    """``NAME=VALUE`` words as a dict."""
    result = {}
    for text in texts:
        name, sign, value = text.rpartition("=")
        if not sign or not name:
            raise typer.BadParameter(f"{text!r} has no name and value. Write {example}, for example.")
        result[name] = value
    return result


def values(texts: Mapping[str, str]) -> dict[str, Any]:
    """Texts as numbers where they are some."""
    result: dict[str, Any] = {}
    for name, text in texts.items():
        try:
            result[name] = json.loads(text)
        except json.JSONDecodeError:
            result[name] = text
    return result


def train(
    data: Annotated[Path, DATA],
    target: Annotated[
        str,
        typer.Option(
            help="The column to predict; several by commas: all numbers, or all of two values. [default: one named "
            "target, label, class, y or outcome, else the last one]"
        ),
    ] = "",
    out: Annotated[Path | None, typer.Option(help="The folder to write. [default: DATA-run]")] = None,
    time: Annotated[str, typer.Option(help="How long it may take, all in all: 90s, 5m, 1h.")] = "",
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="Settings to try. The same number and seed give the same files. [default: 8]"),
    ] = None,
    network: Annotated[
        str, typer.Option(help="auto, linear, mlp; of images cnn, lenet5, vgg_small, resnet; or FILE.py:FUNCTION.")
    ] = "auto",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Fix a setting: width=64, depth=2, dropout=0.2, rate=0.001, ...")
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(help="NAME=KIND: number, category, yes/no, date, text, identifier, or ignore; one or several."),
    ] = None,
    time_column: Annotated[
        str | None, typer.Option(help="Split by this column: the test part is what came last.")
    ] = None,
    group: Annotated[str | None, typer.Option(help="Split by this column: its groups stay whole.")] = None,
    folds: Annotated[int | None, typer.Option(min=1, help="Folds of the rows to learn from. [default: 5]")] = None,
    test: Annotated[
        float | None,
        typer.Option(min=0, max=0.9, help="The fraction that is the test part. [default: 0.2; 0.1 of many]"),
    ] = None,
    metric: Annotated[
        str,
        typer.Option(help="The score that the threshold is tuned for: balanced_accuracy, accuracy, f1, log_loss, ..."),
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bits.")] = 0,
    separator: Annotated[str | None, SEPARATOR] = None,
    encoding: Annotated[str | None, ENCODING] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    limit = seconds(time) if time else None
    kinds = pairs(columns or [], "--columns zip=category")
    fixed = values(pairs(set_ or [], "--set width=64"))
    with errors_as_lines():
        from ranvier.cli.progress import SearchProgress

        targets = [name for name in target.split(",") if name] if "," in target else target or None
        with SearchProgress(limit, trials, quiet=as_json) as progress:
            run = rv.auto.train(
                data, targets, out, time=limit, trials=trials, network=network, settings=fixed, columns=kinds,
                time_column=time_column, group=group, folds=folds, test=test, metric=metric, seed=seed,
                separator=separator, encoding=encoding,
                command=["ranvier", *sys.argv[1:]], say=progress.say, progress=progress.trial,
            )  # fmt: skip
        if as_json:
            typer.echo(json.dumps(run.to_dict() | {"folder": str(run.folder), "times": run.times}, ensure_ascii=False))
        else:
            for line in result(run):
                typer.echo(line)


def predict(
    run: Annotated[Path, RUN],
    data: Annotated[Path, DATA],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write. [default: standard output]")
    ] = None,
    separator: Annotated[str | None, SEPARATOR] = None,
    encoding: Annotated[str | None, ENCODING] = None,
) -> None:
    with errors_as_lines():
        made = rv.auto.predict(rv.auto.Run.load(run), data, separator=separator, encoding=encoding)
        tell(made.notes)
        if out is None:
            sys.stdout.write(made.text())
        else:
            made.write(out)
            typer.echo(f"wrote {counted(len(made.table), 'row')} to {out}")


def evaluate(
    run: Annotated[Path, RUN],
    data: Annotated[Path, DATA],
    separator: Annotated[str | None, SEPARATOR] = None,
    encoding: Annotated[str | None, ENCODING] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    with errors_as_lines():
        loaded = rv.auto.Run.load(run)
        made = rv.auto.evaluate(loaded, data, separator=separator, encoding=encoding)
        if as_json:
            typer.echo(
                json.dumps({"scores": made["scores"], "rows": made["rows"], "notes": made["notes"]}, ensure_ascii=False)
            )
            return
        tell(made["notes"])
        if loaded.task.labels:
            decided = loaded.decide(made["predictions"].output)
            names = [f"{n} = {v[1]}" for n, v in zip(loaded.task.targets, loaded.task.labels, strict=True)]
            typer.echo(rv.metrics.report(made["truth"], decided, names))
        if loaded.task.classes:
            typer.echo(rv.metrics.report(made["truth"], loaded.decide(made["predictions"].output), loaded.task.classes))
        typer.echo(f"{counted(made['rows'], 'row')} of {data}")
        for name, value in made["scores"].items():
            typer.echo(f"  {rv.auto.title(name):<18} {value:.4f}")


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs.")], as_json: Annotated[bool, JSON] = False
) -> None:
    with errors_as_lines():
        from ranvier.auto.report.comparison import compared

        loaded = [rv.auto.Run.load(folder) for folder in runs]
        if as_json:
            rows = [{"run": str(r.folder), "test": r.test, "validation": r.validation} for r in loaded]
            typer.echo(json.dumps(rows, ensure_ascii=False))
            return
        for line in [*side_by_side(loaded), *compared(loaded)]:
            typer.echo(line)


# --- lines ----------------------------------------------------------------------------------------------------------


def tell(notes: Sequence[str]) -> None:
    """Notes on standard error, so that a pipe has the predictions alone."""
    for note in notes:
        typer.echo(f"note: {note}", err=True)


def result(run: rv.auto.Run) -> list[str]:
    """The result of a training: model against baselines, which is better, and what to type next."""
    from ranvier.auto.report.comparison import may_be_chance

    metric = run.task.metric
    part = "test" if run.test else "validation"
    rows = [(row["title"], row[part]) for row in run.baselines if row[part]]
    rows.append(("the model", run.test or run.validation))
    names = list(rows[-1][1])
    width = max(len(name) for name, _ in rows)
    lines = ["", f"{'':<{width}}  " + "  ".join(f"{rv.auto.title(name):>17}" for name in names) + f"   ({part} part)"]
    lines += [f"{name:<{width}}  " + "  ".join(f"{scores[n]:>17.4f}" for n in names) for name, scores in rows]
    lines += ["", rv.auto.verdict(run, may_be_chance(run))]
    if run.state == "stopped":
        lines.append("stopped: this is the best so far")
    if "threshold" in run.decision:
        threshold = f"a probability of {run.decision['threshold']:.3f}"
        lines.append(f"{run.task.classes[1]!r} is predicted above {threshold}, for {rv.auto.title(metric)}")
    lines.append(f"wrote {run.folder} in {run.times['all']:.1f} s")
    lines.append(f"next: ranvier predict {run.folder} NEW --out OUT.csv, or ranvier report {run.folder}")
    return lines


def contents_of_run(folder: Path) -> list[str]:
    """What ``ranvier inspect`` prints of a run: its command, the data, the networks, the result."""
    run = rv.auto.Run.load(folder)
    settings = {trial["number"]: trial["settings"] for trial in run.trials}
    lines = [f"command: {' '.join(run.command) or 'ranvier.auto.train'}", *rv.auto.data_lines(run), ""]
    for member in run.members:
        words = ", ".join(f"{name} {value}" for name, value in settings[member["trial"]].items())
        lines.append(f"network, weight {member['weight']:.2f}: trial {member['trial']} ({words})")
    return [*lines, *result(run)]


def side_by_side(runs: Sequence[rv.auto.Run]) -> list[str]:
    """A row for each score and a column for each run."""
    heads = [str(run.folder) for run in runs]
    width = max(12, *(len(head) for head in heads))
    lines = [f"{'':<28}" + "  ".join(f"{head:>{width}}" for head in heads)]
    for part in ("test", "validation"):
        names = dict.fromkeys(name for run in runs for name in getattr(run, part))
        for name in names:
            found = [getattr(run, part).get(name) for run in runs]
            shown = [f"{'' if v is None else f'{v:.4f}':>{width}}" for v in found]
            lines.append(f"{part + ' ' + rv.auto.title(name):<28}" + "  ".join(shown))
    lines.append(f"{'rows to learn from':<28}" + "  ".join(f"{len(run.arrays['train']):>{width},}" for run in runs))
    lines.append(f"{'trials':<28}" + "  ".join(f"{len(run.trials):>{width},}" for run in runs))
    lines.append(f"{'seconds':<28}" + "  ".join(f"{run.times.get('all', 0):>{width},.1f}" for run in runs))
    return lines

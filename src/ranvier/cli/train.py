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
from ranvier.auto.runs import FILES
from ranvier.cli.errors import errors_as_lines
from ranvier.cli.lines import Columns, echo, echo_json
from ranvier.cli.targets import check_targets
from ranvier.metrics.table import Row
from ranvier.support.phrases import counted

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
DATA = typer.Argument(
    metavar="DATA",
    help="A table (CSV, TSV, Parquet, Excel) with names in the first line; a folder of images, sounds or texts with a "
    "folder for each class; or an .npz file with x and y.",
)
SAME = "Data of the same kind as those of the training, one image or sound, or - for a table on standard input"
RUN = typer.Argument(metavar="RUN", help="The folder of a run, as ranvier train wrote it.")
JSON = typer.Option("--json", help="Print one JSON object in place of lines for people.")
SEPARATOR = typer.Option(metavar="SIGN", help="What separates the columns, if it is not found.")
ENCODING = typer.Option(metavar="NAME", help="The encoding of a text file, if it is not found.")
TARGET = typer.Option(
    metavar="COLUMN",
    help="The column to predict; several by commas: all numbers, or all of two values. [default: one named target, "
    "label, class, y or outcome, else the last one; a terminal asks]",
)
TRIALS = typer.Option(
    metavar="NUMBER", min=1, help="Settings to try. The same number and seed give the same files. [default: 8]"
)
NETWORK = typer.Option(
    metavar="NAME", help="auto, linear, mlp; of images cnn, lenet5, vgg_small, resnet; or FILE.py:FUNCTION."
)
SET = typer.Option(
    "--set",
    metavar="SETTING=VALUE",
    help="Fix a setting: width=64, depth=2, dropout=0.2, rate=0.001, ...; one or several.",
)
COLUMNS = typer.Option(
    metavar="COLUMN=KIND",
    help="Overrule the kind of a column: number, category, yes/no, date, text, identifier, or ignore; one or several.",
)
TIME_COLUMN = typer.Option(metavar="COLUMN", help="Split by this column: the test part is what came last.")
GROUP = typer.Option(metavar="COLUMN", help="Split by this column: its groups stay whole.")
FOLDS = typer.Option(metavar="NUMBER", min=1, help="Folds of the rows to learn from. [default: 5; 1 of many]")
TEST = typer.Option(
    metavar="FRACTION", min=0, max=0.9, help="The fraction that is the test part. [default: 0.2; 0.1 of many]"
)
METRIC = typer.Option(
    metavar="SCORE", help="The score that the threshold is tuned for: balanced_accuracy, accuracy, f1, log_loss, ..."
)

TRAIN = """Train a model on a file of data.

Finds what each column is, sets a test part aside, tries networks, compares the best with what is simple, and writes the
folder --out. Ctrl-C keeps the best so far. A run that was killed goes on with the same command.

Examples:

  ranvier train iris.csv --target species

  ranvier train houses.xlsx --target price --time 5m --columns zip=category

  ranvier train photos/ --time 10m --network cnn

  ranvier train sales.csv --target sold --time-column day --out sales-run
"""
PREDICT = """Predict the rows of a file.

Writes the columns of the file, the prediction, and the probability of each class to --out (CSV, TSV, Excel or
Parquet, by the end of its name), or as CSV to standard output for a pipe. What does not fit is reported by line and
column, on standard error.

Examples:

  ranvier predict run new.csv --out out.csv

  ranvier predict run new.xlsx --out out.xlsx

  ranvier predict run new.csv | head
"""
EVALUATE = """Score a run on a file that has the target.

Examples:

  ranvier evaluate run test.csv

  ranvier evaluate run test.csv --json
"""
COMPARE = """Compare runs: their scores, and which is best.

The scores are side by side, with whether a difference may be chance.

Examples:

  ranvier compare run-a run-b

  ranvier compare run-a run-b run-c --json
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


def targets(text: str) -> str | list[str] | None:
    """A column, or several by commas; None where none is given."""
    return [name for name in text.split(",") if name] if "," in text else text or None


def train(
    ctx: typer.Context,
    data: Annotated[Path, DATA],
    target: Annotated[str, TARGET] = "",
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="The folder to write. [default: DATA-run]")] = None,
    time: Annotated[str, typer.Option(metavar="TIME", help="How long it may take, all in all: 90s, 5m, 1h.")] = "",
    trials: Annotated[int | None, TRIALS] = None,
    network: Annotated[str, NETWORK] = "auto",
    set_: Annotated[list[str] | None, SET] = None,
    columns: Annotated[list[str] | None, COLUMNS] = None,
    time_column: Annotated[str | None, TIME_COLUMN] = None,
    group: Annotated[str | None, GROUP] = None,
    folds: Annotated[int | None, FOLDS] = None,
    test: Annotated[float | None, TEST] = None,
    metric: Annotated[str, METRIC] = "",
    seed: Annotated[int, typer.Option(metavar="NUMBER", min=0, help="The same seed gives the same bits.")] = 0,
    separator: Annotated[str | None, SEPARATOR] = None,
    encoding: Annotated[str | None, ENCODING] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    limit = seconds(time) if time else None
    kinds = pairs(columns or [], "--columns zip=category")
    fixed = values(pairs(set_ or [], "--set width=64"))
    with errors_as_lines():
        from ranvier.auto.training import TRIALS
        from ranvier.cli.progress import SearchProgress

        if out is not None:
            check_targets([out, *(out / name for name in FILES)], [data])
        number = TRIALS if trials is None and limit is None else trials
        with SearchProgress(limit, number, quiet=as_json) as progress:
            run = rv.auto.train(
                data, targets(target) or (lambda table: targets(progress.ask_target(table))), out, time=limit,
                trials=trials, network=network, settings=fixed, columns=kinds,
                time_column=time_column, group=group, folds=folds, test=test, metric=metric, seed=seed,
                separator=separator, encoding=encoding,
                command=["ranvier", *sys.argv[1:]], say=progress.say, progress=progress.trial, began=ctx.obj,
            )  # fmt: skip
        if as_json:
            echo_json(run.to_dict() | {"folder": str(run.folder), "verdict": rv.auto.verdict(run), "times": run.times})
        else:
            for line in [*result(run), *after(run)]:
                echo(line)


def predict(
    run: Annotated[Path, RUN],
    data: Annotated[Path, typer.Argument(metavar="DATA", help=f"{SAME}. The target is not needed.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="The file to write, - for standard output. [default: -]"),
    ] = None,
    separator: Annotated[str | None, SEPARATOR] = None,
    encoding: Annotated[str | None, ENCODING] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    with errors_as_lines():
        from ranvier.auto.formats import check_ending

        out = None if out == STANDARD else out
        if out is not None:
            check_ending(out)
            check_targets([out], [data, *(run / name for name in FILES)])
        made = rv.auto.predict(rv.auto.Run.load(run), opened(data), separator=separator, encoding=encoding)
        if out is not None:
            made.write(out)
        if as_json:
            echo_json({"rows": made.records(), "notes": made.notes, "out": None if out is None else str(out)})
            return
        tell(made.notes)
        if out is None:
            sys.stdout.write(made.text())
        else:
            echo(f"wrote {counted(len(made.table), 'row')} to {out}")


def evaluate(
    run: Annotated[Path, RUN],
    data: Annotated[Path, typer.Argument(metavar="DATA", help=f"{SAME}, with the target.")],
    separator: Annotated[str | None, SEPARATOR] = None,
    encoding: Annotated[str | None, ENCODING] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    with errors_as_lines():
        loaded = rv.auto.Run.load(run)
        made = rv.auto.evaluate(loaded, opened(data), separator=separator, encoding=encoding)
        if as_json:
            echo_json({name: made[name] for name in ("scores", "rows", "notes")})
            return
        tell(made["notes"])
        if loaded.task.labels:
            decided = loaded.decide(made["predictions"].output)
            names = [f"{n} = {v[1]}" for n, v in zip(loaded.task.targets, loaded.task.labels, strict=True)]
            echo(rv.metrics.report(made["truth"], decided, names))
        if loaded.task.classes:
            echo(rv.metrics.report(made["truth"], loaded.decide(made["predictions"].output), loaded.task.classes))
        scores = [[rv.auto.title(name), shown(value)] for name, value in made["scores"].items()]
        echo(Columns([f"{counted(made['rows'], 'row')} of {data}", ""], scores))


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Folders of runs.")],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    with errors_as_lines():
        from ranvier.auto.report.comparison import compared

        loaded = [rv.auto.Run.load(folder) for folder in runs]
        if as_json:
            echo_json([{"run": str(r.folder), "test": r.test, "validation": r.validation} for r in loaded])
            return
        for line in [*side_by_side(loaded), *compared(loaded)]:
            echo(line)


STANDARD = Path("-")  # standard input, or output


def opened(data: Path) -> Any:
    """Data as `ranvier.auto` takes them."""
    return sys.stdin.buffer if data == STANDARD else data


# --- lines ----------------------------------------------------------------------------------------------------------


def tell(notes: Sequence[str]) -> None:
    """Notes on standard error, so that a pipe has the predictions alone."""
    for note in notes:
        echo(f"note: {note}", err=True)


def shown(value: float) -> str:
    """A score as text; a dash where it is not defined."""
    return f"{value:.4f}" if value == value else "-"


def scores_of(part: str, rows: Sequence[tuple[str, Mapping[str, float]]]) -> Columns:
    """A table of scores: a row for each of several models."""
    names = list(dict.fromkeys(name for _, scores in rows for name in scores))
    cells: list[Row] = [[title, *(shown(scores.get(name, float("nan"))) for name in names)] for title, scores in rows]
    return Columns([part, *map(rv.auto.title, names)], cells)


def result(run: rv.auto.Run) -> list[str]:
    """The result of a training: model against baselines, and which is better."""
    part = "test" if run.test else "validation"
    rows = [(row["title"], row[part]) for row in run.baselines if row[part]]
    rows.append(("the model", run.test or run.validation))
    lines = ["", str(scores_of("test part" if run.test else "held-out rows", rows)), ""]
    lines += rv.auto.verdict(run).splitlines()
    if run.state == "stopped":
        lines.append("stopped: this is the best so far")
    if "threshold" in run.decision:
        threshold = f"a probability of {run.decision['threshold']:.3f}"
        lines.append(f"{run.task.classes[1]!r} is predicted above {threshold}, for {rv.auto.title(run.task.metric)}")
    return lines


def after(run: rv.auto.Run) -> list[str]:
    """What was written, and what to type next."""
    folder, ending = run.folder, Path(str(run.data["path"])).suffix
    new = "NEW" + ending if ending else "FOLDER"
    out = "OUT" + (ending if ending in (".tsv", ".xlsx", ".parquet") else ".csv")
    return [
        f"wrote {folder} in {run.times['all']:.1f} s; next:",
        f"  ranvier predict {folder} {new} --out {out}",
        f"  ranvier report {folder}",
    ]


def contents_of_run(folder: Path) -> list[str]:
    """What ``ranvier inspect`` prints of a run: its command, the data, the networks, the result."""
    run = rv.auto.Run.load(folder)
    settings = {trial["number"]: trial["settings"] for trial in run.trials}
    lines = [f"command: {' '.join(run.command) or 'ranvier.auto.train'}", *rv.auto.data_lines(run), ""]
    for member in run.members:
        words = rv.auto.settings_words(settings[member["trial"]])
        lines.append(f"weight {member['weight']:.2f}: trial {member['trial']}, {words}")
    return [*lines, *result(run), f"trained in {run.times.get('all', 0):.1f} s"]


def side_by_side(runs: Sequence[rv.auto.Run]) -> list[str]:
    """A row for each run: its scores of each part, and facts."""
    lines = []
    for part, title in (("test", "test part"), ("validation", "held-out rows")):
        rows = [(str(run.folder), getattr(run, part)) for run in runs]
        if any(scores for _, scores in rows):
            lines += [str(scores_of(title, rows)), ""]
    facts: list[Row] = [
        [
            str(run.folder), f"{len(run.arrays['train']):,}", f"{len(run.arrays['test']):,}", f"{len(run.trials):,}",
            f"{run.times.get('all', 0):,.1f}",
        ]
        for run in runs
    ]  # fmt: skip
    return [*lines, str(Columns(["run", "rows to learn from", "test rows", "trials", "seconds"], facts)), ""]

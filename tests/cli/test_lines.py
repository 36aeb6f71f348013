"""What commands print: help with examples, wrapped lines, tables, JSON."""

import json
import time

import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from ranvier.auto.trials import Trial
from ranvier.cli.lines import Columns, echo_json, wrapped
from ranvier.cli.main import app
from ranvier.cli.progress import SearchProgress

COMMANDS = sorted(get_command(app).commands)


def ranvier(*words):
    made = CliRunner().invoke(app, [str(word) for word in words], terminal_width=80)
    assert made.exit_code == 0, made.output
    return made.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_that_fit_a_line(command):
    shown = ranvier(command, "--help").splitlines()
    examples = [line for line in shown[shown.index("  Examples:") :] if line.startswith("    ranvier ")]
    assert len(examples) >= 2
    assert all(line.split()[1] == command for line in examples)
    text = "\n".join(shown)
    assert "<int" not in text
    assert "<list" not in text.replace("<list[Path]>", "").replace("<list[str]>", "")
    assert max(map(len, shown)) <= 80


WRAPPED = {
    "short": ("a b", 10, "a b"),
    "between words": ("note: one two three", 12, "note: one\n  two three"),
    "a hanging indent": ("  one two three", 10, "  one two\n    three"),
    "columns that fit": ("  a    b", 8, "  a    b"),
    "a word that is too long": ("one abcdefghijkl two", 8, "one\n  abcdefghijkl\n  two"),
    "characters of two cells": ("数据 数据 数据", 10, "数据 数据\n  数据"),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_lines_are_wrapped(name):
    line, width, expected = WRAPPED[name]
    assert wrapped(line, width) == expected


def test_tables_are_aligned():
    assert str(Columns(["run", "R2"], [["a", "0.5"], ["数据", "-1.25"]])).splitlines() == [
        "run      R2", "-----------", "a       0.5", "数据  -1.25",
    ]  # fmt: skip


def test_json_has_null_for_what_is_no_number(capsys):
    echo_json({"a": [float("nan"), 1.5], "b": {"c": (float("inf"), "é")}})
    assert capsys.readouterr().out == '{"a": [null, 1.5], "b": {"c": [null, "é"]}}\n'


def test_data_are_inspected(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("size;kind\n" + "\n".join(f"{k * 7 % 11},5;{'ab'[k % 2]}" for k in range(30)))
    assert ranvier("inspect", path).splitlines() == [
        "30 rows, 2 columns", "  size  number, 0.5 to 10.5", "  kind  category, 2 values", "note: separated by ';'",
        "next:", f"  ranvier train {path} --target COLUMN",
    ]  # fmt: skip
    found = json.loads(ranvier("inspect", path, "--json"))
    assert [(column["name"], column["kind"]) for column in found["columns"]] == [
        ("size", "number"),
        ("kind", "category"),
    ]
    (tmp_path / "texts" / "a").mkdir(parents=True)
    (tmp_path / "texts" / "a" / "1.txt").write_text("words")
    assert ranvier("inspect", tmp_path / "texts").splitlines()[0] == "1 file"
    assert json.loads(ranvier("info", "--json"))["engine"] == "native"


PROGRESS = {  # the seconds and the trials that were asked for, the trials that are done, and the live line after 10 s
    "at the begin": (None, 8, (), "reading the data"),
    "the linear network is no trial": (None, 8, (0,), "trying networks, 0 of 8 trials, best held-out loss 0.5000"),
    "a number of trials": (None, 8, (0, 1, 2), "trying networks, 2 of 8 trials, best held-out loss 0.5000, about 30 s left"),
    "the last one": (None, 2, (1, 2), "finishing, 2 of 2 trials, best held-out loss 0.5000"),
    "a time": (60.0, None, (0, 1), "trying networks, 1 trial, best held-out loss 0.5000, 50 s left"),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRESS)
def test_the_live_line_has_the_time_left(name):
    limit, trials, done, line = PROGRESS[name]
    progress = SearchProgress(limit, trials, quiet=True)
    for number in done:
        trial = Trial(number, {"network": "mlp"}, np.zeros((1, 1)), history=[{"val_loss": [0.5], "loss": [0.5]}])
        progress.trial(trial, 1.0)
    progress.began = time.perf_counter() - 10
    assert progress.line() == line

"""What commands print: help with examples, wrapped lines, tables, JSON."""

import json

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from ranvier.cli.lines import Columns, echo_json, wrapped
from ranvier.cli.main import app

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

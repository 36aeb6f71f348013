"""Tables with names as people write them: wide characters, and what rich would read as markup."""

import io

from rich.cells import cell_len
from rich.console import Console

import ranvier as rv

NAMES = ["[red]猫[/red]", "dog", "[/]"]


def test_columns_are_aligned_by_what_a_terminal_shows():
    lines = str(rv.metrics.report([0, 1, 2], [0, 1, 1], NAMES)).splitlines()
    assert {cell_len(line) for line in lines[2:5]} == {cell_len(lines[0])}
    assert lines[2].startswith("[red]猫[/red]  ")


def test_names_are_no_markup():
    text = io.StringIO()
    Console(file=text, width=100).print(rv.metrics.report([0, 1, 2], [0, 1, 1], NAMES))
    assert all(name in text.getvalue() for name in NAMES)


def test_names_of_layers_and_settings_are_no_markup(capsys):
    model = rv.Sequential([rv.Input((2,)), rv.layers.Dense(1, name="[b]层")], name="[/x]")
    model.summary()
    shown = capsys.readouterr().out
    assert "[b]层" in shown
    assert "'[/x]'" in shown

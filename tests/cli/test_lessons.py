"""The lessons run and print what they say, in both languages, and `ranvier lessons` writes them as notebooks."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ranvier.cli import lessons
from ranvier.cli.main import app
from tests import lessons as written
from tests.test_docs import verify

NAMES = lessons.names()
SOURCES = Path(lessons.__file__).parent


def test_there_are_fifteen_in_order():
    assert [name[:2] for name in NAMES] == [f"{i:02}" for i in range(1, 16)]


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_prints_what_it_says(name, tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "MPLBACKEND", "agg")
    verify(SOURCES / f"{name}.md", tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_have_the_same_parts(name):
    kinds = [block.kind for block in lessons.blocks(lessons.source(name))]
    prose = [kind for kind in kinds if kind in lessons.LANGUAGES]
    assert prose == ["en", "zh"] * (len(prose) // 2)
    parts = {
        language: [
            line.split()[0]
            for block in lessons.blocks(lessons.source(name))
            if block.kind == language
            for line in block.text.splitlines()
            if line.startswith(("#", "- ", "|", "1. ", "2. ", "3. ", "4. ", "5. "))
        ]
        for language in lessons.LANGUAGES
    }
    assert parts["en"] == parts["zh"]
    assert "rv.pictures" in lessons.source(name) or "plt.subplots" in lessons.source(name)


def test_nothing_of_a_source_is_left_out():
    for name in NAMES:
        kept = sum(len(block.text.split()) for block in lessons.blocks(lessons.source(name)))
        marks = sum(
            3 if line.startswith("<!--") else 1
            for line in lessons.source(name).splitlines()
            if line.startswith(("<!--", "```"))
        )
        assert kept + marks == len(lessons.source(name).split()), name


def test_the_notebooks_of_the_documents_are_those_of_the_sources():
    assert not written.differing(), "write them anew: python -m tests.lessons --write"


def test_the_command_writes_them_and_keeps_what_is_there(tmp_path):
    run = CliRunner().invoke
    folder = tmp_path / "lessons"
    result = run(app, ["lessons", str(folder), "--lang", "zh"])
    assert result.exit_code == 0, result.output
    paths = sorted(folder.iterdir())
    assert [path.stem for path in paths] == NAMES
    first = json.loads(paths[0].read_text(encoding="utf-8"))
    assert first == lessons.notebook(NAMES[0], "zh")
    assert "神经元" in first["cells"][0]["source"][0]

    paths[0].write_text("my answers", encoding="utf-8")
    again = run(app, ["lessons", str(folder)])
    assert again.exit_code == 0
    assert "15 files are kept" in again.output
    assert paths[0].read_text(encoding="utf-8") == "my answers"
    assert run(app, ["lessons", str(folder), "--force"]).exit_code == 0
    assert json.loads(paths[0].read_text(encoding="utf-8")) == lessons.notebook(NAMES[0], "en")


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--lang", "fr"], "Write 'en' or 'zh' instead"), (["file/inside"], "is a file")]
)
def test_wrong_arguments(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    result = CliRunner().invoke(app, ["lessons", *arguments])
    assert result.exit_code == 1
    assert said in result.output

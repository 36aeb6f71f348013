"""docs/adding.md, followed word for word: its patches are applied to a copy of the tree, and its commands run there.

A diff block names each file in a line ``+++ FILE``. Below it are hunks, with a line ``@@`` between them: lines that open
with a space or ``-`` are found in the file, those with ``+`` are added there, or at its end where none is to be found.
A python block is a program, and the text block after it is what the program prints.
"""

import doctest
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.test_docs import ENVIRONMENT, ROOT, blocks

PAGE = (ROOT / "docs/adding.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.*)\n((?:(?!## ).*\n)*)", PAGE, re.MULTILINE))
COSTS = {name: int(files) for name, files in re.findall(r"^\| \[(.*)\]\(#.*\) \| (\d+)", PAGE, re.MULTILINE)}


@pytest.fixture
def tree(tmp_path):
    """A copy of the sources and of the tests that need no other library."""
    for folder in ("src", "tests", "docs"):
        ignored = shutil.ignore_patterns("peers", "processors")  # byte code stays: it is valid in a copy
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def apply(patch, tree):
    """Change the files that a diff block names; returns their names."""
    files = re.findall(r"^\+\+\+ (\S+)\n((?:(?!\+\+\+ ).*\n)*)", patch, re.MULTILINE)
    for name, hunks in files:
        text = (tree / name).read_text(encoding="utf-8") if (tree / name).exists() else ""
        for hunk in re.split(r"^@@\n", hunks, flags=re.MULTILINE):
            lines = hunk.splitlines(keepends=True)
            old = "".join(line[1:] for line in lines if line[0] in " -")
            new = "".join(line[1:] for line in lines if line[0] in " +")
            assert not old or text.count(old) == 1, f"{name} has {text.count(old)} times:\n{old}"
            text = text.replace(old, new) if old else text + new
        (tree / name).write_text(text, encoding="utf-8")
    return [name for name, _ in files]


def run(tree, *command):
    environment = ENVIRONMENT | {"PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, *command], cwd=tree, env=environment,
        capture_output=True, text=True, encoding="utf-8", timeout=600, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout


@pytest.mark.parametrize("name", SECTIONS)
def test_an_addition_works_and_costs_what_the_table_says(name, tree):
    files, printed, commands = [], "", 0
    for kind, body, _ in blocks(SECTIONS[name]):
        if kind == "diff":
            files += apply(body, tree)
            run(tree, "-m", "ruff", "check", "--fix", *files)  # as `make format`: lists and imports are sorted
            run(tree, "-m", "ruff", "format", *files)
        elif kind == "python":
            (tree / "program.py").write_text(body, encoding="utf-8")
            printed = run(tree, "-W", "error", "program.py")
        elif kind == "text":
            assert doctest.OutputChecker().check_output(body, printed, doctest.ELLIPSIS), printed
        elif kind == "console":
            for line in body.splitlines():
                run(tree, "-m", *shlex.split(line.removeprefix("$ ").removeprefix("python -m ")))
                commands += 1
    assert commands, f"{name} runs no tests"
    assert len(set(files)) == COSTS[name]


def test_every_addition_has_a_section():
    assert list(COSTS) == list(SECTIONS)


@pytest.mark.parametrize("name", SECTIONS)
def test_an_addition_fits_a_screen(name):
    """The design is at fault, not the guide, when adding something takes longer to explain."""
    assert len(SECTIONS[name].splitlines()) <= 45

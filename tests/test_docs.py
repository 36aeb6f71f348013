"""Every python block of the documents runs, and prints what the document says it prints.

A document is one program in a process of its own. A ``text`` block right after a python block is the expected output,
``...`` in it standing for anything. A comment that opens with ``<!-- setup`` runs too: data a reader would have.
"""

import doctest
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ranvier
from tests import house, processes
from tests.house import FLOORS

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/examples/*.md")])
EXAMPLES = sorted(ROOT.glob("docs/examples/*.md"))
BLOCK = re.compile(r"^```(?P<kind>\w*)\n(?P<code>.*?)^```$|^<!-- setup\n(?P<setup>.*?)^-->$", re.MULTILINE | re.DOTALL)
MARK = "\x1e"  # printed after each python block, to separate the outputs


SETTINGS = {"COLUMNS": "100", "PYTHONUTF8": "1", "NO_COLOR": "1"}
ENVIRONMENT = os.environ | SETTINGS


def blocks(text):
    """(kind, body, line number of the body) of each block, in order."""
    for match in BLOCK.finditer(text):
        group = "setup" if match["setup"] is not None else "code"
        yield (
            "setup" if group == "setup" else match["kind"],
            match[group],
            text.count("\n", 0, match.start(group)) + 1,
        )


def program(text):
    """The document as a program whose line numbers are the document's own, so that a traceback points into it."""
    lines = [""] * (text.count("\n") + 2)
    for kind, body, start in blocks(text):
        if kind in {"python", "setup"}:
            code = body.splitlines()
            lines[start - 1 : start - 1 + len(code)] = code
            lines[start - 1 + len(code)] = f"print({MARK!r}, end='')"
    return "\n".join(lines)


def run(path, folder, forked=True, python=sys.executable):
    """``forked=False`` for a document that starts pools of processes, which wait for ever in a forked one."""
    code = program(path.read_text(encoding="utf-8"))
    if forked:
        return processes.run(code, path, file=str(path), cwd=folder, **SETTINGS)
    settings = {name: str(value) for name, value in SETTINGS.items()}
    return subprocess.run(
        [python, "-W", "error", "-c", code], cwd=folder, env=ENVIRONMENT | settings, capture_output=True,
        text=True, encoding="utf-8", timeout=300, check=False,
    )  # fmt: skip


ELSEWHERE = {
    "scikit-learn.md",
    "interop.md",
    "engines.md",
    "scale.md",
    "search.md",
    "report.md",
    "adding.md",
}  # run by tests/peers, which needs other libraries, and by tests/test_adding.py
WITH_PROGRAMS = [
    path for path in DOCUMENTS if "```python" in path.read_text(encoding="utf-8") and path.name not in ELSEWHERE
]


@pytest.mark.parametrize("path", WITH_PROGRAMS, ids=lambda path: path.name)
def test_every_block_runs_and_prints_what_it_says(path, tmp_path):
    verify(path, tmp_path)


def verify(path, folder, forked=True, python=sys.executable):
    """Run a document and compare what it prints with what it says."""
    result = run(path, folder, forked, python)
    assert result.returncode == 0, result.stdout + result.stderr
    outputs = iter(result.stdout.split(MARK))
    checker, printed = doctest.OutputChecker(), ""
    for kind, body, line in blocks(path.read_text(encoding="utf-8")):
        if kind in {"python", "setup"}:
            printed = "\n".join(row.rstrip() for row in next(outputs).splitlines()) + "\n"
        elif kind == "text":
            assert checker.check_output(body, printed, doctest.ELLIPSIS), (
                f"{path.name}:{line} says\n{body}\nbut the block before it prints\n{printed}"
            )


def test_the_readme_is_among_them():
    assert {"README.md", "README.zh-CN.md", "tour.md"} <= {path.name for path in WITH_PROGRAMS}


def test_the_names_used_most_have_examples():
    """A heading is a public name, and a program that uses it follows."""
    names = []
    for path in EXAMPLES:
        for name, text in re.findall(
            r"^## `([\w.]+)`$(.*?)(?=^## |\Z)", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        ):
            value = ranvier
            for part in name.removeprefix("rv.").split("."):
                value = getattr(value, part)
            program = "".join(body for kind, body, _ in blocks(text) if kind == "python")
            assert re.search(rf"\b{name.rpartition('.')[2]}\b", program), name
            names.append(name)
    assert len(names) == len(set(names))
    assert len(names) >= 200
    assert sum(name.startswith("torch.") for name in names) >= 80


BY_METHOD = {"curves", "network", "learning_rates", "search_results", "learning_curve", "reliability", "importances"}


def test_the_gallery_has_every_picture():
    text = (ROOT / "docs/gallery.md").read_text(encoding="utf-8")
    drawn = set(re.findall(r"pictures\.(\w+)\(", text))
    public = {name for name in dir(ranvier.pictures) if not name.startswith("_")}
    assert drawn | BY_METHOD == public
    assert text.count(".plot('") == len(BY_METHOD)


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_first_program_runs_as_pasted(name, tmp_path):
    """Alone, from a file in an empty folder, without network: it prints the text block and writes the picture."""
    shown = list(blocks((ROOT / name).read_text(encoding="utf-8")))
    assert not any(kind == "setup" for kind, _, _ in shown)
    first = next(i for i, (kind, _, _) in enumerate(shown) if kind == "python")
    (tmp_path / "first.py").write_text(shown[first][1], encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-W", "error", "first.py"], cwd=tmp_path, env=ENVIRONMENT | {"RANVIER_OFFLINE": "1"},
        capture_output=True, text=True, encoding="utf-8", timeout=300, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    kind, expected, _ = shown[first + 1]
    assert kind == "text"
    assert doctest.OutputChecker().check_output(expected, result.stdout, doctest.ELLIPSIS), result.stdout
    assert (tmp_path / "history.png").stat().st_size > 10_000


def test_both_readmes_hold_the_same_programs():
    english, chinese = (
        [body for kind, body, _ in blocks((ROOT / name).read_text(encoding="utf-8")) if kind != "console"]
        for name in ("README.md", "README.zh-CN.md")
    )
    assert english == chinese


def anchors(path):
    """What GitHub makes of the headings of a document."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", text):
        if "://" not in target:
            file = path.parent / target if target else path
            assert file.exists(), f"{path.name} links to {target}, which does not exist"
            assert not anchor or anchor in anchors(file), f"{path.name} links to {target}#{anchor}"


@pytest.mark.parametrize(
    ("address", "picture", "link"),
    [
        ("", "validation data* (`docs/history.png`)\n", "- docs/index.md lists"),
        (
            "https://host.example/us",
            "validation data](https://host.example/us/raw/HEAD/docs/history.png)\n",
            "- [docs/index.md](https://host.example/us/blob/HEAD/docs/index.md) lists",
        ),
    ],
)
def test_the_readme_of_a_package_index_has_no_relative_links(address, picture, link):
    spec = importlib.util.spec_from_file_location("description", ROOT / "docs/site/description.py")
    description = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(description)
    made = description.for_index((ROOT / "README.md").read_text(encoding="utf-8"), address)
    assert picture in made
    assert link in made
    assert not re.search(r"\]\((?!https://)", made)


def test_the_citation_is_of_the_newest_version():
    """Its version is that of the package, and its date that of the changelog."""
    cited = dict(re.findall(r"^([\w-]+): (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE))
    assert cited["version"] == ranvier.__version__
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## {cited['version']} - {cited['date-released']}\n" in changes


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_files_in_the_text_exist(path):
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    names = re.findall(r"`((?:[\w-]+/)*[\w-]+\.pyi?|(?:src|tests|benchmarks|docs)/[\w/-]*)`", text)
    for name in names:
        places = [ROOT / name, ROOT / "src/ranvier" / name, *(ROOT / "src").rglob(name)]
        assert any(place.exists() for place in places), f"{path.name} names {name}, which does not exist"


def test_the_index_lists_every_page():
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    listed = re.findall(r"\]\(([\w.-]+\.md)\)", index)
    assert sorted(listed) == sorted({path.name for path in ROOT.glob("docs/*.md")} - {"index.md"})
    measured = re.findall(r"\]\(\.\./benchmarks/([\w.-]+\.md)\)", index)
    assert sorted(measured) == sorted(path.name for path in ROOT.glob("benchmarks/*.md"))


def test_inside_lists_every_room_on_its_floor():
    listed: dict[str, int] = {}
    floor = 0
    for level, rooms in re.findall(
        r"^\| (\d*) ?\| (`.*?`) \|", (ROOT / "docs/inside.md").read_text(encoding="utf-8"), re.MULTILINE
    ):
        floor = int(level or floor)
        listed |= dict.fromkeys(re.findall(r"`(\w+)(?:/|\.py)`", rooms), floor)
    assert {name: FLOORS[name] for name in listed} == listed
    assert {house.room_of(name) for name in house.files()} - {house.FACE} <= listed.keys()

"""The report of a run: its numbers are those of evaluate, and names of columns and classes cannot break it."""

import json
import warnings
from html import unescape

import numpy as np
import pytest
from typer.testing import CliRunner

import ranvier as rv
from ranvier.auto import Run, baselines, evaluate, read_table, train, write_report
from ranvier.auto.report.page import number
from ranvier.auto.scores import SCORES
from ranvier.cli.main import app
from tests.pages import checked
from tests.test_docs import DOCUMENTS, verify

RNG = np.random.default_rng(0)
HOSTILE = '</script><script>alert("x")</script>'
BAD_CLASS = '"><img src=x onerror=alert(1)>$x_1$'


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    lines = [f'"{HOSTILE.replace(chr(34), chr(34) * 2)}",colour,kind']
    for k in range(60):
        size, colour = RNG.normal(), RNG.choice(["red", "<b>blue</b>"])
        name = BAD_CLASS if size + (colour == "red") > 0.5 else "small & light"
        lines.append(f'{"" if k % 9 == 0 else f"{size:.3f}"},{colour},"{name.replace(chr(34), chr(34) * 2)}"')
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    settings = {"epochs": 1, "width": 4, "rate": 0.01}
    rv.set_engine("reference")
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.filterwarnings("ignore", "RV")
        patch.setattr(baselines, "has_trees", lambda: False)  # for time
        yield train(
            folder / "data.csv", "kind", folder / "run", trials=1, folds=2, settings=settings, seed=3, command=["a", HOSTILE]
        )  # fmt: skip
    rv.set_engine(None)


def test_the_report_of_a_run_has_the_numbers_of_evaluate(run):
    text, page = checked(write_report(run.folder))
    held = read_table(run.data["path"]).rows(run.arrays["test"])
    found = evaluate(Run.load(run.folder), held)["scores"]
    (mine,) = (row for row in page.rows if row[0] == "the model")
    assert [
        cell.split(" ")[0][: len(number(found[name]))] for cell, name in zip(mine[1:], SCORES["classes"], strict=True)
    ] == [number(found[name]) for name in SCORES["classes"]]
    for heading in ("The data", "Each class", "What the model uses", "The worst mistakes", "How to repeat this"):
        assert f">{heading}</h2>" in text
    assert HOSTILE in unescape(text)
    assert BAD_CLASS in unescape(text)
    assert ["seed", "3"] in page.rows
    assert text.count("<svg") > 8


def test_a_report_in_chinese_without_its_data(run, tmp_path):
    """The data file is gone, so that importances are left out, with a note."""
    moved = Run.load(run.folder)
    moved.data |= {"path": str(tmp_path / "gone.csv"), "beside": ""}
    text, _ = checked(write_report(moved, path=tmp_path / "zh.html", lang="zh"))
    assert '<html lang="zh">' in text
    for heading in ("数据", "训练过程", "模型与基线的比较", "最严重的错误"):
        assert f">{heading}</h2>" in text
    assert ">假阳性率</text>" in text
    assert "模型依据什么" not in text
    assert f"略去重要性与依赖关系：没有名为 {moved.data['path']} 的文件或文件夹" in unescape(text)


def test_what_speaks_for_mistakes_and_several_targets(tmp_path):
    """Of texts the words over their colours, of images their parts, of several targets each one."""
    lines = ["text,note,sign,kind"]
    for k in range(60):
        words = " ".join(RNG.choice(["one", "two", "three", "four", "five", "six"], 6))
        lines.append(f"{words} {k},,{RNG.choice(['yes', 'no'])},{RNG.choice(['a', 'b'])}")
    (tmp_path / "d.csv").write_text("\n".join(lines) + "\n")
    images = RNG.integers(0, 255, (40, 6, 6)).astype(np.uint8)
    np.savez(tmp_path / "d.npz", x=images, y=np.arange(40) % 2)
    asked = {"trials": 1, "folds": 1, "network": "linear", "settings": {"epochs": 1, "rate": 0.01}}
    rv.set_engine("reference")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "RV")
        patch.setattr(baselines, "has_trees", lambda: False)
        for data, target, wanted in (
            ("d.csv", "sign", ["a word is left out", "Red parts speak for the predicted class"]),
            ("d.csv", ["sign", "kind"], ["Each target</h2>", "lowest probability of a true value"]),
            ("d.npz", None, ["mean of the images", "what speaks for the prediction"]),
        ):
            ignored = {"kind": "ignore"} if target == "sign" else {}
            run = train(tmp_path / data, target, tmp_path / f"run {target} {data}", columns=ignored, **asked)
            text, _ = checked(write_report(run))
            assert [words for words in wanted if words not in text] == []
    rv.set_engine(None)


def test_a_run_is_explained_on_the_command_line(run):
    runner = CliRunner()
    found = json.loads(runner.invoke(app, ["explain", str(run.folder), "--json"]).stdout)
    assert found["feature"] == [HOSTILE, "colour"]
    assert found["score"] == pytest.approx(run.test["balanced_accuracy"])
    assert "colour" in runner.invoke(app, ["explain", str(run.folder)]).stdout
    gone = runner.invoke(app, ["explain", str(run.folder / "none")])
    assert (gone.exit_code, gone.stderr.count("\n")) == (1, 1)
    written = json.loads(runner.invoke(app, ["report", str(run.folder), "--json"]).stdout)
    assert written == {"report": str(run.folder / "report.html"), "lacking": []}


def test_the_document_runs(tmp_path):
    verify(next(path for path in DOCUMENTS if path.name == "report.md"), tmp_path)

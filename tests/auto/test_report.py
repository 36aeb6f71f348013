"""The report: one file without network, whose numbers are those of evaluate, and which names cannot break."""

import ast
import re
import warnings
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import ranvier as rv
from ranvier.auto import Run, baselines, evaluate, read_table, train, write_report
from ranvier.auto.report import words
from ranvier.auto.report.page import Html, element, number, table
from ranvier.auto.scores import SCORES

RNG = np.random.default_rng(0)
HOSTILE = '</script><script>alert("x")</script>'
BAD_CLASS = '"><img src=x onerror=alert(1)>$x_1$'
VOID = {"meta", "img", "br"}
MOST = 3_000_000


@pytest.fixture(autouse=True, scope="module")
def small():
    """The engine that needs no compiling, and no trees: tests/peers has them."""
    rv.set_engine("reference")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "has_trees", lambda: False)
        yield
    rv.set_engine(None)


class Checked(HTMLParser):
    """Reads a page: elements that close in order, what it loads, and the text of cells by row."""

    def __init__(self, text):
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.tags: set[str] = set()
        self.rows: list[list[str]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        names = ("src", "href", "xlink:href", "action", "data")
        self.loads += [v for k, v in attrs if k in names and not v.startswith(("#", "data:image/png;base64,"))]
        assert not [k for k, _ in attrs if k.startswith("on")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def checked(path):
    text = path.read_text(encoding="utf-8")
    page = Checked(text)
    assert len(text.encode()) < MOST
    assert page.loads == []
    assert not page.tags & {"script", "link", "iframe", "object", "form", "base"}
    assert not re.search(r"url\((?!#)|@import", text)
    assert "width=device-width" in text
    assert "@media print" in text
    return text, page


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
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "RV")
        return train(
            folder / "data.csv", "kind", folder / "run", trials=1, folds=2, settings=settings, seed=3, command=["a", HOSTILE]
        )  # fmt: skip


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
    moved.data["path"] = str(tmp_path / "gone.csv")
    text, _ = checked(write_report(moved, path=tmp_path / "zh.html", lang="zh"))
    assert '<html lang="zh">' in text
    for heading in ("数据", "训练过程", "模型与基线的比较", "最严重的错误"):
        assert f">{heading}</h2>" in text
    assert ">假阳性率</text>" in text
    assert "模型依据什么" not in text
    assert "importances and dependences are left out" in text


def network(outputs, activation, loss, shape=(6, 6, 1)):
    rv.set_seed(0)
    model = rv.Sequential([rv.Input(shape), rv.layers.Flatten(), rv.layers.Dense(outputs, activation=activation)])
    model.compile("adam", loss, metrics=["accuracy"] if "crossentropy" in str(loss) else ["mae"])
    return model


def test_the_report_of_a_network_of_images(tmp_path):
    x = RNG.random((40, 6, 6, 1)).astype(np.float32)
    y = RNG.integers(0, 3, 40)
    model = network(3, "softmax", "sparse_categorical_crossentropy")
    history = model.fit(x, y, epochs=2, verbose=0)
    path = model.report(x, y, tmp_path / "r.html", history=history, classes=["a", "b", "c"], train=(x[:9], y[:9]))
    text, page = checked(path)
    for name, value in model.evaluate(x, y, verbose=0, return_dict=True).items():
        assert [name, number(value)] in page.rows
    assert ">What the checks said</h2>" in text
    assert "misclassified, the worst 12" in text


def test_a_network_of_two_inputs_has_a_report():
    from ranvier.auto.report.of_model import facts_of_model

    first, second = rv.Input((3,)), rv.Input((3,))
    model = rv.Model([first, second], rv.layers.Dense(2)(rv.layers.Add()([first, second])))
    x = RNG.normal(size=(8, 3)).astype(np.float32)
    facts = facts_of_model(model, [x, x], x[:, :2])
    assert facts.features is None
    assert ("input", ("arrays of shape {shape}", {"shape": "(3,), (3,)"})) in facts.data
    assert facts.output.shape == facts.truth.shape == (8, 2)


def test_logits_binary_outputs_and_numbers(tmp_path):
    """Probabilities are made of logits; a sigmoid has two classes; numbers have residuals."""
    from ranvier.auto.report.of_model import facts_of_model

    x = RNG.normal(size=(30, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int)
    loss = rv.losses.SparseCategoricalCrossentropy(from_logits=True)
    facts = facts_of_model(network(2, None, loss, (4,)), x, y)
    np.testing.assert_allclose(facts.output.sum(1), 1)
    binary = network(1, "sigmoid", "binary_crossentropy", (4,))
    facts = facts_of_model(binary, x, y[:, None])
    assert facts.task.classes == ["0", "1"]
    assert facts.evaluated["accuracy"] == pytest.approx(np.mean(facts.output.argmax(1) == y))
    text, _ = checked(
        network(2, None, "mse", (4,)).report(x, x[:, :2], tmp_path / "n.html", names=["p", "q", "r", "s"])
    )
    assert ">Residuals</h2>" in text


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m, x: m.report(x, np.zeros(4, int)), ValueError, "x has 5 rows and y 4"),
        (lambda m, x: m.report(x, np.zeros(5, int), classes="ab"), ValueError, "2 names for 3 classes"),
        (lambda m, x: m.report(x, np.zeros(5, int), lang="fr"), ValueError, "one of 'en', 'zh'"),
        (lambda m, x: m.report(x, np.zeros(5, int), "/no/r.html"), FileNotFoundError, "there is no folder"),
        (lambda m, x: m.report(x), TypeError, "needs rows and targets"),
        (lambda m, x: write_report("/no/run"), FileNotFoundError, "it is no run"),
    ],
)
def test_what_is_wrong_says_what_to_write(call, error, message):
    model = network(3, "softmax", "sparse_categorical_crossentropy", (2,))
    with pytest.raises(error, match=message):
        call(model, np.zeros((5, 2), np.float32))


def test_all_that_is_not_html_is_escaped():
    assert element("p", "<b>", Html("<i></i>"), title='"') == '<p title="&quot;">&lt;b&gt;<i></i></p>'
    assert "&lt;x&gt;" in table(["<x>"], [["<x>"]])
    assert [number(v) for v in (float("nan"), 0, 1e-9, 123.456, 0.12345)] == ["\u2013", "0.0000", "1.000e-09", "123.46", "0.1235"]  # fmt: skip


def test_each_text_of_the_report_has_a_translation():
    """Those that are written in the sections, and in the facts that they translate."""
    folder = Path(words.__file__).parent
    wanted = set()
    for name in ("sections", "explained", "writing", "of_run", "of_model"):
        for node in ast.walk(ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say" and node.args:
                wanted |= {a.value for a in ast.walk(node.args[0]) if isinstance(a, ast.Constant)}
            # Pairs of a text and its values.
            if isinstance(node, ast.Tuple) and len(node.elts) == 2 and isinstance(node.elts[1], ast.Dict):
                wanted |= {a.value for a in ast.walk(node.elts[0]) if isinstance(a, ast.Constant)}
    texts = {text for text in wanted if isinstance(text, str) and text}
    assert len(texts) > 40
    assert sorted(texts - set(words.CHINESE)) == []
    assert set(words.SCORES) == {name for names in SCORES.values() for name in names}

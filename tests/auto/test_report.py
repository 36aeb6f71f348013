"""The report of a model; tests/peers has those of runs."""

import ast
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest

import ranvier as rv
from ranvier import explain
from ranvier.auto import write_report
from ranvier.auto.report import words
from ranvier.auto.report.page import Html, element, number, table
from ranvier.auto.scores import SCORES
from tests.pages import checked

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True, scope="module")
def small():
    """The engine that needs no compiling."""
    rv.set_engine("reference")
    yield
    rv.set_engine(None)


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


def test_dependences_stand_for_all_rows_of_a_table_that_is_sorted(monkeypatch, tmp_path):
    """Such as one that is sorted by time; the tenths of the column are those of all rows, too."""
    x = np.linspace(0, 1, 1000, dtype=np.float32)[:, None]
    model = network(1, None, "mse", (1,))
    seen: list[float] = []
    usual = explain.partial_dependence

    def noted(scored, table, *args, **options):
        def asked(part):
            seen.extend(np.ravel(part))
            return scored(part)

        found = usual(asked, table, *args, **options)
        assert (found[0].quantiles[0], found[0].quantiles[-1]) == pytest.approx((0.1, 0.9), abs=0.01)
        return found

    monkeypatch.setattr(explain, "partial_dependence", noted)
    model.report(x, x, tmp_path / "r.html")
    assert max(seen) > 0.95
    assert min(seen) < 0.05


def test_a_network_of_two_inputs_has_a_report():
    from ranvier.auto.report.of_model import facts_of_model

    first, second = rv.Input((3,)), rv.Input((3,))
    model = rv.Model([first, second], rv.layers.Dense(2)(rv.layers.Add()([first, second])))
    x = RNG.normal(size=(8, 3)).astype(np.float32)
    facts = facts_of_model(model, [x, x], x[:, :2])
    assert facts.features is None
    assert ("input", ("arrays of shape {shape}", {"shape": "(3,), (3,)"})) in facts.data
    assert facts.output.shape == facts.truth.shape == (8, 2)


def test_logits_binary_outputs_and_numbers(tmp_path, monkeypatch):
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
    assert '<tr class="best"><td>1</td><td class="t">a</td></tr>' in table(
        ["n", "text"], [[1, "a"]], texts={1}, stressed=[0]
    )
    assert [number(v) for v in (float("nan"), 0, 1e-9, 123.456, 0.12345)] == ["\u2013", "0.0000", "1.000e-09", "123.46", "0.1235"]  # fmt: skip


def test_each_text_of_the_report_has_a_translation():
    """Those that are written in the sections, and in the facts that they translate."""
    folder = Path(words.__file__).parent
    wanted = set()
    for name in ("sections", "explained", "used_parts", "writing", "of_run", "of_model"):
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


def test_a_chinese_report_has_no_english_sentence(tmp_path):
    """Names of code stay; four English words that follow one another are a sentence."""
    x = (RNG.random((60, 6, 6, 1)) * 255).astype(np.float32)
    model = network(3, "softmax", rv.losses.SparseCategoricalCrossentropy(from_logits=True))
    path = model.report(x, np.arange(60) % 3 // 2 * 2, tmp_path / "r.html", lang="zh", title="target", seed=1)
    text, page = checked(path)
    assert ">报告：target</h1>" in text  # a name, though it is a word of the report too
    assert ">检查结果</h2>" in text
    assert {row[0] for row in page.rows if "RV" in "".join(row)} <= {"警告", "错误"}
    seen = re.sub(r"<(style|svg|pre)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL)
    assert re.findall(r"(?:\b[a-z]{2,}[ ,]+){3}[a-z]+", unescape(seen)) == []

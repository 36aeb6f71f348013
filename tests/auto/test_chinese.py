"""Chinese sentences: the tables have what the checks, the readers of data and the page say."""

import ast
import string
from pathlib import Path

import pytest

import ranvier
from ranvier.auto.report import words
from ranvier.auto.report.chinese_checks import FINDINGS, TITLES
from ranvier.auto.report.chinese_data import DATA
from ranvier.cli.page.chinese import REFUSALS, chinese
from ranvier.support.phrases import Phrases
from ranvier.training.preflight import table

SOURCES = Path(ranvier.__file__).parent
# Texts that are put together from parts; the table has each whole one.
JOINED = (
    "7, and 7",
    "Leave them out, 7, 7.",
    "7, or rows of every class, instead.",
    "7, so training will be slow or fail",
)
# What the command line alone says.
ELSEWHERE = (
    "is no sequence",
    "is neither a folder",
    "maps ",
    "is a class of yours",
    "does not say which inputs",
    "cannot be run",
    "no data that fit",
    "The page shows the model on its data",
)


def sentences(folder, names):
    """The texts of the calls of some names, fields as "{}"; a text that is no literal is left out."""
    for path in sorted((SOURCES / folder).glob("*.py")) if (SOURCES / folder).is_dir() else [SOURCES / folder]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                yield from (text for text in map(literal, node.args[:2]) if text is not None)


def literal(node):
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return None


@pytest.mark.parametrize(
    ("folder", "names", "known"),
    [
        ("training/preflight", {"Fault"}, FINDINGS),
        ("cli/page", {"SettingError", "FloatingPointError", "ValueError"}, REFUSALS),
        ("auto/tables.py", {"ValueError"}, DATA),
        ("auto/checks.py", {"ValueError"}, DATA),
    ],
)
def test_every_sentence_has_its_chinese(folder, names, known):
    said = {text for text in sentences(folder, names) if not any(words in text for words in ELSEWHERE)}
    assert len(said) > 4
    translate = Phrases(known)
    filled = [text.replace("{}", "7") for text in said if text.strip("{}., ")]
    missing = [text for text in filled if translate(text) == text and text not in JOINED]
    assert not missing


@pytest.mark.parametrize("known", [DATA, FINDINGS, REFUSALS, words.CHINESE], ids=["data", "checks", "page", "report"])
def test_translations_have_the_same_values(known):
    for english, found in known.items():
        fields = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (english, found)]
        assert fields[1] <= fields[0], english
        assert fields[0] - fields[1] <= ({"2"} if "unit{2}" in english else set()), english


def test_codes_have_titles():
    assert set(TITLES) == set(table.CODES)


SAID = [
    ("x.csv: separated by ';'", "x.csv：分隔符为 ';'"),
    ("x.csv, line 5, column 'age': 'abc' is no number; it counts as missing", "x.csv 第 5 行，列 'age'：'abc' 不是数值，按缺失处理"),
    ("importances and dependences are left out: a.csv has changed since run was trained. Train it again.",
     "略去重要性与依赖关系：run 训练之后 a.csv 已被改动。请重新训练。"),
    ("nothing of the kind", "nothing of the kind"),
]  # fmt: skip


@pytest.mark.parametrize(("english", "expected"), SAID)
def test_sentences_with_values(english, expected):
    assert words.Say("zh").sentence(english) == expected
    assert words.Say("en").sentence(english) == english


def test_the_page_says_values_that_it_knows():
    assert chinese("the file ends in 'nothing'. Choose one of .csv.").startswith("该文件的后缀是")

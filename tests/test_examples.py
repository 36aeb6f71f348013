"""The programs in examples/, on small data in place of the real ones."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import ranvier as rv
from ranvier.datasets import digits, fashion_mnist, mnist, reuters_r8, voices

EXAMPLES = Path(__file__).parents[1] / "examples"


def enlarged(images):
    """The bundled digits, 8x8 from 0 to 16, as MNIST has them: 28x28 bytes with a border."""
    large = np.kron(images * np.uint8(15), np.ones((3, 3), np.uint8))
    return np.pad(large, ((0, 0), (2, 2), (2, 2)))


def stand_in():
    (x, y), (x_test, y_test) = digits.load_data()
    return (enlarged(x), y), (enlarged(x_test), y_test)


@pytest.mark.parametrize(("data", "epochs", "least"), [("mnist", 4, 0.8), ("fashion_mnist", 1, 0.15)])
def test_images(monkeypatch, capsys, data, epochs, least):
    for module in (mnist, fashion_mnist):
        monkeypatch.setattr(module, "load_data", stand_in)
    program = runpy.run_path(str(EXAMPLES / "images.py"))
    accuracy = program["main"]([data, "--epochs", str(epochs), "--seed", "1"])
    assert accuracy > least
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(rf"{data}, seed 1: {accuracy:.2%} of the test images, \d+\.\d s", last)


WORDS = {
    "earn": "net profit rose cts shr",
    "acq": "buys shares of stake in company",
    "ship": "port vessel cargo strike",
}


def small_news():
    """Sentences of the words of three topics."""
    generator = np.random.default_rng(0)
    topics = [list(reuters_r8.classes).index(name) for name in WORDS]

    def part(count):
        picks = [list(WORDS.values())[i % 3].split() for i in range(count)]
        texts = [" ".join(generator.choice(words, 4)) for words in picks]
        return np.array(texts, object), np.array([topics[i % 3] for i in range(count)], np.uint8)

    return part(300), part(30)


def small_fortunes():
    """Entries of ten invented languages, each of a few letters of its own and some of all."""
    generator = np.random.default_rng(0)

    def part(count):
        entries = ["".join(generator.choice(list("eni abc"[i % 2 :] + chr(97 + i % 10) * 3), 90)) for i in range(count)]
        return np.array(entries, object), np.arange(count).astype(np.uint8) % 10

    return part(200), part(30)


@pytest.mark.parametrize(
    ("name", "loader", "data", "least"),
    [("topics", "load_reuters_r8", small_news, 0.9), ("language", "load_fortunes", small_fortunes, 0.5)],
)
@pytest.mark.filterwarnings("ignore::ranvier.training.PreflightWarning")
def test_texts(monkeypatch, capsys, name, loader, data, least):
    monkeypatch.setattr(rv.datasets, loader, data, raising=False)
    accuracy = runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"](1)
    assert accuracy > least
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"seed 1: {accuracy:.2%} of the test ")
    assert len((EXAMPLES / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 40


def few_letters():
    """Entries of random letters: gzip writes whole bits for each, and finds repetitions that are none."""
    generator = np.random.default_rng(0)

    def part(count):
        return np.array(["".join(row) for row in generator.choice(list("aabcde"), (count, 100))], object), np.zeros(
            count
        )

    return part(250), part(40)


def test_fortunes(monkeypatch, capsys):
    monkeypatch.setattr(rv.datasets, "load_fortunes", lambda languages: few_letters(), raising=False)
    bits = runpy.run_path(str(EXAMPLES / "fortunes.py"))["main"](1, 30)
    assert bits["3-gram"] < bits["network"] < bits["gzip"]  # a network needs more than a few letters to win
    result, written = capsys.readouterr().out.splitlines()[-2:]
    assert (
        result
        == f"seed 1: network {bits['network']:.3f}, 3-gram {bits['3-gram']:.3f}, gzip {bits['gzip']:.3f} bits a letter"
    )
    assert len(written) > 15
    assert set(written) <= set("abcde")


def test_rows(monkeypatch, capsys):
    monkeypatch.setattr(mnist, "load_data", stand_in)
    monkeypatch.setattr(rv.datasets, "load_mnist", stand_in, raising=False)
    accuracy = runpy.run_path(str(EXAMPLES / "rows.py"))["main"](1)
    assert accuracy > 0.8
    assert capsys.readouterr().out.splitlines()[-1] == f"seed 1: {accuracy:.2%} of the test images"


def tones(count):
    """For each voice a tone of its own in noise, of half a second to one and a half."""
    rng = np.random.default_rng(count)
    y = np.arange(count, dtype=np.uint8) % 5
    clips = [
        np.int16(3000 * np.sin(0.1 * (4 + k) * np.arange(n)) + rng.normal(0, 300, n))
        for k, n in zip(y, rng.integers(4000, 12000, count), strict=True)
    ]
    return clips, y


def test_speech(monkeypatch, capsys):
    monkeypatch.setattr(voices, "load_data", lambda: (tones(50), tones(10)))
    accuracy = runpy.run_path(str(EXAMPLES / "speech.py"))["main"](["--epochs", "2", "--seed", "1"])
    assert accuracy > 0.1
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(rf"seed 1: {accuracy:.2%} of \d+ seconds of other phrases", last)


def test_series(capsys):
    pytest.importorskip("statsmodels")
    errors = runpy.run_path(str(EXAMPLES / "series.py"))["main"](["--seed", "1"])
    assert errors["network"] < 0.9 * errors["year before"] < 0.5 * errors["last value"]
    assert capsys.readouterr().out.startswith(f"network {errors['network']:.3f}, last value ")


@pytest.mark.parametrize("name", ["fortunes.py", "rows.py", "series.py", "speech.py"])
def test_examples_are_short(name):
    assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) <= 40

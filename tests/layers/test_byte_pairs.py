"""Byte-pair encoding: what is learned, in models and in files, and what is refused."""

import copy
import pickle
import sys

import numpy as np
import pytest

import ranvier as rv
from ranvier import layers

pytest.importorskip("tokenizers")
TEXTS = ["low lower lowest low", "new newer newest", "low new \u00e9t\u00e9"] * 3


def adapted(**options):
    layer = layers.BytePairEncoding(**options)
    layer.adapt(TEXTS)
    return layer


def test_frequent_pairs_become_tokens_and_any_text_comes_back():
    layer = adapted(max_tokens=270)
    assert layer.vocabulary_size() == 270
    assert layer.get_vocabulary()[0] == "[PAD]"
    assert {"low", "new"} <= set(layer.get_vocabulary())
    texts = ["low newer", "\u0434\u0430 \u2603 !", ""]
    codes = layer(texts).numpy()
    assert (codes.dtype, codes.shape[0], codes[2].any()) == (np.int32, 3, False)
    assert codes[0, 0] == layer.get_vocabulary().index("low")
    assert layer.decode(codes) == texts
    assert layer.decode(codes[0]) == texts[0]
    again = adapted(max_tokens=270)
    assert again.merges == layer.merges
    other = layers.BytePairEncoding(vocabulary=layer.get_vocabulary(), merges=layer.merges, output_sequence_length=2)
    assert np.array_equal(other(texts).numpy(), codes[:, :2])


def test_texts_can_be_in_small_letters_and_in_batches():
    layer = layers.BytePairEncoding(300, lowercase=True)
    layer.adapt(iter([TEXTS[:4], (TEXTS[4:], None), ["x x x x"]]), steps=2)
    assert np.array_equal(layer(["LOW \u00c9"]).numpy(), layer(["low \u00e9"]).numpy())
    assert layer.merges == adapted(max_tokens=300).merges


@pytest.mark.parametrize("make", [lambda m: m, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), None])
def test_models_take_strings_and_keep_the_tokens(make, tmp_path):
    layer = adapted(max_tokens=260)
    model = rv.Sequential([layer, layers.Embedding(260, 2), layers.GlobalMaxPooling1D(), layers.Dense(1)])
    model.compile("sgd", "mse", engine="reference")
    model.fit(TEXTS, np.arange(9.0), epochs=1, verbose=0, ignore="RV")
    expected = model.predict(["a new text"], verbose=0)
    model.save(tmp_path / "model.ranvier")
    same = rv.load_model(tmp_path / "model.ranvier") if make is None else make(model)
    assert np.array_equal(same.predict(["a new text"], verbose=0), expected)


REFUSED = [
    (lambda: layers.BytePairEncoding(200), "257"),
    (lambda: layers.BytePairEncoding(vocabulary=["a"]), "both vocabulary"),
    (lambda: layers.BytePairEncoding(vocabulary=["a", "b"], merges=["a b"]), "no pair of tokens"),
    (lambda: layers.BytePairEncoding(vocabulary={"a": 1}, merges=[]), "0, 1, 2"),
    (lambda: layers.BytePairEncoding()(["a"]), r"adapt\(texts\)"),
    (lambda: adapted()([["a", "b"]]), r"shape \(1, 2\)"),
    (lambda: adapted(max_tokens=257).decode([[1], [2, 300]]), "row 1 has the index 300 at position 1"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'ranvier\[text\]'"):
        layers.BytePairEncoding().adapt(TEXTS)

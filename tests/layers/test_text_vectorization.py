"""Texts as indices and counts of their words: what is computed, in models and in files, and what is refused."""

import json
import zipfile
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import layers

TEXTS = ["the cat sat", "A dog, ran!", "", "cat cat dog"]
Y = np.array([0, 1, 1, 0])
NEW = ["a much longer text with a cat and a dog"]


def adapted(**options):
    layer = layers.TextVectorization(**options)
    layer.adapt(TEXTS)
    return layer


# name: (arguments, the vocabulary after adapt(TEXTS), what NEW becomes)
ROWS = {
    "int": ({}, ["", "[UNK]", "cat", "dog", "the", "sat", "ran", "a"], [[7, 1, 1, 1, 1, 7, 2, 1, 7, 3]]),
    "cut": ({"output_sequence_length": 2, "max_tokens": 4}, ["", "[UNK]", "cat", "dog"], [[1, 1]]),
    "filled": ({"output_sequence_length": 12, "max_tokens": 3}, ["", "[UNK]", "cat"], [[1] * 6 + [2] + [1] * 3 + [0] * 2]),
    "count": ({"output_mode": "count", "max_tokens": 3}, ["[UNK]", "cat", "dog"], [[8, 1, 1]]),
    "multi_hot": ({"output_mode": "multi_hot", "max_tokens": 3, "pad_to_max_tokens": True}, ["[UNK]", "cat", "dog"], [[1, 1, 1]]),
    "tf_idf": ({"output_mode": "tf_idf", "max_tokens": 2}, ["[UNK]", "cat"], [[9 * np.log(7 / 3), np.log(7 / 3)]]),
    "one_hot": ({"output_mode": "one_hot", "max_tokens": 2}, ["[UNK]", "cat"], [[[1, 0]] * 6 + [[0, 1]] + [[1, 0]] * 3]),
    "pairs": ({"ngrams": (2,), "max_tokens": 4}, ["", "[UNK]", "the cat", "dog ran"], [[1] * 9]),
    "characters": ({"split": "character", "max_tokens": 5}, ["", "[UNK]", "a", " ", "t"], None),
    "plain": ({"standardize": None, "max_tokens": 8}, ["", "[UNK]", "cat", "the", "sat", "ran!", "dog,", "dog"], None),
    "functions": (
        {"standardize": np.char.upper, "split": lambda x: np.char.split(x, "A"), "max_tokens": 4},
        ["", "[UNK]", "THE C", "T S"], None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_texts_become_indices_and_counts(name):
    options, vocabulary, expected = ROWS[name]
    layer = adapted(**options)
    assert layer.get_vocabulary() == vocabulary
    again = layers.TextVectorization.from_config(layer.get_config())
    for texts in (
        NEW,
        np.array(NEW),
        np.array(NEW, object)[:, None],
        np.array(NEW, np.dtypes.StringDType()),
        [NEW[0].encode()],
    ):
        for one in (layer, again):
            found = one(texts).numpy()
            if expected is not None:
                np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_adapt_takes_batches():
    layer = layers.TextVectorization()
    layer.adapt(iter([TEXTS[:2], (TEXTS[2:], Y[2:]), ["never"]]), steps=2)
    assert layer.get_vocabulary() == adapted().get_vocabulary()
    assert layer([""]).numpy().tolist() == [[0]]  # texts without tokens have one of padding


def test_a_text_is_the_same_with_any_padding():
    layer = adapted()
    alone, among = layer(TEXTS[:1]).numpy(), layer(TEXTS + NEW).numpy()
    assert np.array_equal(among[0, :3], alone[0])
    assert not among[0, 3:].any()


# --- in models ------------------------------------------------------------------------------------------------------


def after(layer):
    if layer.output_mode != "int":
        return [layers.Dense(2, activation="softmax")]
    size = layer.vocabulary_size()
    return [layers.Embedding(size, 3), layers.GlobalAveragePooling1D(), layers.Dense(2, activation="softmax")]


def plain(layer):
    return rv.Sequential([layer, *after(layer)])


def with_input(layer):
    return rv.Sequential([rv.Input((1,), dtype="string"), layer, *after(layer)])


def functional(layer):
    x = rv.Input((), dtype="string")
    y = layer(x)
    for one in after(layer):
        y = one(y)
    return rv.Model(x, y)


def nested(layer):
    x = rv.Input((1,), dtype="string")
    return rv.Model(x, layers.ReLU()(plain(layer)(x)))


@rv.register_module
class Inner(rv.Model):
    """Calls the layer itself, which learns its vocabulary later."""

    def __init__(self):
        super().__init__()
        self.vectorize, self.last = layers.TextVectorization(output_mode="count"), layers.Dense(2, activation="softmax")

    def call(self, x):
        return self.last(self.vectorize(x))


def own_call(layer):
    model = Inner()
    model.vectorize.adapt(TEXTS)
    return model


@pytest.mark.parametrize("make", [plain, with_input, functional, nested, own_call])
@pytest.mark.parametrize("options", [{}, {"output_mode": "tf_idf"}], ids=["int", "tf_idf"])
def test_models_take_strings_and_keep_the_vocabulary(make, options, tmp_path):
    rv.set_seed(0)
    model = make(adapted(**options))
    model.compile("adam", "sparse_categorical_crossentropy", engine="reference")
    quiet = {"verbose": 0, "ignore": "RV"}
    model.fit(TEXTS, Y, epochs=1, **quiet)
    model.fit(np.array(TEXTS)[:, None], Y, epochs=1, batch_size=2, **quiet)
    model.fit(iter([(np.array(TEXTS[:2]), Y[:2]), (np.array(TEXTS[2:]), Y[2:])]), steps_per_epoch=2, **quiet)
    model.evaluate(TEXTS, Y, verbose=0)
    predicted, longer = model.predict(TEXTS, verbose=0), model.predict(NEW, verbose=0)
    np.testing.assert_allclose(model(np.array(TEXTS)).numpy(), predicted, rtol=1e-6)
    model.save(tmp_path / "model.ranvier")
    loaded = rv.load_model(tmp_path / "model.ranvier")
    assert np.array_equal(loaded.predict(TEXTS, verbose=0), predicted)
    assert np.array_equal(loaded.predict(NEW, verbose=0), longer)


def test_loaders_of_pairs_and_many_models_take_texts():
    def build():
        model = plain(adapted())
        model.compile("adam", "sparse_categorical_crossentropy", engine="reference")
        return model

    loader: Any = rv.torch.utils.data.DataLoader(list(zip(TEXTS, Y, strict=True)), batch_size=2)
    assert build().fit(loader, verbose=0, ignore="RV").history["loss"]
    assert build().fit(iter([(TEXTS, Y)]), verbose=0, ignore="RV").history["loss"]
    assert len(rv.fit_many(build, TEXTS, Y, seeds=2, epochs=1, verbose=0)) == 2


def test_a_sequential_may_be_written_before_adapt():
    model = with_input(layers.TextVectorization(output_mode="tf_idf"))
    model.layers[0].adapt(TEXTS)
    assert model.predict(TEXTS, verbose=0).shape == (4, 2)


def test_functions_are_saved_when_they_are_registered(tmp_path):
    model = rv.Sequential([adapted(standardize=small_letters, output_mode="count"), layers.Dense(1)])
    expected = model.predict(["\u00c9T\u00c9 cat"], verbose=0)
    model.save(tmp_path / "model.ranvier")
    assert np.array_equal(rv.load_model(tmp_path / "model.ranvier").predict(["\u00e9t\u00e9 CAT"], verbose=0), expected)


@rv.saving.register_keras_serializable(package="tests")
def small_letters(texts):
    return np.char.lower(texts)


REFUSED = [
    (lambda: layers.TextVectorization(standardize="lowercase"), "'lower'"),
    (lambda: layers.TextVectorization(split="characters"), "'character'"),
    (lambda: layers.TextVectorization(split=3), "a function"),
    (lambda: layers.TextVectorization(ngrams=0), "ngrams"),
    (lambda: layers.TextVectorization(ngrams=(2, "3")), "ngrams"),
    (lambda: layers.TextVectorization(ragged=True), "Leave ragged=True out"),
    (lambda: layers.TextVectorization(sparse=True), "sparse"),
    (lambda: layers.TextVectorization(output_mode="hot"), "'multi_hot'"),
    (lambda: layers.TextVectorization(output_mode="count", output_sequence_length=3), "Leave output_sequence_length out"),
    (lambda: layers.TextVectorization(encoding="latin-1"), "UTF-8"),
    (lambda: layers.TextVectorization(output_mode="count")(TEXTS), r"adapt\(texts\) before"),
    (lambda: functional(layers.TextVectorization(output_mode="count")), r"adapt\(texts\) before it is called on an Input"),
    (lambda: layers.TextVectorization(vocabulary=["a"]).adapt(TEXTS), "Leave it out"),
    (lambda: adapted()([["a", "b"]]), r"shape \(1, 2\)"),
    (lambda: adapted()(np.ones((2, 1))), r"x\.astype\(str\)"),
    (lambda: adapted()(["a", None]), r"was given None \(text 1\). Write '' in its place"),
    (lambda: adapted()(np.array(["a", np.nan], object)), r"was given nan .* x.fillna"),
    (lambda: plain(adapted()).predict([], verbose=0), "0 samples"),
    (lambda: adapted()([b"a", b"caf\xe9"]), "text 1 of layer .* byte 0xe9 at offset 3"),
    (lambda: adapted(split=lambda x: x), "a list of tokens for each text"),
    (lambda: adapted(split=lambda x: [["a"]]), "1 rows for 4 texts"),
    (lambda: adapted(standardize=lambda x: [1] * len(x)), "an array of texts"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_a_model_of_keras_begins_with_an_input_of_texts(tmp_path):
    pytest.importorskip("h5py")
    for make, shape, options in (
        (plain, [None, 1], {"output_sequence_length": 4}),
        (functional, [None], {}),
        (plain, [None, 1], {"output_mode": "tf_idf"}),
    ):
        model = make(adapted(**options))
        expected = model.predict(NEW, verbose=0)
        model.save(tmp_path / "model.keras")
        with zipfile.ZipFile(tmp_path / "model.keras") as archive:
            first = json.loads(archive.read("config.json"))["config"]["layers"][0]["config"]
        assert (first["dtype"], first["batch_shape"]) == ("string", shape)
        assert np.array_equal(rv.load_model(tmp_path / "model.keras").predict(NEW, verbose=0), expected)

"""Estimators on texts and on sequences of several lengths, against scikit-learn's own vectorizers."""

import pickle

import numpy as np
import pytest

import ranvier as rv
from ranvier import layers

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import cross_val_score

from ranvier.estimators import NeuralClassifier, NeuralRegressor
from ranvier.estimators.texts import numbers_of

X = ["good film", "bad film", "Very good!", "very bad", "good", "bad plot"] * 10
Y = ["p", "n", "p", "n", "p", "n"] * 10
SETTINGS = {"max_iter": 20, "tol": None, "random_state": 0, "learning_rate": 0.05}


def of_tokens(shape, outputs):
    return rv.Sequential([
        rv.Input((shape,), dtype="int32"), layers.Embedding(300, 4), layers.GlobalAveragePooling1D(), layers.Dense(outputs),
    ])  # fmt: skip


@pytest.mark.parametrize("form", [list, np.array, lambda x: np.array(x, object), "series"])
def test_a_classifier_takes_texts(form):
    if form == "series":
        form = pytest.importorskip("pandas").Series
    model = NeuralClassifier((8,), **SETTINGS).fit(form(X), Y)
    assert model.score(form(X), Y) == 1
    assert model.predict(["a good film"]).tolist() == ["p"]
    assert model.vectorizer_.get_vocabulary() == ["[UNK]", "good", "bad", "very", "film", "plot"]
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict_proba(form(X)), model.predict_proba(form(X)))


def test_texts_have_rows_of_length_one_as_of_scikit_learn():
    model = NeuralClassifier((), vectorizer=None, **SETTINGS).fit(X, Y)
    rows = numbers_of(model, [*X, ""], False).toarray()
    np.testing.assert_allclose((rows**2).sum(1), [1] * len(X) + [0], rtol=1e-6)
    dense = NeuralClassifier((), **SETTINGS).fit(rows[:-1], Y)
    assert np.array_equal(dense.predict_proba(rows[:-1]), model.predict_proba(X))
    theirs = TfidfVectorizer().fit_transform(X).toarray()
    assert np.array_equal(np.count_nonzero(rows[:-1], 1), np.count_nonzero(theirs, 1))


@pytest.mark.parametrize("mode", ["count", "multi_hot", "tf_idf"])
def test_a_given_vectorizer_is_copied_and_its_vectors_are_those_of_the_layer(mode):
    vectorizer = layers.TextVectorization(output_mode=mode, ngrams=2)
    model = NeuralClassifier((), vectorizer=vectorizer, **SETTINGS).fit(X, Y)
    assert len(vectorizer.get_vocabulary()) == 1
    np.testing.assert_allclose(numbers_of(model, X, False).toarray(), model.vectorizer_(X).numpy(), rtol=1e-6)
    vectorizer.adapt(["good bad"])
    assert clone(model).fit(X, Y).vectorizer_.get_vocabulary(False) == ["good bad", "good", "bad"]


@pytest.mark.parametrize("make", [layers.TextVectorization, lambda: layers.BytePairEncoding(270)])
def test_indices_of_tokens_go_to_a_network_of_sequences(make):
    if make is not layers.TextVectorization:
        pytest.importorskip("tokenizers")
    model = NeuralClassifier(model=of_tokens, vectorizer=make(), **SETTINGS).fit(X, Y)
    assert model.score(X, Y) == 1
    with pytest.warns(UserWarning, match="1 of 2 sequences are longer than"):
        assert model.predict(["good " * 20, "good"]).shape == (2,)


def test_searches_validation_and_regression_of_texts():
    model = NeuralClassifier((8,), **SETTINGS)
    assert cross_val_score(model, np.array(X), Y, cv=3).tolist() == [1, 1, 1]
    model.fit(X, Y, validation_data=(["good film"], ["p"]))
    assert model.best_validation_score_ == 1
    values = NeuralRegressor((8,), **SETTINGS).fit(X, [len(text) / 10 for text in X])
    assert values.score(X, [len(text) / 10 for text in X]) > 0.5


def test_sequences_of_several_lengths_are_padded():
    rows, labels = [[1, 2], [3], [1, 1, 1], [3, 3]] * 5, [0, 1, 0, 1] * 5
    model = NeuralClassifier(model=of_tokens, **SETTINGS).fit(rows, labels)
    padded = NeuralClassifier(model=of_tokens, **SETTINGS).fit(rv.utils.pad_sequences(rows, padding="post"), labels)
    assert np.array_equal(model.predict_proba(rows), padded.predict_proba(rv.utils.pad_sequences(rows, padding="post")))
    assert model.predict([[3], [3, 3]]).tolist() == [1, 1]  # of one length, and another than in fit


REFUSED = [
    (lambda: NeuralClassifier().fit([[1, 2], [3]], [0, 1]), "sequences of 1 to 2 elements. Write model="),
    (lambda: NeuralClassifier(model=of_tokens).fit([[1, 2], ["a"]], [0, 1]), "are no numbers"),
    (lambda: NeuralClassifier((), **SETTINGS).fit(np.eye(4), [0, 1, 0, 1]).predict(["a"]), "fit was given numbers"),
    (lambda: NeuralClassifier(vectorizer=3).fit(X, Y), "vectorizer is 3"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()

"""The network for texts: each kind learns, takes any padding, and comes back from a file."""

import numpy as np
import pytest

import ranvier as rv
from ranvier import layers, models

TEXTS = ["good film", "bad film", "a very good one", "one very bad film indeed"] * 4
Y = np.array([1, 0, 1, 0] * 4)
SIZES = {"bag": 9 * 8 + 18, "cnn": 9 * 8 + 8 * 8 * 12 + 24 + 25 * 2, "gru": None, "transformer": None}


def adapted(**options):
    layer = layers.TextVectorization(**options)
    layer.adapt(TEXTS)
    return layer


@pytest.mark.parametrize("kind", SIZES)
def test_text_classifiers_learn_and_take_strings_of_any_length(kind, tmp_path):
    rv.set_seed(0)
    vocabulary = adapted()
    model = models.text_classifier(vocabulary, 2, kind, width=8, dropout=0.1)
    model.compile(rv.optimizers.Adam(0.01), "sparse_categorical_crossentropy", engine="reference")
    losses = model.fit(TEXTS, Y, epochs=12, verbose=0, ignore="RV").history["loss"]
    assert losses[-1] < losses[0] - 0.05
    alone = model.predict(["a good one"], verbose=0)
    # Bits of NumPy's products may depend on the number of rows; those of the native engine do not.
    np.testing.assert_allclose(model.predict(["a good one", "a much " * 9], verbose=0)[:1], alone, rtol=1e-6)
    empty = model.predict(["", "a good one"], verbose=0)
    assert np.isfinite(empty).all()
    assert np.array_equal(empty[:1], model.predict([" !"], verbose=0))
    model.save(tmp_path / "model.ranvier")
    assert np.array_equal(rv.load_model(tmp_path / "model.ranvier").predict(["a good one"], verbose=0), alone)
    if SIZES[kind]:
        assert model.count_params() == SIZES[kind]
    numbers = models.text_classifier(vocabulary.vocabulary_size(), 2, kind, width=8, dropout=0.1, activation=None)
    numbers.set_weights(model.get_weights())
    logits = numbers.predict(vocabulary(["a good one"]).numpy(), verbose=0)
    np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(), alone, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((100, 2, "lstm"), "'bag', 'cnn'"),
        ((1, 2), "vocabulary"),
        ((layers.TextVectorization(), 2), "adapt"),
        ((adapted(output_mode="count"), 2), "without output_mode"),
    ],
)
def test_what_is_no_vocabulary_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        models.text_classifier(*arguments)

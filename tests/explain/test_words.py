"""What the words of texts speak for, as numbers and as a picture."""

from itertools import pairwise

import numpy as np
import pytest

import ranvier as rv
from ranvier import explain, layers, pictures

WEIGHTS = np.array([[0, 0], [2, -2], [-3, 3], [0, 0]], np.float32)  # of unknown words, good, bad, a


def critic(**options):
    """Counts of words times weights."""
    vectorize = layers.TextVectorization(vocabulary=["good", "bad", "a"], output_mode="count", **options)
    model = rv.Sequential([vectorize, layers.Dense(2, activation="softmax", name="last")])
    model.predict(["a"], verbose=0)
    model.set_weights([WEIGHTS, np.zeros(2, np.float32)])
    return model


def test_words_that_decide_have_scores():
    texts = ["A good, very good film", "bad", "a bad but  good one"]
    found = explain.words(critic(), texts)
    assert [[word for word, _ in text] for text in found] == [
        ["A", "good,", "very", "good", "film"],
        ["bad"],
        ["a", "bad", "but", "good", "one"],
    ]
    assert [[score for _, score in text] for text in found] == [[0, 2, 0, 2, 0], [3], [0, 3, 0, -2, 0]]
    against = explain.words(critic(), np.array(texts[1:2]), target=0)
    assert against == [[("bad", -3.0)]]
    shares = explain.words(critic(), ["good bad"], target=[1], logits=False)[0]
    assert 0 < shares[1][1] < 1
    assert explain.scores(critic(), ["bad a"]).tolist() == [3]


def test_networks_of_indices_are_explained_too():
    vocabulary = layers.TextVectorization(vocabulary=["good", "bad"])
    model = rv.models.text_classifier(vocabulary, 2, width=4)
    assert [len(text) for text in explain.words(model, ["good bad", "x"])] == [2, 1]
    with pytest.raises(TypeError, match=r"words\(model, texts\)"):
        explain.saliency(model, ["good"])
    with pytest.raises(TypeError, match="takes no strings"):
        explain.words(rv.Sequential([rv.Input((3,)), layers.Dense(2)]), np.ones((1, 3)))
    with pytest.raises(ValueError, match="target=5"):
        explain.words(critic(), ["a"], target=5)


def test_words_are_drawn_on_their_colours(tmp_path):
    pytest.importorskip("matplotlib")
    explained = [[("good", 2.0), ("$bad$", -1.0), ("x", 0.0)] + [("word", 0.5)] * 30, []]
    figure = pictures.words(explained, tmp_path / "words.png", captions=["yes"])
    drawn = figure.axes[0].texts
    assert [text.get_text() for text in drawn[:3]] == ["good", "$bad$", "x"]
    assert len(drawn) == 34
    red, blue, white = (text.get_bbox_patch().get_facecolor() for text in drawn[:3])
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert min(white[:3]) > 0.9
    assert len({text.get_position()[1] for text in drawn[:33]}) == 2  # lines
    assert (tmp_path / "words.png").stat().st_size > 1000
    with pytest.raises(ValueError, match="no texts"):
        pictures.words([])


@pytest.mark.filterwarnings("ignore:Glyph")  # a machine may have no Chinese font: boxes stand for the characters
def test_chinese_words_do_not_overlap():
    pytest.importorskip("matplotlib")
    figure = pictures.words([[("电影", 1.0), ("很", 0.5), ("好看", 0.2)]])
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert all(left.x1 <= right.x0 for left, right in pairwise(boxes))

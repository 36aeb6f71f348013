"""Pictures of words: maps of attention, drawn whole."""

import numpy as np
import pytest

from ranvier import pictures

WORDS = ["who", "reads", "what"]
WEIGHTS = np.random.default_rng(0).dirichlet(np.ones(5), (4, 3))


@pytest.mark.parametrize(
    ("weights", "options", "panels"),
    [
        (WEIGHTS, {"keys": ["a", "b", "c", "d", "e"]}, 4),
        (WEIGHTS[0, :, :3], {"captions": ["one"]}, 1),
        (np.repeat(WEIGHTS, 4, 0), {}, 12),
    ],
)
def test_drawn_whole(weights, options, panels, tmp_path):
    made = pictures.attention(weights, WORDS, path=tmp_path / "x.png", **options)
    assert (tmp_path / "x.png").stat().st_size > 5000
    drawn = [axes for axes in made.axes if axes.images]
    assert len(drawn) == panels
    assert [label.get_text() for label in drawn[0].get_yticklabels()] == WORDS
    assert drawn[0].get_title(loc="left") == ("one" if panels == 1 else "head 1")
    keys = options.get("keys", WORDS)
    np.testing.assert_array_equal(drawn[0].images[0].get_array(), np.atleast_3d(weights.T).T[0, :3, : len(keys)])


def test_weights_of_other_shapes_are_refused():
    for weights, words in ((WEIGHTS, WORDS + WORDS), (WEIGHTS[None], WORDS), (WEIGHTS, [])):
        with pytest.raises(ValueError, match="Write those of one sample"):
            pictures.attention(weights, words)

"""Pictures of recurrent states: the chosen units, step by step."""

import numpy as np
import pytest

from ranvier import pictures

VALUES = np.random.default_rng(0).normal(size=(14, 6, 40))


def test_drawn_whole(tmp_path):
    made = pictures.states(VALUES[0], "a b\nc$", tmp_path / "x.png", units=[3, 1], captions=["one"])
    assert (tmp_path / "x.png").stat().st_size > 5000
    (axes,) = [axes for axes in made.axes if axes.images]
    np.testing.assert_array_equal(axes.images[0].get_array(), VALUES[0][:, [3, 1]].T)
    assert [label.get_text() for label in axes.get_xticklabels()] == list("a␣b↵c$")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["3", "1"]
    assert axes.get_title(loc="left") == "one"
    assert axes.images[0].get_clim() == (-np.abs(VALUES[0][:, [3, 1]]).max(), np.abs(VALUES[0][:, [3, 1]]).max())


def test_units_that_change_most_are_ordered_by_time():
    values = np.zeros((5, 50))
    values[1] = 0.01
    values[[4, 0, 2], [7, 30, 9]] = 2.0, -3.0, 1.0
    values[:, 11] = 9.0  # large, and always the same
    (axes, _) = pictures.states(values).axes
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert len(rows) == 32
    assert [unit for unit in rows if unit in ("7", "9", "30")] == ["30", "9", "7"]
    assert "11" not in rows
    assert len([a for a in pictures.states(VALUES).axes if a.images]) == 12


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (VALUES[0, 0], {}, "Write \\(steps, units\\)"),
        (VALUES[0], {"steps": "abcdefg"}, "7 steps are named, and the values have 6"),
        (VALUES[0], {"units": [40]}, "there is no unit 40. Write some of 0 to 39"),
    ],
)
def test_mistakes_name_the_fix(values, options, message):
    with pytest.raises(ValueError, match=message):
        pictures.states(values, **options)

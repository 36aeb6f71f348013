"""Pictures are drawn whole, without a display and without touching a caller's plots; notebooks get tables."""

import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import pictures
from ranvier.pictures.comparison import mean_of
from ranvier.pictures.curves import panels
from ranvier.pictures.diagram import Drawing
from ranvier.pictures.diagram_layout import place
from ranvier.pictures.histograms import layer_outputs
from ranvier.pictures.html import sparkline
from ranvier.support.sampling import some_rows

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5)).astype(np.float32)
Y = X[:, :3].argmax(1)


class Branches(rv.Module):
    def __init__(self):
        super().__init__()
        self.left = rv.layers.Dense(4, activation="relu")
        self.right = rv.layers.Dense(4)
        self.top = rv.layers.Dense(3, activation="softmax")

    def forward(self, x):
        return self.top(self.left(x) * 2.0 + self.right(x))


@pytest.fixture(scope="module")
def trained():
    rv.set_engine("reference")
    model = rv.Sequential([
        rv.layers.Dense(6, activation="relu", input_shape=(5,)), rv.layers.Dropout(0.5),
        rv.layers.Dense(3, activation="softmax")])  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(X, Y, epochs=3, validation_split=0.2, verbose=0)
    rv.set_engine(None)
    return model, history


DRAWN = [
    pytest.param(lambda model, history, path: history.plot(path), id="curves"),
    pytest.param(lambda model, history, path: model.plot(path), id="network"),
    pytest.param(lambda model, history, path: pictures.weights(model, path), id="weights"),
    pytest.param(lambda model, history, path: pictures.activations(model, X, path), id="activations"),
    pytest.param(
        lambda model, history, path: pictures.confusion_matrix(np.eye(3, dtype=int), "abc", path), id="matrix"
    ),
    pytest.param(
        lambda model, history, path: pictures.compare({"a": history, "b": [history] * 2}, path=path), id="comparison"
    ),
    pytest.param(
        lambda model, history, path: rv.calibration.reliability(Y, model.predict(X, verbose=0)).plot(path),
        id="reliability",
    ),
    pytest.param(lambda model, history, path: rv.find_learning_rate(model, X, Y, steps=20).plot(path), id="rates"),
]


@pytest.mark.parametrize(("draw", "kind"), [
    *(pytest.param(*row.values, "png", id=row.id) for row in DRAWN),
    *(pytest.param(*row.values, kind, id=f"{row.id}-{kind}") for row in DRAWN[:2] for kind in ("svg", "pdf")),
])  # fmt: skip
def test_every_picture_is_written_whole(draw, kind, trained, tmp_path):
    import matplotlib as mpl

    before = mpl.get_backend(auto_select=False)
    figure = draw(*trained, tmp_path / f"p.{kind}")
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    assert (tmp_path / f"p.{kind}").read_bytes().startswith(starts[kind])
    assert [p.name for p in tmp_path.iterdir()] == [f"p.{kind}"]
    assert figure.axes
    assert mpl.get_backend(auto_select=False) == before


def test_results_are_paired_with_those_on_validation_data(trained):
    shown = panels(trained[1].history)
    assert list(shown) == ["loss", "accuracy"]
    assert all(len(values) == 3 and len(held_out or ()) == 3 for values, held_out in shown.values())


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_history_may_be_a_frame(library):
    frame = pytest.importorskip(library).DataFrame({"epoch": [0, 2], "loss": [0.5, 0.25], "val_loss": [0.7, 0.6]})
    drawn = pictures.curves(frame).axes[0]
    assert [list(np.asarray(line.get_ydata())) for line in drawn.lines] == [[0.5, 0.25], [0.7, 0.6]]
    assert list(np.asarray(drawn.lines[0].get_xdata())) == [1, 3]


def test_what_is_no_number_is_not_drawn():
    history = {
        "loss": [1.0, 0.5],
        "recall": [np.zeros(3), np.ones(3)],  # of each class: their mean
        "confusion_matrix": [np.zeros((3, 3)), np.ones((3, 3))],
        "learning_rate": [0.1, 0.001],
    }
    assert list(panels(history)) == ["loss", "recall", "learning_rate"]
    assert panels(history)["recall"][0] == [0.0, 1.0]
    assert len(pictures.curves(history).axes) == 3


def test_arrows_follow_the_tensors_past_what_is_computed_between_layers():
    model = Branches()
    model.build((None, 5))
    boxes = Drawing(model).boxes
    titles = [box.title.split(" ")[0] for box in boxes]
    sources = {box.title.split(" ")[0]: sorted(titles[i] for i in box.sources) for box in boxes}
    assert sources == {"input": [], "left": ["input"], "right": ["input"], "+": ["left", "right"], "top": ["+"]}
    assert {box.title.split(" ")[0]: box.parameters for box in boxes} == {
        "input": None,
        "left": 24,
        "right": 24,
        "+": None,
        "top": 15,
    }


def test_each_sum_of_a_residual_network_has_two_arrows():
    """Without the sums, each block had an arrow from every block before it."""
    boxes = Drawing(rv.models.resnet((8, 8, 1), 2, depth=14, width=2)).boxes
    assert [len(box.sources) for box in boxes if box.title == "+"] == [2] * 6
    assert max(len(box.sources) for box in boxes if box.title != "+") == 1


def test_inputs_of_a_functional_model_have_their_names():
    left, right = rv.Input((3,), name="left"), rv.Input((3,), name="right")
    shared = rv.layers.Dense(3, name="shared")
    first = shared(left)
    both = rv.layers.Add(name="both")([first, right])
    model = rv.Model([left, right], [rv.layers.Dense(2, name="a")(both), shared(right)])
    boxes = Drawing(model).boxes
    assert {(b.title, tuple(boxes[i].scope for i in b.sources)) for b in boxes} == {
        ("left (Input)", ()), ("right (Input)", ()), ("shared (Dense)", ("left",)), ("shared (Dense)", ("right",)),
        ("both (Add)", ("shared", "right")), ("a (Dense)", ("both",)),
    }  # fmt: skip


def test_outputs_of_layers_are_those_of_evaluation(trained):
    model, _ = trained
    outputs = layer_outputs(model, X, rows=7)
    assert [v.shape for v in outputs.values()] == [(7, 6), (7, 6), (7, 3)]
    first, dropped, last = outputs.values()
    assert np.array_equal(first, dropped)
    assert np.allclose(last, model.predict(X[some_rows(len(X), 7)], verbose=0), atol=1e-6)


def runs(*series):
    return [{"loss": s, "val_loss": [v + 1 for v in s]} for s in series]


@pytest.mark.parametrize(
    ("given", "length", "last", "spread"),
    [
        (runs([3, 2, 1]), 3, 2.0, 0.0),
        (runs([3, 2], [5, 4]), 2, 4.0, 2**0.5),
        (runs([3, 2, 1], [3, 2, 3], [3]), 3, 3.0, 2**0.5),  # as far as half of them go
        (runs([3, 2, 1], [3], [3]), 1, 4.0, 0.0),
    ],
)
def test_seeds_become_a_mean_and_a_spread(given, length, last, spread):
    mean, deviation = mean_of(given, "val_loss", "x")
    assert (len(mean), mean[-1], deviation[-1]) == (length, last, pytest.approx(spread))


def test_compared_runs_share_axes_that_show_them_all():
    figure = pictures.compare({"low": runs([1.0, 0.5])[0], "high": runs([9.0, 8.0])[0]})
    low, high = figure.axes
    assert low.get_ylim() == high.get_ylim()
    assert high.get_ylim()[1] > 10
    assert low.get_xlim() == high.get_xlim()
    figure = pictures.compare({"low": runs([1.0, 0.5])[0], "high": runs([9.0, 8.0])[0]}, limits=(0, 2))
    assert [axes.get_ylim() for axes in figure.axes] == [(0, 2), (0, 2)]


def test_no_arrow_crosses_a_box():
    model = rv.Sequential([rv.Input((4,)), *(Skip() for _ in range(3)), rv.layers.Dense(2)])
    model.build((None, 4))
    rows, width = place(Drawing(model).boxes, 3.0, 0.3)
    for level, row in enumerate(rows):
        edges = [(spot.x - spot.width / 2, spot.x + spot.width / 2) for spot in row]
        assert all(right + 0.3 <= left + 1e-9 for (_, right), (left, _) in pairwise(edges))
        assert edges[0][0] >= -1e-9
        assert edges[-1][1] <= width + 1e-9
        assert all(above.level == level - 1 for spot in row for above in spot.above)
    drawn = [(spot, spot.box) for row in rows for spot in row]
    assert all(len(spot.above) == len(box.sources) for spot, box in drawn if box is not None)


class Skip(rv.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = rv.layers.Dense(4), rv.layers.Dense(4)

    def forward(self, x):
        return x + self.two(self.one(x))


MATRICES: list[Any] = [  # counts, what is written, the colour's strength on the diagonal
    ([[1500, 2], [0, 3]], ["1,500", "2", "·", "3"], [1500 / 1502, 1]),
    ([[8.0, 2.0], [0.0, 3.0]], ["8", "2", "·", "3"], [0.8, 1]),
    ([[2 / 3, 1 / 3], [0.0, 1.0]], ["0.67", "0.33", "·", "1.00"], [2 / 3, 1]),
    ([[0.5, 0.004], [0.0, 0.496]], ["0.50", "4e-3", "·", "0.50"], [0.5 / 0.504, 1]),
    ([[1234.56, 2.25], [0.0, 0.0]], ["1,235", "2.25", "·", "·"], [1234.56 / 1236.81, 0]),
]


@pytest.mark.parametrize(("counts", "texts", "strength"), MATRICES, ids=lambda v: str(v)[:20])
def test_cells_of_a_matrix_hold_what_there_is_room_for(counts, texts, strength):
    axes = pictures.confusion_matrix(counts).axes[0]
    assert [text.get_text() for text in axes.texts] == texts
    np.testing.assert_allclose(np.diagonal(np.asarray(axes.images[0].get_array())), strength)


def test_an_svg_is_small_has_text_and_is_the_same_each_time(trained, tmp_path):
    for name in "ab":
        trained[0].plot(tmp_path / f"{name}.svg")
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    assert "parameters</text>" in text
    assert not re.search(r' d="[^"]*\.\d{3}', text)
    assert len(text) < 10_000


def test_weights_are_named_by_their_layers(trained):
    titles = [axes.get_title(loc="left") for axes in pictures.weights(trained[0]).axes if axes.get_visible()]
    names = [layer.name for layer in trained[0].layers if isinstance(layer, rv.layers.Dense)]
    assert titles == [f"{name}/{kind}" for name in names for kind in ("kernel", "bias")]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: pictures.curves({}), "no results yet"),
        (lambda: pictures.compare({}), "no runs to compare"),
        (lambda: pictures.compare({"a": {"loss": [1.0]}}, "accuracy"), "'a' has no 'accuracy'"),
        (lambda: pictures.network(rv.Sequential([rv.layers.Dense(2)])), "does not know the shape of its inputs"),
        (lambda: pictures.weights(rv.Sequential([rv.layers.Dense(2)])), "no weights yet"),
        (lambda: pictures.confusion_matrix(np.zeros((2, 3))), "not a confusion matrix"),
        (lambda: pictures.confusion_matrix(np.eye(2), "abc"), "3 names for 2 classes"),
    ],
)
def test_what_cannot_be_drawn_says_what_to_write(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


def test_a_notebook_shows_tables(trained):
    model, history = trained
    html = model._repr_html_()
    assert "dropout" in html
    assert "total parameters" in html
    html = history._repr_html_()
    assert html.count("<tr>") == 5  # the head, two results, each twice
    assert html.count("<polyline") == 4


@pytest.mark.parametrize(
    ("values", "lines", "dots"),
    [([1, 2, 3], 1, 0), ([1], 0, 1), ([1, 2, np.nan, 3, 4], 2, 0), ([np.nan], 0, 0), ([2, 2], 1, 0)],
)
def test_small_lines(values, lines, dots):
    svg = sparkline(values, "red")
    assert (svg.count("<polyline"), svg.count("<circle")) == (lines, dots)

"""Pictures of predictions, features, searches and functions: the numbers that they draw."""

from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import pictures
from ranvier.pictures.activation_curves import USUAL

RNG = np.random.default_rng(0)
TRUTH = np.arange(90) % 3
SCORES = 0.4 * np.eye(3)[TRUTH] + RNG.random((90, 3))
YES = (TRUTH == 1).astype(int)


def numbers(line):
    return [np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)]


def labels(figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


@pytest.mark.parametrize(
    ("draw", "area"),
    [(pictures.roc, rv.metrics.roc_auc_score), (pictures.precision_recall, rv.metrics.average_precision_score)],
)
def test_each_class_against_the_rest_has_its_area(draw, area):
    each = area(TRUTH, SCORES, average=None)
    figure = draw(TRUTH, SCORES, ["a", "b", "c"])
    assert labels(figure)[:3] == [f"{n} against the rest: {v:.3f}" for n, v in zip("abc", each, strict=True)]
    one = draw(YES, np.stack([1 - SCORES[:, 1], SCORES[:, 1]], 1), ["no", "yes"])
    assert labels(one)[0] == f"yes: {area(YES, SCORES[:, 1]):.3f}"


def test_curves_of_folds_are_a_mean_with_a_band():
    folds = [slice(0, 45), slice(45, 90)]
    figure = pictures.roc([YES[f] for f in folds], [SCORES[f, 1] for f in folds])
    areas = [rv.metrics.roc_auc_score(YES[f], SCORES[f, 1]) for f in folds]
    assert labels(figure)[0] == f"positive: {np.mean(areas):.3f} ± {np.std(areas, ddof=1):.3f}"
    x, y = numbers(figure.axes[0].lines[0])
    assert len(figure.axes[0].collections) == 1
    assert np.trapezoid(y, x) == pytest.approx(np.mean(areas), abs=0.02)
    assert (y[0], y[-1]) == (0, 1)


def test_many_classes_share_a_colour_and_show_their_mean():
    truth = np.arange(60) % 12
    scores = RNG.random((60, 12))
    figure = pictures.roc(truth, scores)
    assert labels(figure) == [f"mean of 12 classes: {rv.metrics.roc_auc_score(truth, scores):.3f}"]


def test_the_cheapest_threshold_is_marked():
    truth, scores = np.array([0, 0, 1, 1, 1]), np.array([0.1, 0.6, 0.4, 0.7, 0.9])
    figure = pictures.threshold_costs(truth, scores, (1, 10))
    both, best, now = figure.axes[0].lines[2:5]
    assert [float(v[0]) for v in numbers(best)] == pytest.approx([0.4, 0.2])  # one false positive, no false negative
    assert [float(v[0]) for v in numbers(now)] == pytest.approx([0.5, 2.2])
    x, y = numbers(both)
    for at, cost in zip(x, y, strict=True):
        wrong = 1 * ((scores >= at) & (truth == 0)).sum() + 10 * ((scores < at) & (truth == 1)).sum()
        assert cost == pytest.approx(wrong / 5)


def test_residuals_are_true_minus_predicted():
    figure = pictures.residuals([[1.0], [2.0], [np.nan]], [0.5, 3.0, 1.0], unit="mm")
    offsets = np.asarray(figure.axes[1].collections[0].get_offsets())
    assert offsets.tolist() == [[0.5, 0.5], [3.0, -1.0]]
    assert figure.axes[0].get_xlabel() == "true (mm)"


def test_the_largest_importances_come_first():
    figure = pictures.importances({"a $x$": [0.1, 0.3], "b": 0.5, "c": -0.1}, most=2)
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a $x$", "b"]  # from the bottom
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.2, 0.5])


def test_a_boundary_is_where_the_class_changes():
    def model(x):
        yes = 1 / (1 + np.exp(-20 * (np.asarray(x)[:, 0] - 0.5)))
        return np.stack([1 - yes, yes], 1)

    x = RNG.random((40, 3))
    axes = pictures.decision_boundary(model, x, (x[:, 0] > 0.5).astype(int), (0, 2), classes=["no", "yes"]).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("0", "2")
    (line,) = (c for c in axes.collections if type(c).__name__ == "QuadContourSet")
    vertices = np.concatenate([path.vertices for path in line.get_paths()])
    np.testing.assert_allclose(vertices[:, 0], 0.5, atol=0.01)
    surface = pictures.decision_boundary(lambda x: 3 * np.asarray(x)[:, 0] - 1, x, x[:, 0] * 3 - 1).axes[0]
    assert surface.get_title(loc="left") == "Predictions"


def test_derivatives_are_those_of_the_functions():
    panels = pictures.activation_functions(["relu", "tanh"], low=-2, high=2).axes
    at, values = numbers(panels[1].lines[2])
    np.testing.assert_allclose(values, np.tanh(at), atol=1e-6)
    np.testing.assert_allclose(numbers(panels[1].lines[3])[1], 1 - np.tanh(at) ** 2, atol=1e-6)
    assert all(callable(rv.activations.get(name)) for name in USUAL)


def build(units=2, rate=0.01):
    model = rv.Sequential([rv.Input((2,)), rv.layers.Dense(units, activation="relu"), rv.layers.Dense(1)])
    model.compile(rv.optimizers.SGD(rate), "mse", engine="reference")
    return model


X = RNG.normal(size=(30, 2)).astype(np.float32)
Y = X @ [1.0, -2.0]


def test_results_of_a_search_draw_themselves(tmp_path):
    found = rv.search.grid_search(build, X, Y, grid={"units": [2], "rate": [0.001, 0.1]}, folds=2, epochs=2, verbose=0)
    figure = found.plot(tmp_path / "search.png")
    assert [axes.get_xlabel() for axes in figure.axes if axes.get_visible()] == ["rate", "rank of the setting"]
    assert figure.axes[0].get_xscale() == "log"
    best = numbers(figure.axes[0].lines[-1])
    assert [float(v[0]) for v in best] == pytest.approx(
        [found.best.settings["rate"], found.best.metrics["val_loss"].mean]
    )


def test_a_learning_curve_has_the_scores_of_growing_parts(tmp_path):
    curve = rv.search.learning_curve(build, X, Y, sizes=[5, 0.5, 1.0], folds=2, epochs=2, verbose=0)
    assert curve.sizes.tolist() == [5, 8, 15]
    assert (curve.training.shape, curve.validation.shape, curve.metric) == ((3, 2), (3, 2), "loss")
    figure = curve.plot(tmp_path / "curve.png")
    np.testing.assert_allclose(numbers(figure.axes[0].lines[1])[1], curve.validation.mean(1))
    whole = rv.search.cross_validate(build, X, Y, folds=2, epochs=2, verbose=0)
    np.testing.assert_allclose(curve.validation[-1], [row.metrics["val_loss"] for row in whole], rtol=1e-6)
    with pytest.raises(ValueError, match="from 1 to 15"):
        rv.search.learning_curve(build, X, Y, sizes=[16], folds=2, epochs=2, verbose=0)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: pictures.roc(TRUTH, SCORES, "ab"), "2 names for 3 classes"),
        (lambda: pictures.threshold_costs(TRUTH, SCORES), "decides between two classes"),
        (lambda: pictures.threshold_costs(YES, SCORES[:, 1], (-1, 1)), "costs of a false positive"),
        (lambda: pictures.residuals([[1, 2]], [1, 2]), "one number each a sample"),
        (lambda: pictures.importances({}), "no features"),
        (lambda: pictures.activation_functions("softmax"), "has no curve"),
        (lambda: pictures.learning_curve([1, 2], [0.1], [0.1]), "one row of scores"),
        (lambda: pictures.decision_boundary(len, np.array([["a", "b"]])), "not of numbers"),
        (lambda: pictures.compare({"a": {"loss": [np.eye(2)]}}), "is no number"),
    ],
)
def test_what_cannot_be_drawn_says_what_to_write(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


# --- figures of all kinds -----------------------------------------------------------------------------------------


def test_classes_are_averaged_before_seeds():
    """The deviation is that of the seeds, not that of the classes."""
    history: Any = {"val_recall": [[0.0, 1.0], [0.2, 1.0]]}
    axes = pictures.compare({"a": [history, history]}, "val_recall").axes[0]
    (line,) = axes.lines
    assert line.get_label() == "validation"
    assert numbers(line)[1].tolist() == pytest.approx([0.5, 0.6])
    band: Any = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(0.5)


def test_a_figure_shows_itself_and_falls_back_to_a_font(monkeypatch, tmp_path):
    """A character that DejaVu Sans lacks comes from an installed font, also in the labels of an axis."""
    from ranvier.pictures import shown

    sign = next(chr(i) for i in sorted(shown.characters(shown.found_font("STIXGeneral")))
                if i > 0x2000 and i not in shown.characters(shown.found_font("DejaVu Sans")))  # fmt: skip
    monkeypatch.setattr(shown, "CJK", ("STIXGeneral",))
    figure = pictures.confusion_matrix(np.eye(2, dtype=int), [f"a {sign}", "b"], tmp_path / "m.svg")
    assert figure._repr_png_().startswith(b"\x89PNG")
    text = (tmp_path / "m.svg").read_text(encoding="utf-8")
    assert text.count("STIXGeneral") == 2  # on both axes
    assert "Verdana" in text


def test_the_users_font_is_kept(tmp_path):
    from matplotlib import rc_context

    with rc_context({"font.sans-serif": ["STIXGeneral"]}):
        pictures.confusion_matrix(np.eye(2, dtype=int), path=tmp_path / "m.svg")
    text = (tmp_path / "m.svg").read_text()
    assert "STIXGeneral" in text
    assert "DejaVu" not in text


@pytest.mark.parametrize(
    "draw",
    [
        lambda: pictures.compare({"a": {"loss": [1.0]}}),
        lambda: pictures.words([[("a", 1.0)]]),
        lambda: pictures.curves({"loss": [1.0]}),
        lambda: pictures.roc(YES, SCORES[:, 1]),
        lambda: pictures.confusion_matrix(np.eye(2)),
    ],
)
def test_without_matplotlib_each_says_what_to_install(monkeypatch, draw):
    import builtins

    real = builtins.__import__

    def missing(name, *rest, **more):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ModuleNotFoundError, match=r"ranvier\[plot\]"):
        draw()

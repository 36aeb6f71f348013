"""Explanations of tables: importances and partial dependence against formulas, on arrays, frames and dicts."""

import numpy as np
import pytest

import ranvier as rv
from ranvier import explain

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)).astype(np.float32)
KINDS = np.array(["red", "blue"])[(X[:, 1] > 0).astype(int)]


class Formula:
    """An estimator by hand: 2 a, and 5 where the kind is red."""

    def predict(self, x):
        if isinstance(x, np.ndarray):
            return 2 * x[:, 0]
        return 2 * np.asarray(x["a"], float) + 5 * (np.asarray(x["kind"]).astype(str) == "red")

    def score(self, x, y):
        return -float(np.mean((self.predict(x) - y) ** 2))


COLUMNS = {"a": X[:, 0], "kind": KINDS, "empty": X[:, 2]}
MAKERS = {
    "dict": lambda: COLUMNS,
    "pandas": lambda: pytest.importorskip("pandas").DataFrame(COLUMNS, index=range(100, 160)),
    "categories": lambda: pytest.importorskip("pandas").DataFrame(COLUMNS).astype({"kind": "category"}),
    "polars": lambda: pytest.importorskip("polars").DataFrame(COLUMNS),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_tables_of_all_kinds(kind):
    x = MAKERS[kind]()
    before = {name: np.array(x[name]) for name in ("a", "kind", "empty")}
    model = Formula()
    found = explain.permutation_importance(model, x, model.predict(x), repeats=2)
    assert (found.names, found.metric, found.score) == (("a", "kind", "empty"), "R2", 0.0)
    assert found.mean[2] == 0
    assert min(found.mean[:2]) > 1
    a, colour = explain.partial_dependence(model, x, ["a", "kind"], points=5)
    np.testing.assert_allclose(np.diff(a.average[:, 0]), 2 * np.diff(a.points), rtol=1e-5)
    assert list(map(str, colour.points)) == ["blue", "red"]
    assert colour.average[1, 0] - colour.average[0, 0] == pytest.approx(5)
    assert all((np.array(x[name]) == column).all() for name, column in before.items())


def test_a_network_is_scored_by_evaluate(tmp_path):
    y = (X[:, 0] > 0).astype(int)
    model = rv.Sequential([rv.Input((3,)), rv.layers.Dense(1, activation="sigmoid")])
    model.set_weights([np.array([[3.0], [0.0], [0.5]]), np.zeros(1)])
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"], engine="reference")
    found = explain.permutation_importance(model, X, y, seed=3, names="abc")
    results = model.evaluate(X, y, verbose=0, return_dict=True)
    assert (found.metric, found.score) == ("accuracy", results["accuracy"])
    assert found.mean.argmax() == 0
    assert found.values[1].tolist() == [0.0] * 5
    np.testing.assert_array_equal(found.values, explain.permutation_importance(model, X, y, seed=3).values)
    loss = explain.permutation_importance(model, X, y, metric="loss")
    assert loss.mean[0] > 0
    assert str(found).splitlines()[3].startswith("a ")
    found.plot(tmp_path / "importances.png")
    rv.pictures.partial_dependence(explain.partial_dependence(model, X), tmp_path / "dependence.png")


def test_grad_cam_says_when_it_is_empty_and_hires_cam_weights_each_position():
    """A channel whose gradient is +1 at the left and -1 at the right has the mean 0."""
    model = rv.Sequential([
        rv.Input((2, 2, 1)), rv.layers.Conv2D(1, 1, use_bias=False), rv.layers.Flatten(), rv.layers.Dense(1, use_bias=False),
    ])  # fmt: skip
    model.set_weights([np.ones((1, 1, 1, 1)), np.array([[1.0], [-1.0], [2.0], [-2.0]])])
    x = np.ones((1, 2, 2, 1), np.float32)
    with pytest.warns(UserWarning, match=r"Grad-CAM is empty for this sample.*hires_cam\(model, x\)"):
        assert not explain.grad_cam(model, x).any()
    np.testing.assert_array_equal(explain.hires_cam(model, x), [[[1, 0], [2, 0]]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: explain.permutation_importance(Formula(), np.zeros((2, 2, 2)), [0, 1]), ValueError, "a table is"),
        (
            lambda: explain.permutation_importance(Formula(), X, X[:, 0], names="ab"),
            ValueError,
            "2 names for 3 columns",
        ),
        (lambda: explain.permutation_importance(Formula(), X, X[:, 0], metric="mse"), TypeError, "with a function"),
        (lambda: explain.permutation_importance(len, X, X[:, 0]), TypeError, "has no score"),
        (lambda: explain.partial_dependence(Formula(), X, ["z"]), ValueError, "no column 'z'. Write one of 0, 1, 2"),
        (lambda: explain.partial_dependence(None, X), TypeError, "is no model"),
        (lambda: explain.integrated_gradients(Formula(), X), TypeError, "Formula has none"),
    ],
)
def test_what_cannot_be_explained_says_what_to_write(call, error, message):
    with pytest.raises(error, match=message):
        call()

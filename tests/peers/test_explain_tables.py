"""Explanations of tables through pipelines, against captum and scikit-learn."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, StandardScaler

import ranvier as rv
from ranvier import explain

RNG = np.random.default_rng(0)
COLOURS = np.array(["red", "green", "blue"])
FRAME = pd.DataFrame({
    "colour": RNG.choice(COLOURS, 60), "size": RNG.normal(size=60), "age": RNG.integers(1, 80, 60).astype(float),
    "constant": 1.0,
})  # fmt: skip
FRAME.loc[::9, "age"] = np.nan
LABELS = np.array(["no", "yes"])[((FRAME["colour"] == "red") | (FRAME["size"] > 0.7)).astype(int)]


@cache
def pipeline(classes=2):
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    columns = ColumnTransformer([
        ("numbers", numbers, ["age", "size"]),
        ("names", OneHotEncoder(), make_column_selector(dtype_exclude=float)),
        ("bins", KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"), [1]),
    ])  # fmt: skip
    net = rv.estimators.NeuralClassifier((6,), "tanh", max_iter=8, tol=None, random_state=0, dtype="float64")
    y = LABELS if classes == 2 else FRAME["colour"].to_numpy()
    return Pipeline([("columns", columns), ("net", net)]).fit(FRAME, y)


def test_integrated_gradients_of_a_pipeline_are_those_of_captum():
    """The contributions of the network's inputs, added for the column that each comes from."""
    torch, attr = pytest.importorskip("torch"), pytest.importorskip("captum.attr")
    model = pipeline(3)
    inputs = torch.tensor(np.asarray(model[:-1].transform(FRAME)), dtype=torch.float64)
    net = model[-1]
    first, second = (torch.tensor(k) for k in net.coefs_)
    biases = [torch.tensor(b) for b in net.intercepts_]

    def scores(x):
        return torch.tanh(x @ first + biases[0]) @ second + biases[1]

    captum = attr.IntegratedGradients(scores)
    each = captum.attribute(inputs, target=1, n_steps=50, method="gausslegendre").numpy()
    # age, size, whether age is missing; three colours; three bins of size
    owner = np.array([2, 1, 2, 0, 0, 0, 1, 1, 1])
    expected = np.stack([each[:, owner == k].sum(1) for k in range(4)], 1)
    found = explain.integrated_gradients(model, FRAME, target="green")
    assert sorted(model.classes_)[1] == "green"
    np.testing.assert_allclose(found, expected, atol=1e-9)
    row = FRAME.iloc[[5]]
    start = torch.tensor(np.asarray(model[:-1].transform(row)))
    each = captum.attribute(inputs, start, target=1, n_steps=50, method="gausslegendre").numpy()
    expected = np.stack([each[:, owner == k].sum(1) for k in range(4)], 1)
    np.testing.assert_allclose(explain.integrated_gradients(model, FRAME, "green", baseline=row), expected, atol=1e-9)


def test_contributions_of_two_classes_have_opposite_signs():
    model = pipeline()
    yes, no = (explain.integrated_gradients(model, FRAME.iloc[:3], target) for target in ("yes", "no"))
    np.testing.assert_allclose(yes, -no, atol=1e-12)
    with pytest.raises(ValueError, match="'maybe' is no class"):
        explain.integrated_gradients(model, FRAME, "maybe")


def test_a_step_that_mixes_columns_is_named():
    x = FRAME[["size", "age"]].fillna(0)
    model = make_pipeline(PCA(2), rv.estimators.NeuralRegressor((3,), max_iter=2, tol=None)).fit(x, FRAME["size"])
    with pytest.raises(ValueError, match="each output of PCA depends on several columns"):
        explain.integrated_gradients(model, x)
    assert explain.permutation_importance(model, x, FRAME["size"]).names == ("size", "age")


def test_permutation_importance_is_that_of_scikit_learn():
    """The shuffles differ, so that means of many repeats agree within their error."""
    model = pipeline()
    found = explain.permutation_importance(model, FRAME, LABELS, repeats=10)
    theirs = permutation_importance(model, FRAME, LABELS, n_repeats=10, random_state=0)
    error = np.sqrt((found.std**2 + theirs.importances_std**2) / 10)
    assert found.score == model.score(FRAME, LABELS)
    assert (np.abs(found.mean - theirs.importances_mean) <= 4 * error).all()
    assert found.mean[3] == theirs.importances_mean[3] == 0


def test_partial_dependence_is_that_of_scikit_learn():
    model = pipeline()
    (found,) = explain.partial_dependence(model, FRAME, "size", points=6)
    theirs = partial_dependence(model, FRAME, ["size"], custom_values={"size": found.points}, method="brute")
    np.testing.assert_allclose(found.average[:, 0], theirs["average"][0], atol=1e-9)
    (names,) = explain.partial_dependence(model, FRAME, "colour")
    theirs = partial_dependence(model, FRAME, ["colour"], categorical_features=["colour"], method="brute")
    np.testing.assert_allclose(names.average[:, 0], theirs["average"][0], atol=1e-9)
    assert names.outputs == ("yes",)


def test_a_pipeline_has_a_report_with_the_numbers_of_score(tmp_path):
    model = pipeline()
    path = rv.auto.write_report(model, FRAME, LABELS, tmp_path / "r.html", train=(FRAME, LABELS))
    text = path.read_text(encoding="utf-8")
    assert f'<td class="t">score</td><td>{model.score(FRAME, LABELS):.4f}</td>' in text
    assert ">the most frequent class</td>" in text
    assert text.count("<figure") > 8
    assert len(text.encode()) < 3_000_000

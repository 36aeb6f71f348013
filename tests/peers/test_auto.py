"""Training from files beside scikit-learn: its trees are a baseline, and the result says plainly when they are better."""

import numpy as np
import pytest

import ranvier as rv
from ranvier.auto import train, verdict

pytest.importorskip("sklearn")
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def reference():
    rv.set_engine("reference")
    yield
    rv.set_engine(None)


def test_trees_are_a_baseline_and_better_than_a_network_that_learned_nothing(tmp_path):
    size, shape = RNG.normal(size=160), RNG.choice(["round", "square", ""], 160)
    kinds = np.where((np.abs(size) > 0.7) ^ (shape == "round"), "a", "b")
    path = tmp_path / "d.csv"
    path.write_text(
        "\n".join(["size,shape,kind", *(f"{s:.3f},{f},{k}" for s, f, k in zip(size, shape, kinds, strict=True))])
    )
    run = train(path, "kind", tmp_path / "run", trials=1, network="linear", settings={"epochs": 1, "rate": 1e-4})
    assert [row["name"] for row in run.baselines] == ["majority", "linear", "trees"]
    trees = run.baselines[-1]
    assert trees["test"]["accuracy"] > 0.8
    assert run.arrays["test/trees/output"].shape == (32, 2)
    assert verdict(run).startswith("The model is worse than boosted trees, which should be used instead: log loss")


def test_linear_models_are_those_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression, Ridge

    from ranvier.auto import linear

    x = RNG.normal(size=(120, 5)) * [1, 2, 3, 1, 1] + 3
    y = x @ RNG.normal(size=(5, 2)) + RNG.normal(size=(120, 2))
    for rows in (120, 4):  # fewer rows than features, too
        wanted = Ridge(3.0).fit(x[:rows], y[:rows]).predict(x)
        made, _ = linear.fitted("numbers", x[:rows], y[:rows], 3.0)
        np.testing.assert_allclose(linear.output_of(x, made), wanted, rtol=1e-9)
    two, three = (y[:, 0] > y[:, 0].mean()).astype(int), np.digitize(y[:, 1], np.quantile(y[:, 1], [0.3, 0.6]))
    for penalty in (0.1, 10.0):
        model = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=10_000)
        made, converged = linear.fitted("labels", x, two[:, None].astype(float), penalty)
        np.testing.assert_allclose(linear.output_of(x, made)[:, 0], model.fit(x, two).decision_function(x), atol=1e-3)
        made, also = linear.fitted("classes", x, np.eye(3)[three], penalty)
        gaps = linear.output_of(x, made) - model.fit(x, three).decision_function(x)
        np.testing.assert_allclose(gaps - gaps.mean(1, keepdims=True), 0, atol=1e-3)
        assert converged
        assert also


def test_trees_grow_as_scikit_learns_and_within_their_time():
    from sklearn.ensemble import HistGradientBoostingClassifier

    from ranvier.auto import baselines
    from ranvier.auto.scores import Task

    x, levels = RNG.normal(size=(300, 3)), np.zeros(3, bool)
    truth = (x[:, 0] * x[:, 1] > 0).astype(int)
    task, folds = Task("classes", ["y"], ["a", "b"]), [(np.arange(200), np.arange(200, 300))]
    asked = (task, x, levels, np.eye(2)[truth], folds, x[:50], 0)
    made = baselines.trees(*asked, float("inf"))
    rounds = [HistGradientBoostingClassifier(max_iter=k, random_state=0, early_stopping=False).fit(x, truth).predict_proba(x[:50])
              for k in baselines.CHUNKS]  # fmt: skip
    output = np.exp(made.test)
    assert min(np.abs(output - one).max() for one in rounds) < 1e-6
    assert not made.note
    assert np.isnan(made.held[:200]).all()
    assert np.isfinite(made.held[200:]).all()
    assert baselines.trees(*asked, 0.0).note == "the time was enough for 1 of 100 rounds of boosted trees"


def test_scores_are_those_of_scikit_learn():
    from sklearn import metrics

    from ranvier.auto.scores import Task, scores

    truth, output = RNG.integers(0, 3, 50), RNG.dirichlet([1, 1, 1], 50)
    found = scores(Task("classes", ["y"], ["a", "b", "c"]), truth, output)
    decided = output.argmax(1)
    assert found == pytest.approx({
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, decided),
        "accuracy": metrics.accuracy_score(truth, decided),
        "f1": metrics.f1_score(truth, decided, average="macro"),
        "roc_auc": metrics.roc_auc_score(truth, output, multi_class="ovr"),
        "log_loss": metrics.log_loss(truth, output),
    })  # fmt: skip
    numbers, guesses = RNG.normal(size=(50, 2)), RNG.normal(size=(50, 2))
    found = scores(Task("numbers", ["a", "b"]), numbers, guesses)
    assert found == pytest.approx({
        "r2": metrics.r2_score(numbers, guesses),
        "mae": metrics.mean_absolute_error(numbers, guesses),
        "rmse": metrics.root_mean_squared_error(numbers, guesses),
    })  # fmt: skip

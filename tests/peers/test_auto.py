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
    run = train(
        path, "kind", tmp_path / "run", trials=1, folds=2, network="linear", settings={"epochs": 1, "rate": 1e-4}
    )
    assert [row["name"] for row in run.baselines] == ["majority", "linear", "trees"]
    trees = run.baselines[-1]
    assert trees["test"]["accuracy"] > 0.8
    assert run.arrays["test/trees/output"].shape == (32, 2)
    assert verdict(run).startswith("boosted trees are better than the model: balanced accuracy")


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

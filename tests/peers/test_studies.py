"""Search with Optuna: its samplers, pruners and studies, on threads and on the workers of joblib's back ends."""

from typing import Any

import pytest

import ranvier as rv
from ranvier import search
from ranvier.search import Interrupted, optuna_search
from tests.search.test_search import X, Y, classifier

optuna = pytest.importorskip("optuna")
joblib = pytest.importorskip("joblib")
SPACE = {"units": search.integers(3, 5), "learning_rate": search.log_uniform(1e-3, 1e-1), "epochs": [1, 2]}


def build(units=4, learning_rate=0.01, hidden=()):
    return classifier(units, learning_rate, hidden)


def run(n=4, seed=0, **options):
    given = {"space": SPACE, "folds": 2, "verbose": 0, "ignore": "RV", "sampler": optuna.samplers.TPESampler(seed=seed)}
    return optuna_search(build, X, Y, n=n, **(given | options))


def found(results):
    return [(row.variant, row.metrics, row.pruned) for row in results]


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_seed_gives_the_same_settings_and_values_on_any_workers(at_once):
    one = run(at_once=at_once, threads=1)
    assert len(one) == 8
    assert {type(row.variant.settings["units"]) for row in one} == {int}
    assert all(1e-3 <= row.variant.settings["learning_rate"] <= 1e-1 for row in one)
    assert found(run(at_once=at_once, threads=2)) == found(one)
    assert found(run(seed=1, at_once=at_once)) != found(one)
    values = [trial.value for trial in one.study.trials]
    assert values == [
        s.metrics["val_loss"].mean for s in sorted(one.settings(), key=lambda s: one.rows.index(s.rows[0]))
    ]
    assert one.best.metrics["val_loss"].mean == min(values) == one.study.best_value
    if at_once == 3:
        with joblib.parallel_config("loky", n_jobs=2):
            assert found(run(at_once=at_once)) == found(one)


def test_a_study_is_continued_from_its_storage(tmp_path):
    options = {"storage": f"sqlite:///{tmp_path / 'study.db'}", "study_name": "units", "direction": "maximize"}
    first = run(3, study=optuna.create_study(**options), monitor="val_accuracy")
    again = optuna.load_study(**{k: v for k, v in options.items() if k != "direction"})
    second = run(2, study=again, sampler=None, monitor="val_accuracy")
    assert [trial.number for trial in second.study.trials] == list(range(5))
    assert second.study.best_value >= first.study.best_value
    assert len(second) == 4


Pruner: Any = optuna.pruners.BasePruner


class Stop(Pruner):  # type: ignore[misc]
    """Prunes every trial but the first at this step."""

    def __init__(self, step):
        self.step, self.seen = step, []

    def prune(self, study, trial):
        self.seen.append((trial.number, trial.last_step))
        return trial.number > 0 and trial.last_step == self.step


@pytest.mark.parametrize("threads", [1, 2])
def test_a_pruner_stops_the_models_that_are_left(threads):
    pruner = Stop(2)
    results = run(3, folds=4, pruner=pruner, threads=threads)
    assert pruner.seen == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (2, 1), (2, 2)]
    assert [trial.state.name for trial in results.study.trials] == ["COMPLETE", "PRUNED", "PRUNED"]
    assert [row.pruned for row in results] == [False] * 4 + [True] * 4  # those that were trained ahead are dropped
    assert results.best.settings == results[0].variant.settings
    assert results.to_dict()["pruned"] == [row.pruned for row in results]


def test_a_pruner_stops_the_epochs_of_a_single_model():
    results = run(2, folds=None, validation_split=0.2, epochs=5, space={"units": [3, 4]}, pruner=Stop(1))
    lengths = [len(row.history["loss"]) for row in results]
    if len(results) == 2:  # otherwise the same setting was proposed twice
        assert lengths == [5, 2]
    assert lengths[0] == 5


def test_median_pruner_and_settings_that_are_known():
    results = run(12, folds=3, pruner=optuna.pruners.MedianPruner(n_startup_trials=2), space={"units": [2, 9]})
    assert len(results.study.trials) == 12
    assert len(results) <= 6  # two settings
    assert all(trial.value is not None for trial in results.study.trials if trial.state.name == "COMPLETE")


def test_a_function_and_values_that_a_study_cannot_store():
    def space(trial):
        return {"units": trial.suggest_int("units", 2, 4), "epochs": 1}

    assert all(row.variant.settings["epochs"] == 1 for row in run(2, space=space))
    results = run(
        3, space={"hidden": [(), [lambda: rv.layers.Dense(3)]], "units": optuna.distributions.IntDistribution(2, 3)}
    )
    assert {type(row.variant.settings["hidden"]) for row in results} <= {tuple, list}


def test_nan_fails_its_trial():
    def steep(learning_rate):
        return classifier(learning_rate=learning_rate, optimizer=rv.optimizers.SGD)

    results = optuna_search(
        steep, X, Y, space={"learning_rate": [1e38]}, n=2, folds=2, epochs=3, verbose=0, ignore="RV"
    )
    assert {trial.state.name for trial in results.study.trials} == {"FAIL"}


def test_ctrl_c_fails_the_trial_and_keeps_the_others():
    calls = []

    def stopping(units):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return classifier(units)

    study = optuna.create_study()
    with pytest.raises(Interrupted) as caught:
        optuna_search(
            stopping,
            X,
            Y,
            space={"units": search.integers(2, 90)},
            folds=2,
            epochs=1,
            threads=1,
            verbose=0,
            study=study,
        )
    assert len(caught.value.results) >= 2
    assert study.trials[-1].state.name == "FAIL"
    assert not [trial for trial in study.trials if trial.state.name == "RUNNING"]


MISTAKES = {
    "direction": ({"study": optuna.create_study(direction="maximize")}, ValueError, "has the direction maximize"),
    "mode": ({"monitor": "val_thing"}, ValueError, "Write mode='min' or mode='max'"),
    "space": ({"space": {"units": 3}}, TypeError, r"space\['units'\] is 3"),
    "no space": ({"space": 3}, TypeError, "a space is a dict or a function"),
    "setting": ({"space": {"unit": [3]}}, TypeError, "unit"),
    "monitor": ({"monitor": "val_f1", "mode": "max"}, ValueError, "not measured"),
    "option": ({"epoch": 3}, TypeError, "epochs"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name):
    options, error, words = MISTAKES[name]
    with pytest.raises(error, match=words):
        run(**options)

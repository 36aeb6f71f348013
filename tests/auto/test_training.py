"""What a training promises: the same bits, a test part that nothing is fitted on, work that is not lost."""

import hashlib
import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

import ranvier as rv
from ranvier.auto import Run, baselines, evaluate, linear, predict, read_table, train, verdict
from ranvier.auto.choosing import decision_weights, pick, probabilities, temperature_of
from ranvier.auto.pacing import Pace, Shares, cycle
from ranvier.auto.preparation import Preparation
from ranvier.auto.samples import look_at
from ranvier.auto.scores import Task, decide, paired, row_losses, scores
from ranvier.auto.training import Plan
from ranvier.auto.trials import Search, Trial, common_epochs

RNG = np.random.default_rng(0)
N = 120
TINY = {"folds": 2, "settings": {"epochs": 3, "width": 8, "rate": 0.01}}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """The engine that needs no compiling, and no trees: tests/peers has them."""
    monkeypatch.setattr(baselines, "has_trees", lambda: False)
    rv.set_engine("reference")
    yield
    rv.set_engine(None)


def rows(n=N, missing=True):
    """Lines of a table with each kind of column; the class and the number follow from two of them."""
    made = ["size,color,day,words,id,kind,price"]
    for k in range(n):
        size, color = RNG.normal(), RNG.choice(["red", "green", "blue"])
        kind = "big" if size + (color == "red") > 0.5 else "small"
        text = " ".join(RNG.choice(["one", "two", "three", "four", "five", "six", "seven"], 6))
        shown = "" if missing and k % 10 == 0 else f"{size:.4f}"
        made.append(
            f"{shown},{color},2024-{k % 12 + 1:02}-11,{text} {k},{k},{kind},{10 * size + 3 * (color == 'red'):.3f}"
        )
    return made


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "data.csv"
    path.write_text("\n".join(rows()) + "\n")
    return path


def digests(folder):
    names = ("model.ranvier", "preparation.safetensors", "arrays.safetensors", "run.json")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def test_the_same_seed_gives_the_same_files_also_after_a_stop(data, tmp_path, monkeypatch):
    """Of a whole run, and of one that was killed after its second trial and went on."""
    asked = {"target": "kind", "trials": 2, "columns": {"price": "ignore"}, **TINY}
    train(data, out=tmp_path / "whole", **asked)

    class Killed(BaseException):
        pass

    def progress(trial, seconds):
        if trial.number == 1:
            raise Killed

    with pytest.raises(Killed):
        train(data, out=tmp_path / "killed", progress=progress, **asked)
    tried: list[int] = []
    heard: list[str] = []
    usual = Search.tried

    def noted(self, number, settings):
        tried.append(number)
        return usual(self, number, settings)

    monkeypatch.setattr(Search, "tried", noted)
    train(data, out=tmp_path / "killed", say=heard.append, **asked)
    assert tried == [2]
    assert "2 trials of an earlier process are kept" in heard[0]
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")
    assert sorted(p.name for p in (tmp_path / "whole").iterdir()) == sorted(
        [*digests(tmp_path / "whole"), "times.json"]
    )


def test_a_run_is_read_back_and_scores_as_it_says(data, tmp_path):
    made = train(data, "kind", tmp_path / "run", trials=1, columns={"price": "ignore"}, **TINY)
    run = Run.load(tmp_path / "run")
    assert run.to_dict() == json.loads(json.dumps(made.to_dict()))
    kinds = {name: (column.kind, column.role) for name, column in run.columns.items()}
    assert kinds == {
        "size": ("number", "input"), "color": ("category", "input"), "day": ("date", "input"), "words": ("text", "input"),
        "id": ("identifier", "input"), "kind": ("category", "target"), "price": ("number", "ignored"),
    }  # fmt: skip
    test = run.read_data().rows(run.arrays["test"])
    found = evaluate(run, test)
    assert found["scores"] == run.test
    np.testing.assert_array_equal(found["predictions"].output, run.arrays["test/output"])
    assert [row["name"] for row in run.baselines][:2] == ["majority", "linear"]
    assert run.split == {"by": "class", "test": 0.2, "folds": 2}
    everything = np.concatenate([run.arrays["train"], run.arrays["test"]])
    assert sorted(everything) == list(range(N))
    run.baselines = run.baselines[:1]
    assert verdict(run).startswith("The model is better than the largest class: log loss")
    run.arrays["test/majority/output"] = run.arrays["test/output"]
    assert verdict(run).startswith("There is no clear difference between the model and the largest class: log loss")
    assert repr(run) == f"<Run: {tmp_path / 'run'}, kind, balanced accuracy {run.test['balanced_accuracy']:.4f}>"


def test_nothing_is_fitted_on_the_test_part(data, tmp_path):
    """Other values in the test rows change their predictions alone: no bit of the model or of the preparation."""
    asked = {"trials": 1, "columns": {"price": "ignore"}, **TINY}
    made = train(data, "kind", tmp_path / "a", **asked)
    lines = data.read_text().splitlines()
    for row in made.arrays["test"]:
        cells = lines[row + 1].split(",")
        lines[row + 1] = ",".join(["99", "violet", "1999-01-01", "wholly new words here now", *cells[4:]])
    other = tmp_path / "other.csv"
    other.write_text("\n".join(lines) + "\n")
    train(other, "kind", tmp_path / "b", **asked)
    a, b = digests(tmp_path / "a"), digests(tmp_path / "b")
    assert a["model.ranvier"] == b["model.ranvier"]
    assert a["arrays.safetensors"] != b["arrays.safetensors"]
    one, two = (Run.load(tmp_path / name).preparation for name in "ab")
    assert one.config == two.config
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(array, two.arrays()[name])


LINEAR = {"network": "linear", "folds": 2, "trials": 1, "settings": {"epochs": 15, "rate": 0.2, "batch": 16}}


def test_numbers_are_predicted_in_their_units(data, tmp_path):
    run = train(data, "price", tmp_path / "run", columns={"kind": "ignore", "words": "ignore"}, **LINEAR)
    assert run.task.kind == "numbers"
    assert run.test["r2"] > 0.5
    made = predict(run, read_table(data))
    assert list(made.columns) == ["predicted price"]
    assert made.text().splitlines()[0] == "size,color,day,words,id,kind,price,predicted price"


def test_several_numbers_at_once(tmp_path):
    path = tmp_path / "d.csv"
    x = RNG.normal(size=(60, 2)).round(3)
    path.write_text("\n".join(["a,b,sum,difference", *(f"{a},{b},{a + b},{a - b}" for a, b in x)]))
    run = train(path, ["sum", "difference"], tmp_path / "run", **LINEAR)
    assert run.output(read_table(path)).shape == (60, 2)
    assert run.test["r2"] > 0.5


def test_several_targets_of_two_values(tmp_path):
    path = tmp_path / "d.csv"
    x = RNG.normal(size=(80, 2)).round(3)
    lines = [f"{a},{b},{'Yes' if a > 0 else 'no'},{'male' if b > 0 else 'female'}" for a, b in x]
    path.write_text("\n".join(["a,b,rain,sex", *lines]))
    run = train(path, ["rain", "sex"], tmp_path / "run", **LINEAR)
    assert run.task.labels == [["no", "Yes"], ["female", "male"]]
    assert run.test["balanced_accuracy"] > 0.8
    loaded = Run.load(tmp_path / "run")
    made = predict(loaded, path)
    assert list(made.columns) == ["predicted rain", "predicted sex", "probability rain = Yes", "probability sex = male"]
    assert set(made.columns["predicted sex"]) == {"female", "male"}
    found = evaluate(loaded, loaded.read_data().rows(loaded.arrays["test"]))
    assert found["scores"] == run.test
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("a,b,rain,sex\n1,2,maybe,male\n")
    with pytest.raises(
        ValueError, match="line 2, column 'rain': the value is 'maybe', and the model knows 'no' and 'Yes'"
    ):
        evaluate(loaded, wrong)


@pytest.mark.parametrize(("option", "by"), [({"time_column": "day"}, "time"), ({"group": "color"}, "group")])
def test_splits_by_time_and_by_group(option, by, data, tmp_path):
    nothing = dict.fromkeys(["time_column", "group", "test"])
    asked = {"target": "kind", "columns": {}, "metric": "", "folds": 2, "seed": 0} | nothing | option
    table = read_table(data)
    run, sample = look_at(tmp_path, asked, table)
    assert run.split["by"] == by
    values = table.columns[next(iter(option.values()))]
    parts = [(run.arrays["train"], run.arrays["test"]), *((sample.train[a], sample.train[b]) for a, b in sample.folds)]
    for before, after in parts:
        inside, outside = set(values[before]), set(values[after])
        assert inside
        assert outside
        assert max(inside) <= min(outside) if by == "time" else not inside & outside


def test_ctrl_c_keeps_the_best_so_far(data, tmp_path):
    def progress(trial, seconds):
        if trial.number == 1:
            raise KeyboardInterrupt

    run = train(data, "kind", tmp_path / "run", trials=50, progress=progress, columns={"price": "ignore"}, **TINY)
    assert run.state == "stopped"
    assert [trial["number"] for trial in run.trials] == [0, 1]
    assert Run.load(tmp_path / "run").test == run.test


def test_ctrl_c_within_a_trial_keeps_its_best_weights(data, tmp_path, monkeypatch):
    """The network that is trained when Ctrl-C is pressed is kept, too."""
    usual, taken = Pace.on_step, []

    def on_step(self, epoch, step, logs=None):
        taken.append(self)
        if len(taken) == 40:
            os.kill(os.getpid(), signal.SIGINT)
        usual(self, epoch, step, logs)

    monkeypatch.setattr(Pace, "on_step", on_step)
    monkeypatch.setattr("ranvier.auto.trials.STEP_CHECK", 1)
    run = train(data, "kind", tmp_path / "run", trials=1, columns={"price": "ignore"}, **{**TINY, "folds": 1})
    assert run.state == "stopped"
    assert [trial["number"] for trial in run.trials] == [0]
    assert len(run.trials[0]["epochs"]) == 1
    assert run.test["accuracy"] > 0.5


def test_the_time_is_shared_and_the_rate_rises_once():
    shares = Shares(5, 2, time.perf_counter() + 30)
    ends = [shares.next_end() - time.perf_counter() for _ in range(5)]
    np.testing.assert_allclose(ends, [10, 15, 15, 30, 30], rtol=0.1)  # a busy machine pauses
    rates = [cycle(k / 100) for k in range(101)]
    assert rates[0] == pytest.approx(1 / 25)
    assert max(rates) == rates[30] == 1
    assert rates[-1] == pytest.approx(1 / 25e4)
    assert (np.diff(rates[:31]) > 0).all()
    assert (np.diff(rates[30:]) < 0).all()


def test_the_time_ends_the_search(data, tmp_path):
    began = time.perf_counter()
    asked = {**TINY, "settings": {"rate": 0.01, "epochs": 100_000}}
    run = train(data, "kind", tmp_path / "run", time=2, columns={"price": "ignore"}, **asked)
    assert time.perf_counter() - began < 20  # of which most is what a busy machine takes
    assert run.test["accuracy"] > 0.4


def test_the_end_has_more_time_where_the_machine_is_slow_and_the_rows_are_many():
    now, used = time.perf_counter(), time.process_time()
    slow = Plan(Path(), {"time": 60.0}, print, now - 20, used - 2)  # a tenth of a processor
    assert slow.end(0.9) - now == pytest.approx(-20 + 54 - 10, abs=0.5)
    slow.judged = 5.0
    assert slow.end(0.9) - now == pytest.approx(-20 + 54 - 10 - 5, abs=0.5)
    free = Plan(Path(), {"time": 60.0}, print, now - 20, used - 20)
    assert free.end(0.9) - now == pytest.approx(-20 + 54 - 2, abs=0.5)
    assert Plan(Path(), {"time": None}, print, now, used).end(0.9) == float("inf")


def test_a_preparation_of_rows_alone_and_together():
    """A row is prepared in the same way, whatever rows are beside it."""
    lines = [line.split(",") for line in rows(60)]
    table = rv.auto.Table(
        {n: np.array([r[k] for r in lines[1:]], object) for k, n in enumerate(lines[0])}, np.arange(60)
    )
    prepared = Preparation.fit(table, list(rv.auto.find_columns(table).values()))
    again = Preparation.from_config(json.loads(json.dumps(prepared.get_config())), prepared.arrays())
    whole = prepared.transform(table)
    assert whole.shape[1] == len(prepared.names) == len(prepared.sources)
    np.testing.assert_array_equal(np.concatenate([again.transform(table.rows([k])) for k in range(60)]), whole)
    assert np.isfinite(whole).all()
    missing = prepared.names.index("size is missing")
    np.testing.assert_array_equal(whole[:, missing], [r[0] == "" for r in lines[1:]])


def test_scores_of_classes_and_numbers():
    task = Task("classes", ["y"], ["a", "b"])
    output = np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2], [0.3, 0.7]])
    found = scores(task, np.array([0, 0, 1, 1]), output)
    assert found["accuracy"] == found["balanced_accuracy"] == found["f1"] == 0.5
    assert found["roc_auc"] == 0.75
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.4, 0.2, 0.7]).mean())
    numbers = scores(Task("numbers", ["y"]), np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [5.0]]))
    assert numbers == {"r2": -1.0, "mae": pytest.approx(2 / 3), "rmse": pytest.approx(np.sqrt(4 / 3))}


def test_the_command_line(data, tmp_path):
    from typer.testing import CliRunner

    from ranvier.cli.main import app

    def ranvier(*words, **options):
        return CliRunner().invoke(app, [str(word) for word in words], **options)

    quick = ("--target", "kind", "--columns", "price=ignore", "--trials", 1, "--folds", 2,
             "--set", "epochs=2", "--set", "width=8", "--set", "rate=0.01")  # fmt: skip
    made = ranvier("train", data, *quick, "--out", tmp_path / "run")
    assert made.exit_code == 0, made.output
    assert "target kind: one of 2 classes (big, small)" in made.stdout
    assert "\x1b" not in made.stdout
    piped = ranvier("predict", tmp_path / "run", data)
    assert piped.stdout.splitlines()[0].endswith("predicted kind,probability big,probability small")
    assert len(piped.stdout.splitlines()) == N + 1
    given = ranvier("predict", tmp_path / "run", "-", "--out", "-", input=data.read_bytes())
    assert given.stdout == piped.stdout
    wrong = ranvier("evaluate", tmp_path / "run", "-", input=data.read_bytes() + b"1,2\n")
    assert (wrong.exit_code, f"line {N + 2}, has 2 fields" in wrong.stderr) == (1, True)
    assert json.loads(ranvier("evaluate", tmp_path / "run", data, "--json").stdout)["rows"] == N
    assert ranvier("inspect", tmp_path / "run" / "run.json").stdout == ranvier("inspect", tmp_path / "run").stdout
    shown = ranvier("compare", tmp_path / "run", tmp_path / "run").stdout.splitlines()
    assert shown[0].split() == ["test", "part", "balanced", "accuracy", "accuracy", "F1", "ROC", "AUC", "log", "loss"]
    assert shown[2] == shown[3]
    tabs = tmp_path / "data.tsv"
    tabs.write_text(data.read_text().replace(",", "\t"))
    assert ranvier("train", tabs, *quick, "--out", tmp_path / "tabs").exit_code == 0
    assert "best by log loss" in ranvier("compare", tmp_path / "run", tmp_path / "tabs").stdout
    for words, code, pattern in (
        (("train", data, "--target", "kinf"), 1, "no column 'kinf'. Write 'kind'"),
        (("train", data, "--target", "kind", "--set", "widht=3", "--out", tmp_path / "other"), 1, "Write 'width'"),
        (("train", data, "--target", "kind", "--folds", 999, "--out", tmp_path / "more"), 1, "or fewer --folds"),
        (("train", data, "--time", "soon"), 2, "90s, 5m or 1h"),
        (("train", data, "--set", "width"), 2, "--set width=64"),
        (("predict", tmp_path, data), 1, "it is no run"),
        (("predict", tmp_path / "run", data, "--out", data), 1, "Write another name"),
        (("report", tmp_path / "run", "--out", "r.pdf"), 1, "Write r.html instead"),
    ):
        failed = ranvier(*words)
        assert failed.exit_code == code
        assert pattern in " ".join(failed.stderr.split())


def test_epochs_are_those_that_all_folds_like_best():
    """Each fold by itself would stop after 1 and after 3 epochs; the folds need not be equally long."""
    assert common_epochs([{"val_loss": [0.1, 0.5, 0.9]}, {"val_loss": [2.0, 1.0, 0.9, 0.1]}]) == 2
    assert common_epochs([{"val_loss": [np.nan, 0.5]}]) == 2


def test_few_rows_stop_together_and_are_scored_as_they_are(data, tmp_path, monkeypatch):
    """The held-out rows of small tables do not choose the epoch of their own fold, which makes scores too good."""
    asked: list[tuple[int, bool]] = []  # trainings of folds
    usual = Search.fitted

    def fitted(self, settings, folds, seed, end, fits, stopping=True):
        if folds is not None:
            asked.append((settings[0].get("epochs", 0), stopping))
        return usual(self, settings, folds, seed, end, fits, stopping)

    monkeypatch.setattr(Search, "fitted", fitted)
    settings = {"width": 8, "rate": 0.1, "cycle": 0, "epochs": 3}
    train(data, "kind", tmp_path / "run", trials=1, folds=2, columns={"price": "ignore"}, settings=settings)
    assert [stopping for _, stopping in asked] == [True, False, True, False]
    assert 1 <= asked[3][0] <= 3


# --- baselines and the verdict --------------------------------------------------------------------------------------


def test_all_contestants_have_the_threshold_and_the_calibration_of_the_same_rows(tmp_path):
    """One class in ten: a probability of a half is no threshold for balanced accuracy, whoever gives it."""
    x = RNG.normal(size=(600, 3)).round(3)
    rare = x[:, 0] + RNG.normal(size=600) > 1.9
    path = tmp_path / "d.csv"
    path.write_text(
        "\n".join(["a,b,c,kind", *(f"{a},{b},{c},{'yn'[1 - r]}" for (a, b, c), r in zip(x, rare, strict=True))])
    )
    run = train(path, "kind", tmp_path / "run", trials=1, columns={"kind": "category"}, **TINY)
    truth = run.arrays["truth"][run.arrays["test"]]
    for row in run.baselines:
        output = run.arrays[f"test/{row['name']}/output"]
        weights = row["decision"]["weights"]
        assert row["test"] == scores(run.task, truth, output, decide(output, weights))
        assert row["validation"].keys() == run.validation.keys()
    assert min(run.baselines[1]["decision"]["weights"]) < 0.7  # of the linear model
    assert run.baselines[1]["test"]["balanced_accuracy"] > 0.65
    run.versions["scikit-learn"] = "1"
    assert verdict(run).endswith("\nBoosted trees are not compared.")


def test_an_accuracy_below_the_share_of_the_largest_class_is_said(data, tmp_path):
    run = train(data, "kind", tmp_path / "run", trials=1, columns={"price": "ignore"}, **TINY)
    share = max(np.bincount(run.arrays["truth"][run.arrays["test"]])) / len(run.arrays["test"])
    wanted = f"The accuracy 0.0000 is below {share:.4f}, the share of the largest class: decisions are for"
    assert wanted not in verdict(run)
    wrong = 1 - run.arrays["truth"][run.arrays["test"]]
    run.arrays["test/output"] = np.eye(2)[wrong] * 0.98 + 0.01
    assert wanted in verdict(run)
    assert "The model is worse than" in verdict(run)
    run.versions.pop("scikit-learn", None)
    assert verdict(run).endswith("Boosted trees are not compared: scikit-learn is not installed.")


@pytest.mark.parametrize("kind", ["classes", "labels", "numbers"])
def test_the_interval_of_a_difference_is_that_of_resampled_rows(kind):
    rng = np.random.default_rng(3)
    n = 400
    task = {"classes": Task("classes", ["y"], ["a", "b", "c"]), "numbers": Task("numbers", ["y", "z"]),
            "labels": Task("labels", ["y", "z"], labels=[["n", "y"]] * 2)}[kind]  # fmt: skip
    truth = (
        rng.normal(size=(n, 2))
        if kind == "numbers"
        else rng.integers(2, size=(n, 2))
        if kind == "labels"
        else rng.integers(3, size=n)
    )
    if kind == "classes":
        one, two = (probabilities(task, np.eye(3)[truth] * s + rng.normal(size=(n, 3))) for s in (2.0, 1.5))
    elif kind == "labels":
        one, two = (probabilities(task, truth * s - s / 2 + rng.normal(size=(n, 2))) for s in (2.0, 1.5))
    else:
        one, two = (truth + rng.normal(size=(n, 2)) * s for s in (0.5, 0.6))
    name = "r2" if kind == "numbers" else "log_loss"
    difference, low, high = paired(task, truth, one, two)
    assert difference == pytest.approx(scores(task, truth, one)[name] - scores(task, truth, two)[name])
    drawn = []
    for _ in range(300):
        k = rng.integers(n, size=n)
        drawn.append(scores(task, truth[k], one[k])[name] - scores(task, truth[k], two[k])[name])
    assert (high - low) / 2 == pytest.approx(1.96 * np.std(drawn), rel=0.25)
    assert np.isnan(paired(task, truth[:1], one[:1], two[:1])[1])
    if kind != "numbers":
        assert row_losses(task, truth, one).mean() == pytest.approx(scores(task, truth, one)["log_loss"])


@pytest.mark.parametrize("kind", ["classes", "labels", "numbers", "numbers of many columns"])
def test_a_linear_model_is_the_minimum_of_its_loss(kind, monkeypatch):
    """The gradient is 0 there; also of features that are far from 0, and where the closed form is too large."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(60, 4)) + 50
    y = np.eye(3)[rng.integers(3, size=60)] if kind == "classes" else rng.integers(2, size=(60, 2)) * 1.0
    if kind.endswith("columns"):
        monkeypatch.setattr(linear, "CLOSED", 0)
    kind = kind.split()[0]
    weights, converged = linear.fitted(kind, x, y, 2.0)
    assert converged
    z = linear.output_of(x, weights)
    error = z - y if kind == "numbers" else probabilities(Task(kind, ["y"], ["a", "b", "c"]), z) - y
    np.testing.assert_allclose((x - x.mean(0)).T @ error + 2.0 * weights[:-1], 0, atol=1e-3)
    np.testing.assert_allclose(error.sum(0), 0, atol=1e-3)
    assert linear.fitted("classes", x, np.eye(2)[rng.integers(2, size=60)], 1.0, end=0.0)[1] is False


def outputs(*logits):
    """Trials of two classes whose held-out rows have these logits of the second."""
    made = []
    for number, z in enumerate(logits):
        output = np.stack([np.zeros(len(z)), np.array(z, float)], 1)
        made.append(Trial(number, {}, output, weights=[[np.zeros(1)]]))
    return made


def test_trials_that_few_rows_cannot_tell_apart_count_the_same():
    task, rng = Task("classes", ["y"], ["no", "yes"]), np.random.default_rng(0)
    truth = np.tile([0, 1], 500)
    signal = np.where(truth == 1, 1.0, -1.0)
    first, second, bad = (signal + rng.normal(0, s, len(truth)) for s in (1.0, 1.0, 8.0))
    few = slice(0, 20)
    picked = pick(task, truth[few], outputs(first[few], second[few], -signal[few]))
    assert {trial.number for trial, _ in picked} == {0, 1}
    calibrated = [w * temperature_of(task, truth[few], trial.output) for trial, w in picked]
    assert calibrated[0] == pytest.approx(calibrated[1])
    assert sum(w for _, w in picked) == pytest.approx(1)
    many = pick(task, truth, outputs(first, second, bad))
    assert {trial.number for trial, _ in many} >= {0, 1}  # each has errors that the other has not


def test_the_threshold_moves_only_where_the_rows_say_so():
    task = Task("classes", ["y"], ["no", "yes"], "balanced_accuracy")
    rng = np.random.default_rng(1)
    truth = (rng.random(4000) < 0.1).astype(int)
    p = 1 / (1 + np.exp(-(rng.normal(0, 1, len(truth)) + 2 * truth - 3)))
    output = np.stack([1 - p, p], 1)
    no, yes = decision_weights(task, truth, output)
    assert no < yes / 3  # of many rows
    assert decision_weights(task, truth[:12], output[:12])[0] == decision_weights(task, truth[:12], output[:12])[1]
    assert decision_weights(Task("classes", ["y"], ["no", "yes"], "log_loss"), truth, output) == [1.0, 1.0]

"""The benchmarks' whole trainings: the networks of examples/images.py, how they are timed, judged and shown."""

import importlib
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import ranvier as rv

pytest.importorskip("benchmarks", reason="the source distribution has no benchmarks")
(accuracy, contestants, figures, fresh, harness, images, networks, ours, overview, readme, report, workloads) = (
    importlib.import_module(f"benchmarks.{name}")
    for name in (
        *("accuracy", "contestants", "figures", "fresh", "harness", "contestants.images", "networks"),
        *("contestants.images.ours", "overview", "readme", "report", "workloads"),
    )
)

ROOT = Path(__file__).parents[1]
WHOLE = [w for w in workloads.WORKLOADS if w.kind == "accuracy"]
MNIST = workloads.by_name("image-accuracy-mnist")
RECIPES = runpy.run_path(str(ROOT / "examples" / "images.py"))["RECIPES"]


def record(workload, *rows):
    return {
        "workload": workload.name, "data": "images", "flops": workload.flops, "peak": 500.0, "failed": {},
        "rows": [{"name": name, "times": times, "loss": loss, "note": ""} for name, times, loss in rows],
        "cost": [0.1, 1.0], "date": "2026-01-01",
        "machine": {"cpu": "a processor", "cores": 2, "system": "a system", "versions": {}},
    }  # fmt: skip


MEASURED = {
    "image-train-cnn-128": record(
        workloads.by_name("image-train-cnn-128"), ("ranvier", [1.0, 1.0], 0.5), ("torch", [2.0, 2.0], 0.5)
    ),
    MNIST.name: record(MNIST, ("ranvier", [16.0], 0.9928), ("torch", [64.0], 0.9931)),
}


def test_there_is_one_for_every_recipe():
    assert {w.dataset for w in WHOLE} == set(RECIPES)


@pytest.mark.parametrize("workload", WHOLE, ids=lambda w: w.dataset)
def test_the_program_is_that_of_the_example(workload):
    recipe = RECIPES[workload.dataset]
    assert (workload.epochs, workload.learning_rate, workload.batch) == (recipe.epochs, recipe.rate, recipe.batch_size)
    network = networks.NETWORKS[workload.network]
    weights = network.weights(trained=True)
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (192, 28, 28, 1), np.uint8), rng.integers(0, 10, 192, np.uint8)
    results = []
    for build in (recipe.network, lambda: ours.build(network)):
        rv.set_seed(0)
        model = build()
        model.set_weights(weights)
        model.compile(rv.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
        before = model.predict(x, verbose=0)
        loss = model.fit(x, y, batch_size=64, epochs=1, verbose=0).history["loss"]
        results.append((before, loss, *model.get_weights()))
    for theirs, own in zip(*results, strict=True):
        np.testing.assert_array_equal(theirs, own)


def test_initial_kernels_are_those_of_the_layers_initializers():
    he, glorot = networks.NETWORKS["clothes"].weights()[5], networks.NETWORKS["digits"].weights()[2]
    assert he.std() == pytest.approx(np.sqrt(2 / (9 * 32)), rel=0.02)
    assert np.abs(he).max() <= 2 * np.sqrt(2 / (9 * 32)) / 0.8796
    assert np.abs(glorot).max() == pytest.approx(np.sqrt(6 / (9 * 32 + 9 * 64)), rel=0.01)


def test_a_process_trains_and_tests(tmp_path, capsys):
    (x, y), _ = rv.datasets.load_digits()
    large = np.pad(np.kron(x * np.uint8(15), np.ones((3, 3), np.uint8)), ((0, 0), (2, 2), (2, 2)))[..., None]
    paths = [tmp_path / "x.npy", tmp_path / "y.npy"]
    np.save(paths[0], large)
    np.save(paths[1], y.astype(np.int32))
    accuracy.main("ranvier", MNIST.name, *map(str, paths), "1024", "3")  # all 1437 are tested
    report = json.loads(capsys.readouterr().out)
    assert report["seconds"] > 0
    assert 0.8 < report["accuracy"] <= 1
    assert report["note"] == ""


@pytest.mark.parametrize("rounds", [1, 3])
def test_the_first_turn_is_the_first_round(monkeypatch, tmp_path, rounds):
    turns = []

    def sample(self, contestant):
        turns.append(contestant.name)
        return fresh.Sample(float(len(turns)), 0.9, "")

    monkeypatch.setattr(harness, "prepare", lambda workload, folder: (tmp_path, tmp_path, "images"))
    monkeypatch.setattr(harness, "REST", 0)
    monkeypatch.setattr(fresh.Fresh, "sample", sample)
    monkeypatch.setattr(harness.Harness, "_peak", lambda self: 1.0)
    chosen = contestants.select("ranvier,torch")
    with harness.Harness(chosen, rounds, Console(quiet=True)) as h:
        made = h.measure(MNIST)
    assert len(turns) == 2 * rounds
    assert [len(row["times"]) for row in made["rows"]] == [rounds] * 2
    assert {row["name"]: row["times"][0] for row in made["rows"]} == {"ranvier": 1.0, "torch": 2.0}


def test_no_data_no_run(monkeypatch):
    def prepare(workload, folder):
        raise rv.data.datasets.DatasetUnavailable("MNIST is nowhere.\nLook elsewhere.")

    monkeypatch.setattr(harness, "prepare", prepare)
    monkeypatch.setattr(harness.Harness, "_peak", lambda self: 1.0)
    with harness.Harness(contestants.CONTESTANTS, 2, Console(quiet=True)) as h:
        made = h.measure(MNIST)
    assert made["rows"] == []
    assert set(made["failed"].values()) == {"MNIST is nowhere."}


@pytest.mark.parametrize(("reached", "met"), [(0.9928, True), (0.992, True), (0.9919, False)])
def test_an_accuracy_is_at_least_what_is_required(reached, met):
    (verdict,) = figures.verdicts({MNIST.name: record(MNIST, ("ranvier", [16.0], reached))})
    assert verdict.met is met
    assert report._verdict_cells(verdict)[3:] == (
        "at least 99.2%",
        *[f"{reached:.2%}"] * 2,
        "met" if met else "not met",
    )


def test_the_table_of_whole_trainings():
    assert overview.trainings(MEASURED) == [
        "| data | network | epochs | ranvier | PyTorch |",
        "|---|---|---|---|---|",
        "| MNIST | `cnn`: 32-64, dropout | 8 | 99.28% in 16.0 s | 99.31% in 64.0 s |",
    ]


@pytest.mark.parametrize("language", [readme.ENGLISH, readme.CHINESE], ids=lambda v: v.file)
def test_readmes_show_the_rows_that_were_measured(language):
    table = [line for line in readme.summary(MEASURED, language).splitlines() if line.startswith("|")]
    title = language.titles["image-train-cnn-128"]
    assert len(language.titles) == 6
    assert language.titles.keys() <= {w.name for w in workloads.WORKLOADS}
    assert table[2:] == [f"| {title} | 1.00 s | PyTorch 2.00 s | **0.500** | 2.00 s |"]


def test_the_report_shows_whole_trainings_where_they_were_measured():
    rest = {name: r for name, r in MEASURED.items() if name != MNIST.name}
    assert "## Whole trainings" in report.markdown([MEASURED])
    assert "## Whole trainings" not in report.markdown([rest])


def test_results_of_several_processors(tmp_path, monkeypatch):
    """Each keeps its own; where most was measured comes first."""
    monkeypatch.setattr(report, "RAW", tmp_path / "results.json")
    monkeypatch.setattr(report, "MARKDOWN", tmp_path / "RESULTS.md")
    (name, old) = next(iter(MEASURED.items()))
    other = old | {"machine": old["machine"] | {"cpu": "another, avx2"}}
    report.save({name: other})
    report.save(MEASURED)
    report.save({name: other | {"date": "2030-01-01"}})
    first, second = report.load()
    assert (list(first), list(second)) == (list(MEASURED), [name])
    assert (first[name], second[name]["date"]) == (old, "2030-01-01")
    text = (tmp_path / "RESULTS.md").read_text()
    before, after = text.split("# On another processor: another, avx2\n")
    assert "## Whole trainings" in before
    assert "2030-01-01" in after
    assert "## Whole trainings" not in after

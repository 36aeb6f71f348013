"""Many models at once: the bits of each alone, who shares a program, folds, searches, results, and what goes wrong."""

import math
import pickle
import signal
import subprocess
import sys
import threading
import warnings
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import engines
from ranvier.callbacks import LambdaCallback
from ranvier.search import (
    GroupKFold,
    Interrupted,
    KFold,
    Results,
    StratifiedKFold,
    Trained,
    Variant,
    choice,
    cross_validate,
    grid_search,
    integers,
    log_uniform,
    random_search,
    team,
    uniform,
)
from ranvier.search.distributions import draw_points
from ranvier.search.folds import folds_of
from ranvier.search.interval import estimate, student_t
from ranvier.search.variants import grid_points, seeds_of, variants_of
from ranvier.tensor import rng
from ranvier.tensor.context import dtype_scope
from ranvier.training import Callback
from ranvier.training.step import step

RNG = np.random.default_rng(0)
N, F, K = 90, 6, 3
X = RNG.normal(size=(N, F)).astype(np.float32)
Y = X[:, :K].argmax(1)
VALUES = (X[:, :2] @ np.array([[1.0, -1.0], [0.5, 2.0]])).astype(np.float32)
WEIGHTS = RNG.integers(0, 3, N).astype(np.float32)


def classifier(units=8, learning_rate=1e-2, hidden=(), optimizer=rv.optimizers.Adam, **settings):
    layers = [rv.layers.Dense(units, activation="tanh", input_shape=(F,)), *(make() for make in hidden)]
    model = rv.Sequential([*layers, rv.layers.Dense(K, activation="softmax")])
    model.compile(optimizer(learning_rate, **settings), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Share(rv.metrics.Metric):
    """As users write one: it holds another, and a level."""

    def __init__(self, level=0.5):
        super().__init__(name="share")
        self.total = self.add_weight(name="total")
        self.inner = rv.metrics.Recall(thresholds=level)
        self._level_of_mine = level

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(rv.ops.sum(rv.ops.cast(y_pred > self._level_of_mine, "float32")))
        self.inner.update_state(y_true, y_pred)

    def result(self):
        return self.total.item() + self.inner.result()


def measured(level=0.5):
    model = classifier()
    found = [rv.metrics.F1Score("macro"), rv.metrics.Precision(), rv.metrics.AUC(num_thresholds=20), Share(level)]
    model.compile(rv.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=found)
    return model


def smoothed(smoothing):
    model = classifier()
    loss = rv.losses.SparseCategoricalCrossentropy(reduction="sum" if smoothing > 0.1 else "mean")
    model.compile(rv.optimizers.Adam(0.01, beta_1=0.9 - smoothing), loss, metrics=["accuracy"])
    return model


def regressor(units=8, learning_rate=0.1):
    model = rv.Sequential([rv.layers.Dense(units, activation="relu"), rv.layers.Dense(2)])  # built by the data
    model.compile(rv.optimizers.SGD(learning_rate), "mse", metrics=["mae"])
    return model


class Odd(rv.optimizers.SGD):
    """A rule with a number that is no setting of it."""

    twice = False

    def rule(self, p, g, slots, lr, t):
        return super().rule(p, g + g if self.twice else g, slots, lr, t)


def odd(twice):
    model = classifier()
    optimizer = Odd(0.05)
    optimizer.twice = twice
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Two(rv.Module):
    """Two inputs and two outputs; its weights are made by the data."""

    def __init__(self):
        super().__init__()
        self.left, self.right = rv.layers.Dense(5, activation="tanh"), rv.layers.Dense(5)
        self.size, self.kind = rv.layers.Dense(1), rv.layers.Dense(K, activation="softmax")

    def forward(self, a, b):
        hidden = self.left(a) + self.right(b)
        return {"kind": self.kind(hidden), "size": self.size(hidden)}


def two():
    model = Two()
    losses = {"kind": "sparse_categorical_crossentropy", "size": "mse"}
    model.compile("adam", losses, metrics={"kind": ["accuracy"]}, loss_weights={"size": 0.5})
    return model


def regularized():
    l2, norm = rv.regularizers.L2(0.01), rv.constraints.MaxNorm(1.0)
    hidden = rv.layers.Dense(8, activation="relu", kernel_regularizer=l2, kernel_constraint=norm, input_shape=(F,))
    model = rv.Sequential([hidden, rv.layers.Dense(K)])
    loss = rv.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        rv.optimizers.Adam(rv.optimizers.schedules.ExponentialDecay(0.01, 3, 0.9)), loss, metrics=["accuracy"]
    )
    return model


def parts(x, rows):
    """These rows of whatever form data have."""
    if isinstance(x, dict):
        return {name: parts(a, rows) for name, a in x.items()}
    if isinstance(x, list) and isinstance(x[0], np.ndarray):
        return [parts(a, rows) for a in x]
    return None if x is None else np.asarray(x)[rows]


class Halt(Callback):
    """Stops its model when its loss is below a number."""

    def __init__(self, below):
        self.below = below

    def on_epoch_end(self, epoch, logs=None):
        if logs["loss"] < self.below:
            self.model.stop_training = True


# --- the bits that each model has alone -----------------------------------------------------------------------------

ROWS: dict[str, Any] = {
    "a grid": (classifier, X, Y, {"grid": {"units": [4, 8], "learning_rate": [1e-3, 1e-2]}}, {}),
    "dropout": (lambda: classifier(hidden=[lambda: rv.layers.Dropout(0.4)]), X, Y, {}, {}),
    "batch normalization": (lambda: classifier(hidden=[rv.layers.BatchNormalization]), X, Y, {}, {}),
    "noise and weight decay": (lambda: classifier(hidden=[lambda: rv.layers.GaussianNoise(0.1)], weight_decay=0.01), X, Y, {}, {}),
    "no shuffling, a batch that does not divide": (classifier, X, Y, {}, {"shuffle": False, "batch_size": 7}),
    "a batch beyond the fold": (classifier, X, Y, {}, {"batch_size": 1000}),
    "regression, built by the data": (regressor, X, VALUES, {}, {}),
    "float64 data, lists as targets": (classifier, X.astype(np.float64), Y.tolist(), {}, {}),
    "sample weights, some of them zero": (classifier, X, Y, {"weights": WEIGHTS}, {}),
    "validation_split": (classifier, X, Y, {}, {"validation_split": 0.25}),
    "validation_split and weights of classes": (
        classifier, X, Y, {"weights": WEIGHTS}, {"validation_split": 0.25, "class_weight": "balanced"},
    ),
    "callbacks that stop": (classifier, X, Y, {"callbacks": [Halt(1.0)]}, {"epochs": 30}),
    "steps_per_epoch": (classifier, X, Y, {}, {"steps_per_epoch": 2, "batch_size": 8}),
    "weights of classes": (classifier, X, Y, {}, {"class_weight": {0: 3.0, 2: 0.5}}),
    "balanced classes": (classifier, X, Y, {"weights": WEIGHTS}, {"class_weight": "balanced"}),
    "validation data": (classifier, X, Y, {}, {"validation_data": (RNG.normal(size=(20, F)), Y[:20])}),
    "mixed samples": (classifier, X, Y, {}, {"augment": rv.layers.MixUp(0.2)}),
    "balanced batches": (classifier, X, Y, {}, {"sampler": rv.data.BalancedSampler()}),
    "regularizers, constraints, a schedule": (regularized, X, Y, {}, {}),
    "several inputs and outputs": (two, [X[:, :2], X[:, 2:].astype(float)], {"kind": Y, "size": VALUES[:, :1]}, {}, {}),
    "a rule of one's own": (odd, X, Y, {"grid": {"twice": [False, True]}}, {}),
    "activations": (
        lambda activation: classifier(hidden=[lambda: rv.layers.Dense(8, activation=activation)]),
        X, Y, {"grid": {"activation": ["tanh", "relu", "elu"]}}, {},
    ),
    "losses": (smoothed, X, Y, {"grid": {"smoothing": [0.0, 0.1, 0.2]}}, {}),
    "metrics": (measured, X, Y, {"grid": {"level": [0.2, 0.5]}}, {}),
    "momentum": (lambda: classifier(optimizer=rv.optimizers.SGD, momentum=0.9), X, Y, {}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_every_model_has_the_bits_that_it_has_alone(name):
    build, x, y, special, options = ROWS[name]
    options = {"epochs": 3, "batch_size": 16, **options}
    weights, callbacks = special.get("weights"), special.get("callbacks")
    folds = folds_of(3, N, Y)
    results = rv.fit_many(
        build, x, y, seeds=2, folds=folds, grid=special.get("grid"), sample_weight=weights, callbacks=callbacks,
        threads=2, verbose=0, **options,
    )  # fmt: skip
    assert len(results) == 6 * len(grid_points(special.get("grid", {})))
    for row in results:
        assert row.variant.fold is not None
        train, held_out = folds[row.variant.fold]
        rv.set_seed(row.variant.seed)
        model = build(**row.variant.settings)
        history = model.fit(
            parts(x, train), parts(y, train), sample_weight=parts(weights, train), verbose=0,
            callbacks=None if callbacks is None else [Halt(1.0)], **options,
        )  # fmt: skip
        assert row.history == history.history
        for mine, alone in zip(row.model.get_weights(), model.get_weights(), strict=True):
            assert np.array_equal(mine, alone)
        scores = model.evaluate(
            parts(x, held_out), parts(y, held_out), sample_weight=parts(weights, held_out),
            batch_size=options["batch_size"], return_dict=True, verbose=0,
        )  # fmt: skip
        assert {k: row.metrics[f"val_{k}"] for k in scores} == scores


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_reference_engine_and_float64(dtype):
    """A dtype of the caller's thread alone holds in the threads that train, too."""
    rv.set_engine("reference")
    try:
        with dtype_scope(dtype):
            row = rv.fit_many(classifier, X, Y, seeds=[4], epochs=2, verbose=0)[0]
            rv.set_seed(4)
            alone = classifier()
            alone.fit(X, Y, epochs=2, verbose=0)
    finally:
        rv.set_engine(None)
    assert row.model.get_weights()[0].dtype == dtype
    assert all(map(np.array_equal, row.model.get_weights(), alone.get_weights()))


def test_the_number_of_threads_changes_nothing():
    one, three = (rv.fit_many(classifier, X, Y, seeds=7, epochs=2, threads=n, verbose=0) for n in (1, 3))
    for a, b in zip(one, three, strict=True):
        assert a.metrics == b.metrics
        assert all(map(np.array_equal, a.model.get_weights(), b.model.get_weights()))


def test_a_trained_model_is_a_model_like_any_other():
    row = rv.fit_many(classifier, X, Y, seeds=2, epochs=2, verbose=0)[1]
    before = row.model.evaluate(X, Y, return_dict=True, verbose=0)
    assert np.isclose(before["loss"], row.model.evaluate(X, Y, return_dict=True, verbose=0)["loss"])
    history = row.model.fit(X, Y, epochs=5, verbose=0).history["loss"]
    assert history[-1] < before["loss"]
    assert row.model.predict(X).shape == (N, K)
    assert np.array_equal(row.model.history.epoch, range(5))


def test_the_process_goes_on_as_if_nothing_had_been_drawn():
    rv.set_seed(5)
    expected = [rng.numpy_generator(p).integers(1 << 30) for p in ("shuffle", "initializer", "fit")]
    rv.set_seed(5)
    rv.fit_many(classifier, X, Y, seeds=[1, 2], epochs=1, verbose=0)
    assert [rng.numpy_generator(p).integers(1 << 30) for p in ("shuffle", "initializer", "fit")] == expected
    assert rng.get_seed() == 5


# --- who shares a program -------------------------------------------------------------------------------------------


@pytest.fixture
def compiled_graphs(monkeypatch):
    """The graphs that are compiled, from nothing."""
    graphs, compile = [], engines.compile

    def counting(graph, *args):
        graphs.append(graph)
        return compile(graph, *args)

    monkeypatch.setattr(engines, "_shared", {})
    monkeypatch.setattr(engines, "compile", counting)
    return graphs


SHARING: dict[str, Any] = {
    "seeds": (classifier, {"seeds": 4}, 1),
    "seeds and folds": (classifier, {"seeds": 2, "folds": 5}, 2),  # a step of training and one of evaluation
    "learning rates": (classifier, {"grid": {"learning_rate": [1e-3, 1e-2, 0.1]}}, 1),
    "units": (classifier, {"grid": {"units": [4, 5, 6]}}, 3),
    "units, rates, seeds and folds": (classifier, {"grid": {"units": [4, 5], "learning_rate": [0.1, 0.2]}, "seeds": 2, "folds": 3}, 4),
}  # fmt: skip


@pytest.mark.parametrize("name", SHARING)
def test_each_structure_is_compiled_once(name, compiled_graphs):
    build, settings, programs = SHARING[name]
    rv.fit_many(build, X, Y, epochs=2, verbose=0, **settings)
    assert len(compiled_graphs) == programs


@pytest.mark.parametrize(
    ("settings", "steps"),
    [({"seeds": 3, "folds": 2}, 2), ({"grid": {"level": [0.2, 0.3]}, "seeds": 3}, 2)],
    ids=["the same", "that differ"],
)
def test_models_whose_metrics_are_alike_share_their_steps(settings, steps, monkeypatch):
    """Not even their graph is built again."""
    built, build = [], step.build

    def counting(*args):
        built.append(args)
        return build(*args)

    monkeypatch.setattr(step, "build", counting)
    rv.fit_many(measured, X, Y, epochs=2, verbose=0, **settings)
    assert len(built) == steps


def test_a_model_that_differs_unseen_is_compiled_apart(compiled_graphs):
    """The same settings, and by the seed another network: the recorded calls differ."""

    class Scaled(rv.Module):
        def forward(self, x):
            return x * self.factor

    def build():
        layer = Scaled()
        layer.factor = float(rng.numpy_generator("user").integers(2, 5))
        return classifier(hidden=[lambda: layer])

    results = rv.fit_many(build, X, Y, seeds=4, epochs=2, verbose=0)
    assert 1 < len(compiled_graphs) <= 3
    for row in results:
        rv.set_seed(row.variant.seed)
        model = build()
        model.fit(X, Y, epochs=2, verbose=0)
        assert all(map(np.array_equal, model.get_weights(), row.model.get_weights()))


def test_data_are_shared_and_never_copied(monkeypatch):
    jobs, train = [], team.train

    def watching(job, interrupt):
        jobs.append(job)
        return train(job, interrupt)

    monkeypatch.setattr(team, "train", watching)
    rv.fit_many(classifier, X, Y.astype(np.int32), folds=4, seeds=2, epochs=1, verbose=0)
    assert len(jobs) == 8
    first = jobs[0].train
    for job in jobs:
        for data in (job.train, job.held_out):
            assert np.shares_memory(data.x[0], X)
            assert np.shares_memory(data.y[0], first.y[0])


# --- folds ----------------------------------------------------------------------------------------------------------

GROUPS = np.repeat(np.arange(15), 6)
SPLITTERS: dict[str, Any] = {
    "k": (KFold(4), None),
    "k in order": (KFold(4, shuffle=False), None),
    "stratified": (StratifiedKFold(4), None),
    "stratified in order": (StratifiedKFold(4, shuffle=False), None),
    "groups": (GroupKFold(4), GROUPS),
}


@pytest.mark.parametrize("name", SPLITTERS)
def test_every_row_is_held_out_once(name):
    splitter, groups = SPLITTERS[name]
    folds = splitter.split(X, Y, groups)
    assert len(folds) == 4
    assert np.array_equal(np.sort(np.concatenate([held for _, held in folds])), np.arange(N))
    for train, held_out in folds:
        assert np.array_equal(np.sort(np.concatenate([train, held_out])), np.arange(N))
        assert train.dtype == held_out.dtype == np.int32
    again = splitter.split(X, Y, groups)
    assert all(
        np.array_equal(a, b) for one, two in zip(folds, again, strict=True) for a, b in zip(one, two, strict=True)
    )


def test_strata_are_equal_to_a_row_and_groups_stay_whole():
    labels = np.repeat([0, 1, 2], [50, 30, 10])
    for _, held_out in StratifiedKFold(4).split(X, labels):
        counts = np.bincount(labels[held_out], minlength=3)
        assert (np.abs(counts - np.array([50, 30, 10]) / 4) < 1).all()
    sizes = [len(held) for _, held in StratifiedKFold(4).split(X, labels)]
    assert max(sizes) - min(sizes) <= 1
    for train, held_out in GroupKFold(4).split(X, groups=GROUPS):
        assert not set(GROUPS[train]) & set(GROUPS[held_out])


CHOICES: dict[str, Any] = {
    "labels": (3, Y, None, "stratified"),
    "one-hot": (3, np.eye(K)[Y], None, "stratified"),
    "strings": (3, np.array(["a", "b", "c"])[Y], None, "stratified"),
    "shares of yes": (3, (Y == 0).astype(np.float32), None, "stratified"),
    "labels in floats": (3, Y.astype(np.float64), None, "stratified"),
    "whole numbers that are no classes": (3, np.arange(N), None, "k"),
    "rows of a class for most folds": (5, np.repeat(np.arange(N // 4 + 1), 4)[:N], None, "k"),
    "values": (3, VALUES, None, "k"),
    "values in one column": (3, VALUES[:, :1], None, "k"),
    "groups": (3, Y, GROUPS, "groups"),
}


@pytest.mark.parametrize("name", CHOICES)
def test_a_number_of_folds_chooses_the_splitter(name):
    k, y, groups, kind = CHOICES[name]
    splitter = {"stratified": StratifiedKFold, "k": KFold, "groups": GroupKFold}[kind](k)
    expected = splitter.split(X, Y if kind != "stratified" or name != "shares of yes" else Y == 0, groups)
    for mine, wanted in zip(folds_of(k, N, y, groups), expected, strict=True):
        assert np.array_equal(mine[1], wanted[1])


def test_folds_are_taken_as_pairs_masks_and_splitters():
    mask = np.arange(N) % 2 == 0
    ((train, held_out),) = folds_of([(mask, ~mask)], N)
    assert np.array_equal(train, np.arange(0, N, 2))
    assert np.array_equal(held_out, np.arange(1, N, 2))
    ((train, held_out),) = folds_of([([3, 1, 2], np.array([5, 4]))], N)
    assert train.tolist() == [3, 1, 2]
    assert held_out.tolist() == [5, 4]

    class Half:
        def split(self, x, y=None, groups=None):
            yield np.arange(len(x) // 2), np.arange(len(x) // 2, len(x))

    assert [len(side) for side in folds_of(Half(), N, Y)[0]] == [N // 2, N // 2]


# --- variants, distributions ----------------------------------------------------------------------------------------


def test_variants_are_settings_times_folds_times_seeds():
    found = variants_of(grid_points({"a": [1, 2]}), 2, 3)
    assert len(found) == 12
    assert found[:3] == [Variant({"a": 1}, 0, 0), Variant({"a": 1}, 1, 0), Variant({"a": 1}, 0, 1)]
    assert str(found[0]) == "a=1, seed=0, fold=0"
    explicit = [Variant({"a": 1}, 9), {"a": 5}]
    assert variants_of(explicit, [3, 4], None) == [Variant({"a": 1}, 9), Variant({"a": 5}, 3), Variant({"a": 5}, 4)]
    assert grid_points([{"a": [1]}, {"b": np.array([0.5, 2.0])}]) == [{"a": 1}, {"b": 0.5}, {"b": 2.0}]
    assert type(grid_points({"b": np.array([1])})[0]["b"]) is int
    assert seeds_of(3) == [0, 1, 2]


def test_an_explicit_list_is_trained_in_its_order():
    wanted = [Variant({"units": 4}, 3, 1), Variant({"units": 4}, 3, None), Variant({"units": 5}, 8, 0)]
    results = rv.fit_many(classifier, X, Y, wanted, folds=2, epochs=1, verbose=0)
    assert [row.variant for row in results] == wanted
    assert ["val_loss" in row.metrics for row in results] == [True, False, True]


DRAWS: dict[str, Any] = {
    "uniform": (uniform(-1, 3), lambda v: -1 <= v <= 3, 1.0),
    "log_uniform": (log_uniform(1e-4, 1e-1), lambda v: 1e-4 <= v <= 1e-1, None),
    "integers": (integers(2, 5), lambda v: v in (2, 3, 4, 5) and type(v) is int, 3.5),
    "list": (["a", "b"], lambda v: v in ("a", "b"), None),
    "array": (np.array([1, 2]), lambda v: v in (1, 2) and type(v) is int, 1.5),
}


@pytest.mark.parametrize("name", DRAWS)
def test_draws(name):
    given, holds, mean = DRAWS[name]
    space = {"v": given, "other": uniform(0, 1)}  # so that no two settings are the same
    values = [point["v"] for point in draw_points(space, 400, 0)]
    assert all(map(holds, values))
    assert mean is None or abs(np.mean(values) - mean) < 0.2
    assert len(set(values)) > 1
    assert [p["v"] for p in draw_points(space, 10, 0)] == values[:10]
    assert [p["v"] for p in draw_points(space, 400, 1)] != values


def test_no_setting_is_tried_twice():
    assert grid_points([{"units": [4, 4], "act": [[1], [1], [2]]}, {"units": [4], "act": [[2], [3]]}]) == [
        {"units": 4, "act": [k]} for k in (1, 2, 3)
    ]
    assert grid_points(part for part in [{"units": [4]}]) == [{"units": 4}]
    for space in ({"units": [2, 4]}, {"units": integers(2, 3)}, {"units": choice([[2], [4]])}):
        with pytest.warns(UserWarning, match="no more than 2 settings, and n=6.*Write n=2"):
            drawn = draw_points(space, 6, 0)
        assert len(drawn) == 2
        assert drawn[0] != drawn[1]
    longer = draw_points({"units": integers(1, 50)}, 40, 1)
    assert len({point["units"] for point in longer}) == 40
    assert longer[:10] == draw_points({"units": integers(1, 50)}, 10, 1)


def test_log_uniform_is_even_over_magnitudes():
    values = np.array([p["v"] for p in draw_points({"v": log_uniform(1e-4, 1e-1)}, 3000, 0)])
    shares = np.histogram(np.log10(values), bins=[-4, -3, -2, -1])[0] / 3000
    assert np.allclose(shares, 1 / 3, atol=0.03)


# --- intervals ------------------------------------------------------------------------------------------------------

# Two-sided quantiles of Student's t, as statistical tables have them.
TABLE = [
    (0.95, 1, 12.706), (0.95, 2, 4.303), (0.95, 4, 2.776), (0.95, 9, 2.262), (0.95, 30, 2.042), (0.99, 4, 4.604),
    (0.90, 7, 1.895), (0.95, 1000, 1.962),
]  # fmt: skip


@pytest.mark.parametrize(("confidence", "df", "value"), TABLE)
def test_student(confidence, df, value):
    assert abs(student_t(confidence, df) - value) < 6e-4


def test_estimates():
    values = [0.9, 0.8, 0.85, 0.95]
    found: Any = estimate(values)
    half = 3.1824463 * np.std(values, ddof=1) / 2
    assert found.n == 4
    assert [found.mean, found.low, found.high] == pytest.approx([0.875, 0.875 - half, 0.875 + half])
    assert str(found) == f"0.8750 ± {half:.4f}"
    wide = estimate(values, overlap=1 / 3)
    assert (wide.high - wide.mean) / half == pytest.approx(math.sqrt((1 / 4 + 1 / 3) * 4))
    alone: Any = estimate([0.5])
    assert alone.mean == 0.5
    assert alone.n == 1
    assert math.isnan(alone.low)
    assert str(alone) == "0.5000"


# --- results --------------------------------------------------------------------------------------------------------


def never(*args: Any, **options: Any) -> Any:
    raise AssertionError("nothing is trained here")


def rows_of(values, name="val_accuracy"):
    """Rows with these scores: a list for each setting."""
    return [
        Trained(Variant({"units": u}, s), metrics={"loss": 1 - v, name: v}, seconds=0.5)
        for u, scores in values.items()
        for s, v in enumerate(scores)
    ]


BEST: dict[str, Any] = {
    "accuracy": ({"monitor": None}, "val_accuracy", {1: [0.5, 0.7], 2: [0.9, 0.7]}, 2),
    "a loss by its name": ({"monitor": None}, "val_loss", {1: [0.5, 0.7], 2: [0.9, 0.7]}, 1),
    "an error by its name": ({"monitor": "val_rmse"}, "val_rmse", {1: [0.5, 0.7], 2: [0.9, 0.7]}, 1),
    "mode": ({"monitor": "val_odd", "mode": "min"}, "val_odd", {1: [0.5, 0.7], 2: [0.9, 0.7]}, 1),
    "a class by its name": (
        {"monitor": "val_ece", "metrics": {"ece": rv.metrics.ExpectedCalibrationError(name="ece")}},
        "val_ece",
        {1: [0.5, 0.7], 2: [0.9, 0.7]},
        1,
    ),
    "a class behind an output's name": (
        {"monitor": "val_kind_bce", "metrics": {"bce": rv.metrics.get("bce")}},
        "val_kind_bce",
        {1: [0.5, 0.7], 2: [0.9, 0.7]},
        1,
    ),
    "another metric": ({"monitor": "loss"}, "val_accuracy", {1: [0.5, 0.7], 2: [0.9, 0.7]}, 2),
}


class Cost(rv.metrics.SampleMean):
    """A metric whose name does not say which way is better."""

    def values(self, y_true, y_pred):
        return y_pred


@pytest.mark.parametrize("case", BEST)
def test_the_best_setting(case):
    options, name, values, best = BEST[case]
    results = Results(never, rows_of(values, name), **options)
    assert results.best.settings == {"units": best}
    assert [s.settings["units"] for s in results.settings()] == [best, 3 - best]
    assert results.best.metrics[name].mean == pytest.approx(np.mean(values[best]))


@pytest.mark.parametrize("name", ["bce", "kld", "msle", "logcosh", "mape"])
def test_the_best_has_the_least_error_whatever_it_is_called(name):
    def build(units):
        model = rv.Sequential([rv.layers.Dense(units, input_shape=(F,)), rv.layers.Dense(2, activation="sigmoid")])
        model.compile("adam", "mse", metrics=[name])
        return model

    results = grid_search(
        build, X, Y[:, None] == [0, 1], grid={"units": [2, 9]}, folds=2, epochs=2, verbose=0, ignore="RV"
    )
    means = [setting.metrics[f"val_{name}"].mean for setting in results.settings()]
    assert means == sorted(means)


def test_a_monitor_that_is_not_measured_is_reported_before_training():
    models = []

    def build():
        models.append(classifier())
        return models[-1]

    with pytest.raises(ValueError, match="not measured"):
        rv.fit_many(build, X, Y, seeds=3, epochs=1, monitor="val_acuracy", validation_split=0.1, verbose=0)
    assert [model.optimizer.iterations for model in models] == [0]
    rv.fit_many(build, X, Y, epochs=1, monitor="val_accuracy", validation_split=0.1, verbose=0)
    added = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(mine_score=epoch))
    found = rv.fit_many(build, X, Y, epochs=1, monitor="mine_score", callbacks=added, verbose=0)
    assert found.best.metrics["mine_score"].mean == 0


def test_models_that_failed_say_nothing_of_the_monitor():
    """The first one, whose loss became NaN in its second epoch, has no results on held-out rows."""
    found = rv.fit_many(
        classifier, X, Y, variants=[{"learning_rate": 1e38, "optimizer": rv.optimizers.SGD}, {}], folds=2, epochs=2,
        batch_size=45, monitor="val_accuracy", threads=1, verbose=2,
    )  # fmt: skip
    assert found[0].error is not None
    assert found.best.settings == {}


def test_the_loss_of_an_output_is_no_metric():
    rows = [Trained(Variant(), metrics=dict.fromkeys(("val_loss", "val_c_loss", "val_c_accuracy"), 0.5))]
    assert Results(never, rows).monitor == "val_c_accuracy"
    del rows[0].metrics["val_c_accuracy"]
    assert Results(never, rows).monitor == "val_loss"


def test_the_mode_is_required_where_it_is_unknown():
    def build(units):
        model = classifier(units)
        model.compile("adam", "sparse_categorical_crossentropy", metrics=[Cost()])
        return model

    results = rv.fit_many(build, X, Y, grid={"units": [4, 5]}, epochs=1, monitor="cost", verbose=2)
    assert repr(results) == "Results(2 models of 2 settings)"
    with pytest.raises(ValueError, match="Write mode='min' or mode='max'"):
        results.best
    results.mode = "min"
    assert [s.metrics["cost"].mean for s in results.settings()] == sorted(r.metrics["cost"] for r in results)


def test_results_as_tables(capsys):
    results = Results(never, rows_of({16: [0.5, 0.7], 32: [0.9, 0.7]}))
    records = results.records()
    assert records[0] == {
        "units": 16, "seed": 0, "fold": None, "loss": 0.5, "val_accuracy": 0.5, "seconds": 0.5, "error": None,
    }  # fmt: skip
    assert list(results.to_dict()) == list(records[0])
    assert results.to_dict()["units"] == [16, 16, 32, 32]
    results.table()
    text = capsys.readouterr().out
    assert text.index("0.8000 ±") < text.index("0.6000 ±")
    assert "<td>0.8000 ± 1.2706</td>" in results._repr_html_()
    assert "best val_accuracy 0.8000" in repr(results)
    assert len(results[1:3]) == 2


def test_a_setting_may_be_called_as_a_metric():
    rows = [Trained(Variant({"loss": "mse", "seed": 3}, 1), metrics={"loss": 0.5})]
    record = Results(never, rows).records()[0]
    assert record["loss"] == 0.5
    assert record["setting_loss"] == "mse"
    assert (record["setting_seed"], record["seed"]) == (3, 1)


def test_refit_trains_the_best_on_every_row():
    results = grid_search(classifier, X, Y, grid={"units": [4, 8]}, folds=3, seeds=[3], epochs=3, verbose=0)
    assert [row.model for row in results] == [None] * 6
    model = results.refit()
    rv.set_seed(3)
    alone = classifier(**results.best.settings)
    alone.fit(X, Y, epochs=3, verbose=0)
    assert all(map(np.array_equal, model.get_weights(), alone.get_weights()))
    longer = results.refit({"units": 5}, seed=1, epochs=4)
    assert len(longer.history.epoch) == 4
    assert longer.layers[0].kernel.shape == (F, 5)


def test_searches():
    cross = cross_validate(classifier, X, Y, settings={"units": 5}, folds=3, seeds=2, epochs=2, verbose=0)
    assert len(cross) == 6
    assert cross.best.metrics["val_accuracy"].n == 6
    assert cross[0].model is not None
    space = {"units": integers(3, 5), "learning_rate": log_uniform(1e-3, 1e-1)}
    few, more = (random_search(classifier, X, Y, space=space, n=n, folds=2, epochs=1, verbose=0) for n in (2, 3))
    assert [row.metrics for row in more[:4]] == [row.metrics for row in few]
    assert len(more.settings()) == 3


def test_settings_of_fit_go_to_fit():
    grid = {"batch_size": [16, 30], "epochs": [2, 3]}
    results = rv.fit_many(lambda: classifier(), X, Y, grid=grid, epochs=9, verbose=0)  # noqa: PLW0108  # takes nothing
    for row in results:
        rv.set_seed(0)
        alone = classifier()
        alone.fit(X, Y, verbose=0, **row.variant.settings)
        assert all(map(np.array_equal, row.model.get_weights(), alone.get_weights()))
    assert len(results.refit({"epochs": 4}).history.epoch) == 4


def test_validation_data_are_what_validate_asks_for():
    row = rv.fit_many(classifier, X, Y, validate=True, validation_data=(X[:30] + 0.1, Y[:30]), epochs=2, verbose=0)[0]
    assert len(row.history["val_loss"]) == 2


def test_results_in_a_pickle():
    failed = rv.training.NonFiniteLoss("NaN", epoch=1, step=2, op="log", layer=None, phase="forward")
    results = grid_search(classifier, X, Y, grid={"units": [4, 5]}, folds=2, epochs=1, verbose=0)
    results.rows[0].error = failed
    again = pickle.loads(pickle.dumps(results))
    assert again.to_dict() == results.to_dict()
    assert again.best.settings == results.best.settings
    assert (str(again[0].error), again[0].error.step) == ("NaN", 2)
    with pytest.raises(RuntimeError, match=r"Write model = build\(\*\*results.best.settings\)"):
        again.refit()


def test_nan_is_not_the_best_so_far():
    rows = [Trained(Variant({}, i), metrics={"loss": value}) for i, value in enumerate((math.nan, 0.5, 0.7))]
    assert Results(never, rows).so_far() == {"best loss": 0.5}


def test_each_model_has_its_own_callbacks():
    made = []

    def callbacks():
        made.append(Halt(1.05))
        return made[-1:]

    results = rv.fit_many(classifier, X, Y, seeds=4, epochs=40, callbacks=callbacks, verbose=0)
    assert [c.model for c in made] == [row.model for row in results]
    epochs = [len(row.history["loss"]) for row in results]
    assert len(set(epochs)) > 1
    assert max(epochs) < 40


class Crash(Callback):
    """Stands for the end of the process."""

    def __init__(self, armed):
        self.step_interval = 5 if armed else None

    def on_step(self, epoch, step, logs=None):
        raise LookupError


def test_each_model_writes_and_resumes_its_own(tmp_path):
    def run(armed, threads=2):
        def callbacks(variant):
            name, c = variant.name, rv.callbacks
            kept = c.BackupAndRestore(tmp_path / name, save_freq=2)
            return [c.ModelCheckpoint(tmp_path / f"{name}.model"), Crash(armed and variant.fold == 1), kept]

        return rv.fit_many(
            classifier, X, Y, seeds=2, folds=2, epochs=3, callbacks=callbacks, threads=threads, verbose=0
        )

    with pytest.raises(LookupError):
        run(True, threads=1)
    resumed = run(False)
    plain = rv.fit_many(classifier, X, Y, seeds=2, folds=2, epochs=3, verbose=0)
    for row, other in zip(resumed, plain, strict=True):
        assert row.history == other.history
        saved = rv.load_model(tmp_path / f"{row.variant.name}.model")
        for model in (row.model, saved):
            assert all(map(np.array_equal, model.get_weights(), other.model.get_weights()))


def test_names_of_variants_are_names_of_files():
    assert Variant({"units": 8, "rate": 0.00012345678}, 1, 2).name == "units=8,rate=0.00012345678,seed=1,fold=2"
    odd = [Variant({"a": value}).name for value in ("x/y", "x y", "x?y", "l" * 300, math.tanh, [1, "b"])]
    assert len(set(odd)) == len(odd)
    assert not [name for name in odd if set(name) & set("/ ?[]'") or len(name) > 150]


class Peek(Callback):
    """Uses its model while others are built, traced and trained."""

    def on_epoch_end(self, epoch, logs=None):
        self.seen = [self.model.predict(X[:5]), self.model.evaluate(X, Y, verbose=0)]


@pytest.mark.parametrize("more", range(3))
def test_callbacks_may_use_their_models_meanwhile(more):
    peeks = [Peek() for _ in range(8)]
    given = iter(peeks)
    results = rv.fit_many(
        lambda units: classifier(units, hidden=[lambda: rv.layers.Dropout(0.2)]), X, Y, seeds=4,
        grid={"units": [6 + more, 20 + more]}, epochs=4, threads=3, callbacks=lambda: [next(given)], verbose=0,
    )  # fmt: skip
    for row, peek in zip(results, peeks, strict=True):
        assert peek.model is row.model
        assert np.array_equal(peek.seen[0], row.model.predict(X[:5]))
        rv.set_seed(row.variant.seed)
        alone = classifier(row.variant.settings["units"], hidden=[lambda: rv.layers.Dropout(0.2)])
        alone.fit(X, Y, epochs=4, verbose=0)
        assert all(map(np.array_equal, alone.get_weights(), row.model.get_weights()))
        assert peek.seen[1] == alone.evaluate(X, Y, verbose=0)


def test_held_out_rows_may_be_watched():
    results = rv.fit_many(classifier, X, Y, folds=3, epochs=4, validate=True, verbose=0)
    for row in results:
        assert len(row.history["val_loss"]) == 4
        assert row.metrics["val_loss"] == row.history["val_loss"][-1]


# --- what goes wrong ------------------------------------------------------------------------------------------------


def test_nan_in_one_model_is_recorded_and_the_others_go_on(capsys):
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = rv.fit_many(
            lambda learning_rate: classifier(learning_rate=learning_rate, optimizer=rv.optimizers.SGD),
            X, Y, folds=3, grid={"learning_rate": [1e38, 0.1]}, epochs=3, verbose=0,
        )  # fmt: skip
    bad, good = results[:3], results[3:]
    assert all(isinstance(row.error, rv.training.NonFiniteLoss) for row in bad)
    assert all(row.error is None for row in good)
    assert all(np.isfinite(w).all() for row in results for w in row.model.get_weights())
    assert results.best.settings == {"learning_rate": 0.1}
    assert [s.failed for s in results.settings()] == [0, 3]
    assert "loss" in results.records()[0]["error"]
    results.table()
    assert "failed" in capsys.readouterr().out


def test_nothing_but_nan_has_no_best():
    rows = [Trained(Variant({}, 0), error=FloatingPointError("NaN"))]
    with pytest.raises(ValueError, match="1 of 1 models failed"):
        Results(never, rows).best


class Explode(Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise LookupError("mine")


MODEL = classifier()
WRONG: dict[str, Any] = {
    "grid and variants": ({"grid": {"units": [4]}, "variants": [{"units": 5}]}, ValueError, "Write one of them"),
    "variants as a dict": ({"variants": {"units": [4]}}, TypeError, r"\[\{...\}, ...\], or grid="),
    "a variant that is none": ({"variants": [4]}, TypeError, "Write dicts of settings"),
    "a fold that does not exist": ({"variants": [Variant({}, 0, 7)], "folds": 3}, ValueError, "there are 3 folds"),
    "a fold without folds": ({"variants": [Variant({}, 0, 1)]}, ValueError, "no folds were given"),
    "no variants": ({"variants": []}, ValueError, "no variant"),
    "an empty grid list": ({"grid": {"units": []}}, ValueError, r"grid\['units'\] is empty"),
    "a grid of numbers": ({"grid": {"units": 4}}, TypeError, r"\[4\]"),
    "a variant twice": ({"variants": [{"units": 4}, {"units": 4}]}, ValueError, "twice, whose models would be equal.*seeds=2"),
    "no seeds": ({"seeds": 0}, ValueError, "1 or more"),
    "seeds twice": ({"seeds": [1, 1]}, ValueError, "different whole numbers"),
    "negative seed": ({"seeds": [-1]}, ValueError, "0 or more"),
    "one fold": ({"folds": 1}, ValueError, "n_splits=1"),
    "more folds than rows": ({"folds": 91, "groups": None, "y": VALUES, "build": regressor}, ValueError, "90 rows cannot make 91"),
    "folds by name": ({"folds": "kfold"}, TypeError, "write a number, a splitter"),
    "no folds at all": ({"folds": []}, ValueError, "folds is empty"),
    "a fold beyond the rows": ({"folds": [([0, 1], [90])]}, ValueError, "row 90"),
    "a row on both sides": ({"folds": [([0, 1], [1, 2])]}, ValueError, "row 1 of fold 0"),
    "an empty side": ({"folds": [([0, 1], [])]}, ValueError, "held-out side of fold 0"),
    "a mask of another length": ({"folds": [(np.ones(5, bool), [7])]}, ValueError, "a mask of 90 bools"),
    "groups of another length": ({"folds": GroupKFold(3), "groups": [1, 2]}, ValueError, "Write groups=array"),
    "validate without folds": ({"validate": True}, ValueError, "folds=5"),
    "a generator": ({"x": iter([])}, TypeError, "Write arrays instead"),
    "resume": ({"resume": "backup"}, ValueError, "fit_many starts several"),
    "threads": ({"threads": 0}, ValueError, "threads is 0"),
    "a build without return": ({"build": lambda: None}, TypeError, "return model"),
    "one model for all": ({"build": lambda: MODEL, "seeds": 2}, ValueError, "makes new layers"),
    "an unknown setting": ({"grid": {"unitz": [4]}}, TypeError, "unitz"),
    "an unknown option": ({"epoch": 4, "build": never}, TypeError, "fit_many has no argument 'epoch'. Write epochs= instead"),
    "an option of others": ({"n_jobs": 2, "build": never}, TypeError, "Write threads= instead"),
    "not compiled": ({"build": lambda: rv.Sequential([rv.layers.Dense(3)])}, RuntimeError, "model.compile"),
    "lengths": ({"y": Y[:50]}, ValueError, "50"),
    "a fold of weight zero": ({"folds": 2, "sample_weight": np.zeros(N) + (np.arange(N) == 0)}, ValueError, "zero for all 45 samples of the (training|held-out) side"),
    "monitor": ({"monitor": "val_f1", "folds": 2}, ValueError, "'val_f1' is not measured. Write one of loss, accuracy, val_loss"),
    "monitor without folds": ({"monitor": "val_accuracy"}, ValueError, "Write folds=5"),
    "monitor of callbacks": ({"monitor": "f1", "callbacks": Callback(), "seeds": 99}, ValueError, "'f1' is not measured"),
    "mode": ({"mode": "best"}, ValueError, "'min', 'max'"),
    "one file for several models": ({"callbacks": [rv.callbacks.CSVLogger("log.csv")], "seeds": 2}, ValueError, r"variant seed=0 and for seed=1.*variant.name"),
    "one folder for several models": ({"callbacks": lambda: rv.callbacks.BackupAndRestore("b"), "seeds": 2}, ValueError, r"\[BackupAndRestore\(f'b/"),
    "a model for a function": ({"build": classifier()}, TypeError, "build is the model 'sequential.*Write a function that builds"),
    "a setting that is none": ({"build": lambda units=4: classifier(units), "grid": {"batch_sise": [4]}}, TypeError, "has no argument 'batch_sise'. Write batch_size= instead"),
    "variants as a number": ({"variants": 3}, TypeError, r"variants=3: write a list of settings"),
    "validation twice": ({"folds": 2, "validate": True, "validation_data": (X, Y)}, ValueError, "Write one of them"),
    "classes of another length": ({"folds": 2, "y": Y[:50]}, ValueError, "class of each of the 90 rows, and y has 50"),
    "a callback's own error": ({"callbacks": Explode(), "seeds": 3}, LookupError, "mine"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_errors_say_what_to_write(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where those write that are refused after the first of them
    given, kind, words = WRONG[name]
    arguments = {"build": classifier, "x": X, "y": Y, "epochs": 1, "verbose": 0, **given}
    before = threading.active_count()
    with pytest.raises(kind, match=words):
        rv.fit_many(**arguments).best
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("search", "given", "words"),
    [
        (random_search, {"space": {}, "n_iter": 3}, "random_search has no argument 'n_iter'. Write n= instead"),
        (grid_search, {"grid": {}, "cv": 3}, "grid_search has no argument 'cv'. Write folds= instead"),
        (grid_search, {"grid": None}, "a grid is a dict, not None"),
        (cross_validate, {"setting": {}}, "cross_validate has no argument 'setting'. Write settings= instead"),
    ],
)  # fmt: skip
def test_searches_name_arguments_that_they_lack(search, given, words):
    with pytest.raises(TypeError, match=words):
        search(never, X, Y, **given)


def test_a_mistake_is_reported_once_for_all_models():
    def doubtful(units):
        model = rv.Sequential([rv.layers.Dense(units, input_shape=(F,)), rv.layers.Dense(K, activation="softmax")])
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    with pytest.warns(rv.training.PreflightWarning, match="units|nothing between|linear") as caught:
        rv.fit_many(doubtful, X, Y, seeds=2, folds=2, grid={"units": [4, 5]}, epochs=1, verbose=0)
    assert len(caught) == 1


def test_a_mistake_in_one_setting_stops_all():
    def build(outputs):
        model = rv.Sequential([rv.layers.Dense(outputs, input_shape=(F,), activation="sigmoid")])
        model.compile("adam", "binary_crossentropy")
        return model

    with pytest.raises(ValueError, match="y") as caught:
        rv.fit_many(build, X, (Y == 0).astype(float), grid={"outputs": [1, 2]}, epochs=1, verbose=0)
    assert caught.value.__notes__ == ["(in the variant outputs=2, seed=0)"]


def test_an_error_names_its_variant():
    with pytest.raises(LookupError) as caught:
        rv.fit_many(classifier, X, Y, seeds=[3], callbacks=Explode(), epochs=1, verbose=0)
    assert caught.value.__notes__ == ["(in the variant seed=3)"]


SPACES: dict[str, Any] = {
    "a number": ({"units": 4}, TypeError, "a list of values"),
    "bounds reversed": (lambda: {"units": integers(5, 2)}, ValueError, "the lower first"),
    "a log of zero": (lambda: {"rate": log_uniform(0, 1)}, ValueError, "above 0"),
    "broken whole numbers": (lambda: {"units": integers(1.5, 3)}, ValueError, "two whole numbers"),
    "no dict": ([1], TypeError, "a space is a dict"),
    "a bound in words": (lambda: {"rate": uniform("a", 1)}, ValueError, "write two numbers"),
    "a choice of nothing but one": (lambda: {"units": choice(3)}, TypeError, r"choice\(3\): write a list of values"),
}


@pytest.mark.parametrize("name", SPACES)
def test_spaces_that_are_none(name):
    space, kind, words = SPACES[name]
    with pytest.raises(kind, match=words):
        random_search(classifier, X, Y, space=space() if callable(space) else space, n=1, verbose=0)


def test_a_seed_that_is_none():
    with pytest.raises(ValueError, match="seed=-1: write a whole number of 0 or more"):
        random_search(classifier, X, Y, space={"units": [4]}, seed=-1, verbose=0)


def test_strata_need_classes():
    with pytest.raises(ValueError, match="class of each of the 90 rows, and y is None"):
        StratifiedKFold(3).split(X)


def test_progress(capsys):
    rv.fit_many(classifier, X, Y, seeds=3, folds=2, epochs=1, verbose=2)
    assert "6 models  best val_accuracy 0." in capsys.readouterr().out


INTERRUPT = """
import os, signal, sys, threading, time
import numpy as np, ranvier as rv
from tests.search.test_search import X, Y, classifier
class First(rv.training.Callback):
    left = 3
    def on_epoch_end(self, epoch, logs=None):
        if First.left > 0 and epoch == 2:
            First.left -= 1
            self.model.stop_training = True
        elif epoch == 300 and not hasattr(First, "at"):
            First.at = time.process_time()  # a busy machine is not late
            os.kill(os.getpid(), signal.SIGINT)
try:
    rv.fit_many(classifier, X, Y, seeds=8, epochs=10**7, callbacks=First, threads=2, verbose=0)
except KeyboardInterrupt as stop:
    assert time.process_time() - First.at < 0.5, "late"
    assert len(stop.results) == 3, len(stop.results)
    assert all(len(row.history["loss"]) == 3 for row in stop.results)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert threading.active_count() == 1
    rv.fit_many(classifier, X, Y, seeds=2, epochs=1, verbose=0)
    print("good")
"""


def test_ctrl_c_ends_all_at_once_and_keeps_what_was_finished():
    result = subprocess.run([sys.executable, "-c", INTERRUPT], check=False, capture_output=True, text=True, timeout=120)
    assert result.stdout == "good\n", result.stdout + result.stderr


def test_ctrl_c_in_build(capsys):
    calls = []

    def build():
        calls.append(1)
        if len(calls) == 4:
            signal.raise_signal(signal.SIGINT)
        return classifier()

    with pytest.raises(Interrupted) as caught:
        rv.fit_many(build, X, Y, seeds=20, epochs=2, threads=1, verbose=2)
    assert len(caught.value.results) < 20
    assert "Stopped by Ctrl-C after" in capsys.readouterr().out

"""A run that is stopped anywhere and resumed ends in the same bits as a run without a stop."""

import os
import platform
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ranvier as rv
from ranvier import callbacks as c
from ranvier import optimizers
from ranvier.optimizers import schedules
from ranvier.tensor.rng import SeedState, chosen_seed, seed_scope
from ranvier.training import CheckpointError, NonFiniteLoss, ResumeMismatch
from tests import processes

RNG = np.random.default_rng(0)
N, F, K = 100, 6, 3
X = RNG.normal(size=(N, F)).astype(np.float32)
Y = X[:, :K].argmax(1)
L = rv.layers


@pytest.fixture(autouse=True)
def engine():
    rv.set_engine("reference")
    rv.set_seed(0)
    yield
    rv.set_engine(None)
    rv.set_dtype("float32")


def network(*hidden, optimizer="adam", outputs=K, **settings):
    made = hidden or (L.Dense(8, activation="tanh"), L.Dropout(0.3))
    model = rv.Sequential([rv.Input((F,)), *made, L.Dense(outputs, activation="softmax")])
    chosen = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy", "recall"], **settings}
    model.compile(optimizer, **chosen)
    return model


def torch_network():
    import ranvier.torch.nn as nn

    model = nn.Sequential(nn.Linear(F, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, K))
    model.compile(optimizers.AdamW(), nn.CrossEntropyLoss())
    return model


def float64():
    rv.set_dtype("float64")
    return network()


class Own(rv.Module):
    """A layer with a tensor that a step writes and no state dict holds."""

    def __init__(self):
        super().__init__()
        self.register_buffer("count", rv.Tensor(np.zeros((), np.float32)), persistent=False)

    def forward(self, x):
        if self.training:
            self.count.assign(self.count + 1.0)
        return x * (1.0 + 0.01 * self.count)


class Two(rv.Module):
    """Two inputs and two outputs."""

    def __init__(self):
        super().__init__()
        self.left, self.right = L.Dense(8, activation="tanh"), L.Dense(8, kernel_regularizer="l2")
        self.drop, self.value, self.kind = L.Dropout(0.3), L.Dense(1), L.Dense(K, activation="softmax")

    def forward(self, a, b):
        hidden = self.drop(self.left(a) + self.right(b))
        return {"value": self.value(hidden), "kind": self.kind(hidden)}


def two():
    model = Two()
    losses = {"value": "mse", "kind": "sparse_categorical_crossentropy"}
    model.compile(optimizers.Adam(clipnorm=1.0), loss=losses, metrics={"kind": ["accuracy"]})
    return model


class Thaw(c.Callback):
    """Freezes a layer, and thaws it in the second epoch."""

    def on_train_begin(self, logs=None):
        self.model.layers[-1].trainable = False

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            self.model.layers[-1].trainable = True


class Decay(c.Callback):
    """Changes a setting of the optimizer that is part of the program, and knows how often."""

    def __init__(self):
        self.times = 0

    def on_train_batch_end(self, batch, logs=None):
        self.times += 1
        if self.times % 3 == 0:
            self.model.optimizer.weight_decay = 0.01 * self.times

    def state(self):
        return {"times": self.times}

    def set_state(self, state):
        self.times = state["times"]


class Flat:
    """A loader in Keras's style: batches by number."""

    def __len__(self):
        return 4

    def __getitem__(self, i):
        part = slice(25 * i, 25 * i + 25 - 10 * (i == 1))
        return X[part], Y[part]


def endless():
    """An augmentation that draws from NumPy's global generator."""
    while True:
        rows = np.random.randint(0, N, 20)  # noqa: NPY002
        yield X[rows] + np.float32(0.1) * np.random.standard_normal((20, F)).astype(np.float32), Y[rows]  # noqa: NPY002


def loader():
    from ranvier.torch.utils.data import DataLoader, TensorDataset

    return DataLoader(TensorDataset(X, Y), batch_size=30, shuffle=True)


def own_generator(dataset=None):
    """A loader that shuffles by a generator of its own."""
    import ranvier.torch as torch
    from ranvier.torch.utils.data import DataLoader, TensorDataset

    dataset = dataset or TensorDataset(X, Y)
    return DataLoader(dataset, batch_size=30, shuffle=True, generator=torch.Generator().manual_seed(7))


def sampled():
    """A loader whose sampler draws from a generator of its own."""
    import ranvier.torch as torch
    from ranvier.torch.utils import data

    sampler = data.WeightedRandomSampler(np.ones(N), N, generator=torch.Generator().manual_seed(7))
    return data.DataLoader(data.TensorDataset(X, Y), batch_size=30, sampler=sampler)


class Samples:
    """A data set that you wrote, one sample at a time."""

    def __len__(self):
        return N

    def __getitem__(self, i):
        return X[i], Y[i]


class Lists:
    """Shuffled by Python's global generator in each epoch."""

    def __iter__(self):
        import random

        rows = list(range(N))
        random.shuffle(rows)
        return ((X[rows[i : i + 25]], Y[rows[i : i + 25]]) for i in range(0, N, 25))


class Reshuffled(rv.utils.PyDataset):
    """A data set that changes between epochs, by NumPy's global generator."""

    def __init__(self):
        super().__init__()
        self.rows = np.arange(N)

    def __len__(self):
        return 4

    def __getitem__(self, i):
        part = self.rows[25 * i : 25 * i + 25]
        return X[part], Y[part]

    def on_epoch_end(self):
        np.random.shuffle(self.rows)  # noqa: NPY002


def of_sizes():
    """Batches of several sizes, of which a program made for larger ones would take two as one."""
    for _ in range(3):
        for start, size in ((0, 16), (16, 20), (36, 16), (52, 16)):
            yield X[start : start + size], Y[start : start + size]


WATCHED = {"validation_data": (X[:30], Y[:30]), "ignore": "RV"}
EVERY = {"stops": range(1, 13), "epochs": 3}  # 4 steps an epoch
# A step within an epoch, the last of one, the first of another, the last but one and the last of all.
SOME = {"stops": (2, 4, 5, 11, 12), "epochs": 3}
THREES = (2, 3, 4, 6, 7)  # likewise, where an epoch has 3 steps, and every second one the last step of the data
NINES = {"epochs": 2, "steps_per_epoch": 9, "stops": (1, 4, 5, 7, 8)}  # but the data end after 4
PART = {"epochs": 3, "steps_per_epoch": 3, "batch_size": 32}
RUNS: dict[str, tuple[Any, dict[str, Any]]] = {  # name: the model, and arguments of verify_resume
    "every step": (network, EVERY),
    "early stopping": (network, {
        **WATCHED, "epochs": 30, "stops": 4,
        "callbacks": lambda: c.EarlyStopping("val_accuracy", patience=2, restore_best_weights=True)}),
    "plateau and checkpoint": (lambda: network(optimizer=optimizers.SGD(0.5)), {
        **WATCHED, **SOME,
        "callbacks": lambda: [c.ReduceLROnPlateau(patience=1, min_delta=1.0), c.LearningRateScheduler(lambda e, r: r * 0.9)]}),
    "weights of samples and classes": (lambda: network(weighted_metrics=["accuracy"]), {
        **SOME, **WATCHED, "class_weight": {0: 2.0, 2: 0.5}, "sample_weight": np.arange(N) % 3, "stops": (2, 3, 4, 8, 9)}),
    "no shuffling": (network, {**SOME, "shuffle": False}),
    "part of an epoch": (network, {**PART, "stops": range(1, 8)}),
    "part of an epoch, unshuffled": (network, {**PART, "stops": THREES, "shuffle": False}),
    "more than an epoch": (network, {**NINES, "batch_size": 32}),
    "parts of several orders": (network, {**SOME, "batch_size": 13, "epochs": 5, "steps_per_epoch": 4, "stops": (3, 4, 9, 13)}),
    "steps without a batch size": (network, {"epochs": 3, "steps_per_epoch": 3, "stops": (2, 3, 4, 9)}),
    "part of an epoch, sampled": (network, {**PART, "stops": THREES, "sampler": rv.data.BalancedSampler(), "ignore": "RV"}),
    "one batch": (network, {"epochs": 3, "batch_size": 200, "stops": [1, 2, 3]}),
    "validation split": (network, {"validation_split": 0.3, "ignore": "RV", "stops": range(1, 7)}),
    "sampler": (network, {**SOME, "sampler": rv.data.BalancedSampler(), "ignore": "RV"}),
    "noise": (lambda: network(L.GaussianNoise(0.1), L.Dense(8, activation="selu"), L.AlphaDropout(0.2)), SOME),
    "seeded dropout": (lambda: network(L.Dense(8, activation="relu"), L.Dropout(0.3, seed=4)), SOME),
    "batch normalization": (lambda: network(L.Dense(8), L.BatchNormalization(), L.Activation("relu")), SOME),
    "a tensor that no state dict holds": (lambda: network(L.Dense(8, activation="tanh"), Own()), SOME),
    "MixUp": (network, {**SOME, "augment": L.MixUp(0.2)}),
    "regularizers and constraints": (lambda: network(
        L.Dense(8, activation="relu", kernel_regularizer="l1", kernel_constraint=rv.constraints.MaxNorm(1.0))), SOME),
    "several inputs and outputs": (two, {**SOME, "x": (X[:, :3], X[:, 3:]), "y": {"value": X[:, :1], "kind": Y}}),
    "schedule": (lambda: network(optimizer=optimizers.Adam(schedules.CosineDecayRestarts(0.01, 5))), SOME),
    "averages and accumulated gradients": (lambda: network(
        optimizer=optimizers.Adam(use_ema=True, ema_overwrite_frequency=2, gradient_accumulation_steps=3)), EVERY),
    "averages swapped": (lambda: network(optimizer=optimizers.Adam(0.01, use_ema=True, ema_momentum=0.8)), {
        **SOME, **WATCHED, "callbacks": lambda: c.SwapEMAWeights(swap_on_epoch=True)}),
    "thawing": (network, {**SOME, "callbacks": Thaw}),
    "settings that change": (lambda: network(optimizer=optimizers.AdamW()), {**SOME, "callbacks": Decay}),
    "batches watched": (network, {**SOME, "callbacks": lambda: c.LambdaCallback(on_train_batch_end=lambda b, logs: None)}),
    "torch": (torch_network, SOME),
    "float64": (float64, {"epochs": 2}),
    "batches by number": (network, {**SOME, "x": Flat}),
    "endless generator": (network, {**SOME, "x": endless, "steps_per_epoch": 4}),
    "data loader": (network, {**SOME, "x": loader}),
    "loader with a generator": (network, {**SOME, "x": own_generator}),
    "loader with a sampler's generator": (network, {**SOME, "x": sampled}),
    "your own data set": (network, {**SOME, "x": lambda: own_generator(Samples())}),
    "batches of several sizes": (network, {**SOME, "x": of_sizes, "steps_per_epoch": 4}),
    "part of a loader": (network, {**SOME, "x": loader, "steps_per_epoch": 3, "stops": THREES}),
    "several passes of a loader": (network, {**NINES, "x": own_generator}),
    "several passes, one sample at a time": (network, {**NINES, "x": lambda: own_generator(Samples())}),
    "part of batches by number": (network, {**SOME, "x": Flat, "steps_per_epoch": 3, "stops": THREES}),
    "a data set that changes between epochs": (network, {**SOME, "x": Reshuffled}),
    "part of a data set that changes": (network, {**SOME, "x": Reshuffled, "steps_per_epoch": 3, "stops": THREES}),
    "shuffled by Python": (network, {**SOME, "x": Lists}),
    **{f"optimizer {name}": (lambda kind=kind: network(optimizer=kind()), {}) for name, kind in optimizers.REGISTRY.classes.items()},
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.* ended after . of the . steps")
@pytest.mark.parametrize("name", RUNS)
def test_runs_that_are_stopped_and_resumed(name):
    build, options = RUNS[name]
    data = {} if "x" in options else {"x": X, "y": Y}
    report = rv.verify_resume(build, **{"ignore": "RV", **data, **options})
    assert report.exact
    assert report.compared > 10
    assert str(report).startswith("Exact: ")


@pytest.mark.parametrize(
    "name", ["every step", "early stopping", "batch normalization", "data loader", "torch", "batches of several sizes"]
)
def test_on_the_native_engine(name):
    rv.set_engine("native")
    test_runs_that_are_stopped_and_resumed(name)


# --- what verify_resume says of a run that cannot be resumed ------------------------------------------------------


class Forgetful(c.Callback):
    times = 0

    def on_epoch_end(self, epoch, logs=None):
        self.times += 1
        self.model.optimizer.learning_rate = 0.01 / self.times


def test_what_is_not_exact_is_named():
    report = rv.verify_resume(network, X, Y, callbacks=Forgetful, epochs=3, stops=[2, 6], strict=False, ignore="RV")
    assert not report.exact
    assert list(report.differences) == [6]
    assert report.first is not None
    assert report.first.startswith("weights/")
    with pytest.raises(
        ResumeMismatch, match=r"(?s)Stopped after step 6, weights/.* differs by up to .*state\(\)"
    ) as caught:
        rv.verify_resume(network, X, Y, callbacks=Forgetful, epochs=3, stops=[6], ignore="RV")
    assert caught.value.report.stopped == [6]


def test_arguments_of_verify_resume():
    with pytest.raises(ValueError, match="steps from 1 to 4"):
        rv.verify_resume(network, X, Y, epochs=1, stops=[5], ignore="RV")
    with pytest.raises(TypeError, match="callbacks=lambda"):
        rv.verify_resume(network, X, Y, resume="x")
    with pytest.raises(TypeError, match="without BackupAndRestore"):
        rv.verify_resume(network, X, Y, callbacks=lambda: c.BackupAndRestore("b"), ignore="RV")
    model = network()
    for build, said in [
        (model, "here is the model '.*'. Write a function that builds and compiles the model"),
        (None, "here is a NoneType. Write a function that builds"),
        (lambda: None, "build returned NoneType. Write a function that builds"),
        (lambda: model, "build returned the same model twice. Write a function that builds"),
    ]:
        with pytest.raises(TypeError, match=said):
            rv.verify_resume(build, X, Y, epochs=1, ignore="RV")
    for callbacks in ([c.EarlyStopping("loss")], c.EarlyStopping("loss")):
        with pytest.raises(TypeError, match=r"makes new callbacks for each run.* callbacks=lambda: \[...\]"):
            rv.verify_resume(network, X, Y, callbacks=callbacks, epochs=1, ignore="RV")
    rv.set_seed(5)
    before = rv.seed.get_state() if hasattr(rv, "seed") else None
    rv.verify_resume(network, X, Y, epochs=1, ignore="RV")
    from ranvier.tensor import rng as seed

    assert seed.get_seed() == 5
    assert before is None or before["counters"] == seed.get_state()["counters"]


# --- BackupAndRestore ---------------------------------------------------------------------------------------------


class Stop(c.Callback):
    """Stands for the end of the process after so many steps."""

    def __init__(self, at):
        self.step_interval = at

    def on_step(self, epoch, step, logs=None):
        raise SystemExit


def train(folder, *more, stop=None, model=None, seed=1, **options):
    """A run with a backup, from its beginning or from where it was stopped; the model and the history."""
    rv.set_seed(seed)
    model = model or network()
    keep = options.pop("backup", None) or c.BackupAndRestore(folder, save_freq=options.pop("save_freq", "epoch"))
    callbacks = [Stop(stop or 10**9), *more, keep]
    settings = {"epochs": 3, "verbose": 0, "ignore": "RV", "callbacks": callbacks, **options}
    try:
        return model, model.fit(X, Y, **settings)
    except SystemExit:
        return model, None


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


@pytest.mark.parametrize("save_freq", ["epoch", 1, 3, 5])
@pytest.mark.parametrize("stop", [4, 7, 12])
def test_backup_and_restore(save_freq, stop, tmp_path):
    plain, history = train(tmp_path / "whole")
    assert not (tmp_path / "whole").exists()
    log = tmp_path / "log.csv"
    csv = c.CSVLogger(tmp_path / "whole.csv")
    train(tmp_path / "again", csv)
    assert train(tmp_path / "b", c.CSVLogger(log), stop=stop, save_freq=save_freq)[1] is None
    model, resumed = train(tmp_path / "b", c.CSVLogger(log), save_freq=save_freq)
    assert resumed.history == history.history
    assert resumed.epoch == [0, 1, 2]
    assert same(model, plain)
    assert log.read_text() == (tmp_path / "whole.csv").read_text()
    assert not (tmp_path / "b").exists(), "the backup of a run that ended is removed"


@pytest.mark.parametrize("stop", [3, 6, 11])
def test_a_log_that_is_added_to_has_every_line_once(stop, tmp_path):
    log, csv = tmp_path / "log.csv", tmp_path / "whole.csv"
    for path in (log, csv):
        path.write_text("of before\n")
    train(tmp_path / "again", c.CSVLogger(csv, append=True))
    train(tmp_path / "b", c.CSVLogger(log, append=True), stop=stop, save_freq=3)
    train(tmp_path / "b", c.CSVLogger(log, append=True), save_freq=3)
    assert log.read_text() == csv.read_text()


@pytest.mark.parametrize("keeps", [False, True])
def test_a_backup_resumes_with_and_without_the_callback_that_wrote_it(keeps, tmp_path):
    whole, history = train(tmp_path / "a")
    backup = c.BackupAndRestore(tmp_path / "b", delete_checkpoint=False)
    train(tmp_path, epochs=2, backup=backup)
    with seed_scope(SeedState(9)):  # a program that sets no seed: it takes up that of the run
        model = network()
        resumed = model.fit(
            X, Y, epochs=3, verbose=0, ignore="RV", callbacks=[Stop(10**9), *[backup] * keeps], resume=tmp_path / "b"
        )
        assert chosen_seed() == 1
    assert resumed.history == history.history
    assert same(model, whole)


def test_more_epochs_than_planned_are_a_longer_run(tmp_path):
    long, history = train(tmp_path / "a", epochs=5)
    kept = c.BackupAndRestore(tmp_path / "b", delete_checkpoint=False)
    train(tmp_path, epochs=3, backup=kept)
    model, resumed = train(tmp_path, epochs=5, backup=kept)
    assert resumed.history == history.history
    assert same(model, long)
    again, finished = train(tmp_path, epochs=5, backup=kept)
    assert finished.history == history.history
    assert same(again, long)


@pytest.mark.parametrize(("stop", "epochs", "needed"), [(11, 1, 3), (11, 2, 3), (9, 1, 2)])
def test_a_backup_beyond_the_last_epoch_is_refused_and_kept(stop, epochs, needed, tmp_path):
    plain, history = train(tmp_path / "a")
    train(tmp_path / "b", stop=stop, save_freq=3 if stop == 11 else "epoch")
    model = network()
    before = model.get_weights()
    with pytest.raises(CheckpointError, match=f"epochs={epochs} ends before it. Write epochs={needed} or more"):
        train(tmp_path / "b", model=model, epochs=epochs)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    model, resumed = train(tmp_path / "b")
    assert resumed.history == history.history
    assert same(model, plain)


def windows():
    start = 0
    while True:
        rows = np.arange(start, start + 10) % N
        yield X[rows], Y[rows]
        start += 7


def drawn():
    while True:
        rows = np.random.randint(0, N, 10)  # noqa: NPY002
        yield X[rows], Y[rows]


@pytest.mark.parametrize("stop", [3, 4, 7, 10])
@pytest.mark.parametrize("batches", [windows, drawn])
def test_a_generator_of_validation_data_goes_on(batches, stop, tmp_path):
    def run(folder, **options):
        np.random.seed(3)  # noqa: NPY002
        return train(folder, validation_data=batches(), validation_steps=2, save_freq=2, **options)

    plain, history = run(tmp_path / "a")
    assert len(set(history.history["val_loss"])) == 3
    run(tmp_path / "b", stop=stop)
    model, resumed = run(tmp_path / "b")
    assert resumed.history == history.history
    assert same(model, plain)


def test_resume_without_a_backup_callback(tmp_path):
    plain, history = train(tmp_path / "a")
    train(tmp_path / "b", stop=6, save_freq=5)
    with seed_scope(SeedState(99)):
        model = network()
        resumed = model.fit(
            X, Y, epochs=3, verbose=0, ignore="RV", resume=tmp_path / "b",
            callbacks=[Stop(10**9), c.BackupAndRestore(tmp_path / "c", save_freq=5)],
        )  # fmt: skip
    assert resumed.history == history.history
    assert same(model, plain)


def test_a_backup_is_a_saved_model_too(tmp_path):
    model, _ = train(tmp_path, c.ModelCheckpoint(tmp_path / "best", save_freq=9), stop=10, save_freq=9)
    model.load_weights(tmp_path / "best")
    again = rv.load_model(tmp_path / "backup.ranvier")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    fresh = network()
    fresh.load_weights(tmp_path / "backup.ranvier")
    assert same(fresh, model)


def test_a_model_that_no_file_can_hold_can_be_backed_up(tmp_path):
    def build():
        model = network(Own())
        model.compile("adam", lambda y, p: ((p - 0.3) ** 2).mean(-1), metrics=[lambda y, p: p.mean(-1)])
        return model

    rv.set_seed(1)
    whole, history = train(tmp_path / "a", model=build())
    rv.set_seed(1)
    train(tmp_path / "b", stop=6, save_freq=5, model=build())
    rv.set_seed(1)
    model, resumed = train(tmp_path / "b", save_freq=5, model=build())
    assert resumed.history == history.history
    assert same(model, whole)


class Slower(optimizers.schedules.LearningRateSchedule):
    """One in Keras's way, which is another object in each process."""

    def __init__(self, first):
        self.first, self.shape = first, lambda step: 1 + step

    def __call__(self, step):
        return self.first / self.shape(step)


def test_your_own_schedule_continues(tmp_path):
    def build(first=0.1):
        rv.set_seed(1)
        return network(optimizer=optimizers.Adam(Slower(first)))

    whole, _ = train(tmp_path / "a", model=build())
    train(tmp_path / "b", stop=6, save_freq=5, model=build())
    with pytest.raises(CheckpointError, match=r"optimizer was .*Slower\(first=0.1.* and is .*first=0.2"):
        train(tmp_path / "b", model=build(0.2))
    model, _ = train(tmp_path / "b", save_freq=5, model=build())
    assert same(model, whole)


OTHERS = [
    ({"batch_size": 16}, "batch_size was 32 and is 16"),
    ({"shuffle": False}, "shuffle was True and is False"),
    ({"model": lambda: network(optimizer=optimizers.Adam(0.5))}, r"optimizer was 'Adam\(learning_rate=0.001\)'"),
    ({"model": lambda: network(metrics=[])}, "metrics was"),
    ({"sample_weight": np.ones(N)}, "data was"),
    ({"model": lambda: network(L.Dense(9))}, r"0:Dense\(units=8, activation='tanh'\) was where 0:Dense\(units=9\) is"),
    ({"model": lambda: network(L.Dense(8, activation="tanh"), L.Dropout(0.4))}, r"Dropout\(rate=0.3\) was where .*0.4"),
    ({"model": lambda: network(L.Dense(8, activation="tanh"), L.Dropout(0.3), L.Dense(1))}, "2:Dense"),
    ({"model": lambda: network(loss=rv.losses.SparseCategoricalCrossentropy(ignore_class=2))}, "loss was"),
    ({"validation_data": (X[:20], Y[:20])}, "validation data was None"),
    ({"steps_per_epoch": 2}, "steps was 4 and is 2"),
    ({"class_weight": {0: 3.0}}, "data was"),
    ({"seed": 2}, "seed was 1 and is 2"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "text"), OTHERS)
def test_another_run_is_refused(change, text, tmp_path):
    train(tmp_path, stop=5)
    change = {**change, "model": change["model"]()} if "model" in change else change
    with pytest.raises(CheckpointError, match=text):
        train(tmp_path, **change)
    assert (tmp_path / "backup.ranvier").exists()


def test_weights_that_do_not_fit_are_all_listed(tmp_path):
    """A file whose description was made to fit."""
    from ranvier.data import files

    train(tmp_path, stop=5)
    file = tmp_path / "backup.ranvier"
    described, tensors = files.read(file)
    del tensors["weights/0.bias"]
    tensors["weights/2.kernel"] = np.zeros((3, 8), np.float32)
    files.store(file, tensors, {n: v for n, v in described.items() if n not in ("checksum", "checksums")})
    model = network()
    before = model.get_weights()
    with pytest.raises(CheckpointError, match=r"(?s)missing: 0\.bias.*wrong shape: 2\.kernel is \(8, 3\)"):
        train(tmp_path, model=model)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from(["array", "tuple", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["array", "dict", "tuple"]), inner),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_backup_that_someone_has_changed(data, tmp_path):
    """Any part of it replaced by anything, or any tensor: refused, or a run that ends; never a crash."""
    from ranvier.data import files

    folder = tmp_path / "b"
    if not (tmp_path / "kept").exists():
        train(folder, stop=6, save_freq=5)
        (tmp_path / "kept").write_bytes((folder / "backup.ranvier").read_bytes())
    described, tensors = files.read(tmp_path / "kept")
    holder, key = described, "training"
    while isinstance(holder[key], (dict, list)) and holder[key] and data.draw(st.integers(0, 3)):
        holder = holder[key]
        key = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
    if key == "identity":
        return
    if data.draw(st.booleans()):
        holder[key] = data.draw(JSON)
    else:
        name = data.draw(st.sampled_from(sorted(tensors)))
        tensors[name] = np.zeros(data.draw(st.lists(st.integers(0, 3), max_size=2)), np.float32)
    folder.mkdir(exist_ok=True)
    files.store(
        folder / "backup.ranvier", tensors, {n: v for n, v in described.items() if not n.startswith("checksum")}
    )
    try:
        train(folder, save_freq=5, epochs=2)
    except (CheckpointError, NonFiniteLoss):
        (folder / "backup.ranvier").unlink(missing_ok=True)


def test_other_data_or_callbacks_are_another_run(tmp_path):
    train(tmp_path, stop=5)
    with pytest.raises(CheckpointError, match="callbacks was"):
        train(tmp_path, c.EarlyStopping("loss"))
    X[50, 3] += 1
    try:
        with pytest.raises(CheckpointError, match="backup of another run: data was"):
            train(tmp_path)
    finally:
        X[50, 3] -= 1
    with pytest.raises(FileNotFoundError, match="no backup"):
        network().fit(X, Y, resume=tmp_path / "none", verbose=0, ignore="RV")
    with pytest.raises(TypeError, match="resume=True is no path"):
        network().fit(X, Y, resume=True, verbose=0, ignore="RV")
    network().save(tmp_path / "model")
    with pytest.raises(CheckpointError, match="no backup of a run"):
        network().fit(X, Y, resume=tmp_path / "model", verbose=0, ignore="RV")


def test_a_damaged_backup_is_never_taken_for_none(tmp_path):
    train(tmp_path, stop=5)
    file = tmp_path / "backup.ranvier"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(CheckpointError, match="truncated"):
        train(tmp_path)


def test_the_backup_before_the_last(tmp_path):
    plain, history = train(tmp_path / "a")
    double = c.BackupAndRestore(tmp_path / "b", save_freq=3, double_checkpoint=True)
    train(tmp_path, stop=10, backup=double)
    assert double.previous.exists()
    double.path.write_bytes(b"lost by the disk")
    train(tmp_path, stop=11, backup=c.BackupAndRestore(tmp_path / "b", save_freq=10**6, double_checkpoint=True))
    assert not double.path.exists(), "what is damaged never takes the place of the one before"
    model, resumed = train(tmp_path, backup=double)
    assert resumed.history == history.history
    assert same(model, plain)
    assert not (tmp_path / "b").exists()


def test_a_callback_that_counts_and_keeps_nothing_is_named(tmp_path):
    with pytest.warns(UserWarning, match=r"Forgetful changes times in training and has no state\(\)") as caught:
        train(tmp_path, Forgetful())
    assert len(caught) == 1


def test_ctrl_c_is_backed_up_where_it_was_pressed(tmp_path):
    plain, history = train(tmp_path / "a", c.LambdaCallback())

    def strike(batch, logs):
        if batch == 2:
            signal.raise_signal(signal.SIGINT)

    press = c.LambdaCallback(on_train_batch_end=strike)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "b", press)
    model, resumed = train(tmp_path / "b", c.LambdaCallback())
    assert resumed.history == history.history
    assert same(model, plain)


def test_ctrl_c_in_validation_stops_there_and_is_backed_up(tmp_path):
    """The epoch is trained and not recorded: going on, it is validated and nothing is trained twice."""
    more = {"validation_data": (X[:40], Y[:40]), "validation_batch_size": 10}
    plain, history = train(tmp_path / "a", c.LambdaCallback(), **more)
    seen = []

    def strike(batch, logs):
        seen.append(batch)
        if len(seen) == 6:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "b", c.LambdaCallback(on_test_batch_end=strike), **more)
    assert seen == [0, 1, 2, 3, 0, 1]
    model, resumed = train(tmp_path / "b", c.LambdaCallback(), **more)
    assert resumed.history == history.history
    assert model.optimizer.iterations.item() == 12
    assert same(model, plain)


def test_a_run_that_a_callback_ended_in_the_middle_of_an_epoch(tmp_path):
    class End(c.Callback):
        step_interval = 6

        def on_step(self, epoch, step, logs=None):
            self.model.stop_training = True

    plain, history = train(tmp_path / "a", End())
    assert history.epoch == [0, 1]

    class Fail(End):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1 and not (tmp_path / "b" / "on").exists():
                (tmp_path / "b" / "on").touch()
                raise SystemExit

    Fail.__name__ = "End"
    assert train(tmp_path / "b", Fail(), save_freq=6)[1] is None
    model, resumed = train(tmp_path / "b", Fail(), save_freq=6)
    assert resumed.history == history.history
    assert model.optimizer.iterations.item() == 6
    assert same(model, plain)


def test_what_is_not_finite_is_never_backed_up(tmp_path):
    backup = c.BackupAndRestore(tmp_path, save_freq=1)
    model = rv.Sequential([L.Dense(2, input_shape=(F,))])
    model.compile(optimizers.SGD(1e20), "mse")
    with pytest.raises(NonFiniteLoss):
        model.fit(X, X[:, :2], epochs=9, verbose=0, callbacks=backup, ignore="RV")
    kept = rv.load_model(backup.path)
    assert all(np.isfinite(w).all() for w in kept.get_weights())
    assert kept.optimizer.iterations.item() == 1


def test_a_full_disk_ends_the_run_and_leaves_the_backup_before(tmp_path, monkeypatch):
    plain, _ = train(tmp_path / "a")

    def full(handle):
        raise OSError(28, "No space left on device")

    train(tmp_path / "b", stop=5)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left.*: '.*backup.ranvier'"):
        train(tmp_path / "b")
    monkeypatch.undo()
    assert [p.name for p in (tmp_path / "b").iterdir()] == ["backup.ranvier"]
    assert same(train(tmp_path / "b")[0], plain)


def test_a_backup_folder_that_vanishes_is_made_again(tmp_path):
    plain, _ = train(tmp_path / "a")
    found: list[object] = []

    class Vanish(c.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            found.extend(p.name for p in (tmp_path / "b").iterdir())
            shutil.rmtree(tmp_path / "b")

        def on_train_end(self, logs=None):
            shutil.rmtree(tmp_path / "b")

    assert same(train(tmp_path / "b", Vanish())[0], plain)
    assert found == ["backup.ranvier"] * 2  # after each epoch but the last


def test_folders_in_the_way(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="Write the name of a folder"):
        train(tmp_path / "file")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes").write_text("mine")
    train(tmp_path / "b")
    assert [p.name for p in (tmp_path / "b").iterdir()] == ["notes"], "what is not ours stays"


# --- real processes, really killed --------------------------------------------------------------------------------

PROGRAM = """
import hashlib, json, os, pathlib, signal, sys, time
import numpy as np, ranvier as rv
from ranvier import callbacks as c
folder, pause, name, at, when = sys.argv[1], float(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5]

def deadly(real):
    calls = [0]
    def call(*args, **kwargs):
        calls[0] += 1
        if calls[0] != at:
            return real(*args, **kwargs)
        result = None if when == "before" else real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)
    return call

class Beat(c.Callback):
    step_interval = 1 if name == "step" else 10**9
    def on_train_begin(self, logs=None):
        print("ready", flush=True)
    def on_step(self, epoch, step, logs=None):
        pass
    def on_epoch_end(self, epoch, logs=None):
        time.sleep(pause)

if name == "step":
    Beat.on_step = deadly(Beat.on_step)
elif name:
    setattr(os, name, deadly(getattr(os, name)))
rng = np.random.default_rng(0)
x = rng.random((3000, 20), dtype=np.float32); y = (x[:, 0] + x[:, 1] > 1).astype(int)
rv.set_seed(3)
model = rv.Sequential([rv.layers.Dense(32, activation="relu", input_shape=(20,)), rv.layers.Dropout(0.2),
                       rv.layers.Dense(2, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x, y, epochs=12, verbose=0, validation_data=(x[:500] * 0.9, y[:500]), ignore="RV", callbacks=[
    c.EarlyStopping("val_loss", patience=50, restore_best_weights=True), c.CSVLogger(folder + "/log.csv"), Beat(),
    c.ModelCheckpoint(folder + "/best", "val_loss", save_best_only=True), c.BackupAndRestore(folder + "/b", save_freq=40)])
digest = hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights()))
digest.update(json.dumps(history.history).encode() + pathlib.Path(folder, "log.csv").read_bytes())
digest.update(pathlib.Path(folder, "best").read_bytes())
print("done", digest.hexdigest())
"""


def start(folder, pause=0.0, name="", at=0, when="", **variables):
    """A process that trains; it kills itself before or after the call ``at`` of a function, or after a step."""
    folder.mkdir(exist_ok=True)
    printed = Path(tempfile.mkdtemp(dir=folder.parent))
    return processes.start(PROGRAM, folder, pause, name, at, when, folder=printed, RANVIER_ENGINE="native", **variables)


def finish(process):
    result = process.result(timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()[-1]


def whole(folder):
    """Every file that is there loads."""
    for file in (folder / "best", folder / "b" / "backup.ranvier"):
        if file.exists():
            assert rv.load_model(file).built


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return finish(start(tmp_path_factory.mktemp("whole")))


DEATHS = [
    ("step", 1, "after"), ("step", 94, "after"), ("step", 500, "after"), ("open", 9, "before"), ("fdopen", 5, "after"),
    ("fsync", 7, "before"), ("replace", 3, "before"), ("replace", 8, "after"), ("unlink", 1, "before"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "at", "when"), DEATHS)
def test_killed_in_the_middle_of(name, at, when, uninterrupted, tmp_path):
    assert start(tmp_path, 0.0, name, at, when).result().returncode == -signal.SIGKILL
    whole(tmp_path)
    assert finish(start(tmp_path)) == uninterrupted
    assert {p.name for p in tmp_path.iterdir()} == {"best", "log.csv"}, "nothing is left over"


def test_sigterm(uninterrupted, tmp_path):
    """SIGTERM: a backup where training stood, and the end that SIGTERM is."""
    for moment in (0.1, 0.2):
        process = start(tmp_path, 0.1)
        process.wait_for_output()
        time.sleep(moment)
        process.kill(signal.SIGTERM)
        result = process.result()
        assert result.stdout == "ready\n"
        assert result.returncode == -signal.SIGTERM
        whole(tmp_path)
        assert (tmp_path / "b" / "backup.ranvier").exists()
    assert finish(start(tmp_path)) == uninterrupted


def test_signals_are_as_they_were_after_fit(tmp_path):
    for callbacks in (None, c.BackupAndRestore(tmp_path / "b")):
        network().fit(X, Y, verbose=0, ignore="RV", callbacks=callbacks)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_killed_again_and_again(uninterrupted, tmp_path):
    """SIGKILL from outside at random moments, each process on another number of threads and one without
    AVX-512; then the same weights, results and files.
    """
    kills = 0
    for moment in np.random.default_rng().uniform(0.02, 0.2, 12):
        target = {"RANVIER_TARGET": "x86-64-v3"} if kills == 1 and platform.machine() == "x86_64" else {}
        process = start(tmp_path, 0.1, RANVIER_THREADS=str(1 + kills % 3), **target)
        process.wait_for_output()
        time.sleep(moment)
        process.kill(signal.SIGKILL)
        if "done" in process.result().stdout:
            break
        kills += 1
        whole(tmp_path)
    assert finish(start(tmp_path)) == uninterrupted
    assert kills >= 5
    assert {p.name for p in tmp_path.iterdir()} == {"best", "log.csv"}, "nothing is left over"

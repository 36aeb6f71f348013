"""Forms of data: memory maps, frames, loaders, generators. All give what plain arrays give, to the last bit."""

import contextlib
import copy
import tempfile
import threading
import tracemalloc
from datetime import datetime
from typing import Any

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier.pictures.histograms import layer_outputs
from ranvier.tensor.rng import SeedState, seed_scope
from ranvier.training.adapters.arrays import to_data

RNG = np.random.default_rng(6)
N, F, K = 90, 4, 3
X = RNG.normal(size=(N, F))
Y = X[:, :K].argmax(1)
W = RNG.random(N) + 0.1
OPTIONS: dict = {"verbose": 0, "ignore": "RV"}
utils = torch.utils.data


@pytest.fixture(autouse=True)
def engine():
    rv.set_engine("reference")
    rv.set_seed(0)
    yield
    rv.set_engine(None)


def classifier(features=F, dropout=0.2):
    rv.set_seed(0)
    layers = [rv.layers.Dense(6, activation="tanh", input_shape=(features,)), rv.layers.Dropout(dropout)]
    model = rv.Sequential([*layers, rv.layers.Dense(K, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], weighted_metrics=["accuracy"])
    return model


def weights_of(model):
    return np.concatenate([w.ravel() for w in model.get_weights()])


def trained(x, y=None, weight=None, **options):
    model = classifier()
    if weight is not None:
        options["sample_weight"] = weight
    history = model.fit(x, y, **OPTIONS | options).history
    return weights_of(model), history


# --- memory maps ---------------------------------------------------------------------------------------------------

KINDS = [("<f4", "C"), ("<f8", "C"), ("<f2", "C"), (">f4", "C"), ("<i8", "C"), ("<i2", "C"), ("u1", "C"), ("<f4", "F")]


@pytest.mark.parametrize(("dtype", "order"), KINDS)
def test_a_memory_map_is_never_whole_in_memory(tmp_path, dtype, order):
    rows, features = 4000, 1000
    path = tmp_path / "x"
    x = np.memmap(path, dtype, "w+", shape=(rows, features), order=order)
    x[...] = RNG.integers(0, 3, x.shape)
    x.flush()
    x = np.memmap(path, dtype, "r", shape=(rows, features), order=order)
    y = np.arange(rows) % K
    options = {"batch_size": 500, "validation_split": 0.1, "shuffle": False, **OPTIONS}
    mapped, plain = classifier(features, 0), classifier(features, 0)
    rv.set_engine(None)
    plain.fit(np.array(x, np.float32), y, **options)

    def run(model):
        model.fit(x, y, **options)
        model.evaluate(x, y, verbose=0)
        model.predict(x)

    run(classifier(features, 0))  # compiles
    tracemalloc.start()
    try:
        run(mapped)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4e6
    np.testing.assert_array_equal(weights_of(mapped), weights_of(plain))


def test_what_is_spooled_is_neither_the_file_nor_writes_to_it(tmp_path):
    x = np.memmap(tmp_path / "x", ">f8", "w+", shape=X.shape)
    x[...] = X
    before = (tmp_path / "x").read_bytes()
    trained(x, Y)
    x.flush()
    assert (tmp_path / "x").read_bytes() == before


def test_a_disk_without_room_is_an_error(tmp_path, monkeypatch):
    class Full:
        def __init__(self, **_):
            self.file = (tmp_path / "t").open("w+b")

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            raise OSError(28, "No space left on device")

    x = np.memmap(tmp_path / "x", "<f8", "w+", shape=X.shape)
    monkeypatch.setattr("tempfile.TemporaryFile", Full)
    said = (
        r"No space left.*cast to float32 in a temporary file of 1 MB in .*Set TMPDIR .* or write the array as float32"
    )
    with pytest.raises(OSError, match=said) as error:
        trained(x, Y)
    assert error.value.errno == 28


# --- frames --------------------------------------------------------------------------------------------------------


def frames():
    import pandas as pd
    import polars as pl

    names, index = list("abcd"), RNG.permutation(N)
    return {
        "pandas": (pd.DataFrame(X, columns=names, index=index), pd.Series(Y, index=index), pd.Series(W, index=index)),
        "pandas nullable": (
            pd.DataFrame(X, columns=names).astype("Float64"), pd.Series(Y, dtype="Int64"),
            pd.Series(W, dtype="Float64"),
        ),
        "pandas of mixed types": (
            pd.DataFrame({n: X[:, i].astype("f4" if i else "f8") for i, n in enumerate(names)}).astype("f4"),
            pd.DataFrame({"y": Y}), pd.DataFrame({"w": W}),
        ),
        "polars": (pl.DataFrame(X, schema=names), pl.Series(Y), pl.Series(W)),
        "polars by column": (
            pl.DataFrame({n: X[:, i] for i, n in enumerate(names)}), pl.DataFrame({"y": Y}), pl.Series(W),
        ),
    }  # fmt: skip


@pytest.mark.parametrize("kind", list(frames()))
def test_frames_and_series(kind):
    x, y, weight = frames()[kind]
    got, history = trained(x, y, weight, validation_data=(x, y, weight))
    wanted, expected = trained(X, Y, W, validation_data=(X, Y, W))
    np.testing.assert_array_equal(got, wanted)
    assert history == expected


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_the_names_of_columns_are_remembered_also_in_a_file(tmp_path, kind):
    x = frames()[kind][0]
    model = classifier()
    model.fit(x, Y, **OPTIONS)
    model.save(tmp_path / "m")
    for one in (model, rv.load_model(tmp_path / "m")):
        assert one.predict(x).shape == (N, K)
        with pytest.raises(ValueError, match="columns in another order: column 0 is 'b', in fit it was 'a'"):
            one.predict(x[["b", "a", "c", "d"]])
        with pytest.raises(ValueError, match=r"lacks \['d'\]"):
            one.evaluate(x[["a", "b", "c"]], Y, verbose=0)


@pytest.mark.parametrize(
    ("library", "column", "words"),
    [
        ("polars", lambda d: d, r"column 'd', Datetime.*\(x\['d'\] - x\['d'\].min\(\)\).dt.total_days\(\)"),
        ("polars", lambda d: d.dt.date(), r"column 'd', Date\)"),
        ("polars", lambda d: d - d.min(), r"column 'd', Duration.*x\['d'\].dt.total_seconds\(\)"),
        ("polars", lambda d: d.dt.time(), r"column 'd', Time\).*x\['d'\].dt.hour\(\)"),
        ("pandas", lambda d: d, r"column 'd', datetime.*\(x\['d'\] - x\['d'\].min\(\)\).dt.days"),
        ("pandas", lambda d: d.dt.tz_localize("UTC"), r"column 'd', datetime64\[.*, UTC\]"),
        ("pandas", lambda d: d - d.min(), r"x\['d'\].dt.total_seconds\(\)"),
    ],
)  # fmt: skip
def test_dates_among_numbers_are_reported(library, column, words):
    library = pytest.importorskip(library)
    dates = library.Series([datetime(2020, 1, 1), datetime(2020, 3, 1)])
    with pytest.raises(TypeError, match=words):
        classifier(2).predict(library.DataFrame({"a": [1.0, 2.0], "d": column(dates)}))


def test_an_error_names_the_row_of_a_frame():
    frame = frames()["pandas"][0]
    model = classifier()
    model.fit(frame, Y, **OPTIONS)
    with pytest.raises(ValueError, match=r"For one row of a frame write frame.iloc\[\[0\]\] instead"):
        model.predict(frame.iloc[0])
    assert model.predict(frame.iloc[[0]]).shape == (1, K)


USES: dict[str, Any] = {  # of a model that was fitted, whose columns must then be as they were
    "predict": lambda model, x: model.predict(x),
    "a call": lambda model, x: model(x),
    "compiled again": lambda model, x: (model.compile("sgd", "sparse_categorical_crossentropy"), model.evaluate(x, Y)),
    "a copy": lambda model, x: copy.deepcopy(model).predict(x),
    "calibrate": lambda model, x: rv.calibration.calibrate(model, x, Y),
    "calibrated": lambda model, x: rv.calibration.Calibrated(model, 2.0).predict(x),
    "a file of a calibrated one": lambda model, x: saved(rv.calibration.Calibrated(model, 2.0)).predict(x),
    "a file of one that is not compiled": lambda model, x: saved(copy.deepcopy(model)).predict(x),
    "saliency": rv.explain.saliency,
    "integrated gradients": rv.explain.integrated_gradients,
    "activations": layer_outputs,
}  # fmt: skip


def saved(model):
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/m")
        return rv.load_model(f"{folder}/m")


@pytest.mark.parametrize("use", USES)
def test_the_names_of_columns_are_checked_wherever_the_model_is_used(use):
    x = frames()["pandas"][0]
    model = classifier()
    model.fit(x, Y, epochs=20, **OPTIONS)
    USES[use](model, x)
    with pytest.raises(ValueError, match="columns in another order"):
        USES[use](model, x[["b", "a", "c", "d"]])


def test_columns_of_several_inputs_are_distinguished():
    class Sum(rv.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.other = rv.layers.Dense(1), rv.layers.Dense(1)

        def forward(self, a, b):
            return self.layer(a) + self.other(b)

    x = frames()["pandas"][0]
    model = Sum()
    model.compile("sgd", "mse")
    model.fit([x[["a", "b"]], x[["c", "d"]]], X[:, :1], **OPTIONS)
    with pytest.raises(ValueError, match=r"x\['b'\] has the columns in another order"):
        model.predict({"a": x[["a", "b"]], "b": x[["d", "c"]]})


def test_a_lazy_frame_must_be_collected():
    import polars as pl

    with pytest.raises(TypeError, match=r"x is a LazyFrame.* Write x\.collect\(\)"):
        trained(pl.DataFrame(X).lazy(), Y)


# --- loaders and generators ----------------------------------------------------------------------------------------


def loader(data=None, **options):
    return utils.DataLoader(data or utils.TensorDataset(X, Y), **{"batch_size": 16, **options})


class Hidden:
    """The same batches, from something that is no loader in memory."""

    def __init__(self, source):
        self.source = source

    def __iter__(self):
        return iter(self.source)


def part():
    rv.set_seed(5)
    return utils.random_split(utils.TensorDataset(X, Y), [70, 20])[0]


LOADERS = [
    loader,
    lambda: loader(shuffle=True),
    lambda: loader(shuffle=True, drop_last=True),
    lambda: loader(part(), shuffle=True),
    lambda: loader(utils.Subset(part(), list(range(40))), batch_size=7),
    lambda: loader(utils.TensorDataset(X, Y, W), shuffle=True),
    lambda: loader(sampler=utils.SequentialSampler(range(50))),
    lambda: loader(batch_size=60),
]


@pytest.mark.parametrize("make", LOADERS)
def test_a_loader_in_memory_runs_as_arrays_with_the_results_of_its_batches(make):
    found = []
    for wrap in (lambda source: source, Hidden):
        source = wrap(make())
        model = classifier()
        history = model.fit(source, epochs=3, validation_data=source, **OPTIONS).history
        results = model.evaluate(source, verbose=0)
        limited = model.fit(source, steps_per_epoch=2, **OPTIONS).history
        found.append((weights_of(model), history, results, limited, model.predict(source)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_equal(one, other)


@pytest.mark.parametrize("steps", [1, 2, 4, 9])  # of four batches, the last of them smaller
def test_steps_over_a_loader_go_on_where_the_last_epoch_stopped(steps):
    """Each batch as it is, also the smaller one; the end of a pass ends the epoch, with a warning where it is early."""
    y = np.arange(7.0, dtype=np.float32)[:, None]

    class ByNumber:
        def __len__(self):
            return 4

        def __getitem__(self, i):
            return y[2 * i : 2 * i + 2], y[2 * i : 2 * i + 2]

    loader = utils.DataLoader(utils.TensorDataset(y, y), batch_size=2)
    for source in (loader, Hidden(loader), ByNumber()):
        model = rv.Sequential([rv.layers.Dense(1, input_shape=(1,), kernel_initializer="zeros")])
        model.compile(rv.optimizers.SGD(0.0), "mae")
        options = {"epochs": 5, "steps_per_epoch": steps, "shuffle": False, **OPTIONS}
        with pytest.warns(UserWarning, match="ended after 4 of the 9") if steps > 4 else contextlib.nullcontext():
            loss = model.fit(source, **options).history["loss"]
        made = min(steps, 4)
        wanted = [y[2 * i % 8 : 2 * i % 8 + 2 * made].mean() for i in range(0, 5 * made, made)]
        np.testing.assert_allclose(loss, wanted, rtol=1e-6)
        assert model.optimizer.iterations.item() == 5 * made


def test_a_generator_to_validate_on_begins_with_its_first_two_batches_each_time():
    """And goes on where it stopped, as in Keras. Where it ends, validations are on what there is, with a warning."""

    def batches(number):
        for i in range(number):
            yield np.zeros((2, 1), np.float32), np.full((2, 1), 10.0**i, np.float32)

    x = np.zeros((4, 1), np.float32)
    for number, steps, wanted, words in (
        (9, 3, [37, 337, 3337], None),
        (4, 2, [5.5] * 3, None),
        (4, None, [277.75, 5.5, 5.5], "has ended, and each further validation is on its first 2 batches"),
        (4, 6, [277.75, 5.5, 5.5], "batch [24] of 6 is missing"),
        (1, 2, [1, 1, 1], "batch 1 of 2 is missing"),
    ):
        model = rv.Sequential([rv.layers.Dense(1, input_shape=(1,), kernel_initializer="zeros")])
        model.compile(rv.optimizers.SGD(0.0), "mae")
        options = {"validation_data": batches(number), "validation_steps": steps, "epochs": 3, **OPTIONS}
        with pytest.warns(UserWarning, match=words) if words else contextlib.nullcontext():
            history = model.fit(x, x, **options).history
        np.testing.assert_allclose(history["val_loss"], wanted, rtol=1e-6)
    with pytest.warns(UserWarning, match="batch 4 of 6 is missing"):
        assert model.evaluate(batches(4), steps=6, verbose=0) == pytest.approx(277.75)
    with pytest.warns(UserWarning, match="batch 4 of 6 is missing"):
        assert len(model.predict(batches(4), steps=6)) == 8


@pytest.mark.parametrize("named", [False, True])
def test_a_loader_gives_inputs_and_targets_by_name(named):
    class Named:
        def __len__(self):
            return N

        def __getitem__(self, i):
            return {"left": X[i, :2], "right": X[i, 2:]}, {"out": Y[i]} if named else Y[i]

    left, right = rv.Input((2,), name="left"), rv.Input((X.shape[1] - 2,), name="right")
    data = {"left": X[:, :2], "right": X[:, 2:]}, {"out": Y} if named else Y
    found = []
    cases: Any = ((*data, {"batch_size": 16, "shuffle": False}), (loader(Named()), None, {}))
    for x, y, options in cases:
        rv.set_seed(0)
        out = rv.layers.Dense(K, activation="softmax")(rv.layers.Concatenate()([left, right]))
        model = rv.Model([left, right], {"out": out} if named else out)
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(x, y, **OPTIONS, **options)
        found.append(weights_of(model))
    np.testing.assert_array_equal(*found)


def test_no_batch_of_a_loader_in_memory_is_made(monkeypatch):
    monkeypatch.setattr(utils.DataLoader, "__iter__", None)
    model, source = classifier(), loader(shuffle=True)
    model.fit(source, epochs=2, validation_data=source, **OPTIONS)
    model.evaluate(source, verbose=0)
    model.predict(source)


class Stop(rv.callbacks.Callback):
    """Ctrl-C after so many batches."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt

    def state(self):
        return {}

    def set_state(self, state):
        """Each run counts for itself."""


@pytest.mark.parametrize("after", [3, 6, 8])  # in an epoch, at its end, in the next
@pytest.mark.parametrize("wrap", [lambda source: source, Hidden])
def test_a_run_over_a_loader_goes_on_in_the_same_bits(tmp_path, wrap, after, monkeypatch):
    def run(seed, stop, folder):
        model = classifier()
        if seed is not None:
            rv.set_seed(seed)
        kept = rv.callbacks.BackupAndRestore(folder, save_freq=2, delete_checkpoint=False)
        model.fit(wrap(loader(shuffle=True)), epochs=3, callbacks=[kept, Stop(stop)], **OPTIONS)
        return weights_of(model)

    whole = run(7, 0, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(7, after, tmp_path / "stopped")
    monkeypatch.setattr(rv, "set_seed", lambda seed: None)
    with seed_scope(SeedState(99)):  # a program that sets no seed
        np.testing.assert_array_equal(run(None, 0, tmp_path / "stopped"), whole)


def batches(size=16, times=1, kind=lambda a: a):
    for _ in range(times):
        for i in range(0, N, size):
            yield tuple(kind(a[i : i + size]) for a in (X, Y, W))


def arrays_again(array):
    """One buffer for all batches, overwritten for each."""
    buffer = buffers.setdefault((array.dtype, array.ndim), np.empty((64, *array.shape[1:]), array.dtype))
    buffer[: len(array)] = array
    return buffer[: len(array)]


buffers: dict = {}
CONVERTED = [lambda a: a, lambda a: a.tolist(), torch.tensor, arrays_again, lambda a: a[::-1][::-1]]


@pytest.mark.parametrize("kind", CONVERTED)
def test_a_generator_gives_what_its_arrays_give(kind):
    got, history = trained(batches(times=2, kind=kind), epochs=2, steps_per_epoch=6)
    wanted, expected = trained(X, Y, W, batch_size=16, epochs=2, shuffle=False)
    np.testing.assert_array_equal(got, wanted)
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-6)


def test_batches_taken_together_and_one_by_one_are_the_same(monkeypatch):
    one = trained(batches(4, times=3))
    monkeypatch.setattr("ranvier.training.adapters.generators.GROUP_SECONDS", 0)
    other = trained(batches(4, times=3))
    np.testing.assert_array_equal(one[0], other[0])
    assert one[1] == other[1]


def test_no_batch_is_taken_that_is_not_run():
    source = batches(4, times=3)
    trained(source, steps_per_epoch=30)
    assert len(list(source)) == 3 * 23 - 30


def test_hooks_of_batches_see_each_before_the_next_is_taken():
    seen: list = []

    def source():
        for number, batch in enumerate(batches(10)):
            seen.append(f"taken {number}")
            yield batch

    class Watch(rv.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(f"run {batch}")

    trained(source(), callbacks=[Watch()])
    assert seen[2:8] == ["taken 1", "run 1", "taken 2", "run 2", "taken 3", "run 3"]


SIZES = [
    [3, 3, 5, 5, 2, 7],
    [16, *[4] * 8],  # where the program of the first one would take several of the others as one
    [16, *[15] * 4],
    [8, 10, 8, 8],
    [4, 4, 4, 16, 4, 4, 4],
]


def of_sizes(sizes):
    stops = np.cumsum(sizes)
    return ((X[b - n : b], Y[b - n : b]) for n, b in zip(sizes, stops, strict=True))


@pytest.mark.parametrize("sizes", SIZES)
def test_batches_of_several_sizes(sizes):
    model, by_hand = classifier(dropout=0), classifier(dropout=0)
    model.fit(of_sizes(sizes), **OPTIONS)
    for x, y in of_sizes(sizes):
        by_hand.train_on_batch(x, y)
    assert model.optimizer.iterations.item() == len(sizes)
    np.testing.assert_array_equal(weights_of(model), weights_of(by_hand))


@pytest.mark.parametrize("sizes", SIZES)
def test_how_fast_batches_come_changes_no_bit(sizes, monkeypatch):
    """Nor whether a callback listens, which has them taken one by one: programs of other sizes add in another order."""
    rv.set_engine("native")
    watch = rv.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    found = []
    for seconds, callbacks in ((0.02, None), (0.0, None), (0.02, watch)):
        monkeypatch.setattr("ranvier.training.adapters.generators.GROUP_SECONDS", seconds)
        model = classifier()
        history = model.fit(of_sizes(sizes), callbacks=callbacks, **OPTIONS).history
        found.append((weights_of(model), history, model.evaluate(of_sizes(sizes), verbose=0)))
    for other in found[1:]:
        np.testing.assert_equal(other, found[0])


def test_callbacks_are_called_at_every_batch_of_an_evaluation():
    seen = []
    watch = rv.callbacks.LambdaCallback(on_test_batch_end=lambda batch, logs: seen.append(batch))
    classifier().evaluate(of_sizes([16, *[4] * 8]), verbose=0, callbacks=[watch])
    assert seen == list(range(9))


def test_what_a_hook_changes_between_batches_stays_changed():
    """A layer that is frozen in the middle of an epoch, over arrays and over batches."""

    class Freeze(rv.callbacks.Callback):
        step_interval = 3

        def on_step(self, epoch, step, logs=None):
            self.model.layers[0].trainable = False

    (one, _), (other, _) = (
        trained(*data, callbacks=Freeze(), **more)
        for data, more in (((X, Y), {"batch_size": 10, "shuffle": False}), ((of_sizes([10] * 9),), {}))
    )
    np.testing.assert_array_equal(one, other)


def bad(index, faulty):
    for number, (x, y, _) in enumerate(batches(4)):
        yield faulty(x, y) if number == index else (x, y)


@pytest.mark.parametrize("index", [0, 1, 7])
@pytest.mark.parametrize(
    ("faulty", "said"),
    [(lambda x, y: (x, y + 9), r"y has label \d+ at row 0"), (lambda x, y: (x * np.nan, y), "x has nan at row 0")],
)
def test_the_batch_with_the_fault_is_named(index, faulty, said):
    with pytest.raises(ValueError, match=f"^Batch {index} of bad: {said}"):
        trained(bad(index, faulty))


def test_what_is_no_number_is_named_by_its_part():
    with pytest.raises(TypeError, match="Batch 1 of <genexpr>: y contains strings"):
        trained((x, y if i < 1 else ["a"] * len(y)) for i, (x, y, _) in enumerate(batches()))


# --- an array that another thread changes --------------------------------------------------------------------------


def test_an_array_that_is_changed_meanwhile_never_crashes():
    """Which values a step sees is not defined; native code stays within its arrays whatever they are."""
    rv.set_engine(None)
    x, y = np.tile(X, (50, 1)).astype(np.float32), np.tile(Y, 50).astype(np.int32)
    stop, generator = threading.Event(), np.random.default_rng(0)
    model = classifier()
    data = to_data(model, model._compiled, x, y)
    assert np.shares_memory(data.y[0], y)

    def scribble():
        while not stop.is_set():
            y[generator.integers(len(y), size=64)] = generator.choice([-(2**31), -1, 7, 2**31 - 1], 64)
            x[generator.integers(len(x), size=64)] += 1

    thread = threading.Thread(target=scribble)
    thread.start()
    try:
        history = model.fit(data, epochs=3, **OPTIONS)
    finally:
        stop.set()
        thread.join()
    assert np.isfinite(history.history["loss"]).all()


# --- what programs notice ------------------------------------------------------------------------------------------


class Nested(rv.Module):
    def __init__(self):
        super().__init__()
        self.inner = rv.Sequential([rv.layers.Dense(5, activation="relu"), rv.layers.Dense(5)])
        self.outer = rv.layers.Dense(2)

    def forward(self, x):
        return self.outer(self.inner(x))


def change_activation(model):
    model.inner[0].activation = rv.activations.get("tanh")


def replace_layer(model):
    model.inner[1] = rv.layers.Dense(5, activation="sigmoid")


def replace_forward(model):
    model.forward = lambda x: model.outer(model.inner(x)) * 2


@pytest.mark.parametrize("change", [change_activation, replace_layer, replace_forward])
def test_programs_notice_what_was_changed_deep_inside(change):
    model = Nested()
    values = X[:, :2]
    model.compile("sgd", "mse")
    model.fit(X, values, **OPTIONS)
    x = X[:3].astype(np.float32)
    before = [model.predict(x), model.predict(x)][1]
    change(model)
    wanted = model(rv.Tensor(x)).numpy()
    np.testing.assert_allclose(model.predict(x), wanted, rtol=1e-6)
    assert not np.allclose(wanted, before)
    model.compile("sgd", "mse")
    loss = ((model.predict(X) - values) ** 2).mean()
    assert model.fit(X, values, batch_size=N, **OPTIONS).history["loss"][0] == pytest.approx(loss, rel=1e-5)


def test_what_forward_assigns_is_no_change():
    class Counts(Nested):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return super().forward(x)

    model = Counts()
    model.compile("sgd", "mse")
    model.fit(X, X[:, :2], **OPTIONS)
    made = len(model._compiled.programs)
    model.fit(X, X[:, :2], epochs=3, callbacks=[rv.callbacks.Callback()], **OPTIONS)
    assert len(model._compiled.programs) == made

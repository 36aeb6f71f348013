"""Bad inputs and faults: one row each, with its number in the project's list, what is done, and what must happen.

A row's error is what must be raised (or warned) and a pattern of its text; None says that the action itself asserts what
must hold. Rows that another file holds are named in ELSEWHERE.
"""

import contextlib
import io
import itertools
import os
import pickle
import subprocess
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier import callbacks, optimizers, training
from ranvier.training import NonFiniteLoss, PreflightError, PreflightWarning
from ranvier.training.adapters.generators import is_source

INF, NAN, BIG = np.inf, np.nan, 1e300
RNG = np.random.default_rng(0)
N, F, K = 40, 5, 3
X = RNG.normal(size=(N, F)).astype(np.float32)
Y = X[:, :K].argmax(1)
VALUES = X[:, :1].copy()
D = rv.layers.Dense
SCE = "sparse_categorical_crossentropy"


@pytest.fixture(autouse=True)
def reference():
    rv.set_engine("reference")
    rv.set_seed(0)
    yield
    rv.set_engine(None)


def classifier(features=F):
    model = rv.Sequential(
        [D(4, activation="tanh", input_shape=(features,), name="first"), D(K, activation="softmax", name="last")]
    )
    model.compile("adam", SCE, metrics=["accuracy"])
    return model


def regressor(units=1):
    model = rv.Sequential([D(units, input_shape=(F,), name="only")])
    model.compile(optimizers.SGD(0.01), "mse")
    return model


def fit(x, y, model=None, **options):
    model = model or classifier()
    return model, model.fit(x, y, **{"verbose": 0, **options})


def put(array, at, value):
    array = np.array(array, dtype=object if isinstance(value, str) else None)
    array[at] = value
    return array


class Frame:
    """What the library sees of a data frame."""

    def __init__(self, values, columns):
        self.values, self.columns, self.shape = values, list(columns), values.shape
        self.dtypes = ["float32"] * len(self.columns)

    def to_numpy(self):
        return self.values

    def __len__(self):
        return len(self.values)


class Sparse:
    shape = (N, F)

    def tocsr(self):
        return self

    def toarray(self):
        raise AssertionError("made dense silently")


# --- actions that assert by themselves ----------------------------------------------------------------------------


def same_as(x, y=Y):
    """Training on this form of the data is training on the plain arrays, and the data is left alone."""
    before = np.array(x, copy=True)
    rv.set_seed(0)
    expected = fit(X, Y)[0].get_weights()
    rv.set_seed(0)
    got = fit(x, y)[0].get_weights()
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(np.array(x), before)


def read_only():
    x = X.copy()
    x.setflags(write=False)
    return x


def mapped():
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "x.npy", X)
        same_as(np.load(Path(folder) / "x.npy", mmap_mode="r"))


def uint8_stays():
    pixels = RNG.integers(0, 256, (N, F)).astype(np.uint8)
    model = classifier()
    with pytest.warns(PreflightWarning, match="no layer rescales them"):
        model.fit(pixels, Y, verbose=0)
    step = next(iter(model._compiled.programs.values()))
    assert [n.dtype for n in step.graph.inputs if n.attrs["name"] == "x"] == ["uint8"]


def reordered_columns():
    model, _ = fit(Frame(X, "abcde"), Y)
    model.predict(Frame(X[:, ::-1], "edcba"))


def renamed_columns():
    model, _ = fit(Frame(X, "abcde"), Y)
    model.evaluate(Frame(X, "abcdz"), Y, verbose=0)


def columns_of_a_refused_frame():
    model = classifier()
    with pytest.raises(TypeError, match="get_dummies"):
        fit(Frame(put(X, (0, 1), "r"), "abcde"), Y, model)
    fit(Frame(X, "acdef"), Y, model)


def one_column():
    """A column is samples of one feature where the model takes one."""
    columns = {name: X[:, i] for i, name in enumerate("ab")}
    inputs = [rv.Input((1,), name=name) for name in columns]
    several = rv.Model(inputs, D(K, activation="softmax")(rv.layers.Concatenate()(inputs)))
    several.compile("adam", SCE)
    whole = {name: column[:, None] for name, column in columns.items()}
    for model, x, same in ((classifier(1), X[:, 0], X[:, :1]), (several, columns, whole)):
        fit(x, Y, model, sample_weight=np.ones(N), validation_data=(x, Y), ignore="RV401")
        assert model.evaluate(x, Y, verbose=0) == model.evaluate(same, Y, verbose=0)
        np.testing.assert_array_equal(model.predict(x), model.predict(same))


def batch_larger_than_data():
    found = []
    for batch in (N, 10 * N, 10**15):
        rv.set_seed(0)
        model = fit(X, Y, batch_size=batch)[0]
        found.append(
            [
                *model.get_weights(),
                model.evaluate(X, Y, batch_size=batch, verbose=0),
                model.predict(X, batch_size=batch),
            ]
        )
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def last_partial_batch():
    model = regressor()
    (w, b), total = model.get_weights(), 0.0
    for rows in np.split(np.arange(N), [32]):
        error = X[rows] @ w + b - VALUES[rows]
        total += float((error**2).sum())
        w, b = w - 0.02 * (X[rows].T @ error) / len(rows), b - 0.02 * error.sum(0) / len(rows)
    history = fit(X, VALUES, model, shuffle=False)[1].history
    np.testing.assert_allclose(history["loss"], [total / N], rtol=1e-5)
    np.testing.assert_allclose(model.get_weights()[0], w, rtol=1e-5, atol=1e-7)


def batch_of_one():
    assert np.isfinite(fit(X[:1], Y[:1], batch_size=1)[1].history["loss"]).all()
    normalization = rv.layers.BatchNormalization(beta_initializer=0.5)  # no variance: beta, and never a NaN
    assert np.array_equal(normalization(X[:1], training=True).numpy(), np.full_like(X[:1], 0.5))
    assert all(np.isfinite(w).all() for w in normalization.get_weights())


def mutated_by_another_thread():
    x, stop = X.copy(), threading.Event()

    def change():
        while not stop.is_set():
            x[...] = RNG.random(x.shape, dtype=np.float32)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        model, _ = fit(x, Y, epochs=20)
    finally:
        stop.set()
        thread.join()
    assert all(np.isfinite(w).all() for w in model.get_weights())


def column_targets():
    one, other = regressor(), regressor()
    other.set_weights(one.get_weights())
    a = one.fit(X, VALUES, verbose=0, shuffle=False).history["loss"]
    b = other.fit(X, VALUES[:, 0], verbose=0, shuffle=False).history["loss"]
    assert a == b


def last_good_weights():
    model = regressor()
    model._compiled.optimizer.learning_rate = 1e30
    with pytest.raises(NonFiniteLoss, match=r"epoch 1, step \d+.*'only\.(kernel|bias)'.*learning rate"):
        model.fit(X, VALUES, epochs=9, batch_size=8, verbose=0)
    assert all(np.isfinite(w).all() for w in model.get_weights())


def extreme_logits():
    for scale in (1e4, -1e4):
        model = rv.Sequential([rv.layers.Rescaling(scale, input_shape=(F,)), D(K, activation="softmax")])
        model.compile(optimizers.SGD(1e-6), SCE)
        assert np.isfinite(model.fit(X, Y, verbose=0).history["loss"]).all()


def nan_survives():
    from ranvier.ops import arrays as numeric

    out = numeric.isnan(rv.Tensor([np.nan, np.inf, 1.0])).numpy()
    np.testing.assert_array_equal(out, [True, False, False])
    with pytest.warns(PreflightWarning, match="RV601"):
        assert np.isnan(classifier().predict(np.full((1, F), np.nan, np.float32))).all()


def nan_predicted():
    """Warned of once for each model: of one row, of many, of batches that come, of weights, and within the network."""
    bad = put(X, (35, 2), NAN)
    for x in (bad, (bad[i : i + 8] for i in range(0, N, 8))):
        model = classifier()
        with pytest.warns(
            PreflightWarning, match="RV601.*x has nan at row 35, column 2, and the output has nan at row 35"
        ):
            model.predict(x)
        model.predict(bad)  # nothing is said again
    model = classifier()
    for row in X[:3]:
        model.predict(row[None])
    with pytest.warns(PreflightWarning, match="RV601.*row 0, column 2"):
        model.predict(bad[35:36])
    kept = rv.Sequential([rv.layers.Lambda(lambda x: rv.ops.where(rv.ops.isnan(x), 0.0, x), input_shape=(F,)), D(1)])
    with pytest.warns(PreflightWarning, match="RV601.*no output is NaN"):
        kept.predict(bad)
    model.weights[0].assign(np.full((F, 4), NAN))
    with pytest.warns(
        PreflightWarning, match="RV602.*the output has nan at row 0.*weight 'kernel' of layer 'first' has NaN"
    ):
        model.predict(X)
    log = rv.Sequential([rv.layers.Lambda(rv.ops.log, input_shape=(F,))])
    with pytest.warns(PreflightWarning, match="RV602.*outside the domain"):
        log.predict(-np.abs(X))


def no_denormal_state():
    x = X.copy()
    x[:, 0] = 0  # a dead input: its gradient is 0 from the second step on
    model = classifier()
    model.fit(X, Y, verbose=0)
    model.fit(x, Y, epochs=500, verbose=0)
    momentum = model._compiled.optimizer.slots[0]["momentum"].numpy()
    assert ((momentum == 0) | (abs(momentum) > 1e-30)).all()
    assert (momentum[0] == 0).all()


def no_denormals_where_samples_are_learned():
    """Not one in any value of a step, with scores up to hundreds apart; of a sigmoid's error none that goes further."""
    from ranvier.engines import reference

    by_scores = {
        SCE: rv.losses.SparseCategoricalCrossentropy(from_logits=True),
        "binary_crossentropy": rv.losses.BinaryCrossentropy(from_logits=True),
        "mse": "mse",
    }
    met, multiplied, steps = set(), set(), []

    def is_met(value):
        small = (value != 0) & (abs(value) < np.finfo(np.float32).tiny)
        return value.dtype == np.float32 and small.any()

    def evaluate(graph, arrays, extents, start):
        values = dict(zip(graph.inputs, arrays, strict=True))
        for node in graph.nodes():
            if node not in values:
                with np.errstate(all="ignore"):
                    values[node] = node.op.value([values[i] for i in node.inputs], node.attrs, extents)
            if is_met(values[node]):
                met.add(node.op.name)
            if node.op.name == "contract" and any(is_met(values[i]) for i in node.inputs):
                multiplied.add(node)
        steps.append(len(graph.updates))
        return [values[n] for n in graph.outputs], [np.array(values[v]) for _, v in graph.updates]

    with pytest.MonkeyPatch.context() as patch:
        for loss, rule, units in itertools.product(by_scores, ("adam", "rmsprop", "adagrad", "sgd"), (4, 300)):
            last = D(K if loss == SCE else 1)
            model = rv.Sequential([D(units, "relu", input_shape=(F,)), last])
            scores = model.predict(X, verbose=0)
            last.kernel.assign(last.kernel.numpy() * 120 / np.ptp(scores))
            scores = model.predict(X, verbose=0)
            learned = scores.argmax(1) if loss == SCE else scores > 0
            if loss == "mse":
                model.add(rv.layers.Activation("sigmoid"))
            model.compile(rule, by_scores[loss])
            patch.setattr(reference, "evaluate", evaluate)
            model.fit(X, learned, epochs=4, batch_size=20, verbose=0, ignore=("RV4", "RV5"))
            patch.undo()
            assert loss == "mse" or not met
    assert len(steps) > 24
    assert met  # so the others could have been met
    assert not multiplied


def out_of_memory():
    model, _ = fit(X, Y)
    step = next(iter(model._compiled.programs.values()))

    class Full:
        def run(self, *arguments):
            raise MemoryError("no room")

    step.program, before = Full(), model.get_weights()
    try:
        model.fit(X, Y, verbose=0)
    finally:
        for a, b in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)


def more_than_31_bits():
    """A row that begins past element 2**31 of an array whose untouched pages take no memory."""
    from ranvier import engines
    from ranvier.graph.extents import symbol
    from ranvier.graph.graph import Graph, input_node
    from ranvier.graph.node import apply

    x = np.zeros((2**27 + 2, 17), np.uint8)
    x[-1] = np.arange(17)
    rows, order = input_node("x", (symbol("samples"), 17), "uint8"), input_node("order", (1,), "int32")
    graph = Graph((rows, order), (apply("cast", apply("gather", rows, order), dtype="float32"),))
    for engine in ("reference", "native"):
        out = np.empty((1, 17), np.float32)
        engines.compile(graph, engine=engine).run([x, np.array([len(x) - 1], np.int32)], [out])
        np.testing.assert_array_equal(out[0], np.arange(17))


def thousands_of_nodes():
    x = rv.Tensor(np.ones(3), requires_grad=True)
    y = x
    for _ in range(3000):
        y = y + 1.0
    y.sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), np.ones(3))


def empty_and_scalar():
    assert (rv.Tensor(np.zeros((0, 3))) + 1.0).numpy().shape == (0, 3)
    assert (rv.Tensor(np.zeros((0, 3)))).sum().item() == 0.0
    assert (rv.Tensor(2.0) * 3.0).item() == 6.0


def concurrent_predict():
    model = classifier()
    expected, wrong = model.predict(X), []

    def ask():
        for _ in range(50):
            wrong.extend([1] * (not np.array_equal(model.predict(X), expected)))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def second_fit():
    model = classifier()
    with model._compiled.exclusive():
        model.fit(X, Y, verbose=0)


def collected_engine():
    import gc

    model = classifier()
    model.predict(X[:1])
    plan = model.__dict__["_plans"][(1, F), X.dtype, None]
    run, arrays, shape = plan.run, plan.arrays, plan.shape
    expected = model.predict(X[:1])
    del model, plan
    gc.collect()
    out = np.empty(shape, np.float32)
    run([X[:1], *arrays], [out], 0, 1, 1)
    np.testing.assert_array_equal(out, expected)


def short(index):
    return lambda: fit((b for b in [(X[:8], Y[:8]), (X[:8], Y[:8]), None][:index]), None, steps_per_epoch=3)


def misfit():
    return rv.Sequential([D(4, input_shape=(F,), name="a"), rv.layers.Flatten(), _Wrong()])


class _Wrong(rv.Module):
    def forward(self, x):
        return x @ rv.Tensor(np.zeros((7, 2)))


class _Nothing(torch.nn.Module):
    """Its forward lacks a return."""

    def forward(self, x):
        self.shape = x.shape


class Misspelled(callbacks.Callback):
    def on_epoch_ends(self, epoch, logs=None):
        raise AssertionError("no event has this name")


class OnlyMisspelled:
    def on_epoch_ending(self, epoch, logs=None):
        raise AssertionError("no event has this name")


class Short(callbacks.Callback):
    def on_epoch_end(self, epoch):  # type: ignore[override]  # the fault
        raise AssertionError("it is refused before")


class Indexed(np.ndarray):
    """An array with labels of its rows, as pandas has them."""

    def __new__(cls, array, labels):
        made = np.asarray(array).view(cls)
        made.index = Labels(labels)
        return made


class Labels(list):
    """An index of pandas, as far as it is asked."""

    def equals(self, other):
        return self == other


def unbuilt():
    model = rv.Sequential([D(K, activation="softmax")])
    model.compile("adam", SCE)
    return model


def two_inputs():
    a, b = rv.Input((F,), name="a"), rv.Input((F,), name="b")
    model = rv.Model([a, b], D(1)(rv.layers.Concatenate()([a, b])))
    model.compile("sgd", "mse")
    return model


def none_forward():
    class Model(rv.Model):
        def call(self, x):
            self.shape = x.shape

    model = Model()
    model.compile("sgd", "mse")
    return model


def load_pickle():
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "x.ranvier").write_bytes(pickle.dumps({"a": [1.0] * 9}))
        rv.load_model(Path(folder) / "x.ranvier")


def stepped(optimizer, **settings):
    net = torch.nn.Linear(F, 1)
    net(torch.tensor(X)).sum().backward()
    optimizer(net.parameters(), **settings).step()


def compiled(optimizer):
    model = classifier()
    model.compile(optimizer, SCE)
    return model


class _Samples(torch.utils.data.Dataset):
    """A data set of single samples."""

    def __len__(self):
        return N

    def __getitem__(self, i):
        return X[i], Y[i]


def warned(layers, loss, y=Y):
    model = rv.Sequential([rv.Input((F,)), *layers])
    model.compile(optimizers.SGD(1e-6), loss)
    model.fit(X, y, verbose=0)


LOGITS = rv.losses.SparseCategoricalCrossentropy(from_logits=True)
ROWS = [  # number, what is done, error or warning, its text
    (1, lambda: fit(put(X, (3, 2), NAN), Y), ValueError, "x has nan at row 3, column 2"),
    (1, lambda: fit(put(X, (3, 2), INF), Y), ValueError, "x has inf at row 3, column 2"),
    (1, lambda: fit(X, put(VALUES, (7, 0), NAN), regressor()), ValueError, "y has nan at row 7"),
    (1, lambda: fit(X, Y, validation_data=(put(X, (1, 0), NAN), Y)), ValueError, "validation x has nan at row 1"),
    (2, lambda: fit(X, put(Y, 4, 3)), ValueError, "label 3 at row 4.*'last' has 3 output.*0 to 2"),
    (2, lambda: fit(X, put(Y, 4, -1)), ValueError, "label -1 at row 4"),
    (2, lambda: fit(X, put(Y, 4, 2**40)), ValueError, "label 1099511627776 at row 4"),
    (3, lambda: fit(X, put(Y * 1.0, 2, 0.5)), ValueError, "fractional label 0.5 at row 2"),
    (4, lambda: fit(X[:0], Y[:0]), ValueError, "0 samples"),
    (4, lambda: classifier().predict(X[:0]), ValueError, "0 samples"),
    (5, lambda: fit(X, Y[:-1]), ValueError, f"x has {N}, y has {N - 1}"),
    (5, lambda: fit(X, Y, sample_weight=np.ones(3)), ValueError, f"x has {N}, y has {N}, sample_weight has 3"),
    (6, lambda: same_as(X.astype(object)), None, ""),
    (6, lambda: fit(put(X, (2, 1), "red"), Y), (TypeError, ValueError), "red"),
    (7, lambda: fit(X, np.array(["a", "b"] * 20)), TypeError, "unique"),
    (8, uint8_stays, None, ""),
    (9, lambda: same_as(np.asfortranarray(X)), None, ""),
    (9, lambda: same_as(X[::-1][::-1]), None, ""),
    (9, lambda: same_as(np.repeat(X, 2, 0)[::2]), None, ""),
    (9, lambda: same_as(read_only()), None, ""),
    (9, mapped, None, ""),
    (10, lambda: same_as(X.astype(">f4")), None, ""),
    (11, lambda: fit(X + 1j, Y), TypeError, "complex"),
    (12, lambda: same_as(X.tolist(), Y.tolist()), None, ""),
    (13, lambda: fit(X[:, 0], Y), ValueError, r"reshape\(-1, 1\)|reshape\(-1, 5\)"),
    (13, one_column, None, ""),
    (14, lambda: classifier().predict(X[:, :4]), ValueError, "'first' expects 5 features a sample, got 4"),
    (15, reordered_columns, ValueError, "another order.*column 0 is 'e', in fit it was 'a'"),
    (15, renamed_columns, ValueError, r"lacks \['e'\] and has unknown \['z'\]"),
    (15, columns_of_a_refused_frame, None, ""),
    (16, batch_larger_than_data, None, ""),
    (17, last_partial_batch, None, ""),
    (18, batch_of_one, None, ""),
    (18, lambda: torch.nn.BatchNorm1d(5)(torch.tensor(X[:1])), ValueError, "more than one value for each feature"),
    (19, lambda: fit(X, Y * 0), PreflightError, "all 40 targets y are of class 0"),
    (21, lambda: fit(put(X.astype(float), (0, 0), BIG), Y, check_finite=False), (RuntimeWarning, NonFiniteLoss), "infinite as float32"),
    (22, lambda: fit(Sparse(), Y), TypeError, "parse"),
    (23, short(2), ValueError, "ended early: batch 2 of 3"),
    (23, short(3), TypeError, "Batch 2 of .* is None"),
    (23, lambda: fit(iter([(X, Y), (X[:, :2], Y)]), None), ValueError, "Batch 1"),
    (23, lambda: fit(iter([]), None), ValueError, "yielded no batch"),
    (23, lambda: fit(short, None), TypeError, r"short is a function .*Write short\(\) instead"),
    (23, lambda: fit(X, Y, validation_data=short), TypeError, r"short is a function"),
    (23, lambda: fit(torch.utils.data.TensorDataset(X, Y), None), TypeError, r"Write DataLoader\(dataset, batch_size=32\)"),
    (23, lambda: fit(_Samples(), None), ValueError, r"Batch 0 of _Samples: y is a single.*DataLoader\(dataset, batch_size=32\) or dataset\.batch\(32\)"),
    (24, mutated_by_another_thread, None, ""),
    (25, column_targets, None, ""),
    (25, lambda: fit(X, np.zeros((N, 2)), regressor()), ValueError, "never broadcast"),
    (26, last_good_weights, None, ""),
    (27, extreme_logits, None, ""),
    (28, nan_survives, None, ""),
    (28, nan_predicted, None, ""),
    (29, no_denormal_state, None, ""),
    (29, no_denormals_where_samples_are_learned, None, ""),
    (31, lambda: warned([D(K, activation="softmax")], LOGITS), PreflightWarning, "expects logits"),
    (31, lambda: warned([D(K, activation="sigmoid")], SCE), PreflightWarning, "a sum of 1"),
    (31, lambda: warned([D(4), D(K, activation="softmax")], SCE), PreflightWarning, "no nonlinearity"),
    (31, lambda: warned([D(1, activation="softmax")], SCE, Y * 0), PreflightError, "RV105.*one output"),
    (31, lambda: warned([D(1, activation="softmax")], SCE), ValueError, "binary_crossentropy"),
    (32, lambda: D(2**40, name="huge").build((None, 2**40)), ValueError, "(?s)'huge'.*(2\\*\\*63|larger)"),
    (32, lambda: D(2**24, name="huge").build((None, 2**24)), (MemoryError, ValueError), "'huge'.*PiB|'huge'.*TiB"),
    (33, more_than_31_bits, None, ""),
    (34, out_of_memory, MemoryError, "no room"),
    (35, thousands_of_nodes, None, ""),
    (36, empty_and_scalar, None, ""),
    (37, misfit, ValueError, r"(?s)_Wrong.*test_faults\.py:\d+.*Dense 'a'"),
    (43, lambda: optimizers.SGD(momentum=2.0), ValueError, "from 0 to 1"),
    (43, lambda: compiled(optimizers.SGD(0.0)).fit(X, Y, verbose=0), PreflightWarning, "RV507.*no step changes a weight"),
    (43, lambda: compiled(optimizers.Adam(epsilon=0.0)).fit(X, Y, verbose=0), PreflightWarning, "RV508.*epsilon=1e-7"),
    (43, lambda: callbacks.EarlyStopping(patience=2.5), ValueError, "patience=2.5.*whole number"),
    (43, lambda: callbacks.ReduceLROnPlateau(cooldown=0.5), ValueError, "cooldown=0.5.*whole number"),
    (43, lambda: fit(X, Y, callbacks=[Misspelled()]), UserWarning, "Misspelled.on_epoch_ends is never called.*on_epoch_end "),
    (43, lambda: fit(X, Y, callbacks=[Short()]), TypeError, r"Short.on_epoch_end.*def on_epoch_end\(self, epoch, logs=None\)"),
    (43, lambda: fit(X, Y, class_weight={0: 1.0, 2: 2.0}), UserWarning, "no weight for class 1, which counts as 1"),
    (43, lambda: fit(iter([(X, Y)]), None, batch_size=8), UserWarning, "batch_size=8 is not used"),
    (43, lambda: fit(X, Y, validation_split=0.5, validation_data=(X, Y), ignore="RV4"), UserWarning, "validation_split=0.5 is not used"),
    (43, lambda: fit(X, Y, initial_epoch=5, epochs=3), UserWarning, "trains nothing.*epochs=8"),
    (43, lambda: fit(Indexed(X, range(N)), Indexed(Y, range(N)[::-1])), UserWarning, "matched by position"),
    (43, lambda: stepped(torch.optim.SGD, lr=0.0), UserWarning, r"SGD\(lr=0\).step\(\) changes no weight"),
    (43, lambda: stepped(torch.optim.Adam, eps=0.0), UserWarning, r"Adam\(eps=0\).*Write eps=1e-8"),
    (43, lambda: torch.optim.SGD([torch.ones(1)], lr=0.1, momentum=2.0), ValueError, "from 0 to 1"),
    (43, lambda: torch.optim.lr_scheduler.ReduceLROnPlateau(torch.optim.SGD([torch.ones(1)]), patience=2.5), ValueError, "patience=2.5.*whole number"),
    (43, lambda: fit(X, Y, callbacks=[OnlyMisspelled()]), TypeError, "is not a callback.*with the method on_epoch_end "),
    (43, lambda: fit(Indexed(X, range(N)), Y, sample_weight=Indexed(np.ones(N), range(N)[::-1])), UserWarning, "sample_weight have different labels"),
    (44, lambda: fit(Y, X, unbuilt()), ValueError, r"likely swapped. Write fit\(x, y\)"),
    (44, lambda: callbacks.LambdaCallback(on_epoch_end=lambda epoch: None), TypeError, "Write lambda epoch, logs=None: ... instead"),
    (44, lambda: torch.tensor({1, 2}), TypeError, r"Write sorted\(x\)"),
    (44, lambda: torch.tensor(["a", "b"]), TypeError, "texts such as 'a'"),
    (44, lambda: fit(["good", "bad"] * 20, Y), TypeError, "(?s)x contains strings.*adapted rv.layers.StringLookup"),
    (44, lambda: torch.tensor(X).view(-1, 7), ValueError, r"200 elements are no multiple of 7. Write \(-1, 8\)"),
    (44, lambda: rv.ops.reshape(X, (3, 7)), ValueError, r"200 elements are not 21. Write \(-1, 8\)"),
    (44, lambda: torch.tensor([1e300]), RuntimeWarning, r"1e\+300 is infinite as float32.*dtype='float64'"),
    (44, lambda: fit(put(X.astype(float), (0, 0), BIG), Y), (RuntimeWarning, NonFiniteLoss), "1e\\+300 at row 0, column 0. Write scaled"),
    (44, lambda: two_inputs().fit(X, VALUES, verbose=0), TypeError, r"takes 2 inputs \(a, b\), and x is a ndarray. Write x=\[a, b\]"),
    (44, lambda: two_inputs()(X), TypeError, r"takes 2 input.*Write model\(\[a, b\]\)"),
    (44, lambda: none_forward().fit(X, VALUES, verbose=0), ValueError, "returns None. Write return"),
    (44, load_pickle, ValueError, "x.ranvier is a pickle.*could run whatever code"),
    (44, lambda: fit(Y, X), ValueError, r"likely swapped. Write fit\(x, y\)"),
    (44, lambda: fit(X.T, Y[:F]), ValueError, r"The samples are columns: write x\.T"),
    (44, lambda: fit({1, 2}, Y), TypeError, "x is a set"),
    (44, lambda: classifier()(X, trainning=True), TypeError, "no argument 'trainning'. Write training="),
    (44, lambda: torch.tensor(X).view(3, 7), ValueError, "200 elements are not 21"),
    (44, lambda: torch.tensor(X) @ torch.tensor(X), ValueError, r"a @ b\.mT"),
    (44, lambda: torch.optim.SGD([], lr=0.1), ValueError, r"requires_grad_\(True\)"),
    (44, lambda: torch.load(io.BytesIO(pickle.dumps({"a": 1}))), ValueError, "is a pickle"),
    (45, lambda: torch.optim.SGD(torch.nn.Linear(2, 1).parameters(), lr=0.1).step(), UserWarning, "no parameter has a gradient"),
    (45, lambda: (torch.nn.Linear(F, 1)(torch.tensor(X)) * NAN).mean().item(), UserWarning, "this loss is NaN"),
    (45, lambda: _Nothing()(torch.tensor(X)), UserWarning, "returns None"),
    (40, concurrent_predict, None, ""),
    (41, second_fit, RuntimeError, "already running"),
    (42, collected_engine, None, ""),
]  # fmt: skip


class Every(callbacks.Callback):
    """Watches every batch, and sees no NaN."""

    def on_train_batch_end(self, batch, logs=None):
        assert np.isfinite(logs["loss"])

    def on_test_batch_end(self, batch, logs=None):
        assert np.isfinite(logs["loss"]), "NaN is found before validation"


@pytest.fixture
def watched(monkeypatch, tmp_path):
    """Every fit has callbacks, a backup, weights of samples, and validation data."""
    real, folders = training.fit, itertools.count()

    def fit(model, x=None, y=None, **options):
        folder = tmp_path / str(next(folders))
        folder.mkdir()
        watch = [
            Every(),
            callbacks.EarlyStopping("loss", patience=10**6, restore_best_weights=True),
            callbacks.CSVLogger(folder / "log.csv"),
            callbacks.ModelCheckpoint(folder / "best", "loss", save_best_only=True, save_freq=50),
            callbacks.BackupAndRestore(folder / "backup", save_freq=50),
        ]
        more: dict = {"callbacks": watch, "ignore": "RV4"}
        if not is_source(x):
            more |= {"validation_data": (x, y), "sample_weight": np.ones(len(x))}
        given = {name: value for name, value in options.items() if value is not None}
        return real(model, x, y, **{**more, **given})

    monkeypatch.setattr(training, "fit", fit)


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize(("number", "action", "error", "text"), ROWS)
def test_faults_with_callbacks_weights_and_validation(number, action, error, text):
    test_faults(number, action, error, text)


@pytest.mark.parametrize(("number", "action", "error", "text"), ROWS)
def test_faults(number, action, error, text):
    kinds = error if isinstance(error, tuple) else (error,)
    if error is None:
        action()
    elif issubclass(kinds[0], Warning):
        with pytest.warns(kinds[0], match=text), contextlib.suppress(*kinds[1:]):
            action()
    else:
        with pytest.raises(error, match=text):
            action()


def scikit_learn_metric():
    def accuracy_score(y_true, y_pred):
        raise AssertionError("recognized by its module, before it is called")

    accuracy_score.__module__ = "sklearn.metrics._classification"
    classifier().compile("adam", SCE, metrics=[accuracy_score])


def scikit_learn_metric_within():
    def accuracy_score(y_true, y_pred):
        raise TypeError("Expected sequence or array-like")

    theirs = types.FunctionType(accuracy_score.__code__, {**globals(), "__name__": "sklearn.metrics._classification"})
    model = classifier()
    model.compile("adam", SCE, metrics=[lambda y_true, y_pred: theirs(y_true, 1 - y_pred)])
    model.fit(X, Y, verbose=0)


def own_faulty_metric():
    model = classifier()
    model.compile("adam", SCE, metrics=[lambda y_true, y_pred: y_true.nothing])
    model.fit(X, Y, verbose=0)


MISTAKES = {  # a value in the wrong place or of the wrong kind: what is done, the error, what it says
    "a fraction in quotes": (lambda: fit(X, Y, validation_split="0.2"), ValueError, "validation_split='0.2': write a fraction between 0 and 1"),
    "patience in quotes": (lambda: callbacks.EarlyStopping(patience="3"), TypeError, r"EarlyStopping\(patience='3'\): this is a number"),
    "a factor in quotes": (lambda: callbacks.ReduceLROnPlateau(factor="3"), TypeError, r"ReduceLROnPlateau\(factor='3'\): this is a number"),
    "a change in quotes": (lambda: callbacks.EarlyStopping(min_delta="3"), TypeError, r"EarlyStopping\(min_delta='3'\): this is a number"),
    "a rate in quotes": (lambda: torch.optim.Adam([torch.ones(1)], lr="0.1"), TypeError, r"Adam\(lr='0.1'\): this is a number"),
    "one beta": (lambda: torch.optim.Adam([torch.ones(1)], betas=0.9), TypeError, r"betas=0.9: write a pair, such as betas=\(0.9, 0.999\)"),
    "classes of some": (lambda: rv.explain.saliency(classifier(), X[:3], target=[0, 1]), ValueError, r"target=\[0, 1\]: .* one for each of the 3 samples"),
    "a data set by name": (lambda: rv.datasets.load("mnits"), TypeError, r"load\('mnits'\): write datasets.load_mnist\(\)"),
    "a folder that is not there": (lambda: fit(X, Y)[1].plot("missing/h.png"), FileNotFoundError, "missing/h.png: there is no folder missing"),
    "one tuple": (lambda: fit((X, Y), None), TypeError, r"x is a tuple of 2 arrays, and y is missing. Write fit\(x, y\)"),
    "no targets": (lambda: classifier().evaluate(X), ValueError, r"y is missing. Write the targets .* evaluate\(x, y\)"),
    "a metric of arrays": (scikit_learn_metric, TypeError, r"accuracy_score of scikit-learn.* Write metrics=\['accuracy'\]"),
    "such a one within another": (scikit_learn_metric_within, TypeError, r"accuracy_score of scikit-learn.* Write metrics=\['accuracy'\]"),
    "another's fault": (own_faulty_metric, AttributeError, "nothing"),
    "fit of the class": (lambda: rv.Sequential.fit(X, Y), TypeError, "fit was called on the class, with a ndarray"),
    "predict of the class": (lambda: rv.Sequential.predict(X), TypeError, "predict was called on the class, with a ndarray"),
}  # fmt: skip


@pytest.mark.parametrize("what", MISTAKES)
def test_mistakes(what):
    action, error, text = MISTAKES[what]
    with pytest.raises(error, match=text):
        action()


def test_metrics_in_capitals():
    model = regressor()
    model.compile("sgd", "MSE", metrics=["MAE", "mse"])
    assert set(fit(X, VALUES, model)[1].history) == {"loss", "MAE", "mse"}


# --- faults of the whole process, in a process of its own, on the native engine -----------------------------------

MODEL = """
import os, signal, sys, threading, time
import numpy as np, ranvier as rv
rv.set_seed(0)
x = np.random.default_rng(0).random((4096, 8), dtype=np.float32); y = (x[:, 0] > 0.5).astype(int)
model = rv.Sequential([rv.layers.Dense(16, activation="relu", input_shape=(8,)), rv.layers.Dense(2, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy")
if os.environ.get("WATCHED"):
    import functools, pathlib, tempfile
    from ranvier import callbacks as c
    def watch():
        folder = pathlib.Path(tempfile.mkdtemp(dir=os.environ["WATCHED"]))
        return [c.EarlyStopping("loss", patience=10**9), c.CSVLogger(folder / "log.csv"), c.BackupAndRestore(folder / "b", save_freq=500)]
    plain = model.fit
    model.fit = lambda x, y, **options: plain(x, y, **{"callbacks": watch(), "validation_data": (x[:500], y[:500]),
                                                      "sample_weight": np.ones(len(x)), "ignore": "RV", **options})
"""
INTERRUPT = """
model.fit(x, y, verbose=0)
def press():
    time.sleep(0.5); press.at = time.process_time(); os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=press).start()
try:
    model.fit(x, y, epochs=10**6, verbose=0)
except KeyboardInterrupt:
    assert time.process_time() - press.at < 0.5, "late"  # a busy machine is not
    assert len(model.history.epoch) == len(model.history.history["loss"]) > 0
    assert all(np.isfinite(w).all() for w in model.get_weights())
    model.fit(x, y, verbose=0)
    print("good")
"""
FORK = """
expected = model.predict(x)
model.fit(x[:64], y[:64], verbose=0)
expected = model.predict(x)
child = os.fork()
if child == 0:
    same = np.array_equal(model.predict(x), expected)
    model.fit(x, y, verbose=0)
    os._exit(0 if same else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print("good")
"""
FORK_BESIDE_A_COMPILER = """
def predict(i):
    rv.Sequential([rv.layers.Dense(2 + i % 9, input_shape=(3 + i // 9,))]).predict(np.zeros((2, 3 + i // 9), np.float32))
def compile():
    for i in range(10**6):
        predict(i)
threading.Thread(target=compile, daemon=True).start()
for number in range(8):  # many held a lock of LLVM or of llvmlite
    time.sleep(0.03 * number)
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        predict(10**4 + number)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, number
print("good")
"""
FORK_BESIDE_AN_IMPORT = """
import importlib, tempfile, pathlib
folder = pathlib.Path(tempfile.mkdtemp())
(folder / "slow.py").write_text("import time; time.sleep(0.5)")
rv.__path__.append(str(folder))
threading.Thread(target=importlib.import_module, args=("ranvier.slow",)).start()
time.sleep(0.1)
child = os.fork()
if child == 0:
    signal.alarm(60)
    importlib.import_module("ranvier.slow")
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print("good")
"""
EXIT = """
rv.set_threads(2)
def train():
    while True:  # also in NumPy's np.unique, which fit asks first: C++, which an interpreter that ends would abort
        model.fit(x, y, epochs=1, verbose=0)
threading.Thread(target=train, daemon=True).start()
time.sleep(0.3)
print("good")
"""


def process(program, **variables):
    source = str(Path(rv.__file__).parent.parent)
    environment = os.environ | {"PYTHONPATH": source, "RANVIER_ENGINE": "native", **variables}
    result = subprocess.run(
        [sys.executable, "-c", MODEL + program],
        capture_output=True, text=True, timeout=120, check=False, env=environment,
    )  # fmt: skip
    assert (result.returncode, "Traceback" in result.stderr) == (0, False), result.stderr
    assert result.stdout.startswith("good"), result.stdout
    return result.stdout


PROCESSES = [(38, INTERRUPT), (39, FORK), (43, EXIT)]


@pytest.mark.parametrize(("number", "program"), PROCESSES)
@pytest.mark.parametrize("watched", [False, True])
def test_processes(number, program, watched, tmp_path):
    process(program, WATCHED=str(tmp_path) if watched else "")


@pytest.mark.parametrize("program", [FORK_BESIDE_A_COMPILER, FORK_BESIDE_AN_IMPORT])
def test_a_fork_waits_for_other_threads(program, tmp_path):
    process(program, RANVIER_CACHE=str(tmp_path))


# --- nothing is forgotten -----------------------------------------------------------------------------------------

DEMANDED = {*range(1, 59), 60, *range(63, 68), 74}
ELSEWHERE = {  # number: the file that holds its tests
    20: "tests/training/test_weights.py",
    30: "tests/test_bits.py",
    44: "tests/engines/native/test_llvm.py",
    45: "tests/engines/native/test_threads.py",
    46: "tests/engines/native/test_threads.py",
    **dict.fromkeys((47, 48, 49, 55, 57, 60), "tests/saving/test_files.py"),
    **dict.fromkeys((50, 53, 54, 56, 58), "tests/saving/test_save.py"),
    **dict.fromkeys((51, 52), "tests/training/test_resume.py"),
    **dict.fromkeys(range(63, 68), "tests/engines/native/test_object_cache.py"),
    74: "tests/data/test_texts.py",
}


def test_every_number_has_a_row():
    here = {row[0] for row in ROWS} | {number for number, _ in PROCESSES}
    assert not DEMANDED - here - set(ELSEWHERE)
    root = Path(__file__).parent.parent
    assert not [name for name in set(ELSEWHERE.values()) if not (root / name).exists()]

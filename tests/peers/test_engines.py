"""The engines of other libraries: what the tests of the core run on every engine runs on these, too.

A sample of the rows; all of them with ``RANVIER_ROWS=all``, as in ``make test-engines``.
"""

import gc
import inspect
import itertools
import os
import sys
import warnings
from importlib import import_module, metadata
from types import FunctionType
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import engines
from ranvier.engines import LIBRARIES, set_engine
from ranvier.graph.grad import gradient
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import PRIMITIVES, apply
from ranvier.graph.tiny import snapped
from tests.engines import test_checks
from tests.graph import test_dtypes, test_graph, test_primitives
from tests.layers import test_layers
from tests.test_docs import DOCUMENTS, verify

OTHERS = sorted(LIBRARIES)


@pytest.fixture(params=OTHERS)
def engine(request):
    """The fixture of the core, and what parameters named so become: each of these engines in turn."""
    set_engine(request.param)
    yield request.param
    set_engine(None)


ALL = os.environ.get("RANVIER_ROWS") == "all"
SAMPLE = slice(None, None, 1 if ALL else 29)  # of long tables
MANY = 100  # rows, each of which leaves programs in the memory of the libraries
count = itertools.count(1)


@pytest.fixture(autouse=True)
def forgetting():
    """Programs of earlier rows are dropped now and then."""
    yield
    if next(count) % MANY == 0:
        engines._shared.clear()
        for name, forget in (("jax", "clear_caches"), ("torch._dynamo", "reset")):
            if name in sys.modules:
                getattr(sys.modules[name], forget)()
        gc.collect()


FEW = slice(None, None, 1 if ALL else 5)  # of short ones


@pytest.fixture(params=list(test_layers.ROWS)[SAMPLE])
def row(request):
    make, x, value = test_layers.ROWS[request.param]
    return make(), x, value


def on_these(test):
    """A test of the core that is given an engine, on these ones."""
    copy = FunctionType(test.__code__, test.__globals__, test.__name__, test.__defaults__, test.__closure__)
    copy.pytestmark = []
    for mark in getattr(test, "pytestmark", []):
        if mark.name == "parametrize" and mark.args[0] != "engine":
            names, rows = mark.args
            part = SAMPLE if len(rows) > 12 else FEW
            ids = mark.kwargs.get("ids")
            copy.pytestmark.append(pytest.mark.parametrize(names, list(rows)[part], ids=ids and list(ids)[part]).mark)
        elif mark.name != "parametrize":
            copy.pytestmark.append(mark)
    return copy


for module in (test_primitives, test_dtypes, test_graph, test_checks, test_layers):
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if (
            name.startswith("test_")
            and "engine" in inspect.signature(function).parameters
            and function.__module__ == module.__name__
        ):
            setattr(sys.modules[__name__], f"{name}_of_{module.__name__.rpartition('_')[2]}", on_these(function))


@pytest.mark.parametrize("name", OTHERS)
def test_a_table_has_a_row_for_every_primitive(name):
    table = engines._module(name).TABLE
    assert set(table) == set(PRIMITIVES) - {"input", "map"}  # maps are inlined: see `tables.prepared`


# --- training ------------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.normal(size=(50, 10, 10, 2)).astype(np.float32), RNG.integers(0, 3, 50)
L = rv.layers
NETWORKS = {
    "dense": lambda: [L.Flatten(), L.Dense(8, "relu"), L.Dropout(0.3), L.GaussianNoise(0.1), L.Dense(3)],
    "series": lambda: [
        L.Reshape((20, 10)), L.Dense(8), L.LayerNormalization(), L.Conv1D(4, 5, strides=2), L.Flatten(), L.Dense(3),
    ],
    "convolution": lambda: [
        L.Conv2D(4, 3, strides=2, padding="same", activation="relu"), L.BatchNormalization(), L.MaxPooling2D(3, 1),
        L.DepthwiseConv2D(2, dilation_rate=2, padding="same"), L.Conv2D(4, 2, groups=2), L.GlobalAveragePooling2D(), L.Dense(3),
    ],
    "transposed": lambda: [L.Conv2DTranspose(3, 3, strides=2), L.AveragePooling2D(), L.Flatten(), L.Dense(3)],
    "recurrent": lambda: [L.Reshape((20, 10)), L.Bidirectional(L.LSTM(4, return_sequences=True)), L.GRU(4), L.Dense(3)],
    "pooled": lambda: [
        L.Conv2D(4, 3, activation="relu"), L.MaxPooling2D(3), L.MaxPooling2D(2, 1), L.Dropout(0.3), L.Flatten(), L.Dense(3),
    ],
}  # fmt: skip


def fitted(network, engine, optimizer="adam"):
    """The results of training in batches of 16 with a smaller last one; in a sample, others than dense have equal ones."""
    size = 16 if ALL or network == "dense" else 10
    rv.set_seed(0)
    model = rv.Sequential([rv.Input((10, 10, 2)), *NETWORKS[network]()])
    loss = rv.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"], engine=engine)
    history = model.fit(IMAGES, LABELS, epochs=2, batch_size=size, verbose=0, validation_split=0.2, ignore="RV").history
    return [*history.values(), model.predict(IMAGES[:size], verbose=0)]


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("network", list(NETWORKS)[:: 1 if ALL else 2])
def test_networks_train_as_on_the_reference_engine(network, name):
    for found, expected in zip(fitted(network, name), fitted(network, "reference"), strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)


OPTIMIZERS = ["adamw", "sgd", "adamax", "nadam", "rmsprop", "ftrl", "adagrad", "adadelta", "lion"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS[FEW])
def test_optimizers_step_as_on_the_reference_engine(optimizer):
    for name in OTHERS:
        for found, expected in zip(
            fitted("dense", name, optimizer), fitted("dense", "reference", optimizer), strict=True
        ):
            np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", OTHERS)
def test_a_run_is_resumed(name, tmp_path):
    def run(folder, epochs):
        rv.set_seed(0)
        model = rv.Sequential([rv.Input((10, 10, 2)), *NETWORKS["dense"]()])
        model.compile("adam", rv.losses.SparseCategoricalCrossentropy(from_logits=True), engine=name)
        backup = rv.callbacks.BackupAndRestore(tmp_path / folder, delete_checkpoint=False)
        model.fit(IMAGES, LABELS, epochs=epochs, batch_size=16, verbose=0, callbacks=[backup], ignore="RV")
        return model.get_weights()

    expected = run("once", 4)
    run("twice", 2)
    for found, weight in zip(run("twice", 4), expected, strict=True):
        np.testing.assert_allclose(found, weight, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_updates_of_all_parameters_are_one_on_pytorch(optimizer, monkeypatch):
    made, updates = [], import_module("ranvier.engines.torch_updates")
    fused = updates.fused_adam

    def noted(group):
        made.append((group, fused(group)))
        return made[-1][1]

    monkeypatch.setattr(updates, "fused_adam", noted)
    monkeypatch.setattr(engines, "_shared", {})
    fitted("series", "torch", optimizer)
    (group, function), *_ = made
    assert len(group.updates) == 8
    assert (function is not None) == (optimizer == "adam")


NORMALIZED = {  # a network, and how often PyTorch's functions run: moments, values, gradients
    "images": (lambda: [L.Conv2D(4, 3), L.BatchNormalization(), L.Activation("relu"), L.Flatten()], (1, 1, 1)),
    "no scale": (lambda: [L.Conv2D(4, 3), L.BatchNormalization(scale=False), L.Flatten()], (1, 1, 1)),
    "channels first": (lambda: [L.Conv2D(4, 3), L.BatchNormalization(axis=1, center=False), L.Flatten()], (1, 1, 1)),
    "features": (
        lambda: [L.Flatten(), L.Dense(7), L.BatchNormalization(scale=False, center=False), L.Activation("tanh")],
        (1, 1, 1),
    ),
    "data": (lambda: [L.BatchNormalization(), L.Flatten()], (1, 1, 0)),  # whose gradient is not wanted
    "layer": (lambda: [L.Conv2D(4, 3), L.LayerNormalization(), L.Flatten()], (0, 0, 0)),
}


@pytest.mark.parametrize("case", NORMALIZED)
def test_batches_are_normalized_by_functions_of_pytorch(case, monkeypatch):
    make, expected = NORMALIZED[case]
    monkeypatch.setattr(engines, "_shared", {})
    functions, counts = import_module("ranvier.engines.torch_functions"), []
    real = functions.with_normalization

    def noted(graph):
        made = real(graph)
        counts.append(tuple(len(made.of(op)) for op in ("moments", "normalized", "normalized_gradients")))
        return made

    def fit(engine):
        rv.set_seed(0)
        model = rv.Sequential([rv.Input((10, 10, 2)), *make(), L.Dense(3)])
        model.compile("sgd", rv.losses.SparseCategoricalCrossentropy(from_logits=True), engine=engine)
        losses = model.fit(IMAGES, LABELS, epochs=3, batch_size=16, verbose=0, ignore="RV").history["loss"]
        return [losses, *model.get_weights()]

    monkeypatch.setattr(functions, "with_normalization", noted)
    for found, wanted in zip(fit("torch"), fit("reference"), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-5)
    assert counts[0] == expected


class Backward(rv.torch.nn.Module):
    """PyTorch's layer, whose last states and outputs are read."""

    def __init__(self):
        super().__init__()
        self.lstm = rv.torch.nn.LSTM(10, 4, bidirectional=True)
        self.linear = rv.torch.nn.Linear(8, 3)

    def forward(self, x):
        outputs, (_, c) = self.lstm(x.flatten(2).transpose(0, 1)[:, :, :10])
        return self.linear(outputs.mean(0) + c.transpose(0, 1).flatten(1))


STEPS = L.Reshape((20, 10))
RECURRENT: dict[
    str, Any
] = {  # a network, and how many layers PyTorch's kernels run, their gradients, and loops that are left
    "layers": (lambda: [STEPS, L.LSTM(4, return_sequences=True), L.LSTM(5, use_bias=False), L.Dense(3)], (2, 2, 0)),
    "backward": (lambda: [STEPS, L.Dense(3), L.LSTM(4, go_backwards=True), L.Dense(3)], (1, 1, 0)),
    "pytorch": (lambda: [Backward()], (2, 2, 0)),
    "mask": (lambda: [STEPS, L.Masking(), L.LSTM(3), L.Dense(3)], (0, 0, 2)),
    "activation": (lambda: [STEPS, L.LSTM(3, recurrent_activation="hard_sigmoid"), L.Dense(3)], (0, 0, 2)),
    "another cell": (lambda: [STEPS, L.GRU(3), L.Dense(3)], (0, 0, 2)),
}


@pytest.mark.parametrize("case", list(RECURRENT)[:: 1 if ALL else 2])
def test_layers_of_lstm_are_kernels_of_pytorch(case, monkeypatch):
    make, expected = RECURRENT[case]
    monkeypatch.setattr(engines, "_shared", {})
    engine, counts = engines._module("torch"), []
    real = engine.with_functions

    def noted(graph, **options):
        made = real(graph, **options)
        counts.append(tuple(len(made.of(op)) for op in ("lstm", "lstm_gradients", "scan")))
        return made

    def fit(name):
        rv.set_seed(0)
        model = rv.Sequential([rv.Input((10, 10, 2)), *make()])
        model.compile("sgd", rv.losses.SparseCategoricalCrossentropy(from_logits=True), engine=name)
        losses = model.fit(IMAGES, LABELS, epochs=2, batch_size=16, verbose=0, ignore="RV").history["loss"]
        return [losses, *model.get_weights()]

    monkeypatch.setattr(engine, "with_functions", noted)
    for found, wanted in zip(fit("torch"), fit("reference"), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-5)
    assert counts[0] == expected


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_slopes_of_activations_are_functions_of_pytorch(name):
    x, g = input_node("x", (3, 4), "float32"), input_node("g", (3, 4), "float32")
    (slope,) = gradient(apply(name, x), [x], g)
    graph = Graph((x, g), (slope,))
    found = import_module("ranvier.engines.torch_functions").with_functions(graph)
    assert [node.op.name for node in found.nodes()][2:] == [name, f"{name}_gradient"]
    arrays, results = [RNG.normal(size=(3, 4)).astype("f") for _ in graph.inputs], []
    for engine in ("torch", "reference"):
        results.append(np.empty((3, 4), "f"))
        engines.compile(graph, engine=engine).run(arrays, results[-1:])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5)


def test_what_xla_stores_is_computed_once():
    x, v = input_node("x", (4,), "float32"), input_node("v", (4,), "float32")
    moved = v + x
    program = engines.compile(Graph((x, v), (), ((x, x - moved), (v, snapped(moved)))), engine="jax")
    (_, less), (_, stored) = program.graph.updates
    assert stored.op.name == "select"
    assert less.inputs[1] is stored
    arrays = [np.full(4, 1, np.float32), np.array([1, -1, 2, 1e-31 - 1], np.float32)]
    program.run(arrays, ())
    np.testing.assert_array_equal(arrays, [[-1, 1, -2, 1], [2, 0, 3, 0]])


def compiling(monkeypatch):
    """Every step of PyTorch's engine is compiled; its modules."""
    engine, compiled = engines._module("torch"), import_module("ranvier.engines.torch_compiled")
    monkeypatch.setenv("RANVIER_TORCH_COMPILE", "1")
    monkeypatch.setattr(compiled, "_reported", False)
    monkeypatch.setattr(engines, "_shared", {})
    return engine, compiled


@pytest.mark.skipif(SAMPLE.step > 1, reason="torch.compile takes some ten seconds")
@pytest.mark.parametrize("network", NETWORKS)
def test_compiled_steps_of_pytorch(network, monkeypatch):
    compiling(monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for found, expected in zip(fitted(network, "torch"), fitted(network, "reference"), strict=True):
            np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)


def test_steps_of_pytorch_run_uncompiled_with_one_warning_where_a_compiler_fails(monkeypatch):
    expected = fitted("dense", "torch")
    engine, compiled = compiling(monkeypatch)

    def failing(*given, **options):
        raise RuntimeError("the compiler is broken")

    monkeypatch.setattr(engine.torch, "compile", failing)
    with pytest.warns(UserWarning, match="torch.compile fails: RuntimeError: the compiler is broken") as caught:
        found = fitted("dense", "torch")
    assert len(caught) == 1
    assert all(map(np.array_equal, found, expected))
    monkeypatch.setattr(compiled, "_reported", False)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.warns(UserWarning, match="no C\\+\\+ compiler is installed"):
        assert not compiled._has_compiler.__wrapped__()


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("jax:cuda:0", "JAX has no device 'cuda:0' here. Write one of 'cpu:0'"),
        ("torch:cuda:0", "PyTorch has no device 'cuda:0' here. Write one of 'cpu'"),
        ("tensorflow:gpu:0", "TensorFlow has no device 'gpu:0' here. Write one of 'CPU:0'"),
        ("jax:gpu:99", "JAX has no device 'gpu:99' here. Write one of 'cpu:0'"),
        ("torch:cuda:99", "PyTorch has no device 'cuda:99' here. Write one of 'cpu'"),
        ("tensorflow:gpu:99", "TensorFlow has no device 'gpu:99' here. Write one of 'CPU:0'"),
        ("native:gpu", "engine 'native' takes no device, and was given 'gpu'. Write 'native' instead"),
    ],
)
def test_a_device_that_is_not_there_is_refused(name, message):
    if name.endswith(":0") and engines._module("torch").torch.cuda.is_available():
        pytest.skip("it is there")
    with pytest.raises(ValueError, match=message):
        rv.set_engine(*name.split(":", 1))


@pytest.mark.parametrize("name", OTHERS)
def test_a_library_that_is_old_is_refused(name, monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda package: "0.1.2")
    with pytest.raises(
        ImportError, match=rf"engine '{name}' needs .* or newer, and 0\.1 is installed. Write: pip install"
    ):
        engines._check_library.__wrapped__(name)


def test_the_document(tmp_path):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    verify(next(path for path in DOCUMENTS if path.name == "engines.md"), tmp_path, forked=False)

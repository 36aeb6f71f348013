"""Generated networks: trained for two steps on the reference engine and natively, on one thread and on three."""

import gc
import warnings
import weakref
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ranvier as rv
from ranvier import layers, ops
from ranvier.engines.native import compiler
from ranvier.engines.native.codegen.assemble import bodies

SAMPLES = 9
RNG = np.random.default_rng(3)
UNITS = st.sampled_from([1, 2, 5, 16, 20, 33, 48])
EXTENTS = st.sampled_from([1, 5, 8, 17, 21])
CHANNELS = st.sampled_from([1, 2, 3, 16, 20])
ACTIVATIONS = st.sampled_from([None, "relu", "tanh", "gelu"])
NORMALIZATIONS = [layers.BatchNormalization, layers.LayerNormalization]


@st.composite
def networks(draw):
    """The shape of a sample, and functions that build the layers."""
    positions = draw(st.integers(0, 2))
    shape = (*(draw(EXTENTS) for _ in range(positions)), draw(CHANNELS if positions else UNITS))
    makers = [draw(_layer(positions)) for _ in range(draw(st.integers(1, 3)))]
    return shape, makers


@st.composite
def _layer(draw, positions):
    kind = draw(st.sampled_from(["dense", "normalization", "dropout", *["windows"] * 4 * bool(positions)]))
    units, activation = draw(UNITS), draw(ACTIVATIONS)
    if kind == "dense":
        return lambda: layers.Dense(units, activation=activation)
    if kind == "normalization":
        return draw(st.sampled_from(NORMALIZATIONS))
    if kind == "dropout":
        return lambda: layers.Dropout(0.3)
    size, stride = draw(st.sampled_from([1, 2, 3, 5])), draw(st.sampled_from([1, 1, 2]))
    rate = draw(st.sampled_from([1, 2])) if stride == 1 else 1
    named = {"strides": stride, "padding": "same"}
    form, dims = (
        draw(st.sampled_from(["conv", "transposed", "depthwise", "separable", "max", "average"])),
        f"{positions}D",
    )
    if form == "conv":
        return lambda: getattr(layers, f"Conv{dims}")(units, size, dilation_rate=rate, activation=activation, **named)
    if form == "transposed":
        return lambda: getattr(layers, f"Conv{dims}Transpose")(units, size, activation=activation, **named)
    if form == "depthwise":
        return lambda: getattr(layers, f"DepthwiseConv{dims}")(size, activation=activation, **named)
    if form == "separable":
        return lambda: getattr(layers, f"SeparableConv{dims}")(units, size, activation=activation, **named)
    pool = "MaxPooling" if form == "max" else "AveragePooling"
    return lambda: getattr(layers, pool + dims)(2, padding="same")


def trained(engine, threads, shape, makers, batch):
    """The losses of two epochs, predictions and weights."""
    rng = np.random.default_rng(0)
    x, y = rng.random((SAMPLES, *shape), dtype=np.float32), rng.random((SAMPLES, 3), dtype=np.float32)
    rv.set_seed(0)
    rv.set_engine(engine)
    rv.set_threads(threads)
    try:
        model = rv.Sequential([rv.Input(shape), *(make() for make in makers), layers.Flatten(), layers.Dense(3)])
        model.compile(rv.optimizers.SGD(1e-3, momentum=0.9), "mse")
        losses = model.fit(x, y, batch_size=batch, epochs=2, verbose=0).history["loss"]
        return [np.asarray(losses), model.predict(x, verbose=0), *model.get_weights()]
    finally:
        rv.set_engine(None)
        rv.set_threads(None)


# The same networks in every run: a change of something else is no place to meet a new one. Others with other numbers.
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(network=networks(), batch=st.sampled_from([1, 4, SAMPLES]))
def test_engines_agree_and_threads_change_no_bit(network, batch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the checks before training say of such networks
        expected = trained("reference", 1, *network, batch)
        one, three = (trained("native", threads, *network, batch) for threads in (1, 3))
    for a, b in zip(one, three, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(one, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)


TURNED = {
    "a product of reversed rows": lambda x: ops.flip(x, 0),
    "reversed both ways": lambda x: ops.flip(x, (0, 1)),
    "beside themselves": lambda x: ops.concatenate([ops.flip(x, 0), x], 1),
    "all pairs": lambda x: ops.matmul(ops.softmax(ops.matmul(ops.flip(x, 0), ops.transpose(x))), x),
}


@pytest.mark.parametrize("name", TURNED)
def test_rows_of_a_batch_in_reverse(name):
    """The index of the last row is known only when the program runs."""
    makers = [lambda: layers.Dense(5), lambda: layers.Lambda(TURNED[name])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = trained("reference", 1, (3,), makers, 4)
        one, three = (trained("native", threads, (3,), makers, 4) for threads in (1, 3))
    for a, b, c in zip(one, three, expected, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, c, rtol=1e-4, atol=1e-5)


def _images():
    first = layers.Conv2D(40, 3, padding="same"), layers.BatchNormalization(), layers.Activation("relu")
    then = layers.MaxPooling2D(3, 2, padding="same"), layers.Conv2D(24, 3, activation="relu"), layers.Permute((3, 1, 2))
    return RNG.normal(size=(SAMPLES, 13, 13, 3)).astype(np.float32), [*first, *then, layers.Flatten(), layers.Dense(5)]


def _texts():
    table = layers.Embedding(300, 8, mask_zero=True)
    tokens = RNG.integers(1, 300, (SAMPLES, 7)).astype(np.int32)
    return tokens, [table, layers.LSTM(12, return_sequences=True), layers.LayerNormalization(), layers.GRU(9)]


@pytest.mark.parametrize("network", [_images, _texts])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])  # SGD updates the rows of a table that are used, alone
def test_compiling_leaves_nothing_for_the_collector(monkeypatch, network, optimizer):
    """A cycle among kernels would keep the whole schedule in memory while the program runs."""
    monkeypatch.setenv("RANVIER_CACHE", "off")
    made: list[Callable[[], object]] = []
    schedule_of = compiler.schedule_of

    def noted(graph, batch):
        schedule = schedule_of(graph, batch)
        made.extend(weakref.ref(task) for _, own in bodies(schedule) for task in own.order)
        return schedule

    monkeypatch.setattr(compiler, "schedule_of", noted)
    x, hidden = network()
    model = rv.Sequential([layers.Input(x.shape[1:], dtype=x.dtype.name), *hidden])
    model.compile(optimizer, "mse")
    gc.disable()
    try:
        model.fit(x, RNG.normal(size=(SAMPLES, *model.output_shape[1:])).astype(np.float32), epochs=1, verbose=0)
        assert made
        assert not [task for task in made if task() is not None]
    finally:
        gc.enable()

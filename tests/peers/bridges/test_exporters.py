"""What the exporters of PyTorch and Keras write: it comes in, predicts the same, and trains on. By ``make test-bridges``.

PyTorch's exporter traces with torch.export, and needs onnxscript; Keras's runs on TensorFlow, and needs tf2onnx.
"""

import functools
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import ranvier as rv
from tests.interop.damage import WHOLE
from tests.peers.bridges import test_onnx_in

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(not WHOLE, reason="make test-bridges runs it"),
    pytest.mark.filterwarnings("ignore"),
]


def comes_in(path, x, expected, trains=True):
    """The model predicts the same, and its loss falls."""
    rv.set_engine("reference")
    model = rv.from_onnx(path)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-5 * max(1, np.abs(expected).max()))
    rv.set_engine("native")
    if not trains:
        return
    model.compile(rv.optimizers.Adam(1e-3), "mse")
    losses = model.fit(x, expected + 1, epochs=6, batch_size=4, verbose=0, ignore="RV").history["loss"]
    assert min(losses[-2:]) < losses[0]


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "recurrent", "two layers", "transformer"])
def test_what_pytorch_exports(name, tmp_path):
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    module, (x,) = test_onnx_in.NETWORKS[name]()
    if x.is_floating_point():
        module(torch.cat([x, -x, 2 * x]))  # statistics of its own
    torch.onnx.export(
        module.eval(), (x,), tmp_path / "a.onnx", dynamo=True, dynamic_shapes=({0: torch.export.Dim("batch")},),
        input_names=["x"], output_names=["y"], verbose=False,
    )  # fmt: skip
    more = torch.cat([x, x])
    with torch.no_grad():
        expected = module(more).numpy()
    comes_in(tmp_path / "a.onnx", more.numpy(), expected)


KERAS = """
import sys
import numpy as np, keras
from keras import layers

keras.utils.set_random_seed(0)


def block(x, filters, stride):
    y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(filters, 3, stride, "same", use_bias=False)(x)))
    y = layers.BatchNormalization()(layers.Conv2D(filters, 3, 1, "same", use_bias=False)(y))
    if stride != 1 or x.shape[-1] != filters:
        x = layers.BatchNormalization()(layers.Conv2D(filters, 1, stride, use_bias=False)(x))
    return layers.ReLU()(layers.Add()([x, y]))


def resnet18():
    start = keras.Input((32, 32, 3))
    x = layers.BatchNormalization()(layers.Conv2D(16, 7, 2, "same", use_bias=False)(start))
    x = layers.MaxPooling2D(3, 2, "same")(layers.ReLU()(x))
    for filters, stride in ((16, 1), (16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1)):
        x = block(x, filters, stride)
    return keras.Model(start, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))


def mobilenet_v2():
    options = {"weights": None, "classes": 5, "alpha": 0.35, "classifier_activation": None}
    return keras.applications.MobileNetV2((32, 32, 3), **options)


def lstm():
    start = keras.Input((6, 4))
    x = layers.LSTM(4)(layers.Bidirectional(layers.LSTM(5, return_sequences=True))(start))
    return keras.Model(start, layers.Dense(2)(x))


def gru():
    return keras.Sequential([keras.Input((6, 4)), layers.GRU(5), layers.Dense(2)])


def transformer():
    start = keras.Input((6,), dtype="int32")
    x = layers.Embedding(11, 8)(start)
    for _ in range(2):
        x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x))
        x = layers.LayerNormalization()(x + layers.Dropout(0.1)(layers.Dense(8)(layers.Dense(16, "relu")(x))))
    return keras.Model(start, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


rng = np.random.default_rng(0)
for make in map(globals().get, sys.argv[2:]):
    model = make()
    shape = (8, *model.input_shape[1:])
    x = rng.integers(0, 11, shape).astype("int32") if make is transformer else rng.normal(size=shape).astype("float32")
    for layer in model.layers:
        if "moving_variance" in str([v.path for v in layer.weights]):  # of a network that has trained
            layer.moving_variance.assign(np.full(layer.moving_variance.shape, 0.3, "float32"))
    model(x)
    model.export(f"{sys.argv[1]}/{make.__name__}.onnx", format="onnx", verbose=False)
    np.savez(f"{sys.argv[1]}/{make.__name__}.npz", x=x, y=model.predict(x, verbose=0))
"""


BACKENDS = {  # of Keras, by what the exporter needs; on PyTorch it cannot write the transformer
    "tensorflow": ("tf2onnx", ["resnet18", "mobilenet_v2", "lstm", "gru", "transformer"]),
    "torch": ("onnxscript", ["resnet18", "lstm", "gru"]),
}


@functools.cache
def folder(backend):
    """What Keras wrote, in a process of its own: its backend is chosen once."""
    needed, names = BACKENDS[backend]
    pytest.importorskip(needed)
    found = tempfile.TemporaryDirectory()
    code = f"import os; os.environ['KERAS_BACKEND'] = '{backend}'\n{KERAS}"
    subprocess.run([sys.executable, "-c", code, found.name, *names], check=True, capture_output=True, timeout=900)
    return found


@pytest.mark.parametrize(
    ("backend", "name"), [(backend, name) for backend in BACKENDS for name in BACKENDS[backend][1]]
)
def test_what_keras_exports(backend, name):
    place = Path(folder(backend).name)
    data = np.load(place / f"{name}.npz")
    # On PyTorch it writes values whose batch is not first, which the native engine does not compile.
    comes_in(place / f"{name}.onnx", data["x"], data["y"], trains=backend == "tensorflow")

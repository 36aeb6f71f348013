"""The same bits: for any number of threads, any vector width, any process and hash seed. See docs/bits.md."""

import hashlib
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.engines.native.runtime.llvm import check_runnable, resolve_target
from ranvier.engines.native.target.target import CompilerError
from ranvier.tensor.tensor import Tensor
from tests import processes

# Each program prints a hash of its losses, predictions and weights. The first exercises Adam, dropout, tanh and
# softmax, and a partial last batch; the second a batch so large that its rows are shared out to virtual workers; the
# third the explicit loop.
HEAD = """
import hashlib
import numpy as np
import ranvier as rv
rv.set_seed(3)
rng = np.random.default_rng(0)
"""
TAIL = """
parts = [np.asarray(losses, np.float64), np.asarray(out), *weights]
print(hashlib.sha256(b"".join(np.ascontiguousarray(p).tobytes() for p in parts)).hexdigest())
"""
PROGRAMS = {
    "classifier": """
x, y = rng.random((300, 33), dtype=np.float32), rng.integers(0, 10, 300)
model = rv.Sequential([
    rv.layers.Dense(48, activation="tanh", input_shape=(33,)), rv.layers.Dropout(0.2),
    rv.layers.Dense(40, activation="gelu"), rv.layers.Dense(10, activation="softmax")])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
losses = model.fit(x, y, epochs=2, batch_size=64, verbose=0).history["loss"]
out, weights = model.predict(x[:37], verbose=0), model.get_weights()
""",
    "many features": """
x, y = rng.integers(0, 256, (300, 784), dtype=np.uint8), rng.integers(0, 10, 300)
model = rv.Sequential([
    rv.layers.Rescaling(1 / 255, input_shape=(784,)), rv.layers.Dense(52, activation="relu"),
    rv.layers.Dense(10, activation="softmax")])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
losses = model.fit(x, y, epochs=2, batch_size=64, verbose=0).history["loss"]
out, weights = model.predict(x[:37], verbose=0), model.get_weights()
""",
    "speech": """
x, y = rng.normal(0, 0.1, (40, 2000)).astype(np.float32), rng.integers(0, 3, 40)
mel = rv.layers.MelSpectrogram(256, 80, 200, sampling_rate=8000, num_mel_bins=24, top_db=None)
model = rv.Sequential([
    rv.Input((2000,)), rv.layers.RandomShift(0.1), rv.layers.RandomNoise(), mel, rv.layers.SpecAugment(),
    rv.layers.Permute((2, 1)), rv.layers.Conv1D(8, 3, activation="relu"), rv.layers.GlobalAveragePooling1D(),
    rv.layers.Dense(3, activation="softmax")])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
losses = model.fit(x, y, epochs=2, batch_size=16, verbose=0).history["loss"]
out, weights = model.predict(x[:7], verbose=0), model.get_weights()
""",
    "mostly zeros": """
x, y = rng.integers(0, 256, (300, 392), dtype=np.uint8) * (rng.random((300, 392)) < 0.4), rng.integers(0, 10, 300)
x = x.astype(np.uint8)
model = rv.Sequential([
    rv.layers.Rescaling(1 / 255, input_shape=(392,)), rv.layers.Dense(100, activation="relu"),
    rv.layers.Dense(10, activation="softmax")])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
losses = model.fit(x, y, epochs=2, batch_size=64, verbose=0).history["loss"]
out, weights = model.predict(x[:37], verbose=0), model.get_weights()
""",
    "hidden units": """
x, y = rng.random((300, 24), dtype=np.float32), rng.integers(0, 3, 300)
model = rv.Sequential([
    rv.layers.Dense(64, activation="relu", kernel_regularizer="l2", activity_regularizer="l2", input_shape=(24,)),
    rv.layers.Dropout(0.2), rv.layers.Dense(3, activation="softmax")])
losses, weights = [], []
for optimizer in (rv.optimizers.Adam(0.01), rv.optimizers.SGD(0.1, momentum=0.9, global_clipnorm=0.1)):
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    losses += model.fit(x, y, epochs=2, batch_size=128, verbose=0).history["loss"]
    weights += model.get_weights()
out = model.predict(x[:37], verbose=0)
""",
    "remedies": """
x, y = rng.random((300, 33), dtype=np.float32), rng.integers(0, 10, 300)
model = rv.Sequential([
    rv.layers.GaussianNoise(0.1, input_shape=(33,)),
    rv.layers.Dense(48, kernel_regularizer="l1_l2", kernel_constraint="max_norm", activity_regularizer="l2"),
    rv.layers.BatchNormalization(), rv.layers.ReLU(), rv.layers.GaussianDropout(0.2),
    rv.layers.Dense(40, activation="selu"), rv.layers.AlphaDropout(0.1), rv.layers.LayerNormalization(),
    rv.layers.Dense(10, activation="softmax", kernel_constraint="unit_norm")])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
losses = model.fit(x, y, epochs=2, batch_size=64, verbose=0, augment=rv.layers.MixUp(0.4)).history["loss"]
out, weights = model.predict(x[:37], verbose=0), model.get_weights()
""",
    "augmented images": """
x, y = rng.integers(0, 256, (150, 9, 8, 3), dtype=np.uint8), rng.integers(0, 4, 150)
l = rv.layers
model = rv.Sequential([
    l.Input((9, 8, 3)), l.Rescaling(1 / 255), l.RandomFlip(), l.RandomRotation(0.1), l.RandomTranslation(0.2, 0.1, "wrap"),
    l.RandomZoom(0.2, fill_mode="constant"), l.RandomCrop(8, 7), l.RandomBrightness(0.2, (0, 1)),
    l.RandomContrast(0.3, (0, 1)), l.RandomErasing(0.5, value_range=(0, 1)), l.Resizing(6, 6, "bicubic"),
    l.Flatten(), l.Dense(24, activation="relu"), l.Dense(4, activation="softmax")])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
losses = model.fit(x, y, epochs=2, batch_size=32, verbose=0, augment=l.CutMix()).history["loss"]
out, weights = model.predict(x[:37], verbose=0), model.get_weights()
""",
    "schedules": """
from ranvier.optimizers import schedules as s
x, y = rng.random((300, 33), dtype=np.float32), rng.integers(0, 10, 300)
losses, weights = [], []
for rate in (s.WarmUp(s.CosineDecayRestarts(0.1, 3, m_mul=0.9), 4), s.OneCycle(0.1, 12), s.ExponentialDecay(0.1, 5, 0.3),
             s.PolynomialDecay(0.1, 4, power=1.5, cycle=True), s.PiecewiseConstantDecay([3, 7], [0.1, 0.03, 0.01])):
    model = rv.Sequential([rv.layers.Dense(24, activation="tanh", input_shape=(33,)), rv.layers.Dense(10)])
    model.compile(optimizer=rv.optimizers.SGD(rate, momentum=0.9), loss=rv.losses.SparseCategoricalCrossentropy(True))
    losses += model.fit(x, y, epochs=2, batch_size=64, verbose=0).history["loss"]
    out = model.predict(x[:37], verbose=0)
    weights += model.get_weights()
""",
    "full batch, normalized": """
x, y = rng.random((2100, 4), dtype=np.float32), rng.random((2100, 4), dtype=np.float32)
model = rv.Sequential([
    rv.layers.Dense(32, activation="tanh", input_shape=(4,)), rv.layers.BatchNormalization(), rv.layers.Dense(4)])
model.compile(optimizer="adam", loss="mse")
losses = model.fit(x, y, epochs=3, batch_size=2100, verbose=0).history["loss"]
out, weights = model.predict(x[:5], verbose=0), model.get_weights()
""",
    "full batch": """
x, y = rng.random((2100, 4), dtype=np.float32), rng.random((2100, 4), dtype=np.float32)
model = rv.Sequential([
    rv.layers.Dense(32, activation="tanh", input_shape=(4,)), rv.layers.Dense(16, activation="tanh"),
    rv.layers.Dense(4)])
model.compile(optimizer="adam", loss="mse")
losses = model.fit(x, y, epochs=3, batch_size=2100, verbose=0).history["loss"]
out, weights = model.predict(x[:5], verbose=0), model.get_weights()
""",
    "convolutional": """
x, y = rng.integers(0, 256, (120, 13, 11, 3), dtype=np.uint8), rng.integers(0, 10, 120)
l = rv.layers
model = rv.Sequential([
    l.Input((13, 11, 3)), l.Rescaling(1 / 255), l.Conv2D(12, 3, padding="same", use_bias=False), l.BatchNormalization(),
    l.ReLU(), l.MaxPooling2D(), l.Conv2D(20, 3, activation="relu"), l.DepthwiseConv2D(3, padding="same"),
    l.Conv2D(24, 3, strides=2, padding="same", groups=2, activation="tanh"), l.AveragePooling2D(padding="same"),
    l.Flatten(), l.Dropout(0.2), l.Dense(10, activation="softmax")])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
losses = model.fit(x, y, epochs=2, batch_size=24, verbose=0).history["loss"]
out, weights = model.predict(x[:37], verbose=0), model.get_weights()
""",
    "many channels": """
x, y = rng.random((60, 9, 8, 3), dtype=np.float32), rng.integers(0, 4, 60)
l = rv.layers
model = rv.Sequential([
    l.Input((9, 8, 3)), l.Conv2D(64, 3, padding="same", use_bias=False), l.BatchNormalization(), l.ReLU(),
    l.Conv2D(64, 3, padding="same", activation="relu"), l.Flatten(), l.Dense(16, activation="tanh"),
    l.Dense(4, activation="softmax")])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
losses = model.fit(x, y, epochs=1, batch_size=20, verbose=0).history["loss"]
out, weights = model.predict(x[:37], verbose=0), model.get_weights()
""",
    "few samples of many places": """
x, y = rng.random((40, 24, 16, 3), dtype=np.float32), rng.random((40, 33), dtype=np.float32)
l = rv.layers
model = rv.Sequential([
    l.Input((24, 16, 3)), l.Conv2D(32, 3, padding="same", activation="relu"), l.Dense(48), l.GlobalAveragePooling2D(),
    l.Dense(33)])
model.compile(optimizer="adam", loss="mse")
losses = model.fit(x, y, epochs=2, batch_size=8, verbose=0).history["loss"]
out, weights = model.predict(x[:7], verbose=0), model.get_weights()
""",
    "grey images": """
x = rng.random((40, 12, 20, 1), dtype=np.float32)
l = rv.layers
model = rv.Sequential([
    l.Input((12, 20, 1)), l.BatchNormalization(), l.Conv2D(9, 3, strides=2, padding="same", activation="relu"),
    l.Conv2D(20, 3, padding="same", activation="relu"), l.UpSampling2D(2), l.Conv2D(1, 3, padding="same")])
model.compile(optimizer="adam", loss="mse")
losses = model.fit(x, x, epochs=2, batch_size=8, verbose=0).history["loss"]
out, weights = model.predict(x[:7], verbose=0), model.get_weights()
""",
    "convolutional, PyTorch's words": """
import ranvier.torch as torch
from ranvier.torch import nn, optim
from ranvier.torch.nn import functional as F
net = nn.Sequential(
    nn.Conv2d(3, 10, 5, padding=2), nn.BatchNorm2d(10), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(10, 16, 3, stride=2),
    nn.GroupNorm(4, 16), nn.ConvTranspose2d(16, 6, 3, 2), nn.SiLU(), nn.AdaptiveAvgPool2d((2, 3)), nn.Flatten(),
    nn.Linear(36, 5))
optimizer = optim.Adam(net.parameters())
x, y = rng.random((24, 3, 14, 12), dtype=np.float32), rng.integers(0, 5, 24)
losses = []
for step in range(4):
    loss = F.cross_entropy(net(torch.tensor(x)), torch.tensor(y))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
out, weights = net(torch.tensor(x)).detach().numpy(), [p.numpy() for p in net.parameters()]
""",
    "explicit loop": """
import ranvier.torch as torch
from ranvier.torch import nn, optim
from ranvier.torch.nn import functional as F
net = nn.Sequential(nn.Linear(20, 100), nn.SiLU(), nn.Linear(100, 5))
optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
x, y = rng.random((100, 20), dtype=np.float32), rng.integers(0, 5, 100)
losses = []
for step in range(5):
    loss = F.cross_entropy(net(torch.tensor(x)), torch.tensor(y))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
out, weights = net(torch.tensor(x)).detach().numpy(), [p.numpy() for p in net.parameters()]
""",
}


def digest(program, **environment):
    """The hash that a program prints in a process of its own."""
    result = processes.run(HEAD + PROGRAMS[program] + TAIL, **environment)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def runnable(name):
    try:
        check_runnable(resolve_target(name))
    except CompilerError:
        return False
    return True


# Beside the target of this processor; tests/golden holds results of x86-64-v4.
TARGETS = [name for name in ("x86-64-v3", "x86-64-v2") if runnable(name)]
SETTINGS: list[dict[str, Any]] = [
    {"RANVIER_THREADS": 2},
    {"RANVIER_THREADS": 7},
    *[{"RANVIER_TARGET": name} for name in TARGETS],
]


SAMPLE = ("classifier", "speech")


@pytest.mark.parametrize("program", SAMPLE)
def test_threads_targets_processes(program):
    """A sample; tests/processors has the other programs."""
    assert_same_bits(program)


def assert_same_bits(program):
    """On other numbers of threads and other targets, each in a process of its own."""
    expected = digest(program, RANVIER_THREADS=1)
    assert {str(s): digest(program, **s) for s in SETTINGS} == {str(s): expected for s in SETTINGS}


@pytest.mark.parametrize("axes", [(0,), (0, 1), (0, 1, 2), (1,), (1, 2), (2,)])
@pytest.mark.parametrize("columns", [1, 16, 17, 32, 33, 48, 80, 96])
def test_sums_of_any_width(columns, axes):
    """Where a thread's part of the columns begins is nothing that a sum may depend on."""
    values = np.random.default_rng(0).normal(size=(8, 132, columns)).astype(np.float32)
    results = set()
    try:
        for threads in (1, 2, 3, 7):
            rv.set_threads(threads)
            x = Tensor(values)
            results.add((x.sum(axes).numpy().tobytes(), x.var(axes).numpy().tobytes()))
    finally:
        rv.set_threads(None)
    assert len(results) == 1


def train(threads):
    rv.set_threads(threads)
    rv.set_seed(1)
    model = rv.Sequential([rv.layers.Dense(32, activation="tanh", input_shape=(20,)), rv.layers.Dense(3)])
    model.compile(optimizer="adam", loss=rv.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(0)
    model.fit(rng.random((500, 20), dtype=np.float32), rng.integers(0, 3, 500), epochs=2, verbose=0)
    return hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()


def test_threads_changed_within_a_process():
    try:
        assert len({train(n) for n in (1, 2, 7)}) == 1
    finally:
        rv.set_threads(None)


def test_a_single_image_is_divided_within():
    """Threads share the rows of one image, and give what a batch of several gives."""
    from ranvier.ops.functional.convolution import convolution
    from ranvier.ops.functional.pooling import max_pool

    class Net(rv.Module):
        def __init__(self):
            super().__init__()
            rng = np.random.default_rng(1)
            self.first = rv.Parameter(rng.normal(size=(3, 3, 3, 24)).astype(np.float32))
            self.second = rv.Parameter(rng.normal(size=(3, 3, 24, 20)).astype(np.float32) * 0.1)

        def forward(self, x):
            sides = ((1, 1), (1, 1))
            y = convolution(x, self.first, stride=(1, 1), padding=sides, dilation=(1, 1))
            y = max_pool(rv.activations.relu(y), size=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0)), dilation=(1, 1))
            return convolution(y, self.second, stride=(2, 2), padding=sides, dilation=(1, 1)).mean((1, 2))

    model = Net()
    images = np.random.default_rng(0).normal(size=(3, 30, 26, 3)).astype(np.float32)
    try:
        rv.set_threads(1)
        expected = model.predict(images, verbose=0)
        for threads in (1, 2, 7):
            rv.set_threads(threads)
            assert np.array_equal(model.predict(images[1:2], verbose=0), expected[1:2])
    finally:
        rv.set_threads(None)

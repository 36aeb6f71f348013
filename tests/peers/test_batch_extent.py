"""Programs that compute with the number of rows of a batch, against PyTorch and Keras: losses, weights and outputs."""

from typing import Any

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch
from ranvier.torch import nn
from tests.training.batch_programs import PROGRAMS

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")]

BATCH = 4  # of ten rows: two programs


def batches(*arrays: Any) -> Any:
    return zip(*(np.split(a, range(BATCH, len(a), BATCH)) for a in arrays), strict=True)


@pytest.mark.parametrize("name", PROGRAMS)
def test_torch(name):
    program, x, y = PROGRAMS[name]
    torch.manual_seed(0)
    net, loss = program(torch, torch.nn, torch.nn.functional)
    start = {k: v.numpy().copy() for k, v in net.state_dict().items()}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    wanted = []
    for _ in range(2):
        total = 0.0
        for rows, targets in batches(torch.tensor(x), torch.tensor(y)):
            optimizer.zero_grad()
            error = loss(net(rows), targets)
            error.backward()
            optimizer.step()
            total += error.item() * len(rows)
        wanted.append(total / len(x))
    net.eval()
    with torch.no_grad():
        parts = [net(rows) for (rows,) in batches(torch.tensor(x))]
        errors = [loss(out, t).item() * len(t) for out, (t,) in zip(parts, batches(torch.tensor(y)), strict=True)]

    ours, own = program(ranvier.torch, nn, nn.functional)
    ours.load_state_dict({k: ranvier.torch.tensor(v) for k, v in start.items()})
    optimizer = ranvier.torch.optim.SGD(ours.parameters(), lr=0.1)
    if isinstance(parts[0], tuple):  # a loss of two outputs is two losses here
        losses: Any = [lambda y, out: nn.functional.mse_loss(out, y), lambda y, out: out.mean()]
        given: Any = [y, np.zeros(len(y), "float32")]
        outputs = [np.concatenate(column) for column in zip(*parts, strict=True)]
    else:
        losses, given, outputs = lambda y, out: own(out, y), y, [np.concatenate(parts)]
    ours.compile(optimizer, losses, engine="reference")
    options: Any = {"batch_size": BATCH, "verbose": 0}
    history = ours.fit(x, given, epochs=2, shuffle=False, **options).history["loss"]
    np.testing.assert_allclose(history, wanted, rtol=2e-4)
    for key, value in net.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key].numpy(), value.numpy(), rtol=2e-4, atol=2e-5)
    found = ours.predict(x, **options)
    for one, other in zip(found if isinstance(found, (list, tuple)) else [found], outputs, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)
    measured = ours.evaluate(x, given, **options)
    measured = measured[0] if isinstance(measured, list) else measured
    np.testing.assert_allclose(measured, sum(errors) / len(x), rtol=2e-4)


def vector_quantizer(k: Any) -> Any:
    class VectorQuantizer(k.layers.Layer):  # type: ignore[misc]  # of either library
        def __init__(self):
            super().__init__()
            start = k.initializers.RandomUniform(seed=1)
            self.embeddings = self.add_weight(shape=(2, 5), initializer=start, trainable=True)

        def call(self, x):
            flat = k.ops.reshape(x, [-1, 2])
            codes = k.ops.one_hot(self.codes(flat), 5)
            found = k.ops.reshape(k.ops.matmul(codes, k.ops.transpose(self.embeddings)), k.ops.shape(x))
            self.add_loss(0.25 * k.ops.mean((k.ops.stop_gradient(found) - x) ** 2))
            self.add_loss(k.ops.mean((found - k.ops.stop_gradient(x)) ** 2))
            return x + k.ops.stop_gradient(found - x)

        def codes(self, flat):
            lengths = k.ops.sum(flat**2, axis=1, keepdims=True) + k.ops.sum(self.embeddings**2, axis=0)
            return k.ops.argmin(lengths - 2 * k.ops.matmul(flat, self.embeddings), axis=1)

    inputs = k.Input((4, 4, 3))
    return k.Model(inputs, k.layers.Conv2DTranspose(3, 1)(VectorQuantizer()(k.layers.Conv2D(2, 1)(inputs))))


def test_keras():
    keras = pytest.importorskip("keras")
    x = np.random.default_rng(0).normal(size=(10, 4, 4, 3)).astype("float32")
    results: list[Any] = []
    for k in (keras, rv):
        model = vector_quantizer(k)
        if results:
            model.set_weights(results[0][0])
        start = [np.array(w) for w in model.get_weights()]
        model.compile(k.optimizers.SGD(0.05), "mse")
        history = model.fit(x, -x, batch_size=BATCH, epochs=2, shuffle=False, verbose=0).history["loss"]
        results.append([start, history, model.predict(x, batch_size=BATCH, verbose=0), *model.get_weights()])
    for one, other in zip(results[0][1:], results[1][1:], strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-5)

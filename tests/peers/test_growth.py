"""The image networks of the benchmarks are the same program in every library: results, gradients, predictions."""

import dataclasses
import importlib

import numpy as np
import pytest

pytest.importorskip("benchmarks", reason="the source distribution has no benchmarks")
torch = pytest.importorskip("torch")
network, networks, workloads, pytorch = (
    importlib.import_module(f"benchmarks.{name}")
    for name in ("network", "networks", "workloads", "contestants.images.pytorch")
)
Conv, Deconv, Depthwise = network.Conv, network.Deconv, network.Depthwise
NARROW = {"same": True, "normalized": True, "six": True}
SMALL = {
    "classifier": network.Network(
        "a convolution 7x7, pooling 3x3, and an inverted residual block",
        (16, 16, 3),
        (
            Conv(8, 7, 2, same=True, normalized=True),
            network.Pool(same=True, size=3),
            network.Residual(
                (Conv(16, 1, **NARROW), Depthwise(3, **NARROW), Conv(8, 1, normalized=True, relu=False)), relu=False
            ),
            *(Depthwise(3, 2, **NARROW), Depthwise(2)),
            *(network.GlobalPool(), network.Dense(10)),
        ),
    ),
    "restorer": network.Network(
        "one level below another",
        (8, 8, 3),
        (
            Conv(4, 3, same=True),
            network.Beside((network.Pool(), Conv(8, 3, same=True), Deconv(4, 2))),
            Conv(3, 1, relu=False),
        ),
    ),
}


@pytest.fixture(params=SMALL)
def small(request, monkeypatch):
    """A small network, in the table."""
    monkeypatch.setitem(networks.NETWORKS, "small", SMALL[request.param])
    monkeypatch.setattr(pytorch, "CORES", 1)
    monkeypatch.setattr(pytorch, "most", lambda workload, calls: 1)
    return SMALL[request.param]


def report(network, kind, contestant):
    """What a contestant reports for it: the loss of the third step, or that of predictions."""
    loss = "mean_squared_error" if network.restores else "sparse_categorical_crossentropy"
    rng = np.random.default_rng(0)
    x = rng.random((8, *network.shape), np.float32)
    y = x if network.restores else rng.integers(0, 10, 8, np.int32)
    workload = workloads.by_name("growth-stem-32" if kind == "images" else "growth-predict-resnet18-8")
    workload = dataclasses.replace(workload, network="small", batch=8, samples=8, checked=8, loss=loss)
    module = importlib.import_module(f"benchmarks.contestants.images.{contestant}")
    return getattr(module, kind)(workload, x, y).begin(3)


def test_three_steps_end_at_the_same_loss(small):
    pytest.importorskip("jax")
    expected = report(small, "images", "ours")
    for contestant in ("pytorch", "jax_scan"):
        assert report(small, "images", contestant) == pytest.approx(expected, rel=2e-3), contestant


def test_predictions_are_the_same(small):
    pytest.importorskip("onnxruntime")
    expected = report(small, "infer", "ours")
    for contestant in ("pytorch", "onnx_session"):
        assert report(small, "infer", contestant) == pytest.approx(expected, rel=1e-4), contestant


def test_keras_gives_the_same_logits(small, keras):
    built = importlib.import_module("benchmarks.contestants.images.keras_fit").build(small)
    model = pytorch.build(small).eval()
    x = np.random.default_rng(0).random((2, *small.shape), np.float32)
    expected = model(torch.from_numpy(x).permute(0, 3, 1, 2)).detach()
    expected = expected.permute(0, 2, 3, 1) if small.restores else expected
    np.testing.assert_allclose(np.asarray(built(x)), expected, rtol=1e-3, atol=1e-5)

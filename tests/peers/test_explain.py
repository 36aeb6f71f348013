"""Explanations against PyTorch with the same weights: the gradient, and Grad-CAM by hooks."""

import numpy as np
import pytest

import ranvier.torch as ours
from ranvier import explain

theirs = pytest.importorskip("torch")

pytestmark = pytest.mark.peers
X = np.random.default_rng(0).random((5, 3, 10, 12)).astype(np.float32)


def network(t):
    nn = t.nn
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 4))  # fmt: skip


@pytest.fixture(scope="module")
def pair():
    theirs.manual_seed(0)
    reference, net = network(theirs).eval(), network(ours).eval()
    with theirs.no_grad():
        reference[1].running_mean += 0.1
        reference[1].running_var *= 1.3
    own = net.state_dict()
    net.load_state_dict({k: v.numpy() for k, v in reference.state_dict().items() if k in own}, strict=False)
    return reference, net


@pytest.mark.parametrize("target", [0, 3])
def test_saliency(pair, target):
    reference, net = pair
    x = theirs.tensor(X, requires_grad=True)
    reference(x)[:, target].sum().backward()
    np.testing.assert_allclose(explain.saliency(net, X, target), x.grad.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("target", [0, 3])
@pytest.mark.parametrize("layer", [0, 4])
def test_grad_cam_by_hooks(pair, target, layer):
    reference, net = pair
    held = {}

    def keep(module, arguments, result):
        result.retain_grad()
        held["maps"] = result

    handle = reference[layer].register_forward_hook(keep)
    reference(theirs.tensor(X))[:, target].sum().backward()
    handle.remove()
    maps = held["maps"]
    cam = theirs.relu((maps * maps.grad.mean((2, 3), keepdim=True)).sum(1)).detach()
    found = explain.grad_cam(net, X, target, layer=str(layer), resize=False)
    np.testing.assert_allclose(found, cam.numpy(), rtol=1e-4, atol=1e-6)
    large = theirs.nn.functional.interpolate(cam[:, None], size=(10, 12), mode="bilinear")[:, 0]
    np.testing.assert_allclose(explain.grad_cam(net, X, target, layer=str(layer)), large.numpy(), rtol=1e-4, atol=1e-6)
    if layer == 4:
        np.testing.assert_array_equal(explain.grad_cam(net, X, target, resize=False), found)

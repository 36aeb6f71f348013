"""weight_norm and spectral_norm: the same training here and in PyTorch, and in fit."""

import numpy as np
import pytest

import ranvier.torch as ours
from ranvier.engines import set_engine

theirs = pytest.importorskip("torch")
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore::FutureWarning")]
X = np.random.default_rng(0).standard_normal((5, 3, 8)).astype(np.float32)


@pytest.fixture(autouse=True)
def _reference():
    set_engine("reference")
    yield
    set_engine(None)


def trained(t, kind):
    """The losses of some steps, the outputs, those after the norm was removed, and all names of the state."""
    nn, rng = t.nn, np.random.default_rng(1)
    net = nn.Sequential(nn.Conv1d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 2))
    with t.no_grad():
        for p in net.parameters():
            p.copy_(t.tensor(0.3 * rng.standard_normal(p.shape), dtype=t.float32))
    norm, remove = getattr(nn.utils, f"{kind}_norm"), getattr(nn.utils, f"remove_{kind}_norm")
    assert norm(net[0]) is net[0]
    norm(net[3], **{"weight": {"dim": None}, "spectral": {"n_power_iterations": 2}}[kind])
    with t.no_grad():
        for b in net.buffers():
            b.copy_(t.nn.functional.normalize(t.tensor(rng.standard_normal(b.shape), dtype=t.float32), dim=0))
    names = sorted(net.state_dict())
    optimizer, losses = t.optim.Adam(net.parameters(), 0.01), []
    for _ in range(3):
        loss = net(t.tensor(X)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    net.eval()
    outputs = net(t.tensor(X)).detach().numpy()
    remove(net[0])
    return losses, outputs, net(t.tensor(X)).detach().numpy(), [*names, *sorted(net.state_dict())]


@pytest.mark.parametrize("kind", ["weight", "spectral"])
def test_training(kind):
    *expected, their_names = trained(theirs, kind)
    *got, names = trained(ours, kind)
    assert names == their_names
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm", [ours.nn.utils.weight_norm, ours.nn.utils.spectral_norm])
def test_fit(norm):
    net = ours.nn.Sequential(ours.nn.Flatten(), norm(ours.nn.Linear(24, 2)))
    net.compile(ours.optim.Adam(net.parameters(), 0.01), ours.nn.MSELoss())
    losses = net.fit(X, X[:, 0, :2], epochs=3, verbose=0).history["loss"]
    assert losses == sorted(losses, reverse=True)
    with pytest.raises(ValueError, match="Flatten has no parameter 'weight'"):
        norm(net[0])

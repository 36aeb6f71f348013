"""Random states and data of the PyTorch vocabulary: what checkpoints keep, what loaders make of samples."""

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier.torch import nn, optim
from ranvier.torch.utils import data

RNG = np.random.default_rng(5)
X = RNG.normal(size=(40, 6)).astype(np.float32)
Y = X[:, :3].argmax(1)


# --- where random numbers stand -----------------------------------------------------------------------------------


def test_an_explicit_loop_goes_on_from_a_checkpoint(tmp_path):
    """Shuffling by the seed and by a generator, dropout, and the weights drawn between: the same bits."""
    rows = data.TensorDataset(torch.tensor(X), torch.tensor(Y))

    def epoch(net, optimizer, generator):
        for loader in (data.DataLoader(rows, 16, True), data.DataLoader(rows, 16, True, generator=generator)):
            for x, y in loader:
                optimizer.zero_grad()
                nn.functional.cross_entropy(net(x), y).backward()
                optimizer.step()
        return [p.numpy() for p in net.parameters()] + [torch.randn(2).numpy()]

    def start():
        net = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3))
        return net, optim.SGD(net.parameters(), lr=0.1), torch.Generator()

    torch.manual_seed(3)
    net, optimizer, generator = start()
    generator.manual_seed(4)
    epoch(net, optimizer, generator)
    kept = {"net": net.state_dict(), "rng": torch.get_rng_state(), "own": generator.get_state()}
    torch.save(kept, tmp_path / "all.pt")
    expected = epoch(net, optimizer, generator)

    rv.set_seed(99)
    net, optimizer, generator = start()
    found = torch.load(tmp_path / "all.pt")
    net.load_state_dict(found["net"])
    torch.set_rng_state(found["rng"])
    generator.set_state(found["own"])
    assert (torch.initial_seed(), generator.initial_seed()) == (3, 4)
    for a, b in zip(expected, epoch(net, optimizer, generator), strict=True):
        np.testing.assert_array_equal(a, b)


def test_states_of_generators():
    generator = torch.Generator()
    held = generator.numpy
    state = generator.manual_seed(2**63).get_state()
    assert (state.dtype, state.ndim, generator.numpy) == (torch.uint8, 1, held)
    assert torch.equal(state, generator.get_state())
    torch.rand(3, generator=generator)
    assert not torch.equal(state, generator.get_state())
    assert generator.seed() == generator.initial_seed() != 2**63
    generator.set_state(state)
    assert generator.initial_seed() == 2**63
    assert torch.random.get_rng_state().dtype == torch.uint8
    for wrong in (state, state.float(), torch.zeros(3, dtype=torch.uint8), torch.get_rng_state()[:9], 7):
        with pytest.raises(
            ValueError, match=r"a state that torch\.get_rng_state\(\) did not give .*uint8 tensor"
        ):
            torch.set_rng_state(wrong)
    with pytest.raises(ValueError, match=r"torch\.Generator\.get_state\(\) did not give"):
        generator.set_state(torch.get_rng_state())

"""Runs over PyTorch's own loaders that are stopped and go on: its generators are part of a backup."""

import subprocess
import sys

import numpy as np
import pytest

import ranvier as rv
from ranvier.tensor import rng

theirs = pytest.importorskip("torch")
pytestmark = pytest.mark.peers

RNG = np.random.default_rng(0)
N, F = 60, 4
X = RNG.normal(size=(N, F)).astype(np.float32)
Y = X[:, :3].argmax(1)
data = theirs.utils.data
DATASET = data.TensorDataset(theirs.tensor(X), theirs.tensor(Y))


class Noisy:
    """Augments by PyTorch's global generator."""

    def __len__(self):
        return N

    def __getitem__(self, i):
        return theirs.tensor(X[i]) + 0.1 * theirs.randn(F), Y[i]


def generator():
    return theirs.Generator().manual_seed(7)


def weighted():
    return data.WeightedRandomSampler([1.0] * N, N, generator=generator())


LOADERS = {  # all of 4 steps an epoch
    "global": lambda: data.DataLoader(DATASET, 16, shuffle=True),
    "generator": lambda: data.DataLoader(DATASET, 16, shuffle=True, generator=generator()),
    "sampler": lambda: data.DataLoader(DATASET, 16, sampler=weighted()),
    "batch sampler": lambda: data.DataLoader(DATASET, batch_sampler=data.BatchSampler(weighted(), 16, drop_last=False)),
    "augmentation": lambda: data.DataLoader(Noisy(), 16, shuffle=True),
}


def network():
    model = rv.Sequential([rv.layers.Dense(3, activation="softmax", input_shape=(F,))])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize("name", LOADERS)
def test_loaders_that_shuffle_by_generators_of_pytorch(name):
    theirs.manual_seed(3)
    report = rv.verify_resume(network, LOADERS[name], epochs=3, stops=[2, 4, 7], ignore="RV")
    assert report.exact


def test_states_of_generators_are_refused_where_they_are_none():
    own = generator()
    kept = rng.get_state(own)
    drawn = theirs.rand(2, generator=own), theirs.rand(2)
    rng.set_state(kept, own)
    assert all(theirs.equal(a, b) for a, b in zip(drawn, (theirs.rand(2, generator=own), theirs.rand(2)), strict=True))
    for wrong in (kept["own"][0][:8], np.zeros_like(kept["own"][0]), {"state": 1}):
        with pytest.raises((ValueError, TypeError)):
            rng.set_state({**kept, "own": [wrong]}, own)


def test_pytorch_is_not_imported_for_it():
    program = (
        "import sys; from ranvier.tensor import rng; rng.set_state(rng.get_state()); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

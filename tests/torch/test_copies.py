"""Copies of modules, tensors and optimizers: deep, shallow, pickled, and those that follow the weights."""

import copy
import pickle

import numpy as np
import pytest

import ranvier.torch as torch
import ranvier.torch.nn.functional as F
from ranvier.torch import nn


class Moving(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("pe", torch.ones(2) * 2)
        self.kept = [torch.ones(2) * 3]
        self.linear = nn.Linear(2, 1)

    def forward(self, x):
        self.pe += 1
        return self.linear(x) + self.pe[:1]


COPIES = {
    "deepcopy": copy.deepcopy,
    "of a list": lambda x: copy.deepcopy([x, x])[1],
    "with an optimizer": lambda x: copy.deepcopy((torch.optim.Adam(x.parameters()), x))[1],
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
}


@pytest.mark.parametrize("twin_of", COPIES.values(), ids=COPIES)
def test_copies_have_the_values_of_tensors_that_nobody_has_read(twin_of):
    first = Moving()
    twin = twin_of(first)
    twin(torch.ones(1, 2))
    assert twin.pe.tolist() == [3, 3]
    assert first.pe.tolist() == [2, 2]
    twin.load_state_dict(first.state_dict())
    assert (twin.pe.tolist(), twin.kept[0].tolist()) == ([2, 2], [3, 3])
    assert twin.linear.weight is not first.linear.weight


def test_shallow_copies_of_tensors_share_their_memory():
    for x in (torch.zeros(2), torch.zeros(2) * 1, nn.Parameter(torch.zeros(2)), torch.zeros(2, requires_grad=True)):
        twin = copy.copy(x)
        with torch.no_grad():
            twin.add_(1)
            x.mul_(3)
        assert (type(twin), twin.requires_grad) == (type(x), x.requires_grad)
        assert twin.tolist() == x.tolist() == [3, 3]
    one, other = copy.deepcopy([x.data, x.detach()])
    one.add_(1)
    assert other.tolist() == x.tolist() == [3, 3]


@pytest.mark.parametrize("read", ["each loss", "each average", "the end"])
def test_averages_of_weights_that_are_updated_after_each_step(read):
    """What is recorded between two reads differs: one step, several steps with the copies' first values, or all."""
    torch.manual_seed(0)
    model = nn.Linear(2, 1)
    average = copy.deepcopy(model)
    for p in average.parameters():
        p.requires_grad_(False)
    (w, b), (mean_w, mean_b) = ([p.numpy().copy() for p in m.parameters()] for m in (model, average))
    optimizer, loss = torch.optim.SGD(model.parameters(), lr=0.1), None
    for seed in range(4):
        x = np.random.default_rng(seed).normal(size=(4, 2)).astype("float32")
        optimizer.zero_grad()
        loss = F.mse_loss(model(torch.tensor(x)), torch.tensor(x[:, :1]))
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for a, p in zip(average.parameters(), model.parameters(), strict=True):
                a.mul_(0.9).add_(p, alpha=0.1)
        error = x @ w.T + b - x[:, :1]
        w, b = w - 0.05 * error.T @ x, b - 0.05 * error.sum(0)
        mean_w, mean_b = mean_w * 0.9 + w * 0.1, mean_b * 0.9 + b * 0.1
        if read == "each loss":
            np.testing.assert_allclose(loss.item(), (error**2).mean(), rtol=1e-4)
        elif read == "each average":
            np.testing.assert_allclose(average.bias.numpy(), mean_b, rtol=1e-4, atol=1e-6)
    found = [p.numpy() for m in (average, model) for p in m.parameters()]
    for value, expected in zip(found, (mean_w, mean_b, w, b), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6)

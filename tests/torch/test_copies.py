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


def test_averages_of_weights_that_are_updated_after_each_step():
    model = nn.Linear(2, 1)
    average = copy.deepcopy(model)
    for p in average.parameters():
        p.requires_grad_(False)
    expected = [p.numpy().copy() for p in average.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for seed in range(3):
        x = torch.tensor(np.random.default_rng(seed).normal(size=(4, 2)).astype("float32"))
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), x[:, :1])
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for a, p in zip(average.parameters(), model.parameters(), strict=True):
                a.mul_(0.9).add_(p, alpha=0.1)
        assert loss.item() > 0
        expected = [a * 0.9 + p.detach().numpy() * 0.1 for a, p in zip(expected, model.parameters(), strict=True)]
    for a, value in zip(average.parameters(), expected, strict=True):
        np.testing.assert_allclose(a.numpy(), value, rtol=1e-5, atol=1e-6)

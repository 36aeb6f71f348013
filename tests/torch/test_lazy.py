"""Modules that find their sizes in the first call, and children of a ModuleDict as attributes."""

import copy

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier.torch import nn

X = np.random.default_rng(0).normal(size=(8, 3, 6)).astype(np.float32)


@pytest.fixture(autouse=True)
def _reference():
    rv.set_engine("reference")
    yield
    rv.set_engine(None)


def network():
    return nn.Sequential(
        nn.LazyConv1d(4, 3, 1, 1, groups=1), nn.LazyBatchNorm1d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(1)
    )


def test_an_optimizer_that_was_made_before_the_first_call_trains_all_weights():
    net = network()
    known = list(net.parameters())
    assert [p.shape for p in known] == [(0,), (4,), (0,), (0,), (0,), (1,)]
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = net(torch.tensor(X)).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)
    assert all(a is b for a, b in zip(net.parameters(), known, strict=True))
    assert all(optimizer.state[p]["exp_avg"].shape == p.shape for p in known)
    assert optimizer.state[known[0]]["step"].item() == 3
    assert (type(net[0]), net[0].in_channels, net[1].num_features) == (nn.Conv1d, 3, 4)
    assert repr(net[4]) == "Linear(in_features=24, out_features=1, bias=True)"
    assert {name: tuple(t.shape) for name, t in net.state_dict().items()}["1.running_mean"] == (4,)


def test_copies_fit_and_files(tmp_path):
    net = network()
    twin = copy.deepcopy(net)
    net.compile(torch.optim.Adam(net.parameters()), nn.MSELoss())
    net.fit(X, np.arange(8, dtype=np.float32), epochs=1, verbose=0)
    net.save(tmp_path / "net.rv")
    assert np.array_equal(rv.load_model(tmp_path / "net.rv").predict(X, verbose=0), net.predict(X, verbose=0))
    assert twin[4].weight.shape == (0,)
    assert twin.double()(torch.tensor(X).double()).dtype == torch.float64


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: nn.init.xavier_uniform_(nn.LazyLinear(2).weight), "Call the network once on a batch before"),
        (lambda: nn.LazyLinear(2).load_state_dict(nn.Linear(3, 2).state_dict()), "Call the network once on a batch"),
        (lambda: nn.LazyLinear(in_feature=2), "Linear has no argument 'in_feature'"),
    ],
)
def test_what_is_refused(make, said):
    with pytest.raises((ValueError, TypeError), match=said):
        make()


def test_children_of_a_dictionary_are_attributes():
    parts = nn.ModuleDict({"first": nn.Linear(2, 2), "keys": nn.ReLU()})
    parts.second = nn.Linear(2, 2)
    parts.first.weight = parts.second.weight
    assert parts.first is parts["first"]
    assert list(parts.keys()) == ["first", "keys", "second"]
    assert copy.deepcopy(parts).first.weight.shape == (2, 2)
    parts["second"] = nn.Tanh()
    assert isinstance(parts.second, nn.Tanh)
    del parts["second"]
    with pytest.raises(AttributeError, match="'ModuleDict' object has no attribute 'second'"):
        parts.second
    assert nn.ParameterDict({"a": torch.ones(2)}).a.shape == (2,)

"""Averages of weights, their rates and batch statistics against torch.optim.swa_utils."""

import numpy as np
import pytest

import ranvier.torch as ours

theirs = pytest.importorskip("torch")
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:.*no parameter has a gradient")]

RNG = np.random.default_rng(3)
X = RNG.standard_normal((24, 5)).astype(np.float32)
Y = RNG.standard_normal((24, 2)).astype(np.float32)
START = [RNG.standard_normal(s).astype(np.float32) * 0.4 for s in ((7, 5), (7,), (7,), (7,), (2, 7), (2,))]

AVERAGES = {
    "mean": lambda swa: {},
    "mean, in place": lambda swa: {"multi_avg_fn": swa.get_swa_multi_avg_fn()},
    "exponential": lambda swa: {"multi_avg_fn": swa.get_ema_multi_avg_fn(0.9)},
    "exponential, each": lambda swa: {"avg_fn": swa.get_ema_avg_fn(0.7), "use_buffers": True},
    "own": lambda swa: {"avg_fn": lambda average, weight, count: 0.3 * average + 0.7 * weight / (count + 1)},
}


def program(t, options):
    swa = t.optim.swa_utils
    net = t.nn.Sequential(t.nn.Linear(5, 7), t.nn.BatchNorm1d(7), t.nn.Tanh(), t.nn.Linear(7, 2))
    with t.no_grad():
        for p, value in zip(net.parameters(), START, strict=True):
            p.copy_(t.tensor(value))
    averaged = swa.AveragedModel(net, **options(swa))
    optimizer = t.optim.SGD(net.parameters(), lr=0.2, momentum=0.5)
    before = t.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    scheduler = swa.SWALR(optimizer, swa_lr=0.05, anneal_epochs=3)
    batches = [(t.tensor(X[i : i + 8]), t.tensor(Y[i : i + 8])) for i in range(0, 24, 8)]
    rates = []
    for epoch in range(7):
        for x, y in batches:
            optimizer.zero_grad()
            t.nn.functional.mse_loss(net(x), y).backward()
            optimizer.step()
        if epoch < 2:
            before.step()
        else:
            averaged.update_parameters(net)
            scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    seen = averaged(batches[0][0]).detach().numpy()
    swa.update_bn(batches, averaged)
    averaged.eval()
    state = {name: value.numpy() for name, value in averaged.state_dict().items()}
    return rates, seen, averaged(t.tensor(X)).detach().numpy(), net[1].momentum, state


@pytest.mark.parametrize("name", AVERAGES)
def test_averages(name):
    mine, other = (program(t, AVERAGES[name]) for t in (ours, theirs))
    assert list(mine[-1]) == list(other[-1])
    assert int(mine[-1]["n_averaged"]) == 5
    for a, b in zip((*mine[:-1], *mine[-1].values()), (*other[:-1], *other[-1].values()), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("options", [{}, {"anneal_epochs": 0}, {"anneal_strategy": "linear"}, {"swa_lr": [0.3, 0.1]}])
def test_rates(options):
    rates = []
    for t in (ours, theirs):
        weights = [t.ones(2, requires_grad=True), t.ones(2, requires_grad=True)]
        optimizer = t.optim.SGD([{"params": [w]} for w in weights], lr=0.2)
        scheduler = t.optim.swa_utils.SWALR(optimizer, **{"swa_lr": 0.05, **options})
        optimizer.step()
        own = []
        for _ in range(14):
            own.append([group["lr"] for group in optimizer.param_groups])
            scheduler.step()
        rates.append(own)
    np.testing.assert_allclose(rates[0], rates[1], rtol=1e-12)


def test_statistics_leave_each_layer_in_its_mode():
    net = ours.nn.Sequential(ours.nn.Dropout(0.5), ours.nn.BatchNorm1d(5))
    net[0].eval()
    ours.optim.swa_utils.update_bn([ours.tensor(X)], net)
    assert [m.training for m in net.modules()] == [True, False, True]

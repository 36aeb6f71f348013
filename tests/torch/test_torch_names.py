"""Names of the PyTorch vocabulary against NumPy, gradients by finite differences; optimizers of one's own."""

import importlib
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier import load_model
from ranvier.ops import arrays
from ranvier.ops.torch import missing_names
from ranvier.tensor import trace
from ranvier.torch import nn, optim
from ranvier.torch.utils import data

RNG = np.random.default_rng(2)
A = RNG.uniform(0.3, 2, (3, 4)) * RNG.choice([-1, 1], (3, 4))
SQUARE = RNG.normal(size=(4, 4))

# ours, NumPy's, the operand; each is differentiated too
ROWS: list[tuple[Any, Any, Any]] = [
    (lambda x: torch.cumsum(x, 1), lambda x: np.cumsum(x, 1), A),
    (lambda x: torch.cumprod(x, 0), lambda x: np.cumprod(x, 0), A),
    (lambda x: torch.prod(x, 1), lambda x: np.prod(x, 1), A),
    (lambda x: torch.roll(x, (1, -1), (0, 1)), lambda x: np.roll(x, (1, -1), (0, 1)), A),
    (lambda x: torch.diag(x, 1), lambda x: np.diag(x, 1), SQUARE),
    (lambda x: torch.diag(x[0], -1), lambda x: np.diag(x[0], -1), A),
    (torch.trace, np.trace, SQUARE),
    (lambda x: torch.einsum("ii->i", x), np.diag, SQUARE),
    (lambda x: torch.tril(x, -1), lambda x: np.tril(x, -1), A),
    (torch.triu, np.triu, A),
    (lambda x: torch.tile(x, (2, 1)), lambda x: np.tile(x, (2, 1)), A),
    (lambda x: torch.repeat_interleave(x, 2, 1), lambda x: np.repeat(x, 2, 1), A),
    (lambda x: torch.tensordot(x, x, ([1], [1])), lambda x: np.tensordot(x, x, ([1], [1])), A),
    (torch.diff, np.diff, A),
    (torch.linalg.inv, np.linalg.inv, SQUARE),
    (torch.linalg.det, np.linalg.det, SQUARE),
    (lambda x: torch.linalg.slogdet(x).logabsdet, lambda x: np.linalg.slogdet(x)[1], SQUARE),
    (lambda x: torch.linalg.solve(x, x[0] * 2), lambda x: np.linalg.solve(x, x[0] * 2), SQUARE),
    (torch.linalg.pinv, np.linalg.pinv, A),
    (lambda x: torch.linalg.cholesky(x @ x.T), lambda x: np.linalg.cholesky(x @ x.T), A),
    (lambda x: torch.linalg.qr(x)[1], lambda x: np.linalg.qr(x)[1], A),
    (lambda x: torch.linalg.eigh(x @ x.T)[1] ** 2, lambda x: np.linalg.eigh(x @ x.T)[1] ** 2, A),
    (torch.linalg.svdvals, lambda x: np.linalg.svd(x)[1], A),
    (lambda x: torch.linalg.matrix_power(x, -2), lambda x: np.linalg.matrix_power(x, -2), SQUARE),
    (lambda x: torch.linalg.lstsq(x.T, x[0])[0], lambda x: np.linalg.lstsq(x.T, x[0])[0], A),
    (
        lambda x: torch.quantile(torch.tensor([1.0, 2, 4, 8], dtype=x.dtype), x.abs() / 2),
        lambda x: np.quantile([1, 2, 4, 8], abs(x) / 2),
        A[:1],
    ),
    (lambda x: torch.cov(x[:1]), lambda x: np.cov(x[:1]), A),
    (lambda x: torch.cov(x, fweights=torch.tensor([1, 2, 1, 3])), lambda x: np.cov(x, fweights=[1, 2, 1, 3]), A),
    (lambda x: torch.sum(x[0, 0], 0), lambda x: x[0, 0], A),
    (lambda x: torch.softmax(x[0, 0], -1), lambda x: np.ones(()) + 0 * x[0, 0], A),
    (lambda x: torch.cumsum(x[0, 0], 0), lambda x: x[0, 0], A),
    (lambda x: x[0, 0].max(-1)[0], lambda x: x[0, 0], A),
    (
        lambda x: nn.functional.max_pool1d(x[None], 2, return_indices=True)[0],
        lambda x: x.reshape(1, 3, 2, 2).max(-1),
        A,
    ),
    (
        lambda x: nn.functional.max_unpool1d(*nn.functional.max_pool1d(x[None], 4, return_indices=True), 4),
        lambda x: np.where(x == x.max(1, keepdims=True), x, 0)[None],
        A,
    ),
    (torch.sinh, np.sinh, A),
    (torch.tan, np.tan, A / 2),
    (torch.asinh, np.arcsinh, A),
    (lambda x: torch.fmod(x, 0.7), lambda x: np.fmod(x, 0.7), A),
    (torch.frac, lambda x: x - np.trunc(x), A),
    (lambda x: torch.median(x, 1).values, lambda x: np.sort(x, 1)[:, 1], A),
    (lambda x: torch.quantile(x, 0.3, 1), lambda x: np.quantile(x, 0.3, 1), A),
    (lambda x: torch.lerp(x, x * x, 0.3), lambda x: x + 0.3 * (x * x - x), A),
    (lambda x: torch.scatter_add(x, 0, torch.tensor([[2, 2, 0, 1]]), x[:1]), None, A),
    (lambda x: nn.functional.local_response_norm(x[None], 2), None, A),
    (lambda x: nn.functional.pairwise_distance(x, -x), lambda x: np.linalg.norm(2 * x + 1e-6, axis=1), A),
]


@pytest.mark.parametrize(("ours", "numpys", "operand"), ROWS, ids=[str(i) for i in range(len(ROWS))])
def test_against_numpy(ours, numpys, operand, float64):
    x = torch.tensor(operand)
    if numpys is not None:
        np.testing.assert_allclose(ours(x).numpy(), numpys(operand), rtol=1e-9, atol=1e-12)
    weights = np.cos(np.arange(ours(x).numel())).reshape(ours(x).shape)
    x.requires_grad_()
    (ours(x) * torch.tensor(weights)).sum().backward()
    for at in list(np.ndindex(operand.shape))[::3]:
        step = np.zeros_like(operand)
        step[at] = 1e-6
        ends = [(ours(torch.tensor(operand + sign * step)).numpy() * weights).sum() for sign in (1, -1)]
        assert x.grad.numpy()[at] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5, abs=1e-6)


def slope(compute, *values):
    """The gradient by the first value of the sum of a function's results."""
    first, *rest = (torch.tensor(v) for v in values)
    return torch.autograd.grad(compute(first.requires_grad_(), *rest).sum(), first)[0]


NAN = float("nan")
# What is computed and its value, where PyTorch's differs from NumPy's or from what one may expect.
VALUES: list[tuple[Any, Any]] = [
    (lambda: slope(lambda x: x.max(0)[0], [2.0, 2.0, 1.0]), [1, 0, 0]),
    (lambda: slope(lambda x: x.max(), [2.0, 2.0, 1.0]), [0.5, 0.5, 0]),
    (lambda: slope(lambda x: (-x).min(0).values, [2.0, 2.0, 1.0]), [-1, 0, 0]),
    (lambda: slope(lambda y, x: x**y, [2.0, 2.0], [-1.0, 0.0]), [NAN, 0]),
    (lambda: nn.functional.kl_div(torch.tensor([0.5, 0.5]), torch.tensor([-1.0, 0.0]), reduction="none"), [NAN, 0]),
    (lambda: torch.ones(0).var(), NAN),
    (lambda: torch.ones(1).std(), NAN),
    (lambda: torch.tensor([1.0, 3.0]).var(correction=3), float("inf")),
    (lambda: torch.softmax(torch.ones(2, 0), 1), np.ones((2, 0))),
    (lambda: torch.diff(torch.arange(3), 5), []),
    (lambda: torch.diff(torch.tensor([True, False, False])), [True, False]),
    (lambda: torch.masked_select(torch.arange(2), torch.ones(2, 1).bool()), [0, 1, 0, 1]),
    (lambda: torch.tensordot(torch.ones(2, 1), torch.ones(3, 2), 1), [[3, 3], [3, 3]]),
    (lambda: torch.einsum(torch.ones(2, 3), [0, 1], torch.ones(3), [1], [0]), [3, 3]),
    (lambda: torch.unique_consecutive(torch.tensor([[1, 1, 2], [1, 1, 2]]), dim=1), [[1, 2], [1, 2]]),
    (lambda: torch.ones(3).scatter(0, torch.tensor([0, 0]), 3.0, reduce="multiply"), [9, 1, 1]),
    (lambda: nn.functional.pad(torch.ones(2), (-3, 2)), [0]),
    (lambda: nn.functional.prelu(torch.tensor([-1.0, 2.0]), torch.tensor(0.5)), [-0.5, 2]),
    (lambda: nn.functional.gaussian_nll_loss(torch.ones(2), torch.zeros(1), torch.ones(2), reduction="none"), [0.5, 0.5]),
    (lambda: nn.functional.multi_margin_loss(torch.tensor([1.0, 2.0]), torch.tensor(0)), 1),
    (lambda: torch.linalg.matrix_rank(torch.ones(2, 2)), 1),
    (lambda: nn.MaxUnpool2d(2)(*nn.MaxPool2d(2, return_indices=True)(torch.tensor([[[1.0, 2.0], [4.0, 3.0]]]))), [[[0, 0], [4, 0]]]),
    (lambda: nn.functional.adaptive_max_pool1d(torch.tensor([[1.0, 3.0, 2.0]]), 2, return_indices=True)[1], [[1, 1]]),
    (lambda: torch.conv1d(torch.tensor([[1, 2, 3]]), torch.tensor([[[1, 10]]])), [[21, 32]]),
    (lambda: nn.functional.interpolate(torch.tensor([[[[0.0, 1.0]]]]), (1, 3), mode="bicubic"), [[[[-0.086806, 0.5, 1.086806]]]]),
    (lambda: nn.functional.pad(torch.arange(4.0)[None], (-1, 2), mode="circular"), [[1, 2, 3, 1, 2]]),
    (lambda: torch.tensor([True, False]).clamp_max(False), [False, False]),
    (lambda: torch.zeros(1).bool().index_add(0, torch.tensor([0, 0]), torch.ones(2).bool()), [True]),
    (lambda: empty_batch().running_mean, [0, 0]),
    (lambda: empty_batch().num_batches_tracked, 1),
    (lambda: nn.GroupNorm(1, 2, bias=False)(torch.tensor([[-1.0, 1.0]])), [[-1, 1]]),
]  # fmt: skip


def empty_batch():
    norm = nn.BatchNorm1d(2)
    norm(torch.ones(0, 2))
    return norm


@pytest.mark.parametrize(("made", "value"), VALUES, ids=[str(i) for i in range(len(VALUES))])
def test_values_as_in_pytorch(made, value):
    found = made()
    assert found.shape == np.shape(value)
    np.testing.assert_allclose(found.numpy(), value, rtol=1e-4)


ROUNDED = [-2.5, -1.5, -0.5, 0.49999997, 0.5, 1.5, 2.5, 8388609.0, 1e30]


def test_rounding_to_even():
    np.testing.assert_array_equal(torch.round(torch.tensor(ROUNDED)), np.round(np.float32(ROUNDED)))


class Descent(optim.Optimizer):
    """As courses write it."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, dict(lr=lr))  # as they do

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["steps"] = self.state[p].get("steps", 0) + 1
                p.data.add_(p.grad, alpha=-group["lr"])


def test_an_optimizer_of_ones_own():
    w = torch.tensor([4.0], requires_grad=True)
    optimizer = Descent([w])
    scheduler = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    for _ in range(3):
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
        scheduler.step()
    assert w.item() == pytest.approx(4 * 0.8 * 0.9 * 0.95)
    kept = optimizer.state_dict()
    assert kept["state"] == {0: {"steps": 3}}
    other = Descent([w], lr=7.0)
    other.load_state_dict(kept)
    assert other.param_groups[0]["lr"] == pytest.approx(0.0125)
    assert other.state[w] == {"steps": 3}
    with pytest.raises(NotImplementedError, match="def step"):
        optim.Optimizer([w], {}).step()


def test_factors_of_steps_that_vary_compile_nothing_anew():
    w, g, known = torch.ones(3), torch.ones(3), []
    for i in range(16):
        w.add_(g, alpha=-0.1 * (i + 1)).addcdiv_(g, g, value=-0.5 * i).lerp_(g, 0.1 * i)
        w.numpy()
        known.append(len(trace.programs))
    assert known[12:] == known[12:13] * 4


def test_the_gradient_of_a_decomposition_has_a_gradient():
    """Of ``1 / x``: ``-1 / x**2``, and ``2 / x**3``."""
    x = torch.tensor([[4.0]], requires_grad=True)
    (first,) = torch.autograd.grad(torch.linalg.inv(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    assert (first.item(), second.item()) == (-1 / 16, 2 / 64)
    with pytest.raises(torch.linalg.LinAlgError, match="Singular"):
        torch.linalg.inv(torch.zeros(2, 2))


# --- data ---------------------------------------------------------------------------------------------------------


class Stream(data.IterableDataset):
    def __iter__(self):
        return iter(range(5))


def test_samplers_and_streams():
    rows = data.TensorDataset(torch.arange(10))
    chosen = data.SubsetRandomSampler([7, 3, 5])
    assert sorted(chosen) == [3, 5, 7]
    assert sorted(int(i) for b in data.DataLoader(rows, 2, sampler=chosen) for i in b[0]) == [3, 5, 7]
    assert list(data.BatchSampler(data.SequentialSampler(rows), 4, False)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    batches = data.BatchSampler(range(10), 4, True)
    assert [b[0].tolist() for b in data.DataLoader(rows, batch_sampler=batches)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(batches) == len(list(batches)) == 2
    assert sorted(data.RandomSampler(rows)) == list(range(10))
    assert len(set(data.RandomSampler(rows, num_samples=4))) == len(data.RandomSampler(rows, num_samples=4)) == 4
    assert len(list(data.RandomSampler(rows, True, 30))) == 30
    assert [b.tolist() for b in data.DataLoader(Stream(), 2)] == [[0, 1], [2, 3], [4]]
    assert [b.tolist() for b in data.DataLoader(Stream(), 2, drop_last=True)] == [[0, 1], [2, 3]]
    with pytest.raises(ValueError, match="has its own order"):
        data.DataLoader(Stream(), 2, shuffle=True)
    assert data.get_worker_info() is None


def test_many_samples_are_drawn_while_they_are_taken(monkeypatch):
    rows = data.TensorDataset(torch.arange(100))
    for replacement in (True, False):
        sampler = data.RandomSampler(rows, replacement, int(1e10), torch.Generator().manual_seed(3))
        assert len(sampler) == 10**10
        first = list(itertools.islice(sampler, 250))
        (batch,) = next(iter(data.DataLoader(rows, 64, sampler=sampler)))
        assert len(first) == 250
        assert batch.shape == (64,)
    orders = []
    for at_once in (1 << 20, 7):  # the order is the same
        monkeypatch.setattr("ranvier.torch.utils.data.sampler.DRAWN_AT_ONCE", at_once)
        for replacement, drop_last in ((True, False), (False, True)):
            sampler = data.RandomSampler(rows, replacement, 251, torch.Generator().manual_seed(3))
            orders.append(list(data.BatchSampler(sampler, 4, drop_last)))
    assert orders[:2] == orders[2:]
    assert [len(orders[0]), len(orders[0][-1]), len(orders[1])] == [63, 3, 62]


def test_a_distributed_sampler_takes_the_samples_of_one_process():
    name = "ranvier.torch.utils.data.distributed"  # which is made when the package is imported
    make = importlib.import_module(name).DistributedSampler
    assert make is data.DistributedSampler
    rows = data.TensorDataset(torch.arange(10))
    assert sorted(make(rows)) == list(range(10))
    assert [list(make(rows, 3, rank, shuffle=False)) for rank in range(3)] == [
        [0, 3, 6, 9], [1, 4, 7, 0], [2, 5, 8, 1],
    ]  # fmt: skip
    assert list(make(rows, 3, 2, shuffle=False, drop_last=True)) == [2, 5, 8]
    halves = [make(rows, 2, rank, seed=1) for rank in range(2)]
    assert sorted(i for half in halves for i in half) == list(range(10))
    before = list(halves[0])
    assert list(halves[0]) == before
    halves[0].set_epoch(1)
    assert list(halves[0]) != before
    with pytest.raises(ValueError, match="a number below num_replicas=2"):
        make(rows, 2, 2)


def test_dictionaries_of_modules_take_pairs():
    linear = nn.Linear(2, 2)
    fits: Any = ([["a", linear]], (("a", linear),), iter([("a", linear)]), nn.ModuleDict({"a": linear}))
    for pairs in fits:
        assert list(nn.ModuleDict(pairs).items()) == [("a", linear)]
    assert list(nn.ParameterDict([["a", torch.zeros(2)]])) == ["a"]
    wrong: Any = ((3, TypeError), ([3], TypeError), ([["a"]], ValueError), ([[3, linear]], TypeError))
    for pairs, error in wrong:
        with pytest.raises(error, match=r"pairs such as|cannot name a part"):
            nn.ModuleDict(pairs)


def test_a_module_takes_the_dtype_of_a_tensor():
    for dtype in (torch.float32, torch.float64):
        assert nn.Linear(2, 2).to(torch.zeros(1, dtype=dtype)).weight.dtype == dtype
    assert nn.Linear(2, 2).to(tensor=torch.zeros(1, dtype=torch.float64)).weight.dtype == torch.float64
    for integers in (torch.zeros(1, dtype=torch.int64), torch.int64):
        with pytest.raises(TypeError, match="cannot become int64"):
            nn.Linear(2, 2).to(integers)


def test_a_network_of_the_new_layers_is_fitted_and_saved(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rows = nn.Embedding(6, 4, padding_idx=0)
            self.act = nn.PReLU()
            self.scales = nn.ParameterDict({"a": torch.ones(4)})
            self.pair = nn.Bilinear(4, 4, 2)

        def forward(self, x):
            h = self.act(self.rows(x)) * self.scales["a"]
            return self.pair(h[:, 0], h[:, 1])

    torch.manual_seed(0)
    net, x = Net(), np.array([[1, 2], [3, 4], [5, 0], [2, 2]] * 8)
    net.compile(optim.Adam(net.parameters(), lr=0.05), nn.CrossEntropyLoss())
    losses = net.fit(x, np.array([0, 1, 0, 1] * 8), epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.2 * losses[0]
    assert not net.rows.weight.numpy()[0].any()
    assert net.get_parameter("scales.a") is net.scales["a"]
    assert net.get_submodule("pair").get_parameter("weight").shape == (2, 4, 4)
    with pytest.raises(AttributeError, match="no parameter 'wait'"):
        net.get_parameter("pair.wait")
    layers = nn.Sequential(
        nn.PReLU(3, 0.1), nn.LocalResponseNorm(2), nn.ChannelShuffle(3), nn.Softmax2d(), nn.CELU(0.5)
    )
    layers(torch.ones(1, 3, 2, 2))
    layers.save(tmp_path / "layers.rv")
    again = load_model(tmp_path / "layers.rv")
    assert torch.equal(again(torch.ones(1, 3, 2, 2)), layers(torch.ones(1, 3, 2, 2)))


def test_functions_are_activations_of_the_other_vocabulary(tmp_path):
    """By whatever names of arguments: they are the same functions, of values and of networks that are described."""
    x = rv.Input((3,))
    model = rv.Model(x, torch.sigmoid(rv.layers.Dense(2, activation=torch.tanh)(x)))
    model.save(tmp_path / "net.rv")
    again = load_model(tmp_path / "net.rv")
    assert torch.equal(again(torch.ones(2, 3)), model(torch.ones(2, 3)))
    y = torch.ones(2)
    assert arrays.multiply(y, 3).trace_node is torch.mul(other=3, input=y).trace_node


def test_names_that_are_not_there_are_listed():
    """In small letters, and without the ends of kinds (MaxUnpool2d, arctan)."""
    listed = (Path(__file__).parents[2] / "docs/pytorch.md").read_text(encoding="utf-8").lower()
    explained = [name for name, words in missing_names.NAMES.items() if "docs/pytorch.md" in words]
    wanted = {name.lower().replace("_", "").rstrip("123d").replace("arc", "a") for name in explained}
    listed = listed.replace("_", "")
    assert not [name for name in sorted(wanted) if name not in listed]
    spaces = (torch, torch.nn, torch.nn.functional, torch.optim, torch.nn.utils, torch.utils, torch.autograd)
    assert not [name for name in missing_names.NAMES if any(name in space.__all__ for space in spaces)]

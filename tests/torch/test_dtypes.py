"""PyTorch's dtypes on every engine: results written down. `tests/peers/test_dtypes.py` compares all pairs with PyTorch."""

import copy
import io

import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier.torch import nn
from tests.strategies import ENGINES


@pytest.fixture(params=ENGINES)
def engine(request):
    rv.set_engine(request.param)
    yield
    rv.set_engine(None)


A = torch.tensor([7, -7, 2**40])
HALVES = torch.tensor([1.0, 1.00390625, 300.0])

ROWS = [
    (lambda: torch.full((3000, 1000), 1000).sum(), "int64", 3_000_000_000),
    (lambda: A * 2**20, "int64", [7 * 2**20, -7 * 2**20, 2**60]),
    (lambda: A // 3, "int64", [2, -3, 366503875925]),
    (lambda: A % 10, "int64", [7, 3, 6]),
    (lambda: torch.tensor([3, -2, 1]) ** torch.tensor([35, 3, -2]), "int64", [50031545098999707, -8, 1]),
    (lambda: (A.reshape(3, 1) @ A.reshape(1, 3))[2], "int64", [7 * 2**40, -7 * 2**40, 0]),
    (lambda: torch.tensor([200], dtype=torch.uint8) + 100, "uint8", [44]),
    (lambda: torch.tensor([100], dtype=torch.int8) * torch.tensor([1], dtype=torch.uint8), "int16", [100]),
    (lambda: torch.tril(torch.ones(2, 2) > 0), "bool", [[True, False], [True, True]]),
    (lambda: HALVES.bfloat16() * 3, "bfloat16", [3.0, 3.0, 900.0]),
    (lambda: torch.sum(HALVES.half() * HALVES.half()), "float16", float("inf")),
    (lambda: HALVES.half().mean(), "float16", 100.6875),
    (lambda: HALVES + torch.tensor(0.5, dtype=torch.float64), "float32", [1.5, 1.50390625, 300.5]),
    (lambda: torch.tensor([[1.0, 3.0, 2.0]]).argmax(1), "int64", [1]),
    (lambda: torch.tensor([True, True]).cumsum(0), "int64", [1, 2]),
    (lambda: torch.tensor([[0.0, 0.0]]).softmax(1, dtype=torch.float64), "float64", [[0.5, 0.5]]),
]


@pytest.mark.parametrize(("compute", "dtype", "value"), ROWS, ids=range(len(ROWS)))
def test_results(engine, compute, dtype, value):
    result = compute()
    assert result.dtype == dtype
    assert result.tolist() == value


def test_what_pytorch_refuses_is_refused():
    for wrong in (lambda: A // 0, lambda: A % torch.tensor([1, 0, 1]), lambda: 1 // torch.tensor(0)):
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            wrong()
    with pytest.raises(RuntimeError, match=r"the input is int64 and the weight float32. Write x.to\(torch.float32\)"):
        nn.Linear(3, 1)(A)
    with pytest.raises(TypeError, match=r"NumPy has no bfloat16. Write x.float\(\).numpy\(\)"):
        HALVES.bfloat16().numpy()
    with pytest.raises(TypeError, match=r"Write x.to\('int32'\) for the same numbers"):
        HALVES.float().view(torch.int32)
    with pytest.raises(OverflowError, match="300 does not fit uint8"):
        torch.tensor([300], dtype=torch.uint8)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_a_network_trains_and_is_saved_in_16_bits(kind):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)).to(kind)
    x, y = torch.randn(16, 3, dtype=kind), torch.arange(16) % 2
    optimizer = torch.optim.Adam(net.parameters(), 0.05)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 1.5
    assert {loss.dtype, net[0].weight.dtype, net[0].weight.grad.dtype, copy.deepcopy(net)[0].weight.dtype} == {kind}
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    state = torch.load(file)
    assert {v.dtype for v in state.values()} == {kind}
    other = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)).to(kind)
    other.load_state_dict(state)
    assert other(x).tolist() == net(x).tolist()


def test_labels_beyond_32_bits_are_no_class():
    scores, labels = torch.zeros(2, 3, requires_grad=True), torch.tensor([0, 2**32 + 1])
    with pytest.raises(IndexError, match="label 4294967297 is out of range"):
        nn.functional.cross_entropy(scores, labels)
    with pytest.raises(IndexError):
        torch.arange(3)[torch.tensor([2**32])]


def test_keras_integers_are_int32():
    ops, mask = rv.ops, rv.Tensor([True, False])
    results = [
        ops.add(mask, 1),
        ops.where(mask, 1, 0),
        ops.argmax([1.0, 2.0]),
        ops.sum(mask),
        ops.arange(2),
        ops.nonzero(mask)[0],
    ]
    assert {r.dtype for r in results} == {"int32"}
    wide = ops.add(ops.ones(1, "int32"), ops.ones(1, "uint32"))
    assert wide.dtype == ops.cast(mask, "int64").dtype == "int64"

"""``out=``: results are written into tensors, and every tensor that shares their memory shows them."""

import pytest

import ranvier as rv
import ranvier.torch as torch


@pytest.fixture(autouse=True)
def reference():
    before = rv.get_engine()
    rv.set_engine("reference")
    yield
    rv.set_engine(before)


X = [[1.0, 2.0], [3.0, 4.0]]
ROWS = [
    ("add", (X, X), [[2, 4], [6, 8]]),
    ("mul", (X, X), [[1, 4], [9, 16]]),
    ("exp", ([[0.0]],), [[1]]),
    ("sum", (X, 0), [4, 6]),
    ("matmul", (X, X), [[7, 10], [15, 22]]),
    ("cat", ([X, X],), [*X, *X]),
    ("where", ([[True, False]], X, [[0.0, 0.0]]), [[1, 0], [3, 0]]),
]


@pytest.mark.parametrize(("name", "operands", "expected"), ROWS, ids=[row[0] for row in ROWS])
def test_a_result_is_written(name, operands, expected):
    given = [torch.tensor(o) if isinstance(o, list) else o for o in operands]
    given = [list(given[0])] if name == "cat" else given
    out = torch.zeros(torch.tensor(expected).shape)
    view = out.view(-1)
    assert getattr(torch, name)(*given, out=out) is out
    assert out.tolist() == expected
    assert view[-1].item() == out.reshape(-1)[-1].item()


def test_several_results_and_an_empty_tensor():
    values, indices = torch.zeros(2), torch.zeros(2, dtype=torch.int64)
    torch.max(torch.tensor(X), 1, out=(values, indices))
    assert (values.tolist(), indices.tolist()) == ([2, 4], [1, 1])
    out = torch.empty(0)
    assert torch.add(torch.ones(2), 1, out=out).tolist() == out.tolist() == [2, 2]
    assert torch.sin(torch.zeros(1), out=None).tolist() == [0]


@pytest.mark.parametrize(
    ("refused", "error", "words"),
    [
        (lambda: torch.add(torch.ones(2), 1, out=torch.zeros(3)), ValueError, "cannot hold a result of shape"),
        (lambda: torch.exp(torch.ones(2), out=torch.zeros(2, dtype=torch.int64)), TypeError, "cannot hold float32"),
        (lambda: torch.exp(torch.ones(2), out=1.0), TypeError, "out is 1.0. Write a tensor"),
        (lambda: torch.exp(torch.ones(2, requires_grad=True), out=torch.zeros(2)), RuntimeError, "records no gradient"),
    ],
)
def test_refused(refused, error, words):
    with pytest.raises(error, match=words):
        refused()

"""Recurrent modules: packed sequences, files, training, and what is refused. Values are compared in tests/peers."""

from typing import Any

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier.torch import nn
from ranvier.torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

X = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
LENGTHS = [4, 1, 3]


@pytest.fixture(autouse=True)
def reference():
    before = rv.get_engine()
    rv.set_engine("reference")
    yield
    rv.set_engine(before)


@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_packed_sequences_are_those_alone(make):
    rv.set_engine("native")  # whose bits do not depend on the number of rows, as those of NumPy's products may
    net = make(2, 3, num_layers=2, bidirectional=True, batch_first=True)
    packed = pack_padded_sequence(torch.tensor(X), LENGTHS, batch_first=True, enforce_sorted=False)
    output, states = net(packed)
    padded, lengths = pad_packed_sequence(output, batch_first=True)
    assert lengths.tolist() == LENGTHS
    for i, n in enumerate(LENGTHS):
        alone, last = net(torch.tensor(X[i, :n]))
        np.testing.assert_array_equal(padded[i, :n].numpy(), alone.numpy())
        assert not padded[i, n:].numpy().any()
        for a, b in zip(states if make is nn.LSTM else [states], last if make is nn.LSTM else [last], strict=True):
            np.testing.assert_array_equal(a[:, i].numpy(), b.numpy())


def test_dropout_is_between_the_layers_while_training():
    net = nn.GRU(2, 8, num_layers=2, dropout=0.5)
    x = torch.tensor(X)
    assert (net(x)[1][0].numpy() == net(x)[1][0].numpy()).all()
    assert (net(x)[1][1].numpy() != net(x)[1][1].numpy()).any()
    net.eval()
    assert (net(x)[0].numpy() == net(x)[0].numpy()).all()


def test_a_network_is_trained_and_saved(tmp_path):
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.out = nn.LSTM(2, 3, batch_first=True), nn.Linear(3, 1)

        def forward(self, x: Any) -> Any:
            return self.out(self.lstm(x)[0][:, -1])

    net = Net()
    net.compile("adam", "mse")
    x, y = np.repeat(X, 8, 0), np.repeat(X.sum((1, 2))[:, None], 8, 0)
    losses = net.fit(x, y, epochs=3, batch_size=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    torch.save(net.state_dict(), tmp_path / "net.pt")
    twin = Net()
    twin.load_state_dict(torch.load(tmp_path / "net.pt"))
    np.testing.assert_array_equal(twin.predict(x, verbose=0), net.predict(x, verbose=0))


REFUSED: dict[str, Any] = {
    "features": (lambda: nn.LSTM(3, 4)(torch.tensor(X)), ValueError, r"Write LSTM\(2, 4\)"),
    "rank": (lambda: nn.LSTM(2, 4)(torch.tensor(X[None])), ValueError, r"takes \(steps, batch, features\)"),
    "no step": (lambda: nn.GRU(2, 4)(torch.tensor(X[:0])), RuntimeError, "a sequence of 0 steps"),
    "states": (
        lambda: nn.GRU(2, 4)(torch.tensor(X), torch.zeros(1, 3, 4)), RuntimeError,
        r"GRU was given hx of shapes \(1, 3, 4\) for an input of shape \(3, 4, 2\). Write \(1, 4, 4\)",
    ),
    "state of a cell": (lambda: nn.GRUCell(2, 4)(torch.tensor(X[0]), torch.zeros(3, 4)), RuntimeError, r"Write \(4, 4\)"),
    "nonlinearity": (lambda: nn.RNN(2, 4, nonlinearity="selu"), ValueError, "Write 'tanh' or 'relu'"),
    "projection": (lambda: nn.LSTM(2, 4, proj_size=4), ValueError, "not below its hidden_size of 4"),
    "order": (lambda: pack_padded_sequence(torch.tensor(X), LENGTHS, True), RuntimeError, "enforce_sorted=False"),
    "empty": (lambda: pack_padded_sequence(torch.tensor(X), [4, 3, 0], True), RuntimeError, "from 1 to 4 for each"),
    "too long": (lambda: pack_padded_sequence(torch.tensor(X), [5, 3, 1], True), RuntimeError, "from 1 to 4 for each"),
    "too short": (
        lambda: pad_packed_sequence(pack_padded_sequence(torch.tensor(X), [4, 3, 1], True), total_length=3), ValueError,
        "Write 4 or more",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()

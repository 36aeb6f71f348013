"""Recurrent modules and packed sequences against PyTorch: outputs, states and gradients."""

from typing import Any

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as ours
from ranvier.support.tree import flatten

theirs = pytest.importorskip("torch")

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:LSTM with projections")]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3, 5)).astype(np.float32)
STATE = RNG.normal(size=(4, 3, 6)).astype(np.float32)


@pytest.fixture(autouse=True)
def reference():
    before = rv.get_engine()
    rv.set_engine("reference")
    yield
    rv.set_engine(before)


def array(value: Any) -> Any:
    return value.detach().numpy() if hasattr(value, "detach") else np.asarray(value)


def agree(program: Any, *modules: Any) -> None:
    """Compare what a program returns for both, and the gradients by its input and by the weights of the modules."""
    found = []
    for t, module in zip((theirs, ours), modules, strict=True):
        x = t.tensor(X, requires_grad=True)
        parts = list(flatten(program(t, module, x)))
        sum((p * p).sum() for p in parts if p is not None and p.requires_grad).backward()
        grads = [p.grad for p in module.parameters()]
        found.append([array(p) for p in (*parts, x.grad, *grads) if p is not None])
    assert len(found[0]) == len(found[1])
    for expected, got in zip(*found, strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-5)


def twins(kind: str, sizes: tuple[int, ...], options: dict[str, Any]) -> tuple[Any, Any]:
    one, other = getattr(theirs.nn, kind)(*sizes, **options), getattr(ours.nn, kind)(*sizes, **options)
    assert repr(other) == repr(one)
    states = one.state_dict(), other.state_dict()
    assert [(k, tuple(v.shape)) for k, v in states[0].items()] == [(k, tuple(v.shape)) for k, v in states[1].items()]
    one.load_state_dict({k: theirs.from_numpy(v.numpy().copy()) for k, v in states[1].items()})
    return one, other


def states_of(t: Any, m: Any) -> Any:
    layers, n = m.num_layers * (1 + m.bidirectional), 4 if m.batch_first else 3
    given = [t.tensor(np.resize(STATE, (layers, n, size))) for size in (m.proj_size or m.hidden_size, m.hidden_size)]
    return tuple(given) if isinstance(m, t.nn.LSTM) else given[0]


def packed(t: Any, m: Any, x: Any) -> Any:
    lengths = [3, 3, 2, 1] if m.batch_first else [4, 2, 1]
    return m(t.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=m.batch_first))


def unsorted(t: Any, m: Any, x: Any) -> Any:
    rnn, lengths = t.nn.utils.rnn, t.tensor([2, 3, 1, 3] if m.batch_first else [1, 4, 2])
    given = rnn.pack_padded_sequence(x, lengths, m.batch_first, enforce_sorted=False)
    output, states = m(given, states_of(t, m))
    return output, states, rnn.pad_packed_sequence(output, m.batch_first, padding_value=7.0, total_length=5)


CALLS = {
    "plain": lambda t, m, x: m(x), "states": lambda t, m, x: m(x, states_of(t, m)),
    "alone": lambda t, m, x: m(x[:, 0]), "packed": packed, "unsorted": unsorted,
}  # fmt: skip
LAYERS: dict[str, Any] = {
    "rnn": ("RNN", {}), "relu": ("RNN", {"nonlinearity": "relu", "bias": False}), "lstm": ("LSTM", {}),
    "lstm, all": ("LSTM", {"num_layers": 2, "bidirectional": True, "proj_size": 2, "batch_first": True}),
    "gru": ("GRU", {"bias": False, "batch_first": True}), "gru, all": ("GRU", {"num_layers": 2, "bidirectional": True}),
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str, call: str) -> None:
    kind, options = LAYERS[name]
    agree(CALLS[call], *twins(kind, (5, 6), options))


CELLS: dict[str, Any] = {
    "rnn": ("RNNCell", {}), "relu": ("RNNCell", {"nonlinearity": "relu"}), "lstm": ("LSTMCell", {}),
    "gru": ("GRUCell", {"bias": False}),
}  # fmt: skip


@pytest.mark.parametrize("name", CELLS)
def test_cells(name: str) -> None:
    kind, options = CELLS[name]

    def unrolled(t: Any, m: Any, x: Any) -> Any:
        state, alone = m(x[0]), m(x[0, 0])
        for step in x[1:]:
            state = m(step, state)
        return state, alone

    agree(unrolled, *twins(kind, (5, 6), options))


def test_packing() -> None:
    def program(t: Any, m: Any, x: Any) -> Any:
        rnn = t.nn.utils.rnn
        pack = rnn.pack_sequence([x[0, :2], x[1], x[2, :1]], enforce_sorted=False)
        return pack, rnn.unpack_sequence(pack), rnn.pad_packed_sequence(pack), m(x)

    agree(program, *twins("Linear", (5, 2), {}))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_ctc(reduction: str) -> None:
    targets, lengths = np.array([[1, 1, 2], [3, 2, 4], [4, 4, 4]]), [2, 3, 3]
    flat = np.concatenate([row[:n] for row, n in zip(targets, lengths, strict=True)])

    def program(t: Any, m: Any, x: Any) -> Any:
        logs = t.nn.functional.log_softmax(t.cat([x, 0.5 * x]), -1)
        loss = t.nn.CTCLoss(reduction=reduction, zero_infinity=True)
        given = t.tensor([7, 5, 4]), t.tensor(lengths)
        alone = t.nn.functional.ctc_loss(logs[:, 0], t.tensor([2, 1]), t.tensor(8), t.tensor(2), 3, reduction)
        none = loss(logs, t.tensor(flat[:0]), given[0], t.tensor([0, 0, 0]))  # blanks alone
        return loss(logs, t.tensor(targets), *given), loss(logs, t.tensor(flat), *given), alone, none, m(x)

    agree(program, *twins("Linear", (5, 2), {}))

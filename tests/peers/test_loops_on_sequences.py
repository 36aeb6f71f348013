"""Loops of one's own on sequences against PyTorch: the native engine takes the first extent for the batch where it may."""

from typing import Any

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as ours
from ranvier import engines
from ranvier.graph.node import BATCH

theirs = pytest.importorskip("torch")
pytestmark = pytest.mark.peers

D, V = 6, 5


def causal(t: Any, m: Any, x: Any, mask: Any) -> Any:
    q, k, v = m["qkv"](x).chunk(3, -1)
    return (q @ k.transpose(1, 2) + mask).softmax(-1) @ v


def heads(t: Any, m: Any, x: Any, mask: Any) -> Any:
    rows, steps, _ = x.size()
    q, k, v = [z.view(rows, steps, 2, D // 2).transpose(1, 2) for z in m["qkv"](x).split(D, dim=2)]
    y = t.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    return x + y.transpose(1, 2).reshape(rows, steps, D)


def stepwise(t: Any, m: Any, x: Any, mask: Any) -> Any:
    h, found = t.zeros(x.shape[0], D), []
    for s in range(x.shape[1]):
        a, b = m["gates"](t.cat([x[:, s], h], 1)).chunk(2, 1)
        h = t.tanh(a) * t.sigmoid(b) + h * 0.5
        found.append(h)
    return t.stack(found, 1)


def normed(t: Any, m: Any, x: Any, mask: Any) -> Any:
    rows, steps, _ = x.size()
    return m["norm"](x.reshape(rows * steps, D)).view(rows, steps, D)


BODIES = {
    "lstm": lambda t, m, x, mask: m["lstm"](x)[0],
    "steps first": lambda t, m, x, mask: m["steps_first"](x.transpose(0, 1))[0].transpose(0, 1),
    "convolution": lambda t, m, x, mask: m["conv"](x.transpose(1, 2)).transpose(1, 2).relu(),
    "attention": causal,
    "heads": heads,
    "steps": stepwise,
    "rows of all": normed,
    "over samples": lambda t, m, x, mask: m["qkv"](x)[..., :D] - x.mean(0) + x.cumsum(0) * 0.1,
    "pairs": lambda t, m, x, mask: m["conv"](x.transpose(1, 2)).mean(2) @ x.mean(1).t() @ x.mean(1) @ t.ones(D, D) + x[:, 0],
    "exchanged": lambda t, m, x, mask: m["qkv"](x)[..., :D] + (x.transpose(0, 1) if x.shape[0] == x.shape[1] else x),
}  # fmt: skip
ENDS = {
    "one": lambda F, z, y, each, own: F.cross_entropy(z if z.ndim == 2 else z[:, -1], y),
    "every": lambda F, z, y, each, own: F.cross_entropy(z.reshape(-1, V), (each if z.ndim == 3 else y).reshape(-1)),
    "weighted": lambda F, z, y, each, own: F.cross_entropy(z if z.ndim == 2 else z.mean(1), y, weight=own[:V]),
    "by sample": lambda F, z, y, each, own: (F.cross_entropy(z[..., 0, :] if z.ndim == 3 else z, y, reduction="none") * own[: len(y)]).sum(),
}  # fmt: skip
NUMBERS = {"steps first", "rows of all", "over samples", "exchanged"}  # bodies that may keep the number of rows


def modules(t: Any) -> Any:
    t.manual_seed(0)
    n = t.nn
    return n.ModuleDict({
        "embedding": n.Embedding(V, D), "lstm": n.LSTM(D, D, batch_first=True), "steps_first": n.LSTM(D, D),
        "conv": n.Conv1d(D, D, 3, padding=1), "qkv": n.Linear(D, 3 * D), "gates": n.Linear(2 * D, 2 * D),
        "norm": n.BatchNorm1d(D), "head": n.Linear(D, V),
    })  # fmt: skip


def trained(t: Any, m: Any, body: str, end: str, rows: int, steps: int, tokens: bool) -> list[Any]:
    """Losses and weights after steps of which the last has fewer samples."""
    rng, found = np.random.default_rng(0), []
    optimizer = t.optim.SGD(m.parameters(), lr=0.1)
    mask = t.tensor(np.triu(np.full((steps, steps), -3.0, np.float32), 1))
    own = t.tensor(rng.random(max(rows, V)).astype(np.float32))
    for n in (rows, rows, rows - 1):
        ids, x = rng.integers(0, V, (n, steps)), rng.normal(size=(n, steps, D)).astype(np.float32)
        y, each = t.tensor(rng.integers(0, V, n)), t.tensor(rng.integers(0, V, (n, steps)))
        optimizer.zero_grad()
        z = m["head"](BODIES[body](t, m, m["embedding"](t.tensor(ids)) if tokens else t.tensor(x), mask))
        loss = ENDS[end](t.nn.functional, z, y, each, own)
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return [np.array(found), *(p.detach().numpy() for p in m.parameters())]


@pytest.mark.parametrize(
    ("end", "rows", "steps"), [("one", 4, 9), ("every", V, 7), ("weighted", V, 3), ("by sample", D, D)]
)
@pytest.mark.parametrize("body", BODIES)
def test_a_loop_of_ones_own_on_sequences(body, end, rows, steps, monkeypatch):
    tokens, graphs, compiled = end == "every", list[Any](), engines.compile

    def noted(graph: Any, *options: Any) -> Any:
        graphs.append(graph)
        return compiled(graph, *options)

    monkeypatch.setattr(engines, "compile", noted)
    first = modules(ours)
    values = {name: value.numpy().copy() for name, value in first.state_dict().items()}
    other = modules(theirs)
    other.load_state_dict({name: theirs.from_numpy(value) for name, value in values.items()})
    expected = trained(theirs, other, body, end, rows, steps, tokens)
    for engine in ("native", "reference"):
        rv.set_engine(engine)
        try:
            again = modules(ours)
            again.load_state_dict({name: ours.from_numpy(value) for name, value in values.items()})
            got = trained(ours, again, body, end, rows, steps, tokens)
        finally:
            rv.set_engine(None)
        for one, same in zip(expected, got, strict=True):
            np.testing.assert_allclose(same, one, rtol=2e-3, atol=2e-5)
        if engine == "native" and body not in NUMBERS and rows != steps:
            assert any(BATCH in node.shape for graph in graphs if graph.updates for node in graph.inputs)

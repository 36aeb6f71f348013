"""Images and sequences that a loop of one's own gives at one size are samples to the native engine, as in `fit`."""

from typing import Any

import numpy as np
import pytest

import ranvier.torch as torch
from ranvier import engines
from ranvier.graph.node import BATCH
from ranvier.torch import nn
from ranvier.torch.nn import functional as F
from tests import processes

ENDS = {
    "flatten": lambda x: torch.flatten(x, 1),
    "own size": lambda x: x.view(x.size(0), -1),
    "open size": lambda x: x.view(-1, x.shape[1] * 16),
    "one by one": lambda x: torch.stack([image.flatten() for image in x]),  # a number from here on
}


class Net(nn.Module):
    def __init__(self, end):
        super().__init__()
        self.end, self.convolution, self.norm = ENDS[end], nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4)
        self.drop, self.dense = nn.Dropout(0.3), nn.Linear(64, 10)

    def forward(self, x):
        return self.dense(self.drop(self.end(F.relu(self.norm(self.convolution(x))))))


def trained(engine, end, rows, reads=False, graphs=None):
    """Losses and weights after three steps, and predictions; ``graphs`` gets the programs."""
    engines.set_engine(engine)
    compiled = engines.compile

    def noted(graph, *options):
        if graphs is not None:
            graphs.append(graph)
        return compiled(graph, *options)

    try:
        engines.compile = noted
        torch.manual_seed(0)
        rng, found = np.random.default_rng(0), []
        net = Net(end)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(3):
            x, y = torch.tensor(rng.normal(size=(rows, 3, 8, 8))).float(), torch.tensor(rng.integers(0, 10, rows))
            optimizer.zero_grad()
            scores = net(x)
            if reads:  # then the forward pass is a program of its own, and the backward pass draws the same noise again
                found.append(scores.sum().item())
            loss = F.cross_entropy(scores, y)
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        net.eval()
        with torch.no_grad():
            found += net(x).flatten().tolist()
        return np.array([*found, *(p.abs().sum().item() for p in net.parameters())])
    finally:
        engines.compile = compiled
        engines.set_engine(None)


@pytest.mark.parametrize("reads", [False, True])
@pytest.mark.parametrize("rows", [3, 4])  # 4: as many as channels
@pytest.mark.parametrize("end", ENDS)
def test_a_loop_of_ones_own_on_images(end, rows, reads):
    graphs: list[Any] = []
    found = trained("native", end, rows, reads, graphs)
    np.testing.assert_allclose(found, trained("reference", end, rows, reads), rtol=2e-3, atol=1e-4)
    steps = [graph for graph in graphs if graph.updates and graph.of("contract")]
    symbols = [any(BATCH in node.shape for node in graph.inputs) for graph in steps]
    assert all(symbols)


class Sequences(nn.Module):
    """Tokens to scores of each token, with a loop over time, a flattened normalization and a convolution."""

    def __init__(self):
        super().__init__()
        self.embedding, self.norm, self.dense = nn.Embedding(5, 6), nn.BatchNorm1d(6), nn.Linear(6, 5)
        self.recurrent, self.convolution = nn.GRU(6, 6, batch_first=True), nn.Conv1d(6, 6, 3, padding=1)

    def forward(self, tokens):
        x = self.convolution(self.recurrent(self.embedding(tokens))[0].transpose(1, 2)).transpose(1, 2)
        return self.dense(self.norm(x.reshape(-1, 6)))  # a row for each token


@pytest.mark.parametrize(("rows", "steps"), [(4, 7), (5, 6), (6, 6)])  # 5: as many as tokens; 6: as features and steps
def test_a_loop_of_ones_own_on_sequences(rows, steps, monkeypatch):
    graphs, found, compiled = list[Any](), list[Any](), engines.compile

    def noted(graph, *options):
        graphs.append(graph)
        return compiled(graph, *options)

    monkeypatch.setattr(engines, "compile", noted)
    for engine in ("native", "reference"):
        engines.set_engine(engine)
        try:
            torch.manual_seed(0)
            rng, net = np.random.default_rng(0), Sequences()
            optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
            losses = []
            for _ in range(3):
                tokens, following = (torch.tensor(rng.integers(0, 5, (rows, steps))) for _ in "xy")
                optimizer.zero_grad()
                loss = F.cross_entropy(net(tokens), following.view(-1))
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
        finally:
            engines.set_engine(None)
        found.append([*losses, *(p.abs().sum().item() for p in net.parameters())])
    np.testing.assert_allclose(found[0], found[1], rtol=2e-3, atol=1e-4)
    steps_of = [graph for graph in graphs if graph.updates and graph.of("contract")]
    # The native engine's has the symbol up to where all tokens are in one axis, and the number from there on.
    assert [any(BATCH in node.shape for node in graph.inputs) for graph in steps_of] == [True, False]
    assert any("rows" in node.attrs for node in steps_of[0].of("reshape"))


OUTPUTS_WITH_THE_BATCH_ELSEWHERE = """
import numpy as np
import ranvier as rv
import ranvier.torch as torch
from ranvier import engines, layers, ops
from ranvier.torch import nn
from ranvier.torch.nn import functional as F
from tests import processes

rng = np.random.default_rng(0)
series, tokens = (rng.normal(size=shape).astype("float32") for shape in ((8, 6, 3), (6, 8, 8)))
images = rng.normal(size=(8, 3, 10, 10)).astype("float32")


def of(array, make, read=lambda result: result):
    def case():
        function = make()
        return read(function(torch.tensor(array)))
    return case


def embedded(read):
    return of(images, lambda: nn.Conv2d(3, 5, 3), lambda x: read(x.mean((2, 3))))


def attention(**options):
    def make():
        module = nn.MultiheadAttention(8, 2)
        return lambda x: module(x, x, x, **options)
    return of(tokens, make)


def loop():
    cell = nn.GRUCell(3, 4)

    def run(x):
        states = [torch.zeros(8, 4)]
        for step in range(6):
            states.append(cell(x[:, step], states[-1]))
        return torch.stack(states), torch.stack(states, 1), states[-1].T, states[-1].detach()
    return run


cases = {
    "lstm": of(series, lambda: nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True, proj_size=2)),
    "gru": of(series, lambda: nn.GRU(3, 4, 2, batch_first=True, bidirectional=True)),
    "rnn": of(series, lambda: nn.RNN(3, 4, 2, batch_first=True, bidirectional=True)),
    "layer": of(series, lambda: layers.Bidirectional(layers.LSTM(4, return_sequences=True, return_state=True)),
                lambda results: [ops.transpose(result) for result in results]),
    "loop": of(series, loop),
    "attention": attention(average_attn_weights=False),
    "mean attention": attention(),
    "products": embedded(lambda e: (F.softmax(e @ ops.transpose(e), -1), e, torch.cdist(e, e), torch.cov(e))),
    "pairs": embedded(lambda e: (e[:, None] * e[None], torch.einsum("bi,ci->bc", e, e))),
    "moved": embedded(lambda e: (e.T, torch.stack([e, e * 2]), e.T.flip(1), torch.diag_embed(e.T), torch.tril(e.T))),
    "axes": of(images, lambda: nn.Conv2d(3, 5, 3), lambda x: (x.permute(1, 0, 2, 3), x.movedim(0, -1), x.permute(2, 3, 0, 1))),
    "windows": of(images, lambda: nn.Unfold(3), lambda x: (x.permute(2, 0, 1), x)),
}


def flat(result):
    return [part for each in result for part in flat(each)] if isinstance(result, (tuple, list)) else [result]


def values(name, engine, order):
    engines.set_engine(engine)
    torch.manual_seed(1)
    results = flat(cases[name]())
    return {i: results[i].detach().numpy() for i in order(range(len(results)))}


for name in cases:
    wanted = values(name, "reference", list)
    for order in (list, reversed, lambda places: [len(places) // 2, *places]):
        for i, found in values(name, "native", order).items():
            assert found.shape == wanted[i].shape, (name, i, found.shape)
            np.testing.assert_allclose(found, wanted[i], rtol=2e-4, atol=1e-4, err_msg=f"{name} {i}")
print("read", len(cases))
"""


def test_outputs_whose_batch_is_not_first_are_read_in_any_order(tmp_path):
    program = processes.run(OUTPUTS_WITH_THE_BATCH_ELSEWHERE, RANVIER_CACHE=tmp_path)
    assert program.stdout == "read 12\n", program.stderr

"""Images and sequences that a loop of one's own gives at one size are samples to the native engine, as in `fit`."""

from typing import Any

import numpy as np
import pytest

import ranvier.torch as torch
from ranvier import engines
from ranvier.graph.node import BATCH
from ranvier.torch import nn
from ranvier.torch.nn import functional as F

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

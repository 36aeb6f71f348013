"""Names of the PyTorch vocabulary one by one: the same row here and in PyTorch, values and gradients."""

import numpy as np
import pytest

import ranvier.torch as ours
from tests.peers.test_torch_vocabulary import compare

theirs = pytest.importorskip("torch")
pytestmark = pytest.mark.peers
RNG = np.random.default_rng(1)
X = RNG.standard_normal((4, 6)).astype(np.float32)
ZEROS = np.zeros((3, 2), np.float32)
SOME = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 2.0]], np.float32)

AT_ZERO = {
    "norm": lambda t, x: t.norm(x),
    "norm, rows": lambda t, x: x.norm(2, dim=1),
    "norm, 1": lambda t, x: x.norm(1, dim=1),
    "norm, 3": lambda t, x: x.norm(3, dim=1),
    "norm, 1.5": lambda t, x: x.norm(1.5, dim=1),
    "norm, 0.5": lambda t, x: x.norm(0.5, dim=1),
    "norm, 0": lambda t, x: x.norm(2, dim=1) * x.detach().norm(0, dim=1),
    "norm, inf": lambda t, x: x.norm(float("inf"), dim=1),
    "norm, -inf": lambda t, x: x.norm(float("-inf"), dim=1),
    "std": lambda t, x: x.std(),
    "std, rows": lambda t, x: x.std(dim=1),
    "normalize": lambda t, x: t.nn.functional.normalize(x, dim=1),
    "normalize, 1": lambda t, x: t.nn.functional.normalize(x, p=1.0, dim=1),
    "cosine": lambda t, x: t.nn.functional.cosine_similarity(x, x.detach() + 1, dim=1),
    "pairwise distance": lambda t, x: t.nn.functional.pairwise_distance(x, x.detach()),
    "sqrt": lambda t, x: t.sqrt((x * x).sum(1)),
    "pow": lambda t, x: x.pow(1.5),
}


@pytest.mark.parametrize("values", ["zeros", "some"])
@pytest.mark.parametrize("name", AT_ZERO)
def test_gradients_at_zero(name, values):
    def total(t, x):  # the gradient of the squares would be 0 anyway
        y = AT_ZERO[name](t, x)
        return y.sum() + 0.5 * (y * y).sum()

    compare(total, ZEROS if values == "zeros" else SOME)


def signs(shape):
    return np.where(RNG.random(shape) < 0.5, -1.0, 1.0).astype(np.float32)


A, B, C = (RNG.standard_normal((5, 3)).astype(np.float32) for _ in range(3))
SIGNS = signs((5,))
LABELS = np.array([0, 2, 1, 1, 0])

LAYERS = {
    "CELU": lambda t, x: (t.nn.CELU()(x), t.nn.CELU(0.5)(x), t.nn.functional.celu(x, 2.0)),
    "GLU": lambda t, x: (t.nn.GLU()(x), t.nn.GLU(0)(x), t.nn.functional.glu(x, 1)),
    "Softshrink": lambda t, x: (t.nn.Softshrink()(x), t.nn.Softshrink(0.2)(x)),
    "Hardshrink": lambda t, x: (t.nn.Hardshrink()(x), t.nn.functional.hardshrink(x, 0.2)),
    "Tanhshrink": lambda t, x: t.nn.Tanhshrink()(x),
    "threshold": lambda t, x: t.nn.functional.threshold(x, 0.1, -2.0),
    "PReLU": lambda t, x: (t.nn.PReLU()(x), t.nn.PReLU(6, init=0.1)(x), t.nn.PReLU(6)(x.reshape(2, 6, 2))),
    "Softmax2d": lambda t, x: (t.nn.Softmax2d()(x.reshape(1, 3, 4, 2)), t.nn.Softmax2d()(x.reshape(3, 4, 2))),
    "ChannelShuffle": lambda t, x: t.nn.ChannelShuffle(2)(x.reshape(1, 6, 2, 2)),
    "LocalResponseNorm": lambda t, x: (t.nn.LocalResponseNorm(2)(x.reshape(1, 6, 2, 2)), t.nn.LocalResponseNorm(3, 0.1, 0.5, 2.0)(x.reshape(2, 6, 2))),
    "CosineSimilarity": lambda t, x: t.nn.CosineSimilarity(dim=1)(x, x.detach() * 2 + 1),
    "PairwiseDistance": lambda t, x: (t.nn.PairwiseDistance()(x, x.detach() * 2), t.nn.PairwiseDistance(1.0, keepdim=True)(x, x.detach() + 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    compare(LAYERS[name], X)


LOSSES = {
    "margin ranking": (lambda t, x, y, s: (t.nn.MarginRankingLoss(0.3)(x[:, 0], y[:, 0], s.detach()), t.nn.functional.margin_ranking_loss(x[:, 1], y[:, 1], s.detach(), reduction="sum")), A, B, SIGNS),
    "hinge embedding": (lambda t, x, s: (t.nn.HingeEmbeddingLoss()(x[:, 0], s.detach()), t.nn.HingeEmbeddingLoss(0.2, reduction="none")(x[:, 0], s.detach())), A, SIGNS),
    "soft margin": (lambda t, x, s: t.nn.SoftMarginLoss()(x[:, 0], s.detach()), A, SIGNS),
    "multilabel soft margin": (lambda t, x, y: (t.nn.MultiLabelSoftMarginLoss()(x, (y.detach() > 0).float()), t.nn.MultiLabelSoftMarginLoss(t.tensor([1.0, 2.0, 0.5]), reduction="none")(x, (y.detach() > 0).float())), A, B.copy()),
    "multi margin": (lambda t, x, y: (t.nn.MultiMarginLoss()(x, y), t.nn.MultiMarginLoss(2, 0.5, reduction="sum")(x, y)), A, LABELS),
    "multi margin, weighted": (lambda t, x, y: t.nn.MultiMarginLoss(weight=t.tensor([1.0, 2.0, 0.5]))(x, y), A, LABELS),
    "cosine embedding": (lambda t, x, y, s: (t.nn.CosineEmbeddingLoss()(x, y, s.detach()), t.nn.CosineEmbeddingLoss(0.1, reduction="none")(x, y, s.detach())), A, B, SIGNS),
    "triplet": (lambda t, x, y, z: (t.nn.TripletMarginLoss()(x, y, z), t.nn.TripletMarginLoss(2.0, 1.0, swap=True, reduction="none")(x, y, z)), A, B, C),
    "triplet, alike": (lambda t, x, y: t.nn.TripletMarginLoss()(x, x, y), A, B),
    "gaussian": (lambda t, x, y, z: (t.nn.GaussianNLLLoss()(x, y, z * z), t.nn.GaussianNLLLoss(full=True, reduction="sum")(x, y, (z * z)[:, 0])), A, B, C),
    "gaussian, small": (lambda t, x, y, z: t.nn.GaussianNLLLoss(eps=0.5)(x, y, z * z), A, B, C),
    "poisson": (lambda t, x, y: (t.nn.PoissonNLLLoss()(x, y.detach().abs()), t.nn.PoissonNLLLoss(full=True)(x, y.detach().abs() * 3), t.nn.PoissonNLLLoss(False)(x.abs(), y.detach().abs())), A, B),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name):
    program, *arrays = LOSSES[name]
    compare(program, *arrays)


def copied(t, layer, **values):
    with t.no_grad():
        for name, value in values.items():
            getattr(layer, name).copy_(t.tensor(value))
    return layer


def test_bilinear():
    weight, bias = RNG.standard_normal((4, 3, 3)).astype(np.float32), np.ones(4, np.float32)
    compare(lambda t, x, y: copied(t, t.nn.Bilinear(3, 3, 4), weight=weight, bias=bias)(x, y), A, B)
    compare(
        lambda t, x, y, w: t.nn.functional.bilinear(x.reshape(5, 1, 3), y.reshape(5, 1, 3), w), A, B, weight
    )


def test_embedding():
    table = RNG.standard_normal((5, 3)).astype(np.float32)

    def program(t, index):
        layer = copied(t, t.nn.Embedding(5, 3, padding_idx=1), weight=table)
        (layer(index) ** 2).sum().backward()
        frozen = t.nn.Embedding.from_pretrained(t.tensor(table))
        assert not frozen.weight.requires_grad
        assert (t.nn.Embedding(4, 2, padding_idx=-1).weight[3] == 0).all()
        grad = layer.weight.grad.clone()
        return layer(index), grad, frozen(index)

    compare(program, np.array([[0, 1], [4, 4]]))


PROBABILITIES = {
    "above": lambda t: t.nn.functional.binary_cross_entropy(t.tensor([0.5, 1.5]), t.tensor([0.0, 1.0])),
    "below": lambda t: t.nn.BCELoss()(t.tensor([0.5, -0.1]), t.tensor([0.0, 1.0])),
    "nan": lambda t: t.nn.BCELoss()(t.tensor([float("nan")]), t.tensor([0.0])),
    "target": lambda t: t.nn.BCELoss()(t.tensor([0.5, 0.1]), t.tensor([0.0, 2.0])),
    "target of a result": lambda t: t.nn.BCELoss()(t.tensor([0.5, 0.1], requires_grad=True) * 1, t.tensor([-1.0, 1.0])),
}  # fmt: skip


@pytest.mark.parametrize("name", PROBABILITIES)
def test_no_probabilities_are_refused(name):
    messages = []
    for t in (theirs, ours):
        with pytest.raises(RuntimeError, match="should be between 0 and 1") as raised:
            PROBABILITIES[name](t)
        messages.append(str(raised.value))
    assert messages[1].startswith(messages[0])

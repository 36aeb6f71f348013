"""Names of the PyTorch vocabulary one by one: the same row here and in PyTorch, values and gradients."""

from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import pytest

import ranvier.torch as ours
from tests.peers.test_torch_vocabulary import array, compare

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
    "by name": (lambda t, x, y, z, s: (t.nn.CosineEmbeddingLoss(0.1)(x, y, target=s.detach()), t.nn.TripletMarginLoss(swap=True)(anchor=x, negative=z, positive=y), t.nn.GaussianNLLLoss(full=True)(input=x, target=y, var=z * z), t.nn.MarginRankingLoss(0.3)(x[:, 0], target=s.detach(), input2=y[:, 0]), t.nn.functional.pairwise_distance(x1=x, x2=y, keepdim=True)), A, B, C, SIGNS),
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
    compare(lambda t, x, y, w: t.nn.functional.bilinear(x.reshape(5, 1, 3), y.reshape(5, 1, 3), w), A, B, weight)


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


INDICES = np.array([[0, 1, 1], [4, 4, 3]])


def table_program(make, **options):
    """A program that makes a module of a table, and returns its result, its gradient and the table afterwards."""

    def program(t, index):
        layer = copied(t, make(t), weight=TABLE)
        given = {name: value if isinstance(value, bool) else t.tensor(value) for name, value in options.items()}
        (layer(index, **given) ** 2).sum().backward()
        return layer(index, **given).detach(), layer.weight.grad.clone(), layer.weight.detach().clone()

    return program


TABLE = 1.5 * RNG.standard_normal((5, 3)).astype(np.float32)
TABLES = [
    table_program(lambda t: t.nn.Embedding(5, 3, scale_grad_by_freq=True)),
    table_program(lambda t: t.nn.Embedding(5, 3, max_norm=1.0)),
    table_program(lambda t: t.nn.Embedding(5, 3, 1, 1.0, 1.0)),
    *(
        table_program(lambda t, mode=mode, pad=pad: t.nn.EmbeddingBag(5, 3, mode=mode, padding_idx=pad))
        for mode in ("sum", "mean", "max")
        for pad in (None, 4)
    ),
    table_program(
        lambda t: t.nn.EmbeddingBag(5, 3, mode="sum"), per_sample_weights=np.arange(6, dtype="f").reshape(2, 3)
    ),
]
BAGS = [
    (mode, *rest)
    for mode in ("sum", "mean", "max")
    for rest in (([0, 2], False), ([0, 0, 3], False), ([0, 2, 6], True))
]


@pytest.mark.parametrize("program", TABLES)
def test_tables(program):
    compare(program, INDICES)


@pytest.mark.parametrize(("mode", "offsets", "last"), BAGS)
def test_bags_of_a_vector(mode, offsets, last):
    make = lambda t: t.nn.EmbeddingBag(5, 3, mode=mode, include_last_offset=last, padding_idx=1)  # noqa: E731
    compare(table_program(make, offsets=np.array(offsets)), INDICES.ravel())


def test_sparse_adam():
    def program(t, index):
        layer = copied(t, t.nn.Embedding(5, 3, sparse=True), weight=TABLE)
        optimizer, weights = t.optim.SparseAdam(layer.parameters(), lr=0.1, betas=(0.8, 0.9)), []
        for i in (0, 1, 0):
            optimizer.zero_grad()
            (layer(index[i]) ** 2).sum().backward()
            optimizer.step()
            weights.append(layer.weight.detach().clone())
        return tuple(weights)

    compare(program, INDICES)


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


# --- optimizers of one's own --------------------------------------------------------------------------------------


def momentum_sgd(t):
    class Momentum(t.optim.Optimizer):  # type: ignore[misc, name-defined]  # of either library
        def __init__(self, params, lr=0.1, momentum=0.9):
            super().__init__(params, dict(lr=lr, momentum=momentum))  # as courses write it

        def step(self, closure=None):
            loss = None if closure is None else closure()
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    if "momentum_buffer" not in state:
                        state["momentum_buffer"] = t.zeros_like(p.data)
                    state["momentum_buffer"].mul_(group["momentum"]).add_(p.grad.data)
                    p.data.add_(state["momentum_buffer"], alpha=-group["lr"])
            return loss

    return Momentum


def adam(t):
    class Adam(t.optim.Optimizer):  # type: ignore[misc, name-defined]  # of either library
        def __init__(self, params, lr=0.05, betas=(0.9, 0.999), eps=1e-8):
            super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

        @t.no_grad()
        def step(self, closure=None):
            if closure is not None:
                with t.enable_grad():
                    loss = closure()
            for group in self.param_groups:
                one, two = group["betas"]
                for p in group["params"]:
                    state = self.state[p]
                    if len(state) == 0:
                        state["step"] = 0
                        state["exp_avg"], state["exp_avg_sq"] = t.zeros_like(p), t.zeros_like(p)
                    state["step"] += 1
                    mean, squares = state["exp_avg"], state["exp_avg_sq"]
                    mean.mul_(one).add_(p.grad, alpha=1 - one)
                    squares.mul_(two).addcmul_(p.grad, p.grad, value=1 - two)
                    denominator = squares.sqrt().add_(group["eps"])
                    size = group["lr"] * (1 - two ** state["step"]) ** 0.5 / (1 - one ** state["step"])
                    p.addcdiv_(mean, denominator, value=-size)
            return loss

    return Adam


@pytest.mark.parametrize("make", [momentum_sgd, adam])
def test_optimizers_of_ones_own(make):
    start = RNG.standard_normal((1, 4)).astype(np.float32)
    results = []
    for t in (theirs, ours):
        layer = copied(t, t.nn.Linear(4, 1), weight=start, bias=np.zeros(1, np.float32))
        optimizer = make(t)([{"params": [layer.weight]}, {"params": [layer.bias], "lr": 0.02}])
        scheduler = t.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
        x, losses = t.tensor(X.reshape(6, 4)), []

        def closure(layer=layer, x=x):
            layer.zero_grad()
            loss = ((layer(x) - 1) ** 2).mean()
            loss.backward()
            return loss

        for i in range(6):
            if i == 3:  # stop and go on with another one
                kept = optimizer.state_dict()
                optimizer = make(t)([{"params": [layer.weight]}, {"params": [layer.bias]}])
                optimizer.load_state_dict(kept)
                scheduler = t.optim.lr_scheduler.StepLR(optimizer, 2, 0.5, last_epoch=scheduler.last_epoch)
            losses.append(optimizer.step(closure).item())
            scheduler.step()
        optimizer.zero_grad()
        assert layer.weight.grad is None
        rates = [group["lr"] for group in optimizer.param_groups]
        results.append([np.array(losses), np.array(rates), *(array(p) for p in layer.parameters())])
        assert optimizer.defaults["lr"] == make(t)([layer.bias]).param_groups[0]["lr"]
    for expected, got in zip(*results, strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-6)


# --- functions of tensors -----------------------------------------------------------------------------------------

POSITIVE = (np.abs(X) + 0.3).astype(np.float32)
HALVES = np.array([[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], [0.49999997, -0.2, 2.7, -3.1, 1e7, 3.0]], np.float32)
MATRIX = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, -0.2], [0.5, -0.2, 2.0]], np.float32)
ODD = np.array([np.nan, np.inf, -np.inf, 1.0], np.float32)
WITH_ZERO = np.array([[2.0, 0.0, 3.0], [1.5, -1.0, 2.0], [0.0, 0.0, 1.0]], np.float32)
ENDS = np.array([-1, 0.0, 1])
INTS = np.array([[7, -7, 3], [0, 5, 5]])

FUNCTIONS = {
    "trigonometry": (lambda t, x: (t.tan(x), t.sinh(x), t.cosh(x), t.asinh(x), t.atanh(x / 4), x.tan()), X),
    "angles": (lambda t, x: (t.atan(x * 3), t.asin(x / 5), x.div(5).arccos(), x.arctan2(x * x - 0.3), t.atan2(t.ones(1), x), x.clone().detach().atan_()), X),
    "angles of the ends": (lambda t, x: (t.atan(x), t.asin(x), t.acos(x), t.atan2(x, t.ones(1))), ENDS),
    "signs": (lambda t, x: (x.signbit(), x.fmax(0 * x), t.fmin(x, t.sqrt(x.detach())), t.logaddexp2(x, 2 * x), t.heaviside(x.detach(), t.ones(1))), X),
    "acosh": (lambda t, x: (t.acosh(x + 1), t.hypot(x, x + 1), t.exp2(x), t.erfc(x), t.logit(x / 4), t.logit(x / 4, 0.2)), POSITIVE),
    "rounding": (lambda t, x: (t.round(x), t.trunc(x), t.frac(x), x.fix(), t.round(x, decimals=1)), HALVES),
    "fmod": (lambda t, x: (t.fmod(x, 0.7), t.fmod(x, -0.7), x.remainder(0.7), t.floor_divide(x.detach(), 0.7), t.true_divide(x, 2)), X),
    "fmod, ints": (lambda t, x: (t.fmod(x, 3), t.remainder(x, 3), x.fmod(-3)), INTS),
    "logarithms": (lambda t, x: (t.logaddexp(x, 2 * x), t.xlogy(x, x * x + 1)), X),
    "xlogy of zeros": (lambda t, x: t.xlogy(x, x), np.zeros(3, np.float32) + 1),
    "logic": (lambda t, x: (t.logical_xor(x > 0, x > 1), (x > 0) ^ (x > 1), t.isclose(x, x + 1e-9), x.isclose(-x)), X),
    "odd": (lambda t, x: (t.nan_to_num(x.detach()), t.nan_to_num(x, 1.0, 2.0, 3.0), t.isclose(x, x, equal_nan=True), t.nansum(x[::3]), t.nanmean(x[::3])), ODD),
    "scaled": (lambda t, x: (t.add(x, x * 2, alpha=2), t.sub(x, 1, alpha=0.5), t.lerp(x, x * x, 0.3), t.lerp(x, -x, t.tensor(0.7)), t.addcmul(x, x, x, value=0.5), t.addcdiv(x, x, x * x + 1, value=-2), t.addcmul(x, x, x)), X),
    "positive": (lambda t, x: (t.positive(x), t.absolute(x), t.negative(x)), X),
    "products": (lambda t, x: (t.prod(x), t.prod(x, 1), t.prod(x, 0, keepdim=True), x.prod(dim=1)), WITH_ZERO),
    "running": (lambda t, x: (t.cumsum(x, 1), x.cumsum(0), t.cumprod(x, 1), x.cumprod(dim=0)), WITH_ZERO),
    "running, ints": (lambda t, x: (t.cumsum(x, 1), x.cumprod(0), x.prod(), t.prod(x, 1)), INTS),
    "counts": (lambda t, x: (t.count_nonzero(x), t.count_nonzero(x, dim=1), t.count_nonzero(x > 0, 0)), WITH_ZERO),
    "medians": (lambda t, x: (t.median(x), *t.median(x, 1), *x.median(0, keepdim=True), x.median()), X),
    "quantiles": (lambda t, x: (t.quantile(x, 0.3), t.quantile(x, t.tensor([0.1, 0.5, 1.0])), t.quantile(x, 0.25, dim=1), t.quantile(x, t.tensor([0.2, 0.9]), dim=0, keepdim=True), x.quantile(0.4, interpolation="lower"), t.quantile(x.reshape(2, 2, 6), t.tensor([0.3, 0.6]), dim=1)), X),
    "spread and mean": (lambda t, x: (*t.var_mean(x, 1), *t.std_mean(x, dim=0), *t.var_mean(x)), X),
    "tensordot": (lambda t, x: (t.tensordot(x, x.t(), dims=1), t.tensordot(x, x, dims=([0, 1], [0, 1])), t.tensordot(x.reshape(2, 2, 6), x, dims=([2], [1]))), X),
    "addmm": (lambda t, x: (t.addmm(x[:, :4], x, x.t(), beta=0.5, alpha=2), t.addmv(x[:, 0], x, x[0])), X),
    "cdist": (lambda t, x: (t.cdist(x, x * 2), t.cdist(x, x), t.cdist(x, x.detach() + 1, p=1.0), t.dist(x, x * 2)), X),
    "triangles": (lambda t, x: (t.tril(x), t.triu(x, 1), x.tril(-1), t.triu(x.reshape(2, 2, 6), -1)), X),
    "diagonals": (lambda t, x: (t.diag(x), t.diag(x, 1), t.diag(x, -2), t.diag(x[0]), t.diag(x[0], 2), t.diag(x[0], -1), t.trace(x), t.diagonal(x.reshape(2, 2, 6), 1, 0, 2)), X),
    "diff": (lambda t, x: (t.diff(x), t.diff(x, n=2, dim=0), x.diff(dim=0)), X),
    "rolls": (lambda t, x: (t.roll(x, 2), t.roll(x, -1, 0), t.roll(x, (1, 2), (0, 1)), x.roll(7, 1)), X),
    "repeats": (lambda t, x: (t.tile(x, (2,)), x.tile(2, 1, 3), t.repeat_interleave(x, 2, dim=0), t.repeat_interleave(x, 3), x.repeat_interleave(t.tensor([1, 0, 2, 1]), dim=0), t.broadcast_to(x[:1], (3, 6)), x[:1].broadcast_to((2, 6))), X),
    "moves": (lambda t, x: (t.movedim(x.reshape(2, 2, 6), 0, 2), t.movedim(x.reshape(2, 2, 6), (0, 1), (1, 2)), t.swapaxes(x, 0, 1), t.fliplr(x), t.flipud(x), t.ravel(x), x.unflatten(1, (2, -1)), t.unflatten(x, 0, (2, 2))), X),
    "parts": (lambda t, x: (t.narrow(x, 1, 2, 3), x.narrow(0, 1, 2), x.select(1, 2), t.column_stack([x[0], x[1]]), *t.broadcast_tensors(x[:1], x[:, :1])), X),
    "grids": (lambda t, x: (*t.meshgrid(x[0], x[1, :3], indexing="ij"), *t.meshgrid([x[0], x[1, :3]], indexing="xy")), X),
    "takes": (lambda t, x: (t.take(x, t.tensor([0, 7, 23])), t.take_along_dim(x, t.tensor([[1], [0], [2], [5]]), dim=1)), X),
    "where": (lambda t, x: (*t.where(x > 0), t.where(x > 0, x, 0.0), t.argwhere(x > 1)), X),
    "scattered": (lambda t, x: (t.scatter(x, 1, t.tensor([[1, 0], [2, 3]]), x[2:, :2]), x.scatter(0, t.tensor([[1, 0, 2]]), 5.0), t.scatter_add(x, 1, t.tensor([[1, 1], [2, 3]]), x.detach() ** 2), t.zeros(3, 6).index_add(0, t.tensor([0, 2, 0, 1]), x), t.index_add(x, 1, t.tensor([0, 0]), x[:, 2:4], alpha=-2)), X),
    "scattered in place": (lambda t, x: (t.zeros(4, 3).scatter_(1, t.tensor([[0], [2], [1], [0]]), 1.0), t.zeros(4, 6).scatter_add_(0, t.tensor([[0, 0, 1, 1, 2, 2]]), x.detach()), t.zeros(2, 6).index_add_(0, t.tensor([0, 1, 1, 0]), x)), X),
    "unique": (lambda t, x: (t.unique(x), *t.unique(x, return_inverse=True, return_counts=True), *t.unique_consecutive(x, return_counts=True), *x.unique(dim=0, return_counts=True)), INTS),
    "histograms": (lambda t, x: (t.bincount(x.abs().reshape(-1)), t.bincount(t.tensor([0, 2]), t.tensor([0.5, 1.5]), minlength=4), t.histc(x.float(), 4), t.histc(x.float(), 3, -1, 5)), INTS),
    "sets": (lambda t, x: (t.isin(x, t.tensor([5, 0])), t.searchsorted(t.tensor([1, 3, 5]), x), t.bucketize(x, t.tensor([0, 5]), right=True)), INTS),
    "einsum": (lambda t, x: (t.einsum("ii", x @ x.t()), t.einsum("ii->i", x @ x.t()), t.einsum("iij->ij", x[:, :4].reshape(2, 2, 4))), X),
    "matrices": (lambda t, x: (t.linalg.norm(x), t.linalg.norm(x, dim=1), t.linalg.norm(x, "fro"), t.linalg.norm(x, 1), t.linalg.norm(x, float("inf"), dim=(0, 1)), t.linalg.vector_norm(x, 3.0, dim=0), t.linalg.matrix_norm(x, keepdim=True), t.norm(x, p="fro")), X),
    "solvers": (lambda t, x: (t.linalg.inv(x.detach()), t.linalg.det(x.detach()), t.linalg.solve(x.detach(), t.ones(3, 2)), *t.linalg.slogdet(x.detach()), t.linalg.cholesky(x.detach()), t.linalg.eigh(x.detach()).eigenvalues, t.linalg.eigvalsh(x.detach()), t.linalg.svdvals(x.detach()), t.linalg.pinv(x.detach()), t.linalg.svd(x.detach()).S, t.linalg.matrix_power(x.detach(), 3), t.linalg.lstsq(x.detach(), t.ones(3, 1)).solution), MATRIX),
    "constructors": (lambda t, x: (t.FloatTensor([1, 2]), t.LongTensor([[1, 2]]), t.BoolTensor([True]), t.IntTensor([3]), t.FloatTensor(2, 3).fill_(1.0), x.new_zeros(2, 3), x.new_ones((2,)), x.new_full((2,), 3.0), x.new_tensor([1, 2]), t.logspace(0, 2, 3), t.asarray([1.0, 2.0])), X),
    "settled": (lambda t, x: (t.linspace(0, 1, 4, requires_grad=True) * 2, t.arange(3.0, requires_grad=True) * 1, t.full_like(x, 2.0, requires_grad=True) * 1), X),
    "clamps": (lambda t, x: (t.clamp_min(x, 0.1), t.clamp_max(x, 0.2), t.deg2rad(x), t.rad2deg(x), t.sgn(x), t.heaviside(x.detach(), t.tensor(0.5))), X),
    "turns": (lambda t, x: (t.rot90(x), t.rot90(x, 2), t.rot90(x, -1), t.rot90(x.reshape(2, 2, 6), 1, (1, 2)), t.concatenate([x, x], dim=1), x.reshape_as(x.t())), X),
    "places": (lambda t, x: (t.tril_indices(3, 4, -1), t.triu_indices(3, 3, 1), x.float()), INTS),
    "kinds of products": (lambda t, x: (t.inner(x, x), t.inner(x[0], x[1]), t.kron(x, x[:2]), t.cross(x[:, :3], x[:, 3:], dim=1), t.cross(x[:3].t(), x[1:].t(), dim=1)), X),
    "attention": (lambda t, x: (t.nn.functional.scaled_dot_product_attention(x[None], x[None] * 2, x[None] + 1), t.nn.functional.scaled_dot_product_attention(x[None], x[None] * 2, x[None] + 1, is_causal=True), t.nn.functional.scaled_dot_product_attention(x[None], x[None], x[None], attn_mask=t.tril(t.ones(4, 4)) > 0, scale=0.3), t.nn.functional.scaled_dot_product_attention(x[None], x[None], x[None], attn_mask=t.tril(t.ones(4, 4)))), X),
    "covariances": (lambda t, x: (t.cov(x), t.cov(x[0]), t.cov(x, correction=0), x.corrcoef(), t.corrcoef(x[1])), X),
    "trapezoid": (lambda t, x: (t.trapezoid(x), t.trapezoid(x, dx=0.3, dim=0), t.trapezoid(x, t.tensor([0.0, 1.0, 1.5, 4.0, 5.0, 7.0])), t.trapz(x, x.detach() * 2, dim=0), t.trapezoid(x, t.tensor([0.0, 1.0, 1.5, 4.0]), dim=0)), X),
    "extremes": (lambda t, x: (*t.aminmax(x), t.aminmax(x, dim=1).max, x.aminmax(dim=0, keepdim=True).min), X),
    "splits": (lambda t, x: (*t.tensor_split(x, 4, dim=1), *x.tensor_split((1, -1), dim=1), *t.tensor_split(x, [2, 1, 9])[1:3:2]), X),
    "embedded diagonals": (lambda t, x: (t.diag_embed(x), x.diag_embed(2), t.diag_embed(x, -1, 0, 2)), X),
    "choices": (lambda t, x: (t.combinations(x[0]), t.combinations(x[0], 3), t.combinations(x[0, :3], with_replacement=True), t.cartesian_prod(x[0], x[1, :2], x[:, 0]), t.cartesian_prod(x[0])), X),
    "filled": (lambda t, x: (t.index_fill(x, 1, t.tensor([0, 5]), -1.0), x.index_copy(0, t.tensor([3, 1]), x[:2] * 2), x.index_copy(1, t.tensor([2]), x[:, :1]), x.clone().index_fill_(0, t.tensor([2]), 4.0), x.clone().index_copy_(0, t.tensor([0]), x[3:])), X),
    "Threshold": (lambda t, x: t.nn.Threshold(0.1, -2.0)(x), X),
    "convolution": (lambda t, x: (t.conv1d(x[None], t.ones(2, 4, 3)), t.conv2d(x[None, None], t.ones(1, 1, 2, 2)), t.max_pool1d(x[None], 2), t.prelu(x, t.tensor([0.1])), t.celu(x), t.selu(x)), X),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    program, values = FUNCTIONS[name]
    compare(program, values)


IN_PLACE = {
    "roots": lambda t, x: (x.clone().abs_().sqrt_(), x.clone().exp_(), x.clone().square_().add_(1).log_(), x.clone().neg_()),
    "rounding": lambda t, x: (x.clone().round_(), x.clone().trunc_(), x.clone().floor_(), x.clone().ceil_(), x.clone().remainder_(0.7)),
    "activations": lambda t, x: (x.clone().sigmoid_(), x.clone().tanh_(), x.clone().relu_(), x.clone().clamp_min_(0.1), x.clone().clamp_max_(0.1)),
    "scaled": lambda t, x: (x.clone().lerp_(x * 2, 0.3), x.clone().addcmul_(x, x, value=0.5), x.clone().addcdiv_(x, x * x + 1), x.clone().add_(x, alpha=0.3), x.clone().sub_(x * x, alpha=2), x.clone().pow_(2)),
    "masked": lambda t, x: (x.clone().masked_fill_(x > 0, 1.5), x.clone().tril_(), x.clone().triu_(1), x.detach().clone().fill_diagonal_(3.0)),
    "shapes": lambda t, x: (x.clone().unsqueeze_(1) * 2, x.clone().transpose_(0, 1).exp(), x[None].clone().squeeze_(0).t_(), t.zeros(3).unsqueeze_(0).unsqueeze_(-1)),
    "detached": lambda t, x: (x * 2).detach_() * x,
}  # fmt: skip


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(name):
    compare(IN_PLACE[name], X)


def test_what_programs_ask():
    for t in (theirs, ours):
        x = t.ones(2, 3)
        assert (x.nelement(), x.ndimension(), x.is_contiguous(), x.element_size()) == (6, 2, True, 4)
        assert (x.type(), x.long().type(), x.is_cpu, x.is_cuda) == (
            "torch.FloatTensor",
            "torch.LongTensor",
            True,
            False,
        )
        assert t.equal(x.mH, x.T)
        assert t.equal(x.view(t.float32), x)
        assert f"{x.shape} {x.dtype}" == "torch.Size([2, 3]) torch.float32"
        assert isinstance(x.shape, t.Size)
        assert not t.accelerator.is_available()
        assert t.accelerator.current_accelerator() is None
        assert not t.backends.mps.is_available()
        assert not t.cuda.is_available()
        assert (x.nbytes, x.itemsize, t.is_floating_point(x), t.is_complex(x)) == (24, 4, True, False)
        assert x.grad_fn is None
        assert (x.clone().requires_grad_() * 2).grad_fn is not None
        assert t.broadcast_shapes((2, 1), (3,)) == (2, 3)
        assert 2 <= t.empty(50).random_(2, 5).min() <= t.empty(50).random_(2, 5).max() < 5
        t.backends.cudnn.deterministic, t.backends.cudnn.benchmark = True, False
        t.cuda.manual_seed(0)
        t.use_deterministic_algorithms(True)
        assert t.are_deterministic_algorithms_enabled()
        t.use_deterministic_algorithms(False)
        t.manual_seed(7)
        assert t.initial_seed() == 7
        assert t.seed() == t.initial_seed() >= 0
        with t.autograd.set_detect_anomaly(False):
            y = t.autograd.Variable(x, requires_grad=True)
        (grad,) = t.autograd.grad((y * y).sum(), y, only_inputs=True)
        assert (grad == 2).all()
        with pytest.raises(RuntimeError):
            t.linalg.cholesky(-t.eye(2))


DRAWN = {
    "multinomial": lambda t: t.bincount(t.multinomial(t.tensor([1.0, 0.0, 3.0]), 40000, replacement=True)).float() / 40000,
    "multinomial, rows": lambda t: t.multinomial(t.tensor([[1.0, 0.0], [0.0, 2.0]]), 1),
    "multinomial, all": lambda t: t.multinomial(t.ones(5), 5).sort().values,
    "bernoulli": lambda t: t.bernoulli(t.full((40000,), 0.3)).mean(),
    "bernoulli_": lambda t: t.empty(40000).bernoulli_(0.2).mean(),
    "normal": lambda t: t.stack([f(t.normal(2.0, 3.0, (40000,)) / 3) for f in (t.mean, t.std)]),
    "normal of tensors": lambda t: t.normal(t.arange(3.0), t.zeros(3)),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_what_is_drawn(name):
    theirs.manual_seed(0)
    ours.manual_seed(0)
    np.testing.assert_allclose(array(DRAWN[name](ours)), array(DRAWN[name](theirs)), atol=0.03)


# --- arguments of layers ------------------------------------------------------------------------------------------

IMAGE = RNG.standard_normal((2, 3, 5, 4)).astype(np.float32)
KERNEL = RNG.standard_normal((3, 2, 3, 3)).astype(np.float32)


def transposed(t, kernel, **options):
    return copied(t, t.nn.ConvTranspose2d(3, 2, 3, **options), weight=kernel, bias=np.ones(2, np.float32))


ARGUMENTS = {
    "output_size": lambda t, x: transposed(t, KERNEL, stride=2, padding=1)(x, output_size=(10, 8)),
    "output_size, whole": lambda t, x: transposed(t, KERNEL, stride=2)(x, output_size=(2, 2, 12, 9)),
    "output_size, one sample": lambda t, x: transposed(t, KERNEL, stride=2)(x[0], output_size=[11, 10]),
    "output_padding, dilated": lambda t, x: transposed(t, KERNEL, stride=1, dilation=3, output_padding=2)(x),
    "output_padding, padded": lambda t, x: transposed(t, KERNEL, stride=1, dilation=2, output_padding=1, padding=1)(x),
    "instance, one sample": lambda t, x: (t.nn.InstanceNorm2d(3, affine=True)(x[0]), t.nn.InstanceNorm1d(3)(x[0, :, :, 0])),
    "instance, running": lambda t, x: t.nn.InstanceNorm2d(3, track_running_stats=True).eval()(x[0, :, :1, :1]),
    "pad by tensors": lambda t, x: t.nn.functional.pad(x, [t.tensor(1), t.tensor(2)]),
    "nearest-exact": lambda t, x: (t.nn.functional.interpolate(x, size=(7, 3), mode="nearest-exact"), t.nn.functional.interpolate(x, scale_factor=1.7, mode="nearest-exact"), t.nn.Upsample(scale_factor=2, mode="nearest-exact")(x)),
}  # fmt: skip


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_of_layers(name):
    compare(ARGUMENTS[name], IMAGE)


REFUSED = {
    "output_size": lambda t, x: transposed(t, KERNEL, stride=2)(x, output_size=(13, 9)),
    "output_padding": lambda t, x: transposed(t, KERNEL, stride=2, dilation=2, output_padding=2)(x),
    "instance, one position": lambda t, x: t.nn.InstanceNorm2d(3)(x[:, :, :1, :1]),
    "instance, one position, evaluated": lambda t, x: t.nn.InstanceNorm2d(3).eval()(x[:, :, :1, :1]),
    "reflect": lambda t, x: t.nn.functional.pad(x, (1, 1), mode="reflect"),
    "circular": lambda t, x: t.nn.functional.pad(x, (1, 1), mode="circular"),
    "glu": lambda t, x: t.nn.GLU(1)(x),
    "shuffle": lambda t, x: t.nn.ChannelShuffle(2)(x),
    "narrow": lambda t, x: x.narrow(0, 1, 2),
    "leaf in place": lambda t, x: t.zeros(3, requires_grad=True).exp_(),
    "xor of numbers": lambda t, x: x ^ x,
    "quantile": lambda t, x: t.quantile(x, 0.5, interpolation="closest"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_both(name):
    for t in (theirs, ours):
        with pytest.raises(Exception):  # noqa: B017, PT011  # each in its own words
            REFUSED[name](t, t.tensor(IMAGE)).sum().item()


class Point(NamedTuple):
    x: Any
    y: Any


class Samples:
    """Samples of several kinds of containers."""

    def __len__(self):
        return 5

    def __getitem__(self, i):
        return Point(X[i % 4], {"a": (i, [float(i), "name"]), "b": OrderedDict(c=np.int64(i))})


def described(value):
    """What a batch holds, with the kinds of its containers."""
    if isinstance(value, dict):
        return [type(value).__name__, {k: described(v) for k, v in value.items()}]
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, [described(v) for v in value]]
    if hasattr(value, "numpy"):
        return ["tensor", np.asarray(value.numpy(), np.float64).tolist()]
    return [type(value).__name__, value]


LOADERS = {
    "batches": lambda d: d.DataLoader(Samples(), 2),
    "samples": lambda d: d.DataLoader(Samples(), batch_size=None),
    "samples by numbers": lambda d: d.DataLoader(
        d.TensorDataset(*[theirs.tensor(X) if d is theirs.utils.data else ours.tensor(X)] * 2),
        None,
        sampler=d.BatchSampler(d.SequentialSampler(X), 3, False),
    ),
    "side by side": lambda d: d.DataLoader(d.StackDataset(a=Samples(), b=Samples()), 3, drop_last=True),
}


@pytest.mark.parametrize("name", LOADERS)
def test_loaders_give_what_those_of_pytorch_give(name):
    loaders = [LOADERS[name](library.utils.data) for library in (ours, theirs)]
    assert len(loaders[0]) == len(loaders[1])
    assert loaders[0].batch_size == loaders[1].batch_size
    got, expected = ([described(batch) for batch in loader] for loader in loaders)
    assert got == expected


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("first", [False, True])
def test_padded_sequences_and_their_gradients(side, first):
    found = []
    for t in (ours, theirs):
        parts = [t.tensor(X[:n, :2], requires_grad=True) for n in (2, 4, 1)]
        padded = t.nn.utils.rnn.pad_sequence(parts, first, 0.5, padding_side=side)
        (padded * padded * t.arange(padded.numel()).reshape(padded.shape)).sum().backward()
        found.append([array(padded), *(array(p.grad) for p in parts)])
    for got, expected in zip(*found, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
def test_limits_of_floating_dtypes_are_numbers_of_python(name):
    found, expected = (t.finfo(getattr(t, name)) for t in (ours, theirs))
    for key in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "resolution", "dtype"):
        assert getattr(found, key) == getattr(expected, key)
        assert type(getattr(found, key)) is type(getattr(expected, key))
    assert repr(found) == repr(expected)
    assert ours.finfo() == ours.finfo(ours.float32) != ours.finfo(ours.float64)


@pytest.mark.parametrize("name", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
def test_limits_of_integer_dtypes(name):
    found, expected = (t.iinfo(getattr(t, name)) for t in (ours, theirs))
    assert (found.bits, found.max, found.min, found.dtype) == (
        expected.bits, expected.max, expected.min, expected.dtype
    )  # fmt: skip
    assert repr(found) == repr(expected)


def test_limits_of_other_dtypes_name_the_word_to_write():
    for t in (ours, theirs):
        for limits, given in ((t.finfo, t.int64), (t.finfo, t.bool), (t.iinfo, t.float32), (t.iinfo, t.bool)):
            with pytest.raises(TypeError, match="info"):
                limits(given)

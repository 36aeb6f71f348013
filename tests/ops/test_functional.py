"""Activations and criteria: values by their formulas, gradients by finite differences, extremes and kinks."""

import math
from typing import Any

import numpy as np
import pytest

from ranvier import activations
from ranvier.graph.node import GraphError
from ranvier.ops import functional as F
from ranvier.tensor import rng
from ranvier.tensor.tensor import Tensor
from tests.strategies import check_gradient

pytestmark = pytest.mark.usefixtures("engine")
RNG = np.random.default_rng(6)
X = RNG.uniform(0.2, 4, (4, 5)) * RNG.choice([-1, 1], (4, 5))
Y = RNG.normal(size=(4, 5))
P = RNG.uniform(0.05, 0.95, (4, 5))
Q = RNG.uniform(0.05, 0.95, (4, 5))
HOT = np.eye(5)[[0, 3, 2, 4]]
LABELS = np.array([0, 3, -100, 4], np.int32)
WEIGHT = RNG.uniform(0.5, 2, 5)


def soft(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def normal_share(x):
    return np.vectorize(math.erf)(x / math.sqrt(2)) / 2 + 0.5


ACTIVATIONS: dict[str, tuple[Any, Any]] = {
    "linear": (lambda x: x, 1.0),
    "relu": (lambda x: np.maximum(x, 0), 0.0),
    "relu6": (lambda x: np.clip(x, 0, 6), 0.0),
    "leaky_relu": (lambda x: np.where(x > 0, x, 0.2 * x), 0.2),
    "elu": (lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), 1.0),
    "celu": (lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), 1.0),
    "hard_shrink": (lambda x: np.where(abs(x) <= 0.5, 0, x), 0.0),
    "soft_shrink": (lambda x: np.sign(x) * np.maximum(abs(x) - 0.5, 0), 0.0),
    "tanh_shrink": (lambda x: x - np.tanh(x), 0.0),
    "squareplus": (lambda x: np.where(x < 0, 2 / (np.sqrt(x * x + 4) - x), (x + np.sqrt(x * x + 4)) / 2), 0.5),
    "selu": (
        lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
        1.7580993408473766,
    ),
    "gelu": (lambda x: x * normal_share(x), 0.5),
    "silu": (lambda x: x / (1 + np.exp(-x)), 0.5),
    "softplus": (lambda x: np.log1p(np.exp(x)), 0.5),
    "softsign": (lambda x: x / (1 + abs(x)), 1.0),
    "hard_sigmoid": (lambda x: np.clip(x / 6 + 0.5, 0, 1), 1 / 6),
    "hard_silu": (lambda x: x * np.clip(x / 6 + 0.5, 0, 1), 0.5),
    "hard_tanh": (lambda x: np.clip(x, -1, 1), 1.0),
    "mish": (lambda x: x * np.tanh(np.log1p(np.exp(x))), 0.6),
    "exponential": (np.exp, 1.0),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 0.25),
    "log_sigmoid": (lambda x: -np.log1p(np.exp(-x)), 0.5),
    "sparse_plus": (lambda x: np.where(x > 1, x, np.maximum(x + 1, 0) ** 2 / 4), 0.5),
    "sparse_sigmoid": (lambda x: np.clip((x + 1) / 2, 0, 1), 0.5),
    "tanh": (np.tanh, 1.0),
    "softmax": (soft, None),
    "log_softmax": (lambda x: np.log(soft(x)), None),
}  # name: the formula, and the slope at 0


def test_every_activation_has_a_row():
    of_their_own = {"glu", "sparsemax", "threshold"}  # other shapes, or arguments: see tests/ops/test_table.py
    assert set(ACTIVATIONS) | of_their_own == set(activations.__all__) - {"deserialize", "get", "serialize"}


def held(x):
    return Tensor.wrap(x)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name, engine):
    function, (formula, slope) = activations.get(name), ACTIVATIONS[name]
    np.testing.assert_allclose(function(held(X)).numpy(), formula(X), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(function(held(X.astype(np.float32))).numpy(), formula(X), rtol=1e-5, atol=1e-6)
    check_gradient(function, [X], engine)
    if slope is not None:
        zero = Tensor(np.zeros(2), requires_grad=True, dtype="float64")
        function(zero).sum().backward()
        np.testing.assert_allclose(zero.grad.numpy(), slope, rtol=1e-12)


@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if n not in ("exponential", "linear")])
def test_extremes_are_finite(name):
    """FAULTS 27: values and gradients at +-1e4 and +-88 are numbers, and the limits."""
    x = Tensor([[1e4, -1e4, 88.0, -88.0, 0.0]], requires_grad=True)
    y = activations.get(name)(x)
    y.sum().backward()
    assert np.isfinite(y.numpy()).all()
    assert np.isfinite(x.grad.numpy()).all()
    with np.errstate(over="ignore"):
        if name not in ("softmax", "log_softmax", "log_sigmoid", "softplus", "mish"):
            np.testing.assert_allclose(
                y.numpy(), ACTIVATIONS[name][0](x.numpy().astype(np.float64)), rtol=1e-5, atol=1e-30
            )


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"softmax", "log_softmax"}))
def test_nan_passes(name):
    assert np.isnan(activations.get(name)(Tensor([math.nan])).numpy()).all()


def test_gelu_by_tanh(engine):
    def formula(x):
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    np.testing.assert_allclose(F.gelu(held(X), approximate="tanh").numpy(), formula(X), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(F.gelu(held(X), True).numpy(), formula(X), rtol=1e-12, atol=1e-13)
    check_gradient(lambda x: F.gelu(x, True), [X], engine)


def test_softmax_along_another_axis():
    np.testing.assert_allclose(F.softmax(held(X), 0).numpy(), soft(X.T).T)
    np.testing.assert_allclose(F.log_softmax(held(X), axis=0).numpy(), np.log(soft(X.T).T))


def test_get():
    assert activations.get("swish") is activations.silu
    assert activations.get(None) is activations.linear
    assert activations.get(math.exp) is math.exp
    for name in activations.__all__:
        if name != "get":
            assert getattr(activations, name).__name__ == name
    with pytest.raises(ValueError, match="'relu' instead"):
        activations.get("rellu")
    with pytest.raises(TypeError, match="a name or a function"):
        activations.get(3)


def test_dropout(engine):
    rng.set_seed(3)
    x = Tensor(np.ones((200, 50)))
    key, stream = rng.draw()
    first = F.dropout(x, key, stream, rate=0.25)
    again, other = F.dropout(x, key, stream, rate=0.25), F.dropout(x, *rng.draw(), rate=0.25)
    values = first.numpy()
    assert set(np.unique(values)) == {0, np.float32(1 / 0.75)}
    assert values.mean() == pytest.approx(1, abs=0.03)
    np.testing.assert_array_equal(values, again.numpy())
    assert (values != other.numpy()).mean() > 0.3
    assert F.dropout(x, key, stream, rate=1.0).numpy().max() == 0
    rng.set_seed(3)
    np.testing.assert_array_equal(values, F.dropout(x, *rng.draw(), rate=0.25).numpy())


def test_the_gradient_of_dropout_keeps_what_the_value_keeps():
    x = Tensor(np.ones(100), requires_grad=True)
    y = F.dropout(x, *rng.draw(), rate=0.5)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())


def test_linear_and_embedding():
    w, b = RNG.normal(size=(3, 5)), RNG.normal(size=3)
    np.testing.assert_allclose(F.linear(held(X), held(w), held(b)).numpy(), X @ w.T + b)
    np.testing.assert_allclose(F.linear(held(X), held(w)).numpy(), X @ w.T)
    table = Tensor(RNG.normal(size=(4, 2)), requires_grad=True)
    F.embedding(Tensor([[1, 3], [1, 1]]), table).sum().backward()
    assert table.grad.tolist() == [[0, 0], [3, 3], [0, 0], [1, 1]]


# --- criteria ---------------------------------------------------------------------------------------------------------


def by_label(logs, weight=None):
    kept = LABELS >= 0
    w = np.ones(5) if weight is None else weight
    at = np.where(kept, LABELS, 0)
    return np.where(kept, -logs[np.arange(4), at] * w[at], 0), np.where(kept, w[at], 0)


def bce(p, y):
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


LOGS = np.log(soft(X))
LOSSES, SHARES = by_label(LOGS)
HEAVY, HEAVY_SHARES = by_label(LOGS, WEIGHT)
HUBER = np.where(abs(X - Y) <= 0.7, 0.5 * (X - Y) ** 2, 0.7 * (abs(X - Y) - 0.35))

# name, operands, options, the value
CRITERIA = [
    ("cross_entropy", [X, LABELS], {}, LOSSES.sum() / SHARES.sum()),
    ("cross_entropy", [X, LABELS], {"reduction": "none"}, LOSSES),
    ("cross_entropy", [X, LABELS, WEIGHT], {}, HEAVY.sum() / HEAVY_SHARES.sum()),
    ("cross_entropy", [X, LABELS, WEIGHT], {"reduction": "sum"}, HEAVY.sum()),
    ("cross_entropy", [X, HOT], {}, -(HOT * LOGS).sum(-1).mean()),
    ("cross_entropy", [X, P], {"reduction": "sum", "label_smoothing": 0.2}, -((0.8 * P + 0.04) * LOGS).sum()),
    ("cross_entropy", [X, LABELS], {"label_smoothing": 0.1, "reduction": "none"}, 0.9 * LOSSES - 0.02 * np.where(LABELS >= 0, LOGS.sum(-1), 0)),
    ("cross_entropy", [X[0], np.asarray(3, np.int32)], {}, -LOGS[0, 3]),
    ("nll_loss", [LOGS, LABELS], {}, LOSSES.sum() / SHARES.sum()),
    ("nll_loss", [LOGS, LABELS, WEIGHT], {"reduction": "sum"}, HEAVY.sum()),
    ("nll_loss", [LOGS, LABELS], {"ignore_index": 3, "reduction": "none"}, np.where(LABELS == 0, -LOGS[:, 0], np.where(LABELS == 4, -LOGS[:, 4], 0))),
    ("binary_cross_entropy", [P, Q], {}, bce(P, Q).mean()),
    ("binary_cross_entropy", [P, Q, Q], {"reduction": "none"}, bce(P, Q) * Q),
    ("binary_cross_entropy_with_logits", [X, Q], {}, bce(1 / (1 + np.exp(-X)), Q).mean()),
    ("binary_cross_entropy_with_logits", [X, Q, WEIGHT], {"reduction": "sum"}, (bce(1 / (1 + np.exp(-X)), Q) * WEIGHT).sum()),
    ("mse_loss", [X, Y], {}, ((X - Y) ** 2).mean()),
    ("l1_loss", [X, Y], {"reduction": "sum"}, abs(X - Y).sum()),
    ("huber_loss", [X, Y], {"delta": 0.7, "reduction": "none"}, HUBER),
    ("smooth_l1_loss", [X, Y], {"beta": 0.7}, HUBER.mean() / 0.7),
    ("smooth_l1_loss", [X, Y], {"beta": 0}, abs(X - Y).mean()),
    ("kl_div", [LOGS, P], {}, (P * (np.log(P) - LOGS)).mean()),
    ("kl_div", [LOGS, np.log(P)], {"log_target": True, "reduction": "batchmean"}, (P * (np.log(P) - LOGS)).sum() / 4),
    ("poisson_nll_loss", [X, P], {}, (np.exp(X) - P * X).mean()),
    ("poisson_nll_loss", [P, Q], {"log_input": False, "eps": 0.0, "reduction": "none"}, P - Q * np.log(P)),
    ("cosine_similarity", [X, Y], {}, (X * Y).sum(1) / np.linalg.norm(X, axis=1) / np.linalg.norm(Y, axis=1)),
    ("normalize", [X], {}, X / np.linalg.norm(X, axis=1, keepdims=True)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "arrays", "options", "expected"), CRITERIA, ids=[f"{i}-{r[0]}" for i, r in enumerate(CRITERIA)]
)
def test_criterion(name, arrays, options, expected, engine):
    function = getattr(F, name)
    np.testing.assert_allclose(function(*map(held, arrays), **options).numpy(), expected, rtol=1e-11)
    fixed = arrays[1:]
    if name == "cross_entropy" or "loss" in name or "binary" in name:  # by the predictions, as training has it
        check_gradient(
            lambda x: function(x, *[held_node(a) for a in fixed], **options), [arrays[0]], engine, tolerance=1e-5
        )


def held_node(array):
    from ranvier.graph.node import apply

    return apply("constant", value=array)


def test_positive_weight():
    expected = -(3 * Q * np.log(1 / (1 + np.exp(-X))) + (1 - Q) * np.log(1 / (1 + np.exp(X))))
    found = F.binary_cross_entropy_with_logits(held(X), held(Q), reduction="none", pos_weight=3.0)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-11)


EXTREME = [
    ("cross_entropy", [[1e4, -1e4], [-1e4, 1e4]], [1, 1], [2e4, 0.0]),
    ("binary_cross_entropy_with_logits", [1e4, -1e4, 1e4], [0.0, 0.0, 1.0], [1e4, 0.0, 0.0]),
    ("binary_cross_entropy", [0.0, 1.0, 0.0], [1.0, 1.0, 0.0], [100.0, 0.0, 0.0]),
    ("binary_cross_entropy", [-0.5, 1.5, 0.5], [1.0, 0.0, 2.0], [np.nan] * 3),
    ("kl_div", [-1e4, -1.0], [0.0, 1.0], [0.0, 1.0]),
]


@pytest.mark.parametrize(("name", "x", "y", "expected"), EXTREME, ids=[f"{r[0]} of {r[1]}" for r in EXTREME])
def test_extreme_criteria(name, x, y, expected):
    x = Tensor(x, requires_grad=True)
    losses = getattr(F, name)(x, y, reduction="none")
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-6)
    losses.sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


REFUSED = [
    (lambda: F.mse_loss(np.zeros((4, 1)), np.zeros(4)), r"targets of the shape .*reshape\(-1, 1\)$"),
    (lambda: F.mse_loss(np.zeros((4, 3)), np.zeros(4)), "targets of the shape of the predictions$"),
    (lambda: F.cross_entropy(X, np.zeros((4, 2), np.int32)), "need labels of shape"),
    (lambda: F.cross_entropy(X, np.zeros((4, 3))), "must have the scores' shape"),
    (lambda: F.cross_entropy(X, np.zeros(len(X))), r"for class numbers write target.long\(\)$"),
    (lambda: F.cross_entropy(X, np.zeros((len(X), 1))), r"write target.long\(\).squeeze\(1\)$"),
    (lambda: F.cross_entropy(X, np.zeros((len(X), 1), np.int32)), r"write target.squeeze\(1\)$"),
    (lambda: F.nll_loss(X, np.zeros(X.shape, np.int32)), r"write target.argmax\(1\)$"),
    (lambda: F.cross_entropy(np.zeros((4, 28, 10)), np.zeros(4, np.int32)), r"put Flatten\(\) before the last layer$"),
    (lambda: F.l1_loss(X, Y, "average"), "write 'mean', 'sum' or 'none'"),
]


@pytest.mark.parametrize(("action", "message"), REFUSED, ids=[r[1] for r in REFUSED])
def test_refused(action, message):
    with pytest.raises(GraphError, match=message):
        action()

"""Activations and criteria against PyTorch, JAX and Keras: values and gradients, at kinks too."""

import numpy as np
import pytest

from ranvier import activations
from ranvier.ops import functional as F
from ranvier.tensor.tensor import Tensor

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.peers, pytest.mark.usefixtures("engine")]

RNG = np.random.default_rng(9)
KINKS = np.array([[0.0, 1.0, -1.0, 3.0, -3.0, 6.0], [20.0, -20.0, 0.5, -0.5, 88.0, -88.0]], np.float32)
X = np.concatenate([KINKS, RNG.normal(size=(4, 6)).astype(np.float32) * 3])
Y = RNG.normal(size=X.shape).astype(np.float32)
P, Q = (RNG.uniform(0.01, 0.99, X.shape).astype(np.float32) for _ in range(2))
LABELS = np.array([0, 5, 2, -100, 3, 1], np.int64)
WEIGHT = RNG.uniform(0.5, 2, 6).astype(np.float32)
IMAGE, IMAGE_LABELS = RNG.normal(size=(2, 4, 3, 3)).astype(np.float32), RNG.integers(0, 4, (2, 3, 3))
LOGS = torch.log_softmax(torch.tensor(X), -1).numpy()


def ours(function, arrays, options):
    tensors = [Tensor(a, requires_grad=i == 0) for i, a in enumerate(arrays)]
    y = function(*tensors, **options)
    y.backward(np.full(y.shape, 1.5, np.float32))
    return y.numpy(), tensors[0].grad.numpy()


def theirs(function, arrays, options):
    tensors = [torch.tensor(a) for a in arrays]
    tensors[0].requires_grad_()
    y = function(*tensors, **options)
    y.backward(torch.full(y.shape, 1.5))
    return y.detach().numpy(), tensors[0].grad.numpy()


def agree(found, expected, tolerance=2e-6):
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=tolerance * 5, atol=tolerance)


T = torch.nn.functional
ACTIVATIONS = [
    ("relu", {}, T.relu, {}), ("relu6", {}, T.relu6, {}), ("leaky_relu", {"negative_slope": 0.01}, T.leaky_relu, {}), ("elu", {"alpha": 0.7}, T.elu, {"alpha": 0.7}),
    ("selu", {}, T.selu, {}), ("gelu", {}, T.gelu, {}), ("gelu", {"approximate": "tanh"}, T.gelu, {"approximate": "tanh"}), ("silu", {}, T.silu, {}),
    ("softplus", {}, T.softplus, {"threshold": 1e9}), ("softplus", {"beta": 2.0}, T.softplus, {"beta": 2.0, "threshold": 1e9}), ("softsign", {}, T.softsign, {}), ("hard_sigmoid", {}, T.hardsigmoid, {}),
    ("hard_silu", {}, T.hardswish, {}), ("hard_tanh", {}, T.hardtanh, {}), ("mish", {}, T.mish, {}), ("sigmoid", {}, torch.sigmoid, {}), ("log_sigmoid", {}, T.logsigmoid, {}),
    ("tanh", {}, torch.tanh, {}), ("softmax", {"axis": 1}, T.softmax, {"dim": 1}), ("log_softmax", {"axis": 0}, T.log_softmax, {"dim": 0}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options", "peer", "peer_options"), ACTIVATIONS, ids=[f"{i}-{r[0]}" for i, r in enumerate(ACTIVATIONS)]
)
def test_activations_of_torch(name, options, peer, peer_options):
    x = np.where(abs(X) < 80, X, 0.25).astype(np.float32) if name == "softplus" and options else X
    agree(ours(getattr(F, name), [x], options), theirs(peer, [x], peer_options), 5e-6)


CRITERIA = [
    ("cross_entropy", [X, LABELS], {}), ("cross_entropy", [X, LABELS, WEIGHT], {}), ("cross_entropy", [X, LABELS, WEIGHT], {"label_smoothing": 0.1}),
    ("cross_entropy", [X, LABELS], {"label_smoothing": 0.2, "reduction": "none"}), ("cross_entropy", [X, np.maximum(LABELS, 0)], {"ignore_index": 2, "reduction": "sum"}),
    ("cross_entropy", [X, T.softmax(torch.tensor(Y), -1).numpy()], {}), ("cross_entropy", [X, P, WEIGHT], {"label_smoothing": 0.3, "reduction": "none"}),
    ("cross_entropy", [IMAGE, IMAGE_LABELS], {}), ("cross_entropy", [IMAGE, IMAGE_LABELS, WEIGHT[:4]], {"reduction": "none"}), ("cross_entropy", [X[0], np.asarray(3)], {}),
    ("nll_loss", [LOGS, LABELS], {}), ("nll_loss", [LOGS, LABELS, WEIGHT], {}), ("nll_loss", [LOGS, LABELS, WEIGHT], {"reduction": "none"}),
    ("binary_cross_entropy", [P, Q], {}), ("binary_cross_entropy", [P, Q, Q], {"reduction": "sum"}), ("binary_cross_entropy", [np.clip(KINKS, 0, 1), np.abs(1 - np.clip(KINKS, 0, 1))], {}),
    ("binary_cross_entropy_with_logits", [X, Q], {}), ("binary_cross_entropy_with_logits", [X, Q, WEIGHT], {"reduction": "none"}),
    ("mse_loss", [X, Y], {}), ("mse_loss", [X, Y], {"reduction": "none"}), ("l1_loss", [X, Y], {}), ("l1_loss", [X, X], {"reduction": "sum"}),
    ("smooth_l1_loss", [X, Y], {}), ("smooth_l1_loss", [X, Y], {"beta": 0.5, "reduction": "sum"}), ("huber_loss", [X, Y], {"delta": 2.0}),
    ("kl_div", [LOGS, P], {}), ("kl_div", [LOGS, np.where(P < 0.3, 0, P).astype(np.float32)], {"reduction": "batchmean"}), ("kl_div", [LOGS, np.log(P)], {"log_target": True, "reduction": "sum"}),
    ("poisson_nll_loss", [Y, P], {}), ("poisson_nll_loss", [P, Q], {"log_input": False}), ("cosine_similarity", [X, Y], {}), ("normalize", [Y], {}), ("normalize", [Y], {"p": 1.0}),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:reduction. .mean. divides:UserWarning")  # kl_div: ours divides likewise
@pytest.mark.parametrize(("name", "arrays", "options"), CRITERIA, ids=[f"{i}-{r[0]}" for i, r in enumerate(CRITERIA)])
def test_criteria_of_torch(name, arrays, options):
    agree(ours(getattr(F, name), arrays, options), theirs(getattr(T, name), arrays, options))


def test_positive_weight_of_torch():
    found = ours(F.binary_cross_entropy_with_logits, [X, Q], {"pos_weight": WEIGHT})
    agree(found, theirs(T.binary_cross_entropy_with_logits, [X, Q], {"pos_weight": torch.tensor(WEIGHT)}))


JAX = ["relu", "relu6", "elu", "selu", "silu", "softplus", "hard_sigmoid", "mish", "sigmoid", "log_sigmoid", "tanh", "softmax", "log_softmax"]  # fmt: skip


@pytest.mark.parametrize("name", JAX)
def test_activations_of_jax(name):
    jax = pytest.importorskip("jax")
    import jax.numpy as jnp

    function = jnp.tanh if name == "tanh" else getattr(jax.nn, name)
    y, pull = jax.vjp(function, X)
    (g,) = pull(np.full(X.shape, 1.5, np.float32))
    agree(ours(getattr(F, name), [X], {}), (np.asarray(y), np.asarray(g)), 5e-6)


# Keras's sparsemax was wrong up to 3.15 (keras-team/keras#23425); tests/ops/test_ops.py has values. A threshold is no default.
OTHERS = ("deserialize", "get", "hard_silu", "hard_tanh", "serialize", "sparsemax", "threshold")
KERAS = [n for n in activations.__all__ if n not in OTHERS]


@pytest.mark.parametrize("name", KERAS)
def test_activations_of_keras(name, keras):
    tame = np.clip(X, -20, 20)
    expected = np.asarray(keras.activations.get(name)(tame))
    np.testing.assert_allclose(activations.get(name)(Tensor(tame)).numpy(), expected, rtol=3e-5, atol=1e-5)

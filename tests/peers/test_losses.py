"""Losses against Keras's: every class, option and reduction, values and (through JAX) gradients."""

import numpy as np
import pytest

import ranvier as rv
from ranvier import losses
from ranvier.tensor.tensor import Tensor

pytestmark = [pytest.mark.peers, pytest.mark.usefixtures("engine")]

RNG = np.random.default_rng(10)
X, Y = (RNG.normal(size=(7, 4)).astype(np.float32) for _ in range(2))
P, Q = (RNG.uniform(0.02, 0.98, (7, 4)).astype(np.float32) for _ in range(2))
S, T = P / P.sum(1, keepdims=True), Q / Q.sum(1, keepdims=True)
LABELS = RNG.integers(0, 4, 7).astype(np.int32)
HOT = np.eye(4, dtype=np.float32)[LABELS]
YES = (Q > 0.5).astype(np.float32)
WEIGHTS = RNG.uniform(0, 2, 7).astype(np.float32)

ROWS = [
    ("SparseCategoricalCrossentropy", {}, LABELS, S), ("SparseCategoricalCrossentropy", {}, LABELS[:, None], 2 * S),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, LABELS, X), ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": 2}, LABELS, X),
    ("CategoricalCrossentropy", {}, HOT, S), ("CategoricalCrossentropy", {"label_smoothing": 0.2}, HOT, S), ("CategoricalCrossentropy", {"from_logits": True}, T, X),
    ("CategoricalCrossentropy", {}, T, 3 * S), ("BinaryCrossentropy", {}, YES, P), ("BinaryCrossentropy", {"label_smoothing": 0.1}, YES, P),
    ("BinaryFocalCrossentropy", {}, YES, P), ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.6, "gamma": 1.5, "label_smoothing": 0.1}, YES, P),
    ("BinaryFocalCrossentropy", {"from_logits": True, "gamma": 3.0}, Q, X), ("CategoricalFocalCrossentropy", {}, HOT, S), ("CategoricalFocalCrossentropy", {"gamma": 1.5, "label_smoothing": 0.2}, HOT, 2 * S),
    ("CategoricalFocalCrossentropy", {"from_logits": True, "alpha": [0.1, 0.2, 0.3, 0.4]}, T, X),
    ("BinaryCrossentropy", {"from_logits": True}, Q, X), ("MeanSquaredError", {}, Y, X), ("MeanAbsoluteError", {}, Y, X), ("MeanAbsolutePercentageError", {}, Y, X),
    ("MeanSquaredLogarithmicError", {}, Q, P), ("LogCosh", {}, Y, 3 * X), ("Huber", {}, Y, X), ("Huber", {"delta": 0.3}, Y, X), ("Hinge", {}, YES, X), ("Hinge", {}, 2 * YES - 1, X),
    ("SquaredHinge", {}, YES, X), ("CategoricalHinge", {}, HOT, X), ("KLDivergence", {}, T, S), ("Poisson", {}, Q, P), ("CosineSimilarity", {}, Y, X),
    ("Dice", {"axis": (1,)}, Q, P), ("Tversky", {"alpha": 0.2, "beta": 1.5, "axis": 1}, YES, P),
    ("CosineSimilarity", {"axis": 0}, Y, X), ("MeanSquaredError", {}, Y[:, :1], X[:, :1]), ("MeanSquaredError", {}, Y[:, 0], X[:, :1]),
]  # fmt: skip


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "options", "y", "x"), ROWS, ids=[f"{i}-{r[0]}" for i, r in enumerate(ROWS)])
def test_values(name, options, y, x, weighted, reduction, keras):
    if options.get("axis") == 0 and weighted:
        weights = WEIGHTS[:4]
    else:
        weights = WEIGHTS
    given = {"sample_weight": weights} if weighted else {}
    peer = getattr(keras.losses, name)(**options, reduction=reduction)
    expected = np.asarray(peer(y, x, **given))
    found = getattr(losses, name)(**options, reduction=reduction)(Tensor(y), Tensor(x), **given).numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["Dice", "Tversky"])
def test_losses_of_a_whole_batch(name, keras):
    """Weights multiply the one number, as in Keras."""
    for weights in (None, 2.0, np.arange(7.0), np.arange(7.0)[:, None]):
        for reduction in ("sum_over_batch_size", "sum", "none"):
            expected = np.asarray(getattr(keras.losses, name)(reduction=reduction)(YES, P, weights))
            found = getattr(losses, name)(reduction=reduction)(YES, P, weights).numpy()
            assert found.shape == expected.shape
            np.testing.assert_allclose(found, expected, rtol=2e-6)


@pytest.mark.parametrize(
    ("name", "y", "x"),
    [
        ("CosineSimilarity", Y[0], X[0]),
        ("KLDivergence", T[0], S[0]),
        ("CategoricalHinge", HOT[0], X[0]),
        ("CategoricalCrossentropy", HOT[0], S[0]),
        ("CategoricalFocalCrossentropy", HOT[0], S[0]),
        ("MeanSquaredError", Y[0], X[0]),
        ("KLDivergence", T[0][:, None], S[0]),  # a column is of several samples
        ("CosineSimilarity", Y[0], X[0][:, None]),
    ],
)
def test_a_vector_alone_is_one_sample(name, y, x, keras):
    expected = float(getattr(keras.losses, name)()(y, x))
    assert getattr(losses, name)()(y, x).item() == pytest.approx(expected, rel=1e-5)
    if y.shape == x.shape and name in vars(keras.metrics):  # Keras's metrics broadcast others
        measured = [getattr(library.metrics, name)() for library in (keras, rv)]
        for metric in measured:
            metric.update_state(y, x)
        assert float(measured[1].result()) == pytest.approx(float(measured[0].result()), rel=1e-5)


VECTORS = [(n, Y[0], X[0]) for n in ("MeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError", "Huber", "LogCosh")] + [
    *((n, YES[0], P[0]) for n in ("BinaryCrossentropy", "BinaryFocalCrossentropy", "Poisson", "MeanSquaredLogarithmicError")),
    *((n, YES[0], X[0]) for n in ("Hinge", "SquaredHinge")), ("CosineSimilarity", Y[0], X[0]), ("Dice", Q[0], P[0]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "y", "x"), VECTORS, ids=[name for name, _, _ in VECTORS])
def test_weights_of_vectors(name, y, x, keras):
    """The mean over a vector is taken first, and weighed by each of the weights."""
    weights = (None, 2.0, WEIGHTS[:4], WEIGHTS[:4, None])
    for reduction in ("sum_over_batch_size", "sum", "mean_with_sample_weight", "none"):
        for given in weights[name == "CosineSimilarity" :] if reduction == "none" else weights:
            expected = np.asarray(getattr(keras.losses, name)(reduction=reduction)(y, x, given))
            found = getattr(losses, name)(reduction=reduction)(y, x, given).numpy()
            assert found.shape == expected.shape
            np.testing.assert_allclose(found, expected, rtol=2e-5)


def test_one_weight_for_all(keras):
    """ "mean_with_sample_weight" divides by the sum of the weights, which is that one."""
    for y, x in ((Y, X), (Y[:, :1], X[:, :1])):
        expected = float(keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")(y, x, 2.0))
        found = losses.MeanSquaredError(reduction="mean_with_sample_weight")(y, x, 2.0).item()
        assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight", "none"])
@pytest.mark.parametrize("weights", [np.zeros(7), WEIGHTS[:, None]], ids=["zeros", "column"])
def test_weights_of_zero_and_of_a_column(weights, reduction, keras):
    expected = np.asarray(keras.losses.MeanSquaredError(reduction=reduction)(Y, X, weights))
    found = losses.MeanSquaredError(reduction=reduction)(Y, X, weights).numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=2e-6)


@pytest.mark.parametrize(("name", "options", "y", "x"), ROWS, ids=[f"{i}-{r[0]}" for i, r in enumerate(ROWS)])
def test_gradients(name, options, y, x, keras):
    jax = pytest.importorskip("jax")
    expected = jax.jit(jax.grad(lambda p: getattr(keras.losses, name)(**options)(y, p)))(x)
    p = Tensor(x, requires_grad=True)
    getattr(losses, name)(**options)(Tensor(y), p).backward()
    np.testing.assert_allclose(p.grad.numpy(), expected, rtol=5e-5, atol=1e-6)


def test_probabilities_of_a_softmax(keras):
    """From the same logits, Keras's loss of its softmax and ours of ours, where float32 shows the difference."""
    from ranvier.ops import functional as F

    expected = keras.losses.SparseCategoricalCrossentropy()(LABELS, keras.ops.softmax(X))
    assert losses.get("sparse_categorical_crossentropy")(Tensor(LABELS), F.softmax(Tensor(X))).item() == pytest.approx(
        float(expected), rel=1e-6
    )

"""Keras's losses: values by their formulas, reductions and weights, what is refused, logits taken where known."""

import inspect
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import losses, optimizers
from ranvier.graph.node import GraphError
from ranvier.ops import arrays as n
from ranvier.ops import functional as F
from ranvier.tensor.context import no_grad
from ranvier.tensor.tensor import Tensor
from tests.strategies import check_gradient

pytestmark = pytest.mark.usefixtures("engine")
RNG = np.random.default_rng(8)
X, Y = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 4))
P, Q = (RNG.uniform(0.05, 0.95, (6, 4)) for _ in range(2))
S, T = P / P.sum(1, keepdims=True), Q / Q.sum(1, keepdims=True)
LABELS = np.array([0, 3, 2, 2, 1, 0], np.int32)
HOT = np.eye(4)[LABELS]
YES = (Q > 0.5).astype(np.float64)
LOGS = X - np.log(np.exp(X).sum(1, keepdims=True))
SIGNS = 2 * YES - 1
TRUTH = 1 / (1 + np.exp(-SIGNS * X))  # the probability given to each yes or no
ALPHA = np.array([0.9, 0.5, 0.6, 0.2])


def unit(v):
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def circle(labels, v, gamma, margin, remove_diagonal=True):
    losses = []
    for i, label in enumerate(labels):
        d = np.maximum(1 - v @ v[i], 0)
        near, apart = labels == label, labels != label
        near = near & (np.arange(len(v)) != i) if remove_diagonal else near
        p = np.exp(gamma * (d + margin) * (d - margin))[near].sum()
        n = np.exp(gamma * np.maximum(1 + margin - d, 0) * (1 - margin - d))[apart].sum()
        losses.append(np.log1p(p * n))
    return np.array(losses)


# name, options, y_true, y_pred, the loss of each sample
ROWS = [
    ("SparseCategoricalCrossentropy", {}, LABELS, S, -np.log(S[np.arange(6), LABELS])),
    ("SparseCategoricalCrossentropy", {}, LABELS[:, None], 3 * S, -np.log(S[np.arange(6), LABELS])),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, LABELS, X, -LOGS[np.arange(6), LABELS]),
    ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": 2}, LABELS, X, np.where(LABELS == 2, 0, -LOGS[np.arange(6), LABELS])),
    ("CategoricalCrossentropy", {}, T, S, -(T * np.log(S)).sum(1)),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, HOT, X, -((0.9 * HOT + 0.025) * LOGS).sum(1)),
    ("BinaryCrossentropy", {}, Q, P, -(Q * np.log(P) + (1 - Q) * np.log(1 - P)).mean(1)),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, YES, X, (np.log1p(np.exp(X)) - X * (0.8 * YES + 0.1)).mean(1)),
    ("BinaryFocalCrossentropy", {}, YES, P, (np.where(YES > 0, 1 - P, P) ** 2 * -np.log(np.where(YES > 0, P, 1 - P))).mean(1)),
    ("BinaryFocalCrossentropy", {"from_logits": True, "apply_class_balancing": True, "gamma": 1.5}, YES, X, (np.where(YES > 0, 0.25, 0.75) * (1 - TRUTH) ** 1.5 * -np.log(TRUTH)).mean(1)),
    ("BinaryFocalCrossentropy", {"from_logits": True, "apply_class_balancing": True, "alpha": [0.9, 0.5, 0.6, 0.2], "gamma": 0.0}, YES, X, (np.where(YES > 0, ALPHA, 1 - ALPHA) * -np.log(TRUTH)).mean(1)),
    ("CategoricalFocalCrossentropy", {}, HOT, S, (0.25 * (1 - S) ** 2 * HOT * -np.log(S)).sum(1)),
    ("CategoricalFocalCrossentropy", {"alpha": [0.9, 0.5, 0.6, 0.2], "gamma": 0.5, "from_logits": True, "label_smoothing": 0.1}, HOT, X, (ALPHA * (1 - np.exp(LOGS)) ** 0.5 * (0.9 * HOT + 0.025) * -LOGS).sum(1)),
    ("SparseCategoricalFocalCrossentropy", {"alpha": 1.0, "gamma": 3}, LABELS, 2 * S, ((1 - S) ** 3 * HOT * -np.log(S)).sum(1)),
    ("SparseCategoricalFocalCrossentropy", {"alpha": [0.9, 0.5, 0.6, 0.2], "from_logits": True}, LABELS, X, (ALPHA * (1 - np.exp(LOGS)) ** 2 * HOT * -LOGS).sum(1)),
    ("SparseCategoricalFocalCrossentropy", {"from_logits": True, "ignore_class": 2}, LABELS, X, np.where(LABELS == 2, 0, (0.25 * (1 - np.exp(LOGS)) ** 2 * HOT * -LOGS).sum(1))),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.3}, LABELS, S, (1 - S[np.arange(6), LABELS] ** 0.3) / 0.3),
    ("MeanSquaredError", {}, Y, X, ((X - Y) ** 2).mean(1)),
    ("MeanAbsoluteError", {}, Y, X, abs(X - Y).mean(1)),
    ("MeanAbsolutePercentageError", {}, Y, X, 100 * abs((X - Y) / Y).mean(1)),
    ("MeanSquaredLogarithmicError", {}, Q, P, ((np.log1p(P) - np.log1p(Q)) ** 2).mean(1)),
    ("LogCosh", {}, Y, X, np.log(np.cosh(X - Y)).mean(1)),
    ("Circle", {"gamma": 2.0}, LABELS % 2, unit(X), circle(LABELS % 2, unit(X), 2.0, 0.4)),
    ("Circle", {"gamma": 1.5, "margin": 0.1, "remove_diagonal": False}, LABELS, unit(X), circle(LABELS, unit(X), 1.5, 0.1, False)),
    ("Huber", {"delta": 0.8}, Y, X, np.where(abs(X - Y) <= 0.8, (X - Y) ** 2 / 2, 0.8 * abs(X - Y) - 0.32).mean(1)),
    ("Hinge", {}, YES, X, np.maximum(1 - SIGNS * X, 0).mean(1)),
    ("Hinge", {}, SIGNS, X, np.maximum(1 - SIGNS * X, 0).mean(1)),
    ("SquaredHinge", {}, YES, X, (np.maximum(1 - SIGNS * X, 0) ** 2).mean(1)),
    ("CategoricalHinge", {}, HOT, X, np.maximum(((1 - HOT) * X).max(1) - (HOT * X).sum(1) + 1, 0)),
    ("KLDivergence", {}, T, S, (T * np.log(T / S)).sum(1)),
    ("Poisson", {}, Q, P, (P - Q * np.log(P + 1e-7)).mean(1)),
    ("CosineSimilarity", {}, Y, X, -(unit(X) * unit(Y)).sum(1)),
    ("Dice", {"axis": -1}, YES, P, 1 - 2 * (YES * P).sum(1) / (YES + P).sum(1)),
    ("Tversky", {"alpha": 0.3, "beta": 2.0, "axis": 1}, Q, P, 1 - (Q * P).sum(1) / (Q * P + 2 * (1 - Q) * P + 0.3 * Q * (1 - P)).sum(1)),
]  # fmt: skip


def held(x):
    return Tensor.wrap(np.ascontiguousarray(x))


def test_every_class_has_a_row():
    base = {"Loss", "LossFunction", "Mixture", "CTC"}  # CTC has tests of its own
    assert {r[0] for r in ROWS} == {c for c in losses.__all__ if c[0].isupper()} - base


@pytest.mark.parametrize(
    ("name", "options", "y", "x", "expected"), ROWS, ids=[f"{i}-{r[0]}" for i, r in enumerate(ROWS)]
)
def test_value_and_gradient(name, options, y, x, expected, engine):
    loss = getattr(losses, name)(**options)
    counted = y != 2 if "ignore_class" in options else np.ones(6)
    np.testing.assert_allclose(loss.per_sample(held(y), held(x)).numpy(), expected, rtol=1e-6)
    assert loss(held(y), held(x)).item() == pytest.approx(expected.sum() / counted.sum(), rel=1e-6)
    weights = np.arange(6.0)
    weighted = (expected * weights).sum()
    assert loss(held(y), held(x), held(weights)).item() == pytest.approx(weighted / counted.sum(), rel=1e-6)
    assert loss(held(y), held(x), held(weights[:, None])).item() == pytest.approx(weighted / counted.sum(), rel=1e-6)
    for reduction, value in (
        ("sum", weighted),
        ("mean_with_sample_weight", weighted / (counted * weights).sum()),
        ("mean", weighted / counted.sum()),
    ):
        other = getattr(losses, name)(**options, reduction=reduction)
        assert other(held(y), held(x), held(weights)).item() == pytest.approx(value, rel=1e-6)
    assert loss(held(y), held(x), 2.0).item() == pytest.approx(2 * expected.sum() / counted.sum(), rel=1e-6)
    none = getattr(losses, name)(**options, reduction=None)
    assert none(held(y), held(x)).shape == (6,)
    if x.dtype == np.float64:
        from ranvier.graph.node import apply

        target = apply("constant", value=np.ascontiguousarray(y))
        check_gradient(lambda p: loss.per_sample(target, p), [x], engine, tolerance=1e-5)


LOGITS = [
    ("SparseCategoricalCrossentropy", F.softmax, LABELS),
    ("CategoricalCrossentropy", F.softmax, HOT),
    ("BinaryCrossentropy", F.sigmoid, YES),
    ("SparseCategoricalFocalCrossentropy", F.softmax, LABELS),
    ("CategoricalFocalCrossentropy", F.softmax, HOT),
    ("BinaryFocalCrossentropy", F.sigmoid, YES),
]


@pytest.mark.parametrize(("name", "activation", "y"), LOGITS, ids=[r[0] for r in LOGITS])
def test_logits_are_taken_where_known(name, activation, y):
    """The same value as from probabilities; exact where those would round to 0 or 1, where a gradient would be lost."""
    loss = getattr(losses, name)()
    z = held(X)
    assert loss(held(y), activation(z)).item() == pytest.approx(
        loss(held(y), held(activation(z).numpy())).item(), rel=1e-6
    )
    inner = z * 2
    assert loss(held(y), activation(inner)).item() == pytest.approx(
        loss(held(y), held(activation(inner).numpy())).item(), rel=1e-6
    )
    far = Tensor(np.where(y.reshape(6, -1) > 0.5, -1e3, 1e3) * np.ones((6, 4)), requires_grad=True)
    value = loss(held(y), activation(far))
    value.backward()
    assert np.isfinite(value.item())
    if not name.startswith("Sparse"):
        assert value.item() > (100 if "Focal" in name else 500)
        assert np.abs(far.grad.numpy()).max() > 0


@pytest.mark.parametrize("scale", [1, 2], ids=["leaf", "result"])
@pytest.mark.parametrize("read", [True, False], ids=["read", "pending"])
def test_logits_are_those_that_the_probabilities_were_made_of(scale, read):
    loss = losses.SparseCategoricalCrossentropy()
    z = Tensor(X, requires_grad=True)
    p = F.softmax(z * scale if scale > 1 else z)
    known = losses.SparseCategoricalCrossentropy(from_logits=True)(held(LABELS), held(scale * X)).item()
    if read:
        p.numpy()
    z.assign(Tensor(Y) * 3)
    assert loss(held(LABELS), p).item() == pytest.approx(known, rel=1e-5)


def test_probabilities_may_be_read_before_their_network_steps():
    z = Tensor(X, requires_grad=True)
    p = F.softmax(z * 2)
    known = losses.SparseCategoricalCrossentropy()(held(LABELS), held(p.numpy())).item()
    z.grad = Tensor(np.ones((6, 4)))
    optimizers.SGD(1.0).attach([z]).step()
    assert losses.SparseCategoricalCrossentropy()(held(LABELS), p).item() == pytest.approx(known, rel=1e-5)


@pytest.mark.parametrize("scale", [1, 2], ids=["leaf", "result"])
def test_probabilities_without_a_gradient_give_none_to_their_logits(scale):
    z = Tensor(X, requires_grad=True)
    inside = z * scale if scale > 1 else z
    with no_grad():
        p = F.softmax(inside)
    assert losses.SparseCategoricalCrossentropy()(held(LABELS), p).requires_grad is False
    assert losses.SparseCategoricalCrossentropy()(held(LABELS), F.softmax(inside)).requires_grad is True


NOTHING = [  # options, weights: nothing counts in the mean
    ({"ignore_class": 2}, None),
    ({"reduction": "mean_with_sample_weight"}, np.zeros(3)),
]


@pytest.mark.parametrize(("options", "weights"), NOTHING)
def test_where_nothing_counts_the_loss_is_zero(options, weights):
    z = Tensor(X[:3], requires_grad=True)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, **options)
    value = loss(np.full(3, 2), z, weights)
    value.backward()
    assert value.item() == 0.0
    np.testing.assert_array_equal(z.grad.numpy(), 0.0)


def test_a_softmax_over_another_axis_is_no_source_of_logits():
    p = F.softmax(held(X), 0)
    expected = losses.get("sparse_categorical_crossentropy")(held(LABELS), held(p.numpy())).item()
    assert losses.get("sparse_categorical_crossentropy")(held(LABELS), p).item() == pytest.approx(expected)


def test_a_last_axis_of_one_is_no_difference():
    x = held(RNG.normal(size=(5, 1)))
    y = RNG.normal(size=5)
    for target in (y, y[:, None]):
        assert losses.get("mse")(held(target), x).item() == pytest.approx(((x.numpy()[:, 0] - y) ** 2).mean())
        assert losses.get("mse")(held(target), held(x.numpy()[:, 0])).item() == pytest.approx(
            ((x.numpy()[:, 0] - y) ** 2).mean()
        )


REFUSED = [
    ("mse", np.zeros(5), np.zeros((5, 3)), "do not fit predictions"),
    ("mse", np.zeros((5, 2)), np.zeros((5, 3)), "2 units"),
    ("sparse_categorical_crossentropy", HOT, S, "categorical_crossentropy"),
    ("categorical_crossentropy", LABELS, S, "do not fit predictions"),
]


@pytest.mark.parametrize(("name", "y", "x", "message"), REFUSED, ids=[r[3] for r in REFUSED])
def test_refused(name, y, x, message):
    with pytest.raises(GraphError, match=message):
        losses.get(name)(held(y), held(x))


def test_get():
    assert isinstance(losses.get("mse"), losses.MeanSquaredError)
    assert isinstance(losses.get("MAE"), losses.MeanAbsoluteError)
    assert isinstance(losses.get("KLDivergence"), losses.KLDivergence)
    assert isinstance(losses.get(losses.huber), losses.Huber)
    assert isinstance(losses.get(losses.Hinge), losses.Hinge)
    loss = losses.Huber(0.5, name="mine")
    assert losses.get(loss) is loss
    assert loss.config() == {"delta": 0.5, "reduction": "sum_over_batch_size", "name": "mine"}
    assert type(loss)(**loss.config()).config() == loss.config()
    assert losses.get({"class_name": "huber", "config": loss.config()}).config() == loss.config()
    assert isinstance(losses.get({"class_name": "MeanSquaredError"}), losses.MeanSquaredError)
    with pytest.raises(ValueError, match="'Huber' instead"):
        losses.get({"class_name": "Hubr", "config": {}})
    assert losses.Dice(dtype="float32").config() == losses.Dice().config()
    with pytest.raises(ValueError, match=r"MeanSquaredError\(dtype='float16'\): losses are computed in the dtype"):
        losses.MeanSquaredError(dtype="float16")
    with pytest.raises(ValueError, match="'binary_crossentropy' instead"):
        losses.get("binary_crosentropy")
    with pytest.raises(TypeError, match="a name or a function"):
        losses.get(3)
    with pytest.raises(ValueError, match="reduction"):
        losses.MeanSquaredError(reduction="avg")
    with pytest.raises(ValueError, match="a number from 0 to 1"):
        losses.BinaryCrossentropy(label_smoothing=2)
    with pytest.raises(ValueError, match="gamma -1"):
        losses.BinaryFocalCrossentropy(gamma=-1)
    with pytest.raises(ValueError, match="one for each class"):
        losses.CategoricalFocalCrossentropy(alpha=[1, -1])
    with pytest.raises(GraphError, match="each of the 4 outputs"):
        losses.CategoricalFocalCrossentropy(alpha=[1, 2])(held(HOT), held(S))
    with pytest.raises(TypeError, match=r"has no argument 'gama'\. Write gamma="):
        losses.CategoricalFocalCrossentropy(gama=2)
    focal = losses.SparseCategoricalFocalCrossentropy(alpha=np.ones(4))
    assert focal.config()["alpha"] == (1.0, 1.0, 1.0, 1.0)
    assert "gamma: 'float' = 2.0" in str(inspect.signature(losses.BinaryFocalCrossentropy))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 2.5])
@pytest.mark.parametrize("name", ["binary", "categorical", "sparse_categorical"])
def test_focal_losses_stay_finite(name, gamma):
    """Where everything is right beyond float's reach, and where everything is wrong."""
    y = {"binary": HOT, "categorical": HOT, "sparse_categorical": LABELS}[name]
    formula = getattr(losses, f"{name}_focal_crossentropy")
    for size in (1e4, -1e4, 0.0):
        x = Tensor((size * (2 * HOT - 1)).astype(np.float32), requires_grad=True)
        value = n.sum(formula(held(y), x, gamma=gamma, from_logits=True))
        value.backward()
        assert np.isfinite(value.item())
        assert np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize("name", ["binary", "categorical", "sparse_categorical"])
def test_without_focus_a_focal_loss_is_the_cross_entropy(name):
    y = {"binary": YES, "categorical": T, "sparse_categorical": LABELS}[name]
    plain = losses.get(f"{name}_crossentropy").per_sample(held(y), held(P)).numpy()
    kind: Any = type(losses.get(f"{name}_focal_crossentropy"))
    np.testing.assert_allclose(kind(alpha=1.0, gamma=0).per_sample(held(y), held(P)).numpy(), plain, rtol=1e-12)


def test_any_function_and_any_subclass():
    def fourth(y_true, y_pred):
        return n.mean(n.power(y_true - y_pred, 4), -1)

    class Fourth(losses.Loss):
        def call(self, y_true, y_pred):
            return fourth(y_true, y_pred)

    expected = ((X - Y) ** 4).mean()
    for loss in (losses.get(fourth), Fourth(), losses.get(lambda a, b: ((a - b) ** 4).mean())):
        assert loss(held(Y), held(X)).item() == pytest.approx(expected)
    assert losses.get(fourth).name == "fourth"
    with pytest.raises(NotImplementedError, match="def call"):
        losses.Loss()(held(Y), held(X))


class Focal(losses.Loss):
    """Of integer labels, as one writes it for Keras."""

    def call(self, y_true, y_pred):
        p = n.sum(y_pred * n.one_hot(y_true, 4), -1)
        return -n.square(1 - p) * n.log(p)


OTHER_TARGETS = [  # a loss, targets of another shape than the outputs (6, 4), the loss of uniform outputs
    (Focal(), LABELS, 0.75**2 * np.log(4)),
    (lambda t, p: n.square(t - p[:, 0]) * p[:, 1], Y[:, 0], ((Y[:, 0] - 0.25) ** 2 / 4).mean()),
    (lambda t, p: n.mean(n.abs(t - p), -1), Y[:, :1], abs(Y[:, :1] - 0.25).mean()),
    (lambda t, p: t[:, 4] * n.sum(n.square(t[:, :4] - p), -1), np.hstack([Y, YES[:, :1]]), (YES[:, 0] * ((Y - 0.25) ** 2).sum(1)).mean()),
]  # fmt: skip


@pytest.mark.parametrize(("loss", "y", "expected"), OTHER_TARGETS, ids=["labels", "two", "broadcast", "mask"])
def test_a_loss_of_ones_own_takes_targets_of_any_shape(loss, y, expected):
    model = rv.Sequential([rv.layers.Dense(4, "softmax", input_shape=(4,), kernel_initializer="zeros")])
    model.compile("sgd", loss)
    assert model.evaluate(X, y, verbose=0) == pytest.approx(expected, rel=1e-5)
    model.fit(X, y, verbose=0)


def test_what_a_loss_of_ones_own_makes_of_a_call_is_trained():
    """An overridden ``__call__`` is a part of `fit`, also one that reduces by itself."""

    class Twice(losses.MeanSquaredError):  # made by `loss_of`
        def __call__(self, y_true, y_pred, sample_weight=None):
            return 2 * super().__call__(y_true, y_pred, sample_weight)

    found = []
    for loss in (Twice(), losses.MeanSquaredError()):
        model = rv.Sequential([rv.layers.Dense(4, input_shape=(4,), kernel_initializer="zeros")])
        model.compile("sgd", loss)
        found.append(model.evaluate(X, Y, verbose=0))
    assert found[0] == pytest.approx(2 * found[1])


def test_what_preflight_asks():
    assert losses.get("sparse_categorical_crossentropy").kind == "labels"
    assert losses.get("mse").kind == "targets"
    assert losses.CategoricalCrossentropy(from_logits=True).from_logits
    assert not losses.get("mse").from_logits


@pytest.mark.parametrize("name", ["SparseCategoricalCrossentropy", "SparseCategoricalFocalCrossentropy"])
@pytest.mark.parametrize("labels", [[0, 4], np.array([0.0, 4.0]), Tensor([[0], [4]]), Tensor([0, 3]) + 1])
def test_labels_out_of_range_are_refused(name, labels):
    scores = Tensor(np.full((2, 4), 0.25))
    with pytest.raises(
        ValueError, match=r"label 4 is out of range for 4 classes, in row .*\. Write labels from 0 to 3"
    ):
        getattr(losses, name)()(labels, scores)
    assert getattr(losses, name)(ignore_class=4)(labels, scores).item() > 0

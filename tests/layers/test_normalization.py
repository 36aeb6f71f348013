"""Batch and layer normalization: training and evaluation, running statistics, frozen layers, batches of one, gradients."""

from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.layers import BatchNormalization, Dense, LayerNormalization
from ranvier.tensor import segment
from ranvier.tensor.tensor import Tensor
from ranvier.torch import nn
from ranvier.torch.nn import functional as F

RNG = np.random.default_rng(0)
X = RNG.normal(2, 3, (75, 4)).astype(np.float32)
IMAGES = RNG.normal(-1, 2, (20, 3, 5, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 75)


def along(v, x, axis):
    return v.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])


def statistics(x, axis=-1):
    others = tuple(i for i in range(x.ndim) if i != axis % x.ndim)
    return x.mean(others), x.var(others), x.size // x.shape[axis]


def whitened(x, axis, epsilon):
    mean, variance, _ = statistics(x, axis)
    return (x - along(mean, x, axis)) / np.sqrt(along(variance, x, axis) + epsilon)


@pytest.mark.parametrize(("x", "axis"), [(X, -1), (IMAGES, -1), (IMAGES, 1), (IMAGES[..., 0], 2)])
def test_training_uses_the_batch_and_moves_the_averages(x, axis, engine):
    layer = BatchNormalization(axis, momentum=0.9, gamma_initializer=2.0, beta_initializer=0.5)
    np.testing.assert_allclose(layer(x, training=True).numpy(), 2 * whitened(x, axis, 1e-3) + 0.5, rtol=1e-4, atol=1e-5)
    mean, variance, _ = statistics(x, axis)
    gamma, beta, moving_mean, moving_variance = layer.get_weights()
    assert set(gamma) == {2.0}
    assert set(beta) == {0.5}
    np.testing.assert_allclose(moving_mean, 0.1 * mean, rtol=1e-4)
    np.testing.assert_allclose(moving_variance, 0.9 + 0.1 * variance, rtol=1e-4)
    before = [w.copy() for w in layer.get_weights()]
    inferred = layer(x).numpy()
    expected = 2 * (x - along(moving_mean, x, axis)) / np.sqrt(along(moving_variance, x, axis) + 1e-3) + 0.5
    np.testing.assert_allclose(inferred, expected, rtol=1e-4, atol=1e-5)
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True))


def test_weights_and_what_is_trainable():
    layer = BatchNormalization(input_shape=(4,))
    layer(X)
    assert [n for n, _ in layer._state()] == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert [len(layer.trainable_weights), len(layer.non_trainable_weights)] == [2, 2]
    bare = BatchNormalization(scale=False, center=False)
    bare(X)
    assert len(bare.get_weights()) == 2


def test_frozen_layers_infer_and_stay_as_they_are(engine):
    rv.set_seed(0)
    model = rv.Sequential([rv.Input((4,)), BatchNormalization(scale=False, center=False), Dense(3)])
    model.compile("sgd", rv.losses.SparseCategoricalCrossentropy(from_logits=True), engine=engine)
    model.fit(X, Y, verbose=0)
    moved = model.get_weights()
    assert (moved[0] != 0).all()
    model.layers[0].trainable = False
    model.fit(X, Y, verbose=0)
    again = model.get_weights()
    assert np.array_equal(moved[0], again[0])
    assert np.array_equal(moved[1], again[1])
    assert (moved[2] != again[2]).any()


def by_hand(model, batches, rate):
    """Steps of gradient descent in an explicit loop."""
    optimizer = rv.optimizers.SGD(rate).attach(model.parameters())
    criterion = rv.losses.SparseCategoricalCrossentropy(from_logits=True)
    for rows in batches:
        optimizer.zero_grad()
        criterion(Y[rows], model(X[rows], training=True)).backward()
        optimizer.step()


@pytest.mark.parametrize("last", [11, 1])
def test_fit_and_the_explicit_loop_agree_with_a_partial_last_batch(last, engine):
    rows = 64 + last
    models = []
    for _ in range(2):
        rv.set_seed(3)
        layers = [Dense(6), BatchNormalization(), Dense(5, activation="relu"), LayerNormalization(), Dense(3)]
        models.append(rv.Sequential([rv.Input((4,)), *layers]))
    models[0].compile(rv.optimizers.SGD(0.05), rv.losses.SparseCategoricalCrossentropy(from_logits=True))
    models[0].fit(X[:rows], Y[:rows], epochs=2, batch_size=32, shuffle=False, verbose=0)
    batches = [slice(0, 32), slice(32, 64), slice(64, rows)] * 2
    by_hand(models[1], batches, 0.05)
    for a, b in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_batch_of_one_gives_beta():
    layer = BatchNormalization(beta_initializer=0.25)
    assert np.allclose(layer(X[:1], training=True).numpy(), 0.25)
    np.testing.assert_allclose(layer.get_weights()[3], 0.99, rtol=1e-6)


def test_pytorch_layer_with_one_sample_left_over_in_fit():
    net = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3))
    net.compile("sgd", nn.CrossEntropyLoss())
    net.fit(X[:33], Y[:33], batch_size=32, shuffle=False, verbose=0)
    expected = 0.9 + 0.1 * X[:32].var(0, ddof=1)
    np.testing.assert_allclose(net[0].running_var.numpy(), expected, rtol=1e-4)
    with pytest.raises(ValueError, match=r"more than one value for each feature[^^]*drop_last"):
        net(Tensor(X[:1]))
    net.eval()
    assert net(Tensor(X[:1])).shape == (1, 3)


def test_predict_between_training_calls_sees_the_latest_statistics():
    layer = BatchNormalization(momentum=0.0, input_shape=(4,))
    model = rv.Sequential([layer])
    model(X, training=True)  # waits
    mean, variance, _ = statistics(X)
    np.testing.assert_allclose(model.predict(X), (X - mean) / np.sqrt(variance + 1e-3), rtol=1e-3, atol=1e-4)


def test_the_gradient_can_be_asked_for_after_the_loss_was_read():
    layer = BatchNormalization()
    x = Tensor(X, requires_grad=True)
    loss = (layer(x, training=True) ** 2).sum()
    loss.item()
    before = layer.get_weights()
    loss.backward()
    assert layer.gamma.grad is not None
    assert np.isfinite(layer.gamma.grad.numpy()).all()
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True)), "moved once"


def test_a_loop_that_reads_nothing_makes_no_program_without_end():
    layer = BatchNormalization(momentum=0.5)
    layer(X, training=True).numpy()
    for i in range(60):
        layer(X + i, training=True)
        waiting = layer.moving_mean.segment
        assert waiting is None or len(waiting.leaves) < 60
    assert layer.get_weights()[2].mean() == pytest.approx(X.mean() + 58, rel=1e-3)
    assert isinstance(segment.local.segment, segment.TapeSegment)


# --- gradients ----------------------------------------------------------------------------------------------------

TRAINED: dict[str, Any] = {
    "batch": (lambda: BatchNormalization(gamma_initializer="random_normal"), X[:7]),
    "batch, images": (lambda: BatchNormalization(axis=1), IMAGES[:2, :, :2]),
    "batch, pytorch": (lambda: nn.BatchNorm1d(4), X[:7]),
    "batch, without state": (lambda: nn.BatchNorm1d(4, affine=False, track_running_stats=False), X[:7]),
    "layer": (lambda: LayerNormalization(axis=(1, 3)), IMAGES[:2, :, :2]),
    "layer, pytorch": (lambda: nn.LayerNorm([2, 4]), IMAGES[:2, 0, :2]),
}


@pytest.mark.parametrize("name", TRAINED)
def test_gradient_in_training_by_finite_differences(name, float64, engine):
    make, x = TRAINED[name]
    layer, x = make(), x.astype(np.float64)
    layer(x)
    layer.train()
    direction = RNG.standard_normal(x.shape)
    leaf = Tensor(x, requires_grad=True)
    (layer(leaf) * direction).sum().backward()
    for target in [leaf, *layer.parameters()]:
        base, step, values = target.numpy(), RNG.standard_normal(target.shape), []
        for size in (1e-6, -1e-6):
            target.assign(base + size * step)
            values.append((layer(leaf) * direction).sum().item())
        target.assign(base)
        numeric = (values[0] - values[1]) / 2e-6
        assert np.isclose((target.grad.numpy() * step).sum(), numeric, rtol=1e-5, atol=1e-6)


# --- the PyTorch vocabulary ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.1, None])
def test_running_variance_is_unbiased_and_batches_are_counted(momentum, engine):
    layer = nn.BatchNorm1d(4, momentum=momentum)
    for part in (X[:30], X[30:]):
        layer(Tensor(part))
    names = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert list(layer.state_dict()) == names
    variances = [p.var(0, ddof=1) for p in (X[:30], X[30:])]
    expected = np.mean(variances, 0) if momentum is None else 0.81 + 0.09 * variances[0] + 0.1 * variances[1]
    np.testing.assert_allclose(layer.running_var.numpy(), expected, rtol=1e-4)
    assert layer.num_batches_tracked.item() == 2
    layer.reset_running_stats()
    assert layer.running_var.numpy().tolist() == [1.0] * 4
    assert layer.num_batches_tracked.item() == 0


def test_functions():
    mean, var = Tensor(np.zeros(4)), Tensor(np.ones(4))
    y = F.batch_norm(Tensor(X), mean, var, training=True)
    np.testing.assert_allclose(y.numpy(), whitened(X, -1, 1e-5), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mean.numpy(), 0.1 * X.mean(0), rtol=1e-4)
    expected = (X - mean.numpy()) / np.sqrt(var.numpy() + 1e-5)
    np.testing.assert_allclose(F.batch_norm(Tensor(X), mean, var).numpy(), expected, rtol=1e-4, atol=1e-5)


HALF: Any = 0.5


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: BatchNormalization(momentum=1.5), ValueError, r"momentum=1.5\): write a number from 0 to 1"),
        (lambda: BatchNormalization(axis=HALF), ValueError, "whole number"),
        (lambda: BatchNormalization(axis=3)(X), ValueError, "axis 3, which inputs of shape"),
        (lambda: BatchNormalization(axis=0)(X), ValueError, "axis 0"),
        (lambda: BatchNormalization(renorm=True), TypeError, "no argument 'renorm'"),
        (lambda: LayerNormalization(axis=()), ValueError, "tuple of them"),
        (lambda: nn.BatchNorm1d(0), ValueError, "num_features"),
        (lambda: nn.BatchNorm1d(5)(Tensor(X)), ValueError, r"Write BatchNorm1d\(4\)"),
        (lambda: nn.BatchNorm1d(3)(Tensor(IMAGES)), ValueError, "2 or 3 dimensions"),
        (lambda: nn.LayerNorm(5)(Tensor(X)), ValueError, r"Write LayerNorm\(\[4\]\)"),
        (lambda: rv.Sequential([rv.Input((4,)), BatchNormalization()])(X[:, :3]), ValueError, "statistics of 4 features"),
    ],
)  # fmt: skip
def test_mistakes_name_the_fix(make, error, said):
    with pytest.raises(error, match=said):
        make()


def test_features_far_from_zero_lose_no_more_than_their_own_digits(engine):
    x = (np.random.default_rng(1).normal(size=(2000, 3)) + np.array([1e4, -1e5, 0.0])).astype(np.float32)
    y = BatchNormalization(epsilon=0.0)(x, training=True).numpy()
    exact = x.astype(np.float64)
    expected = (exact - exact.mean(0)) / exact.std(0)
    np.testing.assert_allclose(y, expected, atol=0.02)  # 1e5 in float32 has steps of 0.008, and so has its mean
    np.testing.assert_allclose(y.std(0), 1, rtol=1e-3)


def test_constant_features_are_beta_and_have_no_gradient(engine):
    x = Tensor(np.full((8, 2), 7.0), requires_grad=True)
    layer = BatchNormalization(beta_initializer=0.5)
    y = layer(x, training=True)
    (y * Tensor(np.arange(16.0).reshape(8, 2))).sum().backward()
    np.testing.assert_allclose(y.numpy(), 0.5, atol=1e-4)
    assert np.isfinite(x.grad.numpy()).all()

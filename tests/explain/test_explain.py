"""Why the network decided: each method by hand, in any batches, for any class; what cannot be explained is refused."""

from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import explain, layers
from ranvier.torch import nn

X = np.random.default_rng(0).random((7, 9, 10, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    rv.set_seed(0)
    return rv.Sequential([
        layers.Input((9, 10, 2)), layers.Conv2D(5, 3, activation="tanh", name="low"), layers.MaxPooling2D(),
        layers.Conv2D(4, 2, activation="relu", name="top"), layers.GlobalAveragePooling2D(), layers.Dropout(0.5),
        layers.Dense(3, activation="softmax")])  # fmt: skip


def test_scores_are_of_the_chosen_class(model, engine):
    p = model.predict(X, verbose=0)
    np.testing.assert_allclose(explain.scores(model, X, logits=False), p.max(1), rtol=1e-5)
    apart = explain.scores(model, X, 2) - explain.scores(model, X, 0)
    np.testing.assert_allclose(apart, np.log(p[:, 2] / p[:, 0]), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("target", [None, 1, [0, 1, 2, 0, 1, 2, 2]], ids=str)
def test_saliency_is_the_derivative(target, model, float64):
    twin = rv.Sequential([
        layers.Input((9, 10, 2)), layers.Conv2D(5, 3, activation="tanh"), layers.MaxPooling2D(),
        layers.Conv2D(4, 2, activation="relu"), layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")])  # fmt: skip
    twin.set_weights([w.numpy().astype(float) for w in model.weights])
    x = X.astype(float)
    found = explain.saliency(twin, x, target)
    if target is None:
        target = twin.predict(x, verbose=0).argmax(1)
    step = np.random.default_rng(1).standard_normal(X.shape)
    up, down = (explain.scores(twin, x + sign * 1e-6 * step, target) for sign in (1, -1))
    np.testing.assert_allclose((found * step).sum((1, 2, 3)), (up - down) / 2e-6, rtol=1e-5, atol=1e-8)


METHODS: dict[str, Any] = {
    "saliency": explain.saliency,
    "smooth_grad": lambda model, x, **o: explain.smooth_grad(model, x, samples=3, seed=1, **o),
    "integrated_gradients": lambda model, x, **o: explain.integrated_gradients(model, x, steps=5, **o),
    "grad_cam": explain.grad_cam,
    "occlusion": explain.occlusion,
}


@pytest.mark.parametrize("name", METHODS)
def test_batches_do_not_matter_nor_does_training(name, model, engine):
    whole = METHODS[name](model, X, target=1)
    assert whole.shape in (X.shape, X.shape[:3])
    assert whole.dtype == np.float32
    np.testing.assert_allclose(METHODS[name](model, X, target=1, batch_size=3), whole, rtol=1e-5, atol=1e-7)
    before = [w.numpy() for w in model.weights]
    model.train()
    np.testing.assert_allclose(METHODS[name](model, X, target=1), whole, rtol=1e-5, atol=1e-7)
    assert model.training
    model.eval()
    assert all(p.grad is None for p in model.parameters())
    assert all(np.array_equal(a, w.numpy()) for a, w in zip(before, model.weights, strict=True))


@pytest.mark.parametrize("baseline", [0.0, 0.3, X[0] / 2], ids=["black", "grey", "an image"])
@pytest.mark.parametrize("options", [{}, {"logits": False}], ids=str)
@pytest.mark.parametrize("smooth", [True, False])
def test_integrated_gradients_are_complete(baseline, options, smooth, model, engine):
    """The sum of attributions is f(x) - f(baseline): exactly for smooth networks, nearly where there are kinks."""
    if smooth:
        rv.set_seed(3)
        model = rv.Sequential([
            layers.Conv2D(5, 3, activation="tanh", input_shape=(9, 10, 2)), layers.AveragePooling2D(),
            layers.Flatten(), layers.Dense(3, activation="softmax")])  # fmt: skip
    found = explain.integrated_gradients(model, X, 1, baseline=baseline, steps=30 if smooth else 200, **options)
    start = np.broadcast_to(np.asarray(baseline, np.float32), X.shape)
    expected = explain.scores(model, X, 1, **options) - explain.scores(model, start, 1, **options)
    np.testing.assert_allclose(found.sum((1, 2, 3)), expected, rtol=1e-5, atol=1e-6 if smooth else 5e-4)


def test_smooth_grad_is_a_mean_and_reproducible(model):
    none = explain.smooth_grad(model, X, noise=0, samples=2)
    np.testing.assert_allclose(none, explain.saliency(model, X), rtol=1e-6)
    first, same, other = (explain.smooth_grad(model, X, samples=4, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_occlusion_by_hand(model, engine):
    found = explain.occlusion(model, X, 2, window=(4, 5), stride=3, value=0.5)
    total, times = np.zeros(X.shape[:3]), np.zeros(X.shape[1:3])
    for top in (0, 3, 5):
        for left in (0, 3, 5):
            covered = X.copy()
            covered[:, top : top + 4, left : left + 5] = 0.5
            lost = explain.scores(model, X, 2) - explain.scores(model, covered, 2)
            total[:, top : top + 4, left : left + 5] += lost[:, None, None]
            times[top : top + 4, left : left + 5] += 1
    np.testing.assert_allclose(found, total / times, rtol=1e-4, atol=1e-6)


def test_grad_cam_by_hand(model, engine):
    """After global pooling the gradient by a map is its class's weight over the number of positions."""
    maps = rv.Sequential(list(model)[:3]).predict(X, verbose=0)
    weight = model[-1].kernel.numpy()[:, 1] / np.prod(maps.shape[1:3])
    expected = np.maximum(maps @ weight, 0)
    for layer in (None, "top", model[2], "2"):
        found = explain.grad_cam(model, X, 1, layer=layer, resize=False)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    assert explain.grad_cam(model, X, 1).shape == X.shape[:3]
    assert explain.grad_cam(model, X, 1, layer="low", resize=False).shape == (7, 7, 8)


@pytest.mark.filterwarnings("ignore:Grad-CAM is empty")
def test_grad_cam_of_channels_first():
    rv.set_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    x = X.transpose(0, 3, 1, 2).copy()
    assert explain.grad_cam(net, x, 0).shape == (7, 9, 10)
    found = explain.occlusion(net, x, 0)
    assert found.shape == (7, 9, 10)
    np.testing.assert_array_equal(found, explain.occlusion(net, x, 0, channels_first=True))
    assert explain.saliency(net, x, 0).shape == x.shape


def test_one_output_and_lines():
    rv.set_seed(0)
    net = rv.Sequential([
        layers.Conv1D(4, 3, activation="relu", input_shape=(12, 2)), layers.GlobalMaxPooling1D(),
        layers.Dense(1, activation="sigmoid")])  # fmt: skip
    x = np.random.default_rng(1).random((3, 12, 2)).astype(np.float32)
    p = net.predict(x, verbose=0)[:, 0]
    logits = np.log(p / (1 - p))
    np.testing.assert_allclose(explain.scores(net, x, 1), logits, rtol=1e-4, atol=1e-6)
    assert explain.grad_cam(net, x).shape == (3, 12)
    pixels = (X * 255).astype(np.uint8)
    scaled = rv.Sequential([layers.Rescaling(1 / 255, input_shape=(9, 10, 2)), layers.Flatten(), layers.Dense(2)])
    assert explain.saliency(scaled, pixels).dtype == np.float32


def test_a_functional_model_is_explained_as_the_sequence_of_its_layers(model):
    value = inputs = rv.Input((9, 10, 2))
    for layer in model.layers:
        value = layer(value)
    functional = rv.Model(inputs, value)
    for method in (explain.saliency, explain.occlusion):
        np.testing.assert_array_equal(method(functional, X), method(model, X))


def test_one_sigmoid_has_two_classes(engine):
    net = rv.Sequential([layers.Dense(1, activation="sigmoid", input_shape=(2,))])
    net.set_weights([np.array([[1.0], [-2.0]]), np.array([0.5])])
    x = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)  # yes, no
    logits = np.array([1.5, -1.5], np.float32)
    p = 1 / (1 + np.exp(-logits))
    slopes = np.array([[1.0, -2.0], [-1.0, 2.0]])
    np.testing.assert_allclose(explain.scores(net, x), [1.5, 1.5], rtol=1e-5)
    np.testing.assert_allclose(explain.scores(net, x, 0), -logits, rtol=1e-5)
    np.testing.assert_allclose(explain.scores(net, x, [1, 0], logits=False), [p[0], 1 - p[1]], rtol=1e-5)
    np.testing.assert_allclose(explain.saliency(net, x), slopes, rtol=1e-5)
    np.testing.assert_allclose(explain.saliency(net, x, 1), slopes[[0, 0]], rtol=1e-5)
    np.testing.assert_allclose(explain.saliency(net, x, logits=False), slopes * (p * (1 - p))[:, None], rtol=1e-5)
    with pytest.raises(ValueError, match="one of the 2 outputs, 0 to 1"):
        explain.saliency(net, x, 2)
    regression = rv.Sequential([layers.Dense(1, input_shape=(2,))])
    regression.set_weights(net.get_weights())
    np.testing.assert_allclose(explain.saliency(regression, x), slopes[[0, 0]], rtol=1e-5)


WORDS = rv.Sequential([layers.Embedding(9, 4), layers.Flatten(), layers.Dense(2, activation="softmax")])
WORDS(np.array([[1, 2, 3]], np.float32))  # as floats, which it takes for whole numbers
DENSE = rv.Sequential([layers.Flatten(input_shape=(9, 10, 2)), layers.Dense(3)])
ERRORS = [
    (lambda m: explain.saliency(m, X, 3), ValueError, "one of the 3 outputs, 0 to 2"),
    (lambda m: explain.saliency(m, X, [0, 1]), ValueError, "one for each of the 7 samples"),
    (lambda m: explain.saliency(m, X[0, 0, 0]), ValueError, r"x\[None\]"),
    (lambda m: explain.saliency(m, [X, X]), TypeError, "one array of samples"),
    (lambda m: explain.saliency(m, X, batch_size=0), ValueError, "1 or more"),
    (lambda m: explain.saliency(WORDS, [[1, 2, 3]]), TypeError, "no gradient reaches .* takes integers"),
    (lambda m: explain.integrated_gradients(WORDS, [[1, 2, 3]]), TypeError, "no gradient reaches"),
    (lambda m: explain.smooth_grad(m, X, samples=0), ValueError, "samples=0"),
    (lambda m: explain.smooth_grad(m, X, noise=-1), ValueError, "noise=-1"),
    (lambda m: explain.integrated_gradients(m, X, baseline=np.ones(3)), ValueError, "the shape of one sample"),
    (lambda m: explain.occlusion(m, X, window=20), ValueError, r"up to \(9, 10\)"),
    (lambda m: explain.occlusion(DENSE, X.reshape(7, -1)), ValueError, "integrated_gradients"),
    (lambda m: explain.grad_cam(m, X, layer="bottom"), ValueError, "Write one of low, "),
    (lambda m: explain.grad_cam(m, X, layer=layers.Conv2D(1, 1)), ValueError, "one of its layers"),
    (lambda m: explain.grad_cam(m, X, layer=m[-1]), ValueError, "gives no maps"),
    (lambda m: explain.grad_cam(DENSE, X), ValueError, "no convolution for Grad-CAM"),
    (lambda m: explain.saliency(rv.Sequential([layers.Conv2D(2, 3)]), X), ValueError, r"\(samples, outputs\)"),
]  # fmt: skip


@pytest.mark.parametrize(("act", "kind", "message"), ERRORS, ids=[m for *_, m in ERRORS])
def test_errors_say_what_to_write(act, kind, message, model):
    with pytest.raises(kind, match=message):
        act(model)

"""Layers of images against Keras: value, every gradient and the weights' order and shapes, over a generated table."""

import itertools
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

from ranvier import layers
from ranvier.module import from_architecture
from ranvier.tensor import Tensor

keras = pytest.importorskip("keras")

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
SHAPES = {1: (2, 11, 4), 2: (2, 9, 8, 4), 3: (2, 6, 7, 5, 4)}


def texts():
    """Layers as both write them, for each number of dimensions."""
    for n in (1, 2, 3):
        for size, strides, padding, dilation in itertools.product(
            (1, 2, 3), (1, 2), ("valid", "same"), (1, 2)
        ):
            if (strides == 1 or dilation == 1) and (n < 3 or size == 3):
                common = f"strides={strides}, padding={padding!r}, dilation_rate={dilation}"
                yield n, f"Conv{n}D(6, {size}, {common}, groups=2)"
                yield n, f"Conv{n}D(3, {size}, {common}, use_bias=False, activation='tanh')"
        for size, strides, padding in itertools.product((2, 3), (1, 2, 3), ("valid", "same")):
            yield n, f"Conv{n}DTranspose(3, {size}, strides={strides}, padding={padding!r})"
            yield n, f"MaxPooling{n}D({size}, {strides}, {padding!r})"
            yield n, f"AveragePooling{n}D({size}, {strides}, {padding!r})"
            if n < 3:
                yield n, f"DepthwiseConv{n}D({size}, {strides}, {padding!r}, depth_multiplier=2)"
                yield n, f"SeparableConv{n}D(5, {size}, {strides}, {padding!r}, depth_multiplier=2)"
        yield n, f"Conv{n}DTranspose(3, 3, strides=2, padding='same', output_padding=1)"
        for kind in ("Max", "Average"):
            yield n, f"Global{kind}Pooling{n}D()"
            yield n, f"Global{kind}Pooling{n}D(keepdims=True)"
            yield n, f"Adaptive{kind}Pooling{n}D(2)"
            yield n, f"Adaptive{kind}Pooling{n}D(3)"
        yield n, f"ZeroPadding{n}D()"
        yield n, f"UpSampling{n}D(3)"
        yield n, f"Cropping{n}D(1)"
    yield 1, "Conv1D(6, 3, padding='causal', dilation_rate=2)"
    yield 1, "Cropping1D((2, 1))"
    yield 1, "ZeroPadding1D((0, 3))"
    yield 2, "Conv2D(5, (3, 2), strides=(1, 2))"
    yield 2, "ZeroPadding2D(((1, 0), (2, 3)))"
    yield 2, "ZeroPadding2D((1, 2))"
    yield 2, "Cropping2D(((1, 0), (2, 3)))"
    yield 2, "UpSampling2D((2, 3), interpolation='bilinear')"
    yield 2, "Reshape((6, -1))"
    yield 2, "Permute((3, 1, 2))"
    yield 2, "GroupNormalization(2)"
    yield 2, "GroupNormalization(-1, epsilon=1e-5)"
    yield 2, "GroupNormalization(3, axis=1)"
    yield 2, "RMSNormalization()"
    yield 2, "RMSNormalization(axis=(2, 3))"
    yield 2, "UnitNormalization()"


TABLE = list(texts())
FIRST = [
    (n, text[:-1] + f"{', ' if text[-2] != '(' else ''}data_format='channels_first')")
    for n, text in TABLE[::7]
    if "groups" not in text and "Depthwise" not in text and "Separable" not in text
    and not any(word in text for word in ("Reshape", "Permute", "Normalization", "Cropping1D", "UpSampling1D"))
]  # fmt: skip


def compare(n, text, rtol=2e-4, atol=2e-5):
    import jax

    rng = np.random.default_rng(0)
    x = rng.standard_normal(SHAPES[n]).astype(np.float32)
    ours, theirs = (eval(f"library.{text}", {"library": library}) for library in (layers, keras.layers))
    assert ours(x).shape == theirs(x).shape
    weights = [rng.standard_normal(w.shape).astype(np.float32) * 0.5 for w in theirs.weights]
    assert [w.shape for w in ours.weights] == [w.shape for w in weights]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    leaf = Tensor(x, requires_grad=True)
    got = ours(leaf)
    factor = rng.standard_normal(got.shape).astype(np.float32)

    def loss(values, x):
        y, _ = theirs.stateless_call(values, [], x)
        return (y * factor).sum()

    expected, own = jax.grad(loss, argnums=(1, 0))([w.value for w in theirs.trainable_variables], x)
    np.testing.assert_allclose(got.numpy(), theirs(x), rtol=rtol, atol=atol)
    (got * factor).sum().backward()
    np.testing.assert_allclose(leaf.grad.numpy(), expected, rtol=rtol, atol=atol)
    for p, wanted in zip(ours.parameters(), own, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), wanted, rtol=rtol, atol=atol * 10)
    twin = from_architecture(ours.architecture())
    twin.load_state_dict(ours.state_dict())
    assert np.array_equal(twin(x).numpy(), got.numpy())


@pytest.mark.parametrize(("n", "text"), TABLE, ids=str)
def test_layers(n, text):
    compare(n, text)

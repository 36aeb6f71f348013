"""Layers of images against Keras: value, every gradient and the weights' order and shapes, over a generated table."""

import itertools
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

from ranvier import layers
from ranvier.module import from_architecture
from ranvier.tensor.tensor import Tensor

keras = pytest.importorskip("keras")

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
SHAPES = {1: (2, 11, 4), 2: (2, 9, 8, 4), 3: (2, 6, 7, 5, 4)}


def texts():
    """Layers as both write them, for each number of dimensions."""
    for n in (1, 2, 3):
        for size, strides, padding, dilation in itertools.product((1, 2, 3), (1, 2), ("valid", "same"), (1, 2)):
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
    x = np.moveaxis(x, -1, 1).copy() if "channels_first" in text else x
    ours, theirs = (eval(f"library.{text}", {"library": library}) for library in (layers, keras.layers))
    ours.build(x.shape)
    theirs.build(x.shape)
    weights = [rng.standard_normal(w.shape).astype(np.float32) * 0.5 for w in theirs.weights]
    assert [w.shape for w in ours.weights] == [w.shape for w in weights]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    leaf = Tensor(x, requires_grad=True)
    got = ours(leaf)
    factor = rng.standard_normal(got.shape).astype(np.float32)

    def loss(values, x):
        y, _ = theirs.stateless_call(values, [], x)
        assert y.shape == got.shape
        return (y * factor).sum(), y

    slopes = jax.jit(jax.value_and_grad(loss, argnums=(1, 0), has_aux=True))  # one program to compile, not ten
    (_, value), (expected, own) = slopes([w.value for w in theirs.trainable_variables], x)
    np.testing.assert_allclose(got.numpy(), value, rtol=rtol, atol=atol)
    (got * factor).sum().backward()
    np.testing.assert_allclose(leaf.grad.numpy(), expected, rtol=rtol, atol=atol)
    for p, wanted in zip(ours.parameters(), own, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), wanted, rtol=rtol, atol=atol * 10)
    twin = from_architecture(ours.architecture())
    twin.load_state_dict(ours.state_dict())
    assert np.array_equal(twin(x).numpy(), got.numpy())


@pytest.mark.parametrize(("n", "text"), TABLE + FIRST, ids=str)
def test_layers(n, text):
    compare(n, text)


# --- PyTorch ------------------------------------------------------------------------------------------------------


def torch_texts():
    """Modules as both write them, for each number of dimensions."""
    for n in (1, 2, 3):
        for size, stride, padding, dilation in itertools.product((1, 3), (1, 2), (0, 1), (1, 2)):
            if n < 3 or size == 3:
                common = f"stride={stride}, padding={padding}, dilation={dilation}"
                yield n, f"Conv{n}d(4, 6, {size}, {common}, groups=2)"
                yield n, f"ConvTranspose{n}d(4, 6, {size}, {common})"
        yield n, f"Conv{n}d(4, 3, 2, padding='same', bias=False)"
        yield n, f"ConvTranspose{n}d(4, 6, 3, 2, 1, 1, groups=2)"
        for mode in ("reflect", "replicate", "circular"):
            yield n, f"Conv{n}d(4, 3, 3, padding=2, padding_mode='{mode}')"
        for size, stride, padding, ceil in itertools.product((2, 3), (1, 2), (0, 1), (False, True)):
            yield n, f"MaxPool{n}d({size}, {stride}, {padding}, ceil_mode={ceil})"
            yield n, f"AvgPool{n}d({size}, {stride}, {padding}, ceil_mode={ceil})"
            yield n, f"AvgPool{n}d({size}, {stride}, {padding}, ceil_mode={ceil}, count_include_pad=False)"
        yield n, f"MaxPool{n}d(2, 1, dilation=2)"
        for kind, size in itertools.product(("Max", "Avg"), (1, 2, 3)):
            yield n, f"Adaptive{kind}Pool{n}d({size})"
        for name in ("ZeroPad", "ReflectionPad", "ReplicationPad", "CircularPad"):
            yield n, f"{name}{n}d(1)"
            yield n, f"{name}{n}d({tuple(range(2 * n))[::-1] if n == 1 else (1, 2) * n})"
        yield n, f"ConstantPad{n}d(2, 1.5)"
        yield n, f"InstanceNorm{n}d(4)"
        yield n, f"InstanceNorm{n}d(4, affine=True)"
        yield n, f"InstanceNorm{n}d(4, affine=True, track_running_stats=True)"
        yield n, "GroupNorm(2, 4)"
        yield n, "Upsample(scale_factor=2)"
    yield 1, "BatchNorm1d(4)"
    yield 2, "BatchNorm2d(4)"
    yield 2, "BatchNorm2d(4, affine=False)"
    yield 3, "BatchNorm3d(4)"
    yield 2, "RMSNorm(5)"
    yield 2, "RMSNorm((6, 5), eps=1e-3)"
    yield 2, "AdaptiveAvgPool2d((None, 7))"
    yield 2, "AvgPool2d(2, divisor_override=3)"
    yield 2, "PixelShuffle(2)"
    yield 2, "PixelUnshuffle(1)"
    yield 1, "Upsample(scale_factor=2.5, mode='linear')"
    yield 3, "Upsample(size=(7, 3, 9), mode='trilinear')"
    for extra in ("", ", align_corners=True"):
        yield 2, f"Upsample(scale_factor=2, mode='bilinear'{extra})"
        yield 2, f"Upsample(size=(9, 4), mode='bilinear'{extra})"
    yield 2, "Upsample(size=(9, 4))"
    yield 2, "Upsample(scale_factor=1.7)"
    yield 2, "Upsample(size=(3, 2), mode='area')"
    yield 2, "UpsamplingBilinear2d(scale_factor=2)"
    yield 2, "UpsamplingNearest2d(size=(4, 4))"


FIRST_SHAPES = {1: (3, 4, 9), 2: (2, 4, 6, 5), 3: (2, 4, 5, 5, 6)}
TORCH = list(torch_texts())


@pytest.mark.parametrize(("n", "text"), TORCH, ids=str)
def test_torch_modules(n, text):
    theirs = pytest.importorskip("torch")
    import ranvier.torch as ours

    rng = np.random.default_rng(0)
    x = rng.standard_normal(FIRST_SHAPES[n]).astype(np.float32)
    modules = [eval(f"nn.{text}", {"nn": library.nn}) for library in (theirs, ours)]
    state = {k: v.detach().numpy() for k, v in modules[0].state_dict().items()}
    assert {k: tuple(v.shape) for k, v in modules[1].state_dict().items()} == {k: v.shape for k, v in state.items()}
    modules[1].load_state_dict(state)
    results = []
    for library, module in zip((theirs, ours), modules, strict=True):
        leaf = library.tensor(x, requires_grad=True)
        y = module(leaf)
        factor = library.tensor(np.random.default_rng(1).standard_normal(tuple(y.shape)).astype(np.float32))
        (y * factor).sum().backward()
        after = [v for _, v in sorted(module.state_dict().items())]
        parts = [y, leaf.grad, *(p.grad for p in module.parameters()), *after]
        results.append([p.detach().numpy() for p in parts])
    assert len(results[0]) == len(results[1])
    for expected, got in zip(*results, strict=True):
        assert expected.shape == got.shape
        np.testing.assert_allclose(got, expected, rtol=2e-4, atol=5e-5)
    twin = from_architecture(modules[1].architecture()).eval()
    twin.load_state_dict(modules[1].state_dict())
    assert np.array_equal(twin(ours.tensor(x)).numpy(), modules[1].eval()(ours.tensor(x)).numpy())


# --- arguments ----------------------------------------------------------------------------------------------------

OWN = {"Conv3DTranspose", "Lambda", "Input", "Layer"}  # Keras has output_padding elsewhere there, mask, batch_size


def plain(value):
    """A default without the difference between one number and one for each dimension."""
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


def test_arguments_and_defaults_are_those_of_keras():
    import inspect

    from tests.stubs import places

    shown = places("ranvier.layers")
    for module in ("convolution", "normalization_group", "merging", "pooling", "separable", "shaping"):
        names = {name for name, place in shown.items() if place == (f"ranvier.layers.{module}", name)}
        for name in {name for name in names if name[0].isupper()} - OWN:
            if not hasattr(keras.layers, name):
                assert name == "InstanceNormalization"
                continue
            own, other = (inspect.signature(getattr(library, name)).parameters for library in (layers, keras.layers))
            mine = [p for p in own.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
            wanted = [p for p in other.values() if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "name"]
            missing = [p.name for p in wanted][: len(mine)]
            assert [p.name for p in mine][: len(missing)] == missing, name
            for p in mine:
                default = other[p.name].default if p.name in other else p.empty
                if p.name in other and default is not p.empty:
                    assert plain(plain(p.default)) == plain(plain(default)), (name, p.name)


# --- training -----------------------------------------------------------------------------------------------------

PICTURES = np.random.default_rng(3).random((40, 10, 9, 2)).astype(np.float32)
CLASSES = np.random.default_rng(4).integers(0, 4, 40)


def test_a_network_of_pytorch_follows_its_losses():
    theirs = pytest.importorskip("torch")
    import ranvier.torch as ours

    def network(t):
        return t.nn.Sequential(
            t.nn.Conv2d(2, 6, 3, padding=1, bias=False), t.nn.BatchNorm2d(6), t.nn.ReLU(), t.nn.MaxPool2d(2),
            t.nn.Conv2d(6, 6, 3, groups=3), t.nn.GroupNorm(2, 6), t.nn.SiLU(), t.nn.ConvTranspose2d(6, 4, 2, 2),
            t.nn.AdaptiveAvgPool2d(3), t.nn.Flatten(), t.nn.Linear(36, 4),
        )  # fmt: skip

    theirs.manual_seed(0)
    state = {k: v.numpy().copy() for k, v in network(theirs).state_dict().items()}
    x = np.ascontiguousarray(PICTURES.transpose(0, 3, 1, 2))
    results = []
    for t in (theirs, ours):
        net = network(t)
        net.load_state_dict({k: t.tensor(v) for k, v in state.items()})
        optimizer = t.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
        losses = []
        for step in range(12):
            rows = slice(step % 4 * 10, step % 4 * 10 + 10)
            optimizer.zero_grad()
            loss = t.nn.functional.cross_entropy(net(t.tensor(x[rows])), t.tensor(CLASSES[rows]))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        results.append((losses, [v.detach().numpy() for v in net.eval().state_dict().values()]))
    np.testing.assert_allclose(results[1][0], results[0][0], rtol=2e-4)
    assert results[0][0][-1] < results[0][0][0]
    for got, expected in zip(results[1][1], results[0][1], strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-2, atol=1e-3)


def test_a_network_of_keras_follows_its_losses():
    import ranvier as rv

    def network(library):
        k = library.layers
        model = library.Sequential([
            k.Input((10, 9, 2)), k.Conv2D(6, 3, padding="same", use_bias=False), k.BatchNormalization(), k.ReLU(),
            k.MaxPooling2D(), k.SeparableConv2D(8, 3, activation="tanh"), k.Conv2DTranspose(4, 2, 2), k.DepthwiseConv2D(2),
            k.GroupNormalization(2), k.GlobalAveragePooling2D(), k.Dense(4, activation="softmax"),
        ])  # fmt: skip
        model.compile(library.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
        return model

    theirs, ours = network(keras), network(rv)
    ours.set_weights(theirs.get_weights())
    histories = [
        model.fit(PICTURES, CLASSES, batch_size=10, epochs=4, shuffle=False, verbose=0).history["loss"]
        for model in (theirs, ours)
    ]
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-3)
    for got, expected in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-2, atol=5e-3)
    np.testing.assert_allclose(
        ours.predict(PICTURES, verbose=0), theirs.predict(PICTURES, verbose=0), rtol=1e-2, atol=2e-3
    )

"""Images: layers of several inputs, both engines over a table of windows, what is refused, layouts, ready networks."""

import itertools
from typing import Any

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as torch
from ranvier import layers, models
from ranvier.engines import set_engine
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Type
from ranvier.graph.simplify import simplify
from ranvier.ops.functional.convolution import convolution, convolution_transpose
from ranvier.ops.functional.pooling import average_pool, max_pool
from ranvier.tensor import layout, trace
from ranvier.tensor.call_state import isolated_tape
from ranvier.tensor.tensor import Tensor
from ranvier.torch import nn
from ranvier.torch.nn import functional as F
from tests import processes
from tests.layers.image_rows import LINE, MERGES

RNG = np.random.default_rng(0)


def zeros(*shape):
    return np.zeros(shape, np.float32)


def random(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


# --- layers of several inputs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MERGES)
def test_merging(name, engine):
    make, value = MERGES[name]
    a, b = (Tensor(x, requires_grad=True) for x in (LINE, LINE[::-1] * 0.7 + 0.1))
    y = make()([a, b])
    np.testing.assert_allclose(y.numpy(), value(a.numpy(), b.numpy()), rtol=2e-5, atol=1e-6)
    factor, step = random(*y.shape), random(*LINE.shape)
    (y * factor).sum().backward()
    moved = [(value(a.numpy().astype(float) + s * step, b.numpy().astype(float)) * factor).sum() for s in (1e-4, -1e-4)]
    assert (a.grad.numpy() * step).sum() == pytest.approx((moved[0] - moved[1]) / 2e-4, rel=1e-3, abs=1e-3)


def test_keras_has_other_names_for_some():
    assert layers.MaxPool2D is layers.MaxPooling2D
    assert layers.GlobalAvgPool1D is layers.GlobalAveragePooling1D
    assert layers.Convolution3D is layers.Conv3D


def test_lambda_is_a_function_as_a_layer():
    double = layers.Lambda(lambda x, by=1: x * by, arguments={"by": 2})
    assert np.array_equal(double(LINE).numpy(), 2 * LINE)
    layer = layers.Lambda(lambda x, training: x * 0 if training else x)
    assert not layer(LINE, training=True).numpy().any()
    assert np.array_equal(layer(LINE).numpy(), LINE)
    with pytest.raises(TypeError, match="a class with a get_config or a forward"):
        double.architecture()


def test_lambda_is_held_to_its_output_shape():
    x = rv.Input((6,))
    right: list[Any] = [(6,), 6, lambda shape: shape]
    for said in right:
        layer = layers.Lambda(lambda x: x * 2, output_shape=said)
        assert layer(x).shape == (None, 6)
        assert layer(np.ones((2, 6))).shape == (2, 6)
    wrong: list[Any] = [((3,), r"made shape \(2, 6\) .* Write output_shape=\(6,\)"), (lambda s: s[:1], "made shape")]
    for said, words in wrong:
        with pytest.raises(ValueError, match=words):
            layers.Lambda(lambda x: x * 2, output_shape=said)(np.ones((2, 6)))
    with pytest.raises(ValueError, match="whole number"):
        layers.Lambda(lambda x: x, output_shape="six")


# --- a table of windows, native against reference -----------------------------------------------------------------

WINDOWS = list(itertools.product((1, 2, 3), (1, 2, 3), (1, 2), ((0, 0), (1, 1), (0, 2))))
FORMS = ("conv", "conv, groups", "conv, mirrored", "conv, transposed", "max", "average", "average, padded")


def computed(form, size, stride, dilation, pair, n):
    """The value and all gradients of one operation on the engine that is set."""
    rng = np.random.default_rng(1)
    sizes, strides, rates, pairs = (size, 2)[:n], (stride,) * n, (dilation,) * n, (pair,) * n
    x = Tensor(rng.standard_normal((*(2, 7, 6)[: n + 1], 4)), requires_grad=True)
    leaves = [x]
    kind, _, extra = form.partition(", ")
    if kind == "conv":
        shape = (*(sizes[::-1] if extra == "mirrored" else sizes), 2 if extra == "groups" else 4, 6)
        kernel = Tensor(rng.standard_normal(shape), requires_grad=True)
        leaves.append(kernel)
        groups = 2 if extra == "groups" else 1
        if extra == "transposed":
            outs = convolution(x, kernel, strides, pairs, rates).shape
            y = convolution_transpose(Tensor(rng.standard_normal(outs)), kernel, strides, pairs, rates, x.shape[1:])
            leaves = [kernel]
        else:
            y = convolution(x, kernel, strides, pairs, rates, groups, extra == "mirrored")
    elif kind == "max":
        y = max_pool(x, sizes, strides, pairs, rates)
    else:
        y = average_pool(x, sizes, strides, pairs, extra == "padded")
    (y * rng.standard_normal(y.shape)).sum().backward()
    return [y.numpy(), *(leaf.grad.numpy() for leaf in leaves)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n", [1, 2])
def test_engines_agree_for_every_window(form, n):
    for size, stride, dilation, pair in WINDOWS[:: 1 if n == 1 else 3]:
        if (form.startswith("average") and dilation > 1) or max(pair) >= size:
            continue
        results = []
        for name in ("reference", "native"):
            set_engine(name)
            try:
                results.append(computed(form, size, stride, dilation, pair, n))
            finally:
                set_engine(None)
        for expected, got in zip(*results, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


# --- what is refused ----------------------------------------------------------------------------------------------


def built(layer, *shape):
    layer(zeros(*shape))
    return layer


def fitted(shape, x):
    model = rv.Sequential([layers.Input(shape), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(x, zeros(len(x), 2), verbose=0)


def mixed(*images):
    """An object array of images."""
    x = np.empty(len(images), object)
    x[:] = images
    return x


REFUSED = {
    "no channels": (lambda: layers.Conv2D(8, 3)(zeros(2, 28, 28)), r"Write x\[..., None\].*Input\(\(28, 28, 1\)\)"),
    "no channels, declared": (
        lambda: rv.Sequential([layers.Input((28, 28)), layers.Conv2D(8, 3)]), r"Input\(\(28, 28, 1\)\)",
    ),
    "no channels, first": (
        lambda: layers.Conv2D(8, 3, data_format="channels_first")(zeros(2, 28, 28)), r"Write x\[:, None\]",
    ),
    "no channels, pooled": (lambda: layers.MaxPooling2D()(zeros(2, 28, 28)), r"Write x\[..., None\]"),
    "too many dimensions": (lambda: layers.Conv1D(8, 3)(zeros(2, 28, 28, 1)), "a layer of 2 dimensions"),
    "a row": (lambda: layers.Conv2D(8, 3)(zeros(2, 28)), "Reshape its inputs"),
    "channels first": (lambda: layers.Conv2D(8, 3)(zeros(2, 1, 28, 28)), r"x.transpose\(0, 2, 3, 1\)"),
    "channels first, pooled": (lambda: layers.MaxPooling2D()(zeros(2, 1, 28, 28)), r"x.transpose\(0, 2, 3, 1\)"),
    "channels first, built": (
        lambda: built(layers.Conv2D(8, 3), 2, 28, 28, 1)(zeros(2, 1, 28, 28)),
        r"takes 1 channels, and there are 28.*\n.*\n.*\nWrite x.transpose\(0, 2, 3, 1\), or data_format='channels_first'",
    ),
    "channels last": (
        lambda: built(layers.Conv2D(8, 3, data_format="channels_first"), 2, 3, 28, 28)(zeros(2, 28, 28, 3)),
        r"x.transpose\(0, 3, 1, 2\), or data_format='channels_last'",
    ),
    "grey": (lambda: built(layers.Conv2D(8, 3), 2, 28, 28, 3)(zeros(2, 28, 28, 1)), r"np.repeat\(x, 3, axis=-1\)"),
    "coloured": (lambda: built(layers.Conv2D(8, 3), 2, 9, 9, 1)(zeros(2, 9, 9, 3)), r"x.mean\(-1, keepdims=True\)"),
    "other channels": (lambda: built(layers.Conv2D(8, 3), 2, 9, 9, 4)(zeros(2, 9, 9, 5)), "give 4, or this one for 5"),
    "fit, channels first": (lambda: fitted((9, 8, 3), zeros(4, 3, 9, 8)), r"write x.transpose\(0, 2, 3, 1\)"),
    "fit, grey": (lambda: fitted((9, 8, 3), zeros(4, 9, 8, 1)), r"np.repeat\(x, 3, axis=-1\)"),
    "fit, no channels": (lambda: fitted((9, 8, 3), zeros(4, 9, 8)), r"np.repeat\(x\[..., None\], 3, axis=-1\)"),
    "fit, coloured": (lambda: fitted((9, 8, 1), zeros(4, 9, 8, 3)), r"x.mean\(-1, keepdims=True\)"),
    "fit, mixed sizes": (lambda: fitted((9, 8, 3), [zeros(9, 8, 3), zeros(9, 7, 3)]), "images of one size"),
    "fit, mixed arrays": (lambda: fitted((9, 8, 3), mixed(zeros(9, 8, 3), zeros(9, 7, 3))), "row 1.*images of one size"),
    "kernel too large": (lambda: layers.Conv2D(8, 5)(zeros(2, 4, 4, 3)), "reaches over 5.*has 4"),
    "window too large": (lambda: layers.MaxPooling2D(5)(zeros(2, 4, 4, 3)), "reaches over 5.*has 4"),
    "groups": (lambda: layers.Conv2D(8, 3, groups=4)(zeros(2, 8, 8, 6)), "Write groups=3"),
    "groups of filters": (lambda: layers.Conv2D(7, 3, groups=2), "Write groups=1, or filters=8"),
    "sizes": (lambda: layers.Conv2D(8, (3, 3, 3)), r"kernel_size.*Write a whole number, or one for each.*\(3, 3\)"),
    "filters": (lambda: layers.Conv2D(0, 3), "filters of layer.*is 0"),
    "padding": (lambda: layers.Conv2D(8, 3, padding="full"), "Write 'valid' or 'same'"),
    "causal": (lambda: layers.Conv2D(8, 3, padding="causal"), "Write 'valid' or 'same'"),
    "format": (lambda: layers.Conv2D(8, 3, data_format="nchw"), "'channels_last' or 'channels_first'"),
    "output padding": (lambda: layers.Conv2DTranspose(8, 3, 2, output_padding=2), "less than the strides"),
    "interpolation": (lambda: layers.UpSampling2D(2, interpolation="cubic"), "'bilinear' or 'bicubic'"),
    "borders": (lambda: layers.ZeroPadding2D((1, 2, 3)), r"\(\(1, 1\), \(1, 1\)\)"),
    "cropping": (lambda: layers.Cropping2D(3)(zeros(2, 5, 5, 1)), "leaves nothing"),
    "reshape": (lambda: layers.Reshape((5,))(zeros(2, 4)), "a sample has 4 elements"),
    "reshape, twice": (lambda: layers.Reshape((-1, -1)), "one of them -1"),
    "permute": (lambda: layers.Permute((0, 1)), "Write each of 1 to 2 once"),
    "groups of channels": (lambda: layers.GroupNormalization(4)(zeros(2, 8, 6)), "Write groups=3"),
    "concatenate": (lambda: layers.Concatenate()([Tensor(zeros(2, 3)), Tensor(zeros(3, 3))]), "differ in more than"),
    "torch, channels last": (lambda: nn.Conv2d(3, 8, 3)(torch.tensor(zeros(2, 9, 9, 3))), r"x.permute\(0, 3, 1, 2\)"),
    "torch, channels": (lambda: nn.Conv2d(3, 8, 3)(torch.tensor(zeros(2, 4, 9, 9))), "weight takes 3 channels"),
    "torch, rank": (lambda: nn.Conv2d(3, 8, 3)(torch.tensor(zeros(2, 9))), "takes 4 dimensions"),
    "torch, small": (lambda: nn.Conv2d(3, 8, 3)(torch.tensor(zeros(2, 3, 2, 9))), "reaches over 3.*has 2"),
    "torch, groups": (lambda: nn.Conv2d(3, 8, 3, groups=2), "in_channels.*is 3.*groups=1, or in_channels=4"),
    "torch, same": (lambda: nn.Conv2d(3, 8, 3, stride=2, padding="same"), "Write numbers for the padding"),
    "torch, mode": (lambda: nn.Conv2d(3, 8, 3, padding_mode="mirror"), "'zeros' or 'reflect'"),
    "torch, padding": (lambda: nn.MaxPool2d(2, padding=2)(torch.tensor(zeros(1, 1, 9, 9))), "at most half"),
    "torch, pad": (lambda: nn.ZeroPad2d((1, 2)), "4 of them"),
    "torch, reflect": (lambda: nn.ReflectionPad1d(5)(torch.tensor(zeros(1, 1, 4))), "write 3 or less"),
    "torch, upsample": (nn.Upsample, "Write one of them"),
    "mlp": (lambda: models.cnn((28, 28), 10), r"Write \(28, 28, 1\)"),
    "depth": (lambda: models.resnet((32, 32, 3), 10, depth=18), "Write 6n . 2: 14 or 20"),
    "shortcut": (lambda: models.resnet((32, 32, 3), 10, shortcut="none"), "'identity' or 'projection'"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_mistakes_name_the_fix(name):
    make, said = REFUSED[name]
    with pytest.raises(ValueError, match=said):
        make()


def test_several_inputs_are_a_list():
    with pytest.raises(TypeError, match=r"combines 2 inputs and was given 1. Write subtract.*\(\[a, b\]\)"):
        layers.Subtract()([Tensor(LINE)])


# --- layouts ------------------------------------------------------------------------------------------------------


def graph_of(net, *shape):
    """The simplified graph of a network's outputs."""
    with isolated_tape(net):
        y = net(Tensor.placeholder(Type((BATCH, *shape), "float32")))
        leaves = [layout.leaf_input(f"leaf{o}", leaf) for o, leaf in enumerate(y.segment.leaves)]
        outputs = trace.lower([y.trace_node], {o: node for o, (_, node) in enumerate(leaves)})
        return simplify(Graph(tuple(source for source, _ in leaves), tuple(outputs)))


def chain():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(0.2), nn.Conv2d(8, 8, 3),
        nn.GroupNorm(2, 8), nn.SiLU(), nn.AvgPool2d(2), nn.ConvTranspose2d(8, 4, 2, 2), nn.ReflectionPad2d(1),
        nn.Upsample(scale_factor=2), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(36, 5),
    )  # fmt: skip


@pytest.mark.parametrize("training", [False, True])
def test_channels_are_turned_at_the_edges_alone(training):
    turns = [n for n in graph_of(chain().train(training), 3, 12, 12).nodes() if n.op.name == "transpose"]
    assert [n.attrs["axes"] for n in turns] == [(0, 2, 3, 1), (0, 3, 1, 2)]


def test_weights_lie_in_the_order_programs_want():
    net = chain()
    assert net[0].weight.shape == (8, 3, 3, 3)
    assert net[0].weight._value.flags.f_contiguous
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.tensor(random(2, 3, 12, 12))).sum().backward()
    optimizer.step()
    assert net[0].weight._value.flags.f_contiguous
    assert net[0].weight.grad.shape == (8, 3, 3, 3)


def test_both_vocabularies_compute_the_same():
    theirs, ours = nn.Conv2d(3, 8, 3, padding="same"), layers.Conv2D(8, 3, padding="same")
    x = random(2, 7, 6, 3)
    ours(x)
    ours.set_weights(
        [p.numpy().transpose(*axes) for p, axes in zip(theirs.parameters(), ((2, 3, 1, 0), (0,)), strict=True)]
    )
    first = theirs(torch.tensor(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))).numpy()
    np.testing.assert_allclose(ours(x).numpy(), first.transpose(0, 2, 3, 1), rtol=1e-5, atol=1e-6)


# --- the PyTorch vocabulary ---------------------------------------------------------------------------------------


def test_initial_values_are_those_of_pytorch():
    for layer, fan in ((nn.Conv2d(4, 64, 3, groups=2), 18), (nn.ConvTranspose2d(64, 4, 3), 36)):
        bound = 1 / np.sqrt(fan)
        for tensor in layer.parameters():
            assert np.abs(tensor.numpy()).max() <= bound
        assert layer.weight.numpy().std() == pytest.approx(bound / np.sqrt(3), rel=0.1)
        before = layer.weight.numpy()
        layer.reset_parameters()
        assert not np.array_equal(layer.weight.numpy(), before)
        assert layer.weight._value.flags.f_contiguous


SAMPLES = {
    "conv": (nn.Conv2d(3, 4, 3), (3, 6, 6)), "transposed": (nn.ConvTranspose2d(3, 4, 3), (3, 6, 6)),
    "max": (nn.MaxPool2d(2), (3, 6, 6)), "average": (nn.AvgPool1d(2), (3, 6)), "shuffle": (nn.PixelShuffle(2), (4, 3, 3)),
    "adaptive": (nn.AdaptiveMaxPool2d(2), (3, 6, 5)),
}  # fmt: skip


@pytest.mark.parametrize("name", SAMPLES)
def test_one_sample_needs_no_batch(name):
    module, shape = SAMPLES[name]
    x = random(*shape)
    alone, within = module(torch.tensor(x)).numpy(), module(torch.tensor(x[None])).numpy()
    assert np.array_equal(alone, within[0])


@pytest.mark.parametrize("n", [1, 2, 3])
def test_dropout_drops_whole_channels(n):
    torch.manual_seed(0)
    x = torch.ones(40, 8, *(3,) * n)
    y = getattr(F, f"dropout{n}d")(x, 0.25).numpy().reshape(40, 8, -1)
    assert (y == y[..., :1]).all()
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.75)}
    assert (y[..., 0] == 0).mean() == pytest.approx(0.25, abs=0.1)
    module = getattr(nn, f"Dropout{n}d")(0.25).eval()
    assert module(x) is x


# --- ready networks -----------------------------------------------------------------------------------------------

NETWORKS = {
    "mlp": lambda shape: models.mlp(shape, 3, dropout=0.1),
    "lenet5": lambda shape: models.lenet5(shape, 3),
    "cnn": lambda shape: models.cnn(shape, 3),
    "vgg_small": lambda shape: models.vgg_small(shape, 3, ((8, 8), (16,))),
    "resnet": lambda shape: models.resnet(shape, 3, 8, 4),
    "resnet, projections": lambda shape: models.resnet(shape, 3, 8, 4, "projection"),
    "mobilenet_small": lambda shape: models.mobilenet_small(shape, 3, 0.25),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_learn_and_come_back_from_a_file(name, tmp_path):
    rv.set_seed(0)
    labels = np.arange(30) % 3
    x = random(30, 8, 9, 2) * 0.1 + labels[:, None, None, None]
    model = NETWORKS[name]((8, 9, 2))
    model.compile(rv.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    losses = model.fit(x, labels, epochs=4, batch_size=10, verbose=0, ignore=("RV505",)).history["loss"]
    assert losses[-1] < losses[0]
    expected = model.predict(x, verbose=0)
    assert expected.shape == (30, 3)
    path = tmp_path / "model.rv"
    model.save(path)
    assert np.array_equal(rv.load_model(path).predict(x, verbose=0), expected)
    result = processes.run("import sys, ranvier as rv; print(rv.load_model(sys.argv[1]).count_params())", path)
    assert int(result.stdout) == model.count_params(), result.stderr


SIZES = {  # as published, or counted by hand
    "lenet5": (lambda: models.lenet5((28, 28, 1), 10), 61_706),
    "lenet5, 32": (lambda: models.lenet5((32, 32, 1), 10), 61_706),
    "cnn": (lambda: models.cnn((28, 28, 1), 10), 34_826),
    "mlp": (lambda: models.mlp(784, 10), 784 * 128 + 128 + 128 * 64 + 64 + 650),
    "resnet20": (lambda: models.resnet((32, 32, 3), 10), 269_722 + 2 * 688),  # and the moving statistics
}


@pytest.mark.parametrize("name", SIZES)
def test_networks_are_as_large_as_published(name):
    make, parameters = SIZES[name]
    assert make().count_params() == parameters


@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
def test_a_mean_of_the_steps_of_a_mask(order):
    x, mask = np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.array([[1, 1, 0], [0, 1, 0]], np.int32)
    expected = [x[0, :2].mean(0), x[1, 1]]
    pooled = layers.GlobalAveragePooling1D(order)(x if order == "channels_last" else x.transpose(0, 2, 1), mask)
    np.testing.assert_allclose(pooled.numpy(), expected)

"""Models as modules of PyTorch: they predict and train as here; and as text, which is run in each library."""

import math
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest

import ranvier as rv
import ranvier.torch as ours
import ranvier.torch.nn.functional as F
from ranvier import layers
from ranvier.interop.torch.builder import LAYERS
from ranvier.torch import nn
from ranvier.utils import to_code
from tests.interop.damage import WHOLE
from tests.layers.test_layers import ATTENTIONS, LISTS, MERGES, ROWS

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(5, 8, 8, 3)).astype(np.float32)
LARGE = RNG.normal(size=(2, 16, 16, 3)).astype(np.float32)
WORDS = RNG.normal(size=(4, 6, 8)).astype(np.float32)
NUMBERS = RNG.integers(0, 10, (4, 6)).astype(np.int32)
TABLE = RNG.normal(size=(6, 4)).astype(np.float32)


@pytest.fixture(autouse=True)
def _reference():
    rv.set_engine("reference")
    yield
    rv.set_engine("native")


def parts(value):
    return (
        list(value.values())
        if isinstance(value, dict)
        else list(value)
        if isinstance(value, (list, tuple))
        else [value]
    )


def turned(x):
    return np.moveaxis(x, -1, 1) if x.ndim > 3 else x


def given(model, xs):
    """Inputs in the container that a model takes."""
    names = getattr(model, "input_names", [])
    return dict(zip(names, xs, strict=True)) if "b" in names and len(names) > 1 else list(xs) if len(xs) > 1 else xs[0]


def agrees(model, net, *xs, first=False):
    expected = parts(model(given(model, xs)))
    found = parts(net(*(torch.tensor(turned(x) if first else x) for x in xs)))
    for here, there in zip(expected, found, strict=True):
        here, there = here.numpy(), there.detach().numpy()
        np.testing.assert_allclose(there, turned(here) if first else here, atol=1e-5)


# --- each layer ---------------------------------------------------------------------------------------------------


def models():
    """Each row of the layers' tables as a model, and its inputs."""
    pair = [WORDS, WORDS[:, ::-1].copy()]
    for name, (make, x, *_) in ROWS.items():
        layer, arrays = make(), [np.asarray(x)]
        if not getattr(layer, "is_input", False):
            yield name, layer, [layer], arrays
    for name, (make, _) in MERGES.items():
        yield name, make(), [], pair
    for name, (make, options, _) in LISTS.items():
        yield name, make(), [options], pair
    for name, (make, arguments, options, _) in ATTENTIONS.items():
        yield name, make(), [options], list(arguments)


def made(name, layer, more, arrays):
    starts = [rv.Input(a.shape[1:], dtype=a.dtype.name) for a in arrays]
    options = more[0] if more and isinstance(more[0], dict) else {}
    if any(isinstance(part, (list, np.ndarray)) for part in options.values()):
        return None  # masks
    if name in ATTENTIONS:
        return rv.Model(starts, layer(*starts, **options))
    return rv.Model(
        starts if len(starts) > 1 else starts[0], layer(starts if len(starts) > 1 else starts[0], **options)
    )


@pytest.mark.filterwarnings("ignore:.*no regularizers:UserWarning")
def test_each_layer_predicts_in_torch_or_is_refused_by_name():
    left, refused = set(), []
    for name, layer, more, arrays in models():
        model = made(name, layer, more, arrays)
        if model is None:
            continue
        try:
            net = model.to_torch()
        except TypeError as error:
            if repr(layer.name) not in str(error):
                raise
            refused.append(name)
            continue
        agrees(model, net, *arrays)
        left.add(type(layer).__name__)
    assert len(left) >= 78, sorted(left)
    assert len(refused) <= 63, refused


def test_every_row_is_a_layer():
    assert set(LAYERS) <= {*layers.__all__, "Operation", "GetItem", "exported.Model"}


# --- networks -----------------------------------------------------------------------------------------------------


def pictures():
    return rv.Sequential([
        rv.Input((8, 8, 3)), layers.Rescaling(0.5, 1.0), layers.Conv2D(4, 3, 2, "same", activation="relu"),
        layers.BatchNormalization(), layers.MaxPooling2D(), layers.Flatten(), layers.Dropout(0.5),
        layers.BatchNormalization(), layers.Dense(5, "gelu"), layers.Dense(3, "softmax", name="last"),
    ])  # fmt: skip


def branches():
    a, b = rv.Input((8, 8, 3), name="a"), rv.Input((8, 8, 3), name="b")
    shared = layers.Conv2D(4, 3, strides=2)
    inner = rv.Model(a, layers.GlobalAveragePooling2D()(shared(a)), name="inner")
    both = layers.Concatenate()([inner(a), inner(b)])
    return rv.Model([a, b], [layers.Dense(2, name="one")(both), layers.Dense(1, "sigmoid", name="two")(both)])


def residual():
    x = rv.Input((8, 8, 3))
    y = layers.BatchNormalization()(layers.Conv2D(3, 3, padding="same", activation="relu")(x))
    y = layers.Concatenate()([layers.Add()([x, y]), layers.AveragePooling2D(3, 1, "same")(x)])
    y = layers.LayerNormalization()(layers.Flatten()(y))  # of a flattened image: in the order of here
    return rv.Model(x, {"values": layers.Dense(2)(y), "map": layers.Conv2DTranspose(2, 3, 2, "same")(x)})


def sequences():
    return rv.Sequential([
        rv.Input((6,), dtype="int32"), layers.Embedding(10, 4),
        layers.Bidirectional(layers.LSTM(3, return_sequences=True)), layers.GRU(5), layers.Dense(1),
    ])  # fmt: skip


def states():
    x = rv.Input((6, 8))
    y, h, c = layers.LSTM(4, return_state=True)(x)
    return rv.Model(x, [layers.LSTM(4, return_sequences=True)(x, initial_state=[h, c]), y * 2 - 1])


def attention():
    x = rv.Input((6, 8))
    y = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True))
    y = layers.MultiHeadAttention(2, 5)(y, y) + layers.EinsumDense("abc,cd->abd", (None, 8), bias_axes="d")(y)
    return rv.Model(x, y[:, 0] / 2)


def nested():
    body = rv.Sequential([layers.Conv2D(4, 3), layers.ReLU(), layers.MaxPooling2D()], name="body")
    head = rv.Sequential([layers.Flatten(), layers.Dense(3)], name="head")
    return rv.Sequential([rv.Input((8, 8, 3)), body, head, layers.Softmax()], name="classifier")


def ready():
    return rv.models.resnet((8, 8, 3), 3, 8, 4)


def mobile():
    return rv.models.mobilenet_small((16, 16, 3), 3, 0.25)


def language():
    return rv.models.gpt(10, length=6, width=8, depth=1, heads=2)


def shared():
    """A layer that a Sequential has twice, and a model that is called twice."""
    dense = layers.Dense(4)
    body = rv.Sequential([rv.Input((4,)), dense, layers.ReLU(), dense], name="body")
    a, b = rv.Input((4,), name="a"), rv.Input((4,), name="b")
    return rv.Model({"b": b, "a": a}, {"out": layers.Subtract()([body(a), body(b)]), "same": a})


def operations():
    x, ops = rv.Input((6, 8)), rv.ops
    y = ops.concatenate([ops.expand_dims(ops.mean(x, 1), 1), ops.clip(x, -0.5, 0.5)], axis=1)
    z = layers.Resizing(3, 5)(ops.reshape(x, (-1, 4, 4, 3)))
    return rv.Model(x, [ops.squeeze(y[:, :1], 1), ops.exp(z) / 2 - ops.relu(z)])


NETWORKS: dict[str, tuple[Any, list[Any]]] = {
    "pictures": (pictures, [IMAGES]), "branches": (branches, [IMAGES, IMAGES[::-1].copy()]),
    "residual": (residual, [IMAGES]), "sequences": (sequences, [NUMBERS]), "states": (states, [WORDS]),
    "attention": (attention, [WORDS]), "nested": (nested, [IMAGES]), "resnet": (ready, [IMAGES]),
    "mobile": (mobile, [LARGE]), "gpt": (language, [NUMBERS]), "operations": (operations, [WORDS]),
    "shared": (shared, [TABLE, TABLE[::-1].copy()]),
}  # fmt: skip


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name, first, tmp_path):
    make, arrays = NETWORKS[name]
    model = make()
    net = model.to_torch(channels_first=first)
    agrees(model, net, *arrays, first=first)
    text = to_code(model, "torch", channels_first=first)
    formatted(text)
    names: dict[str, Any] = {}
    exec(text, names)
    names["model"].load_state_dict(net.state_dict(), strict=True)
    agrees(model, names["model"].eval(), *arrays, first=first)
    with torch.no_grad():
        for p in net.parameters():  # as if it were trained there
            p += p.requires_grad * 0.01 * torch.randn_like(p)
    torch.save(net.state_dict(), tmp_path / "a.pt")
    model.load_weights(tmp_path / "a.pt")
    agrees(model, net, *arrays, first=first)


def formatted(text):
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length=88", "--diff", "-"]
    done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
    assert not done.returncode, done.stdout


def test_keys_of_state_dicts():
    dense = rv.Sequential([rv.Input((4,)), layers.Dense(3, "relu"), layers.Dense(2)])
    assert list(dense.to_torch().state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert list(nested().to_torch(channels_first=True).state_dict()) == [
        "0.0.weight",
        "0.0.bias",
        "1.1.weight",
        "1.1.bias",
    ]
    keys = list(branches().to_torch().state_dict())
    assert keys[2:] == ["one.weight", "one.bias", "two.weight", "two.bias"]
    assert keys[0].startswith("inner.conv2d")


@pytest.mark.parametrize("name", ["train", "a.b", "1st", "lambda", "self", "torch", "F", "x", "naïve"])
def test_names_that_python_or_pytorch_has(name):
    a, b = rv.Input((4,), name=name), rv.Input((4,), name="y")
    shared = layers.Dense(3, name=f"{name}_layer" if name == "x" else f"{name}1")
    last = layers.Dense(2, "relu", name=f"{name}2")
    model = rv.Model([a, b], {"p q": last(shared(a) + shared(b)), "k": shared(a)}, name=name)
    agrees(model, model.to_torch(), TABLE, TABLE)
    for library in ("torch", "ranvier", "keras"):
        compile(to_code(model, library), name, "exec")


def step(net, optimizer, loss, x, y):
    net.train()
    optimizer.zero_grad()
    found = loss(net(torch.tensor(x)), torch.tensor(y))
    found.backward()
    optimizer.step()
    net.eval()
    return found.item()


@pytest.mark.parametrize("name", ["pictures", "sequences", "attention", "states"])
def test_training_goes_on_alike(name):
    """Three steps; what differs is the running variance of batch normalization, which the loss does not depend on."""
    make, (x,) = NETWORKS[name]
    model = make()
    for layer in model.modules():
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0
    net = model.to_torch()
    for m in net.modules():
        if isinstance(m, torch.nn.Dropout):
            m.p = 0.0
    outputs = parts(model(x))
    y = [RNG.normal(size=v.shape).astype(np.float32) for v in outputs]
    y = y if len(y) > 1 else y[0]
    model.compile(rv.optimizers.SGD(0.05, momentum=0.9), "mse")
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], 0.05, momentum=0.9)
    mse = torch.nn.functional.mse_loss

    def loss(found, wanted):
        return sum(map(mse, found, map(torch.tensor, y))) if isinstance(y, list) else mse(found, wanted)

    for _ in range(3):
        here = model.train_on_batch(x, y)
        there = step(net, optimizer, loss, x, y if not isinstance(y, list) else y[0])
        np.testing.assert_allclose(here[0] if isinstance(here, list) else here, there, rtol=1e-5)


# --- PyTorch's vocabulary -----------------------------------------------------------------------------------------


def scaled(x):
    return F.relu(x) * math.sqrt(2)


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn, self.act = nn.BatchNorm2d(channels), scaled

    def forward(self, x):
        y = self.act(self.bn(self.conv(x)))
        y += x
        return y


class Base(nn.Module):
    scale = 2.0

    def head(self, x):
        return self.fc(ours.flatten(x, 1))


class Net(Base):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([Block(3), Block(3)])
        self.fc = nn.Linear(48, 4)
        self.register_buffer("mean", ours.tensor([1.0, 2.0, 3.0, 4.0]))
        self.factor = nn.Parameter(ours.ones(4))
        self.lstm = nn.LSTM(4, 5, batch_first=True)
        self.out = nn.Sequential(nn.Linear(5, 4), nn.GELU())
        self.tied = nn.Linear(5, 4, bias=False)
        self.tied.weight = self.out[0].weight

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        x = super().head(F.max_pool2d(x, 2)) * self.factor - self.mean * self.scale
        y, (h, _) = self.lstm(x.unsqueeze(1))
        return self.out(y[:, -1]), self.tied(h[-1])


def test_modules_of_your_own_run_the_same_code():
    model, x = Net().eval(), np.ascontiguousarray(turned(IMAGES))
    net = model.to_torch()
    for here, there in zip(model(ours.tensor(x)), net(torch.tensor(x)), strict=True):
        np.testing.assert_allclose(there.detach().numpy(), here.detach().numpy(), atol=1e-5)
    assert list(net.state_dict()) == list(model.state_dict())
    assert net.tied.weight is net.out[0].weight
    assert type(net.blocks[0].conv) is torch.nn.Conv2d
    net.train()
    sum(part.sum() for part in net(torch.tensor(x))).backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("make", [
    lambda: nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), nn.BatchNorm2d(4), nn.Flatten(1)),
    lambda: nn.Sequential(nn.Flatten(2), nn.TransformerEncoder(
        nn.TransformerEncoderLayer(64, 2, 16, batch_first=True, activation="gelu"), 2)),
    lambda: nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, 4, 1), nn.GroupNorm(2, 4), nn.AdaptiveAvgPool2d(2)),
])  # fmt: skip
def test_modules_of_the_vocabulary(make):
    model, x = make().eval(), np.ascontiguousarray(turned(IMAGES))
    net = model.to_torch()
    np.testing.assert_allclose(net(torch.tensor(x)).detach().numpy(), model(ours.tensor(x)).detach().numpy(), atol=1e-5)
    for library, place in (("torch", torch), ("ranvier", ours)):
        names: dict[str, Any] = {}
        exec(to_code(model, library), names)
        again = names["model"].eval()
        state = net.state_dict() if place is torch else model.state_dict()
        again.load_state_dict(state)
        np.testing.assert_allclose(
            again(place.tensor(x)).detach().numpy(), net(torch.tensor(x)).detach().numpy(), atol=1e-5
        )


# --- programs -----------------------------------------------------------------------------------------------------


def compiled():
    """Models with how they are compiled, their inputs and targets."""
    model = pictures()
    model.compile(rv.optimizers.Adam(0.01, clipnorm=1.0), "sparse_categorical_crossentropy", ["accuracy"])
    yield model, [IMAGES], RNG.integers(0, 3, 5)
    model = branches()
    model.compile(
        rv.optimizers.SGD(0.1, momentum=0.9), {"one": "mse", "two": "binary_crossentropy"}, loss_weights={"two": 0.5}
    )
    yield (
        model,
        NETWORKS["branches"][1],
        {"one": RNG.normal(size=(5, 2)).astype(np.float32), "two": np.ones((5, 1), np.float32)},
    )
    x = rv.Input((6, 4))
    y = layers.Dense(3, kernel_regularizer=rv.regularizers.L2(0.1))(layers.LSTM(4, return_sequences=True)(x))
    model = rv.Model(x, y * 2)
    model.compile(
        rv.optimizers.SGD(0.01, 0.9, nesterov=True), rv.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    yield model, [RNG.normal(size=(4, 6, 4)).astype(np.float32)], RNG.integers(0, 3, (4, 6))
    model = rv.Sequential([rv.Input((4,)), layers.Dense(3, "tanh", trainable=False), layers.Dense(1, "sigmoid")])
    model.compile(rv.optimizers.AdamW(0.01, weight_decay=0.1), rv.losses.BinaryCrossentropy(), ["accuracy"])
    yield model, [TABLE], (TABLE[:, 0] > 0).astype(np.float32)
    model = rv.Sequential([rv.Input((4,)), layers.Dense(2)])
    model.compile(rv.optimizers.Adagrad(0.01, global_clipnorm=1.0), nn.SmoothL1Loss())
    yield model, [TABLE], TABLE[:, :2]


@pytest.mark.parametrize("number", range(5))
def test_programs_train_as_here(number):
    model, xs, y = list(compiled())[number]
    for layer in model.modules():
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0
    text = to_code(model, "torch")
    formatted(text)
    names: dict[str, Any] = {}
    exec(text, names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # regularizers
        names["model"].load_state_dict(model.to_torch().state_dict())
    x = list(map(torch.tensor, xs)) if len(xs) > 1 else torch.tensor(xs[0])
    given = {key: torch.tensor(part) for key, part in y.items()} if isinstance(y, dict) else torch.tensor(y)
    there = names["train"]([(x, given)])
    here = model.fit(xs if len(xs) > 1 else xs[0], y, batch_size=8, epochs=1, verbose=0, ignore="RV").history["loss"][0]
    np.testing.assert_allclose(there, here, rtol=1e-5)
    expected = [part.numpy() for part in parts(model(xs if len(xs) > 1 else xs[0]))]
    found = parts(names["model"](*x) if isinstance(x, list) else names["model"](x))
    if number != 0:  # the running variance differs
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_allclose(b.detach().numpy(), a, atol=2e-4)


OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"weight_decay": 0.1}, "adam": {"amsgrad": True}, "adamw": {}, "adamax": {}, "nadam": {}, "adagrad": {},
    "rmsprop": {"momentum": 0.5}, "adadelta": {"rho": 0.9},
}  # fmt: skip


SCHEDULES = rv.optimizers.schedules
RATES = [
    SCHEDULES.ExponentialDecay(0.1, 2, 0.5), SCHEDULES.ExponentialDecay(0.1, 2, 0.5, staircase=True),
    SCHEDULES.InverseTimeDecay(0.1, 2, 0.5), SCHEDULES.PolynomialDecay(0.1, 3, 0.01, power=2.0),
    SCHEDULES.CosineDecay(0.1, 3, 0.1),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(RATES)))
def test_schedules_of_learning_rates(number):
    model = rv.Sequential([rv.Input((4,)), layers.Dense(2), layers.BatchNormalization(trainable=False)])
    model.compile(rv.optimizers.SGD(RATES[number]), "mse")
    names: dict[str, Any] = {}
    text = to_code(model, "torch")
    formatted(text)
    exec(text, names)
    names["model"].load_state_dict(model.to_torch().state_dict())
    there = names["train"]([(torch.tensor(TABLE), torch.tensor(TABLE[:, 2:]))], epochs=5)
    here = model.fit(TABLE, TABLE[:, 2:], batch_size=8, epochs=5, verbose=0).history["loss"][-1]
    np.testing.assert_allclose(there, here, rtol=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_take_the_same_steps(name):
    rv.utils.set_random_seed(0)  # what rounding does to few steps of a high rate depends on the weights
    model = rv.Sequential([rv.Input((4,)), layers.Dense(2)])
    rule = rv.optimizers.get({"class_name": name, "config": {"learning_rate": 0.1, **OPTIMIZERS[name]}})
    model.compile(rule, "huber")
    names: dict[str, Any] = {}
    exec(to_code(model, "torch"), names)
    names["model"].load_state_dict(model.to_torch().state_dict())
    y = 3 * TABLE[:, :2]
    there = names["train"]([(torch.tensor(TABLE), torch.tensor(y))], epochs=4)
    here = model.fit(TABLE, y, batch_size=8, epochs=4, verbose=0).history["loss"][-1]
    np.testing.assert_allclose(there, here, rtol=2e-2 if name == "rmsprop" else 1e-5)


@pytest.mark.parametrize("number", range(5))
def test_programs_of_keras_and_of_here(number, keras):
    model, xs, y = list(compiled())[number]
    x = xs if len(xs) > 1 else xs[0]
    before, weights = [part.numpy() for part in parts(model(x))], model.get_weights()
    for library in ("ranvier", "keras"):
        if library == "keras" and number < 3 and not WHOLE:
            continue  # Keras compiles for long
        if library == "keras" and number == 4:
            with pytest.raises(TypeError, match=r"its loss torch\.SmoothL1Loss is PyTorch's"):
                to_code(model, library)
            continue
        text = to_code(model, library)
        formatted(text)
        names: dict[str, Any] = {}
        exec(text, names)
        again = names["model"]
        again.set_weights(weights)
        for a, b in zip(before, parts(again(x)), strict=True):
            np.testing.assert_allclose(np.asarray(b), a, atol=1e-5)
        test = (xs, y) if len(xs) > 1 else (xs[0], y)
        here, there = (m.evaluate(*test, verbose=0, batch_size=8) for m in (model, again))
        np.testing.assert_allclose(np.ravel(there)[0], np.ravel(here)[0], rtol=1e-5)


@pytest.mark.parametrize(
    "name", [name for name in NETWORKS if name not in ("resnet", "mobile", "gpt")] if WHOLE else ["nested"]
)
def test_programs_of_networks_in_keras(name, keras):
    make, arrays = NETWORKS[name]
    model = make()
    x = given(model, arrays)
    names: dict[str, Any] = {}
    text = to_code(model, "keras")
    formatted(text)
    exec(text, names)
    names["model"].set_weights(model.get_weights())
    for a, b in zip(parts(model(x)), parts(names["model"](x)), strict=True):
        np.testing.assert_allclose(np.asarray(b), a.numpy(), atol=1e-5)


# --- what is refused ----------------------------------------------------------------------------------------------


class Elsewhere(nn.Module):
    def forward(self, x):
        return rv.ops.relu(x)


def twice():
    x, one = rv.Input((4,)), layers.Dense(4, name="one")
    return rv.Model(x, one(rv.Model(x, one(x), name="inner")(x)))


class Kind(nn.Linear):
    pass


def test_what_is_refused():
    odd = rv.Sequential([rv.Input((3,)), layers.Dense(2, activation="squareplus", name="odd")])
    masked = rv.Sequential([rv.Input((3,), dtype="int32"), layers.Embedding(4, 2, mask_zero=True, name="words")])
    for model, said in (
        (odd, r"'odd' \(Dense, made at .*'squareplus' has no counterpart"),
        (masked, "'words'.*mask has no counterpart"),
        (rv.Sequential([layers.Dense(2)]), "inputs of .* are not known yet"),
        (rv.Sequential([rv.Input((3,)), layers.GaussianNoise(0.1, name="noise")]), "'noise' .* has no counterpart"),
        (nn.Sequential(Elsewhere()), "Elsewhere, made at .*: it uses ranvier, which is none of ranvier.torch"),
        (nn.Sequential(Kind(2, 3)), "Kind is made of Linear"),
        (twice(), "'one' is in two models at once"),
    ):
        with pytest.raises(TypeError, match=said):
            model.to_torch()
    with pytest.raises(ValueError, match="Write one of 'keras', 'torch', 'ranvier'"):
        to_code(odd, "jax")
    with pytest.raises(TypeError, match=r"'position_embedding.*is none of Keras's"):
        to_code(language(), "keras")
    with pytest.raises(TypeError, match=r"'residual_block.*is none of Keras's"):
        to_code(ready(), "keras")
    with pytest.raises(TypeError, match="is of PyTorch's vocabulary"):
        to_code(nn.Sequential(nn.ReLU()), "keras")
    odd = rv.Sequential([rv.Input((3,)), layers.Dense(2)])
    for optimizer, loss, said in (
        ("lion", "mse", "its optimizer Lion"), ("sgd", "log_cosh", "its loss LogCosh"),
        (rv.optimizers.SGD(rv.optimizers.schedules.CosineDecayRestarts(0.1, 10)), "mse", "schedule CosineDecayRestarts"),
    ):  # fmt: skip
        odd.compile(optimizer, loss)
        with pytest.raises(TypeError, match=said):
            to_code(odd, "torch")


# --- torchvision's networks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "resnet34"] if WHOLE else ["resnet18", "mobilenet_v2"])
def test_checkpoints_of_torchvision_go_both_ways(name, tmp_path):
    theirs_of = getattr(pytest.importorskip("torchvision").models, name)
    torch.manual_seed(0)
    theirs = theirs_of(num_classes=10).eval()
    for key, t in theirs.state_dict().items():
        if key.endswith("running_var"):
            t.uniform_(0.5, 2.0)
    torch.save(theirs.state_dict(), tmp_path / "a.pt")
    x = RNG.normal(size=(1, 3, 32, 32)).astype(np.float32)
    expected = theirs(torch.tensor(x)).detach().numpy()
    net = getattr(rv.models, name)(num_classes=10).eval()
    net.load_state_dict(ours.load(tmp_path / "a.pt"), strict=True)
    scale = max(1.0, float(np.abs(expected).max()))
    with ours.no_grad():
        np.testing.assert_allclose(net(ours.tensor(x)).numpy(), expected, atol=1e-5 * scale)
    ours.save(net.state_dict(), tmp_path / "b.pt")
    again = theirs_of(num_classes=10).eval()
    again.load_state_dict(torch.load(tmp_path / "b.pt", weights_only=True), strict=True)
    assert torch.equal(again(torch.tensor(x)), theirs(torch.tensor(x)))
    assert torch.equal(net.to_torch()(torch.tensor(x)), theirs(torch.tensor(x)))

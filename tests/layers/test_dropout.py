"""Noise for training: moments and distribution, who shares a mask, seeds and streams, the same values on both engines."""

import math
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import layers
from ranvier.ops import functional
from ranvier.tensor.rng import draw
from ranvier.tensor.tensor import Tensor
from ranvier.torch import nn
from ranvier.torch.nn import functional as F

ONES = np.ones((300, 400), np.float32)
SELU_LOW = -1.6732632423543772 * 1.0507009873554805
MAKERS: dict[str, Any] = {
    "dropout": lambda **seed: layers.Dropout(0.3, **seed),
    "alpha": lambda **seed: layers.AlphaDropout(0.3, **seed),
    "gaussian": lambda **seed: layers.GaussianDropout(0.3, **seed),
    "noise": lambda **seed: layers.GaussianNoise(0.3, **seed),
}


def normal_share(x):
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def test_standard_normal_is_normal(engine):
    rv.set_seed(1)
    z = functional.standard_normal(Tensor(ONES), *draw()).numpy().ravel()
    n = z.size
    assert abs(z.mean()) < 4 / math.sqrt(n)
    assert abs(z.var() - 1) < 4 * math.sqrt(2 / n)
    assert abs((z**3).mean()) < 4 * math.sqrt(15 / n)
    assert abs((z**4).mean() - 3) < 4 * math.sqrt(96 / n)
    assert np.abs(z).max() < 5.42
    ordered = np.sort(z.astype(float))
    expected = np.array([normal_share(v) for v in ordered])
    steps = np.arange(n) / n
    distance = max(np.abs(expected - steps).max(), np.abs(expected - steps - 1 / n).max())
    assert distance < 1.95 / math.sqrt(n)  # Kolmogorov and Smirnov: one in a thousand is above it
    assert abs(np.corrcoef(z[:-1], z[1:])[0, 1]) < 4 / math.sqrt(n)


@pytest.mark.parametrize("name", MAKERS)
def test_mean_and_variance_are_as_promised(name):
    rv.set_seed(1)
    x = np.random.default_rng(0).standard_normal((300, 400)).astype(np.float32)
    y = MAKERS[name]()(x, training=True).numpy()
    variance = {"dropout": 1 / 0.7, "alpha": 1.0, "gaussian": 1 / 0.7, "noise": 1.09}[name]
    assert y.mean() == pytest.approx(0, abs=0.02)
    assert y.var() == pytest.approx(variance, rel=0.02)
    noise = (y - x) if name == "noise" else (y / x)
    if name == "gaussian":
        assert noise.mean() == pytest.approx(1, abs=0.01)
        assert noise.std() == pytest.approx(math.sqrt(3 / 7), rel=0.01)
    if name == "alpha":
        scale = (0.7 * (1 + 0.3 * SELU_LOW**2)) ** -0.5
        low = scale * SELU_LOW - scale * SELU_LOW * 0.3
        dropped = np.isclose(y, low, atol=1e-5)
        assert dropped.mean() == pytest.approx(0.3, abs=0.01)
        np.testing.assert_allclose(y[~dropped], scale * x[~dropped] - scale * SELU_LOW * 0.3, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MAKERS)
def test_streams(name):
    """Each call other noise; the same process seed the same noise; a seed of the layer's own whatever the process's."""
    make = MAKERS[name]
    rv.set_seed(5)
    layer = make()
    first, second = (layer(ONES[:20], training=True).numpy() for _ in range(2))
    assert (first != second).any()
    rv.set_seed(5)
    assert np.array_equal(make()(ONES[:20], training=True).numpy(), first)
    own = []
    for process in (1, 2):
        rv.set_seed(process)
        own.append(make(seed=9)(ONES[:20], training=True).numpy())
    assert np.array_equal(*own)
    assert np.array_equal(layer(ONES[:20]).numpy(), ONES[:20]), "nothing while inferring"


@pytest.mark.parametrize("name", MAKERS)
def test_both_engines_make_the_same_noise_in_fit(name):
    x = np.random.default_rng(0).standard_normal((70, 6)).astype(np.float32)
    weights = []
    for engine in ("reference", "native"):
        rv.set_seed(2)
        model = rv.Sequential([rv.Input((6,)), MAKERS[name](), layers.Dense(3)])
        model.compile("sgd", "mse", engine=engine)
        model.fit(x, x[:, :3], epochs=2, batch_size=32, verbose=0)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [layers.Dropout, layers.AlphaDropout])
def test_a_mask_is_shared_where_noise_shape_says_one(kind):
    rv.set_seed(3)
    x = np.ones((40, 5, 30), np.float32)
    y = kind(0.5, noise_shape=(None, 1, None))(x, training=True).numpy()
    assert (y == y[:, :1]).all(), "the same along the steps"
    assert len(np.unique(y)) == 2
    assert len(np.unique(y[:, 0].mean(1))) > 5, "and not along the rest"


@pytest.mark.parametrize(("kind", "dimensions"), [("1D", 1), ("2D", 2), ("3D", 3)])
@pytest.mark.parametrize("first", [False, True])
def test_spatial_dropout_drops_whole_channels(kind, dimensions, first):
    shape = (9, 12, *(2,) * dimensions) if first else (9, *(2,) * dimensions, 12)
    layer = getattr(layers, f"SpatialDropout{kind}")(0.5, data_format="channels_first" if first else None)
    assert layer.name.startswith(f"spatial_dropout{kind.lower()}")
    y = layer(np.ones(shape, np.float32), training=True).numpy()
    channels = y.reshape(9, 12, -1) if first else np.moveaxis(y.reshape(9, -1, 12), 1, 2)
    assert (channels == channels[..., :1]).all()
    assert set(np.unique(channels)) == {0.0, 2.0}


def test_noise_shape_in_fit_takes_any_batch():
    model = rv.Sequential([rv.Input((4, 6)), layers.Dropout(0.5, (None, 1, 6)), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).random((10, 4, 6), dtype=np.float32)
    model.fit(x, x[:, 0, 0], batch_size=4, verbose=0)


def test_pytorch_kinds():
    x = Tensor(np.random.default_rng(0).standard_normal((50, 8, 30)).astype(np.float32))
    rv.set_seed(4)
    y = nn.AlphaDropout(0.4)(x).numpy()
    assert y.mean() == pytest.approx(0, abs=0.05)
    assert y.var() == pytest.approx(1, abs=0.05)
    whole = nn.FeatureAlphaDropout(0.4)(Tensor(np.ones((50, 8, 30)))).numpy()
    assert (whole == whole[:, :, :1]).all()
    assert len(np.unique(whole)) == 2
    for layer in (nn.AlphaDropout(), nn.FeatureAlphaDropout(), nn.Dropout()):
        assert layer.eval()(x) is x
    assert not F.alpha_dropout(x, 1.0, True).numpy().any()
    assert F.alpha_dropout(x) is x
    assert F.feature_alpha_dropout(x) is x


WORD: Any = "all"


@pytest.mark.parametrize("own", [{}, {"seed": 1}], ids=["process", "own seed"])
def test_what_draws_in_evaluation_draws_anew_in_every_batch_and_run(engine, own):
    rv.set_seed(3)
    start = rv.Input((40,))
    drawn = layers.Dropout(0.5, **own)(start, training=True)
    model = rv.Model(start, drawn)
    scored = rv.Model(start, layers.Dense(1)(drawn))
    scored.compile("sgd", "mse")
    x, y = np.ones((96, 40), np.float32), np.ones((96, 1), np.float32)

    def runs():
        rv.set_seed(3)
        predictions = [model.predict(x, batch_size=32, verbose=0) for _ in range(2)]
        parts = [part for p in predictions for part in np.split(p, 3)]
        return parts, [scored.evaluate(x, y, verbose=0) for _ in range(3)]

    parts, losses = runs()
    assert len({part.tobytes() for part in parts}) == 6
    assert len(set(losses)) == 3
    again = runs()
    assert np.array_equal(parts, again[0])
    assert losses == again[1]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: layers.GaussianNoise(-1.0), r"stddev=-1.0\): write a number of 0 or more"),
        (lambda: layers.GaussianDropout(1.0), "rate of layer 'gaussian_dropout.*from 0 up to"),
        (lambda: layers.AlphaDropout(0.5, noise_shape=WORD), "noise_shape of layer 'alpha_dropout"),
        (lambda: layers.Dropout(0.5, noise_shape=(None, 0)), "noise_shape"),
        (lambda: layers.Dropout(0.5, noise_shape=(None, 7))(ONES, training=True), r"\(None, 7\) does not fit"),
        (lambda: layers.SpatialDropout1D(0.5, "first"), "data_format='first'"),
        (lambda: layers.Dropout(0.5, noise_shape=(1,))(ONES, training=True), "2 in all"),
        (lambda: nn.AlphaDropout(1.5), "AlphaDropout with p=1.5"),
        (lambda: F.feature_alpha_dropout(Tensor(ONES), -1), "feature_alpha_dropout with p=-1"),
    ],
)  # fmt: skip
def test_mistakes_name_the_fix(make, said):
    with pytest.raises(ValueError, match=said):
        make()

"""Augmentation of images: what each layer makes of its numbers, evaluation, streams, both engines, fit, adapt, CutMix."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import layers
from ranvier.losses.mixture import Mixture
from ranvier.ops.functional import augmentation, resampling
from ranvier.tensor.tensor import Tensor

RNG = np.random.default_rng(0)
X = RNG.random((6, 7, 7, 3)).astype(np.float32)
WIDE = RNG.random((5, 6, 9, 2)).astype(np.float32)
PIXELS = (X * 255).astype(np.uint8)


def numbers(*values):
    return np.array(values, np.float32)


def per_sample(x, *values):
    return [np.full(len(x), v, np.float32) for v in values]


# --- geometry ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", resampling.FILL_MODES)
@pytest.mark.parametrize("interpolation", resampling.INTERPOLATIONS)
def test_no_change_is_the_identity(mode, interpolation, engine):
    options = {"fill_mode": mode, "interpolation": interpolation}
    for x in (X, WIDE):
        zero, one = per_sample(x, 0, 1)
        for y in (
            resampling.rotate(x, zero, **options),
            resampling.translate(x, zero, zero, **options),
            resampling.zoom(x, one, one, **options),
        ):
            np.testing.assert_array_equal(y.numpy(), x)


@pytest.mark.parametrize("change", [resampling.translate, resampling.rotate, resampling.zoom])
def test_what_is_no_image_is_refused(change):
    numbers = (np.ones(2, "float32"),) * (1 if change is resampling.rotate else 2)
    with pytest.raises(ValueError, match=r"images are \(batch, height, width, channels\)"):
        change(np.ones((2, 3), "float32"), *numbers)


@pytest.mark.parametrize("quarters", [-1, 1, 2, 3])
@pytest.mark.parametrize("interpolation", resampling.INTERPOLATIONS)
def test_quarter_turns(quarters, interpolation, engine):
    (angle,) = per_sample(X, quarters * np.pi / 2)
    y = resampling.rotate(X, angle, interpolation=interpolation).numpy()
    np.testing.assert_allclose(y, np.rot90(X, quarters, (1, 2)), atol=2e-6)


PADDINGS: dict[str, Any] = {"reflect": "symmetric", "wrap": "wrap", "nearest": "edge", "constant": "constant"}


@pytest.mark.parametrize("mode", PADDINGS)
@pytest.mark.parametrize("by", [(0, 2), (3, -1), (-6, 5), (2, 0)])
def test_whole_pixels_move_as_padding_says(mode, by, engine):
    extra: Any = {"constant_values": 0.25} if mode == "constant" else {}
    pad = np.pad(WIDE, ((0, 0), (9, 9), (9, 9), (0, 0)), PADDINGS[mode], **extra)
    expected = pad[:, 9 - by[0] : 15 - by[0], 9 - by[1] : 18 - by[1]]
    y = resampling.translate(WIDE, *per_sample(WIDE, *by), fill_mode=mode, fill_value=0.25).numpy()
    np.testing.assert_allclose(y, expected, atol=1e-6)


def test_half_a_pixel_is_the_mean_of_two(engine):
    y = resampling.translate(WIDE, *per_sample(WIDE, 0, -0.5), fill_mode="nearest").numpy()
    right = np.concatenate([WIDE[:, :, 1:], WIDE[:, :, -1:]], 2)
    np.testing.assert_allclose(y, (WIDE + right) / 2, atol=1e-6)


def test_each_sample_has_its_own_numbers(engine):
    y = resampling.translate(X, numbers(0, 1, 2, 3, 4, 5), numbers(0, 0, 0, 0, 0, 0), fill_mode="wrap")
    np.testing.assert_array_equal(y.numpy(), np.stack([np.roll(x, i, 0) for i, x in enumerate(X)]))
    y = resampling.crop_at(X, numbers(0, 1, 2, 3, 0, 1), numbers(1, 1, 1, 0, 0, 0), size=(4, 5))
    expected = [x[t : t + 4, s : s + 5] for x, t, s in zip(X, (0, 1, 2, 3, 0, 1), (1, 1, 1, 0, 0, 0), strict=True)]
    np.testing.assert_array_equal(y.numpy(), np.stack(expected))


def test_zoom_by_two_shows_twice_as_much(engine):
    y = resampling.zoom(X, *per_sample(X, 2, 1), fill_mode="constant", fill_value=-1).numpy()
    expected = np.full_like(X, -1)
    expected[:, 2:5] = X[:, 1:7:2]  # the centre, 3, stays; the rows 1 and 5 are 1 from it now
    np.testing.assert_allclose(y[:, 2:5], expected[:, 2:5], atol=1e-6)
    assert (y[:, [0, 6]] == -1).all()


def test_gradients_go_back_to_where_pixels_came_from(engine):
    x = Tensor(WIDE, requires_grad=True)
    resampling.translate(x, *per_sample(WIDE, 0, 2), fill_mode="nearest").sum().backward()
    expected = np.ones_like(WIDE)
    expected[:, :, 0], expected[:, :, -2:] = 3, 0
    np.testing.assert_allclose(x.grad.numpy(), expected, atol=1e-6)


# --- layers -----------------------------------------------------------------------------------------------------------

MAKERS: dict[str, Any] = {
    "flip": layers.RandomFlip,
    "flip across": lambda **o: layers.RandomFlip("horizontal", **o),
    "crop": lambda **o: layers.RandomCrop(5, 4, **o),
    "small crop": lambda **o: layers.RandomCrop(9, 8, **o),
    "translation": lambda **o: layers.RandomTranslation(0.3, (-0.2, 0.4), **o),
    "rotation": lambda **o: layers.RandomRotation(0.2, fill_mode="constant", fill_value=0.5, **o),
    "zoom": lambda **o: layers.RandomZoom((-0.3, 0.1), 0.2, "wrap", "nearest", **o),
    "shear": lambda **o: layers.RandomShear(0.3, (0.1, 0.2), **o),
    "perspective": lambda **o: layers.RandomPerspective((0.6, 0.9), 0.8, **o),
    "perspective, nearest": lambda **o: layers.RandomPerspective(1.0, 0.3, "nearest", 0.5, **o),
    "changes": lambda **o: layers.RandAugment((0, 1), 3, 0.6, **o),
    "chains": lambda **o: layers.AugMix((0, 1), 2, 2, **o),
    "hue": lambda **o: layers.RandomHue(0.3, (0, 1), **o),
    "jitter": lambda **o: layers.RandomColorJitter((0, 1), 0.1, 0.2, 0.6, 0.1, **o),
    "blur": lambda **o: layers.RandomGaussianBlur((0.6, 0.8), 3, (0.4, 0.9), (0, 1), **o),
    "posterization": lambda **o: layers.RandomPosterization((2, 6), (0, 1), **o),
    "brightness": lambda **o: layers.RandomBrightness(0.3, (0, 1), **o),
    "contrast": lambda **o: layers.RandomContrast((0.2, 0.5), (0, 1), **o),
    "erasing": lambda **o: layers.RandomErasing((0.3, 0.9), value_range=(0, 1), **o),
    "cutout": lambda **o: layers.RandomErasing(0.5, (0.2, 0.2), fill_value=(0.1, 0.2, 0.3), **o),
}  # fmt: skip


@pytest.mark.parametrize("name", MAKERS)
def test_random_layers(name):
    """Nothing in evaluation, and changes where nobody says which; the same numbers on every engine, from a seed, and for
    channels that lie first.
    """
    make, found = MAKERS[name], {}
    for engine in ("reference", "native"):
        rv.set_engine(engine)
        layer = make(seed=3)
        y = layer(X, training=False)
        assert y.dtype == "float32"
        if "crop" not in name:
            np.testing.assert_array_equal(y.numpy(), X)
        assert layer(X, training=True).shape == y.shape
        first, second = (make(seed=3)(X, training=True).numpy() for _ in range(2))
        rv.set_seed(6)
        direct = make()(X).numpy()
        rv.set_seed(6)
        within = rv.Sequential([layers.Input(X.shape[1:]), make()])
        np.testing.assert_array_equal(within(X), direct)
        assert (direct != y.numpy()).any() or name == "small crop"
        assert (first != second).any() or name == "small crop"
        rv.set_seed(4)
        one = make()(X, training=True).numpy()
        rv.set_seed(4)
        other = make(data_format="channels_first")(X.transpose(0, 3, 1, 2), training=True).numpy()
        if name != "erasing":  # whose noise is drawn in the order of elements
            np.testing.assert_allclose(other.transpose(0, 2, 3, 1), one, atol=1e-6)
        found[engine] = one
    rv.set_engine(None)
    np.testing.assert_allclose(found["native"], found["reference"], atol=2e-6)


@pytest.mark.parametrize("name", MAKERS)
def test_layers_are_saved_and_take_pixels(name, tmp_path):
    model = rv.Sequential([layers.Input((7, 7, 3)), MAKERS[name](), layers.Flatten(), layers.Dense(2)])
    model.save(tmp_path / "m.rv")
    again = rv.load_model(tmp_path / "m.rv")
    np.testing.assert_array_equal(model.predict(PIXELS, verbose=0), again.predict(PIXELS, verbose=0))
    assert MAKERS[name]()(Tensor(PIXELS), training=True).dtype == "float32"


def test_flips_are_one_half(engine):
    rv.set_seed(1)
    x = np.tile(np.arange(4, dtype=np.float32).reshape(1, 2, 2, 1), (4000, 1, 1, 1))
    y = layers.RandomFlip()(x, training=True).numpy().reshape(-1, 4)
    kinds, counts = np.unique(y, axis=0, return_counts=True)
    assert kinds.tolist() == [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]
    assert np.abs(counts - 1000).max() < 4 * np.sqrt(750)


def test_numbers_are_uniform_in_the_range(engine):
    rv.set_seed(1)
    x = np.full((4000, 1, 1, 1), 0.5, np.float32)
    y = layers.RandomBrightness((-0.1, 0.3), (0, 1))(x, training=True).numpy().ravel()
    ordered = np.linspace(0.4, 0.8, 4000)
    assert np.abs(np.sort(y) - ordered).max() < 0.4 * 1.95 / np.sqrt(4000)


def test_brightness_and_contrast_stay_in_range(engine):
    low, high = (
        augmentation.brighten(X, np.full(6, amount, np.float32), low=0, high=1).numpy() for amount in (-1, 0.25)
    )
    assert (low == 0).all()
    np.testing.assert_allclose(high, np.minimum(X + 0.25, 1))
    y = augmentation.contrast(X, np.full(6, 0.5, np.float32), low=0, high=1).numpy()
    np.testing.assert_allclose(y, X / 2 + X.mean((1, 2), keepdims=True) / 2, atol=1e-6)


def test_erased_boxes(engine):
    rv.set_seed(2)
    x = np.zeros((400, 20, 30, 1), np.float32)
    y = layers.RandomErasing(0.5, (0.25, 0.25), fill_value=1)(x, training=True).numpy()[..., 0]
    areas = y.sum((1, 2))
    assert set(np.unique(areas)) <= {0, *(a * b for a in (9, 10, 11) for b in (14, 15, 16))}
    assert (areas > 0).mean() == pytest.approx(0.5, abs=0.1)
    for image in y[areas > 0]:
        rows, columns = image.any(1), image.any(0)
        assert image.sum() == rows.sum() * columns.sum()  # a box


# --- sizes ------------------------------------------------------------------------------------------------------------


def test_sizes_of_resized_images(engine):
    grey = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    np.testing.assert_allclose(layers.Resizing(2, 2)(grey).numpy().ravel(), [2.5, 4.5, 10.5, 12.5])
    np.testing.assert_allclose(layers.Resizing(2, 2, "nearest")(grey).numpy().ravel(), [5, 7, 13, 15])
    np.testing.assert_array_equal(layers.CenterCrop(2, 2)(grey).numpy().ravel(), [5, 6, 9, 10])
    assert layers.CenterCrop(6, 3)(grey).shape == (1, 6, 3, 1)
    padded = layers.Resizing(2, 4, pad_to_aspect_ratio=True, fill_value=-1)(grey).numpy()[0, ..., 0]
    np.testing.assert_allclose(padded, [[-1, 2.5, 4.5, -1], [-1, 10.5, 12.5, -1]])


# --- normalization ----------------------------------------------------------------------------------------------------


def test_adapt_takes_statistics_in_parts(engine):
    data = (RNG.normal(size=(1000, 4)) * [1, 10, 0, 1e-3] + [0, 1e4, 3, 0]).astype(np.float32)
    whole, parts = layers.Normalization(), layers.Normalization()
    whole.adapt(data)
    parts.adapt(data[i : i + 90] for i in range(0, 1000, 90))
    np.testing.assert_allclose(whole.mean.numpy(), data.mean(0, dtype=float), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(whole.variance.numpy(), data.var(0, dtype=float), rtol=1e-5)
    np.testing.assert_allclose(parts.variance.numpy(), whole.variance.numpy(), rtol=1e-6)
    y = whole(data).numpy()
    np.testing.assert_allclose(y[:, [0, 1, 3]].std(0), 1, rtol=1e-3)
    assert (y[:, 2] == 0).all()
    back = layers.Normalization(mean=whole.mean.numpy(), variance=whole.variance.numpy(), invert=True)
    np.testing.assert_allclose(back(y).numpy(), data, rtol=1e-5, atol=1e-6)


def test_given_statistics_are_no_weights(tmp_path):
    model = rv.Sequential([layers.Normalization(mean=[1.0, 2.0], variance=[4.0, 9.0]), layers.Dense(1)])
    model.build((None, 2))
    assert [w.shape for w in model.get_weights()] == [(2, 1), (1,)]
    assert model.count_params() == 3
    model.save(tmp_path / "m.rv")
    x = np.float32([[3, 5], [1, 2]])
    for again in (rv.load_model(tmp_path / "m.rv"), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert len(again.weights) == 2
        np.testing.assert_array_equal(again[0](x).numpy(), [[1, 1], [0, 0]])
        np.testing.assert_array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))


def test_statistics_are_saved_with_the_model(tmp_path):
    layer = layers.Normalization()
    layer.adapt(PIXELS)
    model = rv.Sequential([layer, layers.Flatten(), layers.Dense(2)])
    model.build((None, 7, 7, 3))
    model.save(tmp_path / "m.rv")
    again = rv.load_model(tmp_path / "m.rv")
    np.testing.assert_array_equal(model.predict(PIXELS, verbose=0), again.predict(PIXELS, verbose=0))
    assert again[0].mean.shape == (3,)
    given = rv.Sequential([layers.Normalization(None, 3.0, 4.0), layers.Dense(2)])
    given.build((None, 5))
    given.save(tmp_path / "g.rv")
    assert rv.load_model(tmp_path / "g.rv")[0](np.full((1, 5), 5.0)).numpy().tolist() == [[1.0] * 5]


# --- CutMix -----------------------------------------------------------------------------------------------------------


def test_cutmix_pastes_boxes_and_counts_pixels(engine):
    rv.set_seed(3)
    n = 300
    x = np.tile(np.arange(n, dtype=np.float32).reshape(n, 1, 1, 1), (1, 10, 12, 1))
    pasted, targets = layers.CutMix()(Tensor(x), Tensor(np.arange(n)))
    y, first, second, share = (t.numpy() for t in (pasted, targets.first, targets.second, targets.share))
    assert isinstance(targets, Mixture)
    np.testing.assert_allclose((y[..., 0] == first.reshape(n, 1, 1)).mean((1, 2)), share, atol=1e-6)
    assert ((y[..., 0] == first.reshape(n, 1, 1)) | (y[..., 0] == second.reshape(n, 1, 1))).all()
    for image, own in zip(y[..., 0], first, strict=True):
        other = image != own
        assert other.sum() == other.any(1).sum() * other.any(0).sum()
    assert share.min() < 0.3
    assert share.max() > 0.9


def test_cutmix_in_fit_and_evaluation():
    cutmix = layers.CutMix(seed=1)
    x, y = cutmix(X, 1, training=False)
    assert (x.numpy() == X).all()
    assert y == 1
    model = rv.Sequential([layers.Flatten(input_shape=(7, 7, 3)), layers.Dense(4)])
    model.compile("sgd", rv.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    history = model.fit(X, np.arange(6) % 4, epochs=2, verbose=0, augment=cutmix)
    assert np.isfinite(history.history["loss"]).all()
    flat = rv.Sequential([layers.Dense(4, input_shape=(5,))])
    flat.compile("sgd", "mse")
    with pytest.raises(ValueError, match="Write MixUp instead"):
        flat.fit(np.ones((8, 5)), np.ones((8, 4)), verbose=0, augment=layers.CutMix())


def test_augmented_training_is_the_same_in_parts():
    """Resumed from a checkpoint, the images are turned as they would have been."""

    def make():
        rv.set_seed(7)
        model = rv.Sequential([
            layers.Input((7, 7, 3)), layers.Rescaling(1 / 255), *(make() for n, make in MAKERS.items() if "crop" not in n and n != "cutout"),
            layers.Flatten(), layers.Dense(4)])  # fmt: skip
        model.compile("adam", rv.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model

    rv.verify_resume(make, PIXELS, np.arange(6) % 4, epochs=3, batch_size=4)


@pytest.mark.parametrize(("kind", "argument"), [("RandomSaturation", "factor"), ("RandomShear", "x_factor")])
def test_ranges_that_keras_stores_of_a_number(kind, argument):
    """Its files hold (-0.2, 0.2) for 0.2. A saturation below 0 is grey."""
    layer = getattr(layers, kind)(**{argument: (-0.2, 0.2)})
    assert getattr(layer, argument) == (-0.2, 0.2)
    if kind == "RandomSaturation":
        grey = layers.RandomSaturation((-0.2, -0.1))(PIXELS, training=True).numpy()
        np.testing.assert_allclose(grey, np.repeat(np.max(PIXELS, -1, keepdims=True), 3, -1), rtol=1e-5)


# --- errors -----------------------------------------------------------------------------------------------------------

ERRORS = [
    (lambda: layers.RandomRotation(2), "Write a number from 0 to 1"),
    (lambda: layers.RandomTranslation(0.1, "a"), "width_factor"),
    (lambda: layers.RandomTranslation(0.1, (0.1, 0.2, 0.3)), "or two such as"),
    (lambda: layers.RandomZoom((-1, 0.2)), "height_factor"),
    (lambda: layers.RandomFlip("sideways"), "'horizontal_and_vertical'"),
    (lambda: layers.RandomRotation(0.1, "mirror"), "'reflect' or 'wrap' or 'constant' or 'nearest'"),
    (lambda: layers.RandomRotation(0.1, interpolation="cubic"), "'bilinear' or 'nearest'"),
    (lambda: layers.RandomContrast(1.5), "from 0 to 1"),
    (lambda: layers.RandomBrightness(0.1, (1, 0)), "the smallest and the largest value"),
    (lambda: layers.RandomPerspective(scale=1.5), "Write a number from 0 to 1"),
    (lambda: layers.AugMix(alpha=0.5), "Write 1.0 instead"),
    (lambda: layers.RandomErasing(fill_value="noise"), "or None for noise"),
    (lambda: layers.RandomErasing(fill_value=(1.0, 2.0))(X, training=True), "2 numbers for the 3 channels"),
    (lambda: layers.Resizing(0, 3), "whole number of 1 or more"),
    (lambda: layers.Resizing(3, 3, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True), "one of them"),
    (lambda: layers.RandomFlip()(X[None]), "Write Reshape"),
    (lambda: layers.Normalization(mean=1.0), "Write both"),
    (lambda: layers.Normalization(mean=1.0, variance=-1.0), "variance below 0"),
    (lambda: layers.Normalization().adapt(np.zeros((0, 3))), "0 samples"),
    (lambda: layers.Normalization().adapt(np.array([[1.0], [np.nan]])), "NaN"),
    (lambda: layers.Normalization(axis=5).adapt(X), "axis=-1"),
    (lambda: layers.Normalization(mean=[1.0, 2.0], variance=[1.0, 2.0])(X), "shape"),
]  # fmt: skip


@pytest.mark.parametrize(("act", "message"), ERRORS, ids=[m for _, m in ERRORS])
def test_errors_say_what_to_write(act, message):
    with pytest.raises(ValueError, match=message):
        act()

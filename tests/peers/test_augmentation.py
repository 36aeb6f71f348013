"""What is not random in augmentation, against Keras: normalization, sizes, moves, turns and zooms by given numbers."""

from typing import Any

import numpy as np
import pytest

from ranvier import layers, ops
from ranvier.ops.functional import colors, resampling
from ranvier.tensor.tensor import Tensor

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
X = np.random.default_rng(0).random((3, 9, 12, 3)).astype(np.float32) * 255


ALL = ["bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"]
WAYS: Any = [
    *((how, {}) for how in ALL),
    *((how, {"antialias": True}) for how in ALL),
    # What is cut off or added first does not depend on the interpolation.
    *((how, {"crop_to_aspect_ratio": True}) for how in ALL[:2]),
    *((how, {"pad_to_aspect_ratio": True, "fill_value": 7.0}) for how in ALL[:2]),
]


@pytest.mark.parametrize("size", [(9, 12), (5, 6), (4, 5), (18, 24), (13, 7), (1, 1), (20, 5)])
@pytest.mark.parametrize(("interpolation", "options"), WAYS, ids=str)
def test_resizing(keras, size, interpolation, options):
    expected = keras.layers.Resizing(size[0], size[1], interpolation, **options)(X)
    found = layers.Resizing(size[0], size[1], interpolation, **options)(X).numpy()
    np.testing.assert_allclose(found, np.asarray(expected), rtol=1e-4, atol=2e-2)


@pytest.mark.parametrize("size", [(9, 12), (4, 5), (5, 4), (3, 12), (12, 7), (20, 30), (4, 30)])
def test_center_crop(keras, size):
    expected = np.asarray(keras.layers.CenterCrop(*size)(X))
    found = layers.CenterCrop(*size)(X).numpy()
    assert found.shape == expected.shape
    if size[0] <= 9 and size[1] <= 12:
        np.testing.assert_array_equal(found, expected)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-2)


@pytest.mark.parametrize("axis", [-1, None, (1, 3), (2,)], ids=str)
@pytest.mark.parametrize("invert", [False, True])
def test_normalization(keras, axis, invert):
    theirs, ours = (m.Normalization(axis=axis, invert=invert) for m in (keras.layers, layers))
    theirs.adapt(X)
    ours.adapt(X)
    np.testing.assert_allclose(ours(X).numpy(), np.asarray(theirs(X)), rtol=2e-4, atol=2e-4)
    if not invert:
        given = {"mean": 3.0, "variance": 4.0}
        theirs, ours = (m.Normalization(axis=axis, **given)(X) for m in (keras.layers, layers))
        np.testing.assert_allclose(ours.numpy(), np.asarray(theirs), rtol=1e-6)


FIXED = {
    "rotation": lambda m, **o: m.RandomRotation((0.07, 0.07), **o),
    "translation": lambda m, **o: m.RandomTranslation((0.21, 0.21), (-0.13, -0.13), **o),
    "zoom out": lambda m, **o: m.RandomZoom((0.3, 0.3), **o),
    "zoom in": lambda m, **o: m.RandomZoom((-0.3, -0.3), (-0.1, -0.1), **o),
}


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("mode", resampling.FILL_MODES)
@pytest.mark.parametrize("interpolation", resampling.INTERPOLATIONS)
def test_where_nothing_is_left_to_chance(keras, name, mode, interpolation):
    options = {"fill_mode": mode, "interpolation": interpolation, "fill_value": 9.0}
    expected = np.asarray(FIXED[name](keras.layers, **options)(X, training=True))
    found = FIXED[name](layers, **options)(X, training=True).numpy()
    wrong = ~np.isclose(found, expected, rtol=1e-4, atol=2e-2)
    assert wrong.mean() <= (0.01 if interpolation == "nearest" else 0)  # nearest: two pixels may be equally near


def test_brightness(keras):
    expected = keras.layers.RandomBrightness((0.2, 0.2))(X, training=True)
    np.testing.assert_allclose(
        layers.RandomBrightness((0.2, 0.2))(X, training=True).numpy(), np.asarray(expected), rtol=1e-5
    )


NUMBERS: Any = np.float32([0.3, 0.7, 0.45])
COLORS: dict[str, Any] = {  # the numbers that Keras draws for each image, and the same change here
    "RandomHue": ({"factor": NUMBERS - 0.6}, lambda x: colors.shift_hue(x, NUMBERS - 0.6, low=0.0, high=255.0)),
    "RandomSaturation": (
        {"factor": NUMBERS / (1 - NUMBERS + 1e-7)}, lambda x: colors.saturate(x, NUMBERS, low=0.0, high=255.0)
    ),
    "RandomColorDegeneration": (
        {"factor": NUMBERS[:, None, None, None]}, lambda x: colors.degenerate(x, NUMBERS, low=0.0, high=255.0)
    ),
    "RandomSharpness": ({"factor": NUMBERS}, lambda x: colors.sharpen(x, 2 * NUMBERS, low=0.0, high=255.0)),
    "RandomPosterization": (
        {"shift_factor": np.uint8([5, 2, 7])}, lambda x: colors.posterize(x, np.float32([3, 6, 1]), low=0.0, high=255.0)
    ),
    "RandomInvert": (
        {"apply_inversion": NUMBERS < 0.5}, lambda x: colors.invert_some(x, np.float32([0.5] * 3), NUMBERS, high=255.0)
    ),
    "RandomGrayscale": ((NUMBERS < 0.5)[:, None, None, None], lambda x: colors.grey_some(x, NUMBERS, chance=0.5)),
    "Solarization": (
        {"additions": 50 * NUMBERS[:, None, None, None], "thresholds": 200 * NUMBERS[:, None, None, None]},
        lambda x: colors.solarize(x, 50 * NUMBERS, 200 * NUMBERS, low=0.0, high=255.0),
    ),
    "AutoContrast": (None, layers.AutoContrast()),
    "RandomShear": (
        {"shear_factor": np.stack([NUMBERS, -NUMBERS / 2], 1), "input_shape": X.shape},
        lambda x: resampling.shear(x, -NUMBERS / 2, NUMBERS, "constant"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COLORS)
def test_colors_by_given_numbers(keras, name):
    drawn, change = COLORS[name]
    needs = name not in ("AutoContrast", "Solarization", "RandomShear")
    options: dict[str, Any] = {"fill_mode": "constant"} if name == "RandomShear" else {}
    layer = getattr(keras.layers, name)(*([4 if name == "RandomPosterization" else 0.5] if needs else []), **options)
    expected = np.asarray(layer.transform_images(X, drawn))
    np.testing.assert_allclose(change(X).numpy(), expected, rtol=1e-4, atol=2e-2)


def test_image_functions(keras):
    x = X / 255
    for name, options in (
        ("rgb_to_hsv", {}),
        ("hsv_to_rgb", {}),
        ("gaussian_blur", {"kernel_size": (3, 5), "sigma": (0.7, 1.5)}),
    ):
        expected = getattr(keras.ops.image, name)(x, data_format="channels_last", **options)
        found = getattr(ops.image, name)(x, data_format="channels_last", **options)
        np.testing.assert_allclose(found.numpy(), np.asarray(expected), rtol=1e-4, atol=1e-5)
    blurred = layers.RandomGaussianBlur((1.0, 1.0), (3, 5), (0.5, 0.5), (0, 1))(x, training=True)
    expected = keras.ops.image.gaussian_blur(x, (3, 5), (0.5, 0.5), data_format="channels_last")
    np.testing.assert_allclose(blurred.numpy(), np.asarray(expected), rtol=1e-4, atol=1e-5)


MATRICES = np.array(
    [[1, 0.1, -1, 0.05, 0.9, 0.5, 0, 0], [1, 0, 2, 0, 1, -1, 0, 0], [0.7, 0.2, 0, -0.2, 0.8, 1, 0, 0]], np.float32
)
PLACES = np.random.default_rng(2).uniform(-5, 14, (3, 20)).astype(np.float32)
CORNERS = np.array([[0, 0], [11, 0], [0, 8], [11, 8]], np.float32)
MOVED = CORNERS + np.random.default_rng(1).uniform(-2, 2, (3, 4, 2)).astype(np.float32)
LARGE = np.random.default_rng(4).random((2, 16, 14, 3)).astype(np.float32)


WARPED: dict[str, Any] = {
    **{
        f"affine, {mode}, {how}": lambda i, mode=mode, how=how: i.affine_transform(X, MATRICES, how, mode, 7.0)
        for mode in resampling.WARP_MODES
        for how in resampling.INTERPOLATIONS
    },
    "affine, one": lambda i: i.affine_transform(X[0], MATRICES[0], data_format="channels_last"),
    "perspective": lambda i: i.perspective_transform(X, np.stack([CORNERS] * 3), MOVED, fill_value=3.0),
    "perspective, one": lambda i: i.perspective_transform(X[0], CORNERS, MOVED[0], "nearest"),
    **{
        f"coordinates, {mode}, {order}": lambda i, mode=mode, order=order: i.map_coordinates(
            X[0], PLACES, order, mode, 2.0
        )
        for mode in resampling.WARP_MODES
        for order in (0, 1)
    },
    "coordinates, whole": lambda i: i.map_coordinates(np.arange(12, dtype=np.int32).reshape(3, 4), PLACES[:2] / 4, 1),
    "edges": lambda i: i.sobel_edges(X, "channels_last"),
    "edges, first": lambda i: i.sobel_edges(X.transpose(0, 3, 1, 2), "channels_first"),
    "similarity": lambda i: i.ssim(LARGE, LARGE**1.2),
    "similarity, one": lambda i: i.ssim(LARGE[0], LARGE[1], 255.0, 7, 1.0),
}


@pytest.mark.parametrize("name", WARPED)
def test_images_read_elsewhere(keras, name):
    expected, found = np.asarray(WARPED[name](keras.ops.image)), WARPED[name](ops.image).numpy()
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    wrong = ~np.isclose(found, expected, rtol=1e-4, atol=2e-2)
    assert wrong.mean() <= (0.01 if "nearest" in name or "one" in name else 0)  # two pixels may be equally near


@pytest.mark.parametrize("limits", [(0, 255), (0, 1)], ids=str)
@pytest.mark.parametrize("make", [lambda m, r: m.Equalization(r), lambda m, r: m.Equalization(r, 16)])
def test_equalized(keras, make, limits):
    x = X * np.float32(limits[1] / 255)
    expected, found = (np.asarray(make(m, limits)(x, training=True)) for m in (keras.layers, layers))
    wrong = ~np.isclose(found, expected, rtol=1e-4, atol=1e-4 * limits[1])
    assert wrong.mean() <= 0.005  # where a value is at the border of two bins


SLOPES: dict[str, Any] = {
    "coordinates": (lambda i, x: i.map_coordinates(x, PLACES[:2] / 3, 1, "nearest"), X[0, :, :, 0] / 255),
    "places": (lambda i, at: i.map_coordinates(X[0, :, :, 0] / 255, at, 1, "reflect"), PLACES[:2, :9]),
    "affine": (lambda i, x: i.affine_transform(x, MATRICES, fill_mode="mirror"), X / 255),
    "perspective": (lambda i, end: i.perspective_transform(X / 255, np.stack([CORNERS] * 3), end), MOVED),
    "edges": (lambda i, x: i.sobel_edges(x, "channels_last"), X / 255),
    "similarity": (lambda i, x: i.ssim(x, LARGE**1.2), LARGE),
}


@pytest.mark.parametrize("name", SLOPES)
def test_gradients_of_warps(keras, name):
    jax = pytest.importorskip("jax")
    function, array = SLOPES[name]
    expected = jax.jit(jax.grad(lambda x: (function(keras.ops.image, x) ** 2).sum()))(array)
    x = Tensor(array, requires_grad=True)
    (function(ops.image, x) ** 2).sum().backward()
    scale = np.abs(expected).max()
    np.testing.assert_allclose(x.grad.numpy(), np.asarray(expected), rtol=2e-3, atol=2e-3 * float(scale))

"""Rows for the layers of preprocessing and augmentation, which in evaluation have a value without chance."""

import functools

import numpy as np

from ranvier import layers

X = np.random.default_rng(4).random((2, 6, 5, 3)).astype(np.float32)


def resized(height, width):
    """Bilinear interpolation between pixels' centres, pixel by pixel."""

    def value(layer, x):
        y = np.zeros((len(x), height, width, x.shape[3]), x.dtype)
        for i in range(height):
            for j in range(width):
                at = [(k + 0.5) * n / m - 0.5 for k, n, m in ((i, x.shape[1], height), (j, x.shape[2], width))]
                for r in range(x.shape[1]):
                    for c in range(x.shape[2]):
                        a, b = (np.clip(v, 0, n - 1) for v, n in zip(at, x.shape[1:3], strict=True))
                        y[:, i, j] += x[:, r, c] * max(0, 1 - abs(a - r)) * max(0, 1 - abs(b - c))
        return y

    return value


def same(layer, x):
    return x


def inferring(name, *arguments):
    return getattr(layers, name)(*arguments).eval()


COLORS = (
    ("RandomHue", 0.2), ("RandomSaturation", 0.2), ("RandomColorDegeneration", 0.2), ("RandomSharpness", 0.2),
    ("RandomPosterization", 4), ("RandomInvert",), ("RandomGrayscale",), ("RandomGaussianBlur",),
    ("RandomPerspective",), ("RandAugment", (0, 1)), ("AugMix", (0, 1)), ("Equalization", (0, 1)),
    ("Solarization", 0.1, 0.1), ("RandomShear", 0.2), ("RandomColorJitter", (0, 1), 0.2),
)  # fmt: skip


def of_part(rows, columns, size):
    return lambda layer, x: resized(*size)(layer, x[:, rows, columns])


ROWS = {
    "normalization": (
        lambda: layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 9.0]), X,
        lambda m, x: (x - np.array([1, 2, 3])) / np.array([1, 2, 3]),
    ),
    "normalization, inverted": (
        lambda: layers.Normalization(None, 2.0, 9.0, invert=True), X, lambda m, x: 3 * x + 2,
    ),
    "normalization, not adapted": (layers.Normalization, X, same),
    "resizing, larger": (lambda: layers.Resizing(8, 11), X, resized(8, 11)),
    "resizing, smaller": (lambda: layers.Resizing(3, 2), X, resized(3, 2)),
    "resizing, nearest": (lambda: layers.Resizing(3, 15, "nearest"), X, lambda m, x: np.repeat(x[:, 1::2], 3, 2)),
    "resizing, cropped": (
        lambda: layers.Resizing(4, 2, crop_to_aspect_ratio=True), X, of_part(slice(0, 6), slice(1, 4), (4, 2)),
    ),
    "resizing, channels first": (
        lambda: layers.Resizing(8, 4, data_format="channels_first"), X.transpose(0, 3, 1, 2).copy(),
        lambda m, x: resized(8, 4)(m, x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    ),
    "centre": (lambda: layers.CenterCrop(3, 2), X, lambda m, x: x[:, 1:4, 1:3]),
    "centre of a smaller image": (lambda: layers.CenterCrop(7, 7), X, of_part(slice(0, 5), slice(0, 5), (7, 7))),
    "random crop, inferring": (lambda: layers.RandomCrop(3, 3).eval(), X, of_part(slice(0, 5), slice(0, 5), (3, 3))),
    "random flip, inferring": (lambda: layers.RandomFlip().eval(), X, same),
    "random rotation, inferring": (lambda: layers.RandomRotation(0.2).eval(), X, same),
    "random translation, inferring": (lambda: layers.RandomTranslation(0.2, 0.1).eval(), X, same),
    "random zoom, inferring": (lambda: layers.RandomZoom(0.2).eval(), X, same),
    **{f"{name}, inferring": (functools.partial(inferring, name, *more), X, same) for name, *more in COLORS},
    "auto contrast": (
        lambda: layers.AutoContrast((0, 1)), X,
        lambda m, x: (x - x.min((1, 2), keepdims=True)) / (x.max((1, 2), keepdims=True) - x.min((1, 2), keepdims=True)),
    ),
    "pipeline": (lambda: layers.Pipeline([layers.Rescaling(2.0), layers.RandomFlip()]).eval(), X, lambda m, x: 2 * x),
    "random brightness, inferring": (lambda: layers.RandomBrightness(0.2).eval(), X, same),
    "random contrast, inferring": (lambda: layers.RandomContrast(0.2).eval(), X, same),
    "random erasing, inferring": (lambda: layers.RandomErasing().eval(), X, same),
}  # fmt: skip

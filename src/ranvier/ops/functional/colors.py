"""Changes of the colours and the sharpness of images (batch, height, width, channels), by numbers for each sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ranvier.graph.node import GraphError, Node, apply, constant, extents
from ranvier.ops import arrays as n
from ranvier.ops.arrays.promotion import floating
from ranvier.ops.arrays.shape import with_ones
from ranvier.tensor.function import function

GREY = 0.2989, 0.5870, 0.1140  # of red, green and blue in luminance (ITU-R BT.601)


def _planes(x: Node) -> list[Node]:
    """The three channels, each without the dimension of channels."""
    if x.ndim < 3 or x.shape[-1] != 3:
        raise GraphError(f"it takes images of 3 channels, red, green and blue, and here is {x.type}")
    return [n.squeeze(plane, -1) for plane in n.split(x, 3, -1)]


@function
def rgb_to_hsv(x: Node) -> Node:
    """Hue, saturation and value, 0 to 1 each, of red, green and blue in the last dimension, 0 to 1 each."""
    x = floating(x)
    tiny = float(np.finfo(x.dtype).eps)
    r, g, b = _planes(n.where(n.less(n.abs(x), tiny), 0.0, x))
    value, least = n.maximum(n.maximum(r, g), b), n.minimum(n.minimum(r, g), b)
    spread = value - least
    coloured = n.greater(spread, 0.0)
    saturation = n.where(n.greater(value, 0.0), spread / n.where(n.greater(value, 0.0), value, 1.0), 0.0)
    norm = n.divide(1.0, n.multiply(n.where(coloured, spread, 1.0), 6.0))
    hue = n.where(n.equal(value, g), n.add(norm * (b - r), 2.0 / 6.0), n.add(norm * (r - g), 4.0 / 6.0))
    hue = n.where(n.equal(value, r), norm * (g - b), hue)
    below = n.cast(n.less(hue, 0.0), x.dtype)
    hue = n.where(coloured, hue, 0.0) + below
    return n.stack([hue, saturation, value], -1)


@function
def hsv_to_rgb(x: Node) -> Node:
    """Red, green and blue of what `rgb_to_hsv` gives."""
    hue, saturation, value = _planes(floating(x))
    turn = n.multiply(n.subtract(hue, n.floor(hue)), 6.0)
    shares = [
        n.clip(n.subtract(n.abs(n.subtract(turn, 3.0)), 1.0), 0.0, 1.0),
        n.clip(n.subtract(2.0, n.abs(n.subtract(turn, 2.0))), 0.0, 1.0),
        n.clip(n.subtract(2.0, n.abs(n.subtract(turn, 4.0))), 0.0, 1.0),
    ]
    white = n.subtract(1.0, saturation)
    return n.stack([value * (white + saturation * share) for share in shares], -1)


@function
def grey(x: Node) -> Node:
    """The luminance of red, green and blue, with one channel."""
    return n.sum(n.multiply(x, n.cast(constant(np.array(GREY, np.float32), "float32"), x.dtype)), -1, True)


def scaled(x: Node, low: float, high: float, to: tuple[float, float]) -> Node:
    """Values from ``low`` to ``high`` in the range ``to``."""
    if (low, high) == to:
        return x
    return n.add(n.multiply(n.divide(n.subtract(x, low), high - low), to[1] - to[0]), to[0])


@function
def shift_hue(x: Node, amount: Node, low: float, high: float) -> Node:
    """Hues moved by a share of the circle of colours."""
    hue, *rest = _planes(rgb_to_hsv(scaled(floating(x), low, high, (0.0, 1.0))))
    hue = n.add(hue, with_ones(amount, hue.ndim))
    hue = n.where(n.greater(hue, 1.0), n.subtract(hue, 1.0), hue)
    hue = n.where(n.less(hue, 0.0), n.add(hue, 1.0), hue)
    y = n.clip(hsv_to_rgb(n.stack([hue, *rest], -1)), 0.0, 1.0)
    return scaled(y, 0.0, 1.0, (low, high))


@function
def saturate(x: Node, share: Node, low: float, high: float) -> Node:
    """Saturations times ``share / (1 - share)``."""
    hue, saturation, value = _planes(rgb_to_hsv(x))
    factor = share / n.add(n.subtract(1.0, share), 1e-7)
    saturation = n.clip(n.multiply(saturation, with_ones(factor, saturation.ndim)), low, high)
    return hsv_to_rgb(n.stack([hue, saturation, value], -1))


@function
def degenerate(x: Node, share: Node, low: float, high: float) -> Node:
    """Images moved toward their luminance by a share of the way."""
    x = floating(x)
    return n.clip(n.add(x, n.multiply(with_ones(share, x.ndim), n.subtract(grey(x), x))), low, high)


@function
def grey_some(x: Node, draw: Node, chance: float) -> Node:
    """The luminance in every channel where a number from 0 to 1 is below ``chance``."""
    x = floating(x)
    return n.where(with_ones(n.less(draw, chance), x.ndim), grey(x), x)


@function
def invert_some(x: Node, chance: Node, draw: Node, high: float) -> Node:
    """``high - x`` where a number from 0 to 1 is below the chance."""
    x = floating(x)
    return n.where(with_ones(n.less(draw, chance), x.ndim), n.subtract(high, x), x)


@function
def posterize(x: Node, bits: Node, low: float, high: float) -> Node:
    """Values of so many bits, of the 8 that the range has."""
    y = n.floor(scaled(floating(x), low, high, (0.0, 255.0)))
    step = with_ones(n.power(2.0, n.subtract(8.0, bits)), y.ndim)
    return scaled(n.floor(y / n.broadcast_to(step, y.shape)) * n.broadcast_to(step, y.shape), 0.0, 255.0, (low, high))


@function
def filtered(x: Node, weights: Sequence[Node | float], axis: int) -> Node:
    """Sums of neighbours along an axis, zeros beyond the edges."""
    half = len(weights) // 2
    padded = n.pad(x, tuple((half, half) if a == axis else (0, 0) for a in range(x.ndim)))
    total: Node | None = None
    for i, weight in enumerate(weights):
        starts = tuple(i if a == axis else 0 for a in range(x.ndim))
        part = n.multiply(_part(padded, starts, x), weight)
        total = part if total is None else n.add(total, part)
    assert total is not None
    return total


def _part(padded: Node, starts: tuple[int, ...], like: Node) -> Node:
    """A part of an array as large as another."""
    index = tuple(
        ("slice", None, None, None) if a == 0 else ("slice", start, start + size, None)
        for a, (start, size) in enumerate(zip(starts, (0, *extents(like, 1, like.ndim)), strict=True))
    )
    return n.index_basic(padded, index)


@function
def sharpen(x: Node, factor: Node, low: float, high: float) -> Node:
    """Smoothed images (0), unchanged (1) to sharpened ones (2)."""
    x = floating(x)
    box = filtered(filtered(x, (1.0, 1.0, 1.0), 1), (1.0, 1.0, 1.0), 2)
    smooth = n.multiply(n.add(box, n.multiply(x, 4.0)), 1.0 / 13.0)
    more = with_ones(n.subtract(1.0, factor), x.ndim)
    return n.clip(n.add(x, n.multiply(more, n.subtract(smooth, x))), low, high)


@function
def gaussian_blur(x: Node, sigma: Node, size: tuple[int, int]) -> Node:
    """Images blurred by a Gaussian of ``size`` pixels, zeros beyond the edges; sigma and size: along rows, columns.

    ``sigma`` is (2,): the first number is of the width, as in Keras, whose kernels are (width, height).
    """
    x = floating(x)
    for axis, which in ((1, 1), (2, 0)):
        at = np.arange(size[which]) - (size[which] - 1) / 2
        spread = n.index_basic(n.cast(sigma, x.dtype), (which,))
        weights = [n.exp(n.multiply(n.square(n.divide(float(d), spread)), -0.5)) for d in at]
        total = weights[0]
        for weight in weights[1:]:
            total = total + weight
        x = filtered(x, [weight / total for weight in weights], axis)
    return x


@function
def blur_some(
    x: Node, chance: Node, draw: Node, seed: Node, stream: Node,
    size: tuple[int, int], sigma: tuple[float, float], low: float, high: float,
) -> Node:  # fmt: skip
    """`gaussian_blur` where a number from 0 to 1 is below the chance, by sigmas that are drawn once for the batch."""
    x = floating(x)
    drawn = apply("random", seed, stream, shape=(2,), dtype=x.dtype)
    spread = n.add(n.multiply(drawn, sigma[1] - sigma[0]), sigma[0] + 1e-6)
    blurred = gaussian_blur(x, spread, size)
    return n.clip(n.where(with_ones(n.less(draw, chance), x.ndim), blurred, x), low, high)


@function
def stretch(x: Node, low: float, high: float) -> Node:
    """Each channel of each image from its least to its largest value stretched to the whole range."""
    y = floating(x)
    values = scaled(y, low, high, (0.0, 255.0))
    least, most = (f(values, axis=(1, 2), keepdims=True) for f in (n.min, n.max))
    flat = n.equal(most, least)
    scale = n.divide(255.0, n.where(flat, 1.0, n.subtract(most, least)))
    result = n.clip(n.subtract(n.multiply(values, scale), n.multiply(least, scale)), 0.0, 255.0)
    return n.where(flat, y, scaled(result, 0.0, 255.0, (low, high)))


@function
def solarize(x: Node, addition: Node, threshold: Node, low: float, high: float) -> Node:
    """Values, after an addition, inverted from a threshold on; both are of 255."""
    y = scaled(floating(x), low, high, (0.0, 255.0))
    y = n.clip(n.add(y, with_ones(addition, y.ndim)), 0.0, 255.0)
    y = n.where(n.less(y, with_ones(threshold, y.ndim)), y, n.subtract(255.0, y))
    return scaled(y, 0.0, 255.0, (low, high))


@function
def signed(x: Node, sign: Node) -> Node:
    """``x`` where ``sign`` is 0 or less, and -x where it is more."""
    return n.where(n.greater(sign, 0.0), n.negative(x), x)


@function
def whole_part(x: Node) -> Node:
    """The largest whole number that is not above ``x``."""
    return n.floor(x)


@function
def in_floats(x: Node) -> Node:
    """``x`` in floats."""
    return floating(x)

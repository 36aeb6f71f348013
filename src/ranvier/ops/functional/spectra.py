"""Spectra of signals as contractions: windowed frames times matrices of cosines and sines, never more than is read.

A frame about its middle is the sum of an even and an odd part. The cosines read the one, the sines the other, so each
product has half of the rows. In an even number of bins, those at k and n / 2 - k differ in the signs of every second
row. So the even and the odd rows are multiplied apart, for half of the bins; the sums give the bins below n / 4, the
differences those above. That is a quarter of the multiplications of a matrix of all samples and bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ranvier.graph.contraction import contract, plain
from ranvier.graph.node import GraphError, Node, apply, constant, extent, extents
from ranvier.ops import arrays as n
from ranvier.ops.arrays.promotion import expand, floating
from ranvier.ops.functional.convolution import padding_of
from ranvier.ops.functional.fourier import of_size, real_inverse, rotated, turns
from ranvier.ops.functional.spatial import extend
from ranvier.support.window_functions import Window, window_values
from ranvier.tensor.function import function


@function
def frames(x: Node, length: int, step: int) -> Node:
    """(..., samples) -> (..., frames, length): the windows of ``length`` samples that begin ``step`` apart."""
    if extent(x, -1) < length:
        raise GraphError(f"frames of {length} samples do not fit signals of {extent(x, -1)}: write a smaller frame")
    return apply("windows", x, axes=((x.ndim - 1, length, step, 1),))


@function
def filtered(x: Node, kernel: Node, step: int, padding: str = "valid") -> Node:
    """(batch, channels, samples) -> (batch, channels, frames, bins): frames times a kernel (samples, 1, bins)."""
    x = floating(x)
    length, _, bins = extents(kernel)
    pairs = padding_of(padding, extents(x, -1), (length,), (step,), (1,))
    x = extend(x, pairs, start=2)
    count = (extent(x, -1) - length) // step + 1
    if count < 1:
        raise GraphError(f"frames of {length} samples do not fit signals of {extent(x, -1)}: write a smaller frame")
    matrix = apply("reshape", kernel, shape=(length, bins))
    loops = [*x.shape[:2], count, bins, length]
    index = [*plain(0, 1), (((2, step), (4, 1)), 0)]
    return contract(x, matrix, index, plain(4, 3), loops, 4)


@function
def overlap_add(x: Node, step: int) -> Node:
    """(..., frames, length) -> (..., samples): the sum of frames that begin ``step`` apart."""
    count, length = extent(x, -2), extent(x, -1)
    blocks = -(-length // step)
    x = of_size(x, blocks * step)
    total: Node | None = None
    for i in range(blocks):
        part = apply("slice", x, ranges=(*(None,) * (x.ndim - 1), (i * step, (i + 1) * step, 1)))
        part = extend(part, ((i, blocks - 1 - i),), start=x.ndim - 2)
        total = part if total is None else total + part
    assert total is not None
    return of_size(
        apply("reshape", total, shape=(*x.shape[:-2], (count + blocks - 1) * step)), (count - 1) * step + length
    )


class Part(NamedTuple):
    """Some bins of the spectrum of frames: sums of cosines and of sines of samples, counted from ``middle``."""

    cosines: Node
    sines: Node
    bins: Any
    middle: int


def _middle(window: Any) -> tuple[Any, int, int]:
    """The window without its zeros, of an odd length, with its start; and its middle within the frame."""
    kept = np.flatnonzero(window)
    if not len(kept):
        raise GraphError("a window of zeros hears nothing: write other numbers")
    start, stop = int(kept[0]), int(kept[-1]) + 1
    stop += (stop - start + 1) % 2
    return np.append(window, 0.0)[start:stop], start, start + (stop - start) // 2


def parts(x: Node, window: Any, step: int, size: int, bins: Any) -> list[Part]:
    """The given ``bins`` of ``size``-point spectra of the frames of (..., samples), and perhaps more, in parts.

    ``window`` has a number for each sample of a frame, known when the program is built or a node. See the head of this
    file.
    """
    frame = extent(window, 0) if isinstance(window, Node) else len(window)
    weights, start, middle = _middle(np.ones(frame) if isinstance(window, Node) else window)
    length, half = len(weights), len(weights) // 2
    count = (extent(x, -1) - frame) // step + 1
    if count < 1:
        raise GraphError(
            f"frames of {frame} samples do not fit signals of {extent(x, -1)}: write a smaller frame, or pad"
        )
    stop = start + (count - 1) * step + length
    if stop > extent(x, -1):  # the last number of an even window was made odd by a zero
        x = of_size(x, stop)
    cut = apply("slice", x, ranges=(*(None,) * (x.ndim - 1), (start, stop, 1)))
    framed = frames(cut, length, step)
    symmetric = np.allclose(weights, weights[::-1], rtol=1e-12, atol=1e-15)
    if isinstance(window, Node) or not symmetric:
        known = of_size(window, length) if isinstance(window, Node) else constant(weights, x.dtype)
        framed = framed * expand(known, framed.shape)
        weights = np.ones(length)
    mirror = size % 2 == 0
    low = np.unique(np.minimum(bins, size // 2 - bins)) if mirror else np.asarray(bins)
    low = np.arange(low.min(), low.max() + 1)
    halves = []
    for first, stride in ((0, 2), (1, 2)) if mirror else ((0, 1),):
        rows = np.arange(first, half + 1, stride)
        if len(rows):
            halves.append(_folded(framed, half, rows, weights[half + rows], low, size))
    if len(halves) == 1:
        halves.append((n.multiply(halves[0][0], 0.0), n.multiply(halves[0][1], 0.0)))
    (even, even_sines), (odd, odd_sines) = halves
    made = [Part(even + odd, even_sines + odd_sines, low, middle)]
    above = low[4 * low < size]
    if mirror and np.isin(size // 2 - above, bins).any():
        ranges = (*(None,) * (even.ndim - 1), (0, len(above), 1))
        values = (even - odd, odd_sines - even_sines)
        cosines, sines = (v if len(above) == len(low) else apply("slice", v, ranges=ranges) for v in values)
        made.append(Part(cosines, sines, size // 2 - above, middle))
    return made


def _folded(framed: Node, half: int, rows: Any, weights: Any, bins: Any, size: int) -> tuple[Node, Node]:
    """The sums of some samples after and before the middle, times cosines, and their differences times sines."""
    first, stride, reach = int(rows[0]), int(rows[-1] - rows[0]) // max(len(rows) - 1, 1) or 1, int(rows[-1])
    lead = (None,) * (framed.ndim - 1)
    after = apply("slice", framed, ranges=(*lead, (half + first, half + reach + 1, stride)))
    before = apply("slice", framed, ranges=(*lead, (half - reach, half - first + 1, stride)))
    before = apply("reverse", before, axes=(framed.ndim - 1,))
    angles = turns(rows, bins, size)
    scaled = np.where(rows == 0, 0.5, 1.0) * weights  # the sample in the middle is added to itself
    matrices = (np.cos(angles) * scaled[:, None], np.sin(angles) * weights[:, None])
    cosines, sines = (constant(m, framed.dtype) for m in matrices)
    return n.matmul(after + before, cosines), n.matmul(after - before, sines)


def _joined(pieces: Sequence[tuple[Node, Any]]) -> Node:
    """All bins in order: those of the first part, then those of the second from its last to its first."""
    (low, _), *rest = pieces
    if not rest:
        return low
    return apply("concatenate", low, apply("reverse", rest[0][0], axes=(low.ndim - 1,)), axis=low.ndim - 1)


def centred(window: Any, size: int) -> Any:
    """A window, numbers or a node, in the middle of a frame of ``size`` samples."""
    length = extent(window, 0) if isinstance(window, Node) else len(window)
    before = (size - length) // 2
    pair = (before, size - length - before)
    return extend(window, (pair,), start=0) if isinstance(window, Node) else np.pad(window, pair)


def padded(x: Node, size: int) -> Node:
    """Half a frame of the signal itself, mirrored, at both ends, so that frames have their middles in the signal."""
    if extent(x, -1) <= size // 2:
        raise GraphError(
            f"half of a frame of {size} samples is mirrored at the ends, and signals of {extent(x, -1)} are too short "
            "for it: write a smaller fft_length, or pad the signals"
        )
    return extend(x, ((size // 2, size // 2),), "reflect", start=x.ndim - 1)


@function
def short_time_fourier(
    x: Node, window: Window, length: int, step: int, size: int, center: bool = True
) -> tuple[Node, Node]:
    """(..., samples) -> two of (..., frames, size // 2 + 1): real and imaginary parts of the spectra of frames.

    A frame has ``size`` samples, those of the window, of ``length``, in its middle.
    """
    x = floating(x)
    return bins_of(padded(x, size) if center else x, centred(window_values(window, length), size), step)


def bins_of(x: Node, window: Any, step: int) -> tuple[Node, Node]:
    """All bins of the spectra of frames as long as the window, which is as in `parts`: real and imaginary parts."""
    size = extent(window, 0) if isinstance(window, Node) else len(window)
    turned = []
    for cosines, sines, bins, middle in parts(x, window, step, size, np.arange(size // 2 + 1)):
        angles = turns([middle], bins, size)[0]
        turned.append((*rotated(cosines, n.negative(sines), -angles), bins))
    return _joined([(re, bins) for re, _, bins in turned]), _joined([(im, bins) for _, im, bins in turned])


@function
def inverse_short_time_fourier(
    real: Node, imag: Node, window: Window, length: int, step: int, size: int, samples: int | None = None,
    center: bool = True,
) -> Node:  # fmt: skip
    """The signal whose `short_time_fourier` comes nearest to this: windowed frames added, by the sum of their squares.

    (Griffin and Lim, 1984.) Samples that no window reaches are 0.
    """
    values = centred(window_values(window, length), size)
    made = real_inverse(real, imag, size)
    made = made * expand(constant(values, made.dtype), made.shape)
    y = overlap_add(made, step)
    total, count = np.zeros(extent(y, -1)), extent(made, -2)
    for i in range(count):
        total[i * step : i * step + size] += values**2
    y = y * expand(constant(np.where(total > 1e-10, 1 / np.maximum(total, 1e-10), 1.0), y.dtype), y.shape)
    start = size // 2 if center else 0
    stop = extent(y, -1) - start if samples is None else start + samples
    y = of_size(y, max(stop, extent(y, -1)))
    return apply("slice", y, ranges=(*(None,) * (y.ndim - 1), (start, stop, 1)))

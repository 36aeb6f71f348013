"""Fourier transforms of a dimension as contractions. Complex numbers are two real nodes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ranvier.graph.node import GraphError, Node, apply, constant, extent
from ranvier.ops import arrays as n
from ranvier.ops.arrays.promotion import expand, floating
from ranvier.ops.arrays.shape import moveaxis
from ranvier.ops.functional.spatial import extend
from ranvier.tensor.function import function

DIRECT = 128  # the most elements that are multiplied by one matrix, where their number is a product
PRIME = 2048  # the same for a prime number, which takes several longer transforms otherwise


def turns(rows: Any, columns: Any, period: int) -> Any:
    """The angles of ``rows * columns / period`` whole turns, which the remainder keeps exact."""
    return 2 * np.pi / period * (np.outer(rows, columns) % period)


def dft(real: Node, imag: Node | None, sign: int = -1) -> tuple[Node, Node]:
    """Sums of the last dimension times ``exp(sign * 2 pi i j k / n)``, of complex numbers as two real parts.

    A long transform is two short ones (Cooley and Tukey, 1965), of a prime length a convolution (Bluestein, 1970).
    """
    size = extent(real, -1)
    inner = next((d for d in range(math.isqrt(size), 1, -1) if size % d == 0), 1)
    if size <= DIRECT or (inner == 1 and size <= PRIME):
        return _direct(real, imag, sign)
    if inner == 1:
        return _bluestein(real, imag, sign)
    outer, lead = size // inner, real.shape[:-1]
    last, turned = len(lead), (*range(len(lead)), len(lead) + 1, len(lead))

    def moved(x: Node | None, shape: tuple[int, ...]) -> Node | None:
        """The last dimension as a matrix, whose rows are then columns."""
        return None if x is None else apply("transpose", apply("reshape", x, shape=(*lead, *shape)), axes=turned)

    re, im = dft(moved(real, (inner, outer)), moved(imag, (inner, outer)), sign)  # type: ignore[arg-type]  # real is a node
    re, im = rotated(re, im, sign * turns(np.arange(outer), np.arange(inner), size))
    flat = (*lead, size)
    re, im = dft(apply("transpose", re, axes=turned), apply("transpose", im, axes=turned), sign)
    assert re.ndim == last + 2
    parts = [apply("reshape", apply("transpose", part, axes=turned), shape=flat) for part in (re, im)]
    return parts[0], parts[1]


def _direct(real: Node, imag: Node | None, sign: int, bins: int | None = None) -> tuple[Node, Node]:
    size = extent(real, -1)
    angles = turns(np.arange(size), np.arange(size if bins is None else bins), size)
    cosines, sines = (constant(m, real.dtype) for m in (np.cos(angles), sign * np.sin(angles)))
    re, im = n.matmul(real, cosines), n.matmul(real, sines)
    if imag is None:
        return re, im
    return re - n.matmul(imag, sines), im + n.matmul(imag, cosines)


def rotated(re: Node, im: Node, angles: Any) -> tuple[Node, Node]:
    """Complex numbers turned by these angles."""
    cosines, sines = (expand(constant(m, re.dtype), re.shape) for m in (np.cos(angles), np.sin(angles)))
    return re * cosines - im * sines, re * sines + im * cosines


def _bluestein(real: Node, imag: Node | None, sign: int) -> tuple[Node, Node]:
    """A transform of any length as a convolution with a chirp: j * k = (j**2 + k**2 - (k - j)**2) / 2."""
    size = extent(real, -1)
    padded = 1 << (2 * size - 1).bit_length()
    chirp = np.pi / size * (np.arange(size) ** 2 % (2 * size))
    around = np.zeros(padded, complex)
    around[:size] = np.exp(-1j * sign * chirp)
    around[padded - size + 1 :] = around[size - 1 : 0 : -1]
    kernel = np.fft.fft(around)
    zero = n.multiply(real, 0.0) if imag is None else imag
    re, im = (n.pad(x, ((0, 0),) * (x.ndim - 1) + ((0, padded - size),)) for x in rotated(real, zero, sign * chirp))
    re, im = dft(re, im)
    k_re, k_im = (expand(constant(m / padded, re.dtype), re.shape) for m in (kernel.real, kernel.imag))
    re, im = dft(re * k_re - im * k_im, re * k_im + im * k_re, 1)
    re, im = (apply("slice", x, ranges=(*(None,) * (x.ndim - 1), (0, size, 1))) for x in (re, im))
    return rotated(re, im, sign * chirp)


@function
def fourier(real: Node, imag: Node, axes: int = 1, inverse: bool = False) -> tuple[Node, Node]:
    """The discrete Fourier transform over the last ``axes`` dimensions; the inverse is divided by their extents."""
    real, imag = floating(real), floating(imag)
    if real.ndim < axes:
        raise GraphError(f"a transform over {axes} dimensions needs as many, not {real.type}: write x[None]")
    for axis in range(real.ndim - axes, real.ndim):
        real, imag = dft(moveaxis(real, axis, -1), moveaxis(imag, axis, -1), 1 if inverse else -1)
        real, imag = moveaxis(real, -1, axis), moveaxis(imag, -1, axis)
        if inverse:
            real, imag = (n.multiply(x, 1 / extent(x, axis)) for x in (real, imag))
    return real, imag


def of_size(x: Node, size: int) -> Node:
    """The first ``size`` elements of the last dimension, or all with zeros after them."""
    more = size - extent(x, -1)
    return x if not more else extend(x, ((0, more),), start=x.ndim - 1)


@function
def real_fourier(x: Node, length: int | None = None) -> tuple[Node, Node]:
    """The Fourier transform of real numbers along the last dimension: the bins from 0 to n / 2."""
    x = floating(x)
    if not x.ndim:
        raise GraphError("a transform needs a dimension, and this is a number: write x[None]")
    x = x if length is None else of_size(x, length)
    size = extent(x, -1)
    bins = size // 2 + 1
    if size <= DIRECT:
        return _direct(x, None, -1, bins)
    re, im = (of_size(part, bins) for part in dft(x, None))
    return re, im


@function
def real_inverse(real: Node, imag: Node, length: int | None = None) -> Node:
    """The real numbers of which these are the bins: `real_fourier` undone, of ``length`` elements."""
    real, imag = floating(real), floating(imag)
    size = 2 * (extent(real, -1) - 1) if length is None else length
    bins = size // 2 + 1
    real, imag = of_size(real, bins), of_size(imag, bins)
    # The other half holds the conjugates: each bin between counts twice.
    weights = np.where((np.arange(bins) == 0) | (2 * np.arange(bins) == size), 1, 2) / size
    if size <= 4 * DIRECT:
        angles = turns(np.arange(bins), np.arange(size), size)
        matrices = (np.cos(angles) * weights[:, None], -np.sin(angles) * weights[:, None])
        re, im = (n.matmul(x, constant(m, x.dtype)) for x, m in zip((real, imag), matrices, strict=True))
        return re + im
    re, im = (x * expand(constant(weights, x.dtype), x.shape) for x in (real, imag))
    return dft(of_size(re, size), of_size(im, size), 1)[0]

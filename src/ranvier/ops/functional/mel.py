"""The mel scale: bands of spectra as ears tell them apart, decibels, cepstral coefficients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ranvier.graph.node import GraphError, Node, constant, extent
from ranvier.ops import arrays as n
from ranvier.ops.arrays.promotion import floating
from ranvier.ops.functional.spectra import centred, padded, parts
from ranvier.support.window_functions import Window, window_values
from ranvier.tensor.function import function

MEL_SCALES = ("keras", "htk", "slaney")


def hertz_to_mel(frequency: Any, slaney: bool = False) -> Any:
    """Frequencies on the mel scale of HTK, or of Slaney's Auditory Toolbox: linear up to 1,000 Hz."""
    frequency = np.asarray(frequency, np.float64)
    if not slaney:
        return 2595 * np.log10(1 + frequency / 700)
    return np.where(
        frequency < 1000, frequency * 3 / 200, 15 + 27 * np.log(np.maximum(frequency, 1000) / 1000) / np.log(6.4)
    )


def mel_to_hertz(mel: Any, slaney: bool = False) -> Any:
    """What undoes `hertz_to_mel`."""
    mel = np.asarray(mel, np.float64)
    if not slaney:
        return 700 * (10 ** (mel / 2595) - 1)
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(np.log(6.4) / 27 * (np.maximum(mel, 15) - 15)))


def mel_matrix(
    bands: int, size: int, rate: float, low: float, high: float, scale: str = "htk", norm: str | None = None
) -> Any:
    """The shares (size // 2 + 1, bands) of a spectrum's bins in overlapping triangles on the mel scale.

    ``scale`` is "htk" or "slaney", where triangles are straight in Hertz, as in librosa and torchaudio; or "keras",
    HTK's scale with triangles that are straight in mel, and without the bin of 0 Hz. With ``norm="slaney"`` each
    triangle has an area of 1.
    """
    slaney, frequencies = scale == "slaney", np.arange(size // 2 + 1) * rate / size
    if scale == "keras":  # where the last bin is half of the rate, though its number be odd
        frequencies = np.linspace(0, rate / 2, size // 2 + 1)
    edges = np.linspace(hertz_to_mel(low, slaney), hertz_to_mel(high, slaney), bands + 2)
    hertz = mel_to_hertz(edges, slaney)
    places, ends = (hertz_to_mel(frequencies), edges) if scale == "keras" else (frequencies, hertz)
    rising = (places[:, None] - ends[:-2]) / (ends[1:-1] - ends[:-2])
    falling = (ends[2:] - places[:, None]) / (ends[2:] - ends[1:-1])
    matrix = np.maximum(0, np.minimum(rising, falling))
    if scale == "keras":
        matrix[0] = 0
    return matrix * (2 / (hertz[2:] - hertz[:-2])) if norm == "slaney" else matrix


@function
def mel_spectrogram(
    x: Node, window: Window, length: int, step: int, size: int, rate: float, bands: int, low: float, high: float,
    scale: str = "htk", norm: str | None = None, exponent: float = 2.0,
) -> Node:  # fmt: skip
    """(..., samples) -> (..., frames, bands): the magnitudes of spectra, to a power, summed over bands of `mel_matrix`.

    Bins that no band reads are not computed.
    """
    x = padded(floating(x), size)
    matrix = mel_matrix(bands, size, rate, low, high, scale, norm)
    bins = np.flatnonzero(matrix.any(1))
    if not len(bins):
        raise GraphError(f"no bin of a {size}-point spectrum is in the mel bands: write a larger fft_length")
    total: Node | None = None
    for cosines, sines, own, _ in parts(x, centred(window_values(window, length), size), step, size, bins):
        power = cosines * cosines + sines * sines
        power = power if exponent == 2 else n.sqrt(power) if exponent == 1 else n.power(power, exponent / 2)
        shares = n.matmul(power, constant(matrix[own], power.dtype))
        total = shares if total is None else total + shares
    assert total is not None
    return total


@function
def decibels(x: Node, least: float, reference: float, below: float | None) -> Node:
    """``10 * log10(x / reference)``, of at least ``least``; and, unless None, at most ``below`` under the largest."""
    y = n.multiply(n.log(n.maximum(x, least)), 10 / math.log(10))
    y = n.subtract(y, 10 * math.log10(max(abs(reference), least)))
    return y if below is None else n.maximum(y, n.subtract(n.max(y), below))


@function
def cosine_transform(x: Node, count: int) -> Node:
    """The first ``count`` coefficients of the orthonormal discrete cosine transform of the last dimension (type II)."""
    size = extent(x, -1)
    matrix = np.cos(np.pi / size * np.outer(np.arange(size) + 0.5, np.arange(count))) * math.sqrt(2 / size)
    matrix[:, 0] /= math.sqrt(2)
    return n.matmul(x, constant(matrix, x.dtype))

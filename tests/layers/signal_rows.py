"""Rows for the layers of signals, by NumPy's Fourier transform."""

import numpy as np

from ranvier import layers
from ranvier.ops.functional.mel import mel_matrix
from ranvier.support.window_functions import window_values

X = np.random.default_rng(6).normal(size=(2, 90)).astype(np.float32)
STEREO = np.random.default_rng(7).normal(size=(2, 40, 2)).astype(np.float32)
SPECTRA = np.random.default_rng(8).normal(size=(2, 6, 5)).astype(np.float32)
MEL = {"fft_length": 32, "sequence_stride": 10, "sampling_rate": 1000, "num_mel_bins": 4}


def mel(x, scale="keras", norm=None, exponent=2.0, length=32, low=20):
    before = (32 - length) // 2
    window = np.pad(window_values("hann", length), (before, 32 - length - before))
    framed = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (16, 16)), "reflect"), 32, 1)[:, ::10]
    power = np.abs(np.fft.rfft(framed * window)) ** exponent
    return (power @ mel_matrix(4, 32, 1000, low, 500, scale, norm)).swapaxes(1, 2)


def decibels(x, top=80.0):
    y = 10 * np.log10(np.maximum(x, 1e-10))
    return np.maximum(y, y.max() - top)


def spectrum(x, length, step, size, window="hann"):
    """(batch, channels, frames, bins), with a symmetric window of norm 1."""
    values = window_values(window, length, periodic=False)
    framed = np.lib.stride_tricks.sliding_window_view(x, length, 1)[:, ::step]
    return np.fft.rfft(framed * values / np.linalg.norm(values), size)


def cosines(x, count):
    size = x.shape[1]
    matrix = np.cos(np.pi / size * np.outer(np.arange(count), np.arange(size) + 0.5)) * np.sqrt(2 / size)
    matrix[0] /= np.sqrt(2)
    return matrix @ x


ROWS = {
    "mel": (lambda: layers.MelSpectrogram(**MEL), X, lambda m, x: decibels(mel(x))),
    "mel, quiet": (lambda: layers.MelSpectrogram(**MEL, top_db=3.0), X, lambda m, x: decibels(mel(x), 3.0)),
    "mel, magnitude": (
        lambda: layers.MelSpectrogram(**MEL, power_to_db=False, mag_exp=1.0, sequence_length=25), X,
        lambda m, x: mel(x, exponent=1.0, length=25),
    ),
    "mel, slaney": (
        lambda: layers.MelSpectrogram(**MEL, power_to_db=False, mel_scale="slaney", mel_norm="slaney", mag_exp=3.0), X,
        lambda m, x: mel(x, "slaney", "slaney", 3.0),
    ),
    "mfcc": (
        lambda: layers.MFCC(3, 32, 10, sampling_rate=1000, num_mel_bins=4, top_db=None), X,
        lambda m, x: cosines(decibels(mel(x, "htk", low=0), np.inf), 3),
    ),
    "stft, magnitude": (
        lambda: layers.STFTSpectrogram("magnitude", 16, 5), STEREO,
        lambda m, x: np.concatenate([np.sqrt(np.maximum(np.abs(spectrum(x[..., c], 16, 5, 16)) ** 2, 1e-7)) for c in (0, 1)], 2),
    ),
    "stft, both parts": (
        lambda: layers.STFTSpectrogram("stft", 16, fft_length=32, expand_dims=True), STEREO[..., :1],
        lambda m, x: np.concatenate([(y := spectrum(x[..., 0], 16, 8, 32)).real, y.imag], 2)[..., None],
    ),
    "random shift, inferring": (lambda: layers.RandomShift(0.3).eval(), X, lambda m, x: x),
    "random noise, inferring": (lambda: layers.RandomNoise().eval(), X, lambda m, x: x),
    "spec augment, inferring": (lambda: layers.SpecAugment().eval(), SPECTRA, lambda m, x: x),
}  # fmt: skip

"""Signals: Fourier transforms, frames and mel bands against NumPy's transform and plain formulas."""

import numpy as np
import pytest

import ranvier as rv
from ranvier import ops
from ranvier.ops.functional import mel, spectra
from ranvier.support.window_functions import window_values
from ranvier.tensor.tensor import Tensor

RNG = np.random.default_rng(5)
X = RNG.normal(size=(2, 700)).astype(np.float32)


def complexes(pair):
    return pair[0].numpy() + 1j * pair[1].numpy()


@pytest.fixture
def reference():
    rv.set_engine("reference")
    yield
    rv.set_engine(None)


@pytest.mark.parametrize("size", [1, 2, 9, 128, 131, 360, 2053])  # direct, prime, product, prime and long
def test_transforms_of_a_dimension(size, reference):
    x, y = RNG.normal(size=(2, 3, size)).astype(np.float32)
    near = {"rtol": 0, "atol": 4e-6 * np.sqrt(size)}
    np.testing.assert_allclose(complexes(ops.fft((x, y))), np.fft.fft(x + 1j * y), **near)
    bins = ops.rfft(x)
    np.testing.assert_allclose(complexes(bins), np.fft.rfft(x), **near)
    np.testing.assert_allclose(ops.irfft(bins, fft_length=size), x, atol=1e-5)


def test_transforms_of_two_dimensions_and_of_other_lengths(engine):
    x, y = RNG.normal(size=(2, 3, 4, 10)).astype(np.float32)
    pair = ops.fft2((x, y))
    np.testing.assert_allclose(complexes(pair), np.fft.fft2(x + 1j * y), atol=1e-4)
    np.testing.assert_allclose(complexes(ops.ifft2(pair)), x + 1j * y, atol=1e-5)
    for length in (6, 15):
        np.testing.assert_allclose(complexes(ops.rfft(x, length)), np.fft.rfft(x, length), atol=1e-5)
        np.testing.assert_allclose(ops.irfft((x, y), length), np.fft.irfft(x + 1j * y, length), atol=1e-5)
    with pytest.raises(ValueError, match=r"Write \(real, imag\)"):
        ops.fft((x, y[0]))


SHORT = [  # length, step, size, window, center
    (40, 16, 64, "hann", True),
    (40, 16, 50, "hamming", False),  # half of the bins is odd
    (33, 20, 45, None, True),  # an odd number of bins
    (12, 5, 12, tuple(np.linspace(1, 2, 12)), False),  # a window without symmetry
    (1, 3, 4, None, False),
]


def spectra_by_numpy(x, length, step, size, window, center):
    before = (size - length) // 2
    values = np.pad(window_values(window, length), (before, size - length - before))
    x = np.pad(x, ((0, 0), (size // 2,) * 2), "reflect") if center else x
    framed = np.lib.stride_tricks.sliding_window_view(x, size, 1)[:, ::step]
    return np.fft.rfft(framed * values)


@pytest.mark.parametrize(("length", "step", "size", "window", "center"), SHORT)
def test_spectra_of_frames_and_back(length, step, size, window, center, engine):
    options = (length, step, size, window, center)
    if window is None:
        options = (size, step, size, window, center)
    found = ops.stft(X, length, step, size, window, center)
    np.testing.assert_allclose(complexes(found), spectra_by_numpy(X, *options), atol=5e-5)
    if step <= length // 2:
        again = ops.istft(found, length, step, size, 600, window, center).numpy()
        np.testing.assert_allclose(again[:, 40:-40], X[:, 40:560], atol=1e-4)


def test_windows():
    np.testing.assert_allclose(window_values("hann", 5, periodic=False), [0, 0.5, 1, 0.5, 0], atol=1e-12)
    np.testing.assert_allclose(window_values("hamming", 4), [0.08, 0.54, 1, 0.54])
    for window, message in (("hat", "Write 'boxcar'"), ((1.0, 2.0), "Write 5 numbers")):
        with pytest.raises(ValueError, match=message):
            window_values(window, 5)


def test_signals_that_are_too_short_are_refused():
    for make, message in (
        (lambda: ops.stft(X[:, :30], 40, 10, 64), "too short"),
        (lambda: ops.stft(X[:, :30], 40, 10, 64, center=False), "smaller frame"),
        (lambda: ops.extract_sequences(X[:, :30], 40, 10), "smaller frame"),
        (lambda: ops.stft(X, 40, 10, 32), "fft_length=40 or more"),
        (lambda: ops.stft(X, 8, 4, 8, np.zeros(8)), "window of zeros"),
    ):
        with pytest.raises(ValueError, match=message):
            make()


@pytest.mark.parametrize(("length", "step"), [(20, 7), (20, 20), (33, 3), (12, 5)])
def test_gradients_of_frames_are_overlapping_sums(length, step, engine):
    x = Tensor(X, requires_grad=True)
    y = ops.extract_sequences(x, length, step)
    g = RNG.normal(size=y.shape).astype(np.float32)
    (y * g).sum().backward()
    expected = np.zeros_like(X)
    for i in range(y.shape[1]):
        expected[:, i * step : i * step + length] += g[:, i]
    np.testing.assert_allclose(x.grad, expected, atol=1e-5)
    used = (y.shape[1] - 1) * step + length
    np.testing.assert_allclose(spectra.overlap_add(g, step=step), expected[:, :used], atol=1e-5)


def test_mel_scales():
    """HTK's formula; and Slaney's, straight to 1,000 Hz and then 27 steps for a factor of 6.4."""
    np.testing.assert_allclose(mel.hertz_to_mel(1000), 999.9855, atol=1e-3)
    np.testing.assert_allclose(mel.hertz_to_mel([200, 1000, 6400], slaney=True), [3, 15, 42])
    for slaney in (False, True):
        np.testing.assert_allclose(
            mel.mel_to_hertz(mel.hertz_to_mel([0, 440, 5000], slaney), slaney), [0, 440, 5000], atol=1e-9
        )


@pytest.mark.parametrize("scale", mel.MEL_SCALES)
def test_mel_bands_overlap_by_half(scale):
    matrix = mel.mel_matrix(10, 4096, 16000, 100, 7000, scale)
    middle = slice(int(np.argmax(matrix[:, 0])) + 1, int(np.argmax(matrix[:, -1])))
    np.testing.assert_allclose(matrix.sum(1)[middle], 1, atol=1e-9)  # one falls as the next rises
    area = mel.mel_matrix(10, 4096, 16000, 100, 7000, scale, "slaney").sum(0) * 16000 / 4096
    np.testing.assert_allclose(area, 1, atol=0.02 if scale != "keras" else 0.2)


def test_cosine_transform_is_orthonormal(engine):
    matrix = mel.cosine_transform(np.eye(7, dtype=np.float32), 7).numpy()
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(7), atol=1e-6)
    np.testing.assert_allclose(matrix[:, 0], 1 / np.sqrt(7), rtol=1e-6)

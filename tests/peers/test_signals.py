"""Spectra of signals against Keras, PyTorch and SciPy."""

import numpy as np
import pytest

import ranvier.torch as ours_torch
from ranvier import layers, ops
from ranvier.ops.functional import mel
from ranvier.support.window_functions import COSINE_SUMS, SHAPES, window_values
from ranvier.tensor.tensor import Tensor

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
X = np.random.default_rng(0).normal(size=(3, 3000)).astype(np.float32)
STEREO = np.random.default_rng(1).normal(size=(2, 600, 2)).astype(np.float32)

STFT = [
    {}, {"mode": "psd", "frame_length": 100, "frame_step": 30, "scaling": "spectrum"},
    {"mode": "stft", "expand_dims": True, "padding": "same"}, {"mode": "magnitude", "data_format": "channels_first"},
    {"mode": "real", "window": "hamming", "periodic": True, "fft_length": 512},
    {"mode": "imag", "window": None, "data_format": "channels_first", "expand_dims": True},
    {"mode": "log", "frame_length": 60, "window": "tukey", "fft_length": 60},
]  # fmt: skip


@pytest.mark.parametrize("options", STFT, ids=str)
def test_stft_spectrogram(keras, options):
    x = STEREO.transpose(0, 2, 1).copy() if options.get("data_format") == "channels_first" else STEREO
    theirs, ours = keras.layers.STFTSpectrogram(**options), layers.STFTSpectrogram(**options)
    expected, found = np.asarray(theirs(x)), ours(x).numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-3 if options.get("window", "") is None else 5e-4)
    assert [w.shape for w in ours.weights] == [w.shape for w in theirs.weights]


MEL = [
    {}, {"fft_length": 512, "sequence_length": 400, "sequence_stride": 160, "num_mel_bins": 40},
    {"fft_length": 256, "sequence_stride": 100, "sampling_rate": 8000, "num_mel_bins": 20, "mag_exp": 1.0, "power_to_db": False},
    {"fft_length": 301, "sequence_length": 255, "sequence_stride": 100, "max_freq": 3000, "num_mel_bins": 20, "top_db": 10.0},
]  # fmt: skip


@pytest.mark.parametrize("options", MEL, ids=str)
def test_mel_spectrogram(keras, options):
    for x in (X,) if options else (X, X[0]):
        expected, found = (np.asarray(m.MelSpectrogram(**options)(x)) for m in (keras.layers, layers))
        np.testing.assert_allclose(found, expected, atol=5e-4)


@pytest.mark.parametrize(
    ("length", "step", "size", "window"),
    [(400, 160, 512, "hann"), (255, 100, 300, "hamming"), (64, 16, 66, None), (64, 60, 64, tuple(range(1, 65)))],
    ids=str,
)
@pytest.mark.parametrize("center", [True, False])
def test_stft(keras, length, step, size, window, center):
    theirs, ours = (m.stft(X, length, step, size, window, center) for m in (keras.ops, ops))
    for found, expected in zip(ours, theirs, strict=True):
        expected = np.asarray(expected)
        np.testing.assert_allclose(found.numpy(), expected, atol=2e-6 * np.abs(expected).max())
    if step <= length / 2 and window is not None:  # without a window, Keras's is no inverse
        for samples in (None, 2000) if center else (None,):
            expected = np.asarray(keras.ops.istft(theirs, length, step, size, samples, window, center))
            found = ops.istft(ours, length, step, size, samples, window, center).numpy()
            assert found.shape == expected.shape
            np.testing.assert_allclose(found[:, size:-size], expected[:, size:-size], atol=2e-5)


def test_log_mel_and_its_gradient_as_torchaudio_computes_them():
    """The formula of torchaudio's MelSpectrogram: torch.stft, its power, and HTK's triangles."""
    torch = pytest.importorskip("torch")
    x = torch.tensor(X, requires_grad=True)
    bins = torch.stft(x, 512, 160, 400, torch.hann_window(400), return_complex=True).abs() ** 2
    matrix = torch.tensor(mel.mel_matrix(40, 512, 16000, 0, 8000), dtype=torch.float32)
    expected = torch.einsum("bft,fm->bmt", bins, matrix).clamp(1e-10).log10() * 10
    expected.sum().backward()
    ours = Tensor(X, requires_grad=True)
    found = layers.MelSpectrogram(512, 160, 400, num_mel_bins=40, min_freq=0, top_db=None, mel_scale="htk")(ours)
    found.sum().backward()
    np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), atol=5e-4)
    np.testing.assert_allclose(ours.grad.numpy(), x.grad.numpy(), atol=2e-3 * float(x.grad.abs().max()))


SHORT = [
    {"n_fft": 64}, {"n_fft": 64, "hop_length": 20, "win_length": 40, "window": "hann"},
    {"n_fft": 50, "center": False, "normalized": True, "window": "hamming"},
    {"n_fft": 51, "onesided": False, "pad_mode": "constant"},
    {"n_fft": 64, "onesided": False, "window": "blackman", "pad_mode": "circular"},
    {"n_fft": 64, "hop_length": 9, "win_length": 41, "window": "hann", "center": False, "align_to_window": True},
    {"n_fft": 64, "hop_length": 9, "win_length": 40, "window": "hann", "center": False, "align_to_window": False},
]  # fmt: skip


@pytest.mark.parametrize("options", SHORT, ids=str)
def test_stft_of_pytorch(options):
    torch = pytest.importorskip("torch")
    length = options.get("win_length", options["n_fft"])
    results = []
    for m in (torch, ours_torch):
        own = (
            {**options, "window": getattr(m, f"{options['window']}_window")(length)} if "window" in options else options
        )
        results.append(m.stft(m.tensor(X), return_complex=m is torch, **own))
    np.testing.assert_allclose(results[1].numpy(), torch.view_as_real(results[0]).numpy(), atol=1e-4)
    with pytest.raises(ValueError, match="return_complex=False"):
        ours_torch.stft(ours_torch.tensor(X), 64)
    for m in (torch, ours_torch):
        with pytest.raises(RuntimeError, match="align_to_window"):
            m.stft(m.tensor(X), 64, window=m.hann_window(64), return_complex=m is torch, align_to_window=True)


def test_windows_of_pytorch():
    torch = pytest.importorskip("torch")
    for name in ("hann", "hamming", "blackman", "bartlett"):
        for length, periodic in ((0, True), (1, False), (7, True), (8, False)):
            expected, found = (getattr(m, f"{name}_window")(length, periodic) for m in (torch, ours_torch))
            np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-6)


def test_windows_and_cosine_transform_against_scipy():
    signal, fft = pytest.importorskip("scipy.signal"), pytest.importorskip("scipy.fft")
    for name in (*COSINE_SUMS, *SHAPES):
        for periodic in (True, False):
            for length in (1, 2, 7, 8):
                expected = signal.get_window(name, length, periodic)
                np.testing.assert_allclose(window_values(name, length, periodic), expected, atol=1e-9)
    expected = fft.dct(X[:, :20], norm="ortho")[:, :7]
    np.testing.assert_allclose(mel.cosine_transform(X[:, :20], 7), expected, atol=1e-5)

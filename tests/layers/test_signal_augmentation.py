"""Augmentation of signals and spectra: shifts, noise, masks."""

from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import layers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 40)).astype(np.float32)
SPECTRA = RNG.normal(size=(6, 8, 20)).astype(np.float32)
LAYERS: dict[str, tuple[Any, Any]] = {
    "shift": (lambda **o: layers.RandomShift(0.3, "wrap", **o), X),
    "noise": (layers.RandomNoise, X),
    "masks": (layers.SpecAugment, SPECTRA),
    "masks of images": (lambda **o: layers.SpecAugment(1, 0.5, 1, 0.5, 0.0, **o), SPECTRA[..., None]),
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_engine_draws_the_same_and_evaluation_changes_nothing(name):
    make, x = LAYERS[name]
    found = {}
    for engine in ("reference", "native"):
        rv.set_engine(engine)
        np.testing.assert_array_equal(make()(x, training=False), x)
        rv.set_seed(3)
        found[engine] = make()(x, training=True).numpy()
        assert (make(seed=1)(x, training=True).numpy() != make(seed=1)(x, training=True).numpy()).any()
    rv.set_engine(None)
    np.testing.assert_allclose(found["native"], found["reference"], atol=1e-6)
    assert all((a != b).any() for a, b in zip(found["native"], x, strict=True))


def test_signals_move_by_whole_samples_each_by_its_own(engine):
    y = layers.RandomShift(0.3, "wrap", seed=1)(X, training=True).numpy()
    by = [next(k for k in range(-12, 13) if np.array_equal(np.roll(a, k), b)) for a, b in zip(X, y, strict=True)]
    assert len(set(by)) > 2
    half = layers.RandomShift((0.5, 0.5), fill_value=7)(X[..., None], training=True).numpy()[..., 0]
    assert np.array_equal(half[:, 20:], X[:, :20])
    assert (half[:, :20] == 7).all()


def test_noise_has_the_power_that_is_asked_for(engine):
    x = np.array([[0.1], [3.0]], np.float32) * RNG.normal(size=(2, 20_000)).astype(np.float32)
    noise = layers.RandomNoise(20)(x, training=True).numpy() - x
    np.testing.assert_allclose(10 * np.log10((x**2).mean(1) / (noise**2).mean(1)), 20, atol=0.2)


@pytest.mark.parametrize("time_axis", [1, 2])
def test_masks_are_bands_along_time_and_frequency(time_axis, engine):
    x = np.broadcast_to(np.arange(1, 101, dtype=np.float32).reshape(10, 10), (200, 10, 10)).copy()
    y = layers.SpecAugment(1, 0.5, 0, time_axis=time_axis)(x, training=True).numpy()
    hit = (y != x).swapaxes(1, 2) if time_axis == 1 else y != x
    rows = hit.all(2)
    assert (hit.any(2) == rows).all()  # whole rows
    assert np.unique(y[y != x]).tolist() == [50.5]
    counts = rows.sum(1)
    assert counts.max() <= 6
    assert counts.mean() == pytest.approx(2.5, abs=0.4)
    assert all(np.ptp(np.flatnonzero(r)) + 1 == r.sum() for r in rows if r.any())
    assert np.array_equal(layers.SpecAugment(0, 0.5, 0)(x, training=True), x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.RandomShift(2), "factor"),
        (lambda: layers.RandomShift(0.1, "zero"), "Write 'reflect'"),
        (lambda: layers.RandomNoise("loud"), "Write decibels"),
        (lambda: layers.SpecAugment(time_axis=3), "Write 1 or 2"),
        (lambda: layers.SpecAugment(frequency_width=2), "frequency_width"),
        (lambda: layers.SpecAugment()(X, training=True), "it takes spectrograms"),
        (lambda: layers.MelSpectrogram(window="hat"), "Write 'boxcar'"),
        (lambda: layers.MelSpectrogram(256, sequence_length=400), "fft_length=512"),
        (lambda: layers.MelSpectrogram(max_freq=9000), "min_freq and max_freq"),
        (lambda: layers.MelSpectrogram(mel_scale="bark"), "mel_scale"),
        (lambda: layers.MelSpectrogram()(SPECTRA), r"Write x.mean\(-1\)"),
        (lambda: layers.MelSpectrogram()(SPECTRA[..., :1]), r"Write x\[..., 0\]"),
        (lambda: layers.MelSpectrogram()(X), "too short"),
        (lambda: layers.MFCC(40, num_mel_bins=30), "Write 30 or fewer"),
        (lambda: layers.STFTSpectrogram(frame_length=64, frame_step=65), "frame_step up to frame_length"),
        (lambda: layers.STFTSpectrogram(scaling="l2"), "scaling"),
        (lambda: layers.STFTSpectrogram()(X), "3"),
        (lambda: rv.initializers.STFT("phase"), "side"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()

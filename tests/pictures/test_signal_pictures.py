"""Pictures of signals: spectrograms and explanations over time, drawn whole."""

from typing import Any

import numpy as np
import pytest

from ranvier import pictures
from ranvier.pictures.signals import decibels

RATE = 4000
TONES = np.stack([np.sin(2 * np.pi * f * np.arange(RATE // 4) / RATE) for f in (500, 1250)])


def test_decibels_are_loudest_at_the_tone():
    for tone, frequency in zip(TONES, (500, 1250), strict=True):
        level, step = decibels(tone, RATE)
        assert step == 0.008
        assert level.shape == (65, 32)
        assert level[:, 5:-5].mean(1).argmax() == frequency / (RATE / 128)


@pytest.mark.parametrize(
    "draw",
    [
        lambda path: pictures.spectrogram(TONES[0], RATE, path),
        lambda path: pictures.spectrogram([TONES[0], TONES[1][:70]], RATE, path, captions=["low", "high"]),
        lambda path: pictures.spectrogram(TONES[..., None], RATE, path),
        lambda path: pictures.moments(TONES, -TONES, RATE, path),
        lambda path: pictures.moments(TONES, {"one": TONES, "two": TONES * 0}, RATE, path, captions=["low"]),
    ],
)
def test_drawn_whole(draw, tmp_path):
    made = draw(tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 5000
    assert made.axes[0].get_xlabel() == "seconds"


def test_other_signals_are_refused():
    wrong: tuple[Any, ...] = (np.zeros((2, 30, 2)), [], np.zeros((2, 0)))
    for x in wrong:
        with pytest.raises(ValueError, match=r"Write \(signals, samples\)"):
            pictures.spectrogram(x, RATE)
    with pytest.raises(ValueError, match="gives for these signals"):
        pictures.moments(TONES, TONES[:, :50], RATE)

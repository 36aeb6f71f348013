"""Pictures of signals: spectrograms, and when a score depends on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.pictures.style import BLUE, INK, ORANGE, PALE, Target, finish, grid, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 12  # panels of one figure
FRAME, STEP = 0.032, 0.008  # seconds of a frame, and from one to the next
RANGE = 80  # decibels that are shown, down from the loudest
STRETCH = 0.01  # seconds over which explanations are averaged


def _signals(x: Any) -> list[Array]:
    """Signals of one channel, from an array (samples,), (signals, samples) or a list. Raises ValueError for others."""
    given = [x] if getattr(x, "ndim", 0) == 1 else list(x)
    rows = [np.asarray(row, np.float64) for row in given]
    rows = [row[:, 0] if row.ndim == 2 and row.shape[1] == 1 else row for row in rows]
    wrong = next((row for row in rows if row.ndim != 1 or not len(row)), None)
    if wrong is not None or not rows:
        what = "none" if wrong is None else f"one of shape {wrong.shape}"
        raise ValueError(f"x should be signals of one channel, and there is {what}. Write (signals, samples) instead.")
    return rows[:MOST]


def decibels(signal: Array, rate: float) -> tuple[Array, float]:
    """The power of the spectra (bins, frames) of a signal in decibels, and the seconds from a frame to the next."""
    size = min(1 << max(round(FRAME * rate) - 1, 1).bit_length(), 1 << 14)
    step = max(round(STEP * rate), 1)
    padded = np.pad(signal, size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::step]
    power = np.abs(np.fft.rfft(frames * np.hanning(size))) ** 2
    return 10 * np.log10(np.maximum(power, 1e-12)).T, step / rate


def spectrogram(x: Any, sampling_rate: float, path: Target = None, *, captions: Sequence[str] = ()) -> Figure:
    """Draw the spectrogram of each signal: time from left to right, frequency from bottom to top, dark where loud.

    ``x`` is one signal (samples,), or several: (signals, samples), or a list. ``captions`` are their titles. ``path``
    names a file to write. Returns the figure. Raises ValueError for signals of several channels.
    """
    signals = _signals(x)
    made, panels = grid(len(signals), min(len(signals), 3), (4.2, 2.6), (0.6, 0.4))
    loudest = None
    for i, (axes, signal) in enumerate(zip(panels, signals, strict=True)):
        level, step = decibels(signal, sampling_rate)
        top = float(level.max())
        extent = (-step / 2, (level.shape[1] - 0.5) * step, 0, sampling_rate / 2000)
        loudest = axes.imshow(
            level - top, origin="lower", aspect="auto", extent=extent, cmap="magma_r", vmin=-RANGE, vmax=0,
            interpolation="nearest",
        )  # fmt: skip
        axes.set_title(captions[i] if i < len(captions) else "", loc="left", fontsize=11, color=INK)
        axes.set_xlabel("seconds", color=INK)
        axes.set_ylabel("kHz", color=INK)
    assert loudest is not None
    made.colorbar(loudest, ax=panels, label="decibels below the loudest", aspect=30)
    return finish(made, path)


def moments(x: Any, values: Any, sampling_rate: float, path: Target = None, *, captions: Sequence[str] = ()) -> Figure:
    """Draw when the score of a class depends on each signal: the mean size of an explanation over time.

    ``values`` is an explanation of the signals ``x`` (see `ranvier.explain`), or a dict of at most two by name. Behind
    it is the signal in grey. Each explanation has its own scale. ``captions`` are titles of the signals, ``path`` names
    a file to write. Returns the figure. Raises ValueError for explanations of other signals.
    """
    signals = _signals(x)
    named: Mapping[str, Any] = values if isinstance(values, Mapping) else {"explanation": values}
    rows = {name: _signals(given) for name, given in named.items()}
    for name, given in rows.items():
        if [len(row) for row in given] != [len(signal) for signal in signals]:
            raise ValueError(
                f"{name} has shape {np.shape(named[name])}, and the signals {np.shape(x)}. Write what ranvier.explain "
                "gives for these signals instead."
            )
    made, panels = grid(len(signals), min(len(signals), 2), (5.4, 2.2), (0.4, 0.4))
    stretch = max(round(STRETCH * sampling_rate), 1)
    for i, (axes, signal) in enumerate(zip(panels, signals, strict=True)):
        seconds = np.arange(len(signal)) / sampling_rate
        axes.plot(seconds, signal / max(float(np.abs(signal).max()), 1e-12), color=PALE, linewidth=0.4)
        for colour, (name, given) in zip((ORANGE, BLUE), rows.items(), strict=False):
            size = np.add.reduceat(np.abs(given[i]), np.arange(0, len(signal), stretch))
            size = size / max(float(size.max()), 1e-12)
            axes.step(np.arange(len(size)) * stretch / sampling_rate, size, where="post", color=colour, label=name)
        tidy(axes, captions[i] if i < len(captions) else "")
        axes.set_ylim(-1.05, 1.05)
        axes.set_xlabel("seconds", color=INK)
        axes.set_yticks([])
        axes.legend(loc="lower right", fontsize=8, frameon=False)
    return finish(made, path)

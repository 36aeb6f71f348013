"""Layers that change signals and spectra at random while training: masks, noise, shifts."""

from __future__ import annotations

from typing import Any, Unpack

from ranvier.graph.node import GraphError, Type
from ranvier.layers.annotations import Factor, LayerOptions
from ranvier.layers.base import Layer, whole
from ranvier.layers.resampling import bounds
from ranvier.module.serialization import register_module
from ranvier.ops import arrays
from ranvier.ops.functional import augmentation, resampling
from ranvier.ops.functional.resampling import FILL_MODES
from ranvier.tensor.rng import draw


class SignalLayer(Layer):
    """A layer that changes (batch, ...) while training, each sample by numbers of its own.

    With ``seed`` it draws from a generator of its own. As Keras's random layers, it changes its inputs where it is
    called directly, or within a model whose mode nobody set.
    """

    _starts_training = True
    ranks = (2, 3)  # the numbers of dimensions of inputs, with the batch's
    takes = "signals, (batch, samples) or (batch, samples, channels)"

    def __init__(self, seed: int | None = None, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.seed = seed

    def forward(self, x: Any) -> Any:
        if len(x.shape) not in self.ranks:
            raise GraphError
        return self._change(x) if self.training else x

    def _change(self, x: Any) -> Any:
        raise NotImplementedError

    def shape_error(self, given: Type) -> tuple[str, str] | None:
        if len(given.shape) in self.ranks:
            return None
        return f"it takes {self.takes}, and there are {len(given.shape)} dimensions.", "Write Reshape before it."


@register_module
class RandomShift(SignalLayer):
    """While training, signals moved by a fraction of their length, later where it is positive, by whole samples.

    ``factor`` is a fraction f, for one between -f and f, or two, the least and the most, from -1 to 1. ``fill_mode`` is
    what comes in at the end: "constant" (``fill_value``), "wrap" (what went out at the other), "reflect" or "nearest".
    """

    _shown = "factor={factor}"

    def __init__(
        self,
        factor: Factor,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        seed: int | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(seed, **options)
        self.factor = bounds(factor, "factor", self.name, -1, 1)
        if fill_mode not in FILL_MODES:
            raise ValueError(
                f"fill_mode of layer {self.name!r} is {fill_mode!r}. Write {' or '.join(map(repr, FILL_MODES))}."
            )
        self.fill_mode, self.fill_value = fill_mode, float(fill_value)

    def _change(self, x: Any) -> Any:
        samples = x.shape[1]
        channels = x.shape[2] if len(x.shape) == 3 else 1
        rows = arrays.reshape(x, (-1, 1, samples, channels))
        low, high = (f * samples for f in self.factor)
        right = augmentation.uniform(x, *draw(self.seed), low=low, high=high)
        y = resampling.translate(rows, right * 0.0, right, self.fill_mode, self.fill_value, "nearest")
        return arrays.reshape(y, (-1, *x.shape[1:]))


@register_module
class RandomNoise(SignalLayer):
    """While training, adds normal noise at a random distance from each signal's own power.

    ``snr`` is the ratio of signal to noise in decibels: the least and the most, or one number.
    """

    _shown = "snr={snr}"

    def __init__(self, snr: Factor = (10.0, 40.0), seed: int | None = None, **options: Unpack[LayerOptions]) -> None:
        super().__init__(seed, **options)
        pair = tuple(snr) if isinstance(snr, (tuple, list)) else (snr, snr)
        if len(pair) != 2 or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in pair):
            raise ValueError(f"snr of layer {self.name!r} is {snr!r}. Write decibels, such as (10, 40), instead.")
        self.snr = (float(min(pair)), float(max(pair)))

    def _change(self, x: Any) -> Any:
        ratio = augmentation.uniform(x, *draw(self.seed), low=self.snr[0], high=self.snr[1])
        return augmentation.noise_at(x, ratio, *draw(self.seed))


@register_module
class SpecAugment(SignalLayer):
    """While training, bands of frequency and stretches of time of each spectrogram filled (Park et al., 2019).

    Spectrograms are (batch, frequencies, frames) or (batch, frequencies, frames, channels), as `MelSpectrogram` gives
    them; with ``time_axis=1`` (batch, frames, frequencies), as `STFTSpectrogram` does. There are ``frequency_masks``
    bands, each up to a fraction ``frequency_width`` of the frequencies, and ``time_masks`` stretches, each up to a
    fraction ``time_width`` of the frames. ``fill_value`` is a number, or None for the mean of the spectrogram.
    """

    ranks = (3, 4)
    takes = "spectrograms, (batch, frequencies, frames) with or without a dimension of channels"
    _shown = "{frequency_masks} of {frequency_width:g}, {time_masks} of {time_width:g}"

    def __init__(
        self,
        frequency_masks: int = 2,
        frequency_width: float = 0.2,
        time_masks: int = 2,
        time_width: float = 0.2,
        fill_value: float | None = None,
        time_axis: int = 2,
        seed: int | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(seed, **options)
        self.frequency_masks = whole(frequency_masks, "frequency_masks", self.name, 0)
        self.time_masks = whole(time_masks, "time_masks", self.name, 0)
        self.frequency_width = bounds(frequency_width, "frequency_width", self.name, 0, 1)[1]
        self.time_width = bounds(time_width, "time_width", self.name, 0, 1)[1]
        if time_axis not in (1, 2):
            raise ValueError(f"time_axis of layer {self.name!r} is {time_axis!r}. Write 1 or 2 instead.")
        self.fill_value = None if fill_value is None else float(fill_value)
        self.time_axis = time_axis

    def _change(self, x: Any) -> Any:
        masks = [(3 - self.time_axis, self.frequency_width)] * self.frequency_masks
        masks += [(self.time_axis, self.time_width)] * self.time_masks
        draws = [one for _ in range(2 * len(masks)) for one in draw(self.seed)]
        axes, widths = (tuple(v) for v in zip(*masks, strict=True)) if masks else ((), ())
        return augmentation.mask_bands(x, draws, axes, widths, self.fill_value)

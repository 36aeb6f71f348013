"""Layers from signals to spectra: short-time Fourier transforms, mel bands, cepstral coefficients."""

from __future__ import annotations

from typing import Any, Unpack

from ranvier.graph.node import GraphError, Type
from ranvier.initializers import STFT
from ranvier.layers.annotations import LayerOptions
from ranvier.layers.base import Layer, whole
from ranvier.layers.spatial import Spatial
from ranvier.module.serialization import register_module
from ranvier.ops import arrays
from ranvier.ops.arrays.trigonometry import atan2
from ranvier.ops.functional import mel, spectra
from ranvier.support.window_functions import Window, window_values

BOTH = ("log", "magnitude", "psd", "angle", "stft")  # modes of real and imaginary parts
MODES = (*BOTH, "real", "imag")
LEAST = 1e-7  # what magnitudes are at least before their logarithm, as in Keras


def known_window(window: Any, length: int, name: str) -> Window:
    """A window as a word, a tuple of numbers, or None. Raises ValueError naming the layer."""
    if window is not None and not isinstance(window, str):
        window = tuple(float(v) for v in window)
    try:
        window_values(window, length)
    except ValueError as error:
        raise ValueError(f"layer {name!r}: {error}") from None
    return window


@register_module
class STFTSpectrogram(Spatial):
    """(batch, samples, channels) -> (batch, frames, channels * bins): spectra of each channel's frames.

    Frames of ``frame_length`` samples begin ``frame_step`` apart, by default half of that. They are multiplied by
    ``window`` ("hann", "hamming", "blackman", ..., numbers, or None) and extended to ``fft_length``, by default the
    next power of two. There are ``fft_length // 2 + 1`` bins. ``mode``: "log" or "magnitude" of the spectra, "psd"
    (power spectral density), "angle", "real", "imag", or "stft" (real and imaginary parts, one after the other).
    ``scaling`` divides the window by its norm ("density") or its sum ("spectrum"), or not at all (None).
    ``expand_dims`` gives images, (batch, frames, bins, channels).

    Weights: real_kernel and imag_kernel, (frame_length, 1, bins), which training changes unless ``trainable=False``.
    """

    dimensions = 1
    real_kernel: Any
    imag_kernel: Any
    _shown = "mode={mode!r}, frame_length={frame_length}, frame_step={frame_step}"

    def __init__(
        self,
        mode: str = "log",
        frame_length: int = 256,
        frame_step: int | None = None,
        fft_length: int | None = None,
        window: Any = "hann",
        periodic: bool = False,
        scaling: str | None = "density",
        padding: str = "valid",
        expand_dims: bool = False,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(data_format, **options)
        self.mode = self.one_of(mode, "mode", MODES)
        self.frame_length = whole(frame_length, "frame_length", self.name)
        self.frame_step = whole(
            max(frame_length // 2, 1) if frame_step is None else frame_step, "frame_step", self.name
        )
        size = fft_length or 1 << (frame_length - 1).bit_length()
        self.fft_length = whole(size, "fft_length", self.name)
        if self.frame_step > self.frame_length or self.fft_length < self.frame_length:
            raise ValueError(
                f"layer {self.name!r} has frame_length={frame_length}, frame_step={frame_step} and "
                f"fft_length={fft_length}. Write a frame_step up to frame_length, and an fft_length from it on."
            )
        self.window, self.periodic = known_window(window, self.frame_length, self.name), bool(periodic)
        if scaling is not None:
            self.one_of(scaling, "scaling", ("density", "spectrum"))
        self.scaling, self.expand_dims = scaling, bool(expand_dims)
        self.padding = self.one_of(padding, "padding", ("valid", "same"))

    def build(self, input_shape: tuple[int, ...]) -> None:
        shape = (self.frame_length, 1, self.fft_length // 2 + 1)
        for side in ("real", "imag"):
            if self.mode in (side, *BOTH):
                initializer = STFT(side, self.window, self.scaling, self.periodic)
                self.add_weight(shape, initializer, name=f"{side}_kernel")

    def _change(self, x: Any) -> Any:
        return self._ordered(self._spectrum(arrays.transpose(x, (0, 2, 1)) if not self.first else x))

    def _spectrum(self, x: Any) -> Any:
        """(batch, channels, samples) -> (batch, channels, frames, bins)."""
        kernels = [getattr(self, f"{side}_kernel") for side in ("real", "imag") if self.mode in (side, *BOTH)]
        sides = [spectra.filtered(x, kernel, self.frame_step, self.padding) for kernel in kernels]
        if len(sides) == 1:
            return sides[0]
        real, imag = sides
        if self.mode == "angle":
            return atan2(imag, real)
        if self.mode == "stft":
            return arrays.concatenate([real, imag], axis=3)
        power = real * real + imag * imag
        if self.mode == "psd":  # the other half of the bins, but for the first and the last, has the same power
            return power + arrays.pad(power[..., 1:-1], ((0, 0), (0, 0), (0, 0), (1, 1)))
        magnitude = arrays.sqrt(arrays.maximum(power, LEAST))
        return magnitude if self.mode == "magnitude" else arrays.log(arrays.maximum(magnitude, LEAST))

    def _ordered(self, y: Any) -> Any:
        """(batch, channels, frames, bins) in the order that was asked for."""
        _, channels, frames, bins = y.shape
        if self.expand_dims:
            return y if self.first else arrays.transpose(y, (0, 2, 3, 1))
        order = (0, 1, 3, 2) if self.first else (0, 2, 1, 3)
        shape = (-1, channels * bins, frames) if self.first else (-1, frames, channels * bins)
        return arrays.reshape(arrays.transpose(y, order), shape)


@register_module
class MelSpectrogram(Layer):
    """(batch, samples) -> (batch, num_mel_bins, frames): the spectra of frames, summed over bands on the mel scale.

    Frames of ``fft_length`` samples begin ``sequence_stride`` apart, the first with its middle at sample 0; ``window``
    of ``sequence_length`` samples (by default all) is in their middle. Magnitudes to the power ``mag_exp`` are summed
    over ``num_mel_bins`` overlapping triangles from ``min_freq`` to ``max_freq`` (by default half of
    ``sampling_rate``). With ``power_to_db`` the result is in decibels of ``ref_power``, of at least ``min_power``, and
    at most ``top_db`` below the loudest of the whole batch; with ``top_db=None``, which Keras does not have, samples do
    not depend on each other. The layer takes a single signal, (samples,), too.

    ``mel_scale`` is "keras" (HTK's scale, triangles straight in mel), or, as in librosa and torchaudio, "htk" or
    "slaney" (straight in Hertz); ``mel_norm="slaney"`` gives each triangle an area of 1. Keras has neither argument.
    """

    _shown = "{num_mel_bins} bands, fft_length={fft_length}, sequence_stride={sequence_stride}"

    def __init__(
        self,
        fft_length: int = 2048,
        sequence_stride: int = 512,
        sequence_length: int | None = None,
        window: Any = "hann",
        sampling_rate: int = 16000,
        num_mel_bins: int = 128,
        min_freq: float = 20.0,
        max_freq: float | None = None,
        power_to_db: bool = True,
        top_db: float | None = 80.0,
        mag_exp: float = 2.0,
        min_power: float = 1e-10,
        ref_power: float = 1.0,
        mel_scale: str = "keras",
        mel_norm: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self.fft_length = whole(fft_length, "fft_length", self.name)
        self.sequence_stride = whole(sequence_stride, "sequence_stride", self.name)
        self.sequence_length = whole(sequence_length or fft_length, "sequence_length", self.name)
        if self.fft_length < self.sequence_length:
            raise ValueError(
                f"layer {self.name!r} has fft_length={fft_length} below sequence_length={sequence_length}. Write "
                f"fft_length={1 << (self.sequence_length - 1).bit_length()} instead."
            )
        self.window = known_window(window, self.sequence_length, self.name)
        self.sampling_rate, self.num_mel_bins = sampling_rate, whole(num_mel_bins, "num_mel_bins", self.name)
        self.min_freq, self.max_freq = float(min_freq), float(max_freq or sampling_rate // 2)
        if not 0 <= self.min_freq < self.max_freq <= sampling_rate / 2:
            raise ValueError(
                f"layer {self.name!r} has bands from {self.min_freq:g} to {self.max_freq:g} Hz, and "
                f"sampling_rate={sampling_rate} holds 0 to {sampling_rate / 2:g} Hz. Write min_freq and max_freq in "
                "order within these instead."
            )
        for what, value, known in (("mel_scale", mel_scale, mel.MEL_SCALES), ("mel_norm", mel_norm, ("slaney", None))):
            if value not in known:
                raise ValueError(
                    f"{what} of layer {self.name!r} is {value!r}. Write {' or '.join(map(repr, known))} instead."
                )
        self.power_to_db, self.top_db = bool(power_to_db), top_db
        self.mag_exp, self.min_power, self.ref_power = float(mag_exp), float(min_power), float(ref_power)
        self.mel_scale, self.mel_norm = mel_scale, mel_norm

    def forward(self, x: Any) -> Any:
        return arrays.swapaxes(self.bands(x), -1, -2)

    def bands(self, x: Any) -> Any:
        """(..., samples) -> (..., frames, num_mel_bins)."""
        if len(x.shape) not in (1, 2):
            raise GraphError
        y = mel.mel_spectrogram(
            x, self.window, self.sequence_length, self.sequence_stride, self.fft_length, self.sampling_rate,
            self.num_mel_bins, self.min_freq, self.max_freq, self.mel_scale, self.mel_norm, self.mag_exp,
        )  # fmt: skip
        return mel.decibels(y, self.min_power, self.ref_power, self.top_db) if self.power_to_db else y

    def shape_error(self, given: Type) -> tuple[str, str] | None:
        if len(given.shape) in (1, 2):
            return None
        fix = "x[..., 0]" if len(given.shape) == 3 and given.shape[-1] == 1 else "x.mean(-1)"
        return (
            f"it takes signals of one channel, (batch, samples), and there are {len(given.shape)} dimensions.",
            f"Write {fix} for arrays with a dimension of channels.",
        )


@register_module
class MFCC(MelSpectrogram):
    """(batch, samples) -> (batch, num_coefficients, frames): mel-frequency cepstral coefficients.

    They are the first coefficients of the orthonormal cosine transform of a `MelSpectrogram` in decibels, along its
    bands (Davis and Mermelstein, 1980). ``num_coefficients`` is at most ``num_mel_bins``; the other arguments are those
    of `MelSpectrogram`, with HTK's bands.
    """

    _shown = "{num_coefficients} of {num_mel_bins} bands, fft_length={fft_length}, sequence_stride={sequence_stride}"

    def __init__(
        self,
        num_coefficients: int = 13,
        fft_length: int = 2048,
        sequence_stride: int = 512,
        sequence_length: int | None = None,
        window: Any = "hann",
        sampling_rate: int = 16000,
        num_mel_bins: int = 128,
        min_freq: float = 0.0,
        max_freq: float | None = None,
        top_db: float | None = 80.0,
        min_power: float = 1e-10,
        mel_scale: str = "htk",
        mel_norm: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(
            fft_length, sequence_stride, sequence_length, window, sampling_rate, num_mel_bins, min_freq, max_freq,
            top_db=top_db, min_power=min_power, mel_scale=mel_scale, mel_norm=mel_norm, **options,
        )  # fmt: skip
        self.num_coefficients = whole(num_coefficients, "num_coefficients", self.name)
        if self.num_coefficients > self.num_mel_bins:
            raise ValueError(
                f"num_coefficients of layer {self.name!r} is {num_coefficients}, and there are {num_mel_bins} bands. "
                f"Write {num_mel_bins} or fewer instead."
            )

    def forward(self, x: Any) -> Any:
        y = mel.cosine_transform(self.bands(x), self.num_coefficients)
        return arrays.swapaxes(y, -1, -2)

"""Keras's operations on signals. Complex numbers are two tensors: the real parts and the imaginary parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier.ops.functional import fourier, spectra
from ranvier.ops.keras.elementwise import Operand
from ranvier.support.window_functions import window_values


def _pair(x: Any) -> tuple[Any, Any]:
    """Real and imaginary parts of one shape. Raises ValueError for anything else."""
    if not isinstance(x, (tuple, list)) or len(x) != 2 or tuple(x[0].shape) != tuple(x[1].shape):
        raise ValueError("complex numbers are a pair of tensors of one shape. Write (real, imag) instead.")
    return x[0], x[1]


def _window(window: Any, sequence_length: int, fft_length: int) -> tuple[Any, int]:
    """The window as a word or a tuple, and its length; None is of the whole frame. Raises ValueError for others."""
    if fft_length < sequence_length:
        raise ValueError(
            f"fft_length={fft_length} is below sequence_length={sequence_length}. Write fft_length={sequence_length} "
            "or more instead."
        )
    if window is None:
        return None, fft_length
    words = window if isinstance(window, str) else tuple(float(v) for v in window)
    window_values(words, sequence_length)
    return words, sequence_length


def extract_sequences(x: Operand, sequence_length: int, sequence_stride: int) -> Any:
    """(..., samples) -> (..., sequences, sequence_length): sequences that begin ``sequence_stride`` samples apart."""
    return spectra.frames(x, sequence_length, sequence_stride)


def fft(x: Sequence[Operand]) -> Any:
    """The Fourier transform of complex numbers (real, imag) along the last dimension."""
    return fourier.fourier(*_pair(x))


def fft2(x: Sequence[Operand]) -> Any:
    """The Fourier transform of complex numbers (real, imag) over the last two dimensions."""
    return fourier.fourier(*_pair(x), axes=2)


def ifft2(x: Sequence[Operand]) -> Any:
    """The inverse of `fft2`."""
    return fourier.fourier(*_pair(x), axes=2, inverse=True)


def rfft(x: Operand, fft_length: int | None = None) -> Any:
    """The Fourier transform of real numbers along the last dimension, the bins from 0 to n / 2: (real, imag).

    With ``fft_length`` the dimension is cut off, or extended with zeros, first.
    """
    return fourier.real_fourier(x, length=fft_length)


def irfft(x: Sequence[Operand], fft_length: int | None = None) -> Any:
    """The real numbers that `rfft` gives these bins (real, imag) of; an even number unless ``fft_length`` is odd."""
    return fourier.real_inverse(*_pair(x), length=fft_length)


def stft(
    x: Operand, sequence_length: int, sequence_stride: int, fft_length: int, window: Any = "hann", center: bool = True
) -> Any:
    """The spectra of frames of (..., samples): (real, imag), each (..., frames, fft_length // 2 + 1).

    Frames of ``fft_length`` samples begin ``sequence_stride`` apart, the window in their middle: a word, None, or
    ``sequence_length`` numbers. With ``center`` the signal is mirrored at both ends, so that the first frame has its
    middle at sample 0.
    """
    words, size = _window(window, sequence_length, fft_length)
    return spectra.short_time_fourier(x, words, size, sequence_stride, fft_length, center)


def istft(
    x: Sequence[Operand],
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: Any = "hann",
    center: bool = True,
) -> Any:
    """The signal of spectra (real, imag) of frames: `stft` undone, of ``length`` samples where that is given."""
    words, size = _window(window, sequence_length, fft_length)
    return spectra.inverse_short_time_fourier(*_pair(x), words, size, sequence_stride, fft_length, length, center)

"""PyTorch's operations on signals. There are no complex tensors: their parts are the last dimension."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.graph.node import GraphError, Node, apply, extent
from ranvier.ops import arrays
from ranvier.ops.arrays.promotion import floating
from ranvier.ops.functional.spatial import extend
from ranvier.ops.functional.spectra import bins_of, centred
from ranvier.ops.torch.creation import tensor
from ranvier.support.window_functions import cosine_sum, window_values
from ranvier.tensor.context import get_dtype
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor

MODES = ("reflect", "constant", "replicate", "circular")


@function
def _spectra(
    input: Node, window: Node | None, n_fft: int, hop: int, length: int, padding: tuple[int, int], mode: str,
    normalized: bool, onesided: bool,
) -> Node:  # fmt: skip
    x = floating(input)
    if x.ndim not in (1, 2):
        raise GraphError(f"stft takes (samples,) or (batch, samples), not {x.type}: write x.flatten(0, -2)")
    if any(padding):
        x = extend(x, (padding,), mode, start=x.ndim - 1)
    ones = window is None
    values: Any = np.ones(length) if ones else arrays.cast(window, x.dtype)
    if not ones and (values.ndim != 1 or extent(values, 0) != length):
        raise GraphError(f"stft takes a window of {length} numbers, not {values.type}: write win_length, or another")
    real, imag = bins_of(x, centred(values, n_fft), hop)
    if not onesided:
        ranges = (*(None,) * (real.ndim - 1), (1, (n_fft + 1) // 2, 1))
        others = [apply("reverse", apply("slice", v, ranges=ranges), axes=(v.ndim - 1,)) for v in (real, imag)]
        others[1] = arrays.negative(others[1])
        real, imag = (apply("concatenate", a, b, axis=a.ndim - 1) for a, b in zip((real, imag), others, strict=True))
    y = arrays.stack([arrays.swapaxes(v, -1, -2) for v in (real, imag)], -1)
    return arrays.multiply(y, n_fft**-0.5) if normalized else y


def stft(
    input: Any,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Any:
    """The spectra of frames of (samples,) or (batch, samples): (..., n_fft // 2 + 1, frames, 2), as ``view_as_real``.

    Write ``return_complex=False``, because there are no complex tensors: the last dimension has real and imaginary
    parts. With ``align_to_window`` and ``center=False``, zeros are added so that the first and the last *window*, not
    the first and the last frame, begin and end with the signal. Raises
    ValueError otherwise, and RuntimeError where ``align_to_window`` is given with ``center``.
    """
    if center and align_to_window is not None:
        raise RuntimeError("stft takes align_to_window with center=False only. Leave it out, or write center=False.")
    if return_complex is not False:
        raise ValueError(
            "there are no complex tensors. Write return_complex=False, which gives what view_as_real gives, instead."
        )
    length = n_fft if win_length is None else win_length
    if not 0 < length <= n_fft or pad_mode not in MODES:
        raise ValueError(
            f"stft was given n_fft={n_fft}, win_length={win_length} and pad_mode={pad_mode!r}. Write a win_length from "
            f"1 to n_fft, and a pad_mode of {', '.join(map(repr, MODES))}, instead."
        )
    hop = n_fft // 4 if hop_length is None else hop_length
    before = (n_fft - length) // 2
    padding = (n_fft // 2, n_fft // 2) if center else (before, n_fft - length - before) if align_to_window else (0, 0)
    mode = pad_mode if center else "constant"
    return _spectra(input, window, n_fft, hop, length, padding, mode, normalized, onesided is not False)


def _window(values: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    return tensor(values, dtype=dtype or get_dtype(), device=device, requires_grad=requires_grad)


def hann_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Hann's window: a cosine from 0 to 1 and back; without its last number where ``periodic``."""
    return _window(window_values("hann", window_length, periodic), dtype, device, requires_grad)


def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *, dtype: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Hamming's window: ``alpha - beta * cos``."""
    return _window(cosine_sum((alpha, beta), window_length, periodic), dtype, device, requires_grad)


def blackman_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Blackman's window, of two cosines."""
    return _window(window_values("blackman", window_length, periodic), dtype, device, requires_grad)


def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Bartlett's window: a triangle."""
    return _window(window_values("bartlett", window_length, periodic), dtype, device, requires_grad)

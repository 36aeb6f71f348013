"""Sound files (WAV, FLAC, Ogg) as arrays of samples. soundfile and soxr are imported when a file is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ranvier.data.class_folders import FileKind, Found, opened
from ranvier.data.convert import Array
from ranvier.support.validation import is_whole

SOUNDS = FileKind("sound files", (".wav", ".flac", ".ogg"))


class Sound(NamedTuple):
    """``samples`` (n, channels) in float32 from -1 to 1, ``rate`` of them a second."""

    samples: Array
    rate: int


def _soundfile() -> Any:
    """The package that reads files. Raises ModuleNotFoundError, with what to write."""
    try:
        import soundfile
    except ModuleNotFoundError as error:
        raise _absent(error) from error
    return soundfile


def _resampled(samples: Array, rate: int, wanted: int) -> Array:
    try:
        import soxr
    except ModuleNotFoundError as error:
        raise _absent(error) from error
    return np.asarray(soxr.resample(samples, rate, wanted), np.float32).reshape(-1, samples.shape[1])


def _absent(error: ModuleNotFoundError) -> ModuleNotFoundError:
    return ModuleNotFoundError(f"sound files need {error.name}. Write: pip install 'ranvier[audio]'", name=error.name)


def load_sound(path: Any, sampling_rate: int | None = None) -> Sound:
    """The samples of a WAV, FLAC or Ogg file, resampled where its rate is not ``sampling_rate``.

    Needs soundfile and soxr: ``pip install 'ranvier[audio]'``. Raises ValueError naming the file where it is none of
    these, damaged, or empty, and for NaN and infinities; OSError where it cannot be opened.
    """
    file = Path(path).expanduser()
    _check_rate(sampling_rate)
    soundfile = _soundfile()
    with opened(file) as stream:
        try:
            samples, rate = soundfile.read(stream, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise ValueError(f"{file} could not be read: {_reason(error)}. Repair or remove it.") from None
    if not len(samples):
        raise ValueError(f"{file} has no samples. Remove it.")
    if not np.isfinite(samples.sum()):
        wrong = np.argwhere(~np.isfinite(samples))
        if len(wrong):
            sample, channel = map(int, wrong[0])
            raise ValueError(
                f"{file} has {samples[sample, channel]} at sample {sample}, channel {channel}. Repair or remove it."
            )
    if sampling_rate is None or rate == sampling_rate:
        return Sound(samples, rate)
    return Sound(_resampled(samples, rate, sampling_rate), sampling_rate)


def _reason(error: Exception) -> str:
    """What libsndfile says, without the file, which is shown already."""
    words = str(getattr(error, "error_string", error)).strip().rstrip(".")
    return words[:1].lower() + words[1:]


def _check_rate(sampling_rate: Any) -> None:
    if sampling_rate is not None and not is_whole(sampling_rate, 1):
        raise ValueError(f"sampling_rate={sampling_rate!r}. Write samples a second, such as 16000, instead.")


def check_alike(files: Sequence[Found], sampling_rate: int | None, mono: bool) -> None:
    """Raise ValueError, naming files, where sampling rates or numbers of channels differ, or a file is no sound.

    Rates may differ where files are resampled to ``sampling_rate``, and channels with ``mono``. Reads all headers.
    """
    _check_rate(sampling_rate)
    soundfile = _soundfile()
    rates: dict[int, list[str]] = {}
    channels: dict[int, list[str]] = {}
    for file in files:
        try:
            with opened(file.path) as stream:
                header = soundfile.info(stream)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise ValueError(f"{file.name} could not be read: {_reason(error)}. Repair or remove it.") from None
        if not header.frames:
            raise ValueError(f"{file.name} has no samples. Remove it.")
        rates.setdefault(header.samplerate, []).append(file.name)
        channels.setdefault(header.channels, []).append(file.name)
    if len(rates) > 1 and sampling_rate is None:
        common = _most(rates)
        raise ValueError(
            f"the sound files have several sampling rates:\n{_listed(rates, 'Hz')}\n"
            f"Write sampling_rate={common} to resample them all."
        )
    if len(channels) > 1 and not mono:
        raise ValueError(
            f"the sound files have several numbers of channels:\n{_listed(channels, 'channels')}\n"
            "Write mono=True to take the mean of the channels of all."
        )


def _most(groups: dict[int, list[str]]) -> int:
    return Counter({value: len(names) for value, names in groups.items()}).most_common(1)[0][0]


def _listed(groups: dict[int, list[str]], unit: str) -> str:
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    return "\n".join(f"  {value} {unit}: {len(names):,}, such as {names[0]}" for value, names in ordered)


def batch_of_sounds(files: Sequence[Found], sampling_rate: int | None, length: int | None, mono: bool) -> Array:
    """The samples of files, (files, samples, channels), cut or extended with zeros to ``length``, or to the longest."""
    sounds = [load_sound(file.path, sampling_rate).samples for file in files]
    sounds = [sound.mean(1, keepdims=True) for sound in sounds] if mono else sounds
    size = max(map(len, sounds)) if length is None else length
    batch = np.zeros((len(sounds), size, sounds[0].shape[1]), np.float32)
    for row, sound in zip(batch, sounds, strict=True):
        row[: len(sound)] = sound[:size]
    return batch

"""Voices: phrases of telephone exchanges, spoken by five voices, each in a language of its own."""

from __future__ import annotations

import hashlib
import shutil
import wave
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ranvier.datasets.dataset import DatasetUnavailable, Labels
from ranvier.datasets.places import data_folder, downloaded_packages, scratch_folder
from ranvier.support.source_lines import warn

__all__ = ["classes", "load_data", "sampling_rate"]

classes = ("en_US_f_Allison", "es_MX_f_Allison", "fr_CA_f_June", "it_IT_m_Carlo", "ru_RU_f_IvrvoiceRU")
sampling_rate = 8000
PACKAGES = tuple(f"asterisk-core-sounds-{language}-wav" for language in ("en", "es", "fr", "it", "ru"))
INSTALLED = Path("/usr/share/asterisk/sounds")
SHA256 = "5930da4734e755cb0c0696af52ff41eaf0e3d97bb90e08da6d57d3c5a853d3ab"  # of names and samples, in order
TEST = 6  # one phrase of so many is for testing

Clips = list[npt.NDArray[np.int16]]
Voices = tuple[tuple[Clips, Labels], tuple[Clips, Labels]]


def load_data() -> Voices:
    """Load Voices: 2,356 + 424 phrases of a telephone exchange, 2.1 hours, 5 voices.

    A phrase is int16 samples (n,), 8,000 a second, of any length. The test phrases are the same for all voices, and no
    training phrase is among them. Each voice speaks a language of its own, so that a network may tell the languages
    apart instead. The recordings are those of Asterisk's sounds 1.6.1, CC BY-SA 3.0, from Debian's packages
    asterisk-core-sounds-en-wav and its kin. Raises ``DatasetUnavailable``.
    """
    own, reasons = data_folder() / "voices", []
    for folder in (own, data_folder(), INSTALLED):
        if all((folder / name).is_dir() for name in classes):
            try:
                return _read(folder)
            except (OSError, ValueError) as error:
                reasons.append(str(error))
    try:
        with scratch_folder() as scratch:
            _download(scratch)
            found = _read(scratch)
            _keep(scratch, own)
            return found
    except (OSError, ValueError) as error:
        reasons.append(f"apt-get download: {error}")
    raise DatasetUnavailable(
        f"Voices is not on this machine and could not be downloaded ({'; '.join(reasons)}). Do one of these instead: "
        f"run apt-get install {' '.join(PACKAGES)}; put its folders ({', '.join(classes)}) into {own}; let this "
        "machine reach Debian's packages, with RANVIER_OFFLINE unset."
    )


def _download(folder: Path) -> None:
    """The voices of Debian's packages, in ``folder``. Raises ``OSError``."""
    apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg")
    if not (apt and dpkg):
        raise OSError("apt-get and dpkg are not on this machine")
    for contents, voice in zip(downloaded_packages(apt, dpkg, PACKAGES, folder), classes, strict=True):
        (contents / INSTALLED.relative_to("/") / voice).rename(folder / voice)


def _phrases(folder: Path) -> Iterator[tuple[int, str, npt.NDArray[np.int16]]]:
    """The voice, the name and the samples of each phrase, without silence. Raises ``ValueError`` for other files."""
    for label, voice in enumerate(classes):
        for path in sorted((folder / voice).rglob("*.wav")):
            name = path.relative_to(folder / voice).as_posix()
            if name.startswith("silence/") or path.is_symlink():
                continue
            try:
                with wave.open(str(path)) as file:
                    if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (sampling_rate, 1, 2):
                        raise ValueError(
                            f"{path} is not 16-bit mono at {sampling_rate} Hz. Write the original instead."
                        )
                    samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)
            except (wave.Error, EOFError) as error:
                raise ValueError(f"{path} is damaged ({error}). Write the original instead.") from None
            if len(samples):
                yield label, name, samples


def _read(folder: Path) -> Voices:
    """The phrases of training and testing, if they are the original ones. Raises ``ValueError`` for others."""
    clips: tuple[Clips, Clips] = ([], [])
    labels: tuple[list[int], list[int]] = ([], [])
    digest = hashlib.sha256()
    for label, name, samples in _phrases(folder):
        digest.update(f"{label}/{name}/{len(samples)}/".encode())
        digest.update(samples.astype("<i2").tobytes())
        part = zlib.crc32(name.encode()) % TEST == 0
        clips[part].append(samples)
        labels[part].append(label)
    if digest.hexdigest() != SHA256:
        raise ValueError(
            f"{folder} has other phrases than Asterisk's sounds 1.6.1: their SHA-256 is {digest.hexdigest()}"
        )
    (x, y), (x_test, y_test) = ((c, np.array(v, np.uint8)) for c, v in zip(clips, labels, strict=True))
    return (x, y), (x_test, y_test)


def _keep(source: Path, own: Path) -> None:
    """Copy the voices into the data folder. Each is copied under another name, and is whole when it gets its own."""
    try:
        for voice in classes:
            partial = own / f".{voice}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(source / voice, partial)
            shutil.rmtree(own / voice, ignore_errors=True)
            partial.rename(own / voice)
    except OSError as error:
        warn(
            f"Voices could not be kept in {own} ({error.strerror or error}), so each call downloads it again. Set the "
            "environment variable RANVIER_DATA to a folder of yours instead.",
            RuntimeWarning,
        )

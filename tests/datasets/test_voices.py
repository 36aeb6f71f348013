"""Voices: where it is searched, what is read, and what is refused."""

import hashlib
import wave

import numpy as np
import pytest

from ranvier import datasets
from ranvier.datasets import voices

NAMES = ("hello", "digits/1", "silence/1", "is")  # the crc-32 of which decides that all are for training
TESTED = "goodbye-5"


def write(path, samples, rate=8000):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.asarray(samples, "<i2").tobytes())


def make(folder):
    """Five voices of three phrases each, of 2 to 4 samples; one phrase is silence, and one is empty."""
    for label, voice in enumerate(voices.classes):
        for i, name in enumerate((*NAMES, TESTED)):
            write(folder / voice / f"{name}.wav", [] if name == "is" else np.arange(2 + i % 3) + 10 * label)
    return folder


@pytest.fixture(autouse=True)
def places(monkeypatch, tmp_path):
    monkeypatch.setenv("RANVIER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("RANVIER_OFFLINE", "1")
    monkeypatch.setattr(voices, "INSTALLED", tmp_path / "none")
    digest = hashlib.sha256()
    for label, name, samples in voices._phrases(make(tmp_path / "made")):
        digest.update(f"{label}/{name}/{len(samples)}/".encode() + samples.tobytes())
    monkeypatch.setattr(voices, "SHA256", digest.hexdigest())
    monkeypatch.setattr(voices.zlib, "crc32", lambda name: 0 if name.startswith(TESTED.encode()) else 1)


def verify(found):
    (x, y), (x_test, y_test) = found
    assert [c.tolist() for c in x[:3]] == [[0, 1, 2], [0, 1], [10, 11, 12]]
    assert (len(x), y.tolist()) == (10, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
    assert [c.tolist() for c in x_test[:2]] == [[0, 1, 2], [10, 11, 12]]
    assert y_test.tolist() == [0, 1, 2, 3, 4]
    assert {c.dtype for c in (*x, *x_test)} == {np.dtype(np.int16)}


@pytest.mark.parametrize("place", ["data/voices", "data", "installed"])
def test_it_is_found_where_it_is(tmp_path, monkeypatch, place):
    make(tmp_path / place)
    monkeypatch.setattr(voices, "INSTALLED", tmp_path / "installed")
    verify(datasets.load_voices())


def test_a_download_is_kept(tmp_path, monkeypatch):
    def downloaded(apt, dpkg, packages, scratch):
        assert packages[0] == "asterisk-core-sounds-en-wav"
        return (make(tmp_path / package / "sounds").parent for package in packages)

    monkeypatch.setenv("RANVIER_OFFLINE", "0")
    monkeypatch.setattr(voices.shutil, "which", lambda name: name)
    monkeypatch.setattr(voices, "INSTALLED", voices.Path("/sounds"))
    monkeypatch.setattr(voices, "downloaded_packages", downloaded)
    verify(datasets.load_voices())
    monkeypatch.setattr(voices, "downloaded_packages", None)
    verify(datasets.load_voices())


def test_without_it_the_error_says_how_to_get_it(tmp_path):
    with pytest.raises(datasets.DatasetUnavailable, match=r"RANVIER_OFFLINE is set.*apt-get install asterisk-core"):
        datasets.load_voices()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: write(path, [1, 2]), "other phrases"),
        (lambda path: write(path, [1, 2], 16000), "not 16-bit mono"),
        (lambda path: path.write_bytes(b"RIFF"), "is damaged"),
    ],
)
def test_other_files_are_refused(tmp_path, change, message):
    folder = make(tmp_path / "data" / "voices")
    change(folder / voices.classes[0] / "hello.wav")
    with pytest.raises(datasets.DatasetUnavailable, match=message):
        datasets.load_voices()

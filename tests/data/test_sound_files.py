"""Sound files: what reading gives, folders of them in batches, windows, and what is refused."""

import struct

import numpy as np
import pytest

import ranvier as rv
from ranvier import layers, utils
from ranvier.data import load_sound, windows_of

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")


def tone(frequency, seconds=0.1, rate=8000):
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate).astype(np.float32) / 2


@pytest.fixture
def folder(tmp_path):
    """Two folders of three tones each, of several lengths and formats."""
    for name, low in (("high", 1000), ("low", 200)):
        (tmp_path / name).mkdir()
        for i, ending in enumerate(("wav", "flac", "ogg")):
            soundfile.write(tmp_path / name / f"{i}.{ending}", tone(low + 50 * i, 0.1 + 0.05 * i), 8000)
    return tmp_path


def dataset(folder, **options):
    options = {"shuffle": False, "verbose": False, "batch_size": 3, **options}
    return utils.audio_dataset_from_directory(folder, **options)


@pytest.mark.parametrize(("ending", "atol"), [("wav", 1e-4), ("flac", 1e-4), ("ogg", 0.1)])
def test_a_file_gives_its_samples(tmp_path, ending, atol):
    stereo = np.stack([tone(300), tone(500)], 1)
    soundfile.write(tmp_path / f"x.{ending}", stereo, 8000)
    samples, rate = load_sound(tmp_path / f"x.{ending}")
    assert (rate, samples.dtype.name, samples.shape) == (8000, "float32", (800, 2))
    np.testing.assert_allclose(samples, stereo, atol=atol)


def test_resampling_keeps_the_tone(tmp_path):
    soundfile.write(tmp_path / "x.wav", tone(440, 0.5), 8000)
    samples, rate = load_sound(tmp_path / "x.wav", sampling_rate=16000)
    assert (rate, samples.shape) == (16000, (8000, 1))
    np.testing.assert_allclose(samples[500:-500, 0], tone(440, 0.5, 16000)[500:-500], atol=2e-3)


def test_folders_come_in_batches(folder, capsys):
    found = dataset(folder, verbose=True)
    assert capsys.readouterr().out == "Found 6 files belonging to 2 classes.\n"
    assert found.class_names == ["high", "low"]
    (x, y), (_, other) = list(found)
    assert (x.shape, x.dtype, y.tolist(), other.tolist()) == ((3, 1600, 1), np.float32, [0, 0, 0], [1, 1, 1])
    assert x[0, :800].any()
    assert not x[0, 800:].any()  # zeros up to the longest of the batch
    assert next(iter(dataset(folder, output_sequence_length=500)))[0].shape == (3, 500, 1)
    assert next(iter(dataset(folder, sampling_rate=4000)))[0].shape == (3, 800, 1)
    held = dataset(folder, validation_split=0.34, subset="validation", labels=None)
    assert [x.shape[0] for x in held] == [2]


def test_a_network_learns_from_a_folder(folder):
    found = dataset(folder, output_sequence_length=1000, shuffle=True, seed=0)
    squeezed = found.map(lambda x, y: (x[..., 0], y))
    rv.set_seed(0)
    mel = layers.MelSpectrogram(64, 32, sampling_rate=8000, num_mel_bins=8, top_db=None)
    model = rv.Sequential(
        [rv.Input((1000,)), mel, layers.Flatten(), layers.BatchNormalization(), layers.Dense(2, activation="softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    loss = model.fit(squeezed, epochs=8, verbose=0).history["loss"]
    assert loss[-1] < 0.5 * loss[0]


def damaged(path):
    path.write_bytes(b"RIFF" + bytes(40))


def with_nan(path):
    samples = tone(300)
    samples[17] = np.nan
    soundfile.write(path, samples, 8000, subtype="FLOAT")


FAULTS = {
    "damaged": (damaged, "bad.wav could not be read"),
    "no bytes": (lambda path: path.write_bytes(b""), "bad.wav could not be read"),
    "no samples": (lambda path: soundfile.write(path, np.zeros(0), 8000), "bad.wav has no samples"),
    "nan": (with_nan, "bad.wav has nan at sample 17, channel 0"),
    "another rate": (lambda path: soundfile.write(path, tone(300), 11025), "8000 Hz: 6, .*\n  11025 Hz: 1, such as low/bad.wav\nWrite sampling_rate=8000"),
    "stereo": (lambda path: soundfile.write(path, np.stack([tone(300)] * 2, 1), 8000), "2 channels: 1, such as low/bad.wav\nWrite mono=True"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_files_are_named(folder, fault):
    make, message = FAULTS[fault]
    make(folder / "low" / "bad.wav")
    with pytest.raises(ValueError, match=message):
        list(dataset(folder))


def test_channels_and_rates_that_differ_are_made_one_where_asked(folder):
    soundfile.write(folder / "low" / "x.wav", np.stack([tone(300, rate=16000)] * 2, 1), 16000)
    shapes = [x.shape for x, _ in dataset(folder, sampling_rate=8000, mono=True, output_sequence_length=800)]
    assert shapes == [(3, 800, 1), (3, 800, 1), (1, 800, 1)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ragged": True}, "no ragged batches"),
        ({"output_sequence_length": 0}, "output_sequence_length"),
        ({"sampling_rate": 0.5}, "sampling_rate"),
        ({"label_mode": "both"}, "label_mode"),
    ],
)
def test_arguments_that_cannot_be_are_refused(folder, options, message):
    with pytest.raises(ValueError, match=message):
        dataset(folder, **options)


def test_without_its_package_the_error_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    with pytest.raises(ModuleNotFoundError, match=r"ranvier\[audio\]"):
        load_sound(folder / "low" / "0.wav")


def test_windows_cover_recordings():
    found = windows_of([np.arange(10), np.arange(3), np.arange(4)], 4, 3)
    assert found.x.tolist() == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9], [0, 1, 2, 0], [0, 1, 2, 3]]
    assert found.source.tolist() == [0, 0, 0, 1, 2]
    assert windows_of([np.arange(9, dtype=np.int16)], 4).x.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [5, 6, 7, 8]]
    assert windows_of([np.zeros((5, 2), np.float32)], 2).x.shape == (3, 2, 2)


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ([], "no recordings"),
        ([np.ones(3), np.ones(0)], "recording 1 is empty"),
        ([np.ones(3), np.ones((3, 2))], "recording 1 has shape"),
        ([np.array([0, np.nan])], "recording 0 has NaN at sample 1"),
    ],
)
def test_recordings_that_give_no_windows_are_refused(clips, message):
    with pytest.raises(ValueError, match=message):
        windows_of(clips, 2)
    with pytest.raises(ValueError, match="step=0"):
        windows_of([np.ones(3)], 2, 0)


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path):
    os = pytest.importorskip("os")
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes on this system")
    os.mkfifo(tmp_path / "x.wav")
    with pytest.raises(OSError, match="not a regular file"):
        load_sound(tmp_path / "x.wav")


def test_sizes_that_a_header_promises_take_no_memory(tmp_path):
    """A WAV file of a few bytes whose header speaks of 2 GB."""
    size = 2**31 - 100
    header = b"RIFF" + struct.pack("<I", size) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    (tmp_path / "x.wav").write_bytes(header + b"data" + struct.pack("<I", size) + bytes(8))
    assert len(load_sound(tmp_path / "x.wav").samples) == 4

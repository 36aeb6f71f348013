"""Images from folders: classes, sizes, colours, damaged files, hidden files and links, the cache, the split."""

import json
import os
import subprocess
import time
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ranvier as rv
from ranvier.data import images_from_folder

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RANVIER_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


@pytest.fixture
def folder(tmp_path):
    """Three classes of 6 x 8 images: of each its class is the first value of the first pixel."""
    root = tmp_path / "pictures"
    for label, name in enumerate(("cat", "dog", "émeu 3")):
        for i in range(10):
            write(root / name / f"{i}.png", pixels(label, i))
    return root


def pixels(label, i, shape=(6, 8, 3)):
    a = np.random.default_rng(i).integers(0, 256, shape, dtype=np.uint8)
    a.reshape(-1)[:2] = label, i
    return a


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def test_what_a_folder_holds(folder):
    data = images_from_folder(folder)
    assert data.x.shape == (30, 6, 8, 3)
    assert data.x.dtype == np.uint8
    assert data.classes == ["cat", "dog", "émeu 3"]
    assert np.array_equal(data.x[:, 0, 0, 0], data.y)
    assert [
        f"{data.classes[label]}/{row[0, 0, 1]}.png" for label, row in zip(data.y, data.x, strict=True)
    ] == data.files
    assert (np.diff(data.y) < 0).any()  # classes are mixed
    assert data.validation is None
    assert data.summary().splitlines() == [
        "30 images, 6 x 8 x 3, 3 classes",
        "  cat     10",
        "  dog     10",
        "  émeu 3  10",
    ]
    assert repr(data) == "<ImageFolder: 30 images, 6 x 8 x 3, 3 classes>"
    chosen = images_from_folder(folder, class_names=["dog", "cat"])
    assert np.array_equal(chosen.x[:, 0, 0, 0], 1 - chosen.y)


def test_it_trains(folder):
    data = images_from_folder(folder, validation_split=0.2)
    model = rv.Sequential([rv.layers.Rescaling(1 / 255), rv.layers.Flatten(), rv.layers.Dense(3)])
    model.compile("adam", rv.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(data.x, data.y, validation_data=data.validation, epochs=2, verbose=0)
    assert set(history.history) == {"loss", "val_loss"}


def test_the_split_is_by_class_and_by_seed(folder):
    one, same, other = (images_from_folder(folder, validation_split=0.25, seed=s) for s in (1, 1, 2))
    assert one.files == same.files
    assert set(one.files) != set(other.files)
    assert one.validation is not None
    x, y = one.validation
    assert np.bincount(y).tolist() == [2, 2, 2]
    assert np.array_equal(x[:, 0, 0, 0], y)
    assert set(one.files) | set(one.validation_files) == set(images_from_folder(folder).files)
    assert not set(one.files) & set(one.validation_files)
    assert "  cat     8 and 2 for validation" in one.summary()


def test_colours(folder, tmp_path):
    grey = images_from_folder(folder, color_mode="grayscale")
    assert grey.x.shape == (30, 6, 8, 1)
    color = images_from_folder(folder)
    assert np.abs(grey.x[..., 0] - color.x @ np.array([0.299, 0.587, 0.114])).max() < 1
    assert images_from_folder(folder, color_mode="rgba").x.shape[-1] == 4
    deep = np.arange(48, dtype=np.uint16).reshape(6, 8) * 1365
    write(tmp_path / "deep" / "a" / "1.png", deep)
    assert np.array_equal(images_from_folder(tmp_path / "deep", color_mode="grayscale").x[0, ..., 0], deep >> 8)


def test_photographs_stand_upright(tmp_path):
    image = Image.fromarray(pixels(0, 0))
    exif = image.getexif()
    exif[0x0112] = 6
    (tmp_path / "p" / "a").mkdir(parents=True)
    image.save(tmp_path / "p" / "a" / "1.png", exif=exif)
    assert np.array_equal(images_from_folder(tmp_path / "p").x[0], np.rot90(pixels(0, 0), -1))


def test_sizes(folder):
    write(folder / "dog" / "large.png", pixels(1, 3, (12, 16, 3)))
    with pytest.raises(
        ValueError,
        match=r"6 x 8: 30, such as cat/0\.png\n  12 x 16: 1, such as dog/large\.png\nWrite image_size=\(6, 8\)",
    ):
        images_from_folder(folder)
    assert images_from_folder(folder, image_size=(6, 8)).x.shape == (31, 6, 8, 3)
    assert images_from_folder(folder, image_size=5).x.shape == (31, 5, 5, 3)
    padded = images_from_folder(folder, image_size=8, pad_to_aspect_ratio=True)
    assert (padded.x[:, [0, -1]] == 0).all()
    cropped = images_from_folder(folder, image_size=6, crop_to_aspect_ratio=True)
    row = cropped.files.index("cat/4.png")
    assert np.array_equal(cropped.x[row], pixels(0, 4)[:, 1:7])


def test_damaged_files(folder, tmp_path):
    whole = (folder / "cat" / "3.png").read_bytes()
    (folder / "cat" / "3.png").write_bytes(whole[:60])
    (folder / "dog" / "no.jpg").write_bytes(b"this is text")
    (folder / "dog" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(ValueError, match="3 of 32 images") as error:
        images_from_folder(folder)
    for part in ("cat/3.png: ", "dog/no.jpg: not an image in a format", "dog/gone.png: ", 'corrupt="skip"'):
        assert part in str(error.value)
    data = images_from_folder(folder, corrupt="skip", validation_split=0.2)
    assert set(data.skipped) == {"cat/3.png", "dog/no.jpg", "dog/gone.png"}
    assert "3 files could not be read:" in data.summary()
    assert data.validation is not None
    assert len(data.x) + len(data.validation[0]) == 29
    assert np.array_equal(data.x[:, 0, 0, 0], data.y)
    (folder / "cat" / "3.png").write_bytes(whole)
    assert "cat/3.png" not in images_from_folder(folder, corrupt="skip").skipped


def test_hidden_files_and_links(folder, tmp_path):
    (folder / ".cache").mkdir()
    (folder / "cat" / "._1.png").write_bytes(b"resource fork")
    (folder / "cat" / "Thumbs.db").write_bytes(b"windows")
    (folder / "cat" / "notes.txt").write_text("text")
    write(tmp_path / "elsewhere" / "deep" / "e.png", pixels(0, 11))
    (folder / "cat" / "more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere" / "loop").symlink_to(folder / "cat", target_is_directory=True)
    (folder / "cat" / "link.png").symlink_to(tmp_path / "elsewhere" / "deep" / "e.png")
    assert len(images_from_folder(folder).x) == 31
    assert len(images_from_folder(folder, follow_links=True).x) == 32


def a_postscript_file(path, monkeypatch):
    def started(*arguments: Any, **options: Any) -> None:
        pytest.fail(f"a program was started: {arguments}")

    monkeypatch.setattr(subprocess, "check_call", started)
    monkeypatch.setattr(subprocess, "Popen", started)
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", "gs", raising=False)
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 6\n%%EndComments\nshowpage\n%%EOF\n")


def a_named_pipe(path, monkeypatch):
    os.mkfifo(path)


def a_link_to_a_device(path, monkeypatch):
    path.symlink_to("/dev/zero")


STRANGE = [
    (a_postscript_file, "not an image in a format that is read (BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP)"),
    (a_named_pipe, "not a regular file"),
    (a_link_to_a_device, "not a regular file"),
]  # fmt: skip


@pytest.mark.skipif(os.name != "posix", reason="Windows has no named pipes and devices among files")
@pytest.mark.parametrize(("make", "reason"), STRANGE, ids=[make.__name__ for make, _ in STRANGE])
@pytest.mark.parametrize("image_size", [None, 6])
def test_files_that_are_no_images_start_no_program_and_are_not_waited_for(
    make, reason, image_size, folder, monkeypatch
):
    make(folder / "cat" / "strange.png", monkeypatch)
    data = images_from_folder(folder, image_size=image_size, corrupt="skip")
    assert data.skipped == {"cat/strange.png": reason}
    assert len(data.x) == 30


def test_a_class_folder_that_is_a_link_is_followed_only_where_asked(folder, tmp_path):
    write(tmp_path / "elsewhere" / "1.png", pixels(3, 0))
    (folder / "fox").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.warns(
        UserWarning, match=r"\['fox'\] in .* are links and are not read\. Write follow_links=True"
    ) as caught:
        assert images_from_folder(folder).classes == ["cat", "dog", "émeu 3"]
    assert len(caught) == 1
    assert images_from_folder(folder, class_names=["cat", "dog"]).classes == ["cat", "dog"]  # without a warning
    assert images_from_folder(folder, follow_links=True).classes == ["cat", "dog", "fox", "émeu 3"]
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "cat").symlink_to(folder / "cat", target_is_directory=True)
    for root, names in ((folder, ["cat", "fox"]), (tmp_path / "links", None)):
        with pytest.raises(ValueError, match=r"are links\. Write follow_links=True"):
            images_from_folder(root, class_names=names)


def test_what_was_decoded_is_kept(folder, own_cache, monkeypatch):
    first = images_from_folder(folder)
    kept = sorted(path.name for path in own_cache.iterdir())
    assert [name.rpartition(".")[2] for name in kept] == ["json", "u8"]

    def never(*arguments: Any) -> None:
        raise AssertionError("decoded again")

    with monkeypatch.context() as patch:
        patch.setattr("ranvier.data.image_files.Decoder.__call__", never)
        assert np.array_equal(images_from_folder(folder).x, first.x)
    write(folder / "cat" / "4.png", pixels(0, 99))  # another time, another key
    os.utime(folder / "cat" / "4.png", (1, 1))
    assert (images_from_folder(folder).x[:, 0, 0, 1] == 99).any()
    (own_cache / kept[1]).write_bytes(b"half")  # damaged: decoded anew
    (own_cache / kept[0]).write_text("{", encoding="utf-8")
    os.utime(folder / "cat" / "4.png", (2, 2))
    assert len(images_from_folder(folder).x) == 30


def one_bit(data, words):
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)


def cut(data, words):
    data.write_bytes(data.read_bytes()[:-1])


def another_shape(data, words):
    header = json.loads(words.read_text(encoding="utf-8"))
    header["shape"][1:3] = reversed(header["shape"][1:3])
    words.write_text(json.dumps(header), encoding="utf-8")


def no_checksum(data, words):
    header = json.loads(words.read_text(encoding="utf-8"))
    del header["checksum"]
    words.write_text(json.dumps(header), encoding="utf-8")


def deep_words(data, words):
    words.write_text("[" * 200_000, encoding="utf-8")


def infinite_shape(data, words):
    words.write_text('{"checksum": 0, "shape": [1e999, 6, 8, 3], "skipped": {}}', encoding="utf-8")


def a_pipe_for_words(data, words):
    words.unlink()
    os.mkfifo(words)


def a_pipe_for_data(data, words):
    data.unlink()
    os.mkfifo(data)


DAMAGES = [one_bit, cut, another_shape, no_checksum, deep_words, infinite_shape]
DAMAGES += [a_pipe_for_words, a_pipe_for_data] if os.name == "posix" else []


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_decoded_anew(damage, folder, own_cache):
    first = images_from_folder(folder).x.copy()
    words, data = sorted(own_cache.iterdir())
    before = data.read_bytes(), words.read_bytes()
    damage(data, words)
    assert np.array_equal(images_from_folder(folder).x, first)
    assert (data.read_bytes(), words.read_bytes()) == before


def test_a_folder_in_place_of_an_entry_means_that_nothing_is_kept(folder, own_cache):
    images_from_folder(folder)
    _, data = sorted(own_cache.iterdir())
    data.unlink()
    data.mkdir()
    with pytest.warns(UserWarning, match="are not kept"):
        assert len(images_from_folder(folder).x) == 30


def test_an_interruption_leaves_nothing(folder, own_cache, monkeypatch):
    old = own_cache / ".images-of-a-killed-process"
    own_cache.mkdir(parents=True)
    old.write_bytes(b"half")
    os.utime(old, (time.time() - 1e6,) * 2)

    def stop(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ranvier.data.image_files.Decoder.__call__", stop)
        with pytest.raises(KeyboardInterrupt):
            images_from_folder(folder)
    assert not list(own_cache.iterdir())
    assert len(images_from_folder(folder).x) == 30


def test_a_full_disk_names_the_file_and_leaves_nothing(folder, own_cache, monkeypatch):
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"No space left on device \(free some, or .*: '.*images.*\.u8'"):
            images_from_folder(folder)
    assert not list(own_cache.iterdir())


def test_without_a_cache(folder, own_cache, tmp_path):
    assert len(images_from_folder(folder, cache=False).x) == 30
    assert not own_cache.exists()
    assert len(images_from_folder(folder, cache=tmp_path / "mine").x) == 30
    assert len(list((tmp_path / "mine").iterdir())) == 2


ERRORS = [
    (lambda f: images_from_folder(f / "nowhere"), NotADirectoryError, "a subfolder for each class"),
    (lambda f: images_from_folder(f / "cat"), ValueError, "into a subfolder"),
    (lambda f: images_from_folder(f, class_names=["cat", "bird"]), ValueError, "has the folders"),
    (lambda f: images_from_folder(f, color_mode="cmyk"), ValueError, "'grayscale'"),
    (lambda f: images_from_folder(f, image_size=(1, 2, 3)), ValueError, r"\(height, width\)"),
    (lambda f: images_from_folder(f / "nowhere", image_size=(10**6, 10**6)), MemoryError, r"image_size=\(1000000, 1000000\), .* 2\.7 TiB"),
    (lambda f: images_from_folder(f / "nowhere", image_size=10**12), ValueError, "past any 64-bit machine"),
    (lambda f: images_from_folder(f, validation_split=20), ValueError, "from 0 up to"),
    (lambda f: images_from_folder(f, corrupt="ignore"), ValueError, "'refuse' or 'skip'"),
    (lambda f: images_from_folder(f, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True), ValueError, "one of the two"),
]  # fmt: skip


@pytest.mark.parametrize(("act", "kind", "message"), ERRORS, ids=[m for *_, m in ERRORS])
def test_errors_say_what_to_write(act, kind, message, folder):
    with pytest.raises(kind, match=message):
        act(folder)


def test_a_class_without_images(folder):
    (folder / "empty").mkdir()
    (folder / "empty" / "a.mp4").write_bytes(b"film")
    with pytest.raises(
        ValueError, match=r"the folder 'empty' has no images .* Its other files, \.mp4, are not images\. Remove it"
    ):
        images_from_folder(folder)

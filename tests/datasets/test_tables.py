"""Data sets that are one file in another format: read by an optional package, then kept as IDX."""

import gzip
import hashlib
from functools import partial
from typing import Any

import numpy as np
import pytest

from ranvier import datasets
from ranvier.datasets import DatasetUnavailable, places, shuttle
from ranvier.datasets.dataset import Dataset, Source
from ranvier.datasets.idx import Crc32, header, read_idx, values
from ranvier.datasets.loading import load
from tests.datasets.stored import gives, member, real

ARRAYS: list[Any] = [
    np.array([[1, -300], [2, 12_000], [-3, 0]], np.int16), np.array([0, 1, 2], np.uint8),
    np.array([[5, 6]], np.int16), np.array([1], np.uint8),
]  # fmt: skip
FILES = [header(a.shape, a.dtype.name) + bytes(values(a)) for a in ARRAYS]
NAMES = ("a-train-features", "a-train-labels", "a-test-features", "a-test-labels")
check = partial(gives, ARRAYS)


def read(path):
    """As a reader of another format does: it has the arrays, or the file is none."""
    if path.read_bytes() == b"other":
        return [a + a.dtype.type(1) for a in ARRAYS]
    if path.read_bytes() == b"short":
        return [a[:1] for a in ARRAYS]
    if path.read_bytes() != b"table":
        raise ValueError(f"{path} is no table")
    return ARRAYS


def table(**options):
    members = tuple(map(member, NAMES, ARRAYS, FILES))
    source = Source("A.rda", hashlib.sha256(b"table").hexdigest(), 1000, read, options.pop("needs", "json"))
    return Dataset("A", "a", members, options.pop("homes", ()), source=source, **options)


@pytest.fixture
def data(data):
    data.mkdir()
    return data


def test_once_read_it_is_kept_and_the_reader_is_needed_no_more(data):
    (data / "A.rda").write_bytes(b"table")
    check(load(table()))
    assert [(data / "a" / name).read_bytes() for name in NAMES] == FILES
    (data / "A.rda").unlink()
    check(load(table(needs="no_such_package")))


def test_in_the_debian_package_installed_or_not(data, program, tmp_path, monkeypatch):
    (tmp_path / "usr" / "data").mkdir(parents=True)
    (tmp_path / "usr" / "data" / "A.rda").write_bytes(b"table")
    program("dpkg", f'[ "$1" = -L ] && echo "{tmp_path}/usr/data/A.rda"')
    check(load(table(debian="a-data")))
    for name in NAMES:
        (data / "a" / name).unlink()
    monkeypatch.setenv("RANVIER_OFFLINE", "0")
    program("apt-get", ": > a.deb")
    program("dpkg", f'[ "$1" = -x ] && /bin/mkdir -p "$3" && /bin/cp -r "{tmp_path}/usr" "$3"')
    check(load(table(debian="a-data")))


def test_without_the_package_that_reads_it_nothing_is_fetched(data, program, tmp_path, monkeypatch):
    monkeypatch.setenv("RANVIER_OFFLINE", "0")
    program("apt-get", f": > '{tmp_path}/started'")
    program("dpkg", f": > '{tmp_path}/started'")
    (data / "A.rda").write_bytes(b"table")
    with pytest.raises(DatasetUnavailable, match="no_such_package") as error:
        load(table(needs="no_such_package", debian="a-data", homes=("http://127.0.0.1:9/",)))
    assert "pip install 'ranvier[datasets]'" in str(error.value)
    assert "A.rda" in str(error.value)
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("content", [b"table", b"other", b"nonsense"])
def test_from_its_home_it_is_not_opened_unless_it_is_the_very_file(data, monkeypatch, content):
    monkeypatch.setenv("RANVIER_OFFLINE", "0")
    asked = []

    def download(url, target, *, limit):
        asked.append((url, limit))
        target.write_bytes(content)

    monkeypatch.setattr(places, "_download", download)
    dataset = table(homes=("https://first.example/a/", "https://second.example/"))
    if content == b"table":
        check(load(dataset))
        assert asked == [("https://first.example/a/A.rda", 1000)]
        return
    with pytest.raises(DatasetUnavailable, match=r"first.example: the SHA-256 of A.rda is .*second.example"):
        load(dataset)


BAD = {
    b"nonsense": "is no table",
    b"other": "SHA-256 of a-train-features",
    b"short": r"shape \(1, 2\)",
    b"x" * 1001: "1,001 bytes",
}


@pytest.mark.parametrize("content", BAD)
def test_what_is_not_that_table_is_refused(data, content):
    (data / "A.rda").write_bytes(content)
    with pytest.raises(DatasetUnavailable, match=BAD[content]):
        load(table())
    assert not (data / "a").exists()


def test_a_damaged_part_is_replaced_from_the_source(data):
    (data / "A.rda").write_bytes(b"table")
    load(table())
    (data / "a" / NAMES[0]).write_bytes(FILES[0][:-1] + b"\7")
    with pytest.warns(RuntimeWarning, match="a-train-features"):
        check(load(table()))
    assert (data / "a" / NAMES[0]).read_bytes() == FILES[0]


@pytest.mark.parametrize("packed", [False, True])
def test_short_integers_in_idx(tmp_path, packed):
    path = tmp_path / ("x.gz" if packed else "x")
    path.write_bytes(gzip.compress(FILES[0]) if packed else FILES[0])
    shape = ARRAYS[0].shape
    found = read_idx(path, shape=shape, digest=Crc32(), dtype="int16")
    assert found.dtype == np.dtype("int16")
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, ARRAYS[0])
    with pytest.raises(ValueError, match="unsigned bytes: it starts with 00 00 0b 02, not 00 00 08"):
        read_idx(path, shape=shape, digest=Crc32())


# --- R's files ----------------------------------------------------------------------------------------------------


@pytest.fixture
def frame():
    """A small Shuttle, one row a class."""
    pandas = pytest.importorskip("pandas")
    features = {f"V{i + 1}": np.arange(7.0) * (i - 4) for i in range(9)}
    return pandas.DataFrame({**features, "Class": pandas.Categorical(shuttle.classes)})


def write(path, frame, name):
    pyreadr = pytest.importorskip("pyreadr")
    pyreadr.write_rdata(str(path), frame, df_name=name)


def test_a_table_of_r(tmp_path, frame, monkeypatch):
    write(tmp_path / "Shuttle.rda", frame, "Shuttle")
    x, y, x_test, y_test = shuttle._TABLE.read(tmp_path / "Shuttle.rda")
    assert (x.dtype.name, y.dtype.name) == ("int16", "uint8")
    np.testing.assert_array_equal(x, frame.drop(columns="Class"))
    assert y.tolist() == list(range(7))
    assert (len(x_test), len(y_test)) == (0, 0)


def test_what_is_no_such_table_of_r(tmp_path, frame):
    for change, words in (
        (lambda f: f.rename(columns={"Class": "State"}), "not a table Shuttle"),
        (lambda f: f.replace({"V1": {-24.0: 0.5}}), "other classes or features"),
        (lambda f: f.replace({"V1": {-24.0: 1e9}}), "other classes or features"),
        (lambda f: f.assign(Class=["Low"] * 7), "other classes or features"),
    ):
        write(tmp_path / "x.rda", change(frame), "Shuttle")
        with pytest.raises(ValueError, match=words), np.errstate(invalid="ignore"):
            shuttle._TABLE.read(tmp_path / "x.rda")
    for content in (b"", b"nonsense", (tmp_path / "x.rda").read_bytes()[:-20]):
        (tmp_path / "x.rda").write_bytes(content)
        with pytest.raises(ValueError, match="not a table"):
            shuttle._TABLE.read(tmp_path / "x.rda")
    write(tmp_path / "x.rda", frame, "Letters")
    with pytest.raises(ValueError, match="not a table Shuttle"):
        shuttle._TABLE.read(tmp_path / "x.rda")


# --- the real ones ------------------------------------------------------------------------------------------------

REAL: dict[str, Any] = {
    "shuttle": (43_500, 14_500, 9, [11478, 13, 39, 2155, 809, 4, 2]),
    "letter_recognition": (16_000, 4_000, 16, None),
}


@pytest.mark.parametrize("name", REAL)
def test_the_error_names_the_ways_to_get_a_table(data, name):
    module = getattr(datasets, name)
    assert len(module.classes) == (7 if name == "shuttle" else 26)
    with pytest.raises(DatasetUnavailable, match=r"RANVIER_DATA.*r-cran-mlbench.*https://"):
        module.load_data()


@pytest.mark.parametrize("name", REAL)
def test_where_this_machine_has_them(name, monkeypatch):
    if (split := real(name, monkeypatch)) is None:
        return
    train, test, width, counts = REAL[name]
    (x, y), (x_test, y_test) = split
    assert (x.shape, x_test.shape) == ((train, width), (test, width))
    assert (x.dtype.name, y.dtype.name) == ("float32", "uint8")
    assert counts is None or np.bincount(y_test).tolist() == counts

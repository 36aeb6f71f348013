"""The disk cache of compiled objects: FAULTS 63 to 67, each a row of the table below."""

import errno
import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest

from ranvier.engines.native.runtime import object_cache
from ranvier.engines.native.runtime.object_cache import (
    CacheWarning,
    ObjectCache,
    cache_folder,
    cache_key,
    default_cache,
)

KEY = cache_key("program", "x86_64-unknown-linux-gnu", "znver4", "+avx2")
OTHER = cache_key("program", "x86_64-unknown-linux-gnu", "znver4", "+avx2,+avx512f")
DATA = b"machine code" * 1000
posix = os.name == "posix"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "caches" / "ranvier"


def failing(number: int):
    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    return fail


def test_what_was_put_is_got_and_survives_the_process(folder):
    ObjectCache(folder).put(KEY, DATA)
    assert ObjectCache(folder).get(KEY) == DATA
    assert ObjectCache(folder).get(OTHER) is None
    if posix:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / KEY).stat().st_mode & 0o777 == 0o600
    assert [p.name for p in folder.iterdir()] == [KEY]


def test_an_empty_place_is_a_quiet_miss_and_makes_no_folder(folder):
    assert ObjectCache(folder).get(KEY) is None
    assert not folder.exists()


def test_none_keeps_nothing():
    store = ObjectCache(None)
    store.put(KEY, DATA)
    assert store.get(KEY) is None


# One row per fault: what happens to the folder or to the system, whether the entry is found then, and the warning's words.
def read_only(folder, monkeypatch):  # 63
    monkeypatch.setattr(os, "open", failing(errno.EROFS))


def absent_home(folder, monkeypatch):  # 63
    folder.parent.parent.joinpath("caches").write_text("a file where the folder should be")


def owned_by_another_user(folder, monkeypatch):  # 65
    folder.mkdir(parents=True, mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)


def writable_by_others(folder, monkeypatch):  # 65
    folder.mkdir(parents=True)
    folder.chmod(0o770)


UNUSABLE = [
    pytest.param(read_only, "cannot be written", id="63 read-only"),
    pytest.param(absent_home, "cannot be made", id="63 absent home"),
    pytest.param(owned_by_another_user, "belongs to user", id="65 folder of another user"),
    pytest.param(writable_by_others, "written by other users", id="65 folder that others can write"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "words"), UNUSABLE if posix else UNUSABLE[1:2])
def test_an_unusable_folder_means_memory_only_and_one_warning(fault, words, folder, monkeypatch):
    fault(folder, monkeypatch)
    store = ObjectCache(folder)
    with pytest.warns(CacheWarning, match=words):
        store.put(KEY, DATA)
    with warnings.catch_warnings(action="error"):
        store.put(OTHER, DATA[::-1])
        assert store.get(KEY) == DATA
        assert store.get(OTHER) == DATA[::-1]
    assert not folder.is_dir() or not list(folder.iterdir())


def flipped(entry, folder):
    data = bytearray(entry.read_bytes())
    data[len(data) // 2] ^= 1
    entry.write_bytes(data)


def cut(entry, folder):
    entry.write_bytes(entry.read_bytes()[:-1])


def emptied(entry, folder):
    entry.write_bytes(b"")


def of_another_format(entry, folder):
    entry.write_bytes(b"\x7fELF" + DATA)


def made_for_another_processor(entry, folder):
    ObjectCache(folder).put(OTHER, DATA)
    (folder / OTHER).replace(entry)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(flipped, id="67 one bit"),
        pytest.param(cut, id="67 truncated"),
        pytest.param(emptied, id="67 empty"),
        pytest.param(of_another_format, id="67 no header"),
        pytest.param(made_for_another_processor, id="66 renamed from another processor's"),
    ],
)
def test_a_damaged_entry_is_removed_with_a_warning_and_made_anew(damage, folder):
    store = ObjectCache(folder)
    store.put(KEY, DATA)
    damage(folder / KEY, folder)
    with pytest.warns(CacheWarning, match="damaged"):
        assert store.get(KEY) is None
    assert not (folder / KEY).exists()
    store.put(KEY, DATA)
    assert store.get(KEY) == DATA


def linked(entry, folder, monkeypatch):
    entry.rename(folder / "elsewhere")
    entry.symlink_to(folder / "elsewhere")


def group_writable(entry, folder, monkeypatch):
    entry.chmod(0o660)


def of_another_user(entry, folder, monkeypatch):
    real = object_cache._fault
    monkeypatch.setattr(
        object_cache, "_fault", lambda s: "belongs to user 7" if s.st_ino == entry.stat().st_ino else real(s)
    )


def a_directory(entry, folder, monkeypatch):
    entry.unlink()
    entry.mkdir()


def a_named_pipe(entry, folder, monkeypatch):
    entry.unlink()
    os.mkfifo(entry)  # without a writer: opening it to read would wait for ever


if posix:

    @pytest.mark.parametrize("fault", [linked, group_writable, of_another_user, a_directory, a_named_pipe])
    def test_65_an_entry_that_others_could_have_written_is_ignored(fault, folder, monkeypatch):
        store = ObjectCache(folder)
        store.put(KEY, DATA)
        fault(folder / KEY, folder, monkeypatch)
        with pytest.warns(CacheWarning, match="ignored"):
            assert store.get(KEY) is None
        assert os.path.lexists(folder / KEY)  # not ours to remove


def test_a_folder_that_was_removed_is_made_again(folder):
    store = ObjectCache(folder)
    store.put(KEY, DATA)
    (folder / KEY).unlink()
    folder.rmdir()
    store.put(KEY, DATA)  # is lost
    store.put(KEY, DATA)
    assert store.get(KEY) == DATA


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_67_a_full_disk_is_a_quiet_miss(number, folder, monkeypatch):
    store = ObjectCache(folder)
    store.put(OTHER, DATA)
    monkeypatch.setattr(os, "replace", failing(number))
    with warnings.catch_warnings(action="error"):
        store.put(KEY, DATA)
        assert store.get(KEY) is None
        assert store.get(OTHER) == DATA
    assert [p.name for p in folder.iterdir()] == [OTHER]


def test_63_a_cache_made_read_only_later_still_gives_what_it_has(folder, monkeypatch):
    ObjectCache(folder).put(KEY, DATA)
    monkeypatch.setattr(os, "replace", failing(errno.EROFS))
    store = ObjectCache(folder)
    assert store.get(KEY) == DATA
    with pytest.warns(CacheWarning, match="cannot be written"):
        store.put(OTHER, DATA)
    assert store.get(OTHER) == DATA


def test_64_writers_and_readers_of_one_key_never_meet_half_an_entry(folder):
    program = (
        "import sys; from pathlib import Path; from ranvier.engines.native.runtime.object_cache import ObjectCache\n"
        "store = ObjectCache(Path(sys.argv[1]))\n"
        "for _ in range(100):\n"
        "    store.put(sys.argv[2], bytes(200_000))\n"
        "    assert store.get(sys.argv[2]) == bytes(200_000)\n"
    )
    command = [sys.executable, "-W", "error", "-c", program, str(folder), KEY]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [subprocess.Popen(command, env=environment) for _ in range(2)]
    store, answers = ObjectCache(folder), set()
    threads = [threading.Thread(target=lambda: store.put(KEY, bytes(200_000))) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(p.poll() is None for p in processes):
        answers.add(store.get(KEY))
    for thread in threads:
        thread.join()
    assert [p.returncode for p in processes] == [0, 0]
    assert answers <= {None, bytes(200_000)}
    assert [p.name for p in folder.iterdir()] == [KEY]


def test_66_the_key_holds_every_part_and_where_each_ends():
    parts = [("a", "bc"), ("ab", "c"), ("abc",), ("a", "bc", ""), (b"a", "bd"), ("bc", "a")]
    assert len({cache_key(*p) for p in parts}) == len(parts)
    assert cache_key("a", b"bc") == cache_key("a", "bc")


@pytest.mark.parametrize("bad", ["", "../" * 21 + "a", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_a_key_names_a_file_of_the_folder_and_nothing_else(bad, folder):
    with pytest.raises(ValueError, match="cache key"):
        ObjectCache(folder).get(bad)


def test_the_least_recently_used_go_when_there_is_no_room(folder):
    store = ObjectCache(folder, limit=10_000)
    keys = [cache_key(str(i)) for i in range(9)]
    for age, key in enumerate(keys):
        store.put(key, bytes(1000))
        os.utime(folder / key, (age, age))
    assert store.get(keys[0]) is not None  # so it is young again
    store.put(cache_key("large"), bytes(2000))
    left = {p.name for p in folder.iterdir()}
    assert keys[0] in left
    assert cache_key("large") in left
    assert keys[1] not in left
    assert sum(p.stat().st_size for p in folder.iterdir()) <= 10_000
    store.put(cache_key("huge"), bytes(20_000))
    assert store.get(cache_key("huge")) is None


def test_a_folder_with_room_is_looked_at_once(folder, monkeypatch):
    """Looking at each of thousands of entries takes longer than compiling."""
    looks = []
    scandir = os.scandir

    def look(path):
        looks.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", look)
    store = ObjectCache(folder)
    for i in range(20):
        store.put(cache_key(str(i)), bytes(1000))
    assert len(looks) == 1


def test_what_killed_writers_left_is_removed(folder):
    store = ObjectCache(folder)
    store.put(KEY, DATA)
    old, new = folder / f"{KEY}.1.00.tmp", folder / f"{KEY}.2.00.tmp"
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    ObjectCache(folder).put(OTHER, DATA)  # as the next process does
    assert not old.exists()
    assert new.exists()


@pytest.mark.parametrize("word", ["", "0", "off", "OFF", "no"])
def test_the_variable_switches_it_off(word, monkeypatch):
    monkeypatch.setenv("RANVIER_CACHE", word)
    assert cache_folder() is None
    assert default_cache().get(KEY) is None


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "{home}/x"}, "x/ranvier"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, ".cache/ranvier"),
        ("linux", {}, ".cache/ranvier"),
        ("darwin", {}, "Library/Caches/ranvier"),
        ("win32", {"LOCALAPPDATA": "{home}/Local"}, "Local/ranvier"),
        ("win32", {}, "AppData/Local/ranvier"),
    ],
)
def test_the_folder_is_the_systems_own_place_for_caches(platform, variables, expected, tmp_path, monkeypatch):
    for name in ("RANVIER_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(home=tmp_path))
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache_folder() == tmp_path / expected


def test_no_home_at_all_means_no_cache(monkeypatch):
    def homeless():
        raise RuntimeError("no home")

    for name in ("RANVIER_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert cache_folder() is None


def test_the_folder_named_by_the_variable_is_shared_in_the_process(tmp_path, monkeypatch):
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path / "ü b"))
    default_cache().put(KEY, DATA)
    assert default_cache().get(KEY) == DATA
    assert (tmp_path / "ü b" / KEY).exists()


def test_keys_cost_no_import_of_llvm():
    program = "import sys; from ranvier.engines.native.runtime.object_cache import cache_key; cache_key('a'); print('llvmlite.binding' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_what_is_found_needs_none_of_what_makes_it(tmp_path):
    program = """
import sys, numpy as np, ranvier as rv
model = rv.Sequential([rv.layers.Dense(2, input_shape=(3,))])
model.compile("adam", "mse")
model.fit(np.eye(3, dtype="float32"), np.eye(3, 2, dtype="float32"), verbose=0, ignore="RV")
print(*("ranvier.engines.native." + name in sys.modules for name in ("passes.winograd", "codegen.assemble")))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "RANVIER_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", program]
    runs = [
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    ]
    assert runs == [["True", "True"], ["False", "False"]]

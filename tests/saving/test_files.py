"""The files of saved models and runs: whole or not there, whatever fails or is killed, and nothing believed unchecked."""

import contextlib
import errno
import json
import os
import signal
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ranvier as rv
import ranvier.torch as torch
from ranvier.data import files
from ranvier.training import CheckpointError
from ranvier.training.checkpoint.values import pack, unpack

OLD = {"a": np.arange(6.0).reshape(2, 3), "b": np.array(7, np.int32)}
NEW = {"a": np.arange(6.0).reshape(2, 3) + 100, "b": np.array(8, np.int32)}


def holds(path, tensors):
    found = files.read(path)[1]
    return found.keys() == tensors.keys() and all(np.array_equal(found[n], tensors[n]) for n in tensors)


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "m.ranvier"
    files.store(path, OLD, {"note": "old"})
    return path


# --- what the system refuses --------------------------------------------------------------------------------------


def failing(monkeypatch, name, code, at=0):
    """The call number ``at`` of this system call fails with this error."""
    real, calls = getattr(os, name), [0]

    def call(*args, **kwargs):
        calls[0] += 1
        if calls[0] == at + 1:
            raise OSError(code, os.strerror(code))
        return real(*args, **kwargs)

    monkeypatch.setattr(os, name, call)


class FullFile:
    """A file on a disk that is full after so many bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, data):
        self.file.write(data[: self.room])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


REFUSED = [  # the call, its number, the error, which file is there afterwards
    ("open", 0, errno.EACCES, OLD),  # the temporary file
    ("open", 0, errno.ENOSPC, OLD),
    ("open", 0, errno.EMFILE, OLD),
    ("fdopen", 0, errno.ENOMEM, OLD),
    ("fsync", 0, errno.EIO, OLD),  # its contents
    ("fsync", 0, errno.ENOSPC, OLD),
    ("fsync", 0, errno.EDQUOT, OLD),
    ("replace", 0, errno.EACCES, OLD),  # its name
    ("replace", 0, errno.EROFS, OLD),
    ("replace", 0, errno.EXDEV, OLD),
    ("open", 1, errno.EACCES, NEW),  # the folder
    ("fsync", 1, errno.EIO, NEW),
]


@pytest.mark.parametrize(("name", "at", "code", "left"), REFUSED)
def test_a_refused_call_leaves_a_whole_file(name, at, code, left, target, monkeypatch):
    failing(monkeypatch, name, code, at)
    with pytest.raises(OSError, match=os.strerror(code)):
        files.store(target, NEW, {})
    monkeypatch.undo()
    assert [p.name for p in target.parent.iterdir()] == [target.name]
    assert holds(target, left)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_cannot_settle_folders(code, target, monkeypatch):
    failing(monkeypatch, "fsync", code, 1)
    files.store(target, NEW, {})
    assert holds(target, NEW)


@pytest.mark.parametrize("room", [0, 1, 8, 100, 500])
def test_a_disk_that_fills_up_while_writing(room, target, monkeypatch):
    real = os.fdopen
    monkeypatch.setattr(os, "fdopen", lambda handle, mode: FullFile(real(handle, mode), room))
    with pytest.raises(OSError, match=rf"No space left.*write another path instead\): '.*{target.name}'"):
        files.store(target, NEW, {})
    monkeypatch.undo()
    assert [p.name for p in target.parent.iterdir()] == [target.name]
    assert holds(target, OLD)


LIMITED = """
import resource, signal, sys
import numpy as np
from ranvier.data import files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the system then fails the write, in its middle
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    files.store(sys.argv[1], {"a": np.zeros(100_000)}, {})
except OSError as error:
    print(error.strerror)
"""


@pytest.mark.parametrize("room", [0, 1000, 500_000])
def test_a_write_that_the_system_cuts_off(room, target):
    result = run(LIMITED, target, room)
    assert result.stdout.strip() == os.strerror(errno.EFBIG), result.stderr
    assert [p.name for p in target.parent.iterdir()] == [target.name]
    assert holds(target, OLD)


def test_a_folder_that_is_missing_or_read_only(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"m: there is no folder .*gone. Make it first, .* os.makedirs"):
        files.store(tmp_path / "gone" / "m", OLD, {})
    (tmp_path / "dangling").symlink_to(tmp_path / "gone" / "m")
    with pytest.raises(FileNotFoundError, match=r"dangling: there is no folder .*gone\. Make it first, .* os.makedirs"):
        files.store(tmp_path / "dangling", OLD, {})
    with pytest.raises(IsADirectoryError, match=r"model\.ranvier"):
        files.store(tmp_path, OLD, {})


# --- killed at every call -----------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
import numpy as np
from ranvier.data import files
target, name, at, when = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
real, calls = getattr(os, name), [0]
def call(*args, **kwargs):
    calls[0] += 1
    if calls[0] != at + 1:
        return real(*args, **kwargs)
    result = None if when == "before" else real(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(os, name, call)
files.store(target, {"a": np.arange(6.0).reshape(2, 3) + 100, "b": np.array(8, np.int32)}, {})
print("not killed")
"""
POINTS = [("open", 0), ("fdopen", 0), ("fsync", 0), ("replace", 0), ("open", 1), ("fsync", 1), ("close", 0)]


def run(program, *arguments):
    environment = os.environ | {"PYTHONPATH": str(Path(rv.__file__).parent.parent)}
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True, text=True, timeout=60, check=False, env=environment,
    )  # fmt: skip


@pytest.mark.parametrize(("name", "at"), POINTS)
def test_killed_at_every_call(name, at, target):
    for when in ("before", "after"):
        result = run(KILLED, target, name, at, when)
        assert result.returncode == -signal.SIGKILL, result.stdout + result.stderr
        assert holds(target, OLD) or holds(target, NEW)
    files.store(target, OLD, {})
    assert [p.name for p in target.parent.iterdir()] == [target.name], "orphans stay"
    assert holds(target, OLD)


def test_orphans_of_an_earlier_process_of_the_same_number(target):
    """In a container every process is number 1."""
    orphan = target.parent / f".{target.name}.{os.getpid()}-0123.tmp"
    orphan.write_bytes(b"half")
    files.store(target, NEW, {})
    assert not orphan.exists()


def test_several_threads_write_one_file(target):
    def write():
        for _ in range(20):
            files.store(target, NEW, {})

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        assert holds(target, OLD) or holds(target, NEW)
    for thread in threads:
        thread.join()
    assert [p.name for p in target.parent.iterdir()] == [target.name]


# --- names and kinds of files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x" * 255, "模" * 85, "a*b?[c]", "-rf", ".hidden", "with space", "new\nline"])
def test_names(name, tmp_path):
    (tmp_path / f"{files.stem(name)}999999999-00.tmp").write_bytes(b"orphan")
    for tensors in (OLD, NEW):
        files.store(tmp_path / name, tensors, {})
        assert holds(tmp_path / name, tensors)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_path_deeper_than_most(tmp_path):
    deep = tmp_path.joinpath(*["d" * 100] * 10)
    deep.mkdir(parents=True)
    files.store(deep / "m", OLD, {})
    assert holds(deep / "m", OLD)
    with pytest.raises(OSError, match="too long"):
        files.store(tmp_path / ("x" * 256), OLD, {})


def test_the_same_contents_are_the_same_bytes(target, tmp_path):
    for i in range(5):
        files.store(tmp_path / str(i), dict(reversed(OLD.items())) if i % 2 else OLD, {"note": "old"})
    assert len({(tmp_path / str(i)).read_bytes() for i in range(0, 5, 2)}) == 1


def test_a_link_stays_a_link(target, tmp_path):
    link = tmp_path / "latest"
    link.symlink_to(target.name)
    files.store(link, NEW, {})
    assert link.is_symlink()
    assert holds(target, NEW)


def test_devices_and_pipes_are_refused_and_do_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        for read in (files.read, torch.load):
            with pytest.raises(CheckpointError, match="device or a pipe"):
                read(path)


def compiled():
    model = rv.Sequential([rv.layers.Input((2,)), rv.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


X, Y = np.zeros((4, 2), np.float32), np.zeros((4, 1), np.float32)
WRITERS = {
    "save": lambda path: compiled().save(path),
    "save_weights": lambda path: compiled().save_weights(path),
    "torch.save": lambda path: torch.save({"a": torch.ones(2)}, path),
    "ModelCheckpoint": lambda path: compiled().fit(X, Y, callbacks=[rv.callbacks.ModelCheckpoint(path)], verbose=0),
    "CSVLogger": lambda path: compiled().fit(X, Y, callbacks=[rv.callbacks.CSVLogger(path)], verbose=0),
    "plot": lambda path: compiled().plot(path),
}  # fmt: skip


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("writer", WRITERS)
def test_nothing_replaces_a_device_or_a_pipe(writer, link, tmp_path):
    if writer == "plot":
        pytest.importorskip("matplotlib")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    with pytest.raises(OSError, match=r"device or a pipe, not a file\. Write the name of a file"):
        WRITERS[writer](tmp_path / ("link" if link else "pipe"))
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "link").is_symlink()
    assert len(list(tmp_path.iterdir())) == 2


def test_arrays_in_any_memory(tmp_path):
    base = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    tensors = {
        "fortran": np.asfortranarray(base), "reversed": base[::-1, :, ::-1], "strided": base[:, ::2, 1::2],
        "moved": base.transpose(2, 0, 1), "big": base.astype(">f4"), "spread": np.broadcast_to(base[:1], (5, 3, 4)),
        "scalar": np.array(3.5), "empty": np.zeros((0, 3)), "bool": base > 3, "half": base.astype(np.float16),
        "long": base.astype(np.int64), "unsigned": base.astype(np.uint64),
    }  # fmt: skip
    files.store(tmp_path / "m", tensors, {})
    for name, array in files.read(tmp_path / "m")[1].items():
        np.testing.assert_array_equal(array, tensors[name])
        assert array.dtype == tensors[name].dtype.newbyteorder("=")


# --- nothing is believed ------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_of_any_kind_is_an_error_or_harmless(data, target):
    """Bits flipped, pieces cut out or put in: a clear error, or (white space between names) the same contents."""
    whole = bytearray(target.read_bytes())
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "truncate"]))
    at = data.draw(st.integers(0, len(whole) - 1))
    if kind == "flip":
        whole[at] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "cut":
        del whole[at : at + data.draw(st.integers(1, 20))]
    elif kind == "insert":
        whole[at:at] = data.draw(st.binary(min_size=1, max_size=20))
    else:
        del whole[at:]
    damaged = target.parent / "damaged"
    damaged.write_bytes(whole)
    with contextlib.suppress(CheckpointError):
        description, tensors = files.read(damaged)
        assert description == files.read(target)[0]
        assert holds(damaged, OLD)
        assert tensors.keys() == OLD.keys()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def craft(path, header, body=b""):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entry=JSON, checksums=JSON, version=JSON)
def test_headers_of_any_shape_are_an_error(entry, checksums, version, tmp_path):
    described = files.sealed({"version": version, "checksums": checksums})
    craft(tmp_path / "m", {"a": entry, "__metadata__": {"ranvier": described}}, bytes(8))
    with pytest.raises(CheckpointError):
        files.read(tmp_path / "m")


def place(low, high, shape, dtype="U8"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [low, high]}


HOSTILE = [  # places of tensors in a body of 8 bytes, and what is said
    ({"a": place(0, 8, [8]), "b": place(0, 8, [8])}, "begins at byte 0 instead of 8"),
    ({"a": place(0, 4, [4]), "b": place(2, 8, [6])}, "begins at byte 2 instead of 4"),
    ({"a": place(0, 4, [4])}, "are unused"),
    ({"a": place(4, 8, [4])}, "begins at byte 4 instead of 0"),
    ({"a": place(0, 16, [16])}, "truncated"),
    ({"a": place(0, 8, [2**60])}, "do not match"),
    ({"a": place(0, 8, [2**40, 2**40])}, "do not match"),
    ({"a": place(0, 8, [-8])}, "do not match"),
    ({"a": place(8, 0, [8])}, "do not match"),
    ({"a": place(0, 8, [1], "OBJECT")}, "has a wrong description"),
    ({"a": place(0, 8, [1e400])}, "has a wrong description"),
]


@pytest.mark.parametrize(("header", "text"), HOSTILE)
def test_places_that_lie(header, text, tmp_path):
    described = files.sealed({"version": 1, "checksums": dict.fromkeys(header, "")})
    craft(tmp_path / "m", {**header, "__metadata__": {"ranvier": described}}, bytes(8))
    with pytest.raises(CheckpointError, match=text):
        files.read(tmp_path / "m")


def test_a_description_deeper_than_python_recurses(tmp_path):
    for text in ("[" * 100_000, '{"version": 1, "checksums": ' + "[" * 100_000):
        craft(tmp_path / "m", {"__metadata__": {"ranvier": text}})
        with pytest.raises(CheckpointError):
            files.read(tmp_path / "m")
    raw = b"[" * 100_000
    (tmp_path / "m").write_bytes(struct.pack("<Q", len(raw)) + raw)
    with pytest.raises(CheckpointError, match="header cannot be read"):
        files.read(tmp_path / "m")


# --- plain values -------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.builds(np.float32, st.floats(width=32)) | st.builds(np.arange, st.integers(0, 4)),
    lambda v: st.lists(v, max_size=3) | st.tuples(v, v) | st.dictionaries(st.text(max_size=3) | st.integers(), v, max_size=3),
    max_leaves=10,
)  # fmt: skip


def equal(a, b):
    if isinstance(a, dict):
        return type(b) is dict and list(a) == list(b) and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return type(a) is type(b) and repr(a) == repr(b)


@settings(max_examples=200, deadline=None)
@given(value=VALUES)
def test_values_come_back_as_they_were(value):
    tensors: dict = {}
    assert equal(value, unpack(json.loads(json.dumps(pack(value, "v", tensors))), tensors))


@pytest.mark.parametrize("value", [object(), {1, 2}, lambda: 0, np.array([object()]), {(1, 2): 3}, b"bytes"])
def test_what_a_file_cannot_hold(value):
    with pytest.raises(TypeError, match="what/0 is a"):
        pack([value], "what", {})

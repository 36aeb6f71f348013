"""The file of a saved model or run: a safetensors file with a JSON description, whole or not there at all.

Every tensor has a checksum. Nothing in a file is run, and nothing it declares is believed before it is checked.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import os
import secrets
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.data.convert import Array

__all__ = [
    "CheckpointError",
    "check_source",
    "check_target",
    "make_folder",
    "read",
    "store",
    "to_bytes",
    "write",
]

VERSION = 1
KEY = "ranvier"  # of the metadata
SEAL = len('{"checksum": "", ') + 32  # characters of a description before what its checksum is of
LARGEST_HEADER = 100 << 20
LONGEST_NAME = 255  # bytes, in the file systems in use
_DTYPES = {
    "F16": "<f2", "F32": "<f4", "F64": "<f8", "I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8",
    "U8": "u1", "U16": "<u2", "U32": "<u4", "U64": "<u8", "BOOL": "?",
}  # fmt: skip
STORED = frozenset(np.dtype(d).newbyteorder("=").str for d in _DTYPES.values())
_writing: set[str] = set()  # temporary files that this process is writing now


class CheckpointError(ValueError):
    """A file that is no saved model or run, is damaged, does not fit, or needs a newer version."""


# --- writing ------------------------------------------------------------------------------------------------------


def store(path: Any, tensors: Mapping[str, Array], description: Mapping[str, Any]) -> None:
    """Write tensors, their checksums and a description of JSON values, as `write` does; `read` reads it."""
    whole = {"version": VERSION, **description, "checksums": {n: checksum(a) for n, a in tensors.items()}}
    write(path, tensors, {KEY: sealed(whole)})


def sealed(description: Mapping[str, Any]) -> str:
    """A description as JSON that begins with the checksum of what comes after it.

    One text, and not two: safetensors writes several in an order that differs from run to run.
    """
    text = json.dumps(description, ensure_ascii=False)[1:]
    return f'{{"checksum": "{digest(text.encode())}", {text}'


def check_target(path: Any, name: str) -> None:
    """Raise OSError where a file cannot be written: into no folder, over one, or over a device or a pipe, which it
    would replace. ``name`` is that of a file as it may be called.
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a directory. Write {target / name} instead.")
    if target.exists() and not target.is_file():
        raise OSError(
            f"{target} is a device or a pipe, not a file. Write the name of a file, {name}, instead."
        )
    folder = (Path(os.path.realpath(target)) if target.is_symlink() else target).parent
    if not folder.is_dir():
        raise FileNotFoundError(
            errno.ENOENT,
            f"{target}: there is no folder {folder}. Write os.makedirs({str(folder)!r}) before, or another path",
        )


def make_folder(folder: Path, purpose: str) -> None:
    """Make a folder, and those that it lies in. Raises NotADirectoryError that names a file which is in the way."""
    known = next(part for part in (folder, *folder.parents) if part.exists())
    if not known.is_dir():
        raise NotADirectoryError(f"{known} is a file. Write the name of a folder for {purpose} instead.")
    folder.mkdir(parents=True, exist_ok=True)


def write(path: Any, tensors: Mapping[str, Array], metadata: dict[str, str]) -> None:
    """Write a safetensors file beside the target, make sure that it is on the disk, and only then give it the name.

    The mode follows the umask. A link stays a link: the file it leads to is replaced. Raises OSError where anything
    fails; the old file is then as it was, and no temporary file is left.
    """
    check_target(path, "model.ranvier")
    target = Path(os.path.realpath(path))
    folder = target.parent
    data = to_bytes(tensors, metadata)
    clean(target)
    temporary = folder / temporary_name(target.name)
    _writing.add(temporary.name)
    try:
        place(temporary, target, data)
    finally:
        _writing.discard(temporary.name)
    settle(folder)


def to_bytes(tensors: Mapping[str, Array], metadata: dict[str, str]) -> bytes:
    """A safetensors file."""
    from safetensors.numpy import save

    # Safetensors writes the memory as it lies, which is wrong for any other order than C, or of bytes.
    return save({n: native(a) for n, a in tensors.items()}, metadata)


def place(temporary: Path, target: Path, data: bytes) -> None:
    """The bytes under a temporary name, on the disk, and then under their own name."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    handle = os.open(
        temporary, flags, 0o666
    )  # less the umask, which only the system can apply without a race
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)  # noqa: PTH105  # one system call, whose failure is tested
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108  # likewise
        raise


def settle(folder: Path) -> None:
    """Make sure that a new name is on the disk: it is when its folder is."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that has no such thing
            raise
    finally:
        os.close(handle)


def native(array: Array) -> Array:
    return np.array(array, array.dtype.newbyteorder("="), order="C")


def checksum(array: Array) -> str:
    """Of what an array holds and of how that is to be read."""
    plain = native(array)
    return digest(f"{plain.dtype.newbyteorder('<').str} {plain.shape} ".encode(), plain.data)


def digest(*parts: Any) -> str:
    code = hashlib.sha256()
    for part in parts:
        code.update(part)
    return code.hexdigest()[:32]


def stem(name: str) -> str:
    """What the temporary files of a target begin with; a name near the longest is cut, and told apart by a hash."""
    encoded = os.fsencode(name)
    if len(encoded) <= LONGEST_NAME - 40:
        return f".{name}."
    short = encoded[: LONGEST_NAME - 60].decode("utf-8", "ignore")
    return f".{short}~{hashlib.sha256(encoded).hexdigest()[:12]}."


def temporary_name(name: str) -> str:
    return f"{stem(name)}{os.getpid()}-{secrets.token_hex(4)}.tmp"


def clean(target: Path) -> None:
    """Remove temporary files of this target that processes left which were killed while they saved."""
    for orphan in target.parent.glob(f"{glob.escape(stem(target.name))}*.tmp"):
        with contextlib.suppress(OSError):
            if not alive(orphan):
                orphan.unlink()


def alive(temporary: Path) -> bool:
    """Whether the process that writes this temporary file still runs."""
    number = temporary.name.rsplit(".", 2)[1].partition("-")[0]
    if not number.isdecimal():
        return False
    if (
        int(number) == os.getpid()
    ):  # ours, or that of an earlier process of the same number: 1, in a container
        return temporary.name in _writing
    if os.name != "posix":  # there is no asking elsewhere; nothing takes an hour to write
        return time.time() - temporary.stat().st_mtime < 3600
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


# --- reading ------------------------------------------------------------------------------------------------------


def check_source(path: Any) -> None:
    """Raise for a folder, or a device or a pipe, of which reading might never end."""
    source = Path(path)
    if source.is_dir():
        raise IsADirectoryError(f"{source} is a directory. Write the name of a saved file in it instead.")
    if source.exists() and not source.is_file():
        raise CheckpointError(
            f"{source} is a device or a pipe, not a file. Write the name of a saved model instead."
        )


def read(path: Any) -> tuple[dict[str, Any], dict[str, Array]]:
    """The description and the checked tensors of a file.

    Raises CheckpointError for one that is truncated, altered, no saved model, or of a newer version, naming the tensor
    where there is one.
    """
    source = Path(path)
    check_source(source)
    data = source.read_bytes()
    header = header_of(data, source)
    metadata = header.pop("__metadata__", {})
    described = description_of(metadata, source)
    start = 8 + struct.unpack("<Q", data[:8])[0]
    checksums, tensors = described["checksums"], {}
    missing = checksums.keys() - header.keys()
    if missing:
        raise CheckpointError(f"{source} is damaged: it lacks {sorted(missing)}.")
    check_places(header, len(data) - start, source)
    for name, entry in header.items():
        tensors[name] = tensor_of(data, start, name, entry, source)
        if checksums.get(name) != checksum(tensors[name]):
            raise CheckpointError(
                f"{source} is damaged: tensor {name!r} does not have the checksum it was saved with."
            )
    return described, tensors


def description_of(metadata: Any, source: Path) -> dict[str, Any]:
    try:
        described = json.loads(metadata[KEY], object_pairs_hook=unique)
        version = int(described["version"])
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        raise CheckpointError(
            f"{source} is a safetensors file, but no saved model: it has no description. Write "
            "model.load_state_dict(safetensors.numpy.load_file(path)) for weights alone."
        ) from None
    if version > VERSION:
        raise CheckpointError(
            f"{source} has format version {version}, and this Ranvier reads up to {VERSION}. Install a newer Ranvier."
        )
    if described.get("checksum") != digest(metadata[KEY][SEAL:].encode("utf-8", "surrogatepass")):
        raise CheckpointError(
            f"{source} is damaged: its description does not have the checksum it was saved with."
        )
    if not isinstance(described.get("checksums"), dict):
        raise CheckpointError(f"{source} is damaged: it has no checksums.")
    return dict(described)


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a name appears twice")
    return result


def header_of(data: bytes, source: Path) -> dict[str, Any]:
    """The header of a safetensors file: its length in eight bytes, then JSON."""
    size = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else 0
    if not 2 <= size <= LARGEST_HEADER:
        raise CheckpointError(f"{source} is no saved model ({len(data):,} bytes that do not begin like one).")
    if 8 + size > len(data):
        raise CheckpointError(
            f"{source} is truncated: {len(data):,} bytes, of which the header alone needs {8 + size:,}."
        )
    try:
        header = json.loads(data[8 : 8 + size].decode("utf-8"), object_pairs_hook=unique)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{source} is damaged: its header cannot be read ({error}).") from None
    if not isinstance(header, dict):
        raise CheckpointError(f"{source} is no saved model: its header is not an object.")
    return header


def place_of(name: str, entry: Any, source: Path) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    """The dtype and shape of a tensor, and the bytes it takes: (first, end)."""
    try:
        dtype = np.dtype(_DTYPES[entry["dtype"]])
        shape = tuple(int(n) for n in entry["shape"])
        low, high = (int(n) for n in entry["data_offsets"])
        count = 1
        for n in shape:
            count *= n
        if min((low, high - low, *shape)) < 0 or count * dtype.itemsize != high - low:
            raise ValueError("its size and its place do not agree")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(
            f"{source} is damaged: tensor {name!r} is described wrongly ({error})."
        ) from None
    return dtype, shape, low, high


def check_places(header: dict[str, Any], size: int, source: Path) -> None:
    """Tensors fill the file one after the other: none lies on another, so no file is larger in memory than on disk."""
    places = sorted((*place_of(name, entry, source)[2:], name) for name, entry in header.items())
    end = 0
    for low, high, name in places:
        if high > size:
            raise CheckpointError(
                f"{source} is truncated: tensor {name!r} ends at byte {high:,} of {size:,} bytes of tensors."
            )
        if low != end:
            raise CheckpointError(
                f"{source} is damaged: tensor {name!r} begins at byte {low:,} instead of {end:,}."
            )
        end = high
    if end != size:
        raise CheckpointError(
            f"{source} is damaged: {size - end:,} bytes after its last tensor belong to nothing."
        )


def tensor_of(data: bytes, start: int, name: str, entry: Any, source: Path) -> Array:
    dtype, shape, low, high = place_of(name, entry, source)
    array = np.frombuffer(data, dtype, (high - low) // dtype.itemsize, start + low).reshape(shape)
    return array.astype(dtype.newbyteorder("="))

"""The file of a saved model or run: a safetensors file with a JSON description, written atomically.

Every tensor has a checksum. Nothing in a file is executed, and its declarations are checked before use.
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
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.support.exits import finite
from ranvier.support.whole_files import write_together, write_whole

VERSION = 1
KEY = "ranvier"  # the key of the description in the metadata
SEAL = len('{"checksum": "", ') + 32  # characters before the part of a description that its checksum covers
LARGEST_HEADER = 100 << 20
LONGEST_NAME = 255  # bytes of a file name, in common file systems
DTYPES = {
    "F16": "<f2", "F32": "<f4", "F64": "<f8", "I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8",
    "U8": "u1", "U16": "<u2", "U32": "<u4", "U64": "<u8", "BOOL": "?",
}  # fmt: skip
PICKLED = (b"PK\x03\x04", *(b"\x80" + bytes([n]) for n in range(2, 6)))  # the first bytes of pickles and archives
UNPICKLED = (
    "reading it could run whatever code it holds. With PyTorch, write safetensors.torch.save_file(torch.load(path), "
    "other) once, and read that, instead."
)
STORED = frozenset(np.dtype(d).newbyteorder("=").str for d in DTYPES.values())
_writing: set[str] = set()  # temporary files that this process is writing now


class CheckpointError(ValueError):
    """A file that is not a saved model or run, is damaged, does not match the model, or needs a newer version."""


# --- writing ------------------------------------------------------------------------------------------------------


def store(path: Any, tensors: Mapping[str, Array], description: Mapping[str, Any]) -> None:
    """Write tensors, their checksums and a description of JSON values with `write`. `read` reads the file."""
    whole = {"version": VERSION, **description, "checksums": {n: checksum(a) for n, a in tensors.items()}}
    write(path, tensors, {KEY: sealed(whole)})


def sealed(description: Mapping[str, Any]) -> str:
    """A description as JSON that begins with the checksum of the rest.

    It is one text, because safetensors writes several texts in random order.
    """
    text = json.dumps(description, ensure_ascii=False)[1:]
    return f'{{"checksum": "{digest(text.encode())}", {text}'


def check_target(path: Any, name: str) -> None:
    """Raise OSError where a file cannot be written, because the target is a folder, a device or a pipe, or because its
    folder does not exist. ``name`` is an example of a file name.
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a directory. Write {target / name} instead.")
    if target.exists() and not target.is_file():
        raise OSError(f"{target} is a device or a pipe, not a file. Write the name of a file, {name}, instead.")
    folder = (Path(os.path.realpath(target)) if target.is_symlink() else target).parent
    if not folder.is_dir():
        raise FileNotFoundError(
            errno.ENOENT,
            f"{target}: there is no folder {folder}. Make it first, in Python with os.makedirs({str(folder)!r}), or "
            "write another path",
        )


def make_folder(folder: Path, purpose: str) -> None:
    """Make a folder and its parents. Raises NotADirectoryError that names a file in its path."""
    known = next(part for part in (folder, *folder.parents) if part.exists())
    if not known.is_dir():
        raise NotADirectoryError(f"{known} is a file. Write the name of a folder for {purpose} instead.")
    folder.mkdir(parents=True, exist_ok=True)


def write(path: Any, tensors: Mapping[str, Array], metadata: dict[str, str]) -> None:
    """Write a safetensors file with `write_bytes`."""
    check_target(path, "model.ranvier")
    write_bytes(path, to_bytes(tensors, metadata))


def write_bytes(path: Any, data: bytes, name: str = "model.ranvier") -> None:
    """Write a file under a temporary name, flush it to the disk, and then rename it. ``name`` is as in `check_target`.

    The mode follows the umask. Of a link, the file that it points to is replaced. Where this fails, it raises OSError,
    the old file does not change, and the temporary file is removed.
    """
    check_target(path, name)
    target = Path(os.path.realpath(path))
    temporary = _temporary(target)
    _writing.add(temporary.name)
    try:
        write_whole(temporary, target, data, flush=True)
    finally:
        _writing.discard(temporary.name)
    flush_folder(target.parent)


def write_set(parts: Iterable[tuple[Path, bytes]]) -> None:
    """Write files of one folder, of which the last names the others, with `write_together`."""
    given: list[Path] = []

    def each() -> Iterator[tuple[Path, Path, bytes]]:
        for path, data in parts:
            check_target(path, path.name)
            target = Path(os.path.realpath(path))
            given.append(_temporary(target))
            _writing.add(given[-1].name)
            yield given[-1], target, data

    try:
        write_together(each())
    finally:
        _writing.difference_update(path.name for path in given)
    for folder in {path.parent for path in given}:
        flush_folder(folder)


def _temporary(target: Path) -> Path:
    """A new temporary name for a target, of which those that were left over are removed."""
    clean(target)
    return target.parent / f"{stem(target.name)}{os.getpid()}-{secrets.token_hex(4)}.tmp"


@finite.busy()
def to_bytes(tensors: Mapping[str, Array], metadata: dict[str, str]) -> bytes:
    """The bytes of a safetensors file."""
    from safetensors.numpy import save

    # Safetensors writes memory unchanged, so arrays must be in C order and native byte order.
    return save({n: native(a) for n, a in tensors.items()}, metadata)


def flush_folder(folder: Path) -> None:
    """Flush a folder to the disk, and with it the names of its files."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # not supported by the file system
            raise
    finally:
        os.close(handle)


def native(array: Array) -> Array:
    return np.array(array, array.dtype.newbyteorder("="), order="C")


def checksum(array: Array) -> str:
    """The checksum of the values, the dtype and the shape of an array."""
    plain = native(array)
    return digest(f"{plain.dtype.newbyteorder('<').str} {plain.shape} ".encode(), plain.data)


def digest(*parts: Any) -> str:
    code = hashlib.sha256()
    for part in parts:
        code.update(part)
    return code.hexdigest()[:32]


def stem(name: str) -> str:
    """The prefix of the temporary files of a target. A long name is cut, and a hash keeps it unique."""
    encoded = os.fsencode(name)
    if len(encoded) <= LONGEST_NAME - 40:
        return f".{name}."
    short = encoded[: LONGEST_NAME - 60].decode("utf-8", "ignore")
    return f".{short}~{hashlib.sha256(encoded).hexdigest()[:12]}."


def clean(target: Path) -> None:
    """Remove temporary files of this target from processes that were killed while they saved."""
    for orphan in target.parent.glob(f"{glob.escape(stem(target.name))}*.tmp"):
        with contextlib.suppress(OSError):
            if not alive(orphan):
                orphan.unlink()


def alive(temporary: Path) -> bool:
    """Whether the process that writes this temporary file is running."""
    number = temporary.name.rsplit(".", 2)[1].partition("-")[0]
    if not number.isdecimal():
        return False
    if int(number) == os.getpid():  # this process, or an earlier one with the same number (1 in a container)
        return temporary.name in _writing
    if os.name != "posix":  # unknown on other systems: an hour is longer than any write
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
    """Raise for a folder, a device or a pipe. Reading a device may not end."""
    source = Path(path)
    if source.is_dir():
        raise IsADirectoryError(f"{source} is a directory. Write the name of a saved file in it instead.")
    if source.exists() and not source.is_file():
        raise CheckpointError(f"{source} is a device or a pipe, not a file. Write the name of a saved model instead.")


def read(path: Any, data: bytes | None = None) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the description and the checked tensors of a file, or of its bytes where they are known.

    Raises CheckpointError for a file that is truncated, changed, not a saved model, or of a newer version. It names the
    damaged tensor.
    """
    source = Path(path)
    if data is None:
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
        dtype, shape, low, high = place_of(name, entry, source)
        array = np.frombuffer(data, dtype, (high - low) // dtype.itemsize, start + low).reshape(shape)
        tensors[name] = array.astype(dtype.newbyteorder("="))
        if checksums.get(name) != checksum(tensors[name]):
            raise CheckpointError(f"{source} is damaged: tensor {name!r} does not have the checksum it was saved with.")
    return described, tensors


def describes(path: Any) -> bool:
    """Whether the header of a safetensors file has a description of `store`."""
    with Path(path).open("rb") as file:
        start = file.read(8)
        size = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        return f'"{KEY}"'.encode() in file.read(min(size, LARGEST_HEADER))


def description_of(metadata: Any, source: Path) -> dict[str, Any]:
    try:
        described = json.loads(metadata[KEY], object_pairs_hook=unique)
        version = int(described["version"])
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        raise CheckpointError(
            f"{source} is a safetensors file, but not a saved model: it has no description. Write "
            "model.load_state_dict(safetensors.numpy.load_file(path)) for weights alone."
        ) from None
    if version > VERSION:
        raise CheckpointError(
            f"{source} has format version {version}, and this Ranvier reads up to {VERSION}. Install a newer Ranvier."
        )
    if described.get("checksum") != digest(metadata[KEY][SEAL:].encode("utf-8", "surrogatepass")):
        raise CheckpointError(f"{source} is damaged: its description does not have the checksum it was saved with.")
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
        if data.startswith(PICKLED):
            raise CheckpointError(f"{source} is a pickle, or an archive of PyTorch or Keras: {UNPICKLED}")
        raise CheckpointError(f"{source} is not a saved model ({len(data):,} bytes that do not begin like one).")
    if 8 + size > len(data):
        raise CheckpointError(
            f"{source} is truncated: {len(data):,} bytes, of which the header alone needs {8 + size:,}."
        )
    try:
        header = json.loads(data[8 : 8 + size].decode("utf-8"), object_pairs_hook=unique)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{source} is damaged: its header cannot be read ({error}).") from None
    if not isinstance(header, dict):
        raise CheckpointError(f"{source} is not a saved model: its header is not an object.")
    return header


def place_of(
    name: str, entry: Any, source: Path, dtypes: Mapping[str, Any] = DTYPES
) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    """The dtype and the shape of a tensor, and the offsets of its first byte and of its end."""
    try:
        dtype = np.dtype(dtypes[entry["dtype"]])
        shape = tuple(int(n) for n in entry["shape"])
        low, high = (int(n) for n in entry["data_offsets"])
        count = 1
        for n in shape:
            count *= n
        if min((low, high - low, *shape)) < 0 or count * dtype.itemsize != high - low:
            raise ValueError("its size and its offsets do not match")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(f"{source} is damaged: tensor {name!r} has a wrong description ({error}).") from None
    return dtype, shape, low, high


def check_places(header: dict[str, Any], size: int, source: Path, dtypes: Mapping[str, Any] = DTYPES) -> None:
    """Check that tensors fill the file without gaps or overlaps, so that memory use is limited by the file size."""
    places = sorted((*place_of(name, entry, source, dtypes)[2:], name) for name, entry in header.items())
    end = 0
    for low, high, name in places:
        if high > size:
            raise CheckpointError(
                f"{source} is truncated: tensor {name!r} ends at byte {high:,} of {size:,} bytes of tensors."
            )
        if low != end:
            raise CheckpointError(f"{source} is damaged: tensor {name!r} begins at byte {low:,} instead of {end:,}.")
        end = high
    if end != size:
        raise CheckpointError(f"{source} is damaged: {size - end:,} bytes after its last tensor are unused.")

"""IDX, the file format of MNIST: big-endian dimensions, then bytes or 16-bit integers, plain or gzipped.

Four bytes (0, 0, 8 for unsigned bytes or 11 for 16-bit integers, the number of dimensions), each dimension as a 32-bit
big-endian integer, then the values, big-endian, in C order (Y. LeCun, C. Cortes, C. Burges, *The MNIST database of
handwritten digits*).
"""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from typing import IO, Protocol, cast

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.uint8] | npt.NDArray[np.int16]

_CHUNK = 1 << 20  # bytes that are read and digested at a time, while they are in the cache
_CODES = {"uint8": 0x08, "int16": 0x0B}
_NAMES = {"uint8": "unsigned bytes", "int16": "16-bit integers"}


class Digest(Protocol):
    """The methods of the objects of ``hashlib``."""

    def update(self, data: bytes | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


class Crc32:
    """CRC-32 with the methods of ``hashlib``: four times as fast as SHA-256, and only against accidental damage."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


def header(shape: tuple[int, ...], dtype: str = "uint8") -> bytes:
    """Return the bytes before the values of an array of ``shape``."""
    return bytes([0, 0, _CODES[dtype]]) + struct.pack(f">B{len(shape)}I", len(shape), *shape)


def values(array: Values) -> memoryview:
    """The values of an array as bytes in the order of the file."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder(">")).reshape(-1).view(np.uint8).data


def read_idx(path: Path, *, shape: tuple[int, ...], digest: Digest, dtype: str = "uint8") -> Values:
    """Read an IDX file of ``dtype`` (uint8 or int16), gzipped if its name ends in ``.gz``, into a new writable array.

    ``digest`` receives the whole unpacked file. The header is checked before memory is allocated, and no more is
    unpacked than it announces.

    Raises ``ValueError`` for a file that is not IDX, is truncated or too long, or has another shape than ``shape``;
    ``OSError`` where it cannot be read.
    """
    if path.suffix != ".gz":
        with path.open("rb") as file:
            return _read(file, path, shape, digest, dtype, path.stat().st_size)
    import gzip

    try:
        with gzip.open(path, "rb") as unpacked:
            return _read(cast(IO[bytes], unpacked), path, shape, digest, dtype, None)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is a damaged gzip file ({error}). Write a complete one instead.") from error


def _read(
    file: IO[bytes], path: Path, shape: tuple[int, ...], digest: Digest, dtype: str, n_bytes: int | None
) -> Values:
    start, magic = file.read(4), header((), dtype)[:3]
    if len(start) < 4 or start[:3] != magic:
        raise ValueError(
            f"{path} is not an IDX file of {_NAMES[dtype]}: it starts with {start.hex(' ') or 'nothing'}, not "
            f"{magic.hex(' ')}. Write a file like MNIST's instead."
        )
    sizes = file.read(4 * start[3])
    if len(sizes) < 4 * start[3]:
        raise ValueError(f"{path} is truncated within its header. Write a complete file instead.")
    found = struct.unpack(f">{start[3]}I", sizes)
    if found != shape:
        raise ValueError(f"{path} has an array of shape {found}. Write one of shape {shape} instead.")
    native = np.dtype(dtype)
    announced = len(start) + len(sizes) + math.prod(shape) * native.itemsize
    if n_bytes is not None and n_bytes != announced:
        raise ValueError(
            f"{path} has {n_bytes:,} bytes, and its header announces {announced:,}. Write a complete file instead."
        )
    array = np.empty(math.prod(shape), native.newbyteorder(">"))
    view = array.view(np.uint8).data
    at = 0
    digest.update(start + sizes)
    while at < len(view):
        n = cast("int", file.readinto(view[at : at + _CHUNK]))  # type: ignore[attr-defined]
        if not n:
            raise ValueError(f"{path} ends {len(view) - at:,} bytes early. Write a complete file instead.")
        digest.update(view[at : at + n])
        at += n
    if file.read(1):
        raise ValueError(f"{path} is longer than its {announced:,} bytes. Write the original file instead.")
    return array.astype(native, copy=False).reshape(shape)

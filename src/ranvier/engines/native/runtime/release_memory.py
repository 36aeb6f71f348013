"""Releasing memory of a loaded library that it does not need for now, where the system allows it."""

from __future__ import annotations

import ctypes
import mmap
import struct
from pathlib import Path
from typing import Any

_MAPS = Path("/proc/self/maps")
_LOAD, _WRITABLE = 1, 2  # a type and a flag of an ELF file's segments


def _constant_parts(file: str) -> dict[int, int]:
    """The whole pages of the read-only segments of a 64-bit ELF file: offset to length."""
    with Path(file).open("rb") as stream:
        head = stream.read(4096)
    if head[:6] != b"\x7fELF\x02\x01":
        return {}
    (start,) = struct.unpack_from("<Q", head, 0x20)
    size, count = struct.unpack_from("<HH", head, 0x36)
    page, parts, written = mmap.PAGESIZE, {}, set()
    for at in range(start, min(start + size * count, len(head) - size + 1), size):
        kind, flags, offset, _, _, length = struct.unpack_from("<IIQQQQ", head, at)
        if kind == _LOAD:
            first = offset // page * page
            parts[first] = (offset + length) // page * page - first
            written |= {first} if flags & _WRITABLE else set()
    return {first: length for first, length in parts.items() if first not in written}


def release_pages(name: str) -> None:
    """Release the code and constants of the loaded library whose file name starts with ``name`` from memory.

    The system reloads pages that are used again from its copy of the file: some 3 ms for all of LLVM. Free memory that
    C's allocator keeps is released too.
    """
    advise, advice, trim = _system()
    if advise is None:
        return
    try:
        found = [line.split(maxsplit=5) for line in _MAPS.read_text().splitlines() if f"/{name}" in line]
        file = next((row[5] for row in found if Path(row[5]).name.startswith(name)), None)
        parts = _constant_parts(file) if file else {}
    except OSError:
        return
    for place, rights, offset, _, _, path in found:
        low, high = (int(edge, 16) for edge in place.split("-"))
        # Not relocated data, which was written while the library was loaded: it is in no read-only segment.
        length = min(parts.get(int(offset, 16), 0), high - low)
        if path == file and length and "w" not in rights:
            advise(low, length, advice)
    if trim is not None:
        trim(0)


def _system() -> tuple[Any, int, Any]:
    """The functions ``madvise`` and ``malloc_trim``, if this system has them, and the advice."""
    if not _MAPS.exists() or not hasattr(mmap, "MADV_DONTNEED"):
        return None, 0, None
    system = ctypes.CDLL(None)
    advise = getattr(system, "madvise", None)
    if advise is not None:
        advise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    return advise, mmap.MADV_DONTNEED, getattr(system, "malloc_trim", None)

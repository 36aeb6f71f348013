"""Giving memory back to the system that a library holds and does not need for now, where the system lets us."""

from __future__ import annotations

import ctypes
import mmap
import struct
from pathlib import Path
from typing import Any

_MAPS = Path("/proc/self/maps")
_LOAD, _WRITABLE = 1, 2  # a kind of an ELF file's segments, and a flag of theirs


def _constant_parts(file: str) -> dict[int, int]:
    """The whole pages of the segments of a 64-bit ELF file that are never written to: first byte, and how many."""
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


def let_go(name: str) -> None:
    """Let the code and the constants of the loaded library whose file name starts so go out of this process's memory.

    Whatever is used again comes back by itself, from the system's copy of the file: some 3 ms for all of LLVM. Memory
    that the allocator of C keeps for later is given back too.
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
        # Not what was written to while the library was loaded and must not be now: that is no part of such a segment.
        length = min(parts.get(int(offset, 16), 0), high - low)
        if path == file and length and "w" not in rights:
            advise(low, length, advice)
    if trim is not None:
        trim(0)


def _system() -> tuple[Any, int, Any]:
    """The functions ``madvise`` and ``malloc_trim`` where this system has them, and the advice."""
    if not _MAPS.exists() or not hasattr(mmap, "MADV_DONTNEED"):
        return None, 0, None
    system = ctypes.CDLL(None)
    advise = getattr(system, "madvise", None)
    if advise is not None:
        advise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    return advise, mmap.MADV_DONTNEED, getattr(system, "malloc_trim", None)

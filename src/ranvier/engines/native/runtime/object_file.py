"""The symbols of object files."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from ranvier.engines.native.target.target import CompilerError

# How object files begin: the format's magic number, and the offset and value of the processor field.
_ELF, _MACH_O = b"\x7fELF\x02\x01", b"\xcf\xfa\xed\xfe"
_PROCESSORS = {
    "x86_64": ((_ELF, 0x12, b"\x3e\x00"), (_MACH_O, 4, b"\x07\x00\x00\x01")),
    "aarch64": ((_ELF, 0x12, b"\xb7\x00"), (_MACH_O, 4, b"\x0c\x00\x00\x01")),
}
_EXPORTED, _HIDDEN, _NEEDED = range(3)


class Symbols(NamedTuple):
    """The global symbols of an object file: those that it exports, hidden ones, and those that it needs."""

    exported: set[str]
    hidden: set[str]  # defined for other objects of the same program alone
    needed: set[str]


def symbols(data: bytes, arch: str) -> Symbols:
    """The global symbols of an object file (64-bit ELF and Mach-O).

    LLVM ends the process on a damaged object, so the tables' offsets are checked too.
    """
    marks = _PROCESSORS.get(arch, ((_ELF, 0, b""),))
    if not any(data.startswith(mark) and data.startswith(code, at) for mark, at, code in marks):
        raise CompilerError(f"not an object file for {arch}: it begins with {data[:20].hex(' ')}")
    found = Symbols(set(), set(), set())
    try:
        for name, kind in _mach_o(data) if data.startswith(_MACH_O) else _elf(data):
            end = data.index(b"\0", name)
            found[kind].add(data[name:end].decode())
    except (struct.error, ValueError, IndexError) as error:
        raise CompilerError(f"the object file is damaged: {error}") from error
    if not found.exported | found.hidden:
        raise CompilerError("the object file is damaged or empty: it defines nothing")
    return found


def _elf(data: bytes) -> Iterator[tuple[int, int]]:
    (start,) = struct.unpack_from("<Q", data, 0x28)
    size, count = struct.unpack_from("<HH", data, 0x3A)
    if start + size * count > len(data):
        raise ValueError("its table of sections is cut off")
    sections = [struct.unpack_from("<4xI16xQQI", data, start + i * size) for i in range(count)]
    for kind, offset, length, link in sections:
        if kind != 8 and offset + length > len(data):  # SHT_NOBITS is zeros that the file does not hold
            raise ValueError("a section ends beyond the file")
        if kind == 2:  # SHT_SYMTAB
            names = sections[link][1]
            for name, info, other, section in struct.iter_unpack("<IBBH16x", data[offset : offset + length]):
                if name and info >> 4:  # STB_LOCAL is 0
                    yield (
                        names + name,
                        (_HIDDEN if other & 3 else _EXPORTED) if section else _NEEDED,
                    )  # STV_DEFAULT is 0


def _mach_o(data: bytes) -> Iterator[tuple[int, int]]:
    at = 32
    for _ in range(struct.unpack_from("<I", data, 16)[0]):
        command, size, offset, count, names = struct.unpack_from("<5I", data, at)
        if command == 2:  # LC_SYMTAB
            for name, kind, _section in struct.iter_unpack("<IBB10x", data[offset : offset + 16 * count]):
                if kind & 1 and not kind & 0xE0:  # external, not for debuggers
                    defined = _HIDDEN if kind & 0x10 else _EXPORTED  # 0x10: a private external symbol
                    yield names + name + 1, defined if kind & 0x0E else _NEEDED  # every name begins with an underscore
        at += size

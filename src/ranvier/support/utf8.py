"""Bytes as text."""

from __future__ import annotations


def utf8(raw: bytes, what: str) -> str:
    """Bytes as text. Raises ValueError with the offset of the first byte that is not UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{what} is not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start:,} ({error.reason}). Convert "
            "it, for example with text = raw.decode('latin-1'), instead."
        ) from None

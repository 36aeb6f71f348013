"""Hashes of texts as TensorFlow's: FarmHash's 64-bit fingerprint, and SipHash-2-4 with a key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
MASK = 2**64 - 1
K0, K1, K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
CROSSING = 0xC6A4A7935BD1E995  # the factor of `combined`
CROSSING_KEY = 0xDECAFCAFFE  # TensorFlow's first value of a crossing


def text_bytes(value: Any) -> bytes:
    """A text or a whole number as the bytes that are hashed."""
    if isinstance(value, bytes):
        return value
    return str(value.item() if isinstance(value, np.generic) else value).encode()


def buckets(values: Array, count: int, salt: Sequence[int] | None = None) -> Array:
    """The bucket of each element, from 0 to ``count - 1``: by FarmHash, or with ``salt`` (two integers) by SipHash."""
    code: Callable[[bytes], int] = fingerprint
    if salt is not None:
        first, second = (int(key) & MASK for key in salt)

        def code(text: bytes) -> int:
            return siphash(text, first, second)

    return each_value(values, lambda value: code(text_bytes(value)) % count)


def crossed(columns: Sequence[Array], count: int) -> Array:
    """The bucket of each row of several columns of texts or whole numbers."""

    def row(*values: Any) -> int:
        result = CROSSING_KEY
        for value in values:
            whole = isinstance(value, (int, np.integer))
            result = combined(result, int(value) & MASK if whole else fingerprint(text_bytes(value)))
        return result % count

    found = [row(*values) for values in zip(*(column.reshape(-1).tolist() for column in columns), strict=True)]
    return np.array(found, np.int32).reshape(columns[0].shape)


def cross_table(sizes: Sequence[int], count: int) -> Array:
    """`crossed` of all combinations of whole numbers below these sizes, the last number running fastest."""
    factor = np.uint64(CROSSING)
    result = np.full(1, CROSSING_KEY, np.uint64)
    with np.errstate(over="ignore"):  # modulo 2**64
        for size in sizes:
            second = _all_folded(np.arange(size, dtype=np.uint64) * factor) * factor
            result = (result[:, None] ^ factor ^ second).reshape(-1) * factor
            result = _all_folded(_all_folded(result) * factor)
    return (result % np.uint64(count)).astype(np.int32)


def _all_folded(values: Array) -> Array:
    return values ^ values >> np.uint64(47)


def each_value(values: Array, function: Callable[[Any], int]) -> Array:
    """A whole number for each element, by a function that is called once for each different element."""
    known: dict[Any, int] = {}
    flat = values.reshape(-1).tolist()
    for value in flat:
        if value not in known:
            known[value] = function(value)
    return np.fromiter((known[value] for value in flat), np.int32, len(flat)).reshape(values.shape)


# --- FarmHash -------------------------------------------------------------------------------------------------------


def _rotated(value: int, bits: int) -> int:
    """A 64-bit number rotated to the right."""
    return (value >> bits | value << (64 - bits)) & MASK


def _folded(value: int) -> int:
    return value ^ value >> 47


def _pair(u: int, v: int, factor: int) -> int:
    """Two numbers as one."""
    a = _folded((u ^ v) * factor & MASK)
    return _folded((v ^ a) * factor & MASK) * factor & MASK


def _word(text: bytes, at: int, size: int = 8) -> int:
    return int.from_bytes(text[at : at + size], "little")


def _seeded(text: bytes, at: int, a: int, b: int) -> tuple[int, int]:
    """Two numbers that 32 bytes of the text have changed."""
    w, x, y, z = (_word(text, at + i) for i in (0, 8, 16, 24))
    a += w
    b = _rotated((b + a + z) & MASK, 21)
    start = a
    a += x + y
    return (a + z) & MASK, (b + _rotated(a & MASK, 44) + start) & MASK


def _up_to_16(text: bytes) -> int:
    n = len(text)
    factor = K2 + n * 2 & MASK
    if n >= 8:
        a, b = _word(text, 0) + K2 & MASK, _word(text, n - 8)
        c = (_rotated(b, 37) * factor + a) & MASK
        return _pair(c, (_rotated(a, 25) + b) * factor & MASK, factor)
    if n >= 4:
        return _pair(n + (_word(text, 0, 4) << 3), _word(text, n - 4, 4), factor)
    if not n:
        return K2
    y, z = text[0] + (text[n >> 1] << 8), n + (text[-1] << 2)
    return _folded((y * K2 ^ z * K0) & MASK) * K2 & MASK


def _ends(text: bytes) -> tuple[int, int, int]:
    """Two numbers of the first and last 16 bytes of a text of more than 16, and the factor for its length."""
    n = len(text)
    factor = K2 + n * 2 & MASK
    first = K1 if n <= 32 else K2
    a, b = _word(text, 0) * first & MASK, _word(text, 8)
    c, d = _word(text, n - 8) * factor & MASK, _word(text, n - 16) * K2 & MASK
    y = (_rotated(a + b & MASK, 43) + _rotated(c, 30) + d) & MASK
    return y, (a + _rotated(b + K2 & MASK, 18) + c) & MASK, factor


def _up_to_64(text: bytes) -> int:
    n = len(text)
    y, last, factor = _ends(text)
    z = _pair(y, last, factor)
    e, f = _word(text, 16) * factor & MASK, _word(text, 24)
    g, h = (y + _word(text, n - 32)) * factor & MASK, (z + _word(text, n - 24)) * factor & MASK
    left = (_rotated(e + f & MASK, 43) + _rotated(g, 30) + h) & MASK
    a = _word(text, 0) * K2 & MASK
    return _pair(left, (e + _rotated(f + a & MASK, 18) + g) & MASK, factor)


def fingerprint(text: bytes) -> int:
    """FarmHash's ``Fingerprint64``."""
    n = len(text)
    if n <= 16:
        return _up_to_16(text)
    if n <= 32:
        return _pair(*_ends(text))
    if n <= 64:
        return _up_to_64(text)
    x, y = 81, (81 * K1 + 113) & MASK
    z = _folded((y * K2 + 113) & MASK) * K2 & MASK
    v, w = (0, 0), (0, 0)
    x = (x * K2 + _word(text, 0)) & MASK
    rest = (n - 1) % 64
    places = [*range(0, n - 1 - rest, 64), n - 64]
    for at in places:
        last = at is places[-1]
        factor = K1 + ((z & 0xFF) << 1) & MASK if last else K1
        nine = 9 if last else 1
        if last:
            w = (w[0] + rest & MASK, w[1])
            v = (v[0] + w[0] & MASK, v[1])
            w = (w[0] + v[0] & MASK, w[1])
        x = _rotated((x + y + v[0] + _word(text, at + 8)) & MASK, 37) * factor & MASK
        y = _rotated((y + v[1] + _word(text, at + 48)) & MASK, 42) * factor & MASK
        x ^= w[1] * nine & MASK
        y = (y + v[0] * nine + _word(text, at + 40)) & MASK
        z = _rotated((z + w[0]) & MASK, 33) * factor & MASK
        v = _seeded(text, at, v[1] * factor & MASK, x + w[0])
        w = _seeded(text, at + 32, z + w[1], y + _word(text, at + 16))
        x, z = z, x
    left = (_pair(v[0], w[0], factor) + _folded(y) * K0 + z) & MASK
    return _pair(left, (_pair(v[1], w[1], factor) + x) & MASK, factor)


def combined(first: int, second: int) -> int:
    """The fingerprint of two fingerprints."""
    result = first ^ CROSSING
    result ^= _folded(second * CROSSING & MASK) * CROSSING & MASK
    result = result * CROSSING & MASK
    result = _folded(result) * CROSSING & MASK
    return _folded(result)


# --- SipHash --------------------------------------------------------------------------------------------------------


def siphash(text: bytes, first: int, second: int) -> int:
    """SipHash-2-4 (Aumasson and Bernstein, 2012) with a key of two 64-bit numbers."""
    v = [
        first ^ 0x736F6D6570736575, second ^ 0x646F72616E646F6D,
        first ^ 0x6C7967656E657261, second ^ 0x7465646279746573,
    ]  # fmt: skip

    def rounds(count: int) -> None:
        a, b, c, d = v
        for _ in range(count):
            a, c = (a + b) & MASK, (c + d) & MASK
            b, d = _rotated(b, 51) ^ a, _rotated(d, 48) ^ c
            a, c = (_rotated(a, 32) + d) & MASK, (c + b) & MASK
            b, d = _rotated(b, 47) ^ c, _rotated(d, 43) ^ a
            c = _rotated(c, 32)
        v[:] = a, b, c, d

    whole = len(text) // 8 * 8
    for at in range(0, whole + 1, 8):
        word = _word(text, at) if at < whole else _word(text, whole) | (len(text) & 0xFF) << 56
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]

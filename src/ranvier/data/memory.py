"""Sizes as text, and the check before each large allocation."""

from __future__ import annotations

import contextlib
import contextvars
import ctypes
import functools
import math
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

_LARGEST = 2**63 - 1  # the largest size for a signed 64-bit index
_CGROUP_FILES = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def size_in_words(n_bytes: int) -> str:
    """Return ``n_bytes`` as text: ``'512 bytes'``, ``'179.4 MiB'``, ``'3.0 GiB'``."""
    if n_bytes < 1024:
        return f"{n_bytes} bytes"
    units = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
    step = min((n_bytes.bit_length() - 1) // 10, len(units))
    whole, rest = divmod(n_bytes, 1024**step)
    return f"{whole:,}.{rest * 10 // 1024**step} {units[step - 1]}"


def _physical_memory() -> int | None:
    """Bytes of memory in the machine, or None if unknown."""
    if sys.platform == "win32":
        import ctypes

        class Status(ctypes.Structure):
            _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
                (name, ctypes.c_ulonglong) for name in ("total", "free", "a", "b", "c", "d", "e")
            ]

        status = Status()
        status.length = ctypes.sizeof(Status)
        if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
            return None
        return int(status.total)
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


@functools.lru_cache(maxsize=1)
def memory_limit() -> int | None:
    """Return the smaller of the memory of the machine and the limit of the container, in bytes; None if unknown."""
    limits = [_physical_memory()]
    for file in _CGROUP_FILES:
        try:
            text = Path(file).read_text().strip()
        except OSError:
            continue
        # cgroup v2 writes "max" and v1 a number near 2**63 where there is no limit.
        limits.append(int(text) if text.isdecimal() and int(text) else None)
    known = [limit for limit in limits if limit]
    return min(known) if known else None


def check_memory(shape: Sequence[int], dtype: DTypeLike, what: str) -> int:
    """Check that an array of ``shape`` and ``dtype`` fits in memory, before it is allocated.

    ``what`` names the array in the error, with its layer: ``"the kernel of layer 'dense_1'"``.
    Returns its size in bytes. Raises ``ValueError`` for a negative dimension or a size above 2**63 bytes, and
    ``MemoryError`` for a size above the memory of this machine or of its container.
    """
    dimensions = tuple(int(n) for n in shape)
    if any(n < 0 for n in dimensions):
        raise ValueError(f"{what} would have shape {dimensions}. Write dimensions of 0 or more instead.")
    n_bytes = math.prod(dimensions) * np.dtype(dtype).itemsize
    described = f"{what} of shape {dimensions}, {np.dtype(dtype).name}, would take {size_in_words(n_bytes)}"
    if n_bytes > _LARGEST:
        raise ValueError(f"{described}: more than 2**63 bytes, past any 64-bit machine. Write a smaller shape instead.")
    limit = memory_limit()
    if limit is not None and n_bytes > limit:
        raise MemoryError(
            f"{described}, and this machine has {size_in_words(limit)}. "
            "Write a smaller shape or batch, or a smaller dtype, instead."
        )
    return n_bytes


_budget: contextvars.ContextVar[list[int] | None] = contextvars.ContextVar("budget", default=None)


@contextlib.contextmanager
def weights_within(n_bytes: int) -> Iterator[None]:
    """Limit the size of new weights within this context, for networks that a small file describes."""
    token = _budget.set([n_bytes])
    try:
        yield
    finally:
        _budget.reset(token)


def check_weight(shape: Sequence[int], dtype: DTypeLike, what: str) -> None:
    """`check_memory` for a new weight. Also raises ValueError where the limit of `weights_within` is exceeded."""
    n_bytes = check_memory(shape, dtype, what)
    budget = _budget.get()
    if budget is not None:
        budget[0] -= n_bytes
        if budget[0] < 0:
            raise ValueError(
                f"{what} of shape {tuple(shape)} would take {size_in_words(n_bytes)}: more than all weights of the file"
            )


@functools.cache
def _memcmp() -> Any:
    library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
    compare = library.memcmp
    compare.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
    return compare


def same_bits(a: Any, b: Any) -> bool:
    """Whether two contiguous arrays of one dtype and layout hold the same bytes: NaN too equals itself.

    It takes the time of reading both, without the array of bools that NumPy's comparison makes.
    """
    if a.strides != b.strides or a.shape != b.shape or not (a.flags.c_contiguous or a.flags.f_contiguous):
        return np.array_equal(a, b)
    return not _memcmp()(a.ctypes.data, b.ctypes.data, a.nbytes)

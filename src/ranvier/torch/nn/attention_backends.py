"""PyTorch's choice of how attention is computed, which changes nothing here."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator, Sequence


class SDPBackend(enum.IntEnum):
    """PyTorch's ways to compute attention; here all are one, which takes long sequences in parts."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextlib.contextmanager
def sdpa_kernel(backends: SDPBackend | Sequence[SDPBackend], set_priority: bool = False) -> Iterator[None]:
    """A context without effect: attention gives the same numbers in any case.

    Raises TypeError for anything but members of `SDPBackend`.
    """
    del set_priority
    given = [backends] if isinstance(backends, SDPBackend) else list(backends)
    if not given or not all(isinstance(b, SDPBackend) for b in given):
        raise TypeError(f"sdpa_kernel({backends!r}): write SDPBackend.MATH, or a list of several, instead.")
    yield

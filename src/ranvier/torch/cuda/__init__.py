"""``torch.cuda``, for programs that ask whether there is one; there is none."""

from typing import Any

from ranvier.support.errors import missing
from ranvier.torch.cuda import amp

__all__ = [
    "amp", "device_count", "empty_cache", "is_available", "is_initialized", "manual_seed", "manual_seed_all",
    "max_memory_allocated", "memory_allocated", "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """False: programs run on the processor."""
    return False


def is_initialized() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed(seed: int) -> None:
    """Accepted, without effect: ``torch.manual_seed`` seeds everything."""


def manual_seed_all(seed: int) -> None:
    """Accepted, without effect: ``torch.manual_seed`` seeds everything."""


def empty_cache() -> None:
    """No effect."""


def synchronize(device: Any = None) -> None:
    """No effect: a result is complete when it is read."""


def memory_allocated(device: Any = None) -> int:
    """0."""
    return 0


def max_memory_allocated(device: Any = None) -> int:
    """0."""
    return 0


__getattr__, __dir__ = missing("torch.cuda", __all__)

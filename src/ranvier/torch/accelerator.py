"""``torch.accelerator``, for programs that ask whether there is one; there is none."""

from ranvier.support.errors import missing
from ranvier.torch.cuda import device_count, is_available, synchronize

__all__ = ["current_accelerator", "device_count", "is_available", "synchronize"]


def current_accelerator(check_available: bool = False) -> None:
    """None."""
    del check_available


__getattr__, __dir__ = missing("torch.accelerator", __all__)

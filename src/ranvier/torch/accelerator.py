"""``torch.accelerator``, for programs that ask whether there is one; there is none."""

from ranvier.support.errors import missing

__all__ = ["current_accelerator", "device_count", "is_available", "synchronize"]


def is_available() -> bool:
    """False: programs run on the processor."""
    return False


def current_accelerator(check_available: bool = False) -> None:
    """None."""
    del check_available


def device_count() -> int:
    """0."""
    return 0


def synchronize(device: object = None) -> None:
    """No effect: a result is complete when it is read."""
    del device


__getattr__, __dir__ = missing("torch.accelerator", __all__)

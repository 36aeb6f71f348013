"""``torch.cuda``, for programs that ask whether there is one: there is not."""

__all__ = ["device_count", "is_available", "manual_seed_all"]


def is_available() -> bool:
    """False: programs run on the processor."""
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed_all(seed: int) -> None:
    """Accepted, and without effect: ``torch.manual_seed`` seeds everything."""

"""scikit-learn, which is optional."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs_sklearn(name: str) -> Iterator[None]:
    """Raise ModuleNotFoundError with what to install where an import within finds no scikit-learn, for this name."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "sklearn":
            raise
        raise ModuleNotFoundError(
            f"{name} needs scikit-learn, which is not installed. Write: pip install 'ranvier[sklearn]'", name="sklearn"
        ) from None

"""What the tests of data sets share: how a file is declared, what loading must give, and the real ones if there are any."""

import hashlib
import warnings
import zlib
from typing import Any

import numpy as np

from ranvier import datasets
from ranvier.datasets import DatasetUnavailable
from ranvier.datasets.dataset import Member


def member(name: str, array: Any, content: bytes) -> Member:
    """A file of a data set, with the checksums of its content."""
    digest, crc = hashlib.sha256(content).hexdigest(), f"{zlib.crc32(content):08x}"
    return Member(name, array.shape, digest, crc, array.dtype.name)


def gives(arrays: Any, split: Any) -> None:
    """``((x, y), (x_test, y_test))`` are these arrays, and the caller's own to write to."""
    for found, expected in zip((a for part in split for a in part), arrays, strict=True):
        assert found.dtype == expected.dtype
        assert found.flags.writeable
        np.testing.assert_array_equal(found, expected)


def real(name: str, monkeypatch: Any) -> Any:
    """The data set as this machine has it; where it has none, the error is the documented one, and this is None."""
    monkeypatch.setenv("RANVIER_OFFLINE", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            return getattr(datasets, name).load_data()
        except DatasetUnavailable as error:
            reason = str(error)
    assert "RANVIER_DATA" in reason
    return None

"""A copy of what training changes, to return to after a step whose results are not finite.

A large state is copied into a temporary file that has no name, so that a training holds its weights and moments in its
memory once. The system keeps the file's bytes in memory as long as there is room. Where a file cannot be written, as on
a full disk, the copy is in memory.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from typing import IO

import numpy as np

from ranvier.data.convert import Array

LARGE = 1 << 26  # bytes of a state that is copied into a file
SELDOM = 30.0  # seconds between two copies into a file, so that a training writes little to the disk


class StateCopy:
    """The copy of some contiguous arrays. `save` fills it, and `restore` writes it over the arrays.

    ``often``: it is saved so often that a file would take long.
    """

    def __init__(self, arrays: Sequence[Array], often: bool = False) -> None:
        self.arrays = arrays
        self.file: IO[bytes] | None = None
        self.copies: list[Array] = []
        if sum(array.nbytes for array in arrays) >= LARGE and not often:
            with contextlib.suppress(OSError):  # there may be no folder for temporary files
                self.file = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the copy is needed
        if self.file is None:
            self._allocate()

    @property
    def pause(self) -> float:
        """The least number of seconds between two copies."""
        return SELDOM if self.file is not None else 0.0

    def save(self) -> None:
        """Copy the arrays."""
        if self.file is not None:
            try:
                self.file.seek(0)
                for array in self.arrays:
                    self.file.write(_bytes(array))
                self.file.flush()
                return
            except OSError:  # a full disk
                self.close()
                self._allocate()
        for array, copy in zip(self.arrays, self.copies, strict=True):
            np.copyto(copy, array)

    def restore(self) -> None:
        """Write the copy over the arrays.

        Raises:
            OSError: the temporary file cannot be read.
        """
        if self.file is None:
            for array, copy in zip(self.arrays, self.copies, strict=True):
                np.copyto(array, copy)
            return
        self.file.seek(0)
        for array in self.arrays:
            if self.file.readinto(_bytes(array)) < array.nbytes:  # type: ignore[attr-defined]  # a buffered file
                raise OSError("the temporary file with the copy of the weights ends too early")

    def close(self) -> None:
        """Give the file back to the system."""
        if self.file is not None:
            self.file.close()
            self.file = None

    def __del__(self) -> None:
        self.close()

    def _allocate(self) -> None:
        self.copies = [np.empty_like(array) for array in self.arrays]


def _bytes(array: Array) -> memoryview:
    """The bytes of a contiguous array, which share its memory."""
    return memoryview(array.reshape(-1, order="A").view(np.uint8).data)

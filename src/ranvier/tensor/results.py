"""Floats and arrays with the reading methods of a tensor: results of metrics, and settings of optimizers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class FloatResult(float):
    """A float with the reading methods of a tensor of one element."""

    __slots__ = ()

    def numpy(self) -> np.float64:
        """The value as a NumPy scalar."""
        return np.float64(self)

    def item(self) -> float:
        """The value as a plain float."""
        return float(self)


class ArrayResult(np.ndarray[Any, Any]):
    """An array with the reading methods of a tensor."""

    def __repr__(self) -> str:
        return repr(self.numpy())

    def numpy(self) -> NDArray[Any]:
        """The value as a plain array."""
        return self.view(np.ndarray)

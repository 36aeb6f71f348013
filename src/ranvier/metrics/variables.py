"""The variables of custom metrics: tensors that keep their dtype when assigned to."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.ops import arrays
from ranvier.tensor.context import no_grad
from ranvier.tensor.function import snapshot
from ranvier.tensor.tensor import Tensor


class Variable(Tensor):
    """A tensor whose assignments are recorded: in a traced update they are part of the program."""

    __slots__ = ("name",)

    def __init__(self, value: Any, name: str) -> None:
        super().__init__(value, dtype=np.asarray(value).dtype.name)
        self.name = name

    value = property(snapshot, doc="What it holds now, as a tensor (Keras): later assignments do not change that one.")

    def assign(self, value: Any) -> None:
        """Overwrite the value; numbers and other dtypes are cast. Raises ValueError for another shape."""
        with no_grad():
            if not isinstance(value, Tensor):
                value = Tensor(value, dtype=self.dtype)
            super().assign(snapshot(value) if value.dtype == self.dtype else arrays.cast(value, self.dtype))

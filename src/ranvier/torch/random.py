"""``torch.Generator``: random numbers apart from the process's own."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from ranvier.torch.device import check_device

__all__ = ["Generator"]


class Generator:
    """A source of random numbers of its own, for ``DataLoader``, ``randn`` and their kin."""

    def __init__(self, device: Any = "cpu") -> None:
        check_device(device)
        self.manual_seed(0)

    def manual_seed(self, seed: int) -> Self:
        self._seed = int(seed)
        self.numpy = np.random.Generator(np.random.Philox(self._seed))
        return self

    def initial_seed(self) -> int:
        return self._seed

"""``nn.Buffer``: a tensor that becomes a buffer of the module that it is assigned to."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.graph.node import Type
from ranvier.module import parameter
from ranvier.tensor.tensor import Tensor


class Buffer(parameter.Buffer):
    """A copy of ``data`` that a module keeps, and saves if ``persistent``, without training it.

    ``self.mean = nn.Buffer(torch.zeros(3))`` is ``self.register_buffer("mean", torch.zeros(3))``.

    Example:
        >>> import ranvier.torch as torch
        >>> net = torch.nn.Linear(2, 1)
        >>> net.mean = torch.nn.Buffer(torch.zeros(2))
        >>> [name for name, _ in net.named_buffers()]
        ['mean']
    """

    __slots__ = ("persistent",)

    def __init__(self, data: Any = None, *, persistent: bool = True) -> None:
        given = data if isinstance(data, Tensor) else Tensor(np.zeros(0, np.float32) if data is None else data)
        self._value = np.array(given.detach().compute(), order="C")
        self.spec = Type(self._value.shape, given.spec.dtype)
        self._init_leaf(False)
        self.name = self.path = ""
        self.persistent = persistent

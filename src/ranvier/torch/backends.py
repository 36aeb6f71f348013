"""``torch.backends``: other libraries that PyTorch computes with. None is available; flags have no effect."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from ranvier.support.errors import missing

__all__ = ["cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]


class Backend(ModuleType):
    """A library that is not available: a module, since programs import some of them."""

    enabled = False
    deterministic = True
    benchmark = False
    allow_tf32 = False

    def is_available(self) -> bool:
        """False."""
        return False

    def is_built(self) -> bool:
        """False."""
        return False

    def version(self) -> None:
        """None."""

    matmul: Any = None


cuda, cudnn, mkl, mkldnn, mps, openmp = (Backend(f"{__name__}.{name}") for name in __all__)
cuda.matmul = Backend(f"{__name__}.cuda.matmul")
for backend in (cuda, cudnn, mkl, mkldnn, mps, openmp):
    sys.modules[backend.__name__] = backend

__getattr__, __dir__ = missing("torch.backends", __all__)

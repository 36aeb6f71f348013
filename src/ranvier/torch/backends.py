"""``torch.backends``: other libraries that PyTorch computes with. None is available; flags have no effect."""

from __future__ import annotations

from typing import Any

from ranvier.support.errors import missing

__all__ = ["cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]


class Backend:
    """A library that is not available."""

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


cuda, cudnn, mkl, mkldnn, mps, openmp = (Backend() for _ in range(6))
cuda.matmul = Backend()

__getattr__, __dir__ = missing("torch.backends", __all__)

"""``torch.nn.utils.parametrizations``: length and direction, and the largest singular value, of a weight."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.module import Module
from ranvier.ops.arrays.promotion import axis_of
from ranvier.support.errors import missing
from ranvier.tensor.context import no_grad
from ranvier.tensor.tensor import Tensor
from ranvier.torch.nn import functional as F
from ranvier.torch.nn.utils.parametrize import register_parametrization

__all__ = ["spectral_norm", "weight_norm"]

FIRST = 15  # steps of the power iteration before the first call


class _WeightNorm(Module):
    """Length times direction (Salimans and Kingma, 2016)."""

    def __init__(self, dim: int | None) -> None:
        super().__init__()
        self.dim = dim

    def _length(self, v: Any) -> Any:
        if self.dim is None or self.dim == -1:
            return v.norm()
        kept = axis_of(self.dim, v.ndim)
        return v.norm(2, tuple(i for i in range(v.ndim) if i != kept), True)

    def forward(self, g: Any, v: Any) -> Any:
        return v * (g / self._length(v))

    def right_inverse(self, weight: Any) -> tuple[Any, Any]:
        return self._length(weight), weight


class _SpectralNorm(Module):
    """The matrix divided by its largest singular value, by power iteration (Miyato et al., 2018)."""

    _u: Any
    _v: Any

    def __init__(self, weight: Any, n_power_iterations: int, dim: int, eps: float) -> None:
        super().__init__()
        if n_power_iterations < 1:
            raise ValueError(f"n_power_iterations={n_power_iterations}. Write a whole number of 1 or more instead.")
        self.n_power_iterations, self.dim, self.eps = n_power_iterations, dim, eps
        if weight.ndim > 1:
            matrix = self._matrix(weight)
            for name, size in zip(("_u", "_v"), matrix.shape, strict=True):
                drawn = Tensor.wrap(np.zeros(size, weight.dtype)).normal_()
                self.register_buffer(name, F.normalize(drawn, dim=0, eps=eps).detach())
            self._power_method(matrix, FIRST)

    def _matrix(self, weight: Any) -> Any:
        first = weight if self.dim == 0 else weight.movedim(self.dim, 0)
        return first.reshape(first.shape[0], -1)

    def _power_method(self, matrix: Any, steps: int) -> None:
        with no_grad():
            for _ in range(steps):
                self._u.copy_(F.normalize(matrix @ self._v, dim=0, eps=self.eps))
                self._v.copy_(F.normalize(matrix.T @ self._u, dim=0, eps=self.eps))

    def forward(self, weight: Any) -> Any:
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._matrix(weight)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()
        return weight / (u * (matrix @ v)).sum()

    def right_inverse(self, value: Any) -> Any:
        return value


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Compute the weight from its length, for each index of ``dim``, and its direction; returns the module.

    The parameters are ``parametrizations.weight.original0`` and ``original1``.
    """
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


def spectral_norm(
    module: Any, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Any:
    """Divide the weight, as a matrix of ``dim`` and the rest, by its largest singular value; returns the module.

    The parameter is ``parametrizations.weight.original``. While training, each call moves the estimated singular
    vectors by ``n_power_iterations`` steps.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"{type(module).__name__} has no parameter {name!r}. Write name= of one that it has.")
    if dim is None:
        dim = 1 if type(module).__name__.startswith("ConvTranspose") else 0
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))


__getattr__, __dir__ = missing("torch.nn.utils.parametrizations", __all__)

"""``torch.nn.utils.parametrizations``: length and direction, and the largest singular value, of a weight."""

from __future__ import annotations

from typing import Any

from ranvier.module import Module
from ranvier.support.errors import missing
from ranvier.tensor.context import no_grad
from ranvier.tensor.tensor import Tensor
from ranvier.torch.nn.utils.normed import checked_iterations, drawn_unit, length, matrix_dim, matrix_of, unit
from ranvier.torch.nn.utils.parametrize import register_parametrization

__all__ = ["spectral_norm", "weight_norm"]

FIRST = 15  # steps of the power iteration before the first call


class _WeightNorm(Module):
    """Length times direction (Salimans and Kingma, 2016)."""

    def __init__(self, dim: int | None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, g: Any, v: Any) -> Any:
        return v * (g / length(v, self.dim))

    def right_inverse(self, weight: Any) -> tuple[Any, Any]:
        return length(weight, self.dim), weight


class _SpectralNorm(Module):
    """The matrix divided by its largest singular value, by power iteration (Miyato et al., 2018)."""

    _u: Any
    _v: Any

    def __init__(self, weight: Any, n_power_iterations: int, dim: int, eps: float) -> None:
        super().__init__()
        self.n_power_iterations, self.dim, self.eps = checked_iterations(n_power_iterations), dim, eps
        if weight.ndim > 1:
            matrix = matrix_of(weight, dim)
            for name, size in zip(("_u", "_v"), matrix.shape, strict=True):
                self.register_buffer(name, drawn_unit(size, weight.dtype, eps))
            self._power_method(matrix, FIRST)

    def _power_method(self, matrix: Any, steps: int) -> None:
        with no_grad():
            for _ in range(steps):
                self._u.copy_(unit(matrix @ self._v, self.eps))
                self._v.copy_(unit(matrix.T @ self._u, self.eps))

    def forward(self, weight: Any) -> Any:
        if weight.ndim == 1:
            return unit(weight, self.eps)
        matrix = matrix_of(weight, self.dim)
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
    norm = _SpectralNorm(weight, n_power_iterations, matrix_dim(module, dim), eps)
    return register_parametrization(module, name, norm)


__getattr__, __dir__ = missing("torch.nn.utils.parametrizations", __all__)

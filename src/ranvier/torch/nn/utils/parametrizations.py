"""``torch.nn.utils.parametrizations``: length and direction, and the largest singular value, of a weight."""

from __future__ import annotations

from typing import Any

from ranvier.module import Module
from ranvier.ops import vocabulary
from ranvier.ops.torch.random import drawer_of
from ranvier.support.errors import missing
from ranvier.tensor.context import no_grad
from ranvier.tensor.tensor import Tensor
from ranvier.torch.nn.utils.normed import checked_iterations, drawn_unit, length, matrix_dim, matrix_of, unit
from ranvier.torch.nn.utils.parametrize import register_parametrization

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]

eye, zeros, cat, qr, matrix_exp, solve = (
    vocabulary.find("torch", name) for name in ("eye", "zeros", "cat", "qr", "matrix_exp", "linalg.solve")
)

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


MAPS = ("matrix_exp", "cayley", "householder")


def _made_orthogonal(matrix: Any) -> Any:
    """The orthogonal factor of a matrix, of the signs with which the other factor has a diagonal above 0."""
    q, r = qr(matrix)
    return q * r.diagonal(0, -2, -1).sign().unsqueeze(-2)


class _Orthogonal(Module):
    """A matrix with orthogonal columns, or rows if those are fewer: a fixed one times that of free parameters."""

    base: Any

    def __init__(self, orthogonal_map: str) -> None:
        super().__init__()
        self.orthogonal_map = orthogonal_map

    def forward(self, x: Any) -> Any:
        is_wide = x.shape[-2] < x.shape[-1]
        x = x.mT if is_wide else x
        rows, columns = x.shape[-2:]
        one = eye(rows, dtype=x.dtype)
        if self.orthogonal_map == "householder":
            vectors = x.tril(-1) + eye(rows, columns, dtype=x.dtype)
            # The product of reflections 1 - tau v v' is 1 - V T V', where T is triangular (Schreiber, Van Loan, 1989).
            products = vectors.mT @ vectors
            diagonal = products.diagonal(0, -2, -1) / 2
            inverse = products.triu(1) + diagonal.unsqueeze(-1) * eye(columns, dtype=x.dtype)
            q = one[:, :columns] - vectors @ solve(inverse, vectors[..., :columns, :].mT)
            q = q * x.diagonal(0, -2, -1).trunc().detach().unsqueeze(-2)
        else:
            x = x.tril()
            if rows != columns:
                x = cat([x, zeros(*x.shape[:-1], rows - columns, dtype=x.dtype)], dim=-1)
            skew = x - x.mT
            q = matrix_exp(skew) if self.orthogonal_map == "matrix_exp" else solve(one - skew / 2, one + skew / 2)
            q = q[..., :columns]
        q = self.base @ q
        return q.mT if is_wide else q

    def right_inverse(self, value: Any) -> Any:
        with no_grad():
            matrix = value.mT if value.shape[-2] < value.shape[-1] else value
            rows, columns = matrix.shape[-2:]
            if rows != columns:
                more = Tensor(
                    drawer_of(None).standard_normal((*matrix.shape[:-2], rows, rows - columns)), dtype=value.dtype
                )
                matrix = cat([matrix, more], dim=-1)
            self.register_buffer("base", _made_orthogonal(matrix).detach())
            return -eye(value.shape[-2], value.shape[-1], dtype=value.dtype).expand(*value.shape).clone()


def orthogonal(
    module: Any, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Any:
    """Let the weight have orthogonal columns, or rows if those are fewer; returns the module (Lezcano-Casado, 2019).

    ``orthogonal_map`` is "matrix_exp" (of square matrices by default), "cayley" or "householder" (of others). The
    weight that the module has is made orthogonal; of one that is not square the rest of the basis is drawn. Weights are
    computed when the module is called, at once, so that ``fit`` cannot train them: write a loop of your own.

    Raises ValueError for another map, for a weight of fewer than two dimensions, and for ``use_trivialization=False``.
    """
    weight = getattr(module, name, None)
    if weight is None or weight.ndim < 2:
        raise ValueError(f"{type(module).__name__}.{name} is no matrix. Write the name of one that it has instead.")
    if not use_trivialization:
        raise ValueError(
            "orthogonal(use_trivialization=False): weights start from a fixed basis. Leave it out instead."
        )
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.shape[-1] == weight.shape[-2] else "householder"
    if orthogonal_map not in MAPS:
        raise ValueError(
            f"orthogonal_map {orthogonal_map!r} does not exist. Write 'matrix_exp', 'cayley' or 'householder'."
        )
    return register_parametrization(module, name, _Orthogonal(orthogonal_map), unsafe=True)


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

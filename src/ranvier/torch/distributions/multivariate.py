"""The normal distribution of vectors, and the triangular systems that it needs.

They are loops over rows, which are recorded as ordinary operations and so have gradients.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ranvier.ops import vocabulary
from ranvier.tensor.tensor import Tensor
from ranvier.torch.distributions import draws
from ranvier.torch.distributions.distribution import LOG_2PI, Distribution, broadcast, check

stack: Any = vocabulary.find("torch", "stack")
broadcast_shapes: Any = vocabulary.find("torch", "broadcast_shapes")


def cholesky(matrix: Tensor) -> Tensor:
    """The lower triangular L with ``L @ L.T == matrix``, column by column: (..., n, n). Its gradient is symmetric."""
    matrix, columns = (matrix + matrix.transpose(-2, -1)) / 2, list[Any]()
    for j in range(matrix.shape[-1]):
        column: Any = matrix[..., :, j]
        for known in columns:
            column = column - known * known[..., j : j + 1]
        columns.append(column / column[..., j : j + 1].sqrt())
    lower: Tensor = stack(columns, -1).tril()
    return lower


def solve_lower(lower: Tensor, right: Any) -> Tensor:
    """The x with ``lower @ x == right`` for a vector: (..., n, n) and (..., n)."""
    found: list[Any] = []
    for i in range(lower.shape[-1]):
        rest = right[..., i]
        for j, known in enumerate(found):
            rest = rest - lower[..., i, j] * known
        found.append(rest / lower[..., i, i])
    solution: Tensor = stack(found, -1)
    return solution


def inverse_lower(lower: Tensor) -> Tensor:
    """The inverse of a lower triangular matrix."""
    n = lower.shape[-1]
    unit = vocabulary.find("torch", "eye")(n, dtype=lower.dtype)
    columns = [solve_lower(lower, unit[j].expand(*lower.shape[:-1])) for j in range(n)]
    inverse: Tensor = stack(columns, -1)
    return inverse


def log_diagonal(lower: Tensor) -> Tensor:
    """Half the logarithm of the determinant of ``lower @ lower.T``."""
    total: Tensor = lower.diagonal(0, -2, -1).log().sum(-1)
    return total


class MultivariateNormal(Distribution):
    """The normal distribution of vectors: a mean, (..., n), and one of three matrices, (..., n, n): the covariance, its
    inverse, or the lower triangular ``scale_tril`` with ``scale_tril @ scale_tril.T`` as the covariance.
    """

    has_rsample = True
    arg_constraints: ClassVar = {
        "loc": "real", "covariance_matrix": "positive_definite", "precision_matrix": "positive_definite",
        "scale_tril": "lower_cholesky",
    }  # fmt: skip
    _event_dims: ClassVar = {"loc": 1, "covariance_matrix": 2, "precision_matrix": 2, "scale_tril": 2}

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        given = {
            "covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix, "scale_tril": scale_tril,
        }  # fmt: skip
        given = {name: value for name, value in given.items() if value is not None}
        if len(given) != 1:
            raise ValueError(
                f"MultivariateNormal got {' and '.join(given) or 'no matrix'}. Write one of covariance_matrix, "
                "precision_matrix and scale_tril."
            )
        ((name, value),) = given.items()
        (mean,), (matrix,) = broadcast(loc), broadcast(value)
        if self._validates if validate_args is None else validate_args:
            check("MultivariateNormal", name, matrix, self.arg_constraints[name])
        if mean.ndim < 1 or matrix.ndim < 2:
            raise ValueError(
                f"MultivariateNormal got a loc of shape {mean.shape} and a {name} of shape {matrix.shape}. Write "
                "(..., n) and (..., n, n)."
            )
        n = mean.shape[-1]
        batch = broadcast_shapes(mean.shape[:-1], matrix.shape[:-2])
        self.loc = mean.expand(*batch, n)
        self._name, matrix = name, matrix.expand(*batch, n, n)
        vars(self)[f"_{name}"] = matrix
        super().__init__(batch, (n,), validate_args)
        self._lower = matrix if name == "scale_tril" else _lower(name, matrix)

    def _own(self) -> dict[str, Tensor]:
        return {"loc": self.loc, self._name: vars(self)[f"_{self._name}"]}

    @property
    def scale_tril(self) -> Tensor:
        """The lower triangular factor of the covariance."""
        return self._lower

    @property
    def covariance_matrix(self) -> Tensor:
        """The covariance."""
        return self._lower @ self._lower.transpose(-2, -1)

    @property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance."""
        inverse = inverse_lower(self._lower)
        return inverse.transpose(-2, -1) @ inverse

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return (self._lower**2).sum(-1)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples with the gradient by both parameters."""
        noise = draws.normal(self.loc, self._extended_shape(sample_shape))
        return self.loc + (self._lower @ noise.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Any) -> Any:
        self._validate_sample(value)
        scaled = solve_lower(self._lower, value - self.loc)
        return -0.5 * ((scaled**2).sum(-1) + self._event_shape[0] * LOG_2PI) - log_diagonal(self._lower)

    def entropy(self) -> Tensor:
        return 0.5 * self._event_shape[0] * (1 + LOG_2PI) + log_diagonal(self._lower)


def _lower(name: str, matrix: Tensor) -> Tensor:
    if name == "covariance_matrix":
        return cholesky(matrix)
    # With J for the reversal of rows, and L for the factor of J @ P @ J, it is the inverse of (J @ L @ J).T.
    flipped = cholesky(matrix.flip(-2, -1))
    return inverse_lower(flipped.flip(-2, -1).transpose(-2, -1))

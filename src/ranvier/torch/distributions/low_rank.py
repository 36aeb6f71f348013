"""The normal distribution of vectors whose covariance is of low rank, plus a diagonal."""

from __future__ import annotations

from typing import Any, ClassVar

from ranvier.ops import vocabulary
from ranvier.tensor.tensor import Tensor
from ranvier.torch.distributions import draws
from ranvier.torch.distributions.distribution import Distribution, broadcast
from ranvier.torch.distributions.multivariate import MultivariateNormal, cholesky

diag_embed: Any = vocabulary.find("torch", "diag_embed")
broadcast_shapes: Any = vocabulary.find("torch", "broadcast_shapes")


class LowRankMultivariateNormal(MultivariateNormal):
    """The normal distribution of vectors of a mean, (..., n), and the covariance ``cov_factor @ cov_factor.T`` plus the
    diagonal ``cov_diag``: (..., n, m) and (..., n).
    """

    arg_constraints: ClassVar = {"loc": "real", "cov_factor": "real", "cov_diag": "positive"}
    _event_dims: ClassVar = {"loc": 1, "cov_factor": 2, "cov_diag": 1}

    def __init__(self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: bool | None = None) -> None:
        (mean,), (factor,), (diagonal,) = broadcast(loc), broadcast(cov_factor), broadcast(cov_diag)
        sizes = {mean.shape[-1:], factor.shape[-2:-1], diagonal.shape[-1:]}
        if len(sizes) > 1 or sizes == {()}:
            raise ValueError(
                f"LowRankMultivariateNormal got shapes {mean.shape}, {factor.shape} and {diagonal.shape}. Write "
                "(..., n), (..., n, m) and (..., n)."
            )
        n, rank = factor.shape[-2:]
        batch = broadcast_shapes(mean.shape[:-1], factor.shape[:-2], diagonal.shape[:-1])
        self.loc, self.cov_diag = mean.expand(*batch, n), diagonal.expand(*batch, n)
        self.cov_factor = factor.expand(*batch, n, rank)
        Distribution.__init__(self, batch, (n,), validate_args)
        self._lower = cholesky(self.cov_factor @ self.cov_factor.transpose(-2, -1) + diag_embed(self.cov_diag))

    def _own(self) -> dict[str, Tensor]:
        return {"loc": self.loc, "cov_factor": self.cov_factor, "cov_diag": self.cov_diag}

    @property
    def variance(self) -> Tensor:
        return (self.cov_factor**2).sum(-1) + self.cov_diag

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples with the gradient by all parameters."""
        shape = self._extended_shape(sample_shape)
        among = draws.normal(self.loc, (*shape[:-1], self.cov_factor.shape[-1]))
        spread: Tensor = (self.cov_factor @ among.unsqueeze(-1)).squeeze(-1)
        return self.loc + spread + self.cov_diag.sqrt() * draws.normal(self.loc, shape)

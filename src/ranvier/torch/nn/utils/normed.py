"""``weight_norm`` and ``spectral_norm``: weights that are computed from others before each call of their module."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ranvier.module import Module, Parameter
from ranvier.ops.arrays.promotion import axis_of
from ranvier.tensor.context import no_grad
from ranvier.tensor.tensor import Tensor
from ranvier.torch.nn import functional as F


def length(v: Any, dim: int | None) -> Any:
    """The norms of a weight for each index of ``dim``, or of the whole weight."""
    if dim is None or dim == -1:
        return v.norm()
    kept = axis_of(dim, v.ndim)
    return v.norm(2, tuple(i for i in range(v.ndim) if i != kept), True)


def matrix_of(weight: Any, dim: int) -> Any:
    """A weight as a matrix of ``dim`` and the rest."""
    first = weight if dim == 0 else weight.movedim(dim, 0)
    return first.reshape(first.shape[0], -1)


def matrix_dim(module: Any, dim: int | None) -> int:
    """The axis of the matrix's rows: that of the outputs, which transposed convolutions have second."""
    return int(type(module).__name__.startswith("ConvTranspose")) if dim is None else dim


def unit(x: Any, eps: float) -> Any:
    """A vector of length 1."""
    return F.normalize(x, dim=0, eps=eps)


def drawn_unit(size: int, dtype: str, eps: float) -> Any:
    """A random vector of length 1."""
    return unit(Tensor.wrap(np.zeros(size, dtype)).normal_(), eps).detach()


def checked_iterations(number: int) -> int:
    """A number of steps of the power iteration. Raises ValueError below 1."""
    if number < 1:
        raise ValueError(f"n_power_iterations={number}. Write a whole number of 1 or more instead.")
    return number


class _Computed(ABC):
    """A hook of a module that computes the weight ``name`` before each call."""

    def __init__(self, module: Module, name: str) -> None:
        if not isinstance(module._parameters.get(name), Parameter):
            raise ValueError(f"{type(module).__name__} has no parameter {name!r}. Write name= of one that it has.")
        self.name = name

    def install(self, module: Any) -> None:
        setattr(module, self.name, self.compute(module))
        self.handle = module.register_forward_pre_hook(self)

    def __call__(self, module: Any, args: tuple[Any, ...]) -> None:
        setattr(module, self.name, self.compute(module))

    @abstractmethod
    def compute(self, module: Any) -> Tensor:
        """The weight."""

    @classmethod
    def remove(cls, module: Any, name: str) -> Any:
        for hook in list(module._forward_pre_hooks.values()):
            if isinstance(hook, cls) and hook.name == name:
                hook.handle.remove()
                value = hook.compute(module).detach()
                hook.forget(module)
                delattr(module, name)
                module.register_parameter(name, Parameter(value.clone()))
                return module
        raise ValueError(f"{name!r} of {module!r} has no norm of this kind.")

    @abstractmethod
    def forget(self, module: Any) -> None:
        """Remove from the module what the weight is computed from."""


class _WeightNorm(_Computed):
    """Length times direction (Salimans and Kingma, 2016)."""

    def __init__(self, module: Any, name: str, dim: int | None) -> None:
        super().__init__(module, name)
        self.dim = dim
        weight = getattr(module, name).detach().clone()
        delattr(module, name)
        module.register_parameter(f"{name}_g", Parameter(length(weight, dim)))
        module.register_parameter(f"{name}_v", Parameter(weight))
        self.install(module)

    def compute(self, module: Any) -> Any:
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return v * (g / length(v, self.dim))

    def forget(self, module: Any) -> None:
        for part in ("g", "v"):
            delattr(module, f"{self.name}_{part}")


class _SpectralNorm(_Computed):
    """The matrix divided by its largest singular value, by power iteration (Miyato et al., 2018)."""

    def __init__(self, module: Any, name: str, iterations: int, eps: float, dim: int) -> None:
        super().__init__(module, name)
        self.iterations, self.eps, self.dim = checked_iterations(iterations), eps, dim
        weight = getattr(module, name).detach().clone()
        delattr(module, name)
        module.register_parameter(f"{name}_orig", Parameter(weight))
        for part, size in zip("uv", matrix_of(weight, dim).shape, strict=True):
            module.register_buffer(f"{name}_{part}", drawn_unit(size, weight.dtype, eps))
        self.install(module)

    def compute(self, module: Any) -> Any:
        weight = getattr(module, f"{self.name}_orig")
        matrix = matrix_of(weight, self.dim)
        u, v = getattr(module, f"{self.name}_u"), getattr(module, f"{self.name}_v")
        if module.training:
            with no_grad():
                for _ in range(self.iterations):
                    v.copy_(unit(matrix.T @ u, self.eps))
                    u.copy_(unit(matrix @ v, self.eps))
            u, v = u.clone(), v.clone()
        return weight / (u * (matrix @ v)).sum()

    def forget(self, module: Any) -> None:
        for part in ("orig", "u", "v"):
            delattr(module, f"{self.name}_{part}")


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Replace the weight by its length ``weight_g``, for each index of ``dim``, and its direction ``weight_v``.

    The product is computed before each call. Returns the module. Raises ValueError for a name that it does not have.
    """
    _WeightNorm(module, name, dim)
    return module


def remove_weight_norm(module: Any, name: str = "weight") -> Any:
    """Make the product a parameter again."""
    return _WeightNorm.remove(module, name)


def spectral_norm(
    module: Any, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Any:
    """Divide the weight, as a matrix of ``dim`` and the rest, by its largest singular value before each call.

    The parameter is ``weight_orig``. While training, each call moves the estimated singular vectors, the buffers
    ``weight_u`` and ``weight_v``, by ``n_power_iterations`` steps. Returns the module.
    """
    _SpectralNorm(module, name, n_power_iterations, eps, matrix_dim(module, dim))
    return module


def remove_spectral_norm(module: Any, name: str = "weight") -> Any:
    """Make the quotient a parameter again."""
    return _SpectralNorm.remove(module, name)

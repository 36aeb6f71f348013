"""Linear, Flatten, Unflatten and the kinds of dropout with PyTorch's arguments, defaults and initial values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from numpy.typing import DTypeLike

from ranvier.data.memory import check_memory
from ranvier.graph.node import Type
from ranvier.initializers import uniform
from ranvier.layers.base import whole
from ranvier.module import Module, Parameter, register_module
from ranvier.ops import arrays
from ranvier.ops.torch.device import Device, check_device
from ranvier.ops.torch.dtypes import dtype_name
from ranvier.ops.torch.noise import share
from ranvier.ops.torch.products import linear
from ranvier.ops.torch.shape import unflatten
from ranvier.tensor.context import get_dtype
from ranvier.torch.nn import functional as F


class Drawn(Module):
    """A weight and a bias that start uniform within ``1 / sqrt(fan_in)``, as He's for a slope of sqrt(5)."""

    weight: Parameter
    bias: Parameter | None
    _bound: float

    def _draw(
        self, shape: tuple[int, ...], fan_in: int, outputs: int, bias: bool, device: Device, dtype: DTypeLike | None,
        reverse: bool = True,
    ) -> None:  # fmt: skip
        check_device(device)
        name = dtype_name(dtype) or get_dtype()
        check_memory(shape, name, f"the weight of layer {self.name!r}")
        self._bound = 1 / math.sqrt(fan_in)
        # Fortran order: the weights of each input are contiguous, which is fastest for the compiled programs.
        values = uniform(self._bound, shape[::-1], name).T if reverse else uniform(self._bound, shape, name)
        self.weight = Parameter.over(values)
        self.register_parameter("bias", Parameter.over(uniform(self._bound, (outputs,), name)) if bias else None)

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        for parameter in self.parameters(recurse=False):
            parameter.assign(uniform(self._bound, parameter.shape, parameter.dtype))


@register_module(name="torch.Linear")
class Linear(Drawn):
    """``x @ weight.T + bias``: (..., in_features) -> (..., out_features).

    The weight (out_features, in_features) and the bias (out_features,) start uniform within ``1 / sqrt(in_features)``,
    as PyTorch's do. Raises ValueError for sizes below 1, and for weights larger than the memory.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Device = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.in_features = whole(in_features, "in_features", self.name)
        self.out_features = whole(out_features, "out_features", self.name)
        shape = (self.out_features, self.in_features)
        self._draw(shape, self.in_features, self.out_features, bias, device, dtype)

    def forward(self, input: Any) -> Any:
        return linear(input, self.weight, self.bias)

    def shape_error(self, given: Type) -> tuple[str, str] | None:
        if not given.shape:
            return ("it takes rows of features, and this is a single number.", "Give it a tensor of two dimensions.")
        features = given.shape[-1]
        if features == self.in_features:
            return None
        reason = f"its weight takes {self.in_features} features in the last dimension, and there are {features}."
        parts = [n for n in given.shape[1:] if isinstance(n, int)]
        if 1 < len(parts) == len(given.shape) - 1 and math.prod(parts) == self.in_features:
            sizes = " * ".join(map(str, parts))
            return (reason, f"Write nn.Flatten() before it, or x.flatten(1): {sizes} is {self.in_features}.")
        return (
            reason,
            f"Write Linear({features}, {self.out_features}), or make the layer before it give {self.in_features}.",
        )

    def extra_repr(self) -> str:
        has_bias = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={has_bias}"


@register_module(name="torch.Flatten")
class Flatten(Module):
    """Join the dimensions from ``start_dim`` to ``end_dim`` (both included) into one."""

    _shown = "start_dim={start_dim}, end_dim={end_dim}"

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Any) -> Any:
        return arrays.flatten(input, self.start_dim, self.end_dim)


@register_module(name="torch.Unflatten")
class Unflatten(Module):
    """Split one dimension into several."""

    _shown = "dim={dim}, unflattened_size={unflattened_size}"

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Any) -> Any:
        return unflatten(input, self.dim, self.unflattened_size)


class _Dropout(Module):
    """The base of the kinds of dropout: ``p`` in [0, 1], and no effect in evaluation."""

    _shown = "p={p}, inplace={inplace}"

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        self.p, self.inplace = share(p, type(self).__name__), inplace


@register_module(name="torch.Dropout")
class Dropout(_Dropout):
    """In training, set the fraction ``p`` of the elements to zero and divide the rest by ``1 - p``."""

    def forward(self, input: Any) -> Any:
        return F.dropout(input, self.p, self.training, self.inplace)


@register_module(name="torch.AlphaDropout")
class AlphaDropout(_Dropout):
    """Dropout that keeps mean 0 and variance 1, for networks of SELU units (Klambauer et al., 2017)."""

    def forward(self, input: Any) -> Any:
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


@register_module(name="torch.FeatureAlphaDropout")
class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole features: (batch, features, ...); each feature is dropped or kept at all positions."""

    def forward(self, input: Any) -> Any:
        return F.feature_alpha_dropout(input, self.p, self.training, self.inplace)

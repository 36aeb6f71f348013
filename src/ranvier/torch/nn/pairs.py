"""Modules of two inputs, of or of a row of channels: Bilinear, distances, PReLU and others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ranvier.layers.base import whole
from ranvier.module import Module, Parameter, register_module
from ranvier.ops.torch.device import Device, check_device
from ranvier.ops.torch.dtypes import dtype_name
from ranvier.tensor.context import get_dtype
from ranvier.torch.nn import functional as F
from ranvier.torch.nn.layers import Drawn


@register_module(name="torch.Bilinear")
class Bilinear(Drawn):
    """``input1 @ weight[o] @ input2 + bias[o]``: (..., in1_features), (..., in2_features) -> (..., out_features)."""

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Device = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.in1_features = whole(in1_features, "in1_features", self.name)
        self.in2_features = whole(in2_features, "in2_features", self.name)
        self.out_features = whole(out_features, "out_features", self.name)
        shape = (out_features, in1_features, in2_features)
        self._draw(shape, in1_features, out_features, bias, device, dtype, reverse=False)

    def forward(self, input1: Any, input2: Any) -> Any:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        sizes = f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"


@register_module(name="torch.CosineSimilarity")
class CosineSimilarity(Module):
    """The cosine of the angle between vectors along ``dim``; each norm counts as at least ``eps``."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Any, x2: Any) -> Any:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


@register_module(name="torch.PairwiseDistance")
class PairwiseDistance(Module):
    """The ``p``-norm of ``x1 - x2 + eps`` along the last dimension."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.p, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Any, x2: Any) -> Any:
        return F.pairwise_distance(x1, x2, self.p, self.eps, self.keepdim)


@register_module(name="torch.PReLU")
class PReLU(Module):
    """``x`` where positive, else ``weight * x``: one weight, or one for each channel in dimension 1.

    (He et al., 2015.)
    """

    _shown = "num_parameters={num_parameters!r}"

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Device = None, dtype: DTypeLike | None = None
    ) -> None:
        super().__init__()
        check_device(device)
        self.num_parameters, self.init = whole(num_parameters, "num_parameters", self.name), float(init)
        name = dtype_name(dtype) or get_dtype()
        self.weight = Parameter.over(np.full((num_parameters,), init, name))

    def reset_parameters(self) -> None:
        """Set the weight to its initial value."""
        self.weight.assign(np.full(self.weight.shape, self.init))

    def forward(self, input: Any) -> Any:
        return F.prelu(input, self.weight)


@register_module(name="torch.Softmax2d")
class Softmax2d(Module):
    """Softmax over the channels of (batch, channels, height, width), or of one image, at each position."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d takes images, (batch, channels, height, width), not {tuple(input.shape)}.")
        return F.softmax(input, -3)


@register_module(name="torch.ChannelShuffle")
class ChannelShuffle(Module):
    """(batch, groups * c, ...) -> the same shape, with the channels of the groups interleaved (Zhang et al., 2018)."""

    _shown = "groups={groups!r}"

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = whole(groups, "groups", self.name)

    def forward(self, input: Any) -> Any:
        return F.channel_shuffle(input, self.groups)


@register_module(name="torch.LocalResponseNorm")
class LocalResponseNorm(Module):
    """``x / (k + alpha * mean(x ** 2)) ** beta``, with the mean over ``size`` neighbouring channels (AlexNet's)."""

    _shown = "{size!r}, alpha={alpha!r}, beta={beta!r}, k={k!r}"

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = whole(size, "size", self.name), alpha, beta, k

    def forward(self, input: Any) -> Any:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

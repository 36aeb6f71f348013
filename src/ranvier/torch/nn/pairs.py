"""Modules of two inputs, of a row of channels or of a table: Bilinear, distances, Embedding, PReLU and others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ranvier.data.memory import check_memory
from ranvier.initializers import RandomNormal
from ranvier.layers.base import whole
from ranvier.module import Module, Parameter, register_module
from ranvier.ops.torch.device import Device, check_device
from ranvier.ops.torch.dtypes import dtype_name
from ranvier.tensor.context import get_dtype
from ranvier.torch.nn import functional as F
from ranvier.torch.nn.layers import Drawn


@register_module(name="torch.Embedding")
class Embedding(Module):
    """A row of the weight (num_embeddings, embedding_dim) for each index: integers (...) -> (..., embedding_dim).

    The weight starts normal, of mean 0 and deviation 1. The row ``padding_idx`` starts at 0 and gets no gradient.
    ``sparse`` has no effect. Raises IndexError for an index out of range, if the values of the indices are known.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Any = None,
        _freeze: bool = False,
        device: Device = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        check_device(device)
        if max_norm is not None or scale_grad_by_freq:
            raise ValueError(
                "Embedding has neither max_norm nor scale_grad_by_freq here. Write a normalization of the weight under "
                "no_grad in the loop, or leave them out, instead."
            )
        self.num_embeddings = whole(num_embeddings, "num_embeddings", self.name)
        self.embedding_dim = whole(embedding_dim, "embedding_dim", self.name)
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"padding_idx={padding_idx} is out of range for {num_embeddings} rows.")
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse = None, norm_type, False, sparse
        shape, name = (self.num_embeddings, self.embedding_dim), dtype_name(dtype) or get_dtype()
        check_memory(shape, name, f"the weight of layer {self.name!r}")
        given = None if _weight is None else np.array(_weight, name)
        if given is not None and given.shape != shape:
            raise ValueError(f"the weight has shape {given.shape} instead of {shape}.")
        self.weight = Parameter.over(self._drawn(name) if given is None else given, requires_grad=not _freeze)

    def _drawn(self, dtype: str) -> Any:
        shape = (self.num_embeddings, self.embedding_dim)
        values = np.asarray(RandomNormal(0.0, 1.0)(shape, dtype), dtype)
        if self.padding_idx is not None:
            values[self.padding_idx] = 0
        return values

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        self.weight.assign(self._drawn(self.weight.dtype))

    @classmethod
    def from_pretrained(
        cls, embeddings: Any, freeze: bool = True, padding_idx: int | None = None, **options: Any
    ) -> Embedding:
        """An embedding of the given rows, (rows, width), which are not trained unless ``freeze=False``."""
        rows, width = embeddings.shape
        return cls(rows, width, padding_idx, _weight=embeddings, _freeze=freeze, **options)

    def forward(self, input: Any) -> Any:
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


@register_module(name="torch.Bilinear")
class Bilinear(Drawn):
    """``input1 @ weight[o] @ input2 + bias[o]``: (..., in1_features), (..., in2_features) -> (..., out_features)."""

    _shown = "in1_features={in1_features!r}, in2_features={in2_features!r}, out_features={out_features!r}"

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


@register_module(name="torch.CosineSimilarity")
class CosineSimilarity(Module):
    """The cosine of the angle between vectors along ``dim``; each norm counts as at least ``eps``."""

    _shown = "dim={dim!r}, eps={eps!r}"

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Any, x2: Any) -> Any:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


@register_module(name="torch.PairwiseDistance")
class PairwiseDistance(Module):
    """The ``p``-norm of ``x1 - x2 + eps`` along the last dimension."""

    _shown = "p={p!r}, eps={eps!r}, keepdim={keepdim!r}"

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

    _shown = "size={size!r}, alpha={alpha!r}, beta={beta!r}, k={k!r}"

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = whole(size, "size", self.name), alpha, beta, k

    def forward(self, input: Any) -> Any:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

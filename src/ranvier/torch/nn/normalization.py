"""BatchNorm1d and LayerNorm with PyTorch's arguments, defaults and names of weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.graph.node import GraphError, Symbol, Type
from ranvier.layers.base import whole
from ranvier.layers.normalization import RunningStatistics
from ranvier.module import Module, Parameter, register_module
from ranvier.ops.functional.normalization import moved, normalize_batch, standardize
from ranvier.ops.torch.device import check_device
from ranvier.ops.torch.dtypes import dtype_name
from ranvier.tensor.context import get_dtype, no_grad
from ranvier.tensor.tensor import Tensor
from ranvier.torch.nn import functional as F

__all__ = ["BatchNorm", "BatchNorm1d", "LayerNorm"]


def _filled(value: float, shape: Sequence[int], dtype: str) -> Parameter:
    return Parameter.over(np.full(shape, value, dtype))


class BatchNorm(Module):
    """Batch normalization of (batch, features, ...); ``dimensions``: how many dimensions inputs may have."""

    dimensions: tuple[int, ...]
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Any
    running_var: Any
    num_batches_tracked: Any

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_device(device)
        name = dtype_name(dtype) or get_dtype()
        self.num_features = whole(num_features, "num_features", self.name)
        self.eps, self.momentum = float(eps), None if momentum is None else float(momentum)
        self.affine, self.track_running_stats = affine, track_running_stats
        for key, value in (("weight", 1.0), ("bias", 0.0)):
            self.register_parameter(key, _filled(value, (self.num_features,), name) if affine else None)
        for key, value in (("running_mean", 0.0), ("running_var", 1.0)):
            known = np.full((self.num_features,), value, name)
            self.register_buffer(key, Tensor.wrap(known) if track_running_stats else None)
        tracked = Tensor.wrap(np.zeros((), np.int32)) if track_running_stats else None
        self.register_buffer("num_batches_tracked", tracked)
        self._running = RunningStatistics()

    def reset_running_stats(self) -> None:
        """Statistics as they were at first."""
        if self.track_running_stats:
            for tensor, value in (
                (self.running_mean, 0),
                (self.running_var, 1),
                (self.num_batches_tracked, 0),
            ):
                tensor.assign(np.full(tensor.shape, value))

    def reset_parameters(self) -> None:
        """Statistics, weight and bias as they were at first."""
        self.reset_running_stats()
        for tensor, value in ((self.weight, 1.0), (self.bias, 0.0)):
            if tensor is not None:
                tensor.assign(np.full(tensor.shape, value))

    def forward(self, input: Any) -> Any:
        reason = self.misfit(getattr(input, "spec", None) or Type(input.shape, get_dtype()))
        if reason is not None:
            raise GraphError(reason[0])
        mean, variance, batches = self.running_mean, self.running_var, self.num_batches_tracked
        if not self.training and mean is not None:
            return standardize(input, mean, variance, self.weight, self.bias, 1, self.eps)
        y, *own = normalize_batch(input, self.weight, self.bias, 1, self.eps)
        if self.training and mean is not None:
            with no_grad():
                after = moved(mean, variance, *own, input, batches, 1, self.momentum, True)
                self._running.assign((mean, variance, batches), after)
        return y

    def misfit(self, given: Type) -> tuple[str, str] | None:
        shape = given.shape
        if len(shape) not in self.dimensions:
            allowed = " or ".join(map(str, self.dimensions))
            return f"it takes inputs of {allowed} dimensions, (batch, features, ...).", "Reshape its inputs."
        if shape[1] != self.num_features:
            return (
                f"it has {self.num_features} features in dimension 1, and there are {shape[1]}.",
                f"Write {type(self).__name__}({shape[1]}), or make the layer before it give {self.num_features}.",
            )
        rest: list[Any] = [d for i, d in enumerate(shape) if i != 1]
        if self.training and not any(isinstance(d, Symbol) for d in rest) and math.prod(rest) == 1:
            return (
                "while training it needs more than one value for each feature, which have no variance otherwise.",
                "Write DataLoader(..., drop_last=True), or call eval() on it, instead.",
            )
        return None

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps:g}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


@register_module(name="torch.BatchNorm1d")
class BatchNorm1d(BatchNorm):
    """Each feature of (batch, features) or (batch, features, length) at mean 0, variance 1, then ``* weight + bias``.

    While training, statistics are the batch's, and the running ones go ``momentum`` of the way toward them (with None,
    they are the mean of all batches'), the running variance with n - 1 in the denominator. In evaluation the running
    ones are used, unless ``track_running_stats`` is off. A batch of one value for each feature raises ValueError, as in
    PyTorch; where `fit` leaves one over at the end of an epoch its output is ``bias`` and the running variance stays.
    (Ioffe and Szegedy, 2015.)
    """

    dimensions = (2, 3)


@register_module(name="torch.LayerNorm")
class LayerNorm(Module):
    """Each sample at mean 0 and variance 1 over its last dimensions, then ``* weight + bias`` (Ba et al., 2016).

    ``normalized_shape`` is the shape of those dimensions, or the extent of the last one.
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_device(device)
        name = dtype_name(dtype) or get_dtype()
        sizes = normalized_shape if isinstance(normalized_shape, Sequence) else (normalized_shape,)
        self.normalized_shape = tuple(whole(d, "normalized_shape", self.name) for d in sizes)
        self.eps, self.elementwise_affine = float(eps), elementwise_affine
        for key, value, wanted in (("weight", 1.0, True), ("bias", 0.0, bias)):
            made = _filled(value, self.normalized_shape, name) if elementwise_affine and wanted else None
            self.register_parameter(key, made)

    def reset_parameters(self) -> None:
        """Weight and bias as they were at first."""
        for tensor, value in ((self.weight, 1.0), (self.bias, 0.0)):
            if tensor is not None:
                tensor.assign(np.full(tensor.shape, value))

    def forward(self, input: Any) -> Any:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def misfit(self, given: Type) -> tuple[str, str] | None:
        size = len(self.normalized_shape)
        if given.shape[-size:] == self.normalized_shape:
            return None
        return (
            f"it normalizes over last dimensions of {self.normalized_shape}, and there are {given.shape[-size:]}.",
            f"Write LayerNorm({list(given.shape[1:])}), or make the layer before it give {self.normalized_shape}.",
        )

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps:g}, elementwise_affine={self.elementwise_affine}"

"""BatchNorm1d to BatchNorm3d, and LayerNorm, with PyTorch's arguments, defaults and names of weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ranvier.graph.extents import Extent
from ranvier.graph.node import GraphError, Type
from ranvier.layers.base import whole
from ranvier.layers.normalization import RunningStatistics
from ranvier.module import Module, Parameter, register_module
from ranvier.ops.functional.normalization import moved, normalize_batch, standardize
from ranvier.ops.loops import repeated
from ranvier.ops.torch.device import Device, check_device
from ranvier.ops.torch.dtypes import dtype_name
from ranvier.tensor.context import get_dtype
from ranvier.tensor.tensor import Tensor
from ranvier.torch.nn import functional as F


class Affine(Module):
    """A weight of ones and a bias of zeros, each of which may be None."""

    weight: Parameter | None
    bias: Parameter | None

    def extra_repr(self) -> str:
        return self._shown.format_map({**vars(self), "has_bias": self._parameters.get("bias") is not None})

    def _make_affine(
        self, shape: Sequence[int], wanted: bool, device: Device, dtype: DTypeLike | None, bias: bool = True
    ) -> None:
        check_device(device)
        name = dtype_name(dtype) or get_dtype()
        for key, value, made in (("weight", 1.0, wanted), ("bias", 0.0, wanted and bias)):
            self.register_parameter(key, Parameter.over(np.full(shape, value, name)) if made else None)

    def reset_parameters(self) -> None:
        """Set weight and bias to their initial values."""
        for key, value in (("weight", 1.0), ("bias", 0.0)):
            parameter = self._parameters.get(key)
            if parameter is not None:
                parameter.assign(np.full(parameter.shape, value))


class Tracking(Affine):
    """Normalization by feature with optional running statistics, which are None without tracking."""

    running_mean: Any
    running_var: Any
    num_batches_tracked: Any
    track_running_stats: bool
    _shown = (
        "{num_features}, eps={eps:g}, momentum={momentum}, affine={affine}, bias={has_bias}, "
        "track_running_stats={track_running_stats}"
    )

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Device = None,
        dtype: DTypeLike | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = features = whole(num_features, "num_features", self.name)
        self.eps, self.momentum, self.affine = float(eps), None if momentum is None else float(momentum), affine
        self._make_affine((features,), affine, device, dtype, bias)
        self.track_running_stats = track_running_stats
        name = dtype_name(dtype) or get_dtype()
        first = {
            "running_mean": np.zeros(features, name),
            "running_var": np.ones(features, name),
            "num_batches_tracked": np.zeros((), np.int64),
        }
        for key, value in first.items():
            self.register_buffer(key, Tensor.wrap(value) if track_running_stats else None)
        self._running = RunningStatistics()

    def _require(self, input: Any) -> None:
        """Raise GraphError for inputs that do not fit."""
        wrong = self.shape_error(getattr(input, "spec", None) or Type(input.shape, get_dtype()))
        if wrong is not None:
            raise GraphError(wrong[0])

    def reset_running_stats(self) -> None:
        """Set the running statistics to their initial values."""
        if self.track_running_stats:
            for tensor, value in ((self.running_mean, 0), (self.running_var, 1), (self.num_batches_tracked, 0)):
                tensor.assign(np.full(tensor.shape, value))

    def reset_parameters(self) -> None:
        """Set running statistics, weight and bias to their initial values."""
        self.reset_running_stats()
        super().reset_parameters()


class BatchNorm(Tracking):
    """Batch normalization of (batch, features, ...); ``dimensions`` are the numbers of dimensions inputs may have."""

    dimensions: tuple[int, ...]

    def forward(self, input: Any) -> Any:
        self._require(input)
        mean, variance, batches = self.running_mean, self.running_var, self.num_batches_tracked
        if not self.training and mean is not None:
            return standardize(input, mean, variance, self.weight, self.bias, 1, self.eps)
        y, *own = normalize_batch(input, self.weight, self.bias, 1, self.eps)
        if self.training and mean is not None:
            running = mean, variance, batches
            repeated(
                lambda: self._running.assign(
                    running, moved(mean, variance, *own, input, batches, 1, self.momentum, True)
                )
            )
        return y

    def shape_error(self, given: Type) -> tuple[str, str] | None:
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
        if self.training and not any(isinstance(d, Extent) for d in rest) and math.prod(rest) == 1:
            return (
                "while training it needs more than one value for each feature, which have no variance otherwise.",
                "Write DataLoader(..., drop_last=True), or call eval() on it, instead.",
            )
        return None


@register_module(name="torch.BatchNorm1d")
class BatchNorm1d(BatchNorm):
    """Each feature of (batch, features) or (batch, features, length) at mean 0, variance 1, then ``* weight + bias``.

    Training uses the statistics of the batch, and moves the running ones toward them by ``momentum`` (with None they
    are the mean over all batches); the running variance has n - 1 in the denominator. Evaluation uses the running
    statistics, unless ``track_running_stats`` is False. A batch of one value for each feature raises ValueError, as in
    PyTorch. If the last batch of an epoch of `fit` is one sample, its output is ``bias``, and the running variance
    stays. (Ioffe and Szegedy, 2015.)
    """

    dimensions = (2, 3)


@register_module(name="torch.BatchNorm2d")
class BatchNorm2d(BatchNorm):
    """Each channel of (batch, channels, height, width) at mean 0, variance 1, then ``* weight + bias``.

    Statistics are over the batch and all positions; see `BatchNorm1d`.
    """

    dimensions = (4,)


@register_module(name="torch.BatchNorm3d")
class BatchNorm3d(BatchNorm):
    """Each channel of (batch, channels, depth, height, width) at mean 0, variance 1, then ``* weight + bias``.

    Statistics are over the batch and all positions; see `BatchNorm1d`.
    """

    dimensions = (5,)


@register_module(name="torch.SyncBatchNorm")
class SyncBatchNorm(BatchNorm):
    """`BatchNorm1d` to `BatchNorm3d` in one: there is one process, so that nothing is to sync."""

    dimensions = (2, 3, 4, 5)

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Device = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype)
        self.process_group = process_group

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """The module with its batch normalizations replaced by these, which share their weights and statistics."""
        if isinstance(module, BatchNorm) and not isinstance(module, cls):
            made = cls(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
            )
            for name, parameter in module._parameters.items():
                made.register_parameter(name, parameter)
            for name, buffer in module._buffers.items():
                made.register_buffer(name, buffer)
            return made.train(module.training)
        for name, child in list(module.named_children()):
            setattr(module, name, cls.convert_sync_batchnorm(child, process_group))
        return module


@register_module(name="torch.LayerNorm")
class LayerNorm(Affine):
    """Each sample at mean 0 and variance 1 over its last dimensions, then ``* weight + bias`` (Ba et al., 2016).

    ``normalized_shape`` is the shape of those dimensions, or the size of the last one.
    """

    _shown = "{normalized_shape}, eps={eps:g}, elementwise_affine={elementwise_affine}, bias={has_bias}"

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Device = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        sizes = normalized_shape if isinstance(normalized_shape, Sequence) else (normalized_shape,)
        self.normalized_shape = tuple(whole(d, "normalized_shape", self.name) for d in sizes)
        self.eps, self.elementwise_affine = float(eps), elementwise_affine
        self._make_affine(self.normalized_shape, elementwise_affine, device, dtype, bias)

    def forward(self, input: Any) -> Any:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def shape_error(self, given: Type) -> tuple[str, str] | None:
        size = len(self.normalized_shape)
        if given.shape[-size:] == self.normalized_shape:
            return None
        return (
            f"it normalizes over last dimensions of {self.normalized_shape}, and there are {given.shape[-size:]}.",
            f"Write LayerNorm({list(given.shape[1:])}), or make the layer before it give {self.normalized_shape}.",
        )

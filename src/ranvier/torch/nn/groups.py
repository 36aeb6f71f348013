"""GroupNorm, InstanceNorm and RMSNorm with PyTorch's arguments, defaults and names of weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from numpy.typing import DTypeLike

from ranvier.graph.node import GraphError, Type
from ranvier.layers.base import whole
from ranvier.layers.shape_errors import ImageLayout, ShapeFault, largest_divisor
from ranvier.module import register_module
from ranvier.ops.functional.normalization import instance_moments, moved, standardize
from ranvier.ops.loops import repeated
from ranvier.ops.torch.device import Device
from ranvier.ops.torch.sizes import batched
from ranvier.tensor.context import no_grad
from ranvier.torch.nn import functional as F
from ranvier.torch.nn.dimensions import in_dimensions
from ranvier.torch.nn.normalization import Affine, Tracking


@register_module(name="torch.GroupNorm")
class GroupNorm(Affine):
    """Each of ``num_groups`` of channels of a sample at mean 0, variance 1, then ``* weight + bias`` by channel.

    (batch, num_channels, ...) -> the same shape. Training and evaluation do not differ (Wu and He, 2018).
    """

    _shown = "{num_groups}, {num_channels}, eps={eps:g}, affine={affine}, bias={has_bias}"

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Device = None,
        dtype: DTypeLike | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_groups = whole(num_groups, "num_groups", self.name)
        self.num_channels = whole(num_channels, "num_channels", self.name)
        if self.num_channels % self.num_groups:
            best = largest_divisor(self.num_channels, self.num_groups)
            raise ValueError(
                f"the {num_groups} groups of layer {self.name!r} do not divide {num_channels} channels. Write "
                f"num_groups={best} instead."
            )
        self.eps, self.affine = float(eps), affine
        self._make_affine((self.num_channels,), affine, device, dtype, bias)

    def forward(self, input: Any) -> Any:
        if input.ndim < 2 or input.shape[1] != self.num_channels:
            raise GraphError(f"it takes {self.num_channels} channels in dimension 1")
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def shape_error(self, given: Type) -> ShapeFault:
        channels = given.shape[1] if len(given.shape) > 1 else None
        if channels == self.num_channels:
            return None
        return (
            f"it has weights for {self.num_channels} channels in dimension 1, and there are {channels}.",
            f"Write GroupNorm({self.num_groups}, {channels}), or make the layer before it give {self.num_channels}.",
        )


class _InstanceNorm(Tracking):
    """Each channel of each sample at mean 0 and variance 1 over its positions."""

    dimensions: ClassVar[int]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Device = None,
        dtype: DTypeLike | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, float(momentum), affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Any) -> Any:
        self._require(input)
        return batched(self._normalize, input, self.dimensions)

    def _normalize(self, input: Any) -> Any:
        mean, variance = self.running_mean, self.running_var
        if mean is not None and not self.training:
            return standardize(input, mean, variance, self.weight, self.bias, 1, self.eps)
        if mean is not None:
            with no_grad():
                own = instance_moments(input)
            running = mean, variance
            repeated(lambda: self._running.assign(running, moved(*running, *own, input, None, 1, self.momentum)))
        return F.instance_norm(input, None, None, self.weight, self.bias, eps=self.eps)

    def shape_error(self, given: Type) -> ShapeFault:
        form = ImageLayout(self.dimensions, True, torch=True)
        single = len(given.shape) == self.dimensions + 1
        shape = (1, *given.shape) if single else given.shape
        wrong = form.rank(shape) or form.filled(shape, self.num_features, "normalization")
        alone = all(d == 1 for d in shape[2:])
        if wrong is None and alone and (self.training or self.running_mean is None):
            return (
                "it needs more than one position in each channel, which have no variance otherwise.",
                "Write larger images, or no InstanceNorm where there is one position left, instead.",
            )
        return wrong


InstanceNorm1d, InstanceNorm2d, InstanceNorm3d = in_dimensions(
    _InstanceNorm, "InstanceNorm", """Each channel of each sample of {inputs} at mean 0 and variance 1.

    With ``affine``, ``* weight + bias`` follows. With ``track_running_stats`` the mean of the samples' statistics is
    tracked in training, and used in evaluation (Ulyanov et al., 2016).
    """)  # fmt: skip


@register_module(name="torch.RMSNorm")
class RMSNorm(Affine):
    """Each sample divided by its root mean square over its last dimensions, then ``* weight``.

    ``normalized_shape`` is the shape of those dimensions, or the size of the last one (Zhang and Sennrich, 2019).
    """

    _shown = "{normalized_shape}, eps={eps}, elementwise_affine={elementwise_affine}"

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Device = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        sizes = normalized_shape if isinstance(normalized_shape, Sequence) else (normalized_shape,)
        self.normalized_shape = tuple(whole(d, "normalized_shape", self.name) for d in sizes)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._make_affine(self.normalized_shape, elementwise_affine, device, dtype, bias=False)
        del self.bias  # PyTorch's has no such attribute

    def forward(self, input: Any) -> Any:
        if tuple(input.shape[-len(self.normalized_shape) :]) != self.normalized_shape:
            raise GraphError(f"its last dimensions are not the normalized_shape {self.normalized_shape}")
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

"""Batch and layer normalization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from ranvier.graph.node import GraphError, Type
from ranvier.layers.annotations import ConstraintLike, InitializerLike, LayerOptions, RegularizerLike
from ranvier.layers.base import Layer
from ranvier.layers.weight_dtype import layer_standardize, normalize_batch, standardize
from ranvier.module.parameter import Buffer
from ranvier.module.serialization import register_module
from ranvier.ops.arrays.promotion import axes_of, axis_of
from ranvier.ops.functional.normalization import moved
from ranvier.support.validation import amount
from ranvier.tensor import tape
from ranvier.tensor.context import no_grad
from ranvier.tensor.tensor import Tensor

WAITING = 16  # pending updates of statistics after which a loop that reads nothing computes them


class RunningStatistics:
    """Assigns running statistics within a program, and computes them where nothing else does.

    An assignment is pending until a result is read. A loop of calls that reads nothing (to measure statistics again,
    for example) would make one endless program, so after every few calls the pending assignments are computed.
    """

    def __init__(self) -> None:
        self.waiting = 0

    def assign(self, tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
        first = tensors[0]
        self.waiting = 0 if first.segment is None else self.waiting + 1
        for tensor, value in zip(tensors, values, strict=True):
            tensor.assign(value)
        segment = first.segment
        if self.waiting > WAITING and segment is not None and not segment.placeholders:
            tape.flush(segment)


def features_of(input_shape: Sequence[Any], axis: int) -> int:
    """The size of the inputs along an axis, which must exist and be known."""
    ndim = len(input_shape)
    size = input_shape[axis] if -ndim <= axis < ndim else None
    if not isinstance(size, int) or axis_of(axis, ndim) == 0:
        raise GraphError(
            f"it normalizes along axis {axis}, which inputs of shape {tuple(input_shape)} do not have. Write axis=-1 "
            "for features in the last dimension"
        )
    return size


class Normalizing(Layer):
    """A layer that normalizes, then scales by gamma and shifts by beta, each of which may be left out."""

    gamma: Any
    beta: Any

    def _store_affine(self, epsilon: float, center: bool, scale: bool) -> None:
        self.epsilon = amount(epsilon, self._label(), "epsilon")
        self.center, self.scale = bool(center), bool(scale)

    def _make_affine(self, shape: tuple[int, ...]) -> None:
        self._make_weights(gamma=shape if self.scale else None, beta=shape if self.center else None)

    def _one_axis(self, axis: Any) -> int:
        """The axis; raises ValueError if it is no whole number."""
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise ValueError(f"the axis of layer {self.name!r} is {axis!r}. Write one whole number instead.")
        return axis


@register_module
class BatchNormalization(Normalizing):
    """Each feature at mean 0 and variance 1 over the batch, then ``* gamma + beta`` (Ioffe and Szegedy, 2015).

    Features are along ``axis``; statistics are over all other axes. While training they are the batch's, and the moving
    averages move toward them by ``1 - momentum``; otherwise the moving averages are used. A layer that is not
    ``trainable`` uses them always, and leaves them alone.

    A last batch that is smaller counts as what it is. In a batch of one value for each feature the variance is 0: the
    output is ``beta``, and the moving variance moves toward 0, as in Keras; ``batch_size`` should not leave one over.

    Positions where a ``mask``, of all dimensions but the last, is false are in no statistics.

    Weights: gamma, beta, moving_mean, moving_variance, (features,) each.
    """

    supports_masking = True
    moving_mean: Any
    moving_variance: Any
    _shown = "momentum={momentum:g}, epsilon={epsilon:g}"

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: InitializerLike = "zeros",
        gamma_initializer: InitializerLike = "ones",
        moving_mean_initializer: InitializerLike = "zeros",
        moving_variance_initializer: InitializerLike = "ones",
        beta_regularizer: RegularizerLike = None,
        gamma_regularizer: RegularizerLike = None,
        beta_constraint: ConstraintLike = None,
        gamma_constraint: ConstraintLike = None,
        synchronized: bool = False,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        if synchronized:
            raise ValueError(
                f"layer {self.name!r}: synchronized=True is for training on several machines. Leave it out instead."
            )
        self.axis = self._one_axis(axis)
        self.momentum = amount(momentum, self._label(), "momentum", 1.0)
        self._store_affine(epsilon, center, scale)
        self._store_settings("gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        self._store_settings("beta", beta_initializer, beta_regularizer, beta_constraint)
        self._store_settings("moving_mean", moving_mean_initializer)
        self._store_settings("moving_variance", moving_variance_initializer)
        self._running = RunningStatistics()

    def build(self, input_shape: Sequence[Any]) -> None:
        shape = (features_of(input_shape, self.axis),)
        self._make_affine(shape)
        for name in ("moving_mean", "moving_variance"):
            self.register_buffer(name, Buffer.over(getattr(self, f"{name}_initializer")(shape)))

    def forward(self, x: Any, mask: Any = None) -> Any:
        if mask is not None and mask.ndim != x.ndim - 1:
            raise ValueError(
                f"layer {self.name!r} was given a mask of shape {tuple(mask.shape)} for values of shape "
                f"{tuple(x.shape)}. Write a mask of all dimensions but the last instead."
            )
        mean, variance = self.moving_mean, self.moving_variance
        if not (self.training and self._trainable):
            return standardize(x, mean, variance, self.gamma, self.beta, self.axis, self.epsilon)
        y, *own = normalize_batch(x, self.gamma, self.beta, self.axis, self.epsilon, mask)
        with no_grad():
            after = moved(mean, variance, *own, x, None, self.axis, 1.0 - self.momentum)
            self._running.assign((mean, variance), after)
        return y

    def shape_error(self, given: Type) -> tuple[str, str] | None:
        if not self.built or not -len(given.shape) <= self.axis < len(given.shape):
            return None
        features, size = self.moving_mean.shape[0], given.shape[self.axis]
        if features == size:
            return None
        return (
            f"it has statistics of {features} features along axis {self.axis}, and there are {size}.",
            f"Make the layer before it give {features}, or build this one for {size}.",
        )


@register_module
class LayerNormalization(Normalizing):
    """Each sample at mean 0 and variance 1 over ``axis`` (one or several), then ``* gamma + beta`` (Ba et al., 2016).

    The same in training and evaluation, and for a batch of any size. Weights: gamma and beta, of the axes' shape.
    """

    supports_masking = True
    _shown = "axis={axis}, epsilon={epsilon:g}"

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: InitializerLike = "zeros",
        gamma_initializer: InitializerLike = "ones",
        beta_regularizer: RegularizerLike = None,
        gamma_regularizer: RegularizerLike = None,
        beta_constraint: ConstraintLike = None,
        gamma_constraint: ConstraintLike = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        axes = tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)
        if not axes or any(isinstance(a, bool) or not isinstance(a, int) for a in axes):
            raise ValueError(
                f"the axis of layer {self.name!r} is {axis!r}. Write a whole number, or a tuple of them, instead."
            )
        self.axis: tuple[int, ...] = axes
        self._store_affine(epsilon, center, scale)
        self._store_settings("gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        self._store_settings("beta", beta_initializer, beta_regularizer, beta_constraint)

    def build(self, input_shape: Sequence[Any]) -> None:
        self._make_affine(tuple(features_of(input_shape, a) for a in axes_of(self.axis, len(input_shape))))

    def forward(self, x: Any) -> Any:
        return layer_standardize(x, self.gamma, self.beta, axes=self.axis, epsilon=self.epsilon)

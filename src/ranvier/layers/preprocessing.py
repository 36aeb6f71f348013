"""Normalization by statistics of the data, as a part of the network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Unpack

import numpy as np

from ranvier.data.convert import to_numeric
from ranvier.graph.node import GraphError, Node, Type
from ranvier.layers.annotations import LayerOptions
from ranvier.layers.base import Layer
from ranvier.module.parameter import Buffer, Constant
from ranvier.module.serialization import register_module
from ranvier.ops import arrays as n
from ranvier.ops.arrays.promotion import axes_of, axis_of, floating
from ranvier.tensor.context import get_dtype
from ranvier.tensor.function import function

LEAST = 1e-7  # the smallest standard deviation, so that constant features give 0
PIECE = 1 << 22  # elements converted to double precision at a time


@function
def normalized(x: Node, mean: Node, variance: Node, axes: tuple[int, ...], invert: bool) -> Node:
    """``(x - mean) / deviation`` over the kept axes, or with ``invert`` back."""
    x = floating(x)
    shape = tuple(d if a in axes else 1 for a, d in enumerate(x.shape))
    centre, spread = (
        n.reshape(v, shape) for v in (n.cast(mean, x.dtype), n.cast(n.maximum(n.sqrt(variance), LEAST), x.dtype))
    )
    if invert:
        return n.add(n.multiply(x, spread), centre)
    return n.divide(n.subtract(x, centre), spread)


@register_module
class Normalization(Layer):
    """Features at mean 0 and variance 1, by the statistics of the training data: ``(x - mean) / sqrt(variance)``.

    Write ``layer.adapt(x_train)`` before training, or give ``mean`` and ``variance``. Statistics are kept for each
    index along ``axis`` (one or several; None: one mean for all), and are saved with the model; given ones are no
    weights. With ``invert`` the layer undoes another's normalization. Until it is adapted it only converts integers.
    """

    supports_masking = True
    mean: Any
    variance: Any

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        axes = () if axis is None else tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)
        if any(isinstance(a, bool) or not isinstance(a, int) for a in axes):
            raise ValueError(
                f"the axis of layer {self.name!r} is {axis!r}. Write a whole number, a tuple of them, or None instead."
            )
        if (mean is None) != (variance is None):
            given, other = ("mean", "variance") if variance is None else ("variance", "mean")
            raise ValueError(
                f"layer {self.name!r} was given {given} without {other}. Write both, or neither and call adapt."
            )
        self.axis, self.invert = axes, bool(invert)
        self.given = None if mean is None else tuple(np.asarray(v, np.float64) for v in (mean, variance))
        if self.given is not None and (self.given[1] < 0).any():
            raise ValueError(
                f"layer {self.name!r} was given a variance below 0. Write the mean of the squared distances instead."
            )

    def config(self) -> dict[str, Any]:
        return {
            key: np.asarray(value).tolist() if hasattr(value, "__array__") else value
            for key, value in super().config().items()
        }

    def kept(self, ndim: int) -> tuple[int, ...]:
        """The axes with statistics of their own, ascending; raises GraphError for axes that do not exist."""
        if any(not -ndim <= a < ndim or axis_of(a, ndim) == 0 for a in self.axis):
            raise GraphError(
                f"it normalizes along axis {self.axis}, which inputs of {ndim} dimensions do not have after the "
                "batch's. Write axis=-1 for features in the last dimension"
            )
        return axes_of(self.axis, ndim)

    def build(self, input_shape: Sequence[Any]) -> None:
        shape = tuple(input_shape[a] for a in self.kept(len(input_shape)))
        values = self.given or (np.zeros(shape), np.ones(shape))
        kind = Constant if self.given else Buffer
        for name, value in zip(("mean", "variance"), values, strict=True):
            try:
                array = np.array(np.broadcast_to(value, shape), get_dtype())
            except ValueError:
                raise GraphError(
                    f"it was given a {name} of shape {value.shape}, and has statistics of shape {shape}"
                ) from None
            self.register_buffer(name, kind.over(array))

    def forward(self, x: Any) -> Any:
        axes = self.kept(len(x.shape))
        return normalized(x, self.mean, self.variance, axes=axes, invert=self.invert)

    @property
    def adapted(self) -> bool:
        """Whether its statistics are of data, and neither arguments nor the initial ones."""
        if self.given is not None or not self.built:
            return False
        return bool(self.mean.compute().any() or (self.variance.compute() != 1).any())

    def shape_error(self, given: Type) -> tuple[str, str] | None:
        if not self.built or any(not -len(given.shape) <= a < len(given.shape) for a in self.axis):
            return None
        shape = tuple(given.shape[a] for a in axes_of(self.axis, len(given.shape)))
        if shape == self.mean.shape:
            return None
        return (
            f"it has statistics of shape {self.mean.shape}, and there are features of shape {shape}.",
            "Adapt it to data of this shape, or give it the data that it was adapted to.",
        )

    def adapt(self, data: Any) -> None:
        """Take mean and variance from data: an array whose first dimension is of samples, or batches of such.

        Computes in double precision, piece by piece. Raises ValueError for no data, for NaN and infinities, and for
        data of another shape than the layer was built for.
        """
        count, total, spread = 0, np.zeros(()), np.zeros(())
        for batch in _batches(data):
            axes = self.kept(batch.ndim)
            over = tuple(a for a in range(batch.ndim) if a not in axes)
            rows = max(1, PIECE // max(1, batch[:1].size))
            for start in range(0, len(batch), rows):
                part = batch[start : start + rows].astype(np.float64)
                size = part.size // max(1, int(np.prod([part.shape[a] for a in axes])))
                mean, variance = part.mean(over), part.var(over)
                # Two parts' statistics together (Chan, Golub and LeVeque, 1979): exact for any sizes.
                distance = mean - total
                spread = spread + variance * size + distance**2 * (count * size / (count + size))
                total = total + distance * (size / (count + size))
                count += size
            if not self.built:
                self.build((None, *batch.shape[1:]))
        if not count:
            raise ValueError(f"layer {self.name!r} was adapted to 0 samples. Write adapt(x_train) instead.")
        if not (np.isfinite(total).all() and np.isfinite(spread).all()):
            raise ValueError(
                f"layer {self.name!r} was adapted to data with NaN or infinities. Replace them first, for example with "
                "np.nan_to_num(x)."
            )
        if total.shape != self.mean.shape:
            raise ValueError(
                f"layer {self.name!r} has statistics of shape {self.mean.shape}, and these data give {total.shape}. "
                "Write data of the shape that the network takes instead."
            )
        self.mean.assign(total.astype(self.mean.dtype))
        self.variance.assign((spread / count).astype(self.variance.dtype))


def _batches(data: Any) -> Iterable[Any]:
    """The parts of data as arrays with a dimension of samples."""
    whole = hasattr(data, "shape") or hasattr(data, "columns") or isinstance(data, (list, tuple))
    for part in [data] if whole else data:
        if isinstance(part, (tuple, list)) and not whole:
            part = part[0]  # a batch (x, y)
        array = to_numeric(part)
        yield array[:, None] if array.ndim == 1 else array

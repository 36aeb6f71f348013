"""Normalization: to mean 0 and variance 1 over a batch or over each sample, and the running statistics of batches."""

from __future__ import annotations

from typing import Any

from ranvier.graph.node import GraphError, Node, apply, extent
from ranvier.ops import arrays as n
from ranvier.ops.arrays.promotion import axes_of, axis_of, count, floating
from ranvier.tensor.function import function


def moments(x: Node, axis: int, mask: Node | None = None) -> tuple[Node, Node]:
    """The mean and the variance (the mean squared distance from it) over all axes but one: (features,) each.

    With a ``mask`` (all axes of x but the last, or 1 for one), of where it is true; without such a place both are 0.
    """
    others = tuple(a for a in range(x.ndim) if a != axis)
    if mask is not None:
        kept = n.broadcast_to(n.expand_dims(n.cast(mask, "bool"), -1), x.shape)
        number = n.maximum(n.sum(n.cast(kept, x.dtype), others, True), 1)
        mean = n.divide(n.sum(n.where(kept, x, 0), others, True), number)
        centred = n.where(kept, n.subtract(x, mean), 0)
        return tuple(n.reshape(v, (-1,)) for v in (mean, n.divide(n.sum(centred * centred, others, True), number)))
    mean = n.mean(x, others, True)
    centred = n.subtract(x, mean)
    return n.reshape(mean, (-1,)), n.mean(centred * centred, others)


@function
def standardize(
    x: Node,
    mean: Node,
    variance: Node,
    gamma: Node | None = None,
    beta: Node | None = None,
    axis: int = -1,
    epsilon: float = 1e-3,
) -> Node:
    """``(x - mean) / sqrt(variance + epsilon) * gamma + beta`` with a number of each along one axis of x."""
    x = floating(x)
    axis = axis_of(axis, x.ndim)

    def along(v: Node) -> Node:
        return apply("broadcast", v, shape=x.shape, axes=(axis,))

    factor = n.rsqrt(n.add(variance, epsilon))
    factor = factor if gamma is None else factor * gamma
    y = (x - along(mean)) * along(factor)
    return y if beta is None else y + along(beta)


@function
def normalize_batch(
    x: Node,
    gamma: Node | None = None,
    beta: Node | None = None,
    axis: int = -1,
    epsilon: float = 1e-3,
    mask: Node | None = None,
) -> tuple[Node, Node, Node]:
    """`standardize` by the batch's own statistics, which are the second and third result; see `moments`."""
    x = floating(x)
    mean, variance = moments(x, axis_of(axis, x.ndim), mask)
    return standardize(x, mean, variance, gamma, beta, axis, epsilon), mean, variance


@function
def moved(
    running_mean: Node,
    running_variance: Node,
    mean: Node,
    variance: Node,
    x: Node,
    batches: Node | None = None,
    axis: int = -1,
    share: float | None = 0.1,
    unbiased: bool = False,
) -> tuple[Node, ...]:
    """Running statistics ``share`` of the way toward those of the batch ``x``; and ``batches``, how many, + 1.

    Without a share they become the mean of all batches'. With ``unbiased`` the variance is divided by n - 1, n the
    number of values of a feature; a single value says nothing about a variance then: the running one stays.
    """
    counted = None if batches is None else n.add(batches, 1)
    if 0 in x.shape:  # no sample, no statistics
        return (running_mean, running_variance) if counted is None else (running_mean, running_variance, counted)
    part: Any = n.reciprocal(n.cast(counted, running_mean.dtype)) if share is None else share
    after = [
        n.add(old, n.multiply(new - old, part)) for old, new in ((running_mean, mean), (running_variance, variance))
    ]
    if unbiased:
        size = count([d for a, d in enumerate(x.shape) if a != axis_of(axis, x.ndim)], variance.dtype)
        rest = n.subtract(size, 1)
        whole = n.multiply(variance, n.divide(size, n.maximum(rest, 1)))
        step = n.multiply(whole - running_variance, part)
        after[1] = n.where(n.less(rest, 1), running_variance, running_variance + step)
    return tuple(after) if counted is None else (*after, counted)


@function
def layer_standardize(
    x: Node, gamma: Node | None = None, beta: Node | None = None, axes: tuple[int, ...] = (-1,), epsilon: float = 1e-3
) -> Node:
    """Each sample at mean 0 and variance 1 over the axes, then ``* gamma + beta``, which have those axes' shape."""
    x = floating(x)
    axes = axes_of(axes, x.ndim)
    centred = n.subtract(x, n.mean(x, axes, True))
    y = n.multiply(centred, n.rsqrt(n.add(n.mean(centred * centred, axes, True), epsilon)))
    return _scaled(y, gamma, beta, axes)


def _scaled(y: Node, gamma: Node | None, beta: Node | None, axes: tuple[int, ...]) -> Node:
    """``y * gamma + beta``, which lie along the axes."""
    for number, combine in ((gamma, n.multiply), (beta, n.add)):
        if number is not None:
            y = combine(y, apply("broadcast", number, shape=y.shape, axes=axes))
    return y


@function
def group_standardize(
    x: Node, gamma: Node | None = None, beta: Node | None = None, groups: int = 1, axis: int = -1, epsilon: float = 1e-3
) -> Node:
    """Each group of channels of each sample at mean 0 and variance 1, then ``* gamma + beta``, a number a channel."""
    x = floating(x)
    axis = axis_of(axis, x.ndim)
    if axis != x.ndim - 1:  # channels last, where they split without moving anything
        order = (*(a for a in range(x.ndim) if a != axis), axis)
        y = group_standardize(apply("transpose", x, axes=order), gamma, beta, groups, -1, epsilon)
        return apply("transpose", y, axes=tuple(order.index(a) for a in range(x.ndim)))
    channels = extent(x, -1)
    if channels % groups:
        raise GraphError(f"{groups} groups do not divide {channels} channels")
    split = apply("reshape", x, shape=(*x.shape[:-1], groups, channels // groups))
    axes = (*range(1, split.ndim - 2), split.ndim - 1)
    y = apply("reshape", layer_standardize(split, None, None, axes, epsilon), shape=x.shape)
    return _scaled(y, gamma, beta, (axis,))


@function
def rms_standardize(x: Node, scale: Node | None = None, axes: tuple[int, ...] = (-1,), epsilon: float = 1e-6) -> Node:
    """``x / sqrt(mean(x ** 2) + epsilon) * scale`` with means over the axes, whose shape ``scale`` has."""
    x = floating(x)
    axes = axes_of(axes, x.ndim)
    y = n.multiply(x, n.rsqrt(n.add(n.mean(x * x, axes, True), epsilon)))
    return _scaled(y, scale, None, axes)


@function
def instance_moments(x: Node) -> tuple[Node, Node]:
    """The mean over samples of each channel's own mean and variance, the latter with n - 1: (channels,) each.

    x is (batch, channels, positions...). The variance of a single position is 0.
    """
    x = floating(x)
    positions = tuple(range(2, x.ndim))
    size = count(x.shape[2:], x.dtype)
    mean = n.mean(x, positions, True)
    squares = n.sum((centred := n.subtract(x, mean)) * centred, positions)
    variance = n.divide(squares, n.maximum(n.subtract(size, 1), 1))
    return n.mean(n.reshape(mean, (-1, x.shape[1])), 0), n.mean(variance, 0)

"""Convolutions in any number of dimensions, channels last, as one affine contraction each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier.graph.contraction import Affine, contract
from ranvier.graph.grad import gradient
from ranvier.graph.graph import input_node
from ranvier.graph.node import FLOATS, GraphError, Node, apply, constant
from ranvier.tensor import function

__all__ = ["convolution", "convolution_transpose", "padded", "same_padding"]

Pairs = tuple[tuple[int, int], ...]


def same_padding(
    shape: Sequence[int], size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Pairs:
    """What "same" adds before and after each dimension, so that ceil(n / stride) windows fit: the odd one comes after."""
    pairs = []
    for n, k, s, d in zip(shape, size, stride, dilation, strict=True):
        total = max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
        pairs.append((total // 2, total - total // 2))
    return tuple(pairs)


def padded(x: Node, padding: Pairs, value: float = 0.0) -> Node:
    """``x`` (batch, ..., channels) with ``value`` added before and after its spatial dimensions."""
    if all(pair == (0, 0) for pair in padding):
        return x
    widths = ((0, 0, 0), *((low, high, 0) for low, high in padding), (0, 0, 0))
    return apply("pad", x, constant(value, x.dtype), widths=widths)


def _check(x: Node, kernel: Node, groups: int) -> int:
    n = kernel.ndim - 2
    if x.ndim != n + 2 or n < 1:
        raise GraphError(f"a kernel of {kernel.type} needs inputs of {n + 2} dimensions, not {x.type}")
    if x.shape[-1] != kernel.shape[-2] * groups or kernel.shape[-1] % groups:  # type: ignore[operator]
        raise GraphError(
            f"a kernel of {kernel.type} in {groups} groups takes {kernel.shape[-2] * groups} channels, not {x.type}"  # type: ignore[operator]
        )
    return n


@function
def convolution(
    x: Node,
    kernel: Node,
    stride: Sequence[int],
    padding: Pairs,
    dilation: Sequence[int],
    groups: int = 1,
) -> Node:
    """The cross-correlation that networks call convolution.

    x (batch, spatial..., channels), kernel (sizes..., channels / groups, filters) -> (batch, spatial..., filters);
    ``padding`` is (before, after) for each spatial dimension.
    """
    if x.dtype not in FLOATS:
        x = apply("cast", x, dtype=kernel.dtype)
    n = _check(x, kernel, groups)
    x = padded(x, padding)
    sizes, channels, filters = kernel.shape[:n], kernel.shape[-2], kernel.shape[-1]
    outs = []
    for dim, k, s, d in zip(x.shape[1:-1], sizes, stride, dilation, strict=True):
        reach = (k - 1) * d + 1  # type: ignore[operator]
        if not isinstance(dim, int) or dim < reach:
            raise GraphError(
                f"a kernel that reaches over {reach} does not fit a dimension of {dim}, padding included"
            )
        outs.append((dim - reach) // s + 1)
    grouped = groups > 1
    # The loops: batch, positions, group, filter of a group; then offsets in the kernel, channel of a group.
    rank = n + 2 + grouped
    loops: list[Any] = [
        x.shape[0],
        *outs,
        *([groups] if grouped else []),
        filters // groups,
        *sizes,
        channels,
    ]  # type: ignore[operator]

    def plain(loop: int) -> Affine:
        return ((loop, 1),), 0

    positions: list[Affine] = [(((1 + i, stride[i]), (rank + i, dilation[i])), 0) for i in range(n)]
    a_index = [plain(0), *positions, *([plain(n + 1)] if grouped else []), plain(rank + n)]
    b_index = [
        *(plain(rank + i) for i in range(n)),
        plain(rank + n),
        *([plain(n + 1)] if grouped else []),
        plain(rank - 1),
    ]
    if grouped:
        x = apply("reshape", x, shape=(*x.shape[:-1], groups, channels))
        kernel = apply("reshape", kernel, shape=(*sizes, channels, groups, filters // groups))  # type: ignore[operator]
    y = contract(x, kernel, a_index, b_index, loops, rank)
    return apply("reshape", y, shape=(x.shape[0], *outs, filters)) if grouped else y


@function
def convolution_transpose(
    x: Node,
    kernel: Node,
    stride: Sequence[int],
    padding: Pairs,
    dilation: Sequence[int],
    shape: Sequence[int],
    groups: int = 1,
) -> Node:
    """The gradient of a convolution by its inputs, as a layer: x (batch, spatial..., filters) -> (batch, ``shape``).

    ``kernel``, ``stride``, ``padding``, ``dilation`` and ``groups`` are those of the convolution that goes from
    (batch, ``shape``) to x's shape.
    """
    source = input_node("transposed", (x.shape[0], *shape), kernel.dtype)
    y = convolution(source, kernel, stride, padding, dilation, groups)
    if y.shape != x.shape:
        raise GraphError(f"such a convolution of {tuple(shape)} gives {y.type}, not {x.type}")
    return gradient(y, [source], x)[0]

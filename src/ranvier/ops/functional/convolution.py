"""Convolutions in any number of dimensions, channels last, as one affine contraction each."""

from __future__ import annotations

from collections.abc import Sequence

from ranvier.graph.contraction import Affine, contract
from ranvier.graph.grad import gradient
from ranvier.graph.graph import input_node
from ranvier.graph.node import FLOATS, GraphError, Node, apply, constant, extent, extents
from ranvier.tensor.function import function

Pairs = tuple[tuple[int, int], ...]


def padding_of(
    padding: str | Pairs, shape: Sequence[int], size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Pairs:
    """The (before, after) of "valid", of "same", and of "causal", which looks back alone; pairs as they are.

    "same" adds so much that ceil(n / stride) windows fit, the odd one after.
    """
    if not isinstance(padding, str):
        return padding
    if padding == "valid":
        return ((0, 0),) * len(size)
    if padding == "causal":
        return tuple(((k - 1) * d, 0) for k, d in zip(size, dilation, strict=True))
    assert padding == "same"
    each = zip(shape, size, stride, dilation, strict=True)
    totals = [max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n) for n, k, s, d in each]
    return tuple((total // 2, total - total // 2) for total in totals)


def enlarged(n: int, reach: int, stride: int, padding: str, extra: int | None) -> tuple[int, tuple[int, int]]:
    """How many positions n become, and the padding of the convolution that goes back (Keras's conventions)."""
    if padding == "valid":
        before = reach - 1
        total = before + reach - 1 + (max(reach, stride) - reach if extra is None else extra)
    else:
        total = stride + reach - 2 if extra is None else reach + reach % 2 - 2 + extra
        before = min(total // 2 + total % 2, reach - 1)
    size = (n - 1) * stride + 2 + total - reach
    return size, (reach - 1 - before, max(0, reach - 1 - (total - before)))


def channels_last(x: Node) -> Node:
    """(batch, channels, spatial...) -> (batch, spatial..., channels). Between layers such turns meet and go."""
    return apply("transpose", x, axes=(0, *range(2, x.ndim), 1))


def channels_first(x: Node) -> Node:
    """(batch, spatial..., channels) -> (batch, channels, spatial...)."""
    return apply("transpose", x, axes=(0, x.ndim - 1, *range(1, x.ndim - 1)))


def padded(x: Node, padding: Pairs, value: float = 0.0) -> Node:
    """``x`` (batch, ..., channels) with ``value`` added before and after its spatial dimensions."""
    if all(pair == (0, 0) for pair in padding):
        return x
    widths = ((0, 0, 0), *((low, high, 0) for low, high in padding), (0, 0, 0))
    return apply("pad", x, constant(value, x.dtype), widths=widths)


def _sizes(x: Node, kernel: Node, groups: int) -> tuple[tuple[int, ...], int, int]:
    """The kernel's spatial sizes, its channels and its filters, once they fit the inputs."""
    dims = tuple(d for d in kernel.shape if isinstance(d, int))
    if x.ndim != kernel.ndim or len(dims) < 3 or len(dims) != kernel.ndim:
        raise GraphError(f"a kernel of {kernel.type} needs inputs of as many dimensions, not {x.type}")
    *sizes, channels, filters = dims
    if x.shape[-1] != channels * groups or filters % groups:
        raise GraphError(
            f"a kernel of {kernel.type} in {groups} groups takes {channels * groups} channels, not {x.type}"
        )
    return tuple(sizes), channels, filters


@function
def convolution(
    x: Node,
    kernel: Node,
    stride: Sequence[int],
    padding: Pairs,
    dilation: Sequence[int],
    groups: int = 1,
    mirrored: bool = False,
) -> Node:
    """The cross-correlation that networks call convolution.

    x (batch, spatial..., channels), kernel (sizes..., channels / groups, filters) -> (batch, spatial..., filters);
    ``padding`` is (before, after) for each spatial dimension. A ``mirrored`` kernel has its sizes in reverse order:
    that of a weight (filters, channels / groups, sizes...) whose memory is read backwards.
    """
    if x.dtype not in FLOATS:
        x = apply("cast", x, dtype=kernel.dtype)
    sizes, channels, filters = _sizes(x, kernel, groups)
    sizes = sizes[::-1] if mirrored else sizes
    x, n = padded(x, padding), len(sizes)
    outs: list[int] = []
    seen: list[tuple[int, int, int] | None] = []
    for dim, k, s, d in zip(x.shape[1:-1], sizes, stride, dilation, strict=True):
        reach = (k - 1) * d + 1
        if not isinstance(dim, int) or dim < reach:
            raise GraphError(f"a kernel that reaches over {reach} does not fit a dimension of {dim}, padding included")
        outs.append((dim - reach) // s + 1)
        seen.append((0, reach, d) if outs[-1] == 1 and dim != k else None)
    # A single position is a product with what its kernel covers, and so are its gradients: it needs no loop.
    if any(seen):
        x = apply("slice", x, ranges=(None, *seen, None))
    moving = [i for i, out in enumerate(outs) if out > 1]
    # The loops: batch, positions, group, filter of a group; then offsets in the kernel, channel of a group.
    split = [groups] if groups > 1 else []
    loops = [x.shape[0], *(outs[i] for i in moving), *split, filters // groups, *sizes, channels]
    rank = len(moving) + 2 + len(split)

    def plain(loop: int) -> Affine:
        return ((loop, 1),), 0

    offsets = [plain(rank + i) for i in range(n)]
    positions = offsets.copy()
    for place, i in enumerate(moving, 1):
        positions[i] = ((place, stride[i]), (rank + i, dilation[i])), 0
    group = [plain(len(moving) + 1) for _ in split]
    x = _in_groups(x, groups)
    kernel = _in_groups(kernel, groups)
    y = contract(
        x,
        kernel,
        [plain(0), *positions, *group, plain(rank + n)],
        [*(offsets[::-1] if mirrored else offsets), plain(rank + n), *group, plain(rank - 1)],
        loops,
        rank,
    )
    shape = (x.shape[0], *outs, filters)
    return y if y.shape == shape else apply("reshape", y, shape=shape)


def _in_groups(node: Node, groups: int) -> Node:
    """(..., channels) -> (..., groups, channels / groups)."""
    if groups == 1:
        return node
    return apply("reshape", node, shape=(*node.shape[:-1], groups, extent(node, -1) // groups))


@function
def convolution_transpose(
    x: Node,
    kernel: Node,
    stride: Sequence[int],
    padding: Pairs,
    dilation: Sequence[int],
    shape: Sequence[int],
    groups: int = 1,
    mirrored: bool = False,
) -> Node:
    """The gradient of a convolution by its inputs, as a layer: x (batch, spatial..., filters) -> (batch, ``shape``).

    All else is that of the convolution that goes from (batch, ``shape``) to x's shape.
    """
    source = input_node("transposed", (x.shape[0], *shape), kernel.dtype)
    y = convolution(source, kernel, stride, padding, dilation, groups, mirrored)
    if y.shape != x.shape:
        raise GraphError(f"such a convolution of {tuple(shape)} gives {y.type}, not {x.type}")
    return gradient(y, [source], x)[0]


def _shifted(y: Node, bias: Node | None) -> Node:
    return y if bias is None else y + apply("broadcast", bias, shape=y.shape, axes=(y.ndim - 1,))


@function
def convolve(
    x: Node,
    kernel: Node,
    bias: Node | None = None,
    stride: Sequence[int] = (),
    padding: str | Pairs = "valid",
    dilation: Sequence[int] = (),
    groups: int = 1,
    first: bool = False,
    mirrored: bool = False,
) -> Node:
    """`convolution` as a layer: padding by name too, a bias for each filter, and with ``first`` channels first."""
    x = channels_last(x) if first else x
    size = extents(kernel, 0, -2)[:: -1 if mirrored else 1]
    pairs = padding_of(padding, extents(x, 1, -1), size, stride, dilation)
    y = _shifted(convolution(x, kernel, stride, pairs, dilation, groups, mirrored), bias)
    return channels_first(y) if first else y


@function
def convolve_transposed(
    x: Node,
    kernel: Node,
    bias: Node | None = None,
    stride: Sequence[int] = (),
    padding: Pairs = (),
    dilation: Sequence[int] = (),
    shape: Sequence[int] = (),
    groups: int = 1,
    first: bool = False,
    mirrored: bool = False,
) -> Node:
    """`convolution_transpose` as a layer, from x's positions to ``shape``.

    The kernel is (sizes..., filters / groups, channels).
    """
    x = channels_last(x) if first else x
    filters, channels = extents(kernel, -2)
    if channels != x.shape[-1]:
        raise GraphError(f"a kernel of {kernel.type} takes {channels} channels, not {x.type}")
    target = (*shape, filters * groups)
    y = _shifted(convolution_transpose(x, kernel, stride, padding, dilation, target, groups, mirrored), bias)
    return channels_first(y) if first else y


@function
def convolve_separably(
    x: Node,
    depthwise: Node,
    pointwise: Node | None = None,
    bias: Node | None = None,
    stride: Sequence[int] = (),
    padding: str | Pairs = "valid",
    dilation: Sequence[int] = (),
    first: bool = False,
) -> Node:
    """Each channel with kernels of its own, then all of them mixed.

    ``depthwise`` is (sizes..., channels, multiplier) and ``pointwise`` (1..., channels * multiplier, filters).
    """
    x = channels_last(x) if first else x
    *sizes, channels, multiplier = extents(depthwise)
    kernel = apply("reshape", depthwise, shape=(*sizes, 1, channels * multiplier))
    y = convolve(x, kernel, None, stride, padding, dilation, channels)
    if pointwise is not None:
        ones = (1,) * len(sizes)
        y = convolve(y, pointwise, None, ones, "valid", ones)
    y = _shifted(y, bias)
    return channels_first(y) if first else y

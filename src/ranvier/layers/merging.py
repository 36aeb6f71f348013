"""Layers of several inputs, called on a list of tensors: joined, or combined element by element."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, ClassVar, Unpack

from ranvier.graph.contraction import einsum
from ranvier.graph.node import GraphError, Node
from ranvier.layers.annotations import LayerOptions
from ranvier.layers.base import Family
from ranvier.module.serialization import register_module
from ranvier.ops import arrays, functional
from ranvier.ops.arrays.promotion import axis_of
from ranvier.tensor.function import function
from ranvier.tensor.masks import mask_of


class _Merge(Family):
    """A layer of several inputs, given as one list: ``layer([a, b])``."""

    supports_masking = True
    least: ClassVar[int] = 1  # inputs
    most: ClassVar[int | None] = None

    def _takes_lists(self) -> bool:
        return True

    def forward(self, *inputs: Any) -> Any:
        if len(inputs) == 1 and isinstance(inputs[0], (list, tuple)):
            inputs = tuple(inputs[0])
        if len(inputs) < self.least or (self.most is not None and len(inputs) > self.most):
            count = f"{self.least}" if self.most == self.least else f"{self.least} or more"
            raise TypeError(
                f"layer {self.name!r} combines {count} inputs and was given {len(inputs)}. Write "
                f"{self.name}([a, b]) with a list of tensors."
            )
        return self.merged(inputs)

    def merged(self, inputs: Sequence[Any]) -> Any:
        raise NotImplementedError

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the result, from a list with the mask of each input: it is where one of them is, and None where
        one is missing. Raises ValueError for other than a mask for each.
        """
        masks = self._masks(inputs, previous_mask)
        return None if masks is None or any(m is None for m in masks) else reduce(arrays.logical_or, masks)

    def _masks(self, inputs: Any, masks: Any) -> list[Any] | None:
        if masks is None:
            return None
        lists = isinstance(inputs, (list, tuple)) and isinstance(masks, (list, tuple))
        if not lists or len(inputs) != len(masks):
            raise ValueError(
                f"layer {self.name!r} takes a list of inputs and a list of as many masks. Write "
                f"{self.name}.compute_mask([a, b], [mask, None]) instead."
            )
        return list(masks)


@register_module
class Concatenate(_Merge):
    """Inputs joined along ``axis``, by default their last; all other extents are equal."""

    _shown = "axis={axis}"

    def __init__(self, axis: int = -1, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.axis = axis

    def merged(self, inputs: Sequence[Any]) -> Any:
        axis = axis_of(self.axis, inputs[0].ndim)
        shapes = {tuple(d for i, d in enumerate(x.shape) if i != axis) for x in inputs}
        if len(shapes) > 1 or len({x.ndim for x in inputs}) > 1:
            given = " and ".join(str(tuple(x.shape)) for x in inputs)
            raise GraphError(f"shapes {given} differ in more than axis {self.axis}, along which they would be joined")
        return arrays.concatenate(list(inputs), self.axis)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The masks joined as the inputs are. One of fewer dimensions is for all features; None covers everything."""
        masks = self._masks(inputs, previous_mask)
        if masks is None or all(m is None for m in masks):
            return None
        whole = [
            arrays.full_like(x, True, "bool") if m is None
            else arrays.broadcast_to(arrays.expand_dims(m, -1), x.shape) if m.ndim < x.ndim else m
            for x, m in zip(inputs, masks, strict=True)
        ]  # fmt: skip
        return arrays.any(arrays.concatenate(whole, self.axis), -1)


class _Elementwise(_Merge):
    """Inputs of one shape (or shapes that broadcast) combined element by element.

    Inputs of fewer dimensions get theirs after the batch's, as in Keras: (batch, channels) goes with images.
    """

    combine: ClassVar[Callable[[Any, Any], Any]]

    def merged(self, inputs: Sequence[Any]) -> Any:
        most = max(x.ndim for x in inputs)
        wide = next(x for x in inputs if x.ndim == most)
        aligned = [
            arrays.reshape(x, (x.shape[0], *(1,) * (most - x.ndim), *x.shape[1:]))
            if 0 < x.ndim < most and x.shape[0] == wide.shape[0]
            else x
            for x in inputs
        ]
        return reduce(type(self).combine, aligned)


class Add(_Elementwise, combine=arrays.add):
    """The sum of inputs of one shape."""


class Subtract(_Elementwise, combine=arrays.subtract, least=2, most=2):
    """The first of two inputs less the second."""


class _Extremum(_Elementwise):
    """One of the inputs, element by element. Where the mask of one is false, the others are chosen from."""

    def merged(self, inputs: Sequence[Any]) -> Any:
        masks = [mask_of(x) for x in inputs]
        if all(mask is None for mask in masks):
            return super().merged(inputs)
        result, kept = inputs[0], masks[0]
        for x, mask in zip(inputs[1:], masks[1:], strict=True):
            other = x if mask is None else arrays.where(over_features(mask, x), x, result)
            own = result if kept is None else arrays.where(over_features(kept, result), result, other)
            result = super().merged([own, other])
            kept = None if kept is None or mask is None else arrays.logical_or(kept, mask)
        return result


class Multiply(_Elementwise, combine=arrays.multiply):
    """The product of inputs of one shape, element by element. Where the mask of one is false, it counts as 1; where
    those of all are, the product is 0.
    """

    def merged(self, inputs: Sequence[Any]) -> Any:
        masks = [mask_of(x) for x in inputs]
        kept = [None if m is None else over_features(m, x) for m, x in zip(masks, inputs, strict=True)]
        product = super().merged([x if m is None else arrays.where(m, x, 1) for m, x in zip(kept, inputs, strict=True)])
        if any(mask is None for mask in kept):
            return product
        return arrays.where(reduce(arrays.logical_or, kept), product, 0)


def over_features(mask: Any, x: Any) -> Any:
    """A mask with a dimension of 1 for each that it lacks of those of ``x``."""
    return arrays.reshape(mask, (*mask.shape, *(1,) * (x.ndim - mask.ndim)))


class Maximum(_Extremum, combine=arrays.maximum):
    """The largest of inputs of one shape, element by element."""


class Minimum(_Extremum, combine=arrays.minimum):
    """The smallest of inputs of one shape, element by element."""


class Average(_Elementwise, combine=arrays.add):
    """The mean of inputs of one shape, element by element."""

    def merged(self, inputs: Sequence[Any]) -> Any:
        return arrays.multiply(super().merged(inputs), 1.0 / len(inputs))


@function
def batch_dot(a: Node, b: Node, axes: tuple[int, int]) -> Node:
    """For each sample, the sum of products over one axis of each: (batch, a's others..., b's others...)."""
    first, second = (axis_of(axis, x.ndim) for axis, x in zip(axes, (a, b), strict=True))
    if 0 in (first, second):
        raise GraphError("axes=0 is the batch's dimension: write 1 or more")
    if a.shape[first] != b.shape[second]:
        raise GraphError(
            f"axis {first} of {a.type} is {a.shape[first]} and axis {second} of {b.type} is {b.shape[second]}: write "
            "axes of equal extents"
        )
    left = "a" + "bcdefgh"[: a.ndim - 1]
    right = "a" + "ijklmno"[: b.ndim - 1]
    left = left[:first] + "z" + left[first + 1 :]
    right = right[:second] + "z" + right[second + 1 :]
    rest = left.replace("z", "") + right[1:].replace("z", "")
    y = einsum(f"{left},{right}->{rest}", a, b)
    return arrays.expand_dims(y, 1) if y.ndim == 1 else y


@register_module
class Dot(_Merge):
    """For each sample, the sum of products of two inputs over ``axes``, one for both or one for each.

    With ``normalize`` the inputs are divided by their lengths along these axes first: the cosine of their angle.
    """

    least = most = 2
    _shown = "axes={axes}"

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        pair = (axes, axes) if isinstance(axes, int) else tuple(axes)
        if len(pair) != 2 or any(isinstance(a, bool) or not isinstance(a, int) for a in pair):
            raise ValueError(f"the axes of layer {self.name!r} are {axes!r}. Write one whole number, or two.")
        self.axes: tuple[int, int] = pair
        self.normalize = bool(normalize)

    def merged(self, inputs: Sequence[Any]) -> Any:
        if self.normalize:
            inputs = [functional.normalize(x, 2.0, a) for x, a in zip(inputs, self.axes, strict=True)]
        return batch_dot(*inputs, axes=self.axes)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """None: the result has no mask."""


# --- as functions -------------------------------------------------------------------------------------------------


def _as_function(kind: type[_Merge]) -> Callable[..., Any]:
    def call(inputs: Sequence[Any], *settings: Any, **options: Any) -> Any:
        return kind(*settings, **options)(inputs)

    call.__name__ = call.__qualname__ = kind.__name__.lower()
    call.__doc__ = kind.__doc__
    return call


add, subtract, multiply, maximum, minimum, average, concatenate = map(
    _as_function, (Add, Subtract, Multiply, Maximum, Minimum, Average, Concatenate)
)


def dot(inputs: Sequence[Any], axes: int | Sequence[int] = -1, **options: Any) -> Any:
    """`Dot`, made and called at once."""
    return Dot(axes, **options)(inputs)

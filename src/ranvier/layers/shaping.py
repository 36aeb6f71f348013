"""Layers that change shapes: reshaping, transposition, padding, cropping, upsampling; and functions as layers."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from ranvier.graph.node import GraphError, Node, Type, apply
from ranvier.layers.annotations import LayerOptions, Sizes
from ranvier.layers.base import Layer, whole
from ranvier.layers.spatial import Spatial
from ranvier.module.calls import shape_of
from ranvier.module.serialization import register_module
from ranvier.ops import arrays
from ranvier.ops.functional.resizing import RESIZING, resize
from ranvier.ops.functional.spatial import crop, extend, repeat
from ranvier.tensor.function import function


@register_module
class Reshape(Layer):
    """The same elements of each sample in ``target_shape``, without the batch's dimension; one extent may be -1."""

    _shown = "{target_shape}"

    def __init__(self, target_shape: Sequence[int] | int, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        shape = tuple(target_shape) if isinstance(target_shape, (list, tuple)) else (target_shape,)
        if any(isinstance(n, bool) or not isinstance(n, int) or n < -1 for n in shape) or shape.count(-1) > 1:
            raise ValueError(
                f"the target_shape of layer {self.name!r} is {target_shape!r}. Write whole numbers without the batch's "
                "dimension, one of them -1 if it is to follow from the others: Reshape((28, 28, 1))."
            )
        self.target_shape = shape

    def forward(self, x: Any) -> Any:
        size = math.prod(x.shape[1:])
        known = math.prod(n for n in self.target_shape if n != -1)
        fits = size == known if -1 not in self.target_shape else bool(known) and size % known == 0
        if not fits:
            raise GraphError(f"{size} elements a sample do not fill {self.target_shape}")
        shape = tuple(size // known if n == -1 else n for n in self.target_shape)
        return arrays.reshape(x, (x.shape[0], *shape))

    def shape_error(self, given: Type) -> tuple[str, str] | None:
        size = math.prod(n for n in given.shape[1:] if isinstance(n, int))
        return (
            f"its target_shape is {self.target_shape}, and a sample has {size} elements.",
            "Write a target_shape of as many elements, with -1 for one extent that follows from the others.",
        )


@register_module
class Permute(Layer):
    """The dimensions of each sample in another order: ``dims`` counts them from 1, so (2, 1) exchanges two."""

    _shown = "{dims}"

    def __init__(self, dims: Sequence[int], **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                f"the dims of layer {self.name!r} are {self.dims}. Write each of 1 to {len(self.dims)} once; the "
                "batch's dimension, 0, stays where it is."
            )

    def forward(self, x: Any) -> Any:
        if x.ndim != len(self.dims) + 1:
            raise GraphError(f"dims={self.dims} orders {len(self.dims)} dimensions of samples of {x.ndim - 1}")
        return arrays.transpose(x, (0, *self.dims))


@function
def over_steps(x: Node, n: int) -> Node:
    """(batch, features) -> (batch, n, features)."""
    if x.ndim != 2:
        raise GraphError(f"it repeats rows of features, (batch, features), not {x.type}")
    return apply("broadcast", x, shape=(x.shape[0], n, x.shape[1]), axes=(0, 2))


@register_module
class RepeatVector(Layer):
    """Each row of features ``n`` times over: (batch, features) -> (batch, n, features)."""

    _shown = "{n}"

    def __init__(self, n: int, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.n = whole(n, "n", self.name)

    def forward(self, x: Any) -> Any:
        return over_steps(x, n=self.n)


class _Borders(Spatial):
    """(before, after) for each dimension, from one number, one for each dimension, or a pair for each."""

    what: str  # the argument's name

    def borders(self, value: Any) -> tuple[tuple[int, int], ...]:
        if (
            self.dimensions == 1
            and isinstance(value, (list, tuple))
            and not isinstance(next(iter(value), 0), (list, tuple))
        ):
            value = (value,)
        given = tuple(value) if isinstance(value, (list, tuple)) else (value,) * self.dimensions
        pairs = [tuple(p) if isinstance(p, (list, tuple)) else (p, p) for p in given]
        if len(pairs) != self.dimensions or any(len(p) != 2 for p in pairs):
            example = ", ".join(["(1, 1)"] * self.dimensions)
            raise ValueError(
                f"{self.what} of layer {self.name!r} is {value!r}. Write one number, or before and after for each "
                f"dimension: ({example}{',' if self.dimensions == 1 else ''})."
            )
        return tuple((whole(a, self.what, self.name, 0), whole(b, self.what, self.name, 0)) for a, b in pairs)


class _ZeroPadding(_Borders):
    """Zeros around the positions."""

    what = "padding"
    _shown = "{padding}"

    def __init__(
        self,
        padding: int | Sequence[int | Sequence[int]] = 1,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(data_format, **options)
        self.padding = self.borders(padding)

    def _change(self, x: Any) -> Any:
        return extend(x, padding=self.padding, first=self.first)


class ZeroPadding1D(_ZeroPadding, dimensions=1):
    """Zeros before and after the steps; ``padding`` is one number or (before, after)."""


class ZeroPadding2D(_ZeroPadding, dimensions=2):
    """Zeros around images; ``padding`` is one number, (height, width), or ((top, bottom), (left, right))."""


class ZeroPadding3D(_ZeroPadding, dimensions=3):
    """Zeros around volumes; ``padding`` is one number, one for each dimension, or (before, after) for each."""


class _Cropping(_Borders):
    """Positions cut off."""

    what = "cropping"
    _shown = "{cropping}"

    def __init__(
        self,
        cropping: int | Sequence[int | Sequence[int]] = 1,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(data_format, **options)
        self.cropping = self.borders(cropping)

    def _change(self, x: Any) -> Any:
        return crop(x, cropping=self.cropping, start=2 if self.first else 1)


class Cropping1D(_Cropping, dimensions=1):
    """Steps cut off; ``cropping`` is one number or (before, after)."""


class Cropping2D(_Cropping, dimensions=2):
    """Pixels cut off around images; ``cropping`` is one number, (height, width), or ((top, bottom), (left, right))."""

    def __init__(
        self,
        cropping: int | Sequence[int | Sequence[int]] = 0,
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(cropping, data_format, **options)


class Cropping3D(_Cropping, dimensions=3):
    """Voxels cut off around volumes; ``cropping`` is one number, one for each dimension, or a pair for each."""


class _UpSampling(Spatial):
    """Every position ``size`` times over."""

    interpolation = "nearest"
    _shown = "{size}"

    def __init__(self, size: Sizes = 2, data_format: str | None = None, **options: Unpack[LayerOptions]) -> None:
        super().__init__(data_format, **options)
        self.size = self.sizes(size, "size")

    def _change(self, x: Any) -> Any:
        if self.interpolation == "nearest":
            return repeat(x, times=self.size, first=self.first)
        shape = tuple(n * k for n, k in zip(self.layout.positions(x.shape), self.size, strict=True))
        return resize(x, shape=shape, interpolation=RESIZING[self.interpolation], first=self.first)


class UpSampling1D(_UpSampling, dimensions=1):
    """Every step ``size`` times over."""


class UpSampling2D(_UpSampling, dimensions=2):
    """Images enlarged ``size`` times, by their "nearest" pixels or by interpolation between centres: "bilinear",
    "bicubic", "lanczos3" or "lanczos5".
    """

    def __init__(
        self,
        size: Sizes = 2,
        data_format: str | None = None,
        interpolation: str = "nearest",
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(size, data_format, **options)
        self.interpolation = self.one_of(interpolation, "interpolation", tuple(RESIZING))


class UpSampling3D(_UpSampling, dimensions=3):
    """Every voxel ``size`` times over."""


@register_module
class Lambda(Layer):
    """A function of tensors as a layer, called with ``arguments`` too and, where it takes them, ``training`` and
    ``mask``, that of the inputs.

    ``output_shape`` is checked where it is given: a shape without the batch's dimension, or a function from the input's
    shape (of several inputs, their list or dict) to the output's, both with it. Raises ValueError for another output.
    ``mask`` is the mask of the outputs, or a function of the inputs and their mask; without it they have none.

    It can be saved only where the function is registered (`ranvier.saving.register_keras_serializable`), since files
    hold no code. Or write a `Module` with a ``forward`` method, registered by ``rv.register_module``.
    """

    def __init__(
        self,
        function: Any,
        output_shape: Any = None,
        mask: Any = None,
        arguments: Mapping[str, Any] | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self.mask, self.supports_masking = mask, mask is not None
        if callable(output_shape) or output_shape is None:
            self.output_sizes = output_shape
        else:
            sizes = output_shape if isinstance(output_shape, Sequence) else (output_shape,)
            self.output_sizes = tuple(whole(n, "output_shape", self.name) for n in sizes)
        if not callable(function):
            raise TypeError(f"layer {self.name!r} was given {function!r}. Write a function of one tensor instead.")
        self.function, self.arguments = function, dict(arguments or {})
        try:
            self._taken = {"training", "mask"}.intersection(inspect.signature(function).parameters)
        except (TypeError, ValueError):  # a C function, whose arguments are not known
            self._taken = set()

    def _takes_lists(self) -> bool:
        return True

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The constructor's ``mask``, or what it returns for the inputs and their mask."""
        return self.mask(inputs, previous_mask) if callable(self.mask) else self.mask

    def forward(self, *inputs: Any, mask: Any = None) -> Any:
        known = {"training": self.training, "mask": mask}
        result = self.function(*inputs, **{name: known[name] for name in self._taken}, **self.arguments)
        if self.output_sizes is not None and hasattr(result, "shape"):
            self._check(tuple(result.shape), shape_of(inputs[0]))
        return result

    def _check(self, found: tuple[Any, ...], given: Any) -> None:
        """Raise ValueError where the result does not have the shape of ``output_shape``."""
        sizes = self.output_sizes
        wanted = tuple(sizes(given)) if callable(sizes) else (found[0] if found else None, *sizes)
        if found[1:] != wanted[1:] or len(found) != len(wanted):
            raise ValueError(
                f"layer {self.name!r} made shape {found} of {given}, and its output_shape says {wanted}. Write "
                f"output_shape={found[1:]}, or leave it out, instead."
            )

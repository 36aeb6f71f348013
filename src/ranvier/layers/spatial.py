"""The base of layers of images, sequences and volumes: the data format, sizes by dimension, errors of shape."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

from ranvier.graph.node import Type
from ranvier.layers.annotations import LayerOptions
from ranvier.layers.base import Family, whole
from ranvier.layers.shape_errors import ImageLayout, ShapeFault


class Spatial(Family):
    """A layer on (batch, positions..., channels), or (batch, channels, positions...) with "channels_first".

    Computations have channels last: the compiler transposes data once where they enter a chain of such layers.
    Subclasses define ``_change``, which is called on inputs of the right number of dimensions.
    """

    dimensions: ClassVar[int]  # of positions: 1 for steps, 2 for pixels, 3 for voxels

    def __init__(self, data_format: str | None = None, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        if data_format not in (None, "channels_last", "channels_first"):
            raise ValueError(
                f"the data_format of layer {self.name!r} is {data_format!r}. Write 'channels_last' or 'channels_first' "
                "instead."
            )
        self.data_format = data_format or "channels_last"
        self.first = self.data_format == "channels_first"
        self.layout = ImageLayout(self.dimensions, self.first)

    def forward(self, x: Any) -> Any:
        if x.ndim != self.dimensions + 2:
            self._require_shape(x.shape)
        return self._change(x)

    def _change(self, x: Any) -> Any:
        raise NotImplementedError

    def sizes(self, value: Any, what: str, least: int = 1) -> tuple[int, ...]:
        """One whole number for each dimension, from one for all or one for each; raises ValueError."""
        return sizes_of(value, what, self.dimensions, self.name, least)

    def one_of(self, value: Any, what: str, known: tuple[str, ...]) -> str:
        """An argument that is one of some words; raises ValueError for others."""
        return word_of(value, what, known, self.name)

    def shape_error(self, given: Type) -> ShapeFault:
        return self.layout.rank(given.shape)


def sizes_of(value: Any, what: str, dimensions: int, name: str, least: int = 1) -> tuple[int, ...]:
    """One whole number for each dimension, from one for all or one for each. Raises ValueError naming the layer."""
    given = tuple(value) if isinstance(value, (list, tuple)) else (value,) * dimensions
    if len(given) != dimensions:
        example = ", ".join(["3"] * dimensions)
        raise ValueError(
            f"{what} of layer {name!r} is {value!r}. Write a whole number, or one for each dimension: "
            f"({example}{',' if dimensions == 1 else ''})."
        )
    return tuple(whole(n, what, name, least) for n in given)


def word_of(value: Any, what: str, known: tuple[str, ...], name: str) -> str:
    """An argument that is one of some words. Raises ValueError naming the layer for others."""
    low = value.lower() if isinstance(value, str) else value
    if low not in known:
        raise ValueError(f"{what} of layer {name!r} is {value!r}. Write {' or '.join(map(repr, known))} instead.")
    return str(low)

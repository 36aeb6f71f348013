"""What layers of images, sequences and volumes share: where channels lie, sizes by dimension, words for errors."""

from __future__ import annotations

from typing import Any, ClassVar

from ranvier.graph.node import GraphError, Type
from ranvier.layers.base import Layer, whole

__all__ = ["Spatial", "axes_moved", "data_format_of", "treatments"]

FORMATS = ("channels_last", "channels_first")
POSITIONS = {1: "steps", 2: "height, width", 3: "depth, height, width"}


def data_format_of(value: Any, name: str) -> str:
    """A data_format, "channels_last" where none is given; raises ValueError naming the layer."""
    if value is not None and value not in FORMATS:
        raise ValueError(
            f"the data_format of layer {name!r} is {value!r}. Write 'channels_last' or 'channels_first' instead."
        )
    return value or "channels_last"


def axes_moved(ndim: int, to_first: bool) -> tuple[int, ...]:
    """The axes that a user transposes an array by, to have its channels first (after the samples) or last."""
    return (0, ndim - 1, *range(1, ndim - 1)) if to_first else (0, *range(2, ndim), 1)


def treatments(**given: tuple[Any, Any, Any]) -> dict[str, dict[str, Any]]:
    """What ``add_weight`` makes each weight with, from its initializer, regularizer and constraint as the user says."""
    from ranvier import constraints, initializers, regularizers

    return {
        name: {
            "name": name,
            "initializer": initializers.get(initializer),
            "regularizer": regularizers.get(regularizer),
            "constraint": constraints.get(constraint),
        }
        for name, (initializer, regularizer, constraint) in given.items()
    }


class Spatial(Layer):
    """A layer on (batch, positions..., channels), or (batch, channels, positions...) with "channels_first".

    Inside, channels are last always: the compiler turns data once where it enters a chain of such layers.
    """

    dimensions: ClassVar[int]  # of positions: steps, pixels or voxels

    def __init__(self, data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.data_format = data_format_of(data_format, self.name)
        self.first = self.data_format == "channels_first"

    def sizes(self, value: Any, what: str, least: int = 1) -> tuple[int, ...]:
        """One whole number for each dimension, from one for all or one for each; raises ValueError."""
        given = tuple(value) if isinstance(value, (list, tuple)) else (value,) * self.dimensions
        if len(given) != self.dimensions:
            example = ", ".join(["3"] * self.dimensions)
            raise ValueError(
                f"{what} of layer {self.name!r} is {value!r}. Write a whole number, or one for each dimension: "
                f"({example}{',' if self.dimensions == 1 else ''})."
            )
        return tuple(whole(n, what, self.name, least) for n in given)

    def word(self, value: Any, what: str, known: tuple[str, ...]) -> str:
        """One of the words that an argument may be; raises ValueError."""
        low = value.lower() if isinstance(value, str) else value
        if low not in known:
            raise ValueError(
                f"{what} of layer {self.name!r} is {value!r}. Write {' or '.join(map(repr, known))} instead."
            )
        return str(low)

    def form(self) -> str:
        """The dimensions of its inputs, in words."""
        where = POSITIONS[self.dimensions]
        return f"(batch, channels, {where})" if self.first else f"(batch, {where}, channels)"

    def positions_of(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        return shape[2:] if self.first else shape[1:-1]

    def channels_of(self, shape: tuple[Any, ...]) -> Any:
        return shape[1] if self.first else shape[-1]

    def require(self, shape: tuple[Any, ...]) -> None:
        """Raise GraphError unless inputs of this shape are ones."""
        wrong = self.misfit(Type(tuple(shape), "float32"))
        if wrong is not None:
            raise GraphError(" ".join(wrong))

    def misfit(self, given: Type) -> tuple[str, str] | None:
        """Inputs of other numbers of dimensions."""
        missing = self.dimensions + 2 - len(given.shape)
        if not missing:
            return None
        reason = (
            f"it takes {self.form()}, {self.dimensions + 2} dimensions, and there are {len(given.shape)}."
        )
        if missing == 1:
            one, inner = (
                ("x[:, None]", (1, *given.shape[1:]))
                if self.first
                else ("x[..., None]", (*given.shape[1:], 1))
            )
            shape = (
                ""
                if any(not isinstance(n, int) for n in inner)
                else f", and Input({inner}) where shapes are declared"
            )
            return reason, f"Write {one} for inputs of one channel{shape}; x[None] for a single sample."
        if missing < 0:
            return (
                reason,
                f"Write a {type(self).__name__[:-2]}{len(given.shape) - 2}D, or reshape its inputs.",
            )
        return reason, f"Write Reshape before it, to the {self.dimensions + 1} dimensions of one sample."

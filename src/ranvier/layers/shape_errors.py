"""Why inputs do not fit a layer of images, and what to write instead: (reason, fix), or None where they fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

POSITIONS = {1: "steps", 2: "height, width", 3: "depth, height, width"}
ShapeFault = tuple[str, str] | None
Shape = tuple[Any, ...]  # symbols among the numbers


def largest_divisor(channels: int, most: int) -> int:
    """The largest number of groups, up to ``most``, that divides the channels."""
    return next(g for g in range(min(most, channels), 0, -1) if channels % g == 0)


@dataclass(frozen=True)
class ImageLayout:
    """The dimensions of inputs: (batch, positions..., channels), or with channels ``first``.

    With ``torch`` messages are in PyTorch's vocabulary.
    """

    dimensions: int  # the number of position dimensions
    first: bool
    torch: bool = False

    def __str__(self) -> str:
        where = POSITIONS[self.dimensions]
        return f"(batch, channels, {where})" if self.first else f"(batch, {where}, channels)"

    def positions(self, shape: Shape) -> Shape:
        return shape[2:] if self.first else shape[1:-1]

    def channels(self, shape: Shape) -> Any:
        return shape[1] if self.first else shape[-1]

    def turned(self, shape: Shape) -> Shape:
        """A shape of the other layout in this one."""
        return tuple(shape[a] for a in self._axes(len(shape)))

    def _axes(self, ndim: int) -> tuple[int, ...]:
        return (0, ndim - 1, *range(1, ndim - 1)) if self.first else (0, *range(2, ndim), 1)

    def _turn(self, shape: Shape) -> str:
        axes = self._axes(len(shape))
        other = "channels_last" if self.first else "channels_first"
        return f"x.permute{axes}" if self.torch else f"x.transpose{axes}, or data_format={other!r}"

    def rank(self, shape: Shape) -> ShapeFault:
        """The fault of inputs with another number of dimensions."""
        wanted = self.dimensions + 2
        if len(shape) == wanted:
            return None
        reason = f"it takes {wanted} dimensions, {self}, and there are {len(shape)}."
        if len(shape) == wanted - 1:
            one, inner = ("x[:, None]", (1, *shape[1:])) if self.first else ("x[..., None]", (*shape[1:], 1))
            known = all(isinstance(n, int) for n in inner) and not self.torch
            declared = f", and Input({inner}) where shapes are declared" if known else ""
            return reason, f"Write {one} for inputs of one channel{declared}; x[None] for a single sample."
        if len(shape) > wanted and len(shape) - 2 in POSITIONS:
            return reason, f"Write a layer of {len(shape) - 2} dimensions, or reshape its inputs."
        return reason, f"Reshape its inputs to {self}."

    def filled(self, shape: Shape, wanted: int, what: str = "kernel") -> ShapeFault:
        """The fault of inputs with another number of channels than the layer was made for."""
        channels = self.channels(shape)
        if channels == wanted:
            return None
        reason = f"its {what} takes {wanted} channels, and there are {channels}: it takes {self}."
        at = 1 if self.first else -1
        if self.channels(self.turned(shape)) == wanted:
            fix = f"Write {self._turn(shape)}, so that the channels are where it takes them."
        elif (channels, wanted) == (1, 3):
            fix = f"Write np.repeat(x, 3, axis={at}) to give it grey images, or make it for one channel."
        elif (channels, wanted) == (3, 1):
            fix = f"Write x.mean({at}, keepdims=True) for grey images, or make it for three channels."
        else:
            fix = f"Make the layer before it give {wanted}, or this one for {channels}."
        return reason, fix

    def grouped(self, shape: Shape, groups: int) -> ShapeFault:
        """The fault of channels that the groups do not divide."""
        channels = self.channels(shape)
        if not isinstance(channels, int):
            return f"the number of channels, of {self}, must be known.", "Write it in the input's shape."
        if channels % groups == 0:
            return None
        return (
            f"its {groups} groups do not divide {channels} channels.",
            f"Write groups={largest_divisor(channels, groups)}, or give it a multiple of {groups} channels.",
        )

    def reached(
        self, shape: Shape, reaches: Sequence[int], pairs: Sequence[tuple[int, int]], what: str, smaller: str
    ) -> ShapeFault:
        """The fault of inputs that are smaller, with their padding, than a window."""
        positions = self.positions(shape)
        for n, reach, pair in zip(positions, reaches, pairs, strict=True):
            if isinstance(n, int) and n + sum(pair) < reach:
                break
        else:
            return None
        reason = f"its {what} reaches over {reach} positions, and a dimension of {self} has {n}."
        others = zip(self.positions(self.turned(shape)), reaches, strict=True)
        if all(isinstance(m, int) and m >= reach for m, reach in others):
            where = "last" if self.first else "first"
            return reason, f"If its channels are {where}, write {self._turn(shape)}. Else write {smaller}."
        return reason, f"Write {smaller}, or pool less before it."

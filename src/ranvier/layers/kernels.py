"""What all convolutions share: sizes, padding, bias and activation, and what is said of inputs that do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier.functional.convolution import padding_of
from ranvier.graph.node import Type
from ranvier.layers.spatial import Spatial, axes_moved
from ranvier.module.parameter import Parameter

__all__ = ["Convolution", "largest_divisor"]


class Convolution(Spatial):
    """What all kinds share: sizes, padding, the bias, the activation, and what is said of inputs that do not fit.

    ``kernel_size``, ``strides`` and ``dilation_rate`` are one number or one for each dimension.
    """

    groups = 1
    bias: Parameter | None
    weights_of: dict[str, dict[str, Any]]

    def __init__(
        self,
        kernel_size: Any,
        strides: Any,
        padding: str,
        data_format: str | None,
        dilation_rate: Any,
        activation: Any,
        use_bias: bool,
        **options: Any,
    ) -> None:
        from ranvier import activations

        super().__init__(data_format, **options)
        self.kernel_size = self.sizes(kernel_size, "kernel_size")
        self.strides, self.dilation_rate = (
            self.sizes(strides, "strides"),
            self.sizes(dilation_rate, "dilation_rate"),
        )
        self.padding = self.word(padding, "padding", self.paddings)
        self.activation = None if activation is None else activations.get(activation)
        self.use_bias = bool(use_bias)

    @property
    def paddings(self) -> tuple[str, ...]:
        return ("valid", "same")

    def activated(self, y: Any) -> Any:
        return y if self.activation is None else self.activation(y)

    def kernels(self, channels: int) -> dict[str, tuple[int, ...]]:
        """The shape of each kernel for so many channels of inputs."""
        raise NotImplementedError

    @property
    def takes(self) -> int | None:
        """The channels that the layer was built for."""
        return self.channels_of(self._built_shape) if self.built else None

    def build(self, input_shape: Sequence[Any]) -> None:
        self.require(tuple(input_shape))
        for name, shape in self.kernels(self.channels_of(tuple(input_shape))).items():
            self.add_weight(shape, **self.weights_of[name])
        if self.use_bias:
            self.add_weight((self.filters,), **self.weights_of["bias"])
        else:
            self.register_parameter("bias", None)

    filters: int

    def misfit(self, given: Type) -> tuple[str, str] | None:
        return super().misfit(given) or self._other_channels(given.shape) or self._too_small(given.shape)

    def _other_channels(self, shape: tuple[Any, ...]) -> tuple[str, str] | None:
        channels, wanted = self.channels_of(shape), self.takes
        if not isinstance(channels, int):
            return (
                f"the number of channels, of {self.form()}, must be known.",
                "Write it in the input's shape.",
            )
        if wanted is None:
            if channels % self.groups == 0:
                return None
            return (
                f"its {self.groups} groups do not divide {channels} channels.",
                f"Write groups={largest_divisor(channels, self.groups)}, or a multiple of {self.groups} channels.",
            )
        if channels == wanted:
            return None
        reason = f"its kernel takes {wanted} channels, and there are {channels}: it takes {self.form()}."
        if self.channels_of(_other(shape, self.first)) == wanted:
            axes = axes_moved(len(shape), self.first)
            return (
                reason,
                f"Write x.transpose{axes}, whose channels lie where they should; or {_format(not self.first)}.",
            )
        at = 1 if self.first else -1
        if (channels, wanted) == (1, 3):
            return (
                reason,
                f"Write np.repeat(x, 3, axis={at}) to give it grey images, or build it for one channel.",
            )
        if (channels, wanted) == (3, 1):
            return (
                reason,
                f"Write x.mean({at}, keepdims=True) for grey images, or build it for three channels.",
            )
        return reason, f"Make the layer before it give {wanted}, or build this one for {channels}."

    def _too_small(self, shape: tuple[Any, ...]) -> tuple[str, str] | None:
        positions = self.positions_of(shape)
        pairs = padding_of(self.padding, positions, self.kernel_size, self.strides, self.dilation_rate)
        reaches = [(k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True)]
        small = [
            (n, reach)
            for n, reach, pair in zip(positions, reaches, pairs, strict=True)
            if isinstance(n, int) and n + sum(pair) < reach
        ]
        if not small:
            return None
        n, reach = small[0]
        reason = f"its kernel reaches over {reach} positions, and a dimension of {self.form()} has {n}."
        turned = self.positions_of(_other(shape, self.first))
        if all(isinstance(n, int) and n >= reach for n, reach in zip(turned, reaches, strict=True)):
            axes = axes_moved(len(shape), self.first)
            where = "last" if self.first else "first"
            return (
                reason,
                f"If its channels are {where}, write x.transpose{axes} or {_format(not self.first)}.",
            )
        return reason, "Write padding='same', a smaller kernel_size, or fewer strides and poolings before it."

    def extra_repr(self) -> str:
        parts = [f"kernel_size={self.kernel_size}"]
        parts += [f"strides={self.strides}"] if set(self.strides) != {1} else []
        parts += [f"padding={self.padding!r}"] if self.padding != "valid" else []
        return ", ".join(parts)


def _other(shape: tuple[Any, ...], first: bool) -> tuple[Any, ...]:
    """A shape as it would be with its channels where they are not thought to be."""
    return tuple(shape[a] for a in axes_moved(len(shape), first))


def _format(first: bool) -> str:
    return f"data_format={'channels_first' if first else 'channels_last'!r}"


def largest_divisor(channels: int, most: int) -> int:
    """The largest number of groups up to ``most`` that divides."""
    return next(g for g in range(min(most, channels), 0, -1) if channels % g == 0)

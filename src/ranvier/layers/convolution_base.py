"""What all convolutions share: sizes, padding, bias and activation, and what is said of inputs that do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from ranvier.graph.node import Type
from ranvier.layers.annotations import ActivationLike, LayerOptions, Sizes
from ranvier.layers.shape_errors import ShapeFault
from ranvier.layers.spatial import Spatial
from ranvier.module.parameter import Parameter
from ranvier.ops.functional.convolution import padding_of

__all__ = ["Convolution"]


class Convolution(Spatial):
    """What all kinds share: sizes, padding, the bias, the activation, and what is said of inputs that do not fit.

    ``kernel_size``, ``strides`` and ``dilation_rate`` are one number or one for each dimension.
    """

    groups = 1
    slides = True  # the kernel over the inputs, which must be as large
    filters: int
    bias: Parameter | None
    weight_settings: dict[str, dict[str, Any]]

    def __init__(
        self,
        kernel_size: Sizes,
        strides: Sizes,
        padding: str,
        data_format: str | None,
        dilation_rate: Sizes,
        activation: ActivationLike,
        use_bias: bool,
        **options: Unpack[LayerOptions],
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

    def build(self, input_shape: Sequence[Any]) -> None:
        self.require(tuple(input_shape))
        for name, shape in self.kernels(self.form.channels(tuple(input_shape))).items():
            self.add_weight(shape, **self.weight_settings[name])
        if self.use_bias:
            self.add_weight((self.filters,), **self.weight_settings["bias"])
        else:
            self.register_parameter("bias", None)

    def shape_error(self, given: Type) -> ShapeFault:
        form, shape = self.form, given.shape
        wrong = super().shape_error(given) or (
            form.filled(shape, form.channels(self._built_shape))
            if self.built
            else form.grouped(shape, self.groups)
        )
        if wrong or not self.slides:
            return wrong
        pairs = padding_of(
            self.padding, form.positions(shape), self.kernel_size, self.strides, self.dilation_rate
        )
        return form.reached(shape, self.reaches, pairs, "kernel", "padding='same' or a smaller kernel_size")

    @property
    def reaches(self) -> tuple[int, ...]:
        """How many positions the kernel covers in each dimension."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True))

    def extra_repr(self) -> str:
        parts = [f"kernel_size={self.kernel_size}"]
        parts += [f"strides={self.strides}"] if set(self.strides) != {1} else []
        parts += [f"padding={self.padding!r}"] if self.padding != "valid" else []
        return ", ".join(parts)

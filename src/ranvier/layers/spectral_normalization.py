"""Spectral normalization of a layer's weights."""

from __future__ import annotations

from typing import Any, Unpack

from ranvier import initializers
from ranvier.graph.node import Node, like
from ranvier.layers.annotations import LayerOptions
from ranvier.layers.base import whole
from ranvier.layers.wrappers import Wrapper
from ranvier.module.core import Module
from ranvier.module.parameter import Buffer
from ranvier.module.serialization import register_module
from ranvier.ops import arrays as n
from ranvier.tensor.function import function


def _unit(x: Node) -> Node:
    size = n.sqrt(n.sum(n.square(x)))
    return x / n.broadcast_to(n.maximum(size, 1e-12), x.shape)


@function
def normalized(kernel: Node, u: Node, iterations: int) -> tuple[Node, Node]:
    """A kernel over its largest singular value, and the vector for it, after so many iterations from ``u``.

    A kernel of zeros stays, and so does its vector. No gradient passes through the singular value.
    """
    weights = n.reshape(kernel, (-1, kernel.shape[-1]))
    new = u
    for _ in range(iterations):
        v = _unit(n.matmul(new, n.transpose(weights)))
        new = _unit(n.matmul(v, weights))
    size = n.reshape(n.matmul(n.matmul(v, weights), n.transpose(new)), ())
    blank = n.all(n.equal(kernel, like(kernel, 0.0)))
    factor = n.where(blank, 1.0, n.divide(1.0, n.where(blank, 1.0, size)))
    scaled = n.multiply(n.stop_gradient(kernel), n.stop_gradient(factor))
    # The gradient is that by the normalized weights, which are the weights from here on.
    return n.add(n.subtract(kernel, n.stop_gradient(kernel)), scaled), n.stop_gradient(n.where(blank, u, new))


@register_module
class SpectralNormalization(Wrapper):
    """The layer, its kernel (or embeddings) over its largest singular value in training (Miyato et al., 2018).

    Each training step replaces the weights by the normalized ones; ``power_iterations`` steps of the power method
    estimate the singular value. Otherwise weights stay. Raises ValueError for a layer without a kernel. Source: Keras.

    Weights: those of the layer, and vector_u (1, outputs).
    """

    kernel: Any
    vector_u: Any

    def __init__(self, layer: Module, power_iterations: int = 1, **options: Unpack[LayerOptions]) -> None:
        super().__init__(layer, **options)
        self.power_iterations = whole(power_iterations, "power_iterations", self.name)

    def _kernel(self) -> Any:
        kernel = getattr(self.layer, "kernel", None)
        kernel = getattr(self.layer, "embeddings", None) if kernel is None else kernel
        if kernel is None:
            raise ValueError(
                f"layer {self.name!r} wraps a {type(self.layer).__name__}, which has neither kernel nor embeddings. "
                "Write a layer such as Dense or Conv2D instead."
            )
        return kernel

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.kernel = kernel = self._kernel()  # as in Keras, where it comes before vector_u
        start = initializers.TruncatedNormal(stddev=0.02)((1, kernel.shape[-1]), dtype=kernel.dtype)
        self.register_buffer("vector_u", Buffer.over(start))

    def forward(self, x: Any) -> Any:
        if self.training:
            kernel = self.kernel
            new, u = normalized(kernel, self.vector_u, iterations=self.power_iterations)
            self.vector_u.assign(u)
            kernel.assign(new)
        return self.layer(x)

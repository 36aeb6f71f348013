"""The numbers of one training step, as arrays: of each weight, of each layer, and of the step."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ranvier.data.convert import Array


@dataclass(frozen=True, eq=False)
class ExplainedWeight:
    """A weight ``before`` and ``after`` the step, and the ``gradient`` of the loss by it, in its shape.

    The gradient is None for a weight that is not trained by it: a frozen one, or a running mean.
    """

    before: Array
    gradient: Array | None
    after: Array


@dataclass(frozen=True, eq=False)
class ExplainedLayer:
    """The numbers of one layer in a step. The first dimension of all arrays but the weights is that of the samples.

    All layers have ``inputs``, ``outputs``, ``weights`` (`ExplainedWeight` by name) and ``output_gradients``: the
    gradient of the loss by each output, which is None if the loss does not use the outputs (see ``deltas``).

    Dense layers on (samples, features) also have

    - ``sums``, (samples, units): ``inputs @ matrix + bias``;
    - ``activation``: the name of the function from sums to outputs, also where it is a layer of its own; None without;
    - ``slopes``: its derivative at each sum; None for one that mixes the sums, such as softmax;
    - ``deltas``: the gradient of the loss by each sum, ``output_gradients * slopes``. A loss that takes the sums before
      a final softmax or sigmoid, as cross entropy does, leads to them directly.
    """

    name: str
    kind: str
    activation: str | None
    inputs: Array | None
    sums: Array | None
    outputs: Array
    output_gradients: Array | None
    slopes: Array | None
    deltas: Array | None
    kernel: str | None
    transposed: bool
    weights: dict[str, ExplainedWeight] = field(default_factory=dict)

    @property
    def is_dense(self) -> bool:
        """Whether the layer is shown neuron by neuron."""
        return self.sums is not None and self.kernel in self.weights

    @property
    def matrix(self) -> Array:
        """The weights of a dense layer before the step as (features, units), in both vocabularies."""
        before = self._kernel().before
        return before.T if self.transposed else before

    @property
    def bias(self) -> Array | None:
        """The biases of a dense layer before the step, (units,); None without."""
        found = self.weights.get("bias")
        return None if found is None else found.before

    @property
    def products(self) -> Array:
        """What each input adds to each sum, ``inputs * matrix``: (samples, features, units)."""
        kernel = self._kernel()
        assert kernel is not None
        assert self.inputs is not None
        product: Array = self.inputs[:, :, None] * self.matrix
        return product

    @property
    def gradient_products(self) -> Array:
        """What each sample adds to the gradient of each weight, ``inputs * deltas``: (samples, features, units)."""
        self._kernel()
        assert self.inputs is not None
        assert self.deltas is not None
        product: Array = self.inputs[:, :, None] * self.deltas[:, None]
        return product

    def _kernel(self) -> ExplainedWeight:
        if self.kernel is None or self.sums is None:
            raise TypeError(
                f"layer {self.name!r} ({self.kind}) is not dense on (samples, features). Use its outputs, "
                "output_gradients and weights instead."
            )
        return self.weights[self.kernel]


@dataclass(frozen=True, eq=False, repr=False)
class StepNumbers:
    """The arrays of `ExplainedStep`."""

    layers: list[ExplainedLayer]
    loss: float
    loss_name: str
    optimizer: str
    learning_rate: float
    x: Array
    y: Array | None
    penalized: bool

    def __getitem__(self, name: str) -> ExplainedLayer:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(f"{name!r}; the layers are {', '.join(repr(layer.name) for layer in self.layers)}")

    def fed_by(self, layer: ExplainedLayer) -> ExplainedLayer | None:
        """The dense layer that takes exactly the outputs of this one; None if something is between them."""
        place = next(i for i, known in enumerate(self.layers) if known is layer)
        following = self.layers[place + 1] if place + 1 < len(self.layers) else None
        if following is None or not following.is_dense or following.inputs is None:
            return None
        same = following.inputs is layer.outputs or np.array_equal(following.inputs, layer.outputs)
        return following if same else None

    def delta_products(self, layer: ExplainedLayer) -> Array:
        """What each neuron of the next dense layer adds to the ``output_gradients`` of a layer: its weight times its
        delta, (samples, units, units of the next layer). The sum over the last dimension is ``output_gradients``.
        """
        following = self.fed_by(layer)
        if following is None or following.deltas is None:
            raise TypeError(
                f"no dense layer takes the outputs of {layer.name!r} directly. Use output_gradients instead."
            )
        product: Array = following.matrix * following.deltas[:, None]
        return product

"""A recurrent layer in both directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

from ranvier.layers.annotations import LayerOptions
from ranvier.layers.base import Layer
from ranvier.module.serialization import register_module
from ranvier.ops import arrays
from ranvier.support.tree import flatten

MERGES: dict[str | None, Callable[[Any, Any], Any]] = {
    "concat": lambda a, b: arrays.concatenate([a, b], -1),
    "sum": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "ave": lambda a, b: (a + b) / 2,
    None: lambda a, b: (a, b),
}


@register_module
class Bidirectional(Layer):
    """A recurrent layer from the first step to the last, and its copy from the last to the first.

    The outputs of the two are joined by ``merge_mode``: "concat" along the features, "sum", "mul", "ave" for their
    mean, or None for a tuple of both. ``backward_layer`` is used in place of the copy. With ``return_state`` the states
    of the first follow, then those of the second; ``initial_state`` in the call has them in this order. ``layer``
    itself is not used: both directions are made of its configuration, with new weights.
    """

    supports_masking = True
    _shown = "merge_mode={merge_mode!r}"

    def __init__(
        self,
        layer: Layer,
        merge_mode: str | None = "concat",
        weights: Sequence[Any] | None = None,
        backward_layer: Layer | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        for given in (layer, *(() if backward_layer is None else (backward_layer,))):
            if not (isinstance(given, Layer) and hasattr(given, "go_backwards")):
                raise ValueError(f"layer {self.name!r} was given {given!r}. Write a recurrent layer, LSTM(8), instead.")
        if merge_mode not in MERGES:
            known = ", ".join(map(repr, MERGES))
            raise ValueError(f"merge_mode of layer {self.name!r} is {merge_mode!r}. Write one of {known} instead.")
        self.merge_mode = merge_mode
        self.forward_layer = _copy(layer, "forward")
        self.backward_layer = _copy(layer, "backward", go_backwards=True) if backward_layer is None else backward_layer
        self._check_pair()
        self.given = weights
        self.stateful, self.return_state = bool(layer.stateful), bool(layer.return_state)
        self.return_sequences = bool(layer.return_sequences)
        for direction in (self.forward_layer, self.backward_layer):
            if hasattr(direction, "zero_output_for_mask"):  # so that padding is zero in both
                direction.zero_output_for_mask = self.return_sequences

    def _check_pair(self) -> None:
        one, other = self.forward_layer, self.backward_layer
        if one.go_backwards == other.go_backwards:
            raise ValueError(
                f"both layers of {self.name!r} have go_backwards={one.go_backwards}. Write go_backwards=True in "
                "backward_layer alone instead."
            )
        for name in ("stateful", "return_sequences", "return_state"):
            if getattr(one, name) != getattr(other, name):
                raise ValueError(
                    f"the layers of {self.name!r} have {name}={getattr(one, name)} and {getattr(other, name)}. Write "
                    "the same in both instead."
                )

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, without the weights: they are kept as weights are."""
        return {key: None if key == "weights" else value for key, value in super().config().items()}

    def build(self, sequences_shape: Sequence[Any]) -> None:
        for layer in (self.forward_layer, self.backward_layer):
            vars(layer)["_within"] = vars(self).get("_within", lambda: None)  # which knows the size of a batch
            layer.build(sequences_shape)
        if self.given is not None:
            self.set_weights(self.given)

    def reset_state(self) -> None:
        """Begin the next batch with zeros, where the layers are ``stateful``."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state  # Keras's older name

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the inputs, where each step has an output."""
        mask = next(flatten(previous_mask), None) if self.return_sequences else None
        outputs = [mask, mask] if self.merge_mode is None else [mask]
        if self.return_state:
            return [*outputs, *[None] * (2 * len(self.forward_layer.state_size))]
        return outputs if self.merge_mode is None else mask

    def forward(self, sequences: Any, initial_state: Any = None, mask: Any = None) -> Any:
        first = second = {} if mask is None else {"mask": mask}
        if initial_state is not None:
            half = len(initial_state) // 2
            first = {**first, "initial_state": initial_state[:half]}
            second = {**second, "initial_state": initial_state[half:]}
        y, z = self.forward_layer(sequences, **first), self.backward_layer(sequences, **second)
        states: tuple[Any, ...] = ()
        if self.return_state:
            (y, *own), (z, *other) = y, z
            states = (*own, *other)
        merged = MERGES[self.merge_mode](y, arrays.flip(z, 1) if self.return_sequences else z)
        if not self.return_state:
            return merged
        return (*(merged if self.merge_mode is None else [merged]), *states)


def _copy(layer: Layer, direction: str, **changes: Any) -> Any:
    """A layer of the same configuration, named for its direction, with weights of its own."""
    name = f"{direction}_{layer.name.removeprefix(f'{direction}_')}"
    return type(layer).from_config({**layer.get_config(), "name": name, **changes})

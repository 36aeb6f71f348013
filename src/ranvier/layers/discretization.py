"""Numbers as the intervals that they are in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from ranvier.data.convert import Array, to_numeric
from ranvier.layers.annotations import LayerOptions
from ranvier.layers.base import Layer, whole
from ranvier.layers.embedding import MODES, check_mode, encoded
from ranvier.layers.lookup import batches
from ranvier.module.serialization import register_module
from ranvier.ops.keras.bins import digitize
from ranvier.tensor.tensor import Tensor


@register_module
class Discretization(Layer):
    """Numbers as the interval that each is in: 0 below the first of ``bin_boundaries``, 1 from there to the second.

    With ``num_bins`` in their place, ``adapt(x)`` finds boundaries between as many intervals that hold equally many
    values, to a fraction ``epsilon`` of them. ``output_mode`` is "int", or one of those of `CategoryEncoding`.
    """

    _shown = "{output_mode!r}"

    def __init__(
        self,
        bin_boundaries: Sequence[float] | None = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        if (bin_boundaries is None) == (num_bins is None):
            raise ValueError(f"layer {self.name!r}: write one of bin_boundaries=[...] and num_bins=...")
        if not 0 < epsilon < 1:
            raise ValueError(f"the epsilon of layer {self.name!r} is {epsilon!r}. Write a number from 0 to 1 instead.")
        self.num_bins = None if num_bins is None else whole(num_bins, "num_bins", self.name)
        self.epsilon, self.output_mode = epsilon, check_mode(output_mode, ("int", *MODES), sparse, self.name)
        self.bin_boundaries = None if bin_boundaries is None else [float(edge) for edge in bin_boundaries]

    def config(self) -> dict[str, Any]:
        """The constructor's arguments; once it is adapted, with the boundaries."""
        found = {**super().config()}
        if self.num_bins is not None and self.bin_boundaries is not None:
            found.pop("num_bins", None)
            found["bin_boundaries"] = self.bin_boundaries
        return found

    def _learned(self) -> Any:
        return self.bin_boundaries

    def _learn(self, learned: Any) -> None:
        self.bin_boundaries = [float(edge) for edge in learned]

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Find the boundaries for data: an array, or batches of arrays (``steps`` of them at most)."""
        if self.num_bins is None:
            raise ValueError(f"layer {self.name!r} was given bin_boundaries. Write num_bins=... instead.")
        summary = np.zeros((2, 0), np.float32)
        for batch in batches(data, steps):
            values = to_numeric(batch.compute() if isinstance(batch, Tensor) else batch, "the data")
            both = np.concatenate([summarized(values.astype(np.float32), self.epsilon), summary], axis=1)
            summary = compressed(both[:, np.argsort(both[0])], self.epsilon)
        if not summary.size:
            raise ValueError(f"layer {self.name!r} was adapted to no data. Write adapt(x_train) instead.")
        self.bin_boundaries = compressed(summary, 1 / self.num_bins)[0, :-1].tolist()

    def forward(self, x: Any) -> Any:
        if self.bin_boundaries is None:
            raise ValueError(f"layer {self.name!r} has no boundaries yet. Write adapt(x_train) first.")
        found = digitize(x, np.array(self.bin_boundaries, np.float32))
        return encoded(found, len(self.bin_boundaries) + 1, self.output_mode)


def summarized(values: Array, epsilon: float) -> Array:
    """Values at equal distances in order, and how many each stands for: (2, about 1 / epsilon)."""
    ordered = np.sort(values, axis=None)
    step = max(ordered.size * epsilon, 1)
    kept = ordered[int(step - 1) :: int(step)]
    return np.stack([kept, np.full_like(kept, step)])


def compressed(summary: Array, epsilon: float) -> Array:
    """A summary of about ``1 / epsilon`` values, interpolated at equal fractions of the total weight."""
    if summary.shape[1] * epsilon < 1:
        return summary
    fractions = epsilon + np.arange(0.0, 1.0, epsilon)
    total = summary[1].cumsum()
    share = total / total[-1]
    values, weights = np.interp(fractions, share, summary[0]), np.interp(fractions, share, total)
    return np.stack([values, np.diff(weights, prepend=0)]).astype(np.float32)

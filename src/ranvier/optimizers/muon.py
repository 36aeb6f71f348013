"""Muon: momentum whose matrix is replaced by a nearly orthogonal one (Jordan et al., 2024)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from ranvier.graph.node import Node, apply, like
from ranvier.graph.tiny import squared
from ranvier.ops import arrays
from ranvier.optimizers.arithmetic import (
    Slots,
    Updated,
    lerp,
    one_minus,
    one_minus_power,
    scaled,
    shifted,
    sqrt,
    sum_of_squares,
)
from ranvier.optimizers.base import Optimizer
from ranvier.tensor.tensor import Tensor

RATES = (None, "original", "match_rms_adamw")  # PyTorch's `adjust_lr_fn`


@dataclass(eq=False, repr=False)
class Muon(Optimizer):
    """Muon: the step of a matrix is its momentum after ``ns_steps`` iterations of Newton and Schulz.

    The iteration ``a X + (b X X' + c X X' X X') X`` moves the singular values of the momentum towards 1; a, b and c are
    ``muon_a``, ``muon_b`` and ``muon_c``. Keras's formula (Liu et al., 2025) scales the step of a matrix of n by m
    by ``rms_rate * sqrt(max(n, m))``, unless ``rms_rate`` is None.

    Matrices only: other parameters are trained by AdamW, with rate ``learning_rate * adam_lr_ratio`` and
    ``adam_weight_decay``, and so are embeddings (``exclude_embeddings``) and parameters whose path has a match of a
    pattern in ``exclude_layers``. Exclude the last dense layer: ``Muon(exclude_layers=["output"])``.

    ``formula="torch"`` takes matrices only, and its momentum is a moving average; ``adjust_lr_fn`` "match_rms_adamw"
    scales as Keras does with 0.2, "original" (also None) by ``sqrt(max(1, n / m))``. PyTorch iterates in bfloat16; here
    the iteration has the precision of the weights, so that steps differ by bfloat16's rounding, under 1%.

    Raises ValueError for a parameter that is no matrix under ``formula="torch"``.
    """

    learning_rate: Any = 0.001
    adam_beta_1: float = 0.9
    adam_beta_2: float = 0.999
    adam_weight_decay: float | None = 0.004
    epsilon: float = 1e-7
    weight_decay: float | None = 0.004
    _: KW_ONLY
    exclude_layers: Sequence[str] | None = None
    exclude_embeddings: bool = True
    muon_a: float = 3.4445
    muon_b: float = -4.7750
    muon_c: float = 2.0315
    adam_lr_ratio: float = 1.0
    momentum: float = 0.95
    ns_steps: int = 5
    nesterov: bool = True
    rms_rate: float | None = 0.2
    adjust_lr_fn: str | None = None

    reads_axes = True
    variable = frozenset({"momentum"})

    def __post_init__(self) -> None:
        self.exclude_layers = tuple(self.exclude_layers or ())
        super().__post_init__()
        if self.adjust_lr_fn not in RATES:
            raise ValueError(
                f"Muon(adjust_lr_fn={self.adjust_lr_fn!r}): write 'original' or 'match_rms_adamw' instead."
            )
        if self.torch and self.ns_steps >= 100:
            raise ValueError(f"Muon(ns_steps={self.ns_steps}): write fewer than 100, such as 5, instead.")

    def is_adam(self, parameter: Tensor) -> bool:
        """Whether AdamW trains a parameter."""
        if self.torch:
            return False
        path = getattr(parameter, "path", "")
        named = self.exclude_embeddings and "embedding" in path.lower()
        return len(parameter.shape) != 2 or named or any(re.search(part, path) for part in self.exclude_layers or ())

    def slots_of(self, parameter: Tensor) -> dict[str, float]:
        if self.torch and len(parameter.shape) != 2 and parameter.numel():
            raise ValueError(
                f"Muon takes matrices, and here is a parameter of shape {parameter.shape}. Write "
                "Muon([p for p in model.parameters() if p.ndim == 2]), and AdamW for the others, instead."
            )
        return dict.fromkeys(("momentum", "velocity") if self.is_adam(parameter) else ("momentum",), 0.0)

    def decay_of(self, slots: Slots) -> float | None:
        return self.adam_weight_decay if "velocity" in slots else self.weight_decay

    @property
    def reads_count(self) -> bool:
        return not self.torch

    def rule(self, p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
        if "velocity" in slots:
            return self._adam(p, g, slots, scaled(lr, self.adam_lr_ratio), t)
        old, (rows, columns) = slots["momentum"], p.shape
        if self.torch:
            m = lerp(old, g, one_minus(self.momentum))
            ahead = lerp(g, m, self.momentum) if self.nesterov else m
            if self.adjust_lr_fn == "match_rms_adamw":
                factor = 0.2 * math.sqrt(max(rows, columns))
            else:
                factor = math.sqrt(max(1.0, rows / columns))
        else:
            m = scaled(old, self.momentum) + g
            ahead = g + scaled(m, self.momentum) if self.nesterov else m
            factor = 1.0 if self.rms_rate is None else self.rms_rate * math.sqrt(max(rows, columns))
        return p - scaled(self.orthogonal(ahead), scaled(lr, factor)), {"momentum": m}

    def orthogonal(self, x: Node) -> Node:
        """A matrix near the orthogonal one that is nearest to ``x``."""
        is_tall = x.shape[0] > x.shape[1]
        x = arrays.transpose(x) if is_tall else x
        norm = sqrt(sum_of_squares(x))
        norm = apply("maximum", norm, like(norm, self.epsilon)) if self.torch else shifted(norm, 1e-7)
        x = scaled(x, like(norm, 1.0) / norm)
        for _ in range(self.ns_steps):
            gram = arrays.matmul(x, arrays.transpose(x))
            change = scaled(gram, self.muon_b) + arrays.matmul(scaled(gram, self.muon_c), gram)
            x = scaled(x, self.muon_a) + arrays.matmul(change, x)
        return arrays.transpose(x) if is_tall else x

    def _adam(self, p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
        m = lerp(slots["momentum"], g, 1.0 - self.adam_beta_1)
        v = lerp(slots["velocity"], squared(g), 1.0 - self.adam_beta_2)
        rate = lr * sqrt(one_minus_power(self.adam_beta_2, t)) / one_minus_power(self.adam_beta_1, t)
        return p - scaled(m, rate) / shifted(sqrt(v), self.epsilon), {"momentum": m, "velocity": v}

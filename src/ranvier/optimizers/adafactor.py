"""Adafactor: second moments of rows and columns instead of one for each weight (Shazeer and Stern, 2018)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.graph.node import Node, apply, like
from ranvier.ops import arrays
from ranvier.optimizers.arithmetic import Slots, Updated, lerp, scaled, shifted, sqrt
from ranvier.optimizers.base import Optimizer
from ranvier.tensor.tensor import Tensor

Shape = tuple[int, ...]


def _rms(x: Node) -> Node:
    return sqrt(arrays.mean(x * x))


def _power(t: Node, exponent: float) -> Node:
    return apply("exp", scaled(apply("log", t), exponent))


@dataclass(eq=False, repr=False)
class Adafactor(Optimizer):
    """Adafactor: of a parameter of shape (..., n, m) it keeps n + m second moments instead of n * m.

    Step t is at most ``min(learning_rate, 1 / sqrt(t))`` times the root mean square of the weights (``epsilon_2`` at
    least); its own root mean square is at most ``clip_threshold``. The moments decay by ``1 - t**beta_2_decay``.
    Vectors and numbers have a moment for each weight.

    Keras adds ``epsilon_1`` to the squares of gradients. PyTorch divides by no mean and by no root below ``epsilon_1``,
    the machine epsilon of the weights if it is None. ``relative_step`` changes nothing, as in Keras.
    """

    learning_rate: Any = 0.001
    beta_2_decay: float = -0.8
    epsilon_1: float | None = 1e-30
    epsilon_2: float = 1e-3
    clip_threshold: float = 1.0
    relative_step: bool = True

    reads_axes = True
    lasting = frozenset({"row", "column", "velocity"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.torch and self.clip_threshold < 1:
            raise ValueError(f"Adafactor(clip_threshold={self.clip_threshold}): write a number of 1 or more instead.")
        if self.epsilon_1 is None and not self.torch:
            raise ValueError("Adafactor(epsilon_1=None): write a number such as 1e-30 instead.")

    @property
    def slot_shapes(self) -> Mapping[str, Callable[[Shape], Shape]]:
        one = (1,) if self.torch else ()  # PyTorch keeps the axis of a mean
        return {"row": lambda s: (*s[:-1], *one), "column": lambda s: (*s[:-2], *one, s[-1])}

    def slots_of(self, parameter: Tensor) -> dict[str, float]:
        return {"row": 0.0, "column": 0.0} if len(parameter.shape) > 1 else {"velocity": 0.0}

    @property
    def decays_first(self) -> bool:
        return not self.torch  # Keras's formula does

    def rule(self, p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
        square = g * g if self.epsilon_1 is None or self.torch else shifted(g * g, self.epsilon_1)
        small = float(np.finfo(p.dtype).eps) if self.epsilon_1 is None else self.epsilon_1
        weight = _power(t, self.beta_2_decay)
        if "velocity" in slots:
            v = lerp(slots["velocity"], square, weight)
            new = {"velocity": v}
        else:
            rows, columns = (arrays.mean(square, axis, self.torch) for axis in (-1, -2))
            r, c = lerp(slots["row"], rows, weight), lerp(slots["column"], columns, weight)
            new = {"row": r, "column": c}
            if self.torch:
                mean = arrays.mean(r, -2, True)
                v = arrays.divide(arrays.multiply(r, c), arrays.maximum(mean, small))
            else:
                share = arrays.divide(r, arrays.mean(r, -1, True))
                v = arrays.multiply(arrays.expand_dims(share, -1), arrays.expand_dims(c, -2))
        if self.torch:
            v = apply("maximum", v, like(v, small * small))
        u = g / sqrt(v)
        limit = scaled(_rms(u), 1.0 / self.clip_threshold)
        u = scaled(u, like(limit, 1.0) / apply("maximum", limit, like(limit, 1.0)))
        size = _rms(p)
        rate = apply("minimum", lr, _power(t, -0.5))
        return p - scaled(u, apply("maximum", size, like(size, self.epsilon_2)) * rate), new


def whole_moments(row: np.ndarray[Any, Any], column: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The second moments that Keras's files hold beside their factors."""
    mean = row.mean(-1, keepdims=True)
    share = np.divide(row, mean, out=np.zeros_like(row), where=mean > 0)
    return share[..., None] * column[..., None, :]

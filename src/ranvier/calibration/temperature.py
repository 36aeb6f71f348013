"""Temperature scaling: one number that makes a network's probabilities true (Guo, Pleiss, Sun, Weinberger, 2017).

The logits are divided by a temperature before the softmax (or sigmoid), chosen so that validation data are as likely as
can be. Which class is the largest does not change; how sure the network is of it does.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier import numeric as n
from ranvier.functional import sigmoid, softmax
from ranvier.graph.node import Node
from ranvier.losses.formulas import logits_of
from ranvier.module import Module, register_module
from ranvier.tensor import Tensor, function

__all__ = ["Calibrated", "calibrate", "fit_temperature"]

Array = npt.NDArray[Any]

KINDS = {"softmax": softmax, "sigmoid": sigmoid}
COLDEST, HOTTEST = 1e-3, 1e3  # the temperatures between which the best one is looked for
STEPS = 200


@function
def logits_from(probabilities: Node, kind: str) -> Node:
    """What a softmax (up to a constant) or sigmoid was given, from what it returned."""
    tiny = 1e-7 if probabilities.dtype == "float32" else 1e-15
    if kind == "softmax":
        return n.log(n.clip(probabilities, tiny * tiny))  # type: ignore[no-any-return]
    inside = n.clip(probabilities, tiny, 1 - tiny)
    return n.log(inside) - n.log1p(n.negative(inside))  # type: ignore[no-any-return]


class _Logits(Module):
    """The logits of a model that ends in them, in a softmax or in a sigmoid."""

    def __init__(self, model: Module, kind: str, from_logits: bool) -> None:
        super().__init__()
        self.model, self.kind, self.from_logits = model, kind, from_logits
        self._input_type = model._input_type

    def forward(self, x: Any) -> Any:
        output = self.model(x)
        if self.from_logits:
            return output
        known = logits_of(output, self.kind)
        return logits_from(output, self.kind) if known is None else known


@register_module
class Calibrated(_Logits):
    """A model whose probabilities are those of its logits divided by ``temperature``; `calibrate` makes it.

    ``kind`` is "softmax" (one class of several) or "sigmoid" (each output on its own); ``from_logits`` says that the
    model ends in logits. It predicts, evaluates and is saved like any model, and shares the weights of ``model``.
    """

    def __init__(
        self, model: Module, temperature: float = 1.0, kind: str = "softmax", from_logits: bool = False
    ) -> None:
        super().__init__(model, kind, from_logits)
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r} does not exist. Write 'softmax' or 'sigmoid'.")
        if not 0 < temperature < np.inf:
            raise ValueError(f"temperature={temperature!r}: write a number above 0 instead.")
        self.register_buffer("temperature", Tensor(np.float32(temperature)))

    def forward(self, x: Any) -> Any:
        return KINDS[self.kind](n.divide(super().forward(x), self.temperature))


def calibrate(
    model: Module,
    x: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    from_logits: bool | None = None,
    **options: Any,
) -> Calibrated:
    """``model`` with the temperature that makes its probabilities of the validation data (x, y) true.

    ``y`` are class numbers or one-hot rows for a model of several classes, 0 and 1 of the outputs' shape for one of
    yes or no. ``from_logits`` says that the model ends in logits; where None, it does unless it ends in a softmax or
    sigmoid. ``options`` go to ``predict``. Data that the model was trained on give a temperature that is too low.
    """
    output = model.trace() if model._input_type is not None else model(np.asarray(x)[:1])
    maker = getattr(getattr(output.entry, "function", None), "name", None)
    if maker not in KINDS or output.entry.children == ():
        maker = None
    if from_logits is None:
        from_logits = maker is None
    kind = maker or ("softmax" if _excludes(np.asarray(y), tuple(output.shape[1:])) else "sigmoid")
    logits = _Logits(model, kind, from_logits).predict(x, **options)
    temperature = fit_temperature(y, logits, kind, sample_weight=sample_weight)
    return Calibrated(model, temperature, kind, from_logits)


def _excludes(y: Array, sample: tuple[Any, ...]) -> bool:
    """Whether one of several outputs is meant to be chosen."""
    if not sample or sample[-1] == 1:
        return False
    if y.ndim == len(sample) or y.shape[-1] == 1:
        return True
    return bool(np.isclose(y.sum(-1), 1).all())


def fit_temperature(y_true: Any, logits: Any, kind: str | None = None, *, sample_weight: Any = None) -> float:
    """The temperature at which the targets are most likely: ``softmax(logits / temperature)``, or the sigmoid.

    ``logits`` (n, ..., classes) with class numbers (n, ...) or target probabilities of their shape; or with ``kind``
    "sigmoid" any shape, and 0 and 1 of as many. Where ``kind`` is None, it is "softmax" for class numbers and for rows
    that add up to 1. The negative log likelihood is convex in 1 / temperature, so the minimum is found whatever the
    scale of the logits, by Newton's method within a bracket. Warns RuntimeWarning where it lies beyond 0.001 to 1,000,
    such as for data that are all classified correctly. Raises ValueError for shapes that do not fit and logits that
    are not finite.
    """
    z, y = np.asarray(logits, np.float64), np.asarray(y_true)
    if not np.isfinite(z).all():
        raise ValueError("the logits hold NaN or infinity. Write finite ones, of another model, instead.")
    if kind is None:
        kind = "softmax" if z.ndim > 1 and _excludes(y, z.shape[1:]) else "sigmoid"
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r} does not exist. Write 'softmax' or 'sigmoid'.")
    z, y = _rows(z, y, kind)
    weight = np.ones(len(z)) if sample_weight is None else np.asarray(sample_weight, np.float64).reshape(-1)
    if not len(weight) or len(z) % len(weight) or not (weight >= 0).all() or not weight.any():
        raise ValueError(
            f"sample_weight must be one number of 0 or more a sample, not all 0; there are {len(z)}."
        )
    weight = np.repeat(weight, len(z) // len(weight))
    return 1 / _root(z, y, weight / weight.sum(), kind)


def _rows(z: Array, y: Array, kind: str) -> tuple[Array, Array]:
    """Logits and target probabilities, (rows, classes) for a softmax and (rows, 1) for a sigmoid."""
    if kind == "softmax" and y.size == z.size // z.shape[-1]:
        classes = z.shape[-1]
        z, labels = z.reshape(-1, classes), y.reshape(-1)
        if labels.size and not (labels.min() >= 0 and labels.max() < classes):
            raise ValueError(
                f"y_true has classes {labels.min()} to {labels.max()}, and there are logits for {classes}. Write class "
                f"numbers from 0 to {classes - 1} instead."
            )
        return z, (labels[:, None] == np.arange(classes)).astype(np.float64)
    if y.size != z.size or len(y) != len(z):
        raise ValueError(
            f"y_true has shape {y.shape} and the logits {z.shape}. Write class numbers, or targets of their shape."
        )
    width = z.shape[-1] if kind == "softmax" else 1
    return z.reshape(-1, width), y.reshape(-1, width).astype(np.float64)


def _slopes(z: Array, y: Array, weight: Array, kind: str, beta: float) -> tuple[float, float]:
    """First and second derivative of the negative log likelihood by ``beta``, which is 1 / temperature."""
    if kind == "sigmoid":
        p = 0.5 * (1 + np.tanh(0.5 * beta * z))
        return float(weight @ ((p - y) * z)[:, 0]), float(weight @ (p * (1 - p) * z * z)[:, 0])
    e = np.exp(beta * (z - z.max(1, keepdims=True)))
    p = e / e.sum(1, keepdims=True)
    mean = (p * z).sum(1)
    return (
        float(weight @ (mean * y.sum(1) - (y * z).sum(1))),
        float(weight @ (y.sum(1) * (p * (z - mean[:, None]) ** 2).sum(1))),
    )


def _root(z: Array, y: Array, weight: Array, kind: str) -> float:
    """Where the first derivative, which never falls, is 0."""
    low, high = 1 / HOTTEST, 1 / COLDEST
    for beta, at_end, why in (
        (low, _slopes(z, y, weight, kind, low)[0] >= 0, "the logits say nothing about these targets"),
        (high, _slopes(z, y, weight, kind, high)[0] <= 0, "all of these samples are classified correctly"),
    ):
        if at_end:
            warnings.warn(
                f"the best temperature lies beyond {1 / beta:g}: {why}. Write more validation data, which the model "
                "was not trained on, instead.",
                RuntimeWarning,
                stacklevel=4,
            )
            return beta
    beta = 1.0
    for _ in range(STEPS):
        slope, curve = _slopes(z, y, weight, kind, beta)
        low, high = (low, beta) if slope > 0 else (beta, high)
        wanted = beta - slope / curve if curve > 0 else 0.0
        after = wanted if low < wanted < high else (low * high) ** 0.5
        if abs(after - beta) <= 1e-12 * beta:
            break
        beta = after
    return after

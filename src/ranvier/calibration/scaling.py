"""Fits of a temperature, and of a bias for each class, to validation data. Both are convex problems."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.data.targets import as_weights
from ranvier.support.source_lines import warn

Array = npt.NDArray[Any]

KINDS = ("softmax", "sigmoid")
COLDEST, HOTTEST = 1e-3, 1e3  # the range of temperatures that is searched
STEPS = 200


def fit_temperature(y_true: Any, logits: Any, kind: str | None = None, *, sample_weight: Any = None) -> float:
    """The temperature with the largest likelihood of the targets: ``softmax(logits / temperature)``, or the sigmoid.

    With ``kind`` "softmax", ``logits`` are (n, ..., classes), with class numbers (n, ...) or probabilities in their
    shape. With "sigmoid", logits have any shape, and ``y_true`` as many 0 and 1. Where ``kind`` is None, it is
    "softmax" for class numbers and for rows that add up to 1. The negative log likelihood is convex in 1 / temperature,
    so Newton's method within a bracket finds its minimum for logits of any scale (Guo, Pleiss, Sun, Weinberger, 2017).

    Warns RuntimeWarning where the minimum is outside 0.001 to 1,000, for example because all samples are classified
    correctly, and where the logits look like probabilities. Raises ValueError for shapes that do not match and logits
    that are not finite.
    """
    return 1 / _root(*_prepared(y_true, logits, kind, sample_weight))


def fit_scaling(y_true: Any, logits: Any, kind: str | None = None, *, sample_weight: Any = None) -> tuple[float, Array]:
    """``(temperature, bias)`` with the largest likelihood of the targets: ``softmax(logits / temperature + bias)``.

    The bias, one number for each class, corrects the frequencies of classes, which training with weights or balanced
    batches distorts (Alexandari, Kundaje, Shrikumar, 2020; for one output, Platt, 1999). A prior with unit variance
    keeps the bias of a class without samples finite. Arguments and errors are those of `fit_temperature`.
    """
    z, y, weight, kind = _prepared(y_true, logits, kind, sample_weight)
    beta, bias = (min(max(_root(z, y, weight, kind, warn=False), 1 / HOTTEST), 1 / COLDEST), np.zeros(z.shape[1]))
    prior = 1 / np.count_nonzero(weight)

    def loss(beta: float, bias: Array) -> float:
        return _loss(beta * z + bias, y, weight, kind) + prior / 2 * float(bias @ bias)

    now = loss(beta, bias)
    for _ in range(STEPS):
        slope, curvature = _derivatives(z, y, weight, kind, beta, bias)
        slope[1:] += prior * bias
        curvature[1:, 1:] += prior * np.eye(len(bias))
        curvature[0, 0] += 1e-12
        step = -np.linalg.solve(curvature, slope)
        if -(slope @ step) <= 1e-12:  # twice the remaining decrease of the loss
            break
        size = 1.0
        while size > 1e-10:
            tried = beta + size * step[0], bias + size * step[1:]
            if 1 / HOTTEST <= tried[0] <= 1 / COLDEST and loss(*tried) <= now:
                break
            size /= 2
        else:
            break
        beta, bias = tried
        now = loss(beta, bias)
    _warn_of_limits(beta)
    return 1 / beta, bias


# --- targets and logits -------------------------------------------------------------------------------------------


def excludes(y: Array, sample: tuple[Any, ...]) -> bool:
    """Whether classes exclude each other, judged by the targets and by the shape of an output."""
    if not sample or sample[-1] == 1:
        return False
    if y.ndim == len(sample) or y.shape[-1] == 1:
        return True
    return bool(np.isclose(y.sum(-1), 1).all())


def check_numbers(labels: Array, classes: int, what: str) -> None:
    """Raise ValueError for labels that are not class numbers from 0 to ``classes - 1``."""
    wrong = ~np.isin(labels, np.arange(classes))
    if wrong.any():
        raise ValueError(
            f"y_true contains {labels[wrong][0]}, and there are {what} for {classes} classes. Write class numbers from "
            f"0 to {classes - 1} instead."
        )


def _prepared(y_true: Any, logits: Any, kind: str | None, sample_weight: Any) -> tuple[Array, Array, Array, str]:
    """Logits and target probabilities (rows, outputs), weights (rows,) that add up to 1, and the kind."""
    z, y = np.asarray(logits, np.float64), np.asarray(y_true)
    if not np.isfinite(z).all():
        raise ValueError("the logits contain NaN or infinity. Write finite ones, of another model, instead.")
    if kind is None:
        kind = "softmax" if z.ndim > 1 and excludes(y, z.shape[1:]) else "sigmoid"
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r} does not exist. Write 'softmax' or 'sigmoid'.")
    n, outputs = len(z), z.shape[-1] if z.ndim > 1 else 1
    z = z.reshape(-1, outputs)
    if kind == "softmax" and y.size == len(z):
        labels = y.reshape(-1)
        check_numbers(labels, outputs, "logits")
        targets = (labels[:, None] == np.arange(outputs)).astype(np.float64)
    elif y.size != z.size or len(y) != n:
        raise ValueError(
            f"y_true has shape {y.shape} and the logits {np.shape(logits)}. Write class numbers, or targets in "
            "their shape."
        )
    else:
        targets = y.reshape(-1, outputs).astype(np.float64)
        if not ((targets >= 0) & (targets <= 1)).all():
            bad = targets[~((targets >= 0) & (targets <= 1))][0]
            raise ValueError(f"y_true contains {bad:g}, which is not a probability. Write 0 and 1 instead.")
    if not n:
        raise ValueError("there are no samples. Write at least one instead.")
    if kind == "softmax" and (z >= 0).all() and np.isclose(z.sum(1), 1, atol=1e-4).all():
        warn(
            "the logits are all 0 or more and add up to 1 in each row, like the output of a softmax. Write its input, "
            "or np.log of its output, instead.",
            RuntimeWarning,
        )
    weight = np.ones(n) if sample_weight is None else as_weights(sample_weight, n, dtype=np.float64)
    weight = np.repeat(weight, len(z) // n)
    return z, targets, weight / weight.sum(), kind


# --- the negative log likelihood ----------------------------------------------------------------------------------


def _loss(u: Array, y: Array, weight: Array, kind: str) -> float:
    if kind == "sigmoid":
        return float(weight @ (np.logaddexp(0, u) - y * u).sum(1))
    highest = u.max(1)
    total = highest + np.log(np.exp(u - highest[:, None]).sum(1))
    return float(weight @ (total * y.sum(1) - (y * u).sum(1)))


def _probabilities(u: Array, kind: str) -> Array:
    if kind == "sigmoid":
        return 0.5 * (1 + np.tanh(0.5 * u))
    e = np.exp(u - u.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def _slopes(z: Array, y: Array, weight: Array, kind: str, beta: float) -> tuple[float, float]:
    """First and second derivative with respect to ``beta``, which is 1 / temperature."""
    p = _probabilities(beta * z, kind)
    if kind == "sigmoid":
        return float(weight @ ((p - y) * z).sum(1)), float(weight @ (p * (1 - p) * z * z).sum(1))
    whole, pz = weight * y.sum(1), p * z
    mean = pz.sum(1)
    slope = whole @ mean - weight @ np.einsum("nk,nk->n", y, z)
    return float(slope), float(whole @ (np.einsum("nk,nk->n", pz, z) - mean * mean))


def _derivatives(z: Array, y: Array, weight: Array, kind: str, beta: float, bias: Array) -> tuple[Array, Array]:
    """First and second derivatives with respect to ``beta`` and the biases."""
    p = _probabilities(beta * z + bias, kind)
    if kind == "softmax":
        whole = y.sum(1, keepdims=True)
        away = z - (p * z).sum(1, keepdims=True)
        heavy = weight[:, None] * p * whole
        off, mixed = whole * p - y, -(heavy.T @ p)
    else:
        away, heavy = z, weight[:, None] * p * (1 - p)
        off, mixed = p - y, np.zeros((z.shape[1],) * 2)
    slope = np.concatenate([[weight @ (off * z).sum(1)], weight @ off])
    curvature = np.empty((len(slope),) * 2)
    curvature[0, 0] = (heavy * away * away).sum()
    curvature[0, 1:] = curvature[1:, 0] = (heavy * away).sum(0)
    curvature[1:, 1:] = np.diag(heavy.sum(0)) + mixed
    return slope, curvature


def _root(z: Array, y: Array, weight: Array, kind: str, warn: bool = True) -> float:
    """The ``beta`` where the first derivative, which does not decrease, is 0."""

    def at(beta: float) -> tuple[float, float]:
        return _slopes(z, y, weight, kind, beta)

    if kind == "softmax":
        z = z - z.max(1, keepdims=True)  # does not change probabilities, and avoids cancellation
    low, high = 1 / HOTTEST, 1 / COLDEST
    if at(low)[0] >= 0:
        beta = low
    elif at(high)[0] <= 0:
        beta = high
    else:
        beta = 1.0
        for _ in range(STEPS):
            slope, curvature = at(beta)
            low, high = (low, beta) if slope > 0 else (beta, high)
            wanted = beta - slope / curvature if curvature > 0 else 0.0
            before, beta = beta, wanted if low < wanted < high else (low * high) ** 0.5
            if abs(beta - before) <= 1e-10 * beta:
                break
    if warn:
        _warn_of_limits(beta)
    return beta


def _warn_of_limits(beta: float) -> None:
    """Warn where the best temperature is outside the range that is searched."""
    for end, why in (
        (1 / HOTTEST, "the logits say nothing about these targets"),
        (1 / COLDEST, "all of these samples are classified correctly"),
    ):
        if abs(beta - end) <= 1e-6 * end:
            warn(
                f"the best temperature is beyond {1 / end:g}: {why}. Write more validation data, which the model "
                "was not trained on, instead.",
                RuntimeWarning,
            )

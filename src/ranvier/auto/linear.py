"""Linear models in NumPy: ridge regression in closed form, logistic regression by L-BFGS (Liu and Nocedal, 1989).

Both minimize the sum over the rows of half the squared error, or of the log loss, plus half the ``penalty`` times the
sum of the squared weights. Intercepts are not penalized. So the penalty is scikit-learn's ``Ridge(alpha=penalty)`` and
``LogisticRegression(C=1 / penalty)``.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import numpy as np

from ranvier.auto.scores import CLASSES, NUMBERS
from ranvier.data.convert import Array

TOLERANCE = 1e-5  # of the largest derivative of the mean loss,
PLATEAU = 1e-5  # or of what the mean loss falls in `MEMORY` steps
ITERATIONS = 2000
MEMORY = 10  # steps from which L-BFGS knows the curvature
CLOSED = 10**10  # multiplications up to which ridge regression solves its normal equations at once
DOUBLE = 4_000_000  # numbers of the features up to which they are float64
SUFFICIENT = 1e-4  # the fraction of the decrease along the gradient that a step must reach (Armijo)

Measured = Callable[[Array], tuple[float, Array]]


def fitted(
    kind: str, x: Array, y: Array, penalty: float, end: float = float("inf"), start: Array | None = None
) -> tuple[Array, bool]:
    """The weights (features + 1, outputs), of which the last row are the intercepts, and whether they have converged.

    ``kind`` is that of a `Task`, ``x`` (rows, features). ``y`` (rows, outputs) are numbers, or 0 and 1; of classes they
    exclude each other. ``end`` is a time of ``time.perf_counter`` and ``start`` the weights to begin with.
    """
    middle = x.mean(
        0, dtype=np.float64
    )  # of centred features the intercept and the weights hardly depend on each other
    centred = x - middle if x.size <= DOUBLE else x - middle.astype(x.dtype)
    if kind == NUMBERS and min(x.shape) * x.size <= CLOSED:
        weights, converged = _ridge(centred, y, penalty), True
    else:
        begin = np.zeros((x.shape[1] + 1, y.shape[1])) if start is None else start.copy()
        begin[-1] += middle @ begin[:-1]
        weights, converged = minimum(lambda w: _measured(kind, centred, y, penalty, w), begin, end)
    weights[-1] -= middle @ weights[:-1]
    return weights, converged


def output_of(x: Array, weights: Array) -> Array:
    """The outputs (rows, outputs) of a linear model: numbers or logits, float64."""
    return np.asarray(x @ weights[:-1].astype(x.dtype), np.float64) + weights[-1]


def _ridge(x: Array, y: Array, penalty: float) -> Array:
    """By the normal equations, of the features or of the rows, whichever are fewer. ``x`` is centred."""
    x, mean = np.asarray(x, np.float64), y.mean(0)
    if x.shape[1] <= x.shape[0]:
        weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ (y - mean))
    else:
        weights = x.T @ np.linalg.solve(x @ x.T + penalty * np.eye(x.shape[0]), y - mean)
    return np.concatenate([weights, mean[None]])


def _measured(kind: str, x: Array, y: Array, penalty: float, weights: Array) -> tuple[float, Array]:
    """The penalized loss over the number of rows, and its gradient."""
    z = output_of(x, weights)
    if kind == NUMBERS:
        error = z - y
        loss = np.square(error).sum() / 2
    elif kind == CLASSES:
        z -= z.max(1, keepdims=True)
        total = np.exp(z).sum(1, keepdims=True)
        error = np.exp(z) / total - y
        loss = np.log(total).sum() - (y * z).sum()
    else:
        error = 1 / (1 + np.exp(-np.clip(z, -700, 700))) - y
        loss = (np.logaddexp(0, z) - y * z).sum()
    gradient = np.concatenate([x.T @ error.astype(x.dtype) + penalty * weights[:-1], error.sum(0)[None]])
    return float(loss + penalty / 2 * np.square(weights[:-1]).sum()) / len(x), gradient / len(x)


def minimum(measured: Measured, start: Array, end: float) -> tuple[Array, bool]:
    """The minimum of a convex function by L-BFGS, and whether it was reached before the time ``end``."""
    at = start
    value, gradient = measured(at)
    steps: deque[tuple[Array, Array, float]] = deque(maxlen=MEMORY)
    values = deque([float("inf")] * MEMORY, maxlen=MEMORY)
    for _ in range(ITERATIONS):
        if np.abs(gradient).max() <= TOLERANCE or values[0] - value <= PLATEAU:
            return at, True
        direction = _direction(gradient, steps)
        slope, size = float((direction * gradient).sum()), 1.0
        while True:
            if time.perf_counter() > end:
                return at, False
            new = at + size * direction
            lower, changed = measured(new)
            if lower <= value + SUFFICIENT * size * slope:
                break
            size /= 2
            if size < 1e-10:  # the value has no more digits: this is the minimum
                return at, True
        step, change = new - at, changed - gradient
        if (product := float((step * change).sum())) > 0:
            steps.append((step, change, product))
        values.append(value)
        at, value, gradient = new, lower, changed
    return at, False


def _direction(gradient: Array, steps: deque[tuple[Array, Array, float]]) -> Array:
    """Against the gradient, times the inverse of the curvature that the last steps have met."""
    direction = -gradient
    if not steps:
        return direction / max(1.0, float(np.sqrt(np.square(gradient).sum())))
    factors = []
    for step, change, product in reversed(steps):
        factors.append(float((step * direction).sum()) / product)
        direction = direction - factors[-1] * change
    _, change, product = steps[-1]
    direction = direction * (product / float(np.square(change).sum()))
    for (step, change, product), factor in zip(steps, reversed(factors), strict=True):
        direction = direction + (factor - float((change * direction).sum()) / product) * step
    return direction

"""LBFGS: a quasi-Newton method that evaluates the loss several times in each step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from ranvier.graph.dtypes import widened
from ranvier.torch.optim.optimizer import Optimizer

CURVATURE = 1e-10  # the least product of a step and the change of the gradient that is remembered
DECREASE, SLOPE = 1e-4, 0.9  # of the strong Wolfe conditions
TRIALS = 25  # of a line search, at most


class Point(NamedTuple):
    """A step length, the loss there, its gradient, and its slope along the direction."""

    t: float
    loss: float
    gradient: Any
    slope: float


class LBFGS(Optimizer):
    """The limited-memory BFGS method (Nocedal and Wright, "Numerical Optimization", algorithms 7.4, 3.5 and 3.6).

    ``step`` takes a function that clears the gradients, computes the loss, calls ``backward()`` and returns the loss.
    It is called up to ``max_eval`` times, ``max_iter * 5 // 4`` by default. ``line_search_fn`` is None, for steps of
    ``lr``, or "strong_wolfe". All parameters are one group.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if line_search_fn not in (None, "strong_wolfe"):
            raise ValueError(f"line_search_fn={line_search_fn!r} does not exist. Write 'strong_wolfe', or None.")
        super().__init__(params, {
            "lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size,
            "line_search_fn": line_search_fn,
        })  # fmt: skip
        if len(self.param_groups) > 1:
            raise ValueError("LBFGS takes one group of parameters. Write a list of all parameters instead.")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Up to ``max_iter`` iterations. Returns the loss before the first."""
        if closure is None:
            raise TypeError(
                "LBFGS evaluates the loss several times. Write optimizer.step(closure), where closure() calls "
                "zero_grad(), computes the loss, calls backward() and returns the loss."
            )
        group = self.param_groups[0]
        params = group["params"]
        state = self.state[params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first = closure()
        loss, gradient, evaluations = float(first), _flat_gradient(params), 1
        state["func_evals"] += 1
        if _largest(gradient) <= group["tolerance_grad"]:
            return first
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = _direction(state, gradient, group["history_size"])
            t = float(group["lr"])
            if state["n_iter"] == 1:
                t *= min(1.0, 1.0 / float(np.abs(gradient).sum()))
            state["prev_flat_grad"], before = gradient, loss
            slope = float(gradient @ direction)
            if slope > -group["tolerance_change"]:
                break
            start, done = _flat(params), iteration == group["max_iter"]

            def at(t: float, start: Any = start, direction: Any = direction) -> Point:
                _write(params, start + np.asarray(t, start.dtype) * direction)
                value, found = float(closure()), _flat_gradient(params)
                return Point(t, value, found, float(found @ direction))

            if group["line_search_fn"] is None:
                trials = 0 if done else 1
                if done:
                    _write(params, start + np.asarray(t, start.dtype) * direction)
                else:
                    _, loss, gradient, _ = at(t)
            else:
                here = Point(0.0, loss, gradient, slope)
                (t, loss, gradient, _), trials = strong_wolfe(at, here, t, _largest(direction), group)
                _write(params, start + np.asarray(t, start.dtype) * direction)
            evaluations += trials
            state["func_evals"] += trials
            state["d"], state["t"] = direction, t
            if (
                evaluations >= group["max_eval"]
                or _largest(gradient) <= group["tolerance_grad"]
                or _largest(direction) * t <= group["tolerance_change"]
                or abs(loss - before) < group["tolerance_change"]
            ):
                break
        return first


def _flat(params: Iterable[Any]) -> Any:
    return np.concatenate([widened(p.detach().compute()).reshape(-1) for p in params])


def _flat_gradient(params: Iterable[Any]) -> Any:
    parts = [
        np.zeros(math.prod(p.shape), p.dtype.name) if p.grad is None else widened(p.grad.compute()).reshape(-1)
        for p in params
    ]
    return np.concatenate(parts)


def _write(params: Iterable[Any], values: Any) -> None:
    start = 0
    for p in params:
        stop = start + math.prod(p.shape)
        p.assign(values[start:stop].reshape(p.shape))
        start = stop


def _largest(values: Any) -> float:
    return float(np.abs(values).max(initial=0))


def _direction(state: dict[str, Any], gradient: Any, history_size: int) -> Any:
    """Minus the inverse Hessian times the gradient, by the pairs of steps and changes of the gradient so far."""
    if state["n_iter"] == 1:
        state.update(old_dirs=[], old_stps=[], H_diag=1.0)
        return -gradient
    changes, steps = state["old_dirs"], state["old_stps"]
    change, step = gradient - state["prev_flat_grad"], state["d"] * np.asarray(state["t"], gradient.dtype)
    product = float(change @ step)
    if product > CURVATURE:
        if len(changes) == history_size:
            del changes[0], steps[0]
        changes.append(change)
        steps.append(step)
        state["H_diag"] = product / float(change @ change)
    direction, parts = -gradient, []
    for change, step in zip(reversed(changes), reversed(steps), strict=True):
        parts.append((step @ direction) / (change @ step))
        direction = direction - parts[-1] * change
    direction = direction * np.asarray(state["H_diag"], gradient.dtype)
    for change, step in zip(changes, steps, strict=True):
        direction = direction + (parts.pop() - (change @ direction) / (change @ step)) * step
    return direction


# --- the line search ----------------------------------------------------------------------------------------------


def minimum_of_cubic(a: Point, b: Point, bounds: tuple[float, float] | None = None) -> float:
    """Where the cubic through two points with their slopes is least, within bounds, by default the points."""
    low, high = bounds or (min(a.t, b.t), max(a.t, b.t))
    if a.t > b.t:
        a, b = b, a
    first = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = first * first - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2
    second = math.sqrt(square)
    found = b.t - (b.t - a.t) * ((b.slope + second - first) / (b.slope - a.slope + 2 * second))
    return min(max(found, low), high)


def strong_wolfe(
    at: Callable[[float], Point], start: Point, t: float, size: float, group: dict[str, Any]
) -> tuple[Point, int]:
    """A point with a sufficient decrease and a small slope, and the number of evaluations."""

    def too_high(point: Point) -> bool:
        return point.loss > start.loss + DECREASE * point.t * start.slope

    def is_flat(point: Point) -> bool:
        return abs(point.slope) <= -SLOPE * start.slope

    before, now, trials = start, at(t), 0
    bracket: list[Point] = []
    while trials < TRIALS:  # until a minimum is between two points
        if too_high(now) or (trials > 1 and now.loss >= before.loss) or (now.slope >= 0 and not is_flat(now)):
            bracket = [before, now]
            break
        if is_flat(now):
            return now, trials + 1
        bounds = (now.t + 0.01 * (now.t - before.t), now.t * 10)
        before, now = now, at(minimum_of_cubic(before, now, bounds))
        trials += 1
    bracket = bracket or [start, now]
    stuck = False
    while trials < TRIALS:
        low, high = sorted(bracket, key=lambda point: point.loss)  # stable: the first of equals is the low one
        least, most = min(low.t, high.t), max(low.t, high.t)
        if (most - least) * size < group["tolerance_change"]:
            break
        t, margin = minimum_of_cubic(bracket[0], bracket[1]), 0.1 * (most - least)
        if min(most - t, t - least) < margin:
            if stuck or t >= most or t <= least:
                t = most - margin if abs(t - most) < abs(t - least) else least + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        now = at(t)
        trials += 1
        place = 0 if bracket[0] is low else 1
        if too_high(now) or now.loss >= low.loss:
            bracket[1 - place] = now
            continue
        if is_flat(now):
            return now, trials + 1
        if now.slope * (high.t - low.t) >= 0:
            bracket[1 - place] = low
        bracket[place] = now
    return min(bracket, key=lambda point: point.loss), trials + 1

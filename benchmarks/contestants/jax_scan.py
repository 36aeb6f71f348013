"""JAX: one jitted function for the epoch, with `lax.scan` over batches gathered by a shuffled index, donated state."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from numpy.typing import NDArray

from benchmarks.contestants import Job
from benchmarks.datasets import batches, initial_weights, reference_predict
from benchmarks.workload import DECAY, Workload

Params: TypeAlias = Any  # a tree of arrays; of dense layers a list of kernels and biases
State = tuple[Params, tuple[Array, Params, Params]]
TRIAL = 0.1  # seconds
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"relu": jax.nn.relu, "tanh": jnp.tanh}


def forward(params: Params, x: Array, activation: Callable[[Array], Array]) -> Array:
    for kernel, bias in params[:-1]:
        x = activation(x @ kernel + bias)
    return x @ params[-1][0] + params[-1][1]


def _sparse(outputs: Array, y: Array) -> Array:
    return -jnp.take_along_axis(jax.nn.log_softmax(outputs), y[:, None], axis=1).mean()


def _binary(z: Array, y: Array) -> Array:
    return (jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z)))).mean()


def _squared(outputs: Array, y: Array) -> Array:
    return jnp.square(outputs - y).mean()


LOSSES: dict[str, Callable[[Array, Array], Array]] = {
    "sparse_categorical_crossentropy": _sparse,
    "binary_crossentropy": _binary,
    "mean_squared_error": _squared,
}


def start(workload: Workload) -> State:
    """The initial weights and an optimizer before its first step, in new buffers."""
    weights = [jnp.array(w) for w in initial_weights(workload)]
    params = [(weights[i], weights[i + 1]) for i in range(0, len(weights), 2)]
    return params, optimizer_state(params)


def optimizer_state(params: Params) -> tuple[Array, Params, Params]:
    """The number of steps and two moments of every weight, which some optimizers leave as they are."""
    return jnp.int32(0), jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params)


def _adam(params: Params, grads: Params, state: Any, rate: float, decay: float = 0.0) -> State:
    t, m, v = state
    t = t + 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
    time = t.astype(jnp.float32)
    step = rate * jnp.sqrt(1 - 0.999**time) / (1 - 0.9**time)
    if decay:
        params = jax.tree.map(lambda p: p - rate * decay * p, params)
    return jax.tree.map(lambda p, m, v: p - step * m / (jnp.sqrt(v) + 1e-7), params, m, v), (t, m, v)


def _rmsprop(params: Params, grads: Params, state: Any, rate: float) -> State:
    t, m, v = state
    v = jax.tree.map(lambda v, g: 0.9 * v + 0.1 * g * g, v, grads)
    return jax.tree.map(lambda p, g, v: p - rate * g / jnp.sqrt(v + 1e-7), params, grads, v), (t, m, v)


def _sgd(params: Params, grads: Params, state: Any, rate: float) -> State:
    return jax.tree.map(lambda p, g: p - rate * g, params, grads), state


OPTIMIZERS: dict[str, Callable[[Params, Params, Any, float], State]] = {
    "adam": _adam,
    "adamw": partial(_adam, decay=DECAY),
    "rmsprop": _rmsprop,
    "sgd": _sgd,
}


def epoch_function(workload: Workload, unroll: int) -> Any:
    """The jitted epoch: (state, x, y, order) -> (state, mean loss, correct answers). A full batch needs no order:
    then the length of `order` is the number of epochs."""
    activation, loss = ACTIVATIONS[workload.hidden], LOSSES[workload.loss]
    update = OPTIMIZERS[workload.optimizer]
    full, batch = workload.batch >= workload.samples, workload.batch

    def objective(params: Params, x: Array, y: Array) -> tuple[Array, Array]:
        outputs = forward(params, x, activation)
        correct = (outputs.argmax(1) == y).sum() if workload.metrics else jnp.int32(0)
        return loss(outputs, y), correct

    def step(state: State, x: Array, y: Array) -> tuple[State, tuple[Array, Array]]:
        params, rest = state
        (value, correct), grads = jax.value_and_grad(objective, has_aux=True)(params, x, y)
        return update(params, grads, rest, workload.learning_rate), (value * len(x), correct)

    def epoch(state: State, x: Array, y: Array, order: Array) -> tuple[State, Array, Array]:
        if full:
            state, (values, correct) = lax.scan(lambda s, _: step(s, x, y), state, order, unroll=unroll)
            return state, values[-1] / len(x), correct[-1]
        whole = len(order) // batch * batch
        state, (values, correct) = lax.scan(
            lambda s, i: step(s, x[i], y[i]), state, order[:whole].reshape(-1, batch), unroll=unroll
        )
        total, right = values.sum(), correct.sum()
        if whole < len(order):
            state, (value, more) = step(state, x[order[whole:]], y[order[whole:]])
            total, right = total + value, right + more
        return state, total / len(order), right

    return jax.jit(epoch, donate_argnums=0)


class Training:
    """The compiled epoch with its state and its data."""

    def __init__(self, workload: Workload, x: NDArray[Any], y: NDArray[Any], unroll: int = 1) -> None:
        self.full = workload.batch >= workload.samples
        self.function = epoch_function(workload, unroll)
        self.x, self.y = jnp.asarray(x), jnp.asarray(y)
        self.rng = np.random.default_rng(0)
        self.state = start(workload)

    def epochs(self, count: int) -> tuple[float, float]:
        """Run `count` epochs; (seconds, mean loss of the last)."""
        begin, loss = time.perf_counter(), 0.0
        if self.full:
            self.state, value, _ = self.function(self.state, self.x, self.y, np.zeros(count, np.int32))
            loss = float(value)  # waits for the result
            return time.perf_counter() - begin, loss
        for _ in range(count):
            order = self.rng.permutation(len(self.x)).astype(np.int32)
            self.state, value, _ = self.function(self.state, self.x, self.y, order)
            loss = float(value)
        return time.perf_counter() - begin, loss


def train(workload: Workload, x: NDArray[Any], y: NDArray[Any]) -> Job:
    # Unrolling the scan helps where a step is short. A trial on separate programs decides.
    trials = {unroll: Training(workload, x, y, unroll) for unroll in (1, 4)}
    least = 20 if trials[1].full else 1
    for training in trials.values():
        training.epochs(least)  # which compiles it
    once = trials[1].epochs(least)[0]
    few = least * max(1, round(TRIAL / once))
    times = dict.fromkeys(trials, math.inf)
    for _ in range(3 if once < 2 * TRIAL else 1):  # in turn, because the speed of the machine varies
        for unroll, training in trials.items():
            times[unroll] = min(times[unroll], training.epochs(few)[0])
    unroll = min(times, key=times.__getitem__)
    training = trials[unroll]
    training.state = start(workload)
    del trials

    def run(count: int) -> float:
        return training.epochs(count)[0]

    return Job(lambda n: training.epochs(n)[1], run, f"unroll {unroll}")


def predict(workload: Workload, x: NDArray[Any], y: NDArray[Any]) -> Job:
    params, _ = start(workload)
    activation = ACTIVATIONS[workload.hidden]
    function = jax.jit(lambda p, x: jax.nn.softmax(forward(p, x, activation)))
    samples = batches(workload, x)
    expected = reference_predict(workload, x)

    def begin(_: int) -> float:
        answers = np.concatenate([np.asarray(function(params, s)) for s in samples])
        return float(np.abs(answers - expected).max())

    def run(calls: int) -> float:
        start = time.perf_counter()
        for i in range(calls):
            np.asarray(function(params, samples[i % len(samples)]))
        return time.perf_counter() - start

    return Job(begin, run)

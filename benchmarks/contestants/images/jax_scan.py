"""JAX on the image networks: channels last, one jitted function for a step, donated state, batches by index inside."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from benchmarks.contestants import Job
from benchmarks.contestants.images import Array as Images
from benchmarks.contestants.images import training
from benchmarks.contestants.jax_scan import LOSSES, OPTIMIZERS, optimizer_state
from benchmarks.network import (
    EPSILON,
    MOMENTUM,
    Beside,
    Conv,
    Deconv,
    Dense,
    Depthwise,
    Dropout,
    Flatten,
    GlobalPool,
    Part,
    Pool,
    Residual,
)
from benchmarks.networks import NETWORKS
from benchmarks.workload import Workload

LAYOUT = ("NHWC", "HWIO", "NHWC")


def _padding(same: bool) -> str:
    return "SAME" if same else "VALID"


class _Pass:
    """One pass in training. It takes the weights and the statistics in order, and collects new statistics."""

    def __init__(self, params: list[Array], statistics: list[Array], key: Array) -> None:
        self.params, self.statistics, self.key = iter(params), iter(statistics), key
        self.collected: list[Array] = []

    def chain(self, parts: tuple[Part, ...], x: Array) -> Array:
        for part in parts:
            x = self.part(part, x)
        return x

    def part(self, part: Part, x: Array) -> Array:
        match part:
            case Conv(relu=relu, six=six):
                x = self.convolution(part, x)
                return _activated(x, six) if relu else x
            case Deconv(stride=stride, relu=relu):
                kernel = next(self.params)
                x = lax.conv_transpose(
                    x, kernel, (stride, stride), "SAME", dimension_numbers=LAYOUT, transpose_kernel=True
                )
                x = x + next(self.params)
                return jax.nn.relu(x) if relu else x
            case Depthwise(six=six):
                return _activated(self.convolution(part, x), six)
            case Pool(same, size):
                return lax.reduce_window(
                    x, -jnp.inf, lax.max, (1, size, size, 1), (1, 2, 2, 1), _padding(same)
                )  # fmt: skip
            case GlobalPool():
                return x.mean((1, 2))
            case Flatten():
                return x.reshape(len(x), -1)
            case Dropout(rate):
                self.key, key = jax.random.split(self.key)
                return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)
            case Dense(relu=relu):
                x = x @ next(self.params) + next(self.params)
                return jax.nn.relu(x) if relu else x
            case Residual(body, shortcut, relu):
                inner = self.chain(body, x)
                total = inner + self.chain(shortcut, x)
                return jax.nn.relu(total) if relu else total
            case Beside(body):
                return jnp.concatenate([x, self.chain(body, x)], -1)

    def convolution(self, part: Conv | Depthwise, x: Array) -> Array:
        """A convolution of all channels or of each, and its normalization where it has one."""
        kernel, channels = next(self.params), x.shape[-1]
        alone = isinstance(part, Depthwise)
        x = lax.conv_general_dilated(
            x, kernel.swapaxes(2, 3) if alone else kernel, (part.stride,) * 2, _padding(part.same),
            dimension_numbers=LAYOUT, feature_group_count=channels if alone else 1,
        )  # fmt: skip
        if not part.normalized:
            return x + next(self.params)
        mean = x.mean((0, 1, 2))
        variance = jnp.square(x).mean((0, 1, 2)) - jnp.square(mean)
        for value in (mean, variance):
            self.collected.append(MOMENTUM * next(self.statistics) + (1 - MOMENTUM) * value)
        scale = lax.rsqrt(variance + EPSILON) * next(self.params)
        return x * scale + (next(self.params) - mean * scale)


def _activated(x: Array, six: bool) -> Array:
    return jnp.clip(x, 0, 6) if six else jax.nn.relu(x)


def _split(workload: Workload) -> tuple[list[Array], list[Array]]:
    """The initial weights that are trained, and the statistics of normalizations."""
    network = NETWORKS[workload.network]
    params: list[Any] = []
    statistics: list[Any] = []
    rest: Iterator[Any] = iter(network.weights())
    for step in network.steps():
        match step.part:
            case Conv(normalized=True) | Depthwise(normalized=True):
                params += [next(rest) for _ in range(3)]
                statistics += [next(rest) for _ in range(2)]
            case Conv() | Deconv() | Depthwise() | Dense():
                params += [next(rest) for _ in range(2)]
    assert next(rest, None) is None
    return [jnp.array(w) for w in params], [jnp.array(w) for w in statistics]


def images(workload: Workload, x: Images, y: Images) -> Job:
    network, loss = NETWORKS[workload.network], LOSSES[workload.loss]

    def objective(params: list[Array], carried: Any, x: Array, y: Array) -> Any:
        statistics, key = carried
        key, used = jax.random.split(key)
        made = _Pass(params, statistics, used)
        return loss(made.chain(network.parts, x), x if network.restores else y), (made.collected, key)

    params, statistics = _split(workload)
    return stepped(workload, x, y, objective, params, (statistics, jax.random.key(0)))


def stepped(workload: Workload, x: Images, y: Images, objective: Any, params: Any, carried: Any = ()) -> Job:
    """A training by steps. `objective(params, carried, x, y)` returns the loss and what it carries to the next step."""

    def step(state: Any, x: Array, y: Array, index: Array) -> tuple[Any, Array]:
        params, rest, carried = state
        (value, carried), grads = jax.value_and_grad(objective, has_aux=True)(params, carried, x[index], y[index])
        params, rest = OPTIMIZERS[workload.optimizer](params, grads, rest, workload.learning_rate)
        return (params, rest, carried), value * len(index)

    jitted = jax.jit(step, donate_argnums=0)
    state = (params, optimizer_state(params), carried)
    inputs = jnp.asarray(x)
    targets = inputs if y is x else jnp.asarray(y)
    rng = np.random.default_rng(0)

    def epochs(count: int, number: int) -> tuple[list[float], float]:
        nonlocal state
        times, mean = [time.perf_counter()], 0.0
        for _ in range(number):
            order, total = rng.permutation(count).astype(np.int32), jnp.float32(0)
            for start in range(0, count, workload.batch):
                state, value = jitted(state, inputs, targets, order[start : start + workload.batch])
                total = total + value
            mean = float(total) / count  # waits for the result
            times.append(time.perf_counter())
        return times, mean

    return training(workload, epochs, "jitted step", untimed=0)

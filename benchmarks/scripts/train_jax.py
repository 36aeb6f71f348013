"""The complete program in JAX, with a jitted epoch: python train_jax.py x.npy y.npy epochs."""

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

BATCH = 32
x, y = (jnp.asarray(np.load(path, mmap_mode="r")) for path in sys.argv[1:3])
rng = np.random.default_rng()


def glorot(fan_in: int, fan_out: int) -> Any:
    limit = np.sqrt(6 / (fan_in + fan_out))
    return jnp.asarray(rng.uniform(-limit, limit, (fan_in, fan_out)), jnp.float32), jnp.zeros(fan_out)


def objective(params: Any, x: Any, y: Any) -> Any:
    for kernel, bias in params[:-1]:
        x = jax.nn.relu(x @ kernel + bias)
    logits = x @ params[-1][0] + params[-1][1]
    loss = -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1).mean()
    return loss, (logits.argmax(1) == y).sum()


def step(state: Any, x: Any, y: Any) -> Any:
    params, t, m, v = state
    (loss, correct), grads = jax.value_and_grad(objective, has_aux=True)(params, x, y)
    t = t + 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
    rate = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-7), params, m, v)
    return (params, t, m, v), (loss, correct)


def epoch(state: Any, x: Any, y: Any, order: Any) -> Any:
    state, (losses, correct) = jax.lax.scan(lambda s, i: step(s, x[i], y[i]), state, order.reshape(-1, BATCH))
    return state, losses.mean(), correct.sum()


epoch = jax.jit(epoch, donate_argnums=0)
params = [glorot(a, b) for a, b in ((784, 64), (64, 64), (64, 10))]
state = params, jnp.float32(0), jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params)
loss = float("nan")
for _ in range(int(sys.argv[3])):
    order = rng.permutation(len(x)).astype(np.int32)
    state, loss, correct = epoch(state, x, y, order[: len(x) // BATCH * BATCH])
print(float(loss))

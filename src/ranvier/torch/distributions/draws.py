"""Random numbers of distributions, from the generator that ``torch.manual_seed`` seeds.

Gradients of gamma variates by their shape are implicit ones: minus the derivative of the distribution function by the
shape, over the density (Figurnov et al., "Implicit Reparameterization Gradients", 2018).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier.graph.dtypes import as_array, widened
from ranvier.ops import arrays, vocabulary
from ranvier.ops.draws import drawn_tensor
from ranvier.ops.torch.random import drawer_of
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import state


def drawn(make: Callable[[np.random.Generator], Any], dtype: str) -> Tensor:
    """What a function draws from NumPy's generator of the process, as a tensor."""
    return drawn_tensor(make(drawer_of(None)), dtype)


def parameter(x: Tensor) -> Any:
    """The values of a tensor, to compare draws with: in a traced step they are not known yet."""
    return x.detach() if state.tracing else array(x)


def array(x: Tensor) -> Any:
    """The values of a tensor in float64."""
    return np.asarray(widened(x.detach().compute()), np.float64)


def normal(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Standard normal numbers."""
    return drawn(lambda source: source.standard_normal(shape), like.dtype)


def uniform(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Uniform numbers above 0 and below 1."""
    smallest = np.finfo(np.float32).tiny
    clip: Any = arrays.clip if state.tracing else np.clip
    return drawn(lambda source: clip(source.random(shape), smallest, 1 - 2.0**-24), like.dtype)


def gamma(concentration: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Gamma variates of rate 1, with the gradient by their shapes, ``concentration``."""
    alpha = np.broadcast_to(array(concentration), shape)
    value = np.maximum(drawer_of(None).standard_gamma(alpha), np.finfo(np.float32).tiny)
    result = Tensor.wrap(as_array(value, concentration.dtype))
    if not (concentration.requires_grad and state.grad_enabled):
        return result
    slope = Tensor.wrap(as_array(gamma_slope(alpha, value), concentration.dtype))
    change: Tensor = slope * (concentration - concentration.detach())  # 0, with the gradient
    return result + change


def gamma_slope(alpha: Any, x: Any) -> Any:
    """The derivative of a gamma variate by its shape, where its probability stays: arrays in float64.

    The distribution function is the sum of t(n) = x**(alpha + n) * exp(-x) / gamma(alpha + n + 1), and its derivative
    by alpha that of t(n) * (log(x) - digamma(alpha + n + 1)).
    """
    lgamma, digamma = (
        vocabulary.find("torch", name)(Tensor(alpha + 1, dtype="float64")).numpy() for name in ("lgamma", "digamma")
    )
    log = np.log(x)
    term = np.exp(alpha * log - x - lgamma)
    density = np.exp((alpha - 1) * log - x - lgamma + np.log(alpha))
    total, n = term * (log - digamma), 0
    while n < 100_000:
        n += 1
        digamma = digamma + 1 / (alpha + n)
        term = term * (x / (alpha + n))
        total = total + term * (log - digamma)
        if (n > x).all() and (term <= 1e-18 * density).all():
            break
    return -total / density

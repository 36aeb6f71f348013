"""``torch.nn.utils``: gradient clipping, parameters as one vector, sequences of several lengths."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from ranvier.graph.node import Node
from ranvier.ops import arrays
from ranvier.ops.arrays.promotion import as_node
from ranvier.support.errors import missing
from ranvier.tensor.context import no_grad
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor
from ranvier.torch.nn.utils import parametrizations, parametrize, prune, rnn
from ranvier.torch.nn.utils.normed import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm

__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "parameters_to_vector", "parametrizations", "parametrize", "prune",
    "remove_spectral_norm", "remove_weight_norm", "rnn", "spectral_norm", "vector_to_parameters", "weight_norm",
]  # fmt: skip


@function
def clip_norm(grads: Sequence[Node], max_norm: float, norm_type: float) -> tuple[Node, ...]:
    """The norm of all gradients together, and the gradients scaled so that it is at most ``max_norm``."""
    norms = [arrays.norm(g, ord=norm_type) for g in grads]
    total = arrays.norm(arrays.stack(norms), ord=norm_type)
    factor = arrays.minimum(arrays.divide(max_norm, arrays.add(total, 1e-6)), 1.0)
    return (total, *(arrays.multiply(g, as_node(factor, g.dtype)) for g in grads))


def _with_gradient(parameters: Any) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p for p in given if p.grad is not None]


def clip_grad_norm_(parameters: Any, max_norm: float, norm_type: float = 2.0) -> Tensor:
    """Scale the gradients so that the norm of all together is at most ``max_norm``; returns the norm before."""
    chosen = _with_gradient(parameters)
    if not chosen:
        return Tensor(0.0)
    with no_grad():
        total, *clipped = clip_norm([p.grad for p in chosen], float(max_norm), float(norm_type))
    for parameter, grad in zip(chosen, clipped, strict=True):
        parameter.grad = grad
    return total


def clip_grad_value_(parameters: Any, clip_value: float) -> None:
    """Clip every element of the gradients to [-clip_value, clip_value]."""
    with no_grad():
        for parameter in _with_gradient(parameters):
            parameter.grad = arrays.clip(parameter.grad, -float(clip_value), float(clip_value))


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters, flattened and concatenated."""
    return arrays.concatenate([arrays.flatten(p) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Overwrite the parameters from a vector of `parameters_to_vector`."""
    values, start = vec.numpy(), 0
    for parameter in parameters:
        stop = start + math.prod(parameter.shape)
        parameter.assign(values[start:stop].reshape(parameter.shape))
        start = stop


_NAMED = {name: f"{__name__}.{name}" for name in ("clip_grad", "convert_parameters")}
__getattr__, __dir__ = missing("torch.nn.utils", __all__, _NAMED)

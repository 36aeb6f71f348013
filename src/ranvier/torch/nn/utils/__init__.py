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
from ranvier.torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_conv_bn_weights, fuse_linear_bn_eval
from ranvier.torch.nn.utils.normed import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm

__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "fuse_conv_bn_eval", "fuse_conv_bn_weights",
    "fuse_linear_bn_eval", "get_total_norm", "parameters_to_vector", "parametrizations", "parametrize", "prune",
    "remove_spectral_norm", "remove_weight_norm", "rnn", "skip_init", "spectral_norm", "vector_to_parameters",
    "weight_norm",
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


def get_total_norm(
    tensors: Any, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """The norm of all tensors together. With ``error_if_nonfinite`` raises RuntimeError where it is inf or nan."""
    del foreach
    given = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if not given:
        return Tensor(0.0)
    with no_grad():
        total: Tensor = clip_norm(given, 1.0, float(norm_type))[0]
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(f"the total norm is {total.item()}. Write error_if_nonfinite=False to go on all the same.")
    return total


def clip_grads_with_norm_(parameters: Any, max_norm: float, total_norm: Tensor, foreach: bool | None = None) -> None:
    """Scale the gradients by ``max_norm / total_norm`` where that is below 1."""
    del foreach
    with no_grad():
        factor = arrays.minimum(arrays.divide(float(max_norm), arrays.add(total_norm, 1e-6)), 1.0)
        for parameter in _with_gradient(parameters):
            parameter.grad = arrays.multiply(parameter.grad, factor)


def skip_init(module_cls: Any, *args: Any, **kwargs: Any) -> Any:
    """The module of this class and these arguments; its initial weights, which you set, are made all the same."""
    kwargs.pop("device", None)
    return module_cls(*args, **kwargs)


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
_NAMED["clip_grad_norm"] = f"{__name__}:clip_grad_norm_"  # the name of before
__getattr__, __dir__ = missing("torch.nn.utils", __all__, _NAMED)

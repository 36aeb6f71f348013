"""Batch normalization as part of the convolution or the linear layer before it, for evaluation."""

from __future__ import annotations

import copy
from typing import Any

from ranvier.module import Parameter
from ranvier.tensor.context import no_grad


def fuse_conv_bn_weights(
    conv_w: Any, conv_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any, transpose: bool = False
) -> tuple[Parameter, Parameter]:
    """Weight and bias of a convolution that also normalizes, from those of both and the running statistics.

    ``transpose`` says that output channels are in the weight's second dimension.
    """
    with no_grad():
        factor = (bn_rv + bn_eps).rsqrt()
        factor = factor if bn_w is None else factor * bn_w
        bias = -bn_rm if conv_b is None else conv_b - bn_rm
        bias = bias * factor if bn_b is None else bias * factor + bn_b
        ends = (1, -1) if transpose else (-1, 1)
        weight = conv_w * factor.reshape(*ends, *(1,) * (conv_w.ndim - 2))
    trained = conv_w.requires_grad if conv_b is None else conv_b.requires_grad
    return Parameter(weight.detach(), conv_w.requires_grad), Parameter(bias.detach(), trained)


def _fused(module: Any, bn: Any, transpose: bool) -> Any:
    if module.training or bn.training or bn.running_mean is None:
        raise ValueError(
            f"{type(module).__name__} and {type(bn).__name__} are fused for evaluation, with running statistics. Write "
            "eval() of both before instead."
        )
    fused = copy.deepcopy(module)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        module.weight, module.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A copy of a convolution that also does what the batch normalization after it does in evaluation.

    Raises ValueError where one of them is training, or has no running statistics.
    """
    return _fused(conv, bn, transpose)


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A copy of a linear layer that also does what the batch normalization after it does in evaluation."""
    return _fused(linear, bn, False)

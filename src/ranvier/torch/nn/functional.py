"""``torch.nn.functional``: the functions of networks, with PyTorch's argument names and defaults."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from ranvier import functional, numeric
from ranvier.functional import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    huber_loss,
    kl_div,
    l1_loss,
    linear,
    mse_loss,
    smooth_l1_loss,
)
from ranvier.functional.normalization import layer_standardize, moved, normalize_batch, standardize
from ranvier.graph.node import GraphError
from ranvier.module.names import missing
from ranvier.numeric import sigmoid, tanh
from ranvier.seed import draw
from ranvier.tensor import Tensor, no_grad
from ranvier.torch.nn.labels import check_classes, check_labels
from ranvier.torch.nn.spatial import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    dropout1d,
    dropout2d,
    dropout3d,
    group_norm,
    instance_norm,
    interpolate,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    pad,
    pixel_shuffle,
    pixel_unshuffle,
    rms_norm,
)
from ranvier.torch.operations import log_softmax, softmax

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "adaptive_max_pool3d", "alpha_dropout", "avg_pool1d", "avg_pool2d", "avg_pool3d",
    "batch_norm", "binary_cross_entropy", "binary_cross_entropy_with_logits", "conv1d", "conv2d", "conv3d",
    "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "cosine_similarity", "cross_entropy", "dropout",
    "dropout1d", "dropout2d", "dropout3d", "elu", "embedding", "feature_alpha_dropout", "gelu", "group_norm",
    "hardsigmoid", "hardswish", "hardtanh", "huber_loss", "instance_norm", "interpolate", "kl_div", "l1_loss",
    "layer_norm", "leaky_relu", "linear", "log_softmax", "logsigmoid", "max_pool1d", "max_pool2d", "max_pool3d",
    "mish", "mse_loss", "nll_loss", "normalize", "one_hot", "pad", "pixel_shuffle", "pixel_unshuffle", "relu",
    "relu6", "rms_norm", "selu", "sigmoid", "silu", "smooth_l1_loss", "softmax", "softmin", "softplus",
    "softsign", "tanh",
]  # fmt: skip


def _accepting_inplace(function: Any) -> Any:
    """A function of one tensor that takes ``inplace``, which changes nothing: no memory is written twice anyway."""

    def activation(input: Any, inplace: bool = False) -> Any:
        return function(input)

    activation.__name__, activation.__doc__ = function.__name__, function.__doc__
    return activation


relu, relu6, selu, silu, mish = (
    _accepting_inplace(f)
    for f in (functional.relu, functional.relu6, functional.selu, functional.silu, functional.mish)
)
hardsigmoid, hardswish = (_accepting_inplace(f) for f in (functional.hard_sigmoid, functional.hard_silu))
softsign = functional.softsign
logsigmoid = functional.log_sigmoid


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """``x`` where positive, else ``negative_slope * x``."""
    return functional.leaky_relu(input, negative_slope)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """``x`` where positive, else ``alpha * (exp(x) - 1)``."""
    return functional.elu(input, alpha)


def gelu(input: Any, approximate: str = "none") -> Any:
    """``x * Phi(x)``, exact, or with ``approximate="tanh"`` by the formula with tanh."""
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu knows no approximation {approximate!r}. Write 'none' or 'tanh' instead.")
    return functional.gelu(input, approximate == "tanh")


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """``log(1 + exp(beta * x)) / beta``, stable for any x; ``threshold`` has nothing left to guard."""
    return functional.softplus(input, beta)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """``x`` kept within [min_val, max_val]."""
    return functional.hard_tanh(input, min_val, max_val)


def softmin(input: Any, dim: int) -> Any:
    """`softmax` of ``-x``."""
    return functional.softmax(numeric.negative(input), dim)


def share(p: Any, what: str) -> float:
    """A dropout probability as a float; raises ValueError naming what was given it."""
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
        raise ValueError(f"{what} with p={p!r}. Write a share from 0 to 1 instead.")
    return float(p)


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """While training, a share of ``p`` of the elements set to zero and the rest divided by ``1 - p``."""
    p = share(p, "dropout")
    return functional.dropout(input, *draw(), rate=p) if training and p else input


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """`dropout` to where `selu` saturates, scaled and shifted so that mean 0 and variance 1 stay so."""
    p = share(p, "alpha_dropout")
    return functional.alpha_dropout(input, *draw(), rate=p) if training and p else input


def feature_alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """`alpha_dropout` of whole features: of (batch, features, ...), a feature in all of the rest."""
    p = share(p, "feature_alpha_dropout")
    if not training or not p:
        return input
    shape = (None,) * 2 + (1,) * (input.ndim - 2)
    return functional.alpha_dropout(input, *draw(), rate=p, noise_shape=shape)


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Each feature (dimension 1) at mean 0 and variance 1, then ``* weight + bias``; see ``torch.nn.BatchNorm1d``.

    While training the batch's statistics are used, and the running ones, unless None, move toward them in place.
    """
    if not training:
        return standardize(input, running_mean, running_var, weight, bias, 1, float(eps))
    y, *own = normalize_batch(input, weight, bias, 1, float(eps))
    if running_mean is not None:
        with no_grad():
            after = moved(running_mean, running_var, *own, input, None, 1, float(momentum), True)
        for tensor, value in zip((running_mean, running_var), after, strict=True):
            tensor.assign(value)
    return y


def layer_norm(
    input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Each sample at mean 0 and variance 1 over the last dimensions, ``normalized_shape``, then ``* weight + bias``."""
    shape = tuple(normalized_shape)
    if tuple(input.shape[-len(shape) :]) != shape:
        raise GraphError(f"its last dimensions are not the normalized_shape {shape}")
    return layer_standardize(input, weight, bias, axes=tuple(range(-len(shape), 0)), epsilon=float(eps))


def _labelled(function: Any) -> Any:
    """A loss of scores and labels that refuses labels out of range."""

    @functools.wraps(function)
    def checked(input: Any, target: Any, weight: Any = None, *others: Any, **options: Any) -> Any:
        check_labels(input, target, others[0] if others else options.get("ignore_index", -100))
        return function(input, target, weight, *others, **options)

    return checked


cross_entropy, nll_loss = _labelled(functional.cross_entropy), _labelled(functional.nll_loss)


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """1 at each index along a new last dimension, 0 elsewhere; int32. By default up to the largest index."""
    classes = int(numeric.max(tensor).item()) + 1 if num_classes < 0 else num_classes
    if isinstance(tensor, Tensor) and tensor.value is not None:
        check_classes(tensor.value, classes)
    return functional.one_hot(tensor, classes, "int32")


def embedding(input: Any, weight: Any) -> Any:
    """The rows of ``weight`` at integer indices of any shape."""
    return functional.embedding(input, weight)


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """``x`` divided by its p-norm along ``dim`` (at least ``eps``)."""
    return functional.normalize(input, p, dim, eps)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between vectors along ``dim``."""
    return functional.cosine_similarity(x1, x2, dim, eps)


__getattr__ = missing("torch.nn.functional", __all__, hints={"bilinear": "linear", "upsample": "interpolate"})

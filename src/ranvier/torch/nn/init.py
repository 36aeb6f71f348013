"""``torch.nn.init``: overwrite a tensor with initial values, and return it.

Fans are PyTorch's: a weight of shape (out, in) has ``in`` inputs and ``out`` outputs.
"""

from __future__ import annotations

import math
from typing import Any

from ranvier import initializers
from ranvier.support.errors import missing
from ranvier.tensor.context import no_grad
from ranvier.tensor.tensor import Tensor

__all__ = [
    "calculate_gain", "constant_", "dirac_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_",
    "orthogonal_", "sparse_", "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip

_GAINS = {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
_LINEAR = ("linear", "sigmoid", "conv1d", "conv2d", "conv3d")


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which a nonlinearity needs wider initial weights."""
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity in _LINEAR:
        return 1.0
    if nonlinearity not in _GAINS:
        raise ValueError(f"no gain is known for {nonlinearity!r}. Write one of {', '.join((*_GAINS, *_LINEAR))}.")
    return _GAINS[nonlinearity]


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """The number of inputs of each output, and of outputs of each input; PyTorch's programs use this private name."""
    if tensor.shape == (0,):
        raise ValueError(
            "a weight without elements: its module has no inputs yet, as those of nn.LazyLinear. Call the network once "
            "on a batch before."
        )
    if tensor.ndim < 2:
        raise ValueError(
            f"a tensor of shape {tensor.shape} has no inputs and outputs. Write uniform_ or normal_ instead."
        )
    receptive = math.prod(tensor.shape[2:])
    return tensor.shape[1] * receptive, tensor.shape[0] * receptive


def _set(tensor: Tensor, values: Any) -> Tensor:
    with no_grad():  # the tensor may be a view of a parameter
        tensor.assign(values)
    return tensor


def _drawn(tensor: Tensor, initializer: Any) -> Tensor:
    return _set(tensor, initializer(tensor.shape, tensor.dtype))


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Uniform in [a, b)."""
    return _drawn(tensor, initializers.RandomUniform(a, b))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Normal, of the given mean and standard deviation."""
    return _drawn(tensor, initializers.RandomNormal(mean, std))


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> Tensor:
    """Normal, of the given mean and standard deviation; values outside [a, b] are drawn again."""
    generator = initializers.RandomNormal().generator()
    values = generator.normal(mean, std, tensor.shape)
    while (outside := (values < a) | (values > b)).any():
        values[outside] = generator.normal(mean, std, int(outside.sum()))
    return _set(tensor, values)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """One value everywhere."""
    return _drawn(tensor, initializers.Constant(val))


def zeros_(tensor: Tensor) -> Tensor:
    """Zero everywhere."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """One everywhere."""
    return constant_(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix."""
    import numpy as np

    return _set(tensor, np.eye(*tensor.shape))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Kernels (out, in, positions...) that pass each channel through, in each of ``groups``."""
    import numpy as np

    if tensor.ndim not in (3, 4, 5) or tensor.shape[0] % groups:
        raise ValueError(
            f"a tensor of shape {tensor.shape} holds no kernels of {groups} groups. Write one of 3 to 5 dimensions, "
            "the first of which the groups divide, instead."
        )
    values, each = np.zeros(tensor.shape), tensor.shape[0] // groups
    centre = tuple(d // 2 for d in tensor.shape[2:])
    for group in range(groups):
        for channel in range(min(each, tensor.shape[1])):
            values[(group * each + channel, channel, *centre)] = 1
    return _set(tensor, values)


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01) -> Tensor:
    """Normal with the deviation ``std``; the fraction ``sparsity`` of each column is 0 (Martens, 2010)."""
    import numpy as np

    if tensor.ndim != 2:
        raise ValueError(f"a tensor of shape {tensor.shape} is no matrix. Write one of two dimensions instead.")
    generator = initializers.RandomNormal().generator()
    values = generator.normal(0.0, std, tensor.shape)
    order = generator.permuted(np.tile(np.arange(tensor.shape[0])[:, None], tensor.shape[1]), axis=0)
    values[order < math.ceil(sparsity * tensor.shape[0])] = 0
    return _set(tensor, values)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Uniform within ``gain * sqrt(6 / (inputs + outputs))`` (Glorot and Bengio, 2010)."""
    bound = gain * math.sqrt(6 / sum(_calculate_fan_in_and_fan_out(tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Normal with the deviation ``gain * sqrt(2 / (inputs + outputs))`` (Glorot and Bengio, 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(_calculate_fan_in_and_fan_out(tensor))))


def _kaiming(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode {mode!r} does not exist. Write 'fan_in' or 'fan_out' instead.")
    return calculate_gain(nonlinearity, a) / math.sqrt(_calculate_fan_in_and_fan_out(tensor)[mode == "fan_out"])


def kaiming_uniform_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Uniform within ``gain * sqrt(3 / fan)`` (He et al., 2015)."""
    bound = math.sqrt(3) * _kaiming(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Normal with the deviation ``gain / sqrt(fan)`` (He et al., 2015)."""
    return normal_(tensor, 0.0, _kaiming(tensor, a, mode, nonlinearity))


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Orthonormal rows or columns, times ``gain`` (Saxe et al., 2014)."""
    return _drawn(tensor, initializers.Orthogonal(gain))


_OLDER = (  # names of before, which end in no underscore
    "constant", "dirac", "eye", "kaiming_normal", "kaiming_uniform", "normal", "orthogonal", "sparse", "uniform",
    "xavier_normal", "xavier_uniform",
)  # fmt: skip
__getattr__, __dir__ = missing("torch.nn.init", __all__, {name: f"ranvier.torch.nn.init:{name}_" for name in _OLDER})

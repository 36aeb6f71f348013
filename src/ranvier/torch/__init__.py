"""The PyTorch vocabulary: ``import ranvier.torch as torch``.

Names, arguments and defaults are PyTorch's; modules and tensors are those of `ranvier`. There is one device, the
processor, and one integer dtype for computing, int32: ``torch.int64`` and ``torch.long`` are names of it.
"""

import math
from typing import Any

from ranvier.engines.native.runtime import get_threads as get_num_threads
from ranvier.engines.native.runtime import set_threads as set_num_threads
from ranvier.modes import get_dtype, no_grad, set_dtype
from ranvier.module.names import missing
from ranvier.seed import set_seed
from ranvier.tensor import Tensor
from ranvier.torch import autograd, creation, cuda, dtypes, nn, operations, optim, utils
from ranvier.torch.autograd import enable_grad, is_grad_enabled, set_grad_enabled
from ranvier.torch.creation import *  # noqa: F403  # its __all__ is the list
from ranvier.torch.device import device
from ranvier.torch.dtypes import *  # noqa: F403
from ranvier.torch.files import load, save
from ranvier.torch.operations import *  # noqa: F403
from ranvier.torch.random import Generator

__all__ = [
    "Generator", "Tensor", "autograd", "cuda", "device", "enable_grad", "get_default_dtype", "get_num_threads", "inf",
    "inference_mode", "is_grad_enabled", "load", "manual_seed", "nan", "nn", "no_grad", "optim", "pi", "save",
    "set_default_dtype", "set_grad_enabled", "set_num_threads", "utils",
]  # fmt: skip
__all__ += creation.__all__
__all__ += dtypes.__all__
__all__ += operations.__all__

inference_mode = no_grad
inf, nan, pi = math.inf, math.nan, math.pi
get_default_dtype, set_default_dtype = get_dtype, set_dtype


def manual_seed(seed: Any) -> None:
    """Make everything random from here on a function of ``seed``: the same as ``rv.set_seed(seed)``."""
    set_seed(seed)


__getattr__, __dir__ = missing("torch", __all__, hints={"bilinear": "nn.functional.linear"})

"""The PyTorch vocabulary: ``import ranvier.torch as torch``.

Names, arguments and defaults are PyTorch's; modules and tensors are those of `ranvier`. There is one device, the
processor.

``input`` and ``other`` are tensors of any shape, which broadcast; ``dim`` is a dimension, counted from the end where it
is negative; ``keepdim`` leaves a dimension of 1 in place of a reduced one; ``dtype`` is that of the result; ``out``
takes the result; a name that ends in ``_`` changes the tensor itself. Arguments that do not fit raise ValueError or
TypeError, with what to write instead.
"""

import math

from ranvier.engines.native.runtime.threads import get_threads as get_num_threads
from ranvier.engines.native.runtime.threads import set_threads as set_num_threads
from ranvier.ops import vocabulary
from ranvier.ops.torch import dtypes, missing_names, tensor_types
from ranvier.ops.torch.creation import strided
from ranvier.ops.torch.device import device
from ranvier.ops.torch.dtypes import *  # noqa: F403 - their __all__ is the vocabulary
from ranvier.ops.torch.random import Generator, default_generator
from ranvier.ops.torch.tensor_types import *  # noqa: F403 - their __all__ is the vocabulary
from ranvier.support.errors import lacking, missing
from ranvier.tensor.attribute_types import DType as dtype  # noqa: N813 - PyTorch's name
from ranvier.tensor.attribute_types import Printing, Size
from ranvier.tensor.context import no_grad, set_dtype
from ranvier.torch import (
    accelerator,
    amp,
    autograd,
    backends,
    cuda,
    distributed,
    distributions,
    func,
    jit,
    linalg,
    module_names,
    multiprocessing,
    nn,
    onnx,
    optim,
    random,
    settings,
    special,
    testing,
    types,
    utils,
    version,
)
from ranvier.torch.amp import autocast
from ranvier.torch.autograd import (
    enable_grad,
    inference_mode,
    is_anomaly_enabled,
    is_grad_enabled,
    is_inference_mode_enabled,
    set_grad_enabled,
)
from ranvier.torch.files import load, save
from ranvier.torch.func import vmap
from ranvier.torch.limits import finfo, iinfo
from ranvier.torch.settings import *  # noqa: F403 - their __all__ is the vocabulary

__all__ = [
    "Generator", "Size", "accelerator", "amp", "autocast", "autograd", "backends", "cuda", "default_generator",
    "device", "distributed", "distributions", "dtype", "e", "enable_grad", "finfo", "func", "get_num_threads",
    "iinfo", "inf", "inference_mode", "is_anomaly_enabled", "is_grad_enabled", "is_inference_mode_enabled", "jit",
    "linalg", "load",
    "multiprocessing", "nan", "newaxis", "nn", "no_grad", "onnx", "optim", "pi", "random", "save",
    "set_default_dtype", "set_grad_enabled", "set_num_threads", "special", "strided", "testing", "types", "utils",
    "version", "vmap",
]  # fmt: skip
__all__ += [*dtypes.__all__, *tensor_types.__all__, *settings.__all__, *vocabulary.names("torch")]  # noqa: PLE0604 - the table's

inf, nan, pi, e = math.inf, math.nan, math.pi, math.e
newaxis = None
set_default_dtype = set_dtype

__version__ = version.__version__

Printing.as_pytorch = True
lacking["torch"] = missing_names.NAMES
module_names.install()
__getattr__, __dir__ = missing("torch", __all__, made=vocabulary.maker("torch"))

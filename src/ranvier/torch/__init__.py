"""The PyTorch vocabulary: ``import ranvier.torch as torch``.

Names, arguments and defaults are PyTorch's; modules and tensors are those of `ranvier`. There is one device, the
processor, and one integer dtype for computing, int32: ``torch.int64`` and ``torch.long`` are names of it.
"""

import math

from ranvier.engines.native.runtime.threads import get_threads as get_num_threads
from ranvier.engines.native.runtime.threads import set_threads as set_num_threads
from ranvier.ops.torch import (
    arguments,
    creation,
    dtypes,
    elementwise,
    indexing,
    reductions,
    renamed,
    shape,
    tensor_methods,
    tensor_types,
)
from ranvier.ops.torch.arguments import *  # noqa: F403 - their __all__ is the vocabulary
from ranvier.ops.torch.creation import *  # noqa: F403 - their __all__ is the vocabulary
from ranvier.ops.torch.device import device
from ranvier.ops.torch.dtypes import *  # noqa: F403 - their __all__ is the vocabulary
from ranvier.ops.torch.elementwise import *  # noqa: F403 - their __all__ is the vocabulary
from ranvier.ops.torch.indexing import *  # noqa: F403 - their __all__ is the vocabulary
from ranvier.ops.torch.random import *  # noqa: F403 - their __all__ is the vocabulary
from ranvier.ops.torch.reductions import *  # noqa: F403 - their __all__ is the vocabulary
from ranvier.ops.torch.renamed import *  # noqa: F403 - their __all__ is the vocabulary
from ranvier.ops.torch.shape import *  # noqa: F403 - their __all__ is the vocabulary
from ranvier.ops.torch.tensor_types import *  # noqa: F403 - their __all__ is the vocabulary
from ranvier.support import version
from ranvier.support.errors import missing
from ranvier.tensor.context import get_dtype, no_grad, set_dtype
from ranvier.torch import (
    accelerator,
    amp,
    autograd,
    backends,
    cuda,
    inplace,
    linalg,
    missing_names,
    nn,
    optim,
    random,
    settings,
    utils,
)
from ranvier.torch.amp import autocast
from ranvier.torch.autograd import enable_grad, inference_mode, is_grad_enabled, set_grad_enabled
from ranvier.torch.files import load, save
from ranvier.torch.inplace import *  # noqa: F403 - their __all__ is the vocabulary
from ranvier.torch.nn.functional import (
    adaptive_avg_pool1d,
    alpha_dropout,
    avg_pool1d,
    bilinear,
    celu,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    cosine_similarity,
    dropout,
    embedding,
    feature_alpha_dropout,
    hardshrink,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    pairwise_distance,
    pixel_shuffle,
    pixel_unshuffle,
    prelu,
    selu,
    threshold,
)
from ranvier.torch.settings import *  # noqa: F403 - their __all__ is the vocabulary

__all__ = [
    "Size", "accelerator", "adaptive_avg_pool1d", "alpha_dropout", "amp", "autocast", "autograd",
    "avg_pool1d", "backends", "bilinear", "celu", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
    "conv_transpose2d", "conv_transpose3d", "cosine_similarity", "cuda", "det", "device", "dropout", "dtype",
    "e", "embedding", "enable_grad", "feature_alpha_dropout", "get_default_dtype", "get_num_threads",
    "hardshrink", "inf", "inference_mode", "inverse", "is_grad_enabled", "linalg", "load", "matrix_power",
    "max_pool1d", "max_pool2d", "max_pool3d", "nan", "nn", "no_grad", "optim", "pairwise_distance", "pi",
    "pinverse", "pixel_shuffle", "pixel_unshuffle", "prelu", "random", "save", "selu", "set_default_dtype",
    "set_grad_enabled", "set_num_threads", "threshold", "utils",
]  # fmt: skip
for _part in (
    reductions, shape, inplace, indexing, creation, dtypes, elementwise, tensor_types, arguments, random, renamed,
    settings,
):  # fmt: skip
    __all__ += _part.__all__

tensor_methods.attach()
missing_names.attach()

__version__ = f"2.0.0+ranvier.{version.__version__}"  # programs may require PyTorch 2
inverse, det, pinverse, matrix_power = linalg.inv, linalg.det, linalg.pinv, linalg.matrix_power
inf, nan, pi, e = math.inf, math.nan, math.pi, math.e
get_default_dtype, set_default_dtype = get_dtype, set_dtype
Size, dtype = tuple, str  # the types of x.shape and x.dtype


__getattr__, __dir__ = missing(globals(), "torch", __all__)

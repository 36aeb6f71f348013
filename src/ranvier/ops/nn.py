"""Keras's ``ops.nn``: those operations of `ranvier.ops` that networks are made of."""

from typing import Any

from ranvier.ops.keras import images  # which makes some of them
from ranvier.ops.keras.elementwise import OPERATIONS
from ranvier.support.errors import missing

NAMES = (
    "adaptive_average_pool", "adaptive_max_pool", "average_pool", "batch_normalization", "binary_crossentropy",
    "categorical_crossentropy", "celu", "conv", "conv_transpose", "depth_to_space", "depthwise_conv",
    "dot_product_attention", "elu", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish",
    "hard_tanh", "layer_normalization", "leaky_relu", "log_sigmoid", "log_softmax", "max_pool", "moments",
    "multi_hot", "normalize", "one_hot", "psnr", "relu", "relu6", "rms_normalization", "selu", "separable_conv",
    "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign", "space_to_depth",
    "sparse_categorical_crossentropy", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "swish",
    "tanh_shrink", "threshold",
)  # fmt: skip
_KNOWN: dict[str, Any] = {name: OPERATIONS[name] for name in NAMES}
globals().update(_KNOWN)
del images

__all__ = sorted(_KNOWN)  # noqa: PLE0605  # what the table holds

__getattr__, __dir__ = missing(globals(), "ranvier.ops.nn", __all__)

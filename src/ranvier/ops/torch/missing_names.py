"""Names that PyTorch has and this vocabulary lacks, and what the error says instead of the nearest name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ranvier.tensor.tensor import Tensor

_LIST = "docs/pytorch.md lists what is not there"
PROCESSES = "there is one process, whose threads use all cores"

_SAID: dict[str, Iterable[str]] = {
    "there are no quantized tensors": ("quantization",),
    "there are no complex tensors": ("cdouble", "cfloat", "complex", "complex32", "complex64", "complex128", "angle",
        "imag", "istft", "real", "view_as_complex", "view_as_real", "polar"),
    PROCESSES: ("SyncBatchNorm", "DistributedSampler"),
    "programs are compiled as they are": ("compiler", "fx"),
    "compiled programs have no operations to time. Write rv.callbacks, time.perf_counter(), or cProfile": ("profiler",),
    "write nn.init.orthogonal_(layer.weight), or a module for nn.utils.parametrize.register_parametrization": (
        "orthogonal",),
    "PyTorch calls it nn.Linear(in_features, out_features)": ("Dense",),
    _LIST: (
        "AdaptiveLogSoftmaxWithLoss", "FractionalMaxPool2d",
        "FractionalMaxPool3d", "LPPool1d", "LPPool2d", "LPPool3d",
        "MultiLabelMarginLoss", "RReLU",
        "TripletMarginWithDistanceLoss", "addbmm", "addr", "binomial",
        "fft",
        "fractional_max_pool2d", "fractional_max_pool3d",
        "gradient", "hub", "lp_pool1d", "lp_pool2d", "lp_pool3d",
        "masked", "matrix_exp", "multilabel_margin_loss",
        "pdist", "renorm", "rrelu", "signal", "sparse", "special",
        "triplet_margin_with_distance_loss",
    ),
}  # fmt: skip
NAMES = {name: words for words, names in _SAID.items() for name in names}

NO_DEVICE_MEMORY = "there is one kind of memory, and one process. Leave it out"
_OF_TENSORS = {
    **{name: words for name, words in NAMES.items() if name.islower()},
    "share_memory_": NO_DEVICE_MEMORY,
    "_id": "TensorFlow's tape does not know it. Write rv.GradientTape() in place of tf.GradientTape(), and rv.ops in "
    "place of functions of tf",
}


def explain(self: Tensor, name: str) -> Any:
    """``Tensor.__getattr__``: say of an attribute that PyTorch's tensors have, and these do not, what to write."""
    kind = type(self).__name__
    if name in _OF_TENSORS:
        raise AttributeError(f"{kind}.{name} does not exist: {_OF_TENSORS[name]}.")
    raise AttributeError(f"{kind!r} object has no attribute {name!r}")

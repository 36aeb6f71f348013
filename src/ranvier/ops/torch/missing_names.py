"""Names that PyTorch has and this vocabulary lacks, and what the error says instead of the nearest name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ranvier.tensor.tensor import Tensor

_LIST = "docs/pytorch.md lists what is not there"
PROCESSES = "there is one process, whose threads use all cores"

_SAID: dict[str, Iterable[str]] = {
    "there are no quantized tensors": ("quantization",),
    "there are no complex tensors": ("cdouble", "cfloat", "complex", "complex32", "complex64", "complex128",
        "eig", "eigvals", "imag", "istft", "view_as_complex", "view_as_real", "polar"),
    "programs are compiled as they are": ("compiler", "fx"),
    "compiled programs have no operations to time. Write rv.callbacks, time.perf_counter(), or cProfile": ("profiler",),
    "PyTorch calls it nn.Linear(in_features, out_features)": ("Dense",),
    "there are no factors of symmetric matrices with pivots. Write torch.linalg.lu_factor and lu_solve, or cholesky": (
        "ldl_factor", "ldl_factor_ex", "ldl_solve",
    ),
    "tensors hide where their memory is. Write x.numpy()": ("as_strided", "data_ptr", "storage", "untyped_storage"),
    "PyTorch's counts the first channel for all others, and its gradient is not that of its values. Write "
    "nn.LocalResponseNorm(size, alpha, beta, k)": ("CrossMapLRN2d",),
    _LIST: ("binomial", "fft", "hub", "masked", "signal", "sparse"),
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

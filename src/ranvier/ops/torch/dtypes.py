"""PyTorch's dtype names. A dtype is a text here too, so that ``x.dtype == "float32"``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.tensor.attribute_types import DTYPES

__all__ = [
    "bfloat16",
    "bool",
    "double",
    "float",
    "float16",
    "float32",
    "float64",
    "half",
    "int",
    "int8",
    "int16",
    "int32",
    "int64",
    "long",
    "short",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]  # fmt: skip

float32 = float = DTYPES["float32"]
float64 = double = DTYPES["float64"]
float16 = half = DTYPES["float16"]
bfloat16 = DTYPES["bfloat16"]
int8 = DTYPES["int8"]
int16 = short = DTYPES["int16"]
int32 = int = DTYPES["int32"]
int64 = long = DTYPES["int64"]
uint8 = DTYPES["uint8"]
uint16 = DTYPES["uint16"]
uint32 = DTYPES["uint32"]
uint64 = DTYPES["uint64"]
bool = DTYPES["bool"]

# Tensors of a dtype by the names of PyTorch's classes of them.
CLASSES = {
    "FloatTensor": "float32", "DoubleTensor": "float64", "HalfTensor": "float16", "BFloat16Tensor": "bfloat16",
    "CharTensor": "int8", "ShortTensor": "int16", "IntTensor": "int32", "LongTensor": "int64", "BoolTensor": "bool",
    "ByteTensor": "uint8",
}  # fmt: skip


def dtype_name(dtype: Any) -> str | None:
    """A dtype (a name, a Python type, a NumPy dtype) by the name that tensors have it under; None for None."""
    if dtype is None:
        return None
    name = dtype.removeprefix("torch.") if isinstance(dtype, str) else np.dtype(dtype).name
    if name not in DTYPES:
        raise TypeError(f"dtype {dtype!r} does not exist here. Write one of {', '.join(DTYPES)}.")
    return name

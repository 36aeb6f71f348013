"""PyTorch's dtype names. A dtype is a string here, so ``x.dtype == torch.float32`` compares as expected.

Programs compute with 32-bit integers: ``int64`` and ``long`` are names of int32, and values beyond it are refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.graph.node import DTYPES

__all__ = [
    "bool", "double", "float", "float32", "float64", "int", "int32", "int64", "long", "uint8",
]  # fmt: skip

float32 = float = "float32"
float64 = double = "float64"
int32 = int = int64 = long = "int32"
uint8 = "uint8"
bool = "bool"

# Tensors of a dtype by the names of PyTorch's classes of them.
CLASSES = {
    "FloatTensor": "float32", "DoubleTensor": "float64", "IntTensor": "int32", "LongTensor": "int32",
    "BoolTensor": "bool", "ByteTensor": "uint8",
}  # fmt: skip
_CONVERTED = {"int64": "int32", "int16": "int32", "int8": "int32", "uint16": "int32", "float16": "float32"}


def dtype_name(dtype: Any) -> str | None:
    """A dtype (a name, a Python type, a NumPy dtype) by the name that tensors have it under; None for None."""
    if dtype is None:
        return None
    name = dtype.removeprefix("torch.") if isinstance(dtype, str) else np.dtype(dtype).name
    name = _CONVERTED.get(name, name)
    if name not in DTYPES:
        raise TypeError(f"dtype {dtype!r} does not exist here. Write one of {', '.join(DTYPES)}.")
    return name

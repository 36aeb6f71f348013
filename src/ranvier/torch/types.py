"""``torch.types``: what annotations of programs name."""

from collections.abc import Sequence
from typing import Any

from ranvier.ops.torch.device import Device, device
from ranvier.support.errors import missing
from ranvier.tensor.attribute_types import DType, Size
from ranvier.tensor.tensor import Tensor

__all__ = ["Device", "Number", "Tensor"]

Number = int | float | bool
_int, _float, _bool, _device, _dtype, _size = int, float, bool, device, DType, Size
_TensorOrTensors = Tensor | Sequence[Tensor]
Storage: Any = object

__getattr__, __dir__ = missing("torch.types", __all__)

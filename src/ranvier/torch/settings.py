"""Settings that programs make before they start, such as precision and compilation. Most have no effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ranvier.ops.torch.device import check_device, device
from ranvier.ops.torch.dtypes import CLASSES
from ranvier.tensor.attribute_types import DTYPES, DType
from ranvier.tensor.context import get_dtype, set_dtype
from ranvier.tensor.printing import set_printoptions

__all__ = [
    "are_deterministic_algorithms_enabled", "channels_last", "channels_last_3d", "compile", "contiguous_format",
    "get_default_device", "get_default_dtype", "get_float32_matmul_precision", "get_num_interop_threads",
    "is_autocast_enabled", "preserve_format", "set_default_device", "set_default_tensor_type",
    "set_float32_matmul_precision", "set_flush_denormal", "set_num_interop_threads", "set_printoptions",
    "use_deterministic_algorithms",
]  # fmt: skip

# Accepted wherever PyTorch takes them, without effect: there is one memory format.
contiguous_format, preserve_format = "torch.contiguous_format", "torch.preserve_format"
channels_last, channels_last_3d = "torch.channels_last", "torch.channels_last_3d"


def set_default_device(device: Any) -> None:
    """Accepted for the processor, without effect. Raises RuntimeError for another device."""
    check_device(device)


def get_default_device() -> device:
    """The processor."""
    return device("cpu")


def set_default_tensor_type(t: Any) -> None:
    """Set the default dtype by a tensor type (``torch.DoubleTensor``) or its name."""
    name = str(t).rpartition(".")[2]
    set_dtype(CLASSES.get(name) or t.dtype)


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted, without effect: every program gives the same bits each time."""
    del mode, warn_only


def are_deterministic_algorithms_enabled() -> bool:
    """True: all algorithms are deterministic."""
    return True


def set_num_interop_threads(n: int) -> None:
    """Accepted, without effect: operations of one program follow each other."""
    del n


def get_num_interop_threads() -> int:
    """1."""
    return 1


def set_flush_denormal(mode: bool) -> bool:
    """False: the mode of the processor stays, so that results are the same on all of them."""
    del mode
    return False


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """False: there is no half precision."""
    del device_type
    return False


def set_float32_matmul_precision(precision: str) -> None:
    """Accepted, without effect: products of float32 always have the highest precision."""
    del precision


def get_float32_matmul_precision() -> str:
    """Always "highest"."""
    return "highest"


def get_default_dtype() -> DType:
    """The floating dtype of new tensors."""
    return DTYPES[get_dtype()]


def compile(model: Any = None, **options: Any) -> Any:
    """``model`` itself, a module or a function: recorded operations are always compiled. Also a decorator."""
    if model is None:
        undecorated: Callable[[Any], Any] = lambda given: given  # noqa: E731  # as PyTorch's with options
        return undecorated
    return model

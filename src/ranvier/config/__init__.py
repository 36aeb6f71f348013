"""Keras's ``config``: the floating dtype, limits and switches can be set; epsilon and the data format are fixed."""

from __future__ import annotations

from ranvier.config.switches import (
    disable_flash_attention,
    disable_interactive_logging,
    disable_traceback_filtering,
    enable_flash_attention,
    enable_interactive_logging,
    enable_traceback_filtering,
    enable_unsafe_deserialization,
    is_flash_attention_enabled,
    is_interactive_logging_enabled,
    is_nnx_enabled,
    is_traceback_filtering_enabled,
    max_epochs,
    max_steps_per_epoch,
    set_backend,
    set_max_epochs,
    set_max_steps_per_epoch,
)
from ranvier.support.errors import missing
from ranvier.tensor.context import get_dtype, set_dtype

__all__ = [
    "backend", "disable_flash_attention", "disable_interactive_logging", "disable_traceback_filtering",
    "dtype_policy",
    "enable_flash_attention", "enable_interactive_logging", "enable_traceback_filtering",
    "enable_unsafe_deserialization", "epsilon", "floatx", "image_data_format", "is_flash_attention_enabled",
    "is_interactive_logging_enabled", "is_nnx_enabled", "is_traceback_filtering_enabled", "max_epochs",
    "max_steps_per_epoch", "set_backend",
    "set_dtype_policy",
    "set_epsilon", "set_floatx", "set_image_data_format", "set_max_epochs", "set_max_steps_per_epoch",
]  # fmt: skip

EPSILON = 1e-7
DATA_FORMAT = "channels_last"


def backend() -> str:
    """The name of the backend: "ranvier"."""
    return "ranvier"


def floatx() -> str:
    """The floating dtype of new weights and of data: `ranvier.get_dtype`."""
    return get_dtype()


def set_floatx(value: str) -> None:
    """Compute in "float32" or "float64": `ranvier.set_dtype`. Raises ValueError for any other dtype."""
    set_dtype(value)


def epsilon() -> float:
    """The small number that keeps losses and metrics from dividing by 0: 1e-07."""
    return EPSILON


def set_epsilon(value: float) -> None:
    """Raises ValueError for any value but 1e-07, which is fixed."""
    if value != EPSILON:
        raise ValueError(f"epsilon {value!r} is fixed at {EPSILON}. Give epsilon= to the layer or optimizer instead.")


def image_data_format() -> str:
    """The default position of image channels: "channels_last". Layers have an argument ``data_format``."""
    return DATA_FORMAT


def set_image_data_format(data_format: str) -> None:
    """Raises ValueError for any value but "channels_last". Layers have an argument ``data_format``."""
    if data_format != DATA_FORMAT:
        raise ValueError(
            f"data format {data_format!r}: the one of all layers is {DATA_FORMAT!r}. Write "
            f"data_format={data_format!r} in each layer of images instead."
        )


_POLICIES = "ranvier.config.dtype_policies"
__getattr__, __dir__ = missing(
    "ranvier.config", __all__, {name: f"{_POLICIES}:{name}" for name in ("dtype_policy", "set_dtype_policy")}
)

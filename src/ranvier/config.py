"""What programs written for Keras ask its ``config``: the floating dtype, and what is fixed here."""

from __future__ import annotations

from ranvier.support.errors import missing
from ranvier.tensor.context import get_dtype, set_dtype

__all__ = [
    "backend", "epsilon", "floatx", "image_data_format", "set_epsilon", "set_floatx", "set_image_data_format",
]  # fmt: skip

EPSILON = 1e-7
DATA_FORMAT = "channels_last"


def backend() -> str:
    """What computes: "ranvier"."""
    return "ranvier"


def floatx() -> str:
    """The floating dtype of new weights and of data: `ranvier.get_dtype`."""
    return get_dtype()


def set_floatx(value: str) -> None:
    """Compute in "float32" or "float64": `ranvier.set_dtype`. Raises ValueError for any other."""
    set_dtype(value)


def epsilon() -> float:
    """The small number that losses and metrics keep from dividing by 0 with: 1e-07."""
    return EPSILON


def set_epsilon(value: float) -> None:
    """Raises ValueError for any other number than the one there is."""
    if value != EPSILON:
        raise ValueError(
            f"epsilon {value!r} is fixed at {EPSILON}. Give epsilon= to the layer or optimizer instead."
        )


def image_data_format() -> str:
    """Where the channels of images are, unless a layer says something else: "channels_last"."""
    return DATA_FORMAT


def set_image_data_format(data_format: str) -> None:
    """Raises ValueError for any other than the one there is: layers have an argument for it."""
    if data_format != DATA_FORMAT:
        raise ValueError(
            f"data format {data_format!r}: the one of all layers is {DATA_FORMAT!r}. Write "
            f"data_format={data_format!r} in each layer of images instead."
        )


__getattr__, __dir__ = missing(globals(), "ranvier.config", __all__)

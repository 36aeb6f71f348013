"""The ``backend`` of Keras: the functions of `ranvier.config`, and `ranvier.utils.clear_session`."""

from __future__ import annotations

from ranvier.config import backend, epsilon, floatx, image_data_format, set_epsilon, set_floatx, set_image_data_format
from ranvier.support.errors import missing
from ranvier.utils import clear_session

__all__ = [
    "backend", "clear_session", "epsilon", "floatx", "image_data_format", "set_epsilon", "set_floatx",
    "set_image_data_format",
]  # fmt: skip

__getattr__, __dir__ = missing("ranvier.backend", __all__)

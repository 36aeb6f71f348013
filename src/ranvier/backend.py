"""The ``backend`` of Keras: the functions of `ranvier.config`, and `ranvier.utils.clear_session`."""

from __future__ import annotations

from typing import Any

from ranvier.config import backend, epsilon, floatx, image_data_format, set_epsilon, set_floatx, set_image_data_format
from ranvier.graph.dtypes import merged, promote
from ranvier.ops.keras.elementwise import dtype_name
from ranvier.support.errors import missing
from ranvier.utils import clear_session, is_keras_tensor, standardize_dtype

__all__ = [
    "backend", "clear_session", "epsilon", "floatx", "get_uid", "image_data_format", "is_float_dtype", "is_int_dtype",
    "is_keras_tensor", "result_type",
    "set_epsilon", "set_floatx", "set_image_data_format", "standardize_dtype",
]  # fmt: skip


_numbers: dict[str, int] = {}


def get_uid(prefix: str = "") -> int:
    """The number of calls with this prefix so far, for names of one's own: 1 at the first."""
    _numbers[prefix] = _numbers.get(prefix, 0) + 1
    return _numbers[prefix]


def is_float_dtype(dtype: Any) -> bool:
    """Whether this is a dtype of floats."""
    return str(getattr(dtype, "name", dtype)).startswith(("float", "bfloat"))


def is_int_dtype(dtype: Any) -> bool:
    """Whether this is a dtype of integers."""
    return str(getattr(dtype, "name", dtype)).startswith(("int", "uint"))


def result_type(*dtypes: Any) -> str:
    """The dtype in which operands of these dtypes meet; ``int`` and ``float`` are Python's numbers, None is `floatx`.

    Raises ValueError for a dtype that no tensor has, such as "complex64".
    """
    own = promote(dtype_name(d) for d in dtypes if d not in (int, float))
    return merged(own, promote(dtype_name(d.__name__) for d in dtypes if d in (int, float))) or floatx()


__getattr__, __dir__ = missing("ranvier.backend", __all__)

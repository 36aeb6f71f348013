"""``inplace=True``, and functions whose names end in an underscore: the result is written into what was given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ranvier.ops.indexing import put
from ranvier.tensor.tensor import Tensor

__all__ = ["changing", "written"]


def written(input: Any, result: Any, inplace: bool) -> Any:
    """``result``; with ``inplace`` it is what ``input`` holds from here on, and ``input`` is returned, as by ``relu_``.

    Raises RuntimeError for a leaf that requires a gradient, while gradients are recorded.
    """
    return put(input, result) if inplace and isinstance(input, Tensor) else result


def changing(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function with ``inplace=True``, as ``relu_`` is of ``relu``."""

    def change(input: Any, *args: Any, **kwargs: Any) -> Any:
        return function(input, *args, inplace=True, **kwargs)

    change.__name__ = f"{function.__name__}_"
    change.__doc__ = f"`{function.__name__}` written into ``input``, which is returned."
    return change

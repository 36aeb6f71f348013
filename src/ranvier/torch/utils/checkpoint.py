"""``torch.utils.checkpoint``: functions whose results PyTorch computes again for the gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ranvier.support.errors import missing

__all__ = ["checkpoint", "checkpoint_sequential"]


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Any = None,
    determinism_check: str = "default",
    debug: bool = False,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """``function(*args, **kwargs)``. The compiler chooses what a program stores and what it computes again."""
    return function(*args, **kwargs)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **options: Any
) -> Any:
    """The functions, or the modules of a Sequential, one after the other."""
    for function in functions:
        input = function(input)
    return input


__getattr__, __dir__ = missing("torch.utils.checkpoint", __all__)

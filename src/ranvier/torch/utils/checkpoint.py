"""``torch.utils.checkpoint``: functions whose results PyTorch computes again for the gradient."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ranvier.ops.loops import remat
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
    """``function(*args, **kwargs)``, computed again for the gradient: see `ranvier.remat`."""
    return remat(function)(*args, **kwargs)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **options: Any
) -> Any:
    """The functions, or the modules of a Sequential, one after the other, in segments that are computed again for the
    gradient; the last one is not, as in PyTorch.
    """
    every, size = list(functions), max(len(list(functions)) // segments, 1)
    ends = [*range(size, size * segments, size), len(every)]
    for start, end in zip([0, *ends], ends, strict=False):
        run = functools.partial(_in_turn, every[start:end])
        input = run(input) if end == len(every) else remat(run)(input)
    return input


def _in_turn(functions: Any, input: Any) -> Any:
    for function in functions:
        input = function(input)
    return input


__getattr__, __dir__ = missing("torch.utils.checkpoint", __all__)
